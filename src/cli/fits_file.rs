//! Opens FITS files that are shown to people, plain or gzip, and walks through their headers.

use std::fs::File;
use std::path::Path;

use crate::cli::exit::{CliError, Exit};
use crate::cli::output;
use crate::fits::BLOCK_BYTES;
use crate::fits::hdu::{Hdu, ReadAt, ScanErrorKind, ScanLimits, Scanner, Structure, read_fully};
use crate::fits::header::{Header, HeaderReader};
use crate::merge::content::Content;
use crate::merge::gzip::GzipLimits;
use crate::merge::job;
use crate::merge::reader::FileReader;

/// A header on its way to somebody's eyes.
pub(crate) enum Shown<'a> {
    /// One that can be understood; the data of the last may be cut off.
    Hdu(&'a Hdu),
    /// One whose mandatory keywords are wrong: nothing behind it can be found. The index is 0-based.
    Broken(usize, &'a Header),
}

/// Opens a regular file.
pub(crate) fn open(path: &Path) -> Result<File, CliError> {
    match job::open_regular(path) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(CliError::new(Exit::Data, format!("{} is no regular file", path.display()))),
        Err(error) => Err(CliError::io(&format!("cannot open {}", path.display()), &error)),
    }
}

/// Shows each header of a file in turn, also the broken one that ends a walk; `visit` returns whether to go on.
///
/// Memory: one header. A file that is broken is an error with [`Exit::Data`] behind all that could be shown.
pub(crate) fn walk(path: &Path, visit: &mut dyn FnMut(&Shown) -> Result<bool, CliError>) -> Result<(), CliError> {
    let file = open(path)?;
    let failed = |error: &std::io::Error| {
        let exit = if error.kind() == std::io::ErrorKind::InvalidData { Exit::Data } else { Exit::Io };
        CliError::new(exit, format!("cannot read {}: {error}", path.display()))
    };
    let content = Content::of(&file, GzipLimits::READING).map_err(|error| failed(&error))?;
    let source: &dyn ReadAt = match &content {
        Content::Plain => &file,
        Content::Gzip(content) => content.as_ref(),
    };
    let reader = FileReader::new(source);
    let mut scanner = match Scanner::new(&reader, ScanLimits::default()) {
        Ok(scanner) => scanner,
        Err(error) => return Err(CliError::new(Exit::Data, format!("{}: {error}", path.display()))),
    };
    loop {
        let error = match scanner.next_hdu() {
            Ok(Some(hdu)) => {
                if !visit(&Shown::Hdu(&hdu))? {
                    return Ok(());
                }
                continue;
            }
            Ok(None) => return Ok(()),
            Err(error) => error,
        };
        if let ScanErrorKind::Io(source) = &error.kind {
            return Err(failed(source));
        }
        if let Some(header) = broken_header(&reader, error.offset) {
            show_last(error.hdu, error.offset, header, visit)?;
        }
        return Err(CliError::new(Exit::Data, format!("{}: {error}", path.display())));
    }
}

/// Shows the header at which a walk ended: an HDU like the others where only its data are cut off.
fn show_last(
    index: usize,
    header_offset: u64,
    header: Header,
    visit: &mut dyn FnMut(&Shown) -> Result<bool, CliError>,
) -> Result<bool, CliError> {
    match Structure::of(&header, index == 0) {
        Ok(structure) => {
            let data_offset = header_offset.saturating_add(header.byte_count());
            visit(&Shown::Hdu(&Hdu { index, header, structure, header_offset, data_offset }))
        }
        Err(_) => visit(&Shown::Broken(index, &header)),
    }
}

/// The header at `offset`, where it ends with END.
fn broken_header(source: &dyn ReadAt, offset: u64) -> Option<Header> {
    let mut reader = HeaderReader::new(ScanLimits::default().header_cards);
    let (mut block, mut at) = ([0; BLOCK_BYTES], offset);
    // Bounded by the limit of cards and by the end of the file.
    while read_fully(source, at, &mut block).ok()? == BLOCK_BYTES {
        let is_end = reader.feed(&block).ok()?;
        if is_end {
            let header = reader.finish().ok()?;
            // Blocks of anything else than cards are not shown as a header.
            let is_header = header.cards().first().is_some_and(|card| card.as_bytes().is_ascii());
            return is_header.then_some(header);
        }
        at += BLOCK_BYTES as u64;
    }
    None
}

/// Does `work` for each file; tells errors as they come, and gives the exit code of the first.
pub(crate) fn each(paths: &[std::path::PathBuf], mut work: impl FnMut(&Path) -> Result<(), CliError>) -> Exit {
    let mut first = None;
    for path in paths {
        if let Err(error) = work(path) {
            output::error(&error);
            first.get_or_insert(error.exit);
        }
    }
    first.unwrap_or(Exit::Done)
}
