//! Plans performed on real files, whole and disturbed.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::control::{Control, Unwatched};
use crate::durable::new_file::{Durability, Replace};
use crate::fits::BLOCK_BYTES;
use crate::fits::checksum::Sum32;
use crate::fits::hdu::{Hdu, ScanLimits, scan};
use crate::merge::content::Content;
use crate::merge::execute::{ExecuteError, ExecuteOptions, Executed, execute};
use crate::merge::fingerprint::Fingerprint;
use crate::merge::input::InputDescription;
use crate::merge::intake::OpenInput;
use crate::merge::job::{JobError, perform};
use crate::merge::options::{DigestScope, MergeOptions, PageCache};
use crate::merge::plan;
use crate::merge::sealing::ChecksumMode;
use crate::merge::stripes::STRIPE_BYTES;
use crate::merge::testing::{TestHdu, TestMerge, date, described, file, pixels, source, synced};
use crate::merge::writer::WriteBehind;

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
    let outcome =
        perform(&prepared, &folder.path().join("out.fits"), synced(Replace::Never), MergeOptions::default(), &control);
    (outcome.map(|_| ()), names(folder.path()))
}

fn open(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

#[test]
fn sizes_around_the_buffer_and_hundreds_of_small_hdus() {
    let near = (-2..3)
        .map(|step: i64| (STRIPE_BYTES as usize as i64 - BLOCK_BYTES as i64 + step * 1440).unsigned_abs() as usize);
    let mut hdus = vec![TestHdu::primary()];
    for size in near.chain([3 * STRIPE_BYTES as usize, 1, 2 * STRIPE_BYTES as usize + 1, 0, 5]) {
        hdus.push(TestHdu::image("", size).sealed());
    }
    for index in 0..700 {
        hdus.push(TestHdu::image("", index * 13).with_filler(index % 50).sealed());
    }
    hdus.push(TestHdu::image("", STRIPE_BYTES as usize + 7).sealed());
    // A naive writer: everything was sealed, so everything behind the primary header stays as it is.
    let product = TestMerge::of(&[("a", file(&hdus)), ("b", file(&hdus))]).product();
    let behind = &file(&hdus)[BLOCK_BYTES..];
    assert!(product.bytes[BLOCK_BYTES..] == [behind, behind].concat());
    assert_eq!(product.notices, [""; 0]);
    // Large data in a primary HDU, whose header comes last.
    let det = TestHdu::primary_image(4 * STRIPE_BYTES as usize + 3).with_filler(100);
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
    for size in [10, 3 * STRIPE_BYTES as usize] {
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

/// Merges `files` with `options`, as if product and sources shared blocks of `block` bytes.
fn product_with(merge: &TestMerge, options: MergeOptions, block: Option<u64>) -> (Vec<u8>, Executed) {
    let folder = tempfile::tempdir().unwrap();
    let inputs: Vec<OpenInput> = merge
        .write(folder.path())
        .into_iter()
        .zip(&merge.files)
        .map(|(place, (label, _))| {
            let file = File::open(&place.path).unwrap();
            let fingerprint = Fingerprint::of(&file).unwrap();
            OpenInput { label: label.clone(), path: place.path, file, content: Content::Plain, fingerprint }
        })
        .collect();
    let descriptions: Vec<_> = merge
        .files
        .iter()
        .map(|(label, bytes)| InputDescription { shared_block: block, ..described(label, bytes) })
        .collect();
    let plan = plan::plan(&merge.specification, &descriptions, date()).unwrap();
    let output = tempfile::tempfile().unwrap();
    let execution = ExecuteOptions::new(&options, Durability::Synced, plan.product_bytes, u64::MAX);
    let executed = execute(&plan, &inputs, &output, execution, &Unwatched).unwrap();
    let mut bytes = vec![0; plan.product_bytes as usize];
    output.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(output.metadata().unwrap().len(), plan.product_bytes);
    (bytes, executed)
}

fn mixed_merge() -> TestMerge {
    let one = [
        TestHdu::primary_image(5_000_000),
        TestHdu::image("A", 9_000_001).sealed(),
        TestHdu::ascii_table("T", 700),
        TestHdu::image("B", 2_000_000),
    ];
    let mut two = vec![TestHdu::primary()];
    two.extend((0..30).map(|index| TestHdu::image(&format!("S{index}"), index * 9_000).sealed()));
    two.push(TestHdu::image("L", 12_345_678));
    TestMerge::of(&[("one", file(&one)), ("two", [file(&two), b"behind".to_vec()].concat())])
}

#[test]
fn every_way_of_copying_gives_the_same_product() {
    let merge = mixed_merge();
    let (expected, first) = product_with(&merge, MergeOptions { threads: 1, ..MergeOptions::default() }, None);
    assert_eq!(first.digest, Some(blake3::hash(&expected)));
    for threads in [2, 3, 8] {
        for (digest, page_cache) in [(DigestScope::All, PageCache::Drop), (DigestScope::Nothing, PageCache::Keep)] {
            for checksum in [ChecksumMode::Recompute, ChecksumMode::Trust] {
                let options = MergeOptions { threads, digest, page_cache, checksum, ..MergeOptions::default() };
                let (bytes, executed) = product_with(&merge, options, None);
                assert!(bytes == expected, "{options:?}");
                let wanted = (digest == DigestScope::All).then(|| blake3::hash(&expected));
                assert_eq!(executed.digest, wanted, "{options:?}");
            }
        }
    }
}

#[test]
fn sources_are_digested_as_they_lie() {
    let merge = mixed_merge();
    for block in [None, Some(4096)] {
        let options = MergeOptions { digest: DigestScope::All, ..MergeOptions::default() };
        let (_, executed) = product_with(&merge, options, block);
        let expected: Vec<_> = merge.files.iter().map(|(_, bytes)| blake3::hash(bytes)).collect();
        assert_eq!(executed.input_digests, expected);
    }
}

/// Where the file system does not share after all, the bytes are copied; the product is the same.
#[test]
fn a_product_that_shares_blocks_has_the_same_data_behind_longer_headers() {
    let merge = mixed_merge();
    let (plain, _) = product_with(&merge, MergeOptions::default(), None);
    let (plain_hdus, _) = scan(plain.as_slice(), ScanLimits::default()).unwrap();
    for (checksum, digest) in [
        (ChecksumMode::Recompute, DigestScope::Product),
        (ChecksumMode::Trust, DigestScope::Product),
        (ChecksumMode::Trust, DigestScope::Nothing),
    ] {
        let options = MergeOptions { checksum, digest, ..MergeOptions::default() };
        let (shared, executed) = product_with(&merge, options, Some(4096));
        let (hdus, tail) = scan(shared.as_slice(), ScanLimits::default()).unwrap();
        assert_eq!((hdus.len(), tail.trailing_bytes), (plain_hdus.len(), 0));
        assert!(shared.len() > plain.len());
        for (one, other) in hdus.iter().zip(&plain_hdus) {
            let data = |bytes: &[u8], hdu: &Hdu| bytes[hdu.data_offset as usize..hdu.end_offset() as usize].to_vec();
            assert!(data(&shared, one) == data(&plain, other), "HDU {}", one.index);
            assert_eq!(Sum32::of(&shared[one.header_offset as usize..one.end_offset() as usize]).value(), u32::MAX);
            assert_eq!(one.header.faults(), []);
        }
        assert_eq!(executed.digest, (digest == DigestScope::Product).then(|| blake3::hash(&shared)));
    }
}

/// A trusted sum is not looked at, a recomputed one is.
#[test]
fn trust_takes_the_recorded_sum_as_it_is() {
    let sealed = TestHdu::image("A", 9_000_000).sealed();
    let mut damaged = pixels(9_000_000);
    damaged[5] ^= 1;
    let mut bytes = [file(&[TestHdu::primary()]), sealed.bytes()].concat();
    let start = bytes.len() - 9_000_000usize.next_multiple_of(BLOCK_BYTES);
    bytes[start..start + damaged.len()].copy_from_slice(&damaged);
    let merge = TestMerge::of(&[("a", bytes)]);
    for (checksum, notices) in [(ChecksumMode::Recompute, 1), (ChecksumMode::Trust, 0)] {
        let options = MergeOptions { checksum, digest: DigestScope::Nothing, ..MergeOptions::default() };
        assert_eq!(product_with(&merge, options, Some(4096)).1.notices.len(), notices);
    }
}

#[test]
fn the_page_cache_is_spared_where_a_product_would_crowd_it() {
    const MIB: u64 = 1 << 20;
    let check = |page_cache, durability, product_bytes, expected| {
        let options = MergeOptions { page_cache, ..MergeOptions::default() };
        let found = ExecuteOptions::new(&options, durability, product_bytes, 8 * MIB).write_behind;
        assert_eq!(found, expected, "{page_cache:?} {durability:?} {product_bytes}");
    };
    check(PageCache::Auto, Durability::Synced, MIB, WriteBehind::Start);
    check(PageCache::Auto, Durability::Content, MIB + 1, WriteBehind::Drop);
    check(PageCache::Auto, Durability::Unsynced, MIB, WriteBehind::Never);
    check(PageCache::Auto, Durability::Unsynced, MIB + 1, WriteBehind::Drop);
    check(PageCache::Keep, Durability::Content, 99 * MIB, WriteBehind::Start);
    check(PageCache::Keep, Durability::Unsynced, 99 * MIB, WriteBehind::Never);
    check(PageCache::Drop, Durability::Unsynced, 0, WriteBehind::Drop);
}
