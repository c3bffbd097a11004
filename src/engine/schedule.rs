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

/// Chooses which DAQs start their next step now, in order of starting: of those that have `begun`, and of the `queue`,
/// which gives the DAQs that may begin in their order.
///
/// DAQs that have begun go before new ones, so that work ends before more is begun; `paused` holds back new ones only.
/// Cost: a sort of those that have begun; of the queue, only what starts is looked at, and one more.
pub fn next_starts<Id: Copy>(
    begun: &[Candidate<'_, Id>],
    mut queue: impl Iterator<Item = Id>,
    limits: Limits,
    paused: bool,
) -> Vec<Id> {
    let mut used = Usage::of(begun);
    let mut sorted: Vec<&Candidate<'_, Id>> = begun.iter().collect();
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
    while !paused && used.take_new(limits) {
        match queue.next() {
            Some(id) => starts.push(id),
            None => break,
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

    fn candidate(id: usize, stage: &Stage, running: Option<Step>, may_start: bool) -> Candidate<'_, usize> {
        Candidate { id, priority: 0, order: id as i64, stage, running, may_start }
    }

    /// DAQs that have begun have the numbers 0 and up, those in the queue 10 and up.
    fn check(begun: &[Stage], queued: usize, limits: Limits, paused: bool, expected: &[usize]) {
        let candidates: Vec<_> =
            begun.iter().enumerate().map(|(id, stage)| candidate(id, stage, stage.running_step(), true)).collect();
        assert_eq!(next_starts(&candidates, 10..10 + queued, limits, paused), expected, "{begun:?}");
    }

    fn at(step: Step, run: Run) -> Stage {
        Stage::At { step, run }
    }

    #[test]
    fn new_daqs_start_in_their_order_up_to_the_limit() {
        check(&[], 3, LIMITS, false, &[10, 11]);
        check(&[], 2, LIMITS, true, &[]);
        check(&[], 3, Limits { daqs: 0, transfers: 0, ..LIMITS }, false, &[10, 11, 12]);
    }

    #[test]
    fn begun_work_goes_before_new_work_and_keeps_to_its_own_limit() {
        let waiting = || at(Step::Merge, Run::Waiting { attempt: 0 });
        check(&[waiting(), waiting()], 1, LIMITS, false, &[0]);
        check(&[waiting()], 1, LIMITS, false, &[0, 10]);
        check(&[waiting()], 0, LIMITS, true, &[0]);
        let (first, second) = (waiting(), waiting());
        let mut by_priority = [candidate(0, &first, None, true), candidate(1, &second, None, true)];
        by_priority[1].priority = 9;
        assert_eq!(next_starts(&by_priority, [].into_iter(), LIMITS, false), [1]);
    }

    #[test]
    fn a_parked_daq_holds_no_slot_and_does_not_start() {
        let parked = || at(Step::Merge, Run::Parked);
        check(&[parked(), parked()], 1, LIMITS, false, &[10]);
    }

    #[test]
    fn what_waits_for_the_disk_or_is_being_stopped_holds_its_slot() {
        let limits = Limits { daqs: 1, ..LIMITS };
        let (waiting, aborting) = (at(Step::Merge, Run::Waiting { attempt: 0 }), Stage::Aborting);
        let check = |begun, expected: &[usize]| {
            assert_eq!(next_starts(&[begun], [10].into_iter(), limits, false), expected);
        };
        check(candidate(0, &waiting, None, false), &[]);
        check(candidate(0, &aborting, Some(Step::Collect), true), &[]);
        check(candidate(0, &aborting, None, true), &[10]);
    }

    /// Each step looked at the whole queue, so that the time for a night's work grew with its square.
    #[test]
    fn a_long_queue_is_not_looked_through() {
        for length in [500, 5000] {
            let mut seen = 0;
            let queue = (0..length).inspect(|_| seen += 1);
            assert_eq!(next_starts(&[], queue, LIMITS, false), [0, 1]);
            assert_eq!(seen, 2);
        }
    }
}
