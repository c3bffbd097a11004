//! One header: its cards verbatim, the records they form, and reading it block by block.
//!
//! END and the padding behind it are implied; what the data unit looks like is decided in [`crate::fits::hdu`].

use crate::fits::card::{Card, CardFault, CardFaultKind, Record};
use crate::fits::keyword::KeywordKind;
use crate::fits::value::Value;
use crate::fits::{BLOCK_BYTES, CARD_BYTES, CARDS_PER_BLOCK};

/// The cards of a header before END, byte for byte.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    cards: Vec<Card>,
    has_text_behind_end: bool,
}

impl Header {
    /// A header without cards.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the cards as they are. END must not be among them.
    pub fn from_cards(cards: Vec<Card>) -> Self {
        Self { cards, has_text_behind_end: false }
    }

    /// The cards before END, in order.
    pub fn cards(&self) -> &[Card] {
        &self.cards
    }

    /// Whether the block that was read has something else than spaces behind END (against Standard 3.3.1).
    pub fn has_text_behind_end(&self) -> bool {
        self.has_text_behind_end
    }

    /// Adds a card at the end.
    pub fn push(&mut self, card: Card) {
        self.cards.push(card);
    }

    /// Adds all cards of a record at the end.
    pub fn push_record(&mut self, record: &Record) {
        self.cards.extend_from_slice(&record.cards);
    }

    /// The records in order; their cards, put one behind the other, are the header's cards.
    ///
    /// Never fails: a card that is not legal is a record of its own, whose `value()` says what is wrong with it.
    /// Cost: linear in the number of cards.
    pub fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::with_capacity(self.cards.len());
        let mut open = false;
        for card in &self.cards {
            match records.last_mut() {
                Some(record) if open && card.is_continuation() => record.cards.push(*card),
                _ => {
                    let record = Record::of_card(*card);
                    open = record.keyword.kind != KeywordKind::Commentary;
                    records.push(record);
                }
            }
            open = open && card.open_string().is_some();
        }
        records
    }

    /// The first record with a value of the standard keyword `name`.
    pub fn get(&self, name: &str) -> Option<Record> {
        let (_, from) = self.cards.split_at_checked(self.position(name)?)?;
        let (first, rest) = from.split_first()?;
        let mut record = Record::of_card(*first);
        for card in rest {
            let open = record.cards.last().is_some_and(|last| last.open_string().is_some());
            if !open || !card.is_continuation() {
                break;
            }
            record.cards.push(*card);
        }
        Some(record)
    }

    /// The 0-based index of the first card with a value of the standard keyword `name`.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.cards.iter().position(|card| card.is_value_of(name))
    }

    /// The integer value of `name`; none where it is missing or undefined.
    ///
    /// # Errors
    ///
    /// A [`CardFault`] where the value cannot be read or has another type.
    pub fn integer(&self, name: &str) -> Result<Option<i128>, CardFault> {
        self.typed(name, "an integer", |value| match value {
            Value::Integer(integer) => Some(*integer),
            _ => None,
        })
    }

    /// The string value of `name`; none where it is missing or undefined.
    ///
    /// # Errors
    ///
    /// As [`Header::integer`].
    pub fn string(&self, name: &str) -> Result<Option<String>, CardFault> {
        self.typed(name, "a string", |value| match value {
            Value::String(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// The logical value of `name`; none where it is missing or undefined.
    ///
    /// # Errors
    ///
    /// As [`Header::integer`].
    pub fn logical(&self, name: &str) -> Result<Option<bool>, CardFault> {
        self.typed(name, "T or F", |value| match value {
            Value::Logical(logical) => Some(*logical),
            _ => None,
        })
    }

    fn typed<T>(
        &self,
        name: &str,
        expected: &'static str,
        select: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, CardFault> {
        let card = self.position(name).and_then(|at| self.cards.get(at));
        let Some(card) = card else { return Ok(None) };
        // Nearly every value stands on one card.
        if let Some(found) = card.plain_value().as_ref().and_then(&select) {
            return Ok(Some(found));
        }
        let Some(record) = self.get(name) else { return Ok(None) };
        let value = match record.value()? {
            None | Some(Value::Undefined) => return Ok(None),
            Some(value) => value,
        };
        select(&value).map(Some).ok_or_else(|| {
            let kind = CardFaultKind::WrongType { expected, found: value.type_name() };
            record.cards.first().unwrap_or(&Card::BLANK).blame(kind)
        })
    }

    /// All faults of single cards with the 0-based index of the card, and CONTINUE cards that continue nothing.
    ///
    /// Cost: one look at each byte and no allocation, where every card is of a form that instruments write.
    pub fn faults(&self) -> Vec<(usize, CardFault)> {
        let mut faults = Vec::new();
        if self.cards.iter().all(Card::is_plainly_legal) {
            return faults;
        }
        let mut index = 0;
        for record in self.records() {
            for card in &record.cards {
                if let Some(fault) = card.fault() {
                    faults.push((index, fault));
                } else if record.keyword.kind == KeywordKind::Commentary && card.is_continue() {
                    faults.push((index, card.blame(CardFaultKind::OrphanContinue)));
                }
                index += 1;
            }
        }
        faults
    }

    /// How many cards can be added without a new block, where blank cards directly before END are given up.
    pub fn spare_cards(&self) -> usize {
        let blank = self.cards.iter().rev().take_while(|card| card.is_blank()).count();
        let behind_end = (self.cards.len() + 1).next_multiple_of(CARDS_PER_BLOCK) - (self.cards.len() + 1);
        blank + behind_end
    }

    /// Number of blocks that the header fills, END included.
    pub fn block_count(&self) -> u64 {
        (self.cards.len() as u64 + 1).div_ceil(CARDS_PER_BLOCK as u64)
    }

    /// Number of bytes of the header in a file: END and padding included.
    pub fn byte_count(&self) -> u64 {
        self.block_count() * BLOCK_BYTES as u64
    }

    /// The header as in a file: cards, END, spaces up to the end of the block.
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = ((self.cards.len() + 1) * CARD_BYTES).next_multiple_of(BLOCK_BYTES);
        let mut bytes = Vec::with_capacity(length);
        for card in self.cards.iter().chain([&Card::END]) {
            bytes.extend_from_slice(card.as_bytes());
        }
        bytes.resize(length, b' ');
        bytes
    }
}

/// Why a header cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// More cards than allowed before END.
    #[error("no END within {limit} cards, a limit of dpm: take cards out, or repair the file")]
    TooLong {
        /// The limit in cards.
        limit: usize,
    },
    /// The blocks ended before END.
    #[error("the header ends after {cards} cards without END: the file is cut off or damaged")]
    NoEnd {
        /// Cards read.
        cards: usize,
    },
}

/// Reads a header block by block until END.
#[derive(Debug)]
pub struct HeaderReader {
    limit_cards: usize,
    cards: Vec<Card>,
    has_end: bool,
    has_text_behind_end: bool,
}

impl HeaderReader {
    /// A reader that refuses headers of more than `limit_cards` cards (END not counted).
    pub fn new(limit_cards: usize) -> Self {
        Self { limit_cards, cards: Vec::new(), has_end: false, has_text_behind_end: false }
    }

    /// Takes the next block and returns whether END has been seen. What stands behind END is not kept.
    ///
    /// # Errors
    ///
    /// [`HeaderError::TooLong`] as soon as the limit is passed.
    pub fn feed(&mut self, block: &[u8; BLOCK_BYTES]) -> Result<bool, HeaderError> {
        self.cards.reserve(CARDS_PER_BLOCK);
        let (cards, _) = block.as_chunks::<CARD_BYTES>();
        for bytes in cards {
            let card = Card::from_bytes(*bytes);
            if self.has_end {
                self.has_text_behind_end |= !card.is_blank();
                continue;
            }
            if card.is_end() {
                self.has_end = true;
                continue;
            }
            if self.cards.len() >= self.limit_cards {
                return Err(HeaderError::TooLong { limit: self.limit_cards });
            }
            self.cards.push(card);
        }
        Ok(self.has_end)
    }

    /// The header that was read.
    ///
    /// # Errors
    ///
    /// [`HeaderError::NoEnd`] where END has not been seen.
    pub fn finish(self) -> Result<Header, HeaderError> {
        if self.has_end {
            Ok(Header { cards: self.cards, has_text_behind_end: self.has_text_behind_end })
        } else {
            Err(HeaderError::NoEnd { cards: self.cards.len() })
        }
    }
}

#[cfg(test)]
mod tests;
