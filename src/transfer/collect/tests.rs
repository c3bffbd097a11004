//! Collecting on real folders: each way to bring a file, and repeating it after an interruption.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::specification::location::Location;
use crate::specification::model::{DigestAlgorithm, FitsFileSource, PrimaryData, SourceDigest};
use crate::transfer::collect::{CollectRequest, Collected, collect, collect_again, collect_from};
use crate::transfer::conformance::{Watcher, sample};
use crate::transfer::copy::PIECE_BYTES;
use crate::transfer::error::{Remedy, TransferError, TransferErrorKind};
use crate::transfer::local::LocalSource;
use crate::transfer::plan::{CollectMode, Step};
use crate::transfer::source::Unwatched;

/// A producer's spool with one file, and a DAQ's folder.
struct Bench {
    folder: TempDir,
    source: FitsFileSource,
    mode: CollectMode,
}

impl Bench {
    fn new(mode: CollectMode, content: &[u8]) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let bench = Bench { source: source(folder.path()), folder, mode };
        std::fs::create_dir(bench.folder.path().join("sources")).unwrap();
        bench.put(content);
        bench
    }

    fn handing_over(content: &[u8]) -> Bench {
        let mut bench = Bench::new(CollectMode::Reference, content);
        bench.source.handover = true;
        bench
    }

    fn original(&self) -> PathBuf {
        self.folder.path().join("det 1.fits")
    }

    fn committed(&self) -> PathBuf {
        self.folder.path().join("sources/0004-det_1.fits")
    }

    fn put(&self, content: &[u8]) {
        put(&self.original(), content);
    }

    fn expect_digest(&mut self, algorithm: DigestAlgorithm, value: &str) {
        self.source.digest = Some(SourceDigest { algorithm, value: value.to_owned() });
    }

    fn request(&self) -> CollectRequest<'_> {
        CollectRequest {
            ordinal: 4,
            source: &self.source,
            local_path: self.original(),
            folder: self.folder.path().join("sources"),
            mode: self.mode,
        }
    }

    fn collect(&self) -> Result<Collected, TransferError> {
        collect(&self.request(), &Unwatched)
    }

    fn collect_again(&self, earlier: &Collected) -> Result<Collected, TransferError> {
        collect_again(&self.request(), Some(earlier), &Unwatched)
    }

    /// Names in the DAQ's folder.
    fn names(&self) -> Vec<String> {
        let entries = self.folder.path().join("sources").read_dir().unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn source(folder: &Path) -> FitsFileSource {
    FitsFileSource {
        source_name: "det".to_owned(),
        location: Location::Local(folder.join("det 1.fits").display().to_string()),
        keyword_rules: None,
        alert_unmergeable: true,
        primary_data: PrimaryData::Alert,
        handover: false,
        digest: None,
    }
}

fn put(path: &Path, content: &[u8]) {
    File::create(path).unwrap().write_all(content).unwrap();
}

fn blake3_of(content: &[u8]) -> String {
    blake3::hash(content).to_hex().to_string()
}

fn sha256_of(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_referenced_file_stays_where_it_is() {
    let bench = Bench::new(CollectMode::Reference, b"content");
    let collected = bench.collect().unwrap();
    assert_eq!((collected.path, collected.bytes, collected.referenced), (bench.original(), 7, true));
    assert_eq!((collected.ordinal, collected.digest), (4, None));
    assert!(bench.names().is_empty());
    let metadata = bench.original().metadata().unwrap();
    assert_eq!((metadata.ino(), metadata.size()), (collected.fingerprint.inode, 7));
}

#[test]
fn a_copy_is_complete_and_ours() {
    let content = sample(2 * PIECE_BYTES + 11);
    let bench = Bench::new(CollectMode::Copy, &content);
    let collected = bench.collect().unwrap();
    assert_eq!((collected.path.clone(), collected.bytes), (bench.committed(), content.len() as u64));
    assert!(std::fs::read(bench.committed()).unwrap() == content);
    assert!(collected.digest.is_none_or(|digest| digest == blake3_of(&content)));
    assert_eq!(collected.fingerprint.inode, bench.committed().metadata().unwrap().ino());
    assert_eq!(bench.names(), ["0004-det_1.fits"]);
    assert!(std::fs::read(bench.original()).unwrap() == content);
}

#[test]
fn digests_right_and_wrong() {
    let content = sample(PIECE_BYTES + 1);
    let wrong = "0".repeat(64);
    for (mode, handover) in [(CollectMode::Reference, false), (CollectMode::Copy, false), (CollectMode::Copy, true)] {
        for (algorithm, right) in
            [(DigestAlgorithm::Blake3, blake3_of(&content)), (DigestAlgorithm::Sha256, sha256_of(&content))]
        {
            let mut bench = Bench::new(mode, &content);
            bench.source.handover = handover;
            bench.expect_digest(algorithm, &wrong);
            let error = bench.collect().unwrap_err();
            assert!(
                matches!(&error.kind, TransferErrorKind::DigestDiffers { actual, .. } if *actual == right),
                "{error:?}"
            );
            assert_eq!((error.step, error.remedy()), (Step::Verify, Remedy::AskOperator));
            assert!(bench.names().is_empty() && bench.original().exists());
            bench.expect_digest(algorithm, &right);
            assert!(bench.collect().is_ok());
            // Proved again from what was committed, though nothing was journaled.
            assert!(bench.collect().is_ok());
        }
    }
}

#[test]
fn an_interrupted_copy_starts_anew() {
    let content = sample(3 * PIECE_BYTES);
    let bench = Bench::new(CollectMode::Copy, &content);
    let part = bench.folder.path().join("sources/0004-det_1.fits.part");
    put(&part, b"leftover of a killed run");
    let error = collect(&bench.request(), &Watcher::cancelling_from(0)).unwrap_err();
    assert!(error.is_cancelled(), "{error:?}");
    bench.collect().unwrap();
    assert!(std::fs::read(bench.committed()).unwrap() == content);
    assert_eq!(bench.names(), ["0004-det_1.fits"]);
}

#[test]
fn a_journaled_file_is_reused_without_its_source() {
    let bench = Bench::new(CollectMode::Copy, b"content");
    let earlier = bench.collect().unwrap();
    let again = bench.collect_again(&earlier).unwrap();
    assert_eq!(again.fingerprint, earlier.fingerprint);
    // The producer writes the next exposure under the same name: the journaled one counts.
    bench.put(b"another");
    assert_eq!(bench.collect_again(&earlier).unwrap().digest, Some(blake3_of(b"content")));
    std::fs::remove_file(bench.original()).unwrap();
    assert_eq!(bench.collect_again(&earlier).unwrap().fingerprint, earlier.fingerprint);
    assert_eq!(std::fs::read(bench.committed()).unwrap(), b"content");
}

#[test]
fn a_journaled_file_that_rotted_is_copied_again_or_reported() {
    for damage in [b"cxntent".as_slice(), b"short"] {
        let bench = Bench::new(CollectMode::Copy, b"content");
        let earlier = bench.collect().unwrap();
        put(&bench.committed(), damage);
        bench.collect_again(&earlier).unwrap();
        assert_eq!(std::fs::read(bench.committed()).unwrap(), b"content");
        let earlier = bench.collect_again(&earlier).unwrap();
        put(&bench.committed(), damage);
        std::fs::remove_file(bench.original()).unwrap();
        let error = bench.collect_again(&earlier).unwrap_err();
        assert!(matches!(error.kind, TransferErrorKind::Damaged { .. }), "{error:?}");
        assert!(bench.committed().exists(), "the evidence was removed");
    }
}

#[test]
fn a_run_killed_before_the_journal_is_finished() {
    let bench = Bench::new(CollectMode::Copy, b"content");
    let earlier = bench.collect().unwrap();
    assert_eq!(bench.collect().unwrap().fingerprint, earlier.fingerprint, "copied again though it was complete");
    for stale in [b"cxntent".as_slice(), b"longer content"] {
        put(&bench.committed(), stale);
        bench.collect().unwrap();
        assert_eq!(std::fs::read(bench.committed()).unwrap(), b"content");
    }
    std::fs::remove_file(bench.original()).unwrap();
    assert_eq!(bench.collect().unwrap().digest, Some(blake3_of(b"content")));
}

#[test]
fn a_missing_source_says_so() {
    for mode in [CollectMode::Reference, CollectMode::Copy] {
        let bench = Bench::new(mode, b"content");
        std::fs::remove_file(bench.original()).unwrap();
        let error = bench.collect().unwrap_err();
        assert!(matches!(error.kind, TransferErrorKind::Missing), "{error:?}");
        let location = bench.source.location.to_string();
        assert_eq!(error.to_string(), format!("cannot probe input 4 ({location})"));
    }
}

#[test]
fn a_workspace_that_is_gone_is_not_made_again() {
    for handover in [false, true] {
        let mut bench = Bench::new(CollectMode::Copy, b"content");
        bench.source.handover = handover;
        std::fs::remove_dir(bench.folder.path().join("sources")).unwrap();
        let error = bench.collect().unwrap_err();
        assert!(matches!(error.kind, TransferErrorKind::Write { .. }), "{error:?}");
        assert_eq!(error.remedy(), Remedy::RetryLater);
        assert!(bench.original().exists() && !bench.folder.path().join("sources").exists());
    }
}

#[test]
fn a_file_handed_over_is_taken() {
    let bench = Bench::handing_over(b"content");
    let inode = bench.original().metadata().unwrap().ino();
    let collected = bench.collect().unwrap();
    assert_eq!((collected.path.clone(), collected.referenced), (bench.committed(), false));
    assert_eq!(collected.fingerprint.inode, inode, "copied though a rename would do");
    assert!(!bench.original().exists());
    // Killed before the journal; then with it.
    assert_eq!(bench.collect().unwrap().fingerprint, collected.fingerprint);
    assert_eq!(bench.collect_again(&collected).unwrap().fingerprint, collected.fingerprint);
    // The next exposure under the same name is left alone, and the taken one is not lost.
    bench.put(b"next");
    assert_eq!(bench.collect_again(&collected).unwrap().fingerprint, collected.fingerprint);
    for next in [b"next".as_slice(), b"cxntent"] {
        bench.put(next);
        let error = bench.collect().unwrap_err();
        assert!(matches!(error.kind, TransferErrorKind::HandedOverTwice { .. }), "{error:?}");
        assert_eq!(std::fs::read(bench.committed()).unwrap(), b"content");
        assert_eq!(std::fs::read(bench.original()).unwrap(), next);
    }
}

#[test]
fn a_file_handed_over_with_another_name_is_copied() {
    let bench = Bench::handing_over(b"content");
    let second = bench.folder.path().join("second");
    std::fs::hard_link(bench.original(), &second).unwrap();
    let collected = bench.collect().unwrap();
    assert_ne!(collected.fingerprint.inode, second.metadata().unwrap().ino());
    assert!(!bench.original().exists());
    assert_eq!(std::fs::read(second).unwrap(), b"content");
}

#[test]
fn a_link_handed_over_is_copied_and_left() {
    let bench = Bench::handing_over(b"content");
    let elsewhere = bench.folder.path().join("elsewhere");
    rustix::fs::rename(bench.original(), &elsewhere).unwrap();
    symlink(&elsewhere, bench.original()).unwrap();
    bench.collect().unwrap();
    assert!(bench.committed().symlink_metadata().unwrap().is_file());
    assert!(bench.original().is_symlink() && elsewhere.exists());
}

#[test]
fn a_copy_killed_before_it_removed_what_was_handed_over_is_finished() {
    let bench = Bench::handing_over(b"content");
    put(&bench.committed(), b"content");
    bench.collect().unwrap();
    assert!(!bench.original().exists());
}

#[test]
fn a_file_handed_over_from_another_file_system_is_copied_and_removed() {
    let mut bench = Bench::handing_over(b"content");
    let Ok(spool) = tempfile::tempdir_in("/dev/shm") else { return };
    if spool.path().metadata().unwrap().dev() == bench.folder.path().metadata().unwrap().dev() {
        return;
    }
    let original = spool.path().join("a");
    bench.source.location = Location::Local(original.display().to_string());
    put(&original, b"far away");
    let request = CollectRequest { local_path: original.clone(), ..bench.request() };
    let collected = collect(&request, &Unwatched).unwrap();
    assert_eq!(std::fs::read(collected.path).unwrap(), b"far away");
    assert!(!original.exists());
}

#[test]
fn a_read_only_file_handed_over_becomes_writable_by_us() {
    let bench = Bench::handing_over(b"content");
    std::fs::set_permissions(bench.original(), Permissions::from_mode(0o444)).unwrap();
    let collected = bench.collect().unwrap();
    assert!(File::options().write(true).open(collected.path).is_ok());
}

#[test]
fn a_planted_link_is_not_written_through() {
    let bench = Bench::new(CollectMode::Copy, b"content");
    let victim = bench.folder.path().join("victim");
    put(&victim, b"safe");
    symlink(&victim, bench.committed()).unwrap();
    symlink(&victim, bench.folder.path().join("sources/0004-det_1.fits.part")).unwrap();
    bench.collect().unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"safe");
    assert!(bench.committed().symlink_metadata().unwrap().is_file());
}

#[test]
fn any_source_is_collected_the_same_way() {
    let bench = Bench::new(CollectMode::Copy, b"content");
    let source = LocalSource::new(4, "elsewhere", bench.original());
    for _ in 0..2 {
        let collected = collect_from(&bench.request(), &source, &Unwatched).unwrap();
        assert_eq!((collected.path, collected.bytes), (bench.committed(), 7));
    }
}

#[test]
fn what_the_journal_keeps_is_named_for_the_wire() {
    let bench = Bench::new(CollectMode::Copy, b"content");
    let collected = bench.collect().unwrap();
    let text = serde_json::to_string(&collected).unwrap();
    assert!(text.contains("\"referenced\":false") && text.contains("\"ordinal\":4"), "{text}");
    assert_eq!(serde_json::from_str::<Collected>(&text).unwrap(), collected);
}
