//! Plans performed on real files, whole and disturbed.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::control::Control;
use crate::durable::new_file::Replace;
use crate::fits::BLOCK_BYTES;
use crate::fits::checksum::Sum32;
use crate::merge::execute::ExecuteError;
use crate::merge::job::{JobError, perform};
use crate::merge::testing::{TestHdu, TestMerge, file, pixels, source};
use crate::merge::writer::BUFFER_BYTES;

/// Does something at the first word of progress beyond `at`, and cancels from `cancel_at` on.
struct Disturber<F: Fn() + Sync> {
    at: u64,
    cancel_at: u64,
    seen: AtomicU64,
    act: F,
}

impl<F: Fn() + Sync> Control for Disturber<F> {
    fn progress(&self, bytes_done: u64, bytes_total: u64) {
        assert!(bytes_done <= bytes_total);
        let before = self.seen.swap(bytes_done, Ordering::Relaxed);
        assert!(before <= bytes_done, "progress goes back");
        if before < self.at && bytes_done >= self.at {
            (self.act)();
        }
    }

    fn is_cancelled(&self) -> bool {
        self.seen.load(Ordering::Relaxed) >= self.cancel_at
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// Merges one file of 5 MB, doing `act` to it when 2 MB are copied.
fn disturb(cancel_at: u64, act: impl Fn(&Path) + Sync) -> (Result<(), JobError>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let hdus = [TestHdu::primary(), TestHdu::image("A", 5_000_000).sealed(), TestHdu::image("B", 10)];
    let prepared = TestMerge::of(&[("a", file(&hdus))]).prepare(folder.path());
    // The kernel's clock for files ticks every few milliseconds.
    std::thread::sleep(Duration::from_millis(20));
    let input: PathBuf = folder.path().join("input0.fits");
    let control = Disturber { at: 2_000_000, cancel_at, seen: AtomicU64::new(0), act: || act(&input) };
    let outcome = perform(&prepared, &folder.path().join("out.fits"), Replace::Never, &control);
    (outcome.map(|_| ()), names(folder.path()))
}

fn open(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

#[test]
fn sizes_around_the_buffer_and_hundreds_of_small_hdus() {
    let near =
        (-2..3).map(|step: i64| (BUFFER_BYTES as i64 - BLOCK_BYTES as i64 + step * 1440).unsigned_abs() as usize);
    let mut hdus = vec![TestHdu::primary()];
    for size in near.chain([3 * BUFFER_BYTES, 1, 2 * BUFFER_BYTES + 1, 0, 5]) {
        hdus.push(TestHdu::image("", size).sealed());
    }
    for index in 0..700 {
        hdus.push(TestHdu::image("", index * 13).with_filler(index % 50).sealed());
    }
    hdus.push(TestHdu::image("", BUFFER_BYTES + 7).sealed());
    // A naive writer: everything was sealed, so everything behind the primary header stays as it is.
    let product = TestMerge::of(&[("a", file(&hdus)), ("b", file(&hdus))]).product();
    let behind = &file(&hdus)[BLOCK_BYTES..];
    assert!(product.bytes[BLOCK_BYTES..] == [behind, behind].concat());
    assert_eq!(product.notices, [""; 0]);
    // Large data in a primary HDU, whose header comes last.
    let det = TestHdu::primary_image(4 * BUFFER_BYTES + 3).with_filler(100);
    let target = json!({"source": source("det")});
    let product =
        TestMerge::with(&[source("a")], &target, &[("det", file(std::slice::from_ref(&det))), ("a", file(&hdus))])
            .product();
    assert!(&product.data(0)[..det.data().len()] == det.data());
    assert!(product.bytes.ends_with(behind));
}

#[test]
fn an_input_that_is_written_to_is_no_source() {
    let (outcome, left) = disturb(u64::MAX, |input| open(input).write_all_at(b"x", 4_900_000).unwrap());
    assert!(matches!(outcome, Err(JobError::Execute(ExecuteError::SourceChanged { .. }))), "{outcome:?}");
    assert_eq!(left, ["input0.fits"]);
    // Also behind the place that is being read, where the sums see nothing.
    let (outcome, _) = disturb(u64::MAX, |input| open(input).write_all_at(b"x", 10_000).unwrap());
    assert!(matches!(outcome, Err(JobError::Execute(ExecuteError::SourceChanged { .. }))), "{outcome:?}");
}

#[test]
fn an_input_that_shrinks_or_grows_is_no_source() {
    for bytes in [0, 2_500_000, 5_005_440, 6_000_000] {
        let (outcome, left) = disturb(u64::MAX, |input| open(input).set_len(bytes).unwrap());
        assert!(matches!(outcome, Err(JobError::Execute(ExecuteError::SourceChanged { .. }))), "{bytes}: {outcome:?}");
        assert_eq!(left, ["input0.fits"]);
    }
}

#[test]
fn a_cancelled_merge_leaves_nothing() {
    for at in [0, 1, 2_000_000, 5_000_000] {
        let (outcome, left) = disturb(at, |_| ());
        assert!(matches!(outcome, Err(JobError::Execute(ExecuteError::Cancelled))), "{at}: {outcome:?}");
        assert_eq!(left, ["input0.fits"]);
    }
}

#[test]
fn an_input_that_is_replaced_by_name_is_still_the_one_that_was_opened() {
    let (outcome, left) = disturb(u64::MAX, |input| std::fs::remove_file(input).unwrap());
    // Removing the name changes the inode, which cannot be told from a change of its bytes.
    assert!(matches!(outcome, Err(JobError::Execute(ExecuteError::SourceChanged { .. }))), "{outcome:?}");
    assert_eq!(left, [""; 0]);
}

#[test]
fn wrong_sums_of_a_source_are_told_and_mended() {
    for size in [10, 3 * BUFFER_BYTES] {
        let sealed = TestHdu::image("A", size).sealed();
        let mut damaged = pixels(size);
        damaged[5] ^= 1;
        let header_of_another = sealed.bytes()[..BLOCK_BYTES].to_vec();
        let data = TestHdu::image("A", size).with_data(damaged.clone()).bytes()[BLOCK_BYTES..].to_vec();
        let bytes = [file(&[TestHdu::primary()]), header_of_another, data].concat();
        let product = TestMerge::of(&[("a", bytes)]).product();
        assert_eq!(product.notices, ["SourceChecksumMismatch:a:1"]);
        assert!(product.data(1)[..size] == damaged);
    }
}

#[test]
fn a_right_datasum_with_a_wrong_checksum_is_sealed_anew() {
    let mut bytes = file(&[TestHdu::primary(), TestHdu::image("A", 10).with("OBJECT  = 'x'").sealed()]);
    let at = BLOCK_BYTES + 7 * 80 + 11;
    assert_eq!(bytes[at], b'x');
    bytes[at] = b'y';
    let product = TestMerge::of(&[("a", bytes)]).product();
    assert_eq!(product.notices, [""; 0]);
    assert_eq!(Sum32::of(product.hdu(1)).value(), u32::MAX);
}
