//! Grows an in-place target into the product: its data stay where they are, headers are overwritten, HDUs appended.
//!
//! [`growth`] decides how. Either a new file shares the target's blocks, and the target is not touched; or the target's
//! own file is changed, with an [`undo`] record on disk from before the first change until after the last.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use crate::control::Control;
use crate::durable::new_file::{NewFile, Replace};
use crate::durable::{self, DurableError};
use crate::fits::CARD_BYTES;
use crate::fits::checksum::Sum32;
use crate::merge::execute::{self, ExecuteError, ExecuteOptions};
use crate::merge::fingerprint::Fingerprint;
use crate::merge::intake::OpenInput;
use crate::merge::plan::growth::{self, FileFacts, Growth, TargetShape};
use crate::merge::plan::{HduPlan, HeaderPlan, MergePlan};
use crate::merge::proof;
use crate::merge::report::Notice;
use crate::merge::sealing::{self, ChecksumMode};
use crate::merge::stripes::STRIPE_BYTES;
use crate::merge::undo::{self, Insertion, UndoError, UndoRecord};
use crate::merge::verify::{self, ProductFault};

/// Types of file systems (statfs(2)) whose insertion is known to lengthen the file before it moves extents: only then
/// an interrupted one can be told from one that never began.
const INSERTING: [u64; 2] = [0xEF53, 0x5846_5342];
/// Bytes of headers that may be overwritten: they are held in memory, and twice on disk.
const CHANGED_BYTES_MAX: u64 = 20 * 1024 * 1024;

/// A target that this process alone may change, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    file: File,
    path: PathBuf,
    /// An interrupted in-place merge was found and undone.
    pub was_restored: bool,
}

/// What is to be grown.
pub(crate) struct GrowRequest<'a> {
    pub(crate) plan: &'a MergePlan,
    pub(crate) shape: &'a TargetShape,
    /// The target first.
    pub(crate) inputs: &'a [OpenInput],
    pub(crate) execution: ExecuteOptions,
    /// Whether the product may share the target's blocks.
    pub(crate) may_share: bool,
    /// The right to change the target's own file.
    pub(crate) claim: Option<&'a Claim>,
    pub(crate) output: &'a Path,
    pub(crate) replace: Replace,
}

/// A product that was grown.
pub(crate) struct Grown {
    /// What proves it, see [`proof`].
    pub(crate) digest: String,
    pub(crate) bytes: u64,
    pub(crate) notices: Vec<Notice>,
}

/// Why a target could not be grown. Unless it says otherwise, the target is what it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GrowError {
    /// Another process grows it.
    #[error("another dpm is merging into {}: wait until it has ended", path.display())]
    Busy {
        /// The target.
        path: PathBuf,
    },
    /// An interrupted in-place merge cannot be undone.
    #[error(transparent)]
    Undo(#[from] UndoError),
    /// The target is neither what it was nor the product.
    #[error("{failure}; and the target cannot be restored now: the next in-place merge of it tries again")]
    NotRestored {
        /// What went wrong first.
        failure: String,
        /// Why it stays so.
        #[source]
        source: UndoError,
    },
    /// The file cannot be changed or looked at.
    #[error("cannot {action} {}", path.display())]
    Change {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The record, or the product's name, cannot be made durable. The product may be whole by then: its record says
    /// that it is not, and the next in-place merge of the target undoes it.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// What is added cannot be copied.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The grown file is not what was planned.
    #[error(transparent)]
    Verify(#[from] ProductFault),
}

/// Claims the file `path` for being changed; first undoes an in-place merge of it that was interrupted.
///
/// `None` where it may not be written or cannot be locked: then it is written anew.
///
/// # Errors
///
/// [`GrowError::Busy`]; [`GrowError::Undo`] where an interrupted merge cannot be undone.
pub fn claim(path: &Path) -> Result<Option<Claim>, GrowError> {
    let fail = |action, source: io::Error| GrowError::Change { action, path: path.to_owned(), source };
    let is_pending = undo::is_pending(path);
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if is_pending => return Err(fail("restore", error)),
        Err(_) => return Ok(None),
        Ok(file) => file,
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => return Err(GrowError::Busy { path: path.to_owned() }),
        Err(error) if is_pending => return Err(fail("lock", error.into())),
        Err(_) => return Ok(None),
        Ok(()) => {}
    }
    let was_restored = undo::recover(&file, path)?;
    Ok(Some(Claim { file, path: path.to_owned(), was_restored }))
}

/// Grows the target into the product and publishes it under the output's name; `None` where it must be written anew,
/// and nothing was changed.
///
/// Cost: what is added, and the target's data once where they are summed.
///
/// # Errors
///
/// [`GrowError`]; the target was restored.
pub(crate) fn grow(request: &GrowRequest<'_>, control: &dyn Control) -> Result<Option<Grown>, GrowError> {
    let Some(target) = request.inputs.first().filter(|_| growth::may_grow(request.shape)) else { return Ok(None) };
    let Ok(copy) = NewFile::create(request.output) else { return Ok(None) };
    let facts = facts(target, request, &copy).map_err(|source| GrowError::Change {
        action: "look at",
        path: target.path.clone(),
        source,
    })?;
    let growth = growth::decide(request.shape, &facts);
    let mut plan = request.plan.clone();
    growth::make_room(&mut plan, request.shape, growth);
    let growing = Growing { request, target, plan, growth, control };
    match (growth, request.claim) {
        (Growth::Clone { at, bytes }, _) => growing.in_copy(copy, at, bytes),
        (Growth::Fits | Growth::Insert { .. }, Some(claim)) => growing.in_place(claim),
        _ => Ok(None),
    }
}

/// Looks what can be done with the target; tries it out on `scratch`, an empty file on the same file system, which then
/// shares the target's blocks if it can.
fn facts(target: &OpenInput, request: &GrowRequest<'_>, scratch: &NewFile) -> io::Result<FileFacts> {
    let statistics = rustix::fs::fstatvfs(&target.file)?;
    let mut facts = FileFacts {
        is_ours: false,
        block_bytes: statistics.f_frsize,
        can_insert: false,
        can_clone: request.may_share && rustix::fs::ioctl_ficlone(scratch.file(), &target.file).is_ok(),
    };
    if let Some(claim) = request.claim.filter(|_| !facts.can_clone) {
        let metadata = claim.file.metadata()?;
        facts.is_ours = metadata.nlink() == 1;
        facts.can_insert = inserts(scratch.file(), facts.block_bytes)
            && scratch.file().metadata()?.dev() == metadata.dev()
            && undo::holes(&claim.file, metadata.len())?.is_empty();
    }
    Ok(facts)
}

/// Tries an insertion on an empty file: even a refused one would change the times of the target.
fn inserts(scratch: &File, block_bytes: u64) -> bool {
    let is_known = rustix::fs::fstatfs(scratch).is_ok_and(|found| INSERTING.contains(&found.f_type.cast_unsigned()));
    is_known
        && scratch.set_len(2 * block_bytes).is_ok()
        && rustix::fs::fallocate(scratch, FallocateFlags::INSERT_RANGE, block_bytes, block_bytes).is_ok()
}

struct Growing<'a> {
    request: &'a GrowRequest<'a>,
    target: &'a OpenInput,
    /// With the room that the header gets.
    plan: MergePlan,
    growth: Growth,
    control: &'a dyn Control,
}

impl Growing<'_> {
    /// Grows a copy that shares the target's blocks; the target stays as it is until the copy takes its name.
    fn in_copy(&self, mut copy: NewFile, at: u64, moved: u64) -> Result<Option<Grown>, GrowError> {
        let Some(headers) = self.headers()? else { return Ok(None) };
        if moved > 0 {
            self.share_behind(copy.file(), at, moved).map_err(|source| self.fail("share the blocks of", source))?;
        }
        let notices = self.write(copy.file(), &headers)?;
        self.target.check_unchanged()?;
        copy.sync()?;
        let grown = self.prove(copy.file(), [headers.notices, notices].concat())?;
        copy.publish(self.request.replace)?;
        Ok(Some(grown))
    }

    /// Shares the target's blocks from byte `at` on, `moved` bytes further behind.
    fn share_behind(&self, copy: &File, at: u64, moved: u64) -> io::Result<()> {
        let (mut from, end) = (at, self.request.shape.bytes);
        while from < end {
            let (mut source, mut destination) = (from, from + moved);
            let wanted = usize::try_from(end - from).unwrap_or(usize::MAX);
            // Where blocks are aligned, and they are, this shares them (copy_file_range(2)).
            match rustix::fs::copy_file_range(
                &self.target.file,
                Some(&mut source),
                copy,
                Some(&mut destination),
                wanted,
            )? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                copied => from += copied as u64,
            }
        }
        Ok(())
    }

    /// Changes the target's own file. After an error it is what it was.
    fn in_place(&self, claim: &Claim) -> Result<Option<Grown>, GrowError> {
        let Some(headers) = self.headers()? else { return Ok(None) };
        self.check_claimed(claim)?;
        claim.file.sync_all().map_err(|source| self.fail("sync", source))?;
        let insertion = match self.growth {
            Growth::Insert { at, bytes } => Some(Insertion { at, bytes }),
            _ => None,
        };
        let ranges = headers.ranges(self.request.shape.header_bytes);
        let record = UndoRecord::of(&claim.file, ranges, insertion).map_err(|source| self.fail("read", source))?;
        let record_path = undo::record_path(&claim.path);
        record.write(&record_path)?;
        match self.change(claim, insertion, &headers) {
            Ok(grown) => {
                // From here on the product is whole; only its name, or the end of the record, is missing.
                match self.request.output == claim.path {
                    true => durable::remove_file(&record_path)?,
                    false => durable::publish(&claim.path, self.request.output)?,
                }
                Ok(Some(grown))
            }
            Err(error) => match undo::recover(&claim.file, &claim.path) {
                Ok(_) => Err(error),
                Err(source) => Err(GrowError::NotRestored { failure: crate::status::with_causes(&error), source }),
            },
        }
    }

    /// Makes the changes that the record undoes.
    fn change(&self, claim: &Claim, insertion: Option<Insertion>, headers: &Headers) -> Result<Grown, GrowError> {
        if let Some(Insertion { at, bytes }) = insertion {
            rustix::fs::fallocate(&claim.file, FallocateFlags::INSERT_RANGE, at, bytes)
                .map_err(|error| self.fail("insert room into", error.into()))?;
        }
        let notices = self.write(&claim.file, headers)?;
        claim.file.sync_all().map_err(|source| self.fail("sync", source))?;
        self.prove(&claim.file, [headers.notices.clone(), notices].concat())
    }

    /// Appends what is new and overwrites the headers of what was there.
    fn write(&self, file: &File, headers: &Headers) -> Result<Vec<Notice>, GrowError> {
        let end = self.request.shape.bytes + self.growth.gained_bytes();
        let added = self.plan.product_bytes - end;
        if added > 0 {
            match rustix::fs::fallocate(file, FallocateFlags::empty(), end, added) {
                // A file system without preallocation: the copy itself will find a full disk.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(error) => return Err(self.fail("lengthen", error.into())),
            }
        }
        let mut added = self.plan.clone();
        added.hdus.drain(..self.request.shape.hdus);
        let execution = self.request.execution;
        let notices = execute::append(&added, self.request.inputs, file, execution, self.control)?;
        let gained = self.growth.gained_bytes();
        let cards = headers.cards.iter().map(|(offset, bytes)| (offset + gained, bytes));
        for (offset, bytes) in cards.chain([(0, &headers.primary)]) {
            file.write_all_at(bytes, offset).map_err(|source| self.fail("write a header of", source))?;
        }
        Ok(notices)
    }

    fn prove(&self, file: &File, notices: Vec<Notice>) -> Result<Grown, GrowError> {
        verify::check_product(file, &self.plan)?;
        let digest = proof::by_headers(file).map_err(|source| self.fail("read", source))?;
        Ok(Grown { digest, bytes: self.plan.product_bytes, notices })
    }

    /// The file that is claimed must be the one that was planned with.
    fn check_claimed(&self, claim: &Claim) -> Result<(), GrowError> {
        match Fingerprint::of(&claim.file) {
            Ok(found) if found == self.target.fingerprint => Ok(()),
            Ok(_) => {
                let (label, path) = (self.target.label.clone(), self.target.path.clone());
                Err(ExecuteError::SourceChanged { label, path }.into())
            }
            Err(source) => Err(self.fail("look at", source)),
        }
    }

    fn fail(&self, action: &'static str, source: io::Error) -> GrowError {
        GrowError::Change { action, path: self.target.path.clone(), source }
    }

    /// The sealed headers of the target's HDUs; `None` if too much of them changes to be held.
    fn headers(&self) -> Result<Option<Headers>, GrowError> {
        let mut headers = Headers::default();
        let mut changed_bytes = self.request.shape.header_bytes;
        for hdu in self.plan.hdus.iter().take(self.request.shape.hdus) {
            let old = self.old_header(hdu)?;
            let datasum = self.datasum(hdu, &old, &mut headers.notices)?;
            let mut new = new_header(hdu, &old);
            sealing::seal(&mut new, hdu.datasum_card, hdu.checksum_card, datasum, hdu.recorded_datasum);
            match &hdu.header {
                HeaderPlan::Complete(_) => headers.primary = new,
                HeaderPlan::Patched { offset, .. } => {
                    changed_bytes += note_changes(&old, &new, *offset, &mut headers.cards);
                }
            }
            if changed_bytes > CHANGED_BYTES_MAX {
                return Ok(None);
            }
        }
        Ok(Some(headers))
    }

    fn old_header(&self, hdu: &HduPlan) -> Result<Vec<u8>, ExecuteError> {
        let (offset, bytes) = match &hdu.header {
            HeaderPlan::Complete(_) => (0, self.request.shape.header_bytes),
            HeaderPlan::Patched { offset, bytes, .. } => (*offset, *bytes),
        };
        let mut old = vec![0; bytes as usize];
        self.target.read_exact(offset, &mut old)?;
        Ok(old)
    }

    /// The sum of a data unit of the target: the recorded one where that is trusted, else that of its data.
    fn datasum(&self, hdu: &HduPlan, old: &[u8], notices: &mut Vec<Notice>) -> Result<Sum32, ExecuteError> {
        let recorded = hdu.recorded_datasum.map(Sum32::from_value);
        if let (ChecksumMode::Trust, Some(recorded)) = (self.request.execution.checksum, recorded)
            && sealing::may_trust(old, recorded)
        {
            return Ok(recorded);
        }
        let mut sum = Sum32::default();
        let Some(extent) = &hdu.data else { return Ok(sum) };
        let mut piece = vec![0; STRIPE_BYTES as usize];
        let mut done = 0;
        while done < extent.bytes {
            if self.control.is_cancelled() {
                return Err(ExecuteError::Cancelled);
            }
            let wanted = (extent.bytes - done).min(STRIPE_BYTES) as usize;
            self.target.read_exact(extent.offset + done, &mut piece[..wanted])?;
            sum = sum.add(Sum32::of(&piece[..wanted]));
            done += wanted as u64;
            self.control.progress(hdu.data_offset() + done, self.plan.product_bytes);
        }
        notices.extend(execute::checksum_mismatch(self.request.inputs, hdu, sum));
        Ok(sum)
    }
}

/// The headers of the target's HDUs as the product has them.
#[derive(Default)]
struct Headers {
    primary: Vec<u8>,
    /// Cards of other headers that differ: byte offset in the target, and the new bytes.
    cards: Vec<(u64, Vec<u8>)>,
    notices: Vec<Notice>,
}

impl Headers {
    /// What is overwritten of the target, as offset and length.
    fn ranges(&self, header_bytes: u64) -> Vec<(u64, u64)> {
        let cards = self.cards.iter().map(|(offset, bytes)| (*offset, bytes.len() as u64));
        [(0, header_bytes)].into_iter().chain(cards).collect()
    }
}

/// The header of the target's HDU as planned, not yet sealed.
fn new_header(hdu: &HduPlan, old: &[u8]) -> Vec<u8> {
    match &hdu.header {
        HeaderPlan::Complete(bytes) => bytes.clone(),
        HeaderPlan::Patched { edits, .. } => {
            let mut new = old.to_vec();
            for (index, card) in edits {
                new[index * CARD_BYTES..(index + 1) * CARD_BYTES].copy_from_slice(card.as_bytes());
            }
            new
        }
    }
}

/// Notes runs of cards that differ between the header `old`, at byte `offset`, and `new`; gives their bytes.
fn note_changes(old: &[u8], new: &[u8], offset: u64, changes: &mut Vec<(u64, Vec<u8>)>) -> u64 {
    let mut noted = 0;
    let differs = |index: usize| old[index * CARD_BYTES..][..CARD_BYTES] != new[index * CARD_BYTES..][..CARD_BYTES];
    let cards = old.len().min(new.len()) / CARD_BYTES;
    let mut index = 0;
    while index < cards {
        let run = (index..cards).take_while(|card| differs(*card)).count();
        if run > 0 {
            let bytes = &new[index * CARD_BYTES..(index + run) * CARD_BYTES];
            changes.push((offset + (index * CARD_BYTES) as u64, bytes.to_vec()));
            noted += bytes.len() as u64;
        }
        index += run.max(1);
    }
    noted
}

#[cfg(test)]
mod tests;
