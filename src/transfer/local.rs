//! Files on this machine as a [`Source`].
//!
//! Opens regular files only and never waits for one: a FIFO, a device or a folder is a typed error at once. Does not
//! rename or remove a source (handover is [`crate::transfer::collect()`]'s) and gives no final names.

use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::durable::FILE_MODE;
use crate::merge::fingerprint::Fingerprint;
use crate::transfer::copy::{clone_whole, copy_whole, digest_whole};
use crate::transfer::error::{Origin, TransferError, TransferErrorKind, errno};
use crate::transfer::partial::PartialFile;
use crate::transfer::plan::Step;
use crate::transfer::source::{Control, Fetched, Probe, Source};

/// Age from which a file's times tell every further change: coarser than the kernel's clock tick (1 to 10 ms).
const SETTLED: Duration = Duration::from_millis(20);

/// A file on this machine, or on a network file system that is mounted here.
#[derive(Clone, Debug)]
pub struct LocalSource {
    origin: Origin,
    path: PathBuf,
}

impl LocalSource {
    /// Names the file `path` as the one of the specification's `location`; `ordinal` is its 0-based position.
    pub fn new(ordinal: usize, location: impl Into<String>, path: impl Into<PathBuf>) -> LocalSource {
        LocalSource { origin: Origin { ordinal, location: location.into() }, path: path.into() }
    }

    /// Which file errors are about.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Reads the file once; gives its BLAKE3 (lower-case hex), and feeds each piece to `also`.
    ///
    /// # Errors
    ///
    /// As [`Source::fetch`], step [`Step::Verify`].
    pub(crate) fn digest(
        &self,
        also: &mut dyn io::Write,
        control: &dyn Control,
    ) -> Result<(String, Fingerprint), TransferError> {
        let step = Step::Verify;
        let (file, before) = self.open(step)?;
        let digest = digest_whole(&file, before.bytes, also, control)
            .map_err(|error| self.fail(step, TransferErrorKind::of_copy(self.path.clone(), before.bytes, error)))?;
        self.check_unchanged(step, &file, &before)?;
        Ok((digest, before))
    }

    /// Opens the file for reading, once its times are old enough to show the next change.
    pub(crate) fn open(&self, step: Step) -> Result<(File, Fingerprint), TransferError> {
        let fail = |error| self.fail(step, kind_of_open(error));
        let (file, fingerprint) = open_regular(&self.path).map_err(|error| self.fail(step, error))?;
        let age = crate::clock::now().as_nanosecond() - fingerprint.changed_ns;
        if (0..SETTLED.as_nanos().cast_signed()).contains(&age) {
            // A write in the same clock tick as our look would leave the times as they are.
            std::thread::sleep(SETTLED);
            let fingerprint = Fingerprint::of(&file).map_err(fail)?;
            return Ok((file, fingerprint));
        }
        Ok((file, fingerprint))
    }

    /// Compares the open file, and what now has its name, with the state before it was read.
    fn check_unchanged(&self, step: Step, file: &File, before: &Fingerprint) -> Result<(), TransferError> {
        let changed = |how: &str| self.fail(step, TransferErrorKind::SourceChanged { how: how.to_owned() });
        let after = Fingerprint::of(file).map_err(|error| self.fail(step, kind_of_open(error)))?;
        if after != *before {
            return Err(changed("was written to"));
        }
        match self.path.metadata() {
            Ok(metadata) if Fingerprint::of_metadata(&metadata).is_same_file(before) => Ok(()),
            Ok(_) => Err(changed("was replaced by another file")),
            Err(_) => Err(changed("was removed")),
        }
    }

    /// Fills the empty `to`; gives the digest unless the bytes were cloned.
    fn fill(
        &self,
        from: &File,
        bytes: u64,
        to: &PartialFile,
        path: &Path,
        control: &dyn Control,
    ) -> Result<Option<String>, TransferErrorKind> {
        let cloned = clone_whole(from, to.file())
            .map_err(|source| TransferErrorKind::of_write(path.to_path_buf(), bytes, source))?;
        if !cloned {
            return copy_whole(from, to.file(), bytes, control)
                .map(Some)
                .map_err(|error| TransferErrorKind::of_copy(path.to_path_buf(), bytes, error));
        }
        control.progress(bytes, bytes);
        Ok(None)
    }

    fn fail(&self, step: Step, kind: TransferErrorKind) -> TransferError {
        self.origin.error(step, kind)
    }
}

impl Source for LocalSource {
    fn probe(&self) -> Result<Probe, TransferError> {
        let (_, fingerprint) = self.open(Step::Probe)?;
        Ok(Probe { bytes: fingerprint.bytes, fingerprint: Some(fingerprint) })
    }

    /// Reflinks where the file system can, else copies. A local copy always starts anew.
    fn fetch(&self, to: &Path, control: &dyn Control) -> Result<Fetched, TransferError> {
        let step = Step::Fetch;
        let (file, before) = self.open(step)?;
        if control.is_cancelled() {
            return Err(self.fail(step, TransferErrorKind::Cancelled { bytes_done: 0 }));
        }
        let partial = PartialFile::create(to, FILE_MODE)
            .map_err(|source| self.fail(step, TransferErrorKind::of_write(to.to_path_buf(), before.bytes, source)))?;
        let digest = self.fill(&file, before.bytes, &partial, to, control).map_err(|kind| self.fail(step, kind))?;
        self.check_unchanged(step, &file, &before)?;
        partial.keep();
        Ok(Fetched { bytes: before.bytes, digest, fingerprint: Some(before) })
    }
}

/// Opens the regular file `path`, following symbolic links, without ever waiting.
fn open_regular(path: &Path) -> Result<(File, Fingerprint), TransferErrorKind> {
    // Looked at before it is opened: opening some devices does something. The open file is what counts.
    let metadata = path.metadata().map_err(kind_of_open)?;
    check_regular(metadata.file_type())?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file =
        OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path).map_err(kind_of_open)?;
    let metadata = file.metadata().map_err(kind_of_open)?;
    check_regular(metadata.file_type())?;
    Ok((file, Fingerprint::of_metadata(&metadata)))
}

fn check_regular(found: FileType) -> Result<(), TransferErrorKind> {
    if found.is_file() { Ok(()) } else { Err(TransferErrorKind::NotAFile { found: name_of(found) }) }
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "a folder",
        kind if kind.is_fifo() => "a FIFO",
        kind if kind.is_socket() => "a socket",
        kind if kind.is_char_device() => "a character device",
        kind if kind.is_block_device() => "a block device",
        _ => "something unknown",
    }
}

fn kind_of_open(source: io::Error) -> TransferErrorKind {
    match errno(&source) {
        Some(Errno::NOENT | Errno::NOTDIR) => TransferErrorKind::Missing,
        Some(Errno::LOOP) => TransferErrorKind::SymlinkLoop,
        Some(Errno::ACCESS | Errno::PERM) => TransferErrorKind::NotPermitted { source },
        // Replaced by a socket between our two looks.
        Some(Errno::NXIO) => TransferErrorKind::NotAFile { found: "a socket" },
        _ => TransferErrorKind::Open { source },
    }
}

#[cfg(test)]
mod tests;
