//! Performs a plan: reads each byte once, sums and digests it while hot, writes it once.
//!
//! Decides nothing about FITS: places and headers come from the plan. Threads take stripes in the order of the product
//! and do each on their own. Memory is bounded: two buffers a thread, the headers in work, and 32 bytes of digest for
//! each 256 KiB.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::control::Control;
use crate::durable::new_file::Durability;
use crate::fits::CARD_BYTES;
use crate::fits::checksum::Sum32;
use crate::merge::digest::TreeDigest;
use crate::merge::intake::{OpenInput, Window};
use crate::merge::options::{DigestScope, MergeOptions, PageCache};
use crate::merge::plan::{DataExtent, HduPlan, HeaderPlan, MergePlan};
use crate::merge::report::{Notice, Notices};
use crate::merge::sealing::{self, ChecksumMode};
use crate::merge::stripes::{self, DataPart, STRIPE_BYTES, SharedReads, Stripe, Stripes, Transfer, UnreadRange};
use crate::merge::writer::{ProductFile, WriteBehind, WriteFailure};
use crate::status::Severity;

/// How a plan is performed. The product is the same in every way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExecuteOptions {
    /// Threads that copy, at least 1.
    pub threads: usize,
    /// What is digested.
    pub digest: DigestScope,
    /// Whether a recorded DATASUM is believed.
    pub checksum: ChecksumMode,
    /// When the bytes go to the disk.
    pub write_behind: WriteBehind,
}

impl ExecuteOptions {
    /// What `options` mean for a product of `product_bytes` on a machine with `memory_bytes` of memory.
    pub fn new(
        options: &MergeOptions,
        durability: Durability,
        product_bytes: u64,
        memory_bytes: u64,
    ) -> ExecuteOptions {
        let would_crowd = product_bytes > memory_bytes / CACHE_SHARE;
        let write_behind = match (options.page_cache, durability) {
            (PageCache::Drop, _) => WriteBehind::Drop,
            (PageCache::Auto, _) if would_crowd => WriteBehind::Drop,
            (PageCache::Auto | PageCache::Keep, Durability::Synced | Durability::Content) => WriteBehind::Start,
            (PageCache::Auto | PageCache::Keep, Durability::Unsynced) => WriteBehind::Never,
        };
        ExecuteOptions { threads: options.threads, digest: options.digest, checksum: options.checksum, write_behind }
    }
}

/// A product above this part of the memory would push out of the page cache what the acquisition has there: it is
/// read and written once each, so twice its size passes through.
const CACHE_SHARE: u64 = 8;

/// What a performed plan yields.
#[derive(Debug)]
pub struct Executed {
    /// BLAKE3 of the product, if it was asked for.
    pub digest: Option<blake3::Hash>,
    /// BLAKE3 of each input, if they were asked for.
    pub input_digests: Vec<blake3::Hash>,
    /// Size of the product.
    pub bytes: u64,
    /// Conditions seen only in the data.
    pub notices: Vec<Notice>,
}

/// Why a plan could not be performed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// An input cannot be read.
    #[error("cannot read {} (source '{label}') at byte {offset}", path.display())]
    Read {
        /// Name of the source.
        label: String,
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// An input is not what it was when the merge was planned.
    #[error("{} (source '{label}') changed while it was merged: wait until its producer has closed it, then merge again", path.display())]
    SourceChanged {
        /// Name of the source.
        label: String,
        /// The file.
        path: PathBuf,
    },
    /// The product cannot be written.
    #[error("cannot write the product at byte {offset}")]
    Write {
        /// Where in the product.
        offset: u64,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Somebody asked to stop.
    #[error("the merge was cancelled")]
    Cancelled,
}

impl From<WriteFailure> for ExecuteError {
    fn from(failure: WriteFailure) -> ExecuteError {
        ExecuteError::Write { offset: failure.offset, source: failure.source }
    }
}

/// Writes the product of `plan` into `output`, an empty file whose space the caller allocated.
///
/// On return the bytes are handed to the system, not yet synced. The inputs are compared with their fingerprints
/// after the last byte was read.
///
/// # Errors
///
/// [`ExecuteError`], the first that any thread met; the output is then not a product and must be thrown away.
pub fn execute(
    plan: &MergePlan,
    inputs: &[OpenInput],
    output: &File,
    options: ExecuteOptions,
    control: &dyn Control,
) -> Result<Executed, ExecuteError> {
    let executed = perform(plan, inputs, output, options, control)?;
    for input in inputs {
        input.check_unchanged()?;
    }
    Ok(executed)
}

/// Writes the HDUs of `added`, a plan without those of its in-place target, to their places in `output`, which has all
/// before them.
///
/// Gives the conditions seen in the data. As [`execute`], except that the first input, which `output` may be, is not
/// compared with its fingerprint, and that nothing is digested.
///
/// # Errors
///
/// As [`execute`].
pub(crate) fn append(
    added: &MergePlan,
    inputs: &[OpenInput],
    output: &File,
    options: ExecuteOptions,
    control: &dyn Control,
) -> Result<Vec<Notice>, ExecuteError> {
    let options = ExecuteOptions { digest: DigestScope::Nothing, ..options };
    let executed = perform(added, inputs, output, options, control)?;
    for input in inputs.iter().skip(1) {
        input.check_unchanged()?;
    }
    Ok(executed.notices)
}

fn perform(
    plan: &MergePlan,
    inputs: &[OpenInput],
    output: &File,
    options: ExecuteOptions,
    control: &dyn Control,
) -> Result<Executed, ExecuteError> {
    let run = Run::new(plan, inputs, output, options, control);
    std::thread::scope(|scope| {
        for _ in 1..options.threads.max(1) {
            scope.spawn(|| run.work());
        }
        run.work();
    });
    let executed = run.finish()?;
    control.progress(plan.product_bytes, plan.product_bytes);
    Ok(executed)
}

/// Held while an input is read that must be read in order.
type Turn<'r, 'a> = MutexGuard<'r, Stripes<'a>>;

/// What the threads of one merge share.
struct Run<'a> {
    plan: &'a MergePlan,
    inputs: &'a [OpenInput],
    options: ExecuteOptions,
    control: &'a dyn Control,
    output: ProductFile<'a>,
    digest: Option<TreeDigest>,
    /// Of each input, or of none.
    input_digests: Vec<TreeDigest>,
    stripes: Mutex<Stripes<'a>>,
    /// True if stripes are read one after the other, because an input is compressed.
    is_ordered: bool,
    /// What only a digest needs, given out when no stripe is left.
    unread: Mutex<std::vec::IntoIter<UnreadRange>>,
    /// Large HDUs of which parts are done.
    open_hdus: Mutex<HashMap<usize, OpenHdu>>,
    bytes_done: Mutex<u64>,
    /// Wrong sums of sources, by HDU of the product.
    mismatches: Mutex<Vec<(usize, Notice)>>,
    failure: Mutex<Option<ExecuteError>>,
    has_failed: AtomicBool,
}

/// A large HDU in work.
struct OpenHdu {
    bytes_left: u64,
    sum: Sum32,
    /// Read with the first part, because a compressed input cannot go back.
    header: Vec<u8>,
}

/// What one thread works with.
#[derive(Default)]
struct Hand {
    buffer: Vec<u8>,
    window: Window,
}

/// Every change under one of these locks is whole, so a thread that died left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Run<'a> {
    fn new(
        plan: &'a MergePlan,
        inputs: &'a [OpenInput],
        output: &'a File,
        options: ExecuteOptions,
        control: &'a dyn Control,
    ) -> Run<'a> {
        let reads = match (options.checksum, options.digest) {
            (ChecksumMode::Trust, DigestScope::Nothing) => SharedReads::UnlessRecorded,
            _ => SharedReads::Always,
        };
        let sizes: Vec<u64> = match options.digest {
            DigestScope::All => inputs.iter().map(|input| input.fingerprint.bytes).collect(),
            DigestScope::Nothing | DigestScope::Product => Vec::new(),
        };
        Run {
            plan,
            inputs,
            options,
            control,
            output: ProductFile::new(output, options.write_behind),
            digest: (options.digest != DigestScope::Nothing).then(|| TreeDigest::new(plan.product_bytes)),
            input_digests: sizes.iter().map(|bytes| TreeDigest::new(*bytes)).collect(),
            stripes: Mutex::new(Stripes::new(plan, reads)),
            is_ordered: inputs.iter().any(|input| !input.is_plain()),
            unread: Mutex::new(stripes::unread(plan, &sizes, |input| inputs[input].is_plain()).into_iter()),
            open_hdus: Mutex::default(),
            // A plan without the HDUs of its in-place target begins behind them.
            bytes_done: Mutex::new(plan.hdus.first().map_or(plan.product_bytes, |hdu| hdu.product_offset)),
            mismatches: Mutex::default(),
            failure: Mutex::default(),
            has_failed: AtomicBool::new(false),
        }
    }

    /// Does stripes until none is left, or somebody failed.
    fn work(&self) {
        let mut hand = Hand::default();
        while !self.has_failed.load(Ordering::Relaxed) {
            if self.control.is_cancelled() {
                return self.fail(ExecuteError::Cancelled);
            }
            match self.work_once(&mut hand) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.fail(error),
            }
        }
    }

    /// Does the next stripe; false if none is left.
    fn work_once(&self, hand: &mut Hand) -> Result<bool, ExecuteError> {
        let mut stripes = lock(&self.stripes);
        let stripe = stripes.next();
        // A compressed input must be read in the order of its stripes: then the next thread waits for its turn.
        let turn = self.is_ordered.then_some(stripes);
        match stripe {
            Some(Stripe::Whole { hdus, offset, bytes }) => self.copy_whole(hand, hdus, offset, bytes, turn)?,
            Some(Stripe::Part(part)) => self.copy_part(hand, part, turn)?,
            None => {
                drop(turn);
                let Some(range) = lock(&self.unread).next() else { return Ok(false) };
                let room = hand.room(range.bytes as usize);
                self.inputs[range.input].read_file(range.offset, room)?;
                self.input_digests[range.input].absorb(range.offset, room);
            }
        }
        Ok(true)
    }

    fn fail(&self, error: ExecuteError) {
        lock(&self.failure).get_or_insert(error);
        self.has_failed.store(true, Ordering::Relaxed);
    }

    fn finish(self) -> Result<Executed, ExecuteError> {
        if let Some(error) = lock(&self.failure).take() {
            return Err(error);
        }
        let mut mismatches = self.mismatches.into_inner().unwrap_or_else(PoisonError::into_inner);
        mismatches.sort_by_key(|(hdu, _)| *hdu);
        let mut notices = Notices::new("data");
        for (_, notice) in mismatches {
            notices.push(notice);
        }
        Ok(Executed {
            digest: self.digest.and_then(TreeDigest::finish),
            input_digests: self.input_digests.into_iter().filter_map(TreeDigest::finish).collect(),
            bytes: self.plan.product_bytes,
            notices: notices.finish(),
        })
    }

    /// HDUs that fit into one stripe: assembled in memory, written together.
    fn copy_whole(
        &self,
        hand: &mut Hand,
        hdus: std::ops::Range<usize>,
        offset: u64,
        bytes: usize,
        turn: Option<Turn<'_, 'a>>,
    ) -> Result<(), ExecuteError> {
        let Hand { buffer, window } = hand;
        buffer.resize(bytes.max(buffer.len()), 0);
        let mut rest = &mut buffer[..bytes];
        for index in hdus.clone() {
            let hdu = &self.plan.hdus[index];
            window.advance(self.inputs, &self.plan.hdus[index..hdus.end], STRIPE_BYTES)?;
            let (header, behind) = rest.split_at_mut(hdu.header_bytes as usize);
            let (data, behind) = behind.split_at_mut(hdu.data_bytes_padded() as usize);
            self.fill_header(hdu, window, header)?;
            if let Some(extent) = &hdu.data {
                self.fill_data(extent, window, data)?;
                self.digest_input(extent, 0, data);
            }
            let sum = self.trusted_sum(hdu).unwrap_or_else(|| Sum32::of(data));
            self.seal(index, header, sum);
            rest = behind;
        }
        drop(turn);
        self.write(offset, &buffer[..bytes])?;
        self.advance(bytes as u64);
        Ok(())
    }

    /// A part of a large data unit; the last one that is done brings the header.
    fn copy_part(&self, hand: &mut Hand, part: DataPart, turn: Option<Turn<'_, 'a>>) -> Result<(), ExecuteError> {
        let hdu = &self.plan.hdus[part.hdu];
        let Some(extent) = &hdu.data else { return Ok(()) };
        let position = hdu.data_offset() + part.start;
        let trusted = self.trusted_sum(hdu);
        if part.start == 0 {
            self.open_hdu(part.hdu, hdu)?;
        }
        if let Transfer::Share(range) = part.transfer {
            self.share(hand, hdu, extent, range.start, range.bytes)?;
        }
        let mut sum = Sum32::default();
        if part.transfer == Transfer::Copy || trusted.is_none() || self.digest.is_some() {
            let buffer = hand.room(part.bytes as usize);
            self.read_part(extent, part.start, buffer)?;
            drop(turn);
            if self.options.write_behind == WriteBehind::Drop {
                self.inputs[extent.input].forget(extent.offset + part.start, part.bytes);
            }
            self.digest_input(extent, part.start, buffer);
            if trusted.is_none() {
                sum = Sum32::of(buffer);
            }
            if part.transfer == Transfer::Copy {
                self.write(position, buffer)?;
            } else if let Some(digest) = &self.digest {
                digest.absorb(position, buffer);
            }
        }
        if let Some((sum, mut header)) = self.close_part(part, hdu, sum) {
            self.seal(part.hdu, &mut header, trusted.unwrap_or(sum));
            self.write(hdu.product_offset, &header)?;
            self.advance(hdu.header_bytes);
        }
        self.advance(part.bytes);
        Ok(())
    }

    /// Begins a large HDU, with its first part.
    fn open_hdu(&self, index: usize, hdu: &HduPlan) -> Result<(), ExecuteError> {
        let mut header = vec![0; hdu.header_bytes as usize];
        self.fill_header(hdu, &Window::default(), &mut header)?;
        self.open(&mut lock(&self.open_hdus), index, hdu).header = header;
        Ok(())
    }

    /// Adds a part's sum to its HDU; gives the sum of the data unit and the header with the last part.
    fn close_part(&self, part: DataPart, hdu: &HduPlan, sum: Sum32) -> Option<(Sum32, Vec<u8>)> {
        let mut open_hdus = lock(&self.open_hdus);
        let open = self.open(&mut open_hdus, part.hdu, hdu);
        open.bytes_left -= part.bytes;
        open.sum = open.sum.add(sum);
        if open.bytes_left > 0 {
            return None;
        }
        open_hdus.remove(&part.hdu).map(|open| (open.sum, open.header))
    }

    /// The entry of a large HDU: a later part may be the first that is done.
    fn open<'b>(&self, open_hdus: &'b mut HashMap<usize, OpenHdu>, index: usize, hdu: &HduPlan) -> &'b mut OpenHdu {
        let bytes_left = hdu.data_bytes_padded();
        open_hdus.entry(index).or_insert(OpenHdu { bytes_left, sum: Sum32::default(), header: Vec::new() })
    }

    /// Shares a range of the data unit with its source; copies what the file system does not share after all.
    fn share(
        &self,
        hand: &mut Hand,
        hdu: &HduPlan,
        extent: &DataExtent,
        start: u64,
        bytes: u64,
    ) -> Result<(), ExecuteError> {
        let input = &self.inputs[extent.input];
        let to = hdu.data_offset() + start;
        let mut left = self.output.share(&input.file, extent.offset + start, to, bytes)?;
        while left > 0 {
            let room = hand.room(left.min(STRIPE_BYTES) as usize);
            let done = bytes - left;
            input.read_exact(extent.offset + start + done, room)?;
            self.output.write(to + done, room)?;
            left -= room.len() as u64;
        }
        Ok(())
    }

    /// Fills `room` with the data unit from byte `start` on, its padding included.
    fn read_part(&self, extent: &DataExtent, start: u64, room: &mut [u8]) -> Result<(), ExecuteError> {
        let present = extent.bytes.saturating_sub(start).min(room.len() as u64) as usize;
        let (copied, fill) = room.split_at_mut(present);
        fill.fill(extent.fill);
        self.inputs[extent.input].read_exact(extent.offset + start, copied)
    }

    /// Digests what an input gave to a part of a data unit; missing padding is not the input's, and what is expanded is
    /// not the file.
    fn digest_input(&self, extent: &DataExtent, start: u64, bytes: &[u8]) {
        let plain = self.inputs.get(extent.input).is_some_and(OpenInput::is_plain);
        if let Some(digest) = self.input_digests.get(extent.input).filter(|_| plain) {
            let present = extent.bytes.saturating_sub(start).min(bytes.len() as u64) as usize;
            digest.absorb(extent.offset + start, &bytes[..present]);
        }
    }

    fn fill_data(&self, extent: &DataExtent, window: &Window, room: &mut [u8]) -> Result<(), ExecuteError> {
        let Some(held) = window.get(extent.input, extent.offset, extent.bytes) else {
            return self.read_part(extent, 0, room);
        };
        let (copied, fill) = room.split_at_mut(held.len());
        copied.copy_from_slice(held);
        fill.fill(extent.fill);
        Ok(())
    }

    /// Brings a header into `room`, whose length is the header's in the product.
    fn fill_header(&self, hdu: &HduPlan, window: &Window, room: &mut [u8]) -> Result<(), ExecuteError> {
        match &hdu.header {
            HeaderPlan::Complete(bytes) => room.copy_from_slice(bytes),
            HeaderPlan::Patched { input, offset, bytes, edits } => {
                let count = (*bytes).min(hdu.header_bytes);
                let (own, grown) = room.split_at_mut(count as usize);
                match window.get(*input, *offset, count) {
                    Some(held) => own.copy_from_slice(held),
                    None => self.inputs[*input].read_exact(*offset, own)?,
                }
                grown.fill(b' ');
                for (index, card) in edits {
                    room[index * CARD_BYTES..(index + 1) * CARD_BYTES].copy_from_slice(card.as_bytes());
                }
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), ExecuteError> {
        if let Some(digest) = &self.digest {
            digest.absorb(offset, bytes);
        }
        Ok(self.output.write(offset, bytes)?)
    }

    fn advance(&self, bytes: u64) {
        let mut done = lock(&self.bytes_done);
        *done += bytes;
        // Told under the lock, so that what is told never goes back.
        self.control.progress(*done, self.plan.product_bytes);
    }

    /// The sum that is taken from the source's card.
    fn trusted_sum(&self, hdu: &HduPlan) -> Option<Sum32> {
        match self.options.checksum {
            ChecksumMode::Recompute => None,
            ChecksumMode::Trust => hdu.recorded_datasum.map(Sum32::from_value),
        }
    }

    fn seal(&self, index: usize, header: &mut [u8], datasum: Sum32) {
        let hdu = &self.plan.hdus[index];
        sealing::seal(header, hdu.datasum_card, hdu.checksum_card, datasum, hdu.recorded_datasum);
        if let Some(notice) = checksum_mismatch(self.inputs, hdu, datasum) {
            lock(&self.mismatches).push((index, notice));
        }
    }
}

/// What to tell where the data of an input do not sum to the DATASUM that it records.
pub(crate) fn checksum_mismatch(inputs: &[OpenInput], hdu: &HduPlan, datasum: Sum32) -> Option<Notice> {
    let (recorded, origin) = (hdu.recorded_datasum?, hdu.origin?);
    if recorded == datasum.value() {
        return None;
    }
    let input = inputs.get(origin.input)?;
    Some(Notice {
        id: format!("SourceChecksumMismatch:{}:{}", input.label, origin.hdu),
        severity: Severity::Warning,
        description: format!(
            "HDU {} of {} (source '{}') records DATASUM {recorded} but its data sums to {}: the file was changed or \
             damaged after it was written: get it again, or accept that a product carries the sum of the data as it is",
            origin.hdu,
            input.path.display(),
            input.label,
            datasum.value()
        ),
    })
}

impl Hand {
    /// The first `bytes` bytes of the buffer, whose content is what it was.
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.buffer.len() < bytes {
            self.buffer.resize(bytes, 0);
        }
        &mut self.buffer[..bytes]
    }
}

#[cfg(test)]
mod tests;
