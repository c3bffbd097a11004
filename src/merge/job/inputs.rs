//! Finds, opens and describes the inputs of a merge; writes nothing.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::fits::hdu::{ScanError, ScanErrorKind, ScanLimits};
use crate::merge::content::Content;
use crate::merge::fingerprint::Fingerprint;
use crate::merge::gzip::{GzipError, GzipLimits};
use crate::merge::input::InputDescription;
use crate::merge::intake::OpenInput;
use crate::merge::job::error::JobError;
use crate::merge::reader::FileReader;
use crate::merge::{input, source_digest, undo};
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

pub(in crate::merge::job) fn open(label: &str, place: &InputPlace, limits: GzipLimits) -> Result<OpenInput, JobError> {
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
pub(in crate::merge::job) fn check_digest(input: &OpenInput, wanted: &SourceDigest) -> Result<(), JobError> {
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
/// As [`prepare`](crate::merge::job::prepare).
pub fn describe_file(label: &str, path: &Path, limits: GzipLimits) -> Result<InputDescription, JobError> {
    describe(&open(label, &InputPlace::of(path.to_owned()), limits)?)
}

pub(in crate::merge::job) fn describe(input: &OpenInput) -> Result<InputDescription, JobError> {
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
