//! The dispatcher by its inputs and actions: no clock, no file, no task.

mod model;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::engine::action::{
    Action, Answer, EngineError, Input, MergedProduct, QueueRequest, StepFailure, StepOutcome,
};
use crate::engine::daq::InternalDaqStatus;
use crate::engine::dispatcher::Dispatcher;
use crate::engine::schedule::Limits;
use crate::engine::settings::{EngineSettings, RetryPolicy};
use crate::engine::state::Step;
use crate::merge::fingerprint::Fingerprint;
use crate::merge::report::Notice;
use crate::release::{Delivered, Method};
use crate::specification::validate;
use crate::status::{DaqStatus, Progress, Severity, SubState};
use crate::store::{Change, ProductRow, ReceiverRow, StoreError, StoreErrorKind};
use crate::transfer::Collected;
use crate::transfer::plan::CollectMode;

type Waiting<T> = oneshot::Receiver<Result<T, EngineError>>;

/// Small limits, three tries.
pub(in crate::engine) fn settings() -> EngineSettings {
    EngineSettings {
        limits: Limits { daqs: 4, transfers: 2, merges: 1, releases: 2 },
        collect: CollectMode::Reference,
        default_receivers: Vec::new(),
        local_hosts: Vec::new(),
        worker_program: "/bin/false".into(),
        worker_niceness: 0,
        merge: crate::merge::options::MergeOptions::default(),
        dictionaries: crate::dictionary::DictionarySettings::default(),
        retry: RetryPolicy { attempts: 3, first_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(60) },
        queue_length: 5,
    }
}

/// A request for a DAQ of one file.
pub(in crate::engine) fn request(id: &str, priority: i64, digest: &str) -> QueueRequest {
    let text = serde_json::json!({
        "id": id, "priority": priority, "target": {"fileId": format!("F.{id}")},
        "sources": [{"type": "fitsFile", "sourceName": "a", "location": "/a.fits"}],
    })
    .to_string();
    let specification = Arc::new(validate::parse(&text).unwrap());
    QueueRequest { text: text.into(), specification, digest: digest.to_owned(), root: None, user: None }
}

fn store_error(kind: StoreErrorKind) -> StoreError {
    StoreError { action: "change", path: "state.db".into(), kind }
}

fn merged() -> StepOutcome {
    let product = ProductRow { bytes: 2880, digest: "d".to_owned() };
    StepOutcome::Merged(MergedProduct { product, hdus: 1, source_digests: Vec::new() })
}

/// A file that came into the DAQ's folder.
fn copied() -> StepOutcome {
    let fingerprint = Fingerprint { device: 1, inode: 2, bytes: 3, modified_ns: 4, changed_ns: 5 };
    let path = "/w/daq/A/sources/0000-a".into();
    StepOutcome::Collected(vec![Collected { ordinal: 0, path, fingerprint, bytes: 3, digest: None, referenced: false }])
}

fn released() -> StepOutcome {
    StepOutcome::Released { product: "/w/products/F.fits".into() }
}

fn failed(transient: bool) -> StepFailure {
    StepFailure::Failed { alert: "FailedOperation:merging".to_owned(), description: "no".to_owned(), transient }
}

/// What an action is, in short.
fn shown(action: &Action) -> String {
    match action {
        Action::Insert(new) => format!("insert {}", new.id),
        Action::Save { id, .. } => format!("save {id}"),
        Action::Start(request) => format!("{} {}", request.step.verb(), request.id),
        Action::Cancel { id } => format!("cancel {id}"),
        Action::Remove(request) => format!("remove {}", request.id),
        Action::CleanUp { id } => format!("clean {id}"),
        Action::Publish(status) => format!("{} {}", status.sub_state, status.id),
    }
}

/// A dispatcher and the time.
struct Rig {
    dispatcher: Dispatcher,
    now: Timestamp,
}

impl Rig {
    fn new() -> Rig {
        Rig { dispatcher: Dispatcher::new(settings(), Vec::new()), now: Timestamp::UNIX_EPOCH }
    }

    fn handle(&mut self, input: Input) -> Vec<String> {
        self.dispatcher.handle(input, self.now).iter().map(shown).collect()
    }

    /// Hands in an input; its actions, without the publications, must be as expected.
    fn check(&mut self, input: Input, expected: &[&str]) {
        let shown = format!("{input:?}");
        let states: Vec<&str> = SubState::ALL.iter().map(|state| state.as_str()).collect();
        let mut actions = self.handle(input);
        actions.retain(|action| states.iter().all(|state| !action.starts_with(state)));
        assert_eq!(actions, expected, "{shown}");
    }

    fn ask<T>(&mut self, input: impl FnOnce(Answer<T>) -> Input, expected: &[&str]) -> Waiting<T> {
        let (answer, waiting) = oneshot::channel();
        self.check(input(answer), expected);
        waiting
    }

    fn queue(&mut self, id: &str, expected: &[&str]) -> Waiting<()> {
        let request = request(id, 0, "digest");
        self.ask(|answer| Input::Queue { request, answer }, expected)
    }

    fn abort(&mut self, id: &str, expected: &[&str]) -> Waiting<()> {
        self.ask(|answer| Input::Abort { id: id.to_owned(), answer }, expected)
    }

    fn retry(&mut self, id: &str, expected: &[&str]) -> Waiting<()> {
        self.ask(|answer| Input::Retry { id: id.to_owned(), answer }, expected)
    }

    fn inserted(&mut self, id: &str, expected: &[&str]) {
        self.check(Input::Inserted { id: id.parse().unwrap(), outcome: Ok(()) }, expected);
    }

    fn saved(&mut self, id: &str, expected: &[&str]) {
        self.check(Input::Saved { id: id.parse().unwrap(), outcome: Ok(()) }, expected);
    }

    fn ended(&mut self, id: &str, outcome: Result<StepOutcome, StepFailure>, expected: &[&str]) {
        self.check(Input::StepEnded { id: id.parse().unwrap(), outcome }, expected);
    }

    fn removed(&mut self, id: &str, outcome: Result<(), String>, expected: &[&str]) {
        self.check(Input::Removed { id: id.parse().unwrap(), outcome }, expected);
    }

    /// Queues `id` and brings it into `step`, running.
    fn bring(&mut self, id: &str, step: Step) {
        let waiting = self.queue(id, &[&format!("insert {id}")]);
        self.inserted(id, &[&format!("collecting {id}")]);
        answered(waiting).unwrap();
        for (at, outcome) in [(Step::Collect, copied()), (Step::Merge, merged())] {
            if at == step {
                return;
            }
            self.ended(id, Ok(outcome), &[&format!("save {id}")]);
            let next = if at == Step::Collect { Step::Merge } else { Step::Release };
            self.saved(id, &[&format!("{} {id}", next.verb())]);
        }
    }

    fn status(&mut self, id: &str) -> DaqStatus {
        self.dispatcher.status(id).unwrap()
    }

    fn internal(&mut self, id: &str) -> InternalDaqStatus {
        self.dispatcher.internal(id).unwrap()
    }

    fn run(&mut self, id: &str) -> String {
        self.internal(id).run
    }

    /// The receivers of A: state, path, method, tries, error.
    fn receivers(&mut self) -> Vec<String> {
        let show = |row: ReceiverRow| {
            let error = row.last_error.unwrap_or_default();
            format!("{} {} {} {} {error}", row.state, row.path, row.method, row.attempts)
        };
        self.internal("A").receivers.into_iter().map(show).collect()
    }

    /// A delivery of A by copy, or one that was there already.
    fn delivered(&mut self, ordinal: usize, outcome: Result<(&str, bool), &str>) {
        let delivered = outcome
            .map(|(path, already_there)| Delivered { path: path.into(), method: Method::Copy, already_there })
            .map_err(str::to_owned);
        self.check(Input::Delivered { id: "A".parse().unwrap(), ordinal, delivered }, &["save A"]);
    }

    fn pass(&mut self, seconds: i64, expected: &[&str]) {
        self.now += Duration::from_secs(seconds.unsigned_abs());
        self.check(Input::Tick, expected);
    }
}

/// The answer, which must have been sent by now.
fn answered<T: std::fmt::Debug>(mut waiting: Waiting<T>) -> Result<T, EngineError> {
    waiting.try_recv().expect("an answer was sent")
}

fn is_waiting<T>(waiting: &mut Waiting<T>) -> bool {
    matches!(waiting.try_recv(), Err(oneshot::error::TryRecvError::Empty))
}

#[test]
fn a_quiet_life() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Release);
    rig.ended("A", Ok(released()), &["save A"]);
    assert_eq!(rig.status("A").result, "/w/products/F.fits");
    rig.saved("A", &["clean A"]);
    assert!(matches!(rig.dispatcher.status("A"), Err(EngineError::UnknownDaq { .. })));
}

#[test]
fn nothing_starts_and_nobody_is_answered_before_it_is_on_disk() {
    let mut rig = Rig::new();
    let mut first = rig.queue("A", &["insert A"]);
    rig.pass(1, &[]);
    let second = rig.queue("A", &[]);
    assert!(is_waiting(&mut first));
    rig.inserted("A", &["collecting A"]);
    answered(first).unwrap();
    answered(second).unwrap();
    rig.ended("A", Ok(copied()), &["save A"]);
    rig.pass(1, &[]);
    rig.saved("A", &["merging A"]);
}

/// Files that stay where they are need no commit of their own: a crash costs another look at them.
#[test]
fn what_was_collected_by_reference_is_saved_with_the_merge() {
    let mut rig = Rig::new();
    let mut request = request("A", 0, "digest");
    let source = serde_json::json!({"type": "fitsFile", "sourceName": "a", "location": "/a.fits"});
    let text = serde_json::json!({"id": "A", "sources": [source], "target": {"fileId": "F"}});
    request.specification = Arc::new(validate::parse(&text.to_string()).unwrap());
    let _queued = rig.ask(|answer| Input::Queue { request, answer }, &["insert A"]);
    rig.inserted("A", &["collecting A"]);
    let StepOutcome::Collected(mut files) = copied() else { unreachable!() };
    files[0].referenced = true;
    let tell = Input::Collected { id: "A".parse().unwrap(), ordinal: 0, collected: Ok(files[0].clone()) };
    rig.check(tell, &[]);
    rig.ended("A", Ok(StepOutcome::Collected(files)), &["merging A"]);
    let outcome = Ok(merged());
    let actions = rig.dispatcher.handle(Input::StepEnded { id: "A".parse().unwrap(), outcome }, rig.now);
    let [Action::Save { changes, .. }] = &actions[..] else { panic!("{actions:?}") };
    let [Change::PutStep { row, .. }, Change::SetStatus { .. }] = &changes[..] else { panic!("{changes:?}") };
    assert_eq!((row.kind.as_str(), row.state.as_str()), ("reference", "done"));
}

/// Who queues a DAQ says that its files are complete; one that was written later may not be.
#[test]
fn a_file_that_was_changed_after_the_daq_was_queued_is_suspicious() {
    for (after_ns, expected) in [(0, vec![]), (1, vec!["SuspiciousTimestamp:a".to_owned()])] {
        let mut rig = Rig::new();
        let _queued = rig.queue("A", &["insert A"]);
        rig.inserted("A", &["collecting A"]);
        let StepOutcome::Collected(mut files) = copied() else { unreachable!() };
        files[0].referenced = true;
        files[0].fingerprint.modified_ns = rig.now.as_nanosecond() + after_ns;
        let ended = Input::StepEnded { id: "A".parse().unwrap(), outcome: Ok(StepOutcome::Collected(files)) };
        let actions = rig.dispatcher.handle(ended, rig.now);
        let status = actions.iter().find_map(|action| match action {
            Action::Publish(status) => Some(status),
            _ => None,
        });
        let ids: Vec<String> = status.unwrap().alerts.iter().map(|alert| alert.id.clone()).collect();
        assert_eq!(ids, expected, "{after_ns} ns later");
    }
}

#[test]
fn what_cannot_be_inserted_is_refused_to_all_who_asked() {
    let mut rig = Rig::new();
    let (queued, again) = (rig.queue("A", &["insert A"]), rig.queue("A", &[]));
    let aborting = rig.abort("A", &[]);
    let late = rig.queue("A", &[]);
    let outcome = Err(store_error(StoreErrorKind::Overloaded));
    rig.check(Input::Inserted { id: "A".parse().unwrap(), outcome }, &[]);
    for waiting in [queued, again, late] {
        assert!(matches!(answered(waiting), Err(EngineError::Store(_))));
    }
    // Its client was told that dpm is stopping.
    assert!(matches!(answered(aborting), Err(EngineError::UnknownDaq { .. })));
    rig.queue("A", &["insert A"]);
}

#[test]
fn the_same_id_is_the_same_daq_or_refused() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Merge);
    answered(rig.queue("A", &[])).unwrap();
    let other = request("A", 0, "another digest");
    let refused = rig.ask(|answer| Input::Queue { request: other, answer }, &[]);
    assert!(matches!(answered(refused), Err(EngineError::DuplicateDaq { .. })));
}

#[test]
fn a_full_queue_is_busy() {
    let mut rig = Rig::new();
    let waiting: Vec<Waiting<()>> =
        ["A", "B", "C", "D", "E"].iter().map(|id| rig.queue(id, &[&format!("insert {id}")])).collect();
    assert!(matches!(answered(rig.queue("F", &[])), Err(EngineError::Busy { active: 5 })));
    drop(waiting);
}

#[test]
fn priority_first_then_arrival_within_the_limits() {
    let mut rig = Rig::new();
    rig.check(Input::SetLimits(Limits { daqs: 1, ..settings().limits }), &[]);
    let mut waiting = vec![rig.queue("A", &["insert A"])];
    rig.inserted("A", &["collecting A"]);
    for (id, priority) in [("B", 0), ("C", 7), ("D", 0)] {
        let request = request(id, priority, "digest");
        waiting.push(rig.ask(|answer| Input::Queue { request, answer }, &[&format!("insert {id}")]));
        rig.inserted(id, &[]);
    }
    let active = rig.dispatcher.active();
    assert_eq!(active.iter().map(|status| status.id.as_str()).collect::<Vec<_>>(), ["C", "A", "B", "D"]);
    rig.check(Input::SetLimits(Limits { daqs: 2, ..settings().limits }), &["collecting C"]);
    rig.check(
        Input::SetLimits(Limits { daqs: 0, transfers: 0, merges: 0, releases: 0 }),
        &["collecting B", "collecting D"],
    );
}

/// While the end of a step was on its way to the disk, its DAQ did not count, and one more was begun.
#[test]
fn a_daq_that_waits_for_the_disk_keeps_its_slot() {
    let mut rig = Rig::new();
    rig.check(Input::SetLimits(Limits { daqs: 1, ..settings().limits }), &[]);
    let _waiting = rig.queue("B", &["insert B"]);
    rig.bring("A", Step::Collect);
    rig.inserted("B", &[]);
    rig.ended("A", Ok(copied()), &["save A"]);
    rig.pass(1, &[]);
    rig.saved("A", &["merging A"]);
}

/// A worker that was being killed did not count, and one more than allowed ran beside it.
#[test]
fn a_step_that_is_being_stopped_keeps_its_slot() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Merge);
    rig.bring("B", Step::Collect);
    rig.ended("B", Ok(copied()), &["save B"]);
    rig.saved("B", &[]);
    let _aborting = rig.abort("A", &["save A", "cancel A"]);
    rig.saved("A", &[]);
    rig.ended("A", Err(StepFailure::Cancelled), &["remove A", "merging B"]);
}

#[test]
fn failures_that_may_pass_are_tried_again_then_parked_and_retried_on_request() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Merge);
    for pause in [1, 2] {
        rig.ended("A", Err(failed(true)), &["save A"]);
        assert!(!rig.status("A").error);
        assert_eq!(rig.status("A").alerts[0].id, "TransferRetrying");
        rig.saved("A", &[]);
        rig.pass(pause - 1, &[]);
        assert_eq!(rig.run("A"), "pausing");
        rig.pass(1, &["merging A"]);
    }
    rig.ended("A", Err(failed(true)), &["save A"]);
    rig.saved("A", &[]);
    rig.pass(1000, &[]);
    let status = rig.status("A");
    assert_eq!((status.sub_state, status.error, rig.run("A").as_str()), (SubState::Merging, true, "parked"));
    let alerts: Vec<(&str, Severity)> = status.alerts.iter().map(|alert| (alert.id.as_str(), alert.severity)).collect();
    assert_eq!(alerts, [("FailedOperation:merging", Severity::Error)]);
    let mut retried = rig.retry("A", &["save A"]);
    assert!(!rig.status("A").error);
    assert!(matches!(answered(rig.retry("A", &[])), Err(EngineError::WrongState { .. })));
    assert!(is_waiting(&mut retried));
    rig.saved("A", &["merging A"]);
    answered(retried).unwrap();
    rig.ended("A", Err(failed(false)), &["save A"]);
    assert!(rig.status("A").error);
}

#[test]
fn a_full_disk_is_a_warning_while_it_is_waited_for() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Merge);
    let full =
        || StepFailure::Failed { alert: "LowStorage".to_owned(), description: "full".to_owned(), transient: true };
    rig.ended("A", Err(full()), &["save A"]);
    assert_eq!((rig.status("A").alerts[0].id.as_str(), rig.status("A").error), ("LowStorage", false));
    rig.saved("A", &[]);
    rig.pass(1, &["merging A"]);
    rig.ended("A", Ok(merged()), &["save A"]);
    assert_eq!(rig.status("A").alerts, []);
}

/// A source that changed at each merge was collected and merged again without pause and without end, because the
/// step after the repeated one counted its tries from zero.
#[test]
fn falling_back_ends() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Merge);
    let changed = || StepFailure::FellBack { to: Step::Collect, description: "it changed".to_owned() };
    for pause in [1, 2] {
        rig.ended("A", Err(changed()), &["save A"]);
        assert_eq!(rig.status("A").sub_state, SubState::Collecting);
        rig.saved("A", &[]);
        rig.pass(pause, &["collecting A"]);
        rig.ended("A", Ok(copied()), &["save A"]);
        rig.saved("A", &["merging A"]);
    }
    rig.ended("A", Err(changed()), &["save A"]);
    rig.saved("A", &[]);
    assert_eq!((rig.status("A").error, rig.run("A").as_str()), (true, "parked"));
    let retried = rig.retry("A", &["save A"]);
    rig.saved("A", &["merging A"]);
    answered(retried).unwrap();
    rig.ended("A", Err(changed()), &["save A"]);
    assert!(!rig.status("A").error, "a retry gives the tries back");
}

/// That a source had changed could not be told from any other failure that is tried again.
#[test]
fn a_source_that_changed_is_told_while_it_is_collected_again() {
    let alerts = |rig: &mut Rig| -> Vec<(String, Severity)> {
        rig.status("A").alerts.into_iter().map(|alert| (alert.id, alert.severity)).collect()
    };
    let warned = [("SourceChanged".to_owned(), Severity::Warning)];
    for step in [Step::Collect, Step::Merge] {
        let parked = "FailedOperation:merging".to_owned();
        let changed = || StepFailure::SourceChanged { alert: parked.clone(), description: "it changed".to_owned() };
        let mut rig = Rig::new();
        rig.bring("A", step);
        rig.ended("A", Err(changed()), &["save A"]);
        assert_eq!((rig.status("A").sub_state, alerts(&mut rig).as_slice()), (SubState::Collecting, &warned[..]));
        rig.saved("A", &[]);
        rig.pass(1, &["collecting A"]);
        assert_eq!(alerts(&mut rig), warned);
        rig.ended("A", Err(changed()), &["save A"]);
        rig.saved("A", &[]);
        rig.pass(100, &["collecting A"]);
        rig.ended("A", Ok(copied()), &["save A"]);
        assert_eq!(alerts(&mut rig), []);
        rig.saved("A", &["merging A"]);
    }
    let mut rig = Rig::new();
    rig.bring("A", Step::Collect);
    let alert = "SourceCollectionError:a".to_owned();
    for pause in [1, 2, 0] {
        let changed = StepFailure::SourceChanged { alert: alert.clone(), description: "it changed".to_owned() };
        rig.ended("A", Err(changed), &["save A"]);
        rig.saved("A", &[]);
        let expected: &[&str] = if pause > 0 { &["collecting A"] } else { &[] };
        rig.pass(pause, expected);
    }
    assert_eq!(alerts(&mut rig), [(alert, Severity::Error)]);
}

#[test]
fn notices_and_progress_belong_to_the_running_step() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Merge);
    let id = || "A".parse().unwrap();
    let notice = |id: &str| Notice { id: id.to_owned(), severity: Severity::Warning, description: String::new() };
    rig.check(Input::Noticed { id: id(), notice: notice("UnmergedData:a") }, &[]);
    rig.check(Input::Noticed { id: id(), notice: notice("UnmergedData:a") }, &[]);
    let progress = Progress { bytes_done: 5, ..Progress::default() };
    rig.check(Input::Progressed { id: id(), progress: progress.clone() }, &[]);
    assert_eq!((rig.status("A").alerts.len(), rig.status("A").progress.bytes_done), (1, 5));
    rig.ended("A", Err(failed(true)), &["save A"]);
    rig.check(Input::Progressed { id: id(), progress }, &[]);
    rig.check(Input::Noticed { id: id(), notice: notice("late") }, &[]);
    assert_eq!((rig.status("A").alerts.len(), rig.status("A").progress.bytes_done), (2, 0));
    rig.saved("A", &[]);
    rig.pass(1, &["merging A"]);
    let alerts = rig.status("A").alerts;
    assert_eq!(alerts.iter().map(|alert| alert.id.as_str()).collect::<Vec<_>>(), ["TransferRetrying"]);
    for count in 0..2000 {
        rig.check(Input::Noticed { id: id(), notice: notice(&format!("n{count}")) }, &[]);
    }
    assert!(rig.status("A").alerts.len() <= crate::engine::daq::ALERTS_MAX);
}

fn check_aborted(mut rig: Rig, waiting: Vec<Waiting<()>>) {
    rig.removed("A", Ok(()), &["save A"]);
    let late = rig.abort("A", &[]);
    rig.saved("A", &[]);
    for waiting in waiting.into_iter().chain([late]) {
        answered(waiting).unwrap();
    }
    assert!(matches!(answered(rig.abort("A", &[])), Err(EngineError::UnknownDaq { .. })));
    assert!(!rig.dispatcher.is_stopped());
    rig.check(Input::Stop, &[]);
    assert!(rig.dispatcher.is_stopped());
}

#[test]
fn abort_in_the_queue_and_at_rest() {
    let mut rig = Rig::new();
    rig.check(Input::SetLimits(Limits { transfers: 1, ..settings().limits }), &[]);
    rig.bring("B", Step::Collect);
    let _queued = rig.queue("A", &["insert A"]);
    rig.inserted("A", &[]);
    let first = rig.abort("A", &["save A"]);
    rig.saved("A", &["remove A"]);
    // The removal runs: another one beside it was started.
    let second = rig.abort("A", &[]);
    rig.ended("B", Err(failed(false)), &["save B"]);
    rig.saved("B", &[]);
    let other = rig.abort("B", &["save B"]);
    rig.saved("B", &["remove B"]);
    rig.removed("B", Ok(()), &["save B"]);
    rig.saved("B", &[]);
    answered(other).unwrap();
    check_aborted(rig, vec![first, second]);
}

/// It was removed at once; where its insertion then failed, the ends of removal and save met the next DAQ of that id.
#[test]
fn abort_before_it_is_on_disk_waits_for_that() {
    let mut rig = Rig::new();
    let mut queued = rig.queue("A", &["insert A"]);
    let abort = rig.abort("A", &[]);
    let mut again = rig.queue("A", &[]);
    assert!(is_waiting(&mut queued) && is_waiting(&mut again));
    rig.inserted("A", &["save A"]);
    answered(queued).unwrap();
    answered(again).unwrap();
    rig.saved("A", &["remove A"]);
    check_aborted(rig, vec![abort]);
}

#[test]
fn abort_of_a_busy_daq_stops_its_step_first() {
    for step in [Step::Collect, Step::Merge, Step::Release] {
        for outcome in [Err(StepFailure::Cancelled), Err(failed(true)), Ok(merged())] {
            let mut rig = Rig::new();
            rig.bring("A", step);
            let first = rig.abort("A", &["save A", "cancel A"]);
            let second = rig.abort("A", &[]);
            rig.saved("A", &[]);
            rig.ended("A", outcome, &["remove A"]);
            check_aborted(rig, vec![first, second]);
        }
    }
}

/// The end of the step was in the queue when the abort came: the receivers had it, and nothing told so.
#[test]
fn abort_that_comes_too_late_for_the_receivers_says_so() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Release);
    let waiting = rig.abort("A", &["save A", "cancel A"]);
    rig.ended("A", Ok(released()), &[]);
    rig.saved("A", &["remove A"]);
    drop(waiting);

    let mut rig = releasing();
    let waiting = rig.abort("A", &["save A", "cancel A"]);
    rig.delivered(0, Ok(("/archive/F.fits", false)));
    rig.ended("A", Ok(released()), &[]);
    let status = rig.status("A");
    assert_eq!((status.alerts[0].id.as_str(), status.error), ("DeliveredBeforeAbort", false));
    assert!(status.alerts[0].description.contains("/archive/F.fits"));
    rig.saved("A", &[]);
    rig.saved("A", &["remove A"]);
    check_aborted(rig, vec![waiting]);
}

/// A DAQ with two receivers, being released.
fn releasing() -> Rig {
    let mut rig = Rig::new();
    let text = serde_json::json!({
        "id": "A", "sources": [], "target": {"fileId": "F"},
        "receivers": [{"type": "folderReceiver", "path": "/archive"}, {"type": "folderReceiver", "path": "/pipeline"}],
    });
    let mut request = request("A", 0, "digest");
    request.specification = Arc::new(validate::parse(&text.to_string()).unwrap());
    let _queued = rig.ask(|answer| Input::Queue { request, answer }, &["insert A"]);
    rig.inserted("A", &["collecting A"]);
    rig.ended("A", Ok(copied()), &["save A"]);
    rig.saved("A", &["merging A"]);
    rig.ended("A", Ok(merged()), &["save A"]);
    rig.saved("A", &["releasing A"]);
    rig
}

/// One receiver had the product, the other refused it, and the abort of the parked DAQ told nobody what stays.
#[test]
fn abort_after_a_partial_release_names_who_has_the_product() {
    let mut rig = releasing();
    rig.delivered(0, Ok(("/archive/F.fits", false)));
    rig.delivered(1, Err("refused"));
    rig.ended("A", Err(failed(false)), &["save A"]);
    for _ in 0..3 {
        rig.saved("A", &[]);
    }
    assert_eq!(rig.receivers(), ["delivered /archive/F.fits copy 1 ", "failed   1 refused"]);
    let _retried = rig.retry("A", &["save A"]);
    rig.saved("A", &["releasing A"]);
    rig.delivered(0, Ok(("/archive/F.fits", true)));
    rig.saved("A", &[]);
    rig.delivered(1, Err("refused"));
    rig.saved("A", &[]);
    rig.ended("A", Err(failed(false)), &["save A"]);
    rig.saved("A", &[]);
    assert_eq!(rig.receivers(), ["delivered /archive/F.fits copy 2 ", "failed   2 refused"]);
    let waiting = rig.abort("A", &["save A"]);
    let alerts = rig.status("A").alerts;
    assert_eq!(
        (alerts.len(), alerts[0].id.as_str(), alerts[0].severity),
        (1, "DeliveredBeforeAbort", Severity::Warning)
    );
    assert!(alerts[0].description.ends_with(": /archive/F.fits (folderReceiver /archive)"), "{alerts:?}");
    rig.saved("A", &["remove A"]);
    check_aborted(rig, vec![waiting]);
}

/// The journal was empty until every file was there, and said of each that it had come at the first try.
#[test]
fn the_journal_tells_of_each_file_as_it_is_tried() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Collect);
    let steps = |rig: &mut Rig| -> Vec<(String, i64, Option<String>)> {
        rig.internal("A").steps.into_iter().map(|row| (row.state, row.attempts, row.last_error)).collect()
    };
    let fingerprint = Fingerprint { device: 1, inode: 2, bytes: 3, modified_ns: 4, changed_ns: 5 };
    let done = Collected { ordinal: 0, path: "/a".into(), fingerprint, bytes: 3, digest: None, referenced: true };
    let tell = |rig: &mut Rig, ordinal: usize, collected: Result<Collected, String>| {
        rig.check(Input::Collected { id: "A".parse().unwrap(), ordinal, collected }, &[]);
    };
    tell(&mut rig, 7, Ok(done.clone()));
    tell(&mut rig, 0, Err("gone".to_owned()));
    assert_eq!(steps(&mut rig), [("failed".to_owned(), 1, Some("gone".to_owned()))]);
    rig.ended("A", Err(failed(true)), &["save A"]);
    tell(&mut rig, 0, Ok(done.clone()));
    assert_eq!(steps(&mut rig)[0].1, 1, "no step runs");
    rig.saved("A", &[]);
    rig.pass(1, &["collecting A"]);
    tell(&mut rig, 0, Ok(done));
    assert_eq!(steps(&mut rig), [("done".to_owned(), 2, None)]);
    rig.check(Input::Stop, &["cancel A"]);
    // What was done is kept for the next start.
    rig.ended("A", Err(StepFailure::Cancelled), &["save A"]);
}

#[test]
fn abort_after_the_end_is_refused() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Release);
    rig.ended("A", Ok(released()), &["save A"]);
    assert!(matches!(answered(rig.abort("A", &[])), Err(EngineError::WrongState { .. })));
    rig.saved("A", &["clean A"]);
}

#[test]
fn a_failed_abort_stays_and_may_be_repeated() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Merge);
    let first = rig.abort("A", &["save A", "cancel A"]);
    rig.ended("A", Err(StepFailure::Cancelled), &[]);
    rig.saved("A", &["remove A"]);
    rig.removed("A", Err("a mount is gone".to_owned()), &["save A"]);
    assert!(matches!(answered(first), Err(EngineError::AbortFailed { .. })));
    rig.saved("A", &[]);
    let status = rig.status("A");
    assert_eq!((status.sub_state, status.error), (SubState::Aborting, true));
    let second = rig.abort("A", &["remove A"]);
    rig.removed("A", Ok(()), &["save A"]);
    // The alert of the first try is gone; the end is told once it is on disk.
    assert_eq!((rig.status("A").sub_state, rig.status("A").error), (SubState::Aborting, false));
    rig.saved("A", &[]);
    answered(second).unwrap();
}

/// A DAQ whose state the store refused for good stood still without a word, its abort was never answered, and the
/// engine waited for it when it was told to stop.
#[test]
fn a_state_that_can_never_be_saved_is_told() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Collect);
    rig.ended("A", Ok(copied()), &["save A"]);
    let refuse = || Err(store_error(StoreErrorKind::Closed));
    rig.check(Input::Saved { id: "A".parse().unwrap(), outcome: refuse() }, &[]);
    assert!(rig.status("A").error);
    assert!(matches!(answered(rig.retry("A", &[])), Err(EngineError::WrongState { .. })));
    // Nothing is removed for an abort that is not on disk.
    let waiting = rig.abort("A", &["save A"]);
    rig.check(Input::Saved { id: "A".parse().unwrap(), outcome: refuse() }, &[]);
    assert!(matches!(answered(waiting), Err(EngineError::Store(_))));
    rig.check(Input::Stop, &[]);
    assert!(rig.dispatcher.is_stopped());
}

/// A retry was answered before it was on disk: after a crash the DAQ was parked again, and nobody knew.
#[test]
fn a_retry_that_cannot_be_saved_is_refused() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Merge);
    rig.ended("A", Err(failed(false)), &["save A"]);
    // The save of the failure is still on its way: its end is not that of the retry.
    let mut retried = rig.retry("A", &["save A"]);
    rig.saved("A", &[]);
    assert!(is_waiting(&mut retried));
    let outcome = Err(store_error(StoreErrorKind::Closed));
    rig.check(Input::Saved { id: "A".parse().unwrap(), outcome }, &[]);
    assert!(matches!(answered(retried), Err(EngineError::Store(_))));
}

#[test]
fn stop_cancels_what_runs_and_waits_for_it() {
    let mut rig = Rig::new();
    rig.bring("A", Step::Merge);
    let _queued = rig.queue("B", &["insert B"]);
    rig.check(Input::Stop, &["cancel A"]);
    assert!(!rig.dispatcher.is_stopped());
    assert!(matches!(answered(rig.queue("C", &[])), Err(EngineError::Stopping)));
    rig.inserted("B", &[]);
    rig.ended("A", Err(StepFailure::Cancelled), &[]);
    assert!(rig.dispatcher.is_stopped());
    assert_eq!((rig.status("A").sub_state, rig.run("A").as_str()), (SubState::Merging, "waiting"));
    rig.pass(100, &[]);
}

#[test]
fn inputs_of_daqs_that_are_gone_change_nothing() {
    let mut rig = Rig::new();
    let id = || "A".parse().unwrap();
    rig.inserted("A", &[]);
    rig.saved("A", &[]);
    rig.removed("A", Ok(()), &[]);
    rig.ended("A", Ok(merged()), &[]);
    rig.check(Input::Progressed { id: id(), progress: Progress::default() }, &[]);
    for unknown in ["A", "../etc", ""] {
        assert!(matches!(answered(rig.abort(unknown, &[])), Err(EngineError::UnknownDaq { .. })));
        assert!(matches!(answered(rig.retry(unknown, &[])), Err(EngineError::UnknownDaq { .. })));
    }
}
