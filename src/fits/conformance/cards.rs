//! Judges single cards: characters, names, value indicators, values, CONTINUE, repeated keywords (Standard 4.1, 4.2).

use crate::fits::card::{Card, CardFaultKind};
use crate::fits::conformance::finding::{Findings, Keywords};
use crate::fits::conformance::rule;
use crate::fits::header::Header;
use crate::fits::keyword::{Keyword, KeywordFault, KeywordKind};

/// Judges each card of a header.
pub(crate) fn judge(header: &Header, keywords: &Keywords, findings: &mut Findings) {
    judge_syntax(header, findings);
    judge_repeats(keywords, findings);
}

/// Judges the cards of a header that may not be whole.
pub(crate) fn judge_syntax(header: &Header, findings: &mut Findings) {
    for (index, fault) in header.faults() {
        let card = header.cards().get(index).copied().unwrap_or(Card::BLANK);
        let keyword = card.keyword();
        let rule = match fault.kind {
            CardFaultKind::NotPrintable { .. } => &rule::CARD_TEXT,
            CardFaultKind::Keyword(KeywordFault::Empty) if keyword.kind == KeywordKind::Value => &rule::KEYWORD_NAME,
            _ if keyword.is_hierarchical() => &rule::HIERARCH_SYNTAX,
            CardFaultKind::Keyword(_) => &rule::KEYWORD_NAME,
            CardFaultKind::MissingSpace => &rule::VALUE_INDICATOR,
            CardFaultKind::End => &rule::END_CARD,
            CardFaultKind::OrphanContinue => &rule::ORPHAN_CONTINUE,
            _ => &rule::VALUE_SYNTAX,
        };
        findings.tell(rule, index + 1, &keyword.to_string(), fault.to_string());
    }
    for (index, card) in header.cards().iter().enumerate() {
        judge_rest(index + 1, card, findings);
    }
}

/// Faults that a reader need not know: a name that does not start in column 1, exponents of lower case.
fn judge_rest(number: usize, card: &Card, findings: &mut Findings) {
    let bytes = card.as_bytes();
    let name = bytes.get(..8).unwrap_or_default();
    let text = name.trim_ascii_end();
    let is_text = text.iter().all(|byte| matches!(byte, b' '..=b'~'));
    if card.fault().is_none() && is_text && text.contains(&b' ') {
        let message =
            format!("card '{}': a space stands within or before the keyword: begin it in column 1", card.text());
        findings.tell(&rule::KEYWORD_NAME, number, &card.keyword().to_string(), message);
    }
    if bytes.get(8..10) == Some(b"= ") && has_small_exponent(bytes.get(10..).unwrap_or_default()) {
        let message = format!("card '{}': the exponent has a lower-case letter: write E or D", card.text());
        findings.tell(&rule::EXPONENT_LETTER, number, &card.keyword().to_string(), message);
    }
}

/// Whether the field is a number, or a pair, with `e` or `d`.
fn has_small_exponent(field: &[u8]) -> bool {
    let token = field.trim_ascii_start();
    if !matches!(token.first(), Some(b'0'..=b'9' | b'+' | b'-' | b'.' | b'(')) {
        return false;
    }
    token.iter().take_while(|byte| **byte != b'/').any(|byte| matches!(byte, b'e' | b'd'))
}

fn judge_repeats(keywords: &Keywords, findings: &mut Findings) {
    for entry in keywords.all() {
        if keywords.is_first(entry) {
            continue;
        }
        let first = keywords.card(&entry.name);
        let is_mandatory = is_mandatory(&entry.name);
        let rule = if is_mandatory { &rule::MANDATORY_TWICE } else { &rule::DUPLICATE_KEYWORD };
        let message = format!("{} stands on card {first} already: remove one of them", entry.name);
        findings.tell(rule, entry.card, &entry.name, message);
    }
}

fn is_mandatory(name: &str) -> bool {
    const OTHERS: [&str; 3] = ["END", "CONTINUE", "TFORM"];
    Keyword::value(name).class() == crate::fits::keyword::KeywordClass::Structural && !OTHERS.contains(&name)
}
