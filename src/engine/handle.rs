//! How the rest of dpm reaches the engine: one typed method for each thing that can be asked.
//!
//! Changes go to the one task that makes them. Whoever only looks reads the state where it is, under a lock that is
//! held for one input or one look, and so waits neither for the task nor for its turn.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::clock;
use crate::engine::action::{Answer, EngineError, Input, QueueRequest};
use crate::engine::daq::InternalDaqStatus;
use crate::engine::dispatcher::Dispatcher;
use crate::engine::executor::{Context, Executor};
use crate::engine::recovery::{self, RecoveryError};
use crate::engine::schedule::Limits;
use crate::engine::settings::EngineSettings;
use crate::status::DaqStatus;
use crate::store::{Counts, HistoryEntry, HistoryQuery, Store, StoreErrorKind, StoredDaq};
use crate::workspace::storage::{self, StorageStatus};
use crate::workspace::{Workspace, WorkspaceError};

/// Inputs that may wait for the dispatcher; past that, senders wait.
const INPUTS_MAX: usize = 4096;
/// Status changes that a slow listener may miss before it is told that it missed some.
const EVENTS_MAX: usize = 4096;
/// How often pauses are looked at.
const TICK: Duration = Duration::from_millis(200);
/// How long running steps may take to stop before the engine ends without them.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// A running engine. Clones reach the same one.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    dispatcher: Arc<RwLock<Dispatcher>>,
    inputs: mpsc::Sender<Input>,
    events: broadcast::Sender<DaqStatus>,
    limits: watch::Sender<Limits>,
    store: Store,
    workspace: Workspace,
}

/// Recovers the state and starts the engine; the task ends after [`EngineHandle::stop`], or when the last handle is
/// dropped.
///
/// # Errors
///
/// [`RecoveryError`] where database or workspace cannot be read.
pub async fn start(
    settings: EngineSettings,
    store: Store,
    workspace: Workspace,
) -> Result<(EngineHandle, JoinHandle<()>), RecoveryError> {
    let daqs = recovery::recover(&store, &workspace).await?;
    let (inputs, received) = mpsc::channel(INPUTS_MAX);
    let (events, _) = broadcast::channel(EVENTS_MAX);
    // Steps report on a channel of their own: clients cannot crowd them out, and the one of the handles closes
    // with the last handle.
    let (reports, reported) = mpsc::channel(INPUTS_MAX);
    let (limits, _) = watch::channel(settings.limits);
    let dispatcher = Arc::new(RwLock::new(Dispatcher::new(settings.clone(), daqs)));
    let context = Context { store: store.clone(), workspace: workspace.clone(), settings, inputs: reports };
    let executor = Executor::new(context, events.clone());
    let task = tokio::spawn(run(Arc::clone(&dispatcher), executor, received, reported));
    Ok((EngineHandle { dispatcher, inputs, events, limits, store, workspace }, task))
}

async fn run(
    dispatcher: Arc<RwLock<Dispatcher>>,
    mut executor: Executor,
    mut inputs: mpsc::Receiver<Input>,
    mut reports: mpsc::Receiver<Input>,
) {
    let mut tick = tokio::time::interval(TICK);
    let mut stop_deadline = None;
    // Poisoned only by a panic of this very task, which ends it.
    let change = || dispatcher.write().unwrap_or_else(PoisonError::into_inner);
    executor.perform(change().resume(clock::now()));
    loop {
        let input = tokio::select! {
            // Nobody can reach an engine without handles: that stops it too.
            input = inputs.recv(), if stop_deadline.is_none() || !inputs.is_closed() => input.unwrap_or(Input::Stop),
            Some(report) = reports.recv() => report,
            _ = tick.tick() => Input::Tick,
        };
        if matches!(input, Input::Stop) && stop_deadline.is_none() {
            stop_deadline = Some(tokio::time::Instant::now() + STOP_LIMIT);
        }
        let now = clock::now();
        let (actions, is_stopped) = {
            let mut dispatcher = change();
            (dispatcher.handle(input, now), dispatcher.is_stopped())
        };
        executor.perform(actions);
        let is_late = stop_deadline.is_some_and(|deadline| tokio::time::Instant::now() >= deadline);
        if is_stopped || is_late {
            return;
        }
    }
}

/// A DAQ that the engine was given, and that it has not answered for.
struct Queued {
    id: String,
    digest: String,
    answered: oneshot::Receiver<Result<(), EngineError>>,
}

impl EngineHandle {
    async fn ask<T>(&self, input: impl FnOnce(Answer<T>) -> Input) -> Result<T, EngineError> {
        let (answer, answered) = oneshot::channel();
        self.inputs.send(input(answer)).await.map_err(|_| EngineError::Stopping)?;
        answered.await.map_err(|_| EngineError::Stopping)?
    }

    /// Queues a DAQ; on return it survives a power cut. The same request again, finished or not, is accepted and
    /// runs nothing twice.
    ///
    /// # Errors
    ///
    /// [`EngineError::DuplicateDaq`] for a known id with another specification, [`EngineError::Busy`] for a full
    /// queue, [`EngineError::Store`] where it cannot be kept.
    pub async fn queue(&self, request: QueueRequest) -> Result<(), EngineError> {
        match self.answer_ended(request.specification.id.as_str(), &request.digest).await? {
            Some(outcome) => outcome,
            None => self.settle(self.hand_in(request).await?).await,
        }
    }

    /// Queues DAQs in their order, as [`EngineHandle::queue`] does, with as few commits as possible; one that is refused
    /// holds back no other. One outcome for each.
    pub async fn queue_many(&self, requests: Vec<QueueRequest>) -> Vec<Result<(), EngineError>> {
        // Looks first, then all at once: what is handed in together is committed together.
        let mut known = Vec::with_capacity(requests.len());
        for request in &requests {
            known.push(self.answer_ended(request.specification.id.as_str(), &request.digest).await);
        }
        let mut handed_in = Vec::with_capacity(requests.len());
        for (request, known) in requests.into_iter().zip(known) {
            handed_in.push(match known {
                Ok(None) => Ok(self.hand_in(request).await),
                Ok(Some(outcome)) => Err(outcome),
                Err(error) => Err(Err(error)),
            });
        }
        let mut outcomes = Vec::with_capacity(handed_in.len());
        for queued in handed_in {
            outcomes.push(match queued {
                Ok(Ok(queued)) => self.settle(queued).await,
                Ok(Err(error)) => Err(error),
                Err(outcome) => outcome,
            });
        }
        outcomes
    }

    /// Gives a DAQ to the engine that is not in the history, or was not a moment ago.
    async fn hand_in(&self, request: QueueRequest) -> Result<Queued, EngineError> {
        let (id, digest) = (request.specification.id.to_string(), request.digest.clone());
        let (answer, answered) = oneshot::channel();
        self.inputs.send(Input::Queue { request, answer }).await.map_err(|_| EngineError::Stopping)?;
        Ok(Queued { id, digest, answered })
    }

    async fn settle(&self, queued: Queued) -> Result<(), EngineError> {
        let Queued { id, digest, answered } = queued;
        match answered.await.map_err(|_| EngineError::Stopping)? {
            // It has ended since.
            Err(EngineError::Store(error)) if matches!(error.kind, StoreErrorKind::DuplicateDaq { .. }) => {
                self.answer_ended(&id, &digest).await?.unwrap_or(Err(EngineError::DuplicateDaq { id }))
            }
            outcome => outcome,
        }
    }

    /// What queueing an ended DAQ again gives; `None` where none has ended.
    async fn answer_ended(&self, id: &str, digest: &str) -> Result<Option<Result<(), EngineError>>, EngineError> {
        let ended = self.store.finished_digest(id).await.map_err(store_error)?;
        Ok(ended.map(|known| match known == digest {
            true => Ok(()),
            false => Err(EngineError::DuplicateDaq { id: id.to_owned() }),
        }))
    }

    /// Aborts a DAQ; on return it is stopped and everything of it is removed.
    ///
    /// # Errors
    ///
    /// [`EngineError::UnknownDaq`], or [`EngineError::AbortFailed`] where files cannot be removed.
    pub async fn abort(&self, id: String) -> Result<(), EngineError> {
        self.ask(|answer| Input::Abort { id, answer }).await
    }

    /// Lets a parked DAQ try again from its last good step; on return that survives a power cut.
    ///
    /// # Errors
    ///
    /// [`EngineError::UnknownDaq`], [`EngineError::WrongState`], or [`EngineError::Store`] where it cannot be kept.
    pub async fn retry(&self, id: String) -> Result<(), EngineError> {
        self.ask(|answer| Input::Retry { id, answer }).await
    }

    /// Status of an unfinished DAQ.
    ///
    /// # Errors
    ///
    /// [`EngineError::UnknownDaq`], also for one that has ended (as the ELT answers).
    pub fn status(&self, id: &str) -> Result<DaqStatus, EngineError> {
        self.look()?.status(id)
    }

    fn look(&self) -> Result<RwLockReadGuard<'_, Dispatcher>, EngineError> {
        // The engine's task has panicked: what it was changing may be half done.
        self.dispatcher.read().map_err(|_| EngineError::Stopping)
    }

    /// Everything known of an unfinished DAQ.
    ///
    /// # Errors
    ///
    /// [`EngineError::UnknownDaq`].
    pub fn internal(&self, id: &str) -> Result<InternalDaqStatus, EngineError> {
        self.look()?.internal(id)
    }

    /// All unfinished DAQs in order of the queue.
    ///
    /// # Errors
    ///
    /// [`EngineError::Stopping`].
    pub fn active(&self) -> Result<Vec<DaqStatus>, EngineError> {
        Ok(self.look()?.active())
    }

    /// An ended DAQ from the history.
    ///
    /// # Errors
    ///
    /// [`EngineError::Store`].
    pub async fn find_ended(&self, id: &str) -> Result<Option<StoredDaq>, EngineError> {
        let found = self.store.find(id).await.map_err(store_error)?;
        Ok(found.filter(|stored| stored.status.sub_state.is_final()))
    }

    /// Ended DAQs, newest first.
    ///
    /// # Errors
    ///
    /// [`EngineError::Store`].
    pub async fn history(&self, query: HistoryQuery) -> Result<Vec<HistoryEntry>, EngineError> {
        self.store.history(query).await.map_err(store_error)
    }

    /// How many DAQs are unfinished and ended.
    ///
    /// # Errors
    ///
    /// [`EngineError::Store`].
    pub async fn counts(&self) -> Result<Counts, EngineError> {
        self.store.counts().await.map_err(store_error)
    }

    /// Space of the workspace's file system and what each DAQ uses.
    ///
    /// # Errors
    ///
    /// [`WorkspaceError`] where the file system cannot be asked.
    pub async fn storage(&self) -> Result<StorageStatus, WorkspaceError> {
        let workspace = self.workspace.clone();
        let task = tokio::task::spawn_blocking(move || {
            let daqs = workspace.daq_ids()?.into_iter().map(|id| Ok((id.clone(), workspace.daq_folder(&id)?)));
            let daqs: Result<Vec<_>, WorkspaceError> = daqs.collect();
            let daqs: Vec<_> = daqs?.into_iter().map(|(id, folder)| (id, folder.path().to_owned())).collect();
            storage::status(&workspace, &daqs, 0)
        });
        match task.await {
            Ok(status) => status,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Every change of status from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<DaqStatus> {
        self.events.subscribe()
    }

    /// Changes how many may run at once, from now on.
    pub async fn set_limits(&self, limits: Limits) {
        self.limits.send_replace(limits);
        // A stopped engine needs no limits.
        let _ = self.inputs.send(Input::SetLimits(limits)).await;
    }

    /// How many may run at once.
    pub fn limits(&self) -> Limits {
        *self.limits.borrow()
    }

    /// Stops the engine: no new step starts, running ones are interrupted and taken up at the next start.
    pub async fn stop(&self) {
        // It may have stopped already.
        let _ = self.inputs.send(Input::Stop).await;
    }
}

fn store_error(error: crate::store::StoreError) -> EngineError {
    EngineError::Store(std::sync::Arc::new(error))
}

#[cfg(test)]
mod tests;
