//! What is wrong with a specification, where, and what to do: the list that a person works through.
//!
//! Finds no faults itself; it only collects, orders and prints them.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::specification::position;

/// Faults that one report lists at most: a person fixes the first ones and runs again, and a hostile document of
/// 16 MiB must not become a report of many times that size.
pub const FAULTS_MAX: usize = 1000;

/// Characters of the user's own text that a message quotes at most.
const QUOTED_CHARS_MAX: usize = 80;

/// One fault of a specification.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer (RFC 6901) to the faulty value; the object itself where a member is missing; empty for the root.
    pub pointer: String,
    /// Line in the text, 1-based, where it is known.
    pub line: Option<usize>,
    /// What is wrong: a fragment without full stop, control characters escaped.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => f.write_str("specification")?,
            pointer => write!(f, "{}", pointer.escape_debug())?,
        }
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Every fault of one specification, in the order of the text.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub struct SpecificationError {
    /// At least one fault; at most [`FAULTS_MAX`] and a closing one that says that there are more.
    pub faults: Vec<Fault>,
}

impl fmt::Display for SpecificationError {
    /// One line a fault, no newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// Faults found so far, not yet located in the text.
#[derive(Debug, Default)]
pub(crate) struct FaultList {
    found: Vec<(Occurrence, Fault)>,
    has_more: bool,
}

/// Which of several equal pointers is meant: only a duplicated member has more than one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Occurrence {
    First,
    Last,
}

impl FaultList {
    /// Adds a fault at `pointer`.
    pub(crate) fn push(&mut self, pointer: &str, message: impl Into<String>, hint: Option<String>) {
        self.add(Occurrence::First, pointer, message.into(), hint);
    }

    /// Adds a fault at the last of several members of the same name.
    pub(crate) fn push_duplicate(&mut self, pointer: &str, message: impl Into<String>, hint: Option<String>) {
        self.add(Occurrence::Last, pointer, message.into(), hint);
    }

    fn add(&mut self, occurrence: Occurrence, pointer: &str, message: String, hint: Option<String>) {
        if self.found.len() >= FAULTS_MAX {
            self.has_more = true;
            return;
        }
        self.found.push((occurrence, Fault { pointer: pointer.to_owned(), line: None, message, hint }));
    }

    /// True when nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// True when more faults would only be counted.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= FAULTS_MAX
    }

    /// The pointers that have a fault.
    pub(crate) fn pointers(&self) -> BTreeSet<String> {
        self.found.iter().map(|(_, fault)| fault.pointer.clone()).collect()
    }

    /// Locates every fault in `text` (valid JSON) and puts them in its order.
    pub(crate) fn into_error(self, text: &str) -> SpecificationError {
        let places = position::find(text, &self.pointers());
        let mut located: Vec<(usize, Fault)> = self
            .found
            .into_iter()
            .map(|(occurrence, mut fault)| {
                let Some(place) = places.get(&fault.pointer) else { return (usize::MAX, fault) };
                let (offset, line) = match occurrence {
                    Occurrence::First => (place.offset, place.line),
                    Occurrence::Last => (place.last_offset, place.last_line),
                };
                fault.line = Some(line);
                (offset, fault)
            })
            .collect();
        located.sort_by_key(|(offset, _)| *offset);
        let mut faults: Vec<Fault> = located.into_iter().map(|(_, fault)| fault).collect();
        if self.has_more {
            faults.push(Fault {
                pointer: String::new(),
                line: None,
                message: format!("more than {FAULTS_MAX} faults: the others are not listed"),
                hint: Some("correct those above first".to_owned()),
            });
        }
        SpecificationError { faults }
    }
}

/// The user's own text inside a message: in backquotes, control characters escaped, cut when long.
pub(crate) fn quoted(text: &str) -> String {
    let mut chars = text.chars();
    let head: String = chars.by_ref().take(QUOTED_CHARS_MAX).flat_map(char::escape_debug).collect();
    // An apostrophe or quotation mark does no harm between backquotes.
    let head = head.replace("\\'", "'").replace("\\\"", "\"");
    if chars.next().is_some() { format!("`{head}…`") } else { format!("`{head}`") }
}

/// The candidate nearest to a misspelt word, if one is near enough to be meant.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words are no misspelling of a member name, and the distance costs the product of both lengths.
    if word.chars().count() > 64 {
        return None;
    }
    let folded = word.to_lowercase();
    let limit = word.chars().count().div_ceil(3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(&folded, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment).
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use crate::specification::fault::{Fault, FaultList, SpecificationError, edit_distance, nearest, quoted};

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("type", "tpye", 1), ("x", "x", 0)]
        {
            assert_eq!(edit_distance(a, b), expected, "{a} {b}");
            assert_eq!(edit_distance(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn nearest_member() {
        let names = ["location", "sourceName", "keywordRules", "type"];
        for (word, expected) in [
            ("locaton", Some("location")),
            ("Location", Some("location")),
            ("source_name", Some("sourceName")),
            ("tpye", Some("type")),
            ("elephant", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), expected, "{word}");
        }
    }

    #[test]
    fn quoting_escapes_and_cuts() {
        assert_eq!(quoted("it's \"a\"\n\u{1b}[31m"), "`it's \"a\"\\n\\u{1b}[31m`");
        assert!(quoted(&"x".repeat(500)).chars().count() < 90);
    }

    #[test]
    fn prints_one_line_a_fault() {
        let fault = |pointer: &str, line, hint: Option<&str>| Fault {
            pointer: pointer.to_owned(),
            line,
            message: "wrong".to_owned(),
            hint: hint.map(str::to_owned),
        };
        let error = SpecificationError {
            faults: vec![fault("/sources/0/location", Some(7), Some("do this")), fault("", None, None)],
        };
        assert_eq!(error.to_string(), "/sources/0/location (line 7): wrong; do this\nspecification: wrong");
    }

    #[test]
    fn faults_come_in_the_order_of_the_text_and_are_limited() {
        let text = "{\n\"b\": 1,\n\"a\": 2,\n\"b\": 3}";
        let mut list = FaultList::default();
        list.push_duplicate("/b", "twice", None);
        list.push("/a", "wrong", None);
        list.push("/b", "wrong", None);
        let lines: Vec<_> = list.into_error(text).faults.iter().map(|f| (f.pointer.clone(), f.line)).collect();
        assert_eq!(lines, [("/b".into(), Some(2)), ("/a".into(), Some(3)), ("/b".into(), Some(4))]);

        let mut list = FaultList::default();
        for _ in 0..5000 {
            list.push("", "wrong", None);
        }
        let faults = list.into_error("{}").faults;
        assert_eq!(faults.len(), 1001);
        assert!(faults[1000].message.contains("more than 1000"), "{:?}", faults[1000]);
    }
}
