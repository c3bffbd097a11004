//! `dpm verify` on files that we did not write, and on every defect of the samples, beside fitsverify and CFITSIO.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test ends where something unexpected happens")]
#![allow(clippy::expect_used, reason = "only some of the shared helpers are used")]

mod common;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::common::process::wait_bounded;
use crate::common::{LIMIT, Scene, judge, root, sample, sample_spec};

/// Rule, section, HDU, card (0 for none).
type Place = (&'static str, &'static str, u64, u64);

/// What is found in each malformed sample.
const MALFORMED: [(&str, &[Place]); 14] = [
    ("bad_bitpix", &[("mandatory-value", "4.4.1", 0, 2), ("unreadable-size", "4.4.1", 0, 0)]),
    ("empty", &[("not-fits", "4.4.1.1", 0, 0)]),
    ("lowercase_keyword", &[("keyword-name", "4.1.2.1", 0, 4)]),
    ("missing_end", &[("missing-end", "4.4.1.1", 0, 0)]),
    ("naxis_1000", &[("mandatory-value", "4.4.1", 0, 3), ("unreadable-size", "4.4.1", 0, 0)]),
    ("negative_naxis1", &[("mandatory-value", "4.4.1", 0, 4), ("unreadable-size", "4.4.1", 0, 0)]),
    ("non_ascii_card", &[("card-text", "4.1.1", 0, 4)]),
    ("not_fits", &[("not-fits", "4.4.1.1", 0, 0)]),
    ("pcount_overflow", &[("mandatory-value", "4.4.1", 1, 3), ("unreadable-size", "4.4.1", 1, 0)]),
    ("size_overflow", &[("mandatory-value", "4.4.1", 0, 3), ("unreadable-size", "4.4.1", 0, 0)]),
    ("truncated_data", &[("cut-off", "3.1", 0, 0)]),
    ("truncated_header", &[("cut-off", "3.1", 0, 0)]),
    ("wrong_datasum", &[("datasum", "4.4.2.7", 0, 6)]),
    ("../target", &[]),
];

/// Files of astropy's package that either we or fitsverify find faults in, all explained in docs/verify.md.
const DIFFERENT: [&str; 7] = [
    "chandra_time.fits",
    "checksum_false.fits",
    "memtest.fits",
    "random_groups.fits",
    "theap-gap.fits",
    "vla_logical_pre_fix.fits",
    "group_invalid.fits",
];

fn verify(scene: &Scene, file: &Path, code: i32) -> Value {
    scene.dpm([OsStr::new("verify"), "--json".as_ref(), file.as_os_str()]).expect(code).json()[0].take()
}

/// Whether fitsverify finds errors. Warnings are none.
fn fitsverify_accepts(file: &Path) -> bool {
    let child = Command::new("fitsverify")
        .args(["-q", "-e"])
        .arg(file.file_name().unwrap())
        .current_dir(file.parent().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("fitsverify is installed by tests/setup");
    let (_, out, _) = wait_bounded(child, LIMIT);
    out.contains("verification OK")
}

/// The FITS files of astropy's own tests.
fn astropy_files() -> Vec<PathBuf> {
    judge::set_up();
    let libraries = std::fs::read_dir(root().join(".venv/lib")).unwrap().map(|entry| entry.unwrap().path());
    let data = libraries.map(|python| python.join("site-packages/astropy/io/fits/tests/data"));
    let folders = data.flat_map(|folder| [folder.join("invalid"), folder]).filter(|folder| folder.is_dir());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension() == Some(OsStr::new("fits"))).collect();
    files.sort();
    files
}

#[test]
fn each_malformed_sample_breaks_the_rule_that_it_is_for() {
    let scene = Scene::new();
    for (name, expected) in MALFORMED {
        let verdict = verify(&scene, &sample(&format!("malformed/{name}.fits")), i32::from(!expected.is_empty()));
        let found: Vec<(&str, &str, u64, u64)> = verdict["faults"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| {
                let text = |member: &str| fault[member].as_str().unwrap();
                (text("rule"), text("section"), fault["hdu"].as_u64().unwrap(), fault["card"].as_u64().unwrap_or(0))
            })
            .collect();
        assert_eq!(found, expected, "{name}");
        assert_eq!(verdict["faultCount"], expected.len(), "{name}");
    }
}

#[test]
fn fitsverify_agrees_on_astropys_files_but_for_the_documented_ones() {
    let scene = Scene::new();
    let files = astropy_files();
    assert!(files.len() > 30, "{files:?}");
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let run = scene.dpm([OsStr::new("verify"), "--json".as_ref(), file.as_os_str()]);
        let is_good = run.json()[0]["good"] == true;
        let is_different = is_good != fitsverify_accepts(&file);
        assert_eq!(is_different, DIFFERENT.contains(&name), "{name}: {}", run.out);
    }
}

#[test]
fn products_are_without_fault() {
    let scene = Scene::new();
    for name in ["new_file", "in_place", "keyword_rules", "elt_style", "many_sources"] {
        let output = format!("{name}.fits");
        scene.merge(&sample_spec(&format!("{name}.json")), &output).expect(0);
        let verdict = verify(&scene, &scene.path(&output), 0);
        assert_eq!((&verdict["faultCount"], &verdict["warningCount"]), (&0.into(), &0.into()), "{name}: {verdict}");
        assert!(fitsverify_accepts(&scene.path(&output)), "{name}");
    }
}

/// They came rule by rule, CHECKSUM on card 9 behind DATASUM on card 10.
#[test]
fn findings_are_in_order_of_the_cards() {
    let scene = Scene::new();
    let mut bytes = std::fs::read(sample("malformed/non_ascii_card.fits")).unwrap();
    let cards = ["FOO     = 1.2.3", "OBJECT  = 'x'", "OBJECT  = 'y'", "BAR     = 'open"];
    let end = bytes.chunks(80).position(|card| card.starts_with(b"END     ")).unwrap();
    for (index, card) in cards.iter().chain(["END"].iter()).enumerate() {
        let place = (end + index) * 80;
        bytes[place..place + 80].copy_from_slice(format!("{card:<80}").as_bytes());
    }
    std::fs::write(scene.path("bad.fits"), bytes).unwrap();
    let verdict = verify(&scene, &scene.path("bad.fits"), 1);
    let places: Vec<u64> = verdict["faults"].as_array().unwrap().iter().filter_map(|f| f["card"].as_u64()).collect();
    assert_eq!(places.len(), 4, "{verdict}");
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn text_fits_80_columns_and_says_where() {
    let scene = Scene::new();
    std::fs::copy(sample("malformed/non_ascii_card.fits"), scene.path("bad.fits")).unwrap();
    let run = scene.dpm(["verify", "bad.fits"]).expect(1);
    assert!(run.out.contains("fault  HDU 0, card 4: card-text, section 4.1.1"), "{}", run.out);
    assert!(run.out.lines().all(|line| line.chars().count() <= 80), "{}", run.out);
    assert!(scene.dpm(["verify", "absent.fits"]).expect(66).err.contains("absent.fits"));
}

/// A gzip file whose CRC32 is wrong.
fn damaged_gzip(scene: &Scene) -> PathBuf {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&std::fs::read(sample("target.fits")).unwrap()).unwrap();
    let mut bytes = encoder.finish().unwrap();
    let crc = bytes.len() - 8;
    bytes[crc] ^= 1;
    scene.write("damaged.fits.gz", bytes)
}

#[test]
fn json_lists_each_file_also_one_that_cannot_be_read() {
    let scene = Scene::new();
    let (damaged, good) = (damaged_gzip(&scene), scene.copy_sample("target.fits"));
    let words = [damaged.as_os_str(), good.as_os_str(), OsStr::new("absent.fits")];
    let run = scene.dpm([OsStr::new("verify"), "--json".as_ref()].into_iter().chain(words)).expect(65);
    let list = run.json();
    let goods: Vec<&Value> = list.as_array().unwrap().iter().map(|entry| &entry["good"]).collect();
    assert_eq!(goods, [false, true, false]);
    for (index, text) in [(0, "gzip data is damaged"), (2, "No such file")] {
        assert_eq!(list[index]["path"].as_str(), words[index].to_str());
        assert!(list[index]["error"].as_str().unwrap().contains(text), "{list}");
    }
    assert!(list[1]["error"].is_null() && list[1]["hdus"].is_array());
}

#[test]
fn quiet_has_a_line_for_each_file_and_its_faults() {
    let scene = Scene::new();
    std::fs::copy(sample("malformed/non_ascii_card.fits"), scene.path("bad.fits")).unwrap();
    scene.copy_sample("detector_mosaic.fits");
    let run = scene.dpm(["verify", "--quiet", "detector_mosaic.fits", "bad.fits"]).expect(1);
    let starts =
        ["detector_mosaic.fits: good, 5 HDUs, ", "bad.fits: bad, 1 HDU, ", "  fault  HDU 0, card 4: card-text"];
    for (line, start) in run.out.lines().zip(starts) {
        assert!(line.starts_with(start), "{}", run.out);
    }
    assert!(run.out.lines().count() > starts.len() && !run.out.contains("DATASUM"), "{}", run.out);
}

#[test]
#[cfg(not(feature = "cfitsio"))]
fn without_cfitsio_the_option_says_how_to_get_it() {
    let scene = Scene::new();
    let file = scene.copy_sample("target.fits");
    let run = scene.dpm([OsStr::new("verify"), "--with-cfitsio".as_ref(), file.as_os_str()]).expect(69);
    assert!(run.err.contains("--features cfitsio") && run.out.is_empty(), "{}", run.err);
    assert!(scene.dpm(["--version"]).expect(0).out.contains("CFITSIO not built in"));
}

#[test]
#[cfg(feature = "cfitsio")]
fn cfitsio_gives_its_verdict_from_a_process_of_its_own() {
    let scene = Scene::new();
    let asked = |file: &Path, code| {
        let arguments = [OsStr::new("verify"), "--with-cfitsio".as_ref(), "--json".as_ref(), file.as_os_str()];
        scene.dpm(arguments).expect(code).json()[0].take()
    };
    // Names that CFITSIO would read as instructions.
    for name in ["a.fits", "a[1].fits", "mem:a.fits", "a.fits(b.fits)"] {
        std::fs::copy(sample("detector_mosaic.fits"), scene.path(name)).unwrap();
        let verdict = asked(&scene.path(name), 0);
        assert_eq!((&verdict["cfitsio"]["good"], &verdict["cfitsio"]["hdus"]), (&true.into(), &5.into()), "{name}");
    }
    assert!(scene.dpm(["--version"]).expect(0).out.contains("CFITSIO 3."));
    let wrong = asked(&sample("malformed/wrong_datasum.fits"), 1);
    assert!(wrong["cfitsio"]["faults"][0].as_str().unwrap().contains("DATASUM is wrong"), "{wrong}");
    // What a strict reader refuses is not shown to it.
    assert!(asked(&sample("malformed/bad_bitpix.fits"), 1)["cfitsio"].is_null());
}

#[test]
#[cfg(feature = "cfitsio")]
fn cfitsio_reads_all_that_is_good_of_astropys_files() {
    let scene = Scene::new();
    for file in astropy_files() {
        let run = scene.dpm([OsStr::new("verify"), "--with-cfitsio".as_ref(), "--json".as_ref(), file.as_os_str()]);
        let verdict = run.json()[0].take();
        if verdict["good"] == true {
            assert_eq!(verdict["cfitsio"]["faults"], serde_json::json!([]), "{}", file.display());
        }
    }
}
