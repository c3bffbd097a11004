//! The blocking steps of a DAQ: collecting, releasing, removing. Each may be repeated after any interruption.

use std::path::{Path, PathBuf};

use crate::control::{Control, Unwatched};
use crate::durable;
use crate::engine::action::{Input, RemovalRequest, StepFailure, StepOutcome, StepRequest};
use crate::engine::daq::LOW_STORAGE_ALERT;
use crate::engine::executor::Context;
use crate::engine::state::Step;
use crate::merge::{job, undo};
use crate::release::{self, DeliveryOptions, Product, ReleaseError};
use crate::specification::model::{DaqId, FileInput, Specification};
use crate::status::with_causes;
use crate::store::ProductRow;
use crate::transfer::copy::{CopyError, proof_like};
use crate::transfer::plan::CollectMode;
use crate::transfer::{self, CollectRequest, Collected, TransferError, TransferErrorKind};
use crate::workspace::{DaqFolder, Workspace};

/// Alert of a collection that failed for no single source.
const COLLECT_ALERT: &str = "FailedOperation:collecting";

/// Collects every file of the specification: target first, then the sources in order.
pub(crate) fn collect(
    context: &Context,
    request: &StepRequest,
    control: &dyn Control,
) -> Result<StepOutcome, StepFailure> {
    let folder = folder(&context.workspace, &request.id)?;
    folder.create(&request.text).map_err(|error| failed(COLLECT_ALERT, &error, error.is_no_space()))?;
    let is_ours = |file: FileInput<'_>| file.source.handover || context.settings.collect == CollectMode::Copy;
    if request.specification.file_sources().any(is_ours) {
        // What comes into the folder may be the only one soon, or is what the journal names.
        folder.sync().map_err(|error| failed(COLLECT_ALERT, &error, error.is_no_space()))?;
    }
    take_back(&folder, &request.inputs).map_err(|description| StepFailure::Failed {
        alert: COLLECT_ALERT.to_owned(),
        description,
        transient: false,
    })?;
    let root = request.root.clone().unwrap_or_else(|| context.workspace.root().to_owned());
    let mut collected = Vec::new();
    for file in request.specification.file_sources() {
        let done = collect_one(context, request, &file, (&root, &folder), control);
        let (id, ordinal) = (request.id.clone(), file.ordinal);
        tell(context, &done, |collected| Input::Collected { id, ordinal, collected });
        collected.push(done?);
    }
    Ok(StepOutcome::Collected(collected))
}

fn collect_one(
    context: &Context,
    request: &StepRequest,
    file: &FileInput<'_>,
    (root, folder): (&Path, &DaqFolder),
    control: &dyn Control,
) -> Result<Collected, StepFailure> {
    let source = file.source;
    let local_path = job::local_path(&source.location, root, &context.settings.local_hosts)
        .ok_or_else(|| elsewhere(&source.source_name, &source.location.to_string()))?;
    let earlier = request.inputs.iter().find(|earlier| earlier.ordinal == file.ordinal);
    let wanted = collect_request(context, file, local_path, folder);
    transfer::collect_again(&wanted, earlier, control)
        .map_err(|error| transfer_failure(&source.source_name, &wanted.local_path, &error))
}

/// Brings back the in-place target that an interrupted merge was making the product of, or had made: the file may be
/// the only one, and the next try begins with it. What is found is undone, whatever the product was.
pub(crate) fn take_back(folder: &DaqFolder, inputs: &[Collected]) -> Result<(), String> {
    let Some(target) = inputs.iter().find(|input| input.ordinal == 0 && !input.referenced) else { return Ok(()) };
    let was_undone = undo::take_back(&target.path, &folder.product_partial()).map_err(|error| with_causes(&error))?;
    if was_undone {
        tracing::info!(path = %target.path.display(), "an in-place merge was undone, to be done again");
    }
    Ok(())
}

/// Reports a part of a step before the step ends: whatever ends the step, this part was done, or failed.
fn tell<T: Clone>(context: &Context, outcome: &Result<T, StepFailure>, input: impl FnOnce(Result<T, String>) -> Input) {
    let told = match outcome {
        Ok(done) => Ok(done.clone()),
        Err(StepFailure::Cancelled) => return,
        Err(
            StepFailure::Failed { description, .. }
            | StepFailure::SourceChanged { description, .. }
            | StepFailure::FellBack { description, .. },
        ) => Err(description.clone()),
    };
    // The engine has stopped: its next start does the step again.
    let _ = context.inputs.blocking_send(input(told));
}

fn collect_request<'a>(
    context: &Context,
    file: &FileInput<'a>,
    local_path: PathBuf,
    folder: &DaqFolder,
) -> CollectRequest<'a> {
    CollectRequest {
        ordinal: file.ordinal,
        source: file.source,
        local_path,
        folder: folder.sources(),
        mode: context.settings.collect,
    }
}

fn elsewhere(label: &str, location: &str) -> StepFailure {
    StepFailure::Failed {
        alert: format!("SourceCollectionError:{label}"),
        description: format!("source '{label}' is at {location}, and this build collects local files only"),
        transient: false,
    }
}

fn transfer_failure(label: &str, path: &Path, error: &TransferError) -> StepFailure {
    if error.is_cancelled() {
        return StepFailure::Cancelled;
    }
    let alert =
        if error.is_no_space() { LOW_STORAGE_ALERT.to_owned() } else { format!("SourceCollectionError:{label}") };
    let description =
        format!("cannot {} {} (source '{label}'): {}", error.step, path.display(), with_causes(&error.kind));
    if let TransferErrorKind::SourceChanged { .. } = error.kind {
        return StepFailure::SourceChanged { alert, description };
    }
    StepFailure::Failed { alert, description, transient: error.remedy() == transfer::Remedy::RetryLater }
}

/// Publishes the product in the workspace and delivers it to every receiver.
pub(crate) fn release(
    context: &Context,
    request: &StepRequest,
    control: &dyn Control,
) -> Result<StepOutcome, StepFailure> {
    let Some(merged) = &request.product else {
        return Err(fell_back("no product is recorded".to_owned()));
    };
    let specification = &request.specification;
    let path = place_product(context, request, merged, control)?;
    let product = Product {
        path: path.clone(),
        name: specification.target.archive_name(),
        bytes: merged.bytes,
        digest: merged.digest.clone(),
    };
    let proof = match specification.receivers.len() {
        0 => None,
        _ => Some(release::prove(&product, control).map_err(|error| release_failure("products", &error))?),
    };
    let options = DeliveryOptions { local_hosts: &context.settings.local_hosts, proof: proof.as_ref() };
    for (ordinal, receiver) in specification.receivers.iter().enumerate() {
        let done = release::deliver_with(receiver, &product, &options, control)
            .map_err(|error| release_failure(&release::describe(receiver), &error));
        tell(context, &done, |delivered| Input::Delivered { id: request.id.clone(), ordinal, delivered });
        done?;
    }
    Ok(StepOutcome::Released { product: path })
}

fn release_failure(receiver: &str, error: &ReleaseError) -> StepFailure {
    if error.is_cancelled() {
        return StepFailure::Cancelled;
    }
    failed(&format!("ReleasingError:{receiver}"), error, error.remedy() == transfer::Remedy::RetryLater)
}

/// Gives the merged product its name in `products/`; proves what lay there unwatched.
fn place_product(
    context: &Context,
    request: &StepRequest,
    merged: &ProductRow,
    control: &dyn Control,
) -> Result<PathBuf, StepFailure> {
    let workspace = &context.workspace;
    let partial = folder(workspace, &request.id)?.product_partial();
    let name = workspace
        .product_path(request.specification.target.file_id.as_str())
        .map_err(|error| failed("ReleasingError:workspace", &error, false))?;
    if partial.exists() {
        if request.prove_product && !is_product(&partial, merged, control)? {
            // One that grew from its target holds the only copy of that: the next merge begins with undoing it.
            if !is_grown(request) {
                remove_damaged(&partial)?;
            }
            return Err(fell_back("the merged product was damaged before its release; it is merged again".to_owned()));
        }
        // A power cut may leave the old name beside the new one: it goes with the DAQ's folder.
        return match durable::publish_new_name(&partial, &name) {
            Ok(()) => Ok(name),
            Err(error) if error.is_exists() && is_product(&name, merged, control)? => Ok(name),
            Err(error) => Err(failed("ReleasingError:workspace", &error, error.is_no_space())),
        };
    }
    if !name.exists() {
        return Err(fell_back("the merged product is gone; it is merged again".to_owned()));
    }
    if is_product(&name, merged, control)? {
        return Ok(name);
    }
    Err(StepFailure::Failed {
        alert: "ReleasingError:workspace".to_owned(),
        description: format!(
            "{} is not the product that was merged (BLAKE3 {} expected): it was changed or belongs to another DAQ; \
             move it away and retry to merge again",
            name.display(),
            merged.digest
        ),
        transient: false,
    })
}

/// True if the product is the in-place target itself, grown.
fn is_grown(request: &StepRequest) -> bool {
    request.inputs.iter().any(|input| !input.referenced && undo::is_pending(&input.path))
}

fn remove_damaged(path: &Path) -> Result<(), StepFailure> {
    durable::remove_file(path).map_err(|error| failed("ReleasingError:workspace", &error, false))
}

/// True if the file at `path` has the size and digest that were recorded; fails only where it is cancelled.
fn is_product(path: &Path, merged: &ProductRow, control: &dyn Control) -> Result<bool, StepFailure> {
    let Ok(metadata) = path.symlink_metadata() else { return Ok(false) };
    if !metadata.is_file() || metadata.len() != merged.bytes {
        return Ok(false);
    }
    let Ok(file) = std::fs::File::open(path) else { return Ok(false) };
    match proof_like(&merged.digest, path, &file, merged.bytes, control) {
        Ok(digest) => Ok(digest == merged.digest),
        Err(CopyError::Cancelled { .. }) => Err(StepFailure::Cancelled),
        Err(_) => Ok(false),
    }
}

/// As [`is_product`], for a removal: that ends only by itself.
fn is_product_unwatched(path: &Path, merged: &ProductRow) -> bool {
    is_product(path, merged, &Unwatched).unwrap_or(false)
}

/// Removes what killed deliveries of an aborted DAQ left at its receivers; what they were given whole is theirs.
fn discard_deliveries(context: &Context, request: &RemovalRequest, merged: &ProductRow) {
    let target = &request.specification.target;
    let Ok(name) = context.workspace.product_path(target.file_id.as_str()) else { return };
    // A delivery begins when the product has its name. Another DAQ may have the same file id, and be delivering.
    if name.symlink_metadata().is_ok() && !is_product_unwatched(&name, merged) {
        return;
    }
    // A DAQ of which no step has run since the start does not have the receivers of the configuration yet.
    let own = &request.specification.receivers;
    let receivers = if own.is_empty() { &context.settings.default_receivers } else { own };
    for receiver in receivers {
        if let Err(error) = release::discard(receiver, &target.archive_name(), &context.settings.local_hosts) {
            // The receiver's folder is not ours to insist on: the abort goes on.
            let (id, receiver) = (&request.id, release::describe(receiver));
            tracing::warn!(%id, receiver, %error, "a left-over stays at a receiver");
        }
    }
}

/// Removes everything of an aborted DAQ: its folder, and its product where it has its name already. Files that were
/// handed over go back first.
pub(crate) fn remove(context: &Context, request: &RemovalRequest) -> Result<(), String> {
    let workspace = &context.workspace;
    let folder = workspace.daq_folder(request.id.as_str()).map_err(|error| with_causes(&error))?;
    let root = request.root.clone().unwrap_or_else(|| workspace.root().to_owned());
    check_explained(&request.specification, &folder)?;
    let file_id = request.specification.target.file_id.as_str();
    let name = workspace.product_path(file_id).map_err(|error| with_causes(&error))?;
    for file in request.specification.file_sources() {
        if let Some(local_path) = job::local_path(&file.source.location, &root, &context.settings.local_hosts) {
            let taken = collect_request(context, &file, local_path, &folder);
            if file.source.handover {
                for grown in [folder.product_partial(), name.clone()] {
                    undo::take_back(&taken.committed_path(), &grown).map_err(|error| with_causes(&error))?;
                }
            }
            transfer::give_back(&taken).map_err(|error| with_causes(&error))?;
        }
    }
    if let Some(merged) = &request.product {
        discard_deliveries(context, request, merged);
    }
    if let Some(merged) = &request.product
        && !folder.product_partial().exists()
    {
        // Only what is proved to be this DAQ's: another one may have the same file id.
        if is_product_unwatched(&name, merged) {
            durable::remove_file(&name).map_err(|error| with_causes(&error))?;
        }
    }
    folder.remove().map_err(|error| with_causes(&error))
}

/// Refuses to remove files that no source explains: those of a DAQ whose specification cannot be read any more. They
/// may have been handed over, and be the only ones.
fn check_explained(specification: &Specification, folder: &DaqFolder) -> Result<(), String> {
    let is_unexplained = specification.file_sources().next().is_none()
        && std::fs::read_dir(folder.sources()).is_ok_and(|mut entries| entries.next().is_some());
    match is_unexplained {
        true => Err(format!(
            "{} holds files, and where they came from cannot be read: move them away, those that were handed over to \
             where they belong, and abort again",
            folder.sources().display()
        )),
        false => Ok(()),
    }
}

/// Removes the folder of a DAQ that has ended.
pub(crate) fn remove_folder(workspace: &Workspace, id: &DaqId) -> Result<(), String> {
    let folder = workspace.daq_folder(id.as_str()).map_err(|error| with_causes(&error))?;
    folder.remove().map_err(|error| with_causes(&error))
}

fn folder(workspace: &Workspace, id: &DaqId) -> Result<DaqFolder, StepFailure> {
    workspace.daq_folder(id.as_str()).map_err(|error| failed("FailedOperation:workspace", &error, false))
}

fn failed(alert: &str, error: &dyn std::error::Error, transient: bool) -> StepFailure {
    StepFailure::Failed { alert: alert.to_owned(), description: with_causes(error), transient }
}

fn fell_back(description: String) -> StepFailure {
    StepFailure::FellBack { to: Step::Merge, description }
}

#[cfg(test)]
mod tests;
