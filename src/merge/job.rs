//! One whole merge: specification in, published file out. `dpm merge` by hand and the daemon's worker run this.

mod error;
mod inputs;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use jiff::Timestamp;

use crate::control::Control;
use crate::durable::DurableError;
use crate::durable::new_file::{Durability, NewFile, Replace};
use crate::host;
use crate::merge::content::Content;
use crate::merge::dictionaries::{self, DictionaryFileError, Judges};
use crate::merge::execute::{ExecuteError, ExecuteOptions};
use crate::merge::grow::{Claim, GrowError, GrowRequest, Grown};
use crate::merge::gzip::GzipLimits;
use crate::merge::intake::OpenInput;
use crate::merge::options::{DigestScope, MergeOptions, MismatchPolicy, Reflink};
use crate::merge::plan::growth::TargetShape;
use crate::merge::plan::{MergePlan, growth};
use crate::merge::report::{MergeReport, Notice, SourceReport};
use crate::merge::sharing::Sharing;
use crate::merge::{execute, grow, plan, verify};
use crate::specification::model::Specification;

pub use crate::merge::job::error::{JobError, Remedy};
pub use crate::merge::job::inputs::{InputPlace, describe_file, local_path, locate, open_regular};
use crate::merge::job::inputs::{check_digest, describe, open};

/// Files that a merge has open besides its inputs, of which a compressed one is opened twice.
const OPEN_FILES_BASE: u64 = 64;

/// How a product gets its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Whether it may replace a file.
    pub replace: Replace,
    /// Whether that waits for the disk.
    pub durability: Durability,
}

/// A merge that is decided and whose inputs are open.
#[derive(Debug)]
pub struct PreparedMerge {
    /// What will be done.
    pub plan: MergePlan,
    /// The right to change the target's own file, taken before the merge was prepared.
    pub claim: Option<Claim>,
    /// What of the in-place target stays as it is.
    target: Option<TargetShape>,
    inputs: Vec<OpenInput>,
}

impl PreparedMerge {
    /// Whether the file of an input (by its 0-based number) is compressed.
    pub fn is_compressed(&self, input: usize) -> bool {
        self.inputs.get(input).is_some_and(|input| matches!(input.content, Content::Gzip(_)))
    }
}

/// How the id of a notice begins that a source's data do not fit their DATASUM ([`execute`]).
const CHECKSUM_MISMATCH: &str = "SourceChecksumMismatch:";
/// Opens and describes the inputs and plans the merge; writes nothing.
///
/// `date` goes into DATE; compressed inputs expand to no more than `limits`. Cost: the headers of plain inputs; a
/// compressed one is expanded once, and so proved good.
///
/// `product_folder` is where the product will be, if large data units are to be shared with their
/// sources: whether its file system can is tried with a nameless file.
///
/// # Errors
///
/// [`JobError`] naming the source that is missing, no regular file, not whole, changed since it was collected, or
/// (where nobody collected it) of another digest than the specification says.
pub fn prepare(
    specification: &Specification,
    places: &[InputPlace],
    date: Timestamp,
    limits: GzipLimits,
    product_folder: Option<&Path>,
) -> Result<PreparedMerge, JobError> {
    prepare_judged(specification, places, date, limits, product_folder, None)
}

/// As [`prepare`]; the dictionaries of `judges` are applied to the keywords of the primary header.
///
/// # Errors
///
/// As [`prepare`]; if the judges are strict, also what they complain of and those of them that are missing.
pub fn prepare_judged(
    specification: &Specification,
    places: &[InputPlace],
    date: Timestamp,
    limits: GzipLimits,
    product_folder: Option<&Path>,
    judges: Option<&Judges>,
) -> Result<PreparedMerge, JobError> {
    let expected = specification.file_sources().count();
    if places.len() != expected {
        return Err(JobError::WrongInputs { expected, found: places.len() });
    }
    host::allow_open_files(OPEN_FILES_BASE + 2 * places.len() as u64);
    let mut inputs = Vec::with_capacity(places.len());
    let mut descriptions = Vec::with_capacity(places.len());
    let mut sharing = product_folder.map(Sharing::new);
    for (file, place) in specification.file_sources().zip(places) {
        let input = open(&file.source.source_name, place, limits)?;
        let mut description = describe(&input)?;
        description.shared_block = sharing.as_mut().and_then(|sharing| sharing.block_bytes(&input));
        descriptions.push(description);
        if let (Some(wanted), None) = (&file.source.digest, &place.fingerprint) {
            check_digest(&input, wanted)?;
        }
        inputs.push(input);
    }
    let mut plan = plan::plan_judged(specification, &descriptions, date, judges.map(|judges| &judges.dictionaries))?;
    match judges {
        Some(judges) => apply_verdict(judges, &mut plan)?,
        None => plan.notices.extend(dictionaries::unused_notice(&specification.keyword_dictionaries)),
    }
    let is_plain = inputs.first().is_some_and(OpenInput::is_plain);
    let target = specification.target.source.as_ref().filter(|_| is_plain).and(descriptions.first());
    let target = target.map(|target| growth::shape(&plan, target));
    Ok(PreparedMerge { plan, claim: None, target, inputs })
}

/// Ends a strict merge that a dictionary complains of, or lacks; tells of what another one lacks.
fn apply_verdict(judges: &Judges, plan: &mut MergePlan) -> Result<(), JobError> {
    if !judges.strict {
        plan.notices.extend(judges.missing.iter().map(DictionaryFileError::notice));
        return Ok(());
    }
    if let Some(missing) = judges.missing.first() {
        return Err(JobError::Dictionary(missing.clone()));
    }
    if plan.dictionary_faults.is_empty() {
        return Ok(());
    }
    Err(JobError::KeywordNotInDictionary { faults: plan.dictionary_faults.clone() })
}

/// Performs a prepared merge and publishes the product under `output`, whole and (unless `publication` says otherwise) synced,
/// or not at all.
///
/// The notices of plan and data are in the second value. Nothing is left behind on an error.
///
/// # Errors
///
/// [`JobError`]; with [`Replace::Never`] an existing `output` is refused before anything is written and again, without
/// a race, when the product gets its name.
pub fn perform(
    prepared: &PreparedMerge,
    output: &Path,
    publication: Publication,
    options: MergeOptions,
    control: &dyn Control,
) -> Result<(MergeReport, Vec<Notice>), JobError> {
    let plan = &prepared.plan;
    let path = || output.to_owned();
    let Publication { replace, durability } = publication;
    if replace == Replace::Never && output.symlink_metadata().is_ok() {
        return Err(JobError::OutputExists { path: path() });
    }
    let execution = ExecuteOptions::new(&options, durability, plan.product_bytes, host::memory_bytes());
    let written = match grow_target(prepared, output, replace, (&options, execution), control)? {
        Some(grown) => grown,
        None => write_anew(prepared, output, publication, (&options, execution), control)?,
    };
    let mut notices = plan.notices.clone();
    notices.extend(written.notices);
    let report = MergeReport {
        product: path(),
        bytes: written.bytes,
        digest: written.digest,
        sources: written.sources,
        hdus: plan.hdus.len(),
        keywords: plan.keywords.len(),
    };
    Ok((report, notices))
}

/// A product that has its name.
struct Written {
    bytes: u64,
    digest: Option<String>,
    sources: Vec<SourceReport>,
    notices: Vec<Notice>,
}

/// Grows the in-place target into the product, where that is possible and pays.
fn grow_target(
    prepared: &PreparedMerge,
    output: &Path,
    replace: Replace,
    (options, execution): (&MergeOptions, ExecuteOptions),
    control: &dyn Control,
) -> Result<Option<Written>, JobError> {
    // Digests of the sources need all their bytes; a mismatch that is an error must be found before anything changes.
    let is_wanted = options.digest != DigestScope::All && options.mismatch != MismatchPolicy::Error;
    let Some(shape) = prepared.target.as_ref().filter(|_| is_wanted) else { return Ok(None) };
    let request = GrowRequest {
        plan: &prepared.plan,
        shape,
        inputs: &prepared.inputs,
        execution,
        may_share: options.reflink == Reflink::Auto,
        claim: prepared.claim.as_ref(),
        output,
        replace,
    };
    let grown = grow::grow(&request, control).map_err(|error| match error {
        GrowError::Execute(error) => name_full_disk(error, output, prepared.plan.product_bytes),
        GrowError::Verify(fault) => JobError::Verify(fault),
        GrowError::Change { source, .. } if is_full(&source) => {
            JobError::NoSpace { path: output.to_owned(), bytes: prepared.plan.product_bytes }
        }
        other => JobError::Grow(other),
    })?;
    Ok(grown.map(|Grown { digest, bytes, notices }| {
        let digest = (options.digest != DigestScope::Nothing).then_some(digest);
        Written { bytes, digest, sources: Vec::new(), notices }
    }))
}

/// Writes the whole product to a new file.
fn write_anew(
    prepared: &PreparedMerge,
    output: &Path,
    Publication { replace, durability }: Publication,
    (options, execution): (&MergeOptions, ExecuteOptions),
    control: &dyn Control,
) -> Result<Written, JobError> {
    let plan = &prepared.plan;
    let path = || output.to_owned();
    let product = NewFile::create(output).map_err(|source| JobError::Create { path: path(), source })?;
    let mut product = product.with_durability(durability);
    allocate(product.file(), plan, output)?;
    let executed = execute::execute(plan, &prepared.inputs, product.file(), execution, control)
        .map_err(|error| name_full_disk(error, output, plan.product_bytes))?;
    if options.mismatch == MismatchPolicy::Error {
        refuse_mismatches(&executed.notices)?;
    }
    if durability != Durability::Unsynced {
        product.sync().map_err(|source| JobError::Publish { path: path(), source })?;
    }
    verify::check_product(product.file(), plan)?;
    product.publish(replace).map_err(|source| publish_error(source, output))?;
    Ok(Written {
        bytes: executed.bytes,
        digest: executed.digest.map(|digest| digest.to_hex().to_string()),
        sources: source_digests(prepared, &executed.input_digests),
        notices: executed.notices,
    })
}

fn refuse_mismatches(notices: &[Notice]) -> Result<(), JobError> {
    let mismatches = notices.iter().filter(|notice| notice.id.starts_with(CHECKSUM_MISMATCH));
    let descriptions: Vec<String> = mismatches.map(|notice| notice.description.clone()).collect();
    if descriptions.is_empty() { Ok(()) } else { Err(JobError::ChecksumMismatch { descriptions }) }
}

fn source_digests(prepared: &PreparedMerge, digests: &[blake3::Hash]) -> Vec<SourceReport> {
    let digest = |(input, digest): (&OpenInput, &blake3::Hash)| SourceReport {
        source: input.label.clone(),
        digest: digest.to_hex().to_string(),
    };
    prepared.inputs.iter().zip(digests).map(digest).collect()
}

/// Reserves the space of the product, so that a full disk is known before the first byte is copied. What is shared
/// with a source needs none.
fn allocate(file: &File, plan: &MergePlan, output: &Path) -> Result<(), JobError> {
    let mut position = 0;
    for hdu in &plan.hdus {
        if let Some(shared) = hdu.data.as_ref().and_then(|data| data.shared) {
            allocate_range(file, position..hdu.data_offset() + shared.start, plan, output)?;
            position = hdu.data_offset() + shared.end();
        }
    }
    allocate_range(file, position..plan.product_bytes, plan, output)
}

fn allocate_range(file: &File, range: Range<u64>, plan: &MergePlan, output: &Path) -> Result<(), JobError> {
    if range.is_empty() {
        return Ok(());
    }
    // Not fs2's `allocate`: posix_fallocate(3) does not set errno, and writes every page where it must emulate.
    let bytes = range.end - range.start;
    let allocated = rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), range.start, bytes);
    match allocated.map_err(io::Error::from) {
        Ok(()) => Ok(()),
        Err(error) if is_full(&error) => Err(JobError::NoSpace { path: output.to_owned(), bytes: plan.product_bytes }),
        // A file system without preallocation: the copy itself will find a full disk.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(source) => Err(JobError::Create { path: output.to_owned(), source }),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn name_full_disk(error: ExecuteError, output: &Path, bytes: u64) -> JobError {
    match error {
        ExecuteError::Write { ref source, .. } if is_full(source) => {
            JobError::NoSpace { path: output.to_owned(), bytes }
        }
        other => JobError::Execute(other),
    }
}

fn publish_error(source: DurableError, output: &Path) -> JobError {
    if source.is_exists() {
        JobError::OutputExists { path: output.to_owned() }
    } else {
        JobError::Publish { path: output.to_owned(), source }
    }
}

#[cfg(test)]
mod tests;
