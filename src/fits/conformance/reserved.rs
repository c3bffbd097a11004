//! Judges reserved keywords: types, dates, where they may stand, what is deprecated (Standard 4.3, 4.4.2, 6.1.2).

use crate::fits::conformance::finding::{Entry, Findings, Keywords, split_index, value_text};
use crate::fits::conformance::rule::{self, Rule};
use crate::fits::structure::{HduKind, Structure};
use crate::fits::value::Value;

/// What a reserved keyword holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Text,
    Logical,
    Integer,
    /// An integer is a real number too (Standard 4.2.4: point and exponent are optional).
    Real,
}

const TEXTS: [&str; 26] = [
    "DATE", "ORIGIN", "DATE-OBS", "DATE-BEG", "DATE-AVG", "DATE-END", "DATEREF", "TELESCOP", "INSTRUME", "OBSERVER",
    "OBJECT", "AUTHOR", "REFERENC", "BUNIT", "EXTNAME", "RADESYS", "RADECSYS", "SPECSYS", "SSYSOBS", "SSYSSRC",
    "WCSNAME", "TIMESYS", "TIMEUNIT", "TREFPOS", "ZCMPTYPE", "ZQUANTIZ",
];
const LOGICALS: [&str; 8] = ["EXTEND", "BLOCKED", "GROUPS", "INHERIT", "ZIMAGE", "ZTABLE", "ZSIMPLE", "ZEXTEND"];
const INTEGERS: [&str; 13] = [
    "BLANK", "EXTVER", "EXTLEVEL", "WCSAXES", "THEAP", "ZBITPIX", "ZNAXIS", "ZPCOUNT", "ZGCOUNT", "ZBLANK", "ZDITHER0",
    "ZTILELEN", "ZTHEAP",
];
const REALS: [&str; 24] = [
    "BSCALE", "BZERO", "DATAMAX", "DATAMIN", "EQUINOX", "EPOCH", "LONPOLE", "LATPOLE", "RESTFRQ", "RESTFREQ",
    "RESTWAV", "VELOSYS", "VELANGL", "ZSOURCE", "OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z", "MJD-OBS", "MJD-BEG", "MJD-AVG",
    "MJD-END", "MJDREF", "ZSCALE", "ZZERO",
];
const INDEXED_TEXTS: [&str; 12] =
    ["TTYPE", "TUNIT", "TDISP", "TFORM", "TDIM", "PTYPE", "CTYPE", "CUNIT", "CNAME", "ZNAME", "ZFORM", "ZCTYP"];
const INDEXED_INTEGERS: [&str; 3] = ["TBCOL", "ZTILE", "ZNAXIS"];
const INDEXED_REALS: [&str; 11] =
    ["TSCAL", "TZERO", "PSCAL", "PZERO", "CRPIX", "CRVAL", "CDELT", "CROTA", "CRDER", "CSYER", "TDMAX"];

/// Keywords of dates (Standard 4.4.2.1, 4.4.2.2, 9.5).
const DATES: [&str; 6] = ["DATE", "DATE-OBS", "DATE-BEG", "DATE-AVG", "DATE-END", "DATEREF"];

/// Judges the reserved keywords of an HDU.
pub(crate) fn judge(keywords: &Keywords, structure: &Structure, findings: &mut Findings) {
    for entry in keywords.all() {
        judge_type(entry, findings);
        if DATES.contains(&entry.name.as_str()) {
            judge_date(entry, findings);
        }
        judge_unit(entry, findings);
    }
    judge_places(keywords, &structure.kind, findings);
    judge_arrays(keywords, structure, findings);
    judge_columns_elsewhere(keywords, &structure.kind, findings);
    judge_groups(keywords, structure, findings);
}

fn type_of(name: &str) -> Option<Type> {
    let fixed: [(&[&str], Type); 4] =
        [(&TEXTS, Type::Text), (&LOGICALS, Type::Logical), (&INTEGERS, Type::Integer), (&REALS, Type::Real)];
    if let Some((_, found)) = fixed.iter().find(|(names, _)| names.contains(&name)) {
        return Some(*found);
    }
    // The letter of an alternate world coordinate system changes no type.
    let bare = name.strip_suffix(|last: char| last.is_ascii_uppercase()).unwrap_or(name);
    let (stem, _) = split_index(name).or_else(|| split_index(bare))?;
    let indexed: [(&[&str], Type); 3] =
        [(&INDEXED_TEXTS, Type::Text), (&INDEXED_INTEGERS, Type::Integer), (&INDEXED_REALS, Type::Real)];
    indexed.iter().find(|(names, _)| names.contains(&stem)).map(|(_, found)| *found)
}

fn judge_type(entry: &Entry, findings: &mut Findings) {
    let (Some(wanted), Some(value)) = (type_of(&entry.name), &entry.value) else { return };
    let (is_right, expected) = match wanted {
        Type::Text => (matches!(value, Value::String(_)), "a string"),
        Type::Logical => (matches!(value, Value::Logical(_)), "T or F"),
        Type::Integer => (matches!(value, Value::Integer(_)), "an integer"),
        Type::Real => (matches!(value, Value::Integer(_) | Value::Real(_)), "a number"),
    };
    if is_right {
        return;
    }
    let (rule, message): (&'static Rule, String) = match value {
        Value::Undefined => (&rule::UNDEFINED_VALUE, format!("{} has no value: it is {expected}", entry.name)),
        value => (&rule::RESERVED_TYPE, format!("{} is {}: it must be {expected}", entry.name, value_text(value))),
    };
    findings.tell(rule, entry.card, &entry.name, message);
}

fn judge_date(entry: &Entry, findings: &mut Findings) {
    let Some(Value::String(text)) = &entry.value else { return };
    if is_old_date(text) {
        let message = format!("{} is '{text}', in the form of dates before 2000: write YYYY-MM-DD", entry.name);
        findings.tell(&rule::OLD_DATE, entry.card, &entry.name, message);
    } else if !is_date(text) {
        let message = format!("{} is '{text}': write YYYY-MM-DD or YYYY-MM-DDThh:mm:ss.s", entry.name);
        findings.tell(&rule::DATE_FORMAT, entry.card, &entry.name, message);
    }
}

/// A number of exactly `length` digits within a range.
fn is_number(text: &str, length: usize, least: u32, most: u32) -> bool {
    text.len() == length
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && text.parse().is_ok_and(|number: u32| (least..=most).contains(&number))
}

fn is_old_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    matches!(parts.as_slice(), [day, month, year]
        if is_number(day, 2, 1, 31) && is_number(month, 2, 1, 12) && is_number(year, 2, 0, 99))
}

/// `[+-C]CCYY-MM-DD`, with or without `Thh:mm:ss[.s...]` (Standard 4.2.7).
fn is_date(text: &str) -> bool {
    let (date, time) = match text.split_once('T') {
        None => (text, None),
        Some((date, time)) => (date, Some(time)),
    };
    is_day(date) && time.is_none_or(is_time)
}

fn is_day(text: &str) -> bool {
    let (unsigned, year_digits) = match text.strip_prefix(['+', '-']) {
        None => (text, 4),
        Some(rest) => (rest, 5),
    };
    let parts: Vec<&str> = unsigned.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    if !is_number(year, year_digits, 0, 99_999) || !is_number(month, 2, 1, 12) {
        return false;
    }
    let year: u32 = year.parse().unwrap_or(0);
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let most = match *month {
        "04" | "06" | "09" | "11" => 30,
        "02" if is_leap => 29,
        "02" => 28,
        _ => 31,
    };
    is_number(day, 2, 1, most)
}

fn is_time(text: &str) -> bool {
    let parts: Vec<&str> = text.split(':').collect();
    let [hours, minutes, seconds] = parts.as_slice() else { return false };
    let (whole, fraction) = match seconds.split_once('.') {
        None => (*seconds, "0"),
        Some((whole, fraction)) => (whole, fraction),
    };
    // Second 60 is a leap second of UTC.
    is_number(hours, 2, 0, 23)
        && is_number(minutes, 2, 0, 59)
        && is_number(whole, 2, 0, 60)
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

fn judge_unit(entry: &Entry, findings: &mut Findings) {
    let is_unit = entry.name == "BUNIT" || matches!(split_index(&entry.name), Some(("TUNIT" | "CUNIT", _)));
    let Some(Value::String(text)) = entry.value.as_ref().filter(|_| is_unit) else { return };
    let mut words = text.split(|character: char| !character.is_ascii_alphabetic());
    if let Some(word) = words.find(|word| matches!(*word, "erg" | "Angstrom" | "angstrom" | "G" | "barn")) {
        let message = format!("{} uses the deprecated unit '{word}'", entry.name);
        findings.tell(&rule::DEPRECATED_UNIT, entry.card, &entry.name, message);
    }
}

fn judge_places(keywords: &Keywords, kind: &HduKind, findings: &mut Findings) {
    let is_primary = matches!(kind, HduKind::Primary | HduKind::RandomGroups);
    let mut tell = |name: &str, rule: &'static Rule, message: &str| {
        if let Some(entry) = keywords.get(name) {
            findings.tell(rule, entry.card, name, format!("{name} {message}"));
        }
    };
    if is_primary {
        tell("INHERIT", &rule::INHERIT_PLACE, "stands in the primary header: it is for extensions");
    } else {
        tell("EXTEND", &rule::EXTEND_PLACE, "stands in an extension: it is for the primary header");
    }
    tell("BLOCKED", &rule::DEPRECATED_KEYWORD, "is deprecated: remove it");
    tell("EPOCH", &rule::DEPRECATED_KEYWORD, "is deprecated: use EQUINOX");
    tell("RADECSYS", &rule::DEPRECATED_KEYWORD, "is deprecated: use RADESYS");
}

fn judge_arrays(keywords: &Keywords, structure: &Structure, findings: &mut Findings) {
    let is_table = matches!(structure.kind, HduKind::BinaryTable | HduKind::AsciiTable);
    let is_compressed = keywords.logical("ZIMAGE") == Some(true);
    if is_table && !is_compressed {
        for name in ["BSCALE", "BZERO", "BUNIT", "BLANK", "DATAMAX", "DATAMIN"] {
            if let Some(entry) = keywords.get(name) {
                let message = format!("{name} describes an array, and this is a table: remove it");
                findings.tell(&rule::ARRAY_KEYWORD, entry.card, name, message);
            }
        }
    }
    if !is_table && structure.bitpix < 0 && keywords.get("BLANK").is_some() {
        let message = format!("BLANK is given, but BITPIX is {}: NaN stands for blank there", structure.bitpix);
        findings.tell(&rule::BLANK_OF_REALS, keywords.card("BLANK"), "BLANK", message);
    }
    for entry in keywords.all() {
        let is_scale = entry.name == "BSCALE" || matches!(split_index(&entry.name), Some(("TSCAL" | "PSCAL", _)));
        if is_scale && matches!(entry.value, Some(Value::Integer(0) | Value::Real(0.0))) {
            let message = format!("{} is 0: all values would be one", entry.name);
            findings.tell(&rule::SCALE_OF_ZERO, entry.card, &entry.name, message);
        }
    }
}

fn judge_columns_elsewhere(keywords: &Keywords, kind: &HduKind, findings: &mut Findings) {
    if !matches!(kind, HduKind::Primary | HduKind::RandomGroups | HduKind::Image) {
        return;
    }
    for entry in keywords.all() {
        let is_of_column = entry.name == "TFIELDS"
            || entry.name == "THEAP"
            || matches!(split_index(&entry.name), Some((stem, _)) if crate::fits::conformance::columns::is_column(stem));
        if is_of_column {
            let message = format!("{} is for tables, and this HDU is none", entry.name);
            findings.tell(&rule::TABLE_KEYWORD, entry.card, &entry.name, message);
        }
    }
}

fn judge_groups(keywords: &Keywords, structure: &Structure, findings: &mut Findings) {
    for entry in keywords.all() {
        let Some(("PTYPE" | "PSCAL" | "PZERO", index)) = split_index(&entry.name) else { continue };
        if structure.kind == HduKind::RandomGroups && index as u64 > structure.pcount {
            let message = format!("{} is above PCOUNT, which is {}", entry.name, structure.pcount);
            findings.tell(&rule::GROUP_PARAMETER, entry.card, &entry.name, message);
        }
    }
}
