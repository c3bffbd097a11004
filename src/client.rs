//! A client of the command socket: what `dpm status` and its kin use.
//!
//! Keeps three kinds of failure apart: no daemon, no answer in time, and a refusal.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::command::error::ErrorKind;
use crate::specification::fault::Fault;

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    next_id: u64,
}

/// Why a request brought no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody serves the socket.
    #[error("no dpm answers at {}: start one with `dpm serve`, or name its socket with --socket", path.display())]
    NoDaemon {
        /// The socket.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The socket may not be used by this user.
    #[error("not permitted to talk to dpm at {}: ask for membership in the socket's group", path.display())]
    NotPermitted {
        /// The socket.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("dpm at {} went away in the middle", path.display())]
    Lost {
        /// The socket.
        path: PathBuf,
    },
    /// No answer in time.
    #[error("dpm did not answer {method} within {} s", limit.as_secs_f64())]
    Timeout {
        /// The method.
        method: String,
        /// The time that was given.
        limit: Duration,
    },
    /// The daemon refused.
    #[error("{message}")]
    Refused {
        /// What kind of refusal; `None` for one that this client does not know.
        kind: Option<ErrorKind>,
        /// What is wrong.
        message: String,
        /// What to do.
        remedy: String,
        /// Each fault of a specification.
        faults: Vec<Fault>,
    },
    /// The answer is no JSON-RPC.
    #[error("dpm at {} speaks another language: {message}", path.display())]
    Garbled {
        /// The socket.
        path: PathBuf,
        /// What was wrong.
        message: String,
    },
}

#[derive(Debug, Deserialize)]
struct Incoming {
    id: Option<Value>,
    method: Option<String>,
    params: Option<Value>,
    result: Option<Value>,
    error: Option<WireError>,
}

#[derive(Debug, Deserialize)]
struct WireError {
    message: String,
    data: Option<WireData>,
}

#[derive(Debug, Deserialize)]
struct WireData {
    kind: Option<Value>,
    #[serde(default)]
    remedy: String,
    #[serde(default)]
    faults: Vec<Fault>,
}

impl Client {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    ///
    /// [`ClientError::NoDaemon`] or [`ClientError::NotPermitted`].
    pub async fn connect(path: &Path) -> Result<Client, ClientError> {
        let stream = UnixStream::connect(path).await.map_err(|source| match source.kind() {
            io::ErrorKind::PermissionDenied => ClientError::NotPermitted { path: path.to_owned(), source },
            _ => ClientError::NoDaemon { path: path.to_owned(), source },
        })?;
        let (reading, writer) = stream.into_split();
        Ok(Client { path: path.to_owned(), reader: BufReader::new(reading), writer, next_id: 0 })
    }

    /// Sends one request and waits at most `limit` for its result. Notifications that come before it are dropped.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; after a time-out the connection must not be used again.
    pub async fn request(&mut self, method: &str, parameters: Value, limit: Duration) -> Result<Value, ClientError> {
        let exchange = self.exchange(method, parameters);
        match tokio::time::timeout(limit, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(ClientError::Timeout { method: method.to_owned(), limit }),
        }
    }

    async fn exchange(&mut self, method: &str, parameters: Value) -> Result<Value, ClientError> {
        self.next_id += 1;
        let id = json!(self.next_id);
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": parameters});
        let line = format!("{message}\n");
        // A daemon that refuses the connection closes it; its reason can still be read.
        let _ = self.writer.write_all(line.as_bytes()).await;
        loop {
            let incoming = self.read().await?;
            if let Some(error) = incoming.error {
                return Err(refusal(error));
            }
            if incoming.id.as_ref() == Some(&id) {
                return Ok(incoming.result.unwrap_or(Value::Null));
            }
        }
    }

    /// Waits for the next notification after `Subscribe`: its method and parameters.
    ///
    /// # Errors
    ///
    /// [`ClientError::Lost`] when the daemon has ended.
    pub async fn notification(&mut self) -> Result<(String, Value), ClientError> {
        loop {
            let incoming = self.read().await?;
            if let Some(method) = incoming.method {
                return Ok((method, incoming.params.unwrap_or(Value::Null)));
            }
        }
    }

    async fn read(&mut self) -> Result<Incoming, ClientError> {
        let mut line = String::new();
        match self.reader.read_line(&mut line).await {
            Ok(0) | Err(_) => Err(ClientError::Lost { path: self.path.clone() }),
            Ok(_) => serde_json::from_str(&line)
                .map_err(|error| ClientError::Garbled { path: self.path.clone(), message: error.to_string() }),
        }
    }
}

fn refusal(error: WireError) -> ClientError {
    let data = error.data.unwrap_or(WireData { kind: None, remedy: String::new(), faults: Vec::new() });
    let kind = data.kind.and_then(|kind| serde_json::from_value(kind).ok());
    ClientError::Refused { kind, message: error.message, remedy: data.remedy, faults: data.faults }
}

#[cfg(test)]
mod tests;
