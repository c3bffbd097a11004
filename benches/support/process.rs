//! Runs a process to its end: wall time and peak memory.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

use crate::support::Outcome;

/// What one process took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    /// From before it was started until it was waited for.
    pub(crate) time: Duration,
    /// Peak resident memory (`ru_maxrss`) in bytes. Counts the starter's memory where that is more: keep it small.
    pub(crate) peak_bytes: u64,
}

/// Runs `command` without input and output.
///
/// # Errors
///
/// It cannot be started, or ends in another way than with 0.
pub(crate) fn run(command: &mut Command) -> Outcome<Taken> {
    let began = Instant::now();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(|error| name(command, &error))?;
    let ended = child.wait4()?;
    let time = began.elapsed();
    if !ended.status.success() {
        return Err(name(command, &ended.status));
    }
    Ok(Taken { time, peak_bytes: ended.rusage.maxrss })
}

fn name(command: &Command, what: &dyn std::fmt::Display) -> Box<dyn std::error::Error> {
    let program = command.get_program().display();
    let arguments: Vec<String> = command.get_args().take(4).map(|one| one.display().to_string()).collect();
    format!("{program} {} ...: {what}", arguments.join(" ")).into()
}
