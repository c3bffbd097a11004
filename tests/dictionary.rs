//! Dictionaries, explanations and damaged sources, from the command line to the parked DAQ.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test ends where something unexpected happens, and its files need not survive a power cut"
)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::common::{Run, Scene, alerts_of, fits, judge, root, sample};

fn dictionaries() -> PathBuf {
    root().join("testdata/dictionaries")
}

/// A specification of these keywords and of the environment's file.
fn specification(keywords: &Value, dictionaries: &[&str]) -> Value {
    json!({
        "id": "XMPL.2031-02-03T04:05:06.501",
        "keywordDictionaries": dictionaries,
        "sources": [
            {"type": "fitsKeywords", "sourceName": "ocm", "keywords": keywords},
            {"type": "fitsFile", "sourceName": "env", "location": sample("environment.fits"), "keywordRules": [
                {"type": "filter", "selectionPatterns": ["+e TEL AMBI TEMP", "+v TELESCOP"]}]}
        ],
        "target": {"fileId": "D1"}
    })
}

fn good() -> Value {
    json!([
        {"type": "valueKeyword", "name": "EXPTIME", "value": 12},
        {"type": "esoKeyword", "name": "TPL ID", "value": "XMPL_img_obs"},
        {"type": "esoKeyword", "name": "TPL EXPNO", "value": 3, "comment": "own comment"},
        {"type": "esoKeyword", "name": "DET CHIP12 GAIN", "value": 1.256},
        {"type": "literalKeyword", "value": "HIERARCH ESO INS LAMP2 ST = T"},
        {"type": "valueKeyword", "name": "TELESCOP", "value": "mine"}
    ])
}

fn bad() -> Value {
    json!([
        {"type": "valueKeyword", "name": "EXPTIME", "value": -1.0},
        {"type": "valueKeyword", "name": "ELEPHANT", "value": 1},
        {"type": "esoKeyword", "name": "TPL EXPNO", "value": "3"},
        {"type": "esoKeyword", "name": "INS MODE", "value": "img"}
    ])
}

fn merge(scene: &Scene, spec: &Path, flags: &[&str]) -> Run {
    let output = scene.path("out.fits");
    let mut arguments = vec![OsStr::new("merge"), spec.as_os_str(), OsStr::new("-o"), output.as_os_str()];
    arguments.extend(flags.iter().map(OsStr::new));
    scene.dpm(arguments)
}

/// The cards of a primary header.
fn cards(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).unwrap();
    let cards = bytes.chunks(80).map(|card| String::from_utf8_lossy(card).trim_end().to_owned());
    cards.take_while(|card| card != "END").collect()
}

#[test]
fn the_product_has_the_formats_and_comments_of_the_dictionary() {
    let scene = Scene::new();
    let spec = scene.spec("good.json", &specification(&good(), &["XMPL.did"]));
    let path = dictionaries();
    let messages = merge(&scene, &spec, &["--json", "--dictionary-path", path.to_str().unwrap()]).expect(0);
    assert_eq!(alerts_of(&messages.json_lines()), []);
    let product = scene.path("out.fits");
    judge::sound(&[&product]);
    assert_eq!(
        cards(&product)[7..13],
        [
            "EXPTIME =               12.000 / [s] Integration time. 00:00:12.000",
            "TELESCOP= 'mine    '",
            "HIERARCH ESO TPL ID = 'XMPL_img_obs' / Template",
            "HIERARCH ESO TPL EXPNO = 3 / own comment",
            // As the file of the environment has it.
            "HIERARCH ESO TEL AMBI TEMP = 9.9 / [C] temperature",
            "HIERARCH ESO INS LAMP2 ST = T / Lamp is switched on",
        ]
    );
    assert!(cards(&product).contains(&"HIERARCH ESO DET CHIP12 GAIN = 1.26 / [e-/ADU] gain".to_owned()));
    let without = merge(&scene, &spec, &["--force"]).expect(0);
    assert!(without.err.starts_with("Info: no keyword was compared with the dictionary 'XMPL.did'"), "{}", without.err);
    assert!(cards(&product).contains(&"HIERARCH ESO DET CHIP12 GAIN = 1.256".to_owned()));
}

#[test]
fn what_the_dictionary_complains_of_is_an_alert_or_an_error() {
    let scene = Scene::new();
    let path = dictionaries();
    let flags = ["--json", "--dictionary-path", path.to_str().unwrap()];
    let spec = scene.spec("bad.json", &specification(&bad(), &["XMPL"]));
    let alerts = alerts_of(&merge(&scene, &spec, &flags).expect(0).json_lines());
    let expected = ["EXPTIME", "ELEPHANT", "HIERARCH ESO TPL EXPNO", "HIERARCH ESO INS MODE"];
    assert_eq!(alerts, expected.map(|name| (format!("KeywordNotInDictionary:{name}"), "Warning".to_owned())));

    let strict = [&flags[1..], &["--strict-dictionaries", "--force"]].concat();
    let product = fs::read(scene.path("out.fits")).unwrap();
    let refused = merge(&scene, &spec, &strict).expect(65);
    assert_eq!(
        refused.err.trim_end(),
        "dpm: 4 keywords: EXPTIME of source 'ocm': its value is not in the dictionary's range 0 .. 100000; ELEPHANT of \
         source 'ocm': no dictionary has it; HIERARCH ESO TPL EXPNO of source 'ocm': its value is string, the dictionary \
         says integer; HIERARCH ESO INS MODE of source 'ocm': its value is not in the dictionary's range IMG, SPEC, \
         \"long slit\": correct them, or have them added to a dictionary"
    );
    assert!(fs::read(scene.path("out.fits")).unwrap() == product);

    let spec = scene.spec("missing.json", &specification(&bad(), &["NONE", "XMPL"]));
    let alerts = alerts_of(&merge(&scene, &spec, &[&flags[..], &["--force"]].concat()).expect(0).json_lines());
    let ids: Vec<&str> = alerts.iter().map(|alert| alert.0.rsplit(':').next().unwrap()).collect();
    assert_eq!(
        ids,
        ["EXPTIME", "HIERARCH ESO TPL EXPNO", "HIERARCH ESO INS MODE", "NONE"],
        "the missing one may have it"
    );
    assert!(merge(&scene, &spec, &strict).expect(66).err.contains("cannot use the dictionary 'NONE'"));
}

#[test]
fn a_merge_by_hand_reads_the_configuration_and_flags_win() {
    let scene = Scene::new();
    let path = dictionaries();
    let spec = scene.spec("bad.json", &specification(&bad(), &["XMPL"]));
    let arguments = |more: &[&str]| {
        let base = [&["merge", spec.to_str().unwrap(), "-o", "out.fits", "--force", "--json"], more].concat();
        base.into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let with = |variables: &[(&str, &str)], more: &[&str]| {
        let mut command = scene.command(arguments(more));
        command.envs(variables.iter().copied());
        common::finish(command, b"")
    };
    let folder = path.to_str().unwrap();
    let judged = |run: Run| alerts_of(&run.json_lines()).iter().any(|(id, _)| id.starts_with("KeywordNotInDictionary"));
    assert!(judged(with(&[("DPM_DICTIONARIES__PATH", folder)], &[]).expect(0)));
    with(&[("DPM_DICTIONARIES__PATH", folder), ("DPM_DICTIONARIES__STRICT", "true")], &[]).expect(65);

    let text = format!("[dictionaries]\npath = [{folder:?}]\n[merge]\ndigest = \"all\"\n");
    let file = scene.write("dpm.toml", text);
    let config = ["--config", file.to_str().unwrap()];
    let sources = |run: &Run| run.json_lines().pop().unwrap()["sources"].as_array().map_or(0, Vec::len);
    let configured = with(&[], &config).expect(0);
    assert_eq!(sources(&configured), 1, "{}", configured.out);
    assert!(judged(configured));
    let flagged = with(&[("DPM_MERGE__DIGEST", "all")], &[&config[..], &["--digest", "product"]].concat()).expect(0);
    assert_eq!(sources(&flagged), 0, "{}", flagged.out);

    let refused = with(&[("DPM_MERGE__NONSENSE", "1")], &[]).expect(78);
    assert!(refused.err.contains("DPM_MERGE__NONSENSE"), "{}", refused.err);
}

#[test]
fn dictionaries_that_nobody_looks_for_are_told() {
    let scene = Scene::new();
    let spec = scene.spec("good.json", &specification(&good(), &["NOPE", "XMPL"]));
    let messages = merge(&scene, &spec, &["--json"]).expect(0).json_lines();
    assert_eq!(alerts_of(&messages), [("DictionariesNotUsed".to_owned(), "Info".to_owned())]);
    let done = run(&scene, &spec, &[], 0);
    assert_eq!(done["alerts"][0]["id"], "DictionariesNotUsed", "{done}");
    let none = scene.spec("none.json", &specification(&good(), &[]));
    assert_eq!(alerts_of(&merge(&scene, &none, &["--json", "--force"]).expect(0).json_lines()), []);
}

#[test]
fn check_compares_without_merging() {
    let scene = Scene::new();
    let path = dictionaries();
    let check = |name: &str, spec: &Value, flags: &[&str]| {
        let spec = scene.spec(name, spec);
        let mut arguments = vec!["check", spec.to_str().unwrap(), "--dictionary"];
        arguments.extend(flags);
        scene.dpm(arguments)
    };
    let flags = ["--dictionary-path", path.to_str().unwrap()];
    let text = check("good.json", &specification(&good(), &["XMPL"]), &flags).expect(0).out;
    assert!(text.ends_with("  7 keywords checked, 0 faults\n"), "{text}");
    let json = [&flags[..], &["--json"]].concat();
    let report = &check("bad.json", &specification(&bad(), &["XMPL"]), &json).expect(65).json()[0]["dictionary"];
    assert_eq!(report["faults"][1], json!({"source": "ocm", "keyword": "ELEPHANT", "fault": "no dictionary has it"}));
    assert_eq!(report["faults"].as_array().unwrap().len(), 4);
    check("missing.json", &specification(&good(), &["XMPL", "NONE"]), &flags).expect(66);
    let mut absent = specification(&good(), &["XMPL"]);
    absent["sources"][1]["location"] = json!("no/such.fits");
    let text = check("absent.json", &absent, &flags).expect(0).out;
    assert!(text.contains("not checked: cannot open"), "{text}");
    let mut spoiled = absent;
    spoiled["sources"][1]["location"] = json!(sample("malformed/not_fits.fits"));
    check("spoiled.json", &spoiled, &flags).expect(65);
    // The configured folders.
    let configuration = scene.write("dpm.toml", format!("[dictionaries]\npath = [{path:?}]\n"));
    check("good.json", &specification(&good(), &["XMPL"]), &["--config", configuration.to_str().unwrap()]).expect(0);
    let unjudged = check("good.json", &specification(&good(), &["XMPL"]), &[]).expect(66).out;
    assert!(unjudged.ends_with("  no keyword was checked\n"), "{unjudged}");
    // Of a keyword that several sources give, the one that does not reach the product is not judged.
    let mut beaten = specification(&json!([{"type": "valueKeyword", "name": "EXPTIME", "value": 1}]), &["XMPL"]);
    let loser = json!({"type": "fitsKeywords", "sourceName": "late", "keywords": [
        {"type": "valueKeyword", "name": "EXPTIME", "value": -1.0}]});
    beaten["sources"].as_array_mut().unwrap().push(loser);
    let text = check("beaten.json", &beaten, &flags).expect(0).out;
    assert!(text.ends_with("  3 keywords checked, 0 faults\n"), "{text}");
    assert!(!scene.path("D1.fits").exists());
}

#[test]
fn every_keyword_and_hdu_is_explained() {
    let scene = Scene::new();
    let spec = scene.spec(
        "spec.json",
        &json!({
            "id": "XMPL.2031-02-03T04:05:06.502",
            "sources": [
                {"type": "fitsKeywords", "sourceName": "ocm", "keywords": [
                    {"type": "valueKeyword", "name": "TELESCOP", "value": "mine"}]},
                {"type": "fitsFile", "sourceName": "one", "location": sample("guider_cube.fits")},
                {"type": "fitsFile", "sourceName": "two", "location": sample("guider_cube.fits")}
            ],
            "target": {"fileId": "E1", "extensionNames": "unique"}
        }),
    );
    let text = merge(&scene, &spec, &["--explain"]).expect(0).out;
    let line = |start: &str| text.lines().find(|line| line.starts_with(start)).expect(start).to_owned();
    let words = |line: &str| line.split_whitespace().collect::<Vec<&str>>().join(" ");
    assert_eq!(words(&line("TELESCOP")), "TELESCOP ocm 'mine ' one 'XMPL-ELT', two 'XMPL-ELT'");
    let file = sample("guider_cube.fits");
    assert_eq!(
        words(&line("  2  IMAGE")),
        format!("2 IMAGE GUIDER two 1 {} EXTVER raised from 1 to 2, checksums added", file.display())
    );
    assert_eq!(words(&line("  0  PRIMARY")), "0 PRIMARY new");

    let messages = merge(&scene, &spec, &["--explain", "--json", "--force"]).expect(0).json_lines();
    let explanation = messages.iter().find(|message| message["type"] == "explanation").expect("an explanation");
    assert_eq!(
        explanation["keywords"][0],
        json!({"keyword": "TELESCOP", "source": "ocm", "value": "'mine    '", "beaten": [
            {"source": "one", "value": "'XMPL-ELT'"}, {"source": "two", "value": "'XMPL-ELT'"}]})
    );
    assert_eq!(explanation["hdus"][2]["changes"], json!(["EXTVER raised from 1 to 2", "checksums added"]));
    assert_eq!(explanation["hdus"][2]["file"], json!(file));
}

/// The pipeline with these settings; the status of its one DAQ.
fn run(scene: &Scene, spec: &Path, settings: &[(&str, &str)], code: i32) -> Value {
    let mut command = scene.command([OsStr::new("run"), OsStr::new("--json"), spec.as_os_str()]);
    command.envs(settings.iter().copied());
    common::finish(command, b"").expect(code).json()[0].clone()
}

#[test]
fn a_strict_dictionary_parks_the_daq_until_the_configuration_changes() {
    let scene = Scene::new();
    let spec = scene.spec("bad.json", &specification(&bad(), &["XMPL"]));
    let path = dictionaries();
    let mut settings = vec![("DPM_DICTIONARIES__PATH", path.to_str().unwrap()), ("DPM_DICTIONARIES__STRICT", "true")];
    let parked = run(&scene, &spec, &settings, 1);
    assert_eq!((&parked["subState"], &parked["error"]), (&json!("Merging"), &json!(true)));
    assert_eq!(parked["alerts"][0]["id"], "FailedOperation:merging");
    assert!(parked["alerts"][0]["description"].as_str().unwrap().contains("ELEPHANT"), "{parked}");
    settings.pop();
    let done = run(&scene, &spec, &settings, 0);
    assert_eq!(done["subState"], "Completed");
    let ids: Vec<&str> = done["alerts"].as_array().unwrap().iter().map(|a| a["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"KeywordNotInDictionary:ELEPHANT"), "{done}");
}

#[test]
fn a_damaged_source_is_an_alert_or_parks_the_daq_until_it_is_replaced() {
    let scene = Scene::new();
    let source = scene.copy_sample("detector_mosaic.fits");
    let hdus = fits::read(&source);
    let mut bytes = fs::read(&source).unwrap();
    bytes[hdus[2].data_offset as usize + 5] ^= 1;
    fs::write(&source, bytes).unwrap();
    let spec = scene.spec(
        "spec.json",
        &json!({
            "id": "XMPL.2031-02-03T04:05:06.503",
            "sources": [{"type": "fitsFile", "sourceName": "det", "location": source}],
            "target": {"fileId": "M1"}
        }),
    );
    let alert = ("SourceChecksumMismatch:det:2".to_owned(), "Warning".to_owned());
    assert_eq!(alerts_of(&merge(&scene, &spec, &["--json"]).expect(0).json_lines()), [alert]);
    fs::remove_file(scene.path("out.fits")).unwrap();
    let refused = merge(&scene, &spec, &["--checksum-mismatch", "error"]).expect(65);
    assert!(refused.err.contains("1 damaged data unit: HDU 2 of"), "{}", refused.err);
    assert!(!scene.path("out.fits").exists());

    let settings = [("DPM_MERGE__CHECKSUM_MISMATCH", "error")];
    let parked = run(&scene, &spec, &settings, 1);
    assert_eq!((&parked["subState"], &parked["error"]), (&json!("Merging"), &json!(true)));
    assert!(parked["alerts"][0]["description"].as_str().unwrap().contains("records DATASUM"), "{parked}");
    let log = scene.path("dpm-workspace/daq/XMPL.2031-02-03T04:05:06.503/logs/merge.log");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("HIERARCH ESO DPR CATG") && log.contains("CHIP2.INT1"), "it explains the merge: {log}");
    // The daemon ended the worker before it had written why it failed.
    assert!(log.contains("records DATASUM"), "it says why the merge failed: {log}");
    scene.copy_sample("detector_mosaic.fits");
    assert_eq!(run(&scene, &spec, &settings, 0)["subState"], "Completed");
}
