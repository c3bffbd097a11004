//! Random inputs against a model of the executor that is slow, fails, and reports in any order.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::engine::action::{Action, Answer, EngineError, Input, StepFailure, StepOutcome};
use crate::engine::dispatcher::Dispatcher;
use crate::engine::dispatcher::tests::{failed, merged, released, request, settings, store_error};
use crate::engine::schedule::Limits;
use crate::engine::state::Step;
use crate::specification::model::DaqId;
use crate::store::StoreErrorKind;

const IDS: [&str; 4] = ["A", "B", "C", "D"];

/// What happens next.
#[derive(Clone, Debug)]
enum Move {
    Queue {
        id: usize,
        is_other: bool,
        priority: i64,
    },
    Abort(usize),
    Retry(usize),
    Pass(u64),
    SetLimits(Limits),
    Stop,
    /// A DAQ's first pending effect of that kind comes to its end.
    Inserted {
        id: usize,
        is_good: bool,
    },
    Saved {
        id: usize,
        is_good: bool,
    },
    Stepped {
        id: usize,
        how: How,
    },
    Removed {
        id: usize,
        is_good: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum How {
    Well,
    Transient,
    Permanent,
    Back,
}

fn moves() -> impl Strategy<Value = Move> {
    let id = 0..IDS.len();
    let mostly = prop_oneof![9 => Just(true), 1 => Just(false)];
    let rarely = prop_oneof![30 => Just(true), 1 => Just(false)];
    let how = prop_oneof![
        6 => Just(How::Well), 2 => Just(How::Transient), 1 => Just(How::Permanent), 2 => Just(How::Back)
    ];
    let limit = || 0..3_usize;
    prop_oneof![
        4 => (id.clone(), any::<bool>(), -1..2_i64)
            .prop_map(|(id, is_other, priority)| Move::Queue { id, is_other: is_other && id == 0, priority }),
        2 => id.clone().prop_map(Move::Abort),
        1 => id.clone().prop_map(Move::Retry),
        2 => (0..5_u64).prop_map(Move::Pass),
        1 => (limit(), limit(), limit(), limit())
            .prop_map(|(daqs, transfers, merges, releases)| Move::SetLimits(Limits { daqs, transfers, merges, releases })),
        4 => (id.clone(), mostly.clone()).prop_map(|(id, is_good)| Move::Inserted { id, is_good }),
        8 => (id.clone(), rarely).prop_map(|(id, is_good)| Move::Saved { id, is_good }),
        8 => (id.clone(), how).prop_map(|(id, how)| Move::Stepped { id, how }),
        3 => (id, mostly).prop_map(|(id, is_good)| Move::Removed { id, is_good }),
    ]
}

/// What the executor has been asked for one DAQ.
#[derive(Debug, Default)]
struct Pending {
    inserts: usize,
    saves: usize,
    steps: VecDeque<(Step, bool)>,
    removals: usize,
}

impl Pending {
    fn is_idle(&self) -> bool {
        self.inserts == 0 && self.saves == 0 && self.steps.is_empty() && self.removals == 0
    }
}

struct Model {
    dispatcher: Dispatcher,
    limits: Limits,
    now: Timestamp,
    pending: BTreeMap<DaqId, Pending>,
    answers: Vec<oneshot::Receiver<Result<(), EngineError>>>,
}

impl Model {
    fn new() -> Model {
        let settings = settings();
        let limits = settings.limits;
        let dispatcher = Dispatcher::new(settings, Vec::new());
        let pending = IDS.iter().map(|id| (id.parse().unwrap(), Pending::default())).collect();
        Model { dispatcher, limits, now: Timestamp::UNIX_EPOCH, pending, answers: Vec::new() }
    }

    fn of(&mut self, id: &DaqId) -> &mut Pending {
        self.pending.get_mut(id).unwrap()
    }

    fn running(&self, wanted: Step) -> usize {
        self.pending.values().flat_map(|pending| &pending.steps).filter(|(step, _)| *step == wanted).count()
    }

    fn input(&mut self, input: Input) {
        if let Input::SetLimits(limits) = input {
            self.limits = limits;
        }
        for action in self.dispatcher.handle(input, self.now) {
            self.take(action);
        }
    }

    fn take(&mut self, action: Action) {
        match action {
            Action::Insert(new) => self.of(&new.id.parse().unwrap()).inserts += 1,
            Action::Save { id, .. } => self.of(&id).saves += 1,
            Action::Start(request) => {
                let pending = self.of(&request.id);
                assert!(pending.is_idle(), "{} starts although {pending:?}", request.id);
                pending.steps.push_back((request.step, false));
                let limit = match request.step {
                    Step::Collect => self.limits.transfers,
                    Step::Merge => self.limits.merges,
                    Step::Release => self.limits.releases,
                };
                let running = self.running(request.step);
                assert!(limit == 0 || running <= limit, "{running} {:?} above {limit}", request.step);
            }
            Action::Cancel { id } => {
                let step = self.of(&id).steps.front_mut().expect("something to cancel");
                step.1 = true;
            }
            Action::Remove(request) => {
                let id = request.id;
                let pending = self.of(&id);
                assert!(pending.steps.is_empty() && pending.removals == 0, "{id} is removed although {pending:?}");
                pending.removals += 1;
            }
            Action::CleanUp { id } => assert!(self.of(&id).is_idle()),
            Action::Publish(_) => {}
        }
    }

    fn ask(&mut self, input: impl FnOnce(Answer<()>) -> Input) {
        let (answer, waiting) = oneshot::channel();
        self.answers.push(waiting);
        self.input(input(answer));
    }

    fn play(&mut self, next: Move) {
        let name = |id: usize| IDS[id].to_owned();
        match next {
            Move::Queue { id, is_other, priority } => {
                let request = request(IDS[id], priority, if is_other { "other" } else { "digest" });
                self.ask(|answer| Input::Queue { request, answer });
            }
            Move::Abort(id) => self.ask(|answer| Input::Abort { id: name(id), answer }),
            Move::Retry(id) => self.ask(|answer| Input::Retry { id: name(id), answer }),
            Move::Pass(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.input(Input::Tick);
            }
            Move::SetLimits(limits) => self.input(Input::SetLimits(limits)),
            Move::Stop => self.input(Input::Stop),
            Move::Inserted { id, is_good } => self.inserted(&IDS[id].parse().unwrap(), is_good),
            Move::Saved { id, is_good } => self.saved(&IDS[id].parse().unwrap(), is_good),
            Move::Stepped { id, how } => self.stepped(&IDS[id].parse().unwrap(), how),
            Move::Removed { id, is_good } => self.removed(&IDS[id].parse().unwrap(), is_good),
        }
    }

    fn inserted(&mut self, id: &DaqId, is_good: bool) {
        if self.of(id).inserts > 0 {
            self.of(id).inserts -= 1;
            if !is_good {
                assert_eq!(self.of(id).saves, 0, "a row that is not there is changed");
                self.input(Input::Inserted { id: id.clone(), outcome: Err(store_error(StoreErrorKind::Overloaded)) });
                return;
            }
            self.input(Input::Inserted { id: id.clone(), outcome: Ok(()) });
        }
    }

    fn saved(&mut self, id: &DaqId, is_good: bool) {
        // The store takes the changes of one DAQ in order, its insertion first.
        if self.of(id).inserts == 0 && self.of(id).saves > 0 {
            self.of(id).saves -= 1;
            let outcome = if is_good { Ok(()) } else { Err(store_error(StoreErrorKind::Closed)) };
            self.input(Input::Saved { id: id.clone(), outcome });
        }
    }

    fn stepped(&mut self, id: &DaqId, how: How) {
        let Some((step, is_cancelled)) = self.of(id).steps.pop_front() else { return };
        let outcome = match how {
            _ if is_cancelled && !matches!(how, How::Back) => Err(StepFailure::Cancelled),
            How::Well => Ok(match step {
                Step::Collect => StepOutcome::Collected(Vec::new()),
                Step::Merge => merged(),
                Step::Release => released(),
            }),
            How::Transient => Err(failed(true)),
            How::Permanent => Err(failed(false)),
            How::Back => Err(StepFailure::FellBack { to: Step::Collect, description: "it changed".to_owned() }),
        };
        self.input(Input::StepEnded { id: id.clone(), outcome });
    }

    fn removed(&mut self, id: &DaqId, is_good: bool) {
        if self.of(id).removals > 0 {
            self.of(id).removals -= 1;
            let outcome = if is_good { Ok(()) } else { Err("busy".to_owned()) };
            self.input(Input::Removed { id: id.clone(), outcome });
        }
    }

    /// From now on everything goes well; in the end nothing may be left to do.
    fn settle(&mut self) {
        for _ in 0..200 {
            for id in self.pending.keys().cloned().collect::<Vec<_>>() {
                self.inserted(&id, true);
                self.saved(&id, true);
                self.stepped(&id, How::Well);
                self.removed(&id, true);
            }
            self.now += Duration::from_secs(100);
            self.input(Input::Tick);
        }
        assert!(self.pending.values().all(Pending::is_idle), "{:?}", self.pending);
        for waiting in &mut self.answers {
            match waiting.try_recv() {
                Ok(_) => {}
                Err(TryRecvError::Empty) => panic!("a client waits for ever"),
                Err(TryRecvError::Closed) => panic!("a client got no answer"),
            }
        }
    }

    /// What has not ended must be waiting for a person.
    fn check_ends(&mut self) {
        for status in self.dispatcher.active() {
            assert!(status.error, "{status:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_every_daq_ends_or_waits_for_a_person(script in proptest::collection::vec(moves(), 0..120)) {
        let mut model = Model::new();
        for next in script {
            model.play(next);
        }
        model.settle();
        model.check_ends();
    }

    #[test]
    fn whatever_happens_the_engine_can_be_stopped(
        before in proptest::collection::vec(moves(), 0..60),
        after in proptest::collection::vec(moves(), 0..30),
    ) {
        let mut model = Model::new();
        for next in before.into_iter().chain([Move::Stop]).chain(after) {
            model.play(next);
        }
        model.settle();
        assert!(model.dispatcher.is_stopped());
    }
}
