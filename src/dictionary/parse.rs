//! From the bytes of a dictionary to its parameters.
//!
//! A dictionary is lines `Field: value`; a record begins with `Parameter Name:`. Lines that begin with `#` are comments,
//! and every other line goes on with the field before it. A record that is wrong in part is used as far as it is right,
//! and what is wrong is told with its line: real dictionaries have misspelt fields and stray lines.

use std::borrow::Cow;

use crate::dictionary::number_format::NumberFormat;
use crate::dictionary::range::Range;
use crate::dictionary::template::Template;
use crate::fits::value::is_printable;
use crate::specification::fault::quoted;

/// Bytes of a dictionary: twenty times ESO's longest.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Parameters of a dictionary: twenty times those of ESO's longest.
pub const PARAMETERS_MAX: usize = 20_000;
/// More faults of a dictionary than these tell nobody anything new.
const FAULTS_MAX: usize = 100;
/// Characters of a comment: more never fit a card.
const COMMENT_CHARS_MAX: usize = 80;

/// A dictionary that was read.
#[derive(Clone, Debug, Default)]
pub struct Dictionary {
    /// Its name as it gives it itself; empty if it does not.
    pub name: String,
    /// What is wrong in it, at most a hundred lines.
    pub faults: Vec<LineFault>,
    pub(in crate::dictionary) parameters: Vec<Parameter>,
}

/// What a dictionary says of a keyword.
#[derive(Clone, Debug)]
pub(in crate::dictionary) struct Parameter {
    /// Its names.
    pub(in crate::dictionary) names: Vec<Template>,
    /// Type of its value; `None` where the dictionary does not say it.
    pub(in crate::dictionary) value_type: Option<ValueType>,
    pub(in crate::dictionary) format: Option<NumberFormat>,
    /// Printable ASCII; empty where there is none.
    pub(in crate::dictionary) comment: String,
    /// The range and its text.
    pub(in crate::dictionary) range: Option<(Range, String)>,
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueType {
    /// `logical`
    Logical,
    /// `integer`
    Integer,
    /// `double`
    Double,
    /// `string`
    String,
}

impl ValueType {
    fn parse(text: &str) -> Option<ValueType> {
        match text.to_ascii_lowercase().as_str() {
            "logical" | "boolean" | "bool" => Some(ValueType::Logical),
            "integer" | "int" => Some(ValueType::Integer),
            "double" | "float" | "real" => Some(ValueType::Double),
            "string" => Some(ValueType::String),
            _ => None,
        }
    }

    /// As it is written in a dictionary.
    pub fn as_str(self) -> &'static str {
        match self {
            ValueType::Logical => "logical",
            ValueType::Integer => "integer",
            ValueType::Double => "double",
            ValueType::String => "string",
        }
    }
}

/// A line that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct LineFault {
    /// 1-based number of the line.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// Why bytes are no dictionary.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DictionaryError {
    /// Too long.
    #[error("it has {bytes} bytes, more than {FILE_BYTES_MAX}: split it")]
    TooLong {
        /// Its bytes, or as many as were read.
        bytes: usize,
    },
    /// Too many parameters.
    #[error("line {line}: it has more than {PARAMETERS_MAX} parameters: split it")]
    TooMany {
        /// 1-based number of the line where the first parameter too many begins.
        line: usize,
    },
    /// Neither `Dictionary Name:` nor `Parameter Name:` at the start of any line.
    #[error("it has no line `Parameter Name: ...`: it is no data interface dictionary")]
    NotADictionary,
}

/// Reads a dictionary. Text is UTF-8, or else Latin-1; lines may end with CR LF. Cost: linear in the bytes.
///
/// # Errors
///
/// [`DictionaryError`] where the bytes are no dictionary or too many; single lines are [`Dictionary::faults`].
pub fn parse(bytes: &[u8]) -> Result<Dictionary, DictionaryError> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(DictionaryError::TooLong { bytes: bytes.len() });
    }
    let text = decode(bytes);
    let mut reader = Reader::default();
    for (index, line) in text.trim_start_matches('\u{feff}').split('\n').enumerate() {
        if let Some((field, value)) = field(line) {
            reader.take(index + 1, field, value)?;
        }
    }
    reader.end_parameter();
    let is_dictionary = reader.has_name || !reader.dictionary.parameters.is_empty();
    if is_dictionary { Ok(reader.dictionary) } else { Err(DictionaryError::NotADictionary) }
}

fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}

/// Fields that are used. The others (Class, Context, Unit, Description and so on) are for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    DictionaryName,
    ParameterName,
    Type,
    ValueFormat,
    Comment,
    Range,
}

/// The field that begins in `line`, and its value.
fn field(line: &str) -> Option<(Field, &str)> {
    // A continued description is indented, and may have colons of its own.
    if !line.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let (name, value) = line.split_once(':')?;
    let name = name.trim_end().to_ascii_lowercase();
    let field = match name.as_str() {
        "dictionary name" => Field::DictionaryName,
        "parameter name" => Field::ParameterName,
        "type" => Field::Type,
        "value format" => Field::ValueFormat,
        "comment format" | "comment field" | "comment" => Field::Comment,
        "range" => Field::Range,
        _ => return None,
    };
    Some((field, value.trim()))
}

#[derive(Default)]
struct Reader {
    dictionary: Dictionary,
    current: Option<Parameter>,
    has_name: bool,
}

impl Reader {
    fn take(&mut self, line: usize, field: Field, value: &str) -> Result<(), DictionaryError> {
        match field {
            Field::DictionaryName => {
                self.has_name = true;
                value.clone_into(&mut self.dictionary.name);
            }
            Field::ParameterName => self.begin_parameter(line, value)?,
            Field::Type | Field::ValueFormat | Field::Comment | Field::Range if !value.is_empty() => {
                self.set(line, field, value);
            }
            Field::Type | Field::ValueFormat | Field::Comment | Field::Range => {}
        }
        Ok(())
    }

    fn begin_parameter(&mut self, line: usize, name: &str) -> Result<(), DictionaryError> {
        self.end_parameter();
        if self.dictionary.parameters.len() == PARAMETERS_MAX {
            return Err(DictionaryError::TooMany { line });
        }
        let names = Template::parse(name);
        if names.is_empty() {
            self.fault(line, format!("{} is no name of a keyword; its record is left out", quoted(name)));
        } else {
            self.current =
                Some(Parameter { names, value_type: None, format: None, comment: String::new(), range: None });
        }
        Ok(())
    }

    fn end_parameter(&mut self) {
        self.dictionary.parameters.extend(self.current.take());
    }

    /// Sets a field of the current parameter; outside of one there is nothing to set.
    fn set(&mut self, line: usize, field: Field, value: &str) {
        let Some(parameter) = &mut self.current else { return };
        let understood = match field {
            Field::Type => {
                parameter.value_type = ValueType::parse(value);
                parameter.value_type.is_some()
            }
            Field::ValueFormat => {
                parameter.format = NumberFormat::parse(value);
                parameter.format.is_some()
            }
            Field::Range => {
                parameter.range = Range::parse(value).map(|range| (range, value.to_owned()));
                parameter.range.is_some()
            }
            Field::Comment => {
                parameter.comment = ascii(value);
                true
            }
            Field::DictionaryName | Field::ParameterName => true,
        };
        if !understood {
            let (what, expected) = match field {
                Field::Type => ("type", "logical, integer, double or string"),
                Field::ValueFormat => ("format", "one printf conversion such as %d or %.3f"),
                _ => ("range", "an interval such as 0..360 or a list such as ON, OFF"),
            };
            self.fault(line, format!("{} is no {what}; it is not used: write {expected}", quoted(value)));
        }
    }

    fn fault(&mut self, line: usize, what: String) {
        if self.dictionary.faults.len() < FAULTS_MAX {
            self.dictionary.faults.push(LineFault { line, what });
        }
    }
}

/// What a card can hold of a comment.
fn ascii(text: &str) -> String {
    let ascii = |c: char| if u8::try_from(c).is_ok_and(|byte| is_printable(&[byte])) { c } else { ' ' };
    text.chars().take(COMMENT_CHARS_MAX).map(ascii).collect()
}

#[cfg(test)]
mod tests;
