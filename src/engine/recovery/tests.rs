//! A database and a workspace as a daemon that was killed leaves them.

use jiff::Timestamp;

use crate::engine::daq::Daq;
use crate::engine::recovery::recover;
use crate::engine::state::{Run, Stage, Step};
use crate::merge::fingerprint::Fingerprint;
use crate::status::{Severity, SubState};
use crate::store::{Change, NewDaq, ProductRow, StatusRow, StepRow, Store};
use crate::workspace::Workspace;

struct Fixture {
    _folder: tempfile::TempDir,
    workspace: Workspace,
    store: Store,
}

impl Fixture {
    async fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::open(&folder.path().join("w")).unwrap();
        let store = Store::open(&workspace.database_path()).await.unwrap();
        Fixture { _folder: folder, workspace, store }
    }

    /// A DAQ as the database has it, and its folder.
    async fn put(&self, id: &str, specification: &str, status: StatusRow, steps: Vec<StepRow>) {
        let new = NewDaq {
            id: id.to_owned(),
            file_id: format!("F.{id}"),
            priority: 3,
            user: None,
            specification: specification.to_owned(),
            specification_digest: "d".to_owned(),
            root: None,
            created: Timestamp::UNIX_EPOCH,
        };
        let mut changes = vec![Change::InsertDaq(new), Change::SetStatus { id: id.to_owned(), row: status }];
        changes.extend(steps.into_iter().map(|row| Change::PutStep { id: id.to_owned(), row }));
        self.store.commit(changes).await.unwrap();
        self.workspace.daq_folder(id).unwrap().create(specification).unwrap();
    }

    async fn recover(&self) -> Vec<Daq> {
        recover(&self.store, &self.workspace).await.unwrap()
    }

    fn folders(&self) -> Vec<String> {
        self.workspace.daq_ids().unwrap()
    }
}

fn specification(id: &str, files: usize) -> String {
    let sources: Vec<serde_json::Value> = (0..files)
        .map(|file| serde_json::json!({"type": "fitsFile", "sourceName": "s", "location": format!("/{file}.fits")}))
        .collect();
    serde_json::json!({"id": id, "priority": 3, "sources": sources, "target": {"fileId": format!("F.{id}")}})
        .to_string()
}

fn status(sub_state: SubState, parked: bool) -> StatusRow {
    StatusRow { sub_state, parked, ..StatusRow::scheduled(Timestamp::UNIX_EPOCH) }
}

fn step(ordinal: i64, kind: &str, path: &str, updated: i64) -> StepRow {
    let fingerprint = Fingerprint { device: 1, inode: 2, bytes: 3, modified_ns: 4, changed_ns: 5 };
    StepRow {
        ordinal,
        kind: kind.to_owned(),
        location: path.to_owned(),
        state: "done".to_owned(),
        path: path.to_owned(),
        bytes: 3,
        attempts: 1,
        digest: None,
        fingerprint: Some(serde_json::to_string(&fingerprint).unwrap()),
        last_error: None,
        updated: Timestamp::from_second(updated).unwrap(),
    }
}

fn paths(daq: &Daq) -> Vec<&str> {
    daq.inputs.iter().filter_map(|input| input.path.to_str()).collect()
}

#[tokio::test]
async fn every_sub_state_comes_back() {
    let fixture = Fixture::new().await;
    let steps = || vec![step(0, "reference", "/0.fits", 1)];
    for sub_state in SubState::ALL {
        for parked in [false, true] {
            let id = format!("{sub_state}.{parked}");
            fixture.put(&id, &specification(&id, 1), status(sub_state, parked), steps()).await;
        }
    }
    let daqs = fixture.recover().await;
    let found: Vec<(String, Stage)> = daqs.iter().map(|daq| (daq.id.to_string(), daq.stage.clone())).collect();
    let mut expected = Vec::new();
    for sub_state in SubState::ALL.into_iter().filter(|sub_state| !sub_state.is_final()) {
        for parked in [false, true] {
            expected.push((format!("{sub_state}.{parked}"), Stage::resumed(sub_state, parked)));
        }
    }
    assert_eq!(found, expected);
    for daq in &daqs {
        assert!(daq.prove_product && !daq.is_held && daq.priority == 3, "{}", daq.id);
        assert_eq!(paths(daq), ["/0.fits"]);
    }
    let mut kept: Vec<String> = expected.into_iter().map(|(id, _)| id).collect();
    kept.sort_unstable();
    assert_eq!(fixture.folders(), kept);
}

#[tokio::test]
async fn leftovers_go_and_what_is_needed_stays() {
    let fixture = Fixture::new().await;
    fixture.put("A", &specification("A", 0), status(SubState::Merging, false), Vec::new()).await;
    let active = fixture.workspace.daq_folder("A").unwrap();
    std::fs::File::create(active.product_partial()).unwrap();
    std::fs::File::create(active.path().join(".inputs.json.tmp-1-0")).unwrap();
    fixture.workspace.daq_folder("never-acknowledged").unwrap().create("{}").unwrap();
    fixture.recover().await;
    assert_eq!(fixture.folders(), ["A"]);
    assert!(active.product_partial().exists());
    assert!(!active.path().join(".inputs.json.tmp-1-0").exists());
}

/// The journal comes sorted by kind: a file that was handed over (a copy) came before the referenced ones, and the
/// merge took it for the first source.
#[tokio::test]
async fn the_journal_is_in_order_of_the_files() {
    let fixture = Fixture::new().await;
    let mixed =
        vec![step(0, "reference", "/0.fits", 1), step(1, "copy", "/1.fits", 1), step(2, "reference", "/2.fits", 1)];
    fixture.put("A", &specification("A", 3), status(SubState::Merging, false), mixed).await;
    let twice =
        vec![step(0, "copy", "/old.fits", 1), step(0, "reference", "/0.fits", 2), step(1, "copy", "/1.fits", 1)];
    fixture.put("B", &specification("B", 2), status(SubState::Merging, false), twice).await;
    let daqs = fixture.recover().await;
    assert_eq!(paths(&daqs[0]), ["/0.fits", "/1.fits", "/2.fits"]);
    assert_eq!(paths(&daqs[1]), ["/0.fits", "/1.fits"]);
    assert_eq!(daqs[0].inputs.iter().map(|input| input.referenced).collect::<Vec<_>>(), [true, false, true]);
}

#[tokio::test]
async fn a_merge_without_a_whole_journal_collects_again() {
    let fixture = Fixture::new().await;
    let damaged = || StepRow { fingerprint: Some("{".to_owned()), ..step(1, "reference", "/1.fits", 1) };
    let steps = || vec![step(0, "reference", "/0.fits", 1), damaged()];
    fixture.put("A", &specification("A", 2), status(SubState::Merging, false), steps()).await;
    // A retry would have merged what was left.
    fixture.put("B", &specification("B", 2), status(SubState::Merging, true), steps()).await;
    let stages: Vec<Stage> = fixture.recover().await.into_iter().map(|daq| daq.stage).collect();
    let collect = |run| Stage::At { step: Step::Collect, run };
    assert_eq!(stages, [collect(Run::Waiting { attempt: 0 }), collect(Run::Parked)]);
}

/// The product of a merge is synced, its name is not: a power cut after the commit may have taken it.
#[tokio::test]
async fn a_recorded_product_that_is_nowhere_is_merged_again() {
    let fixture = Fixture::new().await;
    let product = Some(ProductRow { bytes: 3, digest: "d".to_owned() });
    for (id, parked) in [("gone", false), ("parked", true), ("partial", false), ("placed", false), ("files", false)] {
        let row = StatusRow { product: product.clone(), ..status(SubState::Releasing, parked) };
        let files = usize::from(id == "files");
        fixture.put(id, &specification(id, files), row, Vec::new()).await;
    }
    std::fs::File::create(fixture.workspace.daq_folder("partial").unwrap().product_partial()).unwrap();
    std::fs::File::create(fixture.workspace.product_path("F.placed").unwrap()).unwrap();
    let found: Vec<(SubState, bool)> =
        fixture.recover().await.into_iter().map(|daq| (daq.stage.sub_state(), daq.product.is_some())).collect();
    let releasing = (SubState::Releasing, true);
    assert_eq!(found, [(SubState::Merging, false), releasing, releasing, releasing, (SubState::Collecting, false)]);
}

/// After an upgrade with a stricter schema the DAQ was gone from the lists and its folder, with the files that were
/// handed over to it, was removed.
#[tokio::test]
async fn a_specification_that_is_no_longer_accepted_is_kept_and_told() {
    let fixture = Fixture::new().await;
    for (id, sub_state) in [("A", SubState::Scheduled), ("B", SubState::Merging), ("C", SubState::Aborting)] {
        fixture.put(id, "{\"kind\": \"of old\"}", status(sub_state, false), Vec::new()).await;
    }
    let daqs = fixture.recover().await;
    assert_eq!(fixture.folders(), ["A", "B", "C"]);
    let found: Vec<(SubState, bool)> = daqs.iter().map(|daq| (daq.stage.sub_state(), daq.is_held)).collect();
    assert_eq!(found, [(SubState::Scheduled, true), (SubState::Merging, true), (SubState::Aborting, true)]);
    for daq in &daqs {
        assert_eq!((daq.file_id.clone(), daq.priority), (format!("F.{}", daq.id), 3));
        let alert = &daq.alerts[0];
        assert_eq!((alert.id.as_str(), alert.severity), ("InvalidSpecification", Severity::Error));
        assert!(alert.description.contains("kind"), "{}", alert.description);
    }
    let mut dispatcher = crate::engine::dispatcher::Dispatcher::new(crate::engine::dispatcher::tests::settings(), daqs);
    let actions = dispatcher.resume(Timestamp::UNIX_EPOCH);
    assert_eq!(actions.len(), 1, "only the abort goes on: {actions:?}");
}
