//! What tells a product from any other file: the BLAKE3 of its bytes, or of its headers where nobody read all bytes.
//!
//! A product that was grown from its target has bytes that never passed through dpm. Its proof is the BLAKE3 of all
//! its headers, written `headers:HEX`: they hold the DATASUM of every data unit, so the data are proved by their sums.
//! That sees damage, but not words that change places; against a whole BLAKE3 it saves reading what did not change.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::control::Control;
use crate::fits::hdu::{ScanErrorKind, ScanLimits, Scanner};
use crate::merge::reader::FileReader;
use crate::merge::verify::{self, SumVerdict};

/// Begins a proof by headers.
const HEADERS: &str = "headers:";

/// True if `proof` is one by headers and sums, false if it is the BLAKE3 of the whole file.
pub fn is_by_headers(proof: &str) -> bool {
    proof.starts_with(HEADERS)
}

/// The proof by headers of `file`. Cost: reads the headers.
///
/// # Errors
///
/// The system's answer; `InvalidData` for what is no FITS file.
pub fn by_headers(file: &File) -> io::Result<String> {
    let reader = FileReader::new(file);
    let scan_error = |error: crate::fits::hdu::ScanError| match error.kind {
        ScanErrorKind::Io(source) => source,
        kind => io::Error::new(io::ErrorKind::InvalidData, kind.to_string()),
    };
    let limits = ScanLimits { hdus: usize::MAX, header_cards: usize::MAX };
    let mut scanner = Scanner::new(&reader, limits).map_err(scan_error)?;
    let mut hasher = blake3::Hasher::new();
    while let Some(hdu) = scanner.next_hdu().map_err(scan_error)? {
        let header = reader.read_range(hdu.header_offset, (hdu.data_offset - hdu.header_offset) as usize)?;
        hasher.update(&header);
    }
    Ok(format!("{HEADERS}{}", hasher.finalize().to_hex()))
}

/// True if `file` has the headers of `proof`, and each data unit the sum that its header records.
///
/// Cost: one read of the file, constant memory.
///
/// # Errors
///
/// The system's answer; `Interrupted` if `control` wants to stop.
pub fn has_headers_and_sums(path: &Path, file: &File, proof: &str, control: &dyn Control) -> io::Result<bool> {
    match by_headers(file) {
        Ok(found) if found == proof => {}
        Err(error) if error.kind() != io::ErrorKind::InvalidData => return Err(error),
        _ => return Ok(false),
    }
    let verdict = verify::verify(path, file, control);
    if control.is_cancelled() {
        return Err(io::ErrorKind::Interrupted.into());
    }
    let verdict = verdict.map_err(|error| error.source)?;
    let right = |hdu: &verify::HduVerdict| (hdu.datasum, hdu.checksum) == (SumVerdict::Correct, SumVerdict::Correct);
    Ok(verdict.hdus.iter().all(right))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::FileExt;

    use crate::control::Unwatched;
    use crate::merge::proof::{by_headers, has_headers_and_sums, is_by_headers};
    use crate::merge::testing::{TestHdu, file};

    #[test]
    fn a_change_of_header_or_data_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.fits");
        let bytes = file(&[TestHdu::primary().sealed(), TestHdu::image("A", 5000).sealed()]);
        let check = |damage: Option<u64>, expected: bool| {
            let mut product = std::fs::File::create(&path).unwrap();
            product.write_all(&bytes).unwrap();
            let product = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
            let proof = by_headers(&product).unwrap();
            assert!(is_by_headers(&proof) && !is_by_headers(blake3::hash(&bytes).to_hex().as_str()));
            if let Some(offset) = damage {
                let mut byte = [0];
                product.read_exact_at(&mut byte, offset).unwrap();
                product.write_all_at(&[byte[0] ^ 1], offset).unwrap();
            }
            assert_eq!(has_headers_and_sums(&path, &product, &proof, &Unwatched).unwrap(), expected, "{damage:?}");
        };
        check(None, true);
        // A comment of the primary header, the first byte of FITS at all, a pixel.
        for offset in [75, 0, 2880 * 2 + 4000] {
            check(Some(offset), false);
        }
    }
}
