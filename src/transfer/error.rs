//! Why a file could not be collected, and what may be done next.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::durable::DurableError;
use crate::transfer::copy::CopyError;
use crate::transfer::plan::Step;

/// What the daemon may do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The same call may succeed later: after a pause, with more space, with a quiet source.
    RetryLater,
    /// It fails again until a person changes something.
    AskOperator,
}

/// A file that could not be collected.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} input {ordinal} ({location})")]
pub struct TransferError {
    /// 0-based position among all files of the specification.
    pub ordinal: usize,
    /// Location as the specification writes it.
    pub location: String,
    /// Step that failed.
    pub step: Step,
    /// Why it failed.
    #[source]
    pub kind: TransferErrorKind,
}

/// Why a file could not be collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferErrorKind {
    /// No file of that name.
    #[error("it does not exist: check the location, or put the file there and retry")]
    Missing,
    /// Something else than a regular file.
    #[error("it is {found}, not a regular file: correct the location")]
    NotAFile {
        /// What it is, such as `a folder`.
        found: &'static str,
    },
    /// Symbolic links that lead to each other.
    #[error("its symbolic links lead in a circle: correct the links or the location")]
    SymlinkLoop,
    /// The kernel does not let us open it.
    #[error("permission denied: let the user that runs dpm read the file and pass its folders")]
    NotPermitted {
        /// The kernel's answer.
        source: io::Error,
    },
    /// Any other failure to open the source.
    #[error("it cannot be opened: check the file system that holds it, then retry")]
    Open {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The source's disk or network refuses.
    #[error("it cannot be read at byte {offset}: check the file system that holds it, then retry")]
    Read {
        /// First byte (0-based) that was not read.
        offset: u64,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Somebody writes to the source.
    #[error("it {how} while it was read: retry when its producer has finished it")]
    SourceChanged {
        /// What was seen, such as `grew beyond 2880 bytes`.
        how: String,
    },
    /// The one who watches ended it.
    #[error("cancelled after {bytes_done} bytes: nothing was kept")]
    Cancelled {
        /// Bytes done by then.
        bytes_done: u64,
    },
    /// The workspace is full.
    #[error("no space for {bytes_needed} bytes at {}: free some, then retry", path.display())]
    NoSpace {
        /// File that was to be written.
        path: PathBuf,
        /// Its size in bytes.
        bytes_needed: u64,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The workspace refuses for another reason.
    #[error("{} cannot be written: check the workspace, then retry", path.display())]
    Write {
        /// File that was to be written.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The bytes are not those that the specification promises.
    #[error(
        "its {algorithm} digest is {actual}, the specification says {expected}: bring the right file, or correct the \
         specification"
    )]
    DigestDiffers {
        /// `blake3` or `sha256`.
        algorithm: &'static str,
        /// As the specification says, lower-case hex.
        expected: String,
        /// As found, lower-case hex.
        actual: String,
    },
    /// The collected file changed at rest, and the source is gone or was given away.
    #[error("the collected file {} is damaged: bring the source back, remove that file, then retry", path.display())]
    Damaged {
        /// The collected file.
        path: PathBuf,
    },
    /// Two files claim to be the one that was handed over.
    #[error(
        "it differs from {}, which was handed over before: remove the one that is wrong, then retry",
        path.display()
    )]
    HandedOverTwice {
        /// The collected file.
        path: PathBuf,
    },
    /// The file got no final name.
    #[error("it cannot be given its name in the workspace: check the workspace, then retry")]
    Commit {
        /// What was refused.
        source: DurableError,
    },
}

impl TransferErrorKind {
    /// What the daemon may do next.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Open { source } => match errno(source) {
                // No number: the name itself is impossible.
                None | Some(Errno::NAMETOOLONG | Errno::INVAL) => Remedy::AskOperator,
                _ => Remedy::RetryLater,
            },
            Self::Read { .. }
            | Self::SourceChanged { .. }
            | Self::Cancelled { .. }
            | Self::NoSpace { .. }
            | Self::Commit { .. } => Remedy::RetryLater,
            Self::Write { source, .. } => match errno(source) {
                // Larger than the file system or the process may write, or not ours: waiting does not help.
                Some(Errno::FBIG | Errno::ACCESS | Errno::PERM | Errno::NAMETOOLONG) => Remedy::AskOperator,
                _ => Remedy::RetryLater,
            },
            Self::Missing
            | Self::NotAFile { .. }
            | Self::SymlinkLoop
            | Self::NotPermitted { .. }
            | Self::DigestDiffers { .. }
            | Self::Damaged { .. }
            | Self::HandedOverTwice { .. } => Remedy::AskOperator,
        }
    }

    /// Sorts a refusal to write `path` of `bytes_needed` bytes.
    pub(crate) fn of_write(path: PathBuf, bytes_needed: u64, source: io::Error) -> TransferErrorKind {
        match errno(&source) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::NoSpace { path, bytes_needed, source },
            _ => Self::Write { path, source },
        }
    }

    /// Sorts what ended a copy to `path`, or a reading (then nothing is written, and `path` is not used).
    pub(crate) fn of_copy(path: PathBuf, bytes_needed: u64, error: CopyError) -> TransferErrorKind {
        match error {
            CopyError::Cancelled { bytes_done } => Self::Cancelled { bytes_done },
            CopyError::Shrank { bytes_done } => {
                Self::SourceChanged { how: format!("shrank from {bytes_needed} to {bytes_done} bytes") }
            }
            CopyError::Grew { bytes_total } => Self::SourceChanged { how: format!("grew beyond {bytes_total} bytes") },
            CopyError::Read { offset, source } => Self::Read { offset, source },
            CopyError::Write { source, .. } => Self::of_write(path, bytes_needed, source),
        }
    }
}

impl TransferError {
    /// What the daemon may do next.
    pub fn remedy(&self) -> Remedy {
        self.kind.remedy()
    }

    /// True if the one who watches ended it.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind, TransferErrorKind::Cancelled { .. })
    }

    /// True if the workspace is full.
    pub fn is_no_space(&self) -> bool {
        match &self.kind {
            TransferErrorKind::NoSpace { .. } => true,
            TransferErrorKind::Commit { source } => source.is_no_space(),
            _ => false,
        }
    }
}

/// Which file an error is about.
#[derive(Clone, Debug)]
pub struct Origin {
    /// 0-based position among all files of the specification.
    pub ordinal: usize,
    /// Location as the specification writes it.
    pub location: String,
}

impl Origin {
    /// Says that `step` failed for this file.
    pub fn error(&self, step: Step, kind: TransferErrorKind) -> TransferError {
        TransferError { ordinal: self.ordinal, location: self.location.clone(), step, kind }
    }
}

/// The kernel's number for what went wrong.
pub(crate) fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}
