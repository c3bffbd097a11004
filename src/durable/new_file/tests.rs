//! Files that appear whole or never, with names and without.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::durable::new_file::{NewFile, Replace, hidden_name};
use crate::durable::{is_temporary_name, remove_temporaries};

type Create = fn(&Path) -> std::io::Result<NewFile>;
/// Nameless files, and what is done where a file system has none.
const WAYS: [Create; 2] = [NewFile::create, NewFile::create_hidden];

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

fn started(create: Create, path: &Path) -> NewFile {
    let new = create(path).unwrap();
    new.file().write_all(b"new").unwrap();
    new
}

fn check(run: impl Fn(Create, &Path, PathBuf)) {
    for create in WAYS {
        let folder = tempfile::tempdir().unwrap();
        run(create, folder.path(), folder.path().join("a.fits"));
    }
}

#[test]
fn a_new_name_appears_whole() {
    check(|create, folder, path| {
        let new = started(create, &path);
        assert!(!path.exists());
        new.publish(Replace::Never).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder), ["a.fits"]);
    });
}

#[test]
fn a_taken_name_is_kept() {
    check(|create, folder, path| {
        let new = started(create, &path);
        std::fs::File::create(&path).unwrap().write_all(b"old").unwrap();
        let error = new.publish(Replace::Never).expect_err("taken");
        assert!(error.is_exists(), "{error:?}");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder), ["a.fits"]);
    });
}

#[test]
fn a_replaced_file_hands_on_its_permissions() {
    check(|create, folder, path| {
        std::fs::File::create(&path).unwrap().write_all(b"old").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o604)).unwrap();
        started(create, &path).publish(Replace::Allowed).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o604);
        started(create, &folder.join("b.fits")).publish(Replace::Allowed).unwrap();
        assert_eq!(names(folder), ["a.fits", "b.fits"]);
    });
}

#[test]
fn what_is_dropped_leaves_nothing() {
    check(|create, folder, path| {
        drop(started(create, &path));
        assert_eq!(names(folder), [""; 0]);
    });
}

#[test]
fn what_cannot_be_published_leaves_nothing() {
    check(|create, folder, path| {
        let new = started(create, &path);
        std::fs::create_dir(&path).unwrap();
        assert!(new.publish(Replace::Allowed).is_err());
        assert_eq!(names(folder), ["a.fits"]);
    });
}

#[test]
fn bad_places_are_refused() {
    check(|create, folder, _| {
        assert_eq!(create(&folder.join("no/a.fits")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
        std::fs::File::create(folder.join("file")).unwrap();
        assert!(create(&folder.join("file/a.fits")).is_err());
    });
}

/// Its hidden name was one that recovery did not know, and the same one for each process of the same id: in a
/// container, where the id is always the same, a killed merge was in the way of all later ones.
#[test]
fn left_overs_of_a_killed_process_are_known_and_not_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fits");
    let hidden = hidden_name(&path).unwrap();
    assert!(is_temporary_name(hidden.file_name().unwrap()));
    let one = NewFile::create_hidden(&path).unwrap();
    let other = NewFile::create_hidden(&path).unwrap();
    std::mem::forget((one, other));
    assert_eq!(remove_temporaries(folder.path()).unwrap(), 2);
}
