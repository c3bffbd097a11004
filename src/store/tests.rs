//! The store on real files: round trips and history here, grouping, faults and opening in the files below.

mod fault;
mod group;
mod open;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::status::{Alert, Severity, SubState};
use crate::store::{
    Change, Counts, HistoryQuery, NewDaq, ProductRow, ReceiverRow, StatusRow, StepRow, Store, StoreErrorKind,
};

/// A store in a folder that goes with it.
struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    async fn open(&self) -> Store {
        Store::open(&self.path()).await.unwrap()
    }

    async fn refusal(&self) -> StoreErrorKind {
        Store::open(&self.path()).await.unwrap_err().kind
    }
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn new_daq(id: &str) -> NewDaq {
    NewDaq {
        id: id.to_owned(),
        file_id: format!("F.{id}"),
        priority: -3,
        user: Some("operator \u{e9}".to_owned()),
        specification: "{ \"id\": 1 }\n".to_owned(),
        specification_digest: "abc".to_owned(),
        root: Some("/data".to_owned()),
        created: Timestamp::from_nanosecond(1_700_000_000_123_456_789).unwrap(),
    }
}

fn insert(id: &str) -> Change {
    Change::InsertDaq(new_daq(id))
}

fn finish(id: &str, sub_state: SubState, at: Timestamp) -> Change {
    Change::SetStatus { id: id.to_owned(), row: StatusRow { sub_state, ..StatusRow::scheduled(at) } }
}

fn full_status() -> StatusRow {
    StatusRow {
        sub_state: SubState::Merging,
        alerts: vec![Alert {
            id: "UnmergedData:guider".to_owned(),
            severity: Severity::Warning,
            description: "'quoted' \"text\"\n".to_owned(),
            timestamp: second(1),
        }],
        result: "/w/products/F.A.fits".to_owned(),
        message: "merging".to_owned(),
        timestamp: second(2),
        product: Some(ProductRow { bytes: 1 << 40, digest: "d1".to_owned() }),
        timings: serde_json::json!({"Scheduled": "2026-01-01T00:00:00Z"}),
        attempts: u32::MAX,
        parked: true,
    }
}

fn step(ordinal: i64, state: &str) -> StepRow {
    StepRow {
        ordinal,
        kind: "collect".to_owned(),
        location: "host:/a b".to_owned(),
        state: state.to_owned(),
        path: "/w/daq/A/sources/0000-a".to_owned(),
        bytes: 2880,
        attempts: 2,
        digest: Some("d2".to_owned()),
        fingerprint: Some("{\"inode\":1}".to_owned()),
        last_error: Some("lost".to_owned()),
        updated: second(3),
    }
}

fn receiver(ordinal: i64) -> ReceiverRow {
    ReceiverRow {
        ordinal,
        receiver: "olasReceiver /in".to_owned(),
        state: "done".to_owned(),
        path: "/in/F.A.fits".to_owned(),
        method: "HardLink".to_owned(),
        attempts: 1,
        last_error: None,
        updated: second(4),
    }
}

#[tokio::test]
async fn everything_comes_back_after_reopening() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let id = || "A".to_owned();
    store
        .commit(vec![
            insert("A"),
            Change::SetStatus { id: id(), row: full_status() },
            Change::PutStep { id: id(), row: step(1, "pending") },
            Change::PutStep { id: id(), row: step(0, "pending") },
            Change::PutStep { id: id(), row: step(1, "done") },
            Change::PutReceiver { id: id(), row: receiver(0) },
            Change::SetPriority { id: id(), priority: 7 },
            Change::SetSetting { name: "paused".to_owned(), value: "yes".to_owned() },
            Change::SetSetting { name: "gone".to_owned(), value: "yes".to_owned() },
            Change::RemoveSetting { name: "gone".to_owned() },
        ])
        .await
        .unwrap();
    store.commit(vec![insert("B")]).await.unwrap();
    for reopen in [false, true] {
        let store = if reopen {
            store.clone().close().await;
            fixture.open().await
        } else {
            store.clone()
        };
        let active = store.load_active().await.unwrap();
        assert_eq!(active.len(), 2);
        assert_eq!(active[0].new, NewDaq { priority: 7, ..new_daq("A") });
        assert_eq!(active[0].status, full_status());
        assert_eq!(active[0].steps, [step(0, "pending"), step(1, "done")]);
        assert_eq!(active[0].receivers, [receiver(0)]);
        assert_eq!(active[1].status, StatusRow::scheduled(new_daq("B").created));
        assert!(active[0].sequence < active[1].sequence);
        assert_eq!(store.find("A").await.unwrap().as_ref(), Some(&active[0]));
        assert_eq!(store.find("none").await.unwrap(), None);
        assert_eq!(store.setting("paused").await.unwrap().as_deref(), Some("yes"));
        assert_eq!(store.setting("gone").await.unwrap(), None);
        store.check().await.unwrap();
    }
}

#[tokio::test]
async fn history_is_paged_filtered_and_trimmed() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let mut changes = Vec::new();
    for index in 0..1000 {
        let id = format!("D{index:04}");
        let end = if index % 10 == 0 { SubState::Aborted } else { SubState::Completed };
        changes.extend([insert(&id), finish(&id, end, second(index))]);
    }
    changes.push(insert("active"));
    store.commit(changes).await.unwrap();
    assert_eq!(store.counts().await.unwrap(), Counts { active: 1, finished: 1000 });

    let mut ids = Vec::new();
    let mut query = HistoryQuery { limit: 300, ..HistoryQuery::default() };
    loop {
        let page = store.history(query.clone()).await.unwrap();
        assert!(page.len() <= 300);
        let Some(last) = page.last() else { break };
        query.before = Some(last.sequence);
        ids.extend(page.into_iter().map(|entry| entry.id));
    }
    let expected: Vec<String> = (0..1000).rev().map(|index| format!("D{index:04}")).collect();
    assert_eq!(ids, expected);

    let count = async |query: HistoryQuery| store.history(query).await.unwrap().len();
    let all = HistoryQuery { limit: usize::MAX, ..HistoryQuery::default() };
    assert_eq!(count(HistoryQuery { states: vec![SubState::Aborted], ..all.clone() }).await, 100);
    assert_eq!(count(HistoryQuery { states: vec![SubState::Scheduled], ..all.clone() }).await, 0);
    let (since, until) = (Some(second(10)), Some(second(20)));
    assert_eq!(count(HistoryQuery { since, until, ..all.clone() }).await, 10);
    assert_eq!(count(HistoryQuery { limit: 0, ..all.clone() }).await, 0);

    store.commit(vec![Change::TrimHistory { keep: 2000 }]).await.unwrap();
    assert_eq!(count(all.clone()).await, 1000);
    store.commit(vec![Change::TrimHistory { keep: 3 }]).await.unwrap();
    let kept: Vec<String> = store.history(all.clone()).await.unwrap().into_iter().map(|entry| entry.id).collect();
    assert_eq!(kept, ["D0999", "D0998", "D0997"]);
    store.commit(vec![Change::TrimHistory { keep: 0 }]).await.unwrap();
    assert_eq!(store.counts().await.unwrap(), Counts { active: 1, finished: 0 });
}

#[tokio::test]
async fn an_id_is_free_again_once_its_history_was_deleted() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let delete = |id: &str| vec![Change::DeleteHistory { ids: vec!["unknown".to_owned(), id.to_owned()] }];
    let put_step = Change::PutStep { id: "A".to_owned(), row: step(0, "done") };
    store.commit(vec![insert("A"), put_step]).await.unwrap();
    let refused = store.commit(delete("A")).await.unwrap_err();
    assert!(matches!(refused.kind, StoreErrorKind::ActiveDaq { id } if id == "A"));
    store.commit(vec![finish("A", SubState::Completed, second(0))]).await.unwrap();
    let refused = store.commit(vec![insert("A")]).await.unwrap_err();
    assert!(matches!(refused.kind, StoreErrorKind::DuplicateDaq { id } if id == "A"));
    let first = store.find("A").await.unwrap().unwrap();
    assert_eq!(first.steps.len(), 1);
    store.commit(delete("A")).await.unwrap();
    store.commit(vec![insert("A")]).await.unwrap();
    let second = store.find("A").await.unwrap().unwrap();
    assert!(second.sequence > first.sequence);
    assert!(second.steps.is_empty());
}

#[test]
fn history_speaks_camel_case() {
    let entry = crate::store::HistoryEntry {
        sequence: 1,
        id: "A".to_owned(),
        file_id: "F".to_owned(),
        sub_state: SubState::Completed,
        result: String::new(),
        bytes: Some(5),
        digest: None,
        user: None,
        queued: second(0),
        finished: second(0),
        alerts: Vec::new(),
        message: String::new(),
    };
    let value = serde_json::to_value(entry).unwrap();
    assert_eq!(value["fileId"], "F");
    assert_eq!(value["subState"], "Completed");
    assert_eq!(value["finished"], "2023-11-14T22:13:20Z");
}
