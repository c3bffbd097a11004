//! What the beginning and the end of a step mean for its DAQ: stage, alerts, rows to save.
//!
//! Pure, as all of the dispatcher, whose hand this is.

use std::sync::Arc;

use jiff::Timestamp;

use crate::engine::action::{Action, Answer, EngineError, MergedProduct, RemovalRequest, StepOutcome, StepRequest};
use crate::engine::daq::{Activity, Daq, LOW_STORAGE_ALERT};
use crate::engine::settings::{EngineSettings, RetryPolicy};
use crate::engine::state::{Event, Run, Stage, Step};
use crate::merge::report::Notice;
use crate::release::{self, Delivered};
use crate::specification::model::{FileInput, Receiver, Specification};
use crate::status::{Progress, Severity, SubState, with_causes};
use crate::store::{Change, ReceiverRow, StepRow, StoreError};
use crate::transfer::Collected;

/// The state of a DAQ cannot be kept.
const UNSAVED_ALERT: &str = "FailedOperation:saving";
/// A DAQ was aborted after its product had been delivered.
const DELIVERED_ALERT: &str = "DeliveredBeforeAbort";

/// Moves the stage; an event that makes no sense leaves it, and is told in the log.
pub(crate) fn advance(daq: &mut Daq, event: Event) -> bool {
    match daq.stage.clone().advance(event) {
        Ok(stage) => {
            daq.stage = stage;
            true
        }
        Err(refused) => {
            tracing::warn!(id = %daq.id, "{refused}");
            false
        }
    }
}

/// Failed tries of the running step.
pub(crate) fn attempts(stage: &Stage) -> u32 {
    match stage {
        Stage::At { run: Run::Running { attempt }, .. } => *attempt,
        _ => 0,
    }
}

/// Has the status of a DAQ saved, together with the rows that were not.
pub(crate) fn save(daq: &mut Daq, actions: &mut Vec<Action>) {
    let mut changes = std::mem::take(&mut daq.unsaved);
    changes.push(daq.save());
    daq.saves_pending += 1;
    actions.push(Action::Save { id: daq.id.clone(), changes });
}

/// Begins an abort, or tries again the removal that failed: a running step is stopped first, and its end brings the
/// removal.
pub(crate) fn abort(daq: &mut Daq, now: Timestamp, actions: &mut Vec<Action>) {
    if !matches!(daq.stage, Stage::Aborting | Stage::Aborted) {
        advance(daq, Event::AbortRequested);
        daq.withdraw_failures();
        daq.progress = Progress::default();
        daq.note("aborting", now);
        tell_deliveries(daq, now);
        save(daq, actions);
        if let Activity::Step(_) = daq.activity {
            actions.push(Action::Cancel { id: daq.id.clone() });
        }
    }
    remove_if_due(daq, actions);
    if daq.stage == Stage::Aborted && daq.saves_pending == 0 {
        // Its end could not be saved.
        save(daq, actions);
    }
}

/// Starts the removal for a client that waits for it, once no step runs and the abort itself is on disk: a DAQ that a
/// crash brings back as it was must find its files, of which those handed over are nowhere else.
pub(crate) fn remove_if_due(daq: &mut Daq, actions: &mut Vec<Action>) {
    let is_wanted = daq.stage == Stage::Aborting && !daq.abort_answers.is_empty();
    if is_wanted && daq.activity == Activity::Idle && daq.saves_pending == 0 {
        remove(daq, actions);
    }
}

/// Starts the removal of everything that an aborting DAQ has in the workspace.
pub(crate) fn remove(daq: &mut Daq, actions: &mut Vec<Action>) {
    daq.activity = Activity::Removing;
    actions.push(Action::Remove(Box::new(RemovalRequest {
        id: daq.id.clone(),
        specification: daq.specification.clone(),
        root: daq.root.clone(),
        product: daq.product.clone(),
    })));
}

/// Sends an answer.
pub(crate) fn reply<T>(answer: Answer<T>, outcome: Result<T, EngineError>) {
    // A client that has gone away needs no answer; its request stands.
    let _ = answer.send(outcome);
}

/// Starts the next step of a DAQ.
pub(crate) fn start(daq: &mut Daq, settings: &EngineSettings, now: Timestamp, actions: &mut Vec<Action>) {
    if !advance(daq, Event::Started) {
        return;
    }
    let Some(step) = daq.stage.running_step() else { return };
    daq.activity = Activity::Step(step);
    if step == Step::Merge {
        daq.withdraw_merge_notices();
    }
    daq.progress = Progress { step: step.verb().to_owned(), ..Progress::default() };
    daq.note(step.verb(), now);
    if daq.specification.receivers.is_empty() && !settings.default_receivers.is_empty() {
        daq.specification = with_receivers(&daq.specification, &settings.default_receivers);
    }
    actions.push(Action::Publish(Box::new(daq.status())));
    actions.push(Action::Start(Box::new(StepRequest {
        id: daq.id.clone(),
        step,
        text: daq.text.clone(),
        specification: daq.specification.clone(),
        root: daq.root.clone(),
        inputs: daq.inputs.clone(),
        product: daq.product.clone(),
        prove_product: daq.prove_product,
    })));
}

fn with_receivers(specification: &Specification, receivers: &[Receiver]) -> Arc<Specification> {
    let mut specification = specification.clone();
    specification.receivers = receivers.to_vec();
    Arc::new(specification)
}

/// A step failed: it is tried again at `retry_at`, with the alert `passing`, or the DAQ waits for a person.
pub(crate) fn fail(
    daq: &mut Daq,
    (alert, description): (String, String),
    passing: &str,
    retry_at: Option<Timestamp>,
    now: Timestamp,
    actions: &mut Vec<Action>,
) {
    if !advance(daq, Event::Failed { retry_at }) {
        return;
    }
    let notice = match retry_at {
        Some(_) if alert == LOW_STORAGE_ALERT => {
            Notice { id: alert, severity: Severity::Warning, description: description.clone() }
        }
        Some(at) => Notice {
            id: passing.to_owned(),
            severity: Severity::Warning,
            description: format!("{description}; tried again at {at}"),
        },
        None => {
            daq.withdraw_failures();
            Notice { id: alert, severity: Severity::Error, description: description.clone() }
        }
    };
    match retry_at {
        Some(_) => tracing::warn!(id = %daq.id, alert = notice.id, "{}", notice.description),
        None => tracing::error!(id = %daq.id, alert = notice.id, "parked: {}", notice.description),
    }
    daq.raise(notice, now);
    daq.note(description, now);
    save(daq, actions);
}

/// An earlier step must be done again, after a pause, with the alert `passing`, and not without end.
pub(crate) fn fall_back(
    daq: &mut Daq,
    (step, to): (Step, Step),
    description: String,
    passing: &str,
    retry: RetryPolicy,
    now: Timestamp,
    actions: &mut Vec<Action>,
) {
    let retry_at = retry.pause_after(daq.fall_backs).and_then(|pause| now.checked_add(pause).ok());
    let has_fallen_back = retry_at.is_some_and(|retry_at| advance(daq, Event::FellBack { to, retry_at }));
    if !has_fallen_back {
        let alert = format!("FailedOperation:{}", step.verb());
        return fail(daq, (alert, description), passing, None, now, actions);
    }
    daq.fall_backs += 1;
    let alert = format!("{description}; {} again", to.verb());
    daq.raise(Notice { id: passing.to_owned(), severity: Severity::Warning, description: alert }, now);
    daq.note(description, now);
    save(daq, actions);
}

/// The store will never keep the state of this DAQ: it stands still, visibly, until dpm is started again.
pub(crate) fn hold_unsaved(daq: &mut Daq, error: StoreError, now: Timestamp, actions: &mut Vec<Action>) {
    let error = Arc::new(error);
    daq.is_held = true;
    let description = with_causes(&*error);
    daq.raise(Notice { id: UNSAVED_ALERT.to_owned(), severity: Severity::Error, description }, now);
    let retries = std::mem::take(&mut daq.retry_answers);
    for answer in std::mem::take(&mut daq.abort_answers).into_iter().chain(retries) {
        reply(answer, Err(EngineError::Store(Arc::clone(&error))));
    }
    // An end that is not durable is not told: the next start goes on from the last state that is.
    if !daq.stage.sub_state().is_final() {
        actions.push(Action::Publish(Box::new(daq.status())));
    }
}

/// A step of an aborting DAQ had ended before it could be stopped. What it achieved in the workspace is removed
/// with the rest; what has reached receivers was told when it did.
pub(crate) fn succeed_too_late(daq: &mut Daq, outcome: StepOutcome) {
    if let StepOutcome::Merged(merged) = outcome {
        daq.product = Some(merged.product);
    }
}

/// A step ended well.
pub(crate) fn succeed(daq: &mut Daq, outcome: StepOutcome, now: Timestamp, actions: &mut Vec<Action>) {
    advance(daq, Event::Finished);
    daq.withdraw_failures();
    match outcome {
        StepOutcome::Collected(inputs) => {
            note_late_changes(daq, &inputs, now);
            daq.inputs = inputs;
            daq.note("collected", now);
            if daq.inputs.iter().all(|input| input.referenced) {
                // A crash costs another look at files that lie where they lay: the journal goes with the next commit.
                return actions.push(Action::Publish(Box::new(daq.status())));
            }
        }
        StepOutcome::Merged(merged) => note_merged(daq, merged, now),
        StepOutcome::Released { product } => {
            daq.result = product.display().to_string();
            daq.note("completed", now);
        }
    }
    save(daq, actions);
}

/// Tells of files that were changed after the DAQ was queued: who queues it says that they are complete.
///
/// Asked only of files that are read where they lie: the times of a copy are its own.
fn note_late_changes(daq: &mut Daq, inputs: &[Collected], now: Timestamp) {
    let Some(queued) = daq.timings.get(SubState::Scheduled.as_str()).copied() else { return };
    let specification = daq.specification.clone();
    for (file, input) in specification.file_sources().zip(inputs) {
        if !input.referenced || input.fingerprint.modified_ns <= queued.as_nanosecond() {
            continue;
        }
        let source = &file.source.source_name;
        let description = format!(
            "{} (source '{source}') was changed after the DAQ was queued at {queued}: check that its producer had \
             closed it",
            input.path.display()
        );
        let id = format!("SuspiciousTimestamp:{source}");
        daq.raise(Notice { id, severity: Severity::Warning, description }, now);
    }
}

/// Writes into the journal how collecting one file went; it is saved with the next change.
pub(crate) fn note_collected(daq: &mut Daq, ordinal: usize, collected: Result<Collected, String>, now: Timestamp) {
    let specification = daq.specification.clone();
    let Some(file) = specification.file_sources().find(|file| file.ordinal == ordinal) else { return };
    let number = i64::try_from(ordinal).unwrap_or(i64::MAX);
    let known = daq.steps.iter().position(|row| row.ordinal == number);
    let before = known.map(|index| daq.steps[index].clone());
    let row = step_row(&file, number, before.as_ref(), collected, now);
    daq.unsaved.push(Change::PutStep { id: daq.id.to_string(), row: row.clone() });
    match known {
        Some(index) => daq.steps[index] = row,
        None => daq.steps.push(row),
    }
}

/// The row of a file. What an earlier try brought stays known where a later one fails.
fn step_row(
    file: &FileInput<'_>,
    ordinal: i64,
    before: Option<&StepRow>,
    collected: Result<Collected, String>,
    now: Timestamp,
) -> StepRow {
    let row = before.cloned().unwrap_or_else(|| StepRow {
        ordinal,
        kind: "collect".to_owned(),
        location: file.source.location.to_string(),
        state: String::new(),
        path: String::new(),
        bytes: 0,
        attempts: 0,
        digest: None,
        fingerprint: None,
        last_error: None,
        updated: now,
    });
    let row = StepRow { attempts: row.attempts + 1, updated: now, ..row };
    match collected {
        Ok(done) => StepRow {
            kind: if done.referenced { "reference" } else { "copy" }.to_owned(),
            state: "done".to_owned(),
            path: done.path.display().to_string(),
            bytes: i64::try_from(done.bytes).unwrap_or(i64::MAX),
            fingerprint: serde_json::to_string(&done.fingerprint).ok(),
            digest: done.digest,
            last_error: None,
            ..row
        },
        Err(error) => StepRow { state: "failed".to_owned(), last_error: Some(error), ..row },
    }
}

fn note_merged(daq: &mut Daq, merged: MergedProduct, now: Timestamp) {
    daq.note(format!("merged {} HDUs, {} bytes", merged.hdus, merged.product.bytes), now);
    daq.product = Some(merged.product);
    daq.prove_product = false;
    // The journal's rows stand in the order of the files, as the merge read them.
    let mut rows: Vec<&mut StepRow> = daq.steps.iter_mut().collect();
    rows.sort_by_key(|row| row.ordinal);
    for (row, digest) in rows.into_iter().zip(merged.source_digests) {
        row.digest = Some(digest);
        daq.unsaved.push(Change::PutStep { id: daq.id.to_string(), row: row.clone() });
    }
}

/// Writes down how one delivery went, and saves it at once: what a receiver has is not undone by a crash or an abort.
pub(crate) fn note_delivered(
    daq: &mut Daq,
    ordinal: usize,
    delivered: Result<Delivered, String>,
    now: Timestamp,
    actions: &mut Vec<Action>,
) {
    let Some(receiver) = daq.specification.receivers.get(ordinal).map(release::describe) else { return };
    let number = i64::try_from(ordinal).unwrap_or(i64::MAX);
    let known = daq.receivers.iter().position(|row| row.ordinal == number);
    let before = known.map(|index| daq.receivers[index].clone());
    let is_delivered = delivered.is_ok();
    let row = receiver_row(number, receiver, before, delivered, now);
    daq.unsaved.push(Change::PutReceiver { id: daq.id.to_string(), row: row.clone() });
    match known {
        Some(index) => daq.receivers[index] = row,
        None => daq.receivers.push(row),
    }
    if daq.stage == Stage::Aborting {
        tell_deliveries(daq, now);
    }
    // The end of the step follows the last delivery at once: both are one commit.
    let is_last = is_delivered && ordinal + 1 == daq.specification.receivers.len();
    if daq.stage == Stage::Aborting || !is_last {
        save(daq, actions);
    }
}

/// The row of a receiver. What an earlier try delivered is still there where a later one fails.
fn receiver_row(
    ordinal: i64,
    receiver: String,
    before: Option<ReceiverRow>,
    delivered: Result<Delivered, String>,
    now: Timestamp,
) -> ReceiverRow {
    let row = before.unwrap_or_else(|| ReceiverRow {
        ordinal,
        receiver,
        state: String::new(),
        path: String::new(),
        method: String::new(),
        attempts: 0,
        last_error: None,
        updated: now,
    });
    let row = ReceiverRow { attempts: row.attempts + 1, updated: now, ..row };
    match delivered {
        Ok(done) => {
            let path = done.path.display().to_string();
            // Found again, it only looks like a copy.
            let is_known = done.already_there && row.path == path;
            let method = if is_known { row.method } else { done.method.as_str().to_owned() };
            ReceiverRow { state: "delivered".to_owned(), path, method, last_error: None, ..row }
        }
        Err(error) => ReceiverRow { state: "failed".to_owned(), last_error: Some(error), ..row },
    }
}

/// Names the receivers that have the product of an aborting DAQ: it is theirs, and nobody removes it.
fn tell_deliveries(daq: &mut Daq, now: Timestamp) {
    let reached = daq.receivers.iter().filter(|row| !row.path.is_empty());
    let places: Vec<String> = reached.map(|row| format!("{} ({})", row.path, row.receiver)).collect();
    if places.is_empty() {
        return;
    }
    let description = format!(
        "the product had been delivered before the abort came: remove it where it is not wanted: {}",
        places.join(", ")
    );
    daq.raise(Notice { id: DELIVERED_ALERT.to_owned(), severity: Severity::Warning, description }, now);
}
