//! Performs the plan for one file: probe, fetch, verify, commit, so that it may be killed at any point and repeated.
//!
//! What is in the DAQ's folder: `NNNN-NAME`, complete and synced, or `NNNN-NAME.part`, worth nothing. Keeps no
//! journal: the caller records the [`Collected`] and gives it back to [`collect_again`].

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::durable::{DurableError, DurableErrorKind, publish, remove_file, sync_directory};
use crate::merge::fingerprint::Fingerprint;
use crate::specification::model::{DigestAlgorithm, FitsFileSource, SourceDigest};
use crate::transfer::copy::digest_whole;
use crate::transfer::error::{TransferError, TransferErrorKind, errno};
use crate::transfer::local::LocalSource;
use crate::transfer::partial::{PartialFile, open_plain};
use crate::transfer::plan::{CollectMode, Facts, PlanFault, Proof, SourceFacts, Step, Way, plan, way_after};
use crate::transfer::source::{Control, Fetched, Silent, Source};

/// Most bytes kept of a source's own file name in the name of its copy.
const SOURCE_NAME_BYTES_MAX: usize = 100;

/// One file to collect.
#[derive(Clone, Debug)]
pub struct CollectRequest<'a> {
    /// 0-based position among all files of the specification.
    pub ordinal: usize,
    /// What the specification says about it.
    pub source: &'a FitsFileSource,
    /// Where it lies on this machine.
    pub local_path: PathBuf,
    /// Folder of the DAQ that holds collected files (`daq/<id>/sources`). It must exist: it is never made here,
    /// because a workspace that is gone must not come up again on the wrong disk.
    pub folder: PathBuf,
    /// What happens to a file that is not handed over.
    pub mode: CollectMode,
}

impl CollectRequest<'_> {
    /// Name of the collected copy: `NNNN-NAME`, in `folder`.
    ///
    /// Unique through the ordinal. Characters other than those of an identifier become `_`, and of a long name the end
    /// is kept: the rule of the workspace's `source_path`.
    pub fn committed_path(&self) -> PathBuf {
        let is_harmless = |c: char| c.is_ascii_alphanumeric() || "._:+-".contains(c);
        let name = self.local_path.file_name().unwrap_or_default().to_string_lossy();
        let harmless: String = name.chars().map(|c| if is_harmless(c) { c } else { '_' }).collect();
        // Only ASCII is left, so any byte index is a character boundary.
        let kept = &harmless[harmless.len().saturating_sub(SOURCE_NAME_BYTES_MAX)..];
        self.folder.join(format!("{:04}-{kept}", self.ordinal))
    }
}

/// A file that is ready for the merge; what the journal keeps of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Collected {
    /// 0-based position among all files of the specification.
    pub ordinal: usize,
    /// Where the merge reads it (absolute if `referenced`).
    pub path: PathBuf,
    /// State of the file at `path` when it was collected: the merge must find it so.
    pub fingerprint: Fingerprint,
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3, lower-case hex, if the file was read.
    pub digest: Option<String>,
    /// The file is read where its producer put it; it is not ours.
    pub referenced: bool,
}

/// Collects one file. Blocks.
///
/// May be repeated after any interruption: a complete file of an earlier run is proved (by the source, if that is
/// still there) and used.
///
/// # Errors
///
/// [`TransferError`] names the file, the step and what to do. No temporary file stays.
pub fn collect(request: &CollectRequest<'_>, control: &dyn Control) -> Result<Collected, TransferError> {
    collect_again(request, None, control)
}

/// Collects one file that may have been collected before: `earlier` is what the journal says of it.
///
/// The earlier file is proved by its recorded digest (else fingerprint), without the source.
///
/// # Errors
///
/// As [`collect`].
pub fn collect_again(
    request: &CollectRequest<'_>,
    earlier: Option<&Collected>,
    control: &dyn Control,
) -> Result<Collected, TransferError> {
    let job = Job::new(request);
    let probe = job.source.probe();
    let facts = job.facts(earlier, probe.as_ref().ok().map(|probe| probe.bytes));
    let way = match (plan(&facts), probe) {
        (Err(PlanFault::SourceMissing), Err(error)) => return Err(error),
        (outcome, _) => outcome.map(|plan| plan.way).map_err(|fault| job.fault(fault))?,
    };
    match way {
        Way::Reference => job.refer(control),
        Way::Reuse(proof) => job.reuse(proof, earlier, control),
        Way::Take => job.take(control),
        Way::Copy => job.copy(control),
    }
}

/// Collects one file from `source`, whatever kind it is, into the folder of `request`: fetch, verify, commit.
///
/// A file that stands under the final name is replaced.
///
/// # Errors
///
/// As [`collect`].
pub fn collect_from(
    request: &CollectRequest<'_>,
    source: &dyn Source,
    control: &dyn Control,
) -> Result<Collected, TransferError> {
    Job::new(request).bring(source, control).map(|(collected, _)| collected)
}

/// One file on its way.
struct Job<'a> {
    request: &'a CollectRequest<'a>,
    source: LocalSource,
    committed: PathBuf,
    partial: PathBuf,
}

impl<'a> Job<'a> {
    fn new(request: &'a CollectRequest<'a>) -> Job<'a> {
        let committed = request.committed_path();
        let mut partial = committed.clone().into_os_string();
        partial.push(".part");
        let source = LocalSource::new(request.ordinal, request.source.location.to_string(), &request.local_path);
        Job { request, source, committed, partial: partial.into() }
    }

    fn facts(&self, earlier: Option<&Collected>, source_bytes: Option<u64>) -> Facts {
        let handover = self.request.source.handover;
        let committed = self.committed.symlink_metadata().ok().filter(std::fs::Metadata::is_file);
        let movable = handover && is_movable(&self.request.local_path, &self.request.folder);
        Facts {
            ordinal: self.request.ordinal,
            mode: self.request.mode,
            handover,
            source: source_bytes.map(|bytes| SourceFacts { bytes, movable }),
            committed_bytes: committed.map(|metadata| metadata.size()),
            recorded_bytes: earlier.filter(|earlier| !earlier.referenced).map(|earlier| earlier.bytes),
        }
    }

    /// Leaves the file where it is; reads it only if a digest was promised.
    fn refer(&self, control: &dyn Control) -> Result<Collected, TransferError> {
        let path = std::path::absolute(&self.request.local_path)
            .map_err(|source| self.fail(Step::Probe, TransferErrorKind::Open { source }))?;
        let (digest, fingerprint) = self.verify_source(control)?;
        Ok(Collected { path, referenced: true, ..self.collected(fingerprint, digest) })
    }

    /// Proves the file that an earlier run committed; if that fails, and nothing is lost by it, copies the source again.
    fn reuse(
        &self,
        proof: Proof,
        earlier: Option<&Collected>,
        control: &dyn Control,
    ) -> Result<Collected, TransferError> {
        let fail = |kind| self.fail(Step::Verify, kind);
        let unreadable = |source| fail(TransferErrorKind::Read { offset: 0, source });
        let file = open_plain(&self.committed).map_err(unreadable)?;
        let fingerprint = Fingerprint::of(&file).map_err(unreadable)?;
        let mut reader = Checker::of(self.request.source.digest.as_ref());
        let digest = digest_whole(&file, fingerprint.bytes, &mut reader, control)
            .map_err(|error| fail(TransferErrorKind::of_copy(self.committed.clone(), fingerprint.bytes, error)))?;
        let (is_proved, original) = match (proof, earlier) {
            (Proof::Source, _) => {
                let (expected, original) = self.source.digest(&mut io::sink(), &Silent(control))?;
                (expected == digest, Some(original))
            }
            (Proof::Record, Some(Collected { digest: Some(expected), .. })) => (*expected == digest, None),
            // Undoing an in-place merge of it changes the time of the inode.
            (Proof::Record, Some(earlier)) => (earlier.fingerprint.is_same_but_renamed(&fingerprint), None),
            (Proof::Record | Proof::Alone, _) => (true, None),
        };
        if !is_proved {
            let is_source_there = self.source.probe().is_ok();
            return match way_after(proof, self.request.source.handover, is_source_there) {
                Ok(_) => self.copy(control),
                Err(fault) => Err(self.fault(fault)),
            };
        }
        reader.check(&digest).map_err(fail)?;
        self.remove_leftover();
        // The earlier run may have been killed between its rename and its fsync of the folder.
        sync_directory(&self.request.folder).map_err(|source| self.fail_commit(source))?;
        if let Some(original) = original.filter(|_| self.request.source.handover) {
            self.remove_original(&original);
        }
        Ok(self.collected(fingerprint, Some(digest)))
    }

    /// Renames the file into the DAQ's folder: proved first, because then it has left its producer.
    fn take(&self, control: &dyn Control) -> Result<Collected, TransferError> {
        let (digest, before) = self.verify_source(control)?;
        self.remove_leftover();
        // Its producer may have left it in memory only, and nobody else will sync it now.
        let (file, _) = self.source.open(Step::Commit)?;
        file.sync_all().map_err(|source| {
            let kind = DurableErrorKind::Sync { source };
            self.fail_commit(DurableError { action: "sync", path: self.request.local_path.clone(), kind })
        })?;
        match publish(&self.request.local_path, &self.committed) {
            Ok(()) => {}
            Err(error) if is_no_rename(&error) => return self.copy(control),
            Err(error) => return Err(self.fail_commit(error)),
        }
        let taken = open_plain(&self.committed).and_then(|file| Fingerprint::of(&file)).ok();
        match taken.filter(|taken| taken.is_same_but_renamed(&before)) {
            Some(taken) => Ok(self.collected(taken, digest)),
            None => {
                // Not the file that we looked at: give it back. Best effort; the next try sees what is where.
                let _ = publish(&self.committed, &self.request.local_path);
                let how = "was replaced by another file".to_owned();
                Err(self.fail(Step::Commit, TransferErrorKind::SourceChanged { how }))
            }
        }
    }

    /// Copies the local file; one that was handed over is then removed.
    fn copy(&self, control: &dyn Control) -> Result<Collected, TransferError> {
        let (collected, fetched) = self.bring(&self.source, control)?;
        if let Some(original) = fetched.fingerprint.filter(|_| self.request.source.handover) {
            self.remove_original(&original);
        }
        Ok(collected)
    }

    fn bring(&self, source: &dyn Source, control: &dyn Control) -> Result<(Collected, Fetched), TransferError> {
        let fetched = source.fetch(&self.partial, control)?;
        let refused =
            |step, source| self.fail(step, TransferErrorKind::of_write(self.partial.clone(), fetched.bytes, source));
        let partial = PartialFile::adopt(&self.partial).map_err(|source| refused(Step::Verify, source))?;
        let found = partial.file().metadata().map_err(|source| refused(Step::Verify, source))?.size();
        if found != fetched.bytes {
            let source = io::Error::other(format!("{found} bytes instead of {}", fetched.bytes));
            return Err(refused(Step::Verify, source));
        }
        self.verify_fetched(partial.file(), &fetched, control)?;
        if self.committed.symlink_metadata().is_ok() {
            // Only a file that failed its proof can stand there.
            remove_file(&self.committed).map_err(|source| self.fail_commit(source))?;
        }
        let fingerprint = partial.publish(&self.committed).map_err(|source| self.fail_commit(source))?;
        Ok((self.collected(fingerprint, fetched.digest.clone()), fetched))
    }

    /// Compares what was fetched with the promised digest; reads it again only if that was not computed on the way.
    fn verify_fetched(&self, file: &File, fetched: &Fetched, control: &dyn Control) -> Result<(), TransferError> {
        let fail = |kind| self.fail(Step::Verify, kind);
        let mut reader = Checker::of(self.request.source.digest.as_ref());
        let digest = match (&reader, &fetched.digest) {
            (Checker { wanted: None, .. }, _) => return Ok(()),
            (Checker { sha256: None, .. }, Some(digest)) => digest.clone(),
            _ => digest_whole(file, fetched.bytes, &mut reader, &Silent(control))
                .map_err(|error| fail(TransferErrorKind::of_copy(self.partial.clone(), fetched.bytes, error)))?,
        };
        reader.check(&digest).map_err(fail)
    }

    /// Compares the source where it lies with the promised digest, if there is one.
    fn verify_source(&self, control: &dyn Control) -> Result<(Option<String>, Fingerprint), TransferError> {
        let mut reader = Checker::of(self.request.source.digest.as_ref());
        if reader.wanted.is_none() {
            let (_, fingerprint) = self.source.open(Step::Probe)?;
            return Ok((None, fingerprint));
        }
        let (digest, fingerprint) = self.source.digest(&mut reader, control)?;
        reader.check(&digest).map_err(|kind| self.fail(Step::Verify, kind))?;
        Ok((Some(digest), fingerprint))
    }

    /// Removes the original of a file that was handed over and copied, if it still is what was copied.
    ///
    /// Its producer allows that but does not need it, so a refusal is a warning only.
    fn remove_original(&self, copied: &Fingerprint) {
        let path = &self.request.local_path;
        let is_the_copied = path
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_file() && Fingerprint::of_metadata(&metadata) == *copied);
        if !is_the_copied {
            tracing::warn!(path = %path.display(), "handed over and copied, left in place: it is a link or changed");
        } else if let Err(error) = remove_file(path) {
            tracing::warn!(path = %path.display(), cause = %error.kind, "handed over and copied, but not removable");
        }
    }

    fn remove_leftover(&self) {
        // Best effort: it is worth nothing, and goes with the DAQ's folder.
        let _ = std::fs::remove_file(&self.partial);
    }

    fn collected(&self, fingerprint: Fingerprint, digest: Option<String>) -> Collected {
        Collected {
            ordinal: self.request.ordinal,
            path: self.committed.clone(),
            bytes: fingerprint.bytes,
            fingerprint,
            digest,
            referenced: false,
        }
    }

    fn fail(&self, step: Step, kind: TransferErrorKind) -> TransferError {
        self.source.origin().error(step, kind)
    }

    fn fail_commit(&self, source: DurableError) -> TransferError {
        self.fail(Step::Commit, TransferErrorKind::Commit { source })
    }

    fn fault(&self, fault: PlanFault) -> TransferError {
        let path = self.committed.clone();
        match fault {
            PlanFault::SourceMissing => self.fail(Step::Probe, TransferErrorKind::Missing),
            PlanFault::CommittedDamaged => self.fail(Step::Verify, TransferErrorKind::Damaged { path }),
            PlanFault::Conflict => self.fail(Step::Verify, TransferErrorKind::HandedOverTwice { path }),
        }
    }
}

/// True if one rename makes `path` a file in `folder` that is ours alone.
///
/// A link's file, or one with a second name, belongs to somebody else too: an in-place merge would write into it.
fn is_movable(path: &Path, folder: &Path) -> bool {
    match (path.symlink_metadata(), folder.metadata()) {
        (Ok(file), Ok(folder)) => {
            file.is_file()
                && file.nlink() == 1
                && file.dev() == folder.dev()
                && rustix::fs::access(path, Access::READ_OK | Access::WRITE_OK).is_ok()
        }
        _ => false,
    }
}

/// True if the file system refused the rename for good, so that a copy is the way.
fn is_no_rename(error: &DurableError) -> bool {
    match &error.kind {
        DurableErrorKind::OtherFileSystem => true,
        DurableErrorKind::Io { source } => {
            matches!(errno(source), Some(Errno::PERM | Errno::ACCESS | Errno::ROFS | Errno::OPNOTSUPP))
        }
        _ => false,
    }
}

/// Compares bytes that pass by with the digest that the specification promises.
struct Checker<'a> {
    wanted: Option<&'a SourceDigest>,
    /// Only if it is wanted: BLAKE3 comes with every reading.
    sha256: Option<Sha256>,
}

impl<'a> Checker<'a> {
    fn of(wanted: Option<&'a SourceDigest>) -> Checker<'a> {
        let is_sha256 = wanted.is_some_and(|wanted| wanted.algorithm == DigestAlgorithm::Sha256);
        Checker { wanted, sha256: is_sha256.then(Sha256::new) }
    }

    fn check(self, blake3: &str) -> Result<(), TransferErrorKind> {
        let Some(wanted) = self.wanted else { return Ok(()) };
        let (algorithm, actual) = match self.sha256 {
            None => ("blake3", blake3.to_owned()),
            Some(hasher) => ("sha256", hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
        };
        if actual == wanted.value {
            return Ok(());
        }
        Err(TransferErrorKind::DigestDiffers { algorithm, expected: wanted.value.clone(), actual })
    }
}

impl Write for Checker<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(hasher) = &mut self.sha256 {
            hasher.update(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
