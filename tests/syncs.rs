//! What a DAQ costs the disk, counted: how often dpm asks it to sync, and for what (ARCHITECTURE, "Durability").

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test ends where something unexpected happens, and its files need not survive a power cut"
)]
#![allow(clippy::expect_used, reason = "only some of the shared helpers are used")]

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::common::{Scene, finish, judge, samples};

/// Every system call that waits for a disk.
const SYNCS: &str = "fsync,fdatasync,sync_file_range,syncfs,sync,msync";

/// What was synced, and how often.
type Counts = BTreeMap<&'static str, usize>;

/// Runs `specifications` one at a time in the new workspace `name` and counts the syncs of dpm and its workers.
fn count(scene: &Scene, name: &str, environment: &[(&str, &str)], specifications: &[PathBuf]) -> Counts {
    judge::set_up();
    let (workspace, trace) = (scene.path(name), scene.path(format!("{name}.trace")));
    let inner = scene.command(["run", "--json", "--workspace"]);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-e"]).arg(format!("trace={SYNCS}")).arg("-o").arg(&trace);
    command.arg(inner.get_program()).args(inner.get_args()).arg(&workspace).args(specifications);
    for (key, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    command.env("DPM_LIMITS__DAQS", "1").envs(environment.iter().copied()).current_dir(scene.path(""));
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let ended = finish(command, b"").expect(0).json();
    assert!(ended.as_array().unwrap().iter().all(|daq| daq["subState"] == "Completed"), "{ended}");
    let mut counts = Counts::new();
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        // A call that another thread's interrupts is shown twice; the first time names the file.
        if let Some((_, call)) = line.split_once("sync").filter(|_| !line.contains(" resumed>")) {
            *counts.entry(what(call, scene)).or_default() += 1;
        }
    }
    counts
}

/// What the file of a call is: `fsync(9</ws/daq/A/#12>(deleted)) = 0`.
fn what(call: &str, scene: &Scene) -> &'static str {
    let path = call.split_once('<').map_or("", |(_, rest)| rest.split('>').next().unwrap());
    let folder = scene.path("");
    // Below the scene's folder there are workspaces and a receiver; above it, folders in which those were made.
    let path = path.strip_prefix(folder.to_str().unwrap()).unwrap_or_default();
    let below = path.split_once('/').map_or("", |(_, below)| below);
    match below {
        "state.db-wal" => "commit",
        "products" => "products/",
        _ if path.starts_with("archive") => "receiver's folder",
        _ if below.starts_with("daq/") && below.contains("/#") => "product",
        _ if below.starts_with("daq/") && below.contains("/sources/") => "collected file",
        _ if below.starts_with("daq/") && below.ends_with("/sources") => "sources/",
        "daq" => "daq/",
        _ if below.starts_with("daq/") => "folder of the DAQ",
        "" | "inbox" | "state.db" | "state.db-journal" => "start and end",
        _ if below.starts_with('.') => "start and end",
        _ => panic!("nobody knows why {path} is synced: {call}"),
    }
}

/// Asserts what each further DAQ of a run costs: that of `MANY` less that of `FEW`.
#[track_caller]
fn check(environment: &[(&str, &str)], make: fn(&Scene, &str) -> Value, expected: &[(&'static str, usize)]) {
    const FEW: usize = 2;
    const MANY: usize = 6;
    let scene = Scene::new();
    let count = |name: &str, number: usize| {
        let specifications: Vec<PathBuf> = (0..number)
            .map(|index| {
                let id = format!("{name}{index}");
                scene.spec(&format!("{id}.json"), &make(&scene, &id))
            })
            .collect();
        count(&scene, name, environment, &specifications)
    };
    let (few, many) = (count("few", FEW), count("many", MANY));
    for (what, number) in &many {
        let before = few.get(what).copied().unwrap_or(0);
        let of_one = expected.iter().find(|(name, _)| name == what).map_or(0, |(_, of_one)| *of_one);
        let found = number - before;
        match *what {
            // Several DAQs may be queued by one commit.
            "commit" => assert!(found <= of_one * (MANY - FEW), "{few:?} {many:?}"),
            _ => assert_eq!(found, of_one * (MANY - FEW), "{what}: {few:?} {many:?}"),
        }
    }
    for (what, _) in expected {
        assert!(many.contains_key(what), "no {what}: {many:?}");
    }
}

#[test]
fn a_daq_costs_five_syncs() {
    let make = |scene: &Scene, id: &str| samples::small(scene, id, &[]);
    check(&[], make, &[("commit", 3), ("product", 1), ("products/", 1)]);
}

#[test]
fn a_receiver_costs_its_folder() {
    let make =
        |scene: &Scene, id: &str| samples::small(scene, id, &[samples::folder(&scene.folder("archive"), "hardLink")]);
    check(&[], make, &[("commit", 3), ("product", 1), ("products/", 1), ("receiver's folder", 1)]);
}

#[test]
fn a_copied_file_costs_the_way_to_it() {
    let make = |scene: &Scene, id: &str| samples::small(scene, id, &[]);
    let expected = [
        ("commit", 4),
        ("product", 1),
        ("products/", 1),
        ("collected file", 1),
        ("sources/", 1),
        ("folder of the DAQ", 1),
        ("daq/", 1),
    ];
    check(&[("DPM_COLLECT__LOCAL", "copy")], make, &expected);
}
