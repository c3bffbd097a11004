//! `dpm completions` and `dpm man`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::exit::{CliError, Exit};
use crate::cli::{Cli, output};

/// Arguments of `dpm completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<Exit, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "dpm", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

pub(crate) fn man() -> Result<Exit, CliError> {
    let mut page = Vec::new();
    let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
    rendered.map_err(|error| CliError::io("cannot render the manual page", &error))?;
    output::print(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Done)
}
