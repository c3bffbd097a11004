//! `dpm check`: validates specifications, tells every fault at once, runs nothing.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::exit::{CliError, Exit};
use crate::cli::{input, output};
use crate::specification::fault::Fault;
use crate::specification::validate;

/// Arguments of `dpm check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Specifications; `-` is standard input
    #[arg(required = true, value_name = "SPEC")]
    specifications: Vec<PathBuf>,
    /// Print one JSON document and nothing else
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Checked {
    specification: String,
    valid: bool,
    faults: Vec<Fault>,
}

pub(crate) fn run(arguments: &CheckArguments) -> Result<Exit, CliError> {
    let mut all = Vec::new();
    let mut unreadable = None;
    for path in &arguments.specifications {
        match input::read(path, None) {
            Ok(named) => {
                let faults = validate::parse(&named.text).err().map(|error| error.faults).unwrap_or_default();
                all.push(Checked { specification: named.name, valid: faults.is_empty(), faults });
            }
            Err(error) => {
                output::error(&error);
                unreadable.get_or_insert(error.exit);
            }
        }
    }
    if arguments.json {
        output::print_json(&all)?;
    } else {
        let text: String = all.iter().map(describe).collect();
        output::print(&text)?;
    }
    let valid = all.iter().all(|checked| checked.valid);
    Ok(if valid { unreadable.unwrap_or(Exit::Done) } else { Exit::Data })
}

fn describe(checked: &Checked) -> String {
    let name = output::safe(&checked.specification);
    if checked.valid {
        return format!("{name}: {}\n", output::paint("valid", true));
    }
    let count = checked.faults.len();
    let noun = if count == 1 { "fault" } else { "faults" };
    let mut text = format!("{name}: {}\n", output::paint(&format!("{count} {noun}"), false));
    for fault in &checked.faults {
        text.push_str(&format!("  {}\n", output::safe(&fault.to_string())));
    }
    text
}
