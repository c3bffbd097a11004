//! Makes headers: which cards are kept, written anew, or left free.

use std::collections::HashSet;

use crate::fits::card::{Card, Record};
use crate::fits::fault::CardFault;
use crate::fits::hdu::Hdu;
use crate::fits::header::Header;
use crate::fits::keyword::{Keyword, KeywordClass, KeywordKind};
use crate::fits::value::Value;
use crate::fits::{CARD_BYTES, CARDS_PER_BLOCK};
use crate::specification::keyword_rules;

/// Structural and core cards of an in-place target, verbatim; EXTEND is T behind the axes. Of a keyword that stands
/// there twice the first card is kept, which is the one that readers see.
pub(in crate::merge::plan) fn structure_in_place(own: &Header) -> Header {
    let mut structural = Header::new();
    let mut core = Vec::new();
    let mut seen = HashSet::new();
    for record in own.records() {
        let is_extend = record.keyword == Keyword::value("EXTEND");
        if record.keyword.kind == KeywordKind::Commentary || keyword_rules::is_reserved(&record.keyword) || is_extend {
            continue;
        }
        if record.keyword.class() != KeywordClass::User && !seen.insert(record.keyword.clone()) {
            continue;
        }
        match record.keyword.class() {
            KeywordClass::Structural => structural.push_record(&record),
            KeywordClass::Core => core.push(record),
            KeywordClass::User => {}
        }
    }
    structural.push(extend_card());
    for record in core {
        structural.push_record(&record);
    }
    structural
}

/// SIMPLE, BITPIX, NAXIS = 0, EXTEND: a primary HDU without data (FITS Standard 4.4.1.1).
pub(in crate::merge::plan) fn new_structure() -> Header {
    let mut header = Header::new();
    header.push(fixed_card("SIMPLE", "T", "conforms to the FITS Standard"));
    header.push(fixed_card("BITPIX", "8", "no data in this HDU"));
    header.push(fixed_card("NAXIS", "0", "no data in this HDU"));
    header.push(extend_card());
    header
}

fn extend_card() -> Card {
    fixed_card("EXTEND", "T", "extensions may follow")
}

/// A card in fixed format with a value that ends in column 30.
pub(in crate::merge::plan) fn fixed_card(keyword: &str, value: &str, comment: &str) -> Card {
    let mut bytes = [b' '; CARD_BYTES];
    let text = format!("{keyword:<8}= {value:>20} / {comment}");
    let length = text.len().min(CARD_BYTES);
    bytes[..length].copy_from_slice(&text.as_bytes()[..length]);
    Card::from_bytes(bytes)
}

/// The header of an IMAGE extension for the pixels of `primary`: structure (FITS Standard 7.1.1), name, and the core
/// cards that describe the pixels. Its user keywords went through the rules into the product's primary header.
pub(in crate::merge::plan) fn image_extension_header(
    primary: &Hdu,
    name: &str,
    version: i128,
) -> Result<Header, CardFault> {
    let structure = &primary.structure;
    let mut header = Header::new();
    let image = Value::String("IMAGE".to_owned());
    header.push_record(&Record::new(Keyword::value("XTENSION"), &image, Some("image extension"))?);
    header.push(fixed_card("BITPIX", &structure.bitpix.to_string(), "bits of a pixel"));
    header.push(fixed_card("NAXIS", &structure.axes.len().to_string(), "number of axes"));
    for (index, length) in structure.axes.iter().enumerate() {
        header.push(fixed_card(&format!("NAXIS{}", index + 1), &length.to_string(), "length of the axis"));
    }
    header.push(fixed_card("PCOUNT", "0", "no bytes besides the pixels"));
    header.push(fixed_card("GCOUNT", "1", "one group"));
    header.push_record(&Record::new(
        Keyword::value("EXTNAME"),
        &Value::String(name.to_owned()),
        Some("source of these pixels"),
    )?);
    header.push_record(&Record::new(Keyword::value("EXTVER"), &Value::Integer(version), None)?);
    for record in primary.header.records() {
        let name = record.keyword.name.as_str();
        let replaced = ["EXTEND", "EXTNAME", "EXTVER", "INHERIT"].contains(&name);
        // The frame of its world coordinates, although in ESO's primary headers it is also where the telescope points.
        let is_frame = record.keyword.kind == KeywordKind::Value && ["RADESYS", "EQUINOX"].contains(&name);
        let describes_pixels = record.keyword.class() == KeywordClass::Core || is_frame;
        if describes_pixels && !replaced && !keyword_rules::is_reserved(&record.keyword) {
            header.push_record(&record);
        }
    }
    Ok(header)
}

/// Blocks of `header` with its two sum cards and END.
pub(in crate::merge::plan) fn closed_block_count(header: &Header) -> u64 {
    (header.cards().len() + 3).div_ceil(CARDS_PER_BLOCK) as u64
}

/// Adds the two sum cards and spare blank cards so that the header fills at least `capacity_blocks`; returns its
/// bytes and the indices of DATASUM and CHECKSUM.
pub(in crate::merge::plan) fn close_header(mut header: Header, capacity_blocks: u64) -> (Vec<u8>, usize, usize) {
    let checksum_card = header.cards().len();
    let datasum_card = checksum_card + 1;
    header.push(Card::BLANK);
    header.push(Card::BLANK);
    let needed = header.block_count();
    if needed < capacity_blocks {
        // END must stand in the last block, so the room before it is made of blank cards.
        let slots = capacity_blocks as usize * CARDS_PER_BLOCK - 1;
        for _ in header.cards().len()..slots {
            header.push(Card::BLANK);
        }
    }
    (header.to_bytes(), datasum_card, checksum_card)
}
