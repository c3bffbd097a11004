//! Reads the text of a specification as strict JSON, safely: what was written, not yet what it means.
//!
//! Refuses what other readers pass over in silence: duplicate members (which one counts?), integers beyond 64 bits
//! (they would lose digits), a byte order mark. Knows nothing of specifications.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::collections::BTreeSet;
use std::fmt;
use thiserror::Error;

use crate::specification::fault::{FAULTS_MAX, Fault, FaultList, SpecificationError, quoted};
use crate::specification::position;

/// Longest text that is read, in bytes: the largest request.
pub const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// JSON values in one document: room for 200 000 keywords of five values each, and a bound for the memory that a
/// text of `[0,0,0,..` can claim (about 100 bytes a value).
pub const VALUES_MAX: usize = 2_000_000;

/// Longest JSON pointer to a value, in bytes: ten times what a specification needs. Pointers are kept for every fault,
/// and names of megabytes must not be multiplied.
pub const POINTER_BYTES_MAX: usize = 512;

/// Numbers that are looked at again in the text; as many as there may be keywords.
const SUSPECTS_MAX: usize = 200_000;

/// Why a text cannot be read at all. Faults of single values are no `DocumentError`: see [`Document`].
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DocumentError {
    /// Longer than [`TEXT_BYTES_MAX`].
    #[error("{bytes} bytes are too long for a specification")]
    TooLong {
        /// Length of the text.
        bytes: usize,
    },
    /// More than [`VALUES_MAX`] values.
    #[error("more than {VALUES_MAX} values are too many for a specification")]
    TooManyValues,
    /// Member names are so long that the pointer to a value is longer than [`POINTER_BYTES_MAX`].
    #[error("member name too long, near line {line}")]
    NameTooLong {
        /// Line, 1-based.
        line: usize,
    },
    /// The bytes are not UTF-8.
    #[error("the text is not UTF-8 at byte {offset}")]
    NotUtf8 {
        /// First wrong byte, 0-based.
        offset: usize,
        /// Line of that byte, 1-based.
        line: usize,
    },
    /// The text begins with U+FEFF.
    #[error("the text begins with a byte order mark")]
    ByteOrderMark,
    /// Nested deeper than the 128 levels that are followed.
    #[error("nested too deeply at line {line} column {column}")]
    TooDeep {
        /// Line, 1-based.
        line: usize,
        /// Byte in the line, 1-based.
        column: usize,
    },
    /// A number such as 1e999.
    #[error("number beyond the range of a double at line {line} column {column}")]
    NumberOutOfRange {
        /// Line, 1-based.
        line: usize,
        /// Byte in the line, 1-based.
        column: usize,
    },
    /// Half of a surrogate pair: it stands for no character.
    #[error("lone surrogate in a string at line {line} column {column}")]
    LoneSurrogate {
        /// Line, 1-based.
        line: usize,
        /// Byte in the line, 1-based.
        column: usize,
    },
    /// Not JSON.
    #[error("not valid JSON: {message} at line {line} column {column}")]
    Syntax {
        /// What the parser saw.
        message: String,
        /// Line, 1-based.
        line: usize,
        /// Byte in the line, 1-based.
        column: usize,
    },
}

impl DocumentError {
    /// Line of the text, 1-based.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::TooLong { .. } | Self::TooManyValues => None,
            Self::ByteOrderMark => Some(1),
            Self::NotUtf8 { line, .. }
            | Self::NameTooLong { line }
            | Self::TooDeep { line, .. }
            | Self::NumberOutOfRange { line, .. }
            | Self::LoneSurrogate { line, .. }
            | Self::Syntax { line, .. } => Some(*line),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::TooLong { .. } => format!("the limit is {TEXT_BYTES_MAX} bytes: move keywords into a FITS file"),
            Self::TooManyValues => "split the specification, or move keywords into a FITS file".to_owned(),
            Self::NameTooLong { .. } => "no member of a specification has a name of more than 20 letters".to_owned(),
            Self::NotUtf8 { .. } => "save the file as UTF-8".to_owned(),
            Self::ByteOrderMark => "save the file as UTF-8 without byte order mark".to_owned(),
            Self::TooDeep { .. } => "a specification needs fewer than ten levels".to_owned(),
            Self::NumberOutOfRange { .. } => "the largest real is about 1.8e308".to_owned(),
            Self::LoneSurrogate { .. } => "write the character itself, or both halves of its \\u pair".to_owned(),
            Self::Syntax { message, .. } => syntax_hint(message).to_owned(),
        }
    }

    /// The one fault that stands for this error.
    pub(crate) fn into_error(self) -> SpecificationError {
        let (line, hint) = (self.line(), Some(self.hint()));
        SpecificationError { faults: vec![Fault { pointer: String::new(), line, message: self.to_string(), hint }] }
    }
}

fn syntax_hint(message: &str) -> &'static str {
    match message {
        "trailing comma" => "remove the comma: JSON allows none behind the last element",
        "trailing characters" => "one document holds one JSON object: remove what follows it",
        "key must be a string" => "write member names in double quotes",
        "expected value" => "JSON has neither comments, single quotes, NaN nor words other than true, false and null",
        "expected `,` or `}`" | "expected `,` or `]`" => "a comma or closing bracket is missing before this place",
        "expected `:`" => "a colon is missing behind a member's name",
        "invalid escape" => "write a backslash as \\\\",
        "invalid number" => "write numbers as 12, -0.5 or 1.0E-3: no leading zero, plus sign or bare point",
        message if message.starts_with("EOF") => "the text ends too early: is the file complete",
        message if message.starts_with("control character") => "write line ends in strings as \\n, tabs as \\t",
        _ => "correct the JSON at this place",
    }
}

/// A text that is JSON, with its value.
#[derive(Debug)]
pub struct Document {
    value: Value,
    duplicates: Vec<String>,
    too_large: Vec<String>,
}

impl Document {
    /// Reads `text`.
    ///
    /// Duplicate members and integers beyond 64 bits do not stop the reading, so that they can be reported together
    /// with all other faults; the first member of a name counts meanwhile.
    ///
    /// # Errors
    ///
    /// [`DocumentError`] if the text is no JSON or goes beyond a limit.
    pub fn read(text: &str) -> Result<Document, DocumentError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(DocumentError::TooLong { bytes: text.len() });
        }
        if text.starts_with('\u{feff}') {
            return Err(DocumentError::ByteOrderMark);
        }
        let mut state = State::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let read = ValueSeed { state: &mut state }.deserialize(&mut deserializer);
        let value = read.and_then(|value| deserializer.end().map(|()| value));
        let value = value.map_err(|error| match state.limit {
            Some(Limit::Values) => DocumentError::TooManyValues,
            Some(Limit::Pointer) => DocumentError::NameTooLong { line: error.line() },
            None => classify(text, &error),
        })?;
        let mut document = Document { value, duplicates: state.duplicates, too_large: Vec::new() };
        document.restore_integers(text, state.suspects);
        Ok(document)
    }

    /// As [`Document::read`], from bytes that should be UTF-8.
    ///
    /// # Errors
    ///
    /// As [`Document::read`], and [`DocumentError::NotUtf8`].
    pub fn text_of(bytes: &[u8]) -> Result<&str, DocumentError> {
        if bytes.len() > TEXT_BYTES_MAX {
            return Err(DocumentError::TooLong { bytes: bytes.len() });
        }
        std::str::from_utf8(bytes).map_err(|error| {
            let offset = error.valid_up_to();
            let line = 1 + bytes.iter().take(offset).filter(|byte| **byte == b'\n').count();
            DocumentError::NotUtf8 { offset, line }
        })
    }

    /// The value that was read.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Reports what the text says twice or too large.
    pub(crate) fn faults(&self, list: &mut FaultList) {
        for pointer in &self.duplicates {
            let name = pointer.rsplit('/').next().unwrap_or_default();
            let message = format!("member {} is given twice", quoted(name));
            list.push_duplicate(pointer, message, Some("keep one of them".to_owned()));
        }
        for pointer in &self.too_large {
            let hint = "integers have at most 64 bits: write a real (with point or exponent) or a string";
            list.push(pointer, "integer beyond 64 bits", Some(hint.to_owned()));
        }
    }

    /// serde_json makes a double of an integer beyond 64 bits, and of `-0`: looks at how they were written.
    fn restore_integers(&mut self, text: &str, suspects: BTreeSet<String>) {
        let places = position::find(text, &suspects);
        for pointer in suspects {
            let token = places.get(&pointer).and_then(|place| text.get(place.value.clone())).unwrap_or_default();
            if token.contains(['.', 'e', 'E']) {
                continue;
            }
            if token == "-0" {
                if let Some(value) = self.value.pointer_mut(&pointer) {
                    *value = Value::from(0);
                }
            } else {
                self.too_large.push(pointer);
            }
        }
    }
}

/// Gives serde_json's error its type.
fn classify(text: &str, error: &serde_json::Error) -> DocumentError {
    let (line, mut column) = (error.line(), error.column());
    let full = error.to_string();
    let message = full.split(" at line ").next().unwrap_or_default();
    if message.starts_with("recursion limit") {
        return DocumentError::TooDeep { line, column };
    }
    if message == "number out of range" {
        return DocumentError::NumberOutOfRange { line, column };
    }
    if message.contains("surrogate") || message == "unexpected end of hex escape" {
        return DocumentError::LoneSurrogate { line, column };
    }
    let mut line = line;
    if message == "trailing comma" {
        // The parser stands at the bracket; the comma to remove stands before it.
        (line, column) = comma_before(text, line, column).unwrap_or((line, column));
    }
    DocumentError::Syntax { message: message.to_owned(), line, column }
}

/// Place (line, column; 1-based) of the last comma before a place.
fn comma_before(text: &str, line: usize, column: usize) -> Option<(usize, usize)> {
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let bytes = text.as_bytes();
    let before = bytes.get(..(start + column).min(bytes.len()))?;
    let comma = before.iter().rposition(|byte| *byte == b',')?;
    let line_start = before.get(..comma)?.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = 1 + before.get(..comma)?.iter().filter(|byte| **byte == b'\n').count();
    Some((line, comma - line_start + 1))
}

/// What is noted while the text is read.
#[derive(Default)]
struct State {
    pointer: String,
    values: usize,
    duplicates: Vec<String>,
    /// Pointers of doubles that may have been written as integers.
    suspects: BTreeSet<String>,
    limit: Option<Limit>,
}

/// The limit that stopped the reading.
#[derive(Clone, Copy)]
enum Limit {
    Values,
    Pointer,
}

struct ValueSeed<'s> {
    state: &'s mut State,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.state.values += 1;
        if self.state.values > VALUES_MAX || self.state.suspects.len() > SUSPECTS_MAX {
            self.state.limit = Some(Limit::Values);
        }
        if self.state.pointer.len() > POINTER_BYTES_MAX {
            self.state.limit = Some(Limit::Pointer);
        }
        if self.state.limit.is_some() {
            return Err(D::Error::custom("beyond a limit"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // 2^63: no double below it comes from an integer, except the zero of `-0`.
        if value.abs() >= 9_223_372_036_854_775_808.0 || (value == 0.0 && value.is_sign_negative()) {
            self.state.suspects.insert(self.state.pointer.clone());
        }
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        let parent = self.state.pointer.len();
        loop {
            position::push_token(&mut self.state.pointer, &items.len().to_string());
            let item = seq.next_element_seed(ValueSeed { state: &mut *self.state })?;
            self.state.pointer.truncate(parent);
            match item {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        let parent = self.state.pointer.len();
        while let Some(name) = map.next_key::<String>()? {
            position::push_token(&mut self.state.pointer, &name);
            let value = map.next_value_seed(ValueSeed { state: &mut *self.state })?;
            if members.contains_key(&name) {
                // One more than a report lists shows that there are more.
                if self.state.duplicates.len() <= FAULTS_MAX {
                    self.state.duplicates.push(self.state.pointer.clone());
                }
            } else {
                members.insert(name, value);
            }
            self.state.pointer.truncate(parent);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests;
