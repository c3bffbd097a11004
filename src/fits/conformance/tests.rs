//! One small file for each rule, and what no bytes may do.

mod cases;

use std::collections::BTreeSet;

use proptest::prelude::{any, prop};
use proptest::{prop_assert, proptest};

use crate::fits::CARD_BYTES;
use crate::fits::conformance::rule::{self, Severity};
use crate::fits::conformance::tests::cases::{bintable, cases, compressed, empty, groups, image, table, twice};
use crate::fits::conformance::{JudgeLimits, Judgement, judge};
use crate::fits::hdu::{self, ScanLimits};

fn judged(bytes: &[u8]) -> Judgement {
    judge(bytes, &JudgeLimits::default(), &mut |_| Ok(())).unwrap()
}

fn places(judgement: &Judgement) -> BTreeSet<(&'static str, usize, Option<usize>)> {
    judgement.findings.iter().map(|finding| (finding.rule.name, finding.hdu, finding.card)).collect()
}

#[test]
fn each_defect_is_found_where_it_is() {
    for (number, (draft, expected)) in cases().into_iter().enumerate() {
        let judgement = judged(&draft.bytes());
        let found = places(&judgement);
        for place in &expected {
            assert!(found.contains(place), "case {number}: {place:?} is not in {:?}", judgement.findings);
        }
    }
}

#[test]
fn every_rule_has_a_case() {
    let shown: BTreeSet<&str> = cases().iter().flat_map(|(_, expected)| expected).map(|place| place.0).collect();
    let missing: Vec<&str> = rule::ALL.iter().map(|rule| rule.name).filter(|name| !shown.contains(name)).collect();
    assert_eq!(missing, ["limit", "header-padding", "missing-padding", "long-row"], "these have tests of their own");
}

#[test]
fn names_of_rules_are_unique() {
    let names: BTreeSet<&str> = rule::ALL.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), rule::ALL.len());
}

#[test]
fn good_files_have_no_findings() {
    for draft in [empty(), image(), table(), bintable(), compressed()] {
        let judgement = judged(&draft.bytes());
        assert_eq!(judgement.findings, []);
        assert!(judgement.is_readable);
    }
    assert_eq!(judged(&groups().bytes()).faults, 0);
}

#[test]
fn padding_of_headers_and_of_the_end() {
    let mut bytes = image().bytes();
    bytes[10 * CARD_BYTES] = 0;
    assert_eq!(places(&judged(&bytes)), [("header-padding", 0, Some(11))].into());
    let bytes = image().bytes();
    assert_eq!(places(&judged(&bytes[..bytes.len() - 100])), [("missing-padding", 1, None)].into());
}

#[test]
fn limits_are_told() {
    let scan = ScanLimits { hdus: 2, header_cards: 100 };
    let limits = JudgeLimits { scan, findings: 1 };
    let many = judge(twice(&image()).bytes().as_slice(), &limits, &mut |_| Ok(())).unwrap();
    assert_eq!(places(&many), [("limit", 2, None)].into());
    let mut long = empty();
    long.hdus[0].0.extend((0..200).map(|_| "object  = 1".to_owned()));
    let long = judge(long.bytes().as_slice(), &limits, &mut |_| Ok(())).unwrap();
    assert_eq!((long.findings.len(), long.findings[0].rule.name), (1, "limit"));
    assert_eq!((long.faults, long.is_beyond_limit), (0, true));
    // The scanner's limit, to the card.
    for (cards, is_beyond_limit) in [(100, false), (101, true)] {
        let mut header = empty();
        header.hdus[0].0.resize(cards, "COMMENT".to_owned());
        let bytes = header.bytes();
        let found = judge(bytes.as_slice(), &limits, &mut |_| Ok(())).unwrap();
        assert_eq!(found.is_beyond_limit, is_beyond_limit, "{cards}");
        assert_eq!(hdu::scan(bytes.as_slice(), scan).is_err(), is_beyond_limit, "{cards}");
    }
    let mut wrong = empty();
    wrong.hdus[0].0.extend((0..50).map(|_| "object  = 1".to_owned()));
    let wrong = judge(wrong.bytes().as_slice(), &limits, &mut |_| Ok(())).unwrap();
    assert!(wrong.findings.len() == 1 && wrong.faults == 50, "{wrong:?}");
    let row = image().set(1, 1, "XTENSION= 'TABLE   '").set(1, 4, "NAXIS1  =              2000000");
    let row = row.set(1, 2, "BITPIX  =                    8").set(1, 3, "NAXIS   =                    2");
    let row = row.insert(1, 5, "NAXIS2  =                    1").add(1, "TFIELDS =                    0");
    assert!(places(&judged(&row.bytes())).contains(&("long-row", 1, None)));
}

#[test]
fn the_judge_goes_on_behind_a_fault_of_structure() {
    let judgement = judged(&twice(&image().set(1, 5, "PCOUNT  =                  0.0")).bytes());
    assert_eq!(judgement.hdus.len(), 3);
    assert!(!judgement.is_readable && judgement.findings.iter().any(|finding| finding.hdu == 2));
}

#[test]
fn watching_may_end_the_work() {
    let bytes = image().bytes();
    let error = judge(bytes.as_slice(), &JudgeLimits::default(), &mut |_| Err(std::io::Error::other("enough")));
    assert_eq!(error.unwrap_err().to_string(), "enough");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        prop_assert!(judged(&bytes).faults > 0);
    }

    #[test]
    fn no_change_of_a_good_file_makes_it_panic(
        which in 0..6_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = [empty(), image(), groups(), table(), bintable(), compressed()][which].bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len() * 2).min(bytes.len()));
        let judgement = judged(&bytes);
        let listed = judgement.findings.iter().filter(|finding| finding.rule.severity == Severity::Fault).count();
        prop_assert!(listed as u64 <= judgement.faults);
    }
}
