//! From text to a valid [`Specification`], or every fault at once: strict JSON, the schema, then what a schema cannot
//! say. Opens no files: whether a source exists is found out when it is collected.

use std::collections::HashMap;

use regex::Regex;

use crate::specification::document::Document;
use crate::specification::fault::{FaultList, quoted};
use crate::specification::keyword_rules::{
    KeywordRule, KeywordRules, PATTERNS_MAX, SelectionPattern, compile_regex, rust_format,
};
use crate::specification::location::{Location, Scheme};
use crate::specification::model::{
    DigestAlgorithm, ExtensionNames, FitsFileSource, FitsKeywordsSource, NameFault, PrimaryData, SortOrder,
    SourceDigest, SourceSpecification, Specification, Target,
};
use crate::specification::node::{Findings, Node, Problem};
use crate::specification::{keywords, receivers, schema};

pub use crate::specification::fault::{Fault, SpecificationError};
pub use crate::specification::schema::SCHEMA;

/// Sources of one specification: each may be a file to open, and a process may hold some ten thousand.
pub const SOURCES_MAX: usize = 10_000;

/// Keywords in all sources of one specification: as many cards as a header may have.
pub const KEYWORDS_MAX: usize = 200_000;

/// Different regular expressions in one specification: each takes up to some milliseconds to compile.
pub const REGEXES_MAX: usize = 1000;

/// Reads and validates a specification.
///
/// Cost: proportional to the text; each value is visited a fixed number of times.
///
/// # Errors
///
/// [`SpecificationError`] with every fault, in the order of the text.
pub fn parse(text: &str) -> Result<Specification, SpecificationError> {
    let document = Document::read(text).map_err(|error| error.into_error())?;
    let mut list = FaultList::default();
    document.faults(&mut list);
    schema::check(document.value(), &mut list);
    build(&document, list, text)
}

/// Reads a specification that [`parse`] of this very program has accepted before, as a merging process does that the
/// daemon starts.
///
/// Cost: that of [`parse`] without the schema, whose compiling takes longer than all the rest of a small merge.
///
/// # Errors
///
/// As [`parse`], but what only the schema refuses (such as unknown members) is not noticed.
pub fn parse_accepted(text: &str) -> Result<Specification, SpecificationError> {
    let document = Document::read(text).map_err(|error| error.into_error())?;
    let mut list = FaultList::default();
    document.faults(&mut list);
    build(&document, list, text)
}

/// What the schema cannot say, and the typed model.
fn build(document: &Document, list: FaultList, text: &str) -> Result<Specification, SpecificationError> {
    let mut builder = Builder::new(Findings::new(list));
    let specification = builder.specification(&Node::root(document.value()));
    let mut list = builder.findings.into_list();
    match specification {
        Some(specification) if list.is_empty() => return Ok(specification),
        None if list.is_empty() => list.push("", "the specification is incomplete", None),
        _ => {}
    }
    Err(list.into_error(text))
}

/// As [`parse`], from the bytes of a file.
///
/// # Errors
///
/// As [`parse`]; bytes that are not UTF-8 are a fault.
pub fn parse_bytes(bytes: &[u8]) -> Result<Specification, SpecificationError> {
    parse(Document::text_of(bytes).map_err(|error| error.into_error())?)
}

struct Builder {
    findings: Findings,
    keyword_count: usize,
    /// Compiled so far, by their text: a specification often repeats one for each source.
    regexes: HashMap<String, Regex>,
}

/// Every function reports what is wrong before it gives up, so that one fault hides no other.
impl Builder {
    fn new(findings: Findings) -> Builder {
        Builder { findings, keyword_count: 0, regexes: HashMap::new() }
    }

    fn specification(&mut self, root: &Node<'_>) -> Option<Specification> {
        let id = self.name(root, "id");
        let priority = self.priority(root);
        let sources = root
            .member("sources")
            .map(|list| list.items().map(|source| self.source(&source)).collect::<Vec<Option<SourceSpecification>>>());
        let target = root.member("target").and_then(|target| self.target(&target));
        let receivers: Vec<_> = match root.member("receivers") {
            Some(list) => list.items().map(|node| receivers::receiver(&node, &mut self.findings)).collect(),
            None => Vec::new(),
        };
        let dictionaries = root.member("keywordDictionaries").map(|list| list.value.clone());
        let names = dictionaries.iter().flat_map(|list| list.as_array().into_iter().flatten());
        Some(Specification {
            id: id?,
            priority: priority?,
            sources: sources?.into_iter().collect::<Option<_>>()?,
            target: target?,
            receivers: receivers.into_iter().collect::<Option<_>>()?,
            keyword_dictionaries: names.filter_map(|name| name.as_str().map(str::to_owned)).collect(),
        })
    }

    fn name<T: std::str::FromStr<Err = NameFault>>(&mut self, node: &Node<'_>, member: &'static str) -> Option<T> {
        let text = node.text(member)?;
        text.parse().map_err(|fault| self.problem(node, member, &format!("{} is {fault}", quoted(text)), None)).ok()
    }

    fn priority(&mut self, root: &Node<'_>) -> Option<i64> {
        let Some(node) = root.member("priority") else { return Some(0) };
        let value = node.value.as_i64();
        if value.is_none() {
            let hint = "write an integer of 64 bits, without point or exponent";
            self.problem(root, "priority", "the priority is no integer", Some(hint));
        }
        value
    }

    fn source(&mut self, node: &Node<'_>) -> Option<SourceSpecification> {
        // The names in the schema that are not ELT's present ones are those of older releases.
        match node.text("type")? {
            "fitsFile" | "FitsFileSource" | "SourceFitsFile" | "sourceFitsFile" => {
                self.fits_file(node).map(SourceSpecification::FitsFile)
            }
            "fitsKeywords" | "FitsKeywordsSource" | "SourceFitsKeywords" | "sourceFitsKeywords" => {
                self.fits_keywords(node).map(SourceSpecification::FitsKeywords)
            }
            _ => None,
        }
    }

    fn fits_file(&mut self, node: &Node<'_>) -> Option<FitsFileSource> {
        let location = self.location(node);
        let keyword_rules = self.keyword_rules(node);
        let digest = self.digest(node);
        let handover = node.flag("handover").unwrap_or(false);
        if handover && matches!(&location, Some(Location::Url(url)) if url.scheme != Scheme::File) {
            let hint = "remove it, or give a path of the host where dpm runs";
            self.problem(node, "handover", "a file behind a URL cannot be handed over", Some(hint));
        }
        Some(FitsFileSource {
            source_name: node.text("sourceName")?.to_owned(),
            location: location?,
            keyword_rules: keyword_rules?,
            alert_unmergeable: node.flag("alertUnmergeable").unwrap_or(true),
            primary_data: match node.text("primaryData") {
                Some("asExtension") => PrimaryData::AsExtension,
                Some("ignore") => PrimaryData::Ignore,
                _ => PrimaryData::Alert,
            },
            handover,
            digest: digest?,
        })
    }

    fn location(&mut self, node: &Node<'_>) -> Option<Location> {
        let text = node.text("location")?;
        let parsed = Location::parse(text);
        parsed.map_err(|fault| self.problem(node, "location", &fault.to_string(), fault.hint.as_deref())).ok()
    }

    /// None where it is faulty; `Some(None)` where there is none.
    fn digest(&mut self, node: &Node<'_>) -> Option<Option<SourceDigest>> {
        let Some(digest) = node.member("digest") else { return Some(None) };
        let algorithm = match digest.text("algorithm")? {
            "blake3" => DigestAlgorithm::Blake3,
            "sha256" => DigestAlgorithm::Sha256,
            _ => return None,
        };
        let value = digest.text("value")?;
        if value.len() != 64 || !value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let hint = format!("64 are needed, {} characters are given", value.chars().count());
            self.problem(
                &digest,
                "value",
                &format!("{} is no digest in hexadecimal digits", quoted(value)),
                Some(&hint),
            );
            return None;
        }
        Some(Some(SourceDigest { algorithm, value: value.to_ascii_lowercase() }))
    }

    fn fits_keywords(&mut self, node: &Node<'_>) -> Option<FitsKeywordsSource> {
        let keyword_rules = self.keyword_rules(node);
        let list = node.member("keywords")?;
        let count_before = self.keyword_count;
        self.keyword_count += list.value.as_array().map_or(0, Vec::len);
        if self.keyword_count > KEYWORDS_MAX {
            if count_before <= KEYWORDS_MAX {
                let hint = format!("at most {KEYWORDS_MAX} are allowed: move keywords into a FITS file");
                self.findings.fault(&list, "too many keywords in all sources together", Some(hint));
            }
            return None;
        }
        let records = keywords::records(&list, &mut self.findings);
        Some(FitsKeywordsSource {
            source_name: node.text("sourceName")?.to_owned(),
            records,
            keyword_rules: keyword_rules?,
        })
    }

    /// None where they are faulty; `Some(None)` where there are none.
    fn keyword_rules(&mut self, node: &Node<'_>) -> Option<Option<KeywordRules>> {
        let Some(list) = node.member("keywordRules") else { return Some(None) };
        let patterns = |rule: &Node<'_>| rule.value["selectionPatterns"].as_array().map_or(0, Vec::len);
        if list.items().map(|rule| patterns(&rule)).sum::<usize>() > PATTERNS_MAX {
            let hint = format!("at most {PATTERNS_MAX} are allowed");
            self.findings.fault(&list, "too many selection patterns in one source", Some(hint));
            return None;
        }
        let rules: Vec<Option<KeywordRule>> = list.items().map(|rule| self.keyword_rule(&rule)).collect();
        let rules = rules.into_iter().collect::<Option<Vec<KeywordRule>>>()?;
        Some(Some(KeywordRules(rules)))
    }

    fn keyword_rule(&mut self, rule: &Node<'_>) -> Option<KeywordRule> {
        let patterns = self.patterns(rule);
        match rule.text("type")? {
            "filter" => patterns.map(KeywordRule::Filter),
            "transform" => {
                let regex = self.regex(rule)?;
                let format = rust_format(rule.text("format")?, &regex).map_err(|group| {
                    let hint = format!("the regex has {} groups; write $$ for a dollar sign", regex.captures_len() - 1);
                    self.problem(rule, "format", &format!("there is no group {}", quoted(&group)), Some(&hint));
                });
                Some(KeywordRule::Transform { patterns: patterns?, regex, format: format.ok()? })
            }
            _ => None,
        }
    }

    fn patterns(&mut self, rule: &Node<'_>) -> Option<Vec<SelectionPattern>> {
        let list = rule.member("selectionPatterns")?;
        let mut patterns = Some(Vec::new());
        for node in list.items() {
            let pattern = node.value.as_str().and_then(|text| {
                let hint = || Some("write it like `+e AOS *`".to_owned());
                let report = |fault| self.findings.fault(&node, format!("{}: {fault}", quoted(text)), hint());
                SelectionPattern::parse(text).map_err(report).ok()
            });
            patterns = patterns.zip(pattern).map(|(mut all, pattern)| {
                all.push(pattern);
                all
            });
        }
        patterns
    }

    fn regex(&mut self, rule: &Node<'_>) -> Option<Regex> {
        let text = rule.text("regex")?;
        if let Some(regex) = self.regexes.get(text) {
            return Some(regex.clone());
        }
        if self.regexes.len() >= REGEXES_MAX {
            let hint = format!("at most {REGEXES_MAX} different ones are allowed");
            self.problem(rule, "regex", "too many regular expressions", Some(&hint));
            return None;
        }
        match compile_regex(text) {
            Ok(regex) => {
                self.regexes.insert(text.to_owned(), regex.clone());
                Some(regex)
            }
            Err(error) => {
                let reason = regex_reason(&error);
                let hint = "the syntax is that of the Rust crate regex: no look-around, no back-references";
                self.problem(rule, "regex", &format!("{} is no usable regex: {reason}", quoted(text)), Some(hint));
                None
            }
        }
    }

    fn target(&mut self, node: &Node<'_>) -> Option<Target> {
        let file_id = self.name(node, "fileId");
        let source = match node.member("source") {
            Some(source) => self.fits_file(&source).map(Some),
            None => Some(None),
        };
        Some(Target {
            file_id: file_id?,
            file_prefix: node.text("filePrefix").unwrap_or_default().to_owned(),
            source: source?,
            sort: if node.text("sort") == Some("none") { SortOrder::None } else { SortOrder::Category },
            extension_names: match node.text("extensionNames") {
                Some("unique") => ExtensionNames::Unique,
                _ => ExtensionNames::AsIs,
            },
        })
    }

    fn problem(&mut self, node: &Node<'_>, member: &'static str, message: &str, hint: Option<&str>) {
        self.findings.problem(node, Problem::new(member, message, hint.map(str::to_owned)));
    }
}

/// The last line of the error: those before it draw the expression with a caret.
fn regex_reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => "it is too large: repeat less".to_owned(),
        error => {
            let text = error.to_string();
            text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
        }
    }
}

#[cfg(test)]
mod tests;
