//! A workspace taken into service: lock, database, engine. What `dpm run` and `dpm serve` share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::{CliError, Exit};
use crate::command::dispatch::Commander;
use crate::config::{self, Configuration, Overrides};
use crate::engine::handle::{self, EngineHandle};
use crate::host;
use crate::store::Store;
use crate::workspace::Workspace;
use crate::workspace::lock::{LockErrorKind, WorkspaceLock};

/// Permission bits that files of a served workspace never have: nothing for others.
const UMASK: u32 = 0o027;

/// How often the workspace is looked at: whether it still is the one that was locked.
const LOCK_INTERVAL: Duration = Duration::from_secs(1);

/// How long threads that are in the middle of something may take at the end.
const SHUT_DOWN_LIMIT: Duration = Duration::from_secs(60);

/// A workspace in service. Dropping it lets the lock go.
pub(crate) struct Session {
    pub(crate) workspace: Workspace,
    pub(crate) engine: EngineHandle,
    pub(crate) commander: Commander,
    /// Cancelled when a client sends `Exit`.
    pub(crate) exit: CancellationToken,
    engine_task: JoinHandle<()>,
    store: Store,
    lock: WorkspaceLock,
}

/// Reads the configuration: file, environment, flags.
pub(crate) fn configuration(
    file: Option<&Path>,
    workspace: Option<&PathBuf>,
    socket: Option<&PathBuf>,
) -> Result<Configuration, CliError> {
    let overrides = Overrides { workspace: workspace.cloned(), socket: socket.cloned(), ..Overrides::default() };
    Configuration::load(file, config::process_environment(), overrides)
        .map_err(|error| CliError::of(Exit::Config, &error))
}

/// A runtime for everything asynchronous.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::io("cannot start the runtime", &error))
}

/// Ends the runtime's threads, then lets the workspace go.
pub(crate) fn shut_down(
    runtime: tokio::runtime::Runtime,
    ended: Result<(Result<Exit, CliError>, WorkspaceLock), CliError>,
) -> Result<Exit, CliError> {
    runtime.shutdown_timeout(SHUT_DOWN_LIMIT);
    let (outcome, _lock) = ended?;
    outcome
}

/// Takes the workspace into service: lock first, then database, then engine.
pub(crate) async fn open(configuration: &Configuration) -> Result<Session, CliError> {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(UMASK));
    let path = std::path::absolute(&configuration.workspace.path)
        .map_err(|error| CliError::io("cannot find the workspace", &error))?;
    let workspace = Workspace::open(&path).map_err(|error| CliError::of(Exit::CannotCreate, &error))?;
    let lock = WorkspaceLock::acquire(&workspace).map_err(|error| {
        let exit = if matches!(error.kind, LockErrorKind::Held { .. }) { Exit::TryLater } else { Exit::Io };
        CliError::of(exit, &error)
    })?;
    let store = Store::open(&workspace.database_path()).await.map_err(|error| CliError::of(Exit::Io, &error))?;
    let local_hosts = host::local_names();
    // The file that runs now, even if an upgrade has replaced it meanwhile.
    let settings = configuration.engine_settings(local_hosts.clone(), PathBuf::from("/proc/self/exe"));
    let (engine, engine_task) = handle::start(settings, store.clone(), workspace.clone())
        .await
        .map_err(|error| CliError::of(Exit::Io, &error))?;
    let exit = CancellationToken::new();
    let commander = Commander::new(engine.clone(), path, local_hosts, exit.clone());
    Ok(Session { workspace, engine, commander, exit, engine_task, store, lock })
}

impl Session {
    /// Returns, with what to tell, when the workspace is no longer the one that was locked: it was removed, replaced or
    /// unmounted, and whatever is at its place now must not be written to.
    pub(crate) async fn lost(&self) -> CliError {
        let mut look = tokio::time::interval(LOCK_INTERVAL);
        loop {
            look.tick().await;
            if !self.lock.still_ours() {
                let root = self.workspace.root().display();
                let message = format!(
                    "the workspace {root} was removed, replaced or unmounted: bring it back, then start dpm again, and \
                     what was accepted goes on"
                );
                // No code after which a service is started again: it would make an empty workspace on the wrong disk.
                return CliError::new(Exit::CannotCreate, message);
            }
        }
    }

    /// Interrupts running steps and closes the database; what was accepted goes on at the next start.
    ///
    /// The lock is given back: it is held until the runtime's threads have ended ([`shut_down`]), because one of them may
    /// still be in the middle of a step that did not stop in time.
    pub(crate) async fn close(self) -> WorkspaceLock {
        self.engine.stop().await;
        if let Err(panic) = self.engine_task.await {
            tracing::error!(%panic, "the engine ended unexpectedly");
        }
        self.store.close().await;
        self.lock
    }
}
