//! The task that owns the writing connection: groups requests, commits, answers. The rule is in [`crate::store`].

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use crate::store::apply::apply;
use crate::store::error::{StoreErrorKind, result_code};
use crate::store::rows::Change;

/// Requests that one transaction takes at most: bounds how long the first of them waits for the last.
pub const GROUP_REQUESTS_MAX: usize = 256;
/// Result code SQLITE_ERROR: for ROLLBACK, "no transaction is active".
const SQLITE_ERROR: u32 = 1;

/// What the writer and the handles know in common.
#[derive(Debug, Default)]
pub(in crate::store) struct Shared {
    /// Transactions committed.
    pub(in crate::store) commit_count: AtomicU64,
    /// The error after which nothing is written any more.
    pub(in crate::store) failure: OnceLock<Arc<sqlx::Error>>,
}

/// Changes that take effect together, and who waits for them.
#[derive(Debug)]
pub(in crate::store) struct Request {
    pub(in crate::store) changes: Vec<Change>,
    pub(in crate::store) reply: oneshot::Sender<Result<(), StoreErrorKind>>,
}

/// What the writer is asked.
#[derive(Debug)]
pub(in crate::store) enum Message {
    /// Make changes durable.
    Commit(Request),
    /// Finish, after all that was asked before.
    Close(oneshot::Sender<()>),
    /// Run SQL outside of a transaction: tests make faults with it.
    #[cfg(test)]
    Raw(&'static str, oneshot::Sender<Result<(), sqlx::Error>>),
}

type Outcome = Result<(), StoreErrorKind>;

/// Serves messages until the store is closed or every handle is gone.
pub(in crate::store) async fn run(
    connection: SqliteConnection,
    mut inbox: mpsc::Receiver<Message>,
    shared: Arc<Shared>,
    path: Arc<PathBuf>,
) {
    let mut writer = Writer { connection, shared };
    let mut messages = Vec::with_capacity(GROUP_REQUESTS_MAX);
    let mut closing = None;
    while closing.is_none() && inbox.recv_many(&mut messages, GROUP_REQUESTS_MAX).await > 0 {
        let mut group = Vec::with_capacity(messages.len());
        for message in messages.drain(..) {
            match message {
                Message::Commit(request) if closing.is_none() => group.push(request),
                // Handed in after the close: dropping it answers "closed".
                Message::Commit(_) => {}
                Message::Close(reply) => closing = closing.or(Some(reply)),
                #[cfg(test)]
                Message::Raw(sql, reply) => {
                    let outcome = sqlx::raw_sql(sql).execute(&mut writer.connection).await;
                    let _ = reply.send(outcome.map(|_| ()));
                }
            }
        }
        writer.serve(group).await;
    }
    inbox.close();
    if let Err(error) = writer.connection.close().await {
        // Everything answered is in the log; only writing it back failed.
        tracing::warn!(path = %path.display(), %error, "the database was not closed cleanly");
    }
    if let Some(reply) = closing {
        let _ = reply.send(());
    }
}

struct Writer {
    connection: SqliteConnection,
    shared: Arc<Shared>,
}

impl Writer {
    /// Makes one group durable and answers it.
    async fn serve(&mut self, group: Vec<Request>) {
        if group.is_empty() {
            return;
        }
        let outcomes = match self.shared.failure.get() {
            Some(source) => vec![Err(StoreErrorKind::Failed { source: Arc::clone(source) }); group.len()],
            None => self.commit_or_undo(&group).await,
        };
        for (request, outcome) in group.into_iter().zip(outcomes) {
            // Whoever asked may have gone; the change stands all the same.
            let _ = request.reply.send(outcome);
        }
    }

    async fn commit_or_undo(&mut self, group: &[Request]) -> Vec<Outcome> {
        let kind = match self.commit(group).await {
            Ok(outcomes) => return outcomes,
            Err(kind) => kind,
        };
        let kind = match self.undo().await {
            Ok(()) => kind,
            Err(undo_kind) => undo_kind,
        };
        if let StoreErrorKind::Failed { source } = &kind {
            // Set once: this is the only task that sets it, and it serves no group afterwards.
            let _ = self.shared.failure.set(Arc::clone(source));
        }
        vec![Err(kind); group.len()]
    }

    /// One transaction for the group. An error means that none of it may be taken as written.
    async fn commit(&mut self, group: &[Request]) -> Result<Vec<Outcome>, StoreErrorKind> {
        self.execute("BEGIN IMMEDIATE").await?;
        let mut outcomes = Vec::with_capacity(group.len());
        for request in group {
            outcomes.push(self.apply_request(&request.changes).await?);
        }
        if outcomes.iter().all(Result::is_err) {
            self.execute("ROLLBACK").await?;
        } else {
            self.execute("COMMIT").await?;
            self.shared.commit_count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(outcomes)
    }

    /// The outer error is the group's, the inner one the request's alone.
    async fn apply_request(&mut self, changes: &[Change]) -> Result<Outcome, StoreErrorKind> {
        if let [change] = changes
            && change.is_undivided()
        {
            // It is refused before anything is written: a savepoint would cost as much as the change.
            return match apply(&mut self.connection, change).await {
                Err(kind) if !kind.is_of_request() => Err(kind),
                outcome => Ok(outcome),
            };
        }
        self.execute("SAVEPOINT request").await?;
        let mut outcome = Ok(());
        for change in changes {
            outcome = apply(&mut self.connection, change).await;
            if outcome.is_err() {
                break;
            }
        }
        match outcome {
            Err(kind) if !kind.is_of_request() => return Err(kind),
            Err(_) => self.execute("ROLLBACK TO request").await?,
            Ok(()) => {}
        }
        self.execute("RELEASE request").await?;
        Ok(outcome)
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), StoreErrorKind> {
        sqlx::query(sql).execute(&mut self.connection).await.map(|_| ()).map_err(StoreErrorKind::of_write)
    }

    /// Leaves no transaction open. SQLite has ended it itself after some errors, such as a full disk.
    async fn undo(&mut self) -> Result<(), StoreErrorKind> {
        match sqlx::query("ROLLBACK").execute(&mut self.connection).await {
            Err(error) if error.as_database_error().and_then(result_code) == Some(SQLITE_ERROR) => Ok(()),
            Err(error) => Err(StoreErrorKind::Failed { source: Arc::new(error) }),
            Ok(_) => Ok(()),
        }
    }
}
