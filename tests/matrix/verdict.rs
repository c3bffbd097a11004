//! Has merges judged: by a second model of the rules with astropy, by fitsverify, by CFITSIO, and by `dpm verify`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cases::Case;
use crate::cfitsio;
use crate::common::{Scene, judge};

/// A merge that was done.
#[derive(Clone, Debug)]
pub(crate) struct Merged<'a> {
    pub(crate) case: &'a Case,
    pub(crate) specification: PathBuf,
    pub(crate) product: PathBuf,
}

/// What the judges say of all merges together; that none found a fault is asserted before.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// What was compared, by kind.
    pub(crate) counts: Value,
    /// Sources in which fitsverify finds errors.
    pub(crate) illegal: HashSet<PathBuf>,
    /// Merges of sources in which it finds none: their products have none either, and CFITSIO finds both sums right.
    pub(crate) legal: usize,
    /// Those among them that `dpm verify` finds good, sources and product.
    pub(crate) verified: usize,
}

/// Has all of `merged` judged; fails the test with every fault that a judge finds.
#[track_caller]
pub(crate) fn judge(scene: &Scene, merged: &[Merged<'_>]) -> Verdict {
    let cases: Vec<Value> = merged
        .iter()
        .map(|merged| json!({"name": merged.case.name, "specification": merged.specification, "product": merged.product}))
        .collect();
    let list = scene.spec("cases.json", &json!(cases));
    let judged = judge::python("matrix_judge.py", &[list.into_os_string()]);
    let said: Value = serde_json::from_str(&judged.out).unwrap_or_else(|_| panic!("{}{}", judged.out, judged.err));
    let texts = |member: &str| -> HashSet<&str> {
        said[member].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
    };
    let faults = said["faults"].as_array().unwrap();
    let lines: Vec<&str> = faults.iter().filter_map(Value::as_str).collect();
    assert!(lines.is_empty(), "seed {}: {} faults:\n{}", crate::seed(), lines.len(), lines.join("\n"));
    let legal_names = texts("legal");
    let legal: Vec<&Merged<'_>> =
        merged.iter().filter(|merged| legal_names.contains(merged.case.name.as_str())).collect();
    check_with_cfitsio(&legal);
    Verdict {
        counts: said["counts"].clone(),
        illegal: texts("illegal").into_iter().map(PathBuf::from).collect(),
        legal: legal.len(),
        verified: check_with_dpm(scene, &legal),
    }
}

fn check_with_cfitsio(legal: &[&Merged<'_>]) {
    let products: Vec<OsString> = legal.iter().map(|merged| merged.product.clone().into_os_string()).collect();
    for (merged, reading) in legal.iter().zip(cfitsio::read(&products)) {
        let is_right = reading.hdus.iter().all(|hdu| hdu.data_sum == 1 && hdu.hdu_sum == 1) && !reading.hdus.is_empty();
        assert!(reading.fault.is_none() && is_right, "CFITSIO, {}: {reading:?}", merged.case.name);
    }
}

fn verdicts_of(said: &Value) -> impl Iterator<Item = &Value> {
    said.as_array().unwrap().iter()
}

/// Where `dpm verify` finds nothing wrong with the sources, it finds nothing wrong with the product; how often that was.
/// It can read every one of them.
fn check_with_dpm(scene: &Scene, legal: &[&Merged<'_>]) -> usize {
    let sources = |merged: &Merged<'_>| -> Vec<PathBuf> {
        let specification = &merged.case.specification;
        let listed = specification["sources"].as_array().unwrap().iter();
        listed
            .chain([&specification["target"]["source"]])
            .filter_map(|one| one["location"].as_str())
            .map(PathBuf::from)
            .collect()
    };
    let files: HashSet<PathBuf> =
        legal.iter().flat_map(|merged| sources(merged).into_iter().chain([merged.product.clone()])).collect();
    let arguments =
        ["verify", "--json"].map(OsString::from).into_iter().chain(files.iter().map(|file| file.clone().into()));
    let said = scene.dpm(arguments).json();
    let good: HashSet<PathBuf> = verdicts_of(&said)
        .filter(|verdict| verdict["good"] == true)
        .map(|verdict| PathBuf::from(verdict["path"].as_str().unwrap()))
        .collect();
    for file in &files {
        let is_judged = verdicts_of(&said).any(|verdict| verdict["path"] == json!(file));
        assert!(is_judged, "dpm verify cannot read {}", file.display());
    }
    let of_good: Vec<&&Merged<'_>> =
        legal.iter().filter(|merged| sources(merged).iter().all(|source| good.contains(source))).collect();
    for merged in &of_good {
        let verdict = verdicts_of(&said).find(|one| one["path"] == json!(merged.product));
        assert!(good.contains(&merged.product), "dpm verify, {}: {verdict:?}", merged.case.name);
    }
    of_good.len()
}
