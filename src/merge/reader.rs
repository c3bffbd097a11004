//! Reads headers of a file with few system calls: a window that grows while headers lie close together.
//!
//! It asks its source in ascending order as long as it is asked so itself: what is read front to back stays that.

use std::cell::{Cell, RefCell};
use std::io;

use crate::fits::BLOCK_BYTES;
use crate::fits::hdu::ReadAt;

/// Window after a jump over a large data unit: a typical extension header.
const SMALL_WINDOW: usize = 4 * BLOCK_BYTES;
/// Window while the file is read front to back: many small HDUs.
const LARGE_WINDOW: usize = 64 * BLOCK_BYTES;

/// A window on a file, or on another source.
pub struct FileReader<'a> {
    source: &'a dyn ReadAt,
    byte_count: Cell<Option<u64>>,
    window: RefCell<Window>,
}

#[derive(Debug, Default)]
struct Window {
    offset: u64,
    bytes: Vec<u8>,
}

impl<'a> FileReader<'a> {
    /// Reads `source`; the own position of a file is not used.
    pub fn new(source: &'a dyn ReadAt) -> FileReader<'a> {
        FileReader { source, byte_count: Cell::default(), window: RefCell::default() }
    }

    /// The same, for a source that is known to have `byte_count` bytes: it is never asked, nor read behind its end.
    pub fn of_size(source: &'a dyn ReadAt, byte_count: u64) -> FileReader<'a> {
        FileReader { source, byte_count: Cell::new(Some(byte_count)), window: RefCell::default() }
    }

    /// Reads `count` bytes at `offset`.
    ///
    /// # Errors
    ///
    /// The system's answer; `UnexpectedEof` where the file ends earlier.
    pub fn read_range(&self, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        read_exact_at(self, offset, &mut bytes)?;
        Ok(bytes)
    }
}

/// Fills `room` from `offset` of `source` on, across short reads and interruptions.
///
/// # Errors
///
/// What the source says; `UnexpectedEof` where it ends earlier.
pub fn read_exact_at(source: &dyn ReadAt, offset: u64, room: &mut [u8]) -> io::Result<()> {
    let mut done = 0;
    while done < room.len() {
        match source.read_at(offset.saturating_add(done as u64), &mut room[done..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Window {
    fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    fn copy_to(&self, offset: u64, buffer: &mut [u8]) -> Option<usize> {
        let start = usize::try_from(offset.checked_sub(self.offset)?).ok()?;
        let held = self.bytes.get(start..).filter(|held| !held.is_empty())?;
        let count = held.len().min(buffer.len());
        buffer[..count].copy_from_slice(&held[..count]);
        Some(count)
    }

    fn fill(&mut self, source: &dyn ReadAt, offset: u64) -> io::Result<()> {
        let is_near = offset >= self.offset && offset <= self.end() + LARGE_WINDOW as u64 && !self.bytes.is_empty();
        let wanted = if is_near { LARGE_WINDOW } else { SMALL_WINDOW };
        self.bytes.resize(wanted, 0);
        self.offset = offset;
        let count = loop {
            match source.read_at(offset, &mut self.bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.bytes.truncate(*count.as_ref().unwrap_or(&0));
        count.map(|_| ())
    }
}

impl ReadAt for FileReader<'_> {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut window = self.window.borrow_mut();
        if let Some(count) = window.copy_to(offset, buffer) {
            return Ok(count);
        }
        if self.byte_count.get().is_some_and(|count| offset >= count) {
            return Ok(0);
        }
        window.fill(self.source, offset)?;
        Ok(window.copy_to(offset, buffer).unwrap_or(0))
    }

    fn byte_count(&self) -> io::Result<u64> {
        if let Some(count) = self.byte_count.get() {
            return Ok(count);
        }
        let count = self.source.byte_count()?;
        self.byte_count.set(Some(count));
        Ok(count)
    }

    fn reaches(&self, bytes: u64) -> io::Result<bool> {
        match self.byte_count.get() {
            Some(count) => Ok(bytes <= count),
            None if bytes <= self.window.borrow().end() => Ok(true),
            None => self.source.reaches(bytes),
        }
    }
}
