//! Gives handed-over files back to where they were taken from, for a DAQ that is aborted before its product exists.
//!
//! A file that was taken may be the only copy of a night's data: it is never removed with the DAQ's folder.

use std::io;
use std::path::Path;

use crate::control::Unwatched;
use crate::durable::new_file::{NewFile, Replace};
use crate::durable::{self, DurableErrorKind};
use crate::merge::job::open_regular;
use crate::transfer::collect::CollectRequest;
use crate::transfer::copy::digest_whole;
use crate::transfer::error::{TransferError, TransferErrorKind};
use crate::transfer::local::LocalSource;
use crate::transfer::plan::Step;

/// Puts the file of `request` back under its own name, if it was handed over and taken. May be repeated.
///
/// Where a file of that name is there again, the taken one goes only if both hold the same bytes. Blocks; cost: a
/// rename, or a copy where the source is on another file system.
///
/// # Errors
///
/// [`TransferErrorKind::HandedOverTwice`] where another file has the name; [`TransferErrorKind::Commit`] where the
/// folder it came from refuses. Nothing is lost: the taken file stays.
pub fn give_back(request: &CollectRequest<'_>) -> Result<(), TransferError> {
    let taken = request.committed_path();
    if !request.source.handover || taken.symlink_metadata().is_err() {
        return Ok(());
    }
    let original = &request.local_path;
    let source = LocalSource::new(request.ordinal, request.source.location.to_string(), original);
    let fail = |kind| source.origin().error(Step::Commit, kind);
    if original.symlink_metadata().is_ok() {
        return match have_same_bytes(&taken, original) {
            true => Ok(()),
            false => Err(fail(TransferErrorKind::HandedOverTwice { path: taken })),
        };
    }
    match durable::publish(&taken, original) {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.kind, DurableErrorKind::OtherFileSystem) => copy_back(&taken, original)
            .map_err(|source| fail(TransferErrorKind::Write { path: original.clone(), source })),
        Err(source) => Err(fail(TransferErrorKind::Commit { source })),
    }
}

fn have_same_bytes(one: &Path, other: &Path) -> bool {
    let digest = |path: &Path| -> Option<String> {
        let file = open_regular(path).ok()??;
        let bytes = file.metadata().ok()?.len();
        digest_whole(&file, bytes, &mut io::sink(), &Unwatched).ok()
    };
    let (one, other) = (digest(one), digest(other));
    one.is_some() && one == other
}

fn copy_back(taken: &Path, original: &Path) -> io::Result<()> {
    let mut source = open_regular(taken)?.ok_or(io::ErrorKind::InvalidInput)?;
    let copy = NewFile::create(original)?;
    io::copy(&mut source, &mut copy.file())?;
    copy.publish(Replace::Never).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::specification::location::Location;
    use crate::specification::model::{FitsFileSource, PrimaryData};
    use crate::transfer::collect::{CollectRequest, collect};
    use crate::transfer::error::TransferErrorKind;
    use crate::transfer::handover::give_back;
    use crate::transfer::plan::CollectMode;
    use crate::transfer::source::Unwatched;

    fn source(handover: bool) -> FitsFileSource {
        FitsFileSource {
            source_name: "det".to_owned(),
            location: Location::parse("/spool/a.fits").unwrap(),
            keyword_rules: None,
            alert_unmergeable: true,
            primary_data: PrimaryData::Alert,
            handover,
            digest: None,
        }
    }

    fn request<'a>(folder: &Path, source: &'a FitsFileSource) -> CollectRequest<'a> {
        CollectRequest {
            ordinal: 0,
            source,
            local_path: folder.join("spool/a.fits"),
            folder: folder.join("sources"),
            mode: CollectMode::Reference,
        }
    }

    fn spool() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("spool")).unwrap();
        std::fs::create_dir(folder.path().join("sources")).unwrap();
        put(&folder.path().join("spool/a.fits"), b"the only copy");
        folder
    }

    fn put(path: &Path, bytes: &[u8]) {
        std::io::Write::write_all(&mut std::fs::File::create(path).unwrap(), bytes).unwrap();
    }

    #[test]
    fn a_taken_file_comes_back_whole_and_once() {
        let (folder, source) = (spool(), source(true));
        let request = request(folder.path(), &source);
        collect(&request, &Unwatched).unwrap();
        assert!(!request.local_path.exists());
        give_back(&request).unwrap();
        give_back(&request).unwrap();
        assert_eq!(std::fs::read(&request.local_path).unwrap(), b"the only copy");
        assert!(!request.committed_path().exists());
    }

    #[test]
    fn another_file_of_the_name_is_not_touched_and_the_taken_one_stays() {
        let (folder, source) = (spool(), source(true));
        let request = request(folder.path(), &source);
        collect(&request, &Unwatched).unwrap();
        put(&request.local_path, b"a new exposure");
        let error = give_back(&request).unwrap_err();
        assert!(matches!(error.kind, TransferErrorKind::HandedOverTwice { .. }), "{error}");
        assert_eq!(std::fs::read(&request.local_path).unwrap(), b"a new exposure");
        assert_eq!(std::fs::read(request.committed_path()).unwrap(), b"the only copy");
    }

    #[test]
    fn a_file_that_was_only_referenced_is_left_alone() {
        let (folder, source) = (spool(), source(false));
        let request = request(folder.path(), &source);
        collect(&request, &Unwatched).unwrap();
        give_back(&request).unwrap();
        assert_eq!(std::fs::read(&request.local_path).unwrap(), b"the only copy");
    }
}
