//! Performs a plan: reads each byte once, sums it while hot, writes it once.
//!
//! Decides nothing about FITS: places and headers come from the plan. Memory is bounded: two buffers, one header, and 32 bytes of digest for each 256 KiB.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::control::Control;
use crate::fits::CARD_BYTES;
use crate::fits::checksum::Sum32;
use crate::fits::hdu::ReadAt;
use crate::merge::content::Content;
use crate::merge::fingerprint::Fingerprint;
use crate::merge::plan::{DataExtent, HduPlan, HeaderPlan, MergePlan};
use crate::merge::reader::read_exact_at;
use crate::merge::report::{Notice, Notices};
use crate::merge::sealing;
use crate::merge::writer::{BUFFER_BYTES, ProductWriter, WriteFailure};
use crate::status::Severity;

/// An input, open for the whole merge.
#[derive(Debug)]
pub struct OpenInput {
    /// Name of its source, for messages.
    pub label: String,
    /// Where it was opened.
    pub path: PathBuf,
    /// The open file, as it lies: compressed where [`OpenInput::content`] says so.
    pub file: File,
    /// How its bytes are read: places of a plan are places in the content.
    pub content: Content,
    /// What it was when it was opened.
    pub fingerprint: Fingerprint,
}

impl OpenInput {
    /// Where the places of a plan are read: the file, or what it expands to.
    pub fn bytes(&self) -> &dyn ReadAt {
        match &self.content {
            Content::Plain => &self.file,
            Content::Gzip(content) => content.as_ref(),
        }
    }

    /// Fills `room` from `offset` on. Cheap in ascending order; see [`Content`].
    ///
    /// # Errors
    ///
    /// The system's answer, a [`GzipError`](crate::merge::gzip::GzipError), or `UnexpectedEof`.
    pub fn read_exact_at(&self, offset: u64, room: &mut [u8]) -> io::Result<()> {
        read_exact_at(self.bytes(), offset, room)
    }
}

/// What a performed plan yields.
#[derive(Debug)]
pub struct Executed {
    /// BLAKE3 of the product.
    pub digest: blake3::Hash,
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
/// [`ExecuteError`]; the output is then not a product and must be thrown away.
pub fn execute(
    plan: &MergePlan,
    inputs: &[OpenInput],
    output: &File,
    control: &dyn Control,
) -> Result<Executed, ExecuteError> {
    let mut run = Run {
        inputs,
        control,
        writer: ProductWriter::new(output),
        buffer: vec![0; BUFFER_BYTES],
        bytes_done: 0,
        bytes_total: plan.product_bytes,
        notices: Notices::new("data"),
    };
    for hdu in &plan.hdus {
        run.copy_hdu(hdu)?;
    }
    let Run { writer, notices, .. } = run;
    let (digest, bytes) = writer.finish()?;
    control.progress(plan.product_bytes, plan.product_bytes);
    for input in inputs {
        check_unchanged(input)?;
    }
    Ok(Executed { digest, bytes, notices: notices.finish() })
}

struct Run<'a> {
    inputs: &'a [OpenInput],
    control: &'a dyn Control,
    writer: ProductWriter<'a>,
    buffer: Vec<u8>,
    bytes_done: u64,
    bytes_total: u64,
    notices: Notices,
}

impl Run<'_> {
    fn copy_hdu(&mut self, hdu: &HduPlan) -> Result<(), ExecuteError> {
        if self.control.is_cancelled() {
            return Err(ExecuteError::Cancelled);
        }
        let total = hdu.header_bytes + hdu.data_bytes_padded();
        let datasum = if total <= BUFFER_BYTES as u64 { self.copy_small(hdu)? } else { self.copy_large(hdu)? };
        self.compare_with_record(hdu, datasum);
        self.bytes_done = hdu.product_offset + total;
        self.control.progress(self.bytes_done, self.bytes_total);
        Ok(())
    }

    /// An HDU that fits into the writer's buffer: assembled there, written together with its neighbours.
    fn copy_small(&mut self, hdu: &HduPlan) -> Result<Sum32, ExecuteError> {
        let header_bytes = hdu.header_bytes as usize;
        let inputs = self.inputs;
        let room = self.writer.gather(header_bytes + hdu.data_bytes_padded() as usize)?;
        let (header, data) = room.split_at_mut(header_bytes);
        fill_header(inputs, hdu, header)?;
        if let Some(extent) = &hdu.data {
            let (copied, fill) = data.split_at_mut(extent.bytes as usize);
            read_exact(&inputs[extent.input], extent.offset, copied)?;
            fill.fill(extent.fill);
        }
        let datasum = Sum32::of(data);
        sealing::seal(header, hdu.datasum_card, hdu.checksum_card, datasum, hdu.recorded_datasum);
        Ok(datasum)
    }

    /// An HDU larger than the buffer: data first, in pieces, then the header before it.
    fn copy_large(&mut self, hdu: &HduPlan) -> Result<Sum32, ExecuteError> {
        let mut header = vec![0; hdu.header_bytes as usize];
        fill_header(self.inputs, hdu, &mut header)?;
        self.writer.begin_large(hdu.header_bytes)?;
        let datasum = match &hdu.data {
            Some(extent) => self.copy_data(hdu, extent)?,
            None => Sum32::default(),
        };
        sealing::seal(&mut header, hdu.datasum_card, hdu.checksum_card, datasum, hdu.recorded_datasum);
        self.writer.end_large(hdu.product_offset, &header)?;
        Ok(datasum)
    }

    fn copy_data(&mut self, hdu: &HduPlan, extent: &DataExtent) -> Result<Sum32, ExecuteError> {
        let input = &self.inputs[extent.input];
        let mut sum = Sum32::default();
        let mut done = 0;
        while done < extent.bytes {
            if self.control.is_cancelled() {
                return Err(ExecuteError::Cancelled);
            }
            let wanted = (extent.bytes - done).min(BUFFER_BYTES as u64) as usize;
            let piece = &mut self.buffer[..wanted];
            read_exact(input, extent.offset + done, piece)?;
            // Only the last piece can be no multiple of 4, where the input lacks padding: its fill follows at once.
            sum = sum.add(Sum32::of(piece));
            self.writer.write_data(piece)?;
            done += wanted as u64;
            self.control.progress(hdu.data_offset() + done, self.bytes_total);
        }
        if extent.fill_bytes > 0 {
            sum = sum.add(self.write_fill(extent)?);
        }
        Ok(sum)
    }

    /// Writes the padding that the input lacks; returns its sum, placed at the word in which it starts.
    fn write_fill(&mut self, extent: &DataExtent) -> Result<Sum32, ExecuteError> {
        let fill = vec![extent.fill; extent.fill_bytes as usize];
        self.writer.write_data(&fill)?;
        let shift = (extent.bytes % 4) as usize;
        let mut placed = vec![0; shift];
        placed.extend_from_slice(&fill);
        Ok(Sum32::of(&placed))
    }

    fn compare_with_record(&mut self, hdu: &HduPlan, datasum: Sum32) {
        let (Some(recorded), Some(origin)) = (hdu.recorded_datasum, hdu.origin) else { return };
        if recorded == datasum.value() {
            return;
        }
        let input = &self.inputs[origin.input];
        self.notices.push(Notice {
            id: format!("SourceChecksumMismatch:{}:{}", input.label, origin.hdu),
            severity: Severity::Warning,
            description: format!(
                "HDU {} of {} (source '{}') records DATASUM {recorded} but its data sums to {}: the file was changed \
                 or damaged after it was written; the product carries the sum of the data as it is",
                origin.hdu,
                input.path.display(),
                input.label,
                datasum.value()
            ),
        });
    }
}

/// Brings a header into `room`, whose length is the header's in the product.
fn fill_header(inputs: &[OpenInput], hdu: &HduPlan, room: &mut [u8]) -> Result<(), ExecuteError> {
    match &hdu.header {
        HeaderPlan::Complete(bytes) => room.copy_from_slice(bytes),
        HeaderPlan::Patched { input, offset, bytes, edits } => {
            let (own, grown) = room.split_at_mut((*bytes as usize).min(hdu.header_bytes as usize));
            read_exact(&inputs[*input], *offset, own)?;
            grown.fill(b' ');
            for (index, card) in edits {
                room[index * CARD_BYTES..(index + 1) * CARD_BYTES].copy_from_slice(card.as_bytes());
            }
        }
    }
    Ok(())
}

fn read_exact(input: &OpenInput, offset: u64, room: &mut [u8]) -> Result<(), ExecuteError> {
    input.read_exact_at(offset, room).map_err(|source| {
        let (label, path) = (input.label.clone(), input.path.clone());
        match source.kind() {
            // Its headers promised these bytes when it was planned.
            io::ErrorKind::UnexpectedEof => ExecuteError::SourceChanged { label, path },
            _ => ExecuteError::Read { label, path, offset, source },
        }
    })
}

fn check_unchanged(input: &OpenInput) -> Result<(), ExecuteError> {
    let (label, path) = (input.label.clone(), input.path.clone());
    match Fingerprint::of(&input.file) {
        Ok(now) if now == input.fingerprint => Ok(()),
        Ok(_) => Err(ExecuteError::SourceChanged { label, path }),
        Err(source) => Err(ExecuteError::Read { label, path, offset: 0, source }),
    }
}

#[cfg(test)]
mod tests;
