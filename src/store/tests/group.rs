//! Many requests, few transactions, and nobody pays for a neighbour's fault.

use crate::store::tests::{Fixture, insert, second, step};
use crate::store::{Change, StatusRow, StoreErrorKind};

#[tokio::test]
async fn waiting_requests_share_commits() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    // Handed in before the writer task can run: one thread, and no await between them.
    let waiting: Vec<_> = (0..1000).map(|index| store.submit(vec![insert(&format!("D{index:04}"))])).collect();
    for answer in waiting {
        answer.await.unwrap();
    }
    assert_eq!(store.commit_count(), 4, "1000 requests in groups of at most 256");
    let ids: Vec<String> = store.load_active().await.unwrap().into_iter().map(|daq| daq.new.id).collect();
    let expected: Vec<String> = (0..1000).map(|index| format!("D{index:04}")).collect();
    assert_eq!(ids, expected, "first in, first out");
}

#[tokio::test]
async fn a_refused_request_undoes_only_itself() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    store.commit(vec![insert("old")]).await.unwrap();
    let unknown = Change::SetStatus { id: "unknown".to_owned(), row: StatusRow::scheduled(second(0)) };
    let unknown_step = Change::PutStep { id: "unknown".to_owned(), row: step(0, "done") };
    let answers = [
        store.submit(vec![insert("A")]),
        store.submit(vec![insert("half"), insert("old")]),
        store.submit(vec![insert("A")]),
        store.submit(vec![insert("other-half"), unknown]),
        store.submit(vec![unknown_step]),
        store.submit(vec![insert("../B")]),
        store.submit(vec![insert("B")]),
    ];
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(answer.await.map_err(|error| error.kind));
    }
    assert_eq!(store.commit_count(), 2);
    assert!(outcomes[0].is_ok() && outcomes[6].is_ok(), "{outcomes:?}");
    assert!(matches!(&outcomes[1], Err(StoreErrorKind::DuplicateDaq { id }) if id == "old"), "{outcomes:?}");
    assert!(matches!(&outcomes[2], Err(StoreErrorKind::DuplicateDaq { id }) if id == "A"), "{outcomes:?}");
    assert!(matches!(&outcomes[3], Err(StoreErrorKind::UnknownDaq { id }) if id == "unknown"), "{outcomes:?}");
    assert!(matches!(&outcomes[4], Err(StoreErrorKind::UnknownDaq { id }) if id == "unknown"), "{outcomes:?}");
    assert!(matches!(&outcomes[5], Err(StoreErrorKind::Name(_))), "{outcomes:?}");
    let ids: Vec<String> = store.load_active().await.unwrap().into_iter().map(|daq| daq.new.id).collect();
    assert_eq!(ids, ["old", "A", "B"]);
}

#[tokio::test]
async fn nothing_is_committed_for_refused_requests_alone() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let unknown = Change::SetPriority { id: "unknown".to_owned(), priority: 1 };
    store.commit(vec![insert("A"), unknown]).await.unwrap_err();
    assert_eq!(store.commit_count(), 0);
    assert_eq!(store.find("A").await.unwrap(), None);
    store.commit(vec![insert("A")]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_what_was_answered() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let tasks: Vec<_> = (0..50)
        .map(|index| {
            let store = store.clone();
            tokio::spawn(async move {
                let id = format!("D{index}");
                store.commit(vec![insert(&id)]).await.unwrap();
                assert!(store.find(&id).await.unwrap().is_some());
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(store.commit_count() <= 50);
}

#[tokio::test]
async fn the_queue_has_an_end() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let waiting: Vec<_> = (0..crate::store::WAITING_REQUESTS_MAX).map(|_| store.submit(Vec::new())).collect();
    let error = store.submit(Vec::new()).await.unwrap_err();
    assert!(matches!(error.kind, StoreErrorKind::Overloaded) && error.kind.may_retry());
    for answer in waiting {
        answer.await.unwrap();
    }
}

#[tokio::test]
async fn close_waits_for_what_was_handed_in_before() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (before, other) = (store.submit(vec![insert("A")]), store.clone());
    store.close().await;
    before.await.unwrap();
    assert!(matches!(other.commit(vec![insert("B")]).await.unwrap_err().kind, StoreErrorKind::Closed));
    assert!(matches!(other.load_active().await.unwrap_err().kind, StoreErrorKind::Closed));
    assert!(!fixture.folder.path().join("state.db-wal").exists(), "the log was written back");
    assert_eq!(fixture.open().await.load_active().await.unwrap().len(), 1);
}
