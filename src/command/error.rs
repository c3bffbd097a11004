//! Why a command was refused, in words that programs and people understand.

use serde::{Deserialize, Serialize};

use crate::engine::action::EngineError;
use crate::specification::fault::{Fault, SpecificationError};
use crate::store::{StoreError, StoreErrorKind};

/// The kinds of refusal; part of the wire contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorKind {
    /// The specification has faults.
    InvalidSpecification,
    /// No unfinished DAQ has the id.
    UnknownDaq,
    /// The id exists with another specification.
    DuplicateDaq,
    /// The DAQ is in a sub-state in which this cannot be done.
    WrongState,
    /// A limit is reached; try again later.
    Busy,
    /// Somebody holds the lock.
    Locked,
    /// The caller may not do this.
    NotPermitted,
    /// The disk is full.
    NoStorage,
    /// The disk refuses.
    Io,
    /// A fault of dpm itself.
    Internal,
    /// The bytes are no JSON (JSON-RPC -32700).
    ParseError,
    /// The JSON is no request (JSON-RPC -32600).
    InvalidRequest,
    /// The method does not exist (JSON-RPC -32601).
    UnknownMethod,
    /// The parameters are not the method's (JSON-RPC -32602).
    InvalidParameters,
}

impl ErrorKind {
    /// JSON-RPC error code: the standard's own where it has one, else one of the range for servers.
    pub fn code(self) -> i64 {
        match self {
            ErrorKind::ParseError => -32700,
            ErrorKind::InvalidRequest => -32600,
            ErrorKind::UnknownMethod => -32601,
            ErrorKind::InvalidParameters => -32602,
            ErrorKind::Internal => -32603,
            ErrorKind::InvalidSpecification => -32001,
            ErrorKind::UnknownDaq => -32002,
            ErrorKind::DuplicateDaq => -32003,
            ErrorKind::WrongState => -32004,
            ErrorKind::Busy => -32005,
            ErrorKind::Locked => -32006,
            ErrorKind::NotPermitted => -32007,
            ErrorKind::NoStorage => -32008,
            ErrorKind::Io => -32009,
        }
    }

    /// What the caller can do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            ErrorKind::ParseError | ErrorKind::InvalidRequest => {
                "send one JSON-RPC 2.0 request object a line, such as {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"GetActiveDaqs\"}"
            }
            ErrorKind::InvalidSpecification => "mend the faults and queue it again",
            ErrorKind::UnknownDaq => "list the active DAQs, or look into the history",
            ErrorKind::DuplicateDaq => "give a new acquisition a new id",
            ErrorKind::WrongState => "look at the status first",
            ErrorKind::Busy => "try again later",
            ErrorKind::Locked => "give the lock key, or wait until it is unlocked",
            ErrorKind::NotPermitted => "ask the operator for the right",
            ErrorKind::NoStorage => "free space in the workspace, then try again",
            ErrorKind::Io => "look into the daemon's log and at its disk",
            ErrorKind::Internal => "report this with the daemon's log",
            ErrorKind::UnknownMethod => "see GetServerStatus for the methods that are served",
            ErrorKind::InvalidParameters => "correct the parameters",
        }
    }
}

/// A refused command; the `data` member of a JSON-RPC error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct CommandError {
    /// What kind of refusal.
    pub kind: ErrorKind,
    /// What is wrong and where.
    pub message: String,
    /// What to do.
    pub remedy: String,
    /// Each fault of a specification.
    pub faults: Vec<Fault>,
}

impl CommandError {
    /// A refusal with the usual remedy of its kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> CommandError {
        CommandError { kind, message: message.into(), remedy: kind.remedy().to_owned(), faults: Vec::new() }
    }
}

impl From<SpecificationError> for CommandError {
    fn from(error: SpecificationError) -> CommandError {
        let count = error.faults.len();
        let message = match error.faults.first() {
            Some(first) if count == 1 => format!("the specification has a fault: {first}"),
            Some(first) => format!("the specification has {count} faults, the first: {first}"),
            None => "the specification is not valid".to_owned(),
        };
        CommandError { faults: error.faults, ..CommandError::new(ErrorKind::InvalidSpecification, message) }
    }
}

impl From<EngineError> for CommandError {
    fn from(error: EngineError) -> CommandError {
        let kind = match &error {
            EngineError::UnknownDaq { .. } => ErrorKind::UnknownDaq,
            EngineError::DuplicateDaq { .. } => ErrorKind::DuplicateDaq,
            EngineError::WrongState { .. } => ErrorKind::WrongState,
            EngineError::Busy { .. } | EngineError::Stopping => ErrorKind::Busy,
            EngineError::Store(source) => store_kind(source),
            EngineError::AbortFailed { .. } => ErrorKind::Io,
        };
        CommandError::new(kind, crate::status::with_causes(&error))
    }
}

fn store_kind(error: &StoreError) -> ErrorKind {
    match &error.kind {
        StoreErrorKind::NoSpace { .. } => ErrorKind::NoStorage,
        StoreErrorKind::Overloaded => ErrorKind::Busy,
        StoreErrorKind::DuplicateDaq { .. } => ErrorKind::DuplicateDaq,
        _ => ErrorKind::Io,
    }
}
