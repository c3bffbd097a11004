//! Compares the keywords of a header with the union of several dictionaries, and gives them what they lack.

use std::collections::HashMap;

use crate::dictionary::comment;
use crate::dictionary::parse::{Dictionary, Parameter, ValueType};
use crate::dictionary::template::key;
use crate::fits::card::Record;
use crate::fits::keyword::{Keyword, KeywordClass, KeywordKind};
use crate::fits::value::Value;

/// Parameters of all dictionaries together.
const PARAMETERS_MAX: usize = 100_000;

/// The union of dictionaries. Where several say something of a keyword, the first does, and a name without a place for
/// a number goes before one with it.
#[derive(Clone, Debug, Default)]
pub struct Dictionaries {
    parameters: Vec<Parameter>,
    exact: HashMap<String, usize>,
    indexed: HashMap<String, Vec<usize>>,
    /// False where a dictionary is missing: then nobody can say that a keyword is unknown.
    is_complete: bool,
}

/// What is wrong with a keyword.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Complaint {
    /// No dictionary has it.
    #[error("no dictionary has it")]
    Unknown,
    /// Its value has another type.
    #[error("its value is {found}, the dictionary says {}", expected.as_str())]
    WrongType {
        /// Type in the dictionary.
        expected: ValueType,
        /// Type of the value.
        found: &'static str,
    },
    /// Its value is not one of those that it may have.
    #[error("its value is not in the dictionary's range {range}")]
    OutOfRange {
        /// The range as the dictionary writes it.
        range: String,
    },
    /// Its text is longer than its format allows.
    #[error("its text has {length} characters, the dictionary's format allows {limit}")]
    TooLong {
        /// Characters of the value.
        length: usize,
        /// Characters allowed.
        limit: usize,
    },
}

/// How a keyword was judged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Judgement {
    /// What is wrong with it.
    pub complaint: Option<Complaint>,
    /// The record with the dictionary's comment and format, where that changes it.
    pub improved: Option<Record>,
}

/// Where a record comes from, which decides what may be done to its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A FITS file: the value keeps its bytes.
    File,
    /// The specification: reals get the dictionary's format, unless the keyword was given as a card.
    Specification,
}

impl Dictionaries {
    /// Makes the union. `is_complete` says that none of those that were named is missing.
    pub fn new(dictionaries: impl IntoIterator<Item = Dictionary>, is_complete: bool) -> Dictionaries {
        let mut union = Dictionaries { is_complete, ..Dictionaries::default() };
        for parameter in dictionaries.into_iter().flat_map(|dictionary| dictionary.parameters).take(PARAMETERS_MAX) {
            union.add(parameter);
        }
        union
    }

    fn add(&mut self, parameter: Parameter) {
        let place = self.parameters.len();
        for name in &parameter.names {
            if name.is_exact() {
                self.exact.entry(name.text()).or_insert(place);
            } else {
                self.indexed.entry(name.key()).or_default().push(place);
            }
        }
        self.parameters.push(parameter);
    }

    /// Cost: one look-up, and one comparison for each template of the same form.
    fn find(&self, name: &str) -> Option<&Parameter> {
        let exact = self.exact.get(name).copied();
        let indexed = || {
            let places = self.indexed.get(&key(name))?;
            places.iter().copied().find(|place| self.parameters[*place].names.iter().any(|form| form.matches(name)))
        };
        exact.or_else(indexed).and_then(|place| self.parameters.get(place))
    }

    /// Judges one record of a primary header.
    ///
    /// Commentary and keywords that describe an HDU are not judged; those that the FITS Standard defines may be missing
    /// in the dictionaries. An integer may stand for a double.
    ///
    /// A card keeps the bytes of its value; it gets the dictionary's comment only where it has none and there is room
    /// behind the value. Only a real (or an integer that is to be one) of the specification is written anew.
    pub fn judge(&self, record: &Record, origin: Origin) -> Judgement {
        let keyword = &record.keyword;
        if keyword.kind == KeywordKind::Commentary || keyword.class() != KeywordClass::User {
            return Judgement::default();
        }
        let Some(parameter) = self.find(&keyword.name) else {
            let is_unknown = self.is_complete && !is_standard(keyword);
            return Judgement { complaint: is_unknown.then_some(Complaint::Unknown), improved: None };
        };
        // A value that cannot be read is told of as an illegal card; so nothing more is said here.
        let Ok(Some(value)) = record.value() else { return Judgement::default() };
        Judgement { complaint: complaint(parameter, &value), improved: improved(parameter, record, &value, origin) }
    }
}

fn complaint(parameter: &Parameter, value: &Value) -> Option<Complaint> {
    if let Some(expected) = parameter.value_type
        && !is_of_type(value, expected)
    {
        return Some(Complaint::WrongType { expected, found: value.type_name() });
    }
    if let (Value::String(text), Some(limit)) = (value, parameter.format.and_then(|format| format.text_limit()))
        && text.len() > limit
    {
        return Some(Complaint::TooLong { length: text.len(), limit });
    }
    let (range, text) = parameter.range.as_ref()?;
    if range.has(value) { None } else { Some(Complaint::OutOfRange { range: text.clone() }) }
}

/// An undefined value is of every type (FITS Standard 4.1.2.3).
fn is_of_type(value: &Value, expected: ValueType) -> bool {
    match value {
        Value::Undefined => true,
        Value::Logical(_) => expected == ValueType::Logical,
        Value::Integer(_) => matches!(expected, ValueType::Integer | ValueType::Double),
        Value::Real(_) => expected == ValueType::Double,
        Value::String(_) => expected == ValueType::String,
        Value::ComplexInteger(..) | Value::ComplexReal(..) => false,
    }
}

fn improved(parameter: &Parameter, record: &Record, value: &Value, origin: Origin) -> Option<Record> {
    let own_comment = record.comment();
    let comment = match &own_comment {
        None if !parameter.comment.is_empty() => Some(comment::expand(&parameter.comment, value)),
        own => own.clone(),
    };
    let is_formatted_here = || {
        let anew = Record::new(record.keyword.clone(), value, own_comment.as_deref());
        anew.is_ok_and(|anew| anew == *record)
    };
    if origin == Origin::Specification
        && let Some(real) = real_to_format(parameter, value)
        && is_formatted_here()
    {
        return formatted(parameter, &record.keyword, real, comment.as_deref()).filter(|anew| anew != record);
    }
    match (own_comment, comment) {
        (None, Some(comment)) => record.with_comment(&comment),
        _ => None,
    }
}

/// The real that is to be written anew: one that has a format, or an integer that the dictionary wants as a double.
#[expect(clippy::cast_precision_loss, reason = "compared with the integer below")]
fn real_to_format(parameter: &Parameter, value: &Value) -> Option<f64> {
    match value {
        Value::Real(real) => Some(*real),
        // Above 2^53 not every integer is a double: those keep their digits.
        Value::Integer(integer) if parameter.value_type == Some(ValueType::Double) => {
            Some(*integer as f64).filter(|real| *real as i128 == *integer)
        }
        _ => None,
    }
}

/// The record in the dictionary's format, or in the shortest one where that does not fit the card.
fn formatted(parameter: &Parameter, keyword: &Keyword, real: f64, comment: Option<&str>) -> Option<Record> {
    let text = parameter.format.and_then(|format| format.real_text(real));
    let by_format = text.and_then(|text| Record::of_token(keyword, &text, comment));
    by_format.or_else(|| Record::new(keyword.clone(), &Value::Real(real), comment).ok())
}

/// Keywords without an index that the FITS Standard 4.0 defines for any HDU (4.4.2, 8, 9) and that are of class user here.
const STANDARD: [&str; 49] = [
    "ORIGIN", "TELESCOP", "INSTRUME", "OBSERVER", "OBJECT", "AUTHOR", "REFERENC", "BLOCKED", "EPOCH", "EQUINOX",
    "RADESYS", "RADECSYS", "TIMESYS", "MJDREF", "MJDREFI", "MJDREFF", "JDREF", "JDREFI", "JDREFF", "DATEREF",
    "TREFPOS", "TREFDIR", "PLEPHEM", "TIMEUNIT", "TIMEOFFS", "TIMSYER", "TIMRDER", "TIMEDEL", "TIMEPIXR", "TSTART",
    "TSTOP", "XPOSURE", "TELAPSE", "JEPOCH", "BEPOCH", "OBSORBIT", "OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z", "OBSGEO-L",
    "OBSGEO-B", "OBSGEO-H", "TZEROT", "MJD-OBS", "MJD-AVG", "MJD-BEG", "MJD-END", "VELREF", "LONGSTRN",
];

fn is_standard(keyword: &Keyword) -> bool {
    let name = keyword.name.as_str();
    keyword.kind == KeywordKind::Value && (STANDARD.contains(&name) || name.starts_with("DATE-"))
}

#[cfg(test)]
mod tests;
