//! Finds where JSON pointers stand in a text, so that a fault can name its line.
//!
//! Works on text that a JSON parser has accepted already; on anything else it finds less, but neither panics nor
//! runs on. It judges nothing.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

/// Where the value of one pointer stands. Offsets are bytes from the start, lines are 1-based.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Start of the member's name, or of the value in an array.
    pub(crate) offset: usize,
    /// Line of `offset`.
    pub(crate) line: usize,
    /// As `offset`, of the last member of this name where it was given more than once.
    pub(crate) last_offset: usize,
    /// Line of `last_offset`.
    pub(crate) last_line: usize,
    /// The text of the first value.
    pub(crate) value: Range<usize>,
}

/// Deepest nesting that is followed; serde_json refuses more than 128 levels before.
const DEPTH_MAX: usize = 256;

/// Finds each of the `wanted` pointers that exists in `text`. Cost: one pass over the text.
pub(crate) fn find(text: &str, wanted: &BTreeSet<String>) -> HashMap<String, Place> {
    let mut scan = Scan { text, at: 0, wanted, pointer: String::new(), found: HashMap::new() };
    if !wanted.is_empty() {
        scan.skip_space();
        let start = scan.at;
        scan.value(start, 0);
    }
    let mut found = scan.found;
    let newlines: Vec<usize> = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at).collect();
    for place in found.values_mut() {
        place.line = 1 + newlines.partition_point(|at| *at < place.offset);
        place.last_line = 1 + newlines.partition_point(|at| *at < place.last_offset);
    }
    found
}

/// Appends one reference token to a pointer, escaped as RFC 6901 asks.
pub(crate) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    wanted: &'a BTreeSet<String>,
    pointer: String,
    found: HashMap<String, Place>,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes one separator with the space around it.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_there = self.peek() == Some(byte);
        if is_there {
            self.at += 1;
            self.skip_space();
        }
        is_there
    }

    /// One value, whose place is counted from `offset`. False when the text is no JSON.
    fn value(&mut self, offset: usize, depth: usize) -> bool {
        let start = self.at;
        let is_read = depth < DEPTH_MAX
            && match self.peek() {
                Some(b'{') => self.object(depth),
                Some(b'[') => self.array(depth),
                Some(b'"') => self.string(),
                Some(_) => self.scalar(),
                None => false,
            };
        if self.wanted.contains(&self.pointer) {
            let value = start..self.at;
            self.found.entry(self.pointer.clone()).and_modify(|place| place.last_offset = offset).or_insert(Place {
                offset,
                line: 0,
                last_offset: offset,
                last_line: 0,
                value,
            });
        }
        is_read
    }

    fn object(&mut self, depth: usize) -> bool {
        self.take(b'{');
        if self.take_end(b'}') {
            return true;
        }
        loop {
            let offset = self.at;
            if self.peek() != Some(b'"') || !self.string() {
                return false;
            }
            let raw = self.text.get(offset..self.at).unwrap_or_default();
            let parent = self.pointer.len();
            match raw.contains('\\') {
                true => push_token(&mut self.pointer, &serde_json::from_str::<String>(raw).unwrap_or_default()),
                false => push_token(&mut self.pointer, raw.trim_matches('"')),
            }
            let is_read = self.take(b':') && self.value(offset, depth + 1);
            self.pointer.truncate(parent);
            if !is_read {
                return false;
            }
            if !self.take(b',') {
                return self.take_end(b'}');
            }
        }
    }

    fn array(&mut self, depth: usize) -> bool {
        self.take(b'[');
        if self.take_end(b']') {
            return true;
        }
        for index in 0_usize.. {
            let parent = self.pointer.len();
            push_token(&mut self.pointer, &index.to_string());
            let is_read = self.value(self.at, depth + 1);
            self.pointer.truncate(parent);
            if !is_read {
                return false;
            }
            if !self.take(b',') {
                break;
            }
        }
        self.take_end(b']')
    }

    /// Takes the closing bracket; the space behind it belongs to the parent.
    fn take_end(&mut self, byte: u8) -> bool {
        self.skip_space();
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn string(&mut self) -> bool {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return true,
                // What is escaped may be a quotation mark; it is one byte long, or the rest holds no quotation mark.
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        false
    }

    fn scalar(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.')) {
            self.at += 1;
        }
        self.at > start
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::{any, proptest};

    use crate::specification::position::find;

    #[test]
    fn places() {
        let text =
            "{\n \"a\": [1,\n  {\"b/c~d\": \"x\\\"y\"}],\n \"\\u0065\" : true\n, \"a\": 5, \"f\": [], \"g\":{}}\n";
        let check = |pointer: &str, expected: Option<(usize, usize, &str)>| {
            let found = find(text, &BTreeSet::from([pointer.to_owned()]));
            let seen = found.get(pointer).map(|place| (place.line, place.last_line, &text[place.value.clone()]));
            assert_eq!(seen, expected, "{pointer}");
        };
        check("/a/0", Some((2, 2, "1")));
        check("/a/1/b~1c~0d", Some((3, 3, "\"x\\\"y\"")));
        check("/e", Some((4, 4, "true")));
        check("/a", Some((2, 5, "[1,\n  {\"b/c~d\": \"x\\\"y\"}]")));
        check("/g", Some((5, 5, "{}")));
        check("/f", Some((5, 5, "[]")));
        check("/h", None);
        check("", Some((1, 1, text.trim_end())));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[{}\\[\\]\",:\\\\a1 \n\u{e9}]{0,60}", pointer in any::<String>()) {
            find(&text, &BTreeSet::from([pointer, "/0".to_owned(), "/a".to_owned()]));
        }

        #[test]
        fn deep_text_is_survived(depth in 0_usize..5000) {
            find(&"[".repeat(depth), &BTreeSet::from([String::new()]));
        }
    }
}
