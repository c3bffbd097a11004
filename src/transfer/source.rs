//! The role of a source, and of the one who watches it.
//!
//! A source brings bytes to a path and knows whether they are all there. It gives no final names, keeps no
//! journal and does not retry: [`crate::transfer::collect()`] and the engine do.

pub use crate::control::{Control, Unwatched};

use std::path::Path;

use crate::merge::fingerprint::Fingerprint;
use crate::transfer::error::TransferError;

/// Something that files can be fetched from. Calls block: make them on a thread that may.
///
/// Every implementation passes the suite `transfer::conformance`.
pub trait Source {
    /// Looks at the source, without reading it. May be repeated.
    ///
    /// # Errors
    ///
    /// A typed reason why it cannot be fetched: missing, no regular file, not permitted.
    fn probe(&self) -> Result<Probe, TransferError>;

    /// Writes the whole source to `to`, a temporary name in a folder that exists.
    ///
    /// What is left at `to` from an interrupted try is replaced, or continued where its prefix can be proved. On
    /// return `to` holds all bytes, not yet synced. The source is never modified.
    ///
    /// # Errors
    ///
    /// As [`Source::probe`]; a source that changed meanwhile; a full disk; the cancellation by `control`.
    fn fetch(&self, to: &Path, control: &dyn Control) -> Result<Fetched, TransferError>;
}

/// What is known about a source without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Size in bytes.
    pub bytes: u64,
    /// State of the file, for sources on this machine.
    pub fingerprint: Option<Fingerprint>,
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 of the bytes that were read, lower-case hex; none if they were cloned without being read.
    pub digest: Option<String>,
    /// State of the source while it was read, for sources on this machine.
    pub fingerprint: Option<Fingerprint>,
}

/// Passes cancellation on, but no progress: for reading again what was counted once.
pub(crate) struct Silent<'a>(pub(crate) &'a dyn Control);

impl Control for Silent<'_> {
    fn progress(&self, _bytes_done: u64, _bytes_total: u64) {}

    fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}
