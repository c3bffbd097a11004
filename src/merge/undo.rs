//! What a file was before it was grown in place, kept beside it: enough to make it that again, byte for byte.
//!
//! Growing a file changes it where it lies, in several steps of which a power cut or SIGKILL may leave any number
//! done. So the record is on disk before the first of them, and goes after the last. Whoever finds a record rolls back:
//! cuts off what was appended, takes out what was inserted, restores the bytes that were overwritten, proves the result.
//!
//! Inserting is the delicate step: ext4 and xfs first lengthen the file and then move its extents, in several
//! transactions where there are many. A power cut in between leaves a hole as long as the insertion, but further behind.
//! A file that is grown by insertion has no holes of its own, so the hole tells how far the file system came.

use std::ffi::OsString;
use std::fs::{File, FileTimes};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::durable::new_file::{NewFile, Replace};
use crate::durable::{self, DurableError};

/// First line of a record; the number is that of its form.
const MAGIC: &[u8] = b"dpm-undo 1\n";
/// Largest record that is read: the longest header that a scan accepts, twice.
const RECORD_BYTES_MAX: u64 = 48 * 1024 * 1024;
/// Bytes of a BLAKE3 digest at the end of a record.
const DIGEST_BYTES: usize = 32;
/// Places of the file whose bytes prove that it is itself again.
const LANDMARKS: u64 = 64;
/// Bytes of each.
const LANDMARK_BYTES: u64 = 4096;
/// Bytes that are copied at once.
const PIECE_BYTES: usize = 1024 * 1024;

/// How a file grows behind its primary header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Insertion {
    /// Byte at which room is made.
    pub at: u64,
    /// Bytes of room.
    pub bytes: u64,
}

/// What a file was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoRecord {
    facts: Facts,
    /// Bytes that will be overwritten, in the order of [`Facts::ranges`].
    overwritten: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Facts {
    inode: u64,
    bytes: u64,
    modified_ns: u64,
    insertion: Option<Insertion>,
    /// BLAKE3 of the landmarks.
    landmarks: String,
    /// Offset and length of what will be overwritten.
    ranges: Vec<(u64, u64)>,
}

/// A file that cannot be made what it was.
#[derive(Debug, thiserror::Error)]
#[error("cannot restore {} as it was before an interrupted in-place merge", path.display())]
pub struct UndoError {
    /// The file, or its record.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub kind: UndoErrorKind,
}

/// Why a file cannot be made what it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UndoErrorKind {
    /// The record is not one that this build wrote.
    #[error("its record is damaged or of another dpm: keep both files, and ask whoever wrote them")]
    Unreadable,
    /// The record belongs to another file.
    #[error("the record is of another file that had this name: move the record away if the file is whole")]
    OtherFile,
    /// The file is in no state that growing it goes through.
    #[error("{what}: somebody else has changed it; its record still holds the old header")]
    Unexpected {
        /// What was found.
        what: String,
    },
    /// The system refuses.
    #[error("the file system refuses")]
    Io(#[from] io::Error),
    /// The record cannot be written or removed.
    #[error(transparent)]
    Record(#[from] DurableError),
}

/// Name of the record of `target`, beside it.
pub fn record_path(target: &Path) -> PathBuf {
    let mut name = vec![b'.'];
    name.extend_from_slice(target.file_name().unwrap_or_default().as_bytes());
    name.extend_from_slice(b".dpm-undo");
    target.with_file_name(OsString::from_vec(name))
}

/// True if an in-place merge of `target` was interrupted, or is under way.
pub fn is_pending(target: &Path) -> bool {
    record_path(target).symlink_metadata().is_ok()
}

impl UndoRecord {
    /// Describes `file` as it is, before `ranges` (offset and length) are overwritten and room is made.
    ///
    /// Cost: reads the ranges and 256 KiB of landmarks.
    ///
    /// # Errors
    ///
    /// The system's answer.
    pub fn of(file: &File, ranges: Vec<(u64, u64)>, insertion: Option<Insertion>) -> io::Result<UndoRecord> {
        let metadata = file.metadata()?;
        let mut overwritten = Vec::new();
        for (offset, length) in &ranges {
            let start = overwritten.len();
            overwritten.resize(start + *length as usize, 0);
            file.read_exact_at(&mut overwritten[start..], *offset)?;
        }
        let modified_ns = metadata.mtime().max(0).unsigned_abs() * 1_000_000_000 + metadata.mtime_nsec().unsigned_abs();
        let facts = Facts {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified_ns,
            insertion,
            landmarks: landmarks(file, metadata.len())?,
            ranges,
        };
        Ok(UndoRecord { facts, overwritten })
    }

    /// True if the record is of the open `file`.
    ///
    /// # Errors
    ///
    /// The system's answer.
    pub fn is_of(&self, file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.ino() == self.facts.inode)
    }

    /// Writes the record to `path`, a name that is free; on return it survives a power cut.
    ///
    /// # Errors
    ///
    /// As [`durable::write_new`].
    pub fn write(&self, path: &Path) -> Result<(), DurableError> {
        let refused = |source: serde_json::Error| DurableError::new("write", path, source.into());
        let mut bytes = MAGIC.to_vec();
        bytes.extend(serde_json::to_vec(&self.facts).map_err(refused)?);
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.overwritten);
        let digest = blake3::hash(&bytes);
        bytes.extend_from_slice(digest.as_bytes());
        durable::write_new(path, &bytes)
    }

    /// Reads the record at `path`; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`UndoErrorKind::Unreadable`] for what is no whole record.
    pub fn read(path: &Path) -> Result<Option<UndoRecord>, UndoError> {
        let fail = |kind| UndoError { path: path.to_owned(), kind };
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            outcome => outcome.map_err(|error| fail(error.into()))?,
        };
        let length = file.metadata().map_err(|error| fail(error.into()))?.len();
        if length > RECORD_BYTES_MAX {
            return Err(fail(UndoErrorKind::Unreadable));
        }
        let mut bytes = vec![0; length as usize];
        file.read_exact_at(&mut bytes, 0).map_err(|error| fail(error.into()))?;
        UndoRecord::parse(&bytes).map(Some).ok_or_else(|| fail(UndoErrorKind::Unreadable))
    }

    fn parse(bytes: &[u8]) -> Option<UndoRecord> {
        let (content, digest) = bytes.split_at_checked(bytes.len().checked_sub(DIGEST_BYTES)?)?;
        if blake3::hash(content).as_bytes()[..] != *digest {
            return None;
        }
        let rest = content.strip_prefix(MAGIC)?;
        let line = rest.iter().position(|byte| *byte == b'\n')?;
        let facts: Facts = serde_json::from_slice(&rest[..line]).ok()?;
        let overwritten = rest[line + 1..].to_vec();
        let length = facts.ranges.iter().try_fold(0_u64, |sum, range| sum.checked_add(range.1))?;
        (length == overwritten.len() as u64).then_some(UndoRecord { facts, overwritten })
    }

    /// Makes `file`, found at `path`, what it was, in whatever state its growing was interrupted; on return that
    /// survives a power cut. May be interrupted and repeated.
    ///
    /// # Errors
    ///
    /// [`UndoErrorKind::OtherFile`] or [`UndoErrorKind::Unexpected`]; then nothing of the file was thrown away.
    pub fn roll_back(&self, file: &File, path: &Path) -> Result<(), UndoError> {
        self.try_roll_back(file).map_err(|kind| UndoError { path: path.to_owned(), kind })
    }

    fn try_roll_back(&self, file: &File) -> Result<(), UndoErrorKind> {
        let metadata = file.metadata()?;
        if metadata.ino() != self.facts.inode {
            return Err(UndoErrorKind::OtherFile);
        }
        self.shrink(file, metadata.len())?;
        for (offset, bytes) in self.ranges() {
            file.write_all_at(bytes, offset)?;
        }
        file.set_times(FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_nanos(self.facts.modified_ns)))?;
        file.sync_all()?;
        self.prove(file)
    }

    fn ranges(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.facts.ranges.iter().scan(self.overwritten.as_slice(), |rest, (offset, length)| {
            let (bytes, after) = rest.split_at_checked(*length as usize)?;
            *rest = after;
            Some((*offset, bytes))
        })
    }

    /// Takes out what was appended and inserted.
    fn shrink(&self, file: &File, found_bytes: u64) -> Result<(), UndoErrorKind> {
        let unexpected = |what: String| UndoErrorKind::Unexpected { what };
        let bytes = self.facts.bytes;
        let Some(Insertion { at, bytes: inserted }) = self.facts.insertion else {
            return match found_bytes < bytes {
                true => Err(unexpected(format!("it has {found_bytes} bytes and had {bytes}"))),
                false => Ok(file.set_len(bytes)?),
            };
        };
        if found_bytes == bytes {
            // Not inserted yet, or taken out already: both lengthen first and shorten last.
            return match holes(file, bytes)?.is_empty() {
                true => Ok(()),
                false => Err(unexpected("it has a hole".to_owned())),
            };
        }
        let with_room = bytes + inserted;
        if found_bytes < with_room {
            return Err(unexpected(format!("it has {found_bytes} bytes, neither {bytes} nor {with_room} or more")));
        }
        file.set_len(with_room)?;
        let found = holes(file, with_room)?;
        let hole = match found.as_slice() {
            // Lengthened, and nothing moved.
            [(start, _)] if *start >= bytes => return Ok(file.set_len(bytes)?),
            [(start, length)] if *start >= at && *length == inserted => *start,
            inside if inside.iter().all(|(start, length)| *start >= at && start + length <= at + inserted) => at,
            other => return Err(unexpected(format!("it has holes at (byte, length) {other:?}"))),
        };
        Ok(rustix::fs::fallocate(file, FallocateFlags::COLLAPSE_RANGE, hole, inserted).map_err(io::Error::from)?)
    }

    /// Compares size and landmarks with what they were.
    fn prove(&self, file: &File) -> Result<(), UndoErrorKind> {
        let found = file.metadata()?.len();
        let is_itself = found == self.facts.bytes && landmarks(file, found)? == self.facts.landmarks;
        match is_itself {
            true => Ok(()),
            false => Err(UndoErrorKind::Unexpected { what: "restored, it does not hold what it held".to_owned() }),
        }
    }

    /// Writes what the file was into `copy`, an empty file, from the whole `grown` file, which stays as it is.
    ///
    /// For a grown file that others can see by now. Cost: a copy; the caller syncs.
    ///
    /// # Errors
    ///
    /// [`UndoErrorKind::Unexpected`] if the copy does not hold what the file held.
    pub fn extract(&self, grown: &File, copy: &File, path: &Path) -> Result<(), UndoError> {
        let extracted = self.copy_ranges(grown, copy).map_err(UndoErrorKind::Io);
        extracted.and_then(|()| self.prove(copy)).map_err(|kind| UndoError { path: path.to_owned(), kind })
    }

    fn copy_ranges(&self, grown: &File, copy: &File) -> io::Result<()> {
        let bytes = self.facts.bytes;
        let Insertion { at, bytes: inserted } = self.facts.insertion.unwrap_or(Insertion { at: bytes, bytes: 0 });
        let mut piece = vec![0; PIECE_BYTES];
        let mut position = 0;
        while position < bytes {
            let (shift, end) = if position < at { (0, at.min(bytes)) } else { (inserted, bytes) };
            let wanted = (end - position).min(PIECE_BYTES as u64) as usize;
            grown.read_exact_at(&mut piece[..wanted], position + shift)?;
            copy.write_all_at(&piece[..wanted], position)?;
            position += wanted as u64;
        }
        self.ranges().try_for_each(|(offset, bytes)| copy.write_all_at(bytes, offset))
    }
}

/// Rolls the file back if an in-place merge of it was interrupted, and removes the record; true if there was one.
///
/// `file` is the open file at `target`, locked against others who would grow it. May be interrupted and repeated.
///
/// # Errors
///
/// [`UndoError`]; then the record stays, and so does everything in the file that it does not account for.
pub fn recover(file: &File, target: &Path) -> Result<bool, UndoError> {
    let path = record_path(target);
    let Some(record) = UndoRecord::read(&path)? else { return Ok(false) };
    record.roll_back(file, target)?;
    durable::remove_file(&path).map_err(|source| UndoError { path, kind: source.into() })?;
    Ok(true)
}

/// Brings back what a file at `taken` was, which became the product at `grown` (or was to become it): under its own name,
/// byte for byte. `false` if there is nothing to undo. May be interrupted and repeated.
///
/// A product that has further names (hard links at receivers) stays as it is: then what the file was is copied out of it.
///
/// # Errors
///
/// [`UndoError`]; nothing was thrown away.
pub fn take_back(taken: &Path, grown: &Path) -> Result<bool, UndoError> {
    let record_path = record_path(taken);
    let Some(record) = UndoRecord::read(&record_path)? else { return Ok(false) };
    let fail = |path: &Path, kind| UndoError { path: path.to_owned(), kind };
    let open = |path: &Path| match File::options().read(true).write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some).map_err(|error| fail(path, error.into())),
    };
    if let Some(file) = open(taken)? {
        return recover(&file, taken);
    }
    let Some(file) = open(grown)?.filter(|file| record.is_of(file).unwrap_or(false)) else { return Ok(false) };
    let names = file.metadata().map_err(|error| fail(grown, error.into()))?.nlink();
    if names == 1 {
        record.roll_back(&file, grown)?;
        durable::publish(grown, taken).map_err(|error| fail(taken, error.into()))?;
    } else {
        let copy = NewFile::create(taken).map_err(|error| fail(taken, error.into()))?;
        record.extract(&file, copy.file(), grown)?;
        copy.publish(Replace::Never).map_err(|error| fail(taken, error.into()))?;
    }
    durable::remove_file(&record_path).map_err(|error| fail(&record_path, error.into()))?;
    Ok(true)
}

/// The holes (start and length) within the first `bytes` bytes, at most the first five.
///
/// # Errors
///
/// The system's answer.
pub fn holes(file: &File, bytes: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    let mut position = 0;
    while found.len() < 5 && position < bytes {
        let start = rustix::fs::seek(file, SeekFrom::Hole(position))?;
        if start >= bytes {
            break;
        }
        let end = match rustix::fs::seek(file, SeekFrom::Data(start)) {
            // No data up to the end of the file.
            Err(Errno::NXIO) => bytes,
            outcome => outcome?.min(bytes),
        };
        found.push((start, end - start));
        position = end;
    }
    Ok(found)
}

/// BLAKE3 of blocks that are spread over the file, its first and its last among them.
fn landmarks(file: &File, bytes: u64) -> io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let length = LANDMARK_BYTES.min(bytes);
    let mut block = vec![0; length as usize];
    for index in 0..LANDMARKS {
        let offset = u128::from(bytes - length) * u128::from(index) / u128::from(LANDMARKS - 1);
        file.read_exact_at(&mut block, u64::try_from(offset).unwrap_or(u64::MAX))?;
        hasher.update(&block);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests;
