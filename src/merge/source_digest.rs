//! Compares a source with the digest that its specification gives, where nobody has collected it before.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

use crate::specification::model::{DigestAlgorithm, SourceDigest};

/// Bytes that are read at once.
const PIECE_BYTES: usize = 1 << 20;

/// Reads the file once; the digest that it has, where that is another one than `wanted`.
///
/// # Errors
///
/// The system's answer.
pub fn differing(file: &File, wanted: &SourceDigest) -> io::Result<Option<String>> {
    let mut blake3 = blake3::Hasher::new();
    let mut sha256 = Sha256::new();
    let (mut piece, mut offset) = (vec![0; PIECE_BYTES], 0);
    loop {
        let count = match file.read_at(&mut piece, offset) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        match wanted.algorithm {
            DigestAlgorithm::Blake3 => drop(blake3.update(&piece[..count])),
            DigestAlgorithm::Sha256 => sha256.update(&piece[..count]),
        }
        offset += count as u64;
    }
    let found = match wanted.algorithm {
        DigestAlgorithm::Blake3 => blake3.finalize().to_hex().to_string(),
        DigestAlgorithm::Sha256 => sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    Ok((found != wanted.value).then_some(found))
}
