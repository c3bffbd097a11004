//! `dpm serve`: the daemon.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::{CliError, Exit};
use crate::cli::output;
use crate::cli::session::{self, Session};
use crate::command::dispatch::Commander;
use crate::command::error::{CommandError, ErrorKind};
use crate::config::Configuration;
use crate::engine::handle::EngineHandle;
use crate::server::unix::{self, UnixOptions};
use crate::status::with_causes;
use crate::telemetry::{self, LogHandle, LogOptions};
use crate::workspace::inbox::Inbox;
use crate::workspace::lock::WorkspaceLock;

/// Files of the inbox that wait for the engine.
const INBOX_WAITING_MAX: usize = 256;
/// Who queues what was dropped into the inbox.
const INBOX_USER: &str = "inbox";

/// Arguments of `dpm serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Folder for state and products [default: dpm-workspace]
    #[arg(long, value_name = "DIR", env = "DPM_WORKSPACE")]
    workspace: Option<PathBuf>,
    /// Command socket [default: dpm.sock in the workspace]
    #[arg(long, value_name = "PATH", env = "DPM_SOCKET")]
    socket: Option<PathBuf>,
    /// Configuration file [default: /etc/dpm/dpm.toml if it exists]
    #[arg(long, value_name = "FILE", env = "DPM_CONFIG")]
    config: Option<PathBuf>,
    /// Print the effective settings and end
    #[arg(long)]
    check_config: bool,
}

impl ServeArguments {
    fn configuration(&self) -> Result<Configuration, CliError> {
        session::configuration(self.config.as_deref(), self.workspace.as_ref(), self.socket.as_ref())
    }
}

pub(crate) fn run(arguments: &ServeArguments) -> Result<Exit, CliError> {
    let configuration = arguments.configuration()?;
    if arguments.check_config {
        output::print(&configuration.to_toml())?;
        return Ok(Exit::Done);
    }
    let log = telemetry::start(&log_options(&configuration)).map_err(|error| CliError::of(Exit::Config, &error))?;
    let runtime = session::runtime()?;
    let ended = runtime.block_on(serve(arguments, configuration, log));
    session::shut_down(runtime, ended)
}

/// How to log, by where standard error leads.
fn log_options(configuration: &Configuration) -> LogOptions {
    let is_terminal = std::io::stderr().is_terminal();
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    // systemd says so where it reads standard error (systemd.exec(5)).
    let journald = std::env::var_os("JOURNAL_STREAM").is_some() && !is_terminal;
    LogOptions::of(&configuration.log, is_terminal && !no_color, journald)
}

async fn serve(
    arguments: &ServeArguments,
    configuration: Configuration,
    log: LogHandle,
) -> Result<(Result<Exit, CliError>, WorkspaceLock), CliError> {
    let signals = Signals::new().map_err(|error| CliError::io("cannot listen for signals", &error))?;
    let session = session::open(&configuration).await?;
    let socket = configuration.socket_path();
    let (listener, bound) = unix::bind(&socket).map_err(|error| {
        let exit = if error.is_served() { Exit::TryLater } else { Exit::CannotCreate };
        CliError::of(exit, &error)
    })?;
    let stop = CancellationToken::new();
    let options = UnixOptions {
        path: socket.clone(),
        request_bytes_max: configuration.server.max_request_bytes,
        connections_max: configuration.server.max_connections,
        idle_limit: Duration::from_secs(configuration.server.idle_seconds),
        storage_interval: Duration::from_secs(configuration.server.storage_interval_seconds),
    };
    let server = tokio::spawn(unix::serve(listener, session.commander.clone(), options, stop.clone()));
    let inbox = start_inbox(&session, &configuration)?;
    tracing::info!(workspace = %session.workspace.root().display(), socket = %socket.display(), "dpm serves");
    notify(&[NotifyState::Ready]);
    let outcome = tokio::select! {
        () = signals.wait(&session.exit, || reload(arguments, &log, &session.engine)) => Ok(Exit::Done),
        lost = session.lost() => Err(lost),
    };
    notify(&[NotifyState::Stopping]);
    match &outcome {
        Ok(_) => tracing::info!("dpm ends; what it accepted goes on at its next start"),
        Err(error) => tracing::error!("dpm ends: {}", error.message),
    }
    drop(inbox);
    let lock = session.close().await;
    // Replies that were on their way are written before the sockets close.
    stop.cancel();
    if let Err(panic) = server.await {
        tracing::error!(%panic, "the server ended unexpectedly");
    }
    // While the lock is held: a successor binds its own socket only after that.
    bound.remove();
    Ok((outcome, lock))
}

fn notify(states: &[NotifyState<'_>]) {
    // Only systemd listens.
    let _ = sd_notify::notify(states);
}

/// Reads the configuration again; what can change while running does.
async fn reload(arguments: &ServeArguments, log: &LogHandle, engine: &EngineHandle) {
    match arguments.configuration() {
        Ok(configuration) => {
            if let Err(error) = log.set_level(&configuration.log.level) {
                tracing::error!(error = with_causes(&error), "the log level stays as it was");
            }
            engine.set_limits(configuration.scheduler_limits()).await;
            tracing::info!("limits and log level were read again");
        }
        Err(error) => tracing::error!(error = error.message, "the configuration is not valid; it stays as it was"),
    }
}

/// The signals that a daemon hears.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the end; calls `reload` on each SIGHUP.
    async fn wait<F: Future<Output = ()>>(mut self, exit: &CancellationToken, reload: impl Fn() -> F) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                () = exit.cancelled() => return,
                _ = self.hangup.recv() => reload().await,
            }
        }
    }
}

fn start_inbox(session: &Session, configuration: &Configuration) -> Result<Option<Inbox>, CliError> {
    if !configuration.inbox.enabled {
        return Ok(None);
    }
    let folder = session.workspace.inbox();
    let (found, files) = mpsc::channel(INBOX_WAITING_MAX);
    let inbox = Inbox::watch(&folder, found).map_err(|error| CliError::of(Exit::Io, &error))?;
    let actions = Inbox::open(&folder).map_err(|error| CliError::of(Exit::Io, &error))?;
    let limit = configuration.server.max_request_bytes;
    tokio::spawn(take_files(files, actions, session.commander.clone(), session.engine.clone(), limit));
    Ok(Some(inbox))
}

/// Queues each file of the inbox and moves it away.
async fn take_files(
    mut files: mpsc::Receiver<PathBuf>,
    inbox: Inbox,
    commander: Commander,
    engine: EngineHandle,
    limit: usize,
) {
    while let Some(path) = files.recv().await {
        let moved = match queue_file(&path, &inbox, &commander, &engine, limit).await {
            Ok(()) => inbox.accept(&path),
            // It may be accepted later: it stays where it is and comes again.
            Err(error) if matches!(error.kind, ErrorKind::Busy | ErrorKind::NoStorage | ErrorKind::Io) => {
                tracing::warn!(file = %path.display(), error = error.message, "the inbox waits");
                continue;
            }
            Err(error) => inbox.reject(&path, &reason(&error)),
        };
        match moved {
            Ok(to) => tracing::info!(file = %path.display(), to = %to.display(), "taken from the inbox"),
            Err(error) => tracing::error!(error = with_causes(&error), "a file stays in the inbox"),
        }
    }
}

async fn queue_file(
    path: &Path,
    inbox: &Inbox,
    commander: &Commander,
    engine: &EngineHandle,
    limit: usize,
) -> Result<(), CommandError> {
    let text = inbox.read(path, limit as u64).map_err(|error| {
        let kind = if error.kind.is_of_file() { ErrorKind::InvalidSpecification } else { ErrorKind::Io };
        CommandError::new(kind, with_causes(&error))
    })?;
    let request = commander.queue_request(text, None, Some(INBOX_USER.to_owned()))?;
    Ok(engine.queue(request).await?)
}

/// What stands in `NAME.reason`.
fn reason(error: &CommandError) -> String {
    let mut text = format!("{:?}: {}\n", error.kind, error.message);
    for fault in &error.faults {
        text.push_str(&format!("{fault}\n"));
    }
    text.push_str(&format!("what to do: {}\n", error.remedy));
    text
}
