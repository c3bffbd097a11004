//! Reads headers of a file with few system calls: a window that grows while headers lie close together.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::fits::BLOCK_BYTES;
use crate::fits::hdu::ReadAt;

/// Window after a jump over a large data unit: a typical extension header.
const SMALL_WINDOW: usize = 4 * BLOCK_BYTES;
/// Window while the file is read front to back: many small HDUs.
const LARGE_WINDOW: usize = 64 * BLOCK_BYTES;

/// A file behind [`ReadAt`].
#[derive(Debug)]
pub struct FileReader<'a> {
    file: &'a File,
    window: RefCell<Window>,
}

#[derive(Debug, Default)]
struct Window {
    offset: u64,
    bytes: Vec<u8>,
}

impl<'a> FileReader<'a> {
    /// Reads `file`, whose own position is not used.
    pub fn new(file: &'a File) -> FileReader<'a> {
        FileReader { file, window: RefCell::default() }
    }

    /// Reads `count` bytes at `offset`.
    ///
    /// # Errors
    ///
    /// The system's answer; `UnexpectedEof` where the file ends earlier.
    pub fn read_range(&self, offset: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        let mut done = 0;
        while done < count {
            match self.read_at(offset + done as u64, &mut bytes[done..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => done += read,
            }
        }
        Ok(bytes)
    }
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

    fn fill(&mut self, file: &File, offset: u64) -> io::Result<()> {
        let is_near = offset >= self.offset && offset <= self.end() + LARGE_WINDOW as u64 && !self.bytes.is_empty();
        let wanted = if is_near { LARGE_WINDOW } else { SMALL_WINDOW };
        self.bytes.resize(wanted, 0);
        self.offset = offset;
        let count = loop {
            match file.read_at(&mut self.bytes, offset) {
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
        window.fill(self.file, offset)?;
        Ok(window.copy_to(offset, buffer).unwrap_or(0))
    }

    fn byte_count(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }
}
