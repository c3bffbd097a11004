//! `dpm merge`: one specification, one product, here and now. Also what the daemon's worker process runs.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;

use crate::cli::exit::{CliError, Exit};
use crate::cli::merge_flags::{MergeFlags, MergeSettings};
use crate::cli::plan_view::{self, PlanView};
use crate::cli::progress::BarControl;
use crate::cli::{input, output};
use crate::control::Control;
use crate::dictionary::DictionarySettings;
use crate::durable::new_file::{Durability, Replace};
use crate::merge::confine::{self, Confinement};
use crate::merge::dictionaries::Judges;
use crate::merge::execute::ExecuteError;
use crate::merge::grow::{self, Claim};
use crate::merge::job::{self, InputPlace, JobError, PreparedMerge, Publication, Remedy};
use crate::merge::options::{MergeOptions, Reflink};
use crate::merge::report::{MergeReport, Message, Notice, SourceReport, WorkerFault};
use crate::specification::model::Specification;
use crate::specification::validate;
use crate::status::Severity;
use crate::transfer::Collected;
use crate::{clock, host};

/// Progress lines are at least this far apart.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// The last progress is repeated at least so often.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Arguments of `dpm merge`.
#[derive(Debug, Args)]
pub(crate) struct MergeArguments {
    /// Data Product Specification; `-` is standard input
    #[arg(value_name = "SPEC")]
    specification: PathBuf,
    /// Name of the product [default: {fileId}.fits in the current folder]
    #[arg(short, long, value_name = "OUT")]
    output: Option<PathBuf>,
    /// Folder against which relative locations resolve [default: the specification's own]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Print the plan and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON: one message a line (progress, alert, result, explanation, error); with --dry-run the plan
    #[arg(long)]
    json: bool,
    /// Replace an existing output
    #[arg(long)]
    force: bool,
    /// Change the target's own file instead of writing a new one: whole or, after a crash, undone by the next such merge
    #[arg(long, conflicts_with = "output")]
    in_place: bool,
    /// Do not wait until the product is on the disk: for who syncs later
    #[arg(long)]
    no_sync: bool,
    /// Tell of each keyword and each HDU which source it comes from, and what it was preferred to
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    how: MergeFlags,
    /// Where each input was collected: how the daemon starts its worker
    #[arg(long, value_name = "FILE", hide = true)]
    inputs: Option<PathBuf>,
    /// Confine this process: how the daemon starts its worker
    #[arg(long, hide = true)]
    worker: bool,
    /// Process id of the daemon that starts the worker
    #[arg(long, value_name = "PID", hide = true)]
    parent: Option<u32>,
    /// Niceness of a worker
    #[arg(long, default_value_t = 0, hide = true)]
    niceness: i32,
}

impl MergeArguments {
    fn durability(&self) -> Durability {
        match (self.no_sync, self.worker) {
            (true, _) => Durability::Unsynced,
            // The daemon merges again what a power cut has taken away, before the product has its final name.
            (false, true) => Durability::Content,
            (false, false) => Durability::Synced,
        }
    }
}

/// The explanation as one of the JSON messages, which only people's programs ask for.
#[derive(Serialize)]
#[serde(tag = "type", rename = "explanation")]
struct Explanation<'a> {
    #[serde(flatten)]
    plan: PlanView<'a>,
}

pub(crate) fn run(arguments: &MergeArguments) -> Result<Exit, CliError> {
    if arguments.worker {
        confine::tie_to_parent(arguments.parent, arguments.niceness)
            .map_err(|message| CliError::new(Exit::Io, message))?;
    }
    match merge(arguments) {
        Ok(()) => Ok(Exit::Done),
        Err(Failure { error, .. }) if !arguments.json => Err(error),
        Err(Failure { error, fault }) => {
            // The daemon ends a worker that has said why it fails: its log must have the reason by then.
            output::error(&error);
            output::print_json(&Message::Error { message: error.message, fault })?;
            Ok(error.exit)
        }
    }
}

/// A failed merge: for the person, and for the daemon.
struct Failure {
    error: CliError,
    fault: WorkerFault,
}

impl From<CliError> for Failure {
    fn from(error: CliError) -> Failure {
        Failure { error, fault: WorkerFault::Permanent }
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Failure {
        let fault = match &error {
            JobError::NoSpace { .. } => WorkerFault::NoSpace,
            JobError::WrongInputs { .. }
            | JobError::ChangedSinceCollected { .. }
            | JobError::Execute(ExecuteError::SourceChanged { .. }) => WorkerFault::SourceChanged,
            other if other.remedy() == Remedy::RetryLater => WorkerFault::Transient,
            _ => WorkerFault::Permanent,
        };
        Failure { error: error.into(), fault }
    }
}

fn merge(arguments: &MergeArguments) -> Result<(), Failure> {
    let MergeSettings { options, dictionaries } = arguments.how.settings(arguments.worker)?;
    let named = input::read(&arguments.specification, arguments.root.as_deref())?;
    // The daemon has validated what it gives to a worker.
    let parse = if arguments.worker { validate::parse_accepted } else { validate::parse };
    let specification = parse(&named.text).map_err(|error| {
        let message = format!("{} is not valid", named.name);
        CliError { faults: error.faults, ..CliError::new(Exit::Data, message) }
    })?;
    let places = match &arguments.inputs {
        Some(path) => collected_places(path)?,
        None => job::locate(&specification, &named.root, &host::local_names())?,
    };
    let (output, replace) = output_of(arguments, &specification, &places)?;
    // Before the worker gives up its right to read them.
    let judges = judges_of(&specification, &dictionaries, arguments.worker);
    if arguments.worker {
        restrict(arguments, &places, &output)?;
    }
    let date = clock::product_date().map_err(|error| CliError::of(Exit::Usage, &error))?;
    let publication = Publication { replace, durability: arguments.durability() };
    let sharing_folder = (options.reflink == Reflink::Auto).then(|| folder_of(&output));
    let prepare = || job::prepare_judged(&specification, &places, date, options.gzip, sharing_folder, judges.as_ref());
    let is_heard = arguments.json && !arguments.dry_run;
    let claim = match (arguments.in_place, &specification.target.source, places.first()) {
        (true, ..) => claim_target(&output)?,
        (false, Some(_), Some(place)) if place.is_ours => claim_target(&place.path)?,
        _ => None,
    };
    let mut prepared = if is_heard { JsonControl::default().beating(prepare) } else { prepare() }?;
    prepared.claim = claim;
    if arguments.in_place && prepared.is_compressed(0) {
        let message =
            format!("{} is compressed, and a product is not: name another file with --output", output.display());
        return Err(CliError::new(Exit::CannotCreate, message).into());
    }
    if arguments.dry_run {
        return Ok(show_plan(&prepared, arguments)?);
    }
    if arguments.worker {
        output::note(&plan_view::explanation(&prepared.plan));
    }
    if arguments.json {
        merge_for_program(&prepared, &output, publication, options)?;
        if arguments.explain {
            output::print_json(&Explanation { plan: PlanView::new(&prepared.plan) })?;
        }
        return Ok(());
    }
    merge_for_person(&prepared, &output, publication, options)?;
    if arguments.explain {
        output::print(&plan_view::explanation(&prepared.plan))?;
    }
    Ok(())
}

/// The dictionaries that the specification names, and what is wrong in them: to the log, for their keepers.
fn judges_of(specification: &Specification, settings: &DictionarySettings, is_worker: bool) -> Option<Judges> {
    let judges = Judges::load(&specification.keyword_dictionaries, settings)?;
    for dictionary in judges.found.iter().filter(|_| is_worker) {
        for fault in &dictionary.faults {
            output::note(&format!("dictionary {}: {}", dictionary.path.display(), output::safe(&fault.to_string())));
        }
    }
    Some(judges)
}

/// Reads where the daemon collected the inputs.
fn collected_places(path: &Path) -> Result<Vec<InputPlace>, CliError> {
    let name = || format!("cannot read {}", path.display());
    let bytes = std::fs::read(path).map_err(|error| CliError::io(&name(), &error))?;
    let collected: Vec<Collected> = serde_json::from_slice(&bytes).map_err(|error| CliError::of(Exit::Io, &error))?;
    Ok(collected
        .into_iter()
        .map(|collected| InputPlace {
            path: collected.path,
            fingerprint: Some(collected.fingerprint),
            is_ours: !collected.referenced,
        })
        .collect())
}

fn output_of(
    arguments: &MergeArguments,
    specification: &Specification,
    places: &[InputPlace],
) -> Result<(PathBuf, Replace), CliError> {
    if arguments.in_place {
        return match (&specification.target.source, places.first()) {
            (Some(_), Some(target)) => Ok((file_itself(&target.path)?, Replace::Allowed)),
            _ => Err(CliError::new(Exit::Usage, "--in-place needs a specification with a file at /target/source")),
        };
    }
    let replace = if arguments.force { Replace::Allowed } else { Replace::Never };
    let output = arguments.output.clone().unwrap_or_else(|| specification.target.archive_name().into());
    if output.metadata().is_ok_and(|present| !present.is_file()) {
        let message =
            format!("{} is a folder or a special file, which is never replaced: name a file", output.display());
        return Err(CliError::new(Exit::CannotCreate, message));
    }
    if replace == Replace::Allowed && places.iter().any(|place| is_same_file(&place.path, &output)) {
        let message = format!("{} is one of the inputs: a source is never replaced", output.display());
        return Err(CliError::new(Exit::CannotCreate, message));
    }
    Ok((output, replace))
}

/// Takes the right to change the target's own file; says so if an interrupted merge of it had to be undone first.
fn claim_target(path: &Path) -> Result<Option<Claim>, JobError> {
    let claim = grow::claim(path)?;
    if claim.as_ref().is_some_and(|claim| claim.was_restored) {
        let path = output::safe(&path.display().to_string());
        output::note(&format!("{path}: an interrupted in-place merge was undone first"));
    }
    Ok(claim)
}

/// The file that is changed in place, behind any symbolic links. It is replaced in one step, so that other hard links
/// would keep the old content: those are refused.
fn file_itself(path: &Path) -> Result<PathBuf, CliError> {
    use std::os::unix::fs::MetadataExt;
    let real = path.canonicalize().map_err(|error| CliError::io(&format!("cannot open {}", path.display()), &error))?;
    let links = real.metadata().map(|metadata| metadata.nlink()).unwrap_or(1);
    if links > 1 {
        let message = format!(
            "{} has {links} names (hard links), and --in-place would change only this one: merge a copy, or into a new file",
            real.display()
        );
        return Err(CliError::new(Exit::CannotCreate, message));
    }
    Ok(real)
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (one.metadata(), other.metadata()) {
        (Ok(one), Ok(other)) => one.dev() == other.dev() && one.ino() == other.ino(),
        _ => false,
    }
}

fn folder_of(output: &Path) -> &Path {
    output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Gives up every right that the merge does not need.
fn restrict(arguments: &MergeArguments, places: &[InputPlace], output: &Path) -> Result<(), CliError> {
    let mut readable: Vec<PathBuf> = places.iter().map(|place| place.path.clone()).collect();
    readable.push(arguments.specification.clone());
    let writable = Some(folder_of(output).to_owned());
    let confinement = Confinement { readable, writable };
    match confine::restrict(&confinement) {
        Ok(status) => {
            output::note(&format!("{} worker: landlock {status}", clock::now()));
            Ok(())
        }
        Err(message) => Err(CliError::new(Exit::Io, format!("cannot confine the worker: {message}"))),
    }
}

fn show_plan(prepared: &PreparedMerge, arguments: &MergeArguments) -> Result<(), CliError> {
    if arguments.json {
        return output::print_json(&PlanView::new(&prepared.plan));
    }
    output::print(&plan_view::text(&prepared.plan))?;
    if arguments.explain { output::print(&plan_view::explanation(&prepared.plan)) } else { Ok(()) }
}

fn merge_for_person(
    prepared: &PreparedMerge,
    output: &Path,
    publication: Publication,
    options: MergeOptions,
) -> Result<(), Failure> {
    let bar = BarControl::new(&prepared.plan.archive_name);
    let outcome = job::perform(prepared, output, publication, options, &bar);
    bar.clear();
    let (report, notices) = outcome?;
    for notice in &notices {
        let is_good = notice.severity == Severity::Info;
        output::note(&format!(
            "{} {}",
            output::paint(&format!("{:?}:", notice.severity), is_good),
            output::safe(&notice.description)
        ));
    }
    Ok(output::print(&format!(
        "{}: {}, {}{}\n{}",
        output::safe(&report.product.display().to_string()),
        output::count(report.hdus as u64, "HDU"),
        output::bytes(report.bytes),
        digest_text(&report),
        source_lines(&report)
    ))?)
}

fn merge_for_program(
    prepared: &PreparedMerge,
    output: &Path,
    publication: Publication,
    options: MergeOptions,
) -> Result<(), Failure> {
    let lines = JsonControl::default();
    let (report, notices) = lines.beating(|| job::perform(prepared, output, publication, options, &lines))?;
    log_for_people(&report, &notices);
    for notice in notices {
        output::print_json(&Message::Alert(notice))?;
    }
    Ok(output::print_json(&Message::Result(report))?)
}

/// What ends up in the DAQ's `logs/merge.log`.
fn log_for_people(report: &MergeReport, notices: &[Notice]) {
    for notice in notices {
        output::note(&format!("{} {:?} {}", clock::now(), notice.severity, output::safe(&notice.description)));
    }
    output::note(&format!(
        "{} merged {}, {} bytes{}",
        clock::now(),
        output::count(report.hdus as u64, "HDU"),
        report.bytes,
        digest_text(report)
    ));
    for source in &report.sources {
        output::note(&format!("{} source '{}', blake3 {}", clock::now(), output::safe(&source.source), source.digest));
    }
}

fn digest_text(report: &MergeReport) -> String {
    report.digest.as_ref().map_or_else(String::new, |digest| format!(", blake3 {digest}"))
}

fn source_lines(report: &MergeReport) -> String {
    let line = |source: &SourceReport| format!("source '{}': blake3 {}\n", output::safe(&source.source), source.digest);
    report.sources.iter().map(line).collect()
}

/// Tells progress as JSON lines.
#[derive(Default)]
struct JsonControl {
    /// When progress was last told, and what.
    told: Mutex<Option<(Instant, u64, u64)>>,
}

impl JsonControl {
    /// Does `work`, during which the last progress is repeated.
    fn beating<T>(&self, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let (end, ended) = mpsc::channel();
            scope.spawn(|| self.beat(ended));
            let outcome = work();
            drop(end);
            outcome
        })
    }

    /// Repeats the last progress until the sender goes: a long fsync is no hang, and whoever listens must hear that.
    fn beat(&self, ended: mpsc::Receiver<()>) {
        while ended.recv_timeout(HEARTBEAT) == Err(mpsc::RecvTimeoutError::Timeout) {
            let told = self.told.lock().ok().and_then(|told| *told);
            let (_, bytes_done, bytes_total) = told.unwrap_or((Instant::now(), 0, 0));
            // Whoever listens has gone: the product is still wanted.
            let _ = output::print_json(&Message::Progress { bytes_done, bytes_total });
        }
    }
}

impl Control for JsonControl {
    fn progress(&self, bytes_done: u64, bytes_total: u64) {
        let Ok(mut told) = self.told.lock() else { return };
        if told.is_some_and(|(at, ..)| at.elapsed() < PROGRESS_INTERVAL) {
            return;
        }
        *told = Some((Instant::now(), bytes_done, bytes_total));
        // Whoever listens has gone: the product is still wanted.
        let _ = output::print_json(&Message::Progress { bytes_done, bytes_total });
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}
