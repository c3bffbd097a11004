//! Expands gzip data (RFC 1952) front to back, whatever its bytes are: in bounded memory, and never beyond [`GzipLimits`].
//!
//! Pure: reads through [`ReadAt`] and knows no descriptor. Several members one after the other are one content
//! (RFC 1952 2.2); CRC32 and length of each are compared where it ends. As `gzip -t` does, zeros behind the last member
//! are passed over (tapes and block devices pad with them) and anything else there is refused.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use crate::fits::hdu::ReadAt;

/// The first bytes of every member (RFC 1952 2.3.1).
pub const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Compressed bytes that are read at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Bounds of what gzip data may expand to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GzipLimits {
    /// Most expanded bytes for each compressed one, in the mean of a file; content of up to
    /// [`GzipLimits::UNSUSPICIOUS_BYTES`] may have any ratio.
    pub ratio: u64,
    /// Most expanded bytes of a file.
    pub expanded_bytes: u64,
}

impl GzipLimits {
    /// A ratio of 100 (pixels of a detector have 1.5 to 4, masks some tens), 64 GiB (some minutes of work).
    pub const DEFAULT: Self = Self { ratio: 100, expanded_bytes: 64 * 1024 * 1024 * 1024 };
    /// For what is only read, in constant memory, at somebody's own wish: any ratio, 64 GiB.
    pub const READING: Self = Self { ratio: u64::MAX, ..Self::DEFAULT };
    /// A blank frame compresses to a thousandth (the most that DEFLATE can do) and harms nobody.
    pub const UNSUSPICIOUS_BYTES: u64 = 256 * 1024 * 1024;

    /// Most bytes that a file of `compressed_bytes` may expand to.
    fn expanded_bytes_of(&self, compressed_bytes: u64) -> u64 {
        compressed_bytes.saturating_mul(self.ratio).max(Self::UNSUSPICIOUS_BYTES).min(self.expanded_bytes)
    }
}

/// Why gzip data cannot be expanded. Offsets are those of the compressed file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GzipError {
    /// The file ends within a member.
    #[error("its gzip data is cut off: the file ends at byte {offset}, within member {member}; get it again")]
    Truncated {
        /// Size of the file.
        offset: u64,
        /// 1-based number of the member.
        member: u64,
    },
    /// A member's header, DEFLATE data, CRC32 or length is wrong.
    #[error("its gzip data is damaged: member {member}, before byte {offset}: {reason}; get it again")]
    Damaged {
        /// Where reading stood.
        offset: u64,
        /// 1-based number of the member.
        member: u64,
        /// What the decoder says.
        reason: String,
    },
    /// Something else than a member or zeros follows a member.
    #[error(
        "what stands at byte {offset}, behind member {member} of its gzip data, is neither a member nor padding: get it again"
    )]
    Garbage {
        /// First byte that is not understood.
        offset: u64,
        /// 1-based number of the last good member.
        member: u64,
    },
    /// The content is gzip data again.
    #[error("it is compressed twice: expand it once (gunzip)")]
    Nested,
    /// The content is larger than allowed.
    #[error(
        "it expands to more than {limit} bytes: if that is right, expand it (gunzip), or, to merge it, raise merge.expanded_bytes (dpm merge --expanded-bytes)"
    )]
    TooLarge {
        /// [`GzipLimits::expanded_bytes`].
        limit: u64,
    },
    /// The content is so much larger than the file that it looks like an attack.
    #[error(
        "its {compressed_bytes} bytes expand to more than {ratio} times as many: if that is right, expand it (gunzip), or, to merge it, raise merge.gzip_ratio (dpm merge --gzip-ratio)"
    )]
    Bomb {
        /// Size of the file.
        compressed_bytes: u64,
        /// [`GzipLimits::ratio`].
        ratio: u64,
    },
    /// The content was asked for out of order, again and again.
    #[error("its gzip data was started {limit} times, because it was not read front to back: expand it (gunzip)")]
    Restarted {
        /// Starts that are allowed.
        limit: u32,
    },
    /// The file cannot be read.
    #[error("it cannot be read at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

impl From<GzipError> for io::Error {
    /// A system's answer as it is; all else as [`io::ErrorKind::InvalidData`] around the [`GzipError`].
    fn from(error: GzipError) -> Self {
        match error {
            GzipError::Read { source, .. } => source,
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// Reads a [`ReadAt`] front to back.
#[derive(Debug)]
struct Sequential<S> {
    source: S,
    offset: u64,
}

impl<S: ReadAt> Read for Sequential<S> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.source.read_at(self.offset, room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(count) => {
                    self.offset = self.offset.saturating_add(count as u64);
                    return Ok(count);
                }
            }
        }
    }
}

/// Gzip data on its way to its content. Memory: 64 KiB of compressed bytes, the 32 KiB window of DEFLATE, its tables.
#[derive(Debug)]
pub struct GzipStream<S> {
    /// None behind the last member.
    decoder: Option<GzDecoder<BufReader<Sequential<S>>>>,
    /// 1-based number of the present member.
    member: u64,
    /// Expanded bytes that were given.
    position: u64,
    /// Expanded bytes that may be given.
    allowed: u64,
    compressed_bytes: u64,
    limits: GzipLimits,
    /// The first bytes of the content.
    head: [u8; GZIP_MAGIC.len()],
    padding: u64,
}

impl<S: ReadAt> GzipStream<S> {
    /// Starts at the first byte of `source`, a whole gzip file.
    ///
    /// # Errors
    ///
    /// [`GzipError::Read`] where the size cannot be told.
    pub fn new(source: S, limits: GzipLimits) -> Result<Self, GzipError> {
        let compressed_bytes = source.byte_count().map_err(|source| GzipError::Read { offset: 0, source })?;
        let reader = BufReader::with_capacity(PIECE_BYTES, Sequential { source, offset: 0 });
        Ok(Self {
            decoder: Some(GzDecoder::new(reader)),
            member: 1,
            position: 0,
            allowed: limits.expanded_bytes_of(compressed_bytes),
            compressed_bytes,
            limits,
            head: [0; GZIP_MAGIC.len()],
            padding: 0,
        })
    }

    /// Offset in the content of the byte that comes next.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Zeros behind the last member; known at the end of the content.
    pub fn padding(&self) -> u64 {
        self.padding
    }

    /// Reads the next bytes of the content and returns how many; 0 at its end, where all members were found good.
    ///
    /// # Errors
    ///
    /// [`GzipError`]; the stream is then of no further use.
    pub fn read(&mut self, room: &mut [u8]) -> Result<usize, GzipError> {
        // Bounded by the size of the source: a member has at least 18 bytes.
        while let Some(mut decoder) = self.decoder.take() {
            if room.is_empty() {
                self.decoder = Some(decoder);
                return Ok(0);
            }
            let read = decoder.read(room);
            let offset = offset_of(decoder.get_ref());
            match read {
                Ok(0) => self.begin_member(decoder.into_inner())?,
                Ok(count) => {
                    self.decoder = Some(decoder);
                    return self.advance(room.get(..count).unwrap_or_default());
                }
                Err(error) => return Err(self.fault(offset, error)),
            }
        }
        Ok(0)
    }

    /// Reads on up to `position`, or to the end of the content where that is before it.
    ///
    /// # Errors
    ///
    /// As [`GzipStream::read`].
    pub fn skip_to(&mut self, position: u64) -> Result<(), GzipError> {
        let mut scratch = vec![0; PIECE_BYTES];
        while self.position < position {
            let wanted = usize::try_from(position - self.position).unwrap_or(usize::MAX).min(PIECE_BYTES);
            if self.read(&mut scratch[..wanted])? == 0 {
                break;
            }
        }
        Ok(())
    }

    fn advance(&mut self, given: &[u8]) -> Result<usize, GzipError> {
        if let Some(missing) = usize::try_from(self.position).ok().and_then(|start| self.head.get_mut(start..)) {
            missing.iter_mut().zip(given).for_each(|(place, byte)| *place = *byte);
            if self.head == GZIP_MAGIC {
                return Err(GzipError::Nested);
            }
        }
        self.position = self.position.saturating_add(given.len() as u64);
        if self.position <= self.allowed {
            Ok(given.len())
        } else if self.allowed == self.limits.expanded_bytes {
            Err(GzipError::TooLarge { limit: self.allowed })
        } else {
            Err(GzipError::Bomb { compressed_bytes: self.compressed_bytes, ratio: self.limits.ratio })
        }
    }

    /// Goes on behind a good member: with the next, or at the end.
    fn begin_member(&mut self, mut reader: BufReader<Sequential<S>>) -> Result<(), GzipError> {
        // Bounded by the size of the source.
        loop {
            let offset = offset_of(&reader);
            let ahead = reader.fill_buf().map_err(|source| GzipError::Read { offset, source })?;
            match ahead.iter().position(|byte| *byte != 0) {
                None if ahead.is_empty() => return Ok(()),
                None => {
                    let count = ahead.len();
                    self.padding += count as u64;
                    reader.consume(count);
                }
                Some(0) if self.padding == 0 && ahead.first() == GZIP_MAGIC.first() => {
                    self.member += 1;
                    self.decoder = Some(GzDecoder::new(reader));
                    return Ok(());
                }
                Some(zeros) => {
                    return Err(GzipError::Garbage { offset: offset + zeros as u64, member: self.member });
                }
            }
        }
    }

    fn fault(&self, offset: u64, error: io::Error) -> GzipError {
        let member = self.member;
        if error.raw_os_error().is_some() {
            return GzipError::Read { offset, source: error };
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => GzipError::Truncated { offset, member },
            _ => GzipError::Damaged { offset, member, reason: error.to_string() },
        }
    }
}

/// Offset in the source of the next byte that the decoder sees.
fn offset_of<S>(reader: &BufReader<Sequential<S>>) -> u64 {
    reader.get_ref().offset.saturating_sub(reader.buffer().len() as u64)
}

#[cfg(test)]
mod tests;
