//! Glob patterns over keyword names: `*` (also across spaces), `?`, `[abc]`, `[a-z]`, `[!a]`.
//!
//! Case-sensitive, no escapes: keyword names hold none of these characters. Matching never backtracks further than
//! to the last `*`, so it takes at most pattern length times name length steps: no input makes it exponential.

use std::fmt;

use thiserror::Error;

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    tokens: Vec<Token>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum GlobFault {
    /// `[` without `]`.
    #[error("the `[` at character {column} has no `]`")]
    Unclosed {
        /// Place of the bracket, 1-based.
        column: usize,
    },
    /// `[z-a]`.
    #[error("the range {from}-{to} is empty")]
    EmptyRange {
        /// First character.
        from: char,
        /// Last character.
        to: char,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Star,
    Any,
    Char(char),
    Set { is_negated: bool, ranges: Vec<(char, char)> },
}

impl Token {
    fn accepts(&self, c: char) -> bool {
        match self {
            Self::Star => false,
            Self::Any => true,
            Self::Char(own) => *own == c,
            Self::Set { is_negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *is_negated
            }
        }
    }
}

impl Glob {
    /// Parses a pattern. As in the shell, a `]` directly behind `[` or `[!` is a member of the set.
    ///
    /// # Errors
    ///
    /// [`GlobFault`] for an unclosed or empty set.
    pub fn parse(text: &str) -> Result<Glob, GlobFault> {
        let chars: Vec<char> = text.chars().collect();
        let mut tokens = Vec::new();
        let mut at = 0;
        while let Some(c) = chars.get(at) {
            at += 1;
            match c {
                // Several stars in a row are one.
                '*' if tokens.last() == Some(&Token::Star) => {}
                '*' => tokens.push(Token::Star),
                '?' => tokens.push(Token::Any),
                '[' => {
                    let (token, used) = parse_set(chars.get(at..).unwrap_or_default(), at)?;
                    tokens.push(token);
                    at += used;
                }
                c => tokens.push(Token::Char(*c)),
            }
        }
        Ok(Glob { text: text.to_owned(), tokens })
    }

    /// True if the whole `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        let mut rest = name.chars();
        let mut at = 0;
        // Where to go on when a match fails: behind the last star, which then takes one character more.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            if self.tokens.get(at) == Some(&Token::Star) {
                at += 1;
                retry = Some((at, rest.clone()));
                continue;
            }
            let mut ahead = rest.clone();
            match (ahead.next(), self.tokens.get(at)) {
                (None, None) => return true,
                (Some(c), Some(token)) if token.accepts(c) => {
                    at += 1;
                    rest = ahead;
                }
                _ => {
                    let Some((token, from)) = &mut retry else { return false };
                    if from.next().is_none() {
                        return false;
                    }
                    at = *token;
                    rest = from.clone();
                }
            }
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Parses what follows a `[` at character `column` (1-based); returns the characters used too.
fn parse_set(chars: &[char], column: usize) -> Result<(Token, usize), GlobFault> {
    let is_negated = chars.first() == Some(&'!');
    let start = usize::from(is_negated);
    let mut at = start;
    let mut ranges = Vec::new();
    loop {
        let from = *chars.get(at).ok_or(GlobFault::Unclosed { column })?;
        if from == ']' && at > start {
            return Ok((Token::Set { is_negated, ranges }, at + 1));
        }
        match (chars.get(at + 1), chars.get(at + 2)) {
            (Some('-'), Some(to)) if *to != ']' => {
                if from > *to {
                    return Err(GlobFault::EmptyRange { from, to: *to });
                }
                ranges.push((from, *to));
                at += 3;
            }
            _ => {
                ranges.push((from, from));
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use crate::specification::glob::{Glob, GlobFault};

    fn matches(pattern: &str, name: &str) -> bool {
        Glob::parse(pattern).expect(pattern).matches(name)
    }

    #[test]
    fn table() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("", "A", false),
            ("*", "", true),
            ("*", "TPL ID", true),
            ("**", "X", true),
            ("AOS *", "AOS RTC STATE", true),
            ("AOS *", "AOS", false),
            ("AOS *", "AOS1 X", false),
            ("* ID", "TPL ID", true),
            ("* ID", "TPL IDX", false),
            ("A*B*C", "AxBxBxC", true),
            ("A*B*C", "AxBxBx", false),
            ("DET? ID", "DET1 ID", true),
            ("DET? ID", "DET ID", false),
            ("INS[12] *", "INS1 NAME", true),
            ("INS[12] *", "INS3 NAME", false),
            ("INS[!12] *", "INS3 NAME", true),
            ("INS[!12] *", "INS1 NAME", false),
            ("N[0-9]X", "N5X", true),
            ("N[0-9]X", "NAX", false),
            ("[]]", "]", true),
            ("[!]]", "]", false),
            ("[!]]", "A", true),
            ("[a-]", "-", true),
            ("[!!]", "!", false),
            ("a", "A", false),
            ("]", "]", true),
            ("\\*", "\\A", true),
            ("?", "é", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn faults() {
        for (pattern, expected) in [
            ("A[12", GlobFault::Unclosed { column: 2 }),
            ("[]", GlobFault::Unclosed { column: 1 }),
            ("[!]", GlobFault::Unclosed { column: 1 }),
            ("[z-a]", GlobFault::EmptyRange { from: 'z', to: 'a' }),
        ] {
            assert_eq!(Glob::parse(pattern), Err(expected), "{pattern}");
        }
    }

    #[test]
    fn is_not_exponential() {
        // With naive backtracking this takes longer than anyone waits.
        let pattern = format!("{}C", "*A".repeat(100));
        assert!(!matches(&pattern, &"A".repeat(10_000)));
    }

    fn naive(pattern: &[char], name: &[char]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), None) => naive(rest, name),
            (Some(('*', rest)), Some((_, tail))) => naive(rest, name) || naive(pattern, tail),
            (Some(('?', rest)), Some((_, tail))) => naive(rest, tail),
            (Some((p, rest)), Some((c, tail))) => p == c && naive(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_naive_matcher(pattern in "[AB *?]{0,8}", name in "[AB ]{0,10}") {
            let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
            prop_assert_eq!(matches(&pattern, &name), naive(&p, &n));
        }

        #[test]
        fn any_pattern_is_survived(pattern in "[\\[\\]!*?a-c-]{0,12}", name in "[\\[\\]!a-c-]{0,12}") {
            if let Ok(glob) = Glob::parse(&pattern) {
                glob.matches(&name);
            }
        }
    }
}
