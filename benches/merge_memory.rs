//! The promise of `dpm merge`: constant memory, at the speed of the disk.
//!
//! Makes a seeded set of large FITS files, merges them with the real binary, and copies the same bytes with `cp`
//! beside it. Prints peak memory (which must stay below [`MEMORY_BYTES_MAX`]), wall times and their ratio. It measures
//! with the files in the page cache where they fit there, as files that were just acquired are.
//!
//! `cargo bench --bench merge_memory -- [--dir DIR] [--files N] [--megabytes N] [--rounds N]`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its result")]

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// What a merge may take, whatever it merges.
const MEMORY_BYTES_MAX: u64 = 64 * MEBIBYTE;
const MEBIBYTE: u64 = 1024 * 1024;
const BLOCK_BYTES: usize = 2880;
/// One row of an image: so many 32-bit pixels make a mebibyte.
const ROW_PIXELS: u64 = MEBIBYTE / 4;
/// Left free on the disk beside inputs and one product.
const RESERVE_BYTES: u64 = 1024 * MEBIBYTE;
/// Peak memory never falls, so the last reading before the end is the peak but for these milliseconds.
const MEMORY_POLL: Duration = Duration::from_millis(2);

struct Options {
    folder: PathBuf,
    files: u64,
    megabytes: u64,
    rounds: usize,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("merge_memory: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Options, Box<dyn Error>> {
    let mut options = Options { folder: std::env::temp_dir(), files: 16, megabytes: 256, rounds: 3 };
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        // cargo adds it.
        if argument == "--bench" {
            continue;
        }
        let value = arguments.next().ok_or_else(|| format!("{} needs a value", argument.display()))?;
        let number = || value.to_string_lossy().parse::<u64>().map_err(|error| format!("{}: {error}", value.display()));
        match argument.to_str() {
            Some("--dir") => options.folder = PathBuf::from(value),
            Some("--files") => options.files = number()?.max(1),
            Some("--megabytes") => options.megabytes = number()?.max(1),
            Some("--rounds") => options.rounds = usize::try_from(number()?.max(1))?,
            _ => return Err(format!("{}: known are --dir, --files, --megabytes, --rounds", argument.display()).into()),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let total = options.files * options.megabytes * MEBIBYTE;
    let needed = 2 * total + RESERVE_BYTES;
    let available = fs2::available_space(&options.folder)?;
    if available < needed {
        let place = options.folder.display();
        return Err(
            format!("{place} has {available} bytes, {needed} are needed: name another folder with --dir").into()
        );
    }
    // Removed with all that is in it when this function ends.
    let folder = tempfile::Builder::new().prefix("dpm-bench-").tempdir_in(&options.folder)?;
    let began = Instant::now();
    let inputs = make_inputs(folder.path(), options)?;
    let specification = make_specification(folder.path(), &inputs)?;
    println!(
        "{} files of {} MiB below {}, made in {:.1} s",
        inputs.len(),
        options.megabytes,
        options.folder.display(),
        began.elapsed().as_secs_f64()
    );

    let (mut copies, mut merges, mut peak) = (Vec::new(), Vec::new(), 0);
    for _ in 0..options.rounds {
        copies.push(copy(folder.path(), &inputs)?);
        let (time, bytes) = merge(folder.path(), &specification)?;
        merges.push(time);
        peak = peak.max(bytes);
    }
    let copy = report("cp, then sync", &copies, total);
    let merge = report("dpm merge", &merges, total);
    println!("ratio of dpm merge to cp, then sync: {:.2}", merge.as_secs_f64() / copy.as_secs_f64());
    let is_within = peak > 0 && peak < MEMORY_BYTES_MAX;
    println!(
        "peak memory of dpm merge: {:.1} MiB of {} MiB: {}",
        peak as f64 / MEBIBYTE as f64,
        MEMORY_BYTES_MAX / MEBIBYTE,
        if is_within { "PASS" } else { "FAIL" }
    );
    Ok(is_within)
}

/// Prints the median of `times`, and gives it.
fn report(what: &str, times: &[Duration], bytes: u64) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort();
    let median = sorted[sorted.len() / 2];
    let each: Vec<String> = times.iter().map(|time| format!("{:.2}", time.as_secs_f64())).collect();
    let rate = bytes as f64 / median.as_secs_f64() / 1e9;
    println!("{what:<14} median {:.2} s, {rate:.2} GB/s (rounds: {})", median.as_secs_f64(), each.join(", "));
    median
}

/// Time of `cp` of all inputs and of bringing the copies to the disk, which a merge does too.
fn copy(folder: &Path, inputs: &[PathBuf]) -> Result<Duration, Box<dyn Error>> {
    let to = folder.join("copies");
    std::fs::create_dir(&to)?;
    let began = Instant::now();
    // No reflinks: all bytes are to move.
    succeed(Command::new("cp").arg("--reflink=never").args(inputs).arg(&to))?;
    let copies: Vec<PathBuf> =
        std::fs::read_dir(&to)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    succeed(Command::new("sync").args(&copies))?;
    let time = began.elapsed();
    std::fs::remove_dir_all(&to)?;
    Ok(time)
}

/// Time and peak memory (VmHWM, proc_pid_status(5)) of one merge.
fn merge(folder: &Path, specification: &Path) -> Result<(Duration, u64), Box<dyn Error>> {
    let product = folder.join("product.fits");
    let mut command = Command::new(env!("CARGO_BIN_EXE_dpm"));
    command.arg("merge").arg(specification).arg("-o").arg(&product).stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    let mut child = command.spawn()?;
    let status_path = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    let status = loop {
        peak = peak.max(peak_bytes(&status_path).unwrap_or(0));
        match child.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(MEMORY_POLL),
        }
    };
    let time = began.elapsed();
    if !status.success() {
        return Err(format!("dpm merge ended with {status}").into());
    }
    std::fs::remove_file(&product)?;
    Ok((time, peak))
}

/// `None` once the process has ended.
fn peak_bytes(status_path: &str) -> Option<u64> {
    let status = std::fs::read_to_string(status_path).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

fn succeed(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let status = command.stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}

/// Files with an empty primary HDU and one image of 32-bit integers each, the same bytes every time.
fn make_inputs(folder: &Path, options: &Options) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut seed = 0x9e37_79b9_7f4a_7c15;
    let mut row = vec![0; MEBIBYTE as usize];
    let mut inputs = Vec::new();
    for index in 0..options.files {
        let path = folder.join(format!("input-{index:03}.fits"));
        let mut file = File::create(&path)?;
        file.write_all(&header(&[
            "SIMPLE  =                    T",
            "BITPIX  =                    8",
            "NAXIS   =                    0",
        ]))?;
        file.write_all(&header(&[
            "XTENSION= 'IMAGE   '",
            "BITPIX  =                   32",
            "NAXIS   =                    2",
            &format!("NAXIS1  = {ROW_PIXELS:>20}"),
            &format!("NAXIS2  = {:>20}", options.megabytes),
            "PCOUNT  =                    0",
            "GCOUNT  =                    1",
            &format!("EXTNAME = 'CHIP{index:03}'"),
        ]))?;
        for _ in 0..options.megabytes {
            fill(&mut row, &mut seed);
            file.write_all(&row)?;
        }
        let data_bytes = usize::try_from(options.megabytes * MEBIBYTE)?;
        file.write_all(&vec![0; data_bytes.next_multiple_of(BLOCK_BYTES) - data_bytes])?;
        // Brought to the disk now, so that no round pays for it.
        file.sync_all()?;
        inputs.push(path);
    }
    Ok(inputs)
}

fn header(cards: &[&str]) -> Vec<u8> {
    let mut text: String = cards.iter().map(|card| format!("{card:<80}")).collect();
    text.push_str("END");
    let bytes = text.len().next_multiple_of(BLOCK_BYTES);
    format!("{text:<bytes$}").into_bytes()
}

/// Fills `row` with xorshift64, which neither disk nor file system can compress.
fn fill(row: &mut [u8], seed: &mut u64) {
    for word in row.chunks_exact_mut(8) {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        word.copy_from_slice(&seed.to_le_bytes());
    }
}

fn make_specification(folder: &Path, inputs: &[PathBuf]) -> Result<PathBuf, Box<dyn Error>> {
    let source = |(index, path): (usize, &PathBuf)| serde_json::json!({"type": "fitsFile", "sourceName": format!("det{index}"), "location": path});
    let sources: Vec<serde_json::Value> = inputs.iter().enumerate().map(source).collect();
    let document = serde_json::json!({"id": "BENCH", "sources": sources, "target": {"fileId": "BENCH"}});
    let path = folder.join("specification.json");
    File::create(&path)?.write_all(document.to_string().as_bytes())?;
    Ok(path)
}
