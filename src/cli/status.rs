//! The subcommands that ask the daemon one thing: `status`, `list`, `abort`, `retry`, `history`, `storage`, `exit`.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::exit::{CliError, Exit};
use crate::cli::output::Table;
use crate::cli::remote::{ANSWER_LIMIT, block_on, read, show};
use crate::cli::{SocketArguments, output};
use crate::client::ClientError;
use crate::command::error::ErrorKind;
use crate::command::reply::AwaitDaqReply;
use crate::status::DaqStatus;

/// An abort waits for the running step to stop.
const ABORT_LIMIT: Duration = Duration::from_secs(120);

/// Arguments of `dpm status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// The DAQ; without it the daemon itself
    id: Option<String>,
    #[command(flatten)]
    socket: SocketArguments,
}

/// Arguments of `dpm list`.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    socket: SocketArguments,
}

/// Arguments of commands on one DAQ.
#[derive(Debug, Args)]
pub(crate) struct DaqArguments {
    /// The DAQ
    id: String,
    #[command(flatten)]
    socket: SocketArguments,
}

/// Arguments of `dpm history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Only those before this sequence number (the last one of the page before)
    #[arg(long, value_name = "SEQUENCE")]
    before: Option<i64>,
    #[command(flatten)]
    socket: SocketArguments,
}

/// Arguments of `dpm storage`.
#[derive(Debug, Args)]
pub(crate) struct StorageArguments {
    #[command(flatten)]
    socket: SocketArguments,
}

/// Arguments of `dpm exit`.
#[derive(Debug, Args)]
pub(crate) struct ExitArguments {
    #[command(flatten)]
    socket: SocketArguments,
}

pub(crate) fn status(arguments: &StatusArguments) -> Result<Exit, CliError> {
    block_on(async {
        let (value, text) = match &arguments.id {
            Some(id) => {
                let value = daq(&arguments.socket, id).await?;
                let text = describe_daq(&value)?;
                (value, text)
            }
            None => {
                let value = arguments.socket.ask("GetServerStatus", Value::Null).await?;
                let text = describe_server(&value);
                (value, text)
            }
        };
        show(&arguments.socket, &value, &text)?;
        Ok(Exit::Done)
    })
}

/// Everything known of a DAQ; of one that has ended, its last status.
async fn daq(socket: &SocketArguments, id: &str) -> Result<Value, CliError> {
    let mut client = socket.connect().await?;
    match client.request("GetInternalDaqStatus", json!({"id": id}), ANSWER_LIMIT).await {
        // The ELT's answer for an ended DAQ; a person wants to know how it ended.
        Err(ClientError::Refused { kind: Some(ErrorKind::UnknownDaq), .. }) => {
            let parameters = json!({"id": id, "timeoutSeconds": 0});
            let value = client.request("AwaitDaqState", parameters, ANSWER_LIMIT).await?;
            let reply: AwaitDaqReply = read(value)?;
            serde_json::to_value(reply.status).map_err(|error| CliError::of(Exit::Io, &error))
        }
        outcome => Ok(outcome?),
    }
}

/// Lines `name  value` of the scalar members of a document.
fn describe_server(value: &Value) -> String {
    let mut text = String::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let shown = match value {
            Value::String(text) => text.clone(),
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            Value::Object(members) => {
                members.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
            }
            other => other.to_string(),
        };
        text.push_str(&format!("{} {}\n", output::dim(&format!("{name:<10}")), output::safe(&shown)));
    }
    text
}

fn describe_daq(value: &Value) -> Result<String, CliError> {
    let status: DaqStatus = read(value.clone())?;
    let mut text = String::new();
    let mut line = |name: &str, shown: &str| {
        if !shown.is_empty() {
            text.push_str(&format!("{} {}\n", output::dim(&format!("{name:<10}")), output::safe(shown)));
        }
    };
    let text_of = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    line("id", &status.id);
    line("fileId", &status.file_id);
    line("state", &format!("{} {}", status.sub_state, text_of("run")));
    line("message", &status.message);
    line("since", &status.timestamp.to_string());
    line("user", &text_of("user"));
    line("result", &status.result);
    if status.progress.bytes_total > 0 {
        let done = output::bytes(status.progress.bytes_done);
        line("progress", &format!("{done} of {}", output::bytes(status.progress.bytes_total)));
    }
    for alert in &status.alerts {
        line(&format!("{:?}", alert.severity), &format!("[{}] {}", alert.id, alert.description));
    }
    for step in value.get("steps").and_then(Value::as_array).into_iter().flatten() {
        let text_of = |name: &str| step.get(name).and_then(Value::as_str).unwrap_or_default();
        line("source", &format!("{} {} {}", text_of("state"), text_of("kind"), text_of("location")));
    }
    Ok(text)
}

pub(crate) fn list(arguments: &ListArguments) -> Result<Exit, CliError> {
    block_on(async {
        let value = arguments.socket.ask("GetActiveDaqs", Value::Null).await?;
        let statuses: Vec<DaqStatus> = read(value.clone())?;
        let mut table = Table::new(&["DAQ", "STATE", "#DONE", "MESSAGE"]);
        for status in &statuses {
            let state =
                if status.error { format!("{}: error", status.sub_state) } else { status.sub_state.to_string() };
            let done = match status.progress.bytes_total {
                0 => String::new(),
                total => format!("{} %", status.progress.bytes_done.saturating_mul(100) / total),
            };
            table.row(vec![
                output::safe(&status.id),
                output::paint(&state, !status.error),
                done,
                output::safe(&status.message),
            ]);
        }
        let text = if statuses.is_empty() { "no unfinished DAQs\n".to_owned() } else { table.text() };
        show(&arguments.socket, &value, &text)?;
        Ok(Exit::Done)
    })
}

pub(crate) fn on_daq(method: &str, done: &str, arguments: &DaqArguments) -> Result<Exit, CliError> {
    block_on(async {
        let mut client = arguments.socket.connect().await?;
        let parameters = json!({"id": arguments.id, "user": std::env::var("USER").ok()});
        let value = client.request(method, parameters, ABORT_LIMIT).await?;
        show(&arguments.socket, &value, &format!("{}: {done}\n", output::safe(&arguments.id)))?;
        Ok(Exit::Done)
    })
}

pub(crate) fn history(arguments: &HistoryArguments) -> Result<Exit, CliError> {
    block_on(async {
        let parameters = json!({"limit": arguments.limit, "before": arguments.before});
        let value = arguments.socket.ask("GetHistory", parameters).await?;
        let mut table = Table::new(&["#SEQ", "DAQ", "STATE", "FINISHED", "#SIZE", "PRODUCT"]);
        for entry in value.as_array().into_iter().flatten() {
            let text_of = |name: &str| output::safe(entry.get(name).and_then(Value::as_str).unwrap_or_default());
            let state = text_of("subState");
            let size = entry.get("bytes").and_then(Value::as_u64).map(output::bytes).unwrap_or_default();
            table.row(vec![
                entry.get("sequence").map(Value::to_string).unwrap_or_default(),
                text_of("id"),
                output::paint(&state, state == "Completed"),
                text_of("finished"),
                size,
                text_of("result"),
            ]);
        }
        let is_empty = value.as_array().is_none_or(Vec::is_empty);
        let text = if is_empty { "no DAQ has ended yet\n".to_owned() } else { table.text() };
        show(&arguments.socket, &value, &text)?;
        Ok(Exit::Done)
    })
}

pub(crate) fn storage(arguments: &StorageArguments) -> Result<Exit, CliError> {
    block_on(async {
        let value = arguments.socket.ask("QueryStorageStatus", Value::Null).await?;
        let text_of = |name: &str| output::safe(value.get(name).and_then(Value::as_str).unwrap_or_default());
        let size_of = |name: &str| output::bytes(value.get(name).and_then(Value::as_u64).unwrap_or_default());
        let mut text = format!("{} on {}\n", text_of("path"), text_of("fileSystem"));
        for name in ["capacity", "free", "available", "usedByWorkspace", "usedByProducts", "reserved"] {
            text.push_str(&format!("{} {:>10}\n", output::dim(&format!("{name:<16}")), size_of(name)));
        }
        for daq in value.get("daqs").and_then(Value::as_array).into_iter().flatten() {
            let id = output::safe(daq.get("id").and_then(Value::as_str).unwrap_or_default());
            let size = output::bytes(daq.get("bytes").and_then(Value::as_u64).unwrap_or_default());
            text.push_str(&format!("  {id} {size}\n"));
        }
        show(&arguments.socket, &value, &text)?;
        Ok(Exit::Done)
    })
}

pub(crate) fn exit(arguments: &ExitArguments) -> Result<Exit, CliError> {
    block_on(async {
        let value = arguments.socket.ask("Exit", Value::Null).await?;
        show(&arguments.socket, &value, &format!("{}\n", value.as_str().unwrap_or("dpm ends")))?;
        Ok(Exit::Done)
    })
}
