//! Performs the dispatcher's actions and reports back as inputs. Decides nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

use crate::control::Control;
use crate::engine::action::{Action, Input, RemovalRequest, StepFailure, StepOutcome, StepRequest};
use crate::engine::saves::Saves;
use crate::engine::settings::EngineSettings;
use crate::engine::state::Step;
use crate::engine::{steps, worker};
use crate::specification::model::DaqId;
use crate::status::{DaqStatus, Progress};
use crate::store::{Change, Store};
use crate::workspace::Workspace;

/// Progress is told at most this often.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);
/// Pause before a change that found the disk full is tried again.
const FULL_DISK_PAUSE: Duration = Duration::from_secs(1);

/// Performs actions in tasks of its own; nothing here blocks the caller.
pub(crate) struct Executor {
    context: Context,
    running: HashMap<DaqId, CancellationToken>,
    saves: Saves,
    events: broadcast::Sender<DaqStatus>,
}

/// What every task needs.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) store: Store,
    pub(crate) workspace: Workspace,
    pub(crate) settings: EngineSettings,
    pub(crate) inputs: mpsc::Sender<Input>,
}

impl Executor {
    pub(crate) fn new(context: Context, events: broadcast::Sender<DaqStatus>) -> Executor {
        Executor { context, running: HashMap::new(), saves: Saves::new(FULL_DISK_PAUSE), events }
    }

    pub(crate) fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Insert(new) => self.insert(*new),
                Action::Save { id, changes } => self.save(id, changes),
                Action::Start(request) => self.start(*request),
                Action::Cancel { id } => self.cancel(&id),
                Action::Remove(request) => self.remove(*request),
                Action::CleanUp { id } => self.clean_up(id),
                Action::Publish(status) => {
                    // Nobody may be listening.
                    let _ = self.events.send(*status);
                }
            }
        }
    }

    fn insert(&self, new: crate::store::NewDaq) {
        let Ok(id) = new.id.parse::<DaqId>() else { return };
        // Submitted here, in the order of the actions, so that the database numbers DAQs as the queue does.
        let submitted = self.context.store.submit(vec![Change::InsertDaq(new)]);
        let inputs = self.context.inputs.clone();
        tokio::spawn(async move {
            let outcome = submitted.await;
            report(&inputs, Input::Inserted { id, outcome }).await;
        });
    }

    fn save(&mut self, id: DaqId, changes: Vec<Change>) {
        let (store, inputs, saved) = (self.context.store.clone(), self.context.inputs.clone(), id.clone());
        let submit = move || store.submit(changes.clone());
        let report = move |outcome| async move { report(&inputs, Input::Saved { id: saved, outcome }).await };
        self.saves.save(id, submit, report);
    }

    fn start(&mut self, request: StepRequest) {
        let cancel = CancellationToken::new();
        self.running.insert(request.id.clone(), cancel.clone());
        let context = self.context.clone();
        tokio::spawn(async move {
            let id = request.id.clone();
            let outcome = run_step(&context, request, cancel).await;
            report(&context.inputs, Input::StepEnded { id, outcome }).await;
        });
    }

    fn cancel(&mut self, id: &DaqId) {
        if let Some(cancel) = self.running.remove(id) {
            cancel.cancel();
        }
    }

    fn remove(&mut self, request: RemovalRequest) {
        self.running.remove(&request.id);
        let context = self.context.clone();
        tokio::spawn(async move {
            let (id, task_context) = (request.id.clone(), context.clone());
            let removal = move || steps::remove(&task_context, &request);
            let outcome = match tokio::task::spawn_blocking(removal).await {
                Ok(outcome) => outcome,
                Err(panic) => Err(panic.to_string()),
            };
            report(&context.inputs, Input::Removed { id, outcome }).await;
        });
    }

    fn clean_up(&mut self, id: DaqId) {
        self.running.remove(&id);
        let workspace = self.context.workspace.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(message) = steps::remove_folder(&workspace, &id) {
                // The DAQ has ended well; the next start removes what is left.
                tracing::warn!(id = %id, message, "the folder of an ended DAQ stays for now");
            }
        });
    }
}

async fn report(inputs: &mpsc::Sender<Input>, input: Input) {
    // The engine has stopped: its next start takes up from the database.
    let _ = inputs.send(input).await;
}

async fn run_step(
    context: &Context,
    request: StepRequest,
    cancel: CancellationToken,
) -> Result<StepOutcome, StepFailure> {
    let control = StepControl::new(context, &request, cancel);
    if request.step == Step::Merge {
        return worker::run(context, &request, &control).await;
    }
    let context = context.clone();
    let work = move || match request.step {
        Step::Collect => steps::collect(&context, &request, &control),
        Step::Merge | Step::Release => steps::release(&context, &request, &control),
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(panic) => Err(StepFailure::Failed {
            alert: "FailedOperation:internal".to_owned(),
            description: format!("a step ended unexpectedly: {panic}; please report this"),
            transient: false,
        }),
    }
}

/// Watches one step: forwards its progress, not too often, and carries the wish to stop.
pub(crate) struct StepControl {
    id: DaqId,
    step: Step,
    inputs: mpsc::Sender<Input>,
    cancel: CancellationToken,
    started: Instant,
    /// Milliseconds after `started` when progress was last told.
    told_ms: AtomicU64,
}

impl StepControl {
    pub(crate) fn new(context: &Context, request: &StepRequest, cancel: CancellationToken) -> StepControl {
        StepControl {
            id: request.id.clone(),
            step: request.step,
            inputs: context.inputs.clone(),
            cancel,
            started: Instant::now(),
            told_ms: AtomicU64::new(0),
        }
    }

    pub(crate) async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }
}

impl Control for StepControl {
    fn progress(&self, bytes_done: u64, bytes_total: u64) {
        let elapsed_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let told = self.told_ms.load(Ordering::Relaxed);
        let is_due = elapsed_ms.saturating_sub(told) >= PROGRESS_INTERVAL.as_millis() as u64;
        if !is_due && bytes_done != bytes_total {
            return;
        }
        self.told_ms.store(elapsed_ms, Ordering::Relaxed);
        let per_second = u128::from(bytes_done) * 1000 / u128::from(elapsed_ms.max(1));
        let progress = Progress {
            bytes_done,
            bytes_total,
            bytes_per_second: u64::try_from(per_second).unwrap_or(u64::MAX),
            step: self.step.verb().to_owned(),
        };
        // Progress that finds the queue full is stale by the time there is room.
        let _ = self.inputs.try_send(Input::Progressed { id: self.id.clone(), progress });
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}
