//! `dpm watch`: every change as it happens, one line each.

use clap::Args;
use serde_json::json;

use crate::cli::exit::{CliError, Exit};
use crate::cli::remote::{ANSWER_LIMIT, block_on, read};
use crate::cli::{SocketArguments, output};
use crate::client::ClientError;
use crate::status::DaqStatus;

/// Arguments of `dpm watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    /// Only this DAQ
    id: Option<String>,
    #[command(flatten)]
    socket: SocketArguments,
}

pub(crate) fn run(arguments: &WatchArguments) -> Result<Exit, CliError> {
    block_on(async {
        tokio::select! {
            outcome = watch(arguments) => outcome,
            // The way to end it.
            _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
        }
    })
}

async fn watch(arguments: &WatchArguments) -> Result<Exit, CliError> {
    let mut client = arguments.socket.connect().await?;
    let active = client.request("Subscribe", json!({"topics": ["daq/status"]}), ANSWER_LIMIT).await?;
    for status in read::<Vec<DaqStatus>>(active)? {
        show(arguments, &status)?;
    }
    loop {
        match client.notification().await {
            Ok((_, parameters)) => show(arguments, &read(parameters)?)?,
            Err(ClientError::Lost { .. }) => {
                output::note("dpm has ended");
                return Ok(Exit::Unavailable);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn show(arguments: &WatchArguments, status: &DaqStatus) -> Result<(), CliError> {
    if arguments.id.as_ref().is_some_and(|id| *id != status.id) {
        return Ok(());
    }
    if arguments.socket.wants_json() {
        return output::print_json(status);
    }
    let progress = &status.progress;
    let percent = match progress.bytes_total {
        0 => String::new(),
        total => format!(" {:3.0} %", progress.bytes_done as f64 / total as f64 * 100.0),
    };
    let state = output::paint(&status.sub_state.to_string(), !status.error);
    let id = output::safe(&status.id);
    output::print(&format!("{} {id} {state}{percent} {}\n", status.timestamp, output::safe(&status.message)))
}
