//! What can be wrong with one card. Its text names the card and what to do about it.

use crate::fits::keyword::KeywordFault;
use crate::fits::value::ValueFault;

/// A card that is not legal, or a record that cannot be written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("card '{card_text}': {kind}")]
pub struct CardFault {
    /// The card, or as much of it as was to be written; bytes outside of printable ASCII stand as `?`.
    pub card_text: String,
    /// What is wrong.
    pub kind: CardFaultKind,
}

/// What is wrong with a card.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CardFaultKind {
    /// A text longer than a card.
    #[error("it has {length} characters: shorten it to {limit}")]
    TooLong {
        /// Characters given.
        length: usize,
        /// Characters that fit.
        limit: usize,
    },
    /// A byte outside of printable ASCII (Standard 4.1.1).
    #[error("column {column} is not printable ASCII: replace that character")]
    NotPrintable {
        /// 1-based column.
        column: usize,
    },
    /// The name is not legal.
    #[error("{0}")]
    Keyword(KeywordFault),
    /// `=` in column 9 without the space in column 10.
    #[error("column 10 is not a space: write '= ' in columns 9 and 10")]
    MissingSpace,
    /// The value cannot be read or written.
    #[error("{0}")]
    Value(ValueFault),
    /// A number, or a string that cannot be continued, leaves the card.
    #[error("the value does not fit: it needs {needed} columns and has {room}; shorten the keyword or the value")]
    ValueTooLong {
        /// Columns needed.
        needed: usize,
        /// Columns left by the keyword.
        room: usize,
    },
    /// The value has another type than the keyword needs.
    #[error("the value is {found}: give it as {expected}")]
    WrongType {
        /// Type asked for.
        expected: &'static str,
        /// Type found.
        found: &'static str,
    },
    /// A value was asked to be written under a commentary keyword.
    #[error("a commentary keyword has no value: use another keyword")]
    NoValue,
    /// Commentary was asked to be written under a keyword that would be read otherwise.
    #[error("this is not read back as commentary: use COMMENT, HISTORY or the blank keyword")]
    NotCommentary,
    /// END, or END with text behind it.
    #[error("END is written by the header itself and stands alone: remove this card")]
    End,
    /// CONTINUE behind a card that is not a string ending with `&`.
    #[error("CONTINUE does not follow a string that ends with '&': remove it or mend the card before it")]
    OrphanContinue,
}

impl From<KeywordFault> for CardFaultKind {
    fn from(fault: KeywordFault) -> Self {
        Self::Keyword(fault)
    }
}

impl From<ValueFault> for CardFaultKind {
    fn from(fault: ValueFault) -> Self {
        Self::Value(fault)
    }
}
