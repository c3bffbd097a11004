//! Decides how one file is collected, from facts alone: what the source is, what stands on disk, what was recorded.
//!
//! Pure: touches no file. [`crate::transfer::collect()`] finds the facts and performs the plan.

use serde::{Deserialize, Serialize};

/// What happens to a file on this machine that is not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CollectMode {
    /// The merge reads it where it lies.
    Reference,
    /// The DAQ gets its own copy.
    Copy,
}

/// Step of one file's collection, in order of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// Looks at the source: is it there, is it a file, how large is it.
    Probe,
    /// Brings its bytes into the DAQ's folder, under a temporary name.
    Fetch,
    /// Proves the bytes: size, unchanged source, digest.
    Verify,
    /// Gives them their name, for good.
    Commit,
}

impl Step {
    /// Name in messages and in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Probe => "probe",
            Step::Fetch => "fetch",
            Step::Verify => "verify",
            Step::Commit => "commit",
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What is known about one file before it is collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// 0-based position among all files of the specification.
    pub ordinal: usize,
    /// What happens to local files.
    pub mode: CollectMode,
    /// The producer gives the file away.
    pub handover: bool,
    /// The source, if it is there and readable.
    pub source: Option<SourceFacts>,
    /// Size in bytes of the committed file of an earlier run, if one stands in the DAQ's folder.
    pub committed_bytes: Option<u64>,
    /// Size in bytes that the journal recorded for the committed file.
    pub recorded_bytes: Option<u64>,
}

/// What is known about a source that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceFacts {
    /// Size in bytes.
    pub bytes: u64,
    /// One rename can bring it into the DAQ's folder: same file system, no other name, writable.
    pub movable: bool,
}

/// How the file comes to the merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It is read where it lies.
    Reference,
    /// The committed file of an earlier run serves, once proved.
    Reuse(Proof),
    /// It is renamed into the DAQ's folder.
    Take,
    /// It is copied into the DAQ's folder.
    Copy,
}

/// What an earlier run's committed file is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The digest, else the fingerprint, in the journal.
    Record,
    /// The source itself: the journal knows nothing.
    Source,
    /// Nothing is left to compare with. Its name alone says that it was complete: names are given last.
    Alone,
}

/// How one file is collected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferPlan {
    /// 0-based position among all files of the specification.
    pub ordinal: usize,
    /// What happens to local files.
    pub mode: CollectMode,
    /// How the file comes to the merge.
    pub way: Way,
    /// The steps to perform, in order.
    pub steps: Vec<Step>,
    /// Size of the file.
    pub bytes_total: u64,
    /// Of these, bytes that need not be fetched again.
    pub bytes_present: u64,
}

/// A file that cannot be collected as things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanFault {
    /// Neither the source nor an earlier run's file is there.
    SourceMissing,
    /// The committed file is not what was recorded, and the source is gone or was given away.
    CommittedDamaged,
    /// The file was handed over earlier, and another one has its old name: neither may be thrown away.
    Conflict,
}

/// Decides how to collect one file.
///
/// # Errors
///
/// [`PlanFault`] if there is nothing to collect, or if collecting it would destroy the only copy of something.
pub fn plan(facts: &Facts) -> Result<TransferPlan, PlanFault> {
    let way = way(facts)?;
    let source_bytes = facts.source.map_or(0, |source| source.bytes);
    let (steps, bytes_total, bytes_present) = match way {
        Way::Reference => (vec![Step::Probe, Step::Verify], source_bytes, source_bytes),
        Way::Reuse(_) => {
            let bytes = facts.committed_bytes.unwrap_or(0);
            (vec![Step::Verify], bytes, bytes)
        }
        Way::Take => (vec![Step::Probe, Step::Verify, Step::Commit], source_bytes, source_bytes),
        // A local copy starts anew: proving a prefix would read as much as copying it.
        Way::Copy => (vec![Step::Probe, Step::Fetch, Step::Verify, Step::Commit], source_bytes, 0),
    };
    Ok(TransferPlan { ordinal: facts.ordinal, mode: facts.mode, way, steps, bytes_total, bytes_present })
}

fn way(facts: &Facts) -> Result<Way, PlanFault> {
    if facts.mode == CollectMode::Reference && !facts.handover {
        return facts.source.map(|_| Way::Reference).ok_or(PlanFault::SourceMissing);
    }
    match (facts.committed_bytes, facts.recorded_bytes, facts.source) {
        (None, _, None) => Err(PlanFault::SourceMissing),
        (None, _, Some(source)) if facts.handover && source.movable => Ok(Way::Take),
        (None, _, Some(_)) => Ok(Way::Copy),
        (Some(committed), Some(recorded), _) if committed == recorded => Ok(Way::Reuse(Proof::Record)),
        (Some(_), Some(_), source) => way_after(Proof::Record, facts.handover, source.is_some()),
        (Some(_), None, None) => Ok(Way::Reuse(Proof::Alone)),
        (Some(committed), None, Some(source)) if committed == source.bytes => Ok(Way::Reuse(Proof::Source)),
        (Some(_), None, Some(_)) => way_after(Proof::Source, facts.handover, true),
    }
}

/// Decides what to do about a committed file that failed its proof: the source is copied again, but a file that was
/// handed over may exist nowhere else.
///
/// # Errors
///
/// [`PlanFault::CommittedDamaged`] or [`PlanFault::Conflict`]: then nothing may be removed.
pub fn way_after(failed: Proof, handover: bool, is_source_there: bool) -> Result<Way, PlanFault> {
    match failed {
        _ if is_source_there && !handover => Ok(Way::Copy),
        Proof::Source => Err(PlanFault::Conflict),
        Proof::Record | Proof::Alone => Err(PlanFault::CommittedDamaged),
    }
}

#[cfg(test)]
mod tests {
    use crate::transfer::plan::{CollectMode, Facts, PlanFault, Proof, SourceFacts, Step, Way, plan};

    const HERE: Option<SourceFacts> = Some(SourceFacts { bytes: 10, movable: false });
    const MOVABLE: Option<SourceFacts> = Some(SourceFacts { bytes: 10, movable: true });

    fn facts(handover: bool, source: Option<SourceFacts>, committed: Option<u64>, recorded: Option<u64>) -> Facts {
        let mode = CollectMode::Copy;
        Facts { ordinal: 3, mode, handover, source, committed_bytes: committed, recorded_bytes: recorded }
    }

    #[test]
    fn the_way_follows_from_the_facts() {
        let check = |handover, source, committed, recorded, expected| {
            let facts = facts(handover, source, committed, recorded);
            assert_eq!(plan(&facts).map(|plan| plan.way), expected, "{facts:?}");
        };
        let (damaged, conflict) = (Err(PlanFault::CommittedDamaged), Err(PlanFault::Conflict));
        check(false, None, None, None, Err(PlanFault::SourceMissing));
        check(true, None, None, Some(10), Err(PlanFault::SourceMissing));
        check(false, MOVABLE, None, None, Ok(Way::Copy));
        check(true, MOVABLE, None, None, Ok(Way::Take));
        check(true, HERE, None, None, Ok(Way::Copy));
        // The journal recorded it.
        check(false, HERE, Some(10), Some(10), Ok(Way::Reuse(Proof::Record)));
        check(true, None, Some(10), Some(10), Ok(Way::Reuse(Proof::Record)));
        check(false, HERE, Some(9), Some(10), Ok(Way::Copy));
        check(false, None, Some(9), Some(10), damaged);
        check(true, HERE, Some(9), Some(10), damaged);
        // Killed between commit and journal.
        check(false, None, Some(10), None, Ok(Way::Reuse(Proof::Alone)));
        check(false, HERE, Some(10), None, Ok(Way::Reuse(Proof::Source)));
        check(true, MOVABLE, Some(10), None, Ok(Way::Reuse(Proof::Source)));
        check(false, HERE, Some(11), None, Ok(Way::Copy));
        check(true, MOVABLE, Some(11), None, conflict);
    }

    #[test]
    fn a_referenced_file_ignores_what_stands_in_the_folder() {
        let facts = Facts { mode: CollectMode::Reference, ..facts(false, HERE, Some(4), Some(4)) };
        let found = plan(&facts).unwrap();
        assert_eq!((found.way, found.bytes_total, found.bytes_present), (Way::Reference, 10, 10));
        let missing = Facts { source: None, ..facts };
        assert_eq!(plan(&missing), Err(PlanFault::SourceMissing));
    }

    #[test]
    fn handover_takes_the_file_in_reference_mode_too() {
        let facts = Facts { mode: CollectMode::Reference, ..facts(true, MOVABLE, None, None) };
        assert_eq!(plan(&facts).unwrap().way, Way::Take);
    }

    #[test]
    fn steps_are_in_order_of_time() {
        for facts in
            [facts(false, HERE, None, None), facts(true, MOVABLE, None, None), facts(false, HERE, Some(10), None)]
        {
            assert!(plan(&facts).unwrap().steps.is_sorted());
        }
        let copy = plan(&facts(false, HERE, None, None)).unwrap();
        assert_eq!(copy.steps, [Step::Probe, Step::Fetch, Step::Verify, Step::Commit]);
        assert_eq!((copy.bytes_total, copy.bytes_present), (10, 0));
    }
}
