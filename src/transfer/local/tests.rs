//! What is no regular file, or changes while it is read, is told at once.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode};

use crate::transfer::conformance::{TOO_LARGE, Watcher, conforms, small_folder};
use crate::transfer::copy::PIECE_BYTES;
use crate::transfer::error::{Remedy, TransferErrorKind};
use crate::transfer::local::LocalSource;
use crate::transfer::source::{Source, Unwatched};

fn put(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn conforms_as_a_source() {
    conforms(|folder, content| {
        let path = folder.join("source.fits");
        if let Some(content) = content {
            put(&path, content);
        }
        Box::new(LocalSource::new(7, "here:/source.fits", path))
    });
}

/// Makes one of each kind of thing that is no source.
fn make(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    match name {
        "folder" => std::fs::create_dir(&path).unwrap(),
        "fifo" => rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RWXU, 0).unwrap(),
        "socket" => drop(UnixListener::bind(&path).unwrap()),
        "loop" => symlink(&path, &path).unwrap(),
        "dangling" => symlink(folder.join("nothing"), &path).unwrap(),
        "link-to-folder" => symlink(folder, &path).unwrap(),
        "below-a-file" => {
            put(&folder.join("plain"), b"");
            return folder.join("plain/x");
        }
        "device" => return PathBuf::from("/dev/zero"),
        "long" => return folder.join("x".repeat(300)),
        "nul" => return folder.join("a\0b"),
        _ => {}
    }
    path
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, expected: &str| {
        let start = Instant::now();
        let source = LocalSource::new(2, format!("/spool/{name}"), make(folder.path(), name));
        let outcomes = [
            source.probe().unwrap_err(),
            source.fetch(&folder.path().join("to.part"), &Unwatched).unwrap_err(),
            source.digest(&mut io::sink(), &Unwatched).unwrap_err(),
        ];
        for error in outcomes {
            assert_eq!(error.kind.to_string(), expected, "{name}");
            assert_eq!((error.ordinal, error.location.as_str()), (2, format!("/spool/{name}").as_str()));
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{name}");
        assert!(!folder.path().join("to.part").exists(), "{name}");
    };
    let missing = "it does not exist: check the location, or put the file there and retry";
    check("missing", missing);
    check("dangling", missing);
    check("below-a-file", missing);
    check("folder", "it is a folder, not a regular file: correct the location");
    check("link-to-folder", "it is a folder, not a regular file: correct the location");
    check("fifo", "it is a FIFO, not a regular file: correct the location");
    check("socket", "it is a socket, not a regular file: correct the location");
    check("device", "it is a character device, not a regular file: correct the location");
    check("loop", "its symbolic links lead in a circle: correct the links or the location");
    check("long", "it cannot be opened: check the file system that holds it, then retry");
    check("nul", "it cannot be opened: check the file system that holds it, then retry");
}

#[test]
fn an_unreadable_file_is_not_permitted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    put(&path, b"x");
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(&path, permissions).unwrap();
    match LocalSource::new(0, "a", &path).probe() {
        // Root reads everything.
        Ok(_) => assert!(rustix::process::geteuid().is_root()),
        Err(error) => assert!(matches!(error.kind, TransferErrorKind::NotPermitted { .. }), "{error:?}"),
    }
}

#[test]
fn a_link_to_a_file_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("a"), b"abc");
    symlink("a", folder.path().join("b")).unwrap();
    assert_eq!(LocalSource::new(0, "b", folder.path().join("b")).probe().unwrap().bytes, 3);
}

/// Changes a file of three pieces after its first piece was read; the transfer must see it.
fn check_change(change: impl Fn(&Path) + Sync, expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (path, to) = (folder.path().join("a"), folder.path().join("to.part"));
    put(&path, &vec![1; 3 * PIECE_BYTES]);
    let source = LocalSource::new(0, "a", &path);
    let watcher = Watcher::calling(|bytes_done| {
        if bytes_done == PIECE_BYTES as u64 {
            change(&path);
        }
    });
    let error = match source.fetch(&to, &watcher) {
        // Cloned in one call of the kernel: nothing could change meanwhile.
        Ok(fetched) if fetched.digest.is_none() => return,
        outcome => outcome.unwrap_err(),
    };
    assert!(matches!(&error.kind, TransferErrorKind::SourceChanged { how } if how.contains(expected)), "{error:?}");
    assert_eq!(error.remedy(), Remedy::RetryLater);
    assert!(!to.exists());
}

#[test]
fn a_source_that_changes_while_it_is_copied_is_seen() {
    let open = |path: &Path| File::options().write(true).open(path).unwrap();
    check_change(|path| open(path).set_len(PIECE_BYTES as u64 + 5).unwrap(), "shrank");
    check_change(|path| open(path).set_len(3 * PIECE_BYTES as u64 + 1).unwrap(), "grew");
    check_change(|path| open(path).write_all(b"other").unwrap(), "was written to");
    check_change(|path| std::fs::remove_file(path).unwrap(), "was written to");
    // Same size, and the modification time set back: only the kernel's own time tells.
    check_change(
        |path| {
            let modified = path.metadata().unwrap().modified().unwrap();
            let mut file = open(path);
            file.write_all(b"other").unwrap();
            file.set_modified(modified).unwrap();
        },
        "was written to",
    );
    // Replaced as editors do; the old file, kept under another name, is still whole.
    check_change(
        |path| {
            let fresh = path.with_extension("new");
            put(&fresh, &vec![2; 3 * PIECE_BYTES]);
            rustix::fs::rename(&fresh, path).unwrap();
        },
        "",
    );
}

#[test]
fn a_file_that_is_only_read_for_its_digest_is_watched_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    put(&path, &vec![1; 2 * PIECE_BYTES]);
    let source = LocalSource::new(0, "a", &path);
    let (digest, _) = source.digest(&mut io::sink(), &Unwatched).unwrap();
    assert_eq!(digest, blake3::hash(&vec![1; 2 * PIECE_BYTES]).to_hex().as_str());
    let watcher = Watcher::calling(|_| File::options().append(true).open(&path).unwrap().write_all(b"x").unwrap());
    let error = source.digest(&mut io::sink(), &watcher).unwrap_err();
    assert!(matches!(error.kind, TransferErrorKind::SourceChanged { .. }), "{error:?}");
}

#[test]
fn a_full_disk_is_known_before_the_first_byte() {
    let Some(folder) = small_folder() else { return };
    let (path, to) = (folder.path().join("a"), folder.path().join("to.part"));
    File::create(&path).unwrap().set_len(TOO_LARGE).unwrap();
    let watcher = Watcher::calling(|_| {});
    let error = LocalSource::new(0, "a", &path).fetch(&to, &watcher).unwrap_err();
    assert!(error.is_no_space() && error.remedy() == Remedy::RetryLater, "{error:?}");
    assert!(matches!(error.kind, TransferErrorKind::NoSpace { bytes_needed: TOO_LARGE, .. }), "{error:?}");
    assert!(watcher.told().is_empty() && !to.exists());
}
