//! What tells one state of a file from another without reading it: device, inode, size and times.
//!
//! A fingerprint says "this may have changed"; it is no proof of content (see the digests for that). It does not
//! open files and does not decide what a change means.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use serde::{Deserialize, Serialize};

/// State of a regular file at one moment, as the file system tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Number of the file system's device.
    pub device: u64,
    /// Number of the inode on that device.
    pub inode: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// Last change of the content, nanoseconds since 1970-01-01T00:00:00Z. Any writer can set it back.
    pub modified_ns: i128,
    /// Last change of content or inode, nanoseconds since 1970-01-01T00:00:00Z. Only the kernel sets it.
    pub changed_ns: i128,
}

impl Fingerprint {
    /// Takes the fingerprint of the open `file`.
    ///
    /// # Errors
    ///
    /// The kernel's refusal of `fstat`.
    pub fn of(file: &File) -> io::Result<Fingerprint> {
        file.metadata().map(|metadata| Fingerprint::of_metadata(&metadata))
    }

    /// Takes the fingerprint out of `metadata` that were asked for before.
    pub fn of_metadata(metadata: &std::fs::Metadata) -> Fingerprint {
        Fingerprint {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// True if both are of one file with the same size and modification time.
    ///
    /// Renaming or linking a file changes its `changed_ns`: this is the comparison that survives both.
    pub fn is_same_but_renamed(&self, other: &Fingerprint) -> bool {
        self.is_same_file(other) && self.bytes == other.bytes && self.modified_ns == other.modified_ns
    }

    /// True if both are of one file, whatever happened to its content.
    pub fn is_same_file(&self, other: &Fingerprint) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    use crate::merge::fingerprint::Fingerprint;

    fn of(path: &Path) -> Fingerprint {
        Fingerprint::of(&File::open(path).unwrap()).unwrap()
    }

    #[test]
    fn a_change_that_hides_behind_its_times_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let mut file = File::create(&path).unwrap();
        file.write_all(b"old").unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_nanos(1_500_000_000)).unwrap();
        let before = of(&path);
        assert_eq!((before.bytes, before.modified_ns), (3, 1_500_000_000));
        assert_eq!(of(&path), before);
        std::thread::sleep(Duration::from_millis(20));
        let mut file = File::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_nanos(1_500_000_000)).unwrap();
        let after = of(&path);
        assert_ne!(after, before);
        assert!(after.is_same_but_renamed(&before));
    }

    #[test]
    fn it_is_journaled_without_loss() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        File::create(&path).unwrap();
        let text = serde_json::to_string(&of(&path)).unwrap();
        assert_eq!(serde_json::from_str::<Fingerprint>(&text).unwrap(), of(&path));
    }
}
