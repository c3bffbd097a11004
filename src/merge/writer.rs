//! The product's file while it is written: any thread writes its own part, each byte once.
//!
//! Who waits for the disk at the end hands over windows of written bytes early, so that the disk works while the merge
//! does, and so that a product larger than memory does not push out what the acquisition has cached.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::Advice;
use rustix::io::Errno;

/// Bytes that are handed to the disk at once: enough for long writes, little enough that the last ones are soon done.
const WINDOW_BYTES: u64 = 8 * 1024 * 1024;
/// Windows between a hand-over and the drop of what is then on the disk.
const DROP_DISTANCE: u64 = 4;

/// A write that failed, and where.
#[derive(Debug)]
pub(crate) struct WriteFailure {
    pub(crate) offset: u64,
    pub(crate) source: io::Error,
}

/// When written bytes go to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteBehind {
    /// When the system likes: for who does not wait for the disk.
    Never,
    /// While the rest is still being written; the page cache keeps them.
    Start,
    /// The same, and the page cache lets go of them: for products that would fill it.
    Drop,
}

/// The file under construction.
#[derive(Debug)]
pub(crate) struct ProductFile<'a> {
    file: &'a File,
    write_behind: WriteBehind,
    written: AtomicU64,
}

impl ProductFile<'_> {
    /// Writes into `file`, which is empty.
    pub(crate) fn new(file: &File, write_behind: WriteBehind) -> ProductFile<'_> {
        ProductFile { file, write_behind, written: AtomicU64::new(0) }
    }

    /// Writes `bytes` at `offset`.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), WriteFailure> {
        self.file.write_all_at(bytes, offset).map_err(|source| WriteFailure { offset, source })?;
        self.hand_over(bytes.len() as u64);
        Ok(())
    }

    /// Shares `count` bytes of `source` with the product (copy_file_range(2), which makes reflinks where both files
    /// and their offsets allow it); gives how many bytes of the range it could not: they are to be copied.
    pub(crate) fn share(&self, source: &File, from: u64, to: u64, count: u64) -> Result<u64, WriteFailure> {
        let mut done = 0;
        while done < count {
            let (mut read_at, mut write_at) = (from + done, to + done);
            let wanted = usize::try_from(count - done).unwrap_or(usize::MAX);
            match rustix::fs::copy_file_range(source, Some(&mut read_at), self.file, Some(&mut write_at), wanted) {
                Ok(0) | Err(Errno::OPNOTSUPP | Errno::XDEV | Errno::INVAL | Errno::NOSYS) => break,
                Ok(copied) => done += copied as u64,
                Err(Errno::INTR) => {}
                Err(error) => return Err(WriteFailure { offset: to + done, source: error.into() }),
            }
        }
        Ok(count - done)
    }

    /// Starts the write-back of earlier windows. Threads write roughly in order, so a window that was counted full is
    /// nearly full; what is missed goes to the disk at the end.
    ///
    /// `POSIX_FADV_DONTNEED` starts the write-back of dirty pages and drops clean ones (Linux, mm/fadvise.c).
    fn hand_over(&self, bytes: u64) {
        if self.write_behind == WriteBehind::Never {
            return;
        }
        let before = self.written.fetch_add(bytes, Ordering::Relaxed);
        for window in before / WINDOW_BYTES..(before + bytes) / WINDOW_BYTES {
            self.advise(window.checked_sub(1));
            if self.write_behind == WriteBehind::Drop {
                self.advise(window.checked_sub(DROP_DISTANCE));
            }
        }
    }

    fn advise(&self, window: Option<u64>) {
        if let Some(window) = window {
            // Only a hint: without it the bytes go to the disk later.
            let _ =
                rustix::fs::fadvise(self.file, window * WINDOW_BYTES, NonZeroU64::new(WINDOW_BYTES), Advice::DontNeed);
        }
    }
}
