//! Files with one thing wrong.

use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::control::Unwatched;
use crate::durable::new_file::Durability;
use crate::fits::BLOCK_BYTES;
use crate::merge::content::Content;
use crate::merge::execute::{ExecuteOptions, execute};
use crate::merge::fingerprint::Fingerprint;
use crate::merge::intake::OpenInput;
use crate::merge::options::MergeOptions;
use crate::merge::testing::{TestHdu, TestMerge, file};
use crate::merge::verify::{FileVerdict, SumVerdict, check_product, verify};

fn judged(bytes: &[u8]) -> FileVerdict {
    let mut written = tempfile::NamedTempFile::new().unwrap();
    written.write_all(bytes).unwrap();
    verify(written.path(), written.as_file(), &Unwatched).unwrap()
}

fn check(bytes: &[u8], expected: &[(usize, &str)]) {
    let verdict = judged(bytes);
    let found: Vec<(usize, &str)> = verdict.faults.iter().map(|fault| (fault.hdu, fault.message.as_str())).collect();
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for ((hdu, message), (wanted_hdu, part)) in found.iter().zip(expected) {
        assert!(hdu == wanted_hdu && message.contains(part), "{hdu}: {message}");
    }
    assert_eq!(verdict.good, expected.is_empty());
}

fn sealed() -> Vec<u8> {
    let small = TestHdu::image("A", 100).with("OBJECT  = 'x'").sealed();
    file(&[TestHdu::primary().sealed(), small, TestHdu::image("B", 2_500_000).sealed()])
}

#[test]
fn a_good_file() {
    let verdict = judged(&sealed());
    assert!(verdict.good, "{verdict:?}");
    let sums: Vec<_> = verdict.hdus.iter().map(|hdu| (hdu.datasum, hdu.checksum)).collect();
    assert_eq!(sums, [(SumVerdict::Correct, SumVerdict::Correct); 3]);
}

#[test]
fn missing_sums_are_no_faults() {
    let verdict = judged(&file(&[TestHdu::primary(), TestHdu::image("A", 100)]));
    assert!(verdict.good);
    assert_eq!((verdict.hdus[1].datasum, verdict.hdus[1].checksum), (SumVerdict::Missing, SumVerdict::Missing));
}

#[test]
fn a_flipped_bit_is_found_where_it_is() {
    let flipped = |at: usize| {
        let mut bytes = sealed();
        bytes[at] ^= 1;
        bytes
    };
    let checksum = "CHECKSUM does not match";
    // The value of OBJECT, the pixels, the padding, the last byte.
    check(&flipped(BLOCK_BYTES + 7 * 80 + 11), &[(1, checksum)]);
    check(&flipped(2 * BLOCK_BYTES + 3), &[(1, checksum), (1, "DATASUM is")]);
    check(&flipped(2 * BLOCK_BYTES + 200), &[(1, checksum), (1, "DATASUM is"), (1, "filled")]);
    check(&flipped(4 * BLOCK_BYTES + 2_000_000), &[(2, checksum), (2, "DATASUM is")]);
    check(&flipped(sealed().len() - 1), &[(2, checksum), (2, "DATASUM is"), (2, "filled")]);
}

#[test]
fn what_is_no_whole_file_is_a_verdict() {
    check(b"", &[(0, "no FITS")]);
    check(b"PK\x03\x04", &[(0, "compressed with zip")]);
    let good = sealed();
    check(&good[..good.len() - 20_000], &[(2, "cut off")]);
    check(&good[..BLOCK_BYTES + 100], &[(1, "cut off")]);
    check(&[good.as_slice(), b"more"].concat(), &[(2, "4 bytes follow")]);
    let unsealed = file(&[TestHdu::primary(), TestHdu::image("A", 100)]);
    check(&unsealed[..unsealed.len() - 1000], &[(1, "lacks 1000 bytes")]);
}

#[test]
fn illegal_cards_are_named() {
    let mut bytes = file(&[TestHdu::primary().with("OBJECT  = 'x'")]);
    bytes[3 * 80 + 11] = 0xff;
    let verdict = judged(&bytes);
    assert_eq!((verdict.faults.len(), verdict.faults[0].card), (1, Some(4)));
}

/// A product whose bytes are changed after it was written.
fn check_changed(change: impl Fn(&std::fs::File), expected: Option<(usize, &str)>) {
    let folder = tempfile::tempdir().unwrap();
    let hdus = [TestHdu::primary(), TestHdu::image("A", 100), TestHdu::image("B", 100)];
    let merge = TestMerge::of(&[("a", file(&hdus))]);
    let path = merge.write(folder.path()).remove(0).path;
    let input = std::fs::File::open(&path).unwrap();
    let fingerprint = Fingerprint::of(&input).unwrap();
    let inputs = [OpenInput { label: "a".to_owned(), path, file: input, content: Content::Plain, fingerprint }];
    let plan = merge.plan();
    let output = tempfile::tempfile().unwrap();
    execute(
        &plan,
        &inputs,
        &output,
        ExecuteOptions::new(&MergeOptions::default(), Durability::Synced, plan.product_bytes, u64::MAX),
        &Unwatched,
    )
    .unwrap();
    change(&output);
    match (check_product(&output, &plan), expected) {
        (Ok(()), None) => {}
        (Err(fault), Some((hdu, part))) => assert!(fault.hdu == hdu && fault.message.contains(part), "{fault:?}"),
        (outcome, _) => panic!("{outcome:?}"),
    }
}

#[test]
fn a_product_that_is_not_what_was_planned_is_found() {
    let block = BLOCK_BYTES as u64;
    let write = |at: u64, bytes: &'static [u8]| move |file: &std::fs::File| file.write_all_at(bytes, at).unwrap();
    check_changed(|_| (), None);
    check_changed(write(4 * 80 + 15, b"9"), Some((0, "CHECKSUM")));
    check_changed(write(block + 6 * 80 + 11, b"Z"), Some((1, "CHECKSUM")));
    check_changed(write(block + 11, b"TABLE"), Some((1, "")));
    check_changed(write(block + 3 * 80 + 26, b"3"), Some((1, "stands at")));
    check_changed(write(3 * block, &[0; 2880]), Some((2, "missing")));
    check_changed(|file| file.set_len(3 * block).unwrap(), Some((2, "missing")));
    check_changed(|file| file.set_len(5 * block - 1).unwrap(), Some((3, "does not end")));
    check_changed(|file| file.set_len(5 * block + 1).unwrap(), Some((3, "does not end")));
    check_changed(|file| file.set_len(0).unwrap(), Some((0, "no FITS")));
}

/// The judge began each header anew in the stream, and the sixteenth time was one too many.
#[test]
fn a_compressed_file_of_many_hdus_is_judged() {
    let mut hdus = vec![TestHdu::primary()];
    hdus.extend((0..40).map(|index| TestHdu::image(&format!("E{index}"), 5000)));
    let mut compressed = GzEncoder::new(tempfile::tempfile().unwrap(), Compression::fast());
    compressed.write_all(&file(&hdus)).unwrap();
    let compressed = compressed.finish().unwrap();
    let verdict = verify(Path::new("a.fits.gz"), &compressed, &Unwatched).unwrap();
    assert_eq!((verdict.hdus.len(), verdict.faults), (41, vec![]));
}
