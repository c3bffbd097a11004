//! The stages of a DAQ and the only function that moves one.
//!
//! Pure: time comes in as an argument, failures as values.

use jiff::Timestamp;

use crate::status::SubState;

/// The steps that do the work, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Bring the sources to the workspace, or fingerprint them where they lie.
    Collect,
    /// Write the product.
    Merge,
    /// Deliver the product.
    Release,
}

impl Step {
    /// The sub-state in which this step runs.
    pub fn sub_state(self) -> SubState {
        match self {
            Step::Collect => SubState::Collecting,
            Step::Merge => SubState::Merging,
            Step::Release => SubState::Releasing,
        }
    }

    /// Lower-case word for logs and progress.
    pub fn verb(self) -> &'static str {
        match self {
            Step::Collect => "collecting",
            Step::Merge => "merging",
            Step::Release => "releasing",
        }
    }
}

/// What a step of a DAQ is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// Ready; waits for a free slot. `attempt` counts tries that failed.
    Waiting {
        /// Failed tries of this step so far.
        attempt: u32,
    },
    /// Being done.
    Running {
        /// Failed tries of this step so far.
        attempt: u32,
    },
    /// Failed for a reason that may pass; waits for `until`.
    Pausing {
        /// Failed tries of this step so far.
        attempt: u32,
        /// When it goes on.
        until: Timestamp,
    },
    /// Failed; waits for a person.
    Parked,
}

/// Where a DAQ stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// In the queue.
    Scheduled,
    /// At one of the steps.
    At {
        /// Which step.
        step: Step,
        /// What it is doing.
        run: Run,
    },
    /// Being stopped and removed on a client's request.
    Aborting,
    /// Released.
    Completed,
    /// Removed on a client's request.
    Aborted,
}

/// What can happen to a DAQ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A slot was given to its next step.
    Started,
    /// The running step ended well.
    Finished,
    /// The running step failed; it is tried again at `retry_at`, or a person is asked.
    Failed {
        /// When to try again; `None` parks the DAQ.
        retry_at: Option<Timestamp>,
    },
    /// The running step found that an earlier step must be done again.
    FellBack {
        /// The step to do again.
        to: Step,
        /// When: without a pause, a source that keeps changing would be collected without end.
        retry_at: Timestamp,
    },
    /// The pause is over.
    PauseEnded,
    /// A client asked to try again.
    RetryRequested,
    /// A client asked to abort.
    AbortRequested,
    /// Everything of an aborting DAQ is stopped and removed.
    Removed,
}

/// An event that makes no sense in the stage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event:?} is impossible in {stage:?}")]
pub struct InvalidTransition {
    /// The stage as it was and stays.
    pub stage: Stage,
    /// The event.
    pub event: Event,
}

impl Stage {
    /// The stage of a DAQ that was just accepted.
    pub const NEW: Stage = Stage::Scheduled;

    /// Sub-state that the world sees.
    pub fn sub_state(&self) -> SubState {
        match self {
            Stage::Scheduled => SubState::Scheduled,
            Stage::At { step, .. } => step.sub_state(),
            Stage::Aborting => SubState::Aborting,
            Stage::Completed => SubState::Completed,
            Stage::Aborted => SubState::Aborted,
        }
    }

    /// The stage in which a restarted daemon takes up a DAQ that was seen in `sub_state`.
    ///
    /// A step that was running is done again from its last good part.
    pub fn resumed(sub_state: SubState, parked: bool) -> Stage {
        let at = |step| {
            let run = if parked { Run::Parked } else { Run::Waiting { attempt: 0 } };
            Stage::At { step, run }
        };
        match sub_state {
            SubState::Scheduled => Stage::Scheduled,
            SubState::Collecting => at(Step::Collect),
            SubState::Merging => at(Step::Merge),
            SubState::Releasing => at(Step::Release),
            SubState::Aborting => Stage::Aborting,
            SubState::Completed => Stage::Completed,
            SubState::Aborted => Stage::Aborted,
        }
    }

    /// The step that is running, if one is.
    pub fn running_step(&self) -> Option<Step> {
        match self {
            Stage::At { step, run: Run::Running { .. } } => Some(*step),
            _ => None,
        }
    }

    /// True if the DAQ waits for a person.
    pub fn is_parked(&self) -> bool {
        matches!(self, Stage::At { run: Run::Parked, .. })
    }

    /// Moves the stage by one event.
    ///
    /// # Errors
    ///
    /// [`InvalidTransition`], which gives the stage back unchanged.
    pub fn advance(self, event: Event) -> Result<Stage, InvalidTransition> {
        let at = |step, run| Ok(Stage::At { step, run });
        match (self, event) {
            (Stage::Scheduled, Event::Started) => at(Step::Collect, Run::Running { attempt: 0 }),
            (Stage::At { step, run: Run::Waiting { attempt } }, Event::Started) => at(step, Run::Running { attempt }),
            (Stage::At { step, run: Run::Running { .. } }, Event::Finished) => Ok(after(step)),
            (Stage::At { step, run: Run::Running { attempt } }, Event::Failed { retry_at }) => at(
                step,
                match retry_at {
                    Some(until) => Run::Pausing { attempt: attempt + 1, until },
                    None => Run::Parked,
                },
            ),
            (Stage::At { step, run: Run::Running { attempt } }, Event::FellBack { to, retry_at }) if to < step => {
                at(to, Run::Pausing { attempt: attempt + 1, until: retry_at })
            }
            (Stage::At { step, run: Run::Pausing { attempt, .. } }, Event::PauseEnded) => {
                at(step, Run::Waiting { attempt })
            }
            (Stage::At { step, run: Run::Parked | Run::Pausing { .. } }, Event::RetryRequested) => {
                at(step, Run::Waiting { attempt: 0 })
            }
            (Stage::Scheduled | Stage::At { .. } | Stage::Aborting, Event::AbortRequested) => Ok(Stage::Aborting),
            (Stage::Aborting, Event::Removed) => Ok(Stage::Aborted),
            (stage, event) => Err(InvalidTransition { stage, event }),
        }
    }
}

fn after(step: Step) -> Stage {
    let next = match step {
        Step::Collect => Step::Merge,
        Step::Merge => Step::Release,
        Step::Release => return Stage::Completed,
    };
    Stage::At { step: next, run: Run::Waiting { attempt: 0 } }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::engine::state::{Event, Run, Stage, Step};
    use crate::status::SubState;

    fn at(step: Step, run: Run) -> Stage {
        Stage::At { step, run }
    }

    fn check(stage: Stage, event: Event, expected: Option<Stage>) {
        let shown = format!("{stage:?} + {event:?}");
        assert_eq!(stage.advance(event).ok(), expected, "{shown}");
    }

    #[test]
    fn a_quiet_life_goes_through_every_step() {
        let mut stage = Stage::NEW;
        let mut seen = vec![stage.sub_state()];
        while stage != Stage::Completed {
            stage = stage.advance(Event::Started).expect("starts").advance(Event::Finished).expect("ends");
            seen.push(stage.sub_state());
        }
        assert_eq!(seen, [SubState::Scheduled, SubState::Merging, SubState::Releasing, SubState::Completed]);
    }

    #[test]
    fn failures_pause_or_park_and_keep_the_step() {
        let until = Timestamp::UNIX_EPOCH;
        for step in [Step::Collect, Step::Merge, Step::Release] {
            let running = at(step, Run::Running { attempt: 1 });
            let pausing = at(step, Run::Pausing { attempt: 2, until });
            check(running.clone(), Event::Failed { retry_at: Some(until) }, Some(pausing.clone()));
            check(running.clone(), Event::Failed { retry_at: None }, Some(at(step, Run::Parked)));
            check(pausing.clone(), Event::PauseEnded, Some(at(step, Run::Waiting { attempt: 2 })));
            check(pausing, Event::RetryRequested, Some(at(step, Run::Waiting { attempt: 0 })));
            check(at(step, Run::Parked), Event::RetryRequested, Some(at(step, Run::Waiting { attempt: 0 })));
            check(at(step, Run::Parked), Event::Started, None);
            check(running, Event::RetryRequested, None);
        }
    }

    #[test]
    fn falling_back_goes_to_an_earlier_step_only() {
        let running = at(Step::Merge, Run::Running { attempt: 0 });
        let retry_at = Timestamp::UNIX_EPOCH;
        let expected = at(Step::Collect, Run::Pausing { attempt: 1, until: retry_at });
        check(running.clone(), Event::FellBack { to: Step::Collect, retry_at }, Some(expected));
        check(running, Event::FellBack { to: Step::Release, retry_at }, None);
    }

    #[test]
    fn abort_is_possible_until_the_end_and_never_after() {
        let stages = [Stage::Scheduled, Stage::Aborting, at(Step::Merge, Run::Parked)];
        for stage in stages {
            check(stage, Event::AbortRequested, Some(Stage::Aborting));
        }
        check(Stage::Aborting, Event::Removed, Some(Stage::Aborted));
        check(Stage::Aborting, Event::Finished, None);
        check(Stage::Completed, Event::AbortRequested, None);
        check(Stage::Aborted, Event::AbortRequested, None);
    }

    #[test]
    fn a_restart_takes_up_where_the_step_stood() {
        for sub_state in SubState::ALL {
            assert_eq!(Stage::resumed(sub_state, false).sub_state(), sub_state);
        }
        assert!(Stage::resumed(SubState::Merging, true).is_parked());
        assert!(!Stage::resumed(SubState::Merging, false).is_parked());
    }
}
