//! Which source's keyword wins, and in which order the product's primary header shows them.
//!
//! Pure. Rules of single sources were applied before ([`crate::specification::keyword_rules`]); structural and
//! reserved keywords are not seen here.

use std::collections::HashMap;

use crate::fits::card::Record;
use crate::fits::keyword::{Keyword, KeywordKind};
use crate::specification::keyword_rules::is_reserved;
use crate::specification::model::SortOrder;

/// Order of the ESO categories in a primary header (DICD 3.1.1.3 as the ELT's merger applies it); any other
/// category follows in order of first appearance.
pub const CATEGORY_ORDER: [&str; 8] = ["DPR", "OBS", "TPL", "GEN", "TEL", "ADA", "INS", "DET"];

/// The keywords that one source offers for the primary header.
#[derive(Clone, Debug)]
pub struct Contribution {
    /// Name of the source, for explanations.
    pub label: String,
    /// Its records after its own rules, in its order.
    pub records: Vec<Record>,
}

/// One keyword of the product with its history.
#[derive(Clone, Debug, PartialEq)]
pub struct MergedKeyword {
    /// The record as it will be written.
    pub record: Record,
    /// Index of the contribution that won.
    pub origin: usize,
    /// What lost, in descending priority.
    pub beaten: Vec<BeatenKeyword>,
}

/// A record that another one of the same keyword beat.
#[derive(Clone, Debug, PartialEq)]
pub struct BeatenKeyword {
    /// Index of its contribution; that of the winner for a later card of the same source.
    pub origin: usize,
    /// The record.
    pub record: Record,
}

/// Merges `contributions`, given in descending priority, and sorts the outcome.
///
/// A value or ESO keyword is taken from the first contribution that has it, and inside one contribution from its
/// first card, which is the one that FITS readers return. Commentary is kept from all, in order of priority.
/// Cost: linear in the number of records (plus the sort).
pub fn merge(contributions: Vec<Contribution>, order: SortOrder) -> Vec<MergedKeyword> {
    let mut merged: Vec<MergedKeyword> = Vec::new();
    let mut seen: HashMap<Keyword, usize> = HashMap::new();
    for (origin, contribution) in contributions.into_iter().enumerate() {
        for record in contribution.records {
            if is_reserved(&record.keyword) {
                continue;
            }
            if record.keyword.kind == KeywordKind::Commentary {
                merged.push(MergedKeyword { record, origin, beaten: Vec::new() });
                continue;
            }
            match seen.get(&record.keyword) {
                Some(&index) => merged[index].beaten.push(BeatenKeyword { origin, record }),
                None => {
                    seen.insert(record.keyword.clone(), merged.len());
                    merged.push(MergedKeyword { record, origin, beaten: Vec::new() });
                }
            }
        }
    }
    match order {
        SortOrder::None => merged,
        SortOrder::Category => sort_by_category(merged),
    }
}

/// Value keywords, then ESO keywords by category, then commentary; the sort is stable, so each group keeps the
/// order of its sources.
fn sort_by_category(mut merged: Vec<MergedKeyword>) -> Vec<MergedKeyword> {
    let mut later_categories: HashMap<String, usize> = HashMap::new();
    for keyword in &merged {
        if keyword.record.keyword.kind == KeywordKind::Eso {
            let category = category(&keyword.record.keyword.name);
            if !CATEGORY_ORDER.contains(&category) && !later_categories.contains_key(category) {
                later_categories.insert(category.to_owned(), CATEGORY_ORDER.len() + later_categories.len());
            }
        }
    }
    merged.sort_by_key(|keyword| match keyword.record.keyword.kind {
        KeywordKind::Value | KeywordKind::Hierarch => (0, 0),
        KeywordKind::Eso => (1, category_rank(&keyword.record.keyword.name, &later_categories)),
        KeywordKind::Commentary => (2, 0),
    });
    merged
}

fn category_rank(name: &str, later: &HashMap<String, usize>) -> usize {
    let category = category(name);
    CATEGORY_ORDER
        .iter()
        .position(|known| *known == category)
        .or_else(|| later.get(category).copied())
        .unwrap_or(usize::MAX)
}

/// First word of an ESO keyword's logical name.
fn category(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use crate::fits::card::Record;
    use crate::fits::keyword::Keyword;
    use crate::fits::value::Value;
    use crate::merge::keywords::{Contribution, merge};
    use crate::specification::model::SortOrder;

    fn record(name: &str, value: i128) -> Record {
        let keyword = if name.contains(' ') { Keyword::eso(name) } else { Keyword::value(name) };
        Record::new(keyword, &Value::Integer(value), None).expect("legal")
    }

    fn comment(text: &str) -> Record {
        Record::commentary("COMMENT", text).expect("legal")
    }

    fn check(sources: Vec<Vec<Record>>, order: SortOrder, expected: &[&str]) {
        let contributions = sources
            .into_iter()
            .enumerate()
            .map(|(index, records)| Contribution { label: format!("s{index}"), records })
            .collect();
        let shown: Vec<String> = merge(contributions, order)
            .into_iter()
            .map(|merged| {
                let value = merged.record.value().expect("readable");
                let text = match value {
                    Some(Value::Integer(number)) => format!("={number}"),
                    _ => format!(":{}", merged.record.commentary_text()),
                };
                let beaten: Vec<usize> = merged.beaten.iter().map(|beaten| beaten.origin).collect();
                format!("{}{text} {}>{beaten:?}", merged.record.keyword.name, merged.origin)
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn earlier_source_wins_and_says_whom_it_beat() {
        check(
            vec![vec![record("RA", 1)], vec![record("RA", 2), record("DEC", 3)], vec![record("RA", 4)]],
            SortOrder::Category,
            &["RA=1 0>[1, 2]", "DEC=3 1>[]"],
        );
    }

    #[test]
    fn first_of_duplicates_in_one_source_wins() {
        check(vec![vec![record("A", 1), record("A", 2)]], SortOrder::Category, &["A=1 0>[0]"]);
    }

    #[test]
    fn categories_follow_the_dictionary_then_first_appearance() {
        check(
            vec![
                vec![comment("first"), record("ZZ TOP", 1), record("DET ID", 2), record("OBJECT", 3)],
                vec![record("AOS X", 4), record("DPR CATG", 5), comment("second"), record("ZZ A", 6)],
            ],
            SortOrder::Category,
            &[
                "OBJECT=3 0>[]",
                "DPR CATG=5 1>[]",
                "DET ID=2 0>[]",
                "ZZ TOP=1 0>[]",
                "ZZ A=6 1>[]",
                "AOS X=4 1>[]",
                "COMMENT:first 0>[]",
                "COMMENT:second 1>[]",
            ],
        );
    }

    #[test]
    fn sort_none_keeps_source_order() {
        check(
            vec![vec![comment("c"), record("DET ID", 2), record("OBJECT", 3)], vec![record("DPR CATG", 5)]],
            SortOrder::None,
            &["COMMENT:c 0>[]", "DET ID=2 0>[]", "OBJECT=3 0>[]", "DPR CATG=5 1>[]"],
        );
    }

    #[test]
    fn reserved_keywords_of_sources_are_dropped() {
        check(vec![vec![record("DATE", 1), record("ARCFILE", 1), record("MJD", 1)]], SortOrder::None, &["MJD=1 0>[]"]);
    }
}
