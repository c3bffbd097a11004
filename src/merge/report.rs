//! What a merge tells: notices for alerts, messages of the worker process, the final report.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::status::Severity;

/// A condition that the merge noticed and that becomes an alert of the DAQ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Stable for one condition, such as `UnmergedData:guider`.
    pub id: String,
    /// How much it matters.
    pub severity: Severity,
    /// What was seen, where, and what to do.
    pub description: String,
}

/// More notices of one part of a merge than these tell nobody anything new, and each is kept in the state of a DAQ.
const NOTICES_MAX: usize = 200;

/// Collects the notices of one part of a merge, up to a limit.
#[derive(Debug)]
pub(crate) struct Notices {
    /// The part, for the id of the notice that says how many there were more.
    part: &'static str,
    listed: Vec<Notice>,
    left_out: usize,
}

impl Notices {
    pub(crate) fn new(part: &'static str) -> Notices {
        Notices { part, listed: Vec::new(), left_out: 0 }
    }

    pub(crate) fn push(&mut self, notice: Notice) {
        if self.listed.len() < NOTICES_MAX {
            self.listed.push(notice);
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.listed.iter().any(|notice| notice.id == id)
    }

    /// The notices, and one more where some were left out.
    pub(crate) fn finish(mut self) -> Vec<Notice> {
        if self.left_out > 0 {
            let description = format!("{} more conditions of this kind were noticed: mend the first", self.left_out);
            let id = format!("FurtherNotices:{}", self.part);
            self.listed.push(Notice { id, severity: Severity::Warning, description });
        }
        self.listed
    }
}

/// What a finished merge leaves behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MergeReport {
    /// Where the product is.
    pub product: PathBuf,
    /// Size of the product in bytes.
    pub bytes: u64,
    /// BLAKE3 of the whole product, lower-case hex, as `b3sum` prints it; of a product that was grown from its
    /// target, `headers:` and the BLAKE3 of its headers (see [`crate::merge::proof`]); none if nobody asked for it.
    pub digest: Option<String>,
    /// What is known of each source file, if somebody asked for it: an in-place target first, then as in the
    /// specification.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceReport>,
    /// Number of HDUs, the primary included.
    pub hdus: usize,
    /// Number of cards of the primary header that came from sources.
    pub keywords: usize,
}

/// A source file of a finished merge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceReport {
    /// Its name in the specification.
    pub source: String,
    /// BLAKE3 of the file as it lies, lower-case hex.
    pub digest: String,
}

/// One line of `dpm merge --json`: how a worker process speaks to the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Message {
    /// How far the copy is.
    Progress {
        /// Product bytes written.
        bytes_done: u64,
        /// Product bytes in all.
        bytes_total: u64,
    },
    /// A condition that becomes an alert.
    Alert(Notice),
    /// The product is whole, synced and under its name.
    Result(MergeReport),
    /// The merge ended without a product.
    Error {
        /// What went wrong, with its causes.
        message: String,
        /// What kind of failure it is.
        fault: WorkerFault,
    },
}

/// Kinds of failure that the daemon treats differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WorkerFault {
    /// A source is not what was collected: it must be collected again.
    SourceChanged,
    /// The file system is full: wait for space.
    NoSpace,
    /// May pass by itself.
    Transient,
    /// A person must act.
    Permanent,
}
