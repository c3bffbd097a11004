//! Aborting in every sub-state: nothing of the DAQ stays behind, and the others go on.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test ends where something unexpected happens, and its files need not survive a power cut"
)]
#![allow(clippy::expect_used, reason = "only some of the shared helpers are used")]

mod common;

use std::fs;

use serde_json::{Value, json};

use crate::common::daemon::Daemon;
use crate::common::process::workers_of;
use crate::common::{Scene, fits, samples, temporaries, until};

/// Failures that may pass are tried again soon.
const IMPATIENT: [(&str, &str); 2] =
    [("DPM_RETRY__FIRST_PAUSE_SECONDS", "0.05"), ("DPM_RETRY__LONGEST_PAUSE_SECONDS", "0.05")];
/// An image whose merge or delivery can be caught.
const IMAGE_BYTES: u64 = 256 << 20;
/// A file whose digest takes longer than any abort.
const HASHED_BYTES: u64 = 64 << 30;

/// Aborts a DAQ and asserts that nothing of it is left: folder, product, delivery, worker, place in the queue.
#[track_caller]
fn abort_leaves_nothing(scene: &Scene, daemon: &Daemon<'_>, id: &str) {
    daemon.dpm(&["abort", id]).expect(0);
    assert!(!daemon.daq_folder(id).exists(), "the reply comes when it is gone");
    assert!(!daemon.product(&format!("{id}.p")).exists());
    assert_eq!(fs::read_dir(scene.folder("out")).unwrap().count(), 0, "nothing is at the receiver");
    assert_eq!(temporaries(daemon.workspace()), [""; 0]);
    let status = daemon.status(id);
    assert_eq!((&status["subState"], &status["state"]), (&json!("Aborted"), &json!("StateCompleted")));
    assert_eq!((&status["error"], &status["result"]), (&json!(false), &json!("")));
    let error = daemon.rpc().call("GetDaqStatus", json!({"id": id})).unwrap_err();
    assert_eq!(error["data"]["kind"], "UnknownDaq");
    let history = daemon.rpc().call("GetHistory", json!({})).unwrap();
    let entries: Vec<&Value> = history.as_array().unwrap().iter().filter(|entry| entry["id"] == id).collect();
    assert_eq!((entries.len(), &entries[0]["subState"]), (1, &json!("Aborted")));
}

/// Asserts that a further DAQ completes.
#[track_caller]
fn goes_on(scene: &Scene, daemon: &Daemon<'_>) {
    daemon.queue(&samples::small(scene, "other", &[]));
    daemon.until_completed("other");
    assert!(daemon.product("other.p").exists());
}

fn large(scene: &Scene, id: &str, receivers: &[Value]) -> Value {
    let path = fits::write_sparse_image(&scene.path(format!("{id}.fits")), "BIG", IMAGE_BYTES);
    samples::spec(id, &[samples::file("det", &path)], receivers)
}

#[test]
fn while_scheduled() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &[("DPM_LIMITS__DAQS", "1")]);
    daemon.queue(&large(&scene, "held", &[]));
    daemon.stop_worker();
    daemon.queue(&samples::small(&scene, "waiting", &[]));
    assert_eq!(daemon.status("waiting")["subState"], "Scheduled");
    abort_leaves_nothing(&scene, &daemon, "waiting");
    assert_eq!(daemon.status("held")["subState"], "Merging");
    abort_leaves_nothing(&scene, &daemon, "held");
    goes_on(&scene, &daemon);
}

#[test]
fn while_collecting() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let path = fits::write_sparse_primary(&scene.path("a.fits"), HASHED_BYTES);
    let mut source = samples::file("det", &path);
    source["digest"] = json!({"algorithm": "sha256", "value": "0".repeat(64)});
    daemon.queue(&samples::spec("a", &[source], &[]));
    daemon.until_in("a", "Collecting");
    until("its digest is being computed", || {
        (daemon.status("a")["progress"]["bytesDone"].as_u64() > Some(0)).then_some(())
    });
    abort_leaves_nothing(&scene, &daemon, "a");
    assert!(path.exists(), "the source stays");
    goes_on(&scene, &daemon);
}

#[test]
fn while_copying_a_source() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &[("DPM_COLLECT__LOCAL", "copy")]);
    daemon.queue(&large(&scene, "a", &[]));
    let partial = daemon.daq_folder("a").join("sources/0000-a.fits.part");
    until("a partial copy", || fs::metadata(&partial).ok().filter(|file| file.len() > 0));
    assert_eq!(daemon.status("a")["subState"], "Collecting");
    abort_leaves_nothing(&scene, &daemon, "a");
    goes_on(&scene, &daemon);
}

#[test]
fn while_merging_also_with_a_worker_that_does_not_react() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    daemon.queue(&large(&scene, "a", &[]));
    let worker = daemon.stop_worker();
    assert_eq!(daemon.status("a")["subState"], "Merging");
    abort_leaves_nothing(&scene, &daemon, "a");
    assert!(!workers_of(daemon.id()).contains(&worker), "the worker is ended");
    goes_on(&scene, &daemon);
}

#[test]
fn while_releasing() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let out = scene.folder("out");
    daemon.queue(&large(&scene, "a", &[samples::folder(&out, "copy")]));
    let partial = out.join(".a.p.fits.dpm-part");
    until("a partial copy at the receiver", || fs::metadata(&partial).ok().filter(|file| file.len() > 0));
    assert_eq!(daemon.status("a")["subState"], "Releasing");
    abort_leaves_nothing(&scene, &daemon, "a");
    goes_on(&scene, &daemon);
}

#[test]
fn while_parked_in_each_step() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let collecting = samples::small(&scene, "collecting", &[]);
    fs::remove_file(scene.path("collecting.fits")).unwrap();
    let bad = common::sample("malformed/missing_end.fits");
    let merging = samples::spec("merging", &[samples::file("det", &bad)], &[]);
    let releasing = samples::small(&scene, "releasing", &[samples::folder(&scene.path("absent"), "auto")]);
    for (specification, sub_state) in [(collecting, "Collecting"), (merging, "Merging"), (releasing, "Releasing")] {
        let id = daemon.queue(&specification);
        daemon.until_parked(&id);
        assert_eq!(daemon.status(&id)["subState"], sub_state);
        abort_leaves_nothing(&scene, &daemon, &id);
    }
    goes_on(&scene, &daemon);
}

#[test]
fn while_aborting_a_second_request_ends_what_the_first_could_not() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &[("DPM_LIMITS__DAQS", "1")]);
    daemon.queue(&large(&scene, "held", &[]));
    daemon.stop_worker();
    daemon.queue(&samples::small(&scene, "victim", &[]));
    let obstacle = daemon.daq_folder("victim");
    fs::write(&obstacle, "").unwrap();
    daemon.dpm(&["abort", "victim"]).expect(74);
    let status = daemon.status("victim");
    assert_eq!((&status["subState"], &status["error"]), (&json!("Aborting"), &json!(true)));
    let retry = daemon.rpc().call("RetryMergeDaq", json!({"id": "victim"})).unwrap_err();
    assert_eq!(retry["data"]["kind"], "WrongState");
    fs::remove_file(&obstacle).unwrap();
    abort_leaves_nothing(&scene, &daemon, "victim");
}

#[test]
fn after_a_kill_what_the_killed_delivery_left_goes_too() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let out = scene.folder("out");
    daemon.queue(&large(&scene, "a", &[samples::folder(&out, "copy")]));
    let partial = out.join(".a.p.fits.dpm-part");
    until("a partial copy at the receiver", || partial.exists().then_some(()));
    daemon.kill();
    assert!(partial.exists());
    // The delivery is not taken up before the abort: its folder is not there.
    fs::rename(&out, scene.path("away")).unwrap();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    daemon.until_parked("a");
    fs::rename(scene.path("away"), &out).unwrap();
    assert!(partial.exists());
    abort_leaves_nothing(&scene, &daemon, "a");
}

#[test]
fn an_abort_removes_no_file_of_another() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let out = scene.folder("out");
    fs::write(out.join("a.p.fits"), "precious").unwrap();
    fs::write(daemon.workspace().join("products/b.p.fits"), "precious").unwrap();
    daemon.queue(&samples::small(&scene, "a", &[samples::folder(&out, "copy")]));
    daemon.queue(&samples::small(&scene, "b", &[]));
    for id in ["a", "b"] {
        daemon.until_parked(id);
        daemon.dpm(&["abort", id]).expect(0);
    }
    assert_eq!(fs::read(out.join("a.p.fits")).unwrap(), b"precious");
    assert_eq!(fs::read(daemon.product("b.p")).unwrap(), b"precious");
    assert!(scene.path("a.fits").exists() && scene.path("b.fits").exists(), "sources stay");
}

#[test]
fn a_file_that_was_handed_over_goes_back() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let mut spec = samples::small(&scene, "a", &[samples::folder(&scene.path("absent"), "copy")]);
    spec["sources"][1]["handover"] = json!(true);
    let before = fs::read(scene.path("a.fits")).unwrap();
    daemon.queue(&spec);
    daemon.until_parked("a");
    assert!(!scene.path("a.fits").exists(), "it was taken");
    abort_leaves_nothing(&scene, &daemon, "a");
    assert!(fs::read(scene.path("a.fits")).unwrap() == before);
}

#[test]
fn an_unknown_or_ended_daq_cannot_be_aborted() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    assert!(daemon.dpm(&["abort", "nobody"]).expect(1).err.contains("nobody"));
    daemon.dpm(&["abort", "../daq"]).expect(1);
    goes_on(&scene, &daemon);
    daemon.dpm(&["abort", "other"]).expect(1);
    assert!(daemon.product("other.p").exists(), "a completed product stays");
}

#[test]
fn an_aborted_daq_is_not_run_when_it_is_queued_again() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let spec = samples::small(&scene, "a", &[]);
    fs::rename(scene.path("a.fits"), scene.path("elsewhere")).unwrap();
    daemon.queue(&spec);
    daemon.until_parked("a");
    abort_leaves_nothing(&scene, &daemon, "a");
    fs::rename(scene.path("elsewhere"), scene.path("a.fits")).unwrap();
    daemon.queue(&spec);
    assert_eq!(daemon.status("a")["subState"], "Aborted");
    goes_on(&scene, &daemon);
    assert!(!daemon.product("a.p").exists(), "nothing is run twice");
}
