//! Opening the database: looks before it touches, then sets durability, then migrates.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection, SqlitePool};

use crate::durable::{self, DurableError, DurableErrorKind};
use crate::store::error::{StoreErrorKind, result_code};

/// First bytes of every SQLite database (sqlite.org/fileformat.html, 1.3).
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// `PRAGMA application_id` of our databases: "dpm1"; the first migration writes it.
const APPLICATION_ID: i64 = 0x6470_6d31;
/// One text a version; each ends with the `PRAGMA user_version` that it leads to.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_initial.sql")];
/// How long to wait for another program (such as a person's `sqlite3`) that holds the database.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The write-ahead log is cut to this size after it was written back.
const LOG_BYTES_KEPT: &str = "67108864";
/// Enough for a status query beside a long history query.
const READERS: u32 = 2;
/// Primary result code SQLITE_READONLY: a read-only connection may not recover a log.
const SQLITE_READONLY: u32 = 8;

/// An opened database.
pub(in crate::store) struct Opened {
    pub(in crate::store) writer: SqliteConnection,
    pub(in crate::store) readers: SqlitePool,
}

/// Opens or makes the database at `path`.
pub(in crate::store) async fn open(path: &Path) -> Result<Opened, StoreErrorKind> {
    if look(path)? {
        examine(path).await?;
    }
    let mut writer = writer_options(path).connect().await.map_err(StoreErrorKind::of_open)?;
    check_durability(&mut writer).await?;
    // Asked again on this connection: it has recovered what a killed writer left in the log.
    check_version(&mut writer).await?;
    migrate(&mut writer).await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options(path).read_only(true))
        .await
        .map_err(StoreErrorKind::of_open)?;
    Ok(Opened { writer, readers })
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).create_if_missing(false).busy_timeout(BUSY_TIMEOUT).foreign_keys(true)
}

fn writer_options(path: &Path) -> SqliteConnectOptions {
    options(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        // Savepoints must not need a temporary file on another, possibly full, disk.
        .pragma("temp_store", "memory")
        .pragma("journal_size_limit", LOG_BYTES_KEPT)
}

/// Looks at the file without SQLite; makes an empty one where there is none. True if there is something to examine.
fn look(path: &Path) -> Result<bool, StoreErrorKind> {
    let mut magic = [0; MAGIC.len()];
    let present = match File::open(path) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => None,
        outcome => {
            Some(outcome.and_then(|mut file| read_some(&mut file, &mut magic)).map_err(|e| file_error(path, e))?)
        }
    };
    match present {
        Some(MAGIC_BYTES) if &magic == MAGIC => return Ok(true),
        None | Some(0) => {}
        Some(_) => return Err(StoreErrorKind::NotADatabase),
    }
    // SQLite would delete the log of an empty database, and with it everything that was acknowledged.
    if log_path(path).metadata().is_ok_and(|log| log.len() > 0) {
        return Err(StoreErrorKind::LogWithoutDatabase);
    }
    if present.is_none() {
        // Made here and not by SQLite: our permission bits, and the name is synced. The log inherits both.
        durable::write_new(path, b"").map_err(|error| StoreErrorKind::File { source: Arc::new(error) })?;
    }
    Ok(false)
}

const MAGIC_BYTES: usize = MAGIC.len();

fn read_some(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut text = Vec::with_capacity(buffer.len());
    file.take(buffer.len() as u64).read_to_end(&mut text)?;
    buffer[..text.len()].copy_from_slice(&text);
    Ok(text.len())
}

fn file_error(path: &Path, source: io::Error) -> StoreErrorKind {
    let error = DurableError { action: "read", path: path.to_path_buf(), kind: DurableErrorKind::Io { source } };
    StoreErrorKind::File { source: Arc::new(error) }
}

fn log_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// Asks a read-only connection whose database it is, so that a wrong one is refused without a byte changed.
async fn examine(path: &Path) -> Result<(), StoreErrorKind> {
    let outcome = async {
        let mut connection = options(path).read_only(true).connect().await?;
        let facts = facts(&mut connection).await;
        connection.close().await?;
        facts
    };
    match outcome.await {
        Ok(facts) => facts.check(),
        // A killed writer's log needs recovery, which the writer's connection does before it is asked the same.
        Err(error) if error.as_database_error().and_then(result_code).is_some_and(|c| c & 0xff == SQLITE_READONLY) => {
            Ok(())
        }
        Err(error) => Err(StoreErrorKind::of_open(error)),
    }
}

struct Facts {
    application_id: i64,
    user_version: i64,
    object_count: i64,
}

impl Facts {
    fn check(&self) -> Result<(), StoreErrorKind> {
        let supported = MIGRATIONS.len() as i64;
        // Killed before the first migration was committed: still empty and nobody's.
        let unused = self.application_id == 0 && self.user_version == 0 && self.object_count == 0;
        match self.user_version {
            _ if unused => Ok(()),
            _ if self.application_id != APPLICATION_ID => {
                Err(StoreErrorKind::Foreign { application_id: self.application_id })
            }
            found if found > supported => Err(StoreErrorKind::Newer { found, supported }),
            _ => Ok(()),
        }
    }
}

async fn facts(connection: &mut SqliteConnection) -> Result<Facts, sqlx::Error> {
    Ok(Facts {
        application_id: sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *connection).await?,
        user_version: sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?,
        object_count: sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut *connection).await?,
    })
}

async fn check_version(connection: &mut SqliteConnection) -> Result<(), StoreErrorKind> {
    facts(connection).await.map_err(StoreErrorKind::of_open)?.check()
}

/// SQLite falls back silently where the file system has no shared memory: then promises could not be kept.
async fn check_durability(connection: &mut SqliteConnection) -> Result<(), StoreErrorKind> {
    let journal_mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(connection).await.map_err(StoreErrorKind::of_open)?;
    if journal_mode == "wal" { Ok(()) } else { Err(StoreErrorKind::NotDurable { journal_mode }) }
}

/// Brings the database to the newest version, one transaction a version.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreErrorKind> {
    let version: i64 =
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await.map_err(StoreErrorKind::of_open)?;
    // Checked before: not negative in our files, and not above the number of migrations.
    let done = usize::try_from(version).unwrap_or(0);
    for text in MIGRATIONS.iter().copied().skip(done) {
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(StoreErrorKind::of_open)?;
        sqlx::raw_sql(text).execute(&mut *transaction).await.map_err(StoreErrorKind::of_open)?;
        transaction.commit().await.map_err(StoreErrorKind::of_open)?;
    }
    Ok(())
}
