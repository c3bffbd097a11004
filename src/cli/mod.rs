//! The command line: one file for each subcommand, exit codes, tables.
//!
//! Data goes to standard output, everything else to standard error.

mod bench;
mod cfitsio_worker;
mod check;
mod complete;
mod dictionary_check;
pub mod exit;
mod fits_file;
mod header;
mod info;
mod input;
mod merge;
mod merge_flags;
mod output;
mod plan_view;
mod progress;
mod queue;
mod remote;
mod run;
mod schema;
mod serve;
mod session;
mod status;
mod verify;
mod wait;
mod watch;

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand};

use crate::cli::exit::{CliError, Exit};

/// Collects FITS files, merges them into one verified data product and releases it.
#[derive(Debug, Parser)]
#[command(name = "dpm", version, long_version = LONG_VERSION.as_str(), about, max_term_width = 100, after_help = EXIT_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What `dpm --version` says; `dpm -V` says the number alone.
static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    let cfitsio = crate::cfitsio::version().unwrap_or_else(|| "not built in".to_owned());
    format!("{}\nCFITSIO {cfitsio}", env!("CARGO_PKG_VERSION"))
});

const EXIT_HELP: &str = "Exit codes: 0 done; 1 a DAQ ended in error or a verification failed; 64 wrong usage; \
65 invalid specification or FITS input; 66 a source is missing; 69 no daemon answers; 73 the output exists or cannot \
be created; 74 I/O error; 75 try again later; 77 not permitted; 78 invalid configuration";

#[derive(Debug, Subcommand)]
enum Command {
    /// Merge the files of one specification into one FITS file, here and now
    Merge(merge::MergeArguments),
    /// Run specifications through the whole pipeline in the foreground, without a daemon
    Run(run::RunArguments),
    /// Serve a workspace: the daemon
    Serve(serve::ServeArguments),
    /// Hand specifications to the daemon
    Queue(queue::QueueArguments),
    /// Show the daemon, or one DAQ
    Status(status::StatusArguments),
    /// List the DAQs that have not ended
    List(status::ListArguments),
    /// Stop a DAQ and remove everything of it
    Abort(status::DaqArguments),
    /// Let a DAQ that is parked with an error try again
    Retry(status::DaqArguments),
    /// Wait until a DAQ has ended
    Wait(wait::WaitArguments),
    /// Follow every change until interrupted
    Watch(watch::WatchArguments),
    /// List the DAQs that have ended, newest first
    History(status::HistoryArguments),
    /// Show the space of the workspace
    Storage(status::StorageArguments),
    /// End the daemon in order
    Exit(status::ExitArguments),
    /// Validate specifications without running them
    Check(check::CheckArguments),
    /// Judge FITS files by FITS Standard 4.0: every fault with HDU, card and section
    Verify(verify::VerifyArguments),
    /// Show the cards of a FITS file's headers, all or some
    Header(header::HeaderArguments),
    /// Show the HDUs of FITS files, a line each
    Info(info::InfoArguments),
    /// Ask CFITSIO about a file, confined: how verify --with-cfitsio starts its worker
    #[command(name = crate::cfitsio::WORKER_COMMAND, hide = true)]
    CfitsioWorker(cfitsio_worker::WorkerArguments),
    /// Measure the throughput of this machine, each stage beside what its disk can do
    Bench(bench::BenchArguments),
    /// Print a JSON Schema that dpm validates against
    Schema(schema::SchemaArguments),
    /// Print a shell completion script
    Completions(complete::CompletionsArguments),
    /// Print the manual page
    Man,
}

/// Where the daemon is.
#[derive(Clone, Debug, Args)]
pub(crate) struct SocketArguments {
    /// Command socket of the daemon [default: dpm.sock in the configured workspace]
    #[arg(long, value_name = "PATH", env = "DPM_SOCKET")]
    socket: Option<PathBuf>,
    /// Configuration file that names workspace and socket
    #[arg(long, value_name = "FILE", env = "DPM_CONFIG")]
    config: Option<PathBuf>,
    /// Workspace whose daemon is meant
    #[arg(long, value_name = "DIR", env = "DPM_WORKSPACE")]
    workspace: Option<PathBuf>,
    /// Print one JSON document and nothing else
    #[arg(long)]
    json: bool,
}

/// Parses the command line, runs the command and returns the exit code. Errors go to standard error.
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output with code 0.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    match run(cli.command) {
        Ok(exit) => exit,
        Err(error) => {
            output::error(&error);
            error.exit
        }
    }
}

fn run(command: Command) -> Result<Exit, CliError> {
    match command {
        Command::Merge(arguments) => merge::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Queue(arguments) => queue::run(&arguments),
        Command::Status(arguments) => status::status(&arguments),
        Command::List(arguments) => status::list(&arguments),
        Command::Abort(arguments) => status::on_daq("AbortDaq", "aborted", &arguments),
        Command::Retry(arguments) => status::on_daq("RetryMergeDaq", "tries again", &arguments),
        Command::Wait(arguments) => wait::run(&arguments),
        Command::Watch(arguments) => watch::run(&arguments),
        Command::History(arguments) => status::history(&arguments),
        Command::Storage(arguments) => status::storage(&arguments),
        Command::Exit(arguments) => status::exit(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Header(arguments) => header::run(&arguments),
        Command::Info(arguments) => info::run(&arguments),
        Command::CfitsioWorker(arguments) => cfitsio_worker::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Completions(arguments) => complete::completions(&arguments),
        Command::Man => complete::man(),
    }
}
