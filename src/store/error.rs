//! Errors of the store, and what each SQLite result code means for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::error::DatabaseError;

use crate::durable::DurableError;
use crate::workspace::NameFault;

/// Primary result codes of SQLite (sqlite.org/rescode.html): the low byte of an extended code.
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_CORRUPT: u32 = 11;
const SQLITE_FULL: u32 = 13;
const SQLITE_NOTADB: u32 = 26;
/// Extended code: the shared-memory file could not grow, which is a full disk in all known cases.
const SQLITE_IOERR_SHMSIZE: u32 = 4874;

/// A database that could not be opened, read or changed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {action} the database {}", path.display())]
pub struct StoreError {
    /// What was tried: `open`, `read` or `change`.
    pub action: &'static str,
    /// The database file.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub kind: StoreErrorKind,
}

impl StoreError {
    pub(in crate::store) fn new(action: &'static str, path: &Path, kind: StoreErrorKind) -> StoreError {
        StoreError { action, path: path.to_path_buf(), kind }
    }
}

/// Why the database could not be opened, read or changed.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// The file is something else; it was left untouched.
    #[error("the file is no SQLite database, or is damaged: move it away or restore it from a backup")]
    NotADatabase,
    /// The file is the database of another program; it was left untouched.
    #[error("the file is the database of another program (application id {application_id}): choose another workspace")]
    Foreign {
        /// `PRAGMA application_id` of the file.
        application_id: i64,
    },
    /// The database is empty but its write-ahead log is not; nothing was touched.
    #[error("the database is missing or empty but its write-ahead log is not: restore both from a backup")]
    LogWithoutDatabase,
    /// A newer dpm wrote the database; it was left untouched.
    #[error("the database has version {found}, this build knows up to {supported}: start the newer dpm")]
    Newer {
        /// Version of the file.
        found: i64,
        /// Newest version that this build reads.
        supported: i64,
    },
    /// SQLite does not give the durability that is promised.
    #[error("the file system does not support it (journal mode '{journal_mode}', wanted 'wal'): use a local disk")]
    NotDurable {
        /// Mode that SQLite fell back to.
        journal_mode: String,
    },
    /// The file could not be made or read.
    #[error("the file system refuses")]
    File {
        /// What was refused.
        source: Arc<DurableError>,
    },
    /// SQLite could not open or migrate the file.
    #[error("the database does not open: check the file and its permissions")]
    Open {
        /// SQLite's answer.
        source: Arc<sqlx::Error>,
    },
    /// An id that cannot be a file name.
    #[error(transparent)]
    Name(#[from] NameFault),
    /// The id is in the queue or in the history already.
    #[error("DAQ '{id}' exists already")]
    DuplicateDaq {
        /// The id.
        id: String,
    },
    /// No DAQ of that id.
    #[error("there is no DAQ '{id}'")]
    UnknownDaq {
        /// The id.
        id: String,
    },
    /// Only finished DAQs can be deleted.
    #[error("DAQ '{id}' is not finished: abort it first")]
    ActiveDaq {
        /// The id.
        id: String,
    },
    /// A value that the database cannot hold.
    #[error("{what} of DAQ '{id}' cannot be stored")]
    Unstorable {
        /// The DAQ.
        id: String,
        /// The value.
        what: &'static str,
    },
    /// A stored value that cannot be understood.
    #[error("{what} is damaged: '{text}'")]
    Malformed {
        /// Where it stands.
        what: String,
        /// What stands there, shortened.
        text: String,
    },
    /// The disk is full; nothing was changed and the same request may succeed later.
    #[error("no space is left for the database: free some and try again")]
    NoSpace {
        /// SQLite's answer.
        source: Arc<sqlx::Error>,
    },
    /// Another program holds the database; nothing was changed and the same request may succeed later.
    #[error("another program holds the database: close it and try again")]
    Busy {
        /// SQLite's answer.
        source: Arc<sqlx::Error>,
    },
    /// Too many requests wait; nothing was changed and the same request may succeed later.
    #[error("too many changes wait for the disk: try again")]
    Overloaded,
    /// Writing failed, now or earlier; nothing more is written until the database was opened again.
    #[error("writing failed and nothing more is written: check the disk, then restart dpm")]
    Failed {
        /// The first error.
        source: Arc<sqlx::Error>,
    },
    /// Reading failed.
    #[error("reading failed: check the disk")]
    Read {
        /// SQLite's answer.
        source: Arc<sqlx::Error>,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreErrorKind {
    /// True if nothing was changed and the same request may succeed later.
    pub fn may_retry(&self) -> bool {
        match self {
            Self::NoSpace { .. } | Self::Busy { .. } | Self::Overloaded => true,
            Self::NotADatabase
            | Self::Foreign { .. }
            | Self::LogWithoutDatabase
            | Self::Newer { .. }
            | Self::NotDurable { .. }
            | Self::File { .. }
            | Self::Open { .. }
            | Self::Name(_)
            | Self::DuplicateDaq { .. }
            | Self::UnknownDaq { .. }
            | Self::ActiveDaq { .. }
            | Self::Unstorable { .. }
            | Self::Malformed { .. }
            | Self::Failed { .. }
            | Self::Read { .. }
            | Self::Closed => false,
        }
    }

    /// True if only the request is at fault, and its neighbours in a group are not concerned.
    pub(in crate::store) fn is_of_request(&self) -> bool {
        matches!(
            self,
            Self::Name(_)
                | Self::DuplicateDaq { .. }
                | Self::UnknownDaq { .. }
                | Self::ActiveDaq { .. }
                | Self::Unstorable { .. }
        )
    }

    /// What an error means while the database is opened.
    pub(in crate::store) fn of_open(error: sqlx::Error) -> StoreErrorKind {
        match classify(&error) {
            Cause::Damaged => Self::NotADatabase,
            Cause::Full => Self::NoSpace { source: Arc::new(error) },
            Cause::Busy => Self::Busy { source: Arc::new(error) },
            Cause::Other => Self::Open { source: Arc::new(error) },
        }
    }

    /// What an error means for a transaction.
    pub(in crate::store) fn of_write(error: sqlx::Error) -> StoreErrorKind {
        match classify(&error) {
            Cause::Full => Self::NoSpace { source: Arc::new(error) },
            Cause::Busy => Self::Busy { source: Arc::new(error) },
            Cause::Damaged | Cause::Other => Self::Failed { source: Arc::new(error) },
        }
    }

    /// What an error means for a query.
    pub(in crate::store) fn of_read(error: sqlx::Error) -> StoreErrorKind {
        match error {
            sqlx::Error::PoolClosed => Self::Closed,
            error => Self::Read { source: Arc::new(error) },
        }
    }
}

enum Cause {
    Full,
    Busy,
    Damaged,
    Other,
}

fn classify(error: &sqlx::Error) -> Cause {
    let Some(code) = error.as_database_error().and_then(result_code) else { return Cause::Other };
    if code == SQLITE_IOERR_SHMSIZE {
        return Cause::Full;
    }
    match code & 0xff {
        // SQLite reports ENOSPC of a write as SQLITE_FULL; of an fsync as an I/O error, which is fatal here as well.
        SQLITE_FULL => Cause::Full,
        SQLITE_BUSY | SQLITE_LOCKED => Cause::Busy,
        SQLITE_CORRUPT | SQLITE_NOTADB => Cause::Damaged,
        _ => Cause::Other,
    }
}

/// Extended result code of SQLite.
pub(in crate::store) fn result_code(error: &dyn DatabaseError) -> Option<u32> {
    error.code()?.parse().ok()
}
