//! File systems in a file, for what the disk's own file system cannot do.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::Outcome;

/// A file system with reflinks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FileSystem {
    /// XFS, which makes them since 2018.
    Xfs,
    /// Btrfs.
    Btrfs,
}

/// A mounted file system; unmounted when it goes.
pub(crate) struct Mounted {
    point: PathBuf,
}

impl Mounted {
    /// Its root.
    pub(crate) fn path(&self) -> &Path {
        &self.point
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // The loop device goes with the mount.
        if let Err(error) = quietly(Command::new("umount").arg(&self.point)) {
            eprintln!("cannot unmount {}: {error}", self.point.display());
        }
    }
}

/// Makes a file system of `bytes` in a file below `folder` and mounts it.
///
/// # Errors
///
/// Only root may mount, and its tools must be there.
pub(crate) fn make(folder: &Path, kind: FileSystem, bytes: u64) -> Outcome<Mounted> {
    let (program, package) = match kind {
        FileSystem::Xfs => ("mkfs.xfs", "xfsprogs"),
        FileSystem::Btrfs => ("mkfs.btrfs", "btrfs-progs"),
    };
    let (image, point) = (folder.join("image"), folder.join("mounted"));
    File::create(&image)?.set_len(bytes)?;
    std::fs::create_dir(&point)?;
    quietly(Command::new(program).arg("-q").arg(&image))
        .map_err(|error| format!("{error} (apt-get install {package})"))?;
    quietly(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&point))
        .map_err(|error| format!("{error} (run as root)"))?;
    Ok(Mounted { point })
}

fn quietly(command: &mut Command) -> Outcome<()> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}
