//! Decides a merge: finished primary header, the list of HDUs with their places, what to tell.
//!
//! Pure: specification + descriptions of the inputs -> [`MergePlan`]. A dry run prints the plan; execution performs it.

mod change;
mod contribution;
pub mod growth;
mod header;
mod irregular;
mod notices;
mod placement;
mod sharing;

use std::collections::HashSet;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::dictionary::judge::{self, Complaint, Dictionaries};
use crate::fits::BLOCK_BYTES;
use crate::fits::card::{Card, Record};
use crate::fits::fault::CardFault;
use crate::fits::hdu::HduKind;
use crate::fits::header::Header;
use crate::fits::keyword::{Keyword, KeywordClass, KeywordKind};
use crate::fits::value::Value;
use crate::merge::input::{ExtensionDescription, InputDescription};
use crate::merge::keywords::{self, Contribution, MergedKeyword};
use crate::merge::plan::header::{
    close_header, closed_block_count, image_extension_header, new_structure, structure_in_place,
};
use crate::merge::plan::placement::{CardPlacement, ExtensionNameBook};
use crate::merge::report::{Notice, Notices};
use crate::specification::keyword_rules;
use crate::specification::model::{ExtensionNames, FitsFileSource, PrimaryData, SourceSpecification, Specification};
use crate::status::Severity;

pub use crate::merge::plan::change::HduChange;
pub use crate::merge::plan::contribution::{contribution_of_file, contribution_of_keywords};
pub use crate::merge::plan::sharing::SHARED_MIN_BYTES;

/// A decided merge.
#[derive(Clone, Debug)]
pub struct MergePlan {
    /// Name of the product in the archive, `{fileId}.fits`.
    pub archive_name: String,
    /// Labels of the inputs; [`HduPlan`] and [`DataExtent`] refer to them by index.
    pub input_labels: Vec<String>,
    /// Where the inputs are read, in the same order.
    pub input_paths: Vec<PathBuf>,
    /// The product's HDUs in order.
    pub hdus: Vec<HduPlan>,
    /// Size of the product.
    pub product_bytes: u64,
    /// Where each card of the primary header that came from a source comes from.
    pub keywords: Vec<KeywordOrigin>,
    /// Keywords that are not as the dictionaries say; the first of them are also among the notices.
    pub dictionary_faults: Vec<DictionaryFault>,
    /// Conditions that become alerts.
    pub notices: Vec<Notice>,
}

/// One HDU of the product.
#[derive(Clone, Debug)]
pub struct HduPlan {
    /// Which input HDU it comes from; `None` for a primary HDU made anew.
    pub origin: Option<HduOrigin>,
    /// Kind of the HDU.
    pub kind: HduKind,
    /// EXTNAME, empty where there is none.
    pub name: String,
    /// In what it differs from the HDU that it comes from.
    pub changes: Vec<HduChange>,
    /// The header that will be written.
    pub header: HeaderPlan,
    /// Bytes of the header in the product.
    pub header_bytes: u64,
    /// Byte offset of the header in the product.
    pub product_offset: u64,
    /// Data unit to copy, if there is one.
    pub data: Option<DataExtent>,
    /// Index of the DATASUM card in the product's header.
    pub datasum_card: usize,
    /// Index of the CHECKSUM card in the product's header.
    pub checksum_card: usize,
    /// DATASUM that the source records for this data unit.
    pub recorded_datasum: Option<u32>,
}

impl HduPlan {
    /// Byte offset of the data unit in the product.
    pub fn data_offset(&self) -> u64 {
        self.product_offset + self.header_bytes
    }

    /// Bytes of the data unit in the product, padding included.
    pub fn data_bytes_padded(&self) -> u64 {
        self.data.as_ref().map_or(0, |data| data.bytes + data.fill_bytes)
    }
}

/// An HDU of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HduOrigin {
    /// Index of the input.
    pub input: usize,
    /// 0-based index of the HDU in that file.
    pub hdu: usize,
}

/// How a header comes about. CHECKSUM and DATASUM are sealed after the data was summed.
#[derive(Clone, Debug)]
pub enum HeaderPlan {
    /// Complete bytes, with place-holders in the two checksum cards.
    Complete(Vec<u8>),
    /// The input's own bytes, some cards replaced (0-based card index in the product's header).
    Patched {
        /// Index of the input.
        input: usize,
        /// Byte offset of the header in the input.
        offset: u64,
        /// Bytes of the header in the input.
        bytes: u64,
        /// Cards that differ from the input.
        edits: Vec<(usize, Card)>,
    },
}

/// A data unit to copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataExtent {
    /// Index of the input.
    pub input: usize,
    /// Byte offset in the input.
    pub offset: u64,
    /// Bytes to copy, the padding that the input has included.
    pub bytes: u64,
    /// Bytes of padding that the input lacks.
    pub fill_bytes: u64,
    /// What missing padding is written as: a space for ASCII tables, 0 for all else (FITS Standard 3.3.2, 7.2.3).
    pub fill: u8,
    /// Part of it that the product shares with the input, where the file system can.
    pub shared: Option<SharedRange>,
}

/// A range of a data unit that a file system with reflinks stores once for input and product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedRange {
    /// Byte offset in the data unit; in both files it is a multiple of the file system's block.
    pub start: u64,
    /// Length in bytes, a multiple of the block too.
    pub bytes: u64,
}

impl SharedRange {
    /// Byte offset behind it.
    pub fn end(&self) -> u64 {
        self.start + self.bytes
    }
}

/// Which source gave a keyword of the primary header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeywordOrigin {
    /// The keyword as in the header.
    pub keyword: String,
    /// Label of the source that won.
    pub winner: String,
    /// Its value as in the header, or the text of a commentary card.
    pub value: String,
    /// The sources that offered it too, and what they said.
    pub beaten: Vec<BeatenValue>,
}

/// What a source said that was not heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeatenValue {
    /// Label of the source; that of the winner for a later card of the same source.
    pub source: String,
    /// Its value.
    pub value: String,
}

/// A keyword of the product that is not as the dictionaries say.
#[derive(Clone, Debug, PartialEq)]
pub struct DictionaryFault {
    /// The keyword as in the header.
    pub keyword: String,
    /// Label of the source that gave it.
    pub source: String,
    /// What is wrong with it.
    pub complaint: Complaint,
}

impl std::fmt::Display for DictionaryFault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} of source '{}': {}", self.keyword, self.source, self.complaint)
    }
}

/// A merge that cannot be planned.
#[derive(Debug, thiserror::Error)]
#[error("cannot plan the merge: source '{label}'")]
pub struct PlanError {
    /// Name of the source.
    pub label: String,
    /// What is wrong with it.
    #[source]
    pub kind: PlanErrorKind,
}

/// Why a merge cannot be planned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanErrorKind {
    /// A rule makes an illegal keyword.
    #[error("its keyword rules cannot be applied")]
    KeywordRules(#[source] keyword_rules::KeywordRuleFault),
    /// A card of the product would not be legal.
    #[error("a card of the product cannot be written")]
    Card(#[source] CardFault),
    /// The product would be larger than a file can be.
    #[error("the product would exceed {} bytes: merge fewer files", u64::MAX)]
    TooLarge,
}

/// Plans the merge of `inputs` (the target's file first if there is one, then each file source in order).
///
/// `date` goes into DATE. Cost: linear in cards and HDUs.
///
/// # Errors
///
/// [`PlanError`] where the rules of a source make an illegal keyword.
pub fn plan(
    specification: &Specification,
    inputs: &[InputDescription],
    date: Timestamp,
) -> Result<MergePlan, PlanError> {
    plan_judged(specification, inputs, date, None)
}

/// As [`plan`]; `dictionaries` judge the keywords of the primary header and give them what they lack.
///
/// # Errors
///
/// As [`plan`].
pub fn plan_judged(
    specification: &Specification,
    inputs: &[InputDescription],
    date: Timestamp,
    dictionaries: Option<&Dictionaries>,
) -> Result<MergePlan, PlanError> {
    let mut builder = Builder::new(specification, inputs);
    let structure = builder.structure();
    let mut merged = builder.merge_keywords(&structure)?;
    if let Some(dictionaries) = dictionaries {
        builder.judge_keywords(dictionaries, &mut merged);
    }
    let primary = builder.primary(structure, &merged, date)?;
    builder.add(primary)?;
    for input in 0..inputs.len() {
        builder.add_file(input)?;
    }
    Ok(builder.finish(merged))
}

struct Builder<'a> {
    specification: &'a Specification,
    inputs: &'a [InputDescription],
    /// The specification's file source behind each input.
    sources: Vec<&'a FitsFileSource>,
    has_target: bool,
    contribution_labels: Vec<String>,
    hdus: Vec<HduPlan>,
    position: u64,
    dictionary_faults: Vec<DictionaryFault>,
    /// Apart from the others, which they must not crowd out.
    dictionary_notices: Notices,
    notices: Notices,
    names: ExtensionNameBook,
}

impl<'a> Builder<'a> {
    fn new(specification: &'a Specification, inputs: &'a [InputDescription]) -> Builder<'a> {
        Builder {
            specification,
            inputs,
            sources: specification.file_sources().map(|file| file.source).collect(),
            has_target: specification.target.source.is_some(),
            contribution_labels: Vec::new(),
            hdus: Vec::new(),
            position: 0,
            dictionary_faults: Vec::new(),
            dictionary_notices: Notices::new("dictionary"),
            notices: Notices::new("plan"),
            names: ExtensionNameBook::default(),
        }
    }

    /// The in-place target, if there is one: always the first input.
    fn target(&self) -> Option<&'a InputDescription> {
        if self.has_target { self.inputs.first() } else { None }
    }

    /// The cards of the primary header that no source may change.
    fn structure(&self) -> Header {
        match self.target() {
            Some(target) => structure_in_place(&target.primary.header),
            None => new_structure(),
        }
    }

    /// Collects what each source offers, in descending priority; an in-place target's own cards come last.
    fn merge_keywords(&mut self, structure: &Header) -> Result<Vec<MergedKeyword>, PlanError> {
        let mut contributions = Vec::new();
        let mut next_input = usize::from(self.has_target);
        for source in &self.specification.sources {
            let contribution = match source {
                SourceSpecification::FitsKeywords(source) => {
                    let contribution = contribution_of_keywords(source)?;
                    self.notice_repeated(&contribution);
                    contribution
                }
                SourceSpecification::FitsFile(source) => {
                    let input = &self.inputs[next_input];
                    next_input += 1;
                    contribution_of_file(source, &input.primary.header)?
                }
            };
            contributions.push(contribution);
        }
        if let Some(target) = self.target() {
            let own =
                contribution::offered(&target.primary.header).into_iter().filter(|record| !is_kept_in_place(record));
            contributions.push(Contribution { label: target.label.clone(), records: own.collect() });
        }
        self.contribution_labels = contributions.iter().map(|contribution| contribution.label.clone()).collect();
        let fixed: HashSet<Keyword> = structure.records().into_iter().map(|record| record.keyword).collect();
        let mut merged = keywords::merge(contributions, self.specification.target.sort);
        merged.retain(|keyword| !fixed.contains(&keyword.record.keyword));
        if let Some(target) = self.target()
            && target.primary.structure.data_bytes > 0
        {
            // What the pixels of the target mean is not for others to say, not even where it says nothing itself.
            let own = self.contribution_labels.len() - 1;
            merged.retain(|keyword| keyword.origin == own || !is_scaling(&keyword.record.keyword));
        }
        self.notice_illegal(structure, &merged);
        Ok(merged)
    }

    /// Compares the keywords with the dictionaries, which also give comments and formats where those are missing.
    fn judge_keywords(&mut self, dictionaries: &Dictionaries, merged: &mut [MergedKeyword]) {
        for keyword in merged {
            let origin = match self.specification.sources.get(keyword.origin) {
                Some(SourceSpecification::FitsKeywords(_)) => judge::Origin::Specification,
                // Behind the sources stands the in-place target.
                Some(SourceSpecification::FitsFile(_)) | None => judge::Origin::File,
            };
            let judgement = dictionaries.judge(&keyword.record, origin);
            if let Some(complaint) = judgement.complaint {
                let source = self.contribution_labels[keyword.origin].clone();
                let fault = DictionaryFault { keyword: keyword.record.keyword.to_string(), source, complaint };
                self.dictionary_notices.push(Notice {
                    id: format!("KeywordNotInDictionary:{}", fault.keyword),
                    severity: Severity::Warning,
                    description: format!("{fault}: correct it, or have it added to a dictionary"),
                });
                self.dictionary_faults.push(fault);
            }
            if let Some(improved) = judgement.improved {
                keyword.record = improved;
            }
        }
    }

    /// The product's primary HDU: structure, the merger's own cards, the merged ones, room, the two sums.
    fn primary(&mut self, structure: Header, merged: &[MergedKeyword], date: Timestamp) -> Result<HduPlan, PlanError> {
        let target = self.target();
        let mut header = structure;
        let own = self.own_records(date).map_err(|fault| self.fault("dpm", PlanErrorKind::Card(fault)))?;
        for record in &own {
            header.push_record(record);
        }
        for keyword in merged {
            header.push_record(&keyword.record);
        }
        let capacity = target.map_or(0, |target| target.primary.header.block_count());
        let blocks = closed_block_count(&header).max(capacity);
        let (data, padding) = self.shared(target.and_then(|target| primary_extent(target, 0)), blocks);
        let (bytes, datasum_card, checksum_card) = close_header(header, blocks + padding);
        let header_bytes = bytes.len() as u64;
        if let Some(target) = target {
            self.notice_resized(target.primary.header.byte_count(), header_bytes);
        }
        Ok(HduPlan {
            origin: target.map(|_| HduOrigin { input: 0, hdu: 0 }),
            kind: target.map_or(HduKind::Primary, |target| target.primary.structure.kind.clone()),
            name: String::new(),
            changes: Vec::new(),
            header: HeaderPlan::Complete(bytes),
            header_bytes,
            product_offset: 0,
            data,
            datasum_card,
            checksum_card,
            recorded_datasum: target.and_then(|target| target.primary_sums.recorded_datasum),
        })
    }

    fn own_records(&self, date: Timestamp) -> Result<Vec<Record>, CardFault> {
        let target = &self.specification.target;
        let card = |name: &str, text: String, comment: &str| {
            Record::new(Keyword::value(name), &Value::String(text), Some(comment))
        };
        Ok(vec![
            card("DATE", date_text(date), "UTC time at which this file was written")?,
            card("ORIGFILE", target.original_name(), "original file name")?,
            card("ARCFILE", target.archive_name(), "archive file name")?,
        ])
    }

    /// Adds the extensions of one input, and its primary data where that is asked for.
    fn add_file(&mut self, input: usize) -> Result<(), PlanError> {
        let description = &self.inputs[input];
        let is_target = self.has_target && input == 0;
        for fault in irregular::primary_faults(&description.primary.header) {
            self.notice_illegal_hdu(input, 0, &fault);
        }
        if !is_target {
            self.add_primary_data(input)?;
        }
        for (index, extension) in description.extensions.iter().enumerate() {
            let is_last = index + 1 == description.extensions.len();
            let plan = self.extension(input, extension, is_last);
            self.add(plan)?;
        }
        self.notice_tail(description);
        Ok(())
    }

    fn add_primary_data(&mut self, input: usize) -> Result<(), PlanError> {
        let description = &self.inputs[input];
        let source = self.sources[input];
        let primary = &description.primary;
        if primary.structure.data_bytes == 0 {
            return Ok(());
        }
        // An IMAGE extension has no groups and no parameters (FITS Standard 7.1.1).
        let (kind, pcount, gcount) = (&primary.structure.kind, primary.structure.pcount, primary.structure.gcount);
        let is_image = (kind, pcount, gcount) == (&HduKind::Primary, 0, 1);
        match source.primary_data {
            PrimaryData::Ignore => Ok(()),
            PrimaryData::AsExtension if is_image => {
                let plan = self.primary_as_extension(input)?;
                self.add(plan)
            }
            PrimaryData::AsExtension | PrimaryData::Alert => {
                if source.alert_unmergeable {
                    self.notice_unmerged(description, is_image);
                }
                Ok(())
            }
        }
    }

    /// An extension as it is: its header byte for byte, but for the sums (and EXTVER where that is asked for).
    fn extension(&mut self, input: usize, extension: &ExtensionDescription, is_last: bool) -> HduPlan {
        let mut cards = CardPlacement::new(extension);
        let datasum_card = cards.place(extension.sums.datasum);
        let checksum_card = cards.place(extension.sums.checksum);
        let name = extension.name.clone().unwrap_or_default();
        let raised = if name.is_empty() { None } else { self.name_extension(input, extension, &name, &mut cards) };
        if let Some(card) = &extension.illegal_card {
            let fault = format!("is not legal FITS and is copied as it is, {card}");
            self.notice_illegal_hdu(input, extension.index, &fault);
        }
        if !extension.further_sums.is_empty() {
            cards.blank(&extension.further_sums);
            let fault =
                "has more than one CHECKSUM or DATASUM: the first is renewed, spaces stand in place of the others";
            self.notice_illegal_hdu(input, extension.index, fault);
        }
        if let Some(names) = &extension.repeated_mandatory {
            let fault = format!("has {names} more than once, and is copied as it is: the first counts");
            self.notice_illegal_hdu(input, extension.index, &fault);
        }
        if extension.has_text_behind_end {
            let fault = "has text behind END, which is left out: spaces stand there in the product";
            self.notice_illegal_hdu(input, extension.index, fault);
        }
        let tail = if is_last { self.inputs[input].tail.missing_padding } else { 0 };
        let data = extent(input, extension.data_offset, extension.data_bytes, tail, &extension.kind);
        let (data, padding) = self.shared(data, cards.block_count());
        let (header_bytes, edits) = cards.finish(padding);
        HduPlan {
            origin: Some(HduOrigin { input, hdu: extension.index }),
            kind: extension.kind.clone(),
            name,
            changes: change::of_extension(extension, raised, header_bytes, tail),
            header: HeaderPlan::Patched {
                input,
                offset: extension.header_offset,
                bytes: extension.header_bytes,
                edits,
            },
            header_bytes,
            product_offset: 0,
            data,
            datasum_card,
            checksum_card,
            recorded_datasum: extension.sums.recorded_datasum,
        }
    }

    /// Notes the name; where it collides, raises EXTVER, which it gives back, or tells.
    fn name_extension(
        &mut self,
        input: usize,
        extension: &ExtensionDescription,
        name: &str,
        cards: &mut CardPlacement<'_>,
    ) -> Option<i128> {
        if self.names.insert(name, extension.version) {
            return None;
        }
        match self.specification.target.extension_names {
            ExtensionNames::Unique => {
                let version = self.names.next_version(name);
                cards.set_version(version);
                Some(version)
            }
            ExtensionNames::AsIs => {
                if self.names.tell(name, extension.version) {
                    let id = format!("DuplicateExtension:{name},{}", extension.version);
                    let description = format!(
                        "extension ({name}, {}) is in the product more than once, again in {}: set \
                         \"extensionNames\": \"unique\" in the target to number them",
                        extension.version,
                        self.inputs[input].path.display()
                    );
                    self.notices.push(Notice { id, severity: Severity::Warning, description });
                }
                None
            }
        }
    }

    /// The pixels of a source's primary HDU as an IMAGE extension named after the source.
    fn primary_as_extension(&mut self, input: usize) -> Result<HduPlan, PlanError> {
        let description = &self.inputs[input];
        let name = description.label.clone();
        let version = if self.names.insert(&name, 1) { 1 } else { self.names.next_version(&name) };
        let header = image_extension_header(&description.primary, &name, version)
            .map_err(|fault| self.fault(&name, PlanErrorKind::Card(fault)))?;
        let blocks = closed_block_count(&header);
        let (data, padding) = self.shared(primary_extent(description, input), blocks);
        let (bytes, datasum_card, checksum_card) = close_header(header, blocks + padding);
        Ok(HduPlan {
            origin: Some(HduOrigin { input, hdu: 0 }),
            kind: HduKind::Image,
            name,
            changes: vec![HduChange::MadeExtension],
            header_bytes: bytes.len() as u64,
            header: HeaderPlan::Complete(bytes),
            product_offset: 0,
            data,
            datasum_card,
            checksum_card,
            recorded_datasum: description.primary_sums.recorded_datasum,
        })
    }

    /// Decides whether `data`, behind a header of `header_blocks` blocks that comes next, is shared with its input, and
    /// with how many blank header blocks more.
    fn shared(&self, data: Option<DataExtent>, header_blocks: u64) -> (Option<DataExtent>, u64) {
        let Some(mut extent) = data else { return (None, 0) };
        let block_bytes = self.inputs[extent.input].shared_block;
        let found = block_bytes
            .and_then(|bytes| sharing::align(&extent, self.position + header_blocks * BLOCK_BYTES as u64, bytes));
        extent.shared = found.as_ref().map(|alignment| alignment.range);
        (Some(extent), found.map_or(0, |alignment| alignment.padding_blocks))
    }

    fn add(&mut self, mut hdu: HduPlan) -> Result<(), PlanError> {
        hdu.product_offset = self.position;
        let end = self.position.checked_add(hdu.header_bytes).and_then(|end| end.checked_add(hdu.data_bytes_padded()));
        self.position = end.ok_or_else(|| self.fault(&hdu.name, PlanErrorKind::TooLarge))?;
        self.hdus.push(hdu);
        Ok(())
    }

    fn fault(&self, label: &str, kind: PlanErrorKind) -> PlanError {
        PlanError { label: label.to_owned(), kind }
    }

    fn finish(self, merged: Vec<MergedKeyword>) -> MergePlan {
        let label = |index: usize| self.contribution_labels[index].clone();
        let keywords = merged
            .iter()
            .map(|keyword| KeywordOrigin {
                keyword: keyword.record.keyword.to_string(),
                winner: label(keyword.origin),
                value: keyword.record.value_text(),
                beaten: keyword
                    .beaten
                    .iter()
                    .map(|beaten| BeatenValue { source: label(beaten.origin), value: beaten.record.value_text() })
                    .collect(),
            })
            .collect();
        let mut notices = self.notices.finish();
        notices.extend(self.dictionary_notices.finish());
        MergePlan {
            archive_name: self.specification.target.archive_name(),
            input_labels: self.inputs.iter().map(|input| input.label.clone()).collect(),
            input_paths: self.inputs.iter().map(|input| input.path.clone()).collect(),
            hdus: self.hdus,
            product_bytes: self.position,
            keywords,
            dictionary_faults: self.dictionary_faults,
            notices,
        }
    }
}

/// Keywords that decide which physical value a stored one is (FITS Standard 4.4.2.5).
fn is_scaling(keyword: &Keyword) -> bool {
    keyword.kind == KeywordKind::Value && ["BSCALE", "BZERO", "BLANK"].contains(&keyword.name.as_str())
}

/// Core cards of an in-place target describe its own primary data, so they stay where they are.
fn is_kept_in_place(record: &Record) -> bool {
    record.keyword.class() == KeywordClass::Core
}

fn primary_extent(description: &InputDescription, input: usize) -> Option<DataExtent> {
    let primary = &description.primary;
    let missing = if description.extensions.is_empty() { description.tail.missing_padding } else { 0 };
    extent(input, primary.data_offset, primary.structure.data_bytes, missing, &primary.structure.kind)
}

fn extent(input: usize, offset: u64, data_bytes: u64, missing_padding: u64, kind: &HduKind) -> Option<DataExtent> {
    if data_bytes == 0 {
        return None;
    }
    let padded = data_bytes.div_ceil(BLOCK_BYTES as u64) * BLOCK_BYTES as u64;
    let fill = if *kind == HduKind::AsciiTable { b' ' } else { 0 };
    Some(DataExtent { input, offset, bytes: padded - missing_padding, fill_bytes: missing_padding, fill, shared: None })
}

/// `YYYY-MM-DDThh:mm:ss` (FITS Standard 9.1.1), UTC.
fn date_text(date: Timestamp) -> String {
    date.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

#[cfg(test)]
mod tests;
