//! Splits the field behind the value indicator into value token and comment (Standard 4.1.2.3, 4.2).

use crate::fits::value::{ValueFault, string_end};

/// The two parts of a value field, as written.
pub(crate) struct Field<'a> {
    /// The value token without the spaces around it; empty where the value is undefined.
    pub(crate) token: &'a [u8],
    /// The bytes behind the `/`, untrimmed.
    pub(crate) comment: Option<&'a [u8]>,
}

/// Splits `field` at the end of its value.
pub(crate) fn split(field: &[u8]) -> Result<Field<'_>, ValueFault> {
    let field = field.trim_ascii();
    if field.first() == Some(&b'\'') {
        let end = string_end(field).ok_or(ValueFault::UnterminatedString)?;
        let (token, rest) = field.split_at_checked(end).ok_or(ValueFault::UnterminatedString)?;
        return match rest.trim_ascii_start() {
            [] => Ok(Field { token, comment: None }),
            [b'/', comment @ ..] => Ok(Field { token, comment: Some(comment) }),
            _ => Err(ValueFault::TextAfterValue),
        };
    }
    Ok(match field.iter().position(|byte| *byte == b'/').and_then(|slash| field.split_at_checked(slash)) {
        None => Field { token: field, comment: None },
        Some((token, comment)) => Field { token: token.trim_ascii_end(), comment: comment.get(1..) },
    })
}

/// Longest run of digits that certainly fits an integer and a double.
const PLAIN_DIGITS: usize = 30;

/// Whether a printable field holds a string, a logical or a number without exponent, and at most a comment behind it.
///
/// Says no to other values that are legal too: those need a closer look. Allocates nothing.
pub(crate) fn is_plain(field: &[u8]) -> bool {
    let Ok(Field { token, .. }) = split(field) else { return false };
    match token {
        // `split` has found its closing quote and nothing but a comment behind it.
        [b'\'', ..] | [b'T' | b'F'] => true,
        [b'+' | b'-', digits @ ..] | digits => {
            let points = digits.iter().filter(|byte| **byte == b'.').count();
            let is_number = digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
            is_number && points <= 1 && digits.len() > points && digits.len() <= PLAIN_DIGITS
        }
    }
}
