//! Throughput of this machine: each stage of the pipeline beside what the disk itself can do.
//!
//! [`plan`], [`report`] and [`picture`] decide, sum up and draw, and are pure; [`scratch`] owns every file that is made,
//! [`floor`] measures the machine, [`pipeline`] the engine. No other file is written, and nothing here knows a terminal.

pub mod floor;
pub mod picture;
pub mod pipeline;
pub mod plan;
pub mod report;
pub mod scratch;

use std::io;
use std::path::PathBuf;

use crate::client::ClientError;
use crate::command::error::CommandError;
use crate::durable::DurableError;
use crate::server::unix::SocketError;

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// The folder to work in holds something.
    #[error("{} is not empty: name a folder that does not exist or is empty, so that no file of yours is touched", path.display())]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The disk has not enough room.
    #[error(
        "{} has {available} bytes free and the bench needs {needed}, a reserve included: name smaller --sizes or \
         another --workspace", path.display()
    )]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are there.
        available: u64,
    },
    /// The samples hold no file to merge.
    #[error("{} holds no .fits file: name the folder of your sample files", path.display())]
    NoSamples {
        /// The folder.
        path: PathBuf,
    },
    /// A file cannot be made or read.
    #[error("cannot {what} {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// What was made cannot be removed.
    #[error("cannot remove what the bench made")]
    Remove(#[source] DurableError),
    /// The engine refused a DAQ.
    #[error("the bench's own specification is refused: {}", .0.message)]
    Refused(CommandError),
    /// A DAQ did not complete.
    #[error("the DAQ {id} did not complete: {message}")]
    NotCompleted {
        /// Its id.
        id: String,
        /// What its status says.
        message: String,
    },
    /// The engine ended.
    #[error("the engine ended while it was measured")]
    EngineEnded,
    /// The command socket cannot be made.
    #[error(transparent)]
    Socket(SocketError),
    /// The command socket does not answer.
    #[error(transparent)]
    Client(ClientError),
    /// A product that was just merged is bad.
    #[error("the product {} is bad: {message}", path.display())]
    BadProduct {
        /// The product.
        path: PathBuf,
        /// The first fault.
        message: String,
    },
    /// The bench was asked to end.
    #[error("interrupted; what the bench made is removed")]
    Interrupted,
}

/// Names what failed on which file.
pub(in crate::bench) fn io_error(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> BenchError {
    let path = path.to_owned();
    move |source| BenchError::Io { what, path, source }
}
