//! The settings in the text of a TOML file, each with its line. Opens no file.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use crate::config::fault::{Faults, Origin};
use crate::config::layer::{Layer, key_hint, section_hint};
use crate::config::sections::{KEYS, SECTIONS};

/// Reads the text of the file `path`, reporting everything that is wrong with it.
///
/// Of a text that is no TOML only that is reported: what was meant by the rest would be guessed.
pub(crate) fn parse(path: &Path, text: &str, faults: &mut Faults) -> Layer {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader { path, newlines: newlines(text), faults, layer: Layer::default() };
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        let message = error.message().lines().collect::<Vec<&str>>().join(", ");
        reader.fault(offset, None, format!("not TOML: {}", message.escape_debug()), None);
    }
    if errors.is_empty() {
        reader.document(table.get_ref());
    }
    reader.layer
}

fn newlines(text: &str) -> Vec<usize> {
    text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(offset, _)| offset).collect()
}

struct Reader<'a> {
    path: &'a Path,
    /// Byte offsets, ascending.
    newlines: Vec<usize>,
    faults: &'a mut Faults,
    layer: Layer,
}

impl Reader<'_> {
    fn line(&self, offset: usize) -> usize {
        self.newlines.partition_point(|newline| *newline < offset) + 1
    }

    fn origin(&self, offset: usize) -> Origin {
        Origin::File { path: self.path.to_path_buf(), line: Some(self.line(offset)) }
    }

    fn fault(&mut self, offset: usize, key: Option<String>, message: impl Into<String>, hint: Option<String>) {
        let origin = self.origin(offset);
        self.faults.push(origin, key, message, hint);
    }

    fn document(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let (offset, name) = (name.span().start, name.get_ref().as_ref());
            match (SECTIONS.iter().any(|(section, _)| *section == name), value.get_ref()) {
                (true, DeValue::Table(members)) => self.section(name, members),
                (true, other) => {
                    let message = format!("is {}, not a section", described(other));
                    self.fault(offset, Some(name.to_owned()), message, Some(format!("write [{name}]")));
                }
                (false, DeValue::Table(_)) => {
                    self.fault(offset, Some(name.to_owned()), "unknown section", Some(section_hint(name)));
                }
                (false, _) => self.fault(offset, Some(name.to_owned()), "unknown key", Some(section_hint(name))),
            }
        }
    }

    fn section(&mut self, section: &str, members: &DeTable<'_>) {
        for (name, value) in members {
            let (offset, name) = (name.span().start, name.get_ref().as_ref());
            let Some(key) = KEYS.iter().find(|key| (key.section, key.name) == (section, name)) else {
                let hint = key_hint(section, name);
                self.fault(offset, Some(format!("{section}.{name}")), "unknown key", Some(hint));
                continue;
            };
            let mut places = BTreeMap::from([(String::new(), self.line(offset))]);
            let converted = self.value(value, "", &mut places);
            match converted {
                Ok(value) => {
                    let origin = self.origin(offset);
                    let place =
                        |pointer: &str| Origin::File { path: self.path.to_path_buf(), line: line_of(&places, pointer) };
                    self.layer.add_key(key, value, origin, place, self.faults);
                }
                Err(Unfit { offset, message }) => {
                    let hint = Some("write it in quotation marks, or as a plain number".to_owned());
                    self.fault(offset, Some(key.path()), message, hint);
                }
            }
        }
    }

    /// The value as JSON; the line of each part of it goes into `places` by its pointer.
    fn value(
        &self,
        value: &Spanned<DeValue<'_>>,
        pointer: &str,
        places: &mut BTreeMap<String, usize>,
    ) -> Result<Value, Unfit> {
        let offset = value.span().start;
        places.entry(pointer.to_owned()).or_insert_with(|| self.line(offset));
        let unfit = |message: &str| Unfit { offset, message: message.to_owned() };
        match value.get_ref() {
            DeValue::String(text) => Ok(Value::String(text.to_string())),
            DeValue::Boolean(flag) => Ok(Value::Bool(*flag)),
            DeValue::Integer(number) => integer(number).ok_or_else(|| unfit("the integer has more than 64 bits")),
            DeValue::Float(number) => {
                let parsed = number.as_str().parse().ok().and_then(serde_json::Number::from_f64);
                parsed.map(Value::Number).ok_or_else(|| unfit("the number is not finite"))
            }
            DeValue::Datetime(_) => Err(unfit("no setting is a date or time")),
            DeValue::Array(items) => {
                let numbered = items.iter().enumerate();
                numbered.map(|(index, item)| self.value(item, &format!("{pointer}/{index}"), places)).collect()
            }
            DeValue::Table(members) => {
                let mut object = Map::new();
                for (name, member) in members {
                    let token = name.get_ref().replace('~', "~0").replace('/', "~1");
                    let pointer = format!("{pointer}/{token}");
                    places.insert(pointer.clone(), self.line(name.span().start));
                    object.insert(name.get_ref().to_string(), self.value(member, &pointer, places)?);
                }
                Ok(Value::Object(object))
            }
        }
    }
}

/// A value that JSON does not have.
struct Unfit {
    offset: usize,
    message: String,
}

fn integer(number: &DeInteger<'_>) -> Option<Value> {
    i64::from_str_radix(number.as_str(), number.radix()).ok().map(Value::from)
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// The line of the nearest part that has one: a missing member is blamed on the table that lacks it.
fn line_of(places: &BTreeMap<String, usize>, pointer: &str) -> Option<usize> {
    let mut pointer = pointer;
    loop {
        if let Some(line) = places.get(pointer) {
            return Some(*line);
        }
        pointer = &pointer[..pointer.rfind('/')?];
    }
}
