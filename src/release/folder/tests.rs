//! Delivering on real folders: every way, every receiver that refuses, every interruption.

use std::fs::{File, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::release::folder;
use crate::release::{
    Delivered, DeliveryOptions, Method, Product, ReleaseError, ReleaseErrorKind, deliver, deliver_with, prove,
};
use crate::specification::model::{FolderMode, FolderReceiver, OlasReceiver, Receiver};
use crate::transfer::conformance::{TOO_LARGE, Watcher, sample, small_folder};
use crate::transfer::{Remedy, Unwatched};

/// A finished product, and a receiver's folder.
struct Bench {
    workspace: TempDir,
    receiver: TempDir,
    product: Product,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap())
    }

    /// Workspace and receiver on two file systems; none if this machine has but one.
    fn across() -> Option<Bench> {
        let bench = Bench::with(tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").ok()?);
        let dev = |folder: &TempDir| folder.path().metadata().unwrap().dev();
        (dev(&bench.workspace) != dev(&bench.receiver)).then_some(bench)
    }

    fn with(workspace: TempDir, receiver: TempDir) -> Bench {
        let content = sample(3 << 20);
        let path = workspace.path().join("product");
        put(&path, &content);
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let digest = blake3::hash(&content).to_hex().to_string();
        let product = Product { path, name: "X.1.fits".to_owned(), bytes: content.len() as u64, digest };
        Bench { workspace, receiver, product }
    }

    fn folder(&self, mode: FolderMode) -> Receiver {
        Receiver::Folder(FolderReceiver { path: text(self.receiver.path()), mode })
    }

    fn olas(&self, allow_symlink: bool) -> Receiver {
        Receiver::Olas(OlasReceiver { path: text(self.receiver.path()), host: String::new(), allow_symlink })
    }

    fn name(&self) -> PathBuf {
        self.receiver.path().join("X.1.fits")
    }

    fn deliver(&self, receiver: &Receiver) -> Result<Delivered, ReleaseError> {
        deliver(receiver, &self.product, &Unwatched)
    }

    /// Everything in the receiver's folder, hidden or not.
    fn names(&self) -> Vec<String> {
        let entries = self.receiver.path().read_dir().unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Flips one bit of the product, size and modification time kept.
    fn rot(&self) {
        let modified = self.product.path.metadata().unwrap().modified().unwrap();
        let file = File::options().read(true).write(true).open(&self.product.path).unwrap();
        let mut byte = [0];
        file.read_at(&mut byte, 1_234_567).unwrap();
        file.write_at(&[byte[0] ^ 4], 1_234_567).unwrap();
        file.set_modified(modified).unwrap();
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn put(path: &Path, content: &[u8]) {
    File::create(path).unwrap().write_all(content).unwrap();
}

/// Delivers twice: first by `expected`, then it is there. An independent file may also be a reflink.
fn check(bench: &Bench, receiver: &Receiver, expected: Method) {
    let first = bench.deliver(receiver).unwrap();
    let is_expected = first.method == expected || (expected == Method::Copy && first.method == Method::Reflink);
    assert!(is_expected, "{receiver:?}: {first:?}");
    assert_eq!((first.path.clone(), first.already_there), (bench.name(), false));
    let inode = bench.name().symlink_metadata().unwrap().ino();
    let again = bench.deliver(receiver).unwrap();
    assert_eq!((again.method, again.already_there), (expected, true));
    assert_eq!(bench.name().symlink_metadata().unwrap().ino(), inode);
    assert!(std::fs::read(bench.name()).unwrap() == std::fs::read(&bench.product.path).unwrap());
    assert_eq!(bench.names(), ["X.1.fits"]);
}

#[test]
fn each_receiver_has_its_order_of_methods() {
    for receiver in [FolderMode::Auto, FolderMode::HardLink] {
        let bench = Bench::new();
        check(&bench, &bench.folder(receiver), Method::HardLink);
    }
    let bench = Bench::new();
    check(&bench, &bench.folder(FolderMode::Symlink), Method::Symlink);
    assert!(std::fs::read_link(bench.name()).unwrap().is_absolute());
    let bench = Bench::new();
    check(&bench, &bench.folder(FolderMode::Copy), Method::Copy);
    assert_eq!(bench.name().metadata().unwrap().mode() & 0o777, 0o640);
    assert_ne!(bench.name().metadata().unwrap().ino(), bench.product.path.metadata().unwrap().ino());
    for allow_symlink in [true, false] {
        let bench = Bench::new();
        check(&bench, &bench.olas(allow_symlink), Method::HardLink);
    }
}

#[test]
fn across_file_systems_the_next_method_serves() {
    for (receiver, expected) in
        [(0, Method::Symlink), (1, Method::Copy), (2, Method::Copy), (3, Method::Copy), (4, Method::Symlink)]
    {
        let Some(bench) = Bench::across() else { return };
        let receiver = match receiver {
            0 => bench.olas(true),
            1 => bench.olas(false),
            2 => bench.folder(FolderMode::Auto),
            3 => bench.folder(FolderMode::Copy),
            _ => bench.folder(FolderMode::Symlink),
        };
        check(&bench, &receiver, expected);
    }
    let Some(bench) = Bench::across() else { return };
    let error = bench.deliver(&bench.folder(FolderMode::HardLink)).unwrap_err();
    assert!(matches!(error.kind, ReleaseErrorKind::MethodUnavailable { method: Method::HardLink, .. }), "{error:?}");
    assert_eq!(error.remedy(), Remedy::AskOperator);
    assert!(bench.names().is_empty());
}

#[test]
fn nothing_is_ever_overwritten() {
    let modes = [FolderMode::Auto, FolderMode::HardLink, FolderMode::Symlink, FolderMode::Copy];
    let check = |make: &dyn Fn(&Bench), expected: &str| {
        for mode in modes {
            let bench = Bench::new();
            make(&bench);
            let before = bench.name().symlink_metadata().unwrap();
            let error = bench.deliver(&bench.folder(mode)).unwrap_err();
            assert!(matches!(error.kind, ReleaseErrorKind::Exists { found, .. } if found == expected), "{error:?}");
            assert_eq!(error.remedy(), Remedy::AskOperator);
            let after = bench.name().symlink_metadata().unwrap();
            assert_eq!(
                (after.ino(), after.size(), after.ctime_nsec()),
                (before.ino(), before.size(), before.ctime_nsec())
            );
            assert_eq!(bench.names(), ["X.1.fits"]);
        }
    };
    check(&|bench| put(&bench.name(), b"another"), "another file");
    check(&|bench| put(&bench.name(), &vec![0; 3 << 20]), "another file");
    check(&|bench| std::fs::create_dir(bench.name()).unwrap(), "no file");
    check(&|bench| symlink("/nowhere", bench.name()).unwrap(), "a symbolic link to something else");
    let bench = Bench::new();
    symlink(&bench.product.path, bench.name()).unwrap();
    let error = bench.deliver(&bench.olas(false)).unwrap_err();
    let found = "a symbolic link, which this receiver does not allow";
    assert!(matches!(error.kind, ReleaseErrorKind::Exists { found: text, .. } if text == found), "{error:?}");
}

#[test]
fn an_equal_file_is_the_product_whatever_the_method() {
    for mode in [FolderMode::Auto, FolderMode::HardLink, FolderMode::Symlink, FolderMode::Copy] {
        let bench = Bench::new();
        put(&bench.name(), &std::fs::read(&bench.product.path).unwrap());
        let delivered = bench.deliver(&bench.folder(mode)).unwrap();
        assert_eq!((delivered.method, delivered.already_there), (Method::Copy, true));
    }
}

#[test]
fn leftovers_of_a_killed_try_go() {
    for mode in [FolderMode::Auto, FolderMode::HardLink, FolderMode::Symlink, FolderMode::Copy] {
        let bench = Bench::new();
        let (leftover, victim) = (bench.receiver.path().join(".X.1.fits.dpm-part"), bench.workspace.path().join("v"));
        put(&leftover, b"half a product");
        bench.deliver(&bench.folder(mode)).unwrap();
        assert_eq!(bench.names(), ["X.1.fits"]);
        put(&victim, b"safe");
        symlink(&victim, &leftover).unwrap();
        assert!(bench.deliver(&bench.folder(mode)).unwrap().already_there);
        assert_eq!(bench.names(), ["X.1.fits"]);
        assert_eq!(std::fs::read(victim).unwrap(), b"safe");
    }
}

#[test]
fn a_damaged_product_is_not_delivered() {
    for mode in [FolderMode::Auto, FolderMode::HardLink, FolderMode::Symlink, FolderMode::Copy] {
        let bench = Bench::new();
        bench.rot();
        let error = bench.deliver(&bench.folder(mode)).unwrap_err();
        assert!(matches!(error.kind, ReleaseErrorKind::ProductDamaged { .. }), "{error:?}");
        assert_eq!(error.remedy(), Remedy::AskOperator);
        File::options().append(true).open(&bench.product.path).unwrap().write_all(b"x").unwrap();
        let error = bench.deliver(&bench.folder(mode)).unwrap_err();
        assert!(error.kind.to_string().contains("3145729 bytes instead of 3145728"), "{}", error.kind);
        std::fs::remove_file(&bench.product.path).unwrap();
        let error = bench.deliver(&bench.folder(mode)).unwrap_err();
        assert!(matches!(error.kind, ReleaseErrorKind::ProductMissing { .. }), "{error:?}");
        assert!(bench.names().is_empty());
    }
}

#[test]
fn a_proof_spares_reading_the_product_for_links() {
    let bench = Bench::new();
    let proof = prove(&bench.product, &Unwatched).unwrap();
    let options = DeliveryOptions { proof: Some(&proof), ..DeliveryOptions::default() };
    let watcher = Watcher::calling(|_| {});
    deliver_with(&bench.folder(FolderMode::HardLink), &bench.product, &options, &watcher).unwrap();
    assert_eq!(watcher.told(), [(3 << 20, 3 << 20)]);
    // The proof outlives the new link, which changes the inode's time.
    let second = Receiver::Folder(FolderReceiver { path: text(bench.workspace.path()), mode: FolderMode::HardLink });
    let watcher = Watcher::calling(|_| {});
    deliver_with(&second, &bench.product, &options, &watcher).unwrap();
    assert_eq!(watcher.told().len(), 1);
    bench.rot();
    assert!(prove(&bench.product, &Unwatched).is_err());
}

#[test]
fn bad_folders_are_told_apart() {
    let bench = Bench::new();
    let check = |path: &Path, expected: &str, remedy| {
        let receiver = Receiver::Folder(FolderReceiver { path: text(path), mode: FolderMode::Auto });
        let error = bench.deliver(&receiver).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot release X.1.fits to folderReceiver {}", path.display()));
        assert_eq!(error.kind.to_string(), expected.replace("PATH", &text(path)));
        assert_eq!(error.remedy(), remedy);
    };
    let missing = "the folder PATH does not exist: create or mount it, then retry";
    check(&bench.receiver.path().join("missing"), missing, Remedy::RetryLater);
    let no_folder = "PATH is not a folder: correct the receiver's path";
    check(&bench.product.path, no_folder, Remedy::AskOperator);
    check(&bench.product.path.join("below"), no_folder, Remedy::AskOperator);
}

#[test]
fn a_folder_that_is_not_writable_says_so() {
    let bench = Bench::new();
    std::fs::set_permissions(bench.receiver.path(), Permissions::from_mode(0o555)).unwrap();
    let outcome = bench.deliver(&bench.olas(true));
    std::fs::set_permissions(bench.receiver.path(), Permissions::from_mode(0o755)).unwrap();
    match outcome {
        // Root writes everywhere.
        Ok(_) => assert!(rustix::process::geteuid().is_root()),
        Err(error) => assert!(matches!(error.kind, ReleaseErrorKind::FolderNotWritable { .. }), "{error:?}"),
    }
    // Not even root writes there; /proc is no place to sync either.
    let receiver = Receiver::Folder(FolderReceiver { path: "/proc/self".to_owned(), mode: FolderMode::Copy });
    assert!(bench.deliver(&receiver).is_err());
}

#[test]
fn a_cancelled_copy_leaves_nothing() {
    let bench = Bench::new();
    for from in [0, 1 << 20, 2 << 20] {
        let receiver = bench.folder(FolderMode::Copy);
        let error = deliver(&receiver, &bench.product, &Watcher::cancelling_from(from)).unwrap_err();
        assert!(error.is_cancelled(), "{error:?}");
        assert!(bench.names().is_empty());
    }
    check(&bench, &bench.folder(FolderMode::Copy), Method::Copy);
}

#[test]
fn a_name_that_is_no_plain_file_name_is_refused() {
    for name in ["../X.fits", "/X.fits", "a/b", "", ".", "..", "a/"] {
        let mut bench = Bench::new();
        bench.product.name = name.to_owned();
        let error = bench.deliver(&bench.folder(FolderMode::Auto)).unwrap_err();
        assert!(matches!(error.kind, ReleaseErrorKind::BadName), "{error:?}");
    }
}

#[test]
fn a_rival_who_takes_the_name_meanwhile_is_not_overwritten() {
    let bench = Bench::new();
    let rival = Watcher::calling(|bytes_done| {
        if bytes_done == 2 << 20 {
            put(&bench.name(), b"rival");
        }
    });
    for mode in [FolderMode::HardLink, FolderMode::Symlink, FolderMode::Copy] {
        let error = deliver(&bench.folder(mode), &bench.product, &rival).unwrap_err();
        assert!(matches!(error.kind, ReleaseErrorKind::Exists { found: "another file", .. }), "{error:?}");
        assert_eq!(std::fs::read(bench.name()).unwrap(), b"rival");
        assert_eq!(bench.names(), ["X.1.fits"]);
        std::fs::remove_file(bench.name()).unwrap();
    }
}

#[test]
fn a_reflink_is_delivered_where_the_file_system_can() {
    let bench = Bench::new();
    let deliver = || folder::deliver(bench.receiver.path(), &[Method::Reflink], &bench.product, None, &Unwatched);
    match deliver() {
        Err(error) => {
            let is_expected = matches!(error, ReleaseErrorKind::MethodUnavailable { method: Method::Reflink, .. });
            assert!(is_expected && bench.names().is_empty(), "{error:?}");
        }
        Ok(delivered) => {
            assert_eq!(delivered.method, Method::Reflink);
            assert!(std::fs::read(bench.name()).unwrap() == std::fs::read(&bench.product.path).unwrap());
            std::fs::remove_file(bench.name()).unwrap();
            bench.rot();
            assert!(matches!(deliver(), Err(ReleaseErrorKind::ProductDamaged { .. })));
            assert!(bench.names().is_empty());
        }
    }
}

#[test]
fn a_full_receiver_is_retried() {
    let Some(small) = small_folder() else { return };
    let mut bench =
        Bench::with(tempfile::tempdir_in(small.path()).unwrap(), tempfile::tempdir_in(small.path()).unwrap());
    File::options().write(true).open(&bench.product.path).unwrap().set_len(TOO_LARGE).unwrap();
    bench.product.bytes = TOO_LARGE;
    let error = bench.deliver(&bench.folder(FolderMode::Copy)).unwrap_err();
    assert!(error.is_no_space() && error.remedy() == Remedy::RetryLater, "{error:?}");
    assert!(bench.names().is_empty());
}
