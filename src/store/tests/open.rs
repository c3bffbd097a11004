//! Opening: what is not ours is refused with every byte in its place; what is ours is found again.

use std::os::unix::fs::MetadataExt;

use sqlx::{ConnectOptions, Connection, Row};

use crate::durable::write_new;
use crate::status::SubState;
use crate::store::StoreErrorKind;
use crate::store::tests::{Fixture, finish, insert, second};

/// Runs SQL on the closed database, as another program would.
async fn sql(fixture: &Fixture, text: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(fixture.path()).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn check_untouched(fixture: &Fixture, expected: fn(&StoreErrorKind) -> bool) {
    let before = std::fs::read(fixture.path()).unwrap();
    let kind = fixture.refusal().await;
    assert!(expected(&kind), "{kind:?}");
    assert_eq!(std::fs::read(fixture.path()).unwrap(), before);
    let names: Vec<_> = fixture.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "state.db"), "{names:?}");
}

#[tokio::test]
async fn garbage_is_refused_and_untouched() {
    let mut headed = b"SQLite format 3\0".to_vec();
    headed.resize(8192, 0x5a);
    for garbage in [b"x".to_vec(), vec![0; 5000], b"not a database at all".to_vec(), headed] {
        let fixture = Fixture::new();
        write_new(&fixture.path(), &garbage).unwrap();
        check_untouched(&fixture, |kind| matches!(kind, StoreErrorKind::NotADatabase)).await;
    }
}

#[tokio::test]
async fn other_databases_are_refused_and_untouched() {
    let fixture = Fixture::new();
    sql(&fixture, "CREATE TABLE theirs (a)").await;
    check_untouched(&fixture, |kind| matches!(kind, StoreErrorKind::Foreign { application_id: 0 })).await;
}

#[tokio::test]
async fn newer_versions_are_refused_and_untouched() {
    let fixture = Fixture::new();
    fixture.open().await.close().await;
    // Out of the log mode as well: opening a database in that mode leaves its log beside it.
    sql(&fixture, "PRAGMA user_version = 2; PRAGMA journal_mode = DELETE").await;
    check_untouched(&fixture, |kind| matches!(kind, StoreErrorKind::Newer { found: 2, supported: 1 })).await;
}

#[tokio::test]
async fn a_lost_database_beside_its_log_is_not_made_anew() {
    for empty in [false, true] {
        let fixture = Fixture::new();
        let log = fixture.folder.path().join("state.db-wal");
        write_new(&log, b"acknowledged").unwrap();
        if empty {
            write_new(&fixture.path(), b"").unwrap();
        }
        assert!(matches!(fixture.refusal().await, StoreErrorKind::LogWithoutDatabase));
        assert_eq!(std::fs::read(&log).unwrap(), b"acknowledged");
    }
}

#[tokio::test]
async fn bad_places_are_typed_errors() {
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.path()).unwrap();
    assert!(matches!(fixture.refusal().await, StoreErrorKind::File { .. }));
    let missing = crate::store::Store::open(&fixture.folder.path().join("no/state.db")).await.unwrap_err();
    assert!(matches!(missing.kind, StoreErrorKind::File { .. }), "{missing:?}");
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_that_was_answered() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    store.commit(vec![insert("A")]).await.unwrap();
    // What a kill leaves: database and log as they are now, without the shared memory.
    let after = Fixture::new();
    for name in ["state.db", "state.db-wal"] {
        std::fs::copy(fixture.folder.path().join(name), after.folder.path().join(name)).unwrap();
    }
    let reopened = after.open().await;
    assert_eq!(reopened.load_active().await.unwrap().len(), 1);
    reopened.check().await.unwrap();
}

#[tokio::test]
async fn a_killed_creation_is_finished() {
    let empty = Fixture::new();
    write_new(&empty.path(), b"").unwrap();
    let without_tables = Fixture::new();
    sql(&without_tables, "PRAGMA journal_mode = WAL").await;
    for fixture in [empty, without_tables] {
        fixture.open().await.commit(vec![insert("A")]).await.unwrap();
    }
}

#[tokio::test]
async fn the_promised_settings_hold() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    for name in ["state.db", "state.db-wal"] {
        let mode = fixture.folder.path().join(name).metadata().unwrap().mode() & 0o777;
        assert_eq!(mode, 0o640, "{name}");
    }
    let mut opened = crate::store::open::open(&fixture.path()).await.unwrap();
    for (pragma, expected) in [
        ("PRAGMA synchronous", 2_i64),
        ("PRAGMA foreign_keys", 1),
        ("PRAGMA busy_timeout", 5000),
        ("PRAGMA temp_store", 2),
    ] {
        let value: i64 = sqlx::query_scalar(pragma).fetch_one(&mut opened.writer).await.unwrap();
        assert_eq!(value, expected, "{pragma}");
    }
    sqlx::query("DELETE FROM daq").execute(&opened.readers).await.unwrap_err();
    store.commit(vec![insert("A")]).await.unwrap();
}

/// Starting must not become slower with the history: each query goes through the index of the active rows.
#[tokio::test]
async fn the_history_costs_nothing_at_start() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let finished =
        (0..200).flat_map(|n| [insert(&format!("D{n}")), finish(&format!("D{n}"), SubState::Completed, second(n))]);
    store.commit(finished.collect()).await.unwrap();
    for query in crate::store::read::ACTIVE_QUERIES {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
        let rows = sqlx::query(explain).fetch_all(&store.readers).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        assert!(plan.iter().any(|line| line.contains("daq_active")), "{plan:?}");
        assert!(plan.iter().all(|line| !line.starts_with("SCAN") || line.contains("daq_active")), "{plan:?}");
    }
}
