//! Reads the inputs of a merge: large parts directly and ahead of need, small HDUs through a window.

use std::fs::File;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use rustix::fs::Advice;
use rustix::io::ReadWriteFlags;

use crate::fits::hdu::ReadAt;
use crate::merge::content::Content;
use crate::merge::execute::ExecuteError;
use crate::merge::fingerprint::Fingerprint;
use crate::merge::plan::{HduPlan, HeaderPlan};
use crate::merge::reader::read_exact_at;

/// An input, open for the whole merge.
#[derive(Debug)]
pub struct OpenInput {
    /// Name of its source, for messages.
    pub label: String,
    /// Where it was opened.
    pub path: PathBuf,
    /// The open file, as it lies: compressed where [`OpenInput::content`] says so.
    pub file: File,
    /// How its bytes are read: places of a plan are places in the content.
    pub content: Content,
    /// What it was when it was opened.
    pub fingerprint: Fingerprint,
}

/// Reads of this size are worth asking first whether they would wait for the disk.
const LARGE_READ_BYTES: usize = 256 * 1024;
/// How far the kernel is asked to read ahead of a read that waits for the disk: deep enough to keep a fast disk busy.
const READ_AHEAD_BYTES: u64 = 16 * 1024 * 1024;

impl OpenInput {
    /// Where the places of a plan are read: the file, or what it expands to.
    pub fn bytes(&self) -> &dyn ReadAt {
        match &self.content {
            Content::Plain => &self.file,
            Content::Gzip(content) => content.as_ref(),
        }
    }

    /// True if the file is read as it lies: at any place, by several threads, and shared with a product.
    pub fn is_plain(&self) -> bool {
        matches!(self.content, Content::Plain)
    }

    /// Fills `room` with the bytes of the content at `offset`. Cheap in ascending order; see [`Content`].
    ///
    /// # Errors
    ///
    /// [`ExecuteError::SourceChanged`] where the file has become shorter; [`ExecuteError::Read`].
    pub(crate) fn read_exact(&self, offset: u64, room: &mut [u8]) -> Result<(), ExecuteError> {
        match self.content {
            Content::Plain => self.read_file(offset, room),
            Content::Gzip(_) => self.explained(offset, read_exact_at(self.bytes(), offset, room)),
        }
    }

    /// Fills `room` with the bytes of the file at `offset`, as they lie.
    ///
    /// A large read that is not in the page cache asks the kernel to read ahead, because two threads that read one
    /// file in turn do not look sequential to it; one that is costs nothing more.
    pub(crate) fn read_file(&self, offset: u64, room: &mut [u8]) -> Result<(), ExecuteError> {
        let cached = if room.len() >= LARGE_READ_BYTES { self.read_cached(offset, room) } else { 0 };
        if cached == room.len() {
            return Ok(());
        }
        if room.len() >= LARGE_READ_BYTES {
            // Only a hint: without it the read below waits longer.
            let _ = rustix::fs::fadvise(&self.file, offset, NonZeroU64::new(READ_AHEAD_BYTES), Advice::WillNeed);
        }
        let offset = offset + cached as u64;
        self.explained(offset, self.file.read_exact_at(&mut room[cached..], offset))
    }

    fn explained(&self, offset: u64, outcome: io::Result<()>) -> Result<(), ExecuteError> {
        outcome.map_err(|source| match source.kind() {
            // Its headers promised these bytes when it was planned.
            io::ErrorKind::UnexpectedEof => self.changed(),
            _ => self.unreadable(offset, source),
        })
    }

    /// Lets the page cache drop `bytes` bytes at `offset`, which nobody here reads again.
    pub(crate) fn forget(&self, offset: u64, bytes: u64) {
        if self.is_plain() {
            // Only a hint: without it the pages go when others need the memory.
            let _ = rustix::fs::fadvise(&self.file, offset, NonZeroU64::new(bytes), Advice::DontNeed);
        }
    }

    /// Reads what is in the page cache already (preadv2(2), RWF_NOWAIT); 0 where that cannot be told.
    fn read_cached(&self, offset: u64, room: &mut [u8]) -> usize {
        let mut rooms = [io::IoSliceMut::new(room)];
        rustix::io::preadv2(&self.file, &mut rooms, offset, ReadWriteFlags::NOWAIT).unwrap_or(0)
    }

    /// Proves that the file is still what it was when it was opened.
    ///
    /// # Errors
    ///
    /// [`ExecuteError::SourceChanged`].
    pub(crate) fn check_unchanged(&self) -> Result<(), ExecuteError> {
        match Fingerprint::of(&self.file) {
            Ok(now) if now == self.fingerprint => Ok(()),
            Ok(_) => Err(self.changed()),
            Err(source) => Err(self.unreadable(0, source)),
        }
    }

    fn changed(&self) -> ExecuteError {
        ExecuteError::SourceChanged { label: self.label.clone(), path: self.path.clone() }
    }

    fn unreadable(&self, offset: u64, source: io::Error) -> ExecuteError {
        ExecuteError::Read { label: self.label.clone(), path: self.path.clone(), offset, source }
    }
}

/// Small HDUs of one input that lie side by side there, read at once.
#[derive(Debug, Default)]
pub(crate) struct Window {
    input: usize,
    offset: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// Holds what the first of `hdus` needs, and the next ones as far as they follow it within `limit` bytes.
    pub(crate) fn advance(&mut self, inputs: &[OpenInput], hdus: &[HduPlan], limit: u64) -> Result<(), ExecuteError> {
        let Some(first) = hdus.first().and_then(span) else { return Ok(()) };
        if self.holds(first.input, first.start, first.end - first.start) {
            return Ok(());
        }
        let mut end = first.end;
        for next in hdus[1..].iter().map_while(span) {
            if next.input != first.input || next.start < end || next.end - first.start > limit {
                break;
            }
            end = next.end;
        }
        // A single HDU may exceed the limit: then it is what must be read anyway.
        self.bytes.resize((end - first.start) as usize, 0);
        (self.input, self.offset) = (first.input, first.start);
        inputs[first.input].read_exact(first.start, &mut self.bytes).inspect_err(|_| self.bytes.clear())
    }

    /// Bytes of `input` that [`Window::advance`] brought.
    pub(crate) fn get(&self, input: usize, offset: u64, count: u64) -> Option<&[u8]> {
        if !self.holds(input, offset, count) {
            return None;
        }
        let start = (offset - self.offset) as usize;
        self.bytes.get(start..start + count as usize)
    }

    fn holds(&self, input: usize, offset: u64, count: u64) -> bool {
        let end = self.offset + self.bytes.len() as u64;
        self.input == input && offset >= self.offset && offset + count <= end
    }
}

/// What an HDU needs of its input: from its header to the end of its data, which follow one another in every file.
struct Span {
    input: usize,
    start: u64,
    end: u64,
}

fn span(hdu: &HduPlan) -> Option<Span> {
    let data =
        hdu.data.as_ref().map(|data| Span { input: data.input, start: data.offset, end: data.offset + data.bytes });
    match (&hdu.header, data) {
        (HeaderPlan::Complete(_), data) => data,
        (HeaderPlan::Patched { input, offset, bytes, .. }, data) => {
            let end = data.map_or(offset + bytes, |data| data.end);
            Some(Span { input: *input, start: *offset, end })
        }
    }
}
