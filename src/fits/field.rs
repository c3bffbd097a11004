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
