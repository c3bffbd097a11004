//! `dpm check --dictionary`: compares the keywords of a specification and of its files with its dictionaries.

use std::path::Path;

use serde::Serialize;

use crate::cli::output;
use crate::dictionary::DictionarySettings;
use crate::dictionary::judge::{Dictionaries, Origin};
use crate::fits::card::Record;
use crate::fits::keyword::KeywordKind;
use crate::host;
use crate::merge::dictionaries::Judges;
use crate::merge::gzip::GzipLimits;
use crate::merge::job;
use crate::merge::keywords::{self, Contribution};
use crate::merge::plan::{contribution_of_file, contribution_of_keywords};
use crate::specification::model::{FitsFileSource, FitsKeywordsSource, SortOrder, SourceSpecification, Specification};
use crate::status::with_causes;

/// What was found.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DictionaryReport {
    dictionaries: Vec<ReadDictionary>,
    missing: Vec<String>,
    faults: Vec<KeywordFault>,
    /// Sources whose files are not here.
    unchecked: Vec<String>,
    /// Sources whose files cannot be read as FITS, or rules not be applied.
    unreadable: Vec<String>,
    /// Keywords of the product that were compared.
    checked: usize,
}

#[derive(Serialize)]
struct ReadDictionary {
    name: String,
    file: String,
    faults: Vec<String>,
}

#[derive(Serialize)]
struct KeywordFault {
    source: String,
    keyword: String,
    fault: String,
}

/// Compares everything that can be; nothing of it is merged.
pub(crate) fn check(specification: &Specification, root: &Path, settings: &DictionarySettings) -> DictionaryReport {
    let judges = Judges::load(&specification.keyword_dictionaries, settings);
    let (mut dictionaries, mut missing, mut union) = (Vec::new(), Vec::new(), None);
    if let Some(judges) = judges {
        missing.extend(judges.missing.iter().map(|error| with_causes(error)));
        dictionaries.extend(judges.found.into_iter().map(|found| ReadDictionary {
            name: found.name,
            file: found.path.display().to_string(),
            faults: found.faults.iter().map(ToString::to_string).collect(),
        }));
        union = Some(judges.dictionaries);
    }
    let mut report = DictionaryReport {
        dictionaries,
        missing,
        faults: Vec::new(),
        unchecked: Vec::new(),
        unreadable: Vec::new(),
        checked: 0,
    };
    if let (Some(union), false) = (&union, report.dictionaries.is_empty()) {
        report.judge_sources(specification, root, union);
    }
    report
}

impl DictionaryReport {
    /// Whether nothing is wrong with the keywords and the files that are here.
    pub(crate) fn is_good(&self) -> bool {
        self.faults.is_empty() && self.unreadable.is_empty()
    }

    /// Whether every dictionary was found.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Judges what reaches the product: of keywords that several sources give, the one that wins.
    fn judge_sources(&mut self, specification: &Specification, root: &Path, union: &Dictionaries) {
        let (mut contributions, mut origins) = (Vec::new(), Vec::new());
        for source in &specification.sources {
            let (contribution, origin) = match source {
                SourceSpecification::FitsKeywords(source) => (self.offered(source), Origin::Specification),
                SourceSpecification::FitsFile(source) => (self.offered_by_file(source, root), Origin::File),
            };
            if let Some(contribution) = contribution {
                contributions.push(contribution);
                origins.push(origin);
            }
        }
        if let Some(target) = &specification.target.source {
            contributions.extend(self.offered_by_file(target, root));
        }
        let labels: Vec<String> = contributions.iter().map(|contribution| contribution.label.clone()).collect();
        for merged in keywords::merge(contributions, SortOrder::None) {
            // Behind the sources stands the in-place target.
            let origin = origins.get(merged.origin).copied().unwrap_or(Origin::File);
            self.judge(&merged.record, &labels[merged.origin], origin, union);
        }
    }

    fn offered(&mut self, source: &FitsKeywordsSource) -> Option<Contribution> {
        contribution_of_keywords(source).map_err(|error| self.unreadable.push(with_causes(&error))).ok()
    }

    fn offered_by_file(&mut self, source: &FitsFileSource, root: &Path) -> Option<Contribution> {
        let label = &source.source_name;
        let Some(path) = job::local_path(&source.location, root, &host::local_names()) else {
            self.unchecked.push(format!("source '{label}' is at {}, not on this host", source.location));
            return None;
        };
        match job::describe_file(label, &path, GzipLimits::DEFAULT) {
            Ok(input) => contribution_of_file(source, &input.primary.header)
                .map_err(|error| self.unreadable.push(with_causes(&error)))
                .ok(),
            Err(error) => {
                let list = if error.is_missing_source() { &mut self.unchecked } else { &mut self.unreadable };
                list.push(with_causes(&error));
                None
            }
        }
    }

    fn judge(&mut self, record: &Record, label: &str, origin: Origin, union: &Dictionaries) {
        if record.keyword.kind == KeywordKind::Commentary {
            return;
        }
        self.checked += 1;
        if let Some(complaint) = union.judge(record, origin).complaint {
            self.faults.push(KeywordFault {
                source: label.to_owned(),
                keyword: record.keyword.to_string(),
                fault: complaint.to_string(),
            });
        }
    }

    /// For people: one line each.
    pub(crate) fn text(&self) -> String {
        let mut lines = Vec::new();
        if self.dictionaries.is_empty() && self.missing.is_empty() {
            lines.push("names no dictionaries".to_owned());
        }
        for dictionary in &self.dictionaries {
            lines.push(format!("dictionary {}: {}", dictionary.name, dictionary.file));
            lines.extend(dictionary.faults.iter().map(|fault| format!("  {fault}")));
        }
        lines.extend(self.missing.iter().cloned());
        lines.extend(self.unreadable.iter().cloned());
        lines.extend(self.faults.iter().map(|f| format!("{} of source '{}': {}", f.keyword, f.source, f.fault)));
        lines.extend(self.unchecked.iter().map(|reason| format!("not checked: {reason}")));
        lines.push(match self.dictionaries.is_empty() {
            true => "no keyword was checked".to_owned(),
            false => format!("{} keywords checked, {} faults", self.checked, self.faults.len()),
        });
        lines.iter().map(|line| format!("  {}\n", output::safe(line))).collect()
    }
}
