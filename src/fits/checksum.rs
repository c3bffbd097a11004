//! CHECKSUM and DATASUM (FITS Standard 4.4.2.7 and appendix J): the 32-bit ones'-complement sum and its ASCII form.
//!
//! The sum does not see words that change places: it guards against damage, it is no digest. Where to put the cards
//! and when to write them is the merge's business.

use crate::fits::CARD_BYTES;
use crate::fits::card::Card;

/// Value of CHECKSUM while the sum of the HDU is taken (Standard appendix J.1).
pub const ZERO_CHECKSUM: &str = "0000000000000000";

/// A ones'-complement sum of big-endian 32-bit words.
///
/// Sums of pieces can be taken apart and added in any grouping, provided that each piece starts at a multiple of
/// 4 bytes from the start of the whole. 0 and 0xFFFF_FFFF both stand for zero; only the sum of zeros gives 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum32(u32);

/// Bytes summed at once in 32-bit lanes: 256 words a lane, of which each 16-bit half then holds at most
/// 256 x 255 and cannot overflow.
const LANE_CHUNK_BYTES: usize = 256 * ROW_BYTES;
/// Eight lanes of four bytes: wide enough for every vector unit that the compiler may choose.
const ROW_BYTES: usize = 32;

impl Sum32 {
    /// Sums `bytes`, which are taken to end with zeros up to a multiple of 4.
    ///
    /// Cost: memory speed. Any length: each chunk is folded to 32 bits.
    pub fn of(bytes: &[u8]) -> Self {
        bytes.chunks(LANE_CHUNK_BYTES).fold(Self(0), |sum, chunk| sum.add(Self::fold(sum_chunk(chunk))))
    }

    /// The sum of two pieces. Associative and commutative, with the default as the neutral element.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "the carry goes round: `+` would promise ordinary addition")]
    pub fn add(self, other: Self) -> Self {
        Self::fold(u64::from(self.0) + u64::from(other.0))
    }

    /// The accumulator as a number: what DATASUM holds.
    pub fn value(self) -> u32 {
        self.0
    }

    /// Takes up a sum from its number.
    pub fn from_value(value: u32) -> Self {
        Self(value)
    }

    /// The sum that together with this one gives minus zero.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(!self.0)
    }

    /// Whether this is the sum of an HDU with a correct CHECKSUM: plus or minus zero.
    pub fn is_zero(self) -> bool {
        self.0 == 0 || self.0 == u32::MAX
    }

    /// Adds the carries back in until none is left; the result is 0 only for 0.
    fn fold(sum: u64) -> Self {
        let once = (sum & 0xFFFF_FFFF) + (sum >> 32);
        let twice = (once & 0xFFFF_FFFF) + (once >> 32);
        #[expect(clippy::cast_possible_truncation, reason = "the first fold is below 2^33, the second below 2^32")]
        Self(twice as u32)
    }
}

/// Sums at most [`LANE_CHUNK_BYTES`].
///
/// Big-endian words are summed without swapping bytes: each little-endian word is split into its even and its odd
/// bytes, which stay apart in 16-bit halves, and the halves take their weight at the end. That is twice as fast as
/// swapping each word (27 against 13 GB/s with SSE2).
fn sum_chunk(chunk: &[u8]) -> u64 {
    const EVEN_BYTES: u32 = 0x00FF_00FF;
    let (rows, rest) = chunk.as_chunks::<ROW_BYTES>();
    let mut even = [0_u32; ROW_BYTES / 4];
    let mut odd = [0_u32; ROW_BYTES / 4];
    for row in rows {
        let (words, _) = row.as_chunks::<4>();
        for ((even, odd), word) in even.iter_mut().zip(&mut odd).zip(words) {
            let word = u32::from_le_bytes(*word);
            // These cannot overflow; `wrapping_add` only keeps the check, which would not vectorise, out of the loop.
            *even = even.wrapping_add(word & EVEN_BYTES);
            *odd = odd.wrapping_add((word >> 8) & EVEN_BYTES);
        }
    }
    let low = |lane: &u32| u64::from(lane & 0xFFFF);
    let high = |lane: &u32| u64::from(lane >> 16);
    let whole: u64 = even.iter().map(|lane| (low(lane) << 24) + (high(lane) << 8)).sum::<u64>()
        + odd.iter().map(|lane| (low(lane) << 16) + high(lane)).sum::<u64>();
    whole + sum_words(rest)
}

/// Sums big-endian words one by one, the last padded with zeros.
fn sum_words(bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<4>();
    let mut last = [0_u8; 4];
    for (byte, tail) in last.iter_mut().zip(tail) {
        *byte = *tail;
    }
    words.iter().chain([&last]).map(|word| u64::from(u32::from_be_bytes(*word))).sum()
}

/// Writes a sum, or its complement, as 16 letters and digits (appendix J.2).
///
/// The characters are those of four words that add up to the sum, each byte raised by `0`, and turned right by one
/// place because the value of a card starts at a byte that is 3 modulo 4.
pub fn encode(sum: Sum32, complement: bool) -> String {
    let value = if complement { !sum.0 } else { sum.0 };
    let mut text = [b'0'; 16];
    for (index, byte) in value.to_be_bytes().into_iter().enumerate() {
        for (word, character) in spread(byte).into_iter().enumerate() {
            if let Some(place) = text.get_mut((4 * word + index + 1) % 16) {
                *place = character;
            }
        }
    }
    text.into_iter().map(char::from).collect()
}

/// Four characters, none of them punctuation, that add up to `byte` + 4 x `0`.
fn spread(byte: u8) -> [u8; 4] {
    let quarter = byte / 4 + b'0';
    let [mut first, mut second, mut third, mut fourth] = [quarter + byte % 4, quarter, quarter, quarter];
    // Moving a pair apart by one keeps its sum. At most 7 punctuation characters stand in a row, so both characters
    // of a pair have left them after twice that many steps (all 256 bytes are tried in a test).
    for _ in 0..16 {
        if is_punctuation(first) || is_punctuation(second) {
            first += 1;
            second -= 1;
        }
        if is_punctuation(third) || is_punctuation(fourth) {
            third += 1;
            fourth -= 1;
        }
    }
    [first, second, third, fourth]
}

fn is_punctuation(character: u8) -> bool {
    matches!(character, 0x3A..=0x40 | 0x5B..=0x60)
}

/// Reads the number that [`encode`] wrote (for the value of CHECKSUM: the complement of the HDU's sum).
///
/// None where the text does not have 16 characters from `0` on.
pub fn decode(text: &str) -> Option<Sum32> {
    let mut bytes: [u8; 16] = text.as_bytes().try_into().ok()?;
    for byte in &mut bytes {
        *byte = byte.checked_sub(b'0').filter(|_| byte.is_ascii())?;
    }
    bytes.rotate_left(1);
    Some(Sum32::of(&bytes))
}

/// The value of DATASUM: the sum as a decimal number.
pub fn datasum_text(sum: Sum32) -> String {
    sum.0.to_string()
}

/// Reads the value of DATASUM; none where it is no unsigned 32-bit number.
pub fn parse_datasum(text: &str) -> Option<Sum32> {
    let text = text.trim_matches(' ');
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok().map(Sum32) } else { None }
}

/// The value of CHECKSUM that makes the whole HDU sum to minus zero.
///
/// `header_bytes_with_zero_checksum` is the padded header whose CHECKSUM is [`ZERO_CHECKSUM`] on a card made by
/// [`checksum_card`].
pub fn checksum_text(header_bytes_with_zero_checksum: &[u8], datasum: Sum32) -> String {
    encode(Sum32::of(header_bytes_with_zero_checksum).add(datasum), true)
}

/// The DATASUM card. The comment is cut at the card's end.
pub fn datasum_card(sum: Sum32, comment: &str) -> Card {
    fixed_card("DATASUM", &datasum_text(sum), comment)
}

/// The CHECKSUM card, with its text in columns 12 to 27. The comment is cut at the card's end.
pub fn checksum_card(text: &str, comment: &str) -> Card {
    fixed_card("CHECKSUM", text, comment)
}

/// A string card in fixed format; it has room for 16 characters of text, and what is no printable ASCII is written
/// as `?`, so that it cannot fail.
fn fixed_card(name: &str, text: &str, comment: &str) -> Card {
    let slash = if comment.is_empty() { "" } else { " / " };
    let value = format!("'{text:<8.16}'");
    let line = format!("{name:<8}= {value:<20}{slash}{comment}");
    let mut bytes = [b' '; CARD_BYTES];
    for (byte, character) in bytes.iter_mut().zip(line.chars()) {
        *byte = if matches!(character, ' '..='~') { u8::try_from(character).unwrap_or(b'?') } else { b'?' };
    }
    Card::from_bytes(bytes)
}

#[cfg(test)]
mod tests;
