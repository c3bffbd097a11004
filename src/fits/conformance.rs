//! Judges a file by FITS Standard 4.0: every breach of every rule, with HDU, card and section.
//!
//! Unlike [`crate::fits::hdu`], which refuses at the first fault, this goes on as long as it can tell where the next
//! HDU begins. Any bytes are judged in time linear in their number; memory is bounded by [`JudgeLimits`] and one header.
//! What the values mean to astronomers (units beyond the deprecated ones, projections, times) is not judged.

// Reading order: each file uses only those above it.
pub mod finding;
pub mod rule;

mod cards;
mod mandatory;

mod format;

mod columns;

mod compressed;
mod coordinates;
mod reserved;

mod data;

use std::collections::HashSet;
use std::io;

use crate::fits::card::Card;
use crate::fits::checksum::{self, Sum32};
pub use crate::fits::conformance::finding::Finding;
use crate::fits::conformance::finding::{Findings, Keywords};
use crate::fits::conformance::rule::Rule;
use crate::fits::hdu::{ReadAt, ScanLimits, compression, read_fully};
use crate::fits::header::Header;
use crate::fits::structure::{HduKind, Structure};
use crate::fits::value::Value;
use crate::fits::{BLOCK_BYTES, CARD_BYTES, CARDS_PER_BLOCK};

/// Bytes of a data unit that are read at once: a multiple of 4, for the sums, and of the block.
const PIECE_BYTES: usize = 128 * BLOCK_BYTES;
/// Longest EXTNAME that is kept, in characters.
const NAME_CHARACTERS: usize = 68;

/// Bounds of a judgement.
#[derive(Clone, Copy, Debug)]
pub struct JudgeLimits {
    /// Bounds of the file.
    pub scan: ScanLimits,
    /// Most findings that are listed; all are counted.
    pub findings: usize,
}

impl Default for JudgeLimits {
    /// The default [`ScanLimits`], and 1000 findings.
    fn default() -> Self {
        Self { scan: ScanLimits::default(), findings: 1000 }
    }
}

/// A sum against its card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SumState {
    /// The card is there and right.
    Correct,
    /// There is no card, or one with an empty string.
    Missing,
    /// The card is there and wrong.
    Wrong,
    /// The data unit is cut off: there is nothing to sum.
    CutOff,
}

/// An HDU whose header is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgedHdu {
    /// Kind, such as `IMAGE`.
    pub kind: String,
    /// EXTNAME, at most 68 characters; empty where there is none.
    pub name: String,
    /// Bytes of the data unit without padding.
    pub data_bytes: u64,
    /// The data unit against DATASUM.
    pub datasum: SumState,
    /// The whole HDU against CHECKSUM.
    pub checksum: SumState,
}

/// What was found of a file.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Each HDU whose header is whole; the data unit of the last may be cut off.
    pub hdus: Vec<JudgedHdu>,
    /// The first findings, in file order; of an HDU those of no single card come last.
    pub findings: Vec<Finding>,
    /// Faults in all, listed or not.
    pub faults: u64,
    /// Warnings in all, listed or not.
    pub warnings: u64,
    /// Whether the file goes beyond the [`ScanLimits`], so that its rest was not judged.
    pub is_beyond_limit: bool,
    /// Whether a strict reader gets to the end of the file: all structure is legal and whole.
    pub is_readable: bool,
}

/// Judges a file. `watch` is told the bytes judged so far and may end the work with an error.
///
/// Cost: one read from front to back; a source that can only be read so is never asked to go back.
///
/// # Errors
///
/// What the source says, or `watch`. Whatever the bytes are is a judgement, not an error.
pub fn judge<R: ReadAt + ?Sized>(
    source: &R,
    limits: &JudgeLimits,
    watch: &mut dyn FnMut(u64) -> io::Result<()>,
) -> io::Result<Judgement> {
    let findings = Findings::new(limits.findings);
    let (hdus, is_readable, denies_extensions) = (Vec::new(), true, false);
    let mut judge = Judge { source, limits, watch, findings, offset: 0, hdus, is_readable, denies_extensions };
    let mut names = HashSet::new();
    while judge.next_hdu(&mut names)? {}
    let bytes = source.byte_count()?;
    let Findings { listed: mut findings, faults, warnings, is_beyond_limit, .. } = judge.findings;
    // Each rule looks at a whole header in turn; who mends a file reads it from the front.
    findings.sort_by_key(|finding| (finding.hdu, finding.card.is_none(), finding.card));
    let (hdus, is_readable) = (judge.hdus, judge.is_readable);
    Ok(Judgement { bytes, hdus, findings, faults, warnings, is_beyond_limit, is_readable })
}

struct Judge<'a, R: ReadAt + ?Sized> {
    source: &'a R,
    limits: &'a JudgeLimits,
    watch: &'a mut dyn FnMut(u64) -> io::Result<()>,
    findings: Findings,
    offset: u64,
    hdus: Vec<JudgedHdu>,
    is_readable: bool,
    /// Whether the primary header says that no extensions follow.
    denies_extensions: bool,
}

/// A header as it was read.
struct RawHeader {
    header: Header,
    sum: Sum32,
    is_whole: bool,
}

/// What tells extensions apart (Standard 4.4.2.6).
type ExtensionKey = (String, String, i128, i128);

impl<R: ReadAt + ?Sized> Judge<'_, R> {
    /// Judges the HDU at the offset; false where it was the last that can be judged.
    fn next_hdu(&mut self, names: &mut HashSet<ExtensionKey>) -> io::Result<bool> {
        let index = self.hdus.len();
        self.findings.hdu = index;
        if !self.has_header(index)? {
            return Ok(false);
        }
        let raw = self.read_header()?;
        if !raw.is_whole {
            cards::judge_syntax(&readable_start(raw.header), &mut self.findings);
            self.is_readable = false;
            return Ok(false);
        }
        let header = raw.header;
        let keywords = Keywords::of(&header);
        cards::judge(&header, &keywords, &mut self.findings);
        self.is_readable &= Structure::of(&header, index == 0).is_ok();
        let Some(structure) = mandatory::judge(&header, &keywords, index == 0, &mut self.findings) else {
            return Ok(false);
        };
        reserved::judge(&keywords, &structure, &mut self.findings);
        let is_table = matches!(structure.kind, HduKind::AsciiTable | HduKind::BinaryTable);
        let mut columns = Vec::new();
        if is_table {
            columns = columns::judge(&keywords, &structure, &mut self.findings);
            compressed::judge(&keywords, &structure, &mut self.findings);
        } else {
            coordinates::judge(&keywords, &mut self.findings);
        }
        self.judge_place(index, &keywords, &structure, names);
        let data = data::DataJudge::new(&structure, columns, &keywords, &mut self.findings);
        let datasum = self.read_data(data, &structure)?;
        let sums = match datasum {
            Some(datasum) => judge_sums(&keywords, raw.sum, datasum, &mut self.findings),
            None => (SumState::CutOff, SumState::CutOff),
        };
        self.hdus.push(JudgedHdu {
            kind: structure.kind.label().to_owned(),
            name: name_of(&keywords),
            data_bytes: structure.data_bytes,
            datasum: sums.0,
            checksum: sums.1,
        });
        Ok(datasum.is_some())
    }

    fn tell(&mut self, rule: &'static Rule, message: String) {
        self.findings.tell(rule, 0, "", message);
    }

    /// Whether a header begins at the offset; where not, what stands there is judged.
    fn has_header(&mut self, index: usize) -> io::Result<bool> {
        let mut start = [0_u8; 9];
        let count = read_fully(self.source, self.offset, &mut start)?;
        let start = start.get(..count).unwrap_or_default();
        if index == 0 {
            if !start.starts_with(b"SIMPLE  ") {
                let message = match compression(start) {
                    Some(program) => {
                        format!("it is compressed with {program}, which dpm does not read: expand it first")
                    }
                    None => "this is no FITS file: it does not start with 'SIMPLE  ='".to_owned(),
                };
                self.tell(&rule::NOT_FITS, message);
                self.is_readable = false;
                return Ok(false);
            }
            return Ok(true);
        }
        if start.starts_with(b"XTENSION") {
            if index >= self.limits.scan.hdus {
                self.tell(
                    &rule::LIMIT,
                    format!("the file has more than {index} HDUs, a limit of dpm: the rest was not judged"),
                );
                self.is_readable = false;
                return Ok(false);
            }
            return Ok(true);
        }
        let trailing = self.source.byte_count()?.saturating_sub(self.offset);
        if trailing > 0 {
            self.findings.hdu = index - 1;
            let message = format!("{trailing} bytes follow the last HDU, which ends at byte {}", self.offset);
            let is_whole = trailing.is_multiple_of(BLOCK_BYTES as u64);
            self.tell(if is_whole { &rule::SPECIAL_RECORDS } else { &rule::FILE_LENGTH }, message);
        }
        Ok(false)
    }

    /// Reads the header at the offset, which then stands behind it; tells what is wrong with its end.
    fn read_header(&mut self) -> io::Result<RawHeader> {
        let mut raw = RawHeader { header: Header::new(), sum: Sum32::default(), is_whole: false };
        let mut block = [0_u8; BLOCK_BYTES];
        let limit = self.limits.scan.header_cards;
        // Bounded by the limit of cards and by the end of the source.
        while raw.header.cards().len() <= limit {
            let count = read_fully(self.source, self.offset, &mut block)?;
            if count < BLOCK_BYTES {
                let cards = raw.header.cards().len();
                if count > 0 {
                    let message = format!("the header is cut off: {count} bytes of its last block are there");
                    self.tell(&rule::CUT_OFF, message);
                } else {
                    self.tell(&rule::MISSING_END, format!("no END within the {cards} cards of the header"));
                }
                return Ok(raw);
            }
            self.offset = self.offset.saturating_add(BLOCK_BYTES as u64);
            raw.sum = raw.sum.add(Sum32::of(&block));
            let has_end = take_block(&block, &mut raw.header);
            if raw.header.cards().len() > limit {
                break;
            }
            if has_end {
                raw.is_whole = true;
                self.judge_header_padding(&block, raw.header.cards().len());
                return Ok(raw);
            }
        }
        let message = format!("no END within {limit} cards, a limit of dpm: the rest was not judged");
        self.tell(&rule::LIMIT, message);
        raw.header = Header::new();
        Ok(raw)
    }

    fn judge_header_padding(&mut self, block: &[u8; BLOCK_BYTES], cards: usize) {
        let end = (cards % CARDS_PER_BLOCK + 1) * CARD_BYTES;
        if let Some(at) = block.get(end..).unwrap_or_default().iter().position(|byte| *byte != b' ') {
            let card = cards + 2 + at / CARD_BYTES;
            let message = "bytes other than spaces stand behind END".to_owned();
            self.findings.tell(&rule::HEADER_PADDING, card, "END", message);
        }
    }

    fn judge_place(
        &mut self,
        index: usize,
        keywords: &Keywords,
        structure: &Structure,
        names: &mut HashSet<ExtensionKey>,
    ) {
        if index == 0 {
            self.denies_extensions = keywords.logical("EXTEND") == Some(false);
            return;
        }
        if index == 1 && self.denies_extensions {
            let message = "an extension follows, but the primary header says EXTEND = F".to_owned();
            self.findings.tell(&rule::EXTEND_FALSE, 0, "EXTEND", message);
        }
        let name = name_of(keywords);
        if name.is_empty() {
            return;
        }
        let version = keywords.integer("EXTVER").unwrap_or(1);
        let level = keywords.integer("EXTLEVEL").unwrap_or(1);
        if !names.insert((structure.kind.label().to_owned(), name.clone(), version, level)) {
            let message = format!("another extension of this type has the name '{name}' and the version {version}");
            self.findings.tell(&rule::DUPLICATE_EXTENSION, keywords.card("EXTNAME"), "EXTNAME", message);
        }
    }

    /// Streams the data unit; none where the file is cut off within it.
    fn read_data(&mut self, mut judge: data::DataJudge, structure: &Structure) -> io::Result<Option<Sum32>> {
        let (padded, start) = (structure.data_bytes_padded(), self.offset);
        let mut piece = vec![0; usize::try_from(padded).unwrap_or(PIECE_BYTES).min(PIECE_BYTES)];
        let mut done = 0_u64;
        while done < padded {
            let wanted = usize::try_from(padded - done).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let room = piece.get_mut(..wanted).unwrap_or_default();
            let count = read_fully(self.source, start.saturating_add(done), room)?;
            judge.take(room.get(..count).unwrap_or_default());
            done += count as u64;
            (self.watch)(start.saturating_add(done))?;
            if count < wanted {
                break;
            }
        }
        self.offset = start.saturating_add(padded);
        let sum = judge.finish(&mut self.findings);
        if done < structure.data_bytes {
            let needed = structure.data_bytes;
            self.tell(&rule::CUT_OFF, format!("the data unit is cut off: it has {done} bytes and needs {needed}"));
            self.is_readable = false;
            return Ok(None);
        }
        if done < padded {
            self.tell(&rule::MISSING_PADDING, format!("the last data unit lacks {} bytes of padding", padded - done));
        }
        Ok(Some(sum))
    }
}

/// Takes the cards of a block up to END; true where that was met.
fn take_block(block: &[u8; BLOCK_BYTES], header: &mut Header) -> bool {
    let (cards, _) = block.as_chunks::<CARD_BYTES>();
    for bytes in cards {
        let card = Card::from_bytes(*bytes);
        if card.is_end() {
            return true;
        }
        header.push(card);
    }
    false
}

/// The cards of a header without END up to the first that is no text: from there on it may be data.
fn readable_start(header: Header) -> Header {
    let is_text = |card: &&Card| card.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~'));
    Header::from_cards(header.cards().iter().take_while(is_text).copied().collect())
}

fn name_of(keywords: &Keywords) -> String {
    keywords.string("EXTNAME").unwrap_or_default().chars().take(NAME_CHARACTERS).collect()
}

/// Judges DATASUM and CHECKSUM (Standard 4.4.2.7); an empty string stands for no sum.
fn judge_sums(keywords: &Keywords, header: Sum32, data: Sum32, findings: &mut Findings) -> (SumState, SumState) {
    let mut state =
        |name: &str, rule: &'static Rule, is_form: fn(&str) -> bool, judge: &dyn Fn(&str) -> Result<(), String>| {
            let Some(entry) = keywords.get(name) else { return SumState::Missing };
            let (rule, message) = match &entry.value {
                None | Some(Value::Undefined) => return SumState::Missing,
                Some(Value::String(text)) if text.is_empty() => return SumState::Missing,
                Some(Value::String(text)) if is_form(text) => match judge(text) {
                    Ok(()) => return SumState::Correct,
                    Err(message) => (rule, message),
                },
                Some(value) => (&rule::SUM_FORM, format!("{name} is {}, which is no sum", finding::value_text(value))),
            };
            findings.tell(rule, entry.card, name, message);
            SumState::Wrong
        };
    let datasum = state("DATASUM", &rule::DATASUM, |text| checksum::parse_datasum(text).is_some(), &|text| {
        let is_right = checksum::parse_datasum(text).is_some_and(|sum| sum == data);
        if is_right { Ok(()) } else { Err(format!("DATASUM is '{text}' but the data unit sums to {}", data.value())) }
    });
    let checksum = state("CHECKSUM", &rule::CHECKSUM, |text| checksum::decode(text).is_some(), &|_| {
        if header.add(data).is_zero() {
            Ok(())
        } else {
            Err("CHECKSUM does not match: header or data were changed after it was written".to_owned())
        }
    });
    (datasum, checksum)
}

#[cfg(test)]
mod tests;
