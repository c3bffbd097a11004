//! Which DAQs the scheduler has to look at, kept as they change: those at work, and those that wait in the queue.
//!
//! So the cost of an input does not grow with the queue. Decides nothing: who starts is [`crate::engine::schedule`].

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::engine::daq::Daq;
use crate::engine::state::Stage;
use crate::specification::model::DaqId;

/// An index over the unfinished DAQs. A DAQ is taken out before it is changed, and put in again afterwards.
#[derive(Debug, Default)]
pub(crate) struct Lineup {
    /// Ready to begin, in the order of beginning: by priority, then by arrival.
    queue: BTreeMap<(Reverse<i64>, i64), DaqId>,
    /// Begun and not parked, or with a step that runs.
    begun: BTreeSet<DaqId>,
}

impl Lineup {
    /// Takes up a DAQ as it is now; one that can neither start nor holds a slot is left out.
    pub(crate) fn put(&mut self, daq: &Daq) {
        let is_at_work = matches!(daq.stage, Stage::At { .. }) && !daq.stage.is_parked() && !daq.is_held;
        if is_at_work || daq.running_step().is_some() {
            self.begun.insert(daq.id.clone());
        } else if daq.stage == Stage::Scheduled && is_free(daq) {
            self.queue.insert(key(daq), daq.id.clone());
        }
    }

    /// Takes a DAQ out; it is as it was when it was put in.
    pub(crate) fn take(&mut self, daq: &Daq) {
        self.begun.remove(&daq.id);
        self.queue.remove(&key(daq));
    }

    /// Those at work, by id.
    pub(crate) fn begun(&self) -> impl Iterator<Item = &DaqId> {
        self.begun.iter()
    }

    /// Those that are ready to begin, the first one first.
    pub(crate) fn queue(&self) -> impl Iterator<Item = &DaqId> {
        self.queue.values()
    }
}

/// True if nothing must happen before its next step.
pub(crate) fn is_free(daq: &Daq) -> bool {
    daq.saves_pending == 0 && !daq.is_held
}

/// Unique, because the order of arrival is.
fn key(daq: &Daq) -> (Reverse<i64>, i64) {
    (Reverse(daq.priority), daq.order)
}
