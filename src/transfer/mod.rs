//! Collecting: brings each file of a specification to where the merge reads it.
//!
//! [`plan`] decides, [`collect`](mod@collect) performs: probe, fetch, verify, commit. A [`Source`] is where bytes come
//! from; [`local`] is the one for files on this machine. Sources are never modified, except that a file that was
//! handed over is taken. Nothing here keeps a journal or retries: the engine does.

pub mod collect;
pub(crate) mod copy;
mod error;
mod handover;
pub mod local;
pub(crate) mod partial;
pub mod plan;
pub(crate) mod source;

#[cfg(test)]
pub(crate) mod conformance;

pub use crate::transfer::collect::{CollectRequest, Collected, collect, collect_again, collect_from};
pub use crate::transfer::error::{Origin, Remedy, TransferError, TransferErrorKind};
pub use crate::transfer::handover::give_back;
pub use crate::transfer::plan::{CollectMode, Step};
pub use crate::transfer::source::{Control, Fetched, Probe, Source, Unwatched};
