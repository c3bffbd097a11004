//! `dpm verify`: judges FITS files.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::exit::{CliError, Exit};
use crate::cli::output;
use crate::cli::progress::BarControl;
use crate::merge::verify::{self, Fault, FileVerdict, SumVerdict};

/// Columns of a message behind its indent of six.
const LINE_COLUMNS: usize = 74;

/// Arguments of `dpm verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// FITS files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one JSON document and nothing else
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &VerifyArguments) -> Result<Exit, CliError> {
    let mut verdicts = Vec::new();
    let mut unreadable = None;
    for path in &arguments.files {
        match judge(path) {
            Ok(verdict) => verdicts.push(verdict),
            Err(error) => {
                output::error(&error);
                unreadable.get_or_insert(error.exit);
            }
        }
    }
    if arguments.json {
        output::print_json(&verdicts)?;
    } else {
        let text: String = verdicts.iter().map(describe).collect();
        output::print(&text)?;
    }
    let good = verdicts.iter().all(|verdict| verdict.good);
    Ok(if good { unreadable.unwrap_or(Exit::Done) } else { Exit::Failed })
}

fn judge(path: &Path) -> Result<FileVerdict, CliError> {
    let open = crate::merge::job::open_regular(path);
    let file = match open {
        Ok(Some(file)) => file,
        Ok(None) => return Err(CliError::new(Exit::Data, format!("{} is no regular file", path.display()))),
        Err(error) => return Err(CliError::io(&format!("cannot open {}", path.display()), &error)),
    };
    let bar = BarControl::new("verify");
    let verdict = verify::verify(path, &file, &bar).map_err(|error| {
        let is_damaged = error.source.kind() == std::io::ErrorKind::InvalidData;
        CliError::of(if is_damaged { Exit::Data } else { Exit::Io }, &error)
    });
    bar.clear();
    verdict
}

fn describe(verdict: &FileVerdict) -> String {
    let name = output::safe(&verdict.path.display().to_string());
    let word = if verdict.good { output::paint("good", true) } else { output::paint("bad", false) };
    let mut text = format!("{name}: {word}, {} HDUs, {}\n", verdict.hdus.len(), output::bytes(verdict.bytes));
    let mut table = output::Table::new(&["#HDU", "KIND", "NAME", "#DATA", "DATASUM", "CHECKSUM"]);
    for hdu in &verdict.hdus {
        table.row(vec![
            hdu.index.to_string(),
            hdu.kind.clone(),
            output::safe(&hdu.name),
            output::bytes(hdu.data_bytes),
            sum(hdu.datasum),
            sum(hdu.checksum),
        ]);
    }
    if !verdict.hdus.is_empty() {
        text.push_str(&table.text());
    }
    for fault in &verdict.faults {
        text.push_str(&describe_fault(fault));
    }
    let hidden = (verdict.fault_count + verdict.warning_count).saturating_sub(verdict.faults.len() as u64);
    if hidden > 0 {
        text.push_str(&format!("  and {hidden} more\n"));
    }
    text
}

/// Where and what, then which rule of the Standard, broken to lines of 80 columns.
fn describe_fault(fault: &Fault) -> String {
    let severity = output::paint(fault.severity, false);
    let severity = if fault.severity == "fault" { severity } else { output::dim(fault.severity) };
    let card = fault.card.map(|card| format!(", card {card}")).unwrap_or_default();
    let section = if fault.section.is_empty() { String::new() } else { format!(", section {}", fault.section) };
    let mut text = format!("  {severity}  HDU {}{card}: {}{section}\n", fault.hdu, fault.rule);
    let mut line = String::new();
    for word in output::safe(&fault.message).split(' ') {
        if !line.is_empty() && line.chars().count() + word.chars().count() >= LINE_COLUMNS {
            text.push_str(&format!("      {}\n", line.trim_end()));
            line.clear();
        }
        line.push_str(word);
        line.push(' ');
    }
    text.push_str(&format!("      {}\n", line.trim_end()));
    text
}

fn sum(verdict: SumVerdict) -> String {
    match verdict {
        SumVerdict::Correct => output::paint("correct", true),
        SumVerdict::Missing => output::dim("missing"),
        SumVerdict::Wrong => output::paint("wrong", false),
    }
}
