//! Why a merge fails, and what to do about it.

use std::io;
use std::path::PathBuf;

use crate::durable::DurableError;
use crate::fits::hdu::ScanError;
use crate::merge::dictionaries::DictionaryFileError;
use crate::merge::execute::ExecuteError;
use crate::merge::grow::GrowError;
use crate::merge::gzip::GzipError;
use crate::merge::plan::{DictionaryFault, PlanError};
use crate::merge::verify::ProductFault;

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
    /// A source is not whole, not legal FITS, or beyond a limit.
    #[error("{} (source '{label}') cannot be merged", path.display())]
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
