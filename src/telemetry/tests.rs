//! Tests of what a log looks like, and of logs that cannot be written.

use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::telemetry::{LogFormat, LogHandle, LogOptions, TelemetryErrorKind, build};

/// What was written, while there is room.
#[derive(Clone, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    room: Arc<AtomicUsize>,
}

impl Disk {
    fn with_room(room: usize) -> Disk {
        Disk { room: Arc::new(AtomicUsize::new(room)), ..Disk::default() }
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room.load(Ordering::Relaxed));
        if count == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room.fetch_sub(count, Ordering::Relaxed);
        self.bytes.lock().unwrap().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn options(format: LogFormat, journald: bool) -> LogOptions {
    LogOptions { level: "info".to_owned(), format, ansi: false, journald }
}

fn logged(options: &LogOptions, disk: &Disk, work: impl FnOnce(&LogHandle)) {
    let (subscriber, handle) = build(options, Box::new(disk.clone())).unwrap();
    tracing::subscriber::with_default(subscriber, || work(&handle));
}

#[test]
fn text_has_time_level_target_and_fields() {
    let disk = Disk::with_room(10_000);
    logged(&options(LogFormat::Text, false), &disk, |_| {
        tracing::info!(id = "A", "queued");
        tracing::debug!("not wanted");
    });
    let text = disk.text();
    let (time, rest) = text.split_once(' ').unwrap();
    assert!(time.len() == 27 && time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{time}");
    assert_eq!(rest, " INFO dpm::telemetry::tests: queued id=\"A\"\n");
}

#[test]
fn json_is_one_object_a_line() {
    let disk = Disk::with_room(10_000);
    logged(&options(LogFormat::Json, false), &disk, |_| tracing::error!(bytes = 7, "two\nlines"));
    let value: serde_json::Value = serde_json::from_str(&disk.text()).unwrap();
    assert_eq!((&value["level"], &value["bytes"]), (&"ERROR".into(), &7.into()));
    assert_eq!(value["message"], "two\nlines");
}

#[test]
fn the_journal_gets_the_severity_of_every_line() {
    let disk = Disk::with_room(10_000);
    logged(&options(LogFormat::Text, true), &disk, |_| {
        tracing::error!("no\nspace");
        tracing::warn!("low");
    });
    let expected = "<3>ERROR dpm::telemetry::tests: no\n<3>  | space\n<4> WARN dpm::telemetry::tests: low\n";
    assert_eq!(disk.text(), expected);
}

#[test]
fn no_text_of_others_looks_like_a_record() {
    let disk = Disk::with_room(10_000);
    let hostile = "x\n2031-01-01T00:00:00.000000Z ERROR dpm: forged\r\u{1b}[2J";
    logged(&options(LogFormat::Text, false), &disk, |_| tracing::info!("{hostile}"));
    let text = disk.text();
    assert!(text.contains("\n  | 2031-") && text.contains("forged\\r"), "{text}");
    assert!(!text.contains(['\r', '\u{1b}']), "{text}");
}

#[test]
fn the_level_changes_while_it_runs_and_a_bad_one_changes_nothing() {
    let disk = Disk::with_room(10_000);
    logged(&options(LogFormat::Text, true), &disk, |handle| {
        handle.set_level("debug").unwrap();
        tracing::debug!("one");
        let error = handle.set_level("inof").unwrap_err();
        assert_eq!(error.to_string(), "log.level: `inof` is not a level; did you mean `info`?");
        tracing::debug!("two");
        handle.set_level("off").unwrap();
        tracing::error!("three");
    });
    let expected = "<7>DEBUG dpm::telemetry::tests: one\n<7>DEBUG dpm::telemetry::tests: two\n";
    assert_eq!(disk.text(), expected);
    let (_, handle) = build(&options(LogFormat::Text, true), Box::new(io::sink())).unwrap();
    assert!(matches!(handle.set_level("info").unwrap_err().kind, TelemetryErrorKind::Ended));
}

#[test]
fn a_full_disk_loses_records_and_says_so_later() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let disk = Disk::with_room(5);
        logged(&options(format, false), &disk, |handle| {
            tracing::info!("cut");
            tracing::info!("lost");
            assert_eq!(handle.lost_records(), 2);
            disk.room.store(10_000, Ordering::Relaxed);
            tracing::info!("written");
            tracing::info!("after");
            assert_eq!(handle.lost_records(), 2);
        });
        let text = disk.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert_eq!(lines[0].len(), 5, "{text}");
        assert!(lines[1].contains("2 log records could not be written"), "{text}");
        assert!(lines[2].contains("written") && lines[3].contains("after"), "{text}");
    }
}

#[test]
fn a_closed_standard_error_stops_nothing() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }
    let (subscriber, handle) = build(&options(LogFormat::Text, false), Box::new(Closed)).unwrap();
    tracing::subscriber::with_default(subscriber, || tracing::error!("nobody reads"));
    assert_eq!(handle.lost_records(), 1);
}
