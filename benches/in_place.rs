//! The promise of `dpm merge --in-place`: it costs what is added, not what is there.
//!
//! A file with one large image and full headers, as a producer hands it over, gets 200 keywords, so that its header must
//! grow, and one image of 15 MB. `dpm merge --in-place --checksum trust`, which ends on the disk, beside the same with
//! CFITSIO in a process of its own, which does not: `fits_write_record` for each card, `fits_copy_hdu`. Each begins
//! with a fresh copy that is on the disk and in the page cache. Prints medians, their ratio and its bar; the bar is for
//! the whole size on ext4.
//!
//! `cargo bench --bench in_place -- [--quick] [--rounds N] [--megabytes N]`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its result")]

mod support;

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::ptr;
use std::time::{Duration, Instant};

use fitsio::sys;

use crate::support::sample::{self, Sample};
use crate::support::{MEBIBYTE, Outcome, space};

/// At most so much of CFITSIO's time.
const BAR: f64 = 0.03;
const KEYWORDS: usize = 200;
const ADDED_BYTES: u64 = 15_000_000;
/// First argument when the bench runs as the peer.
const AS_PEER: &str = "--as-cfitsio";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let outcome = match arguments.as_slice() {
        [first, target, added] if first == AS_PEER => grow_with_cfitsio(target, added).map(|()| true),
        _ => run(&arguments),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("in_place: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Outcome<bool> {
    let (mut rounds, mut megabytes, mut is_whole) = (3, 2000, true);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().ok_or_else(|| format!("{argument} needs a number"));
        match argument.as_str() {
            "--quick" => (rounds, megabytes, is_whole) = (1, 200, false),
            "--rounds" => rounds = number()?.parse::<usize>()?.max(1),
            "--megabytes" => (megabytes, is_whole) = (number()?.parse::<u64>()?.max(20), false),
            _ => return Err(format!("{argument}: known are --quick, --rounds, --megabytes").into()),
        }
    }
    let bytes = megabytes * 1_000_000;
    let place = space::folder();
    space::check(&place, 2 * bytes + 1024 * MEBIBYTE)?;
    // Removed with all that is in it when this function ends.
    let folder = tempfile::Builder::new().prefix("dpm-bench-").tempdir_in(&place)?;
    let scene = Scene::new(folder.path(), bytes)?;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(scene.time(&scene.dpm())?);
        scene.check()?;
        peers.push(scene.time(&[
            std::env::current_exe()?.display().to_string(),
            AS_PEER.to_owned(),
            text(&scene.target),
            text(&scene.added),
        ])?);
    }
    let (ours, peer) = (median(ours), median(peers));
    let ratio = ours.as_secs_f64() / peer.as_secs_f64();
    let verdict = match (is_whole, ratio <= BAR) {
        (false, _) => "no bar at this size",
        (true, true) => "PASS",
        (true, false) => "FAIL",
    };
    println!("| what | dpm | CFITSIO | ratio | bar | |\n|---|---|---|---|---|---|");
    println!(
        "| {KEYWORDS} keywords and {} MB into {megabytes} MB in place | {:.3} s | {:.2} s | {ratio:.4} | {BAR} | {verdict} |",
        ADDED_BYTES / 1_000_000,
        ours.as_secs_f64(),
        peer.as_secs_f64()
    );
    Ok(verdict != "FAIL")
}

/// The files of one run.
struct Scene {
    pristine: PathBuf,
    target: PathBuf,
    added: PathBuf,
    specification: PathBuf,
}

impl Scene {
    fn new(folder: &Path, bytes: u64) -> Outcome<Scene> {
        let one = |name: &str, bytes: u64| -> Outcome<PathBuf> {
            sample::make(folder, name, 1, &Sample::image(bytes))?.pop().ok_or_else(|| "no sample".into())
        };
        let (pristine, added) = (one("pristine", bytes)?, one("added", ADDED_BYTES)?);
        let (target, specification) = (folder.join("target.fits"), folder.join("spec.json"));
        let keyword =
            |index| serde_json::json!({"type": "esoKeyword", "name": format!("BENCH NUM{index}"), "value": index});
        let keywords: Vec<_> = (0..KEYWORDS).map(keyword).collect();
        let document = serde_json::json!({"id": "bench",
            "sources": [
                {"type": "fitsKeywords", "sourceName": "keywords", "keywords": keywords},
                {"type": "fitsFile", "sourceName": "added", "location": text(&added)}],
            "target": {"fileId": "bench", "source":
                {"type": "fitsFile", "sourceName": "target", "location": text(&target), "handover": true}}});
        std::io::Write::write_all(&mut std::fs::File::create(&specification)?, document.to_string().as_bytes())?;
        Ok(Scene { pristine, target, added, specification })
    }

    fn dpm(&self) -> Vec<String> {
        let words = ["merge", &text(&self.specification), "--in-place", "--checksum", "trust"];
        std::iter::once(env!("CARGO_BIN_EXE_dpm")).chain(words).map(str::to_owned).collect()
    }

    /// Makes the target anew, on the disk, and runs the command; its wall time.
    fn time(&self, command: &[String]) -> Outcome<Duration> {
        let copy = [&"--reflink=never".into(), &self.pristine, &self.target];
        succeed(Command::new("cp").args(copy))?;
        succeed(Command::new("sync").arg(&self.target))?;
        let [program, arguments @ ..] = command else { return Err("no command".into()) };
        let began = Instant::now();
        succeed(Command::new(program).args(arguments).stdout(Stdio::null()))?;
        Ok(began.elapsed())
    }

    /// The product that was just made must be a good one.
    fn check(&self) -> Outcome<()> {
        succeed(Command::new(env!("CARGO_BIN_EXE_dpm")).arg("verify").arg(&self.target).stdout(Stdio::null()))
    }
}

fn succeed(command: &mut Command) -> Outcome<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ends with {status}").into()) }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// What a user of CFITSIO does: open for writing, write the cards, copy the HDU behind the others.
#[expect(unsafe_code, reason = "CFITSIO is a C library; it works on our own samples only")]
fn grow_with_cfitsio(target: &str, added: &str) -> Outcome<()> {
    let (target, added) = (CString::new(target)?, CString::new(added)?);
    let (mut status, mut kind) = (0, 0);
    let (mut file, mut other) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: texts end with NUL, every pointer is to a live local, and each file is closed before its pointer goes.
    unsafe {
        sys::ffdkopn(&raw mut file, target.as_ptr(), 1, &raw mut status);
        for index in 0..KEYWORDS {
            let card = CString::new(format!("HIERARCH ESO BENCH NUM{index} = {index}"))?;
            sys::ffprec(file, card.as_ptr(), &raw mut status);
        }
        sys::ffpcks(file, &raw mut status);
        sys::ffmahd(file, 2, &raw mut kind, &raw mut status);
        sys::ffdkopn(&raw mut other, added.as_ptr(), 0, &raw mut status);
        sys::ffmahd(other, 2, &raw mut kind, &raw mut status);
        sys::ffcopy(other, file, 0, &raw mut status);
        sys::ffpcks(file, &raw mut status);
        sys::ffclos(other, &raw mut status);
        sys::ffclos(file, &raw mut status);
    }
    if status == 0 { Ok(()) } else { Err(format!("CFITSIO ends with status {status}").into()) }
}
