//! A file that is being made under a temporary name: it gets its final name complete, or goes without a trace.
//!
//! Knows nothing of where the bytes come from. Renaming and syncing folders is left to [`crate::durable`].

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::durable::{DurableError, DurableErrorKind, publish, remove_file};
use crate::merge::fingerprint::Fingerprint;

/// A file under its temporary name. Dropping it removes it, unless it was kept or published.
#[derive(Debug)]
pub(crate) struct PartialFile {
    path: PathBuf,
    file: File,
    is_kept: bool,
}

impl PartialFile {
    /// Makes the file anew, empty, with the permission bits `mode`; what an interrupted try left there is removed.
    ///
    /// Never follows a symbolic link, never opens what somebody else put there.
    pub(crate) fn create(path: &Path, mode: u32) -> io::Result<PartialFile> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(path)?;
        let partial = PartialFile { path: path.to_path_buf(), file, is_kept: false };
        // The umask may have taken bits away.
        partial.file.set_permissions(Permissions::from_mode(mode))?;
        Ok(partial)
    }

    /// Takes charge of a file that was fetched and kept.
    pub(crate) fn adopt(path: &Path) -> io::Result<PartialFile> {
        let file = open_plain(path)?;
        Ok(PartialFile { path: path.to_path_buf(), file, is_kept: false })
    }

    /// The open file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Leaves the file under its temporary name.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }

    /// Syncs the file and gives it its `name`, replacing nothing; on return both survive a power cut.
    ///
    /// # Errors
    ///
    /// As [`publish`]. After any error neither the temporary file nor the name stays: a failed fsync makes both suspect.
    pub(crate) fn publish(self, name: &Path) -> Result<Fingerprint, DurableError> {
        let refused = |kind| DurableError { action: "publish", path: name.to_path_buf(), kind };
        if !is_same_file(&self.file, &self.path) {
            let source = io::Error::other(format!("somebody else replaced {}", self.path.display()));
            return Err(refused(DurableErrorKind::Io { source }));
        }
        self.file.sync_all().map_err(|source| refused(DurableErrorKind::Sync { source }))?;
        if let Err(error) = publish(&self.path, name) {
            if !error.is_exists() && is_same_file(&self.file, name) {
                // Best effort: the first error is the one to report.
                let _ = remove_file(name);
            }
            return Err(error);
        }
        let fingerprint = Fingerprint::of(&self.file).map_err(|source| refused(DurableErrorKind::Io { source }));
        self.keep();
        fingerprint
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.is_kept && is_same_file(&self.file, &self.path) {
            // Best effort: the next try removes it too.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Opens the file `path` of ours for reading; a symbolic link there is not of ours.
pub(crate) fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}

/// True if the name `path` itself (no link to it) is the open `file`.
pub(crate) fn is_same_file(file: &File, path: &Path) -> bool {
    match (Fingerprint::of(file), path.symlink_metadata()) {
        (Ok(open), Ok(named)) => open.is_same_file(&Fingerprint::of_metadata(&named)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use crate::transfer::partial::PartialFile;

    #[test]
    fn a_dropped_file_goes_and_a_kept_one_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.part");
        drop(PartialFile::create(&path, 0o640).unwrap());
        assert!(!path.exists());
        PartialFile::create(&path, 0o666).unwrap().keep();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o666);
        drop(PartialFile::adopt(&path).unwrap());
        assert!(!path.exists());
    }

    #[test]
    fn a_planted_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, victim) = (folder.path().join("a.part"), folder.path().join("victim"));
        std::fs::File::create(&victim).unwrap().write_all(b"safe").unwrap();
        symlink(&victim, &path).unwrap();
        assert!(PartialFile::adopt(&path).is_err());
        let partial = PartialFile::create(&path, 0o640).unwrap();
        partial.file().write_all_at_start(b"new");
        drop(partial);
        assert_eq!(std::fs::read(&victim).unwrap(), b"safe");
        assert!(path.symlink_metadata().is_err());
    }

    #[test]
    fn publishing_replaces_nothing_and_trusts_no_replaced_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, name) = (folder.path().join("a.part"), folder.path().join("a"));
        PartialFile::create(&path, 0o640).unwrap().publish(&name).unwrap();
        assert!(name.exists() && !path.exists());
        let error = PartialFile::create(&path, 0o640).unwrap().publish(&name).unwrap_err();
        assert!(error.is_exists() && !path.exists());
        let partial = PartialFile::create(&path, 0o640).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::File::create(&path).unwrap();
        assert!(partial.publish(&folder.path().join("b")).is_err());
        assert!(path.exists(), "another's file was removed");
    }

    trait WriteAtStart {
        fn write_all_at_start(&self, bytes: &[u8]);
    }

    impl WriteAtStart for std::fs::File {
        fn write_all_at_start(&self, bytes: &[u8]) {
            std::os::unix::fs::FileExt::write_all_at(self, bytes, 0).unwrap();
        }
    }
}
