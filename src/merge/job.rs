//! One whole merge: specification in, published file out. `dpm merge` by hand and the daemon's worker run this.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::control::Control;
use crate::durable::DurableError;
use crate::durable::new_file::{Durability, NewFile, Replace};
use crate::fits::hdu::{ScanError, ScanErrorKind, ScanLimits};
use crate::host;
use crate::merge::content::Content;
use crate::merge::dictionaries::{DictionaryFileError, Judges};
use crate::merge::execute::{self, ExecuteError, ExecuteOptions};
use crate::merge::fingerprint::Fingerprint;
use crate::merge::grow::{self, Claim, GrowError, GrowRequest, Grown};
use crate::merge::gzip::{GzipError, GzipLimits};
use crate::merge::input::{self, InputDescription};
use crate::merge::intake::OpenInput;
use crate::merge::options::{DigestScope, MergeOptions, MismatchPolicy, Reflink};
use crate::merge::plan::growth::{self, TargetShape};
use crate::merge::plan::{self, DictionaryFault, MergePlan, PlanError};
use crate::merge::reader::FileReader;
use crate::merge::report::{MergeReport, Notice, SourceReport};
use crate::merge::sharing::Sharing;
use crate::merge::source_digest;
use crate::merge::undo;
use crate::merge::verify::{self, ProductFault};
use crate::specification::location::Location;
use crate::specification::model::{SourceDigest, Specification};

/// Where one input of a merge is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputPlace {
    /// The file.
    pub path: PathBuf,
    /// What the file was when it was collected; `None` takes it as it is now.
    pub fingerprint: Option<Fingerprint>,
    /// The file is there for this merge alone, and may become the product where it is the in-place target.
    pub is_ours: bool,
}

impl InputPlace {
    /// A file that nobody collected, taken as it is now; it is somebody else's.
    pub fn of(path: PathBuf) -> InputPlace {
        InputPlace { path, fingerprint: None, is_ours: false }
    }

    /// True if the file was collected in another state. Only the kernel sets the time of an inode's change, so it tells
    /// most; but undoing an in-place merge changes it too.
    fn was_other(&self, found: &Fingerprint) -> bool {
        let is_same = |collected: &Fingerprint| match self.is_ours {
            true => collected.is_same_but_renamed(found),
            false => collected == found,
        };
        !self.fingerprint.as_ref().is_none_or(is_same)
    }
}

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

/// A merge that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// A source is on another host or behind a URL.
    #[error("source '{label}' is at {location}, not on this host: collect it first, or let the daemon do it")]
    Elsewhere {
        /// Name of the source.
        label: String,
        /// Its location as written.
        location: String,
    },
    /// The list of collected files is not the specification's.
    #[error("{found} files were collected but the specification has {expected}: retry to collect them again")]
    WrongInputs {
        /// Files of the specification.
        expected: usize,
        /// Files collected.
        found: usize,
    },
    /// A source cannot be opened.
    #[error("cannot open {} (source '{label}')", path.display())]
    Open {
        /// Name of the source.
        label: String,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A source is a directory, a FIFO, a device or a socket.
    #[error("{} (source '{label}') is no regular file: name the FITS file itself", path.display())]
    NotRegular {
        /// Name of the source.
        label: String,
        /// What was named.
        path: PathBuf,
    },
    /// A source is not what it was when it was collected.
    #[error("{} (source '{label}') changed after it was collected: retry to collect it again", path.display())]
    ChangedSinceCollected {
        /// Name of the source.
        label: String,
        /// The file.
        path: PathBuf,
    },
    /// A source does not have the digest that the specification gives.
    #[error(
        "{} (source '{label}') has the digest {found}, its specification says {expected}: get the file again, or \
         correct the digest", path.display()
    )]
    DigestDiffers {
        /// Name of the source.
        label: String,
        /// The file.
        path: PathBuf,
        /// Digest in the specification.
        expected: String,
        /// Digest of the file.
        found: String,
    },
    /// A source is not a whole FITS file.
    #[error("{} (source '{label}') is not a whole FITS file", path.display())]
    Scan {
        /// Name of the source.
        label: String,
        /// The file.
        path: PathBuf,
        /// Where and why; boxed, because it is large and rare.
        #[source]
        source: Box<ScanError>,
    },
    /// A compressed source cannot be expanded.
    #[error("cannot expand {} (source '{label}')", path.display())]
    Compressed {
        /// Name of the source.
        label: String,
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: GzipError,
    },
    /// The merge cannot be planned.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A dictionary that the specification names cannot be used, and it must be.
    #[error(transparent)]
    Dictionary(DictionaryFileError),
    /// Keywords are not as the dictionaries say, and they must be.
    #[error("{}: correct them, or have them added to a dictionary", listed("keyword", faults))]
    KeywordNotInDictionary {
        /// All of them.
        faults: Vec<DictionaryFault>,
    },
    /// Data of sources do not fit the sums that the sources record, and they must.
    #[error("{}", listed("damaged data unit", descriptions))]
    ChecksumMismatch {
        /// HDU, expected and found sum of each, as many as are told.
        descriptions: Vec<String>,
    },
    /// The product's name is taken.
    #[error("{} exists: choose another name, or replace it with --force", path.display())]
    OutputExists {
        /// The name.
        path: PathBuf,
    },
    /// The product cannot be created.
    #[error("cannot create {}", path.display())]
    Create {
        /// The name.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The file system has no room for the product.
    #[error("no space for the product: {} needs {bytes} bytes; make room, then merge again", path.display())]
    NoSpace {
        /// The name of the product.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// The copy failed.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The in-place target cannot be grown.
    #[error(transparent)]
    Grow(#[from] GrowError),
    /// An in-place merge of a source was interrupted, so that it is not what it seems.
    #[error(
        "an in-place merge of {} (source '{label}') was interrupted, or is under way: wait for its end, or run \
         dpm merge --in-place on it again, which restores it first", path.display()
    )]
    Pending {
        /// Name of the source.
        label: String,
        /// The file.
        path: PathBuf,
    },
    /// The product read back differs from the plan.
    #[error(transparent)]
    Verify(#[from] ProductFault),
    /// The product cannot be given its name.
    #[error("cannot publish {}", path.display())]
    Publish {
        /// The name.
        path: PathBuf,
        /// Why.
        #[source]
        source: DurableError,
    },
}

/// How the id of a notice begins that a source's data do not fit their DATASUM ([`execute`]).
const CHECKSUM_MISMATCH: &str = "SourceChecksumMismatch:";
/// More than these are counted, not listed.
const LISTED_MAX: usize = 10;

fn listed<T: std::fmt::Display>(noun: &str, items: &[T]) -> String {
    let shown: Vec<String> = items.iter().take(LISTED_MAX).map(T::to_string).collect();
    let more = items.len() - shown.len();
    let plural = if items.len() == 1 { "" } else { "s" };
    let rest = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!("{} {noun}{plural}: {}{rest}", items.len(), shown.join("; "))
}

/// What to do about a failed merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The same merge may succeed later.
    RetryLater,
    /// A person must change something first.
    AskOperator,
}

impl JobError {
    /// Whether trying again can help.
    pub fn remedy(&self) -> Remedy {
        match self {
            JobError::NoSpace { .. }
            | JobError::WrongInputs { .. }
            | JobError::ChangedSinceCollected { .. }
            | JobError::Verify(_)
            | JobError::Pending { .. }
            | JobError::Grow(GrowError::Busy { .. })
            | JobError::Execute(ExecuteError::SourceChanged { .. } | ExecuteError::Write { .. }) => Remedy::RetryLater,
            JobError::Elsewhere { .. }
            | JobError::Open { .. }
            | JobError::NotRegular { .. }
            | JobError::DigestDiffers { .. }
            | JobError::Scan { .. }
            | JobError::Compressed { .. }
            | JobError::Plan(_)
            | JobError::Dictionary(_)
            | JobError::KeywordNotInDictionary { .. }
            | JobError::ChecksumMismatch { .. }
            | JobError::OutputExists { .. }
            | JobError::Create { .. }
            | JobError::Grow(_)
            | JobError::Execute(_)
            | JobError::Publish { .. } => Remedy::AskOperator,
        }
    }

    /// True if a source is not there.
    pub fn is_missing_source(&self) -> bool {
        matches!(self, JobError::Open { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Finds each file of `specification` on this host: target first, then the sources in order.
///
/// Relative locations resolve against `root`; `host:path` must name one of `local_hosts`.
///
/// # Errors
///
/// [`JobError::Elsewhere`] for the first file that is not on this host.
pub fn locate(specification: &Specification, root: &Path, local_hosts: &[String]) -> Result<Vec<InputPlace>, JobError> {
    specification
        .file_sources()
        .map(|file| {
            let source = file.source;
            let path = local_path(&source.location, root, local_hosts).ok_or_else(|| JobError::Elsewhere {
                label: source.source_name.clone(),
                location: source.location.to_string(),
            })?;
            Ok(InputPlace::of(path))
        })
        .collect()
}

/// Path of `location` on this host, absolute or below `root`; `None` where it is elsewhere.
pub fn local_path(location: &Location, root: &Path, local_hosts: &[String]) -> Option<PathBuf> {
    location.local_path(local_hosts).map(|path| root.join(path))
}

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
    if let Some(judges) = judges {
        apply_verdict(judges, &mut plan)?;
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

fn open(label: &str, place: &InputPlace, limits: GzipLimits) -> Result<OpenInput, JobError> {
    let (label, path) = (label.to_owned(), place.path.clone());
    if undo::is_pending(&path) {
        return Err(JobError::Pending { label, path });
    }
    let file = match open_regular(&path) {
        Ok(Some(file)) => file,
        Ok(None) => return Err(JobError::NotRegular { label, path }),
        Err(source) => return Err(JobError::Open { label, path, source }),
    };
    let fingerprint = match Fingerprint::of(&file) {
        Ok(fingerprint) => fingerprint,
        Err(source) => return Err(JobError::Open { label, path, source }),
    };
    match place.was_other(&fingerprint) {
        true => Err(JobError::ChangedSinceCollected { label, path }),
        false => match Content::of(&file, limits) {
            Ok(content) => Ok(OpenInput { label, path, file, content, fingerprint }),
            Err(source) => Err(JobError::Open { label, path, source }),
        },
    }
}

/// Opens a file for reading without ever waiting for it; `None` if it is no regular file.
///
/// `O_NONBLOCK` keeps open(2) from hanging on a FIFO without a writer; regular files ignore it.
///
/// # Errors
///
/// The system's answer.
pub fn open_regular(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

/// Collecting compares digests; a merge by hand has no collecting before it.
fn check_digest(input: &OpenInput, wanted: &SourceDigest) -> Result<(), JobError> {
    let (label, path) = (input.label.clone(), input.path.clone());
    match source_digest::differing(&input.file, wanted) {
        Ok(None) => Ok(()),
        Ok(Some(found)) => Err(JobError::DigestDiffers { label, path, expected: wanted.value.clone(), found }),
        Err(source) => Err(JobError::Open { label, path, source }),
    }
}

/// Opens and describes the file of source `label` as it is now; if it is compressed, it expands to no more than `limits`.
///
/// # Errors
///
/// As [`prepare`].
pub fn describe_file(label: &str, path: &Path, limits: GzipLimits) -> Result<InputDescription, JobError> {
    describe(&open(label, &InputPlace::of(path.to_owned()), limits)?)
}

fn describe(input: &OpenInput) -> Result<InputDescription, JobError> {
    let reader = match input.content {
        Content::Plain => FileReader::of_size(&input.file, input.fingerprint.bytes),
        Content::Gzip(_) => FileReader::new(input.bytes()),
    };
    let mut description = input::describe(&input.label, input.path.clone(), &reader, ScanLimits::default())
        .map_err(|error| not_whole(input, error))?;
    if let Content::Gzip(content) = &input.content {
        description.gzip_padding = content.padding().map_err(|error| unreadable(input, error))?;
    }
    Ok(description)
}

fn not_whole(input: &OpenInput, error: ScanError) -> JobError {
    match error.kind {
        ScanErrorKind::Io(source) => unreadable(input, source),
        _ => JobError::Scan { label: input.label.clone(), path: input.path.clone(), source: Box::new(error) },
    }
}

fn unreadable(input: &OpenInput, source: io::Error) -> JobError {
    let (label, path) = (input.label.clone(), input.path.clone());
    match source.downcast::<GzipError>() {
        Ok(source) => JobError::Compressed { label, path, source },
        Err(source) => JobError::Open { label, path, source },
    }
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
