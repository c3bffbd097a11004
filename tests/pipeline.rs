//! The whole pipeline: `dpm run`, `dpm serve` and its clients, receivers, inbox.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test ends where something unexpected happens, and its files need not survive a power cut"
)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::{Value, json};

use crate::common::daemon::Daemon;
use crate::common::{Scene, fits, judge, sample_spec, samples, temporaries, tree, until};

/// Failures that may pass are tried again soon.
const IMPATIENT: [(&str, &str); 2] =
    [("DPM_RETRY__FIRST_PAUSE_SECONDS", "0.05"), ("DPM_RETRY__LONGEST_PAUSE_SECONDS", "0.05")];

const NEW_FILE: &str = "XMPL.2031-02-03T04:05:06.101";

#[test]
fn merge_run_and_serve_make_the_same_bytes() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    for name in ["new_file", "in_place", "keyword_rules", "elt_style", "many_sources"] {
        let spec = sample_spec(&format!("{name}.json"));
        scene.merge(&spec, &format!("{name}.fits")).expect(0);
        let merged = fs::read(scene.path(format!("{name}.fits"))).unwrap();
        let run = scene.dpm([OsStr::new("run"), "--json".as_ref(), spec.as_os_str()]).expect(0);
        let served = daemon.dpm(&["queue", "--wait", "--json", spec.to_str().unwrap()]).expect(0);
        for status in [&run.json()[0], &served.json()[0]] {
            assert_eq!(status["subState"], "Completed", "{name}");
            assert!(fs::read(status["result"].as_str().unwrap()).unwrap() == merged, "{name}");
        }
    }
    let products = scene.path("dpm-workspace/products");
    assert_eq!(fs::read_dir(products).unwrap().count(), 5, "the default workspace is ./dpm-workspace");
}

#[test]
fn a_second_run_reports_the_product_and_merges_nothing() {
    let scene = Scene::new();
    let spec = sample_spec("new_file.json");
    let run = || scene.dpm([OsStr::new("run"), "--json".as_ref(), spec.as_os_str()]).expect(0).json();
    let first = run();
    let product = scene.path(format!("dpm-workspace/products/{NEW_FILE}.fits"));
    let state =
        || fs::metadata(&product).map(|file| (file.ino(), file.mtime(), file.mtime_nsec(), file.len())).unwrap();
    let before = state();
    let second = run();
    assert_eq!(state(), before);
    assert_eq!((&second[0]["result"], &second[0]["timestamp"]), (&first[0]["result"], &first[0]["timestamp"]));
    assert_eq!(second[0]["productExists"], true);
    fs::remove_file(&product).unwrap();
    assert_eq!(run()[0]["productExists"], false, "it says that the product has gone");
}

#[test]
fn run_goes_on_with_the_others_and_tries_a_parked_one_again_the_next_time() {
    let scene = Scene::new();
    let mut specs = Vec::new();
    for id in ["a", "b", "c"] {
        specs.push(scene.spec(&format!("{id}.json"), &samples::small(&scene, id, &[])));
    }
    fs::rename(scene.path("b.fits"), scene.path("elsewhere")).unwrap();
    let run = |code| {
        let mut command = scene.command([OsStr::new("run"), "--json".as_ref()]);
        command.args(&specs).envs(IMPATIENT);
        common::finish(command, b"").expect(code).json()
    };
    let report = run(1);
    let states: Vec<&Value> = report.as_array().unwrap().iter().map(|one| &one["subState"]).collect();
    assert_eq!(states, ["Completed", "Collecting", "Completed"]);
    assert_eq!(report[1]["error"], true);
    fs::rename(scene.path("elsewhere"), scene.path("b.fits")).unwrap();
    assert_eq!(run(0)[1]["subState"], "Completed");
}

#[test]
fn queueing_twice_gives_the_same_reply_and_another_specification_is_a_duplicate() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let spec = samples::small(&scene, "a", &[]);
    daemon.queue(&spec);
    daemon.queue(&spec);
    daemon.until_completed("a");
    let before = fs::metadata(daemon.product("a.p")).unwrap().ino();
    // As an object, and with its members in another order: the same specification.
    let object = json!({"target": spec["target"], "sources": spec["sources"], "id": spec["id"]});
    let mut rpc = daemon.rpc();
    assert_eq!(rpc.call("QueueDaq", json!({"specification": object})), Ok(json!({"id": "a", "error": false})));
    let mut other = spec.clone();
    other["priority"] = json!(3);
    let error = rpc.call("QueueDaq", json!({"specification": other})).unwrap_err();
    assert_eq!((&error["data"]["kind"], &error["code"]), (&json!("DuplicateDaq"), &json!(-32003)));
    let file = scene.spec("other.json", &other);
    assert!(daemon.dpm(&["queue", file.to_str().unwrap()]).expect(65).err.contains("another specification"));
    assert_eq!(rpc.call("GetHistory", json!({})).unwrap().as_array().unwrap().len(), 1);
    assert_eq!(fs::metadata(daemon.product("a.p")).unwrap().ino(), before);
}

#[test]
fn a_failing_daq_parks_while_others_complete_and_retry_completes_it() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let spec = samples::small(&scene, "bad", &[]);
    fs::rename(scene.path("bad.fits"), scene.path("elsewhere")).unwrap();
    daemon.queue(&spec);
    let alert = daemon.until_parked("bad");
    assert_eq!(alert["id"], "SourceCollectionError:det");
    assert!(alert["description"].as_str().unwrap().contains("bad.fits"), "{alert}");
    daemon.queue(&samples::small(&scene, "good", &[]));
    daemon.until_completed("good");
    let status = daemon.dpm(&["status", "bad", "--json"]).expect(0).json();
    assert_eq!((&status["subState"], &status["error"]), (&json!("Collecting"), &json!(true)));
    let waited = daemon.dpm(&["wait", "bad"]).expect(1);
    assert!(waited.out.contains("bad"), "waiting ends where a DAQ is parked");
    let refused = daemon.rpc().call("RetryMergeDaq", json!({"id": "good"})).unwrap_err();
    assert_eq!(refused["data"]["kind"], "UnknownDaq");
    fs::rename(scene.path("elsewhere"), scene.path("bad.fits")).unwrap();
    daemon.dpm(&["retry", "bad"]).expect(0);
    let status = daemon.until_completed("bad");
    assert_eq!(status["alerts"], json!([]), "the alert goes when its cause goes");
    judge::sound(&[&daemon.product("bad.p"), &daemon.product("good.p")]);
}

#[test]
fn folder_receivers_deliver_in_the_way_that_was_asked_for() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    for mode in ["auto", "hardLink", "symlink", "copy"] {
        let folder = scene.folder(mode);
        daemon.queue(&samples::small(&scene, mode, &[samples::folder(&folder, mode)]));
        daemon.until_completed(mode);
        let product = daemon.product(&format!("{mode}.p"));
        let delivered = folder.join(format!("{mode}.p.fits"));
        let (here, there) = (fs::metadata(&product).unwrap(), fs::symlink_metadata(&delivered).unwrap());
        let is_same = here.ino() == there.ino();
        let is_link = there.file_type().is_symlink();
        let expected = match mode {
            "symlink" => (false, true),
            "copy" => (false, false),
            _ => (true, false),
        };
        assert_eq!((is_same, is_link), expected, "{mode}");
        assert!(fs::read(&delivered).unwrap() == fs::read(&product).unwrap(), "{mode}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "{mode} leaves nothing else");
    }
}

#[test]
fn a_different_file_at_the_receiver_is_never_overwritten() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    for mode in ["auto", "symlink", "copy"] {
        let folder = scene.folder(mode);
        let precious = folder.join(format!("{mode}.p.fits"));
        fs::write(&precious, "precious").unwrap();
        daemon.queue(&samples::small(&scene, mode, &[samples::folder(&folder, mode)]));
        let alert = daemon.until_parked(mode);
        assert!(alert["id"].as_str().unwrap().starts_with("ReleasingError:"), "{alert}");
        assert!(alert["description"].as_str().unwrap().contains(precious.to_str().unwrap()), "{alert}");
        assert_eq!(daemon.status(mode)["subState"], "Releasing");
        assert_eq!(fs::read(&precious).unwrap(), b"precious", "{mode}");
        fs::rename(&precious, scene.path("moved")).unwrap();
        daemon.dpm(&["retry", mode]).expect(0);
        daemon.until_completed(mode);
        assert!(fs::read(&precious).unwrap() == fs::read(daemon.product(&format!("{mode}.p"))).unwrap(), "{mode}");
    }
}

#[test]
fn of_two_receivers_the_good_one_is_served_once_and_the_other_after_retry() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let (good, late) = (scene.folder("good"), scene.path("late"));
    daemon.queue(&samples::small(&scene, "a", &[samples::folder(&good, "copy"), samples::folder(&late, "copy")]));
    assert!(daemon.until_parked("a")["description"].as_str().unwrap().contains("late"));
    let state = || fs::metadata(good.join("a.p.fits")).map(|file| (file.ino(), file.mtime_nsec())).unwrap();
    let before = state();
    scene.folder("late");
    daemon.dpm(&["retry", "a"]).expect(0);
    daemon.until_completed("a");
    assert_eq!(state(), before, "delivered exactly once");
    assert!(late.join("a.p.fits").exists());
}

#[test]
fn default_receivers_of_the_configuration_serve_specifications_without_any() {
    let scene = Scene::new();
    let folder = scene.folder("out");
    let text = format!("[[release.receivers]]\ntype = \"folderReceiver\"\npath = {folder:?}\nmode = \"copy\"\n");
    let file = scene.write("dpm.toml", text);
    let daemon = Daemon::start_with(&scene, &[("DPM_CONFIG", file.to_str().unwrap())]);
    daemon.queue(&samples::small(&scene, "a", &[]));
    daemon.until_completed("a");
    assert!(folder.join("a.p.fits").exists());
}

#[test]
fn copy_mode_collects_a_copy_of_its_own() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &[("DPM_COLLECT__LOCAL", "copy")]);
    let absent = scene.path("absent");
    let spec = samples::small(&scene, "a", &[samples::folder(&absent, "copy")]);
    daemon.queue(&spec);
    daemon.until_parked("a");
    let copy = fs::read(daemon.daq_folder("a").join("sources/0000-a.fits")).unwrap();
    assert!(copy == fs::read(scene.path("a.fits")).unwrap());
    scene.folder("absent");
    daemon.dpm(&["retry", "a"]).expect(0);
    daemon.until_completed("a");
    assert!(scene.path("a.fits").exists(), "a source that is not handed over stays");
    daemon.until_folder_gone("a");
}

#[test]
fn a_file_that_is_handed_over_is_taken() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let mut spec = samples::small(&scene, "a", &[]);
    spec["sources"][1]["handover"] = json!(true);
    let source = fs::read(scene.path("a.fits")).unwrap();
    daemon.queue(&spec);
    daemon.until_completed("a");
    assert!(!scene.path("a.fits").exists(), "it was taken");
    let product = daemon.product("a.p");
    let again = scene.write("again.fits", source);
    judge::same_data(&product, "1", &again, "1");
}

#[test]
fn a_digest_that_does_not_match_parks_and_a_right_one_passes() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let mut right = samples::small(&scene, "right", &[]);
    let digest = blake3::hash(&fs::read(scene.path("right.fits")).unwrap()).to_hex().to_string();
    right["sources"][1]["digest"] = json!({"algorithm": "blake3", "value": digest});
    let mut wrong = samples::small(&scene, "wrong", &[]);
    wrong["sources"][1]["digest"] = json!({"algorithm": "sha256", "value": digest});
    daemon.queue(&right);
    daemon.queue(&wrong);
    daemon.until_completed("right");
    let alert = daemon.until_parked("wrong");
    let text = alert["description"].as_str().unwrap();
    assert!(text.contains("wrong.fits") && text.contains(&digest), "{alert}");
    assert!(!daemon.product("wrong.p").exists());
}

#[test]
fn a_malformed_source_parks_in_merging_and_the_message_names_file_and_hdu() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let path = common::sample("malformed/truncated_data.fits");
    daemon.queue(&samples::spec("a", &[samples::file("det", &path)], &[]));
    let text = daemon.until_parked("a")["description"].to_string();
    assert!(text.contains("truncated_data.fits") && text.contains("HDU 0"), "{text}");
    assert!(!daemon.product("a.p").exists());
    assert_eq!(temporaries(daemon.workspace()), [""; 0]);
}

#[test]
fn a_source_that_is_no_regular_file_parks_and_is_never_waited_for() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let fifo = scene.path("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let folder = scene.folder("folder");
    for (id, path) in [("a", fifo.as_path()), ("b", &folder), ("c", Path::new("/dev/zero"))] {
        daemon.queue(&samples::spec(id, &[samples::file("det", path)], &[]));
        let alert = daemon.until_parked(id);
        assert_eq!(
            (&alert["id"], &daemon.status(id)["subState"]),
            (&json!("SourceCollectionError:det"), &json!("Collecting"))
        );
        assert!(alert["description"].as_str().unwrap().contains(path.to_str().unwrap()), "{alert}");
    }
}

#[test]
fn two_daqs_with_one_file_id_never_overwrite_each_other() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let first = samples::small(&scene, "a", &[]);
    let mut second = samples::small(&scene, "b", &[]);
    second["target"]["fileId"] = json!("a.p");
    daemon.queue(&first);
    daemon.until_completed("a");
    let bytes = fs::read(daemon.product("a.p")).unwrap();
    daemon.queue(&second);
    daemon.until_parked("b");
    assert!(fs::read(daemon.product("a.p")).unwrap() == bytes);
    daemon.dpm(&["abort", "b"]).expect(0);
    assert!(fs::read(daemon.product("a.p")).unwrap() == bytes, "an abort removes only its own product");
}

#[test]
fn a_specification_in_the_inbox_is_accepted_or_rejected_with_a_reason() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let inbox = daemon.workspace().join("inbox");
    let drop = |name: &str, text: String| {
        fs::write(inbox.join("hidden"), text).unwrap();
        fs::rename(inbox.join("hidden"), inbox.join(name)).unwrap();
    };
    drop("good.json", samples::small(&scene, "good", &[]).to_string());
    drop("bad.json", r#"{"id": "bad", "sources": [], "target": {"fileID": "x"}}"#.to_owned());
    until("good.json is accepted", || inbox.join("accepted/good.json").exists().then_some(()));
    let reason = inbox.join("rejected/bad.json.reason");
    let reason = until("bad.json is rejected", || fs::read_to_string(&reason).ok().filter(|text| !text.is_empty()));
    assert!(reason.contains("/target/fileID") && reason.contains("fileId"), "{reason}");
    assert!(inbox.join("rejected/bad.json").exists());
    daemon.until_completed("good");
    assert_eq!(
        tree(&inbox),
        ["accepted", "accepted/good.json", "rejected", "rejected/bad.json", "rejected/bad.json.reason"]
    );
}

#[test]
fn the_inbox_takes_what_was_dropped_while_no_daemon_ran() {
    let scene = Scene::new();
    Daemon::start(&scene).exit();
    fs::write(scene.path("ws/inbox/a.json"), samples::small(&scene, "a", &[]).to_string()).unwrap();
    let daemon = Daemon::start(&scene);
    until("a is completed", || daemon.product("a.p").exists().then_some(()));
    daemon.until_completed("a");
}

#[test]
fn history_storage_list_and_status_tell_what_is() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    for id in ["a", "b", "c"] {
        daemon.queue(&samples::small(&scene, id, &[]));
        daemon.until_completed(id);
    }
    let bad = samples::small(&scene, "bad", &[]);
    fs::remove_file(scene.path("bad.fits")).unwrap();
    daemon.queue(&bad);
    daemon.until_parked("bad");
    let history = daemon.dpm(&["history", "--json", "--limit", "2"]).expect(0).json();
    let ids: Vec<&Value> = history.as_array().unwrap().iter().map(|entry| &entry["id"]).collect();
    assert_eq!(ids, ["c", "b"]);
    let before = history[1]["sequence"].to_string();
    let rest = daemon.dpm(&["history", "--json", "--before", &before]).expect(0).json();
    assert_eq!((rest.as_array().unwrap().len(), &rest[0]["id"]), (1, &json!("a")));
    let product = fs::read(daemon.product("a.p")).unwrap();
    assert_eq!(rest[0]["digest"], json!(blake3::hash(&product).to_hex().to_string()));
    assert_eq!(rest[0]["bytes"], json!(product.len()));
    let active = daemon.dpm(&["list", "--json"]).expect(0).json();
    assert_eq!((active.as_array().unwrap().len(), &active[0]["id"]), (1, &json!("bad")));
    let storage = daemon.dpm(&["storage", "--json"]).expect(0).json();
    assert!(storage["available"].as_u64() <= storage["free"].as_u64());
    assert!(
        storage["usedByProducts"].as_u64() >= Some(3 * 20_000)
            && storage["usedByWorkspace"].as_u64() >= storage["usedByProducts"].as_u64()
    );
    let status = daemon.dpm(&["status", "--json"]).expect(0).json();
    assert_eq!((&status["active"], &status["finished"]), (&json!(1), &json!(3)));
    for command in [&["history"][..], &["list"], &["storage"], &["status"], &["status", "bad"]] {
        let text = daemon.dpm(command).expect(0).out;
        assert!(!text.is_empty() && !text.contains('\u{1b}'), "{command:?} has no colours in a pipe");
    }
}

#[test]
fn wait_gives_up_after_its_timeout_with_75_and_an_unknown_id_is_an_error() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &[("DPM_LIMITS__DAQS", "1")]);
    let path = fits::write_sparse_image(&scene.path("big.fits"), "BIG", 64 << 20);
    daemon.queue(&samples::spec("held", &[samples::file("det", &path)], &[]));
    daemon.stop_worker();
    daemon.queue(&samples::small(&scene, "next", &[]));
    assert!(daemon.dpm(&["wait", "next", "--timeout", "0.2"]).expect(75).out.contains("Scheduled"));
    daemon.dpm(&["wait", "nobody", "--timeout", "1"]).expect(1);
    daemon.dpm(&["status", "nobody"]).expect(1);
}

#[test]
fn watch_tells_every_change_as_json_lines_until_the_daemon_ends() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let mut command = scene.command(["watch", "--json"]);
    command.env("DPM_SOCKET", daemon.socket());
    let mut watch = command.spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    // A first line tells that the watcher listens: unfinished DAQs are told at once.
    let marker = samples::small(&scene, "marker", &[]);
    fs::remove_file(scene.path("marker.fits")).unwrap();
    daemon.queue(&marker);
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["id"], "marker");
    daemon.queue(&samples::small(&scene, "a", &[]));
    daemon.until_completed("a");
    daemon.exit();
    let changes: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    let (code, _, err) = common::process::wait_bounded(watch, common::LIMIT);
    assert_eq!(code, Some(69), "{err}");
    let mut states: Vec<&str> =
        changes.iter().filter(|change| change["id"] == "a").filter_map(|change| change["subState"].as_str()).collect();
    states.dedup();
    assert_eq!(states, ["Scheduled", "Collecting", "Merging", "Releasing", "Completed"]);
}

#[test]
fn a_second_daemon_is_refused_with_75_and_starts_once_the_first_was_killed() {
    let scene = Scene::new();
    let first = Daemon::start(&scene);
    let second = Daemon::launch(&scene, &[]);
    assert_eq!(second.wait(), Some(75));
    let log = fs::read_to_string(scene.path("daemon.log")).unwrap();
    assert!(log.contains(&first.id().to_string()), "it names the process that serves: {log}");
    let mut run = scene.command([OsStr::new("run"), sample_spec("new_file.json").as_os_str()]);
    run.arg("--workspace").arg(first.workspace());
    common::finish(run, b"").expect(75);
    assert!(first.rpc().call("GetServerStatus", Value::Null).is_ok(), "the first is not disturbed");
    first.kill();
    assert!(scene.path("ws/dpm.sock").exists(), "the socket of a killed daemon stays");
    let third = Daemon::start(&scene);
    third.exit();
}

#[test]
fn the_workspace_is_closed_to_others() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    daemon.queue(&samples::small(&scene, "a", &[]));
    daemon.until_completed("a");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&daemon.socket()), 0o660);
    for name in ["", "state.db", "products", "inbox", "daq", "dpm.lock", "products/a.p.fits"] {
        assert_eq!(mode(&daemon.workspace().join(name)) & 0o007, 0, "{name} gives nothing to others");
    }
}

#[test]
fn check_config_prints_the_effective_settings_and_they_take_effect() {
    let scene = Scene::new();
    let file = scene.write("dpm.toml", "[limits]\nmerges = 7\ndaqs = 9\n");
    let mut command = scene.command(["serve", "--check-config", "--config", file.to_str().unwrap()]);
    command.env("DPM_LIMITS__DAQS", "11");
    let text = common::finish(command, b"").expect(0).out;
    assert!(text.contains("merges = 7") && text.contains("daqs = 11"), "{text}");
    let daemon = Daemon::start_with(&scene, &[("DPM_CONFIG", file.to_str().unwrap()), ("DPM_LIMITS__DAQS", "11")]);
    let limits = daemon.rpc().call("GetServerStatus", Value::Null).unwrap()["limits"].clone();
    assert_eq!((&limits["merges"], &limits["daqs"]), (&json!(7), &json!(11)));
}

#[test]
fn a_daq_survives_an_orderly_exit_in_the_middle() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let path = fits::write_sparse_image(&scene.path("big.fits"), "BIG", 64 << 20);
    daemon.queue(&samples::spec("a", &[samples::file("det", &path)], &[]));
    daemon.stop_worker();
    daemon.exit();
    let daemon = Daemon::start(&scene);
    daemon.until_completed("a");
    assert_eq!(daemon.rpc().call("GetHistory", json!({})).unwrap().as_array().unwrap().len(), 1);
}
