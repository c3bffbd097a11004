//! The promise of a start: with a long history and many unfinished DAQs, status within a second, in bounded memory.
//!
//! `cargo bench --bench startup [-- --quick]`; works in `DPM_BENCH_DIR`, else in the target folder.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a bench prints its result")]

mod support;

use std::path::Path;
use std::process::ExitCode;

use dpm::status::SubState;
use dpm::store::{Change, NewDaq, ProductRow, StatusRow, StepRow, Store};
use dpm::workspace::Workspace;
use jiff::Timestamp;
use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::verdict::{Bar, tell};
use crate::support::{MEBIBYTE, Outcome, space};

/// Files of each DAQ.
const SOURCES: i64 = 8;
/// DAQs of one transaction.
const TOGETHER: usize = 1000;
/// 2031-02-03, so that the database is the same every time.
const EPOCH: i64 = 1_927_000_000;

fn main() -> ExitCode {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (ended, active) = if quick { (1000, 50) } else { (100_000, 1000) };
    match run(ended, active) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("startup: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(ended: usize, active: usize) -> Outcome<bool> {
    let folder = tempfile::Builder::new().prefix("dpm-bench-").tempdir_in(space::folder())?;
    let workspace = folder.path().join("workspace");
    tokio::runtime::Runtime::new()?.block_on(fill(&workspace, ended, active))?;
    let last = json!({"id": name(ended + active - 1)});
    println!("{ended} ended and {active} unfinished DAQs of {SOURCES} files each\n");
    println!("| what | figure | bar | |\n|---|---|---|---|");
    let mut is_good = true;
    for round in ["first", "second", "third"] {
        let (daemon, time) = Daemon::start(&workspace, &[], ("GetDaqStatus", last.clone()))?;
        let what = format!("start to the first GetDaqStatus, {round} time");
        is_good &= tell(&what, time.as_secs_f64(), "s", Bar::Below(1.0));
        let mut client = daemon.client()?;
        client.call("GetActiveDaqs", &json!(null))?;
        client.call("GetHistory", &json!({"limit": 1000}))?;
        let peak = daemon.peak_bytes()? as f64 / MEBIBYTE as f64;
        is_good &= tell("peak memory, with lists of all", peak, "MiB", Bar::Below(100.0));
    }
    Ok(is_good)
}

/// Makes a workspace as a daemon of years leaves it.
async fn fill(path: &Path, ended: usize, active: usize) -> Outcome<()> {
    let workspace = Workspace::open(path)?;
    let store = Store::open(&workspace.database_path()).await?;
    let numbers: Vec<usize> = (0..ended + active).collect();
    for some in numbers.chunks(TOGETHER) {
        let changes = some.iter().map(|number| daq(*number, *number < ended)).collect::<Outcome<Vec<_>>>()?;
        store.commit(changes.concat()).await?;
    }
    store.close().await;
    Ok(())
}

fn name(number: usize) -> String {
    format!("XMPL.{number:06}")
}

/// The rows of one DAQ; one that has not ended waits for a person, so that nothing but the start is measured.
fn daq(number: usize, has_ended: bool) -> Outcome<Vec<Change>> {
    let id = name(number);
    let created = Timestamp::from_second(EPOCH + i64::try_from(number)?)?;
    let path = |file: i64| format!("/data/acquisition/{id}/detector-{file:02}.fits");
    let source = |file: i64| json!({"type": "fitsFile", "sourceName": format!("det{file}"), "location": path(file)});
    let sources: Vec<_> = (0..SOURCES).map(source).collect();
    let specification = json!({"id": id, "sources": sources, "target": {"fileId": id}}).to_string();
    let new = NewDaq {
        id: id.clone(),
        file_id: id.clone(),
        priority: 0,
        user: None,
        specification_digest: format!("{number:064x}"),
        specification,
        root: None,
        created,
    };
    let fingerprint = json!({"device": 1, "inode": number, "bytes": 3, "modifiedNs": 4, "changedNs": 5}).to_string();
    let step = |ordinal: i64| StepRow {
        ordinal,
        kind: "reference".to_owned(),
        location: path(ordinal),
        state: "done".to_owned(),
        path: path(ordinal),
        bytes: 3,
        attempts: 1,
        digest: None,
        fingerprint: Some(fingerprint.clone()),
        last_error: None,
        updated: created,
    };
    let status = StatusRow {
        sub_state: if has_ended { SubState::Completed } else { SubState::Merging },
        parked: !has_ended,
        result: format!("/data/dpm/products/{id}.fits"),
        message: "completed".to_owned(),
        product: has_ended.then(|| ProductRow { bytes: 3, digest: format!("{number:064x}") }),
        timings: json!({"Scheduled": created, "Collecting": created, "Merging": created, "Releasing": created}),
        ..StatusRow::scheduled(created)
    };
    let mut changes = vec![Change::InsertDaq(new)];
    changes.extend((0..SOURCES).map(|ordinal| Change::PutStep { id: id.clone(), row: step(ordinal) }));
    changes.push(Change::SetStatus { id, row: status });
    Ok(changes)
}
