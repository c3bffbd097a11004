//! What CFITSIO says of a file, asked in a process of its own: it is C and reads hostile bytes, so it may die or hang.
//!
//! The library is there with the cargo feature `cfitsio` only. All `unsafe` code of the crate is in `cfitsio/library.rs`.

// Reading order: each file uses only those above it.
#[cfg(feature = "cfitsio")]
mod library;

use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::merge::confine;

/// Name of the hidden subcommand that runs [`examine_confined`].
pub const WORKER_COMMAND: &str = "cfitsio-worker";
/// A worker that takes longer is ended.
const TIME_LIMIT: Duration = Duration::from_secs(300);
/// Longest report of a worker in bytes.
const REPORT_BYTES_MAX: u64 = 1024 * 1024;
/// Between two looks at a worker that runs.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// What the library found in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// HDUs that it opened.
    pub hdus: u64,
    /// What it complains of, in order, at most [`MOST_FAULTS`].
    pub faults: Vec<String>,
}

/// Most complaints of a [`Report`].
pub const MOST_FAULTS: usize = 100;

/// CFITSIO's verdict on a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CfitsioVerdict {
    /// Version of the library, such as `4.06`.
    pub version: String,
    /// True if it read all HDUs without complaint.
    pub good: bool,
    /// HDUs that it opened.
    pub hdus: u64,
    /// What it complains of, or how it died.
    pub faults: Vec<String>,
}

/// Why CFITSIO could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum CfitsioError {
    /// The library is not built in.
    #[error(
        "this dpm is built without CFITSIO: install make and build it with 'cargo install --path . --locked --features cfitsio'"
    )]
    NotBuilt,
    /// The worker cannot be started or heard.
    #[error("cannot run the worker for CFITSIO")]
    Worker(#[source] io::Error),
}

/// The version of the library; none where it is not built in.
pub fn version() -> Option<String> {
    #[cfg(feature = "cfitsio")]
    let version = Some(library::version());
    #[cfg(not(feature = "cfitsio"))]
    let version = None;
    version
}

/// Asks CFITSIO about `file` in a confined worker; `program` is this program. Blocks until it has ended.
///
/// # Errors
///
/// [`CfitsioError`]; a worker that dies or hangs is a verdict.
pub fn judge(program: &Path, file: &Path) -> Result<CfitsioVerdict, CfitsioError> {
    let version = version().ok_or(CfitsioError::NotBuilt)?;
    let mut command = Command::new(program);
    command.arg(WORKER_COMMAND).arg("--parent").arg(std::process::id().to_string()).arg(file);
    attend(command, TIME_LIMIT, version).map_err(CfitsioError::Worker)
}

/// Runs a worker to its end, or for `limit`, and makes a verdict of what became of it.
fn attend(mut command: Command, limit: Duration, version: String) -> io::Result<CfitsioVerdict> {
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let heard = child.stdout.take().map(|stdout| {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            // What was heard before an error is looked at: it is no report then.
            let _ = stdout.take(REPORT_BYTES_MAX).read_to_end(&mut text);
            text
        })
    });
    let status = wait(&mut child, limit)?;
    let text = heard.and_then(|thread| thread.join().ok()).unwrap_or_default();
    let died = |how: String| CfitsioVerdict { version: version.clone(), good: false, hdus: 0, faults: vec![how] };
    let Some(status) = status else {
        return Ok(died(format!("CFITSIO did not end within {} s", limit.as_secs())));
    };
    if !status.success() {
        return Ok(died(death(status)));
    }
    Ok(match serde_json::from_slice::<Report>(&text) {
        Ok(Report { hdus, faults }) => CfitsioVerdict { version, good: faults.is_empty(), hdus, faults },
        Err(_) => died("the worker for CFITSIO ended without a report".to_owned()),
    })
}

fn death(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("CFITSIO died of signal {signal}"),
        (None, code) => format!("the worker for CFITSIO ended with code {}", code.unwrap_or(-1)),
    }
}

/// Waits for a child; none where it had to be ended.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// The worker's side: gives up all that it does not need, then reads `file` through CFITSIO.
///
/// # Errors
///
/// Why this process cannot be confined, or that the library is not built in, as text.
pub fn examine_confined(file: &Path, parent: Option<u32>) -> Result<Report, String> {
    confine::tie_to_parent(parent, 0)?;
    confine::forbid_writing(TIME_LIMIT)?;
    confine::restrict(&confine::Confinement { readable: vec![file.to_owned()], writable: None })?;
    #[cfg(feature = "cfitsio")]
    let report = library::examine(file);
    #[cfg(not(feature = "cfitsio"))]
    let report = Err(CfitsioError::NotBuilt.to_string());
    report
}

#[cfg(test)]
mod tests;
