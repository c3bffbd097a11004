//! What the client subcommands share: finding the daemon and asking it.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::cli::exit::CliError;
use crate::cli::{SocketArguments, output, session};
use crate::client::Client;

/// How long the daemon may take for an ordinary answer.
pub(crate) const ANSWER_LIMIT: Duration = Duration::from_secs(30);

impl SocketArguments {
    /// Where the daemon's socket is.
    pub(crate) fn path(&self) -> Result<PathBuf, CliError> {
        match &self.socket {
            Some(path) => Ok(path.clone()),
            None => {
                let configuration = session::configuration(self.config.as_deref(), self.workspace.as_ref(), None)?;
                Ok(configuration.socket_path())
            }
        }
    }

    /// True if a program reads the output.
    pub(crate) fn wants_json(&self) -> bool {
        self.json
    }

    /// Connects to the daemon.
    pub(crate) async fn connect(&self) -> Result<Client, CliError> {
        Ok(Client::connect(&self.path()?).await?)
    }

    /// Asks one thing.
    pub(crate) async fn ask(&self, method: &str, parameters: Value) -> Result<Value, CliError> {
        Ok(self.connect().await?.request(method, parameters, ANSWER_LIMIT).await?)
    }
}

/// Runs a client's work to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::io("cannot start the runtime", &error))?;
    runtime.block_on(work)
}

/// Reads an answer of the daemon as `T`.
pub(crate) fn read<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, CliError> {
    serde_json::from_value(value).map_err(|error| {
        let message = format!("the daemon's answer is not understood ({error}): are client and daemon of one version?");
        CliError::new(crate::cli::exit::Exit::Unavailable, message)
    })
}

/// Prints `value` for a program, or `text` for a person.
pub(crate) fn show(arguments: &SocketArguments, value: &Value, text: &str) -> Result<(), CliError> {
    if arguments.wants_json() { output::print_json(value) } else { output::print(text) }
}
