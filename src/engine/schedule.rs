//! Who runs next: a pure choice from the stages of all DAQs and the limits.

use crate::engine::state::{Run, Stage, Step};

/// How many may run at the same time; 0 is no limit (as in the ELT's configuration).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// DAQs between collecting and releasing that are not parked.
    pub daqs: usize,
    /// Collecting steps.
    pub transfers: usize,
    /// Worker processes.
    pub merges: usize,
    /// Releasing steps.
    pub releases: usize,
}

/// A DAQ as the scheduler sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a, Id> {
    /// Whose it is.
    pub id: Id,
    /// Higher runs first.
    pub priority: i64,
    /// Equal priorities run in this order.
    pub order: i64,
    /// Where it stands.
    pub stage: &'a Stage,
    /// The step that holds a slot: also one that is being stopped while its DAQ is aborting.
    pub running: Option<Step>,
    /// False while something must happen first, such as a change that is on its way to the disk. It counts
    /// against the limits all the same.
    pub may_start: bool,
}

/// Chooses which DAQs start their next step now, in order of starting.
///
/// DAQs that have begun go before new ones, so that work ends before more is begun; `paused` holds back new ones only.
/// Cost: a sort of the candidates.
pub fn next_starts<Id: Copy>(candidates: &[Candidate<'_, Id>], limits: Limits, paused: bool) -> Vec<Id> {
    let mut used = Usage::of(candidates);
    let mut sorted: Vec<&Candidate<'_, Id>> = candidates.iter().collect();
    sorted.sort_by_key(|candidate| (std::cmp::Reverse(candidate.priority), candidate.order));
    let mut starts = Vec::new();
    sorted.retain(|candidate| candidate.may_start);
    for candidate in &sorted {
        if let Stage::At { step, run: Run::Waiting { .. } } = candidate.stage
            && used.take_step(*step, limits)
        {
            starts.push(candidate.id);
        }
    }
    if !paused {
        for candidate in &sorted {
            if *candidate.stage == Stage::Scheduled && used.take_new(limits) {
                starts.push(candidate.id);
            }
        }
    }
    starts
}

#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    daqs: usize,
    transfers: usize,
    merges: usize,
    releases: usize,
}

impl Usage {
    fn of<Id>(candidates: &[Candidate<'_, Id>]) -> Usage {
        let mut usage = Usage::default();
        for candidate in candidates {
            let has_begun = matches!(candidate.stage, Stage::At { run, .. } if *run != Run::Parked);
            usage.daqs += usize::from(has_begun || candidate.running.is_some());
            match candidate.running {
                Some(Step::Collect) => usage.transfers += 1,
                Some(Step::Merge) => usage.merges += 1,
                Some(Step::Release) => usage.releases += 1,
                None => {}
            }
        }
        usage
    }

    fn take_step(&mut self, step: Step, limits: Limits) -> bool {
        match step {
            Step::Collect => take(&mut self.transfers, limits.transfers),
            Step::Merge => take(&mut self.merges, limits.merges),
            Step::Release => take(&mut self.releases, limits.releases),
        }
    }

    fn take_new(&mut self, limits: Limits) -> bool {
        let is_free = |used: usize, limit: usize| limit == 0 || used < limit;
        if !is_free(self.daqs, limits.daqs) || !is_free(self.transfers, limits.transfers) {
            return false;
        }
        self.daqs += 1;
        self.transfers += 1;
        true
    }
}

fn take(used: &mut usize, limit: usize) -> bool {
    if limit != 0 && *used >= limit {
        return false;
    }
    *used += 1;
    true
}

#[cfg(test)]
mod tests {
    use crate::engine::schedule::{Candidate, Limits, next_starts};
    use crate::engine::state::{Run, Stage, Step};

    const LIMITS: Limits = Limits { daqs: 2, transfers: 2, merges: 1, releases: 2 };

    fn check(stages: &[(i64, Stage)], limits: Limits, paused: bool, expected: &[usize]) {
        let candidates: Vec<Candidate<'_, usize>> = stages
            .iter()
            .enumerate()
            .map(|(id, (priority, stage))| Candidate {
                id,
                priority: *priority,
                order: id as i64,
                stage,
                running: stage.running_step(),
                may_start: true,
            })
            .collect();
        assert_eq!(next_starts(&candidates, limits, paused), expected, "{stages:?}");
    }

    fn at(step: Step, run: Run) -> Stage {
        Stage::At { step, run }
    }

    #[test]
    fn new_daqs_start_by_priority_then_arrival_up_to_the_limit() {
        let new = || Stage::Scheduled;
        check(&[(0, new()), (0, new()), (0, new())], LIMITS, false, &[0, 1]);
        check(&[(0, new()), (5, new()), (5, new())], LIMITS, false, &[1, 2]);
        check(&[(0, new()), (0, new())], LIMITS, true, &[]);
        check(&[(0, new()), (0, new()), (0, new())], Limits { daqs: 0, transfers: 0, ..LIMITS }, false, &[0, 1, 2]);
    }

    #[test]
    fn begun_work_goes_before_new_work_and_keeps_to_its_own_limit() {
        let waiting = || at(Step::Merge, Run::Waiting { attempt: 0 });
        check(&[(9, Stage::Scheduled), (0, waiting()), (0, waiting())], LIMITS, false, &[1]);
        check(&[(0, waiting()), (0, Stage::Scheduled)], LIMITS, false, &[0, 1]);
        check(&[(0, waiting())], LIMITS, true, &[0]);
    }

    #[test]
    fn a_parked_daq_holds_no_slot_and_does_not_start() {
        let parked = || at(Step::Merge, Run::Parked);
        check(&[(0, parked()), (0, parked()), (0, Stage::Scheduled)], LIMITS, false, &[2]);
    }
    #[test]
    fn what_waits_for_the_disk_or_is_being_stopped_holds_its_slot() {
        let limits = Limits { daqs: 1, ..LIMITS };
        let waiting = at(Step::Merge, Run::Waiting { attempt: 0 });
        let (scheduled, aborting) = (Stage::Scheduled, Stage::Aborting);
        let candidate =
            |id, stage, running, may_start| Candidate { id, priority: 0, order: 0, stage, running, may_start };
        let unsaved = [candidate(0, &waiting, None, false), candidate(1, &scheduled, None, true)];
        assert_eq!(next_starts(&unsaved, limits, false), [0; 0]);
        let stopping = [candidate(0, &aborting, Some(Step::Collect), true), candidate(1, &scheduled, None, true)];
        assert_eq!(next_starts(&stopping, limits, false), [0; 0]);
        let stopped = [candidate(0, &aborting, None, true), candidate(1, &scheduled, None, true)];
        assert_eq!(next_starts(&stopped, limits, false), [1]);
    }
}
