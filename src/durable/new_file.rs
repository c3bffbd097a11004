//! A file that appears under its name whole, or never.
//!
//! Where the file system can (`O_TMPFILE`, open(2)), the file has no name until it is published, so that even
//! SIGKILL leaves nothing behind. Elsewhere it has a hidden name beside the final one, removed on drop.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::durable::{self, DurableError, DurableErrorKind};

/// A file under construction.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    final_path: PathBuf,
    /// The hidden name, where the file system knows no nameless files.
    hidden: Option<PathBuf>,
    /// True once all that was written is on disk.
    is_synced: bool,
    durability: Durability,
}

/// Whether publishing a file waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Content and name survive a power cut.
    Synced,
    /// The content does, but the name may go: for a file whose owner looks for it after a restart and can make it
    /// again. Spares the fsync of the folder.
    Content,
    /// They survive the end of the process; who wants more syncs later (sync(1), `sync FILE`).
    Unsynced,
}

/// May a published file replace one that is there?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// No: publishing fails with `AlreadyExists`.
    Never,
    /// Yes, in one rename.
    Allowed,
}

impl NewFile {
    /// Creates the file in the folder of `path`. Nothing is visible under `path` before [`NewFile::publish`].
    ///
    /// # Errors
    ///
    /// The system's answer: the folder is missing, read-only, full.
    pub fn create(path: &Path) -> io::Result<NewFile> {
        let folder = parent(path);
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::openat(CWD, folder, flags, Mode::from_raw_mode(0o666)) {
            Ok(descriptor) => Ok(NewFile {
                file: File::from(descriptor),
                final_path: path.to_owned(),
                hidden: None,
                is_synced: false,
                durability: Durability::Synced,
            }),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
                NewFile::create_hidden(path)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn create_hidden(path: &Path) -> io::Result<NewFile> {
        let hidden = hidden_name(path).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&hidden)?;
        Ok(NewFile {
            file,
            final_path: path.to_owned(),
            hidden: Some(hidden),
            is_synced: false,
            durability: Durability::Synced,
        })
    }

    /// Publishes later as `durability` says; without this, synced.
    #[must_use]
    pub fn with_durability(mut self, durability: Durability) -> NewFile {
        self.durability = durability;
        self
    }

    /// The open file, for writing.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Brings what was written to the disk, so that it can be judged before it gets its name.
    ///
    /// # Errors
    ///
    /// [`DurableErrorKind::Sync`]: the file is suspect and must be made again.
    pub fn sync(&mut self) -> Result<(), DurableError> {
        self.file
            .sync_all()
            .map_err(|source| DurableError::of_kind("sync", &self.final_path, DurableErrorKind::Sync { source }))?;
        self.is_synced = true;
        Ok(())
    }

    /// Gives the file its name, synced ([`NewFile::sync`], which is done here where it was not); the name survives a
    /// power cut on return, unless [`NewFile::with_durability`] asked for less.
    ///
    /// A replaced file hands on its permissions.
    ///
    /// # Errors
    ///
    /// [`DurableError`]; where the name is taken and `replace` is [`Replace::Never`], nothing was touched.
    pub fn publish(mut self, replace: Replace) -> Result<(), DurableError> {
        if replace == Replace::Allowed {
            self.take_permissions();
        }
        if !self.is_synced && self.durability != Durability::Unsynced {
            self.sync()?;
        }
        let hidden = match self.hidden.take() {
            Some(hidden) => hidden,
            None if replace == Replace::Never => return self.link(&self.final_path),
            None => {
                let hidden = hidden_name(&self.final_path)?;
                self.link(&hidden)?;
                hidden
            }
        };
        match (replace, self.durability) {
            (Replace::Never, Durability::Unsynced) => durable::rename_new(&hidden, &self.final_path),
            (Replace::Allowed, Durability::Unsynced) => durable::rename_over(&hidden, &self.final_path),
            (Replace::Never, _) => durable::publish(&hidden, &self.final_path),
            (Replace::Allowed, _) => durable::replace(&hidden, &self.final_path),
        }
        .inspect_err(|_| {
            // The file is lost either way; a hidden left-over is removed if it can be.
            let _ = std::fs::remove_file(&hidden);
        })
    }

    fn take_permissions(&self) {
        if let Ok(metadata) = std::fs::metadata(&self.final_path) {
            // Permissions are a courtesy to the replaced file's readers; the product matters more.
            let _ = self.file.set_permissions(PermissionsExt::from_mode(metadata.permissions().mode() & 0o7777));
        }
    }

    /// Gives a nameless file a name (linkat(2), the /proc form that needs no privilege).
    fn link(&self, path: &Path) -> Result<(), DurableError> {
        let descriptor = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        rustix::fs::linkat(CWD, descriptor, CWD, path, AtFlags::SYMLINK_FOLLOW)
            .map_err(|error| DurableError::new("publish", path, error.into()))?;
        if self.durability != Durability::Synced {
            return Ok(());
        }
        durable::sync_directory(parent(path)).inspect_err(|_| {
            // A name that a power cut may take away is none: whoever hears of the error finds nothing here.
            let _ = std::fs::remove_file(path);
        })
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            // Nobody can act on a failure here; recovery removes hidden files.
            let _ = std::fs::remove_file(hidden);
        }
    }
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A name beside `path` that nothing has: what a dead process with our id left there is removed. Recovery knows
/// such names ([`durable::remove_temporaries`]).
fn hidden_name(path: &Path) -> Result<PathBuf, DurableError> {
    let hidden = durable::temporary_beside(path)?;
    // Mostly there is nothing; what cannot be removed will be in the way at once.
    let _ = std::fs::remove_file(&hidden);
    Ok(hidden)
}

#[cfg(test)]
mod tests;
