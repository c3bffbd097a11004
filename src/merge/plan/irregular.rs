//! What a source has that does not reach the product, or is told of because a producer should mend it.

use std::collections::HashSet;

use crate::fits::card::Record;
use crate::fits::fault::CardFaultKind;
use crate::fits::header::Header;
use crate::fits::keyword::KeywordKind;
use crate::merge::input::repeated_mandatory;
use crate::specification::keyword_rules;

/// What is not legal in a primary header and is not copied: each as the end of a sentence about it.
pub(in crate::merge::plan) fn primary_faults(header: &Header) -> Vec<String> {
    let mut faults = Vec::new();
    if header.has_text_behind_end() {
        faults.push("has text behind END, which is left out".to_owned());
    }
    if let Some(names) = repeated_mandatory(header.cards()) {
        faults.push(format!("has {names} more than once: the first counts"));
    }
    let all = header.faults();
    let orphans: Vec<usize> = all
        .iter()
        .filter(|(_, fault)| matches!(fault.kind, CardFaultKind::OrphanContinue))
        .map(|(index, _)| index + 1)
        .collect();
    match orphans[..] {
        [] => {}
        [card] => faults.push(format!("has a CONTINUE that continues nothing, card {card}, which is left out")),
        [first, ..] => faults.push(format!(
            "has {} CONTINUE cards that continue nothing, the first: card {first}, which are left out",
            orphans.len()
        )),
    }
    faults
}

/// The keywords with a value that stand in `records` more than once, each once, in order.
pub(in crate::merge::plan) fn repeated_keywords(records: &[Record]) -> Vec<String> {
    let (mut seen, mut told) = (HashSet::new(), HashSet::new());
    records
        .iter()
        .map(|record| &record.keyword)
        .filter(|keyword| keyword.kind != KeywordKind::Commentary && !keyword_rules::is_reserved(keyword))
        .filter(|keyword| !seen.insert(*keyword) && told.insert(*keyword))
        .map(ToString::to_string)
        .collect()
}
