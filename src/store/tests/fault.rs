//! Full disks may be tried again; damage stops all writing.

use std::os::unix::fs::FileExt;

use tokio::sync::oneshot;

use crate::store::tests::{Fixture, insert, new_daq};
use crate::store::writer::Message;
use crate::store::{Change, NewDaq, Store, StoreErrorKind};

async fn raw(store: &Store, sql: &'static str) {
    let (reply, answer) = oneshot::channel();
    store.messages.send(Message::Raw(sql, reply)).await.unwrap();
    answer.await.unwrap().unwrap();
}

fn large(id: &str) -> Change {
    Change::InsertDaq(NewDaq { specification: "x".repeat(1 << 20), ..new_daq(id) })
}

#[tokio::test]
async fn a_full_disk_undoes_the_group_and_may_be_tried_again() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    store.commit(vec![insert("A")]).await.unwrap();
    raw(&store, "PRAGMA max_page_count = 60").await;
    let answers = [store.submit(vec![insert("B")]), store.submit(vec![large("C")])];
    for answer in answers {
        let error = answer.await.unwrap_err();
        assert!(matches!(error.kind, StoreErrorKind::NoSpace { .. }) && error.kind.may_retry(), "{error:?}");
    }
    assert_eq!(store.load_active().await.unwrap().len(), 1, "half a group is no group");
    store.commit(vec![insert("B")]).await.unwrap();
    raw(&store, "PRAGMA max_page_count = 100000").await;
    store.commit(vec![large("C")]).await.unwrap();
    assert!(store.failure().is_none());
    store.check().await.unwrap();
}

#[tokio::test]
async fn damage_stops_all_writing_until_reopened() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    store.commit(vec![large("A")]).await.unwrap();
    // Everything into the main file and out of the cache, then overwritten behind the first page.
    raw(&store, "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA shrink_memory").await;
    let file = std::fs::OpenOptions::new().write(true).open(fixture.path()).unwrap();
    let bytes = file.metadata().unwrap().len();
    file.write_all_at(&vec![0xff; usize::try_from(bytes).unwrap() - 4096], 4096).unwrap();
    let first = store.commit(vec![insert("B")]).await.unwrap_err();
    assert!(matches!(first.kind, StoreErrorKind::Failed { .. }) && !first.kind.may_retry(), "{first:?}");
    let count = store.commit_count();
    let later =
        store.commit(vec![Change::SetSetting { name: "a".to_owned(), value: String::new() }]).await.unwrap_err();
    assert!(matches!(later.kind, StoreErrorKind::Failed { .. }), "{later:?}");
    assert_eq!(store.commit_count(), count);
    assert!(matches!(store.failure().unwrap().kind, StoreErrorKind::Failed { .. }));
}

#[tokio::test]
async fn a_damaged_row_is_named() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    store.commit(vec![insert("A")]).await.unwrap();
    raw(&store, "UPDATE daq SET sub_state = 'Nonsense'").await;
    let error = store.load_active().await.unwrap_err();
    assert!(matches!(&error.kind, StoreErrorKind::Malformed { text, .. } if text == "Nonsense"), "{error:?}");
}
