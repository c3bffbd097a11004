//! `dpm run`: the whole pipeline in the foreground, no daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use crate::cli::exit::{CliError, Exit};
use crate::cli::session::{self, Session};
use crate::cli::{input, output, progress};
use crate::command::error::CommandError;
use crate::engine::action::{EngineError, QueueRequest};
use crate::status::{DaqStatus, Severity, SubState};

/// Arguments of `dpm run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Data Product Specifications; `-` is standard input
    #[arg(required = true, value_name = "SPEC")]
    specifications: Vec<PathBuf>,
    /// Folder for state and products [default: the configured one, else ./dpm-workspace]
    #[arg(long, value_name = "DIR", env = "DPM_WORKSPACE")]
    workspace: Option<PathBuf>,
    /// Folder against which relative locations resolve [default: each specification's own]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "DPM_CONFIG")]
    config: Option<PathBuf>,
    /// Print one JSON document and nothing else
    #[arg(long)]
    json: bool,
}

/// Specifications that are queued together.
const QUEUED_TOGETHER: usize = 256;

/// How one specification ended.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ended {
    specification: String,
    #[serde(flatten)]
    status: DaqStatus,
    product_exists: bool,
}

/// A specification that was accepted.
struct Accepted {
    name: String,
    id: String,
}

pub(crate) fn run(arguments: &RunArguments) -> Result<Exit, CliError> {
    let configuration = session::configuration(arguments.config.as_deref(), arguments.workspace.as_ref(), None)?;
    let runtime = session::runtime()?;
    let ended = runtime.block_on(async {
        let session = session::open(&configuration).await?;
        let outcome = run_all(&session, arguments).await;
        let lock = session.close().await;
        Ok((outcome, lock))
    });
    session::shut_down(runtime, ended)
}

async fn run_all(session: &Session, arguments: &RunArguments) -> Result<Exit, CliError> {
    let changes = session.engine.subscribe();
    let (accepted, refused) = queue_all(session, arguments).await;
    let mut board = Board::new(arguments.json);
    let interrupted = tokio::select! {
        outcome = follow(session, &accepted, changes, &mut board) => outcome.map(|()| false)?,
        _ = tokio::signal::ctrl_c() => true,
        lost = session.lost() => {
            board.clear();
            return Err(lost);
        }
    };
    board.clear();
    if interrupted {
        let message = "interrupted; what was accepted is kept: run the same command again to go on";
        return Err(CliError::new(Exit::TryLater, message));
    }
    let ended = conclude(session, accepted).await?;
    show(&ended, arguments.json)?;
    Ok(exit_of(&ended, refused))
}

/// Queues every specification; tells those that are refused and goes on with the others.
async fn queue_all(session: &Session, arguments: &RunArguments) -> (Vec<Accepted>, Option<Exit>) {
    let mut accepted: Vec<Accepted> = Vec::new();
    let mut known = BTreeSet::new();
    let mut refused = None;
    // Together, so that they share commits; not all, so that their texts need not be in memory at once.
    for paths in arguments.specifications.chunks(QUEUED_TOGETHER) {
        for outcome in queue(session, paths, arguments.root.as_deref()).await {
            match outcome {
                Ok(one) if !known.insert(one.id.clone()) => {}
                Ok(one) => accepted.push(one),
                Err(error) => {
                    output::error(&error);
                    refused.get_or_insert(error.exit);
                }
            }
        }
    }
    (accepted, refused)
}

async fn queue(session: &Session, paths: &[PathBuf], root: Option<&Path>) -> Vec<Result<Accepted, CliError>> {
    let mut requests = Vec::new();
    let mut outcomes = Vec::new();
    for path in paths {
        outcomes.push(read(session, path, root).map(|(accepted, request)| {
            let was_parked = session.engine.status(&accepted.id).is_ok_and(|status| status.error);
            requests.push(request);
            (accepted, was_parked)
        }));
    }
    let mut queued = session.engine.queue_many(requests).await.into_iter();
    let mut ended = Vec::new();
    for outcome in outcomes {
        ended.push(match outcome {
            Ok((accepted, was_parked)) => match queued.next() {
                Some(Err(error)) => Err(in_file(&accepted.name, CommandError::from(error).into())),
                _ if was_parked => retry(session, &accepted.id).await.map(|()| accepted),
                _ => Ok(accepted),
            },
            Err(error) => Err(error),
        });
    }
    ended
}

fn read(session: &Session, path: &Path, root: Option<&Path>) -> Result<(Accepted, QueueRequest), CliError> {
    let named = input::read(path, root)?;
    let user = std::env::var("USER").ok();
    let request = session
        .commander
        .queue_request(named.text, Some(named.root), user)
        .map_err(|error| in_file(&named.name, CliError::from(error)))?;
    Ok((Accepted { name: named.name, id: request.specification.id.to_string() }, request))
}

fn in_file(name: &str, mut error: CliError) -> CliError {
    error.message = format!("{name}: {}", error.message);
    error
}

/// A DAQ that an earlier run left parked is tried again: that is what running it once more means.
async fn retry(session: &Session, id: &str) -> Result<(), CliError> {
    match session.engine.retry(id.to_owned()).await {
        // Somebody else has helped it on, or it can only be aborted: its alerts say so.
        Ok(()) | Err(EngineError::WrongState { .. } | EngineError::UnknownDaq { .. }) => Ok(()),
        Err(error) => Err(CommandError::from(error).into()),
    }
}

/// Shows progress until every DAQ has ended or is parked.
async fn follow(
    session: &Session,
    accepted: &[Accepted],
    mut changes: Receiver<DaqStatus>,
    board: &mut Board,
) -> Result<(), CliError> {
    let mut waiting: BTreeMap<String, ()> = BTreeMap::new();
    for one in accepted {
        let status = session.commander.present_status(&one.id).await?;
        if !is_over(&status) {
            // Its changes are in the channel already; showing this look too would show them out of order.
            waiting.insert(one.id.clone(), ());
        }
    }
    while !waiting.is_empty() {
        let status = match changes.recv().await {
            Ok(status) => status,
            Err(RecvError::Lagged(_)) => {
                let ids: Vec<String> = waiting.keys().cloned().collect();
                for id in ids {
                    if is_over(&session.commander.present_status(&id).await?) {
                        waiting.remove(&id);
                    }
                }
                continue;
            }
            Err(RecvError::Closed) => return Err(CliError::new(Exit::Io, "the engine ended unexpectedly")),
        };
        if waiting.contains_key(&status.id) {
            board.show(&status);
            if is_over(&status) {
                waiting.remove(&status.id);
            }
        }
    }
    Ok(())
}

fn is_over(status: &DaqStatus) -> bool {
    status.sub_state.is_final() || status.error
}

async fn conclude(session: &Session, accepted: Vec<Accepted>) -> Result<Vec<Ended>, CliError> {
    let mut ended = Vec::new();
    for Accepted { name, id } in accepted {
        let status = session.commander.present_status(&id).await?;
        let product_exists = !status.result.is_empty() && Path::new(&status.result).exists();
        ended.push(Ended { specification: name, status, product_exists });
    }
    Ok(ended)
}

fn exit_of(ended: &[Ended], refused: Option<Exit>) -> Exit {
    let all_completed = ended.iter().all(|one| one.status.sub_state == SubState::Completed);
    refused.unwrap_or(if all_completed { Exit::Done } else { Exit::Failed })
}

fn show(ended: &[Ended], json: bool) -> Result<(), CliError> {
    if json {
        return output::print_json(&ended);
    }
    let mut table = output::Table::new(&["DAQ", "STATE", "#SIZE", "PRODUCT"]);
    for one in ended {
        let is_good = one.status.sub_state == SubState::Completed;
        let state = if one.status.error {
            format!("{}: error", one.status.sub_state)
        } else {
            one.status.sub_state.to_string()
        };
        let size = Path::new(&one.status.result).metadata().map(|metadata| output::bytes(metadata.len()));
        let product = match (one.status.result.as_str(), one.product_exists) {
            ("", _) => String::new(),
            (path, true) => output::safe(path),
            (path, false) => format!("{} (no longer there)", output::safe(path)),
        };
        table.row(vec![one.status.id.clone(), output::paint(&state, is_good), size.unwrap_or_default(), product]);
    }
    if !ended.is_empty() {
        output::print(&table.text())?;
    }
    for one in ended {
        for alert in &one.status.alerts {
            let is_good = alert.severity == Severity::Info;
            let severity = output::paint(&format!("{:?}", alert.severity), is_good);
            output::note(&format!("{} {severity}: {}", one.status.id, output::safe(&alert.description)));
        }
    }
    Ok(())
}

/// The bars of all DAQs.
struct Board {
    bars: MultiProgress,
    of: BTreeMap<String, ProgressBar>,
    is_plain: bool,
    told: BTreeMap<String, SubState>,
}

impl Board {
    fn new(is_quiet: bool) -> Board {
        let is_terminal = std::io::stderr().is_terminal();
        let bars = MultiProgress::new();
        if is_quiet || !is_terminal {
            bars.set_draw_target(ProgressDrawTarget::hidden());
        }
        // A log wants lines, not bars.
        Board { bars, of: BTreeMap::new(), is_plain: !is_terminal && !is_quiet, told: BTreeMap::new() }
    }

    fn show(&mut self, status: &DaqStatus) {
        let bars = &self.bars;
        let bar = self.of.entry(status.id.clone()).or_insert_with(|| bars.add(progress::bar(&status.id)));
        let step = if status.error { "error".to_owned() } else { status.sub_state.to_string() };
        bar.set_message(format!("{step:<10} {}", status.id));
        progress::set(bar, status.progress.bytes_done, status.progress.bytes_total);
        if self.is_plain && self.told.insert(status.id.clone(), status.sub_state) != Some(status.sub_state) {
            output::note(&format!("{} {}", status.id, status.sub_state));
        }
    }

    fn clear(&self) {
        // Bars have done their work; the table tells the rest.
        let _ = self.bars.clear();
    }
}
