//! `dpm header` and `dpm info`, beside astropy's `fitsheader` and `fitsinfo`.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test ends where something unexpected happens")]
#![allow(clippy::expect_used, reason = "only some of the shared helpers are used")]

mod common;

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::process::wait_bounded;
use crate::common::{LIMIT, Scene, judge, root, sample};

const SAMPLES: [&str; 5] =
    ["detector_mosaic.fits", "telemetry.fits", "guider_cube.fits", "environment.fits", "target.fits"];

/// Standard output of a script of astropy.
fn astropy(script: &str, arguments: &[&OsStr]) -> String {
    judge::set_up();
    let mut command = Command::new(root().join(".venv/bin").join(script));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    wait_bounded(command.spawn().unwrap(), LIMIT).1
}

/// Lines with single spaces, because the two tables have columns of other widths.
fn squeezed(text: &str) -> Vec<String> {
    let squeeze = |line: &str| line.split_whitespace().collect::<Vec<&str>>().join(" ");
    text.lines().map(squeeze).filter(|line| !line.is_empty()).collect()
}

#[test]
fn info_says_what_fitsinfo_says() {
    let scene = Scene::new();
    for name in SAMPLES {
        let file = sample(name);
        let ours = scene.dpm([OsStr::new("info"), file.as_os_str()]).expect(0).out;
        assert_eq!(squeezed(&ours), squeezed(&astropy("fitsinfo", &[file.as_os_str()])), "{name}");
    }
}

#[test]
fn header_says_what_fitsheader_says() {
    let scene = Scene::new();
    let check = |file: &Path, ours: &[&str], theirs: &[&str]| {
        let mut arguments = vec![OsStr::new("header"), file.as_os_str()];
        arguments.extend(ours.iter().map(OsStr::new));
        let mut other: Vec<&OsStr> = theirs.iter().map(OsStr::new).collect();
        other.push(file.as_os_str());
        let ours = scene.dpm(arguments).expect(0).out;
        // astropy prints blank cards before END, cards of one string on one line, and an HDU's name as it was asked for.
        let lines = |text: &str| {
            let text = text.replace("CONTINUE  '", "\nCONTINUE  '");
            let lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with("# "));
            lines.map(str::to_owned).collect::<Vec<String>>()
        };
        assert_eq!(lines(&ours), lines(&astropy("fitsheader", &other)), "{}", file.display());
    };
    for name in SAMPLES {
        check(&sample(name), &[], &[]);
    }
    let mosaic = sample("detector_mosaic.fits");
    check(&mosaic, &["--hdu", "0", "ESO DET*"], &["-e", "0", "-k", "ESO DET*"]);
    check(&mosaic, &["--hdu", "0", "hierarch eso det id"], &["-e", "0", "-k", "ESO DET ID"]);
    check(&mosaic, &["--hdu", "CHIP3.INT1"], &["-e", "CHIP3.INT1"]);
    check(&mosaic, &["--hdu", "chip3.int1,1", "NAXIS*"], &["-e", "CHIP3.INT1,1", "-k", "NAXIS*"]);
}

#[test]
fn json_has_values_of_their_types() {
    let scene = Scene::new();
    let file = sample("detector_mosaic.fits");
    let arguments = [OsStr::new("header"), file.as_os_str(), "--json".as_ref(), "--hdu".as_ref(), "0".as_ref()];
    let json = scene.dpm(arguments).expect(0).json();
    let cards = json[0]["cards"].as_array().unwrap();
    let card = |name: &str| cards.iter().find(|card| card["keyword"] == name).unwrap();
    assert_eq!(card("SIMPLE")["value"], true);
    assert_eq!(card("BITPIX")["value"], 8);
    assert_eq!(card("HIERARCH ESO DET COUNTER")["value"], 18_446_744_073_709_551_615_u64);
    assert_eq!(card("HIERARCH ESO DET ID")["value"], "NGCII mosaic");
    let info = scene.dpm([OsStr::new("info"), "--json".as_ref(), file.as_os_str()]).expect(0).json();
    assert_eq!(info[0]["hdus"][1]["axes"], serde_json::json!([128, 128]));
    assert_eq!(info[0]["hdus"][1]["type"], "ImageHDU");
}

#[test]
fn what_is_not_there_has_its_code() {
    let scene = Scene::new();
    let good = scene.copy_sample("target.fits");
    let run = |arguments: &[&str]| {
        let mut all = vec![OsStr::new("header"), good.as_os_str()];
        all.extend(arguments.iter().map(OsStr::new));
        scene.dpm(all)
    };
    assert!(run(&["--hdu", "9"]).expect(1).err.contains("no HDU 9"));
    assert!(run(&["NOSUCHKEY"]).expect(1).err.contains("no keyword NOSUCHKEY"));
    assert!(run(&["[A"]).expect(64).err.contains("[A"));
    for command in ["header", "info"] {
        assert!(scene.dpm([command, "absent.fits"]).expect(66).err.contains("absent.fits"));
        assert!(scene.dpm([command, "."]).expect(65).err.contains("regular"));
    }
}

#[test]
fn a_broken_file_shows_what_can_be_read() {
    let scene = Scene::new();
    let run = scene.dpm([OsStr::new("header"), sample("malformed/bad_bitpix.fits").as_os_str()]).expect(65);
    assert!(run.out.contains("BITPIX  =                   12") && run.err.contains("HDU 0"), "{run:?}");
    let run = scene.dpm([OsStr::new("info"), sample("malformed/pcount_overflow.fits").as_os_str()]).expect(65);
    assert!(run.out.contains("PrimaryHDU") && run.err.contains("HDU 1"), "{run:?}");
    let mut hostile = std::fs::read(sample("environment.fits")).unwrap();
    hostile[3 * 80 + 11..3 * 80 + 15].copy_from_slice(b"\x1b[2J");
    let file = scene.write("hostile.fits", hostile);
    let run = scene.dpm([OsStr::new("header"), file.as_os_str()]).expect(0);
    assert!(!run.out.contains('\x1b'), "{}", run.out);
}

#[test]
fn json_of_info_says_why_a_file_cannot_be_read() {
    let scene = Scene::new();
    let (broken, good) = (sample("malformed/pcount_overflow.fits"), sample("target.fits"));
    let run = scene.dpm([OsStr::new("info"), "--json".as_ref(), broken.as_os_str(), good.as_os_str()]).expect(65);
    let list = run.json();
    assert!(list[0]["error"].as_str().unwrap().contains("HDU 1") && list[0]["hdus"][0]["index"] == 0, "{list}");
    assert!(list[1]["error"].is_null(), "{list}");
}

#[test]
fn blank_cards_before_end_are_counted() {
    let scene = Scene::new();
    let mut bytes = b"SIMPLE  =                    T".to_vec();
    for (index, card) in ["BITPIX  =                    8", "NAXIS   =                    0"].iter().enumerate() {
        bytes.resize((index + 1) * 80, b' ');
        bytes.extend(card.as_bytes());
    }
    bytes.resize(10 * 80, b' ');
    bytes.extend(b"END");
    bytes.resize(2880, b' ');
    scene.write("blank.fits", bytes);
    let out = scene.dpm(["header", "blank.fits"]).expect(0).out;
    assert!(out.ends_with("\n# and 7 blank cards before END\n"), "{out}");
    assert!(!scene.dpm(["header", "blank.fits", "NAXIS"]).expect(0).out.contains("blank cards"));
    let json = scene.dpm(["header", "blank.fits", "--json"]).expect(0).json();
    assert_eq!((json[0]["blankCards"].as_u64(), json[0]["cards"].as_array().unwrap().len()), (Some(7), 3));
}

#[test]
fn an_hdu_whose_data_are_cut_off_is_shown() {
    let scene = Scene::new();
    let mut bytes = std::fs::read(sample("target.fits")).unwrap();
    bytes.truncate(bytes.len() - 2880);
    scene.write("cut.fits", bytes);
    let run = scene.dpm(["info", "cut.fits"]).expect(65);
    assert!(run.out.contains("CHIP1.INT1") && run.err.contains("HDU 1") && run.err.contains("cut off"), "{run:?}");
    assert!(scene.dpm(["header", "cut.fits", "--hdu", "CHIP1.INT1", "EXTNAME"]).out.contains("CHIP1.INT1"));
    let verdict = scene.dpm(["verify", "--json", "cut.fits"]).expect(1).json();
    assert_eq!(
        (&verdict[0]["hdus"][1]["name"], &verdict[0]["hdus"][1]["datasum"]),
        (&"CHIP1.INT1".into(), &"cutOff".into())
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let scene = Scene::new();
    let file = sample("detector_mosaic.fits");
    let mut child = scene.command([OsStr::new("header"), file.as_os_str()]).spawn().unwrap();
    let mut start = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut start).unwrap();
    drop(stdout);
    let (code, _, err) = wait_bounded(child, LIMIT);
    assert_eq!((code, err.as_str()), (Some(0), ""));
}
