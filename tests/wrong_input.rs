//! Wrong specifications, wrong files, wrong usage: each has its exit code and a message that names the culprit.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test ends where something unexpected happens, and its files need not survive a power cut"
)]

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::common::{Scene, finish, root, sample, sample_spec, samples, tree};

/// What testdata/specs/faulty/EXPECTED.json says of one faulty specification.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expected {
    exit: i32,
    pointer: Option<String>,
    message: String,
    found_by: String,
}

fn expectations() -> BTreeMap<String, Expected> {
    let text = fs::read_to_string(root().join("testdata/specs/faulty/EXPECTED.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn faulty(name: &str) -> PathBuf {
    sample_spec(&format!("faulty/{name}.json"))
}

#[test]
fn every_faulty_sample_is_expected_and_every_expected_one_is_there() {
    let mut names: Vec<String> = fs::read_dir(sample_spec("faulty"))
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .filter(|name| name != "EXPECTED")
        .collect();
    names.sort();
    assert_eq!(names, expectations().into_keys().collect::<Vec<_>>());
}

#[test]
fn check_finds_each_fault_of_the_text_and_only_those() {
    let scene = Scene::new();
    for (name, expected) in expectations() {
        let run = scene.dpm([OsStr::new("check"), "--json".as_ref(), faulty(&name).as_os_str()]);
        let report = &run.json()[0];
        let faults = report["faults"].as_array().unwrap();
        if expected.found_by == "merge" {
            assert_eq!((run.code, faults.len()), (Some(0), 0), "{name}: only the files show it");
            continue;
        }
        assert_eq!(run.code, Some(expected.exit), "{name}");
        assert_eq!(faults.len(), 1, "{name} has one fault: {report}");
        assert_eq!(faults[0]["pointer"].as_str(), expected.pointer.as_deref(), "{name}");
        let text = format!("{} {}", faults[0]["message"], faults[0]["hint"]);
        assert!(text.contains(&expected.message), "{name}: {text}");
        assert!(faults[0]["line"].as_u64().is_some(), "{name} has a line: {report}");
    }
}

#[test]
fn merge_refuses_each_faulty_sample_with_its_own_exit_code_and_writes_nothing() {
    let scene = Scene::new();
    for (name, expected) in expectations() {
        let run = scene.merge(&faulty(&name), "product.fits");
        assert_eq!(run.code, Some(expected.exit), "{name}: {}", run.err);
        assert!(run.err.contains(&expected.message), "{name}: {}", run.err);
        let pointer = expected.pointer.unwrap_or_default();
        assert!(run.err.contains(&pointer), "{name}: {}", run.err);
        assert_eq!((run.out.as_str(), tree(&scene.path(""))), ("", vec!["empty.toml".to_owned()]), "{name}");
    }
}

#[test]
fn run_refuses_each_faulty_text_before_it_is_queued() {
    let scene = Scene::new();
    for (name, expected) in expectations() {
        if expected.found_by == "check" {
            let run = scene.dpm([OsStr::new("run"), faulty(&name).as_os_str()]).expect(expected.exit);
            assert!(run.err.contains(&expected.message), "{name}: {}", run.err);
        }
    }
    assert_eq!(fs::read_dir(scene.path("dpm-workspace/daq")).unwrap().count(), 0);
}

#[test]
fn all_faults_of_a_specification_are_told_at_once() {
    let scene = Scene::new();
    let spec = json!({"id": "a/b", "sources": [{"type": "fitsFile", "sourceName": "x"}], "target": {"fileId": ""}, "pirority": 1});
    let run = scene.dpm([OsStr::new("check"), "--json".as_ref(), scene.spec("a.json", &spec).as_os_str()]).expect(65);
    let report = run.json();
    let found: Vec<&str> =
        report[0]["faults"].as_array().unwrap().iter().filter_map(|fault| fault["pointer"].as_str()).collect();
    let mut sorted = found.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, ["/id", "/pirority", "/sources/0", "/target/fileId"]);
}

/// Error texts of malformed FITS files; `{}` stands for the path.
const MALFORMED: [(&str, &str); 12] = [
    ("bad_bitpix", "HDU 0 at byte 0: BITPIX: the value is 12: it must be 8, 16, 32, 64, -32 or -64"),
    ("empty", "HDU 0 at byte 0: this is no FITS file: it does not start with 'SIMPLE  ='"),
    (
        "lowercase_keyword",
        "HDU 0 at byte 0: card 4 'object  = 'STD-42  '': the keyword name has the lower-case letter 'o': write it in capitals",
    ),
    (
        "missing_end",
        "HDU 0 at byte 0: the header ends after 36 cards without END: the file is cut off or damaged; get it again",
    ),
    ("naxis_1000", "HDU 0 at byte 0: NAXIS: the value is 1000: it must be 0 to 999"),
    ("negative_naxis1", "HDU 0 at byte 0: NAXIS1: the value is -100: it must be an integer from 0 to 2^63 - 1"),
    (
        "non_ascii_card",
        "HDU 0 at byte 0: card 4 'OBSERVER= 'Jos?    '': column 15 is not printable ASCII: replace that character",
    ),
    ("not_fits", "HDU 0 at byte 0: this is no FITS file: it does not start with 'SIMPLE  ='"),
    (
        "pcount_overflow",
        "HDU 1 at byte 2880: NAXIS: the data unit would have more than 2^63 bytes: the header is damaged",
    ),
    ("size_overflow", "HDU 0 at byte 0: NAXIS: the data unit would have more than 2^63 bytes: the header is damaged"),
    ("truncated_data", "HDU 0 at byte 0: the file is cut off: it has 5760 bytes and needs 22880; get it again"),
    ("truncated_header", "HDU 0 at byte 0: the file is cut off: it has 200 bytes and needs 2880; get it again"),
];

#[test]
fn a_malformed_source_is_refused_with_file_and_hdu_and_leaves_nothing() {
    let scene = Scene::new();
    for (defect, text) in MALFORMED {
        let file = sample(&format!("malformed/{defect}.fits"));
        let source = samples::spec("a", &[samples::file("det", &file)], &[]);
        let mut target = samples::spec("a", &[], &[]);
        target["target"]["source"] = samples::file("det", &file);
        for specification in [source, target] {
            let spec = scene.spec("spec.json", &specification);
            let run = scene.merge(&spec, "product.fits").expect(65);
            let expected = format!("dpm: {} (source 'det') cannot be merged: {text}\n", file.display());
            assert_eq!(run.err, expected, "{defect}");
            assert_eq!(tree(&scene.path("")), ["empty.toml", "spec.json"], "{defect}");
        }
    }
}

#[test]
fn every_malformed_sample_is_in_the_table() {
    let mut names: Vec<String> = fs::read_dir(sample("malformed"))
        .unwrap()
        .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".fits")?.to_owned()))
        .collect();
    names.sort();
    let mut known: Vec<&str> = MALFORMED.iter().map(|(name, _)| *name).collect();
    // Well-formed; tests/merge.rs shows what becomes of it.
    known.push("wrong_datasum");
    assert_eq!(names, known);
}

#[test]
fn verify_finds_every_malformed_sample_bad() {
    let scene = Scene::new();
    for (defect, _) in MALFORMED.into_iter().chain([("wrong_datasum", "")]) {
        let file = sample(&format!("malformed/{defect}.fits"));
        let run = scene.dpm([OsStr::new("verify"), "--json".as_ref(), file.as_os_str()]).expect(1);
        assert_eq!(run.json()[0]["good"], false, "{defect}");
        assert!(!run.json()[0]["faults"].as_array().unwrap().is_empty(), "{defect}");
    }
}

#[test]
fn a_malformed_extension_is_named_by_its_number() {
    let scene = Scene::new();
    let good = fs::read(sample("guider_cube.fits")).unwrap();
    let at = good.windows(8).rposition(|window| window == b"EXTNAME ").unwrap();
    let mut bad = good.clone();
    bad[at..at + 8].copy_from_slice(b"extname ");
    let file = scene.write("bad.fits", bad);
    let spec = scene.spec("spec.json", &samples::spec("a", &[samples::file("guider", &file)], &[]));
    let run = scene.merge(&spec, "product.fits").expect(65);
    assert!(run.err.contains("bad.fits") && run.err.contains("HDU 1"), "{}", run.err);
    let cut = scene.write("cut.fits", &good[..good.len() - 10_000]);
    let spec = scene.spec("spec.json", &samples::spec("a", &[samples::file("guider", &cut)], &[]));
    assert!(scene.merge(&spec, "product.fits").expect(65).err.contains("HDU 1"));
    assert!(!scene.path("product.fits").exists());
}

#[test]
fn a_missing_specification_is_66_and_an_unreadable_one_names_the_reason() {
    let scene = Scene::new();
    for command in ["merge", "check", "run"] {
        let run = scene.dpm([command, "absent.json"]).expect(66);
        assert!(run.err.contains("absent.json"), "{command}: {}", run.err);
    }
    scene.folder("folder.json");
    assert!(scene.dpm(["merge", "folder.json"]).expect(74).err.contains("folder"));
    scene.write("latin1.json", b"{\"id\": \"\xe9\"}");
    assert!(scene.dpm(["merge", "latin1.json"]).expect(65).err.contains("UTF-8"));
}

#[test]
fn wrong_usage_is_64() {
    let scene = Scene::new();
    let cases: [&[&str]; 8] = [
        &[],
        &["nonsense"],
        &["merge"],
        &["merge", "a.json", "--nonsense"],
        &["merge", "a.json", "--in-place", "-o", "b.fits"],
        &["wait", "id", "--timeout", "soon"],
        &["history", "--limit", "-1"],
        &["schema", "nonsense"],
    ];
    for case in cases {
        let run = scene.dpm(case).expect(64);
        assert!(run.out.is_empty() && !run.err.is_empty(), "{case:?}");
    }
    assert!(scene.dpm(["--help"]).expect(0).err.is_empty(), "help is asked for and goes to standard output");
}

#[test]
fn without_a_daemon_every_client_says_so_with_69() {
    let scene = Scene::new();
    let spec = sample_spec("new_file.json");
    let spec = spec.to_str().unwrap();
    let socket = scene.path("none.sock");
    let commands: [&[&str]; 10] = [
        &["queue", spec],
        &["status"],
        &["status", "a"],
        &["list"],
        &["abort", "a"],
        &["retry", "a"],
        &["wait", "a"],
        &["watch"],
        &["history"],
        &["exit"],
    ];
    for command in commands {
        let mut arguments = command.to_vec();
        arguments.extend(["--socket", socket.to_str().unwrap()]);
        let run = scene.dpm(arguments).expect(69);
        assert!(run.err.contains("none.sock"), "{command:?}: {}", run.err);
    }
}

#[test]
fn a_bad_source_date_epoch_is_refused_and_not_replaced_by_now() {
    let scene = Scene::new();
    for text in ["yesterday", "1.5", "99999999999999999999"] {
        let mut command = scene.command([OsStr::new("merge"), sample_spec("new_file.json").as_os_str()]);
        command.env("SOURCE_DATE_EPOCH", text);
        let run = finish(command, b"").expect(64);
        assert!(run.err.contains("SOURCE_DATE_EPOCH") && run.err.contains(text), "{}", run.err);
    }
    assert_eq!(tree(&scene.path("")), ["empty.toml"]);
}

#[test]
fn what_is_no_regular_file_is_refused_and_never_waited_for() {
    let scene = Scene::new();
    let fifo = scene.path("fifo.fits");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let folder = scene.folder("folder.fits");
    let _listener = UnixListener::bind(scene.path("socket.fits")).unwrap();
    let looped = scene.path("loop.fits");
    std::os::unix::fs::symlink("loop.fits", &looped).unwrap();
    let cases: [(&Path, &[i32]); 5] = [
        (&fifo, &[65]),
        (&folder, &[65]),
        (&scene.path("socket.fits"), &[65, 74]),
        (Path::new("/dev/zero"), &[65]),
        (&looped, &[74]),
    ];
    for (path, codes) in cases {
        let spec = scene.spec("spec.json", &samples::spec("a", &[samples::file("det", path)], &[]));
        let run = scene.merge(&spec, "product.fits");
        assert!(run.code.is_some_and(|code| codes.contains(&code)), "{}: {run:?}", path.display());
        assert!(run.err.contains(path.to_str().unwrap()) && run.err.contains("'det'"), "{}", run.err);
        let verify = scene.dpm([OsStr::new("verify"), path.as_os_str()]);
        assert!(verify.code.is_some_and(|code| codes.contains(&code)), "{}: {verify:?}", path.display());
    }
    assert!(!scene.path("product.fits").exists());
}

#[test]
fn outputs_that_cannot_be_made_are_73() {
    let scene = Scene::new();
    let spec = sample_spec("new_file.json");
    scene.write("file", "");
    for output in ["absent/product.fits", "file/product.fits"] {
        let run = scene.merge(&spec, output).expect(73);
        assert!(run.err.contains(output), "{}", run.err);
    }
    scene.folder("folder");
    scene.merge(&spec, "folder").expect(73);
}

#[test]
fn an_unreadable_source_is_77() {
    let scene = Scene::new();
    let file = scene.copy_sample("environment.fits");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o0)).unwrap();
    let spec = scene.spec("spec.json", &samples::spec("a", &[samples::file("env", &file)], &[]));
    let run = scene.merge(&spec, "product.fits");
    // Root may read everything.
    let is_root = rustix::process::geteuid().is_root();
    run.expect(if is_root { 0 } else { 77 });
}

#[test]
fn a_source_on_another_host_is_refused_by_name() {
    let scene = Scene::new();
    let mut source = samples::file("ao", Path::new("/data/x.fits"));
    source["location"] = json!("aohost:/data/x.fits");
    let spec = scene.spec("spec.json", &samples::spec("a", &[source], &[]));
    let run = scene.merge(&spec, "product.fits").expect(66);
    assert!(run.err.contains("aohost:/data/x.fits") && run.err.contains("'ao'"), "{}", run.err);
}

#[test]
fn an_invalid_configuration_is_78_with_every_fault() {
    let scene = Scene::new();
    let file = scene.write("bad.toml", "[limits]\nmerges = -1\ndags = 3\n");
    let run = scene.dpm(["serve", "--config", file.to_str().unwrap(), "--check-config"]).expect(78);
    for part in ["bad.toml", "merges", "dags", "daqs"] {
        assert!(run.err.contains(part), "{part}: {}", run.err);
    }
    let mut command = scene.command(["serve", "--check-config"]);
    command.env("DPM_LIMITS__MERGES", "many");
    assert!(finish(command, b"").expect(78).err.contains("DPM_LIMITS__MERGES"));
}

#[test]
fn an_error_of_a_merge_is_one_json_message_too() {
    let scene = Scene::new();
    let spec = faulty("malformed_fits_source");
    let run = scene.dpm([OsStr::new("merge"), spec.as_os_str(), "--json".as_ref()]).expect(65);
    let messages: Vec<Value> = run.json_lines();
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0]["type"], "error");
    assert!(messages[0]["message"].as_str().expect("a text").contains("truncated_data.fits"));
}
