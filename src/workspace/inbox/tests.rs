//! The inbox with real files, events and time.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::durable::{publish, write_new};
use crate::workspace::inbox::{Inbox, InboxErrorKind};

const LIMIT: u64 = 1000;

struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, text: &str) -> PathBuf {
        write_new(&self.path(name), text.as_bytes()).unwrap();
        self.path(name)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }
}

async fn next(paths: &mut mpsc::Receiver<PathBuf>) -> Option<PathBuf> {
    tokio::time::timeout(Duration::from_secs(20), paths.recv()).await.expect("no file came")
}

#[tokio::test]
async fn files_come_once_whether_they_were_there_or_are_dropped() {
    let fixture = Fixture::new();
    let first = fixture.put("first.json", "{}");
    for ignored in [".hidden.json", "notes.txt", "json"] {
        fixture.put(ignored, "{}");
    }
    std::fs::create_dir(fixture.path("folder.json")).unwrap();
    symlink(&first, fixture.path("link.json")).unwrap();
    let (sender, mut paths) = mpsc::channel(1);
    let inbox = Inbox::watch(fixture.folder.path(), sender).unwrap();
    assert_eq!(next(&mut paths).await, Some(first.clone()));
    inbox.accept(&first).unwrap();
    // Dropped as one should.
    let started = Instant::now();
    publish(&fixture.put("second.part", "{}"), &fixture.path("second.json")).unwrap();
    assert_eq!(next(&mut paths).await, Some(fixture.path("second.json")));
    assert!(started.elapsed() < Duration::from_secs(4), "an event wakes the listing");
    // Nothing comes twice, and nothing else comes.
    tokio::time::timeout(Duration::from_millis(1500), paths.recv()).await.unwrap_err();
    drop(inbox);
    assert_eq!(next(&mut paths).await, None, "the thread has ended");
}

#[tokio::test]
async fn a_file_comes_only_when_it_is_whole() {
    let fixture = Fixture::new();
    let (sender, mut paths) = mpsc::channel(10);
    let _inbox = Inbox::watch(fixture.folder.path(), sender).unwrap();
    let mut file = std::fs::File::create(fixture.path("slow.json")).unwrap();
    for _ in 0..6 {
        file.write_all(b"{").unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(paths.try_recv().is_err(), "still written");
    }
    drop(file);
    assert_eq!(next(&mut paths).await, Some(fixture.path("slow.json")));
    assert_eq!(fixture.text("slow.json"), "{{{{{{");
}

/// The kernel reports our own listing as "opened": taken as a hint, it kept the thread busy for ever.
#[tokio::test]
async fn an_idle_inbox_costs_nothing() {
    let fixture = Fixture::new();
    let (sender, _paths) = mpsc::channel(1);
    let inbox = Inbox::watch(fixture.folder.path(), sender).unwrap();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let count = inbox.watch.as_ref().unwrap().listing_count();
    assert!((1..=3).contains(&count), "{count} listings");
}

#[test]
fn filing_away_overwrites_nothing() {
    let fixture = Fixture::new();
    let inbox = Inbox::open(fixture.folder.path()).unwrap();
    for (text, expected) in [("1", "accepted/a.json"), ("2", "accepted/a.json.1"), ("3", "accepted/a.json.2")] {
        let path = fixture.put("a.json", text);
        assert_eq!(inbox.accept(&path).unwrap(), fixture.path(expected));
        assert_eq!(fixture.text(expected), text);
        assert!(!path.exists());
    }
    for (text, expected) in [("4", "rejected/a.json"), ("5", "rejected/a.json.1")] {
        let path = fixture.put("a.json", text);
        assert_eq!(inbox.reject(&path, &format!("why {text}")).unwrap(), fixture.path(expected));
        assert_eq!(fixture.text(expected), text);
        assert_eq!(fixture.text(&format!("{expected}.reason")), format!("why {text}"));
    }
}

#[test]
fn a_killed_rejection_is_finished() {
    let fixture = Fixture::new();
    let inbox = Inbox::open(fixture.folder.path()).unwrap();
    let path = fixture.put("a.json", "1");
    fixture.put("rejected/a.json.reason", "why");
    assert_eq!(inbox.reject(&path, "why").unwrap(), fixture.path("rejected/a.json"));
    let again = fixture.put("a.json", "2");
    fixture.put("rejected/a.json.1.reason", "another reason");
    assert_eq!(inbox.reject(&again, "why").unwrap(), fixture.path("rejected/a.json.2"));
}

#[test]
fn files_that_went_leave_no_reason() {
    let fixture = Fixture::new();
    let inbox = Inbox::open(fixture.folder.path()).unwrap();
    inbox.reject(&fixture.path("gone.json"), "why").unwrap_err();
    inbox.accept(&fixture.path("gone.json")).unwrap_err();
    assert_eq!(fixture.path("rejected").read_dir().unwrap().count(), 0);
}

#[test]
fn nothing_outside_is_read_or_moved() {
    let (fixture, elsewhere) = (Fixture::new(), Fixture::new());
    let inbox = Inbox::open(fixture.folder.path()).unwrap();
    let outside = elsewhere.put("a.json", "{}");
    let dotted = fixture.path("../a.json");
    for path in [outside.as_path(), dotted.as_path(), Path::new("/"), Path::new("a.json"), &fixture.path("accepted/..")]
    {
        assert!(matches!(inbox.read(path, LIMIT).unwrap_err().kind, InboxErrorKind::Outside), "{path:?}");
        assert!(matches!(inbox.accept(path).unwrap_err().kind, InboxErrorKind::Outside), "{path:?}");
        assert!(matches!(inbox.reject(path, "").unwrap_err().kind, InboxErrorKind::Outside), "{path:?}");
    }
    assert!(outside.exists());
}

#[test]
fn only_reasonable_files_are_read() {
    let (fixture, elsewhere) = (Fixture::new(), Fixture::new());
    let inbox = Inbox::open(fixture.folder.path()).unwrap();
    assert_eq!(inbox.read(&fixture.put("good.json", "{\u{e9}}"), LIMIT).unwrap(), "{\u{e9}}");
    let exact = "x".repeat(1000);
    assert_eq!(inbox.read(&fixture.put("exact.json", &exact), LIMIT).unwrap(), exact);
    symlink(elsewhere.put("secret", "s"), fixture.path("link.json")).unwrap();
    std::fs::create_dir(fixture.path("folder.json")).unwrap();
    write_new(&fixture.path("bytes.json"), b"ab\xff").unwrap();
    fixture.put("large.json", &"x".repeat(1001));
    let fifo = std::process::Command::new("mkfifo").arg(fixture.path("pipe.json")).status().unwrap();
    assert!(fifo.success());
    let check = |name: &str, expected: fn(&InboxErrorKind) -> bool| {
        let kind = inbox.read(&fixture.path(name), LIMIT).unwrap_err().kind;
        assert!(expected(&kind) && kind.is_of_file(), "{name}: {kind:?}");
    };
    check("link.json", |kind| matches!(kind, InboxErrorKind::NotAFile));
    check("folder.json", |kind| matches!(kind, InboxErrorKind::NotAFile));
    check("pipe.json", |kind| matches!(kind, InboxErrorKind::NotAFile));
    check("bytes.json", |kind| matches!(kind, InboxErrorKind::NotText { offset: 2 }));
    check("large.json", |kind| matches!(kind, InboxErrorKind::TooLarge { limit: 1000 }));
}
