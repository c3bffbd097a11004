//! Keyword rules: which keywords of a source go into the product, and under which names.
//!
//! Works on the records of one source; which source wins a name is the merge's business.

use regex::{Regex, RegexBuilder};
use thiserror::Error;

use crate::fits::card::Record;
use crate::fits::fault::CardFault;
use crate::fits::keyword::{Keyword, KeywordClass, KeywordKind};
use crate::specification::fault::quoted;
use crate::specification::glob::{Glob, GlobFault};

/// Selection patterns in all rules of one source: bounds the work for each keyword.
pub const PATTERNS_MAX: usize = 1000;

/// Bytes that one compiled regular expression may take: generous for renaming, far below what hurts.
const REGEX_BYTES_MAX: usize = 256 * 1024;

/// Keywords that the merger writes itself: no rule lets one of a source pass.
pub const RESERVED: [&str; 5] = ["ARCFILE", "ORIGFILE", "DATE", "CHECKSUM", "DATASUM"];

/// A chain of rules: the output of one is the input of the next. An empty chain lets nothing pass.
#[derive(Clone, Debug)]
pub struct KeywordRules(pub Vec<KeywordRule>);

/// One step of the chain.
#[derive(Clone, Debug)]
pub enum KeywordRule {
    /// Drops every keyword that is not selected.
    Filter(Vec<SelectionPattern>),
    /// Renames the selected keywords and passes the others.
    Transform {
        /// Which keywords are renamed.
        patterns: Vec<SelectionPattern>,
        /// What is replaced in the logical name, at every place where it matches.
        regex: Regex,
        /// What replaces it, in the syntax of the `regex` crate ([`rust_format`] makes it from the specification's).
        format: String,
    },
}

/// `[+-][evc]+ GLOB`: adds keywords to, or takes them from, the running selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectionPattern {
    is_added: bool,
    has_eso: bool,
    has_value: bool,
    has_commentary: bool,
    glob: Glob,
}

/// Why a text is no selection pattern.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternFault {
    /// Neither `+` nor `-` at the start.
    #[error("a pattern begins with `+` or `-`")]
    Sign,
    /// No letter, or another one, between sign and space.
    #[error("{} are no kinds of keywords: e is ESO, v is value, c is commentary", quoted(letters))]
    Kinds {
        /// What stands there.
        letters: String,
    },
    /// No space, or no glob behind it.
    #[error("a space and a glob follow the kinds")]
    NoGlob,
    /// More than one space.
    #[error("the glob begins with a space, as no keyword name does")]
    LeadingSpace,
    /// `+e HIERARCH ESO ..`.
    #[error("ESO keywords are selected by their logical name, without `HIERARCH ESO`")]
    Prefix,
    /// The glob is wrong.
    #[error("{0}")]
    Glob(#[from] GlobFault),
}

/// Why rules could not be applied to a keyword.
#[derive(Debug, Clone, Error, PartialEq)]
#[error("keyword rule {rule} cannot rename {from} to {}", quoted(to))]
pub struct KeywordRuleFault {
    /// Index of the rule in its list, 0-based.
    pub rule: usize,
    /// The keyword as it came to the rule.
    pub from: Keyword,
    /// The logical name that the rule made of it.
    pub to: String,
    /// Why that is impossible.
    #[source]
    pub kind: Box<RenameFault>,
}

/// Why a keyword cannot have its new name.
#[derive(Debug, Clone, Error, PartialEq)]
#[non_exhaustive]
pub enum RenameFault {
    /// No legal name, or the value has no room behind it.
    #[error(transparent)]
    Card(#[from] CardFault),
    /// The new name describes the structure of an HDU.
    #[error("structural keywords are written by the merger alone: choose another name")]
    Structural,
}

impl SelectionPattern {
    /// Parses `[+-][evc]+ GLOB`.
    ///
    /// # Errors
    ///
    /// [`PatternFault`].
    pub fn parse(text: &str) -> Result<SelectionPattern, PatternFault> {
        let is_added = text.starts_with('+');
        let rest = text.strip_prefix(['+', '-']).ok_or(PatternFault::Sign)?;
        let (letters, glob) = rest.split_once(' ').unwrap_or((rest, ""));
        if letters.is_empty() || !letters.bytes().all(|byte| b"evc".contains(&byte)) {
            return Err(PatternFault::Kinds { letters: letters.to_owned() });
        }
        if glob.is_empty() {
            return Err(PatternFault::NoGlob);
        }
        if glob.starts_with(' ') {
            return Err(PatternFault::LeadingSpace);
        }
        if letters.contains('e') && (glob.starts_with("HIERARCH ") || glob.starts_with("ESO ")) {
            return Err(PatternFault::Prefix);
        }
        let has = |letter| letters.contains(letter);
        Ok(SelectionPattern {
            is_added,
            has_eso: has('e'),
            has_value: has('v'),
            has_commentary: has('c'),
            glob: Glob::parse(glob)?,
        })
    }

    fn matches(&self, keyword: &Keyword) -> bool {
        let has_kind = match keyword.kind {
            KeywordKind::Eso => self.has_eso,
            KeywordKind::Value | KeywordKind::Hierarch => self.has_value,
            KeywordKind::Commentary => self.has_commentary,
        };
        has_kind && self.glob.matches(&keyword.name)
    }
}

/// True if the patterns, in order, leave `keyword` selected: the last one that matches decides.
fn is_selected(patterns: &[SelectionPattern], keyword: &Keyword) -> bool {
    patterns.iter().rev().find(|pattern| pattern.matches(keyword)).is_some_and(|pattern| pattern.is_added)
}

/// Compiles the regular expression of a transform with a bounded size.
///
/// # Errors
///
/// That of the `regex` crate.
pub fn compile_regex(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).nest_limit(50).build()
}

/// Translates a replacement as ECMAScript reads it (`$1`, `$&`, `$$`) to the syntax of the `regex` crate,
/// where `$1A` would mean a group named `1A`.
///
/// # Errors
///
/// The reference to a group that `regex` does not have.
pub fn rust_format(format: &str, regex: &Regex) -> Result<String, String> {
    let mut out = String::with_capacity(format.len());
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (group, used) = reference(after, regex)?;
        out.push_str(&group);
        rest = after.get(used..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

/// Reads what follows a `$`: what stands for it, and how many bytes it takes.
fn reference(after: &str, regex: &Regex) -> Result<(String, usize), String> {
    if after.starts_with('$') {
        return Ok(("$$".to_owned(), 1));
    }
    if after.starts_with('&') {
        return Ok(("${0}".to_owned(), 1));
    }
    if let Some((name, _)) = after.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        let is_index = name.parse::<usize>().is_ok_and(|index| index < regex.captures_len());
        if is_index || regex.capture_names().flatten().any(|own| own == name) {
            return Ok((format!("${{{name}}}"), name.len() + 2));
        }
        return Err(format!("${{{name}}}"));
    }
    let digits = after.bytes().take(2).take_while(u8::is_ascii_digit).count();
    // Two digits if there are so many groups, else one (ECMAScript GetSubstitution).
    for count in (1..=digits).rev() {
        let index = after.get(..count).unwrap_or_default();
        if index.parse::<usize>().is_ok_and(|index| index < regex.captures_len()) {
            return Ok((format!("${{{index}}}"), count));
        }
    }
    match digits {
        0 => Ok(("$$".to_owned(), 0)),
        digits => Err(format!("${}", after.get(..digits).unwrap_or_default())),
    }
}

struct Candidate {
    record: Record,
    is_chosen: bool,
}

/// Applies the rules of one source to the records of its primary header, in order.
///
/// Structural and [`RESERVED`] keywords never pass. Without rules, those of class user do. With rules, a core keyword
/// passes only if a rule selected it. Cost: records times patterns.
///
/// # Errors
///
/// [`KeywordRuleFault`] for the first keyword that cannot be renamed.
pub fn apply(rules: Option<&KeywordRules>, records: Vec<Record>) -> Result<Vec<Record>, KeywordRuleFault> {
    let passes = |record: &Record| record.keyword.class() != KeywordClass::Structural && !is_reserved(&record.keyword);
    let Some(rules) = rules else {
        return Ok(records.into_iter().filter(|r| passes(r) && r.keyword.class() == KeywordClass::User).collect());
    };
    if rules.0.is_empty() {
        return Ok(Vec::new());
    }
    let inputs = records.into_iter().filter(|record| record.keyword.class() != KeywordClass::Structural);
    let mut candidates: Vec<Candidate> = inputs.map(|record| Candidate { record, is_chosen: false }).collect();
    for (index, rule) in rules.0.iter().enumerate() {
        match rule {
            KeywordRule::Filter(patterns) => candidates.retain_mut(|candidate| {
                let is_kept = is_selected(patterns, &candidate.record.keyword);
                candidate.is_chosen |= is_kept;
                is_kept
            }),
            KeywordRule::Transform { patterns, regex, format } => {
                for candidate in &mut candidates {
                    if is_selected(patterns, &candidate.record.keyword) {
                        candidate.is_chosen = true;
                        rename(index, regex, format, &mut candidate.record)?;
                    }
                }
            }
        }
    }
    let is_output =
        |c: &Candidate| passes(&c.record) && (c.is_chosen || c.record.keyword.class() == KeywordClass::User);
    Ok(candidates.into_iter().filter(is_output).map(|candidate| candidate.record).collect())
}

/// True for a keyword that the merger writes itself.
pub fn is_reserved(keyword: &Keyword) -> bool {
    keyword.kind == KeywordKind::Value && RESERVED.contains(&keyword.name.as_str())
}

fn rename(rule: usize, regex: &Regex, format: &str, record: &mut Record) -> Result<(), KeywordRuleFault> {
    let name = regex.replace_all(&record.keyword.name, format);
    if name == record.keyword.name {
        return Ok(());
    }
    let to = Keyword { kind: record.keyword.kind, name: name.into_owned() };
    let fault = |kind| {
        let kind = Box::new(kind);
        KeywordRuleFault { rule, from: record.keyword.clone(), to: to.name.clone(), kind }
    };
    if to.class() == KeywordClass::Structural {
        return Err(fault(RenameFault::Structural));
    }
    *record = record.renamed(&to).map_err(|card| fault(card.into()))?;
    Ok(())
}

#[cfg(test)]
mod tests;
