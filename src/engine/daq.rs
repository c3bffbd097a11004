//! One DAQ in memory: its stage and everything that is told about it.
//!
//! Decides no transition ([`crate::engine::state`]) and performs nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use crate::engine::action::{Answer, QueueRequest};
use crate::engine::state::{Stage, Step};
use crate::merge::report::Notice;
use crate::specification::model::{DaqId, Specification};
use crate::status::{Alert, DaqStatus, Progress, Severity, SubState};
use crate::store::{Change, ProductRow, ReceiverRow, StatusRow, StepRow};
use crate::transfer::Collected;

/// A DAQ that has not ended.
#[derive(Debug)]
pub struct Daq {
    /// Its id.
    pub id: DaqId,
    /// Archive file id of its product.
    pub file_id: String,
    /// The specification, verbatim.
    pub text: Arc<str>,
    /// The specification, valid.
    pub specification: Arc<Specification>,
    /// Digest of the specification in canonical form.
    pub digest: String,
    /// Higher runs first.
    pub priority: i64,
    /// Equal priorities run in this order.
    pub order: i64,
    /// Who queued it.
    pub user: Option<String>,
    /// Folder against which relative locations resolve.
    pub root: Option<PathBuf>,
    /// Where it stands.
    pub stage: Stage,
    /// Active alerts.
    pub alerts: Vec<Alert>,
    /// How far the present step is.
    pub progress: Progress,
    /// Path of the product once it is merged.
    pub result: String,
    /// Last noteworthy message.
    pub message: String,
    /// Time of the last change.
    pub timestamp: Timestamp,
    /// When each sub-state was entered.
    pub timings: BTreeMap<String, Timestamp>,
    /// The step journal: one row for each source file that was tried.
    pub steps: Vec<StepRow>,
    /// One row for each receiver to which delivery was tried.
    pub receivers: Vec<ReceiverRow>,
    /// Where the merge reads each file; not kept over a restart, collecting finds it again.
    pub inputs: Vec<Collected>,
    /// The product's size and digest once it is merged.
    pub product: Option<ProductRow>,
    /// True if the product lay unwatched, so that its bytes must be proved before they are released.
    pub prove_product: bool,
    /// What is being done for it, also while it is aborting. One thing at a time.
    pub activity: Activity,
    /// True if nothing may start for it until dpm is started again: its state cannot be kept, or its specification
    /// cannot be read. Aborting is still possible.
    pub is_held: bool,
    /// How often a step found that an earlier one must be done again, since a person last asked for a retry.
    pub fall_backs: u32,
    /// Rows that go to the disk with the next save.
    pub unsaved: Vec<Change>,
    /// Changes on their way to the disk. Nothing starts while there are any.
    pub saves_pending: u32,
    /// Clients that wait for the first durable moment.
    pub queue_answers: Vec<Answer<()>>,
    /// Clients that wait until their retry is durable.
    pub retry_answers: Vec<Answer<()>>,
    /// Clients that wait for the end of an abort.
    pub abort_answers: Vec<Answer<()>>,
}

/// What is being done for a DAQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Nothing.
    Idle,
    /// A step was started and has not reported its end, although the DAQ may be aborting by now.
    Step(Step),
    /// Its files are being removed.
    Removing,
}

/// Everything known of a DAQ (`daqif.InternalDaqStatus` and more).
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InternalDaqStatus {
    /// The public status.
    #[serde(flatten)]
    pub status: DaqStatus,
    /// Who queued it.
    pub user: Option<String>,
    /// Its priority.
    pub priority: i64,
    /// 0-based place among the scheduled DAQs; `None` once it has begun.
    pub queue_position: Option<usize>,
    /// What the present step is doing: `waiting`, `running`, `pausing`, `parked`; empty outside a step.
    pub run: String,
    /// Failed tries of the present step.
    pub attempts: u32,
    /// The step journal.
    pub steps: Vec<StepRow>,
    /// State of each receiver.
    pub receivers: Vec<ReceiverRow>,
    /// Size and digest of the product.
    pub product: Option<ProductRow>,
    /// When each sub-state was entered.
    pub timings: BTreeMap<String, Timestamp>,
}

impl Daq {
    /// A DAQ that was just accepted.
    pub fn new(request: QueueRequest, order: i64, now: Timestamp) -> Daq {
        let specification = request.specification;
        let mut daq = Daq {
            id: specification.id.clone(),
            file_id: specification.target.file_id.to_string(),
            priority: specification.priority,
            text: request.text,
            specification,
            digest: request.digest,
            order,
            user: request.user,
            root: request.root,
            stage: Stage::NEW,
            alerts: Vec::new(),
            progress: Progress::default(),
            result: String::new(),
            message: "queued".to_owned(),
            timestamp: now,
            timings: BTreeMap::new(),
            steps: Vec::new(),
            receivers: Vec::new(),
            inputs: Vec::new(),
            product: None,
            prove_product: false,
            activity: Activity::Idle,
            is_held: false,
            fall_backs: 0,
            unsaved: Vec::new(),
            saves_pending: 0,
            queue_answers: Vec::new(),
            retry_answers: Vec::new(),
            abort_answers: Vec::new(),
        };
        daq.note_timing(now);
        daq
    }

    /// What the world sees.
    pub fn status(&self) -> DaqStatus {
        let is_durable = self.saves_pending == 0 && !self.is_held;
        let sub_state = match self.stage {
            // An end is told once it is on disk: after a crash before that the DAQ is at work again, and who asks
            // the history in between finds nothing.
            Stage::Completed if !is_durable => SubState::Releasing,
            Stage::Aborted if !is_durable => SubState::Aborting,
            ref stage => stage.sub_state(),
        };
        DaqStatus {
            id: self.id.to_string(),
            file_id: self.file_id.clone(),
            state: sub_state.state(),
            sub_state,
            error: self.alerts.iter().any(|alert| alert.severity == Severity::Error),
            result: self.result.clone(),
            message: self.message.clone(),
            timestamp: self.timestamp,
            alerts: self.alerts.clone(),
            progress: self.progress.clone(),
        }
    }

    /// The status as the database keeps it.
    pub fn save(&self) -> Change {
        let timings = self.timings.iter().map(|(name, time)| (name.clone(), time.to_string().into())).collect();
        Change::SetStatus {
            id: self.id.to_string(),
            row: StatusRow {
                sub_state: self.stage.sub_state(),
                alerts: self.alerts.clone(),
                result: self.result.clone(),
                message: self.message.clone(),
                timestamp: self.timestamp,
                product: self.product.clone(),
                timings: serde_json::Value::Object(timings),
                attempts: 0,
                parked: self.stage.is_parked(),
            },
        }
    }

    /// Notes a change for people: what happened and when.
    pub fn note(&mut self, message: impl Into<String>, now: Timestamp) {
        self.message = message.into();
        self.timestamp = now;
        self.note_timing(now);
    }

    fn note_timing(&mut self, now: Timestamp) {
        self.timings.entry(self.stage.sub_state().as_str().to_owned()).or_insert(now);
    }

    /// The step that was started and has not reported its end.
    pub fn running_step(&self) -> Option<Step> {
        match self.activity {
            Activity::Step(step) => Some(step),
            Activity::Idle | Activity::Removing => None,
        }
    }

    /// Raises an alert, or renews it.
    pub fn raise(&mut self, notice: Notice, now: Timestamp) {
        let Notice { id, severity, description } = notice;
        let alert = Alert { id, severity, description, timestamp: now };
        // What is published and saved with each change stays small, whatever a worker says.
        let is_full = self.alerts.len() >= ALERTS_MAX && severity != Severity::Error;
        match self.alerts.iter_mut().find(|present| present.id == alert.id) {
            Some(present) => *present = alert,
            None if is_full => {}
            None => self.alerts.push(alert),
        }
    }

    /// Withdraws the alerts of the present step's failure: it is being tried again, or has succeeded.
    pub fn withdraw_failures(&mut self) {
        self.alerts.retain(|alert| alert.severity != Severity::Error && !is_passing(&alert.id));
    }

    /// Withdraws what the last merge noticed: it is being done again.
    pub fn withdraw_merge_notices(&mut self) {
        self.alerts.retain(|alert| alert.severity == Severity::Error || is_passing(&alert.id));
    }
}

/// Alerts that live only while a step is being tried again.
fn is_passing(id: &str) -> bool {
    [RETRYING_ALERT, LOW_STORAGE_ALERT, SOURCE_CHANGED_ALERT].contains(&id)
}

/// More alerts of one DAQ than these tell nobody anything new; errors are always told.
pub const ALERTS_MAX: usize = 1000;
/// A step failed and is tried again after a pause.
pub const RETRYING_ALERT: &str = "TransferRetrying";
/// A source changed under a step, and is collected again.
pub const SOURCE_CHANGED_ALERT: &str = "SourceChanged";
/// A step waits for space.
pub const LOW_STORAGE_ALERT: &str = "LowStorage";
