//! The FITS files that astropy's own package ships as its test data: real ones, odd ones and broken ones.

use std::fs;
use std::path::{Path, PathBuf};

use dpm::fits::hdu::{ScanLimits, scan};
use serde_json::{Value, json};

use crate::cases::{Case, SourceFile};
use crate::common::{Scene, judge, samples};
use crate::verdict;

/// Files that are refused: name, what dpm says, and why that is right.
const REFUSED: [(&str, &str, &str); 4] = [
    ("header_with_time.fits", "does not conform to the Standard", "SIMPLE = F"),
    ("header_with_time_wcslib71.fits", "does not conform to the Standard", "SIMPLE = F; astropy reads it as unknown"),
    ("idcompspec.fits", "this is no FITS file", "an IRAF database, a text; neither judge reads it"),
    ("verify.fits", "BITPIX: the keyword is card 3: it must be card 2", "no judge finds its structure legal"),
];

/// All FITS files of the package, without those that are compressed by compress(1).
fn files() -> Vec<SourceFile> {
    let run = judge::python("judge.py", &["package-files".into()]).expect(0);
    let paths = run.out.lines().map(PathBuf::from);
    paths.map(|path| SourceFile { name: path.file_name().unwrap().to_str().unwrap().to_owned(), path }).collect()
}

fn refusal(file: &SourceFile) -> Option<&'static str> {
    REFUSED.iter().find(|(name, ..)| *name == file.name).map(|(_, text, _)| *text)
}

fn accepted() -> Vec<SourceFile> {
    files().into_iter().filter(|file| refusal(file).is_none()).collect()
}

fn source(name: &str, file: &SourceFile) -> Value {
    let mut source = samples::file(name, &file.path);
    source["primaryData"] = json!("asExtension");
    source
}

#[test]
fn astropy_s_own_files_pass_one_by_one_and_all_together() {
    let scene = Scene::new();
    let files = accepted();
    assert!(files.len() >= 50, "{} files of astropy's test data", files.len());
    let target = |file: &SourceFile| json!({"fileId": "A", "source": samples::file("base", &file.path)});
    let mut cases: Vec<Case> = Vec::new();
    for file in &files {
        let new = json!({"id": "A", "sources": [source("source", file)], "target": {"fileId": "A"}});
        cases.push(Case { name: format!("{}, new", file.name), specification: new });
        let in_place = json!({"id": "A", "sources": [], "target": target(file)});
        cases.push(Case { name: format!("{}, in place", file.name), specification: in_place });
    }
    let all: Vec<Value> = files.iter().map(|file| source(&file.name, file)).collect();
    let specification = json!({"id": "A", "sources": all, "target": {"fileId": "A", "extensionNames": "unique"}});
    cases.push(Case { name: "all together".to_owned(), specification });
    let verdict = verdict::judge(&scene, &crate::merge_all(&scene, &cases));
    eprintln!("astropy's files: {} merges, {} of legal sources; {}", cases.len(), verdict.legal, verdict.counts);
    assert!(verdict.legal >= 60, "{verdict:?}");
}

#[test]
fn astropy_s_files_that_no_judge_accepts_are_refused_with_the_reason() {
    let scene = Scene::new();
    let files = files();
    for (name, text, _) in REFUSED {
        let file = files.iter().find(|file| file.name == name).expect(name);
        let specification = samples::spec("a", &[samples::file("a", &file.path)], &[]);
        let run = scene.merge(&scene.spec("spec.json", &specification), "product.fits").expect(65);
        assert!(run.err.contains(text), "{name}: {}", run.err);
        assert!(!scene.path("product.fits").exists());
    }
}

/// Reading and writing back changes no byte.
#[track_caller]
pub(crate) fn headers_are_written_back_as_they_were(path: &Path) {
    let bytes = fs::read(path).unwrap();
    if bytes.starts_with(&[0x1F, 0x8B]) {
        return;
    }
    let (hdus, _) = scan(bytes.as_slice(), ScanLimits::default()).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    for hdu in hdus {
        let own = &bytes[hdu.header_offset as usize..hdu.data_offset as usize];
        assert!(hdu.header.to_bytes() == own || hdu.header.has_text_behind_end(), "{path:?}, HDU {}", hdu.index);
        let cards: Vec<_> = hdu.header.records().into_iter().flat_map(|record| record.cards).collect();
        assert_eq!(cards, hdu.header.cards(), "{path:?}, HDU {}", hdu.index);
    }
}

#[test]
fn astropy_s_files_are_read_and_written_back_without_a_changed_byte() {
    for file in accepted() {
        headers_are_written_back_as_they_were(&file.path);
    }
}
