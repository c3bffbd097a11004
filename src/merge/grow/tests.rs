//! Targets grown on real file systems: the same product as written anew, and the old file after any failure.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::control::{Control, Unwatched};
use crate::durable::new_file::Replace;
use crate::fits::hdu::{ScanLimits, scan};
use crate::merge::grow::{GrowError, claim};
use crate::merge::gzip::GzipLimits;
use crate::merge::job::{InputPlace, JobError, perform, prepare};
use crate::merge::options::MergeOptions;
use crate::merge::plan::growth::SMALL_BYTES;
use crate::merge::proof;
use crate::merge::report::{MergeReport, Notice};
use crate::merge::sealing::ChecksumMode;
use crate::merge::testing::{TestHdu, date, file, source, specification, synced};
use crate::merge::undo::{is_pending, record_path};
use crate::merge::verify::verify;

/// Data of the target's image: large enough that growing pays.
const PIXELS: usize = SMALL_BYTES as usize + 300_000;

struct Scene {
    folder: tempfile::TempDir,
    target: PathBuf,
    added: PathBuf,
}

/// Two extensions behind a primary header with `spare` blank cards; the second has no sums yet, and room for them.
fn target(spare: usize) -> Vec<u8> {
    file(&[
        TestHdu::primary().with("OBSERVER= 'Tycho'").with_spare(spare),
        TestHdu::image("BIG", PIXELS).sealed(),
        TestHdu::ascii_table("LOG", 10),
    ])
}

/// `cards` more keywords, and an image.
fn added(cards: usize) -> Vec<u8> {
    let mut primary = TestHdu::primary();
    for index in 0..cards {
        primary = primary.with(&format!("HIERARCH ESO DET NUM{index} = {index}"));
    }
    file(&[primary, TestHdu::image("NEW", 100_000)])
}

impl Scene {
    fn new(target: &[u8], added: &[u8]) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            File::create(&path).unwrap().write_all_at(bytes, 0).unwrap();
            path
        };
        let (target, added) = (write("target.fits", target), write("added.fits", added));
        Scene { folder, target, added }
    }

    fn merge(
        &self,
        in_place: bool,
        checksum: ChecksumMode,
        control: &dyn Control,
    ) -> Result<(MergeReport, Vec<Notice>), JobError> {
        let specification = specification(&[source("new")], &json!({"source": source("own")}));
        let output = if in_place { self.target.clone() } else { self.folder.path().join("anew.fits") };
        let claim = if in_place { claim(&self.target)? } else { None };
        let places: Vec<InputPlace> = [&self.target, &self.added].map(|path| InputPlace::of(path.clone())).into();
        let mut prepared = prepare(&specification, &places, date(), GzipLimits::DEFAULT, None)?;
        prepared.claim = claim;
        let options = MergeOptions { checksum, ..MergeOptions::default() };
        let replace = if in_place { Replace::Allowed } else { Replace::Never };
        perform(&prepared, &output, synced(replace), options, control)
    }
}

fn inode(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&path.metadata().unwrap())
}

/// Cards, without room and sums; and data of each HDU.
fn content(bytes: &[u8]) -> Vec<(Vec<String>, Vec<u8>)> {
    let (hdus, tail) = scan(bytes, ScanLimits::default()).unwrap();
    assert_eq!((tail.missing_padding, tail.trailing_bytes), (0, 0));
    let cards = |hdu: &crate::fits::hdu::Hdu| {
        let texts = hdu.header.cards().iter().map(|card| card.text().trim_end().to_owned());
        texts.filter(|text| !text.is_empty() && !text.starts_with("CHECKSUM")).collect()
    };
    hdus.iter().map(|hdu| (cards(hdu), bytes[hdu.data_offset as usize..hdu.end_offset() as usize].to_vec())).collect()
}

/// Grows a target in place and compares it with what is written anew.
#[track_caller]
fn check(spare: usize, cards: usize, checksum: ChecksumMode) {
    let scene = Scene::new(&target(spare), &added(cards));
    let (anew, _) = scene.merge(false, checksum, &Unwatched).unwrap();
    let before = inode(&scene.target);
    let (report, _) = scene.merge(true, checksum, &Unwatched).unwrap();
    assert_eq!(inode(&scene.target), before, "the file itself has grown");
    assert!(!is_pending(&scene.target));
    let (grown, anew) = (std::fs::read(&scene.target).unwrap(), std::fs::read(anew.product).unwrap());
    assert_eq!(content(&grown), content(&anew));
    assert_eq!(report.bytes, grown.len() as u64);
    let opened = File::open(&scene.target).unwrap();
    assert!(verify(&scene.target, &opened, &Unwatched).unwrap().good);
    assert!(
        proof::has_headers_and_sums(&scene.target, &opened, report.digest.as_deref().unwrap(), &Unwatched).unwrap()
    );
    // What has grown once has room, and grows again.
    scene.merge(true, checksum, &Unwatched).unwrap();
    assert_eq!(
        std::fs::read(&scene.target).unwrap().len(),
        grown.len() + added(cards).len() - 2880 * (1 + (cards + 3) / 36)
    );
}

#[test]
fn a_header_with_room_is_overwritten() {
    check(200, 20, ChecksumMode::Trust);
}

#[test]
fn a_header_without_room_gets_some() {
    check(0, 100, ChecksumMode::Recompute);
    check(0, 4000, ChecksumMode::Trust);
}

#[test]
fn only_a_datasum_that_its_checksum_confirms_is_trusted() {
    let sealed = TestHdu::image("BIG", PIXELS).sealed();
    // The data of another image under a header that was sealed for this one.
    let mut bytes = file(&[TestHdu::primary().with_spare(200), sealed]);
    let last = bytes.len() - 2880;
    bytes[last] ^= 0x40;
    let ids = |mode| {
        let scene = Scene::new(&bytes, &added(3));
        let (_, notices) = scene.merge(true, mode, &Unwatched).unwrap();
        let good = verify(&scene.target, &File::open(&scene.target).unwrap(), &Unwatched).unwrap().good;
        (notices.into_iter().map(|notice| notice.id).collect::<Vec<_>>(), good)
    };
    assert_eq!(ids(ChecksumMode::Recompute), (vec!["SourceChecksumMismatch:own:1".to_owned()], true));
    // Trusted means not read: that is what the setting says.
    assert_eq!(ids(ChecksumMode::Trust), (Vec::new(), false));
    // A header that was edited after it was sealed is not trusted.
    let card = bytes.windows(8).position(|name| name == b"EXTNAME ").unwrap();
    bytes[card + 11] = b'P';
    let scene = Scene::new(&bytes, &added(3));
    scene.merge(true, ChecksumMode::Trust, &Unwatched).unwrap();
    assert!(verify(&scene.target, &File::open(&scene.target).unwrap(), &Unwatched).unwrap().good);
}

/// Wants to stop when so many bytes are done.
struct StopAt(u64, std::sync::atomic::AtomicBool);

impl Control for StopAt {
    fn progress(&self, bytes_done: u64, _bytes_total: u64) {
        if bytes_done >= self.0 {
            self.1.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.1.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[test]
fn whatever_fails_leaves_the_old_file() {
    for spare in [0, 400] {
        let original = target(spare);
        let several =
            [TestHdu::primary().with_filler(100), TestHdu::image("N1", 3_000_000), TestHdu::image("N2", 3_000_000)];
        let scene = Scene::new(&original, &file(&several));
        for stop in [1, PIXELS as u64 / 2, original.len() as u64 + 1_200_000] {
            let control = StopAt(stop, false.into());
            let error = scene.merge(true, ChecksumMode::Recompute, &control).unwrap_err();
            assert!(matches!(error, JobError::Execute(_)), "{error}");
            assert!(std::fs::read(&scene.target).unwrap() == original, "stopped at {stop}");
            assert!(!is_pending(&scene.target));
        }
        scene.merge(true, ChecksumMode::Recompute, &Unwatched).unwrap();
    }
}

#[test]
fn only_one_at_a_time_and_none_that_is_pending() {
    let scene = Scene::new(&target(200), &added(2));
    let held = claim(&scene.target).unwrap().unwrap();
    assert!(matches!(claim(&scene.target), Err(GrowError::Busy { .. })));
    drop(held);
    File::create(record_path(&scene.target)).unwrap();
    let error = scene.merge(false, ChecksumMode::Recompute, &Unwatched).unwrap_err();
    assert!(matches!(error, JobError::Pending { .. }), "{error}");
}

#[test]
fn a_file_with_another_name_is_not_changed() {
    let original = target(200);
    let scene = Scene::new(&original, &added(2));
    let other = scene.folder.path().join("other.fits");
    std::fs::hard_link(&scene.target, &other).unwrap();
    scene.merge(true, ChecksumMode::Recompute, &Unwatched).unwrap();
    assert!(std::fs::read(&other).unwrap() == original);
    assert_ne!(inode(&scene.target), inode(&other), "written anew");
}
