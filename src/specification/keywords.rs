//! Keywords given in the specification: JSON to FITS records.
//!
//! Formats nothing itself: that is `fits`. Strings stay strings, whatever they look like.

use serde_json::Value as Json;

use crate::fits::card::Record;
use crate::fits::fault::CardFault;
use crate::fits::keyword::{Keyword, KeywordClass, KeywordFault, KeywordKind};
use crate::fits::value::Value;
use crate::specification::fault::quoted;
use crate::specification::node::{Findings, Node, Problem};

/// Names whose records carry text instead of a value.
const COMMENTARY: [&str; 3] = ["COMMENT", "HISTORY", ""];

/// The records of a list of keywords; faulty ones are reported and left out.
pub(crate) fn records(list: &Node<'_>, findings: &mut Findings) -> Vec<Record> {
    let mut records = Vec::with_capacity(list.value.as_array().map_or(0, Vec::len));
    for node in list.items() {
        match record(&node) {
            Ok(record) => records.extend(record),
            Err(problem) => findings.problem(&node, problem),
        }
    }
    records
}

/// One record; none where the schema has already found the keyword incomplete.
fn record(node: &Node<'_>) -> Result<Option<Record>, Problem> {
    let (kind, name, value) = (node.text("type"), node.text("name"), node.value.get("value"));
    match (kind, name, value) {
        (Some("literalKeyword"), _, Some(Json::String(text))) => literal(text).map(Some),
        (Some("valueKeyword"), Some(name), _) => {
            named(check_standard(name)?, node.value.get("value"), node.text("comment"))
        }
        (Some("esoKeyword"), Some(name), _) => named(check_eso(name)?, value, node.text("comment")),
        _ => Ok(None),
    }
}

fn check_standard(name: &str) -> Result<Keyword, Problem> {
    let problem = |message: String, hint: &str| Err(Problem::new("name", message, Some(hint.to_owned())));
    if COMMENTARY.contains(&name) {
        let message =
            format!("{} carries text, not a value", if name.is_empty() { "a keyword without name" } else { name });
        return problem(message, "give it as a literalKeyword, e.g. `COMMENT some text`");
    }
    if name.starts_with("HIERARCH ") || name.starts_with("ESO ") {
        return problem(
            format!("{} is a hierarchical keyword", quoted(name)),
            "give it as an esoKeyword, by the words behind HIERARCH ESO",
        );
    }
    check(Keyword::value(name))
}

fn check_eso(name: &str) -> Result<Keyword, Problem> {
    let without = ["HIERARCH ESO ", "ESO ", "HIERARCH "].iter().find_map(|prefix| name.strip_prefix(prefix));
    if let Some(logical) = without {
        let message = format!("{} has a prefix that an esoKeyword does not have", quoted(name));
        return Err(Problem::new("name", message, Some(format!("write {}", quoted(logical)))));
    }
    check(Keyword::eso(name))
}

/// Checks name and class.
fn check(keyword: Keyword) -> Result<Keyword, Problem> {
    if let Err(fault) = keyword.validate() {
        let upper = Keyword { kind: keyword.kind, name: keyword.name.to_ascii_uppercase() };
        let hint = match fault {
            KeywordFault::LowerCase { .. } if upper.validate().is_ok() => {
                Some(format!("write {}", quoted(&upper.name)))
            }
            KeywordFault::TooLong { .. } | KeywordFault::BadCharacter { .. } if keyword.kind == KeywordKind::Value => {
                Some("longer names and names of several words are esoKeywords".to_owned())
            }
            _ => None,
        };
        return Err(Problem::new("name", format!("{}: {fault}", quoted(&keyword.name)), hint));
    }
    check_class(&keyword).map_err(|(message, hint)| Problem::new("name", message, Some(hint)))?;
    Ok(keyword)
}

fn check_class(keyword: &Keyword) -> Result<(), (String, String)> {
    match keyword.class() {
        KeywordClass::Structural => {
            let message = format!("{keyword} describes the structure of the file");
            Err((message, "remove it: the merger writes it".to_owned()))
        }
        KeywordClass::Core | KeywordClass::User => Ok(()),
    }
}

fn named(keyword: Keyword, value: Option<&Json>, comment: Option<&str>) -> Result<Option<Record>, Problem> {
    let Some(value) = value.and_then(fits_value) else { return Ok(None) };
    let describe = |fault: &CardFault| format!("keyword {keyword}: {}", fault.kind);
    match Record::new(keyword.clone(), &value, comment) {
        Ok(record) => Ok(Some(record)),
        // Which of the two members it is: what fails without the comment is the value's fault.
        Err(fault) => match Record::new(keyword.clone(), &value, None) {
            Ok(_) => Err(Problem::new("comment", describe(&fault), comment.and_then(unprintable_hint))),
            Err(fault) => Err(Problem::new("value", describe(&fault), string_of(&value).and_then(unprintable_hint))),
        },
    }
}

fn string_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// Names the first character that a card cannot hold: an editor may show nothing of it.
fn unprintable_hint(text: &str) -> Option<String> {
    let at = text.chars().position(|character| !matches!(character, ' '..='~'))?;
    let character = text.chars().nth(at)?;
    Some(format!("the first is character {}, U+{:04X}", at + 1, u32::from(character)))
}

/// A number with fraction or exponent is real; integers keep their 64 bits, signed or unsigned.
fn fits_value(json: &Json) -> Option<Value> {
    match json {
        Json::String(text) => Some(Value::String(text.clone())),
        Json::Bool(value) => Some(Value::Logical(*value)),
        Json::Number(number) => {
            let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            integer.map(Value::Integer).or_else(|| number.as_f64().map(Value::Real))
        }
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

fn literal(text: &str) -> Result<Record, Problem> {
    let record = Record::from_literal(text)
        .map_err(|fault| Problem::new("value", format!("{}: {}", quoted(text), fault.kind), literal_hint(text)))?;
    check_class(&record.keyword).map_err(|(message, hint)| Problem::new("value", message, Some(hint)))?;
    Ok(record)
}

fn literal_hint(text: &str) -> Option<String> {
    let name = text.get(..8).unwrap_or(text);
    name.contains(|c: char| c.is_ascii_lowercase())
        .then(|| format!("begin it with {}", quoted(name.to_ascii_uppercase().trim_end())))
}

#[cfg(test)]
mod tests;
