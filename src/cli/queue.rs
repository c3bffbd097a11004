//! `dpm queue`: hands specifications to the daemon.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::exit::{CliError, Exit};
use crate::cli::remote::{ANSWER_LIMIT, block_on, read};
use crate::cli::wait::{self, Ending};
use crate::cli::{SocketArguments, input, output};
use crate::client::Client;
use crate::command::reply::{AwaitDaqReply, DaqReply};
use crate::status::SubState;

/// Arguments of `dpm queue`.
#[derive(Debug, Args)]
pub(crate) struct QueueArguments {
    /// Data Product Specifications; `-` is standard input
    #[arg(required = true, value_name = "SPEC")]
    specifications: Vec<PathBuf>,
    /// Wait until all of them have ended
    #[arg(long)]
    wait: bool,
    /// Folder against which relative locations resolve [default: each specification's own]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    #[command(flatten)]
    socket: SocketArguments,
}

/// A specification that was accepted.
struct Queued {
    id: String,
    /// How its DAQ ended, if it has.
    ended: Option<SubState>,
}

pub(crate) fn run(arguments: &QueueArguments) -> Result<Exit, CliError> {
    block_on(queue_all(arguments))
}

async fn queue_all(arguments: &QueueArguments) -> Result<Exit, CliError> {
    let mut client = arguments.socket.connect().await?;
    let mut queued = Vec::new();
    let mut refused = None;
    for path in &arguments.specifications {
        match queue(&mut client, path, arguments).await {
            Ok(one) => queued.push(one),
            Err(error) if error.exit == Exit::Unavailable => return Err(error),
            Err(error) => {
                output::error(&error);
                refused.get_or_insert(error.exit);
            }
        }
    }
    let exit = if arguments.wait { wait_for(arguments, &queued).await? } else { tell(arguments, &queued)? };
    Ok(refused.unwrap_or(exit))
}

/// Queues one specification and tells how its DAQ stands: the same one again may have ended long ago.
async fn queue(client: &mut Client, path: &std::path::Path, arguments: &QueueArguments) -> Result<Queued, CliError> {
    let named = input::read(path, arguments.root.as_deref())?;
    let parameters = json!({
        "specification": named.text,
        "root": named.root.to_string_lossy(),
        "user": std::env::var("USER").ok(),
    });
    let id = match client.request("QueueDaq", parameters, ANSWER_LIMIT).await {
        Ok(value) => read::<DaqReply>(value)?.id,
        Err(error) => {
            let mut error = CliError::from(error);
            error.message = format!("{}: {}", named.name, error.message);
            return Err(error);
        }
    };
    let parameters = json!({"id": id, "timeoutSeconds": 0});
    let value = client.request("AwaitDaqState", parameters, ANSWER_LIMIT).await?;
    let ended = read::<AwaitDaqReply>(value)?.status;
    Ok(Queued { id, ended: Some(ended.sub_state).filter(|state| state.is_final()) })
}

fn tell(arguments: &QueueArguments, queued: &[Queued]) -> Result<Exit, CliError> {
    if arguments.socket.wants_json() {
        let replies: Vec<Value> = queued.iter().map(|one| json!({"id": one.id, "error": false})).collect();
        output::print_json(&replies)?;
    } else {
        let line = |one: &Queued| match one.ended {
            None => format!("{}: queued\n", one.id),
            Some(state) => format!("{}: queued, and {state} already\n", one.id),
        };
        let text: String = queued.iter().map(line).collect();
        output::print(&text)?;
    }
    Ok(Exit::Done)
}

async fn wait_for(arguments: &QueueArguments, queued: &[Queued]) -> Result<Exit, CliError> {
    let mut exit = Exit::Done;
    let mut endings = Vec::new();
    for one in queued {
        let ending = wait::wait(&arguments.socket, &one.id, Duration::MAX).await?;
        if ending.exit() != Exit::Done {
            exit = ending.exit();
        }
        endings.push(ending);
    }
    if arguments.socket.wants_json() {
        let statuses: Vec<_> = endings.iter().map(Ending::status).collect();
        output::print_json(&statuses)?;
    } else {
        let text: String = endings.iter().map(Ending::line).collect();
        output::print(&text)?;
    }
    Ok(exit)
}
