//! Values of keywords: from FITS text and back (Standard 4.2).
//!
//! Works on the value token alone; where it stands on a card is `field` and `layout`.

/// The value of a keyword.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text. Trailing spaces are not significant and are removed on reading; so `''` and `'   '` read the same.
    String(String),
    /// `T` or `F`.
    Logical(bool),
    /// An integer; one beyond 128 bits is read as [`Value::Real`].
    Integer(i128),
    /// A real number, with exponent letter E or D.
    Real(f64),
    /// `(re, im)` of integers.
    ComplexInteger(i128, i128),
    /// `(re, im)` of which at least one is real.
    ComplexReal(f64, f64),
    /// A value indicator without a value (Standard 4.1.2.3).
    Undefined,
}

/// Why a text is no value, or a value has no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueFault {
    /// A string without its closing quote.
    #[error("the string has no closing quote: end it with one, and double the quotes inside it")]
    UnterminatedString,
    /// Characters behind the value that are not a comment.
    #[error("text follows the value: put '/' before a comment")]
    TextAfterValue,
    /// Characters outside of printable ASCII (Standard 4.2.1 allows 32 to 126).
    #[error("the value has characters outside of printable ASCII: replace them")]
    NotPrintable,
    /// Neither string, logical, number nor complex number.
    #[error("the value is no string, logical or number: quote a string, write T or F, or correct the number")]
    NotAValue,
    /// NaN, an infinity, or a number beyond the range of a double.
    #[error("the number is not finite or beyond the range of a double: FITS headers cannot hold it")]
    NotFinite,
}

impl Value {
    /// Reads a value token (spaces around it are ignored); an empty one is [`Value::Undefined`].
    ///
    /// # Errors
    ///
    /// [`ValueFault`] where the token is none of the forms of Standard 4.2. Lower-case exponent letters are read.
    pub fn parse(token: &str) -> Result<Self, ValueFault> {
        let token = token.trim_matches(' ');
        if !is_printable(token.as_bytes()) {
            return Err(ValueFault::NotPrintable);
        }
        match token.as_bytes() {
            [] => Ok(Self::Undefined),
            [b'T'] => Ok(Self::Logical(true)),
            [b'F'] => Ok(Self::Logical(false)),
            [b'\'', ..] => parse_string(token),
            [b'(', ..] => parse_complex(token),
            _ => match parse_number(token)? {
                Number::Integer(integer) => Ok(Self::Integer(integer)),
                Number::Real(real) => Ok(Self::Real(real)),
            },
        }
    }

    /// Writes the value as FITS text: strings quoted and padded to eight characters, reals as the shortest text
    /// that reads back to the same double, always with a point.
    ///
    /// # Errors
    ///
    /// [`ValueFault::NotFinite`] and [`ValueFault::NotPrintable`]: FITS has no text for those values.
    pub fn to_token(&self) -> Result<String, ValueFault> {
        Ok(match self {
            Self::String(text) => format!("'{:<8}'", quoted(text)?),
            Self::Logical(true) => "T".to_owned(),
            Self::Logical(false) => "F".to_owned(),
            Self::Integer(integer) => integer.to_string(),
            Self::Real(real) => real_text(*real)?,
            Self::ComplexInteger(re, im) => format!("({re}, {im})"),
            Self::ComplexReal(re, im) => format!("({}, {})", real_text(*re)?, real_text(*im)?),
            Self::Undefined => String::new(),
        })
    }

    /// The name of the value's type, for messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::Logical(_) => "logical",
            Self::Integer(_) => "integer",
            Self::Real(_) => "real",
            Self::ComplexInteger(..) | Self::ComplexReal(..) => "complex",
            Self::Undefined => "undefined",
        }
    }
}

/// Whether all bytes are in the range that headers may hold (Standard 4.1.1).
pub(crate) fn is_printable(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The index behind the closing quote of a string that opens at index 0.
pub(crate) fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 1;
    while at < bytes.len() {
        if bytes.get(at) != Some(&b'\'') {
            at += 1;
        } else if bytes.get(at + 1) == Some(&b'\'') {
            at += 2;
        } else {
            return Some(at + 1);
        }
    }
    None
}

/// The text with its quotes doubled, without the quotes around it and without padding.
pub(crate) fn quoted(text: &str) -> Result<String, ValueFault> {
    if is_printable(text.as_bytes()) { Ok(text.replace('\'', "''")) } else { Err(ValueFault::NotPrintable) }
}

fn parse_string(token: &str) -> Result<Value, ValueFault> {
    match string_end(token.as_bytes()) {
        None => Err(ValueFault::UnterminatedString),
        Some(end) if end < token.len() => Err(ValueFault::TextAfterValue),
        Some(_) => {
            let inner = token.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or_default();
            Ok(Value::String(inner.replace("''", "'").trim_end_matches(' ').to_owned()))
        }
    }
}

fn parse_complex(token: &str) -> Result<Value, ValueFault> {
    let inner = token.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).ok_or(ValueFault::NotAValue)?;
    let (re, im) = inner.split_once(',').ok_or(ValueFault::NotAValue)?;
    match (parse_number(re.trim_matches(' '))?, parse_number(im.trim_matches(' '))?) {
        (Number::Integer(re), Number::Integer(im)) => Ok(Value::ComplexInteger(re, im)),
        (re, im) => Ok(Value::ComplexReal(re.as_real(), im.as_real())),
    }
}

enum Number {
    Integer(i128),
    Real(f64),
}

impl Number {
    fn as_real(&self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "the other part is real: so is the pair")]
            Self::Integer(integer) => *integer as f64,
            Self::Real(real) => *real,
        }
    }
}

fn parse_number(text: &str) -> Result<Number, ValueFault> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['E', 'D', 'e', 'd']) {
        None => (unsigned, None),
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
    };
    let is_digits = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let exponent_digits = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
    // The Standard's grammar is checked here because Rust's parser also takes "inf", "nan" and "infinity".
    let legal = is_digits(whole)
        && is_digits(fraction)
        && whole.len() + fraction.len() > 0
        && exponent_digits.is_none_or(|digits| !digits.is_empty() && is_digits(digits));
    if !legal {
        return Err(ValueFault::NotAValue);
    }
    if exponent.is_none()
        && !mantissa.contains('.')
        && let Ok(integer) = text.parse()
    {
        return Ok(Number::Integer(integer));
    }
    match text.replace(['D', 'd'], "E").parse::<f64>() {
        Ok(real) if real.is_finite() => Ok(Number::Real(real)),
        _ => Err(ValueFault::NotFinite),
    }
}

fn real_text(real: f64) -> Result<String, ValueFault> {
    if !real.is_finite() {
        return Err(ValueFault::NotFinite);
    }
    // Debug writes the shortest digits that read back, with a point or an exponent ("1e-30").
    let text = format!("{real:?}");
    Ok(match text.split_once('e') {
        None => text,
        Some((mantissa, exponent)) if mantissa.contains('.') => format!("{mantissa}E{exponent}"),
        Some((mantissa, exponent)) => format!("{mantissa}.0E{exponent}"),
    })
}

#[cfg(test)]
mod tests;
