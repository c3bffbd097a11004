//! Why a product could not be delivered, and what may be done next.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use crate::durable::DurableError;
use crate::release::Method;
use crate::transfer::Remedy;

/// A product that was not delivered. The product itself is kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot release {name} to {receiver}")]
pub struct ReleaseError {
    /// The receiver, as [`crate::release::describe`] names it.
    pub receiver: String,
    /// Archive name of the product.
    pub name: String,
    /// Why it failed.
    #[source]
    pub kind: ReleaseErrorKind,
}

/// Why a product was not delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseErrorKind {
    /// A kind of receiver that this program cannot serve.
    #[error("this build cannot deliver to {kind}: use a folder that is reachable here")]
    NotBuilt {
        /// What it cannot deliver to.
        kind: String,
    },
    /// The product's name is no plain file name.
    #[error("the product's name is no plain file name: correct the file id")]
    BadName,
    /// The receiver's folder is not there.
    #[error("the folder {} does not exist: create or mount it, then retry", path.display())]
    FolderMissing {
        /// The folder.
        path: PathBuf,
    },
    /// The receiver's folder is something else.
    #[error("{} is not a folder: correct the receiver's path", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// We may not write, list or pass the receiver's folder.
    #[error("the folder {} is not writable: let the user that runs dpm list and write it, then retry", path.display())]
    FolderNotWritable {
        /// The folder.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The receiver's folder cannot be looked at.
    #[error("the folder {} cannot be used: check the file system that holds it, then retry", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The product is not there.
    #[error("the product {} does not exist: merge it again", path.display())]
    ProductMissing {
        /// The product.
        path: PathBuf,
    },
    /// The product cannot be read.
    #[error("the product {} cannot be read: check the file system that holds it, then retry", path.display())]
    ProductUnreadable {
        /// The product.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The product is not the file that was verified after the merge.
    #[error("the product {} is damaged ({found}): do not use it, merge it again", path.display())]
    ProductDamaged {
        /// The product.
        path: PathBuf,
        /// How that shows.
        found: String,
    },
    /// The name is taken by something that is not this product; it was not touched.
    #[error("{} is there and is {found}, nothing is ever overwritten: move it away, then retry", path.display())]
    Exists {
        /// The taken name.
        path: PathBuf,
        /// What has it.
        found: &'static str,
    },
    /// The one permitted way does not work there.
    #[error("no {} can be made there: choose another mode for the receiver", method.as_str())]
    MethodUnavailable {
        /// The last way that was tried.
        method: Method,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The receiver is full.
    #[error("no space for {bytes_needed} bytes at {}: free some, then retry", path.display())]
    NoSpace {
        /// File that was to be written.
        path: PathBuf,
        /// Its size in bytes.
        bytes_needed: u64,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The receiver's file system refuses.
    #[error("{} cannot be written: check the file system that holds it, then retry", path.display())]
    Write {
        /// File that was to be written.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The delivered file got no final name, or not safely.
    #[error("it cannot be given its name at the receiver: check the folder, then retry")]
    Publish {
        /// What was refused.
        source: DurableError,
    },
    /// The one who watches ended it.
    #[error("cancelled after {bytes_done} bytes: nothing was delivered")]
    Cancelled {
        /// Bytes done by then.
        bytes_done: u64,
    },
}

impl ReleaseErrorKind {
    /// What the daemon may do next.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::FolderMissing { .. }
            | Self::Folder { .. }
            | Self::ProductUnreadable { .. }
            | Self::NoSpace { .. }
            | Self::Publish { .. }
            | Self::Cancelled { .. } => Remedy::RetryLater,
            Self::FolderNotWritable { source, .. } => match errno(source) {
                // Remounted read-only after a fault, perhaps not for long.
                Some(Errno::ROFS) => Remedy::RetryLater,
                _ => Remedy::AskOperator,
            },
            Self::Write { source, .. } => match errno(source) {
                Some(Errno::FBIG | Errno::ACCESS | Errno::PERM | Errno::NAMETOOLONG) => Remedy::AskOperator,
                _ => Remedy::RetryLater,
            },
            Self::NotBuilt { .. }
            | Self::BadName
            | Self::NotAFolder { .. }
            | Self::ProductMissing { .. }
            | Self::ProductDamaged { .. }
            | Self::Exists { .. }
            | Self::MethodUnavailable { .. } => Remedy::AskOperator,
        }
    }

    /// Sorts a refusal to write `path` of `bytes_needed` bytes.
    pub(crate) fn of_write(path: PathBuf, bytes_needed: u64, source: io::Error) -> ReleaseErrorKind {
        match errno(&source) {
            Some(Errno::NOSPC | Errno::DQUOT) => Self::NoSpace { path, bytes_needed, source },
            _ => Self::Write { path, source },
        }
    }
}

impl ReleaseError {
    /// What the daemon may do next.
    pub fn remedy(&self) -> Remedy {
        self.kind.remedy()
    }

    /// True if the one who watches ended it.
    pub fn is_cancelled(&self) -> bool {
        matches!(self.kind, ReleaseErrorKind::Cancelled { .. })
    }

    /// True if the receiver is full.
    pub fn is_no_space(&self) -> bool {
        match &self.kind {
            ReleaseErrorKind::NoSpace { .. } => true,
            ReleaseErrorKind::Publish { source } => source.is_no_space(),
            _ => false,
        }
    }
}

/// The kernel's number for what went wrong.
pub(crate) fn errno(error: &io::Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}
