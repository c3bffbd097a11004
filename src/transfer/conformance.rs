//! One suite that every [`Source`] passes: what [`crate::transfer::collect()`] relies on.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use crate::transfer::copy::PIECE_BYTES;
use crate::transfer::error::TransferErrorKind;
use crate::transfer::plan::Step;
use crate::transfer::source::{Control, Source, Unwatched};

/// A [`Control`] that keeps what it was told, calls back, and cancels when it is told so.
pub(crate) struct Watcher<'a> {
    told: Mutex<Vec<(u64, u64)>>,
    call: Box<dyn Fn(u64) + Sync + 'a>,
    cancel_from: u64,
}

impl<'a> Watcher<'a> {
    /// Calls back with the bytes done.
    pub(crate) fn calling(call: impl Fn(u64) + Sync + 'a) -> Watcher<'a> {
        Watcher { told: Mutex::default(), call: Box::new(call), cancel_from: u64::MAX }
    }

    /// Cancels once so many bytes are done.
    pub(crate) fn cancelling_from(bytes_done: u64) -> Watcher<'a> {
        Watcher { cancel_from: bytes_done, ..Watcher::calling(|_| {}) }
    }

    /// Each progress, as (bytes done, bytes total).
    pub(crate) fn told(&self) -> Vec<(u64, u64)> {
        self.told.lock().unwrap().clone()
    }
}

impl Control for Watcher<'_> {
    fn progress(&self, bytes_done: u64, bytes_total: u64) {
        self.told.lock().unwrap().push((bytes_done, bytes_total));
        (self.call)(bytes_done);
    }

    fn is_cancelled(&self) -> bool {
        self.cancel_from == 0 || self.told.lock().unwrap().last().is_some_and(|told| told.0 >= self.cancel_from)
    }
}

/// Bytes that differ everywhere, so that misplaced pieces show.
pub(crate) fn sample(bytes: usize) -> Vec<u8> {
    (0..bytes as u64).map(|index| (index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

/// A folder in memory that is smaller than [`TOO_LARGE`], and says so before it takes a byte; none on odd machines.
pub(crate) fn small_folder() -> Option<tempfile::TempDir> {
    const TMPFS_MAGIC: i64 = 0x0102_1994;
    let folder = tempfile::tempdir_in("/dev/shm").ok()?;
    let found = rustix::fs::statfs(folder.path()).ok()?;
    let bytes = found.f_blocks.saturating_mul(found.f_bsize.cast_unsigned());
    (found.f_type == TMPFS_MAGIC && bytes > 0 && bytes < TOO_LARGE).then_some(folder)
}

/// Bytes that no folder in memory holds: 1 TiB, as a sparse file.
pub(crate) const TOO_LARGE: u64 = 1 << 40;

/// Makes a source in a folder of its own: with this content, or one whose file is missing.
type Make<'a> = dyn Fn(&Path, Option<&[u8]>) -> Box<dyn Source> + 'a;

/// Tries every promise of [`Source`].
pub(crate) fn conforms(make: impl Fn(&Path, Option<&[u8]>) -> Box<dyn Source>) {
    let piece = PIECE_BYTES;
    for bytes in [0, 1, 2880, piece - 1, piece, piece + 1, 3 * piece + 17] {
        brings_all_bytes(&make, &sample(bytes));
        replaces_leftovers(&make, &sample(bytes));
    }
    ends_when_cancelled(&make);
    reports_a_missing_file(&make);
    reports_a_missing_folder(&make);
}

fn brings_all_bytes(make: &Make<'_>, content: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to.part");
    let source = make(folder.path(), Some(content));
    let probe = source.probe().unwrap();
    assert_eq!(probe.bytes, content.len() as u64);
    let watcher = Watcher::calling(|_| {});
    let fetched = source.fetch(&to, &watcher).unwrap();
    assert_eq!(fetched.bytes, probe.bytes);
    assert!(std::fs::read(&to).unwrap() == content, "{} bytes", content.len());
    if let Some(digest) = fetched.digest {
        assert_eq!(digest, blake3::hash(content).to_hex().as_str());
    }
    let told = watcher.told();
    assert!(told.is_sorted() && told.iter().all(|told| told.1 == probe.bytes), "{told:?}");
    assert_eq!(told.last(), Some(&(probe.bytes, probe.bytes)));
    // Neither a look nor a fetch changes the source.
    assert_eq!(source.probe().unwrap(), probe);
}

fn replaces_leftovers(make: &Make<'_>, content: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to.part");
    let source = make(folder.path(), Some(content));
    let wrong = vec![0xFF; content.len() / 2];
    let longer = [content, b"more"].concat();
    for leftover in [&content[..content.len() / 2], &wrong, content, &longer] {
        File::create(&to).unwrap().write_all(leftover).unwrap();
        source.fetch(&to, &Unwatched).unwrap();
        assert!(std::fs::read(&to).unwrap() == content, "{} bytes left over", leftover.len());
    }
}

fn ends_when_cancelled(make: &Make<'_>) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to.part");
    let content = sample(3 * PIECE_BYTES);
    let source = make(folder.path(), Some(&content));
    for from in [0, 1] {
        match source.fetch(&to, &Watcher::cancelling_from(from)) {
            Err(error) => assert!(error.is_cancelled() && error.step == Step::Fetch, "{error:?}"),
            // One call of the kernel may bring the whole file before anybody can look.
            Ok(fetched) => assert!(from > 0 && fetched.digest.is_none()),
        }
    }
    source.fetch(&to, &Unwatched).unwrap();
    assert!(std::fs::read(&to).unwrap() == content);
}

fn reports_a_missing_file(make: &Make<'_>) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to.part");
    let source = make(folder.path(), None);
    for error in [source.probe().unwrap_err(), source.fetch(&to, &Unwatched).unwrap_err()] {
        assert!(matches!(error.kind, TransferErrorKind::Missing), "{error:?}");
        assert!(error.to_string().contains(&error.location) && !error.location.is_empty(), "{error}");
    }
    assert!(!to.exists());
}

fn reports_a_missing_folder(make: &Make<'_>) {
    let folder = tempfile::tempdir().unwrap();
    let source = make(folder.path(), Some(b"content"));
    let error = source.fetch(&folder.path().join("missing/to.part"), &Unwatched).unwrap_err();
    assert!(matches!(error.kind, TransferErrorKind::Write { .. }), "{error:?}");
}
