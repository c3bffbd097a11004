//! Cards (80 bytes) and records (one keyword with all its cards).
//!
//! A card that is read is kept byte for byte; nothing here repairs or reformats it. Which cards belong together
//! in a header is decided in [`crate::fits::header`].

use std::fmt;

use crate::fits::CARD_BYTES;
pub use crate::fits::fault::{CardFault, CardFaultKind};
use crate::fits::field;
use crate::fits::keyword::{ESO_NAME_LENGTH, Keyword, KeywordKind};
use crate::fits::layout;
use crate::fits::value::{Value, ValueFault, is_printable};

/// Columns of a commentary card's text, 9 to 80.
pub const COMMENTARY_COLUMNS: usize = 72;

/// One 80-byte header record, as it stands in the file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Card([u8; CARD_BYTES]);

impl Card {
    /// The card of 80 spaces.
    pub const BLANK: Self = Self([b' '; CARD_BYTES]);
    /// The card that ends a header.
    pub const END: Self = {
        let mut bytes = [b' '; CARD_BYTES];
        bytes[0] = b'E';
        bytes[1] = b'N';
        bytes[2] = b'D';
        Self(bytes)
    };

    /// Takes the bytes as they are; [`Card::fault`] says whether they are legal.
    pub fn from_bytes(bytes: [u8; CARD_BYTES]) -> Self {
        Self(bytes)
    }

    /// Pads `text` with spaces to a card.
    ///
    /// # Errors
    ///
    /// [`CardFaultKind::NotPrintable`] and [`CardFaultKind::TooLong`]; nothing is cut off.
    pub fn from_text(text: &str) -> Result<Self, CardFault> {
        let fault = |kind| CardFault { card_text: printable(text.as_bytes()), kind };
        if let Some(at) = text.bytes().position(|byte| !is_printable(&[byte])) {
            return Err(fault(CardFaultKind::NotPrintable { column: at + 1 }));
        }
        let mut bytes = [b' '; CARD_BYTES];
        match bytes.get_mut(..text.len()) {
            None => Err(fault(CardFaultKind::TooLong { length: text.len(), limit: CARD_BYTES })),
            Some(start) => {
                start.copy_from_slice(text.as_bytes());
                Ok(Self(bytes))
            }
        }
    }

    /// The 80 bytes.
    pub fn as_bytes(&self) -> &[u8; CARD_BYTES] {
        &self.0
    }

    /// The card without trailing spaces, for people: bytes outside of printable ASCII stand as `?`.
    pub fn text(&self) -> String {
        printable(&self.0)
    }

    /// The keyword of this card alone; CONTINUE is commentary here, only a header knows what it continues.
    pub fn keyword(&self) -> Keyword {
        match self.equals_column() {
            Some(at) if at > 8 => {
                let words = printable(self.0.get(8..at).unwrap_or_default());
                let words: Vec<&str> = words.split_ascii_whitespace().collect();
                match words.as_slice() {
                    ["ESO", name @ ..] if !name.is_empty() => Keyword::eso(name.join(" ")),
                    name => Keyword::hierarch(name.join(" ")),
                }
            }
            Some(_) => Keyword::value(self.standard_name()),
            None => Keyword::commentary(self.standard_name()),
        }
    }

    /// Whether all 80 bytes are spaces.
    pub fn is_blank(&self) -> bool {
        *self == Self::BLANK
    }

    /// Whether the card ends a header: END and nothing else (Standard 4.4.1.1).
    pub fn is_end(&self) -> bool {
        *self == Self::END
    }

    /// Whether the card has the form that continues a string: CONTINUE and spaces in columns 9 and 10.
    pub fn is_continue(&self) -> bool {
        self.0.starts_with(b"CONTINUE  ")
    }

    /// Whether this is a card with a value of the standard keyword `name`.
    pub(crate) fn is_value_of(&self, name: &str) -> bool {
        self.0.get(8..10) == Some(b"= ") && self.name_bytes() == name.as_bytes()
    }

    /// The first fault of the card, if any: illegal bytes, an illegal name, a value that cannot be read.
    pub fn fault(&self) -> Option<CardFault> {
        self.check().err().map(|kind| self.blame(kind))
    }

    /// Illegal bytes or an illegal standard name, if any: faults that make a whole header suspect.
    ///
    /// Values and hierarchical names are not looked at: foreign trees have lower-case ones, and every reader copes.
    pub fn grave_fault(&self) -> Option<CardFault> {
        // Nearly every card passes here, without an allocation.
        let name = self.0.get(..8).unwrap_or_default().trim_ascii_end();
        let is_plain = name.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_'));
        if is_plain && name != b"END" && is_printable(&self.0) {
            return None;
        }
        self.check_name().err().map(|kind| self.blame(kind))
    }

    /// Whether the card is legal and of a form that is common: nearly all are, and these need no allocation.
    ///
    /// Says no where a closer look is needed, also for CONTINUE, whose meaning is its neighbour's.
    pub(crate) fn is_plainly_legal(&self) -> bool {
        if !is_printable(&self.0) {
            return false;
        }
        let is_name = |name: &[u8]| {
            !name.is_empty() && name.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_'))
        };
        match self.name_bytes() {
            b"" => self.is_blank(),
            b"COMMENT" | b"HISTORY" => true,
            b"CONTINUE" | b"END" => false,
            b"HIERARCH" if self.0.get(8..13) == Some(b" ESO ") => {
                let rest = self.0.get(13..).unwrap_or_default();
                let Some((name, field)) =
                    rest.iter().position(|byte| *byte == b'=').and_then(|at| rest.split_at_checked(at))
                else {
                    return false;
                };
                // Single words, each apart by one space: so no trimming but that of the space before the sign.
                let name = name.strip_suffix(b" ").unwrap_or(name);
                name.len() <= ESO_NAME_LENGTH
                    && name.split(|byte| *byte == b' ').all(is_name)
                    && field::is_plain(field.get(1..).unwrap_or_default())
            }
            b"HIERARCH" => false,
            name => {
                is_name(name)
                    && self.0.get(8..10) == Some(b"= ")
                    && field::is_plain(self.0.get(10..).unwrap_or_default())
            }
        }
    }

    fn check_name(&self) -> Result<Keyword, CardFaultKind> {
        if let Some(at) = self.0.iter().position(|byte| !is_printable(&[*byte])) {
            return Err(CardFaultKind::NotPrintable { column: at + 1 });
        }
        let keyword = self.keyword();
        if keyword.name == "END" && !self.is_end() {
            return Err(CardFaultKind::End);
        }
        keyword.validate()?;
        Ok(keyword)
    }

    fn check(&self) -> Result<(), CardFaultKind> {
        let keyword = self.check_name()?;
        if keyword.kind == KeywordKind::Commentary {
            let has_equals = self.0.get(8) == Some(&b'=');
            if has_equals && !Keyword::is_always_commentary(&keyword.name) {
                return Err(CardFaultKind::MissingSpace);
            }
            if !self.is_continue() {
                return Ok(());
            }
        }
        self.parse_value().map(|_| ()).map_err(CardFaultKind::Value)
    }

    /// The index of the `=` of the value indicator; none for commentary.
    fn equals_column(&self) -> Option<usize> {
        if self.0.get(8..10) == Some(b"= ") {
            // What is no text is no commentary keyword either.
            let name = std::str::from_utf8(self.name_bytes()).unwrap_or("?");
            return if Keyword::is_always_commentary(name) { None } else { Some(8) };
        }
        let rest = self.0.strip_prefix(b"HIERARCH ")?;
        let at = rest.iter().position(|byte| matches!(byte, b'=' | b'\''))?;
        let name = rest.get(..at)?;
        if rest.get(at) == Some(&b'=') && !name.trim_ascii().is_empty() { Some(at + 9) } else { None }
    }

    fn name_bytes(&self) -> &[u8] {
        let name = self.0.get(..8).unwrap_or_default();
        let length = name.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        name.get(..length).unwrap_or_default()
    }

    fn standard_name(&self) -> String {
        printable(self.name_bytes())
    }

    /// The field behind the value indicator, or behind CONTINUE.
    pub(crate) fn value_field(&self) -> Option<&[u8]> {
        let start = if self.is_continue() { 10 } else { self.equals_column()? + 1 };
        self.0.get(start..)
    }

    fn parse_value(&self) -> Result<Option<Value>, ValueFault> {
        match self.value_field() {
            None => Ok(None),
            Some(field) => token_text(field::split(field)?.token).and_then(Value::parse).map(Some),
        }
    }

    /// The value where this card alone has it; none where a closer look at its neighbours is needed. Allocates nothing
    /// but the text of a string.
    pub(crate) fn plain_value(&self) -> Option<Value> {
        if self.0.contains(&b'&') {
            return None;
        }
        let value = self.parse_value().ok().flatten()?;
        let Value::String(mut text) = value else { return Some(value) };
        text.truncate(text.trim_end_matches(' ').len());
        Some(Value::String(text))
    }

    /// The string of this card without its `&`, where the next card may continue it.
    pub(crate) fn open_string(&self) -> Option<String> {
        // Most cards are settled here, without reading their value.
        if !self.0.contains(&b'&') {
            return None;
        }
        match self.parse_value() {
            Ok(Some(Value::String(text))) => text.strip_suffix('&').map(str::to_owned),
            _ => None,
        }
    }

    /// Whether this card can continue an open string.
    pub(crate) fn is_continuation(&self) -> bool {
        self.is_continue() && matches!(self.parse_value(), Ok(Some(Value::String(_))))
    }

    fn comment(&self) -> Option<String> {
        let field = field::split(self.value_field()?).ok()?;
        field.comment.map(|comment| printable(comment.trim_ascii()))
    }

    pub(crate) fn blame(&self, kind: CardFaultKind) -> CardFault {
        CardFault { card_text: self.text(), kind }
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Card({:?})", self.text())
    }
}

/// One keyword with all its cards: long strings span CONTINUE cards (Standard 4.2.1.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The keyword of the first card.
    pub keyword: Keyword,
    /// The cards in order, at least one.
    pub cards: Vec<Card>,
}

impl Record {
    /// The record of one card that nothing continues.
    pub fn of_card(card: Card) -> Self {
        Self { keyword: card.keyword(), cards: vec![card] }
    }

    /// The value, with continued strings joined; none for commentary.
    ///
    /// # Errors
    ///
    /// A [`CardFault`] of the card whose value cannot be read.
    pub fn value(&self) -> Result<Option<Value>, CardFault> {
        let Some((first, rest)) = self.cards.split_first() else {
            return Ok(None);
        };
        if self.keyword.kind == KeywordKind::Commentary {
            return Ok(None);
        }
        let parse = |card: &Card| card.parse_value().map_err(|fault| card.blame(CardFaultKind::Value(fault)));
        let value = parse(first)?;
        let Some(Value::String(mut text)) = value else {
            return Ok(value);
        };
        for card in rest {
            if let Some(Value::String(piece)) = parse(card)? {
                if text.ends_with('&') {
                    text.pop();
                }
                text.push_str(&piece);
            }
        }
        text.truncate(text.trim_end_matches(' ').len());
        Ok(Some(Value::String(text)))
    }

    /// The comment behind the value without its `/`; those of several cards are joined by spaces.
    pub fn comment(&self) -> Option<String> {
        if self.keyword.kind == KeywordKind::Commentary {
            return None;
        }
        let parts: Vec<String> = self.cards.iter().filter_map(Card::comment).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { None } else { Some(parts.join(" ")) }
    }

    /// Columns 9 to 80 of a commentary record, without trailing spaces; empty for records with a value.
    pub fn commentary_text(&self) -> String {
        match self.cards.first() {
            Some(card) if self.keyword.kind == KeywordKind::Commentary => {
                printable(card.0.get(8..).unwrap_or_default())
            }
            _ => String::new(),
        }
    }

    /// The same value text and comment under another keyword.
    ///
    /// From the `=` on the bytes stay where they are if the new name fits before it; else they move, and the
    /// comment is cut where the card ends.
    ///
    /// # Errors
    ///
    /// A [`CardFault`] where `to` is no legal keyword, is of the other sort (value and commentary), or leaves no
    /// room for the value.
    pub fn renamed(&self, to: &Keyword) -> Result<Self, CardFault> {
        let blame = |kind| CardFault { card_text: to.to_string(), kind };
        to.validate().map_err(|fault| blame(fault.into()))?;
        let Some((first, rest)) = self.cards.split_first() else {
            return Err(blame(CardFaultKind::NoValue));
        };
        if to.kind == KeywordKind::Commentary || self.keyword.kind == KeywordKind::Commentary {
            return self.renamed_commentary(to);
        }
        if let Some(moved) = first.with_name(to) {
            return Ok(Self { keyword: to.clone(), cards: [&[moved], rest].concat() });
        }
        let value = self.value()?.ok_or_else(|| blame(CardFaultKind::NoValue))?;
        let comment = self.comment();
        if rest.is_empty()
            && let Some(token) = first.value_field().and_then(|field| field::split(field).ok()).map(|field| field.token)
        {
            let token = token_text(token).map_err(|fault| blame(fault.into()))?;
            if let Some(line) = layout::token_line(to, token, comment.as_deref()).map_err(blame)? {
                return Ok(Self { keyword: to.clone(), cards: vec![Card::from_text(&line)?] });
            }
        }
        Self::new(to.clone(), &value, comment.as_deref())
    }

    fn renamed_commentary(&self, to: &Keyword) -> Result<Self, CardFault> {
        match self.cards.as_slice() {
            _ if self.keyword.kind != KeywordKind::Commentary => {
                Err(CardFault { card_text: to.to_string(), kind: CardFaultKind::NoValue })
            }
            [card] if to.kind == KeywordKind::Commentary => {
                let mut bytes = card.0;
                for (byte, name) in bytes.iter_mut().take(8).zip(layout::keyword_text(to).bytes()) {
                    *byte = name;
                }
                Self::checked_commentary(Card(bytes), to)
            }
            _ => Err(CardFault { card_text: to.to_string(), kind: CardFaultKind::NotCommentary }),
        }
    }

    /// Writes a record with a value: fixed format for standard keywords, ` = ` for hierarchical ones, CONTINUE for
    /// strings that do not fit. The comment is cut where the card ends.
    ///
    /// # Errors
    ///
    /// A [`CardFault`] where the keyword is not legal, the value has no FITS text, a number does not fit, or the
    /// comment is not printable ASCII.
    pub fn new(keyword: Keyword, value: &Value, comment: Option<&str>) -> Result<Self, CardFault> {
        let lines = layout::value_lines(&keyword, value, comment)
            .map_err(|kind| CardFault { card_text: printable(keyword.to_string().as_bytes()), kind })?;
        let cards = lines.iter().map(|line| Card::from_text(line)).collect::<Result<Vec<Card>, CardFault>>()?;
        Ok(Self { keyword, cards })
    }

    /// Writes one commentary card (`keyword` may be empty) of at most 72 columns of text.
    ///
    /// # Errors
    ///
    /// A [`CardFault`] where the text is too long or not printable, or would be read back as something else.
    pub fn commentary(keyword: &str, text: &str) -> Result<Self, CardFault> {
        let keyword = Keyword::commentary(keyword);
        let line = format!("{}{text}", layout::keyword_text(&keyword));
        let blame = |kind| CardFault { card_text: printable(line.as_bytes()), kind };
        keyword.validate().map_err(|fault| blame(fault.into()))?;
        if text.len() > COMMENTARY_COLUMNS {
            return Err(blame(CardFaultKind::TooLong { length: text.len(), limit: COMMENTARY_COLUMNS }));
        }
        Self::checked_commentary(Card::from_text(&line)?, &keyword)
    }

    /// Writes commentary of any length: each line of `text` over as many cards as it needs, parted at column 80.
    ///
    /// # Errors
    ///
    /// As [`Record::commentary`].
    pub fn commentary_wrapped(keyword: &str, text: &str) -> Result<Vec<Self>, CardFault> {
        let mut records = Vec::new();
        for line in text.split('\n') {
            let mut rest = line.trim_end_matches([' ', '\r']);
            loop {
                // A place that is not between characters is not ASCII: the whole rest is then refused by name.
                let (piece, after) = rest.split_at_checked(COMMENTARY_COLUMNS.min(rest.len())).unwrap_or((rest, ""));
                records.push(Self::commentary(keyword, piece)?);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
        }
        Ok(records)
    }

    /// Takes a header record written by hand, of at most 80 characters.
    ///
    /// # Errors
    ///
    /// A [`CardFault`] where the text is no legal card, or is END or CONTINUE, which mean nothing alone.
    pub fn from_literal(text: &str) -> Result<Self, CardFault> {
        let card = Card::from_text(text)?;
        if card.is_end() {
            return Err(card.blame(CardFaultKind::End));
        }
        if let Some(fault) = card.fault() {
            return Err(fault);
        }
        let record = Self::of_card(card);
        if record.keyword.name == "CONTINUE" {
            return Err(card.blame(CardFaultKind::OrphanContinue));
        }
        Ok(record)
    }

    fn checked_commentary(card: Card, keyword: &Keyword) -> Result<Self, CardFault> {
        let is_alone = !card.is_end() && keyword.name != "CONTINUE" && keyword.name != "END";
        if is_alone && card.keyword() == *keyword && card.0.get(8..10) != Some(b"= ") {
            Ok(Self { keyword: keyword.clone(), cards: vec![card] })
        } else {
            Err(card.blame(CardFaultKind::NotCommentary))
        }
    }
}

impl Card {
    /// The card with another name before its `=`, all other bytes unchanged; none where the name does not fit there.
    fn with_name(&self, to: &Keyword) -> Option<Self> {
        let at = self.equals_column()?;
        let name = layout::keyword_text(to);
        let fits = if to.is_hierarchical() { name.len() <= at } else { at == 8 };
        let mut bytes = self.0;
        bytes.get_mut(..at)?.fill(b' ');
        bytes.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
        if fits { Some(Self(bytes)) } else { None }
    }
}

fn token_text(token: &[u8]) -> Result<&str, ValueFault> {
    std::str::from_utf8(token).map_err(|_| ValueFault::NotPrintable)
}

/// The bytes without trailing spaces as text that is safe to show: `?` for all that is not printable ASCII.
fn printable(bytes: &[u8]) -> String {
    let text: String = bytes.iter().map(|byte| if is_printable(&[*byte]) { char::from(*byte) } else { '?' }).collect();
    text.trim_end_matches(' ').to_owned()
}

#[cfg(test)]
mod tests;
