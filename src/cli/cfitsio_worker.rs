//! `dpm cfitsio-worker`: how `dpm verify --with-cfitsio` starts its confined worker; not for people.

use std::path::PathBuf;

use clap::Args;

use crate::cfitsio;
use crate::cli::exit::{CliError, Exit};
use crate::cli::output;

/// Arguments of `dpm cfitsio-worker`.
#[derive(Debug, Args)]
pub(crate) struct WorkerArguments {
    /// The file to read
    file: PathBuf,
    /// Process id of the process that waits
    #[arg(long, value_name = "PID")]
    parent: Option<u32>,
}

pub(crate) fn run(arguments: &WorkerArguments) -> Result<Exit, CliError> {
    let report = cfitsio::examine_confined(&arguments.file, arguments.parent);
    let report = report.map_err(|message| CliError::new(Exit::Unavailable, message))?;
    output::print_json(&report)?;
    Ok(Exit::Done)
}
