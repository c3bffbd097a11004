//! How full the workspace is (`StorageStatus`).
//!
//! Reports; decides nothing and deletes nothing. Everything here blocks on the disk: call it on a blocking thread.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sysinfo::{DiskRefreshKind, Disks};

use crate::workspace::{Workspace, WorkspaceError};

/// Unit of `st_blocks` (stat(2)), whatever the file system's own block size.
const STAT_BLOCK_BYTES: u64 = 512;

/// Space of the workspace's file system, and who uses it. All sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StorageStatus {
    /// The workspace.
    pub path: String,
    /// Kind of file system, such as `xfs`; its number in hexadecimal if it has no known name.
    pub file_system: String,
    /// Size of the file system.
    pub capacity: u64,
    /// Unused.
    pub free: u64,
    /// Unused and not kept for the superuser.
    pub available: u64,
    /// Taken by everything in the workspace.
    pub used_by_workspace: u64,
    /// Taken by `products/`.
    pub used_by_products: u64,
    /// Set aside for running DAQs and not written yet, as the caller counts it.
    pub reserved: u64,
    /// Taken by each DAQ.
    pub daqs: Vec<DaqStorage>,
}

/// Space that one DAQ takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DaqStorage {
    /// The DAQ.
    pub id: String,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Looks how full the workspace is; `daqs` are ids with their folders, `reserved` is reported as given.
///
/// Sizes are those on disk (holes take nothing, hard links count once). Cost: one stat a file.
///
/// # Errors
///
/// [`crate::workspace::WorkspaceErrorKind::Io`] if the workspace cannot be read; files that go meanwhile are left out.
pub fn status(
    workspace: &Workspace,
    daqs: &[(String, PathBuf)],
    reserved: u64,
) -> Result<StorageStatus, WorkspaceError> {
    let root = workspace.root();
    let space = fs2::statvfs(root).map_err(|source| WorkspaceError::at(root, source))?;
    let mut daq_storage = Vec::with_capacity(daqs.len());
    for (id, folder) in daqs {
        daq_storage.push(DaqStorage { id: id.clone(), bytes: used_bytes(folder)? });
    }
    Ok(StorageStatus {
        path: root.display().to_string(),
        file_system: file_system_name(root).map_err(|source| WorkspaceError::at(root, source))?,
        capacity: space.total_space(),
        free: space.free_space(),
        available: space.available_space(),
        used_by_workspace: used_bytes(root)?,
        used_by_products: used_bytes(&workspace.products())?,
        reserved,
        daqs: daq_storage,
    })
}

/// Bytes that may still be written to the file system of `path`.
///
/// # Errors
///
/// [`crate::workspace::WorkspaceErrorKind::Io`] if the path cannot be reached.
pub fn available_bytes(path: &Path) -> Result<u64, WorkspaceError> {
    fs2::available_space(path).map_err(|source| WorkspaceError::at(path, source))
}

/// Bytes on disk of everything below `folder`; 0 if it is missing. Follows no links, stays on one file system.
///
/// # Errors
///
/// [`crate::workspace::WorkspaceErrorKind::Io`] if a folder cannot be listed.
pub fn used_bytes(folder: &Path) -> Result<u64, WorkspaceError> {
    let Some(device) = present(folder.symlink_metadata(), folder)?.map(|metadata| metadata.dev()) else {
        return Ok(0);
    };
    let mut seen_links = HashSet::new();
    let mut folders = vec![folder.to_path_buf()];
    let mut bytes = 0_u64;
    while let Some(folder) = folders.pop() {
        let Some(entries) = present(folder.read_dir(), &folder)? else { continue };
        for entry in entries {
            let Some(entry) = present(entry, &folder)? else { continue };
            let Some(metadata) = present(entry.metadata(), &entry.path())? else { continue };
            if metadata.dev() != device {
                continue;
            }
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if metadata.nlink() > 1 && !seen_links.insert(metadata.ino()) {
                continue;
            }
            bytes = bytes.saturating_add(metadata.blocks().saturating_mul(STAT_BLOCK_BYTES));
        }
    }
    Ok(bytes)
}

/// A file that went away while we look is no error: DAQs end at any time.
fn present<T>(outcome: io::Result<T>, path: &Path) -> Result<Option<T>, WorkspaceError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(WorkspaceError::at(path, source)),
    }
}

fn file_system_name(root: &Path) -> io::Result<String> {
    if let Some(name) = name_by_magic(root)? {
        return Ok(name.to_owned());
    }
    let device = root.metadata()?.dev();
    // Asks for nothing but the list: sizes of unrelated mounts could hang on a dead server.
    let disks = Disks::new_with_refreshed_list_specifics(DiskRefreshKind::nothing()).map_err(io::Error::other)?;
    let mount = disks
        .iter()
        // Only mounts above the workspace are looked at, for the same reason.
        .filter(|disk| root.starts_with(disk.mount_point()))
        .filter(|disk| disk.mount_point().metadata().is_ok_and(|metadata| metadata.dev() == device))
        .max_by_key(|disk| disk.mount_point().as_os_str().len());
    match mount {
        Some(disk) => Ok(disk.file_system().to_string_lossy().into_owned()),
        None => Ok(format!("{:#x}", rustix::fs::statfs(root)?.f_type)),
    }
}

/// Kinds that the list of disks leaves out, because asking them may hang or they have no disk (statfs(2)).
fn name_by_magic(root: &Path) -> io::Result<Option<&'static str>> {
    let magic = rustix::fs::statfs(root)?.f_type;
    Ok(match magic {
        0x0102_1994 => Some("tmpfs"),
        0x6969 => Some("nfs"),
        0x00c3_6400 => Some("ceph"),
        0x0bd0_0bd0 => Some("lustre"),
        0x4750_4653 => Some("gpfs"),
        0x1983_0326 => Some("beegfs"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, symlink};

    use crate::durable::write_new;
    use crate::workspace::Workspace;
    use crate::workspace::storage::{available_bytes, status, used_bytes};

    #[test]
    fn sizes_are_those_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(&folder.path().join("w")).unwrap();
        let daq = workspace.daq_folder("A").unwrap();
        daq.create("{}").unwrap();
        let (before, other) = (used_bytes(daq.path()).unwrap(), folder.path().join("other"));
        write_new(&other, &vec![7; 1 << 20]).unwrap();
        symlink(&other, daq.source_path(0, "link")).unwrap();
        write_new(&daq.source_path(1, "source"), &vec![7; 100_000]).unwrap();
        std::fs::hard_link(daq.source_path(1, "source"), daq.source_path(2, "same")).unwrap();
        let sparse = std::fs::File::create(daq.product_partial()).unwrap();
        sparse.write_all_at(b"x", 1 << 30).unwrap();
        let used = used_bytes(daq.path()).unwrap() - before;
        assert!((100_000..300_000).contains(&used), "{used}");

        let daqs = [("A".to_owned(), daq.path().to_path_buf()), ("B".to_owned(), workspace.daqs().join("B"))];
        let status = status(&workspace, &daqs, 42).unwrap();
        assert!(!status.file_system.is_empty());
        assert!(status.capacity >= status.free && status.free >= status.available && status.available > 0);
        assert!(status.used_by_workspace >= status.daqs[0].bytes && status.daqs[0].bytes > 100_000);
        assert_eq!((status.reserved, status.daqs[1].bytes, status.used_by_products), (42, 0, 0));
        let value = serde_json::to_value(&status).unwrap();
        for name in ["path", "fileSystem", "capacity", "free", "available", "usedByWorkspace", "usedByProducts"] {
            assert!(value.get(name).is_some(), "{name}");
        }
        assert_eq!(value["daqs"][1], serde_json::json!({"id": "B", "bytes": 0}));
    }

    #[test]
    fn space_of_a_missing_path_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(available_bytes(folder.path()).unwrap() > 0);
        available_bytes(&folder.path().join("missing")).unwrap_err();
        assert_eq!(used_bytes(&folder.path().join("missing")).unwrap(), 0);
    }

    #[test]
    fn file_systems_without_a_disk_have_a_name() {
        if std::path::Path::new("/dev/shm").is_dir() {
            let name = crate::workspace::storage::file_system_name(std::path::Path::new("/dev/shm")).unwrap();
            assert!(!name.is_empty());
        }
    }
}
