//! `dpm verify`: judges FITS files.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::exit::{CliError, Exit};
use crate::cli::output;
use crate::cli::progress::BarControl;
use crate::merge::verify::{self, FileVerdict, SumVerdict};

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
    let verdict = verify::verify(path, &file, &bar).map_err(|error| CliError::of(Exit::Io, &error));
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
        let card = fault.card.map(|card| format!(", card {card}")).unwrap_or_default();
        text.push_str(&format!("  HDU {}{card}: {}\n", fault.hdu, output::safe(&fault.message)));
    }
    text
}

fn sum(verdict: SumVerdict) -> String {
    match verdict {
        SumVerdict::Correct => output::paint("correct", true),
        SumVerdict::Missing => output::dim("missing"),
        SumVerdict::Wrong => output::paint("wrong", false),
    }
}
