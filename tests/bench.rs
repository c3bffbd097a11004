//! `dpm bench` measures, and leaves the disk as it found it however it ends.

#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]
#![allow(clippy::expect_used, clippy::disallowed_methods, reason = "only some of the shared parts are used")]

mod common;

use std::time::Duration;

use rustix::process::{Pid, Signal};

use crate::common::process::{signal, wait_bounded};
use crate::common::{Scene, sample, tree, until};

/// A debug build on a busy machine.
const LIMIT: Duration = Duration::from_secs(300);

fn names(document: &serde_json::Value, of: &str) -> Vec<String> {
    let list = document[of].as_array().unwrap();
    list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn it_measures_your_own_files_and_touches_none_of_them() {
    let scene = Scene::new();
    scene.folder("mine");
    std::fs::copy(sample("guider_cube.fits"), scene.path("mine/a.fits")).unwrap();
    std::fs::copy(sample("telemetry.fits"), scene.path("mine/b.fits")).unwrap();
    let before = tree(&scene.path(""));
    let arguments = ["bench", "--samples", "mine", "--rounds", "1", "--svg", "speed.svg", "--json"];
    let (code, out, err) = wait_bounded(scene.command(arguments).spawn().unwrap(), LIMIT);
    assert_eq!(code, Some(0), "{err}");
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(names(&report, "groups"), ["samples", "small DAQs", "commands"]);
    let figures = names(&report["groups"][0], "figures");
    let expected = [
        "read",
        "read + write",
        "read + write + fsync",
        "fsync",
        "collect",
        "merge",
        "release",
        "end to end",
        "verify",
    ];
    assert_eq!(figures, expected);
    let merge = &report["groups"][0]["figures"][5];
    assert!(merge["seconds"].as_f64().unwrap() > 0.0 && merge["ratio"].as_f64().unwrap() > 0.0, "{merge}");
    assert!(report["groups"][0]["verdict"].as_str().unwrap().contains("A DAQ goes through at"));
    assert!(std::fs::read_to_string(scene.path("speed.svg")).unwrap().ends_with("</svg>\n"));
    std::fs::remove_file(scene.path("speed.svg")).unwrap();
    assert_eq!(tree(&scene.path("")), before);
    assert_eq!(std::fs::read(scene.path("mine/b.fits")).unwrap(), std::fs::read(sample("telemetry.fits")).unwrap());
}

#[test]
fn it_refuses_what_it_could_spoil() {
    let scene = Scene::new();
    scene.write("kept.txt", "x");
    let refused = [
        (vec!["bench", "--workspace", "."], 73, "is not empty"),
        (vec!["bench", "--svg", "kept.txt"], 73, "exists"),
        (vec!["bench", "--sizes", "9000x100GB"], 75, "bytes free and the bench needs"),
        (vec!["bench", "--samples", "."], 66, "holds no .fits file"),
        (vec!["bench", "--sizes", "16*64MB"], 64, "is no size"),
        (vec!["bench", "--rounds", "0"], 64, "it must be 1 to"),
    ];
    let before = tree(&scene.path(""));
    for (arguments, code, message) in refused {
        let run = scene.dpm(&arguments).expect(code);
        assert!(run.err.contains(message), "{arguments:?}: {}", run.err);
        assert_eq!(tree(&scene.path("")), before, "{arguments:?}");
    }
}

#[test]
fn it_cleans_up_when_it_is_interrupted() {
    for asked in [Signal::INT, Signal::TERM] {
        let scene = Scene::new();
        scene.folder("here");
        let child = scene.command(["bench", "--sizes", "2x20MB", "--workspace", "here"]).spawn().unwrap();
        let process = Pid::from_child(&child);
        until("a sample", || scene.path("here/copies/copy").exists().then_some(()));
        assert!(signal(process, asked));
        let (code, out, err) = wait_bounded(child, LIMIT);
        assert_eq!((code, out.as_str()), (Some(75), ""), "{err}");
        assert!(err.contains("what the bench made is removed"), "{err}");
        assert_eq!(tree(&scene.path("here")), Vec::<String>::new());
    }
}
