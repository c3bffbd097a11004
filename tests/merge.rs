//! `dpm merge` on the sample specifications, judged by astropy, fitsverify and the raw bytes of the sources.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test ends where something unexpected happens, and its files need not survive a power cut"
)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::common::{EPOCH, Scene, alerts_of, finish, fits, judge, sample, sample_spec, samples, tree};

/// A data unit of the product: name of the HDU, sample file, index of the HDU there.
type Origin = (&'static str, &'static str, usize);

const MOSAIC: [Origin; 4] = [
    ("CHIP1.INT1", "detector_mosaic.fits", 1),
    ("CHIP2.INT1", "detector_mosaic.fits", 2),
    ("CHIP3.INT1", "detector_mosaic.fits", 3),
    ("CHIP4.INT1", "detector_mosaic.fits", 4),
];
const TELEMETRY: [Origin; 2] = [("AOS_LOOP", "telemetry.fits", 1), ("EVENTS", "telemetry.fits", 2)];
const GUIDER: Origin = ("GUIDER", "guider_cube.fits", 1);
const SLIT: Origin = ("slit", "detector_single.fits", 0);
const TARGET: Origin = ("CHIP1.INT1", "target.fits", 1);

/// A judged product of a sample specification.
struct Product {
    _scene: Scene,
    path: PathBuf,
    cards: Vec<(String, Value, String)>,
    alerts: Vec<(String, String)>,
}

impl Product {
    /// Merges the sample; every data unit must be that of `origins`, in this order, bit for bit.
    #[track_caller]
    fn of(spec: &str, origins: &[Origin]) -> Product {
        let scene = Scene::new();
        let messages = scene.merge_json(&sample_spec(spec), "product.fits");
        let path = scene.path("product.fits");
        let verdict = &judge::sound(&[&path])[0];
        let names: Vec<&str> =
            verdict["hdus"].as_array().unwrap().iter().map(|hdu| hdu["name"].as_str().unwrap()).collect();
        let expected: Vec<&str> = std::iter::once("PRIMARY").chain(origins.iter().map(|origin| origin.0)).collect();
        assert_eq!(names, expected, "order of the HDUs");
        let hdus = fits::read(&path);
        for (hdu, (name, file, index)) in hdus[1..].iter().zip(origins) {
            let source = fits::read(&sample(file));
            assert!(fits::data(&path, hdu) == fits::data(&sample(file), &source[*index]), "data of {name}");
        }
        let cards = judge::cards(&path, "0");
        Product { _scene: scene, path, cards, alerts: alerts_of(&messages) }
    }

    #[track_caller]
    fn value(&self, keyword: &str) -> &Value {
        let mut found = self.cards.iter().filter(|card| card.0 == keyword);
        let value = &found.next().unwrap_or_else(|| panic!("{keyword} is there")).1;
        assert!(found.next().is_none(), "{keyword} is there once");
        value
    }

    fn has(&self, keyword: &str) -> bool {
        self.cards.iter().any(|card| card.0 == keyword)
    }

    fn texts(&self, keyword: &str) -> Vec<&str> {
        self.cards.iter().filter(|card| card.0 == keyword).filter_map(|card| card.1.as_str()).collect()
    }

    /// Place of a keyword among the cards.
    #[track_caller]
    fn place(&self, keyword: &str) -> usize {
        self.cards.iter().position(|card| card.0 == keyword).unwrap_or_else(|| panic!("{keyword} is there"))
    }
}

/// Rank of a card in the default order: value keywords, ESO categories, commentary.
fn rank(keyword: &str) -> usize {
    const CATEGORIES: [&str; 8] = ["DPR", "OBS", "TPL", "GEN", "TEL", "ADA", "INS", "DET"];
    let category = keyword.strip_prefix("ESO ").and_then(|name| name.split(' ').next());
    match (category, keyword) {
        (Some(category), _) => 1 + CATEGORIES.iter().position(|known| *known == category).unwrap_or(CATEGORIES.len()),
        (None, "COMMENT" | "HISTORY" | "") => 100,
        (None, _) => 0,
    }
}

#[track_caller]
fn assert_sorted(product: &Product) {
    let own = product.cards.iter().position(|card| card.0 == "CHECKSUM").unwrap();
    let ranks: Vec<usize> = product.cards[..own].iter().map(|card| rank(&card.0)).collect();
    assert!(ranks.is_sorted(), "{ranks:?}");
}

#[test]
fn a_new_product_has_all_extensions_and_keywords_of_every_kind_of_value() {
    let product = Product::of("new_file.json", &[&MOSAIC[..], &TELEMETRY, &[GUIDER]].concat());
    for (keyword, expected) in [
        ("OBJECT", json!("STD-42")),
        ("EXPTIME", json!(60.0)),
        ("FLATFLD", json!(false)),
        ("ESO DET COUNTER", json!(u64::MAX)),
        ("ESO TEL FOCU OFFSET", json!(-2.5e-7)),
        ("ESO TPL EXPNO", json!(3)),
        ("ESO TPL ID", json!("XMPL_img_obs")),
        ("ARCFILE", json!("XMPL.2031-02-03T04:05:06.101.fits")),
        ("ORIGFILE", json!("XMPL.2031-02-03T04:05:06.101.fits")),
        ("DATE", json!("2030-03-17T17:46:40")),
    ] {
        assert_eq!(product.value(keyword), &expected, "{keyword}");
    }
    let note = "D'Arrest's field: a text of more than sixty-eight characters, which goes on in a CONTINUE card.";
    assert_eq!(product.value("NOTE"), note);
    assert_sorted(&product);
    let order =
        ["ARCFILE", "OBJECT", "EXPTIME", "FLATFLD", "NOTE", "ORIGIN", "RA", "DEC", "ESO DPR CATG", "ESO OCS REQ NUM"];
    assert!(order.map(|keyword| product.place(keyword)).is_sorted(), "sources keep their order");
    assert_eq!(product.texts("HISTORY")[0], "assembled by dpm from four sources");
    assert_eq!(product.alerts, []);
}

#[test]
fn a_product_in_place_uses_the_spare_cards_and_shifts_nothing() {
    let product = Product::of("in_place.json", &[TARGET, GUIDER]);
    let (target, made) = (fits::read(&sample("target.fits")), fits::read(&product.path));
    assert_eq!(made[1].header_offset, target[1].header_offset, "the spare cards were enough");
    assert_eq!(product.value("OBJECT"), "STD-42");
    assert_eq!(product.value("ESO DPR CATG"), "SCIENCE");
    assert_eq!(product.value("ARCFILE"), "XMPL.2031-02-03T04:05:06.102.fits", "the prefix is not of the archive");
    assert_eq!(product.value("ORIGFILE"), "night34_XMPL.2031-02-03T04:05:06.102.fits");
    assert!(product.texts("COMMENT").contains(&"The new cards fit the blank ones of the target."));
    assert_eq!(product.alerts, [], "nothing grew");
    assert_sorted(&product);
}

#[test]
fn keyword_rules_filter_rename_and_keep_the_source_order() {
    let product = Product::of("keyword_rules.json", &[&TELEMETRY[..], &MOSAIC].concat());
    let kept = ["ESO AOS1 MIRROR1 STROKE", "ESO AOS1 MIRROR2 STROKE", "ESO AOS1 DM3 STROKE", "ESO OCS MODE"];
    let renamed = ["ESO INS2 TEMP3 VAL", "ESO INS2 FILT1 ID", "ESO DET CHIP1 ID", "ESO DET CHIP2 GAIN", "ESO DET2 DIT"];
    for keyword in kept.into_iter().chain(renamed) {
        assert!(product.has(keyword), "{keyword}");
    }
    let dropped =
        ["ESO OCS DEBUG LEVEL", "ESO AOS DEBUG TRACE", "ESO AOS1 DEBUG TRACE", "ESO INS FILT1 ID", "ESO DET DIT"];
    let sets = ["ESO INS2 TEMP1 VAL", "ESO INS2 LAMP1 ST", "ESO DET CHIP3 ID", "ESO TEL ALT", "ESO AOS LOOP STATE"];
    for keyword in dropped.into_iter().chain(sets) {
        assert!(!product.has(keyword), "{keyword}");
    }
    assert_eq!(product.texts("COMMENT"), ["kept by the filter"], "-c COMMENT drops those of the detector");
    let order = [
        "OBJECT",
        "ESO OCS MODE",
        "COMMENT",
        "DATE-OBS",
        "ESO AOS1 ID",
        "ORIGIN",
        "ESO INS2 ID",
        "HISTORY",
        "ESO DET2 ID",
    ];
    assert!(order.map(|keyword| product.place(keyword)).is_sorted(), "\"sort\": \"none\" keeps source order");
    assert_eq!(product.alerts, [], "primaryData ignore is silent");
}

#[test]
fn an_elt_specification_makes_the_full_header_grow() {
    let product = Product::of("elt_style.json", &[&MOSAIC[..], &TELEMETRY].concat());
    assert_eq!(product.value("OBJECT"), "STD-42", "a source wins over the target");
    assert_eq!(product.value("RA"), &json!(12.5));
    assert_eq!(product.value("ESO AOS1 LOOP STATE"), &judge_value("telemetry.fits", "ESO AOS LOOP STATE"));
    assert!(!product.has("ESO AOS LOOP STATE") && !product.has("ESO AOS1 DEBUG TRACE"));
    assert!(product.texts("HISTORY").contains(&"assembled for test"));
    assert_eq!(product.alerts, [("PrimaryHduResized".to_owned(), "Info".to_owned())]);
    assert_sorted(&product);
}

#[track_caller]
fn judge_value(file: &str, keyword: &str) -> Value {
    judge::cards(&sample(file), "0").into_iter().find(|card| card.0 == keyword).expect("the keyword is there").1
}

#[test]
fn of_many_sources_the_first_wins_and_names_become_unique() {
    let product = Product::of("many_sources.json", &[&MOSAIC[..], &TELEMETRY, &[SLIT, GUIDER, TARGET]].concat());
    assert_eq!(product.value("OBJECT"), "FIRST");
    for keyword in ["ESO TEL ALT", "ESO DET DIT"] {
        assert_eq!(product.value(keyword), &judge_value("detector_mosaic.fits", keyword), "{keyword}");
    }
    assert_eq!(product.value("ESO INS GRAT1 WLEN"), &json!(2.2e-6));
    assert_eq!(product.value("ESO TEL DOME AZ"), &json!(211));
    assert!(product.texts("COMMENT").contains(&"the dome followed"));
    let hdus = fits::read(&product.path);
    assert_eq!((hdus[1].name.as_str(), hdus[9].name.as_str()), ("CHIP1.INT1", "CHIP1.INT1"));
    assert!(hdus[9].value("EXTVER").is_some_and(|value| value.starts_with('2')), "the second CHIP1.INT1 has EXTVER 2");
    judge::same_data(&product.path, "CHIP1.INT1,2", &sample("target.fits"), "1");
    assert_sorted(&product);
}

#[test]
fn a_dry_run_writes_nothing_and_its_plan_is_the_product() {
    for name in ["new_file.json", "in_place.json", "keyword_rules.json", "elt_style.json", "many_sources.json"] {
        let scene = Scene::new();
        let before = tree(&scene.path(""));
        let spec = sample_spec(name);
        let plan =
            scene.dpm([OsStr::new("merge"), spec.as_os_str(), "--dry-run".as_ref(), "--json".as_ref()]).expect(0);
        let plan = plan.json();
        assert_eq!(tree(&scene.path("")), before, "{name}: nothing was written");
        scene.merge(&spec, "product.fits").expect(0);
        let product = fits::read(&scene.path("product.fits"));
        let size = fs::metadata(scene.path("product.fits")).unwrap().len();
        assert_eq!(plan["productBytes"], json!(size), "{name}");
        let planned: Vec<(u64, u64, u64)> = plan["hdus"].as_array().unwrap().iter().map(place_of).collect();
        let made: Vec<(u64, u64, u64)> = product
            .iter()
            .map(|hdu| (hdu.header_offset, hdu.data_offset - hdu.header_offset, hdu.data_bytes))
            .collect();
        assert_eq!(planned, made, "{name}");
        let names: Vec<&str> =
            plan["hdus"].as_array().unwrap().iter().map(|hdu| hdu["name"].as_str().unwrap()).collect();
        assert_eq!(names, product.iter().map(|hdu| hdu.name.as_str()).collect::<Vec<_>>(), "{name}");
    }
}

fn place_of(hdu: &Value) -> (u64, u64, u64) {
    let number = |name: &str| hdu[name].as_u64().unwrap();
    (number("offset"), number("headerBytes"), number("dataBytes"))
}

#[test]
fn json_messages_end_in_a_result_that_names_size_and_digest_of_the_product() {
    let scene = Scene::new();
    let messages = scene.merge_json(&sample_spec("elt_style.json"), "product.fits");
    let types: Vec<&str> = messages.iter().map(|message| message["type"].as_str().unwrap()).collect();
    assert_eq!(types.iter().filter(|kind| **kind == "result").count(), 1);
    assert_eq!(types.last(), Some(&"result"));
    assert!(types.contains(&"progress") && types.contains(&"alert"));
    let bytes = fs::read(scene.path("product.fits")).unwrap();
    let result = messages.last().unwrap();
    assert_eq!(result["bytes"], json!(bytes.len()));
    assert_eq!(result["digest"], json!(blake3::hash(&bytes).to_hex().to_string()));
    assert_eq!(result["product"], json!(scene.path("product.fits")));
    assert_eq!(result["hdus"], json!(7));
}

#[test]
fn an_existing_output_is_kept_unless_forced() {
    let scene = Scene::new();
    let spec = sample_spec("new_file.json");
    let output = scene.write("product.fits", "precious");
    let refused = scene.merge(&spec, "product.fits").expect(73);
    assert!(refused.err.contains("product.fits exists") && refused.err.contains("--force"), "{}", refused.err);
    assert_eq!(fs::read(&output).unwrap(), b"precious");
    scene.dpm([OsStr::new("merge"), spec.as_os_str(), "-o".as_ref(), output.as_os_str(), "--force".as_ref()]).expect(0);
    judge::sound(&[&output]);
    assert_eq!(tree(&scene.path("")), ["empty.toml", "product.fits"]);
}

#[test]
fn forcing_never_replaces_a_source() {
    let scene = Scene::new();
    let source = scene.copy_sample("environment.fits");
    let before = fs::read(&source).unwrap();
    let spec = scene.spec("a.json", &samples::spec("a", &[samples::file("env", &source)], &[]));
    let refused =
        scene.dpm([OsStr::new("merge"), spec.as_os_str(), "--force".as_ref(), "-o".as_ref(), source.as_os_str()]);
    assert!(refused.expect(73).err.contains("one of the inputs"));
    assert!(fs::read(&source).unwrap() == before);
}

#[test]
fn in_place_changes_the_file_of_the_target_and_nothing_else() {
    let scene = Scene::new();
    for name in ["target.fits", "guider_cube.fits", "environment.fits"] {
        scene.copy_sample(name);
    }
    let text = fs::read_to_string(sample_spec("in_place.json")).unwrap().replace("\"fits/", "\"");
    let spec = scene.write("spec.json", text);
    let expected_path = sample_spec("in_place.json");
    scene.merge(&expected_path, "expected").expect(0);
    let before = tree(&scene.path(""));
    let others: Vec<State> = ["guider_cube.fits", "environment.fits"].map(|name| State::of(&scene.path(name))).into();
    scene.dpm([OsStr::new("merge"), spec.as_os_str(), "--in-place".as_ref()]).expect(0);
    assert_eq!(tree(&scene.path("")), before, "no further file");
    assert!(fs::read(scene.path("target.fits")).unwrap() == fs::read(scene.path("expected")).unwrap());
    let after: Vec<State> = ["guider_cube.fits", "environment.fits"].map(|name| State::of(&scene.path(name))).into();
    assert_eq!(after, others);
}

#[test]
fn a_merge_in_place_that_fails_leaves_the_target_as_it_was() {
    let scene = Scene::new();
    let target = scene.copy_sample("target.fits");
    let before = State::of(&target);
    let text = fs::read_to_string(sample_spec("in_place.json")).unwrap().replace("\"fits/", "\"");
    let spec = scene.write("spec.json", text);
    scene.dpm([OsStr::new("merge"), spec.as_os_str(), "--in-place".as_ref()]).expect(66);
    assert_eq!(State::of(&target), before);
    let usage = scene.dpm([OsStr::new("merge"), sample_spec("new_file.json").as_os_str(), "--in-place".as_ref()]);
    assert!(usage.expect(64).err.contains("/target/source"));
}

/// Each source is an open file, and shells allow 1024 of them by default, where more are asked for.
#[test]
fn more_sources_than_files_may_be_open_by_default() {
    let scene = Scene::new();
    let source = |index: usize| json!({"type": "fitsFile", "sourceName": format!("s{index}"), "location": sample("telemetry.fits")});
    let sources: Vec<Value> = (0..100).map(source).collect();
    let spec = scene.spec("spec.json", &json!({"id": "a", "sources": sources, "target": {"fileId": "a"}}));
    let dpm = scene.command([OsStr::new("merge"), spec.as_os_str()]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -Sn 32 && exec \"$0\" \"$@\""]).arg(dpm.get_program()).args(dpm.get_args());
    shell.current_dir(scene.path("")).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(shell, b"").expect(0);
    scene.dpm(["verify", "a.fits"]).expect(0);
}

/// How the bytes are moved is not to be seen in them.
#[test]
fn options_of_the_copy_change_no_byte() {
    let scene = Scene::new();
    let spec = sample_spec("new_file.json");
    scene.merge(&spec, "plain.fits").expect(0);
    let plain = fs::read(scene.path("plain.fits")).unwrap();
    for (index, options) in [
        &["--no-sync", "--digest", "none", "--threads", "1"][..],
        &["--digest", "all", "--page-cache", "drop"],
        &["--checksum", "trust", "--page-cache", "keep", "--reflink", "never"],
    ]
    .into_iter()
    .enumerate()
    {
        let output = format!("{index}.fits");
        let mut arguments = vec!["merge", spec.to_str().unwrap(), "-o", &output];
        arguments.extend(options);
        let run = scene.dpm(arguments).expect(0);
        assert!(fs::read(scene.path(&output)).unwrap() == plain, "{options:?}");
        assert_eq!(run.out.matches("blake3").count(), [0, 1 + 4, 1][index], "{}", run.out);
    }
    let wrong = scene.dpm(["merge", spec.to_str().unwrap(), "--digest", "md5"]).expect(64);
    assert!(wrong.err.contains("none, product, all"), "{}", wrong.err);
}

#[test]
fn a_specification_is_read_from_standard_input() {
    let scene = Scene::new();
    let text = fs::read(sample_spec("new_file.json")).unwrap();
    let folder = sample_spec("");
    let arguments = ["merge", "-", "--root", folder.to_str().unwrap(), "-o", "piped.fits"];
    assert_eq!(finish(scene.command(arguments), &text).code, Some(0));
    scene.merge(&sample_spec("new_file.json"), "named.fits").expect(0);
    assert!(fs::read(scene.path("piped.fits")).unwrap() == fs::read(scene.path("named.fits")).unwrap());
}

#[test]
fn the_same_inputs_and_time_give_the_same_bytes() {
    let scene = Scene::new();
    let spec = sample_spec("many_sources.json");
    for output in ["one.fits", "two.fits"] {
        scene.merge(&spec, output).expect(0);
    }
    let one = fs::read(scene.path("one.fits")).unwrap();
    assert!(one == fs::read(scene.path("two.fits")).unwrap());
    let later = (EPOCH.parse::<u64>().unwrap() + 1).to_string();
    let mut command = scene.command([OsStr::new("merge"), spec.as_os_str(), "-o".as_ref(), "three.fits".as_ref()]);
    command.env("SOURCE_DATE_EPOCH", later);
    assert_eq!(finish(command, b"").code, Some(0));
    assert!(one != fs::read(scene.path("three.fits")).unwrap(), "the time is in the product");
}

#[test]
fn pixels_of_a_primary_are_merged_ignored_or_told_of() {
    let scene = Scene::new();
    /// Members of the source, alerts with their severities, HDUs of the product.
    type Case = (Value, &'static [(&'static str, &'static str)], usize);
    let cases: [Case; 5] = [
        (json!({}), &[("UnmergedData:slit", "Warning")], 1),
        (json!({"primaryData": "alert"}), &[("UnmergedData:slit", "Warning")], 1),
        (json!({"primaryData": "alert", "alertUnmergeable": false}), &[], 1),
        (json!({"primaryData": "ignore"}), &[], 1),
        (json!({"primaryData": "asExtension"}), &[], 2),
    ];
    for (index, (members, alerts, hdus)) in cases.into_iter().enumerate() {
        let mut source = samples::file("slit", &sample("detector_single.fits"));
        source.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let spec = scene.spec("spec.json", &samples::spec("a", &[source], &[]));
        let name = format!("{index}.fits");
        let messages = scene.merge_json(&spec, &name);
        let found = alerts_of(&messages);
        let found: Vec<(&str, &str)> = found.iter().map(|(id, severity)| (id.as_str(), severity.as_str())).collect();
        assert_eq!(found, alerts, "{members}");
        assert_eq!(fits::read(&scene.path(&name)).len(), hdus, "{members}");
    }
    let product = scene.path("4.fits");
    judge::same_data(&product, "slit", &sample("detector_single.fits"), "0");
    judge::sound(&[&product]);
}

/// What must not change of a source.
#[derive(Debug, PartialEq, Eq)]
struct State {
    inode: u64,
    mtime: (i64, i64),
    ctime: (i64, i64),
    digest: blake3::Hash,
}

impl State {
    fn of(path: &Path) -> State {
        let metadata = fs::metadata(path).unwrap();
        State {
            inode: metadata.ino(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
            digest: blake3::hash(&fs::read(path).unwrap()),
        }
    }
}

#[test]
fn sources_are_never_modified() {
    let scene = Scene::new();
    let names = [
        "detector_mosaic.fits",
        "detector_single.fits",
        "environment.fits",
        "guider_cube.fits",
        "target.fits",
        "telemetry.fits",
    ];
    for name in names {
        scene.copy_sample(name);
    }
    let states = || names.map(|name| State::of(&scene.path(name)));
    let before = states();
    for name in ["new_file", "in_place", "keyword_rules", "elt_style", "many_sources"] {
        let text = fs::read_to_string(sample_spec(&format!("{name}.json"))).unwrap();
        let spec = scene.write("spec.json", text.replace("\"fits/", "\"").replace("localhost:fits/", "localhost:"));
        scene.merge(&spec, &format!("{name}.product")).expect(0);
        scene.merge(&spec, &format!("{name}.product")).expect(73);
    }
    assert_eq!(states(), before);
}

#[test]
fn missing_padding_and_trailing_bytes_give_a_warning_and_a_sound_product() {
    let scene = Scene::new();
    let whole = fits::write_image(&scene.path("whole.fits"), "PIXELS", 3000, 7);
    let bytes = fs::read(&whole).unwrap();
    let cut = scene.write("cut.fits", &bytes[..bytes.len() - 2760]);
    let long = scene.write("long.fits", [&bytes[..], b"left over"].concat());
    for (name, file, word) in [("cut", &cut, "lacks 2760 bytes"), ("long", &long, "has 9 bytes after")] {
        let spec = scene.spec("spec.json", &samples::spec("a", &[samples::file("det", file)], &[]));
        let messages = scene.merge_json(&spec, &format!("{name}.product"));
        assert_eq!(alerts_of(&messages), [("IrregularFile:det".to_owned(), "Warning".to_owned())], "{name}");
        let alert = messages.iter().find(|message| message["type"] == "alert").unwrap();
        assert!(alert["description"].as_str().unwrap().contains(word), "{alert}");
        let product = scene.path(format!("{name}.product"));
        let (made, source) = (fits::read(&product), fits::read(&whole));
        assert!(fits::data(&product, &made[1]) == fits::data(&whole, &source[1]), "{name}");
    }
    judge::sound(&[&scene.path("cut.product"), &scene.path("long.product")]);
}

#[test]
fn a_source_whose_datasum_is_wrong_raises_an_alert_and_the_product_has_the_true_sum() {
    let scene = Scene::new();
    let file = sample("malformed/wrong_datasum.fits");
    let mut source = samples::file("det", &file);
    source["primaryData"] = json!("asExtension");
    let as_source = samples::spec("a", &[source], &[]);
    let mut as_target = samples::spec("a", &[], &[]);
    as_target["target"]["source"] = samples::file("det", &file);
    for (name, specification) in [("source.fits", as_source), ("target.fits", as_target)] {
        let messages = scene.merge_json(&scene.spec("spec.json", &specification), name);
        let alerts = alerts_of(&messages);
        assert!(alerts.len() == 1 && alerts[0].0.starts_with("SourceChecksumMismatch"), "{alerts:?}");
        assert_eq!(alerts[0].1, "Warning");
    }
    judge::sound(&[&scene.path("source.fits"), &scene.path("target.fits")]);
}
