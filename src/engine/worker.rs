//! The merge as a process of its own: a hostile file can end the worker, never the daemon.
//!
//! The worker is this very program, run as `dpm merge` with hidden options; it speaks [`Message`] lines.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

use crate::control::Control;
use crate::dictionary::DictionarySettings;
use crate::durable;
use crate::engine::action::{Input, MergedProduct, StepFailure, StepOutcome, StepRequest};
use crate::engine::daq::LOW_STORAGE_ALERT;
use crate::engine::executor::{Context, StepControl};
use crate::engine::steps;
use crate::merge::report::{MergeReport, Message, WorkerFault};
use crate::status::with_causes;
use crate::store::ProductRow;
use crate::workspace::DaqFolder;

/// A worker that says nothing for so long hangs, and is ended: one that works repeats its progress every 10 s.
const SILENCE_LIMIT: Duration = Duration::from_secs(300);
/// No message of a worker is longer; a longer line is garbage.
const MESSAGE_BYTES_MAX: u64 = 1024 * 1024;
/// Alert of a merge that failed.
const MERGE_ALERT: &str = "FailedOperation:merging";

/// Runs the merge of `request` in a worker and waits for its end.
pub(crate) async fn run(
    context: &Context,
    request: &StepRequest,
    control: &StepControl,
) -> Result<StepOutcome, StepFailure> {
    let folder = context.workspace.daq_folder(request.id.as_str()).map_err(|error| permanent(with_causes(&error)))?;
    let (its_folder, its_request) = (folder.clone(), request.clone());
    match tokio::task::spawn_blocking(move || prepare(&its_folder, &its_request)).await {
        Ok(prepared) => prepared?,
        Err(panic) => return Err(permanent(panic.to_string())),
    }
    let mut child = spawn(context, &folder).map_err(|error| transient(format!("cannot start the worker: {error}")))?;
    let Some(stdout) = child.stdout.take() else {
        return Err(permanent("the worker has no output".to_owned()));
    };
    let outcome = tokio::select! {
        outcome = attend(&mut child, stdout, context, request, control) => outcome,
        () = control.cancelled() => Err(StepFailure::Cancelled),
    };
    end(&mut child).await;
    let report = outcome?;
    if !folder.product_partial().exists() {
        return Err(transient("the worker told of a product but left none".to_owned()));
    }
    let Some(digest) = report.digest else {
        return Err(transient("the worker told of a product but not of its digest".to_owned()));
    };
    Ok(StepOutcome::Merged(MergedProduct {
        product: ProductRow { bytes: report.bytes, digest },
        hdus: report.hdus,
        source_digests: report.sources.into_iter().map(|source| source.digest).collect(),
    }))
}

/// Writes down where the inputs are, and clears what a killed worker left. Blocks.
fn prepare(folder: &DaqFolder, request: &StepRequest) -> Result<(), StepFailure> {
    let io = |error: durable::DurableError| match error.is_no_space() {
        true => low_storage(with_causes(&error)),
        false => permanent(with_causes(&error)),
    };
    folder.create(&request.text).map_err(|error| match error.is_no_space() {
        true => low_storage(with_causes(&error)),
        false => permanent(with_causes(&error)),
    })?;
    steps::take_back(folder, &request.inputs).map_err(permanent)?;
    durable::remove_file_for_now(&folder.product_partial()).map_err(io)?;
    durable::remove_temporaries(folder.path()).map_err(io)?;
    let inputs = serde_json::to_vec(&request.inputs).map_err(|error| permanent(error.to_string()))?;
    durable::write_for_now(&folder.inputs(), &inputs).map_err(io)
}

fn spawn(context: &Context, folder: &DaqFolder) -> std::io::Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.merge_log())?;
    let mut command = Command::new(&context.settings.worker_program);
    command
        .arg("merge")
        .arg(folder.specification())
        .arg("--output")
        .arg(folder.product_partial())
        .arg("--inputs")
        .arg(folder.inputs())
        .arg("--worker")
        .arg("--parent")
        .arg(std::process::id().to_string())
        .args(context.settings.merge.arguments())
        .args(dictionary_arguments(&context.settings.dictionaries))
        .arg("--niceness")
        .arg(context.settings.worker_niceness.to_string())
        .arg("--json")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true);
    if let Some(epoch) = std::env::var_os(crate::clock::SOURCE_DATE_EPOCH) {
        command.env(crate::clock::SOURCE_DATE_EPOCH, epoch);
    }
    command.spawn()
}

/// What the worker is told of dictionaries.
fn dictionary_arguments(settings: &DictionarySettings) -> Vec<OsString> {
    let mut arguments = Vec::new();
    for folder in &settings.path {
        arguments.extend(["--dictionary-path".into(), folder.clone().into_os_string()]);
    }
    if settings.strict {
        arguments.push("--strict-dictionaries".into());
    }
    arguments
}

/// Hears the worker out and waits for its end; believes a result only of one that ended well.
async fn attend(
    child: &mut Child,
    stdout: ChildStdout,
    context: &Context,
    request: &StepRequest,
    control: &StepControl,
) -> Result<MergeReport, StepFailure> {
    let report = listen(stdout, context, request, control).await?;
    match tokio::time::timeout(SILENCE_LIMIT, child.wait()).await {
        Ok(Ok(status)) => match report {
            Some(report) if status.success() => Ok(report),
            Some(_) => Err(transient(format!("the worker told of a product but ended with {status}"))),
            None => Err(transient(format!("the worker ended with {status} and without a result"))),
        },
        Ok(Err(error)) => Err(transient(format!("the worker cannot be waited for: {error}"))),
        Err(_) => Err(transient("the worker does not end".to_owned())),
    }
}

/// Reads the worker's messages until it closes its output.
async fn listen(
    stdout: ChildStdout,
    context: &Context,
    request: &StepRequest,
    control: &StepControl,
) -> Result<Option<MergeReport>, StepFailure> {
    let mut lines = BufReader::new(stdout);
    let mut result = None;
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut lines).take(MESSAGE_BYTES_MAX);
        let read = tokio::time::timeout(SILENCE_LIMIT, limited.read_until(b'\n', &mut line)).await;
        match read {
            Err(_) => return Err(transient(format!("the worker said nothing for {} s", SILENCE_LIMIT.as_secs()))),
            Ok(Err(error)) => return Err(transient(format!("the worker cannot be heard: {error}"))),
            Ok(Ok(0)) => return Ok(result),
            Ok(Ok(_)) => {}
        }
        match serde_json::from_slice(&line) {
            Ok(Message::Progress { bytes_done, bytes_total }) => control.progress(bytes_done, bytes_total),
            Ok(Message::Alert(notice)) => {
                let noticed = Input::Noticed { id: request.id.clone(), notice };
                // The engine is gone: so will this task be.
                let _ = context.inputs.send(noticed).await;
            }
            Ok(Message::Result(report)) => result = Some(report),
            Ok(Message::Error { message, fault }) => return Err(failure(message, fault)),
            Err(_) => return Err(transient("the worker speaks garbage".to_owned())),
        }
    }
}

fn failure(message: String, fault: WorkerFault) -> StepFailure {
    match fault {
        WorkerFault::SourceChanged => {
            StepFailure::SourceChanged { alert: MERGE_ALERT.to_owned(), description: message }
        }
        WorkerFault::NoSpace => low_storage(message),
        WorkerFault::Transient => transient(message),
        WorkerFault::Permanent => permanent(message),
    }
}

/// Kills what is left of the worker's process group and reaps it.
async fn end(child: &mut Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group {
        // It may have ended by itself.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    if let Err(error) = child.wait().await {
        tracing::warn!(%error, "a worker cannot be reaped");
    }
}

fn low_storage(description: String) -> StepFailure {
    StepFailure::Failed { alert: LOW_STORAGE_ALERT.to_owned(), description, transient: true }
}

fn transient(description: String) -> StepFailure {
    StepFailure::Failed { alert: MERGE_ALERT.to_owned(), description, transient: true }
}

fn permanent(description: String) -> StepFailure {
    StepFailure::Failed { alert: MERGE_ALERT.to_owned(), description, transient: false }
}

#[cfg(test)]
mod tests;
