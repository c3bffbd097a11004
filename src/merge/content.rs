//! The bytes of an input as a merge sees them: those of its file, or what its gzip data expands to.
//!
//! No expanded copy is kept. Gzip data can only be read front to back: an earlier place is reached by starting anew,
//! which a merge does once, because it describes an input first and copies it then, each time in order of the file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::fits::hdu::ReadAt;
use crate::merge::gzip::{GZIP_MAGIC, GzipError, GzipLimits, GzipStream};

/// Times that gzip data may be started: far more than reading in order needs, too few to cost much.
const STARTS_MAX: u32 = 16;

impl ReadAt for File {
    fn read_at(&self, offset: u64, room: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, room, offset)
    }

    fn byte_count(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }
}

impl ReadAt for Arc<File> {
    fn read_at(&self, offset: u64, room: &mut [u8]) -> io::Result<usize> {
        ReadAt::read_at(self.as_ref(), offset, room)
    }

    fn byte_count(&self) -> io::Result<u64> {
        self.as_ref().byte_count()
    }
}

/// How the bytes of an input come out of its file.
#[derive(Debug)]
pub enum Content {
    /// As they lie there: they may be read at any place, cloned and mapped.
    Plain,
    /// Expanded on the way.
    Gzip(Box<GzipContent>),
}

impl Content {
    /// Looks at the first bytes of `file`; its name says nothing.
    ///
    /// # Errors
    ///
    /// The system's answer.
    pub fn of(file: &File, limits: GzipLimits) -> io::Result<Content> {
        let mut magic = [0; GZIP_MAGIC.len()];
        match file.read_exact_at(&mut magic, 0) {
            Ok(()) if magic == GZIP_MAGIC => Ok(Content::Gzip(Box::new(GzipContent::new(file.try_clone()?, limits)))),
            Ok(()) => Ok(Content::Plain),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Content::Plain),
            Err(error) => Err(error),
        }
    }
}

/// The content of a gzip file. Memory: that of a [`GzipStream`] while it is read, nothing once its end was reached.
#[derive(Debug)]
pub struct GzipContent {
    file: Arc<File>,
    limits: GzipLimits,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    stream: Option<GzipStream<Arc<File>>>,
    starts: u32,
    end: Option<End>,
}

/// What is known once the content was read to its end, and so was found good.
#[derive(Clone, Copy, Debug)]
struct End {
    bytes: u64,
    padding: u64,
}

impl GzipContent {
    /// Expands `file`, whose own position is not used.
    pub fn new(file: File, limits: GzipLimits) -> GzipContent {
        GzipContent { file: Arc::new(file), limits, progress: Mutex::default() }
    }

    /// Zeros behind the gzip data. Cost: reads on to the end, where that was not done.
    ///
    /// # Errors
    ///
    /// As [`ReadAt::read_at`].
    pub fn padding(&self) -> io::Result<u64> {
        self.with(|progress| progress.end(self).map(|end| end.padding))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Progress) -> Result<T, GzipError>) -> io::Result<T> {
        // A thread that panicked left at worst a stream that stands elsewhere, which is looked at anyway.
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = work(&mut progress);
        if outcome.is_err() {
            progress.stream = None;
        }
        outcome.map_err(io::Error::from)
    }
}

impl Progress {
    fn read(&mut self, content: &GzipContent, offset: u64, room: &mut [u8]) -> Result<usize, GzipError> {
        if room.is_empty() || self.end.is_some_and(|end| offset >= end.bytes) {
            return Ok(0);
        }
        let stream = self.stream_before(content, offset)?;
        stream.skip_to(offset)?;
        let count = if stream.position() == offset { stream.read(room)? } else { 0 };
        let position = stream.position();
        if count == 0 || self.end.is_some_and(|end| position >= end.bytes) {
            self.finish()?;
        }
        Ok(count)
    }

    /// Whether the content has `bytes` bytes.
    fn reaches(&mut self, content: &GzipContent, bytes: u64) -> Result<bool, GzipError> {
        if let Some(end) = self.end {
            return Ok(bytes <= end.bytes);
        }
        if self.stream.as_ref().is_none_or(|stream| stream.position() < bytes) {
            let stream = self.stream_before(content, bytes)?;
            stream.skip_to(bytes)?;
            return Ok(stream.position() >= bytes);
        }
        Ok(true)
    }

    fn end(&mut self, content: &GzipContent) -> Result<End, GzipError> {
        if let Some(end) = self.end {
            return Ok(end);
        }
        if self.stream.is_none() {
            self.stream_before(content, 0)?;
        }
        self.finish()
    }

    /// Reads on to the end, so that the checks of the last member are made; frees the stream.
    fn finish(&mut self) -> Result<End, GzipError> {
        let mut found = self.end.unwrap_or(End { bytes: 0, padding: 0 });
        if let Some(mut stream) = self.stream.take() {
            stream.skip_to(u64::MAX)?;
            found = End { bytes: stream.position(), padding: stream.padding() };
        }
        self.end = Some(found);
        Ok(found)
    }

    /// A stream that stands at `offset` or before it.
    fn stream_before(&mut self, content: &GzipContent, offset: u64) -> Result<&mut GzipStream<Arc<File>>, GzipError> {
        let usable = self.stream.take().filter(|stream| stream.position() <= offset);
        let stream = match usable {
            Some(stream) => stream,
            None if self.starts >= STARTS_MAX => return Err(GzipError::Restarted { limit: STARTS_MAX }),
            None => {
                self.starts += 1;
                GzipStream::new(Arc::clone(&content.file), content.limits)?
            }
        };
        Ok(self.stream.insert(stream))
    }
}

impl ReadAt for GzipContent {
    fn read_at(&self, offset: u64, room: &mut [u8]) -> io::Result<usize> {
        self.with(|progress| progress.read(self, offset, room))
    }

    fn byte_count(&self) -> io::Result<u64> {
        self.with(|progress| progress.end(self).map(|end| end.bytes))
    }

    fn reaches(&self, bytes: u64) -> io::Result<bool> {
        self.with(|progress| progress.reaches(self, bytes))
    }
}

#[cfg(test)]
mod tests;
