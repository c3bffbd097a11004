//! Puts CHECKSUM and DATASUM into a finished header (FITS Standard 4.4.2.7).

use crate::fits::CARD_BYTES;
use crate::fits::checksum::{self, Sum32};

/// Whether a DATASUM that a file records is believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChecksumMode {
    /// Each data unit is read and summed; a recorded sum that differs is told.
    #[default]
    Recompute,
    /// A recorded DATASUM is taken as it is, wherever the data need not be read for another reason.
    Trust,
}

impl ChecksumMode {
    /// Every word.
    pub const WORDS: &[&str] = &["recompute", "trust"];

    /// As it is written in the configuration and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            ChecksumMode::Recompute => "recompute",
            ChecksumMode::Trust => "trust",
        }
    }

    /// Reads what [`ChecksumMode::as_str`] wrote; `None` for any other word.
    pub fn parse(text: &str) -> Option<ChecksumMode> {
        [ChecksumMode::Recompute, ChecksumMode::Trust].into_iter().find(|mode| mode.as_str() == text)
    }
}

/// Seals `header` so that the whole HDU sums to minus zero.
///
/// A header that is sealed already, with `recorded` the DATASUM that it carries, keeps every byte: an HDU that was
/// right stays bit-identical. Indices are 0-based cards. Cost: one or two sums over the header.
pub fn seal(header: &mut [u8], datasum_card: usize, checksum_card: usize, datasum: Sum32, recorded: Option<u32>) {
    let right = recorded == Some(datasum.value()) && header[card(checksum_card)].starts_with(b"CHECKSUM=");
    if right && is_sealed(header, datasum) {
        return;
    }
    let datasum_record = checksum::datasum_card(datasum, "data unit checksum");
    header[card(datasum_card)].copy_from_slice(datasum_record.as_bytes());
    let open = checksum::checksum_card("0000000000000000", "HDU checksum");
    header[card(checksum_card)].copy_from_slice(open.as_bytes());
    let text = checksum::checksum_text(header, datasum);
    let closed = checksum::checksum_card(&text, "HDU checksum");
    header[card(checksum_card)].copy_from_slice(closed.as_bytes());
}

/// True if header and data sum to minus zero.
pub fn is_sealed(header: &[u8], datasum: Sum32) -> bool {
    Sum32::of(header).add(datasum).value() == u32::MAX
}

/// True if the DATASUM that `header` records may be taken without reading the data: no CHECKSUM contradicts it.
///
/// A header that was edited after it was sealed may belong to data that were edited too.
pub fn may_trust(header: &[u8], recorded: Sum32) -> bool {
    let has_checksum = header.chunks(CARD_BYTES).any(|card| card.starts_with(b"CHECKSUM="));
    !has_checksum || is_sealed(header, recorded)
}

fn card(index: usize) -> std::ops::Range<usize> {
    index * CARD_BYTES..(index + 1) * CARD_BYTES
}
