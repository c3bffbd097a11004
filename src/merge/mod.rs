//! The merge: one plan, then one pass over the data.
//!
//! [`plan`] and [`keywords`] decide and are pure; [`execute`] performs a plan; [`job`] is one whole merge from a
//! specification to a published file, as `dpm merge` runs it by hand and as the daemon's worker process.

pub mod confine;
pub mod content;
pub mod dictionaries;
pub mod digest;
pub mod execute;
pub mod fingerprint;
pub mod grow;
pub mod gzip;
pub mod input;
pub mod intake;
pub mod job;
pub mod keywords;
pub mod options;
pub mod plan;
pub mod proof;
pub mod reader;
pub mod report;
pub mod sealing;
mod sharing;
pub mod source_digest;
mod stripes;
#[cfg(test)]
pub(crate) mod testing;
pub mod undo;
pub mod verify;
pub mod writer;
