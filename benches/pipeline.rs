//! The promise of the pipeline: many small DAQs cost little more than their syncs.
//!
//! Runs DAQs of three files of 300 KB each through `dpm run`, two merges at a time, and beside it a bare loop of the
//! same syncs in the same pattern of files (ARCHITECTURE, "Durability"): each product written and synced, renamed, its
//! folder synced, and three pages appended to one log, each synced; by two threads.
//!
//! `cargo bench --bench pipeline [-- --quick | --daqs N]`; works in `DPM_BENCH_DIR`, else in the target folder.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its result")]

mod support;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::sample::{self, Sample};
use crate::support::verdict::{Bar, tell};
use crate::support::{Outcome, process, space};

const SOURCES: usize = 3;
const SOURCE_BYTES: u64 = 300 * 1024;
/// Merges at a time, and threads of the floor.
const AT_ONCE: usize = 2;
const PAGE_BYTES: usize = 4096;
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let named =
        arguments.iter().position(|argument| argument == "--daqs").and_then(|at| arguments.get(at + 1)?.parse().ok());
    match run(named.unwrap_or(if quick { 20 } else { 1000 })) {
        Ok(true) => ExitCode::SUCCESS,
        // At so small a scale nothing is promised.
        Ok(false) if quick => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("pipeline: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(daqs: usize) -> Outcome<bool> {
    let sample = Sample::image(SOURCE_BYTES);
    space::check(&space::folder(), 3 * (daqs * SOURCES) as u64 * sample.bytes())?;
    let folder = tempfile::Builder::new().prefix("dpm-bench-").tempdir_in(space::folder())?;
    let inputs = sample::make(folder.path(), "in", daqs * SOURCES, &sample)?;
    let specifications = inputs
        .chunks(SOURCES)
        .enumerate()
        .map(|(index, files)| sample::specify(folder.path(), &format!("DAQ{index:05}"), files))
        .collect::<Outcome<Vec<PathBuf>>>()?;
    let (mut pipeline, mut floor) = (Vec::new(), Vec::new());
    let mut product_bytes = 0;
    for _ in 0..ROUNDS {
        let workspace = folder.path().join("workspace");
        pipeline.push(run_all(&workspace, folder.path(), &specifications)?);
        product_bytes = first_product_bytes(&workspace)?;
        std::fs::remove_dir_all(&workspace)?;
        floor.push(bare(folder.path(), daqs, product_bytes)?);
    }
    let rate = |times: &mut Vec<Duration>| {
        times.sort();
        daqs as f64 / times[times.len() / 2].as_secs_f64()
    };
    let (pipeline, floor) = (rate(&mut pipeline), rate(&mut floor));
    println!(
        "{daqs} DAQs of {SOURCES} x {SOURCE_BYTES} bytes, products of {product_bytes} bytes, medians of {ROUNDS} rounds\n"
    );
    println!("| what | figure | bar | |\n|---|---|---|---|");
    tell("dpm run, 2 merges at a time", pipeline, "DAQs/s", Bar::Told);
    tell("floor: 5 syncs each, 2 threads", floor, "DAQs/s", Bar::Told);
    Ok(tell("dpm run to the floor", pipeline / floor, "", Bar::Above(0.5)))
}

fn run_all(workspace: &Path, folder: &Path, specifications: &[PathBuf]) -> Outcome<Duration> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dpm"));
    command.args(["run", "--json", "--workspace"]).arg(workspace).args(specifications).current_dir(folder);
    command.env("DPM_LIMITS__MERGES", AT_ONCE.to_string());
    Ok(process::run(&mut command)?.time)
}

fn first_product_bytes(workspace: &Path) -> Outcome<usize> {
    let first = std::fs::read_dir(workspace.join("products"))?.next().ok_or("no products")??;
    Ok(usize::try_from(first.metadata()?.len())?)
}

/// The syncs alone.
fn bare(folder: &Path, daqs: usize, product_bytes: usize) -> Outcome<Duration> {
    let folder = folder.join("floor");
    std::fs::create_dir(&folder)?;
    let (next, log) = (AtomicUsize::new(0), Mutex::new(File::create(folder.join("log"))?));
    let products = folder.join("products");
    std::fs::create_dir(&products)?;
    let bytes = vec![0x5a; product_bytes];
    let one = |index: usize| -> std::io::Result<()> {
        let partial = folder.join(format!("{index}.partial"));
        let commit = || -> std::io::Result<()> {
            let mut log = log.lock().map_err(|_| std::io::Error::other("a thread panicked"))?;
            log.write_all(&[0x5a; PAGE_BYTES])?;
            log.sync_data()
        };
        // Queued.
        commit()?;
        let mut file = File::create(&partial)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        commit()?;
        rustix::fs::rename(&partial, products.join(index.to_string()))?;
        File::open(&products)?.sync_all()?;
        commit()
    };
    let began = Instant::now();
    let outcomes: Vec<std::io::Result<()>> = std::thread::scope(|scope| {
        let work = || {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= daqs {
                    return Ok(());
                }
                one(index)?;
            }
        };
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let panicked = |_| Err(std::io::Error::other("a thread panicked"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(panicked)).collect()
    });
    let time = began.elapsed();
    outcomes.into_iter().collect::<std::io::Result<()>>()?;
    std::fs::remove_dir_all(&folder)?;
    Ok(time)
}
