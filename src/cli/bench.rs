//! `dpm bench`: throughput of this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::bench::pipeline::{Bed, Stop};
use crate::bench::plan::{self, FileSet};
use crate::bench::report::BenchReport;
use crate::bench::scratch::{self, Scratch};
use crate::bench::{BenchError, picture};
use crate::cli::exit::{CliError, Exit};
use crate::cli::output;
use crate::cli::session::{self, Session};
use crate::durable;
use crate::workspace::storage;

/// More rounds tell nothing new.
const ROUNDS_MAX: usize = 1000;

/// Arguments of `dpm bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// Folder with your own FITS files, which are merged as one DAQ and only read
    #[arg(long, value_name = "DIR", conflicts_with = "sizes")]
    samples: Option<PathBuf>,
    /// Sets of files to make and merge
    #[arg(long, value_name = "COUNTxSIZE", value_delimiter = ',', default_values = ["4x64MB", "20x330kB"])]
    sizes: Vec<FileSet>,
    /// Folder to work in, empty or new, on the disk that is to be measured [default: a new one in the current folder]
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,
    /// Rounds that count, behind one that warms up; figures are their medians
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = rounds)]
    rounds: usize,
    /// Configuration file, for its limits; its receivers get nothing
    #[arg(long, value_name = "FILE", env = "DPM_CONFIG")]
    config: Option<PathBuf>,
    /// Also draw the figures into a new SVG file
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print one JSON document and nothing else
    #[arg(long)]
    json: bool,
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(rounds @ 1..=ROUNDS_MAX) => Ok(rounds),
        _ => Err(format!("it must be 1 to {ROUNDS_MAX}")),
    }
}

pub(crate) fn run(arguments: &BenchArguments) -> Result<Exit, CliError> {
    if let Some(path) = arguments.svg.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
        return Err(CliError::new(Exit::CannotCreate, format!("{} exists: choose another name", path.display())));
    }
    let samples = arguments.samples.as_deref().map(scratch::samples_of).transpose()?;
    let root = arguments.workspace.clone().unwrap_or_else(default_folder);
    check_space(&root, arguments, samples.as_deref())?;
    let scratch = Scratch::take(&root)?;
    let measured = measure(arguments, samples, &scratch);
    let removed = scratch.remove();
    let report = measured?;
    removed?;
    if let Some(path) = &arguments.svg {
        let drawing = picture::svg(&report);
        durable::write_new(path, drawing.as_bytes()).map_err(|error| CliError::of(Exit::CannotCreate, &error))?;
    }
    if arguments.json {
        output::print_json(&report)?;
    } else {
        output::print(&output::safe(&picture::text(&report)))?;
    }
    Ok(Exit::Done)
}

/// A name that no other bench has.
fn default_folder() -> PathBuf {
    PathBuf::from(format!("dpm-bench-{}", std::process::id()))
}

/// Refuses to fill the disk that `root` is on, or would be on.
fn check_space(root: &Path, arguments: &BenchArguments, samples: Option<&[PathBuf]>) -> Result<(), CliError> {
    let of_file = |path: &PathBuf| path.metadata().map(|metadata| metadata.len()).unwrap_or(0);
    let needed = match samples {
        Some(paths) => plan::bytes_needed(&[paths.iter().map(of_file).sum()], false),
        None => plan::bytes_needed(&arguments.sizes.iter().map(FileSet::bytes_total).collect::<Vec<u64>>(), true),
    };
    let absolute = std::path::absolute(root).map_err(|error| CliError::io("cannot find the workspace", &error))?;
    let existing = absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let available = storage::available_bytes(existing).map_err(|error| CliError::of(Exit::Io, &error))?;
    if available < needed {
        return Err(BenchError::NoSpace { path: existing.to_owned(), needed, available }.into());
    }
    Ok(())
}

fn measure(
    arguments: &BenchArguments,
    samples: Option<Vec<PathBuf>>,
    scratch: &Scratch,
) -> Result<BenchReport, CliError> {
    let socket = scratch.root().join("bench.sock");
    let configuration = session::configuration(arguments.config.as_deref(), Some(&scratch.workspace()), Some(&socket))?;
    let runtime = session::runtime()?;
    let mut report = None;
    let ended = runtime.block_on(async {
        let fail = |error| CliError::io("cannot listen for signals", &error);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(fail)?;
        let session = session::open(&configuration).await?;
        let bed = bed(&session, scratch, arguments.rounds, socket);
        let outcome = tokio::select! {
            groups = measure_all(&bed, arguments, samples) => groups,
            _ = interrupt.recv() => Err(BenchError::Interrupted),
            _ = terminate.recv() => Err(BenchError::Interrupted),
        };
        bed.stop.ask();
        let outcome = outcome.map_err(CliError::from).and_then(|groups| {
            let root = scratch.root();
            let status = storage::status(&session.workspace, &[], 0).map_err(|error| CliError::of(Exit::Io, &error))?;
            report = Some(BenchReport {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                folder: root.parent().unwrap_or(root).display().to_string(),
                file_system: status.file_system,
                processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
                rounds: arguments.rounds,
                groups,
            });
            Ok(Exit::Done)
        });
        drop(bed);
        Ok((outcome, session.close().await))
    });
    session::shut_down(runtime, ended)?;
    report.ok_or_else(|| CliError::new(Exit::Io, "nothing was measured"))
}

fn bed(session: &Session, scratch: &Scratch, rounds: usize, socket: PathBuf) -> Bed {
    Bed {
        engine: session.engine.clone(),
        commander: session.commander.clone(),
        samples: scratch.samples(),
        received: scratch.received(),
        copies: scratch.copies(),
        rounds,
        socket,
        stop: Arc::new(Stop::default()),
    }
}

async fn measure_all(
    bed: &Bed,
    arguments: &BenchArguments,
    samples: Option<Vec<PathBuf>>,
) -> Result<Vec<crate::bench::report::Group>, BenchError> {
    let mut groups = Vec::new();
    match samples {
        Some(paths) => {
            output::note(&format!("your {} files ...", paths.len()));
            let work = format!("one DAQ of your {} files", paths.len());
            groups.push(bed.measure_files("samples", &work, paths).await?);
        }
        None => {
            for set in &arguments.sizes {
                output::note(&format!("{set} ..."));
                groups.push(bed.measure_set(*set).await?);
            }
        }
    }
    output::note("small DAQs ...");
    groups.push(bed.measure_small().await?);
    output::note("commands ...");
    groups.push(bed.measure_commands().await?);
    Ok(groups)
}

impl From<BenchError> for CliError {
    fn from(error: BenchError) -> CliError {
        let exit = match &error {
            BenchError::NotEmpty { .. } => Exit::CannotCreate,
            BenchError::NoSpace { .. } | BenchError::Interrupted => Exit::TryLater,
            BenchError::NoSamples { .. } => Exit::NoInput,
            BenchError::NotCompleted { .. } | BenchError::BadProduct { .. } => Exit::Failed,
            BenchError::Io { what, path, source } => {
                return CliError::io(&format!("cannot {what} {}", path.display()), source);
            }
            BenchError::Remove(_) | BenchError::EngineEnded => Exit::Io,
            BenchError::Socket(_) => Exit::CannotCreate,
            BenchError::Client(_) => Exit::Unavailable,
            BenchError::Refused(_) => Exit::Data,
        };
        CliError::of(exit, &error)
    }
}
