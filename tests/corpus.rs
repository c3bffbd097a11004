//! Replays the corpora of `fuzz/`: whatever was found interesting or once broke a promise, in bounded time and memory.
//!
//! The bounds find what hangs or grows, they measure nothing. Each target tells on standard error how many inputs it ran.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a broken promise of a target is a panic, and a test ends where something unexpected happens"
)]

#[path = "../fuzz/targets.rs"]
mod targets;

use std::collections::BTreeSet;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use crate::targets::TARGETS;

/// No input takes a thousandth of it.
const LIMIT: Duration = Duration::from_secs(30);
/// What this process may take at its peak, all targets together: inputs are small, and the largest content of one is 4 MiB.
const MEMORY_BYTES_MAX: u64 = 512 * 1024 * 1024;

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus")
}

/// The files of a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Peak memory of this process in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells the peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// Runs one target over its corpus, in a thread that is watched.
fn replay(name: &'static str) {
    let (_, run) = TARGETS.into_iter().find(|(target, _)| *target == name).expect("the target is in the table");
    let inputs = files(&corpora().join(name));
    assert!(!inputs.is_empty(), "{name} has a corpus");
    let bytes: Vec<Vec<u8>> = inputs.iter().map(|path| std::fs::read(path).unwrap()).collect();
    let total: usize = bytes.iter().map(Vec::len).sum();
    let (done, outcomes) = mpsc::channel();
    let runner = std::thread::spawn(move || {
        for bytes in &bytes {
            let is_good = catch_unwind(AssertUnwindSafe(|| run(bytes))).is_ok();
            if done.send(is_good).is_err() {
                return;
            }
        }
    });
    for path in &inputs {
        match outcomes.recv_timeout(LIMIT) {
            Ok(is_good) => assert!(is_good, "{name} breaks a promise on {}", path.display()),
            Err(_) => panic!("{name} hangs on {}", path.display()),
        }
    }
    runner.join().unwrap();
    let peak = peak_memory();
    assert!(peak < MEMORY_BYTES_MAX, "{peak} bytes of memory after {name}");
    // Not by a macro: what a test prints is only shown where it fails.
    let count = inputs.len();
    let line = format!("corpus {name}: {count} inputs, {total} bytes, all good\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

macro_rules! replays {
    ($($name:ident)*) => {
        $( #[test] fn $name() { replay(stringify!($name)); } )*

        const REPLAYED: &[&str] = &[$( stringify!($name) ),*];
    };
}

replays! { card header scan judge specification keyword_rules location gzip jsonrpc }

#[test]
fn every_target_is_replayed_and_every_corpus_has_a_target() {
    let replayed: BTreeSet<String> = REPLAYED.iter().map(|name| (*name).to_owned()).collect();
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let name_of = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    let corpora: BTreeSet<String> = files(&corpora()).iter().map(name_of).collect();
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let programs: BTreeSet<String> = files(&programs).iter().map(name_of).collect();
    assert_eq!((&replayed, &corpora, &programs), (&targets, &targets, &targets));
}
