//! `dpm check`: validates specifications, tells every fault at once, runs nothing.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::dictionary_check::{self, DictionaryReport};
use crate::cli::exit::{CliError, Exit};
use crate::cli::input::NamedSpecification;
use crate::cli::{input, output, session};
use crate::dictionary::DictionarySettings;
use crate::specification::fault::Fault;
use crate::specification::validate;

/// Arguments of `dpm check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// Specifications; `-` is standard input
    #[arg(required = true, value_name = "SPEC")]
    specifications: Vec<PathBuf>,
    /// Also compare the keywords with the dictionaries that a specification names: its own, and those of its files
    /// that are here
    #[arg(long)]
    dictionary: bool,
    /// Folder with dictionaries, instead of the configured ones; may be given several times
    #[arg(long, value_name = "DIR", requires = "dictionary")]
    dictionary_path: Vec<PathBuf>,
    /// Folder against which relative locations resolve [default: each specification's own]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Configuration file, for the folders with dictionaries
    #[arg(long, value_name = "FILE", env = "DPM_CONFIG")]
    config: Option<PathBuf>,
    /// Print one JSON document and nothing else
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Checked {
    specification: String,
    valid: bool,
    faults: Vec<Fault>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dictionary: Option<DictionaryReport>,
}

impl Checked {
    fn exit(&self) -> Exit {
        match &self.dictionary {
            _ if !self.valid => Exit::Data,
            Some(report) if !report.is_good() => Exit::Data,
            Some(report) if !report.is_complete() => Exit::NoInput,
            _ => Exit::Done,
        }
    }
}

pub(crate) fn run(arguments: &CheckArguments) -> Result<Exit, CliError> {
    let dictionaries = dictionaries_of(arguments)?;
    let mut all = Vec::new();
    let mut unreadable = None;
    for path in &arguments.specifications {
        match input::read(path, arguments.root.as_deref()) {
            Ok(named) => all.push(check(named, dictionaries.as_ref())),
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
    let exits: Vec<Exit> = all.iter().map(Checked::exit).collect();
    let worst = [Exit::Data, Exit::NoInput].into_iter().find(|exit| exits.contains(exit));
    Ok(worst.or(unreadable).unwrap_or(Exit::Done))
}

/// Where dictionaries are, if they are asked for. A missing one is to be told in any case.
fn dictionaries_of(arguments: &CheckArguments) -> Result<Option<DictionarySettings>, CliError> {
    if !arguments.dictionary {
        return Ok(None);
    }
    let path = match arguments.dictionary_path.as_slice() {
        [] => session::configuration(arguments.config.as_deref(), None, None)?.dictionaries.path,
        given => given.to_vec(),
    };
    Ok(Some(DictionarySettings { path, strict: true }))
}

fn check(named: NamedSpecification, dictionaries: Option<&DictionarySettings>) -> Checked {
    let specification = named.name;
    match validate::parse(&named.text) {
        Err(error) => Checked { specification, valid: false, faults: error.faults, dictionary: None },
        Ok(valid) => {
            let dictionary = dictionaries.map(|settings| dictionary_check::check(&valid, &named.root, settings));
            Checked { specification, valid: true, faults: Vec::new(), dictionary }
        }
    }
}

fn describe(checked: &Checked) -> String {
    let name = output::safe(&checked.specification);
    if checked.valid {
        let report = checked.dictionary.as_ref().map(DictionaryReport::text).unwrap_or_default();
        return format!("{name}: {}\n{report}", output::paint("valid", true));
    }
    let count = checked.faults.len();
    let noun = if count == 1 { "fault" } else { "faults" };
    let mut text = format!("{name}: {}\n", output::paint(&format!("{count} {noun}"), false));
    for fault in &checked.faults {
        text.push_str(&format!("  {}\n", output::safe(&fault.to_string())));
    }
    text
}
