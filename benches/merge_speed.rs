//! The promise of `dpm merge`: at the speed of the disk, whatever is merged; far faster than CFITSIO and astropy.
//!
//! Each row makes seeded files, merges them with the real binary, and does the same work beside it in other ways, in
//! turn: `cp` of the same bytes (the floor), CFITSIO and astropy (the peers; see `support`). Times are those of whole
//! processes, with the inputs in the page cache, as files that were just acquired are.
//!
//! `cargo bench --bench merge_speed -- [--quick] [--rounds N] [ROW...]`: ROW is a part of a row's name. Files are made
//! below `DPM_BENCH_DIR`, else in the target folder, and removed at the end. Exit code 1 where a bar is missed.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its result")]

mod support;

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::OnceLock;

use crate::support::astropy::Use;
use crate::support::cfitsio::{self, Keywords};
use crate::support::interrupt::Interrupt;
use crate::support::mount::{self, FileSystem};
use crate::support::sample::{Extension, Sample};
use crate::support::table::{self, Bar, Contender, Work};
use crate::support::{MEBIBYTE, Outcome, astropy, sample, space};

/// Rounds behind the warm-up; the slowest peers get fewer.
const ROUNDS: usize = 9;
const ROUNDS_QUICK: usize = 3;

/// How one row is made.
struct Row {
    name: &'static str,
    /// Bytes of its inputs, and how often they exist at the same time at most.
    bytes: fn(&Bench) -> u64,
    work: fn(&Bench) -> Outcome<Work>,
}

/// What all rows share.
struct Bench {
    folder: PathBuf,
    /// Row sizes are divided by this.
    quick: u64,
    python: Option<PathBuf>,
}

/// How `dpm merge` is asked to work.
#[derive(Clone, Copy)]
struct Mode {
    sync: bool,
    digest: bool,
    trust: bool,
}

/// Sums, and nothing else.
const PLAIN: Mode = Mode { sync: false, digest: false, trust: false };

const ROWS: [Row; 14] = [
    Row { name: "big-16", bytes: |bench| bench.images(16), work: |bench| big(bench, 16, 64, PLAIN) },
    Row { name: "big-4", bytes: |bench| bench.images(32), work: |bench| big(bench, 4, 512, PLAIN) },
    Row {
        name: "digest-16",
        bytes: |bench| bench.images(16),
        work: |bench| big(bench, 16, 64, Mode { digest: true, ..PLAIN }),
    },
    Row {
        name: "digest-4",
        bytes: |bench| bench.images(32),
        work: |bench| big(bench, 4, 512, Mode { digest: true, ..PLAIN }),
    },
    Row { name: "sync-16", bytes: |bench| bench.images(16), work: |bench| synced(bench, 16, 64) },
    Row { name: "sync-4", bytes: |bench| bench.images(32), work: |bench| synced(bench, 4, 512) },
    Row { name: "small-files", bytes: |_| 70_000_000, work: small_files },
    Row { name: "cards", bytes: |_| 10_000_000, work: cards },
    Row { name: "keywords", bytes: |_| 10_000_000, work: keywords },
    Row { name: "extensions", bytes: |_| 200_000_000, work: |bench| extensions(bench, 5000) },
    Row { name: "many-extensions", bytes: |_| 400_000_000, work: |bench| extensions(bench, 20_000) },
    Row { name: "growth-extensions", bytes: |_| 100_000_000, work: growth_extensions },
    Row { name: "growth-keywords", bytes: |_| 20_000_000, work: growth_keywords },
    Row { name: "sources", bytes: |_| 100_000_000, work: sources },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == cfitsio::ARGUMENT => cfitsio::main(rest).map(|()| 0),
        _ => run(&arguments),
    };
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(missed) => {
            eprintln!("merge_speed: {missed} bars missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("merge_speed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Outcome<usize> {
    let (mut rounds, mut quick, mut filters) = (ROUNDS, 1, Vec::new());
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => (rounds, quick) = (ROUNDS_QUICK, 8),
            "--rounds" => rounds = arguments.next().ok_or("--rounds needs a number")?.parse::<usize>()?.max(1),
            option if option.starts_with('-') => {
                return Err(format!("{option}: known are --quick and --rounds").into());
            }
            filter => filters.push(filter.to_owned()),
        }
    }
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let python = astropy::python();
    if python.is_none() {
        eprintln!("without astropy: tests/setup installs it");
    }
    let interrupt = Interrupt::listen()?;
    println!("{}", table::head());
    let mut missed = 0;
    for row in ROWS.iter().filter(|row| is_wanted(row.name)) {
        let mut bench = Bench { folder: space::folder(), quick, python: python.clone() };
        space::check(&bench.folder, 3 * (row.bytes)(&bench))?;
        // Removed with all that is in it when the row ends, however it ends.
        let folder = tempfile::Builder::new().prefix("dpm-bench-").tempdir_in(&bench.folder)?;
        folder.path().clone_into(&mut bench.folder);
        let work = (row.work)(&bench)?;
        missed += table::measure(row.name, &work, rounds, &interrupt)?;
    }
    for (name, kind) in [("reflink-xfs", FileSystem::Xfs), ("reflink-btrfs", FileSystem::Btrfs)] {
        if is_wanted(name) {
            missed += reflinks(name, kind, rounds, quick, &interrupt)?;
        }
    }
    Ok(missed)
}

impl Bench {
    /// Bytes of `count` files of 64 MB.
    fn images(&self, count: u64) -> u64 {
        count * 64 * MEBIBYTE / self.quick
    }

    fn make(&self, name: &str, count: usize, sample: &Sample) -> Outcome<Inputs> {
        let paths = sample::make(&self.folder, name, count, sample)?;
        let specification = sample::specify(&self.folder, name, &paths)?;
        Ok(Inputs { folder: self.folder.clone(), specification, paths })
    }

    fn astropy(&self, name: &str, how: Use, inputs: &Inputs) -> Option<Contender> {
        let (python, output, paths) = (self.python.clone()?, inputs.output("astropy"), inputs.paths.clone());
        let command = {
            let output = output.clone();
            move || Ok(astropy::command(&python, how, &output, &paths))
        };
        Some(Contender { name: name.to_owned(), command: Box::new(command), outputs: vec![output] })
    }
}

/// The inputs of one merge, and the ways to merge them.
#[derive(Clone)]
struct Inputs {
    folder: PathBuf,
    specification: PathBuf,
    paths: Vec<PathBuf>,
}

impl Inputs {
    fn output(&self, by: &str) -> PathBuf {
        self.specification.with_extension(format!("{by}.fits"))
    }

    fn dpm(&self, name: &str, mode: Mode) -> Contender {
        let (specification, output) = (self.specification.clone(), self.output("dpm"));
        let outputs = vec![output.clone()];
        let command = move || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_dpm"));
            command.arg("merge").arg(&specification).arg("-o").arg(&output).args(mode.arguments());
            Ok(command)
        };
        Contender { name: name.to_owned(), command: Box::new(command), outputs }
    }

    /// `cp` of all files into a folder; with `sync`, until the copies are on the disk.
    fn cp(&self, name: &str, sync: bool) -> Outcome<Contender> {
        let (paths, to) = (self.paths.clone(), self.folder.join("copies"));
        std::fs::create_dir_all(&to)?;
        let outputs = vec![to.clone()];
        let command = move || {
            let mut command = if sync {
                let mut shell = Command::new("sh");
                // The copies have the names of the files.
                shell.args(["-c", "to=$1; shift; cp --reflink=never -- \"$@\" \"$to\" && sync \"$to\"/*", "sh"]);
                shell.arg(&to);
                shell
            } else {
                let mut cp = Command::new("cp");
                cp.arg("--reflink=never").arg("-t").arg(&to).arg("--");
                cp
            };
            command.args(&paths);
            Ok(command)
        };
        Ok(Contender { name: name.to_owned(), command: Box::new(command), outputs })
    }

    fn cfitsio(&self, keywords: Keywords) -> Contender {
        let (output, paths) = (self.output("cfitsio"), self.paths.clone());
        let outputs = vec![output.clone()];
        let command = move || cfitsio::command(keywords, &output, &paths);
        Contender { name: "CFITSIO".to_owned(), command: Box::new(command), outputs }
    }
}

impl Mode {
    /// The options of `dpm merge`, as far as it has them.
    fn arguments(self) -> Vec<&'static str> {
        let mut options = vec![];
        if !self.sync {
            options.push(["--no-sync", ""]);
        }
        options.push(["--digest", if self.digest { "all" } else { "none" }]);
        options.push(["--checksum", if self.trust { "trust" } else { "recompute" }]);
        let known = options.into_iter().filter(|[name, _]| help().contains(name));
        known.flatten().filter(|word| !word.is_empty()).collect()
    }
}

/// What `dpm merge` can be asked.
fn help() -> &'static str {
    static HELP: OnceLock<String> = OnceLock::new();
    HELP.get_or_init(|| {
        let output = Command::new(env!("CARGO_BIN_EXE_dpm")).args(["merge", "--help"]).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    })
}

/// `dpm`, the floors and peers beside it in this order, with the bar of each.
fn beside(text: String, dpm: Contender, others: Vec<(Option<Contender>, Option<f64>)>) -> Work {
    let (mut contenders, mut bars) = (vec![dpm], Vec::new());
    for (contender, bar) in others {
        if let Some(contender) = contender {
            bars.push(Bar { subject: 0, floor: contenders.len(), bar });
            contenders.push(contender);
        }
    }
    Work { text, contenders, bars }
}

fn big(bench: &Bench, count: usize, megabytes: u64, mode: Mode) -> Outcome<Work> {
    let megabytes = megabytes / bench.quick;
    let inputs = bench.make("big", count, &Sample::image(megabytes * MEBIBYTE))?;
    let text = format!("{count} x {megabytes} MB, new file{}", if mode.digest { ", all digests" } else { "" });
    let (cp, dpm) = (inputs.cp("cp", false)?, inputs.dpm("dpm", mode));
    if mode.digest {
        return Ok(beside(text, dpm, vec![(Some(cp), Some(1.0))]));
    }
    let peers = vec![
        (Some(cp), Some(0.70)),
        (Some(inputs.cfitsio(Keywords::Left)), Some(0.12)),
        (bench.astropy("astropy", Use::Taken, &inputs), Some(0.10)),
        (bench.astropy("astropy, HDUs as they are", Use::Left, &inputs), None),
    ];
    Ok(beside(text, dpm, peers))
}

fn synced(bench: &Bench, count: usize, megabytes: u64) -> Outcome<Work> {
    let megabytes = megabytes / bench.quick;
    let inputs = bench.make("big", count, &Sample::image(megabytes * MEBIBYTE))?;
    let text = format!("{count} x {megabytes} MB, new file, both on the disk");
    let dpm = inputs.dpm("dpm", Mode { sync: true, ..PLAIN });
    Ok(beside(text, dpm, vec![(Some(inputs.cp("cp + sync", true)?), Some(0.80))]))
}

fn small_files(bench: &Bench) -> Outcome<Work> {
    let inputs = bench.make("small", 200, &Sample::image(330_000))?;
    let peers = vec![
        (Some(inputs.cp("cp", false)?), Some(1.0)),
        (Some(inputs.cfitsio(Keywords::Left)), Some(0.35)),
        (bench.astropy("astropy", Use::Taken, &inputs), None),
    ];
    Ok(beside("200 x 330 KB".to_owned(), inputs.dpm("dpm", PLAIN), peers))
}

fn cards(bench: &Bench) -> Outcome<Work> {
    let extension = Extension { data_bytes: 2880, hierarch_cards: 6000 };
    let inputs = bench.make("cards", 8, &Sample { primary_cards: 12, extensions: 1, extension })?;
    let peers = vec![
        (Some(inputs.cp("cp", false)?), Some(2.5)),
        (Some(inputs.cfitsio(Keywords::Left)), Some(0.2)),
        (bench.astropy("astropy", Use::Taken, &inputs), None),
    ];
    Ok(beside("8 files, an extension of 6000 HIERARCH cards each".to_owned(), inputs.dpm("dpm", PLAIN), peers))
}

fn with_keywords(count: usize) -> Sample {
    let extension = Extension { data_bytes: 2880, hierarch_cards: 0 };
    Sample { primary_cards: count, extensions: 1, extension }
}

fn keywords(bench: &Bench) -> Outcome<Work> {
    let count = 20_000 / bench.quick as usize;
    let inputs = bench.make("keywords", 4, &with_keywords(count / 4))?;
    let peers = vec![
        (Some(inputs.cp("cp", false)?), None),
        (Some(inputs.cfitsio(Keywords::Selected)), Some(0.01)),
        (bench.astropy("astropy", Use::Selected, &inputs), None),
    ];
    Ok(beside(format!("{count} HIERARCH keywords of 4 files selected"), inputs.dpm("dpm", PLAIN), peers))
}

fn with_extensions(count: usize) -> Sample {
    Sample { primary_cards: 12, extensions: count, extension: Extension { data_bytes: 400, hierarch_cards: 4 } }
}

fn extensions(bench: &Bench, count: usize) -> Outcome<Work> {
    let inputs = bench.make("extensions", 1, &with_extensions(count))?;
    let peers = vec![(Some(inputs.cp("cp", false)?), None), (Some(inputs.cfitsio(Keywords::Left)), Some(0.5))];
    Ok(beside(format!("{count} small extensions of one source"), inputs.dpm("dpm", PLAIN), peers))
}

fn growth_extensions(bench: &Bench) -> Outcome<Work> {
    let few = bench.make("few", 1, &with_extensions(500))?;
    let many = bench.make("many", 1, &with_extensions(5000))?;
    let others = vec![(Some(few.dpm("dpm, 500", PLAIN)), Some(11.0))];
    Ok(beside("500 -> 5000 extensions".to_owned(), many.dpm("dpm, 5000", PLAIN), others))
}

fn growth_keywords(bench: &Bench) -> Outcome<Work> {
    let few = bench.make("few", 4, &with_keywords(500))?;
    let many = bench.make("many", 4, &with_keywords(5000))?;
    let others = vec![(Some(few.dpm("dpm, 2000", PLAIN)), Some(11.0))];
    Ok(beside("2000 -> 20 000 keywords".to_owned(), many.dpm("dpm, 20 000", PLAIN), others))
}

fn sources(bench: &Bench) -> Outcome<Work> {
    let inputs = bench.make("sources", 1000, &Sample::image(28_800))?;
    let peers = vec![(Some(inputs.cp("cp", false)?), None), (Some(inputs.cfitsio(Keywords::Left)), None)];
    Ok(beside("1000 sources of 29 KB".to_owned(), inputs.dpm("dpm", PLAIN), peers))
}

/// The big row on a file system with reflinks, made in a file.
fn reflinks(name: &str, kind: FileSystem, rounds: usize, quick: u64, interrupt: &Interrupt) -> Outcome<usize> {
    let base = Bench { folder: space::folder(), quick, python: None };
    let bytes = base.images(16);
    space::check(&base.folder, 3 * bytes)?;
    let folder = tempfile::Builder::new().prefix("dpm-bench-").tempdir_in(&base.folder)?;
    let mounted = match mount::make(folder.path(), kind, 3 * bytes + 1024 * MEBIBYTE) {
        Ok(mounted) => mounted,
        Err(error) => {
            println!("| {name} | not run: {error} | | | | | |");
            return Ok(0);
        }
    };
    let bench = Bench { folder: mounted.path().to_owned(), ..base };
    let inputs = bench.make("big", 16, &Sample::image(64 / quick * MEBIBYTE))?;
    let contenders = vec![
        inputs.dpm("dpm, recomputed", PLAIN),
        inputs.dpm("dpm, trusted", Mode { trust: true, ..PLAIN }),
        inputs.cp("cp", false)?,
    ];
    let bars = vec![Bar { subject: 0, floor: 2, bar: Some(0.6) }, Bar { subject: 1, floor: 2, bar: Some(0.2) }];
    let work = Work { text: format!("16 x {} MB on {name}", 64 / quick), contenders, bars };
    table::measure(name, &work, rounds, interrupt)
}
