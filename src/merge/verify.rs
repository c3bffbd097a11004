//! Judges a FITS file: structure, cards, and the two sums of every HDU.
//!
//! Reads everything it judges and changes nothing; what is *found* is told apart from what to do about it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::control::Control;
use crate::fits::checksum::Sum32;
use crate::fits::hdu::{FileTail, Hdu, ScanErrorKind, ScanLimits, Scanner};
use crate::merge::plan::MergePlan;
use crate::merge::reader::FileReader;
use crate::merge::sealing::is_sealed;
use crate::merge::writer::BUFFER_BYTES;

/// What was found of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileVerdict {
    /// The file.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// True if nothing is wrong. Missing sums are legal.
    pub good: bool,
    /// Each HDU that could be read.
    pub hdus: Vec<HduVerdict>,
    /// Everything that is wrong, in file order.
    pub faults: Vec<Fault>,
}

/// What was found of one HDU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HduVerdict {
    /// 0-based index, 0 is the primary HDU.
    pub index: usize,
    /// Kind, such as `IMAGE`.
    pub kind: String,
    /// EXTNAME, empty where there is none.
    pub name: String,
    /// Bytes of the data unit without padding.
    pub data_bytes: u64,
    /// The data unit against DATASUM.
    pub datasum: SumVerdict,
    /// The whole HDU against CHECKSUM.
    pub checksum: SumVerdict,
}

/// A sum against its card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SumVerdict {
    /// The card is there and right.
    Correct,
    /// There is no card.
    Missing,
    /// The card is there and wrong.
    Wrong,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// 0-based index of the HDU.
    pub hdu: usize,
    /// 1-based number of the card, where one is at fault.
    pub card: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}

/// A file that cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct VerifyError {
    /// The file.
    pub path: PathBuf,
    /// The system's answer.
    #[source]
    pub source: io::Error,
}

/// Judges `file`, found at `path`. Cost: one read of the file, constant memory.
///
/// # Errors
///
/// [`VerifyError`] where the disk refuses; a file that is no FITS is a verdict, not an error.
pub fn verify(path: &Path, file: &File, control: &dyn Control) -> Result<FileVerdict, VerifyError> {
    let fail = |source| VerifyError { path: path.to_owned(), source };
    let bytes = file.metadata().map_err(fail)?.len();
    let reader = FileReader::new(file);
    let mut verdict = FileVerdict { path: path.to_owned(), bytes, good: true, hdus: Vec::new(), faults: Vec::new() };
    match Scanner::new(&reader, ScanLimits::default()) {
        Ok(mut scanner) => {
            loop {
                match scanner.next_hdu() {
                    Ok(Some(hdu)) => judge_hdu(file, &hdu, &mut verdict, control).map_err(fail)?,
                    Ok(None) => break,
                    Err(error) => {
                        note_scan_error(error, &mut verdict).map_err(fail)?;
                        break;
                    }
                }
            }
            judge_tail(&scanner.tail(), &mut verdict);
        }
        Err(error) => note_scan_error(error, &mut verdict).map_err(fail)?,
    }
    verdict.good = verdict.faults.is_empty();
    Ok(verdict)
}

fn note_scan_error(error: crate::fits::hdu::ScanError, verdict: &mut FileVerdict) -> io::Result<()> {
    let (hdu, offset) = (error.hdu, error.offset);
    match error.kind {
        ScanErrorKind::Io(source) => Err(source),
        kind => {
            let message = format!("at byte {offset}: {kind}");
            verdict.faults.push(Fault { hdu, card: None, message });
            Ok(())
        }
    }
}

fn judge_tail(tail: &crate::fits::hdu::FileTail, verdict: &mut FileVerdict) {
    let hdu = verdict.hdus.len().saturating_sub(1);
    if tail.missing_padding > 0 {
        let message = format!("the last data unit lacks {} bytes of padding", tail.missing_padding);
        verdict.faults.push(Fault { hdu, card: None, message });
    }
    if tail.trailing_bytes > 0 {
        let message = format!("{} bytes follow the last HDU", tail.trailing_bytes);
        verdict.faults.push(Fault { hdu, card: None, message });
    }
}

fn judge_hdu(file: &File, hdu: &Hdu, verdict: &mut FileVerdict, control: &dyn Control) -> io::Result<()> {
    for (index, fault) in hdu.header.faults() {
        verdict.faults.push(Fault { hdu: hdu.index, card: Some(index + 1), message: fault.to_string() });
    }
    let datasum = sum_range(file, hdu.data_offset, hdu.end_offset(), control, verdict.bytes)?;
    let (datasum_verdict, checksum_verdict) = judge_sums(file, hdu, datasum, verdict)?;
    verdict.hdus.push(HduVerdict {
        index: hdu.index,
        kind: hdu.structure.kind.label().to_owned(),
        name: hdu.name().unwrap_or_default(),
        data_bytes: hdu.structure.data_bytes,
        datasum: datasum_verdict,
        checksum: checksum_verdict,
    });
    Ok(())
}

fn judge_sums(
    file: &File,
    hdu: &Hdu,
    datasum: Sum32,
    verdict: &mut FileVerdict,
) -> io::Result<(SumVerdict, SumVerdict)> {
    let recorded = hdu.header.string("DATASUM").ok().flatten();
    let datasum_verdict = match &recorded {
        None => SumVerdict::Missing,
        Some(text) if text.trim().parse() == Ok(datasum.value()) => SumVerdict::Correct,
        Some(text) => {
            let message = format!("DATASUM is '{text}' but the data unit sums to {}", datasum.value());
            verdict.faults.push(Fault { hdu: hdu.index, card: None, message });
            SumVerdict::Wrong
        }
    };
    if hdu.header.get("CHECKSUM").is_none() {
        return Ok((datasum_verdict, SumVerdict::Missing));
    }
    let mut header = vec![0; (hdu.data_offset - hdu.header_offset) as usize];
    file.read_exact_at(&mut header, hdu.header_offset)?;
    if is_sealed(&header, datasum) {
        return Ok((datasum_verdict, SumVerdict::Correct));
    }
    let message = "CHECKSUM does not match: header or data were changed after it was written".to_owned();
    verdict.faults.push(Fault { hdu: hdu.index, card: None, message });
    Ok((datasum_verdict, SumVerdict::Wrong))
}

/// Ones'-complement sum of a range of the file; a range beyond its end sums what is there.
fn sum_range(file: &File, start: u64, end: u64, control: &dyn Control, bytes_total: u64) -> io::Result<Sum32> {
    let end = end.min(bytes_total);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut sum = Sum32::default();
    let mut position = start;
    while position < end {
        if control.is_cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let wanted = (end - position).min(BUFFER_BYTES as u64) as usize;
        file.read_exact_at(&mut buffer[..wanted], position)?;
        sum = sum.add(Sum32::of(&buffer[..wanted]));
        position += wanted as u64;
        control.progress(position, bytes_total);
    }
    Ok(sum)
}

/// A product whose headers, read back, are not what the plan says.
#[derive(Debug, thiserror::Error)]
#[error(
    "the product read back is not what was planned: HDU {hdu}: {message}; its disk or memory is at fault, merge again elsewhere"
)]
pub struct ProductFault {
    /// 0-based index of the HDU.
    pub hdu: usize,
    /// What differs.
    pub message: String,
}

/// Reads the headers of a fresh product back and compares them with `plan`: places, kinds, and that each header
/// closes its HDU's checksum with the DATASUM that it carries. The data was summed while it was copied.
///
/// # Errors
///
/// [`ProductFault`] for the first HDU that differs.
pub fn check_product(file: &File, plan: &MergePlan) -> Result<(), ProductFault> {
    let reader = FileReader::new(file);
    let fault = |hdu, message: String| ProductFault { hdu, message };
    let limits = ScanLimits { hdus: usize::MAX, header_cards: usize::MAX };
    let mut scanner = Scanner::new(&reader, limits).map_err(|error| fault(0, error.kind.to_string()))?;
    for (index, planned) in plan.hdus.iter().enumerate() {
        let hdu = scanner.next_hdu().map_err(|error| fault(index, error.kind.to_string()))?;
        let hdu = hdu.ok_or_else(|| fault(index, "it is missing".to_owned()))?;
        if (hdu.header_offset, hdu.data_offset, hdu.end_offset())
            != (planned.product_offset, planned.data_offset(), planned.data_offset() + planned.data_bytes_padded())
        {
            return Err(fault(index, format!("it stands at byte {}", hdu.header_offset)));
        }
        if hdu.structure.kind != planned.kind {
            return Err(fault(index, format!("it is of kind {}", hdu.structure.kind.label())));
        }
        let datasum = hdu.header.string("DATASUM").ok().flatten().and_then(|text| text.trim().parse().ok());
        let datasum = datasum.map(Sum32::from_value).ok_or_else(|| fault(index, "DATASUM is missing".to_owned()))?;
        let header = reader
            .read_range(hdu.header_offset, planned.header_bytes as usize)
            .map_err(|error| fault(index, error.to_string()))?;
        if !is_sealed(&header, datasum) {
            return Err(fault(index, "CHECKSUM does not match".to_owned()));
        }
    }
    match scanner.next_hdu() {
        Ok(None) if scanner.tail() == FileTail::default() => Ok(()),
        _ => Err(fault(plan.hdus.len(), "the file does not end with its last HDU".to_owned())),
    }
}

#[cfg(test)]
mod tests;
