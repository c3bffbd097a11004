//! What the engine is told at its start (and, for limits, while it runs).

use std::path::PathBuf;
use std::time::Duration;

use crate::dictionary::DictionarySettings;
use crate::engine::schedule::Limits;
use crate::merge::options::MergeOptions;
use crate::specification::model::Receiver;
use crate::transfer::plan::CollectMode;

/// Settings of an engine.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// How many may run at once.
    pub limits: Limits,
    /// How local sources are collected.
    pub collect: CollectMode,
    /// Receivers of a specification that names none; empty leaves its product in `products/`.
    pub default_receivers: Vec<Receiver>,
    /// Names under which `host:/path` means this machine.
    pub local_hosts: Vec<String>,
    /// The program that is run as `PROGRAM merge ...`.
    pub worker_program: PathBuf,
    /// Niceness added to worker processes, 0..=19.
    pub worker_niceness: i32,
    /// How workers merge.
    pub merge: MergeOptions,
    /// Where dictionaries are, and how much they count.
    pub dictionaries: DictionarySettings,
    /// How failures that may pass are tried again.
    pub retry: RetryPolicy,
    /// How many DAQs may be unfinished at once; more are refused with `Busy`.
    pub queue_length: usize,
}

/// Growing pauses between tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all before a DAQ is parked.
    pub attempts: u32,
    /// Pause after the first failure; doubled after each further one.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
}

impl RetryPolicy {
    /// Pause after the failure of try number `attempt` (0-based); `None` after the last one.
    pub fn pause_after(&self, attempt: u32) -> Option<Duration> {
        if attempt.saturating_add(1) >= self.attempts {
            return None;
        }
        let doubled = self.first_pause.checked_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX));
        Some(doubled.unwrap_or(self.longest_pause).min(self.longest_pause))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::engine::settings::RetryPolicy;

    #[test]
    fn pauses_double_up_to_the_longest_and_end() {
        let policy =
            RetryPolicy { attempts: 5, first_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(3) };
        let pauses: Vec<Option<u64>> =
            (0..6).map(|attempt| policy.pause_after(attempt).map(|pause| pause.as_secs())).collect();
        assert_eq!(pauses, [Some(1), Some(2), Some(3), Some(3), None, None]);
    }

    #[test]
    fn one_attempt_never_pauses() {
        let policy = RetryPolicy { attempts: 1, first_pause: Duration::ZERO, longest_pause: Duration::ZERO };
        assert_eq!(policy.pause_after(0), None);
    }
}
