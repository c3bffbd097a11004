//! Specifications dropped as files: finds whole ones, hands out their paths, files them away.
//!
//! A listing is the truth; notify only says when to look sooner, so a lost event or a file system without events
//! costs seconds and nothing else. This module reads no JSON and queues nothing: the receiver of the paths does, and
//! then calls [`Inbox::accept`] or [`Inbox::reject`]. A file that gets neither is handed out again.

mod settle;
mod watch;

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use tokio::sync::mpsc;

use crate::durable::{self, DurableError};
use crate::workspace::layout::create_real_folder;
use crate::workspace::{WorkspaceError, WorkspaceErrorKind};

/// Files of one name that are kept beside each other before filing gives up.
const SAME_NAMES_MAX: usize = 10_000;
const ACCEPTED: &str = "accepted";
const REJECTED: &str = "rejected";

/// A file of the inbox that could not be read or filed away.
#[derive(Debug, thiserror::Error)]
#[error("cannot take {} from the inbox", path.display())]
pub struct InboxError {
    /// The file.
    pub path: PathBuf,
    /// Why it could not be taken.
    #[source]
    pub kind: InboxErrorKind,
}

/// Why a file of the inbox could not be read or filed away.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InboxErrorKind {
    /// The path does not lie directly in the inbox.
    #[error("it does not lie in the inbox")]
    Outside,
    /// A folder, link, pipe or device.
    #[error("it is no regular file")]
    NotAFile,
    /// Longer than a specification may be.
    #[error("it is longer than the {limit} bytes allowed")]
    TooLarge {
        /// Most bytes.
        limit: u64,
    },
    /// Not text.
    #[error("it is not UTF-8 from byte {offset} on")]
    NotText {
        /// 0-based offset of the first bad byte.
        offset: usize,
    },
    /// The folder for it is full of files of the same name.
    #[error("there are {SAME_NAMES_MAX} files of that name already: clear the folder")]
    TooManySameNames,
    /// A durable change failed.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The file system refuses to read.
    #[error("the file system refuses")]
    Io {
        /// The kernel's answer.
        #[from]
        source: io::Error,
    },
}

impl InboxErrorKind {
    /// True if the file itself is at fault, so that it should be rejected and not looked at again.
    pub fn is_of_file(&self) -> bool {
        match self {
            Self::NotAFile | Self::TooLarge { .. } | Self::NotText { .. } => true,
            Self::Outside | Self::TooManySameNames | Self::Durable(_) | Self::Io { .. } => false,
        }
    }
}

/// An inbox folder; while it is watched, dropping this ends the watching.
#[derive(Debug)]
pub struct Inbox {
    folder: PathBuf,
    #[cfg_attr(not(test), expect(dead_code, reason = "held for its drop, which ends the thread"))]
    watch: Option<watch::Watch>,
}

impl Inbox {
    /// Opens the inbox without watching it; makes `accepted/` and `rejected/`.
    ///
    /// # Errors
    ///
    /// [`WorkspaceErrorKind::NotAFolder`] or [`WorkspaceErrorKind::Durable`] if the folders cannot be made.
    pub fn open(folder: &Path) -> Result<Inbox, WorkspaceError> {
        for path in [folder.to_path_buf(), folder.join(ACCEPTED), folder.join(REJECTED)] {
            create_real_folder(&path)?;
        }
        Ok(Inbox { folder: folder.to_path_buf(), watch: None })
    }

    /// Opens the inbox and sends the path of each whole file that lies in it or comes, on a thread of its own.
    ///
    /// A file counts when its name ends in `.json` and is not hidden, it is regular, and neither size nor time of
    /// change have moved for half a second (an empty one: five seconds). To drop a file safely, write it under
    /// another name and rename it. The thread waits while `paths` is full, and ends when it is closed.
    ///
    /// # Errors
    ///
    /// As [`Inbox::open`]; [`WorkspaceErrorKind::Io`] if no thread can be started.
    pub fn watch(folder: &Path, paths: mpsc::Sender<PathBuf>) -> Result<Inbox, WorkspaceError> {
        let inbox = Inbox::open(folder)?;
        let watch = watch::start(folder, paths)
            .map_err(|source| WorkspaceError { path: folder.to_path_buf(), kind: WorkspaceErrorKind::Io { source } })?;
        Ok(Inbox { watch: Some(watch), ..inbox })
    }

    /// Reads a file of the inbox, of `limit` bytes at most.
    ///
    /// # Errors
    ///
    /// [`InboxErrorKind::NotAFile`], [`InboxErrorKind::TooLarge`], [`InboxErrorKind::NotText`]: reject it then.
    pub fn read(&self, path: &Path, limit: u64) -> Result<String, InboxError> {
        self.read_kind(path, limit).map_err(|kind| InboxError { path: path.to_path_buf(), kind })
    }

    /// Moves a file to `accepted/NAME` (`NAME.1` and so on where that is taken); gives its new path.
    ///
    /// # Errors
    ///
    /// [`InboxErrorKind::Outside`], or [`InboxErrorKind::Durable`] if the file is gone or the disk refuses.
    pub fn accept(&self, path: &Path) -> Result<PathBuf, InboxError> {
        self.file_away(path, ACCEPTED, None).map_err(|kind| InboxError { path: path.to_path_buf(), kind })
    }

    /// Moves a file to `rejected/NAME` (or `NAME.1` ...) and writes `reason` beside it as `NAME.reason`.
    ///
    /// Gives the new path of the file. The reason is there before the file is.
    ///
    /// # Errors
    ///
    /// [`InboxErrorKind::Outside`], or [`InboxErrorKind::Durable`] if the file is gone or the disk refuses.
    pub fn reject(&self, path: &Path, reason: &str) -> Result<PathBuf, InboxError> {
        self.file_away(path, REJECTED, Some(reason)).map_err(|kind| InboxError { path: path.to_path_buf(), kind })
    }

    fn read_kind(&self, path: &Path, limit: u64) -> Result<String, InboxErrorKind> {
        self.name_of(path)?;
        // Neither a link nor a pipe put there meanwhile may lead elsewhere or make us wait.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let file = match OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
            // A link gives ELOOP, a socket ENXIO.
            Err(source)
                if matches!(source.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::LOOP | Errno::NXIO)) =>
            {
                return Err(InboxErrorKind::NotAFile);
            }
            outcome => outcome?,
        };
        if !file.metadata()?.is_file() {
            return Err(InboxErrorKind::NotAFile);
        }
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(InboxErrorKind::TooLarge { limit });
        }
        String::from_utf8(bytes).map_err(|error| InboxErrorKind::NotText { offset: error.utf8_error().valid_up_to() })
    }

    fn file_away(&self, path: &Path, folder: &str, reason: Option<&str>) -> Result<PathBuf, InboxErrorKind> {
        let name = self.name_of(path)?;
        let folder = self.folder.join(folder);
        // Only a file that is there may get a reason: else each repeated call would leave one behind.
        path.symlink_metadata()?;
        for count in 0..SAME_NAMES_MAX {
            let new_name = if count == 0 { name.to_owned() } else { format!("{name}.{count}") };
            let target = folder.join(&new_name);
            let reason_path = folder.join(format!("{new_name}.reason"));
            if target.symlink_metadata().is_ok() || !put_reason(&reason_path, reason)? {
                continue;
            }
            match durable::publish(path, &target) {
                Ok(()) => return Ok(target),
                Err(error) => {
                    if reason.is_some() {
                        durable::remove_file(&reason_path)?;
                    }
                    if !error.is_exists() {
                        return Err(error.into());
                    }
                }
            }
        }
        Err(InboxErrorKind::TooManySameNames)
    }

    /// Name of a file that lies directly in the inbox.
    fn name_of<'p>(&self, path: &'p Path) -> Result<&'p str, InboxErrorKind> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(InboxErrorKind::Outside)?;
        if path.parent() == Some(self.folder.as_path()) { Ok(name) } else { Err(InboxErrorKind::Outside) }
    }
}

/// False if another file's reason has the name.
fn put_reason(path: &Path, reason: Option<&str>) -> Result<bool, InboxErrorKind> {
    let Some(reason) = reason else { return Ok(true) };
    match durable::write_new(path, reason.as_bytes()) {
        Ok(()) => Ok(true),
        // Left by a call that was killed before it moved the file.
        Err(error) if error.is_exists() => Ok(is_text(path, reason)),
        Err(error) => Err(error.into()),
    }
}

fn is_text(path: &Path, text: &str) -> bool {
    let same_size =
        path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == text.len() as u64);
    same_size && std::fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes())
}

#[cfg(test)]
mod tests;
