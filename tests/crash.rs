//! kill -9 in every sub-state: what was acknowledged completes once, with the bytes of an undisturbed run.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test ends where something unexpected happens, and its files need not survive a power cut"
)]
#![allow(clippy::expect_used, reason = "only some of the shared helpers are used")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::daemon::Daemon;
use crate::common::fits::Random;
use crate::common::process::{signal, workers_of};
use crate::common::{Scene, fits, judge, samples, temporaries, until};

/// Failures that may pass are tried again soon.
const IMPATIENT: [(&str, &str); 2] =
    [("DPM_RETRY__FIRST_PAUSE_SECONDS", "0.05"), ("DPM_RETRY__LONGEST_PAUSE_SECONDS", "0.05")];
/// An image whose merge can be caught.
const IMAGE_BYTES: u64 = 64 << 20;
/// A product whose delivery by copy can be caught.
const PRODUCT_BYTES: u64 = 256 << 20;
/// A file whose digest takes a second or so.
const HASHED_BYTES: u64 = if cfg!(debug_assertions) { 64 << 20 } else { 1 << 30 };

/// Asserts that the daemon completes `specification` exactly once, and that nothing else is left in the workspace.
#[track_caller]
fn completed_alone(daemon: &Daemon<'_>, scene: &Scene, specification: &Value) {
    completed_once(daemon, scene, specification);
    assert_eq!(temporaries(daemon.workspace()), [""; 0]);
}

/// Asserts that the daemon completes `specification` exactly once and makes what an undisturbed merge makes.
#[track_caller]
fn completed_once(daemon: &Daemon<'_>, scene: &Scene, specification: &Value) {
    let id = specification["id"].as_str().unwrap();
    let status = daemon.until_completed(id);
    assert_eq!(status["alerts"], json!([]), "{status}");
    let history = daemon.rpc().call("GetHistory", json!({"limit": 10_000})).unwrap();
    let entries: Vec<&Value> = history.as_array().unwrap().iter().filter(|entry| entry["id"] == id).collect();
    assert_eq!(entries.len(), 1, "{id} is in the history once");
    let product = daemon.product(&format!("{id}.p"));
    let expected = undisturbed(scene, specification);
    assert!(fs::read(&product).unwrap() == expected, "{id} has the bytes of an undisturbed run");
    assert_eq!(entries[0]["digest"], json!(blake3::hash(&expected).to_hex().to_string()));
    for receiver in specification["receivers"].as_array().into_iter().flatten() {
        let folder = Path::new(receiver["path"].as_str().unwrap());
        assert!(fs::read(folder.join(format!("{id}.p.fits"))).unwrap() == expected, "{id} is delivered");
        let partial = folder.join(format!(".{id}.p.fits.dpm-part"));
        assert!(!partial.exists(), "{} is left over", partial.display());
    }
    daemon.until_folder_gone(id);
}

/// The product of `dpm merge` by hand.
fn undisturbed(scene: &Scene, specification: &Value) -> Vec<u8> {
    let mut plain = specification.clone();
    // A digest costs time and shows nothing in the product.
    for source in plain["sources"].as_array_mut().unwrap() {
        source.as_object_mut().unwrap().remove("digest");
    }
    let spec = scene.spec("undisturbed.json", &plain);
    scene.merge(&spec, "undisturbed.fits").expect(0);
    let bytes = fs::read(scene.path("undisturbed.fits")).unwrap();
    fs::remove_file(scene.path("undisturbed.fits")).unwrap();
    bytes
}

/// A DAQ whose merge lasts long enough to be caught.
fn large(scene: &Scene, id: &str) -> Value {
    let path = fits::write_sparse_image(&scene.path(format!("{id}.fits")), "BIG", IMAGE_BYTES);
    samples::spec(id, &[samples::file("det", &path)], &[])
}

/// A DAQ that collects for a while: a large file with a digest, of which the product has nothing.
fn hashed(scene: &Scene, id: &str) -> Value {
    let path = fits::write_sparse_primary(&scene.path(format!("{id}.fits")), HASHED_BYTES);
    let mut hasher = Sha256::new();
    let mut file = fs::File::open(&path).unwrap();
    std::io::copy(&mut file, &mut HashWriter(&mut hasher)).unwrap();
    let digest: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut source = samples::file("det", &path);
    source["primaryData"] = json!("ignore");
    source["digest"] = json!({"algorithm": "sha256", "value": digest});
    samples::spec(id, &[source], &[])
}

struct HashWriter<'a>(&'a mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn killed_while_one_is_scheduled_behind_another() {
    let scene = Scene::new();
    let limits = [("DPM_LIMITS__DAQS", "1")];
    let daemon = Daemon::start_with(&scene, &limits);
    let (held, waiting) = (large(&scene, "held"), samples::small(&scene, "waiting", &[]));
    daemon.queue(&held);
    daemon.stop_worker();
    daemon.queue(&waiting);
    assert_eq!(daemon.status("waiting")["subState"], "Scheduled");
    daemon.kill();
    let daemon = Daemon::start_with(&scene, &limits);
    completed_once(&daemon, &scene, &held);
    completed_alone(&daemon, &scene, &waiting);
}

#[test]
fn killed_while_collecting() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let spec = hashed(&scene, "a");
    daemon.queue(&spec);
    daemon.until_in("a", "Collecting");
    until("its digest is being computed", || {
        (daemon.status("a")["progress"]["bytesDone"].as_u64() > Some(0)).then_some(())
    });
    assert_eq!(daemon.status("a")["subState"], "Collecting");
    daemon.kill();
    let daemon = Daemon::start(&scene);
    completed_alone(&daemon, &scene, &spec);
}

#[test]
fn killed_while_copying_a_source() {
    let scene = Scene::new();
    let copying = [("DPM_COLLECT__LOCAL", "copy")];
    let daemon = Daemon::start_with(&scene, &copying);
    let path = fits::write_sparse_primary(&scene.path("a.fits"), PRODUCT_BYTES);
    let mut source = samples::file("det", &path);
    source["primaryData"] = json!("ignore");
    let spec = samples::spec("a", &[source], &[]);
    daemon.queue(&spec);
    let partial = daemon.daq_folder("a").join("sources/0000-a.fits.part");
    until("a partial copy", || fs::metadata(&partial).ok().filter(|file| file.len() > 0));
    assert_eq!(daemon.status("a")["subState"], "Collecting");
    daemon.kill();
    assert!(partial.exists(), "it was killed in the middle");
    let daemon = Daemon::start_with(&scene, &copying);
    completed_alone(&daemon, &scene, &spec);
}

#[test]
fn killed_while_merging_and_the_worker_goes_with_the_daemon() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let spec = large(&scene, "a");
    daemon.queue(&spec);
    let worker = daemon.stop_worker();
    assert_eq!(daemon.status("a")["subState"], "Merging");
    daemon.kill();
    until("the worker ends, stopped as it was", || (!is_running(worker)).then_some(()));
    let daemon = Daemon::start(&scene);
    completed_alone(&daemon, &scene, &spec);
}

/// True while a process runs; whoever inherits a dead one may leave it unreaped.
fn is_running(process: rustix::process::Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

#[test]
fn killed_while_releasing() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let path = fits::write_sparse_image(&scene.path("a.fits"), "BIG", PRODUCT_BYTES);
    let (first, second) = (scene.folder("first"), scene.folder("second"));
    let receivers = [samples::folder(&first, "hardLink"), samples::folder(&second, "copy")];
    let spec = samples::spec("a", &[samples::file("det", &path)], &receivers);
    daemon.queue(&spec);
    let partial = second.join(".a.p.fits.dpm-part");
    until("a partial copy at the receiver", || fs::metadata(&partial).ok().filter(|file| file.len() > 0));
    assert_eq!(daemon.status("a")["subState"], "Releasing");
    daemon.kill();
    assert!(partial.exists() && first.join("a.p.fits").exists(), "it was killed between its receivers");
    let daemon = Daemon::start(&scene);
    completed_alone(&daemon, &scene, &spec);
    assert_eq!((fs::read_dir(first).unwrap().count(), fs::read_dir(second).unwrap().count()), (1, 1));
}

#[test]
fn killed_while_aborting() {
    let scene = Scene::new();
    let limits = [("DPM_LIMITS__DAQS", "1")];
    let daemon = Daemon::start_with(&scene, &limits);
    let held = large(&scene, "held");
    daemon.queue(&held);
    daemon.stop_worker();
    daemon.queue(&samples::small(&scene, "victim", &[]));
    // A file where its folder should be cannot be removed as a folder: the abort does not end.
    let obstacle = daemon.daq_folder("victim");
    fs::write(&obstacle, "").unwrap();
    let refused = daemon.dpm(&["abort", "victim"]).expect(74);
    assert!(refused.err.contains("victim"), "{}", refused.err);
    assert_eq!(daemon.status("victim")["subState"], "Aborting");
    daemon.kill();
    fs::remove_file(&obstacle).unwrap();
    let daemon = Daemon::start_with(&scene, &limits);
    until("victim is aborted", || (daemon.status("victim")["subState"] == "Aborted").then_some(()));
    completed_alone(&daemon, &scene, &held);
    assert!(!daemon.product("victim.p").exists() && !obstacle.exists());
}

#[test]
fn parked_daqs_stay_parked_over_a_kill_and_can_be_retried() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let spec = samples::small(&scene, "a", &[]);
    fs::rename(scene.path("a.fits"), scene.path("elsewhere")).unwrap();
    daemon.queue(&spec);
    let alert = daemon.until_parked("a");
    // What is acknowledged later is on disk later.
    daemon.queue(&samples::small(&scene, "later", &[]));
    daemon.kill();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    assert_eq!(daemon.until_parked("a"), alert, "the alert survives, with its time");
    fs::rename(scene.path("elsewhere"), scene.path("a.fits")).unwrap();
    daemon.dpm(&["retry", "a"]).expect(0);
    completed_alone(&daemon, &scene, &spec);
}

#[test]
fn a_worker_whose_daemon_died_before_it_began_does_nothing() {
    let scene = Scene::new();
    let spec = scene.spec("spec.json", &samples::small(&scene, "a", &[]));
    let inputs = scene.write("inputs.json", "[]");
    let dead = std::process::Command::new("true").spawn().map(|mut child| child.wait().map(|_| child.id())).unwrap();
    let mut command = scene.command(["merge", "--worker", "--json", "-o", "product.fits"]);
    command.arg("--parent").arg(dead.unwrap().to_string()).arg("--inputs").arg(inputs).arg(spec);
    let run = common::finish(command, b"").expect(74);
    assert!(run.err.contains("the daemon ended"), "{}", run.err);
    assert!(!scene.path("product.fits").exists());
}

#[test]
fn a_killed_worker_is_started_again() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let spec = large(&scene, "a");
    daemon.queue(&spec);
    let worker = daemon.stop_worker();
    assert!(signal(worker, Signal::KILL));
    completed_alone(&daemon, &scene, &spec);
}

#[test]
fn a_worker_that_dies_every_time_parks_its_daq_and_no_other() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let spec = large(&scene, "a");
    daemon.queue(&spec);
    for _ in 0..3 {
        let worker = daemon.stop_worker();
        assert!(signal(worker, Signal::KILL));
        until("it is reaped", || (!workers_of(daemon.id()).contains(&worker)).then_some(()));
    }
    assert_eq!(daemon.until_parked("a")["id"], "FailedOperation:merging");
    let next = samples::small(&scene, "next", &[]);
    daemon.queue(&next);
    completed_alone(&daemon, &scene, &next);
    daemon.dpm(&["retry", "a"]).expect(0);
    completed_alone(&daemon, &scene, &spec);
}

#[test]
fn a_product_damaged_while_no_daemon_watched_is_merged_again() {
    let scene = Scene::new();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    let late = scene.path("late");
    let spec = samples::small(&scene, "a", &[samples::folder(&late, "copy")]);
    daemon.queue(&spec);
    daemon.until_parked("a");
    let product = daemon.product("a.p");
    daemon.kill();
    let mut bytes = fs::read(&product).unwrap();
    bytes[9000] ^= 1;
    fs::write(&product, bytes).unwrap();
    fs::create_dir(&late).unwrap();
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    daemon.dpm(&["retry", "a"]).expect(0);
    let alert = daemon.until_parked("a");
    assert!(alert["description"].as_str().unwrap().contains("BLAKE3"), "{alert}");
    assert_eq!(fs::read_dir(&late).unwrap().count(), 0, "what is damaged is not released");
    fs::remove_file(&product).unwrap();
    daemon.dpm(&["retry", "a"]).expect(0);
    completed_alone(&daemon, &scene, &spec);
}

#[test]
fn a_source_that_changed_over_a_restart_is_collected_again_and_never_merged_from_memory() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let spec = large(&scene, "a");
    daemon.queue(&spec);
    daemon.stop_worker();
    daemon.kill();
    let path = scene.path("a.fits");
    fs::remove_file(&path).unwrap();
    fits::write_image(&path, "OTHER", 5000, 3);
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    completed_alone(&daemon, &scene, &spec);
    judge::sound(&[&daemon.product("a.p")]);
}

#[test]
fn stray_files_in_the_workspace_do_not_keep_the_daemon_from_starting() {
    let scene = Scene::new();
    let daemon = Daemon::start(&scene);
    let daqs = daemon.workspace().join("daq");
    daemon.kill();
    fs::write(daqs.join("notes.txt"), "mine").unwrap();
    fs::create_dir_all(daqs.join("ended/sources")).unwrap();
    let daemon = Daemon::start(&scene);
    assert!(!daqs.join("ended").exists(), "the folder of an unknown DAQ is a left-over");
    let spec = samples::small(&scene, "a", &[]);
    daemon.queue(&spec);
    completed_alone(&daemon, &scene, &spec);
}

/// DAQs that are queued together in the random test.
const BATCH: usize = 5;
const KILLS: usize = 20;

#[test]
fn twenty_kills_at_random_times_lose_nothing_and_do_nothing_twice() {
    let scene = Scene::new();
    let mut random = Random(20_310_203);
    let mut batches: Vec<Vec<Value>> = Vec::new();
    let mut acknowledged: BTreeMap<String, bool> = BTreeMap::new();
    let mut hits = 0;
    for number in 0..KILLS {
        if acknowledged.values().all(|is_done| *is_done) && acknowledged.len() == batches.len() * BATCH {
            batches.push(batch(&scene, batches.len()));
        }
        let present = batches.last().unwrap();
        let daemon = Daemon::launch(&scene, &IMPATIENT);
        // One kill in five falls into the start, the others into the time from the first answer on.
        if number % 5 != 0 {
            until("it answers", || push(&daemon, present, &mut acknowledged).then_some(()));
        }
        let deadline = Instant::now() + Duration::from_micros(random.below(80_000));
        while Instant::now() < deadline {
            push(&daemon, present, &mut acknowledged);
            std::thread::sleep(Duration::from_millis(1));
        }
        hits += usize::from(acknowledged.values().any(|is_done| !is_done));
        daemon.kill();
    }
    assert!(hits >= KILLS / 4, "only {hits} kills fell into work");
    let daemon = Daemon::start_with(&scene, &IMPATIENT);
    for specification in batches.iter().flatten() {
        let id = specification["id"].as_str().unwrap();
        if !acknowledged.contains_key(id) {
            daemon.queue(specification);
        }
        completed_once(&daemon, &scene, specification);
    }
    assert_eq!(temporaries(daemon.workspace()), [""; 0]);
    assert_eq!(temporaries(&scene.path("out")), [""; 0]);
    let history = daemon.rpc().call("GetHistory", json!({})).unwrap();
    assert_eq!(history.as_array().unwrap().len(), batches.len() * BATCH);
    let products: Vec<_> =
        batches.iter().flatten().map(|one| daemon.product(&format!("{}.p", one["id"].as_str().unwrap()))).collect();
    judge::sound(&products.iter().map(std::path::PathBuf::as_path).collect::<Vec<_>>());
    daemon.exit();
}

/// Five DAQs of different kinds: by link, by copy, handed over, with a digest, larger.
fn batch(scene: &Scene, number: usize) -> Vec<Value> {
    let out = scene.folder("out");
    let name = |index: usize| format!("b{number}-{index}");
    let mut batch: Vec<Value> = (0..BATCH - 1)
        .map(|index| {
            samples::small(
                scene,
                &name(index),
                &[samples::folder(&out, if index % 2 == 0 { "hardLink" } else { "copy" })],
            )
        })
        .collect();
    let bytes = fs::read(scene.path(format!("{}.fits", name(2)))).unwrap();
    batch[2]["sources"][1]["digest"] =
        json!({"algorithm": "blake3", "value": blake3::hash(&bytes).to_hex().to_string()});
    let path = fits::write_image(&scene.path(format!("{}.fits", name(4))), "LARGER", 48 << 20, 4);
    batch.push(samples::spec(&name(4), &[samples::file("det", &path)], &[samples::folder(&out, "copy")]));
    batch
}

/// Queues what is not acknowledged, and notes what is acknowledged and what is completed. The daemon may be starting.
///
/// False if it did not answer.
fn push(daemon: &Daemon<'_>, batch: &[Value], acknowledged: &mut BTreeMap<String, bool>) -> bool {
    for specification in batch {
        let id = specification["id"].as_str().unwrap();
        let (method, parameters) = match acknowledged.get(id) {
            Some(true) => continue,
            Some(false) => ("AwaitDaqState", json!({"id": id, "timeoutSeconds": 0})),
            None => ("QueueDaq", json!({"specification": specification.to_string()})),
        };
        let Some(answer) = ask(&daemon.socket(), method, &parameters) else { return false };
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        let is_done = answer["result"]["status"]["subState"] == "Completed";
        acknowledged.insert(id.to_owned(), is_done);
    }
    true
}

/// One question to a daemon that may not be there.
fn ask(socket: &Path, method: &str, parameters: &Value) -> Option<Value> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters});
    stream.write_all(format!("{request}\n").as_bytes()).ok()?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}
