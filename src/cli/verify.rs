//! `dpm verify`: judges FITS files.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use crate::cfitsio::{self, CfitsioError, CfitsioVerdict};
use crate::cli::exit::{CliError, Exit};
use crate::cli::progress::BarControl;
use crate::cli::{fits_file, output};
use crate::merge::verify::{self, Fault, FileVerdict, HduVerdict, SumVerdict};

/// Columns of a message behind its indent of six.
const LINE_COLUMNS: usize = 74;

/// Arguments of `dpm verify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  dpm verify product.fits\n  dpm verify --json night/*.fits\n  \
dpm verify --quiet night/*.fits\n  dpm verify --with-cfitsio product.fits\n\nExit codes: 0 no fault (there may be warnings); \
1 a fault, or a file beyond the limits of dpm (200 000 cards a header, 100 000 HDUs), whatever else there is; else of the first file that cannot be read: 65 it is no regular file, or its gzip data \
is damaged or expands to more than 64 GiB; 66 it is missing; 74 an I/O error; 77 not permitted. 69 --with-cfitsio, but CFITSIO is \
not built in")]
pub(crate) struct VerifyArguments {
    /// FITS files, also compressed with gzip
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print one JSON document and nothing else
    #[arg(long)]
    json: bool,
    /// Print one line for each file, and its faults: no HDUs, no warnings
    #[arg(long, short, conflicts_with = "json")]
    quiet: bool,
    /// Also ask CFITSIO, in a confined process, about files whose structure is legal
    #[arg(long)]
    with_cfitsio: bool,
}

/// A file for programs.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry {
    Judged(Judged),
    /// A file that cannot be read, and why.
    Unreadable {
        path: PathBuf,
        /// Never true.
        good: bool,
        error: String,
    },
}

/// A file with the verdicts of all judges.
#[derive(Serialize)]
struct Judged {
    #[serde(flatten)]
    own: FileVerdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    cfitsio: Option<CfitsioVerdict>,
}

impl Judged {
    fn is_good(&self) -> bool {
        self.own.good && self.cfitsio.as_ref().is_none_or(|verdict| verdict.good)
    }
}

pub(crate) fn run(arguments: &VerifyArguments) -> Result<Exit, CliError> {
    if arguments.with_cfitsio && cfitsio::version().is_none() {
        return Err(CliError::of(Exit::Unavailable, &CfitsioError::NotBuilt));
    }
    let mut entries = Vec::new();
    let mut is_good = true;
    let unreadable = fits_file::each(&arguments.files, |path| {
        let verdict = judge(path, arguments.with_cfitsio).inspect_err(|error| {
            let (path, error) = (path.to_owned(), error.message.clone());
            entries.push(Entry::Unreadable { path, good: false, error });
        })?;
        is_good &= verdict.is_good();
        if arguments.json {
            entries.push(Entry::Judged(verdict));
            Ok(())
        } else {
            output::print(&describe(&verdict, arguments.quiet))
        }
    });
    if arguments.json {
        output::print_json(&entries)?;
    }
    Ok(if is_good { unreadable } else { Exit::Failed })
}

fn judge(path: &Path, with_cfitsio: bool) -> Result<Judged, CliError> {
    let file = fits_file::open(path)?;
    let bar = BarControl::new("verify");
    let own = verify::verify(path, &file, &bar).map_err(|error| {
        let is_damaged = error.source.kind() == std::io::ErrorKind::InvalidData;
        CliError::of(if is_damaged { Exit::Data } else { Exit::Io }, &error)
    });
    bar.clear();
    let own = own?;
    // CFITSIO is not shown structures that a strict reader refuses: it trusts them.
    let cfitsio = if with_cfitsio && own.is_readable { Some(ask_cfitsio(path)?) } else { None };
    Ok(Judged { own, cfitsio })
}

fn ask_cfitsio(path: &Path) -> Result<CfitsioVerdict, CliError> {
    let program = std::env::current_exe().map_err(|error| CliError::io("cannot find this program", &error))?;
    cfitsio::judge(&program, path).map_err(|error| CliError::of(Exit::Io, &error))
}

/// What people read of a file; `quiet` leaves out what is no fault.
fn describe(judged: &Judged, quiet: bool) -> String {
    let verdict = &judged.own;
    let name = output::safe(&verdict.path.display().to_string());
    let word = match (verdict.good, verdict.fault_count) {
        (true, _) => output::paint("good", true),
        (false, 0) => output::paint("beyond a limit of dpm", false),
        (false, _) => output::paint("bad", false),
    };
    let count = output::count(verdict.hdus.len() as u64, "HDU");
    let mut text = format!("{name}: {word}, {count}, {}\n", output::bytes(verdict.bytes));
    if !quiet && !verdict.hdus.is_empty() {
        text.push_str(&hdu_table(&verdict.hdus));
    }
    let mut listed = 0;
    for fault in verdict.faults.iter().filter(|fault| !quiet || fault.severity != "warning") {
        listed += u64::from(fault.severity != "limit");
        text.push_str(&describe_fault(fault));
    }
    let all = verdict.fault_count + if quiet { 0 } else { verdict.warning_count };
    let hidden = all.saturating_sub(listed);
    if hidden > 0 {
        text.push_str(&format!("  and {hidden} more\n"));
    }
    if let Some(verdict) = &judged.cfitsio {
        let word = if verdict.good { output::paint("good", true) } else { output::paint("bad", false) };
        let count = output::count(verdict.hdus, "HDU");
        text.push_str(&format!("  CFITSIO {}: {word}, {count}\n", verdict.version));
        for fault in &verdict.faults {
            text.push_str(&wrapped(fault));
        }
    }
    text
}

fn hdu_table(hdus: &[HduVerdict]) -> String {
    let mut table = output::Table::new(&["#HDU", "KIND", "NAME", "#DATA", "DATASUM", "CHECKSUM"]);
    for hdu in hdus {
        table.row(vec![
            hdu.index.to_string(),
            hdu.kind.clone(),
            output::safe(&hdu.name),
            output::bytes(hdu.data_bytes),
            sum(hdu.datasum),
            sum(hdu.checksum),
        ]);
    }
    table.text()
}

/// Where and what, then which rule of the Standard, broken to lines of 80 columns.
fn describe_fault(fault: &Fault) -> String {
    let severity = output::paint(fault.severity, false);
    let severity = if fault.severity == "warning" { output::dim(fault.severity) } else { severity };
    let card = fault.card.map(|card| format!(", card {card}")).unwrap_or_default();
    let section = if fault.section.is_empty() { String::new() } else { format!(", section {}", fault.section) };
    let mut text = format!("  {severity}  HDU {}{card}: {}{section}\n", fault.hdu, fault.rule);
    text.push_str(&wrapped(&fault.message));
    text
}

/// A message on indented lines of at most 80 columns.
fn wrapped(message: &str) -> String {
    let (mut text, mut line) = (String::new(), String::new());
    for word in output::safe(message).split(' ') {
        if !line.is_empty() && line.chars().count() + word.chars().count() >= LINE_COLUMNS {
            text.push_str(&format!("      {}\n", line.trim_end()));
            line.clear();
        }
        line.push_str(word);
        line.push(' ');
    }
    text.push_str(&format!("      {}\n", line.trim_end()));
    text
}

fn sum(verdict: SumVerdict) -> String {
    match verdict {
        SumVerdict::Correct => output::paint("correct", true),
        SumVerdict::Missing => output::dim("missing"),
        SumVerdict::Wrong => output::paint("wrong", false),
        SumVerdict::CutOff => output::paint("cut off", false),
    }
}
