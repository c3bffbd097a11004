//! Every state in which growing a file can be interrupted, made on a real file system, and undone.

#![expect(clippy::disallowed_methods, reason = "files of a test need not survive a power cut")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::FallocateFlags;

use crate::merge::undo::{Insertion, UndoErrorKind, UndoRecord, holes, is_pending, record_path, recover, take_back};

const BLOCK: u64 = 4096;
const INSERTED: u64 = 184_320;
const AT: u64 = 2 * BLOCK;
/// No multiple of the block, as FITS files are.
const BYTES: u64 = 100 * 2880 + 2880;
const INSERTION: Insertion = Insertion { at: AT, bytes: INSERTED };
/// The primary header, and two cards of another one.
const RANGES: [(u64, u64); 2] = [(0, 4 * 2880), (50_000, 160)];

/// A folder on a file system that can insert ranges: the temporary one, else the one of the build.
fn folder() -> tempfile::TempDir {
    let places = [std::env::temp_dir(), Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()];
    let can_insert = |folder: &tempfile::TempDir| {
        let file = File::create(folder.path().join("probe")).unwrap();
        file.set_len(2 * BLOCK).unwrap();
        rustix::fs::fallocate(&file, FallocateFlags::INSERT_RANGE, BLOCK, BLOCK).is_ok()
    };
    let found = places.iter().map(|place| tempfile::tempdir_in(place).unwrap()).find(can_insert);
    found.expect("no file system here inserts ranges: run the tests with TMPDIR on ext4 or xfs")
}

struct Scene {
    _folder: tempfile::TempDir,
    path: PathBuf,
    file: File,
    original: Vec<u8>,
}

impl Scene {
    fn new() -> Scene {
        let folder = folder();
        let path = folder.path().join("target.fits");
        let original: Vec<u8> = (0..BYTES).map(|index| (index % 251 + index / 4096) as u8).collect();
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.write_all_at(&original, 0).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789)).unwrap();
        file.sync_all().unwrap();
        Scene { _folder: folder, path, file, original }
    }

    fn record(&self, insertion: Option<Insertion>) -> UndoRecord {
        let record = UndoRecord::of(&self.file, RANGES.to_vec(), insertion).unwrap();
        record.write(&record_path(&self.path)).unwrap();
        assert!(is_pending(&self.path));
        assert_eq!(UndoRecord::read(&record_path(&self.path)).unwrap().unwrap(), record);
        record
    }

    fn insert(&self, at: u64) {
        rustix::fs::fallocate(&self.file, FallocateFlags::INSERT_RANGE, at, INSERTED).unwrap();
    }

    fn overwrite(&self, gained: u64) {
        self.file.write_all_at(&vec![b'#'; (4 * 2880 + gained) as usize], 0).unwrap();
        self.file.write_all_at(&[b'#'; 160], 50_000 + gained).unwrap();
    }

    #[track_caller]
    fn assert_restored(&self) {
        assert!(recover(&self.file, &self.path).unwrap());
        assert!(std::fs::read(&self.path).unwrap() == self.original, "other bytes");
        assert!(!is_pending(&self.path));
        let modified = self.file.metadata().unwrap().modified().unwrap();
        assert_eq!(modified, UNIX_EPOCH + Duration::from_nanos(1_700_000_000_123_456_789));
        assert!(!recover(&self.file, &self.path).unwrap(), "nothing is left to undo");
    }

    #[track_caller]
    fn assert_refused(&self, what: &str) {
        let before = std::fs::read(&self.path).unwrap();
        let error = crate::status::with_causes(&recover(&self.file, &self.path).unwrap_err());
        assert!(error.contains(what), "{error}");
        assert!(is_pending(&self.path), "the record stays");
        let after = std::fs::read(&self.path).unwrap();
        assert!(after.len() <= before.len());
    }
}

#[test]
fn a_file_that_grew_by_insertion_is_restored_from_every_state() {
    type Change = fn(&Scene);
    let states: [(&str, Change); 11] = [
        ("nothing done", |_| {}),
        ("header overwritten only", |scene| scene.overwrite(0)),
        ("inserted", |scene| scene.insert(AT)),
        ("moved half of the extents", |scene| scene.insert(AT + 30 * BLOCK)),
        ("moved the last extent only", |scene| scene.insert(BYTES / BLOCK * BLOCK)),
        ("lengthened only", |scene| scene.file.set_len(BYTES + INSERTED).unwrap()),
        ("half of the header", |scene| {
            scene.insert(AT);
            scene.file.write_all_at(&[b'#'; 40_000], 0).unwrap();
        }),
        ("a page in the midst of the header", |scene| {
            scene.insert(AT);
            scene.file.write_all_at(&[b'#'; 4096], AT + 8 * BLOCK).unwrap();
        }),
        ("whole header", |scene| {
            scene.insert(AT);
            scene.overwrite(INSERTED);
        }),
        ("appended", |scene| {
            scene.insert(AT);
            scene.file.set_len(BYTES + INSERTED + 1_000_000).unwrap();
            scene.file.write_all_at(&[7; 2880], BYTES + INSERTED).unwrap();
            scene.overwrite(INSERTED);
        }),
        ("undone up to the header", |scene| {
            scene.insert(AT);
            scene.overwrite(INSERTED);
            rustix::fs::fallocate(&scene.file, FallocateFlags::COLLAPSE_RANGE, AT, INSERTED).unwrap();
        }),
    ];
    for (name, change) in states {
        let scene = Scene::new();
        scene.record(Some(INSERTION));
        change(&scene);
        println!("{name}");
        scene.assert_restored();
        assert_eq!(holes(&scene.file, BYTES).unwrap(), []);
    }
}

#[test]
fn a_file_whose_header_had_room_is_restored_from_every_state() {
    for appended in [0, 1, 5_000_000] {
        let scene = Scene::new();
        scene.record(None);
        scene.overwrite(0);
        scene.file.set_len(BYTES + appended).unwrap();
        scene.assert_restored();
    }
}

#[test]
fn what_growing_did_not_make_is_never_taken_for_restored() {
    let scene = Scene::new();
    scene.record(Some(INSERTION));
    scene.file.set_len(BYTES - 1).unwrap();
    scene.assert_refused("neither");
    scene.file.set_len(BYTES).unwrap();
    scene.assert_refused("does not hold what it held");

    let scene = Scene::new();
    scene.record(Some(INSERTION));
    scene.insert(AT + 30 * BLOCK);
    rustix::fs::fallocate(&scene.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 20 * BLOCK, BLOCK)
        .unwrap();
    scene.assert_refused("holes at");

    let scene = Scene::new();
    scene.record(None);
    scene.file.write_all_at(b"x", BYTES - 1).unwrap();
    scene.assert_refused("does not hold what it held");
}

#[test]
fn a_record_of_another_file_or_a_damaged_one_is_refused() {
    let (scene, other) = (Scene::new(), Scene::new());
    let record = other.record(None);
    record.write(&record_path(&scene.path)).unwrap();
    scene.assert_refused("another file");
    assert!(std::fs::read(&scene.path).unwrap() == scene.original);
    let path = record_path(&other.path);
    let whole = std::fs::read(&path).unwrap();
    for cut in [0, 5, 40, whole.len() - 1] {
        File::create(&path).unwrap().write_all_at(&whole[..cut], 0).unwrap();
        let error = recover(&other.file, &other.path).unwrap_err();
        assert!(matches!(error.kind, UndoErrorKind::Unreadable), "{error}");
    }
    for place in [0, 20, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        File::create(&path).unwrap().write_all_at(&damaged, 0).unwrap();
        assert!(matches!(recover(&other.file, &other.path).unwrap_err().kind, UndoErrorKind::Unreadable));
    }
}

#[test]
fn what_the_file_was_is_extracted_without_touching_it() {
    for insertion in [None, Some(INSERTION)] {
        let scene = Scene::new();
        let record = scene.record(insertion);
        if insertion.is_some() {
            scene.insert(AT);
        }
        scene.overwrite(insertion.map_or(0, |insertion| insertion.bytes));
        let grown = std::fs::read(&scene.path).unwrap();
        let copy = tempfile::tempfile().unwrap();
        record.extract(&scene.file, &copy, &scene.path).unwrap();
        let mut extracted = vec![0; BYTES as usize];
        copy.read_exact_at(&mut extracted, 0).unwrap();
        assert!(extracted == scene.original && copy.metadata().unwrap().len() == BYTES);
        assert!(std::fs::read(&scene.path).unwrap() == grown);
    }
}

#[test]
fn a_file_that_became_the_product_is_taken_back() {
    for (is_renamed, has_further_name) in [(false, false), (true, false), (true, true)] {
        let scene = Scene::new();
        let product = scene.path.with_file_name("product.fits");
        assert!(!take_back(&scene.path, &product).unwrap(), "nothing to undo");
        scene.record(Some(INSERTION));
        scene.insert(AT);
        scene.overwrite(INSERTED);
        if is_renamed {
            std::fs::rename(&scene.path, &product).unwrap();
        }
        if has_further_name {
            std::fs::hard_link(&product, scene.path.with_file_name("delivered.fits")).unwrap();
        }
        assert!(take_back(&scene.path, &product).unwrap());
        assert!(std::fs::read(&scene.path).unwrap() == scene.original);
        assert_eq!(product.exists(), has_further_name, "what others see stays");
        assert!(!is_pending(&scene.path) && !take_back(&scene.path, &product).unwrap());
    }
}

#[test]
fn another_product_is_not_taken_for_the_target() {
    let (scene, other) = (Scene::new(), Scene::new());
    scene.record(None);
    std::fs::remove_file(&scene.path).unwrap();
    assert!(!take_back(&scene.path, &other.path).unwrap());
    assert!(std::fs::read(&other.path).unwrap() == other.original && is_pending(&scene.path));
}
