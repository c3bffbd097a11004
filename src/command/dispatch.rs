//! Performs a command on the engine.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::command::error::{CommandError, ErrorKind};
use crate::command::reply::{AwaitDaqReply, DaqReply, ServerLimits, ServerStatus};
use crate::command::request::{AwaitDaqState, GetHistory, METHODS, QueueDaq, Request, Topic};
use crate::engine::action::QueueRequest;
use crate::engine::handle::EngineHandle;
use crate::engine::schedule::Limits;
use crate::merge::confine;
use crate::release;
use crate::specification::fault::{Fault, SpecificationError};
use crate::specification::model::{FileInput, FileRole, Specification};
use crate::specification::validate;
use crate::status::{DaqStatus, Progress, SubState, with_causes};
use crate::store::{HistoryQuery, StoredDaq};
use crate::workspace::storage::StorageStatus;

/// Entries of a page of the history where the caller names no number.
const HISTORY_PAGE: usize = 100;
/// A specification of at most so many bytes is validated where it arrives, in less time than another thread needs to wake.
const SMALL_SPECIFICATION_BYTES: usize = 8 * 1024;
/// Longest wait of one `AwaitDaqState`: a day.
const AWAIT_SECONDS_MAX: f64 = 86_400.0;

/// Performs commands; clones share one engine.
#[derive(Clone, Debug)]
pub struct Commander {
    engine: EngineHandle,
    workspace: PathBuf,
    local_hosts: Vec<String>,
    exit: CancellationToken,
}

/// What a command gives back.
#[derive(Debug)]
pub enum Outcome {
    /// One value, and that is all.
    Reply(Value),
    /// A first value, then notifications until the client goes.
    Stream {
        /// The first value: every unfinished DAQ.
        reply: Value,
        /// Topics that the client wants.
        topics: Vec<Topic>,
        /// Changes; they begin before the first value was taken, so none is missed.
        changes: broadcast::Receiver<DaqStatus>,
    },
}

impl Commander {
    /// Commands for `engine`; `exit` is cancelled when a client asks the daemon to end.
    pub fn new(
        engine: EngineHandle,
        workspace: PathBuf,
        local_hosts: Vec<String>,
        exit: CancellationToken,
    ) -> Commander {
        Commander { engine, workspace, local_hosts, exit }
    }

    /// Performs one command.
    ///
    /// # Errors
    ///
    /// [`CommandError`] with its kind, what to do, and each fault of a specification.
    pub async fn perform(&self, request: Request) -> Result<Outcome, CommandError> {
        let value = match request {
            Request::QueueDaq(parameters) => self.queue(parameters).await?,
            Request::AbortDaq(parameters) => {
                self.engine.abort(parameters.id.clone()).await?;
                daq_reply(parameters.id)?
            }
            Request::RetryMergeDaq(parameters) => {
                self.engine.retry(parameters.id.clone()).await?;
                daq_reply(parameters.id)?
            }
            Request::GetDaqStatus(parameters) => json(&self.engine.status(&parameters.id)?)?,
            Request::GetActiveDaqs => json(&self.active()?)?,
            Request::GetInternalDaqStatus(parameters) => json(&self.engine.internal(&parameters.id)?)?,
            Request::QueryStorageStatus => json(&self.storage().await?)?,
            Request::Exit => {
                self.exit.cancel();
                Value::String("dpm ends in order; what it accepted goes on at its next start".to_owned())
            }
            Request::Subscribe(parameters) => {
                let changes = self.engine.subscribe();
                let reply = json(&self.active()?)?;
                return Ok(Outcome::Stream { reply, topics: parameters.topics, changes });
            }
            Request::AwaitDaqState(parameters) => json(&self.await_state(parameters).await?)?,
            Request::GetHistory(parameters) => self.history(parameters).await?,
            Request::GetServerStatus => json(&self.server_status().await?)?,
        };
        Ok(Outcome::Reply(value))
    }

    /// Every unfinished DAQ in order of the queue.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Busy`] while dpm is stopping.
    pub fn active(&self) -> Result<Vec<DaqStatus>, CommandError> {
        Ok(self.engine.active()?)
    }

    /// Space of the workspace.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`] where the file system cannot be asked.
    pub async fn storage(&self) -> Result<StorageStatus, CommandError> {
        self.engine.storage().await.map_err(|error| CommandError::new(ErrorKind::Io, with_causes(&error)))
    }

    async fn queue(&self, parameters: QueueDaq) -> Result<Value, CommandError> {
        let text = match parameters.specification {
            Value::String(text) => text,
            // An object arrives without its own text: its canonical form is kept.
            object => object.to_string(),
        };
        let root = parameters.root.map(PathBuf::from);
        if root.as_ref().is_some_and(|root| !root.is_absolute()) {
            let message = "QueueDaq at 'root': give an absolute path";
            return Err(CommandError::new(ErrorKind::InvalidParameters, message));
        }
        let user = parameters.user;
        let request = if text.len() <= SMALL_SPECIFICATION_BYTES {
            self.queue_request(text, root, user)?
        } else {
            // It takes up to seconds to validate: not on a thread that serves others.
            let commander = self.clone();
            let validated = tokio::task::spawn_blocking(move || commander.queue_request(text, root, user)).await;
            validated.map_err(|panic| CommandError::new(ErrorKind::Internal, panic.to_string()))??
        };
        let id = request.specification.id.to_string();
        self.engine.queue(request).await?;
        daq_reply(id)
    }

    /// Validates a specification and checks that this build can do all of it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSpecification`] with every fault.
    pub fn queue_request(
        &self,
        text: String,
        root: Option<PathBuf>,
        user: Option<String>,
    ) -> Result<QueueRequest, CommandError> {
        let specification = validate::parse(&text)?;
        let mut faults = unserved(&specification, &self.local_hosts);
        if root.is_none() {
            faults.extend(rootless(&specification, &self.local_hosts));
        }
        if !faults.is_empty() {
            return Err(SpecificationError { faults }.into());
        }
        let digest = specification_digest(&text);
        Ok(QueueRequest { text: text.into(), specification: Arc::new(specification), digest, root, user })
    }

    /// Waits until the DAQ has reached the state, has ended, or the time is up.
    async fn await_state(&self, parameters: AwaitDaqState) -> Result<AwaitDaqReply, CommandError> {
        let seconds = parameters.timeout_seconds;
        if !(0.0..=AWAIT_SECONDS_MAX).contains(&seconds) {
            let message = format!("AwaitDaqState at 'timeoutSeconds': give 0 to {AWAIT_SECONDS_MAX} seconds");
            return Err(CommandError::new(ErrorKind::InvalidParameters, message));
        }
        // Listen first, look second: no change falls between.
        let mut changes = self.engine.subscribe();
        let mut status = self.present_status(&parameters.id).await?;
        let deadline = tokio::time::Instant::now() + Duration::from_secs_f64(seconds);
        while !has_reached(&status, &parameters) {
            match tokio::time::timeout_at(deadline, changes.recv()).await {
                Err(_) => return Ok(AwaitDaqReply { timeout: true, status }),
                Ok(Ok(change)) if change.id == parameters.id => status = change,
                Ok(Ok(_)) => {}
                Ok(Err(RecvError::Lagged(_))) => {
                    // What is still in the queue is older than the status.
                    changes = changes.resubscribe();
                    status = self.present_status(&parameters.id).await?;
                }
                Ok(Err(RecvError::Closed)) => {
                    return Err(CommandError::new(ErrorKind::Busy, "dpm is stopping"));
                }
            }
        }
        Ok(AwaitDaqReply { timeout: false, status })
    }

    /// Status of a DAQ, also of one that has ended.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnknownDaq`] for an id that was never queued, or whose history was cleared.
    pub async fn present_status(&self, id: &str) -> Result<DaqStatus, CommandError> {
        match self.engine.status(id) {
            Ok(status) => Ok(status),
            Err(unknown) => match self.engine.find_ended(id).await? {
                Some(stored) => Ok(ended_status(stored)),
                None => Err(unknown.into()),
            },
        }
    }

    async fn history(&self, parameters: GetHistory) -> Result<Value, CommandError> {
        let query = HistoryQuery {
            limit: parameters.limit.unwrap_or(HISTORY_PAGE),
            before: parameters.before,
            ..HistoryQuery::default()
        };
        json(&self.engine.history(query).await?)
    }

    async fn server_status(&self) -> Result<ServerStatus, CommandError> {
        let counts = self.engine.counts().await?;
        let Limits { daqs, transfers, merges, releases } = self.engine.limits();
        Ok(ServerStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            workspace: self.workspace.clone(),
            active: counts.active,
            finished: counts.finished,
            methods: METHODS.map(str::to_owned).into(),
            limits: ServerLimits { daqs, transfers, merges, releases },
            landlock: confine::support().to_owned(),
        })
    }
}

/// Digest by which two specifications are told apart: of the JSON value, so that white space and the order of members
/// do not matter.
fn specification_digest(text: &str) -> String {
    let canonical = serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |value| value.to_string());
    blake3::hash(canonical.as_bytes()).to_hex().to_string()
}

/// Parts of a valid specification that this build cannot do, told before anything is accepted.
fn unserved(specification: &Specification, local_hosts: &[String]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for file in specification.file_sources() {
        if file.source.location.local_path(local_hosts).is_some() {
            continue;
        }
        let pointer = location_pointer(&file);
        let message = format!("{} is not on this host, and this build collects local files only", file.source.location);
        let hint = Some("give a path that is mounted here".to_owned());
        faults.push(Fault { pointer, line: None, message, hint });
    }
    for (index, receiver) in specification.receivers.iter().enumerate() {
        if let Err(error) = release::check(receiver, local_hosts) {
            let (pointer, message) = (format!("/receivers/{index}"), with_causes(&error));
            faults.push(Fault { pointer, line: None, message, hint: None });
        }
    }
    faults
}

/// Relative locations of a specification that came without a folder to resolve them against.
fn rootless(specification: &Specification, local_hosts: &[String]) -> Vec<Fault> {
    let is_relative =
        |file: &FileInput<'_>| file.source.location.local_path(local_hosts).is_some_and(|path| !path.starts_with('/'));
    specification
        .file_sources()
        .filter(is_relative)
        .map(|file| Fault {
            pointer: location_pointer(&file),
            line: None,
            message: format!("{} is relative, and nothing says to what", file.source.location),
            hint: Some("give an absolute path, or the parameter `root` with an absolute folder".to_owned()),
        })
        .collect()
}

fn location_pointer(file: &FileInput<'_>) -> String {
    match file.role {
        FileRole::Target => "/target/source/location".to_owned(),
        FileRole::Source { index } => format!("/sources/{index}/location"),
    }
}

/// True if nobody needs to wait any longer.
pub(crate) fn has_reached(status: &DaqStatus, wanted: &AwaitDaqState) -> bool {
    let state = wanted.state.is_none_or(|state| state == status.state);
    let sub_state = wanted.sub_state.is_none_or(|sub_state| match sub_state {
        // A DAQ that is aborting is past its steps, but has not completed.
        SubState::Completed => status.sub_state == SubState::Completed,
        other => status.sub_state >= other,
    });
    // A DAQ that has ended will not change any more.
    status.sub_state.is_final() || (state && sub_state)
}

fn ended_status(stored: StoredDaq) -> DaqStatus {
    let sub_state = stored.status.sub_state;
    DaqStatus {
        id: stored.new.id,
        file_id: stored.new.file_id,
        state: sub_state.state(),
        sub_state,
        error: false,
        result: stored.status.result,
        message: stored.status.message,
        timestamp: stored.status.timestamp,
        alerts: stored.status.alerts,
        progress: Progress::default(),
    }
}

fn daq_reply(id: String) -> Result<Value, CommandError> {
    json(&DaqReply { id, error: false })
}

fn json<T: Serialize>(value: &T) -> Result<Value, CommandError> {
    serde_json::to_value(value).map_err(|error| CommandError::new(ErrorKind::Internal, error.to_string()))
}
