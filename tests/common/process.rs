//! Processes: bounded waiting, children, signals to those that a test started.

use std::io::Read;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Waits for `child` and gives exit code, standard output and standard error; ends it and fails after `limit`.
#[track_caller]
pub(crate) fn wait_bounded(mut child: Child, limit: Duration) -> (Option<i32>, String, String) {
    let out = child.stdout.take().map(read_all);
    let err = child.stderr.take().map(read_all);
    let text = |thread: Option<std::thread::JoinHandle<Vec<u8>>>| {
        let bytes = thread.map(|thread| thread.join().unwrap()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), text(out), text(err));
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it did not end within {limit:?}: {} {}", text(out), text(err));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn read_all(mut stream: impl Read + Send + 'static) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Ids of the worker processes that `parent` has now.
pub(crate) fn workers_of(parent: u32) -> Vec<Pid> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // A process may end while it is looked at.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let behind_name = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
        if behind_name.split_ascii_whitespace().nth(1).and_then(|field| field.parse().ok()) != Some(parent) {
            continue;
        }
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.split(|byte| *byte == 0).any(|argument| argument == b"--worker") {
            found.extend(Pid::from_raw(id));
        }
    }
    found
}

/// True if the process is stopped by a signal.
pub(crate) fn is_stopped(process: Pid) -> bool {
    let path = format!("/proc/{}/stat", process.as_raw_nonzero());
    let stat = std::fs::read_to_string(path).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

/// Sends a signal to a process that a test started; false if it has gone.
pub(crate) fn signal(process: Pid, signal: Signal) -> bool {
    kill_process(process, signal).is_ok()
}
