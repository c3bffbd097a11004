//! Files and specifications made to take all memory or time: each has its answer, within a bound on address space.
//!
//! The kernel holds the bound (setrlimit(2), RLIMIT_AS): a merge that needs more dies. That nothing hangs is held by the
//! limit that all these tests have.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test ends where something unexpected happens, and its files need not survive a power cut"
)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::common::{Run, Scene, finish, fits, samples};

/// Address space in KiB: a merge of honest files takes a tenth. A worker of the daemon is bounded by four times as much.
const ADDRESS_SPACE_KIB: u64 = 512 * 1024;

/// `dpm` within the bound.
#[track_caller]
fn bounded<S: AsRef<OsStr>>(scene: &Scene, arguments: impl IntoIterator<Item = S>) -> Run {
    let dpm = scene.command(arguments);
    let script = format!("ulimit -v {ADDRESS_SPACE_KIB} && exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(script).arg(dpm.get_program()).args(dpm.get_args()).current_dir(scene.path(""));
    for (name, value) in dpm.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(shell, b"")
}

/// Merges one file, as a source or as the in-place target.
#[track_caller]
fn merge(scene: &Scene, file: &Path, as_target: bool) -> Run {
    let mut specification = samples::spec("a", &[samples::file("s", file)], &[]);
    specification["target"]["extensionNames"] = json!("unique");
    if as_target {
        specification["sources"] = json!([]);
        specification["target"]["source"] = samples::file("s", file);
    }
    let spec = scene.spec("spec.json", &specification);
    let output = scene.path("product.fits");
    let _ = fs::remove_file(&output);
    let words = [OsStr::new("merge"), spec.as_os_str(), "-o".as_ref(), output.as_os_str()];
    bounded(scene, words.into_iter().chain(["--gzip-ratio", "10000"].map(OsStr::new)))
}

#[track_caller]
fn check_refused(scene: &Scene, file: &Path, reason: &str) {
    for as_target in [false, true] {
        let run = merge(scene, file, as_target).expect(65);
        assert!(run.err.contains(reason) && run.err.contains("source 's'"), "{reason}: {}", run.err);
        assert!(run.err.len() < 10_000, "{reason}: the message is {} bytes", run.err.len());
        assert!(!scene.path("product.fits").exists(), "{reason}");
    }
}

#[track_caller]
fn check_merged(scene: &Scene, file: &Path) {
    for as_target in [false, true] {
        merge(scene, file, as_target).expect(0);
    }
    bounded(scene, ["verify", "product.fits"]).expect(0);
}

fn card(keyword: &str, value: impl std::fmt::Display) -> String {
    format!("{keyword:<8}= {value:>20}")
}

/// A primary header of these cards behind the mandatory ones.
fn primary(cards: impl Iterator<Item = String>) -> Vec<u8> {
    fits::empty_primary(&cards.collect::<Vec<_>>())
}

#[test]
fn headers_without_end_are_left_early() {
    let scene = Scene::new();
    let reason = "no END within 200000 cards, a limit of dpm: take cards out, or repair the file";
    let million = scene.write("a.fits", primary((0..1_000_000).map(|index| card(&format!("K{index}"), index))));
    check_refused(&scene, &million, reason);
    // 100 MB of spaces take no 100 MB to send.
    let mut blank = fits::empty_primary(&[]);
    let end = blank.chunks(80).position(|card| card.starts_with(b"END ")).unwrap() * 80;
    blank[end..end + 3].fill(b' ');
    blank.resize(100_000_000, b' ');
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&blank).unwrap();
    check_refused(&scene, &scene.write("b.fits.gz", encoder.finish().unwrap()), reason);
}

#[test]
fn what_is_beyond_a_limit_is_said_alike_by_all() {
    let scene = Scene::new();
    let long = scene.write("long.fits", primary((0..200_004).map(|_| "COMMENT".to_owned())));
    let run = bounded(&scene, ["verify", "long.fits"]).expect(1);
    assert!(run.out.starts_with("long.fits: beyond a limit of dpm, 0 HDUs"), "{}", run.out);
    assert!(run.out.contains("limit  HDU 0: limit") && !run.out.contains("fault"), "{}", run.out);
    let reason = "no END within 200000 cards, a limit of dpm";
    assert!(run.out.contains(reason), "{}", run.out);
    assert!(bounded(&scene, ["info", "long.fits"]).expect(65).err.contains(reason));
    assert!(merge(&scene, &long, false).expect(65).err.contains(reason));
}

#[test]
fn the_longest_headers_are_merged() {
    let scene = Scene::new();
    let different = scene.write("a.fits", primary((0..199_000).map(|index| card(&format!("K{index}"), index))));
    check_merged(&scene, &different);
    let equal = scene.write("b.fits", primary((0..199_000).map(|index| card("SAME", index))));
    check_merged(&scene, &equal);
    let first = format!("LONG    = '{:<67}&'", "x");
    let rest = (0..199_000).map(|index| format!("CONTINUE  '{index:<66}&'"));
    let continued = scene.write("c.fits", primary(std::iter::once(first).chain(rest)));
    check_merged(&scene, &continued);
    let commentary = scene.write("d.fits", primary((0..199_000).map(|index| format!("COMMENT {index}"))));
    check_merged(&scene, &commentary);
}

/// A file of so many empty extensions of one name.
fn write_extensions(output: impl Write, count: usize) {
    let mut output = BufWriter::new(output);
    output.write_all(&fits::empty_primary(&[])).unwrap();
    let extension = fits::image_extension("SAME", 0);
    for _ in 0..count {
        output.write_all(&extension).unwrap();
    }
    output.flush().unwrap();
}

#[test]
fn twenty_thousand_extensions_are_merged_and_a_hundred_thousand_refused() {
    let scene = Scene::new();
    let many = scene.path("many.fits");
    write_extensions(fs::File::create(&many).unwrap(), 20_000);
    check_merged(&scene, &many);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    write_extensions(&mut encoder, 100_000);
    let more = scene.write("more.fits.gz", encoder.finish().unwrap());
    let run = merge(&scene, &more, false).expect(65);
    assert!(run.err.contains("the file has more than 100000 HDUs"), "{}", run.err);
}

/// A file with one extension of these mandatory cards, and `bytes` of data.
fn extension(scene: &Scene, cards: &[String], bytes: usize) -> PathBuf {
    let content = [fits::empty_primary(&[]), fits::header(cards), vec![0; bytes]].concat();
    scene.write("extension.fits", content)
}

#[test]
fn wild_sizes_are_refused_without_an_attempt() {
    let scene = Scene::new();
    let cards = |kind: &str, axes: Vec<u64>, pcount: u64| -> Vec<String> {
        let mut cards = vec![format!("XTENSION= '{kind:<8}'"), card("BITPIX", 8), card("NAXIS", axes.len())];
        cards.extend(axes.iter().enumerate().map(|(index, size)| card(&format!("NAXIS{}", index + 1), size)));
        cards.extend([card("PCOUNT", pcount), card("GCOUNT", 1)]);
        if kind == "BINTABLE" {
            cards.push(card("TFIELDS", 0));
        }
        cards
    };
    check_merged(&scene, &extension(&scene, &cards("IMAGE", vec![1; 999], 0), 2880));
    let overflow = "the data unit would have more than 2^63 bytes: the header is damaged";
    check_refused(&scene, &extension(&scene, &cards("IMAGE", vec![2; 999], 0), 2880), overflow);
    let cut = "is cut off";
    let largest = i64::MAX as u64;
    check_refused(&scene, &extension(&scene, &cards("BINTABLE", vec![0, 0], largest), 2880), cut);
    check_refused(&scene, &extension(&scene, &cards("BINTABLE", vec![1, 1], largest), 2880), overflow);
    check_refused(&scene, &extension(&scene, &cards("IMAGE", vec![largest], 0), 2880), cut);
    check_refused(&scene, &extension(&scene, &cards("FOREIGN", vec![1 << 40], 1 << 40), 2880), cut);
}

/// Checks a specification and merges it: both refuse it with 65 and these words.
#[track_caller]
fn check_specification(scene: &Scene, text: &str, reason: &str) {
    let spec = scene.write("spec.json", text);
    for command in ["check", "merge"] {
        let run = bounded(scene, [OsStr::new(command), spec.as_os_str()]).expect(65);
        let told = format!("{}{}", run.out, run.err);
        assert!(told.contains(reason), "{reason}: {}", told.chars().take(2000).collect::<String>());
        assert!(told.len() < 1_000_000, "{reason}: {} bytes are told", told.len());
    }
}

#[test]
fn wild_specifications_are_refused_with_few_words() {
    let scene = Scene::new();
    let valid = samples::spec("a", &[], &[]);
    let with = |name: &str, value: Value| {
        let mut specification = valid.clone();
        specification[name] = value;
        specification.to_string()
    };
    check_specification(&scene, &"[".repeat(100_000), "nested too deeply");
    check_specification(&scene, &"{\"a\":".repeat(100_000), "nested too deeply");
    let members: Vec<String> = (0..1_000_000).map(|index| format!("\"k{index}\":0")).collect();
    check_specification(&scene, &format!("{{{}}}", members.join(",")), "k0");
    check_specification(&scene, &format!("{{{}}}", vec!["\"k\":0"; 1_000_000].join(",")), "k");
    let source = json!({"type": "fitsFile", "sourceName": "s", "location": "/a.fits"});
    check_specification(&scene, &with("sources", json!(vec![source; 100_000])), "10000");
    let keyword = json!({"type": "valueKeyword", "name": "A", "value": 1});
    let keywords = json!([{"type": "fitsKeywords", "sourceName": "k", "keywords": vec![keyword; 300_000]}]);
    check_specification(&scene, &with("sources", keywords), "200000");
    check_specification(&scene, &with("id", json!("x".repeat(10_000_000))), "/id");
}
