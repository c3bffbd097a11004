//! Exit codes (sysexits.h) and the errors that carry them.

use std::io;

use crate::client::ClientError;
use crate::command::error::{CommandError, ErrorKind};
use crate::durable::DurableError;
use crate::merge::execute::ExecuteError;
use crate::merge::grow::GrowError;
use crate::merge::job::JobError;
use crate::specification::fault::Fault;
use crate::status::with_causes;

/// How `dpm` ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// A DAQ ended in error, or a verification failed.
    Failed = 1,
    /// Wrong usage.
    Usage = 64,
    /// The specification or a FITS input is invalid.
    Data = 65,
    /// A source is missing.
    NoInput = 66,
    /// No daemon answers.
    Unavailable = 69,
    /// The output cannot be created, or exists.
    CannotCreate = 73,
    /// An I/O error.
    Io = 74,
    /// Try again later: no space, locked.
    TryLater = 75,
    /// Not permitted.
    NotPermitted = 77,
    /// The configuration is invalid.
    Config = 78,
}

/// A command that failed.
#[derive(Debug)]
pub struct CliError {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong, with its causes.
    pub message: String,
    /// What to do, where the message does not say it.
    pub remedy: Option<String>,
    /// Faults of a specification, one a line.
    pub faults: Vec<Fault>,
}

impl CliError {
    /// An error that says everything itself.
    pub fn new(exit: Exit, message: impl Into<String>) -> CliError {
        CliError { exit, message: message.into(), remedy: None, faults: Vec::new() }
    }

    /// An error with its causes.
    pub fn of(exit: Exit, error: &dyn std::error::Error) -> CliError {
        CliError::new(exit, with_causes(error))
    }

    /// An I/O error on `what`.
    pub fn io(what: &str, error: &io::Error) -> CliError {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => Exit::NoInput,
            io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Exit::TryLater,
            _ => Exit::Io,
        };
        CliError::new(exit, format!("{what}: {error}"))
    }
}

impl From<JobError> for CliError {
    fn from(error: JobError) -> CliError {
        CliError::of(job_exit(&error), &error)
    }
}

fn job_exit(error: &JobError) -> Exit {
    match error {
        JobError::Open { source, .. } if source.kind() == io::ErrorKind::NotFound => Exit::NoInput,
        JobError::Open { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Exit::NotPermitted,
        JobError::Elsewhere { .. } => Exit::NoInput,
        JobError::NotRegular { .. }
        | JobError::DigestDiffers { .. }
        | JobError::Scan { .. }
        | JobError::Compressed { .. }
        | JobError::Plan(_)
        | JobError::KeywordNotInDictionary { .. }
        | JobError::ChecksumMismatch { .. } => Exit::Data,
        JobError::Dictionary(_) => Exit::NoInput,
        JobError::OutputExists { .. } | JobError::Create { .. } => Exit::CannotCreate,
        JobError::Publish { source, .. } => durable_exit(source),
        JobError::NoSpace { .. } | JobError::WrongInputs { .. } | JobError::ChangedSinceCollected { .. } => {
            Exit::TryLater
        }
        JobError::Execute(ExecuteError::SourceChanged { .. } | ExecuteError::Cancelled) => Exit::TryLater,
        JobError::Pending { .. } | JobError::Grow(GrowError::Busy { .. }) => Exit::TryLater,
        JobError::Open { .. } | JobError::Grow(_) | JobError::Execute(_) | JobError::Verify(_) => Exit::Io,
    }
}

fn durable_exit(error: &DurableError) -> Exit {
    if error.is_no_space() { Exit::TryLater } else { Exit::CannotCreate }
}

impl From<CommandError> for CliError {
    fn from(error: CommandError) -> CliError {
        let CommandError { kind, message, remedy, faults } = error;
        refused(refusal_exit(kind), message, remedy, faults)
    }
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> CliError {
        match error {
            ClientError::Refused { kind, message, remedy, faults } => {
                let exit = kind.map_or(Exit::Failed, refusal_exit);
                refused(exit, message, remedy, faults)
            }
            ClientError::NotPermitted { .. } => CliError::of(Exit::NotPermitted, &error),
            ClientError::Timeout { .. } => CliError::of(Exit::TryLater, &error),
            _ => CliError::of(Exit::Unavailable, &error),
        }
    }
}

/// A refusal; what stands in the lines below it is not said twice.
fn refused(exit: Exit, message: String, remedy: String, faults: Vec<Fault>) -> CliError {
    let message = match faults.len() {
        0 => message,
        1 => "the specification has a fault".to_owned(),
        count => format!("the specification has {count} faults"),
    };
    let is_said = remedy.is_empty() || message.contains(&remedy);
    CliError { exit, remedy: Some(remedy).filter(|_| !is_said), message, faults }
}

fn refusal_exit(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::InvalidSpecification | ErrorKind::DuplicateDaq => Exit::Data,
        ErrorKind::UnknownDaq | ErrorKind::WrongState | ErrorKind::Internal => Exit::Failed,
        ErrorKind::Busy | ErrorKind::Locked | ErrorKind::NoStorage => Exit::TryLater,
        ErrorKind::NotPermitted => Exit::NotPermitted,
        ErrorKind::Io => Exit::Io,
        ErrorKind::ParseError | ErrorKind::InvalidRequest | ErrorKind::UnknownMethod | ErrorKind::InvalidParameters => {
            Exit::Usage
        }
    }
}
