//! Files and folders that survive a power cut: the only module that creates, renames and removes them for good.
//!
//! The rule, kept here once: write a temporary file, fsync it, rename it without replacing anything, fsync the
//! folder. What a function of this module made is on disk when it returns, except where its name says `for_now`: those
//! serve what its owner makes again after a power cut, at the price of no fsync. After a failed fsync the file is
//! suspect: make it again, never repeat the fsync (the kernel may have dropped the dirty pages).
//!
//! This module does not decide what is written or where, keeps no state, and retries nothing.

pub mod new_file;

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

/// Permission bits of every folder that dpm makes, whatever the umask is.
pub const FOLDER_MODE: u32 = 0o750;
/// Permission bits of every file that [`write_new`] makes, whatever the umask is.
pub const FILE_MODE: u32 = 0o640;
/// Marks a temporary file of [`write_new`]: `.NAME.tmp-XXXX`.
const TEMPORARY_MARK: &[u8] = b".tmp-";
/// Tells temporary files of one process apart.
static TEMPORARY_COUNT: AtomicU64 = AtomicU64::new(0);

/// A change of the file system that did not happen, or that may not survive a power cut.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct DurableError {
    /// What was tried, such as `publish`.
    pub action: &'static str,
    /// The file or folder that it was tried on.
    pub path: PathBuf,
    /// Why it failed.
    #[source]
    pub kind: DurableErrorKind,
}

/// Why a durable change failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DurableErrorKind {
    /// Something of that name is there; it was not touched.
    #[error("the name is taken and nothing is ever overwritten: move the old file away or choose another name")]
    Exists,
    /// The temporary file or the folder is not there.
    #[error("it does not exist")]
    Missing,
    /// No blocks, no inodes, or no quota left.
    #[error("no space is left on the file system: free some and try again")]
    NoSpace {
        /// The kernel's answer.
        source: io::Error,
    },
    /// Temporary file and final name are on different file systems.
    #[error("the temporary file is on another file system: keep both in one")]
    OtherFileSystem,
    /// The path has no last component to write to.
    #[error("the path names no file")]
    NoName,
    /// The path exists and is not a folder.
    #[error("it is not a folder")]
    NotAFolder,
    /// fsync failed: what was written is suspect and must be made again.
    #[error("it was not written to disk safely: make it again")]
    Sync {
        /// The kernel's answer.
        source: io::Error,
    },
    /// Any other refusal of the file system.
    #[error("the file system refuses")]
    Io {
        /// The kernel's answer.
        source: io::Error,
    },
}

impl DurableError {
    pub(crate) fn new(action: &'static str, path: &Path, source: io::Error) -> DurableError {
        let errno = source.raw_os_error().map(Errno::from_raw_os_error);
        let kind = match errno {
            Some(Errno::EXIST) => DurableErrorKind::Exists,
            Some(Errno::NOENT) => DurableErrorKind::Missing,
            Some(Errno::NOSPC | Errno::DQUOT) => DurableErrorKind::NoSpace { source },
            Some(Errno::XDEV) => DurableErrorKind::OtherFileSystem,
            Some(Errno::NOTDIR) => DurableErrorKind::NotAFolder,
            _ => DurableErrorKind::Io { source },
        };
        DurableError { action, path: path.to_path_buf(), kind }
    }

    pub(crate) fn of_kind(action: &'static str, path: &Path, kind: DurableErrorKind) -> DurableError {
        DurableError { action, path: path.to_path_buf(), kind }
    }

    /// True if the name was taken.
    pub fn is_exists(&self) -> bool {
        matches!(self.kind, DurableErrorKind::Exists)
    }

    /// True if the file system is full: the same call may succeed later.
    pub fn is_no_space(&self) -> bool {
        match &self.kind {
            DurableErrorKind::NoSpace { .. } => true,
            // NFS and delayed allocation report a full disk only at fsync.
            DurableErrorKind::Sync { source } => {
                matches!(source.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::NOSPC | Errno::DQUOT))
            }
            _ => false,
        }
    }
}

/// Writes `bytes` to the new file `path`; on return file and name survive a power cut.
///
/// Readers see nothing or the whole file. Permissions are [`FILE_MODE`]. Cost: one write, two fsyncs.
///
/// # Errors
///
/// [`DurableErrorKind::Exists`] if the name is taken, [`DurableErrorKind::NoSpace`] on a full disk. After an error
/// no temporary file stays, except where the process is killed: see [`remove_temporaries`].
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), DurableError> {
    let temporary = temporary_beside(path)?;
    let outcome = write_synced(&temporary, bytes).and_then(|()| publish(&temporary, path));
    if outcome.is_err() {
        // Best effort: the first error is the one to report, and recovery removes leftovers.
        let _ = std::fs::remove_file(&temporary);
    }
    outcome
}

/// Gives the synced file `temporary` its final `name`, replacing nothing; on return the name survives a power cut.
///
/// The content must have been synced by the caller. Works for folders too where the kernel has `renameat2`.
/// Repeating an interrupted call is safe.
///
/// # Errors
///
/// [`DurableErrorKind::Exists`] if `name` is taken (also by a dangling symbolic link);
/// [`DurableErrorKind::Missing`] if `temporary` or the folder is not there;
/// [`DurableErrorKind::OtherFileSystem`] if a rename cannot do it.
pub fn publish(temporary: &Path, name: &Path) -> Result<(), DurableError> {
    rename_new(temporary, name)?;
    sync_both_folders(temporary, name)
}

/// As [`publish`], but only the new name is sure to be there after a power cut; the old one may be there as well.
///
/// For a `temporary` whose leftover is recognised and removed by the caller's recovery. Cost: one fsync instead of two.
///
/// # Errors
///
/// As [`publish`].
pub fn publish_new_name(temporary: &Path, name: &Path) -> Result<(), DurableError> {
    rename_new(temporary, name)?;
    sync_directory(folder_of(name))
}

/// Renames without replacing and without syncing.
fn rename_new(temporary: &Path, name: &Path) -> Result<(), DurableError> {
    match rustix::fs::renameat_with(CWD, temporary, CWD, name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        // NFS, old FUSE and some overlays do not know the flag; link(2) never replaces either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => publish_by_link(temporary, name),
        Err(errno) => Err(DurableError::new("publish", name, errno.into())),
    }
}

/// Renames the synced file `temporary` over `name`; on return the change survives a power cut.
///
/// For the few commands that were told to overwrite. The old file stays whole until the new one is in its place.
///
/// # Errors
///
/// [`DurableErrorKind::Missing`], [`DurableErrorKind::OtherFileSystem`] or another refusal of the file system.
pub fn replace(temporary: &Path, name: &Path) -> Result<(), DurableError> {
    rename_over(temporary, name)?;
    sync_both_folders(temporary, name)
}

/// Renames over what is there; nothing is synced.
fn rename_over(temporary: &Path, name: &Path) -> Result<(), DurableError> {
    rustix::fs::rename(temporary, name).map_err(|errno| DurableError::new("replace", name, errno.into()))
}

/// Makes the entries of the folder `path` survive a power cut.
///
/// # Errors
///
/// [`DurableErrorKind::Missing`] or [`DurableErrorKind::NotAFolder`]; [`DurableErrorKind::Sync`] if the disk refuses.
pub fn sync_directory(path: &Path) -> Result<(), DurableError> {
    let folder = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::DIRECTORY.bits().cast_signed())
        .open(path)
        .map_err(|source| DurableError::new("open folder", path, source))?;
    sync_folder_file(&folder, path)
}

/// Makes the folder `path` and what is missing above it; on return all of them survive a power cut.
///
/// New folders get [`FOLDER_MODE`]; an existing one is left as it is. Repeating an interrupted call is safe.
///
/// # Errors
///
/// [`DurableErrorKind::NotAFolder`] if something else has the name; [`DurableErrorKind::NoSpace`] on a full disk.
pub fn create_directory(path: &Path) -> Result<(), DurableError> {
    let mut missing = Vec::new();
    let mut present = path;
    while !is_folder(present)? {
        missing.push(present);
        present = folder_of(present);
    }
    // An earlier run may have been killed between its mkdir and its fsync, so an existing folder's entry is synced
    // too. Its parent may be closed to us (such as another user's folder): then it is not ours to make durable.
    match sync_directory(folder_of(present)) {
        Err(DurableError { kind: DurableErrorKind::Io { source }, .. })
            if source.kind() == io::ErrorKind::PermissionDenied => {}
        outcome => outcome?,
    }
    missing.into_iter().rev().try_for_each(create_one_directory)
}

/// Writes the file `path`, in place of what is there; a power cut may leave it missing, empty or torn.
///
/// For what is read soon and written again before it is next read. Permissions of a new file are [`FILE_MODE`]. Never
/// follows a symbolic link. Cost: no fsync.
///
/// # Errors
///
/// The file system's refusal.
pub fn write_for_now(path: &Path, bytes: &[u8]) -> Result<(), DurableError> {
    let refused = |source| DurableError::new("write", path, source);
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(FILE_MODE).custom_flags(flags.bits().cast_signed());
    let mut file = options.open(path).map_err(refused)?;
    file.write_all(bytes).map_err(refused)
}

/// Makes the folder `path`, whose parent is there; a power cut may take it away again. One that is there is fine.
///
/// A new folder gets [`FOLDER_MODE`]. Cost: no fsync.
///
/// # Errors
///
/// [`DurableErrorKind::NotAFolder`] if something else has the name, also a symbolic link; [`DurableErrorKind::NoSpace`]
/// on a full disk.
pub fn create_directory_for_now(path: &Path) -> Result<(), DurableError> {
    let refused = |source| DurableError::new("create folder", path, source);
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        // The umask may have taken bits away.
        Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE)).map_err(refused),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => match path.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            _ => Err(DurableError::of_kind("create folder", path, DurableErrorKind::NotAFolder)),
        },
        Err(source) => Err(refused(source)),
    }
}

/// Removes the folder `path` with all that is in it; a power cut may bring it back. Missing is fine.
///
/// For folders that recovery removes. Symbolic links are removed, never followed. Cost: no fsync.
///
/// # Errors
///
/// As [`remove_tree`].
pub fn remove_tree_for_now(path: &Path) -> Result<(), DurableError> {
    gone(std::fs::remove_dir_all(path), path)
}

/// Removes the file or symbolic link `path`; a power cut may bring it back. Missing is fine. Cost: no fsync.
///
/// # Errors
///
/// As [`remove_file`].
pub fn remove_file_for_now(path: &Path) -> Result<(), DurableError> {
    gone(std::fs::remove_file(path), path)
}

/// Removes the folder `path` with all that is in it; on return that survives a power cut. Missing is fine.
///
/// Symbolic links are removed, never followed.
///
/// # Errors
///
/// The file system's refusal; then part of the tree may be gone, and the call may be repeated.
pub fn remove_tree(path: &Path) -> Result<(), DurableError> {
    removed(std::fs::remove_dir_all(path), path)
}

/// Removes the file or symbolic link `path`; on return that survives a power cut. Missing is fine.
///
/// # Errors
///
/// The file system's refusal; a folder is refused.
pub fn remove_file(path: &Path) -> Result<(), DurableError> {
    removed(std::fs::remove_file(path), path)
}

/// Removes what killed calls of [`write_new`] left directly in `folder`; gives the number of files removed.
///
/// Call it only while nobody writes there, such as at recovery. A missing folder has no leftovers.
///
/// # Errors
///
/// The file system's refusal to list or to remove.
pub fn remove_temporaries(folder: &Path) -> Result<usize, DurableError> {
    let entries = match std::fs::read_dir(folder) {
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(0),
        outcome => outcome.map_err(|source| DurableError::new("list", folder, source))?,
    };
    let mut count = 0;
    for entry in entries {
        let entry = entry.map_err(|source| DurableError::new("list", folder, source))?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && is_temporary_name(&entry.file_name()) {
            remove_file(&entry.path())?;
            count += 1;
        }
    }
    Ok(count)
}

/// True for the names that [`write_new`] gives to its temporary files.
pub fn is_temporary_name(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    bytes.starts_with(b".") && bytes.windows(TEMPORARY_MARK.len()).any(|window| window == TEMPORARY_MARK)
}

fn temporary_beside(path: &Path) -> Result<PathBuf, DurableError> {
    let name = path.file_name().ok_or_else(|| DurableError::of_kind("write", path, DurableErrorKind::NoName))?;
    let count = TEMPORARY_COUNT.fetch_add(1, Ordering::Relaxed);
    let mut text = vec![b'.'];
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(TEMPORARY_MARK);
    text.extend_from_slice(format!("{:x}-{count:x}", std::process::id()).as_bytes());
    Ok(folder_of(path).join(OsString::from_vec(text)))
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), DurableError> {
    // A leftover can have this name only if it was made by a dead process with our id: it is garbage.
    let _ = std::fs::remove_file(path);
    let refused = |source| DurableError::new("write", path, source);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path).map_err(refused)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE)).map_err(refused)?;
    file.write_all(bytes).map_err(refused)?;
    file.sync_all().map_err(|source| DurableError::of_kind("sync", path, DurableErrorKind::Sync { source }))
}

fn publish_by_link(temporary: &Path, name: &Path) -> Result<(), DurableError> {
    match std::fs::hard_link(temporary, name) {
        Ok(()) => {}
        // Our own link: of an interrupted call, or answered twice by NFS.
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists && is_same_file(temporary, name) => {}
        Err(source) => return Err(DurableError::new("publish", name, source)),
    }
    // The new name must be safe before the old one goes.
    sync_directory(folder_of(name))?;
    std::fs::remove_file(temporary).map_err(|source| DurableError::new("publish", name, source))
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (one.symlink_metadata(), other.symlink_metadata()) {
        (Ok(one), Ok(other)) => one.dev() == other.dev() && one.ino() == other.ino(),
        _ => false,
    }
}

fn sync_both_folders(temporary: &Path, name: &Path) -> Result<(), DurableError> {
    let (from, to) = (folder_of(temporary), folder_of(name));
    sync_directory(to)?;
    if from == to { Ok(()) } else { sync_directory(from) }
}

fn sync_folder_file(folder: &File, path: &Path) -> Result<(), DurableError> {
    match folder.sync_all() {
        // Some network file systems cannot sync folders and say so by EINVAL; their metadata is synchronous.
        Err(source) if source.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        Err(source) => Err(DurableError::of_kind("sync folder", path, DurableErrorKind::Sync { source })),
        Ok(()) => Ok(()),
    }
}

fn is_folder(path: &Path) -> Result<bool, DurableError> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(true),
        Ok(_) => Err(DurableError::of_kind("create folder", path, DurableErrorKind::NotAFolder)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(DurableError::new("create folder", path, source)),
    }
}

fn create_one_directory(path: &Path) -> Result<(), DurableError> {
    let refused = |source| DurableError::new("create folder", path, source);
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Ok(()) => {
            // The umask may have taken bits away.
            let folder = File::open(path).map_err(refused)?;
            folder.set_permissions(Permissions::from_mode(FOLDER_MODE)).map_err(refused)?;
            sync_folder_file(&folder, path)?;
        }
        // Made by somebody else meanwhile, or a dangling symbolic link, which is no folder.
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(source) => return Err(refused(source)),
    }
    sync_directory(folder_of(path))
}

fn gone(outcome: io::Result<()>, path: &Path) -> Result<(), DurableError> {
    match outcome {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(DurableError::new("remove", path, source)),
        _ => Ok(()),
    }
}

fn removed(outcome: io::Result<()>, path: &Path) -> Result<(), DurableError> {
    gone(outcome, path)?;
    // Synced even if nothing was there: an earlier call may have been killed before its fsync.
    match sync_directory(folder_of(path)) {
        Err(DurableError { kind: DurableErrorKind::Missing, .. }) => Ok(()),
        outcome => outcome,
    }
}

/// Folder that holds `path`; `.` for a bare name, and `/` for itself.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        None => path,
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::Path;

    use crate::durable::{
        DurableErrorKind, FILE_MODE, FOLDER_MODE, create_directory, create_directory_for_now, publish, publish_by_link,
        publish_new_name, remove_file, remove_file_for_now, remove_temporaries, remove_tree, remove_tree_for_now,
        replace, sync_directory, write_for_now, write_new,
    };

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn put(path: &Path, text: &str) {
        write_new(path, text.as_bytes()).unwrap();
    }

    #[test]
    fn write_new_replaces_nothing_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        put(&path, "one");
        assert_eq!(path.metadata().unwrap().mode() & 0o777, FILE_MODE);
        let error = write_new(&path, b"two").unwrap_err();
        assert!(error.is_exists(), "{error:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn write_new_refuses_bad_places() {
        let folder = tempfile::tempdir().unwrap();
        let missing = write_new(&folder.path().join("no/a"), b"").unwrap_err();
        assert!(matches!(missing.kind, DurableErrorKind::Missing), "{missing:?}");
        let nameless = write_new(Path::new("/"), b"").unwrap_err();
        assert!(matches!(nameless.kind, DurableErrorKind::NoName), "{nameless:?}");
        put(&folder.path().join("file"), "");
        let inside_file = write_new(&folder.path().join("file/a"), b"").unwrap_err();
        assert!(matches!(inside_file.kind, DurableErrorKind::NotAFolder), "{inside_file:?}");
        symlink("/nowhere", folder.path().join("link")).unwrap();
        assert!(write_new(&folder.path().join("link"), b"").unwrap_err().is_exists());
    }

    /// Both ways to publish must keep the same promises.
    fn check_publish(publish: fn(&Path, &Path) -> Result<(), crate::durable::DurableError>) {
        let folder = tempfile::tempdir().unwrap();
        let (one, two, name) = (folder.path().join("one"), folder.path().join("two"), folder.path().join("name"));
        put(&one, "1");
        put(&two, "2");
        publish(&one, &name).unwrap();
        assert_eq!(names(folder.path()), ["name", "two"]);
        assert!(publish(&two, &name).unwrap_err().is_exists());
        assert_eq!(std::fs::read_to_string(&name).unwrap(), "1");
        assert!(matches!(publish(&one, &folder.path().join("x")).unwrap_err().kind, DurableErrorKind::Missing));
    }

    #[test]
    fn publish_replaces_nothing() {
        check_publish(publish);
        check_publish(publish_by_link);
        check_publish(publish_new_name);
    }

    #[test]
    fn publish_by_link_goes_on_where_it_was_killed() {
        let folder = tempfile::tempdir().unwrap();
        let (temporary, name) = (folder.path().join("temporary"), folder.path().join("name"));
        put(&temporary, "1");
        std::fs::hard_link(&temporary, &name).unwrap();
        publish_by_link(&temporary, &name).unwrap();
        assert_eq!(names(folder.path()), ["name"]);
    }

    #[test]
    fn replace_replaces() {
        let folder = tempfile::tempdir().unwrap();
        put(&folder.path().join("new"), "new");
        put(&folder.path().join("name"), "old");
        replace(&folder.path().join("new"), &folder.path().join("name")).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("name")).unwrap(), "new");
        assert_eq!(names(folder.path()), ["name"]);
    }

    #[test]
    fn create_directory_is_idempotent_and_ignores_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        create_directory(&deep).unwrap();
        create_directory(&deep).unwrap();
        for path in ["a", "a/b", "a/b/c"] {
            assert_eq!(folder.path().join(path).metadata().unwrap().mode() & 0o777, FOLDER_MODE);
        }
        put(&folder.path().join("file"), "");
        for path in ["file", "file/below"] {
            let error = create_directory(&folder.path().join(path)).unwrap_err();
            assert!(matches!(error.kind, DurableErrorKind::NotAFolder), "{error:?}");
        }
    }

    #[test]
    fn removing_is_idempotent_and_follows_no_links() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, kept) = (folder.path().join("tree"), folder.path().join("kept"));
        create_directory(&tree.join("deep")).unwrap();
        create_directory(&kept).unwrap();
        put(&kept.join("file"), "");
        symlink(&kept, tree.join("deep/link")).unwrap();
        for _ in 0..2 {
            remove_tree(&tree).unwrap();
        }
        assert_eq!(names(&kept), ["file"]);
        for _ in 0..2 {
            remove_file(&kept.join("file")).unwrap();
        }
        remove_file(&folder.path().join("no/such")).unwrap();
        assert_eq!(names(folder.path()), ["kept"]);
    }

    #[test]
    fn what_is_made_for_now_can_be_made_again_and_follows_no_links() {
        let folder = tempfile::tempdir().unwrap();
        let (tree, kept) = (folder.path().join("tree"), folder.path().join("kept"));
        put(&kept, "kept");
        for text in ["longer", "short"] {
            create_directory_for_now(&tree).unwrap();
            write_for_now(&tree.join("a"), text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(tree.join("a")).unwrap(), text);
        }
        assert_eq!(tree.metadata().unwrap().mode() & 0o777, FOLDER_MODE);
        assert_eq!(tree.join("a").metadata().unwrap().mode() & 0o777, FILE_MODE);
        symlink(&kept, tree.join("link")).unwrap();
        write_for_now(&tree.join("link"), b"planted").unwrap_err();
        symlink(&tree, folder.path().join("other")).unwrap();
        let error = create_directory_for_now(&folder.path().join("other")).unwrap_err();
        assert!(matches!(error.kind, DurableErrorKind::NotAFolder), "{error:?}");
        for _ in 0..2 {
            remove_file_for_now(&tree.join("link")).unwrap();
        }
        for _ in 0..2 {
            remove_tree_for_now(&tree).unwrap();
        }
        assert_eq!(std::fs::read_to_string(kept).unwrap(), "kept");
    }

    #[test]
    fn leftovers_of_killed_writers_go() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".a.json.tmp-1f-0", ".hidden", "a.tmp-1"] {
            put(&folder.path().join(name), "");
        }
        assert_eq!(remove_temporaries(folder.path()).unwrap(), 1);
        assert_eq!(names(folder.path()), [".hidden", "a.tmp-1"]);
        assert_eq!(remove_temporaries(&folder.path().join("missing")).unwrap(), 0);
    }

    #[test]
    fn sync_directory_refuses_files() {
        let folder = tempfile::tempdir().unwrap();
        put(&folder.path().join("file"), "");
        sync_directory(folder.path()).unwrap();
        let error = sync_directory(&folder.path().join("file")).unwrap_err();
        assert!(matches!(error.kind, DurableErrorKind::NotAFolder), "{error:?}");
    }
}
