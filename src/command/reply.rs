//! What commands answer.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::status::DaqStatus;

/// Answer of `QueueDaq`, `AbortDaq` and `RetryMergeDaq` (`daqif.DaqReply`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaqReply {
    /// The DAQ.
    pub id: String,
    /// Always false: a refusal is an error reply.
    pub error: bool,
}

/// Answer of `AwaitDaqState` (`daqif.AwaitDaqReply`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitDaqReply {
    /// True if the time was up before the state was reached.
    pub timeout: bool,
    /// The status at the end of waiting.
    pub status: DaqStatus,
}

/// Answer of `GetServerStatus`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// Version of dpm.
    pub version: String,
    /// Process id of the daemon.
    pub process: u32,
    /// The workspace.
    pub workspace: PathBuf,
    /// Unfinished DAQs.
    pub active: u64,
    /// Ended DAQs in the history.
    pub finished: u64,
    /// Methods that are served.
    pub methods: Vec<String>,
    /// How many may run at once; 0 is no limit.
    pub limits: ServerLimits,
    /// What the kernel offers to confine workers.
    pub landlock: String,
}

/// The limits of the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ServerLimits {
    /// DAQs between collecting and releasing.
    pub daqs: usize,
    /// Collecting steps.
    pub transfers: usize,
    /// Worker processes.
    pub merges: usize,
    /// Releasing steps.
    pub releases: usize,
}
