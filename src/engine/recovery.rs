//! Takes up after a restart: the database says what is, files follow.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::engine::action::QueueRequest;
use crate::engine::daq::Daq;
use crate::engine::state::{Stage, Step};
use crate::merge::report::Notice;
use crate::specification;
use crate::specification::model::{ExtensionNames, SortOrder, Specification, Target};
use crate::status::{Severity, with_causes};
use crate::store::{StepRow, Store, StoreError, StoredDaq};
use crate::transfer::Collected;
use crate::workspace::{Workspace, WorkspaceError};

/// A specification in the database is not accepted by this build.
const UNREADABLE_ALERT: &str = "InvalidSpecification";

/// A state that cannot be taken up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// The database cannot be read.
    #[error("cannot read the state")]
    Store(#[from] StoreError),
    /// The workspace cannot be read or cleaned.
    #[error("cannot take up the workspace")]
    Workspace(#[from] WorkspaceError),
}

/// Reads every unfinished DAQ and removes what interrupted writes and ended DAQs left behind.
///
/// # Errors
///
/// [`RecoveryError`]; nothing was removed that the database knows.
pub async fn recover(store: &Store, workspace: &Workspace) -> Result<Vec<Daq>, RecoveryError> {
    let unfinished = store.load_active().await?;
    // What the database knows is kept, also where this build cannot take it up.
    let known: HashSet<String> = unfinished.iter().map(|stored| stored.new.id.clone()).collect();
    let taken_up = unfinished.into_iter().filter_map(take_up);
    let daqs = taken_up.map(|daq| with_product(daq, workspace)).collect::<Result<_, WorkspaceError>>()?;
    let temporaries = workspace.remove_temporaries()?;
    if temporaries > 0 {
        tracing::info!(count = temporaries, "removed temporary files of interrupted writes");
    }
    for id in workspace.daq_ids()? {
        if !known.contains(&id) {
            tracing::info!(id, "removing the folder of a DAQ that has ended");
            if let Err(error) = workspace.daq_folder(&id)?.remove() {
                // Somebody else's file, perhaps: no reason to leave every DAQ without a daemon.
                tracing::warn!(id, error = %with_causes(&error), "a left-over stays in the workspace");
            }
        }
    }
    Ok(daqs)
}

/// A product that is recorded but nowhere, because a power cut has taken the name of `product.partial`, is merged again.
fn with_product(mut daq: Daq, workspace: &Workspace) -> Result<Daq, WorkspaceError> {
    if let Stage::At { step: Step::Release, run } = &daq.stage
        && daq.product.is_some()
        && !(daq.is_held || daq.stage.is_parked())
    {
        let places =
            [workspace.daq_folder(daq.id.as_str())?.product_partial(), workspace.product_path(daq.file_id.as_str())?];
        if places.iter().all(|path| path.symlink_metadata().is_err()) {
            let step = if is_whole(&daq) { Step::Merge } else { Step::Collect };
            daq.stage = Stage::At { step, run: run.clone() };
            daq.product = None;
        }
    }
    Ok(daq)
}

/// `None` only for names that the database would not have taken.
fn take_up(stored: StoredDaq) -> Option<Daq> {
    let specification = match specification::validate::parse(&stored.new.specification) {
        Ok(specification) => specification,
        Err(error) => return take_up_held(stored, &with_causes(&error)),
    };
    Some(taken_up(stored, specification))
}

/// A specification that this build does not accept, although an earlier one did: its DAQ stays where it is, visibly,
/// until a build that knows it is started or a client aborts it. Nothing of it is removed.
fn take_up_held(stored: StoredDaq, reason: &str) -> Option<Daq> {
    let (Ok(id), Ok(file_id)) = (stored.new.id.parse(), stored.new.file_id.parse()) else {
        tracing::error!(id = stored.new.id, "a DAQ in the database has an impossible name; it stays there");
        return None;
    };
    tracing::error!(id = stored.new.id, reason, "a queued specification is no longer accepted");
    // Never run, because the DAQ is held: it only carries the names.
    let target = Target {
        file_id,
        file_prefix: String::new(),
        source: None,
        sort: SortOrder::None,
        extension_names: ExtensionNames::AsIs,
    };
    let specification = Specification {
        id,
        priority: stored.new.priority,
        sources: Vec::new(),
        target,
        receivers: Vec::new(),
        keyword_dictionaries: Vec::new(),
    };
    let since = stored.status.timestamp;
    let stage = Stage::resumed(stored.status.sub_state, stored.status.parked);
    let mut daq = taken_up(stored, specification);
    daq.stage = stage;
    daq.is_held = true;
    let description = format!(
        "its specification is not accepted by dpm {}: {reason}; start the dpm that accepted it, or abort the DAQ and \
         queue it mended under a new id",
        env!("CARGO_PKG_VERSION")
    );
    daq.raise(Notice { id: UNREADABLE_ALERT.to_owned(), severity: Severity::Error, description }, since);
    Some(daq)
}

fn taken_up(stored: StoredDaq, specification: Specification) -> Daq {
    let new = stored.new;
    let request = QueueRequest {
        text: new.specification.into(),
        specification: Arc::new(specification),
        digest: new.specification_digest,
        root: new.root.map(Into::into),
        user: new.user,
    };
    let mut daq = Daq::new(request, stored.sequence, new.created);
    let status = stored.status;
    daq.stage = Stage::resumed(status.sub_state, status.parked);
    daq.alerts = status.alerts;
    daq.result = status.result;
    daq.message = status.message;
    daq.timestamp = status.timestamp;
    daq.product = status.product;
    daq.prove_product = true;
    daq.inputs = inputs(&stored.steps);
    daq.steps = stored.steps.iter().filter(|row| is_latest(row, &stored.steps)).cloned().collect();
    daq.receivers = stored.receivers;
    if let serde_json::Value::Object(timings) = status.timings {
        daq.timings =
            timings.into_iter().filter_map(|(name, time)| Some((name, time.as_str()?.parse().ok()?))).collect();
    }
    if !is_whole(&daq) {
        daq.stage = recollected(daq.stage);
    }
    daq
}

/// True if the journal says of every file where the merge finds it.
fn is_whole(daq: &Daq) -> bool {
    daq.inputs.iter().map(|input| input.ordinal).eq(0..daq.specification.file_sources().count())
}

/// A merge whose journal is not whole begins with collecting again.
fn recollected(stage: Stage) -> Stage {
    match stage {
        Stage::At { step: Step::Merge, run } => Stage::At { step: Step::Collect, run },
        other => other,
    }
}

/// What was collected, in the order of the files. The journal is sorted by kind first; and where a file was
/// collected in another way later, the later one counts.
fn inputs(rows: &[StepRow]) -> Vec<Collected> {
    let mut by_ordinal: BTreeMap<i64, &StepRow> = BTreeMap::new();
    for row in rows {
        let known = by_ordinal.entry(row.ordinal).or_insert(row);
        if row.updated > known.updated {
            *known = row;
        }
    }
    by_ordinal.into_values().filter_map(collected).collect()
}

/// True unless the same file was tried in another way later.
fn is_latest(row: &StepRow, rows: &[StepRow]) -> bool {
    rows.iter().all(|other| other.ordinal != row.ordinal || other.updated <= row.updated)
}

fn collected(row: &StepRow) -> Option<Collected> {
    Some(Collected {
        ordinal: usize::try_from(row.ordinal).ok()?,
        path: row.path.clone().into(),
        fingerprint: serde_json::from_str(row.fingerprint.as_deref()?).ok()?,
        bytes: u64::try_from(row.bytes).ok()?,
        digest: row.digest.clone(),
        referenced: row.kind == "reference",
    })
}

#[cfg(test)]
mod tests;
