//! Every legal structure passes through a merge bit for bit: a matrix of structures, cards and rules, made from a seed,
//! judged by astropy, CFITSIO, fitsverify, and `dpm verify`.
//!
//! Files come from astropy and fpack (`judges/matrix_files.py`) and from bytes of our own (`raw`, `tables`). What each
//! product must be is derived without dpm in `judges/matrix_judge.py`. `DPM_MATRIX_SEED` chooses other files,
//! `DPM_MATRIX_KEEP` leaves them behind.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test ends where something unexpected happens, and its files need not survive a power cut"
)]

#[path = "../common/mod.rs"]
mod common;

#[path = "../common/cfitsio.rs"]
mod cfitsio;

mod astropy_files;
mod cases;
mod composed;
mod raw;
mod tables;
mod values;
mod verdict;

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cases::{Case, SourceFile};
use crate::common::fits::Random;
use crate::common::{Scene, judge};
use crate::verdict::Merged;

/// Merges of several files beside those of each file alone.
const MIXED: usize = 90;

/// Files whose HDUs are chosen at random, beside one file for each structure.
const COMPOSED: usize = 110;

/// Starts of the names of files in which fitsverify finds errors, and why they are here all the same.
const ILLEGAL: [(&str, &str); 5] = [
    ("primary naxis 999", "the Standard allows 999 axes; fitsverify dies of them"),
    ("foreign DUMP", "a foreign type may have groups and parameters; fitsverify takes it for an image"),
    ("special records", "the Standard allows them behind the last HDU; fitsverify wants none"),
    ("odd bytes at the end", "bytes behind the last HDU: accepted with an IrregularFile warning"),
    ("unpadded", "the last HDU is whole, its padding is missing: accepted with an IrregularFile warning, padded"),
];

pub(crate) fn seed() -> u64 {
    let given = std::env::var("DPM_MATRIX_SEED").ok();
    given.map_or(20_310_203, |text| text.parse().expect("DPM_MATRIX_SEED is a number"))
}

/// Writes all source files.
fn sources(scene: &Scene, random: &mut Random) -> Vec<SourceFile> {
    let folder = scene.folder("sources");
    let mut files = Vec::new();
    for file in [raw::files(random), composed::files(random, COMPOSED)].concat() {
        let path = folder.join(format!("raw{}.fits", files.len()));
        fs::write(&path, file.bytes()).unwrap();
        files.push(SourceFile { name: file.name, path });
    }
    let arguments = [folder.into_os_string(), seed().to_string().into()];
    let made: Vec<(String, String)> =
        serde_json::from_str(&judge::python("matrix_files.py", &arguments).expect(0).out).unwrap();
    files.extend(made.into_iter().map(|(name, path)| SourceFile { name, path: path.into() }));
    files
}

/// Merges each case with the real binary, two at a time.
pub(crate) fn merge_all<'a>(scene: &Scene, cases: &'a [Case]) -> Vec<Merged<'a>> {
    scene.folder("products");
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(case) = cases.get(number) else { return done };
            let specification = scene.spec(&format!("spec{number}.json"), &case.specification);
            let output = format!("products/p{number}.fits");
            let run = scene.merge(&specification, &output);
            assert_eq!(run.code, Some(0), "{}: {}\n{}", case.name, run.err, case.specification);
            done.push(Merged { case, specification, product: scene.path(output) });
        }
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().flat_map(|thread| thread.join().expect("every case is merged")).collect()
    })
}

#[test]
fn every_structure_passes_through_a_merge_bit_for_bit() {
    let mut scene = Scene::new();
    if std::env::var_os("DPM_MATRIX_KEEP").is_some() {
        scene.keep();
    }
    let mut random = Random(seed());
    let files = sources(&scene, &mut random);
    let cases = cases::cases(&mut random, &files, MIXED);
    let verdict = verdict::judge(&scene, &merge_all(&scene, &cases));
    let illegal: Vec<&str> =
        files.iter().filter(|file| verdict.illegal.contains(&file.path)).map(|file| file.name.as_str()).collect();
    for name in &illegal {
        let known = ILLEGAL.iter().any(|(start, _)| name.starts_with(start));
        assert!(known, "seed {}: fitsverify finds an error in '{name}', which should be legal", seed());
    }
    eprintln!(
        "seed {}: {} sources, {} merges, {} of legal sources, {} of them good for dpm verify; {}; not legal for fitsverify: {illegal:?}",
        seed(),
        files.len(),
        cases.len(),
        verdict.legal,
        verdict.verified,
        verdict.counts,
    );
    assert!(files.len() >= 220, "{} files", files.len());
    assert!(cases.len() >= 200 && verdict.legal >= 200 && verdict.verified >= 100, "{verdict:?}");
    for file in &files {
        astropy_files::headers_are_written_back_as_they_were(&file.path);
    }
}

/// Runs as a child of the tests above: see [`cfitsio::read`].
#[test]
fn cfitsio_worker() {
    cfitsio::work();
}
