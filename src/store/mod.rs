//! The database: queue, statuses, step journal and history of all DAQs.
//!
//! The durability rule, kept here once: one task owns the one connection that writes. It takes every request that
//! waits (at most [`GROUP_REQUESTS_MAX`]), applies each in its own savepoint within one transaction, commits, and only
//! then answers all of them. So an answered change survives a power cut (WAL with `synchronous=FULL`), requests take
//! effect in the order in which they were handed in, and many of them share one fsync. A request that is refused
//! (such as a duplicate id) undoes only itself.
//!
//! After an I/O error or corruption nothing more is written ([`StoreErrorKind::Failed`]): what the disk holds is
//! unknown until the database was opened again. A full disk undoes the whole group and may be tried again.
//!
//! The store knows no transitions: which status may follow which is the engine's to decide. It reads no clock.

mod apply;
mod error;
mod open;
mod read;
mod rows;
mod writer;

pub use crate::store::error::{StoreError, StoreErrorKind};
pub use crate::store::read::{Counts, HISTORY_LIMIT_MAX, HistoryQuery};
pub use crate::store::rows::{Change, HistoryEntry, NewDaq, ProductRow, ReceiverRow, StatusRow, StepRow, StoredDaq};
pub use crate::store::writer::GROUP_REQUESTS_MAX;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sqlx::SqlitePool;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};

use crate::store::writer::{Message, Request, Shared};

/// Requests that may wait for the writer. Each DAQ has few at a time, so a longer queue means a stuck disk.
pub const WAITING_REQUESTS_MAX: usize = 8192;

/// The opened database; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    path: Arc<PathBuf>,
    messages: mpsc::Sender<Message>,
    readers: SqlitePool,
    shared: Arc<Shared>,
}

impl Store {
    /// Opens the database at `path`, makes it where there is none, and migrates an older version.
    ///
    /// Starts the writer task on the present tokio runtime. Only the holder of the workspace's lock may call it.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::NotADatabase`], [`StoreErrorKind::Foreign`] or [`StoreErrorKind::Newer`]; the file is left
    /// untouched then. [`StoreErrorKind::Open`] if SQLite cannot work there.
    pub async fn open(path: &Path) -> Result<Store, StoreError> {
        let opened = open::open(path).await.map_err(|kind| StoreError::new("open", path, kind))?;
        let shared = Arc::new(Shared::default());
        let (messages, inbox) = mpsc::channel(WAITING_REQUESTS_MAX);
        let path = Arc::new(path.to_path_buf());
        tokio::spawn(writer::run(opened.writer, inbox, Arc::clone(&shared), Arc::clone(&path)));
        Ok(Store { path, messages, readers: opened.readers, shared })
    }

    /// Applies `changes` as one unit; on return they survive a power cut. Waits where the queue is full.
    ///
    /// # Errors
    ///
    /// Nothing of `changes` has taken effect then: [`StoreErrorKind::Name`], [`StoreErrorKind::DuplicateDaq`], [`StoreErrorKind::UnknownDaq`],
    /// [`StoreErrorKind::ActiveDaq`] or [`StoreErrorKind::Unstorable`] for what is asked;
    /// [`StoreErrorKind::NoSpace`] or [`StoreErrorKind::Busy`], which may be tried again;
    /// [`StoreErrorKind::Failed`], after which it is unknown whether they survive a restart.
    pub async fn commit(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let outcome = match self.messages.send(Message::Commit(Request { changes, reply })).await {
            Ok(()) => answer.await.unwrap_or(Err(StoreErrorKind::Closed)),
            Err(_) => Err(StoreErrorKind::Closed),
        };
        outcome.map_err(|kind| StoreError::new("change", &self.path, kind))
    }

    /// Hands in `changes` at once, in the order of the calls; the future resolves when they are durable.
    ///
    /// Dropping the future does not take the changes back.
    ///
    /// # Errors
    ///
    /// As [`Store::commit`], and [`StoreErrorKind::Overloaded`] if [`WAITING_REQUESTS_MAX`] requests wait already.
    pub fn submit(&self, changes: Vec<Change>) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let (reply, answer) = oneshot::channel();
        let queued = self.messages.try_send(Message::Commit(Request { changes, reply }));
        let path = Arc::clone(&self.path);
        async move {
            let outcome = match queued {
                Ok(()) => answer.await.unwrap_or(Err(StoreErrorKind::Closed)),
                Err(TrySendError::Full(_)) => Err(StoreErrorKind::Overloaded),
                Err(TrySendError::Closed(_)) => Err(StoreErrorKind::Closed),
            };
            outcome.map_err(|kind| StoreError::new("change", &path, kind))
        }
    }

    /// Every DAQ that is not finished, in order of queueing, with its journal.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Read`] or [`StoreErrorKind::Malformed`].
    pub async fn load_active(&self) -> Result<Vec<StoredDaq>, StoreError> {
        self.read(read::active(&self.readers).await)
    }

    /// The DAQ `id`, finished or not, with its journal.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Read`] or [`StoreErrorKind::Malformed`].
    pub async fn find(&self, id: &str) -> Result<Option<StoredDaq>, StoreError> {
        self.read(read::find(&self.readers, id).await)
    }

    /// Digest of the specification of the DAQ `id`, if it is finished. Cost: one look into an index.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Read`].
    pub async fn finished_digest(&self, id: &str) -> Result<Option<String>, StoreError> {
        self.read(read::finished_digest(&self.readers, id).await)
    }

    /// Finished DAQs, the last queued first.
    ///
    /// For the next page give the `sequence` of the last entry as `before`.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Read`] or [`StoreErrorKind::Malformed`].
    pub async fn history(&self, query: HistoryQuery) -> Result<Vec<HistoryEntry>, StoreError> {
        self.read(read::history(&self.readers, &query).await)
    }

    /// How many DAQs are active and finished.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Read`].
    pub async fn counts(&self) -> Result<Counts, StoreError> {
        self.read(read::counts(&self.readers).await)
    }

    /// The value of a setting, as [`Change::SetSetting`] left it.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Read`].
    pub async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.read(read::setting(&self.readers, name).await)
    }

    /// Reads the whole database and checks its structure; takes seconds on a large one.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Malformed`] with the first fault found.
    pub async fn check(&self) -> Result<(), StoreError> {
        self.read(read::check(&self.readers).await)
    }

    /// Transactions committed since the database was opened.
    pub fn commit_count(&self) -> u64 {
        self.shared.commit_count.load(Ordering::Relaxed)
    }

    /// The error after which the store refuses changes, if there was one.
    pub fn failure(&self) -> Option<StoreError> {
        let source = self.shared.failure.get()?;
        Some(StoreError::new("change", &self.path, StoreErrorKind::Failed { source: Arc::clone(source) }))
    }

    /// Waits for what was handed in before, writes the log back and closes the database for all clones.
    pub async fn close(self) {
        // Readers first: the last connection to close writes the log back into the database.
        self.readers.close().await;
        let (reply, answer) = oneshot::channel();
        if self.messages.send(Message::Close(reply)).await.is_ok() {
            // An error means that the writer is gone already.
            let _ = answer.await;
        }
    }

    fn read<T>(&self, outcome: Result<T, StoreErrorKind>) -> Result<T, StoreError> {
        outcome.map_err(|kind| StoreError::new("read", &self.path, kind))
    }
}

#[cfg(test)]
mod tests;
