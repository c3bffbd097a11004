//! `dpm wait`: until a DAQ has ended, is parked, or the time is up.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::exit::{CliError, Exit};
use crate::cli::remote::{ANSWER_LIMIT, block_on, read};
use crate::cli::{SocketArguments, output};
use crate::client::{Client, ClientError};
use crate::command::reply::AwaitDaqReply;
use crate::status::{DaqStatus, SubState};

/// Arguments of `dpm wait`.
#[derive(Debug, Args)]
pub(crate) struct WaitArguments {
    /// The DAQ
    id: String,
    /// Give up after so many seconds, with exit code 75
    #[arg(long, value_name = "S", value_parser = seconds)]
    timeout: Option<Duration>,
    #[command(flatten)]
    socket: SocketArguments,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "give a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|_| "give a number of seconds of at least 0".to_owned())
}

/// How the waiting ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The DAQ has ended, or is parked with an error.
    Over(DaqStatus),
    /// The time was up.
    TimedOut(DaqStatus),
}

impl Ending {
    pub(crate) fn status(&self) -> &DaqStatus {
        match self {
            Ending::Over(status) | Ending::TimedOut(status) => status,
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Ending::Over(status) if status.sub_state == SubState::Completed => Exit::Done,
            Ending::Over(_) => Exit::Failed,
            Ending::TimedOut(_) => Exit::TryLater,
        }
    }

    pub(crate) fn line(&self) -> String {
        let status = self.status();
        let is_good = self.exit() == Exit::Done;
        let state = if status.error { format!("{}: error", status.sub_state) } else { status.sub_state.to_string() };
        let rest = if status.result.is_empty() { &status.message } else { &status.result };
        format!("{}: {} {}\n", output::safe(&status.id), output::paint(&state, is_good), output::safe(rest))
    }
}

pub(crate) fn run(arguments: &WaitArguments) -> Result<Exit, CliError> {
    block_on(async {
        let limit = arguments.timeout.unwrap_or(Duration::MAX);
        let ending = wait(&arguments.socket, &arguments.id, limit).await?;
        if arguments.socket.wants_json() {
            output::print_json(ending.status())?;
        } else {
            output::print(&ending.line())?;
        }
        Ok(ending.exit())
    })
}

/// Waits for the end of DAQ `id`.
pub(crate) async fn wait(socket: &SocketArguments, id: &str, limit: Duration) -> Result<Ending, CliError> {
    let mut client = socket.connect().await?;
    // Listen first, look second: no change falls between.
    client.request("Subscribe", json!({"topics": ["daq/status"]}), ANSWER_LIMIT).await?;
    let status = present(socket, id).await?;
    if is_over(&status) {
        return Ok(Ending::Over(status));
    }
    match tokio::time::timeout(limit, follow(&mut client, id)).await {
        Ok(outcome) => Ok(Ending::Over(outcome?)),
        Err(_) => Ok(Ending::TimedOut(present(socket, id).await?)),
    }
}

/// Status now, also of a DAQ that has ended.
async fn present(socket: &SocketArguments, id: &str) -> Result<DaqStatus, CliError> {
    let value = socket.ask("AwaitDaqState", json!({"id": id, "timeoutSeconds": 0})).await?;
    Ok(read::<AwaitDaqReply>(value)?.status)
}

async fn follow(client: &mut Client, id: &str) -> Result<DaqStatus, CliError> {
    loop {
        let (_, parameters): (String, Value) = client.notification().await.map_err(|error: ClientError| error)?;
        if parameters.get("id").and_then(Value::as_str) == Some(id) {
            let status: DaqStatus = read(parameters)?;
            if is_over(&status) {
                return Ok(status);
            }
        }
    }
}

fn is_over(status: &DaqStatus) -> bool {
    status.sub_state.is_final() || status.error
}
