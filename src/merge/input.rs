//! What planning needs to know of an input file: its headers and lengths, none of its data.
//!
//! Pure: reads through [`ReadAt`] and knows no descriptor. The primary header is kept whole, because its cards are
//! merged; of an extension only places are kept, so that 20 000 of them cost a few megabytes.

use std::collections::HashSet;
use std::path::PathBuf;

use crate::fits::CARD_BYTES;
use crate::fits::card::Card;
use crate::fits::hdu::{FileTail, Hdu, HduKind, ReadAt, ScanError, ScanErrorKind, ScanLimits, Scanner};
use crate::fits::header::Header;

/// What an HDU's structure is read from, beside NAXIS and NAXISn.
const MANDATORY: [&[u8; 8]; 6] = [b"SIMPLE  ", b"XTENSION", b"BITPIX  ", b"PCOUNT  ", b"GCOUNT  ", b"TFIELDS "];

/// One input file, described for planning.
#[derive(Clone, Debug)]
pub struct InputDescription {
    /// Name of its source in the specification, for messages.
    pub label: String,
    /// Where the merge reads it.
    pub path: PathBuf,
    /// Its primary HDU with every card.
    pub primary: Hdu,
    /// Where the primary header keeps its sums.
    pub primary_sums: SumCards,
    /// Its extensions in file order.
    pub extensions: Vec<ExtensionDescription>,
    /// What follows the last whole HDU.
    pub tail: FileTail,
    /// Zeros that follow the gzip data of a compressed file.
    pub gzip_padding: u64,
    /// Bytes of a block of the file system, if product and file are both on it and it shares blocks between files.
    pub shared_block: Option<u64>,
}

/// Places in an extension that a merge copies or edits.
#[derive(Clone, Debug)]
pub struct ExtensionDescription {
    /// 0-based index of the HDU in its file (0 is the primary, so the first extension has 1).
    pub index: usize,
    /// Kind of the extension.
    pub kind: HduKind,
    /// EXTNAME, where there is one.
    pub name: Option<String>,
    /// EXTVER, 1 where there is none.
    pub version: i128,
    /// Byte offset of the header in the file.
    pub header_offset: u64,
    /// Bytes of the header, padding included.
    pub header_bytes: u64,
    /// Cards before END without the blank ones directly before it: new cards go to this index.
    pub used_cards: usize,
    /// Index of the END card.
    pub end_card: usize,
    /// Index of the EXTVER card.
    pub extver_card: Option<usize>,
    /// Where the header keeps its sums.
    pub sums: SumCards,
    /// Indices of further CHECKSUM and DATASUM cards: they say nothing true of the product.
    pub further_sums: Vec<usize>,
    /// The first card that is not legal FITS, as text; it is copied as it is.
    pub illegal_card: Option<String>,
    /// Mandatory keywords that stand there more than once, as text; they are copied as they are.
    pub repeated_mandatory: Option<String>,
    /// Whether something else than spaces stands behind END; it is not copied.
    pub has_text_behind_end: bool,
    /// Byte offset of the data unit in the file.
    pub data_offset: u64,
    /// Bytes of the data unit without padding.
    pub data_bytes: u64,
}

/// Indices (0-based) of the CHECKSUM and DATASUM cards of a header, and the recorded DATASUM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SumCards {
    /// Index of the first DATASUM card.
    pub datasum: Option<usize>,
    /// Index of the first CHECKSUM card.
    pub checksum: Option<usize>,
    /// What DATASUM says, where it is readable.
    pub recorded_datasum: Option<u32>,
}

impl SumCards {
    /// Finds the two cards in `header`. Cost: one look at eight bytes of each card.
    pub fn of(header: &Header) -> SumCards {
        let recorded = header.string("DATASUM").ok().flatten().and_then(|text| text.trim().parse().ok());
        SumCards {
            datasum: card_index(header.cards(), b"DATASUM "),
            checksum: card_index(header.cards(), b"CHECKSUM"),
            recorded_datasum: recorded,
        }
    }

    /// Indices of the CHECKSUM and DATASUM cards behind the first of each. Cost: one look at nine bytes of each card.
    fn further(&self, cards: &[Card]) -> Vec<usize> {
        let firsts = [self.datasum, self.checksum];
        let is_sum = |card: &Card| is_value_of(card, b"DATASUM ") || is_value_of(card, b"CHECKSUM");
        let found = cards.iter().enumerate().filter(|(index, card)| is_sum(card) && !firsts.contains(&Some(*index)));
        found.map(|(index, _)| index).collect()
    }
}

/// Describes the file behind `source` by scanning its headers.
///
/// # Errors
///
/// [`ScanError`] with the HDU and the byte where the file is not whole or not FITS, or has an illegal card.
pub fn describe<R: ReadAt + ?Sized>(
    label: &str,
    path: PathBuf,
    source: &R,
    limits: ScanLimits,
) -> Result<InputDescription, ScanError> {
    let mut scanner = Scanner::new(source, limits)?;
    let mut primary = None;
    let mut extensions = Vec::new();
    while let Some(hdu) = scanner.next_hdu()? {
        check_cards(&hdu)?;
        if primary.is_none() {
            primary = Some(hdu);
        } else {
            extensions.push(describe_extension(&hdu));
        }
    }
    let tail = scanner.tail();
    let primary = primary.ok_or(ScanError { hdu: 0, offset: 0, kind: ScanErrorKind::NotFits })?;
    let primary_sums = SumCards::of(&primary.header);
    Ok(InputDescription {
        label: label.to_owned(),
        path,
        primary,
        primary_sums,
        extensions,
        tail,
        gzip_padding: 0,
        shared_block: None,
    })
}

/// Refuses a header with illegal bytes or names: no reader could trust the product that has it.
fn check_cards(hdu: &Hdu) -> Result<(), ScanError> {
    let cards = hdu.header.cards().iter().enumerate();
    let mut found = cards.filter_map(|(index, card)| Some((index, card.grave_fault()?)));
    let Some((index, fault)) = found.next() else { return Ok(()) };
    let kind = ScanErrorKind::Card { number: index + 1, fault: Box::new(fault), more: found.count() };
    Err(ScanError { hdu: hdu.index, offset: hdu.header_offset, kind })
}

fn describe_extension(hdu: &Hdu) -> ExtensionDescription {
    let cards = hdu.header.cards();
    let sums = SumCards::of(&hdu.header);
    ExtensionDescription {
        index: hdu.index,
        kind: hdu.structure.kind.clone(),
        name: hdu.name(),
        version: hdu.version(),
        header_offset: hdu.header_offset,
        header_bytes: hdu.data_offset - hdu.header_offset,
        used_cards: used_cards(cards),
        end_card: cards.len(),
        extver_card: card_index(cards, b"EXTVER  "),
        sums,
        further_sums: sums.further(cards),
        illegal_card: hdu.header.faults().first().map(|(index, fault)| format!("card {}: {fault}", index + 1)),
        repeated_mandatory: repeated_mandatory(cards),
        has_text_behind_end: hdu.header.has_text_behind_end(),
        data_offset: hdu.data_offset,
        data_bytes: hdu.structure.data_bytes,
    }
}

/// The keywords that give an HDU its structure and stand in `cards` more than once, against Standard 4.4.1 and 7: with
/// commas between them. Cost: one look at nine bytes of each card.
pub fn repeated_mandatory(cards: &[Card]) -> Option<String> {
    let mut seen = HashSet::new();
    let mut repeated: Vec<String> = Vec::new();
    for name in cards.iter().filter_map(mandatory_name) {
        if !seen.insert(name) {
            let text = String::from_utf8_lossy(name).trim_end().to_owned();
            if !repeated.contains(&text) {
                repeated.push(text);
            }
        }
    }
    if repeated.is_empty() { None } else { Some(repeated.join(", ")) }
}

/// Columns 1 to 8 of a card that gives an HDU its structure; none of another card.
fn mandatory_name(card: &Card) -> Option<&[u8; 8]> {
    let name = card.as_bytes().first_chunk::<8>().filter(|name| is_value_of(card, name))?;
    let is_axis = || name.starts_with(b"NAXIS") && name[5..].trim_ascii_end().iter().all(u8::is_ascii_digit);
    if MANDATORY.contains(&name) || is_axis() { Some(name) } else { None }
}

/// Number of cards up to the last one that is not blank.
pub fn used_cards(cards: &[Card]) -> usize {
    cards.iter().rposition(|card| !card.is_blank()).map_or(0, |index| index + 1)
}

fn card_index(cards: &[Card], name: &[u8; 8]) -> Option<usize> {
    cards.iter().position(|card| is_value_of(card, name))
}

fn is_value_of(card: &Card, name: &[u8; 8]) -> bool {
    let bytes: &[u8; CARD_BYTES] = card.as_bytes();
    bytes[..8] == name[..] && bytes[8] == b'='
}
