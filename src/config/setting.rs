//! One setting: which values its key takes, and how a value becomes a typed field and text again.
//!
//! Knows no file and no environment; values arrive as JSON, whoever wrote them.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::config::{level, receivers};
use crate::merge::options::{DigestScope, MismatchPolicy, PageCache, Reflink};
use crate::merge::sealing::ChecksumMode;
use crate::specification::fault::quoted;
use crate::specification::model::Receiver;
use crate::transfer::plan::CollectMode;

/// Paths of one list: more folders than anybody keeps such files in.
pub(crate) const PATHS_MAX: usize = 100;

/// One key of the table.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its section.
    pub(crate) section: &'static str,
    /// Its name in the section.
    pub(crate) name: &'static str,
    /// What it sets and why its default is what it is.
    pub(crate) doc: &'static str,
    /// Which values it takes.
    pub(crate) kind: Kind,
}

impl Key {
    /// `section.name`.
    pub(crate) fn path(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

/// Which values a key takes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Whole numbers between two bounds, which are included.
    Integer(i64, i64),
    /// Numbers between two bounds, which are included.
    Real(f64, f64),
    /// True or false.
    Boolean,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A path of at most so many bytes.
    Path(usize),
    /// A list of paths of at most so many bytes each; in the environment, with `:` between them as in PATH.
    Paths(usize),
    /// What [`level::filter`] takes.
    LogLevel,
    /// A list of receivers as in a specification.
    Receivers,
}

/// Why a value is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// JSON pointer inside the value; empty: the value itself.
    pub(crate) pointer: String,
    /// What is wrong.
    pub(crate) message: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl Refusal {
    /// A refusal of the whole value.
    pub(crate) fn new(message: impl Into<String>, hint: Option<&str>) -> Refusal {
        Refusal { pointer: String::new(), message: message.into(), hint: hint.map(str::to_owned) }
    }
}

impl Kind {
    /// The value in text of the environment; text that is of no other type stays a string, for [`Kind::check`] to see.
    pub(crate) fn read(self, text: &str) -> Value {
        let text_value = || Value::String(text.to_owned());
        match self {
            Self::Integer(..) => text.trim().parse::<i64>().map_or_else(|_| text_value(), Value::from),
            Self::Real(..) => text.trim().parse::<f64>().map_or_else(|_| text_value(), Value::from),
            Self::Boolean => text.trim().parse::<bool>().map_or_else(|_| text_value(), Value::from),
            Self::Receivers => serde_json::from_str(text).unwrap_or_else(|_| text_value()),
            Self::Paths(_) => text.split(':').filter(|path| !path.is_empty()).collect(),
            Self::Choice(_) | Self::Path(_) | Self::LogLevel => text_value(),
        }
    }

    /// Checks type and range.
    pub(crate) fn check(self, value: &Value) -> Result<(), Vec<Refusal>> {
        let is_fit = match self {
            Self::Integer(min, max) => value.as_i64().is_some_and(|number| (min..=max).contains(&number)),
            Self::Real(min, max) => value.as_f64().is_some_and(|number| (min..=max).contains(&number)),
            Self::Boolean => value.is_boolean(),
            Self::Choice(words) => value.as_str().is_some_and(|text| words.contains(&text)),
            Self::Path(_) | Self::LogLevel => value.is_string(),
            Self::Receivers => value.is_array(),
            Self::Paths(_) => {
                value.as_array().is_some_and(|paths| paths.len() <= PATHS_MAX && paths.iter().all(Value::is_string))
            }
        };
        if !is_fit {
            return Err(vec![self.misfit(value)]);
        }
        match (self, value.as_str()) {
            (Self::Path(bytes_max), Some(text)) => check_path(text, bytes_max).map_err(|refusal| vec![refusal]),
            (Self::LogLevel, Some(text)) => match level::filter(text) {
                Ok(_) => Ok(()),
                Err(fault) => Err(vec![Refusal::new(fault.to_string(), None)]),
            },
            (Self::Receivers, _) => receivers::parse(value).map(|_| ()),
            (Self::Paths(bytes_max), _) => check_paths(value, bytes_max),
            _ => Ok(()),
        }
    }

    /// What it takes, after "is not".
    fn expected(self) -> String {
        match self {
            Self::Integer(min, max) => format!("an integer from {min} to {max}"),
            Self::Real(min, max) => format!("a number from {min} to {max}"),
            Self::Boolean => "true or false".to_owned(),
            Self::Choice(words) => words.join(" or "),
            Self::Path(_) => "a path".to_owned(),
            Self::Paths(_) => format!("a list of at most {PATHS_MAX} paths"),
            Self::LogLevel => "a level like `info`".to_owned(),
            Self::Receivers => "a list of receivers".to_owned(),
        }
    }

    fn misfit(self, value: &Value) -> Refusal {
        let shown = match value {
            Value::String(text) => format!("the text {}", quoted(text)),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "a table".to_owned(),
            other => quoted(&other.to_string()),
        };
        let is_quoted = |text: &str| !self.read(text).is_string() && self.check(&self.read(text)).is_ok();
        let hint = match (self, value) {
            (Self::Choice(words), Value::String(text)) => {
                crate::specification::fault::nearest(text, words.iter().copied())
                    .map(|word| format!("did you mean `{word}`?"))
            }
            (_, Value::String(text)) if is_quoted(text) => Some("write it without quotation marks".to_owned()),
            (Self::Paths(_), _) => Some("write it like [\"/data/dictionaries\"]".to_owned()),
            (Self::Path(_) | Self::LogLevel, _) => Some("write it in quotation marks".to_owned()),
            (Self::Receivers, _) => {
                Some("write it like [{\"type\": \"folderReceiver\", \"path\": \"/data\"}]".to_owned())
            }
            _ => None,
        };
        Refusal { hint, ..Refusal::new(format!("{shown} is not {}", self.expected()), None) }
    }
}

/// Checks each path of a list.
fn check_paths(value: &Value, bytes_max: usize) -> Result<(), Vec<Refusal>> {
    let paths = value.as_array().into_iter().flatten().enumerate();
    let refusals: Vec<Refusal> = paths
        .filter_map(|(index, path)| {
            let refusal = check_path(path.as_str().unwrap_or_default(), bytes_max).err()?;
            Some(Refusal { pointer: format!("/{index}"), ..refusal })
        })
        .collect();
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

fn check_path(text: &str, bytes_max: usize) -> Result<(), Refusal> {
    let refuse = |message: String, hint: &str| Err(Refusal::new(message, Some(hint)));
    if text.is_empty() {
        return refuse("the path is empty".to_owned(), "write a path, or leave the key out");
    }
    // What is not UTF-8 in the environment arrives with replacement characters: another path than was meant.
    if text.contains(|c: char| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
        return refuse(format!("{} has characters that are not text", quoted(text)), "choose another path");
    }
    if text.starts_with('~') {
        return refuse(format!("{}: `~` is not expanded here", quoted(text)), "write the home folder out");
    }
    if text.len() > bytes_max {
        let message = format!("{} has {} bytes; it may have {bytes_max}", quoted(text), text.len());
        return refuse(message, "choose a shorter path");
    }
    Ok(())
}

/// A type of fields of the configuration.
pub(crate) trait Setting: Sized {
    /// The field for a value; none where the type cannot hold it.
    fn read(value: &Value) -> Option<Self>;

    /// The value of the field; null where it is not set.
    fn value(&self) -> Value;
}

macro_rules! integer_settings {
    ($($integer:ty),*) => {
        $(impl Setting for $integer {
            fn read(value: &Value) -> Option<Self> {
                value.as_i64()?.try_into().ok()
            }

            fn value(&self) -> Value {
                Value::from(*self)
            }
        })*
    };
}

integer_settings!(usize, u64, u32, i32);

impl Setting for f64 {
    fn read(value: &Value) -> Option<Self> {
        value.as_f64()
    }

    fn value(&self) -> Value {
        json!(self)
    }
}

impl Setting for bool {
    fn read(value: &Value) -> Option<Self> {
        value.as_bool()
    }

    fn value(&self) -> Value {
        json!(self)
    }
}

impl Setting for String {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }

    fn value(&self) -> Value {
        json!(self)
    }
}

impl Setting for PathBuf {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(PathBuf::from)
    }

    /// Lossy: only flags can give a path that is not UTF-8, and TOML cannot hold it.
    fn value(&self) -> Value {
        json!(self.to_string_lossy())
    }
}

impl Setting for Vec<PathBuf> {
    fn read(value: &Value) -> Option<Self> {
        value.as_array()?.iter().map(Setting::read).collect()
    }

    fn value(&self) -> Value {
        self.iter().map(Setting::value).collect()
    }
}

impl<T: Setting> Setting for Option<T> {
    fn read(value: &Value) -> Option<Self> {
        T::read(value).map(Some)
    }

    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Null, Setting::value)
    }
}

impl Setting for CollectMode {
    fn read(value: &Value) -> Option<Self> {
        match value.as_str()? {
            "reference" => Some(Self::Reference),
            "copy" => Some(Self::Copy),
            _ => None,
        }
    }

    fn value(&self) -> Value {
        json!(match self {
            Self::Reference => "reference",
            Self::Copy => "copy",
        })
    }
}

/// Types whose values have a word each.
macro_rules! words {
    ($($type:ty),+ $(,)?) => {$(
        impl Setting for $type {
            fn read(value: &Value) -> Option<Self> {
                Self::parse(value.as_str()?)
            }

            fn value(&self) -> Value {
                json!(self.as_str())
            }
        }
    )+};
}

words!(ChecksumMode, DigestScope, MismatchPolicy, PageCache, Reflink);

impl Setting for Vec<Receiver> {
    fn read(value: &Value) -> Option<Self> {
        receivers::parse(value).ok()
    }

    fn value(&self) -> Value {
        self.iter().map(receivers::value).collect()
    }
}
