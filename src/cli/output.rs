//! What people and programs read: lines, aligned tables, JSON documents, errors.
//!
//! Never `println!`: it panics when the reader of a pipe has gone. A closed standard output ends the command quietly.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::cli::exit::{CliError, Exit};

const BAD: Style = AnsiColor::Red.on_default().bold();
const GOOD: Style = AnsiColor::Green.on_default();
const DIM: Style = Style::new().dimmed();

/// Writes text to standard output; colour is taken out where it is no terminal, or `NO_COLOR` is set.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    let mut stdout = anstream::stdout().lock();
    finish(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Writes one JSON document on one line.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), CliError> {
    let mut text = serde_json::to_string(value).map_err(|error| CliError::new(Exit::Io, error.to_string()))?;
    text.push('\n');
    let mut stdout = std::io::stdout().lock();
    finish(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

fn finish(outcome: std::io::Result<()>) -> Result<(), CliError> {
    match outcome {
        // The reader has seen enough (`dpm list | head`).
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(CliError::io("cannot write to standard output", &error)),
        Ok(()) => Ok(()),
    }
}

/// Writes a line to standard error; nothing can be done about its failure.
pub(crate) fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Tells an error: what, each fault on a line, what to do.
pub(crate) fn error(error: &CliError) {
    let mut text = format!("{BAD}dpm:{BAD:#} {}", safe(&error.message));
    for fault in &error.faults {
        text.push_str(&format!("\n  {}", safe(&fault.to_string())));
    }
    if let Some(remedy) = &error.remedy {
        text.push_str(&format!("\n  {DIM}what to do:{DIM:#} {}", safe(remedy)));
    }
    note(&text);
}

/// Text from outside with control characters escaped, so that no file name paints on the terminal.
pub(crate) fn safe(text: &str) -> String {
    let escape = |character: char| match character {
        '\n' => "\n".to_owned(),
        character if character.is_control() => character.escape_default().to_string(),
        character => character.to_string(),
    };
    text.chars().map(escape).collect()
}

/// Paints a word by what it means.
pub(crate) fn paint(word: &str, is_good: bool) -> String {
    let style = if is_good { GOOD } else { BAD };
    format!("{style}{word}{style:#}")
}

/// Paints side information.
pub(crate) fn dim(text: &str) -> String {
    format!("{DIM}{text}{DIM:#}")
}

/// An aligned table.
pub(crate) struct Table {
    header: Vec<&'static str>,
    /// True for columns of numbers, which are right-aligned.
    numeric: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column titles; a title that starts with `#` is of a column of numbers.
    pub(crate) fn new(titles: &[&'static str]) -> Table {
        let numeric = titles.iter().map(|title| title.starts_with('#')).collect();
        let header = titles.iter().map(|title| title.trim_start_matches('#')).collect();
        Table { header, numeric, rows: Vec::new() }
    }

    /// Adds a row; cells from outside must be [`safe`].
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The text of the table.
    pub(crate) fn text(&self) -> String {
        let mut widths: Vec<usize> = self.header.iter().map(|title| title.len()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(visible_width(cell));
            }
        }
        let header: Vec<String> = self.header.iter().map(|title| (*title).to_owned()).collect();
        let mut text = dim(&self.line(&header, &widths));
        text.push('\n');
        for row in &self.rows {
            text.push_str(&self.line(row, &widths));
            text.push('\n');
        }
        text
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width.saturating_sub(visible_width(cell)));
            let is_last = index + 1 == cells.len();
            match (self.numeric[index], is_last) {
                (true, _) => line.push_str(&format!("{padding}{cell}")),
                (false, true) => line.push_str(cell),
                (false, false) => line.push_str(&format!("{cell}{padding}")),
            }
            if !is_last {
                line.push_str("  ");
            }
        }
        line
    }
}

/// Characters that a terminal shows, without colour codes.
fn visible_width(cell: &str) -> usize {
    anstream::adapter::strip_str(cell).to_string().chars().count()
}

/// A count with its noun: `1 HDU`, `2 HDUs`.
pub(crate) fn count(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Bytes for people: `345.2 MB`, powers of ten as disks are sold.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use crate::cli::output::{Table, bytes, count, safe};

    #[test]
    fn bytes_read_as_people_say_them() {
        let cases = [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_950, "1.0 MB"), (2_345_678_901, "2.3 GB")];
        for (count, expected) in cases {
            assert_eq!(bytes(count), expected);
        }
        assert_eq!(bytes(u64::MAX), "18.4 EB");
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|number| count(number, "HDU")), ["0 HDUs", "1 HDU", "2 HDUs"]);
    }

    #[test]
    fn tables_align_text_left_and_numbers_right() {
        let mut table = Table::new(&["NAME", "#SIZE"]);
        table.row(vec!["a".to_owned(), "5".to_owned()]);
        table.row(vec!["long name".to_owned(), "12345".to_owned()]);
        let plain = anstream::adapter::strip_str(&table.text()).to_string();
        assert_eq!(plain, "NAME        SIZE\na              5\nlong name  12345\n");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(safe("a\u{1b}[31mb\tc"), "a\\u{1b}[31mb\\tc");
    }
}
