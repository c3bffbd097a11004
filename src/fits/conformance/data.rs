//! Judges a data unit while it streams by: its sum, its padding, the rows of tables (Standard 3.3.2, 7.2.3, 7.3.3, 7.3.5).
//!
//! Memory: one row at most. Of each column only the first bad entry is told, with the number of all.

use std::mem;

use crate::fits::checksum::Sum32;
use crate::fits::conformance::columns::{Column, Format, rows_bytes};
use crate::fits::conformance::finding::{Findings, Keywords};
use crate::fits::conformance::format::{AsciiFormat, BinaryFormat};
use crate::fits::conformance::rule::{self, Rule};
use crate::fits::structure::{HduKind, Structure};
use crate::fits::value::Value;

/// Rows that are longer are not looked at.
const LONGEST_ROW_BYTES: u64 = 1024 * 1024;

/// Takes a data unit piece by piece.
pub(crate) struct DataJudge {
    sum: Sum32,
    /// Bytes taken.
    position: u64,
    data_bytes: u64,
    padding: u8,
    /// First byte of the padding that is not what it must be, counted from the start of the data unit.
    bad_padding: Option<u64>,
    rows: Option<RowJudge>,
}

/// Entries of one column that break one rule.
struct Breach {
    rule: &'static Rule,
    column: usize,
    first_row: u64,
    what: String,
    count: u64,
}

struct RowJudge {
    row_bytes: usize,
    rows_bytes: u64,
    heap_bytes: u64,
    is_text: bool,
    carry: Vec<u8>,
    /// Rows judged.
    number: u64,
    columns: Vec<Column>,
    breaches: Vec<Breach>,
}

impl DataJudge {
    /// `columns` are those of a table, with places within the row.
    pub(crate) fn new(
        structure: &Structure,
        columns: Vec<Column>,
        keywords: &Keywords,
        findings: &mut Findings,
    ) -> Self {
        let padding = if structure.kind == HduKind::AsciiTable { b' ' } else { 0 };
        let rows = RowJudge::new(structure, columns, keywords, findings);
        let data_bytes = structure.data_bytes;
        Self { sum: Sum32::default(), position: 0, data_bytes, padding, bad_padding: None, rows }
    }

    /// Takes the next bytes; every piece but the last has a multiple of 4.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.sum = self.sum.add(Sum32::of(bytes));
        let within =
            |end: u64| usize::try_from(end.saturating_sub(self.position)).unwrap_or(usize::MAX).min(bytes.len());
        let (data_end, rows_end) =
            (within(self.data_bytes), self.rows.as_ref().map_or(0, |rows| within(rows.rows_bytes)));
        if let Some(rows) = &mut self.rows {
            rows.take(bytes.get(..rows_end).unwrap_or_default());
        }
        let padding = bytes.get(data_end..).unwrap_or_default();
        if self.bad_padding.is_none() {
            let bad = padding.iter().position(|byte| *byte != self.padding);
            self.bad_padding = bad.map(|at| self.position + (data_end + at) as u64);
        }
        self.position += bytes.len() as u64;
    }

    /// Tells what was found, and gives the sum.
    pub(crate) fn finish(self, findings: &mut Findings) -> Sum32 {
        for breach in self.rows.into_iter().flat_map(|rows| rows.breaches) {
            let more = if breach.count > 1 { format!("; {} rows in all", breach.count) } else { String::new() };
            let column = breach.column;
            let message = if column == 0 {
                format!("row {}: {}{more}", breach.first_row, breach.what)
            } else {
                format!("column {column}, row {}: {}{more}", breach.first_row, breach.what)
            };
            findings.tell(breach.rule, 0, "", message);
        }
        if let Some(at) = self.bad_padding {
            let (rule, fill) = match self.padding {
                0 => (&rule::DATA_PADDING, "zeros"),
                _ => (&rule::TABLE_PADDING, "spaces"),
            };
            findings.tell(rule, 0, "", format!("byte {at} of the data unit: its last block is not filled with {fill}"));
        }
        self.sum
    }
}

impl RowJudge {
    fn new(structure: &Structure, columns: Vec<Column>, keywords: &Keywords, findings: &mut Findings) -> Option<Self> {
        let is_text = structure.kind == HduKind::AsciiTable;
        let columns: Vec<Column> = columns.into_iter().filter(is_looked_at).collect();
        let (row, rows) = (structure.axes.first().copied().unwrap_or(0), rows_bytes(structure));
        if rows == 0 || rows > structure.data_bytes || (columns.is_empty() && !is_text) {
            return None;
        }
        if row > LONGEST_ROW_BYTES {
            let message = format!("a row has {row} bytes: entries of rows above {LONGEST_ROW_BYTES} are not looked at");
            findings.tell(&rule::LONG_ROW, 0, "", message);
            return None;
        }
        let heap = keywords.integer("THEAP").and_then(|offset| u64::try_from(offset).ok()).unwrap_or(rows);
        let heap_bytes = structure.pcount.saturating_sub(heap.saturating_sub(rows));
        let row_bytes = usize::try_from(row).ok()?;
        let (carry, breaches) = (Vec::new(), Vec::new());
        Some(Self { row_bytes, rows_bytes: rows, heap_bytes, is_text, carry, number: 0, columns, breaches })
    }

    fn take(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if !self.carry.is_empty() {
            let wanted = self.row_bytes.saturating_sub(self.carry.len()).min(rest.len());
            let (head, tail) = rest.split_at_checked(wanted).unwrap_or((rest, &[]));
            self.carry.extend_from_slice(head);
            rest = tail;
            if self.carry.len() < self.row_bytes {
                return;
            }
            let mut row = mem::take(&mut self.carry);
            self.judge_row(&row);
            row.clear();
            self.carry = row;
        }
        let mut rows = rest.chunks_exact(self.row_bytes);
        for row in &mut rows {
            self.judge_row(row);
        }
        self.carry.extend_from_slice(rows.remainder());
    }

    fn judge_row(&mut self, row: &[u8]) {
        self.number += 1;
        if self.is_text
            && let Some(at) = row.iter().position(|byte| !matches!(byte, b' '..=b'~'))
        {
            note(&mut self.breaches, &rule::TABLE_TEXT, 0, self.number, || {
                format!("character {} is not printable ASCII", at + 1)
            });
        }
        for column in &self.columns {
            let Ok(start) = usize::try_from(column.start) else { continue };
            let from = row.get(start..).unwrap_or_default();
            let found = match &column.format {
                Format::Ascii(format) => judge_field(format, column.null.as_deref(), from),
                Format::Binary(format) => judge_entry(format, from, self.heap_bytes),
            };
            if let Some((rule, what)) = found {
                note(&mut self.breaches, rule, column.index, self.number, || what);
            }
        }
    }
}

fn is_looked_at(column: &Column) -> bool {
    match &column.format {
        Format::Ascii(format) => format.letter != b'A',
        Format::Binary(format) => format.repeat > 0 && matches!(format.letter, b'L' | b'A' | b'P' | b'Q'),
    }
}

fn note(breaches: &mut Vec<Breach>, rule: &'static Rule, column: usize, row: u64, what: impl FnOnce() -> String) {
    match breaches.iter_mut().find(|breach| breach.column == column && breach.rule == rule) {
        Some(breach) => breach.count += 1,
        None => breaches.push(Breach { rule, column, first_row: row, what: what(), count: 1 }),
    }
}

type Found = Option<(&'static Rule, String)>;

/// A field of an ASCII table: blank, null, or a number as its format says.
fn judge_field(format: &AsciiFormat, null: Option<&str>, from: &[u8]) -> Found {
    let width = usize::try_from(format.width).ok()?;
    let text = std::str::from_utf8(from.get(..width)?).ok()?;
    let trimmed = text.trim_matches(' ');
    if trimmed.is_empty() || null.is_some_and(|null| null.trim_matches(' ') == trimmed) {
        return None;
    }
    let is_right = match Value::parse(trimmed) {
        Ok(Value::Integer(_)) => true,
        Ok(Value::Real(_)) => format.letter != b'I',
        _ => false,
    };
    (!is_right).then(|| (&rule::TABLE_ENTRY, format!("'{}' is no number of its format", shown(text))))
}

fn judge_entry(format: &BinaryFormat, from: &[u8], heap_bytes: u64) -> Found {
    let width = usize::try_from(format.width()).ok()?;
    let entry = from.get(..width)?;
    match format.letter {
        b'L' => {
            let bad = entry.iter().find(|byte| !matches!(byte, b'T' | b'F' | 0))?;
            Some((&rule::LOGICAL_ENTRY, format!("a logical value is the byte {bad}: it must be 'T', 'F' or 0")))
        }
        b'A' => {
            let text = entry.split(|byte| *byte == 0).next().unwrap_or_default();
            let bad = text.iter().find(|byte| !matches!(byte, b' '..=b'~'))?;
            Some((&rule::CHARACTER_ENTRY, format!("a string has the byte {bad}, which is not printable ASCII")))
        }
        _ => judge_descriptor(format, entry, heap_bytes),
    }
}

fn judge_descriptor(format: &BinaryFormat, entry: &[u8], heap_bytes: u64) -> Found {
    let (count, offset) = match (entry.first_chunk::<16>(), entry.first_chunk::<8>()) {
        (Some(bytes), _) if format.letter == b'Q' => {
            let both = i128::from_be_bytes(*bytes);
            #[expect(clippy::cast_possible_truncation, reason = "the low half of the pair")]
            ((both >> 64) as i64, both as i64)
        }
        (_, Some(bytes)) => {
            let both = i64::from_be_bytes(*bytes);
            #[expect(clippy::cast_possible_truncation, reason = "the low half of the pair")]
            (both >> 32, i64::from(both as i32))
        }
        _ => return None,
    };
    let (Ok(elements), Ok(start)) = (u64::try_from(count), u64::try_from(offset)) else {
        return Some((&rule::DESCRIPTOR_BOUNDS, format!("the descriptor ({count}, {offset}) is negative")));
    };
    if elements > 0 && start.saturating_add(format.heap_bytes(elements)) > heap_bytes {
        let what = format!("the array of {elements} elements at byte {start} leaves the heap of {heap_bytes} bytes");
        return Some((&rule::DESCRIPTOR_BOUNDS, what));
    }
    let most = format.most.filter(|most| elements > *most)?;
    Some((&rule::DESCRIPTOR_MAXIMUM, format!("the array has {elements} elements: TFORMn says at most {most}")))
}

/// Printable ASCII of a text from the file.
fn shown(text: &str) -> String {
    text.chars().take(40).map(|character| if matches!(character, ' '..='~') { character } else { '?' }).collect()
}
