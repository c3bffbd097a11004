//! A running engine with a store and a workspace of its own; no DAQ gets as far as a worker.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::engine::action::{EngineError, QueueRequest};
use crate::engine::dispatcher::tests::settings;
use crate::engine::handle::{self, EngineHandle};
use crate::specification::validate;
use crate::status::SubState;
use crate::store::{Change, NewDaq, StatusRow, Store};
use crate::workspace::Workspace;

struct Fixture {
    _folder: tempfile::TempDir,
    store: Store,
    engine: EngineHandle,
    task: JoinHandle<()>,
}

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(&folder.path().join("w")).unwrap();
    let store = Store::open(&workspace.database_path()).await.unwrap();
    let (engine, task) = handle::start(settings(), store.clone(), workspace).await.unwrap();
    Fixture { _folder: folder, store, engine, task }
}

/// A DAQ whose only source is not there: it parks at collecting.
fn request(id: &str, digest: &str) -> QueueRequest {
    let text = serde_json::json!({
        "id": id, "target": {"fileId": format!("F.{id}")},
        "sources": [{"type": "fitsFile", "sourceName": "a", "location": "/nowhere/a.fits"}],
    })
    .to_string();
    let specification = Arc::new(validate::parse(&text).unwrap());
    QueueRequest { text: text.into(), specification, digest: digest.to_owned(), root: None, user: None }
}

async fn ends(task: JoinHandle<()>) {
    tokio::time::timeout(Duration::from_secs(5), task).await.expect("the engine ends").unwrap();
}

#[tokio::test]
async fn a_daq_parks_is_aborted_and_stays_known() {
    let Fixture { store, engine, task, _folder } = fixture().await;
    let mut changes = engine.subscribe();
    engine.queue(request("A", "d")).await.unwrap();
    while !changes.recv().await.unwrap().error {}
    let status = engine.status("A").unwrap();
    assert_eq!((status.sub_state, status.alerts[0].id.as_str()), (SubState::Collecting, "SourceCollectionError:a"));
    let steps = engine.internal("A").unwrap().steps;
    assert_eq!((steps.len(), steps[0].state.as_str(), steps[0].attempts), (1, "failed", 1));
    assert!(steps[0].last_error.as_ref().is_some_and(|error| error.contains("/nowhere/a.fits")), "{steps:?}");
    assert_eq!(engine.storage().await.unwrap().daqs.len(), 1);
    engine.abort("A".to_owned()).await.unwrap();
    assert_eq!(engine.storage().await.unwrap().daqs.len(), 0);
    assert!(matches!(engine.status("A"), Err(EngineError::UnknownDaq { .. })));
    engine.queue(request("A", "d")).await.unwrap();
    assert!(matches!(engine.queue(request("A", "other")).await, Err(EngineError::DuplicateDaq { .. })));
    assert_eq!(engine.active().unwrap(), []);
    assert_eq!(store.find("A").await.unwrap().unwrap().status.sub_state, SubState::Aborted);
    engine.stop().await;
    ends(task).await;
    assert!(matches!(engine.queue(request("B", "d")).await, Err(EngineError::Stopping)));
}

/// A DAQ that ended between the look into the history and its insertion was refused as a duplicate of itself.
#[tokio::test]
async fn a_daq_that_ends_while_it_is_queued_again_is_the_same() {
    let Fixture { store, engine, task, _folder } = fixture().await;
    let new = NewDaq {
        id: "A".to_owned(),
        file_id: "F.A".to_owned(),
        priority: 0,
        user: None,
        specification: "{}".to_owned(),
        specification_digest: "d".to_owned(),
        root: None,
        created: Timestamp::UNIX_EPOCH,
    };
    let row = StatusRow { sub_state: SubState::Completed, ..StatusRow::scheduled(Timestamp::UNIX_EPOCH) };
    let ended = vec![Change::InsertDaq(new), Change::SetStatus { id: "A".to_owned(), row }];
    // The first look finds nothing: what the engine sees is an insertion that is refused.
    store.commit(ended).await.unwrap();
    let queue_new = async |request| engine.settle(engine.hand_in(request).await?).await;
    queue_new(request("A", "d")).await.unwrap();
    assert!(matches!(queue_new(request("A", "other")).await, Err(EngineError::DuplicateDaq { .. })));
    drop(engine);
    ends(task).await;
}

/// DAQs that are queued together share commits, keep their order, and do not hold back one another.
#[tokio::test]
async fn many_are_queued_by_few_commits() {
    let Fixture { store, engine, task, _folder } = fixture().await;
    engine.set_limits(crate::engine::schedule::Limits { daqs: 1, transfers: 1, ..engine.limits() }).await;
    let count = |index: usize| format!("D{index}");
    let mut requests: Vec<QueueRequest> = (0..5).map(|index| request(&count(index), "d")).collect();
    requests.insert(2, request("D0", "other"));
    let before = store.commit_count();
    let outcomes = engine.queue_many(requests).await;
    let refused: Vec<usize> = (0..6).filter(|index| outcomes[*index].is_err()).collect();
    assert!(matches!(&outcomes[2], Err(EngineError::DuplicateDaq { id }) if id == "D0"));
    assert_eq!(refused, [2]);
    // One or two for all; D0 has parked, too.
    assert!(store.commit_count() - before <= 4, "{} commits", store.commit_count() - before);
    let ids: Vec<String> = store.load_active().await.unwrap().into_iter().map(|stored| stored.new.id).collect();
    assert_eq!(ids, (0..5).map(count).collect::<Vec<_>>());
    engine.stop().await;
    ends(task).await;
}

/// The executor held a sender of the engine's own inputs, so that nothing but `stop` could end it.
#[tokio::test]
async fn an_engine_without_handles_ends() {
    let Fixture { engine, task, _folder, .. } = fixture().await;
    let other = engine.clone();
    engine.queue(request("A", "d")).await.unwrap();
    drop(engine);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!task.is_finished());
    other.active().unwrap();
    drop(other);
    ends(task).await;
}

/// Aborting a DAQ whose specification could not be read any more removed the files that had been handed over to it.
#[tokio::test]
async fn files_that_nothing_explains_are_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::open(&folder.path().join("w")).unwrap();
    let store = Store::open(&workspace.database_path()).await.unwrap();
    let new = NewDaq {
        id: "A".to_owned(),
        file_id: "F.A".to_owned(),
        priority: 0,
        user: None,
        specification: "{\"kind\": \"of old\"}".to_owned(),
        specification_digest: "d".to_owned(),
        root: None,
        created: Timestamp::UNIX_EPOCH,
    };
    store.commit(vec![Change::InsertDaq(new)]).await.unwrap();
    let files = workspace.daq_folder("A").unwrap();
    files.create("{\"kind\": \"of old\"}").unwrap();
    let taken = files.sources().join("0000-taken.fits");
    std::fs::File::create(&taken).unwrap();
    let (engine, task) = handle::start(settings(), store, workspace).await.unwrap();
    let status = engine.status("A").unwrap();
    assert_eq!((status.sub_state, status.error), (SubState::Scheduled, true));
    assert!(matches!(engine.retry("A".to_owned()).await, Err(EngineError::WrongState { .. })));
    let refused = engine.abort("A".to_owned()).await;
    assert!(
        matches!(&refused, Err(EngineError::AbortFailed { message, .. }) if message.contains("handed over")),
        "{refused:?}"
    );
    std::fs::remove_file(&taken).unwrap();
    engine.abort("A".to_owned()).await.unwrap();
    assert!(!files.path().exists());
    drop(engine);
    ends(task).await;
}
