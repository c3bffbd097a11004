//! What goes into the database and what comes out of it: plain values.
//!
//! No SQL and no rules; the engine decides what they mean.

use jiff::Timestamp;
use serde::Serialize;

use crate::status::{Alert, SubState};

/// One change; several make one unit of [`crate::store::Store::commit`].
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Adds a DAQ, with the status of [`StatusRow::scheduled`] at its `created` time.
    InsertDaq(NewDaq),
    /// Replaces the status of a DAQ.
    SetStatus {
        /// The DAQ.
        id: String,
        /// Its new status.
        row: StatusRow,
    },
    /// Adds or replaces one step (by `kind` and `ordinal`) of a DAQ's journal.
    PutStep {
        /// The DAQ.
        id: String,
        /// The step.
        row: StepRow,
    },
    /// Adds or replaces one receiver (by `ordinal`) of a DAQ.
    PutReceiver {
        /// The DAQ.
        id: String,
        /// The receiver.
        row: ReceiverRow,
    },
    /// Sets a value that outlives restarts, such as a paused queue.
    SetSetting {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// Removes a setting; missing is fine.
    RemoveSetting {
        /// Its name.
        name: String,
    },
    /// Changes the priority of a DAQ.
    SetPriority {
        /// The DAQ.
        id: String,
        /// Its new priority.
        priority: i64,
    },
    /// Forgets finished DAQs; unknown ids are fine, active ones are refused.
    DeleteHistory {
        /// The DAQs.
        ids: Vec<String>,
    },
    /// Forgets all finished DAQs but the last queued ones.
    TrimHistory {
        /// How many to keep; 0 clears the history.
        keep: u32,
    },
}

impl Change {
    /// True if a refusal of this change leaves nothing of it behind: its first statement is the only one that can be
    /// refused.
    pub(in crate::store) fn is_undivided(&self) -> bool {
        !matches!(self, Change::DeleteHistory { .. })
    }
}

/// A DAQ as it was queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDaq {
    /// Identifier; unique in queue and history.
    pub id: String,
    /// Archive file id of its product.
    pub file_id: String,
    /// Higher runs earlier.
    pub priority: i64,
    /// Who queued it, if that is known.
    pub user: Option<String>,
    /// The specification, verbatim.
    pub specification: String,
    /// Digest by which two specifications are told apart.
    pub specification_digest: String,
    /// Absolute folder against which relative locations resolve; `None` is the workspace.
    pub root: Option<String>,
    /// Time of queueing.
    pub created: Timestamp,
}

/// The status of a DAQ.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusRow {
    /// Step of its life.
    pub sub_state: SubState,
    /// Active alerts.
    pub alerts: Vec<Alert>,
    /// Path of the product; empty before there is one.
    pub result: String,
    /// Last noteworthy message, for people.
    pub message: String,
    /// Time of the change.
    pub timestamp: Timestamp,
    /// The finished product.
    pub product: Option<ProductRow>,
    /// JSON object: name of each sub-state to the time of its start.
    pub timings: serde_json::Value,
    /// Tries of the present step.
    pub attempts: u32,
    /// True if a person must act.
    pub parked: bool,
}

impl StatusRow {
    /// Status of a DAQ that was just queued.
    pub fn scheduled(timestamp: Timestamp) -> StatusRow {
        StatusRow {
            sub_state: SubState::Scheduled,
            alerts: Vec::new(),
            result: String::new(),
            message: String::new(),
            timestamp,
            product: None,
            timings: serde_json::Value::Object(serde_json::Map::new()),
            attempts: 0,
            parked: false,
        }
    }
}

/// Size and digest of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProductRow {
    /// Size of the file.
    pub bytes: u64,
    /// BLAKE3 of the whole file, lower-case hexadecimal.
    pub digest: String,
}

/// One step of a DAQ's journal, such as the collecting of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StepRow {
    /// 0-based number among the steps of its kind.
    pub ordinal: i64,
    /// Kind of step, such as `collect`.
    pub kind: String,
    /// Where the source lies.
    pub location: String,
    /// `pending`, `done` or `failed`.
    pub state: String,
    /// Where the result lies; empty before there is one.
    pub path: String,
    /// Bytes done.
    pub bytes: i64,
    /// Tries so far.
    pub attempts: i64,
    /// Digest of the result.
    pub digest: Option<String>,
    /// Fingerprint of the file, as JSON.
    pub fingerprint: Option<String>,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// Time of the change.
    pub updated: Timestamp,
}

/// Delivery to one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiverRow {
    /// 0-based number among the DAQ's receivers.
    pub ordinal: i64,
    /// The receiver, for people.
    pub receiver: String,
    /// How the last try ended: `delivered` or `failed`.
    pub state: String,
    /// Where the product was put, by whichever try; empty before.
    pub path: String,
    /// How it was put there; empty before.
    pub method: String,
    /// Tries so far.
    pub attempts: i64,
    /// Why the last try failed.
    pub last_error: Option<String>,
    /// Time of the change.
    pub updated: Timestamp,
}

/// Everything known of one DAQ.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDaq {
    /// Order of queueing; never used twice.
    pub sequence: i64,
    /// As it was queued.
    pub new: NewDaq,
    /// Its status.
    pub status: StatusRow,
    /// Its journal, by kind and ordinal.
    pub steps: Vec<StepRow>,
    /// Its receivers, by ordinal.
    pub receivers: Vec<ReceiverRow>,
}

/// One finished DAQ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Order of queueing; give it as `before` for the next page.
    pub sequence: i64,
    /// Identifier.
    pub id: String,
    /// Archive file id of the product.
    pub file_id: String,
    /// `Completed` or `Aborted`.
    pub sub_state: SubState,
    /// Path of the product; empty if there was none.
    pub result: String,
    /// Size of the product, if there was one.
    pub bytes: Option<u64>,
    /// Digest of the product, if there was one.
    pub digest: Option<String>,
    /// Who queued it, if that is known.
    pub user: Option<String>,
    /// Time of queueing.
    pub queued: Timestamp,
    /// Time of its end.
    pub finished: Timestamp,
    /// Alerts that were active at the end.
    pub alerts: Vec<Alert>,
    /// Last message.
    pub message: String,
}
