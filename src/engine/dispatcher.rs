//! Owns every unfinished DAQ: takes one input, moves stages, returns what is to be done.
//!
//! No clock, no file, no task: time is an argument and every effect is an [`Action`], so one sequence of inputs always
//! gives the same actions. Answers to clients are sent from here because sending one waits for nothing.
//!
//! **Durability.** A new DAQ is answered when its row is on disk. No step starts while a change of its DAQ is on
//! its way to the disk, so what a step finds there is never ahead of the database.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::engine::action::{Action, Answer, EngineError, Input, QueueRequest, StepFailure, StepOutcome};
use crate::engine::daq::{Activity, Daq, InternalDaqStatus, RETRYING_ALERT, SOURCE_CHANGED_ALERT};
use crate::engine::lineup::{self, Lineup};
use crate::engine::outcome::{self, advance, attempts, remove, reply, save};
use crate::engine::schedule::{self, Candidate};
use crate::engine::settings::EngineSettings;
use crate::engine::state::{Event, Run, Stage, Step};
use crate::merge::report::Notice;
use crate::release::Delivered;
use crate::specification::model::DaqId;
use crate::status::{DaqStatus, Progress, Severity};
use crate::store::{NewDaq, StoreError};
use crate::transfer::Collected;

/// The owner of the state.
#[derive(Debug)]
pub struct Dispatcher {
    daqs: BTreeMap<DaqId, Daq>,
    /// Over `daqs`, always.
    lineup: Lineup,
    settings: EngineSettings,
    next_order: i64,
    is_stopping: bool,
}

impl Dispatcher {
    /// Takes up `daqs`, as recovery found them.
    pub fn new(settings: EngineSettings, daqs: Vec<Daq>) -> Dispatcher {
        let next_order = daqs.iter().map(|daq| daq.order).max().unwrap_or(0) + 1;
        let mut lineup = Lineup::default();
        daqs.iter().for_each(|daq| lineup.put(daq));
        let daqs = daqs.into_iter().map(|daq| (daq.id.clone(), daq)).collect();
        Dispatcher { daqs, lineup, settings, next_order, is_stopping: false }
    }

    /// True once the engine was told to stop and no step runs.
    pub fn is_stopped(&self) -> bool {
        self.is_stopping && self.daqs.values().all(|daq| daq.activity == Activity::Idle && daq.saves_pending == 0)
    }

    /// Handles one input.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        let may_free_a_slot = !matches!(
            input,
            Input::Progressed { .. } | Input::Noticed { .. } | Input::Collected { .. } | Input::Delivered { .. }
        );
        // An input changes one DAQ at most, which is out of the lineup meanwhile.
        let changed = id_of(&input);
        if let Some(daq) = changed.as_ref().and_then(|id| self.daqs.get(id)) {
            self.lineup.take(daq);
        }
        match input {
            Input::Queue { request, answer } => self.queue(request, answer, now, &mut actions),
            Input::Inserted { id, outcome } => self.inserted(&id, outcome, now, &mut actions),
            Input::Saved { id, outcome } => self.saved(&id, outcome, now, &mut actions),
            Input::Abort { id, answer } => self.abort(&id, answer, now, &mut actions),
            Input::Retry { id, answer } => self.retry(&id, answer, now, &mut actions),
            Input::Progressed { id, progress } => self.progressed(&id, progress, &mut actions),
            Input::Noticed { id, notice } => self.noticed(&id, notice, now, &mut actions),
            Input::Collected { id, ordinal, collected } => self.collected(&id, ordinal, collected, now),
            Input::Delivered { id, ordinal, delivered } => self.delivered(&id, ordinal, delivered, now, &mut actions),
            Input::StepEnded { id, outcome } => self.step_ended(&id, outcome, now, &mut actions),
            Input::Removed { id, outcome } => self.removed(&id, outcome, now, &mut actions),
            Input::SetLimits(limits) => self.settings.limits = limits,
            Input::Tick => self.end_pauses(now),
            Input::Stop => self.stop(&mut actions),
        }
        if let Some(daq) = changed.as_ref().and_then(|id| self.daqs.get(id)) {
            self.lineup.put(daq);
        }
        if may_free_a_slot {
            self.start_what_can_run(now, &mut actions);
        }
        actions
    }

    /// Status of an unfinished DAQ.
    ///
    /// # Errors
    ///
    /// [`EngineError::UnknownDaq`].
    pub fn status(&self, id: &str) -> Result<DaqStatus, EngineError> {
        self.find(id).map(Daq::status)
    }

    /// What is to be done first after a start: aborts go on, free slots are filled.
    pub fn resume(&mut self, now: Timestamp) -> Vec<Action> {
        let mut actions = Vec::new();
        for daq in self.daqs.values_mut().filter(|daq| daq.stage == Stage::Aborting) {
            remove(daq, &mut actions);
        }
        self.start_what_can_run(now, &mut actions);
        actions
    }

    fn queue(&mut self, request: QueueRequest, answer: Answer<()>, now: Timestamp, actions: &mut Vec<Action>) {
        let id = request.specification.id.clone();
        if self.is_stopping {
            return reply(answer, Err(EngineError::Stopping));
        }
        if let Some(present) = self.daqs.get_mut(&id) {
            if present.digest != request.digest {
                return reply(answer, Err(EngineError::DuplicateDaq { id: id.to_string() }));
            }
            // The same acquisition again, such as after a lost answer: the same answer, at the same durable moment,
            // for which the first client still waits if it has not come.
            match present.queue_answers.is_empty() {
                true => reply(answer, Ok(())),
                false => present.queue_answers.push(answer),
            }
            return;
        }
        if self.daqs.len() >= self.settings.queue_length {
            return reply(answer, Err(EngineError::Busy { active: self.daqs.len() }));
        }
        let mut daq = Daq::new(request, self.next_order, now);
        self.next_order += 1;
        daq.saves_pending = 1;
        daq.queue_answers.push(answer);
        actions.push(Action::Insert(Box::new(NewDaq {
            id: daq.id.to_string(),
            file_id: daq.file_id.clone(),
            priority: daq.priority,
            user: daq.user.clone(),
            specification: daq.text.to_string(),
            specification_digest: daq.digest.clone(),
            root: daq.root.as_ref().map(|root| root.to_string_lossy().into_owned()),
            created: now,
        })));
        self.daqs.insert(id, daq);
    }

    fn inserted(&mut self, id: &DaqId, outcome: Result<(), StoreError>, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(daq) = self.daqs.get_mut(id) else { return };
        daq.saves_pending = daq.saves_pending.saturating_sub(1);
        let answers = std::mem::take(&mut daq.queue_answers);
        match outcome {
            Ok(()) => {
                actions.push(Action::Publish(Box::new(daq.status())));
                answers.into_iter().for_each(|answer| reply(answer, Ok(())));
                if !daq.abort_answers.is_empty() {
                    outcome::abort(daq, now, actions);
                }
            }
            Err(error) => {
                let error = std::sync::Arc::new(error);
                let never_was = self.daqs.remove(id);
                for answer in answers {
                    reply(answer, Err(EngineError::Store(std::sync::Arc::clone(&error))));
                }
                for answer in never_was.into_iter().flat_map(|daq| daq.abort_answers) {
                    reply(answer, Err(EngineError::UnknownDaq { id: id.to_string() }));
                }
            }
        }
    }

    /// A change is on disk: tell the world, and forget a DAQ that has ended.
    fn saved(&mut self, id: &DaqId, outcome: Result<(), StoreError>, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(daq) = self.daqs.get_mut(id) else { return };
        daq.saves_pending = daq.saves_pending.saturating_sub(1);
        if let Err(error) = outcome {
            return outcome::hold_unsaved(daq, error, now, actions);
        }
        if daq.saves_pending > 0 {
            return;
        }
        actions.push(Action::Publish(Box::new(daq.status())));
        std::mem::take(&mut daq.retry_answers).into_iter().for_each(|answer| reply(answer, Ok(())));
        match daq.stage {
            Stage::Completed => actions.push(Action::CleanUp { id: id.clone() }),
            Stage::Aborted => {}
            Stage::Aborting => return outcome::remove_if_due(daq, actions),
            _ => return,
        }
        if let Some(ended) = self.daqs.remove(id) {
            tracing::info!(id = %id, result = ended.result, "{}", ended.stage.sub_state());
            ended.abort_answers.into_iter().for_each(|answer| reply(answer, Ok(())));
        }
    }

    fn abort(&mut self, id: &str, answer: Answer<()>, now: Timestamp, actions: &mut Vec<Action>) {
        let daq = match find_mut(&mut self.daqs, id) {
            Ok(daq) => daq,
            Err(error) => return reply(answer, Err(error)),
        };
        if daq.stage == Stage::Completed {
            let state = daq.stage.sub_state().to_string();
            let advice = "it has just ended, there is nothing to abort";
            return reply(answer, Err(EngineError::WrongState { id: id.to_owned(), state, advice }));
        }
        daq.abort_answers.push(answer);
        // A DAQ that is not on disk yet may never have been: its insertion ends first, and then brings the abort.
        if daq.queue_answers.is_empty() {
            outcome::abort(daq, now, actions);
        }
    }

    fn retry(&mut self, id: &str, answer: Answer<()>, now: Timestamp, actions: &mut Vec<Action>) {
        let daq = match find_mut(&mut self.daqs, id) {
            Ok(daq) => daq,
            Err(error) => return reply(answer, Err(error)),
        };
        if daq.is_held {
            let state = daq.stage.sub_state().to_string();
            let advice = "it waits for a restart of dpm (see its alerts); it can only be aborted";
            return reply(answer, Err(EngineError::WrongState { id: id.to_owned(), state, advice }));
        }
        let stage = daq.stage.clone();
        match stage.advance(Event::RetryRequested) {
            Ok(stage) => {
                daq.stage = stage;
                daq.withdraw_failures();
                daq.prove_product = true;
                daq.fall_backs = 0;
                daq.note("retrying on request", now);
                daq.retry_answers.push(answer);
                save(daq, actions);
            }
            Err(refused) => {
                let state = refused.stage.sub_state().to_string();
                let advice = "only a DAQ that is parked with an error can be retried";
                reply(answer, Err(EngineError::WrongState { id: id.to_owned(), state, advice }));
            }
        }
    }

    fn find(&self, id: &str) -> Result<&Daq, EngineError> {
        let unknown = || EngineError::UnknownDaq { id: id.to_owned() };
        id.parse::<DaqId>().ok().and_then(|id| self.daqs.get(&id)).ok_or_else(unknown)
    }

    /// Unfinished DAQs in order of the queue.
    pub fn active(&self) -> Vec<DaqStatus> {
        self.in_order().into_iter().map(Daq::status).collect()
    }

    fn in_order(&self) -> Vec<&Daq> {
        let mut daqs: Vec<&Daq> = self.daqs.values().collect();
        daqs.sort_by_key(|daq| (std::cmp::Reverse(daq.priority), daq.order));
        daqs
    }

    /// Everything known of an unfinished DAQ.
    ///
    /// # Errors
    ///
    /// [`EngineError::UnknownDaq`].
    pub fn internal(&self, id: &str) -> Result<InternalDaqStatus, EngineError> {
        let daq = self.find(id)?;
        let mut scheduled = self.in_order();
        scheduled.retain(|other| other.stage == Stage::Scheduled);
        let (run, attempts) = match &daq.stage {
            Stage::At { run: Run::Waiting { attempt }, .. } => ("waiting", *attempt),
            Stage::At { run: Run::Running { attempt }, .. } => ("running", *attempt),
            Stage::At { run: Run::Pausing { attempt, .. }, .. } => ("pausing", *attempt),
            Stage::At { run: Run::Parked, .. } => ("parked", 0),
            _ => ("", 0),
        };
        Ok(InternalDaqStatus {
            status: daq.status(),
            user: daq.user.clone(),
            priority: daq.priority,
            queue_position: scheduled.iter().position(|other| other.id == daq.id),
            run: run.to_owned(),
            attempts,
            steps: daq.steps.clone(),
            receivers: daq.receivers.clone(),
            product: daq.product.clone(),
            timings: daq.timings.clone(),
        })
    }

    fn progressed(&mut self, id: &DaqId, progress: Progress, actions: &mut Vec<Action>) {
        if let Some(daq) = self.daqs.get_mut(id)
            && daq.stage.running_step().is_some()
        {
            daq.progress = progress;
            actions.push(Action::Publish(Box::new(daq.status())));
        }
    }

    fn noticed(&mut self, id: &DaqId, notice: Notice, now: Timestamp, actions: &mut Vec<Action>) {
        if let Some(daq) = self.daqs.get_mut(id)
            && daq.stage.running_step().is_some()
        {
            daq.raise(notice, now);
            actions.push(Action::Publish(Box::new(daq.status())));
        }
    }

    fn collected(&mut self, id: &DaqId, ordinal: usize, collected: Result<Collected, String>, now: Timestamp) {
        if let Some(daq) = self.daqs.get_mut(id)
            && daq.running_step() == Some(Step::Collect)
        {
            outcome::note_collected(daq, ordinal, collected, now);
        }
    }

    fn delivered(
        &mut self,
        id: &DaqId,
        ordinal: usize,
        delivered: Result<Delivered, String>,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        if let Some(daq) = self.daqs.get_mut(id)
            && daq.running_step() == Some(Step::Release)
        {
            outcome::note_delivered(daq, ordinal, delivered, now, actions);
        }
    }

    fn step_ended(
        &mut self,
        id: &DaqId,
        outcome: Result<StepOutcome, StepFailure>,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        let Some(daq) = self.daqs.get_mut(id) else { return };
        daq.activity = Activity::Idle;
        daq.progress = Progress::default();
        if daq.stage == Stage::Aborting {
            if let Ok(outcome) = outcome {
                outcome::succeed_too_late(daq, outcome);
            }
            return outcome::remove_if_due(daq, actions);
        }
        let Some(step) = daq.stage.running_step() else { return };
        let retry = self.settings.retry;
        let retry_at = |pause: Option<Duration>| pause.and_then(|pause| now.checked_add(pause).ok());
        match outcome {
            Ok(outcome) => outcome::succeed(daq, outcome, now, actions),
            // The engine stops: the step waits for the next start.
            Err(StepFailure::Cancelled) => {
                daq.stage = Stage::resumed(step.sub_state(), false);
                if !daq.unsaved.is_empty() {
                    save(daq, actions);
                }
            }
            Err(StepFailure::FellBack { to, description }) => {
                outcome::fall_back(daq, (step, to), description, RETRYING_ALERT, retry, now, actions);
            }
            Err(StepFailure::SourceChanged { description, .. }) if step > Step::Collect => {
                let steps = (step, Step::Collect);
                outcome::fall_back(daq, steps, description, SOURCE_CHANGED_ALERT, retry, now, actions);
            }
            Err(StepFailure::SourceChanged { alert, description }) => {
                let retry_at = retry_at(retry.pause_after(attempts(&daq.stage)));
                outcome::fail(daq, (alert, description), SOURCE_CHANGED_ALERT, retry_at, now, actions);
            }
            Err(StepFailure::Failed { alert, description, transient }) => {
                let pause = if transient { retry.pause_after(attempts(&daq.stage)) } else { None };
                outcome::fail(daq, (alert, description), RETRYING_ALERT, retry_at(pause), now, actions);
            }
        }
    }

    fn removed(&mut self, id: &DaqId, outcome: Result<(), String>, now: Timestamp, actions: &mut Vec<Action>) {
        let Some(daq) = self.daqs.get_mut(id) else { return };
        daq.activity = Activity::Idle;
        match outcome {
            Ok(()) => {
                if advance(daq, Event::Removed) {
                    daq.withdraw_failures();
                    daq.result.clear();
                    daq.product = None;
                    daq.note("aborted", now);
                    save(daq, actions);
                }
            }
            Err(message) => {
                // As the ELT does: fail fast, stay in Aborting, and let the client abort again.
                daq.note(format!("cannot abort: {message}"), now);
                let alert = Notice {
                    id: "FailedOperation:aborting".to_owned(),
                    severity: Severity::Error,
                    description: format!("{message}; mend the cause and abort again"),
                };
                daq.raise(alert, now);
                for answer in std::mem::take(&mut daq.abort_answers) {
                    let (id, message) = (id.to_string(), message.clone());
                    reply(answer, Err(EngineError::AbortFailed { id, message }));
                }
                save(daq, actions);
            }
        }
    }

    /// Ends the pauses that are over, and those that a clock set back has made longer than any pause is.
    fn end_pauses(&mut self, now: Timestamp) {
        let latest = now.checked_add(self.settings.retry.longest_pause).unwrap_or(Timestamp::MAX);
        // One that pauses has begun.
        for id in self.lineup.begun() {
            if let Some(daq) = self.daqs.get_mut(id)
                && let Stage::At { run: Run::Pausing { until, .. }, .. } = daq.stage
                && !(now < until && until <= latest)
            {
                advance(daq, Event::PauseEnded);
            }
        }
    }

    fn stop(&mut self, actions: &mut Vec<Action>) {
        self.is_stopping = true;
        for daq in self.daqs.values() {
            if let Activity::Step(_) = daq.activity {
                actions.push(Action::Cancel { id: daq.id.clone() });
            }
        }
    }

    fn start_what_can_run(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        if self.is_stopping {
            return;
        }
        let begun = self.lineup.begun().filter_map(|id| self.daqs.get(id));
        let begun: Vec<Candidate<'_, &DaqId>> = begun
            .map(|daq| Candidate {
                id: &daq.id,
                priority: daq.priority,
                order: daq.order,
                stage: &daq.stage,
                running: daq.running_step(),
                may_start: lineup::is_free(daq),
            })
            .collect();
        let starts = schedule::next_starts(&begun, self.lineup.queue(), self.settings.limits, false);
        for id in starts.into_iter().cloned().collect::<Vec<DaqId>>() {
            if let Some(daq) = self.daqs.get_mut(&id) {
                self.lineup.take(daq);
                outcome::start(daq, &self.settings, now, actions);
                self.lineup.put(daq);
            }
        }
    }
}

/// The DAQ that an input is about.
fn id_of(input: &Input) -> Option<DaqId> {
    match input {
        Input::Queue { request, .. } => Some(request.specification.id.clone()),
        Input::Abort { id, .. } | Input::Retry { id, .. } => id.parse().ok(),
        Input::Inserted { id, .. }
        | Input::Saved { id, .. }
        | Input::Progressed { id, .. }
        | Input::Noticed { id, .. }
        | Input::Collected { id, .. }
        | Input::Delivered { id, .. }
        | Input::StepEnded { id, .. }
        | Input::Removed { id, .. } => Some(id.clone()),
        Input::SetLimits(_) | Input::Tick | Input::Stop => None,
    }
}

fn find_mut<'a>(daqs: &'a mut BTreeMap<DaqId, Daq>, id: &str) -> Result<&'a mut Daq, EngineError> {
    let unknown = || EngineError::UnknownDaq { id: id.to_owned() };
    id.parse::<DaqId>().ok().and_then(|id| daqs.get_mut(&id)).ok_or_else(unknown)
}

#[cfg(test)]
pub(in crate::engine) mod tests;
