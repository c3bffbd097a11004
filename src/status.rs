//! What the world sees of a DAQ: states, alerts, progress (`daqif.DaqStatus` of the ELT).
//!
//! Plain values; nothing here decides or performs anything.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Top-level state of a DAQ inside dpm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DaqState {
    /// The product is being made or released; also every parked or aborting DAQ.
    StateMerging,
    /// Final: completed or aborted.
    StateCompleted,
}

/// Step of a DAQ's life, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SubState {
    /// Acknowledged, in the queue.
    Scheduled,
    /// Sources are being brought to (or fingerprinted for) the workspace.
    Collecting,
    /// The worker process writes the product.
    Merging,
    /// The product is being delivered to its receivers.
    Releasing,
    /// Final: released.
    Completed,
    /// A client asked to abort; steps are being stopped and files removed.
    Aborting,
    /// Final: aborted by a client.
    Aborted,
}

impl SubState {
    /// Every sub-state, in order of life.
    pub const ALL: [SubState; 7] = [
        SubState::Scheduled,
        SubState::Collecting,
        SubState::Merging,
        SubState::Releasing,
        SubState::Completed,
        SubState::Aborting,
        SubState::Aborted,
    ];

    /// Name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            SubState::Scheduled => "Scheduled",
            SubState::Collecting => "Collecting",
            SubState::Merging => "Merging",
            SubState::Releasing => "Releasing",
            SubState::Completed => "Completed",
            SubState::Aborting => "Aborting",
            SubState::Aborted => "Aborted",
        }
    }

    /// Reads a name written by [`SubState::as_str`].
    pub fn from_name(name: &str) -> Option<SubState> {
        SubState::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// `Completed` and `Aborted` never change again.
    pub fn is_final(self) -> bool {
        matches!(self, SubState::Completed | SubState::Aborted)
    }

    /// The top-level state that this sub-state belongs to.
    pub fn state(self) -> DaqState {
        if self.is_final() { DaqState::StateCompleted } else { DaqState::StateMerging }
    }
}

impl std::fmt::Display for SubState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// How much an alert matters (`daqif.AlertSeverity`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Severity {
    /// A person must act before the DAQ goes on.
    Error,
    /// Suspicious; the DAQ goes on.
    Warning,
    /// For tuning and trouble-shooting.
    Info,
}

/// One active condition of a DAQ (`daqif.DaqAlert`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Unique in the DAQ and stable for one condition, such as `UnmergedData:guider`.
    pub id: String,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, where, and what to do.
    pub description: String,
    /// When it was raised or last changed.
    pub timestamp: Timestamp,
}

/// How far the present step is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Bytes done of the step.
    pub bytes_done: u64,
    /// Bytes of the whole step; 0 while unknown.
    pub bytes_total: u64,
    /// Rate over the last moments.
    pub bytes_per_second: u64,
    /// What is being done, such as `merging`; empty when nothing runs.
    pub step: String,
}

/// Status of one DAQ (`daqif.DaqStatus`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DaqStatus {
    /// Identifier of the DAQ.
    pub id: String,
    /// Archive file id of its product.
    pub file_id: String,
    /// Top-level state.
    pub state: DaqState,
    /// Step of its life.
    pub sub_state: SubState,
    /// True if an alert of severity Error is active: the DAQ is parked in its sub-state.
    pub error: bool,
    /// Path of the product once it is merged; empty before.
    pub result: String,
    /// Last noteworthy message, for people.
    pub message: String,
    /// Time of the last change.
    pub timestamp: Timestamp,
    /// Active alerts.
    pub alerts: Vec<Alert>,
    /// Progress of the present step.
    pub progress: Progress,
}

/// An error with its causes in one line; a cause that the line ends with already is not repeated.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let part = source.to_string();
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = source.source();
    }
    text
}
