//! One daemon a workspace: an exclusive lock on `dpm.lock`, freed by the kernel when its holder dies.
//!
//! The lock is flock(2) through fs2. The process id in the file is for people; it decides nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::durable::FILE_MODE;
use crate::workspace::Workspace;

/// How often the lock file may be exchanged while it is being locked before that is an error.
const TRIES: usize = 10;
/// How long the lock of a dead holder may stay with a child that it was just starting: until the child's execve(2),
/// which closes it.
const INHERITED_TRIES: usize = 250;
/// Pause between two looks at such a lock.
const INHERITED_PAUSE: Duration = Duration::from_millis(20);
/// Most bytes read as a process id.
const PID_BYTES_MAX: u64 = 20;

/// A workspace that could not be locked.
#[derive(Debug, thiserror::Error)]
#[error("cannot lock {}", path.display())]
pub struct LockError {
    /// The lock file.
    pub path: PathBuf,
    /// Why it could not be locked.
    #[source]
    pub kind: LockErrorKind,
}

/// Why a workspace could not be locked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockErrorKind {
    /// Another daemon owns the workspace.
    #[error("another dpm holds the workspace ({}): stop it or use another workspace", holder(*pid))]
    Held {
        /// Process id that the holder wrote, if it is readable.
        pid: Option<u32>,
    },
    /// The lock file was exchanged again and again while it was being locked.
    #[error("the lock file is being replaced by somebody else: find out who works in the workspace")]
    Replaced,
    /// The file system refuses.
    #[error("the file system refuses")]
    Io {
        /// The kernel's answer.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "process unknown".to_owned(), |pid| format!("process {pid}"))
}

/// Ownership of a workspace; given up on drop.
#[derive(Debug)]
pub struct WorkspaceLock {
    file: File,
    path: PathBuf,
}

impl WorkspaceLock {
    /// Locks `workspace` at once or not at all; waits some seconds only where the holder is dead.
    ///
    /// # Errors
    ///
    /// [`LockErrorKind::Held`] if another process has it; [`LockErrorKind::Io`] if the file cannot be made.
    pub fn acquire(workspace: &Workspace) -> Result<WorkspaceLock, LockError> {
        let path = workspace.lock_path();
        let mut outcome = WorkspaceLock::acquire_at(&path);
        for _ in 0..INHERITED_TRIES {
            match outcome {
                Err(LockErrorKind::Held { pid: Some(pid) }) if !is_alive(pid) => {
                    std::thread::sleep(INHERITED_PAUSE);
                    outcome = WorkspaceLock::acquire_at(&path);
                }
                _ => break,
            }
        }
        outcome.map_err(|kind| LockError { path, kind })
    }

    /// True while the lock file that we hold is the one in the workspace.
    ///
    /// False once the workspace was removed, replaced, unmounted, or cannot be read: then stop writing to it.
    pub fn still_ours(&self) -> bool {
        is_file_at(&self.file, &self.path).unwrap_or(false)
    }

    fn acquire_at(path: &Path) -> Result<WorkspaceLock, LockErrorKind> {
        let refused = |source| LockErrorKind::Io { source };
        for _ in 0..TRIES {
            let mut file = open(path).map_err(refused)?;
            match fs2::FileExt::try_lock_exclusive(&file) {
                Err(error) if error.kind() == fs2::lock_contended_error().kind() => {
                    return Err(LockErrorKind::Held { pid: read_pid(&mut file) });
                }
                outcome => outcome.map_err(refused)?,
            }
            // Between open and lock the name may have gone to another file, which another daemon may lock.
            if is_file_at(&file, path).map_err(refused)? {
                // The id is only a courtesy: a full disk must not keep the daemon from starting.
                let _ = write_pid(&mut file);
                return Ok(WorkspaceLock { file, path: path.to_path_buf() });
            }
        }
        Err(LockErrorKind::Replaced)
    }
}

/// False only if there is certainly no such process.
fn is_alive(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_none_or(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

fn open(path: &Path) -> io::Result<File> {
    // The file is never removed: unlinking a locked file would let two daemons lock two files.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

fn is_file_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match path.symlink_metadata() {
        Ok(there) => Ok(there.dev() == ours.dev() && there.ino() == ours.ino()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error),
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES_MAX).read_to_string(&mut text).ok()?;
    text.trim_ascii().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use crate::durable::write_new;
    use crate::workspace::Workspace;
    use crate::workspace::lock::{LockErrorKind, WorkspaceLock};

    #[test]
    fn the_second_is_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(folder.path()).unwrap();
        let lock = WorkspaceLock::acquire(&workspace).unwrap();
        let error = WorkspaceLock::acquire(&workspace).unwrap_err();
        assert!(matches!(error.kind, LockErrorKind::Held { pid } if pid == Some(std::process::id())), "{error:?}");
        drop(lock);
        WorkspaceLock::acquire(&workspace).unwrap();
    }

    /// Killed while it started a worker, a daemon left its lock with the child for a moment, and the next daemon gave up.
    #[test]
    fn the_lock_of_a_dead_holder_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(folder.path()).unwrap();
        let lock = WorkspaceLock::acquire(&workspace).unwrap();
        let mut dead = std::process::Command::new("true").spawn().unwrap();
        dead.wait().unwrap();
        std::os::unix::fs::FileExt::write_all_at(&lock.file, format!("{}\n", dead.id()).as_bytes(), 0).unwrap();
        lock.file.set_len(dead.id().to_string().len() as u64 + 1).unwrap();
        let child = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(100));
            drop(lock);
        });
        WorkspaceLock::acquire(&workspace).unwrap();
        child.join().unwrap();
    }

    #[test]
    fn a_stale_file_is_no_obstacle_and_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(folder.path()).unwrap();
        write_new(&workspace.lock_path(), b"99999999999999999999999999\n").unwrap();
        let lock = WorkspaceLock::acquire(&workspace).unwrap();
        let text = std::fs::read_to_string(workspace.lock_path()).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        drop(lock);
        std::fs::remove_file(workspace.lock_path()).unwrap();
        symlink(folder.path().join("elsewhere"), workspace.lock_path()).unwrap();
        let error = WorkspaceLock::acquire(&workspace).unwrap_err();
        assert!(matches!(error.kind, LockErrorKind::Io { .. }), "{error:?}");
        assert!(!folder.path().join("elsewhere").exists());
    }

    #[test]
    fn a_replaced_workspace_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(&folder.path().join("w")).unwrap();
        let lock = WorkspaceLock::acquire(&workspace).unwrap();
        assert!(lock.still_ours());
        crate::durable::publish(workspace.root(), &folder.path().join("moved")).unwrap();
        assert!(!lock.still_ours());
        let again = Workspace::open(&folder.path().join("w")).unwrap();
        assert!(!lock.still_ours());
        WorkspaceLock::acquire(&again).unwrap();
        assert!(!lock.still_ours());
    }
}
