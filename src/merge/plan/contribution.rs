//! What each source offers to the primary header of the product, after its own rules.

use crate::fits::card::Record;
use crate::fits::header::Header;
use crate::fits::keyword::KeywordClass;
use crate::merge::input::used_cards;
use crate::merge::keywords::Contribution;
use crate::merge::plan::{PlanError, PlanErrorKind};
use crate::specification::keyword_rules::{self, KeywordRules};
use crate::specification::model::{FitsFileSource, FitsKeywordsSource};

/// What keywords of the specification offer: without rules all of them, because all are meant for the product.
///
/// # Errors
///
/// [`PlanErrorKind::KeywordRules`] where a rule makes an illegal keyword.
pub fn contribution_of_keywords(source: &FitsKeywordsSource) -> Result<Contribution, PlanError> {
    let label = source.source_name.clone();
    let records = source.records.clone();
    let records = match &source.keyword_rules {
        None => records,
        Some(rules) => select(&label, Some(rules), records)?,
    };
    Ok(Contribution { label, records })
}

/// What a file with this primary header offers.
///
/// # Errors
///
/// [`PlanErrorKind::KeywordRules`] where a rule makes an illegal keyword.
pub fn contribution_of_file(source: &FitsFileSource, primary: &Header) -> Result<Contribution, PlanError> {
    let label = source.source_name.clone();
    let records = select(&label, source.keyword_rules.as_ref(), offered(primary))?;
    Ok(Contribution { label, records })
}

/// What a primary header offers: all but structural cards and spare blank cards at its end.
pub(in crate::merge::plan) fn offered(header: &Header) -> Vec<Record> {
    let used = used_cards(header.cards());
    Header::from_cards(header.cards()[..used].to_vec())
        .records()
        .into_iter()
        .filter(|record| record.keyword.class() != KeywordClass::Structural)
        .collect()
}

fn select(label: &str, rules: Option<&KeywordRules>, records: Vec<Record>) -> Result<Vec<Record>, PlanError> {
    keyword_rules::apply(rules, records)
        .map_err(|fault| PlanError { label: label.to_owned(), kind: PlanErrorKind::KeywordRules(fault) })
}
