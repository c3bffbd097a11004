//! Lays a keyword, a value and a comment out on lines of at most 80 columns, with CONTINUE where a string is long.
//!
//! Knows only text: cards are made from it by `card`.

use crate::fits::CARD_BYTES;
use crate::fits::fault::CardFaultKind;
use crate::fits::keyword::{Keyword, KeywordKind};
use crate::fits::value::{Value, ValueFault, is_printable, quoted};

/// Columns of a fixed-format value field, 11 to 30 (Standard 4.2).
const FIXED_COLUMNS: usize = 20;
const CONTINUE: &str = "CONTINUE  ";
/// Columns that a string piece needs besides its text: two quotes and `&`.
const PIECE_EXTRA: usize = 3;

/// The keyword field as written, without the value indicator.
pub(crate) fn keyword_text(keyword: &Keyword) -> String {
    match keyword.kind {
        KeywordKind::Eso => format!("HIERARCH ESO {}", keyword.name),
        KeywordKind::Hierarch => format!("HIERARCH {}", keyword.name),
        KeywordKind::Value | KeywordKind::Commentary => format!("{:<8}", keyword.name),
    }
}

/// Lines of a record with a value, in fixed format for standard keywords.
pub(crate) fn value_lines(
    keyword: &Keyword,
    value: &Value,
    comment: Option<&str>,
) -> Result<Vec<String>, CardFaultKind> {
    let padded = value.to_token()?;
    if let Some(line) = token_line(keyword, &padded, comment)? {
        return Ok(vec![line]);
    }
    let Value::String(text) = value else {
        return Err(no_room(keyword, padded.len()));
    };
    // Trailing spaces mean nothing (Standard 4.2.1.1): they must not cost a card.
    let bare = quoted(text.trim_end_matches(' '))?;
    if let Some(line) = token_line(keyword, &format!("'{bare}'"), comment)? {
        return Ok(vec![line]);
    }
    string_lines(keyword, &bare, comment)
}

/// One line for a value token as written; none where it does not fit.
pub(crate) fn token_line(
    keyword: &Keyword,
    token: &str,
    comment: Option<&str>,
) -> Result<Option<String>, CardFaultKind> {
    check_comment(comment)?;
    let heads = heads(keyword)?;
    let Some(mut line) = heads.into_iter().find(|head| head.len() + token.len() <= CARD_BYTES) else {
        return Ok(None);
    };
    let start = line.len();
    if keyword.kind == KeywordKind::Value && !token.starts_with('\'') {
        line.push_str(&format!("{token:>FIXED_COLUMNS$}"));
    } else {
        line.push_str(token);
    }
    // CFITSIO and astropy both start the comments of standard keywords in one column.
    let comment_from = if keyword.kind == KeywordKind::Value { start + FIXED_COLUMNS } else { 0 };
    push_comment(&mut line, comment, comment_from);
    Ok(Some(line))
}

/// The keyword with its value indicator, best form first: ` = `, then `= ` where one column is missing.
fn heads(keyword: &Keyword) -> Result<Vec<String>, CardFaultKind> {
    keyword.validate()?;
    let name = keyword_text(keyword);
    match keyword.kind {
        KeywordKind::Value => Ok(vec![format!("{name}= ")]),
        KeywordKind::Eso | KeywordKind::Hierarch => Ok(vec![format!("{name} = "), format!("{name}= ")]),
        KeywordKind::Commentary => Err(CardFaultKind::NoValue),
    }
}

/// Splits a string over CONTINUE cards (Standard 4.2.1.2). `bare` has its quotes doubled.
fn string_lines(keyword: &Keyword, bare: &str, comment: Option<&str>) -> Result<Vec<String>, CardFaultKind> {
    let mut head = heads(keyword)?
        .into_iter()
        .find(|head| head.len() + PIECE_EXTRA <= CARD_BYTES)
        .ok_or_else(|| no_room(keyword, PIECE_EXTRA))?;
    let comment_columns = comment.map_or(0, |text| 3 + text.trim_matches(' ').len());
    let mut rest = bare;
    let mut lines = Vec::new();
    // Each round after the first takes at least one character: a CONTINUE card has room for 67.
    loop {
        let room = CARD_BYTES.saturating_sub(head.len() + PIECE_EXTRA);
        let is_last = rest.len() <= room && !lines.is_empty();
        // A comment that does not fit behind the last piece gets a card with the last character: a piece without
        // text would not do, because readers may take that for the end of the string.
        let is_crowded = head.len() + rest.len() + 2 + comment_columns > CARD_BYTES;
        let unit = rest.len() - piece_length(rest, rest.len().saturating_sub(1));
        if is_last && (comment_columns == 0 || !is_crowded || unit == rest.len()) {
            let mut line = format!("{head}'{rest}'");
            push_comment(&mut line, comment, 0);
            lines.push(line);
            return Ok(lines);
        }
        let length = if is_last { rest.len() - unit } else { piece_length(rest, room) };
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
        lines.push(format!("{head}'{piece}&'"));
        rest = after;
        CONTINUE.clone_into(&mut head);
    }
}

/// The longest start of `text` within `room` bytes that does not part a doubled quote.
fn piece_length(text: &str, room: usize) -> usize {
    let bytes = text.as_bytes();
    let mut length = 0;
    while length < bytes.len() {
        let step = if bytes.get(length) == Some(&b'\'') { 2 } else { 1 };
        if length + step > room {
            break;
        }
        length += step;
    }
    length
}

/// Adds ` / comment`, at the earliest behind column `from` (a count of columns), cut at the card's end.
fn push_comment(line: &mut String, comment: Option<&str>, from: usize) {
    let Some(comment) = comment.map(|text| text.trim_matches(' ')).filter(|text| !text.is_empty()) else {
        return;
    };
    // A slash without a character of comment behind it would only be noise.
    if line.len().max(from) + 3 < CARD_BYTES {
        *line = format!("{line:<from$} / {comment}");
        line.truncate(CARD_BYTES);
    }
}

fn check_comment(comment: Option<&str>) -> Result<(), CardFaultKind> {
    if comment.is_none_or(|text| is_printable(text.as_bytes())) {
        Ok(())
    } else {
        Err(CardFaultKind::Value(ValueFault::NotPrintable))
    }
}

fn no_room(keyword: &Keyword, needed: usize) -> CardFaultKind {
    let head = keyword_text(keyword).len() + 2;
    CardFaultKind::ValueTooLong { needed, room: CARD_BYTES.saturating_sub(head) }
}
