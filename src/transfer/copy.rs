//! Copies and digests whole files in pieces, watched and cancellable; clones them where the file system can.
//!
//! Constant memory: one piece. Opens, names and syncs nothing, and does not know whose bytes these are.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags};
use rustix::io::Errno;

use crate::merge::proof;
use crate::transfer::source::Control;

/// Bytes between two looks at the [`Control`]: long enough for the disk, short enough to stop in milliseconds.
pub(crate) const PIECE_BYTES: usize = 1 << 20;

/// Why bytes did not come across.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    #[error("cancelled after {bytes_done} bytes")]
    Cancelled { bytes_done: u64 },
    #[error("the file ended after {bytes_done} bytes")]
    Shrank { bytes_done: u64 },
    #[error("the file goes on after {bytes_total} bytes")]
    Grew { bytes_total: u64 },
    #[error("cannot read at byte {offset}")]
    Read { offset: u64, source: io::Error },
    #[error("cannot write at byte {offset}")]
    Write { offset: u64, source: io::Error },
}

/// Reads a file from its start, whatever its own position is.
struct FromStart<'a> {
    file: &'a File,
    offset: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

/// Makes `to` share the bytes of `from` (FICLONE); false if this pair of files cannot.
///
/// # Errors
///
/// A full disk: then a copy would not fit either.
pub(crate) fn clone_whole(from: &File, to: &File) -> io::Result<bool> {
    match rustix::fs::ioctl_ficlone(to, from) {
        Ok(()) => Ok(true),
        Err(errno @ (Errno::NOSPC | Errno::DQUOT)) => Err(errno.into()),
        // No reflinks here, another file system, or odd files: the copy will tell if there is a real trouble.
        Err(_) => Ok(false),
    }
}

/// Copies the `bytes_total` bytes of `from` to the empty file `to`; gives their BLAKE3 (lower-case hex).
///
/// The space is reserved first, so a full disk is known before the first byte.
///
/// # Errors
///
/// [`CopyError`]; then `to` holds a part.
pub(crate) fn copy_whole(from: &File, to: &File, bytes_total: u64, control: &dyn Control) -> Result<String, CopyError> {
    reserve(to, bytes_total).map_err(|source| CopyError::Write { offset: 0, source })?;
    advise_sequential(from);
    let mut to = to;
    copy_pieces(&mut FromStart { file: from, offset: 0 }, &mut to, bytes_total, control)
}

/// Reads the `bytes_total` bytes of `file`, feeding them to `also`; gives their BLAKE3 (lower-case hex).
///
/// # Errors
///
/// [`CopyError`], also if the file has another size.
pub(crate) fn digest_whole(
    file: &File,
    bytes_total: u64,
    also: &mut dyn Write,
    control: &dyn Control,
) -> Result<String, CopyError> {
    advise_sequential(file);
    copy_pieces(&mut FromStart { file, offset: 0 }, also, bytes_total, control)
}

/// Reads `file`, found at `path`, and gives what proves it in the form of `wanted`, to be compared with that: the BLAKE3
/// of all bytes; or `wanted` itself if its headers and sums are those, see [`proof`].
///
/// # Errors
///
/// As [`digest_whole`].
pub(crate) fn proof_like(
    wanted: &str,
    path: &Path,
    file: &File,
    bytes_total: u64,
    control: &dyn Control,
) -> Result<String, CopyError> {
    if !proof::is_by_headers(wanted) {
        return digest_whole(file, bytes_total, &mut io::sink(), control);
    }
    match proof::has_headers_and_sums(path, file, wanted, control) {
        Ok(true) => Ok(wanted.to_owned()),
        Ok(false) => Ok("of other headers or sums".to_owned()),
        Err(_) if control.is_cancelled() => Err(CopyError::Cancelled { bytes_done: 0 }),
        Err(source) => Err(CopyError::Read { offset: 0, source }),
    }
}

/// Reserves disk space; a file system that cannot is no error.
///
/// Not `fs2::FileExt::allocate`: it takes the reason of a failure from `errno`, where `posix_fallocate` leaves none.
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    match rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, bytes)) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn advise_sequential(file: &File) {
    // Advice: a file system that does not take it reads all the same.
    let _ = rustix::fs::fadvise(file, 0, None, Advice::Sequential);
}

fn copy_pieces(
    from: &mut dyn Read,
    to: &mut dyn Write,
    bytes_total: u64,
    control: &dyn Control,
) -> Result<String, CopyError> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut hasher = blake3::Hasher::new();
    let mut bytes_done = 0;
    control.progress(0, bytes_total);
    loop {
        if control.is_cancelled() {
            return Err(CopyError::Cancelled { bytes_done });
        }
        let count = read_piece(from, &mut piece).map_err(|source| CopyError::Read { offset: bytes_done, source })?;
        if count == 0 {
            break;
        }
        let bytes = &piece[..count];
        if count as u64 > bytes_total - bytes_done {
            return Err(CopyError::Grew { bytes_total });
        }
        hasher.update(bytes);
        to.write_all(bytes).map_err(|source| CopyError::Write { offset: bytes_done, source })?;
        bytes_done += count as u64;
        control.progress(bytes_done, bytes_total);
    }
    if bytes_done < bytes_total {
        return Err(CopyError::Shrank { bytes_done });
    }
    Ok(hasher.finalize().to_hex().to_string())
}

/// Fills `piece` as far as the file goes: network file systems and signals give short reads.
fn read_piece(from: &mut dyn Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < piece.len() {
        match from.read(&mut piece[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};
    use std::sync::atomic::{AtomicU64, Ordering};

    use crate::transfer::copy::{CopyError, PIECE_BYTES, copy_pieces};
    use crate::transfer::source::{Control, Unwatched};

    /// Gives 7 bytes at a time, with an interruption before each.
    struct Stuttering<'a> {
        bytes: &'a [u8],
        interrupted: bool,
    }

    impl Read for Stuttering<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let count = buffer.len().min(7);
            self.bytes.read(&mut buffer[..count])
        }
    }

    /// Takes 5 bytes at a time, with an interruption before each.
    #[derive(Default)]
    struct Reluctant {
        bytes: Vec<u8>,
        interrupted: bool,
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            self.bytes.write(&bytes[..bytes.len().min(5)])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Cancels after so many looks.
    struct CancelAfter(AtomicU64);

    impl Control for CancelAfter {
        fn progress(&self, _bytes_done: u64, _bytes_total: u64) {}

        fn is_cancelled(&self) -> bool {
            self.0.fetch_sub(1, Ordering::Relaxed) == 0
        }
    }

    #[test]
    fn short_reads_and_writes_lose_nothing() {
        let content: Vec<u8> = (0..30_011_u32).map(|index| (index % 251) as u8).collect();
        let mut to = Reluctant::default();
        let total = content.len() as u64;
        let digest =
            copy_pieces(&mut Stuttering { bytes: &content, interrupted: false }, &mut to, total, &Unwatched).unwrap();
        assert!(to.bytes == content);
        assert_eq!(digest, blake3::hash(&content).to_hex().as_str());
    }

    #[test]
    fn another_size_is_seen() {
        let check = |bytes: usize, bytes_total: u64| {
            copy_pieces(&mut vec![1; bytes].as_slice(), &mut io::sink(), bytes_total, &Unwatched)
        };
        assert!(matches!(check(9, 10), Err(CopyError::Shrank { bytes_done: 9 })));
        assert!(matches!(check(0, 1), Err(CopyError::Shrank { bytes_done: 0 })));
        assert!(matches!(check(11, 10), Err(CopyError::Grew { bytes_total: 10 })));
        assert!(matches!(check(1, 0), Err(CopyError::Grew { bytes_total: 0 })));
        assert!(matches!(check(PIECE_BYTES + 1, PIECE_BYTES as u64), Err(CopyError::Grew { .. })));
        assert!(check(0, 0).is_ok());
    }

    #[test]
    fn cancellation_is_seen_at_each_piece() {
        let content = vec![0; 3 * PIECE_BYTES];
        for pieces in 0..=3_u64 {
            let control = CancelAfter(AtomicU64::new(pieces));
            let outcome = copy_pieces(&mut content.as_slice(), &mut io::sink(), content.len() as u64, &control);
            let expected = pieces * PIECE_BYTES as u64;
            assert!(
                matches!(outcome, Err(CopyError::Cancelled { bytes_done }) if bytes_done == expected),
                "{outcome:?}"
            );
        }
    }
}
