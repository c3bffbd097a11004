//! How long work is watched and stopped: a callback for progress and a flag for the end.

/// Watches a long operation. Called often, so implementations are cheap.
pub trait Control: Sync {
    /// `bytes_done` of `bytes_total` are done.
    fn progress(&self, bytes_done: u64, bytes_total: u64);

    /// True if the operation should stop as soon as it can, leaving nothing behind.
    fn is_cancelled(&self) -> bool;
}

/// Watches nothing and never cancels.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Control for Unwatched {
    fn progress(&self, _bytes_done: u64, _bytes_total: u64) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}
