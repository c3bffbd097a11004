//! `dpm schema`: prints the embedded JSON Schemas.

use clap::{Args, ValueEnum};

use crate::cli::exit::{CliError, Exit};
use crate::cli::output;
use crate::{config, specification};

/// Arguments of `dpm schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    /// Which schema; without it their names are listed
    name: Option<SchemaName>,
}

/// The schemas.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum SchemaName {
    /// Data Product Specification
    Specification,
    /// Configuration file
    Configuration,
}

pub(crate) fn run(arguments: &SchemaArguments) -> Result<Exit, CliError> {
    let text = match arguments.name {
        Some(SchemaName::Specification) => specification::validate::SCHEMA,
        Some(SchemaName::Configuration) => config::SCHEMA,
        None => "specification\nconfiguration\n",
    };
    output::print(text)?;
    Ok(Exit::Done)
}
