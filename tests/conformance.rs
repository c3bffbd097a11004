//! docs/conformance.md is true: each test that it names exists, and no section is without one.

#![expect(clippy::expect_used, reason = "a test ends where something unexpected happens")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The text of every source and test file.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.partition(|path| path.is_dir());
    let rust = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let texts = rust.map(|path| fs::read_to_string(path).expect("a text"));
    texts.chain(folders.iter().map(|folder| sources(folder))).collect()
}

/// The functions behind `#[test]`, and those in `proptest!`, where the attribute stands too.
fn tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = sources(&root.join("src")) + &sources(&root.join("tests"));
    let behind = text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn "));
    behind.filter_map(|(_, rest)| rest.split_once('(')).map(|(name, _)| name.trim().to_owned()).collect()
}

/// What stands in backticks and looks like the name of a test: words joined by `_`.
fn named(cell: &str) -> Vec<&str> {
    let is_name = |text: &&str| text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    cell.split('`').skip(1).step_by(2).filter(is_name).collect()
}

#[test]
fn every_row_of_the_conformance_table_names_tests_that_exist() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let document = fs::read_to_string(path).expect("docs/conformance.md");
    let tests = tests();
    let is_heading =
        |line: &str| line.starts_with("|---") || line.starts_with("| section") || line.starts_with("| rule");
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with('|') && !is_heading(line)).collect();
    for row in &rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        assert_eq!(cells.len(), 3, "three cells: {row}");
        let names = named(cells[2]);
        assert!(!names.is_empty() || row.starts_with("| judge"), "no test is named: {row}");
        for name in names {
            assert!(tests.contains(name), "there is no test {name}: {row}");
        }
    }
    for section in
        ["3.1", "3.5", "4.1.1", "4.2.1.2", "4.4.1", "4.4.2.7", "5", "6", "7.3", "8", "9", "10.3", "appendix J"]
    {
        let has_row = rows.iter().any(|row| row.starts_with(&format!("| {section} ")));
        assert!(has_row, "section {section} of the Standard has no row");
    }
}
