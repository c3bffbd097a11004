//! Judges the mandatory keywords: presence, order, type, range, fixed format (Standard 4.4.1, 6.1.1, 7.1.1 to 7.3.1).
//!
//! Finds the size of the data unit where that can be told in spite of faults, so that a file is judged to its end.

use crate::fits::card::{Card, Record};
use crate::fits::conformance::finding::{Entry, Findings, Keywords, split_index, value_text};
use crate::fits::conformance::rule::{self, Rule};
use crate::fits::header::Header;
use crate::fits::keyword::Keyword;
use crate::fits::structure::{HduKind, MOST_AXES, Structure};
use crate::fits::value::Value;

/// Types of extensions that are registered with the IAU FITS working group, beside the Standard's own three.
const REGISTERED: [&str; 4] = ["IUEIMAGE", "A3DTABLE", "FOREIGN", "DUMP"];

/// Judges the mandatory keywords of a header and gives what they say; none where the size cannot be told.
pub(crate) fn judge(
    header: &Header,
    keywords: &Keywords,
    is_first: bool,
    findings: &mut Findings,
) -> Option<Structure> {
    let before = findings.faults;
    let kind = judge_kind(keywords, is_first, findings);
    let axes = keywords.integer("NAXIS").filter(|axes| (0..=MOST_AXES).contains(axes)).unwrap_or(0);
    judge_order(&sequence(&kind, axes), keywords, header, findings);
    judge_values(keywords, findings);
    judge_axes(keywords, axes, findings);
    judge_by_kind(&kind, keywords, findings);
    match Structure::of(header, is_first) {
        Ok(structure) => Some(structure),
        Err(fault) => {
            if findings.faults == before {
                findings.tell(&rule::MANDATORY_VALUE, keywords.card(&fault.keyword), &fault.keyword, fault.to_string());
            }
            let structure = readable_structure(kind, keywords, axes);
            if structure.is_none() {
                let message = "the size of the data unit cannot be told: what follows was not judged".to_owned();
                findings.tell(&rule::UNREADABLE_SIZE, 0, "", message);
            }
            structure
        }
    }
}

fn judge_kind(keywords: &Keywords, is_first: bool, findings: &mut Findings) -> HduKind {
    let (here, elsewhere) = if is_first { ("SIMPLE", "XTENSION") } else { ("XTENSION", "SIMPLE") };
    if let Some(entry) = keywords.get(elsewhere) {
        let message = format!("{elsewhere} stands in a header that begins with {here}");
        findings.tell(&rule::MISPLACED_MANDATORY, entry.card, elsewhere, message);
    }
    if is_first {
        if keywords.logical("SIMPLE") == Some(false) {
            let message = "SIMPLE is F: the file says itself that it does not conform".to_owned();
            findings.tell(&rule::NOT_CONFORMING, keywords.card("SIMPLE"), "SIMPLE", message);
        }
        let is_groups = keywords.integer("NAXIS1") == Some(0) && keywords.logical("GROUPS") == Some(true);
        return if is_groups { HduKind::RandomGroups } else { HduKind::Primary };
    }
    match keywords.string("XTENSION") {
        Some("IMAGE") => HduKind::Image,
        Some("TABLE") => HduKind::AsciiTable,
        Some("BINTABLE") => HduKind::BinaryTable,
        name => {
            let name = name.unwrap_or_default();
            if !REGISTERED.contains(&name) {
                let message = format!("XTENSION is '{name}', which is no registered type");
                findings.tell(&rule::FOREIGN_EXTENSION, keywords.card("XTENSION"), "XTENSION", message);
            }
            HduKind::Foreign(name.to_owned())
        }
    }
}

/// The keywords that stand at the start of a header, in order.
fn sequence(kind: &HduKind, axes: i128) -> Vec<String> {
    let is_first = matches!(kind, HduKind::Primary | HduKind::RandomGroups);
    let mut names: Vec<String> = vec![if is_first { "SIMPLE" } else { "XTENSION" }.to_owned()];
    names.extend(["BITPIX", "NAXIS"].map(str::to_owned));
    names.extend((1..=axes).map(|axis| format!("NAXIS{axis}")));
    if !is_first {
        names.extend(["PCOUNT", "GCOUNT"].map(str::to_owned));
    }
    if matches!(kind, HduKind::AsciiTable | HduKind::BinaryTable) {
        names.push("TFIELDS".to_owned());
    }
    names
}

fn judge_order(names: &[String], keywords: &Keywords, header: &Header, findings: &mut Findings) {
    let (mut expected, mut before) = (1, "");
    for name in names {
        let Some(entry) = keywords.get(name) else {
            findings.tell(&rule::MANDATORY_MISSING, 0, name, format!("{name} is missing: it must be card {expected}"));
            continue;
        };
        if entry.card != expected {
            let place = if before.is_empty() { "be the first card".to_owned() } else { format!("follow {before}") };
            let message = format!("{name} is card {}: it must {place} at once", entry.card);
            findings.tell(&rule::MANDATORY_ORDER, entry.card, name, message);
        }
        (expected, before) = (entry.card + 1, name);
        judge_format(entry, header, findings);
    }
    for entry in keywords.all() {
        if matches!(split_index(&entry.name), Some(("TFORM" | "TBCOL", _))) {
            judge_format(entry, header, findings);
        }
    }
}

/// Fixed format (Standard 4.2.1 to 4.2.3): strings from column 11 on, the rest ends in column 30.
fn judge_format(entry: &Entry, header: &Header, findings: &mut Findings) {
    let Some(bytes) = header.cards().get(entry.card - 1).map(Card::as_bytes) else { return };
    let field = bytes.get(10..30).unwrap_or_default();
    let is_fixed = match entry.value {
        None | Some(Value::Undefined) => return,
        Some(Value::String(_)) => field.first() == Some(&b'\''),
        _ => {
            let token = field.trim_ascii();
            // A number that needs more than 20 columns does not exist among the mandatory ones.
            field.last() != Some(&b' ') && !token.contains(&b'/') && matches!(bytes.get(30), Some(b' ' | b'/'))
        }
    };
    if !is_fixed {
        let message =
            format!("{} is not in fixed format: a string begins in column 11, all else ends in column 30", entry.name);
        findings.tell(&rule::FIXED_FORMAT, entry.card, &entry.name, message);
    }
    let closing = bytes.get(11..).unwrap_or_default().iter().position(|byte| *byte == b'\'');
    if entry.name == "XTENSION" && is_fixed && closing.is_some_and(|at| at < 8) {
        let message = "the value of XTENSION has less than eight characters: pad it with spaces".to_owned();
        findings.tell(&rule::XTENSION_PADDING, entry.card, "XTENSION", message);
    }
}

/// Types and ranges that are the same in every HDU.
fn judge_values(keywords: &Keywords, findings: &mut Findings) {
    const SIZE: &str = "an integer from 0 on";
    let is_size = |value: &Value| matches!(value, Value::Integer(0..=0x7FFF_FFFF_FFFF_FFFF));
    let mut check = |name: &str, expected: &str, is_legal: &dyn Fn(&Value) -> bool| {
        if let Some(Entry { value: Some(value), card, .. }) = keywords.get(name)
            && !is_legal(value)
        {
            let message = format!("{name} is {}: it must be {expected}", value_text(value));
            findings.tell(&rule::MANDATORY_VALUE, *card, name, message);
        }
    };
    check("SIMPLE", "T", &|value| matches!(value, Value::Logical(_)));
    check("XTENSION", "a string", &|value| matches!(value, Value::String(_)));
    let is_bitpix = |value: &Value| matches!(value, Value::Integer(8 | 16 | 32 | 64 | -32 | -64));
    check("BITPIX", "8, 16, 32, 64, -32 or -64", &is_bitpix);
    check("NAXIS", "an integer from 0 to 999", &|value| matches!(value, Value::Integer(0..=MOST_AXES)));
    check("TFIELDS", "an integer from 0 to 999", &|value| matches!(value, Value::Integer(0..=999)));
    for name in ["PCOUNT", "GCOUNT"] {
        check(name, SIZE, &is_size);
    }
    for entry in keywords.all() {
        if matches!(split_index(&entry.name), Some(("NAXIS", _))) && keywords.is_first(entry) {
            check(&entry.name, SIZE, &is_size);
        }
    }
}

fn judge_axes(keywords: &Keywords, axes: i128, findings: &mut Findings) {
    if keywords.integer("NAXIS") != Some(axes) {
        return;
    }
    for entry in keywords.all() {
        if matches!(split_index(&entry.name), Some(("NAXIS", index)) if index as i128 > axes) {
            let message = format!("{} is given, but NAXIS is {axes}: remove it", entry.name);
            findings.tell(&rule::AXIS_INDEX, entry.card, &entry.name, message);
        }
    }
}

fn judge_by_kind(kind: &HduKind, keywords: &Keywords, findings: &mut Findings) {
    let mut expect = |rule: &'static Rule, pairs: &[(&str, i128)]| {
        for (name, wanted) in pairs {
            if let Some(found) = keywords.integer(name).filter(|found| found != wanted) {
                let message = format!("{name} is {found}: it must be {wanted} in this kind of HDU");
                findings.tell(rule, keywords.card(name), name, message);
            }
        }
    };
    match kind {
        HduKind::Image => expect(&rule::IMAGE_VALUES, &[("PCOUNT", 0), ("GCOUNT", 1)]),
        HduKind::AsciiTable => {
            expect(&rule::TABLE_VALUES, &[("BITPIX", 8), ("NAXIS", 2), ("PCOUNT", 0), ("GCOUNT", 1)]);
        }
        HduKind::BinaryTable => expect(&rule::BINTABLE_VALUES, &[("BITPIX", 8), ("NAXIS", 2), ("GCOUNT", 1)]),
        HduKind::Primary => judge_primary(keywords, findings),
        HduKind::RandomGroups => {
            for name in ["PCOUNT", "GCOUNT"] {
                if keywords.get(name).is_none() {
                    findings.tell(&rule::GROUPS_VALUES, 0, name, format!("{name} is missing: random groups need it"));
                }
            }
            let message = "random groups are deprecated: a binary table holds such data".to_owned();
            findings.tell(&rule::RANDOM_GROUPS, keywords.card("GROUPS"), "GROUPS", message);
        }
        HduKind::Foreign(_) => {}
    }
}

fn judge_primary(keywords: &Keywords, findings: &mut Findings) {
    for (name, neutral) in [("PCOUNT", 0), ("GCOUNT", 1)] {
        let Some(entry) = keywords.get(name) else { continue };
        let message = format!("{name} stands in a primary header without random groups: remove it");
        let is_neutral = keywords.integer(name) == Some(neutral);
        let rule = if is_neutral { &rule::PRIMARY_COUNTS } else { &rule::GROUPS_VALUES };
        findings.tell(rule, entry.card, name, message);
    }
}

/// What the header says in spite of its faults: as of an extension of no special kind, with every keyword in place.
fn readable_structure(kind: HduKind, keywords: &Keywords, axes: i128) -> Option<Structure> {
    let is_primary = kind == HduKind::Primary;
    let is_groups = kind == HduKind::RandomGroups;
    let integer = |name: &str| keywords.integer(name);
    let lengths: Vec<i128> = (1..=axes).map(|axis| integer(&format!("NAXIS{axis}"))).collect::<Option<Vec<i128>>>()?;
    let sized: &[i128] = if is_groups { lengths.get(1..)? } else { &lengths };
    let count = |name: &str, otherwise: i128| if is_primary { otherwise } else { integer(name).unwrap_or(otherwise) };
    let mut values = vec![
        ("XTENSION".to_owned(), Value::String("ANY".to_owned())),
        ("BITPIX".to_owned(), Value::Integer(integer("BITPIX")?)),
        (
            "NAXIS".to_owned(),
            Value::Integer(integer("NAXIS").filter(|found| *found == axes).map(|_| sized.len() as i128)?),
        ),
    ];
    let numbered = sized.iter().enumerate();
    values.extend(numbered.map(|(index, length)| (format!("NAXIS{}", index + 1), Value::Integer(*length))));
    values.push(("PCOUNT".to_owned(), Value::Integer(count("PCOUNT", 0))));
    values.push(("GCOUNT".to_owned(), Value::Integer(count("GCOUNT", 1))));
    let mut header = Header::new();
    for (name, value) in values {
        header.push_record(&Record::new(Keyword::value(name), &value, None).ok()?);
    }
    let structure = Structure::of(&header, false).ok()?;
    let axes = lengths.iter().map(|length| u64::try_from(*length).ok()).collect::<Option<Vec<u64>>>()?;
    Some(Structure { kind, axes, ..structure })
}
