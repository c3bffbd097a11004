//! The columns of a table: what their keywords say, judged (Standard 7.2.1, 7.2.2, 7.3.1, 7.3.2).

use std::collections::HashMap;

use crate::fits::conformance::finding::{Entry, Findings, Keywords, split_index, value_text};
use crate::fits::conformance::format::{AsciiFormat, BinaryFormat, fits_display};
use crate::fits::conformance::rule;
use crate::fits::structure::{HduKind, Structure};
use crate::fits::value::Value;

const STEMS: [&str; 13] = [
    "TTYPE", "TFORM", "TBCOL", "TUNIT", "TNULL", "TSCAL", "TZERO", "TDISP", "TDIM", "TDMIN", "TDMAX", "TLMIN", "TLMAX",
];

/// Whether `stem` with an index is a keyword of a column.
pub(crate) fn is_column(stem: &str) -> bool {
    STEMS.contains(&stem)
}

/// One column whose format is legal.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// 1-based index of the column.
    pub(crate) index: usize,
    /// 0-based byte within the row.
    pub(crate) start: u64,
    /// What it holds.
    pub(crate) format: Format,
    /// TNULLn of a TABLE.
    pub(crate) null: Option<String>,
}

/// The format of a column.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    Ascii(AsciiFormat),
    Binary(BinaryFormat),
}

/// Judges the columns of a table and gives those whose place in the row is known.
pub(crate) fn judge(keywords: &Keywords, structure: &Structure, findings: &mut Findings) -> Vec<Column> {
    let count = usize::try_from(keywords.integer("TFIELDS").unwrap_or(0).clamp(0, 999)).unwrap_or(0);
    let is_binary = structure.kind == HduKind::BinaryTable;
    judge_indices(keywords, count, findings);
    judge_names(keywords, count, findings);
    let columns = if is_binary {
        binary_columns(keywords, count, structure, findings)
    } else {
        ascii_columns(keywords, count, structure, findings)
    };
    for column in &columns {
        judge_column(column, keywords, findings);
    }
    if is_binary {
        judge_heap(keywords, structure, &columns, findings);
    }
    columns
}

fn judge_indices(keywords: &Keywords, count: usize, findings: &mut Findings) {
    if keywords.integer("TFIELDS").is_none() {
        return;
    }
    for entry in keywords.all() {
        if matches!(split_index(&entry.name), Some((stem, index)) if is_column(stem) && index > count) {
            let message = format!("{} is of no column: TFIELDS is {count}", entry.name);
            findings.tell(&rule::COLUMN_INDEX, entry.card, &entry.name, message);
        }
    }
}

fn judge_names(keywords: &Keywords, count: usize, findings: &mut Findings) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    for index in 1..=count {
        let keyword = format!("TTYPE{index}");
        let Some(Entry { value: Some(Value::String(name)), card, .. }) = keywords.get(&keyword) else { continue };
        let mut tell = |message: String| findings.tell(&rule::COLUMN_NAME, *card, &keyword, message);
        if let Some(bad) = name.chars().find(|character| !character.is_ascii_alphanumeric() && *character != '_') {
            tell(format!("the name '{name}' of column {index} has the character '{bad}'"));
        }
        if name.is_empty() {
            tell(format!("the name of column {index} is empty"));
        } else if let Some(other) = seen.insert(name.to_ascii_uppercase(), index) {
            tell(format!("columns {other} and {index} have the same name '{name}'"));
        }
    }
}

/// The text of TFORMn; tells where it is missing.
fn format_text<'a>(keywords: &'a Keywords, index: usize, findings: &mut Findings) -> Option<(&'a str, usize)> {
    let name = format!("TFORM{index}");
    match keywords.get(&name) {
        None => findings.tell(&rule::COLUMN_FORMAT, 0, &name, format!("{name} is missing")),
        Some(Entry { value: Some(Value::String(text)), card, .. }) => return Some((text, *card)),
        // Of the wrong type, which is told with the other reserved keywords.
        Some(_) => {}
    }
    None
}

fn binary_columns(keywords: &Keywords, count: usize, structure: &Structure, findings: &mut Findings) -> Vec<Column> {
    let (mut columns, mut start, mut is_whole) = (Vec::new(), 0_u64, true);
    for index in 1..=count {
        let Some((text, card)) = format_text(keywords, index, findings) else {
            is_whole = false;
            continue;
        };
        let Some(format) = BinaryFormat::parse(text) else {
            let message = format!("TFORM{index} is '{text}', which is no format of a binary table");
            findings.tell(&rule::COLUMN_FORMAT, card, &format!("TFORM{index}"), message);
            is_whole = false;
            continue;
        };
        if format.is_descriptor() && format.repeat > 1 {
            let message = format!("TFORM{index} is '{text}': a descriptor is repeated 0 or 1 times");
            findings.tell(&rule::DESCRIPTOR_REPEAT, card, &format!("TFORM{index}"), message);
        }
        let width = format.width();
        if is_whole {
            columns.push(Column { index, start, format: Format::Binary(format), null: None });
        }
        start = start.saturating_add(width);
    }
    let row = structure.axes.first().copied().unwrap_or(0);
    if is_whole && start != row {
        let message = format!("NAXIS1 is {row}, but the columns need {start} bytes");
        findings.tell(&rule::ROW_LENGTH, keywords.card("NAXIS1"), "NAXIS1", message);
    }
    if start > row {
        columns
            .retain(|column| matches!(&column.format, Format::Binary(format) if column.start + format.width() <= row));
    }
    columns
}

fn ascii_columns(keywords: &Keywords, count: usize, structure: &Structure, findings: &mut Findings) -> Vec<Column> {
    let row = structure.axes.first().copied().unwrap_or(0);
    let mut columns = Vec::new();
    for index in 1..=count {
        let place = format!("TBCOL{index}");
        let format = format_text(keywords, index, findings).and_then(|(text, card)| {
            let format = AsciiFormat::parse(text);
            if format.is_none() {
                let message = format!("TFORM{index} is '{text}', which is no format of an ASCII table");
                findings.tell(&rule::COLUMN_FORMAT, card, &format!("TFORM{index}"), message);
            }
            format
        });
        let Some(start) = keywords.integer(&place) else {
            if keywords.get(&place).is_none() {
                findings.tell(&rule::COLUMN_START, 0, &place, format!("{place} is missing"));
            }
            continue;
        };
        let Some(format) = format else { continue };
        let first = u64::try_from(start).unwrap_or(0);
        if first == 0 || first.saturating_sub(1).saturating_add(format.width) > row {
            let message = format!("{place} is {start}: a field of {} characters leaves the row of {row}", format.width);
            findings.tell(&rule::COLUMN_START, keywords.card(&place), &place, message);
            continue;
        }
        let null = keywords.string(&format!("TNULL{index}")).map(str::to_owned);
        columns.push(Column { index, start: first - 1, format: Format::Ascii(format), null });
    }
    columns
}

fn judge_column(column: &Column, keywords: &Keywords, findings: &mut Findings) {
    let index = column.index;
    let (is_integer, is_number, letter) = match &column.format {
        Format::Ascii(format) => (true, format.letter != b'A', format.letter),
        Format::Binary(format) => {
            let element = format.element();
            (matches!(element, b'B' | b'I' | b'J' | b'K'), !matches!(element, b'A' | b'L' | b'X'), element)
        }
    };
    let is_ascii = matches!(column.format, Format::Ascii(_));
    let null = format!("TNULL{index}");
    if let Some(Entry { value: Some(value), card, .. }) = keywords.get(&null) {
        let has_type = if is_ascii { matches!(value, Value::String(_)) } else { matches!(value, Value::Integer(_)) };
        if !has_type || !is_integer {
            let message = format!("{null} is {}, which is no null of this column", value_text(value));
            findings.tell(&rule::COLUMN_NULL, *card, &null, message);
        }
    }
    for stem in ["TSCAL", "TZERO"] {
        let name = format!("{stem}{index}");
        if let Some(entry) = keywords.get(&name).filter(|_| !is_number) {
            let message = format!("{name} scales a column that has no numbers");
            findings.tell(&rule::COLUMN_SCALE, entry.card, &name, message);
        }
    }
    let display = format!("TDISP{index}");
    if let Some(text) = keywords.string(&display).filter(|text| !fits_display(text, letter)) {
        let message = format!("{display} is '{text}', which is no display format of this column");
        findings.tell(&rule::COLUMN_DISPLAY, keywords.card(&display), &display, message);
    }
    judge_dimensions(column, keywords, findings);
}

fn judge_dimensions(column: &Column, keywords: &Keywords, findings: &mut Findings) {
    let name = format!("TDIM{}", column.index);
    let Some(text) = keywords.string(&name) else { return };
    let lengths = text.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let elements = lengths.and_then(|lengths| {
        lengths.split(',').try_fold(1_u64, |product, length| product.checked_mul(length.trim().parse().ok()?))
    });
    let fits = match (&column.format, elements) {
        (Format::Binary(format), Some(elements)) => format.is_descriptor() || elements <= format.repeat,
        _ => false,
    };
    if !fits {
        let message = format!("{name} is '{text}', for which the column has no room");
        findings.tell(&rule::COLUMN_DIMENSIONS, keywords.card(&name), &name, message);
    }
}

fn judge_heap(keywords: &Keywords, structure: &Structure, columns: &[Column], findings: &mut Findings) {
    let rows = rows_bytes(structure);
    if let Some(offset) = keywords.integer("THEAP") {
        let is_within =
            u64::try_from(offset).is_ok_and(|offset| (rows..=rows.saturating_add(structure.pcount)).contains(&offset));
        if !is_within || structure.pcount == 0 {
            let most = rows.saturating_add(structure.pcount);
            let message = format!("THEAP is {offset}: it must be from {rows} to {most}, and PCOUNT above 0");
            findings.tell(&rule::HEAP_OFFSET, keywords.card("THEAP"), "THEAP", message);
        }
    }
    let has_descriptors =
        columns.iter().any(|column| matches!(&column.format, Format::Binary(format) if format.is_descriptor()));
    if structure.pcount > 0 && !has_descriptors {
        let message = format!("PCOUNT is {}, but no column points into the heap", structure.pcount);
        findings.tell(&rule::HEAP_MISSING, keywords.card("PCOUNT"), "PCOUNT", message);
    }
}

/// Bytes of the rows of a table.
pub(crate) fn rows_bytes(structure: &Structure) -> u64 {
    match structure.axes.as_slice() {
        [row, rows] => row.saturating_mul(*rows),
        _ => 0,
    }
}
