//! Judges a FITS file, as [`crate::fits::conformance`] does, and proves a fresh product against its plan.
//!
//! Reads everything it judges and changes nothing; what is *found* is told apart from what to do about it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::control::Control;
use crate::fits::checksum::Sum32;
use crate::fits::conformance::rule::Severity;
use crate::fits::conformance::{self, Finding, JudgeLimits, Judgement, SumState};
use crate::fits::hdu::{FileTail, ScanLimits, Scanner};
use crate::merge::content::Content;
use crate::merge::gzip::GzipLimits;
use crate::merge::plan::MergePlan;
use crate::merge::reader::{FileReader, read_exact_at};
use crate::merge::sealing::is_sealed;

/// What was found of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FileVerdict {
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes; of gzip data, that of its content.
    pub bytes: u64,
    /// True if the file was judged to its end and no fault was found. Warnings and missing sums are no faults.
    pub good: bool,
    /// Each HDU whose header is whole.
    pub hdus: Vec<HduVerdict>,
    /// The first faults and warnings, in file order.
    pub faults: Vec<Fault>,
    /// Faults in all, listed or not.
    pub fault_count: u64,
    /// Warnings in all, listed or not.
    pub warning_count: u64,
    /// Whether a strict reader gets to the end of the file.
    #[serde(skip)]
    pub is_readable: bool,
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
    /// The data unit is cut off.
    CutOff,
}

impl From<SumState> for SumVerdict {
    fn from(state: SumState) -> Self {
        match state {
            SumState::Correct => Self::Correct,
            SumState::Missing => Self::Missing,
            SumState::Wrong => Self::Wrong,
            SumState::CutOff => Self::CutOff,
        }
    }
}

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// 0-based index of the HDU.
    pub hdu: usize,
    /// 1-based number of the card, where one is at fault.
    pub card: Option<usize>,
    /// The keyword concerned, where there is one.
    pub keyword: Option<String>,
    /// Section of FITS Standard 4.0; empty for a limit of dpm's own.
    pub section: &'static str,
    /// `fault`, `warning`, or `limit` where dpm judges no further.
    pub severity: &'static str,
    /// Name of the rule, which never changes.
    pub rule: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl From<Finding> for Fault {
    fn from(finding: Finding) -> Self {
        let severity = match finding.rule.severity {
            Severity::Fault => "fault",
            Severity::Warning => "warning",
            Severity::Limit => "limit",
        };
        let keyword = Some(finding.keyword).filter(|keyword| !keyword.is_empty());
        let Finding { hdu, card, rule, message, .. } = finding;
        Self { hdu, card, keyword, section: rule.section, severity, rule: rule.name, message }
    }
}

/// A file that cannot be read at all, or gzip data that cannot be expanded ([`io::ErrorKind::InvalidData`]).
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct VerifyError {
    /// The file.
    pub path: PathBuf,
    /// The system's answer.
    #[source]
    pub source: io::Error,
}

/// Judges `file`, found at `path`; of gzip data the content. Cost: one read of the file, constant memory.
///
/// # Errors
///
/// [`VerifyError`] where the disk refuses; a file that is no FITS is a verdict, not an error.
pub fn verify(path: &Path, file: &File, control: &dyn Control) -> Result<FileVerdict, VerifyError> {
    let fail = |source| VerifyError { path: path.to_owned(), source };
    let total = file.metadata().map_err(fail)?.len();
    let mut watch = |done: u64| {
        control.progress(done, total.max(done));
        if control.is_cancelled() { Err(io::Error::other("cancelled")) } else { Ok(()) }
    };
    let limits = JudgeLimits::default();
    let judgement = match Content::of(file, GzipLimits::READING).map_err(fail)? {
        Content::Plain => conformance::judge(file, &limits, &mut watch),
        // The judge looks at the start of each header twice; the reader's window keeps it from going back in the stream.
        Content::Gzip(content) => conformance::judge(&FileReader::new(content.as_ref()), &limits, &mut watch),
    };
    judgement.map(|judgement| FileVerdict::of(path, judgement)).map_err(fail)
}

impl FileVerdict {
    fn of(path: &Path, judgement: Judgement) -> Self {
        let hdus = judgement.hdus.into_iter().enumerate();
        let hdus = hdus.map(|(index, hdu)| HduVerdict {
            index,
            kind: hdu.kind,
            name: hdu.name,
            data_bytes: hdu.data_bytes,
            datasum: hdu.datasum.into(),
            checksum: hdu.checksum.into(),
        });
        Self {
            path: path.to_owned(),
            bytes: judgement.bytes,
            good: judgement.faults == 0 && !judgement.is_beyond_limit,
            hdus: hdus.collect(),
            faults: judgement.findings.into_iter().map(Fault::from).collect(),
            fault_count: judgement.faults,
            warning_count: judgement.warnings,
            is_readable: judgement.is_readable,
        }
    }
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
    let mut header = Vec::new();
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
        header.resize(planned.header_bytes as usize, 0);
        read_exact_at(&reader, hdu.header_offset, &mut header).map_err(|error| fault(index, error.to_string()))?;
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
