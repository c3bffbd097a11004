//! Records made from parts that are kept as they are: a value's own text, a card's own bytes.

use crate::fits::CARD_BYTES;
use crate::fits::card::{Card, Record};
use crate::fits::field;
use crate::fits::keyword::{Keyword, KeywordKind};
use crate::fits::layout;
use crate::fits::value::is_printable;

/// Column (0-based) behind a fixed-format value, where comments of standard keywords begin (Standard 4.2).
const FIXED_END: usize = 30;

impl Record {
    /// Writes a value token as it is, such as `12.500`, on one card; `None` where it does not fit or is not legal.
    ///
    /// The comment is cut where the card ends.
    pub fn of_token(keyword: &Keyword, token: &str, comment: Option<&str>) -> Option<Record> {
        let line = layout::token_line(keyword, token, comment).ok()??;
        let record = Record { keyword: keyword.clone(), cards: vec![Card::from_text(&line).ok()?] };
        if record.value().is_ok() { Some(record) } else { None }
    }

    /// The value as its card writes it, strings in quotes and those of several cards joined; the text of commentary; the
    /// whole card where the value cannot be read. For people.
    pub fn value_text(&self) -> String {
        match (self.value(), self.cards.as_slice()) {
            (Ok(None), _) => self.commentary_text().trim_start().to_owned(),
            (Ok(Some(_)), [card]) => {
                let token = card.value_field().and_then(|value_field| field::split(value_field).ok());
                token.map_or_else(String::new, |field| String::from_utf8_lossy(field.token).into_owned())
            }
            (Ok(Some(value)), _) => value.to_token().unwrap_or_default(),
            (Err(_), cards) => cards.first().map(Card::text).unwrap_or_default(),
        }
    }

    /// The record of one card with `comment` behind its value; every byte up to the value's end stays.
    ///
    /// `None` where nothing is to be done: commentary, several cards, a value that cannot be read, a comment that is
    /// there already, empty, or not printable ASCII, or less room than ` / ` and one character need.
    pub fn with_comment(&self, comment: &str) -> Option<Record> {
        let [card] = self.cards.as_slice() else { return None };
        let value_field = card.value_field().filter(|_| self.keyword.kind != KeywordKind::Commentary)?;
        let comment = comment.trim_matches(' ');
        if self.value().is_err() || self.comment().is_some() || comment.is_empty() || !is_printable(comment.as_bytes())
        {
            return None;
        }
        let token = field::split(value_field).ok()?.token;
        let field_start = CARD_BYTES - value_field.len();
        let leading = value_field.len() - value_field.trim_ascii_start().len();
        let value_end = if token.is_empty() { field_start } else { field_start + leading + token.len() };
        let from = if self.keyword.kind == KeywordKind::Value { value_end.max(FIXED_END) } else { value_end };
        let mut bytes = *card.as_bytes();
        let tail = bytes.get_mut(from..).filter(|tail| tail.len() > 3)?;
        tail.fill(b' ');
        for (to, byte) in tail.iter_mut().zip(b" / ".iter().chain(comment.as_bytes())) {
            *to = *byte;
        }
        // Between the value and the fixed column there may have been the slash of an empty comment.
        bytes.get_mut(value_end..from)?.fill(b' ');
        Some(Record { keyword: self.keyword.clone(), cards: vec![Card::from_bytes(bytes)] })
    }
}

#[cfg(test)]
mod tests {
    use crate::fits::card::{Card, Record};
    use crate::fits::keyword::Keyword;

    fn check(card: &str, comment: &str, expected: Option<&str>) {
        let record = Record::of_card(Card::from_text(card).expect("printable"));
        let amended = record.with_comment(comment);
        assert_eq!(amended.as_ref().map(|record| record.cards[0].text()).as_deref(), expected, "{card}");
        if let Some(amended) = amended {
            assert_eq!(amended.value(), record.value(), "{card}");
        }
    }

    #[test]
    fn a_comment_goes_behind_the_value_and_moves_nothing() {
        check("RA      =               12.500", "pointing", Some("RA      =               12.500 / pointing"));
        check("RA      = 12.50D+00", "pointing", Some("RA      = 12.50D+00            / pointing"));
        check("RA      = 12.5 /", "pointing", Some("RA      = 12.5                 / pointing"));
        check("HIERARCH ESO TPL ID = 'X/Y'", "Template id", Some("HIERARCH ESO TPL ID = 'X/Y' / Template id"));
        check("HIERARCH ESO TPL ID=   'a''b'  ", " id ", Some("HIERARCH ESO TPL ID=   'a''b' / id"));
        check("EMPTY   = ", "nothing yet", Some("EMPTY   =                      / nothing yet"));
        let long = format!("NOTE    = '{}'", "x".repeat(63));
        check(&long, "text", Some(&format!("{long} / te")));
        check(&format!("NOTE    = '{}'", "x".repeat(65)), "text", None);
        check("RA      = 12.5 / own", "pointing", None);
        check("COMMENT a = b", "c", None);
        check("RA      = 1 2 'x", "c", None);
        check("RA      = 12.5", "", None);
        check("RA      = 12.5", "caf\u{e9}", None);
    }

    #[test]
    fn a_value_is_shown_as_it_is_written() {
        for (card, expected) in [
            ("RA      =               12.50 / c", "12.50"),
            ("OBJECT  = 'it''s   ' / c", "'it''s   '"),
            ("HIERARCH ESO A B = T", "T"),
            ("EMPTY   =", ""),
            ("COMMENT some text", "some text"),
            ("RA      = 1 2 3 / c", "RA      = 1 2 3 / c"),
        ] {
            let record = Record::of_card(Card::from_text(card).expect("printable"));
            assert_eq!(record.value_text(), expected, "{card}");
        }
    }

    #[test]
    fn a_token_is_written_as_it_is() {
        let text =
            |name: Keyword, token: &str| Record::of_token(&name, token, Some("c")).map(|record| record.cards[0].text());
        let fixed = "EXPTIME =               12.500 / c".to_owned();
        assert_eq!(text(Keyword::value("EXPTIME"), "12.500"), Some(fixed));
        assert_eq!(text(Keyword::eso("DET DIT"), "1.E-05"), Some("HIERARCH ESO DET DIT = 1.E-05 / c".to_owned()));
        assert_eq!(text(Keyword::value("EXPTIME"), "12.5.0"), None);
        assert_eq!(text(Keyword::value("EXPTIME"), &"1".repeat(71)), None);
        assert_eq!(text(Keyword::value("lower"), "1"), None);
    }
}
