//! What was found, of how many, and where; and the keywords of a header as the rules look at them.

use std::collections::HashMap;

use crate::fits::conformance::rule::{Rule, Severity};
use crate::fits::header::Header;
use crate::fits::keyword::KeywordKind;
use crate::fits::value::Value;

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// 0-based index of the HDU.
    pub hdu: usize,
    /// 1-based number of the card, where one is at fault.
    pub card: Option<usize>,
    /// The keyword concerned, empty where there is none.
    pub keyword: String,
    /// The rule.
    pub rule: &'static Rule,
    /// What is wrong, in printable text.
    pub message: String,
}

/// Collects findings: lists the first ones and counts all.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) hdu: usize,
    pub(crate) listed: Vec<Finding>,
    pub(crate) faults: u64,
    pub(crate) warnings: u64,
    pub(crate) is_beyond_limit: bool,
    limit: usize,
}

impl Findings {
    pub(crate) fn new(limit: usize) -> Self {
        Self { hdu: 0, listed: Vec::new(), faults: 0, warnings: 0, is_beyond_limit: false, limit }
    }

    /// Notes a breach; card 0 stands for none.
    pub(crate) fn tell(&mut self, rule: &'static Rule, card: usize, keyword: &str, message: String) {
        match rule.severity {
            Severity::Fault => self.faults += 1,
            Severity::Warning => self.warnings += 1,
            Severity::Limit => self.is_beyond_limit = true,
        }
        // The limit ends the judgement, so it is told once, and always.
        if self.listed.len() < self.limit || rule.severity == Severity::Limit {
            let card = Some(card).filter(|card| *card > 0);
            self.listed.push(Finding { hdu: self.hdu, card, keyword: shown(keyword), rule, message: shown(&message) });
        }
    }
}

/// Longest text of a finding in characters: values of CONTINUE cards may have megabytes.
const SHOWN_CHARACTERS: usize = 400;

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARACTERS).collect()
}

/// A keyword with a value, as it stands in a header.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// 1-based number of its first card.
    pub(crate) card: usize,
    /// None where it cannot be read, which is told elsewhere.
    pub(crate) value: Option<Value>,
}

/// The standard keywords of a header that have values: one pass over the cards, then each look-up is cheap.
#[derive(Debug, Default)]
pub(crate) struct Keywords {
    entries: Vec<Entry>,
    first: HashMap<String, usize>,
}

impl Keywords {
    pub(crate) fn of(header: &Header) -> Self {
        let mut keywords = Self::default();
        let mut card = 1;
        for record in header.records() {
            let count = record.cards.len();
            if record.keyword.kind == KeywordKind::Value {
                let value = record.value().ok().flatten();
                let name = record.keyword.name;
                keywords.first.entry(name.clone()).or_insert(keywords.entries.len());
                keywords.entries.push(Entry { name, card, value });
            }
            card += count;
        }
        keywords
    }

    /// All entries in order.
    pub(crate) fn all(&self) -> &[Entry] {
        &self.entries
    }

    /// The first entry of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&Entry> {
        self.first.get(name).and_then(|at| self.entries.get(*at))
    }

    /// Whether this entry is the first of its name.
    pub(crate) fn is_first(&self, entry: &Entry) -> bool {
        self.get(&entry.name).is_some_and(|first| first.card == entry.card)
    }

    pub(crate) fn integer(&self, name: &str) -> Option<i128> {
        match self.get(name)?.value {
            Some(Value::Integer(integer)) => Some(integer),
            _ => None,
        }
    }

    pub(crate) fn string(&self, name: &str) -> Option<&str> {
        match &self.get(name)?.value {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn logical(&self, name: &str) -> Option<bool> {
        match self.get(name)?.value {
            Some(Value::Logical(logical)) => Some(logical),
            _ => None,
        }
    }

    /// 1-based card of a keyword; 0 where it is missing.
    pub(crate) fn card(&self, name: &str) -> usize {
        self.get(name).map_or(0, |entry| entry.card)
    }
}

/// Parts `TFORM12` into `TFORM` and 12; none without an index, or one that starts with 0 or has more than 3 digits.
pub(crate) fn split_index(name: &str) -> Option<(&str, usize)> {
    let stem = name.trim_end_matches(|character: char| character.is_ascii_digit());
    let digits = name.get(stem.len()..)?;
    if digits.is_empty() || digits.starts_with('0') || digits.len() > 3 {
        return None;
    }
    Some((stem, digits.parse().ok()?))
}

/// A value for a message.
pub(crate) fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{text}'"),
        Value::Undefined => "undefined".to_owned(),
        other => other.to_token().unwrap_or_else(|_| "a number out of range".to_owned()),
    }
}
