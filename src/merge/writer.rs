//! Writes a product front to back, each byte once, and digests it while it is hot.
//!
//! Small HDUs are gathered so that hundreds of them cost one write; of a large HDU the data goes straight
//! to its place and the header follows when its sums are known.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::merge::digest::TreeDigest;

/// Bytes that stay in the second-level cache between reading, summing and writing.
pub(crate) const BUFFER_BYTES: usize = 1024 * 1024;

/// A write that failed, and where.
#[derive(Debug)]
pub(crate) struct WriteFailure {
    pub(crate) offset: u64,
    pub(crate) source: io::Error,
}

/// The file under construction.
pub(crate) struct ProductWriter<'a> {
    output: &'a File,
    gathered: Vec<u8>,
    /// File offset of the first gathered byte.
    gathered_offset: u64,
    digest: TreeDigest,
}

impl ProductWriter<'_> {
    pub(crate) fn new(output: &File) -> ProductWriter<'_> {
        let gathered = Vec::with_capacity(BUFFER_BYTES);
        ProductWriter { output, gathered, gathered_offset: 0, digest: TreeDigest::new() }
    }

    /// Offset at which the next byte goes.
    fn position(&self) -> u64 {
        self.gathered_offset + self.gathered.len() as u64
    }

    /// Room for `bytes` more bytes (at most [`BUFFER_BYTES`]), zeroed, to be filled by the caller.
    pub(crate) fn gather(&mut self, bytes: usize) -> Result<&mut [u8], WriteFailure> {
        if self.gathered.len() + bytes > BUFFER_BYTES {
            self.flush()?;
        }
        let start = self.gathered.len();
        self.gathered.resize(start + bytes, 0);
        Ok(&mut self.gathered[start..])
    }

    /// Starts a large HDU: leaves room for its header.
    pub(crate) fn begin_large(&mut self, header_bytes: u64) -> Result<(), WriteFailure> {
        self.flush()?;
        self.digest.leave_gap(header_bytes);
        self.gathered_offset += header_bytes;
        Ok(())
    }

    /// Writes the next piece of a large HDU's data.
    pub(crate) fn write_data(&mut self, bytes: &[u8]) -> Result<(), WriteFailure> {
        self.digest.update(bytes);
        write_at(self.output, self.gathered_offset, bytes)?;
        self.gathered_offset += bytes.len() as u64;
        Ok(())
    }

    /// Ends a large HDU with its header, which goes to `offset`.
    pub(crate) fn end_large(&mut self, offset: u64, header: &[u8]) -> Result<(), WriteFailure> {
        self.digest.fill_gap(header);
        write_at(self.output, offset, header)
    }

    fn flush(&mut self) -> Result<(), WriteFailure> {
        self.digest.update(&self.gathered);
        write_at(self.output, self.gathered_offset, &self.gathered)?;
        self.gathered_offset = self.position();
        self.gathered.clear();
        Ok(())
    }

    /// Writes what is left; returns the BLAKE3 of the file and its size.
    pub(crate) fn finish(mut self) -> Result<(blake3::Hash, u64), WriteFailure> {
        self.flush()?;
        Ok((self.digest.finish(), self.gathered_offset))
    }
}

fn write_at(output: &File, offset: u64, bytes: &[u8]) -> Result<(), WriteFailure> {
    output.write_all_at(bytes, offset).map_err(|source| WriteFailure { offset, source })
}
