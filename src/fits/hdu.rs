//! Walks through the HDUs of a file: reads headers, skips data units.
//!
//! Memory: one header, whatever the file. Data units are never read, so neither sums nor values are checked here.

use std::io;

use crate::fits::BLOCK_BYTES;
use crate::fits::fault::CardFault;
use crate::fits::header::{Header, HeaderError, HeaderReader};
pub use crate::fits::structure::{HduKind, Structure, StructureFault, StructureFaultKind};

/// Bytes that can be read at any place: a file, a slice.
pub trait ReadAt {
    /// Reads up to `buf.len()` bytes from `offset` on and returns how many; 0 at the end.
    ///
    /// # Errors
    ///
    /// What the source says.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Number of bytes in the source.
    ///
    /// # Errors
    ///
    /// What the source says.
    fn byte_count(&self) -> io::Result<u64>;

    /// Whether the source has at least `bytes` bytes: cheaper than their number where the source is a stream.
    ///
    /// # Errors
    ///
    /// What the source says.
    fn reaches(&self, bytes: u64) -> io::Result<bool> {
        self.byte_count().map(|count| bytes <= count)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let from = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = from.len().min(buf.len());
        for (to, from) in buf.iter_mut().zip(from) {
            *to = *from;
        }
        Ok(count)
    }

    fn byte_count(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        (**self).read_at(offset, buf)
    }

    fn byte_count(&self) -> io::Result<u64> {
        (**self).byte_count()
    }

    fn reaches(&self, bytes: u64) -> io::Result<bool> {
        (**self).reaches(bytes)
    }
}

/// Bounds of what a file may ask of its reader.
#[derive(Clone, Copy, Debug)]
pub struct ScanLimits {
    /// Most HDUs in a file.
    pub hdus: usize,
    /// Most cards in one header.
    pub header_cards: usize,
}

impl Default for ScanLimits {
    /// 100 000 HDUs (real files have some hundreds), 200 000 cards a header (16 MB).
    fn default() -> Self {
        Self { hdus: 100_000, header_cards: 200_000 }
    }
}

/// One HDU and where it stands.
#[derive(Clone, Debug)]
pub struct Hdu {
    /// 0-based; 0 is the primary HDU.
    pub index: usize,
    /// The header, verbatim.
    pub header: Header,
    /// What the header says about the data unit.
    pub structure: Structure,
    /// Byte offset of the header in the file.
    pub header_offset: u64,
    /// Byte offset of the data unit in the file.
    pub data_offset: u64,
}

impl Hdu {
    /// Byte offset behind the padded data unit, even where the file has lost the last padding.
    pub fn end_offset(&self) -> u64 {
        self.data_offset.saturating_add(self.structure.data_bytes_padded())
    }

    /// EXTNAME, where it is a string.
    pub fn name(&self) -> Option<String> {
        self.header.string("EXTNAME").ok().flatten()
    }

    /// EXTVER; 1 where it is not given or no integer (Standard 4.4.2.6).
    pub fn version(&self) -> i128 {
        self.header.integer("EXTVER").ok().flatten().unwrap_or(1)
    }
}

/// What a file has or lacks behind its last HDU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileTail {
    /// Bytes of padding that the last data unit lacks; the data unit itself is whole.
    pub missing_padding: u64,
    /// Bytes behind the last HDU that start no extension.
    pub trailing_bytes: u64,
}

/// A file that cannot be read to its end.
#[derive(Debug, thiserror::Error)]
#[error("HDU {hdu} at byte {offset}: {kind}")]
pub struct ScanError {
    /// 0-based index of the HDU.
    pub hdu: usize,
    /// Byte offset of the HDU's header.
    pub offset: u64,
    /// What is wrong.
    pub kind: ScanErrorKind,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanErrorKind {
    /// The file does not start with SIMPLE.
    #[error("this is no FITS file: it does not start with 'SIMPLE  ='")]
    NotFits,
    /// The file is compressed, not with gzip.
    #[error("it is compressed with {program}, which dpm does not read: expand it first")]
    Compressed {
        /// Name of the program.
        program: &'static str,
    },
    /// The file ends within the HDU.
    #[error("the file is cut off: it has {actual} bytes and needs {expected}; get it again")]
    Truncated {
        /// Bytes up to the end of the block or data unit that is cut.
        expected: u64,
        /// Bytes in the file.
        actual: u64,
    },
    /// The file ends at a block of the header, before END.
    #[error("the header ends after {cards} cards without END: the file is cut off or damaged; get it again")]
    NoEnd {
        /// Cards read.
        cards: usize,
    },
    /// The header has more cards than allowed.
    #[error("no END within {limit} cards, a limit of dpm: take cards out, or repair the file")]
    HeaderTooLong {
        /// The limit in cards.
        limit: usize,
    },
    /// The file has more HDUs than allowed.
    #[error("the file has more than {limit} HDUs, a limit of dpm: split the file")]
    TooManyHdus {
        /// The limit.
        limit: usize,
    },
    /// A mandatory keyword is missing or wrong.
    #[error(transparent)]
    Structure(StructureFault),
    /// A card has illegal bytes or an illegal name.
    #[error("card {number} '{}': {}{}", fault.card_text, fault.kind, and_more(*more))]
    Card {
        /// 1-based number of the card in its header.
        number: usize,
        /// The card and its fault.
        fault: Box<CardFault>,
        /// How many further cards of the header are as bad.
        more: usize,
    },
    /// The source cannot be read.
    #[error("the file cannot be read: {0}")]
    Io(io::Error),
}

fn and_more(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => " (and so 1 more card of this header)".to_owned(),
        count => format!(" (and so {count} more cards of this header)"),
    }
}

impl From<HeaderError> for ScanErrorKind {
    fn from(error: HeaderError) -> Self {
        match error {
            HeaderError::TooLong { limit } => Self::HeaderTooLong { limit },
            HeaderError::NoEnd { cards } => Self::NoEnd { cards },
        }
    }
}

/// The program that compressed a file, by its first bytes; none for FITS, gzip and what is not known.
pub(crate) fn compression(start: &[u8]) -> Option<&'static str> {
    const PROGRAMS: [(&[u8], &str); 5] = [
        (b"\x1f\x9d", "compress (.Z)"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"PK\x03\x04", "zip"),
    ];
    PROGRAMS.into_iter().find(|(magic, _)| start.starts_with(magic)).map(|(_, program)| program)
}

/// Fills `buf` as far as the source goes, across short reads and interruptions; gives the number of bytes.
pub(crate) fn read_fully<R: ReadAt + ?Sized>(source: &R, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let room = rest.len();
        match source.read_at(offset.saturating_add(filled as u64), rest) {
            Ok(0) => break,
            Ok(count) => filled += count.min(room),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Goes from HDU to HDU and keeps only the present one.
#[derive(Debug)]
pub struct Scanner<'a, R: ReadAt + ?Sized> {
    source: &'a R,
    limits: ScanLimits,
    offset: u64,
    index: usize,
    tail: Option<FileTail>,
}

impl<'a, R: ReadAt + ?Sized> Scanner<'a, R> {
    /// Starts at the first byte. The size of the source is asked for at its end, or where it is cut off.
    ///
    /// # Errors
    ///
    /// [`ScanErrorKind::Io`] where the source cannot be asked at all.
    pub fn new(source: &'a R, limits: ScanLimits) -> Result<Self, ScanError> {
        source.reaches(1).map_err(|error| ScanError { hdu: 0, offset: 0, kind: ScanErrorKind::Io(error) })?;
        Ok(Self { source, limits, offset: 0, index: 0, tail: None })
    }

    /// Reads the next header; none behind the last HDU.
    ///
    /// # Errors
    ///
    /// A [`ScanError`] with the HDU and what to do. Calling again gives the same error again.
    pub fn next_hdu(&mut self) -> Result<Option<Hdu>, ScanError> {
        let (hdu, offset) = (self.index, self.offset);
        self.advance().map_err(|kind| ScanError { hdu, offset, kind })
    }

    /// What stands behind the last HDU; known once [`Scanner::next_hdu`] has returned none.
    pub fn tail(&self) -> FileTail {
        self.tail.unwrap_or_default()
    }

    fn advance(&mut self) -> Result<Option<Hdu>, ScanErrorKind> {
        if self.tail.is_some() || !self.has_header()? {
            return Ok(None);
        }
        if self.index >= self.limits.hdus {
            return Err(ScanErrorKind::TooManyHdus { limit: self.limits.hdus });
        }
        let header = self.read_header()?;
        let structure = Structure::of(&header, self.index == 0).map_err(ScanErrorKind::Structure)?;
        let data_offset = self.offset.saturating_add(header.byte_count());
        let data_end = data_offset.saturating_add(structure.data_bytes);
        if !self.source.reaches(data_end).map_err(ScanErrorKind::Io)? {
            return Err(self.truncated(data_end));
        }
        let hdu = Hdu { index: self.index, header, structure, header_offset: self.offset, data_offset };
        self.offset = hdu.end_offset();
        self.index += 1;
        Ok(Some(hdu))
    }

    /// Whether another header starts at the offset; where not, the tail is settled.
    fn has_header(&mut self) -> Result<bool, ScanErrorKind> {
        let mut start = [0_u8; 9];
        let count = read_fully(self.source, self.offset, &mut start).map_err(ScanErrorKind::Io)?;
        let start = start.get(..count).unwrap_or_default();
        if self.index == 0 {
            return match compression(start) {
                _ if start == b"SIMPLE  =" => Ok(true),
                Some(program) => Err(ScanErrorKind::Compressed { program }),
                None => Err(ScanErrorKind::NotFits),
            };
        }
        if start.starts_with(b"XTENSION") {
            return Ok(true);
        }
        // The Standard (3.5) allows special records behind the last HDU; they are nobody's data.
        let byte_count = self.source.byte_count().map_err(ScanErrorKind::Io)?;
        self.tail = Some(FileTail {
            missing_padding: self.offset.saturating_sub(byte_count),
            trailing_bytes: byte_count.saturating_sub(self.offset),
        });
        Ok(false)
    }

    fn truncated(&self, expected: u64) -> ScanErrorKind {
        match self.source.byte_count() {
            Ok(actual) => ScanErrorKind::Truncated { expected, actual },
            Err(error) => ScanErrorKind::Io(error),
        }
    }

    fn read_header(&self) -> Result<Header, ScanErrorKind> {
        let mut reader = HeaderReader::new(self.limits.header_cards);
        let mut block = [0_u8; BLOCK_BYTES];
        let mut offset = self.offset;
        // Bounded by the limit of cards, which the reader checks, and by the end of the source.
        loop {
            match read_fully(self.source, offset, &mut block).map_err(ScanErrorKind::Io)? {
                0 => return Ok(reader.finish()?),
                BLOCK_BYTES => {}
                _ => return Err(self.truncated(offset.saturating_add(BLOCK_BYTES as u64))),
            }
            if reader.feed(&block)? {
                return Ok(reader.finish()?);
            }
            offset = offset.saturating_add(BLOCK_BYTES as u64);
        }
    }
}

/// Reads all headers of a file. Memory grows with them: use [`Scanner`] where they are not needed together.
///
/// # Errors
///
/// As [`Scanner::next_hdu`].
pub fn scan<R: ReadAt + ?Sized>(source: &R, limits: ScanLimits) -> Result<(Vec<Hdu>, FileTail), ScanError> {
    let mut scanner = Scanner::new(source, limits)?;
    let mut hdus = Vec::new();
    while let Some(hdu) = scanner.next_hdu()? {
        hdus.push(hdu);
    }
    Ok((hdus, scanner.tail()))
}

#[cfg(test)]
mod tests;
