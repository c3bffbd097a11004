//! Compressed sources: a product of gzip files is that of the plain ones, and no damaged file becomes a product.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test ends where something unexpected happens, and its files need not survive a power cut"
)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::common::{Scene, sample, samples};

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// As `gzip -c` does it: the program, not the library that dpm expands with.
fn gzip_by_program(path: &Path) -> Vec<u8> {
    let run = std::process::Command::new("gzip").args(["-9", "-c"]).arg(path).output();
    let run = run.expect("gzip is there: apt-get install gzip");
    assert!(run.status.success());
    run.stdout
}

/// The specification of these sources, `target` as the in-place target's file.
fn spec(target: Option<&Path>, sources: &[&Path]) -> Value {
    let files: Vec<Value> =
        sources.iter().enumerate().map(|(index, path)| samples::file(&format!("s{index}"), path)).collect();
    let mut specification = samples::spec("a", &files, &[]);
    if let Some(target) = target {
        specification["target"]["source"] = samples::file("target", target);
    }
    specification
}

/// The product of a specification, or the exit code and what was said.
fn product(scene: &Scene, specification: &Value) -> Result<Vec<u8>, (Option<i32>, String)> {
    let output = scene.path("product.fits");
    let _ = fs::remove_file(&output);
    let run = scene.merge(&scene.spec("spec.json", specification), "product.fits");
    if run.code == Some(0) {
        return Ok(fs::read(output).unwrap());
    }
    assert!(!output.exists(), "nothing half is left");
    Err((run.code, run.err))
}

#[test]
fn a_product_of_gzip_files_is_that_of_the_plain_ones() {
    let scene = Scene::new();
    let names = ["target.fits", "detector_mosaic.fits", "telemetry.fits", "guider_cube.fits", "environment.fits"];
    let plain: Vec<_> = names.iter().map(|name| sample(name)).collect();
    // The name says nothing: the third one has none of a compressed file.
    let compressed: Vec<_> = ["t.fits.gz", "a.fits.gz", "b", "c.fits.GZ", "d.fits"]
        .iter()
        .zip(&plain)
        .map(|(name, path)| scene.write(name, gzip_by_program(path)))
        .collect();
    fn split(paths: &[std::path::PathBuf]) -> (Option<&Path>, Vec<&Path>) {
        (Some(&paths[0]), paths[1..].iter().map(std::path::PathBuf::as_path).collect())
    }
    let ((target, sources), (target_gz, sources_gz)) = (split(&plain), split(&compressed));
    let expected = product(&scene, &spec(target, &sources)).unwrap();
    let found = product(&scene, &spec(target_gz, &sources_gz)).unwrap();
    assert!(found == expected, "in place");
    let expected = product(&scene, &spec(None, &sources)).unwrap();
    let found = product(&scene, &spec(None, &sources_gz)).unwrap();
    assert!(found == expected, "new file");
}

#[test]
fn a_compressed_target_is_not_replaced_by_a_plain_product() {
    let scene = Scene::new();
    let target = scene.write("target.fits.gz", gzip(&fs::read(sample("target.fits")).unwrap()));
    let before = fs::read(&target).unwrap();
    let spec = scene.spec("spec.json", &spec(Some(&target), &[]));
    let run = scene.dpm([OsStr::new("merge"), spec.as_os_str(), OsStr::new("--in-place")]).expect(73);
    assert!(run.err.contains("target.fits.gz is compressed, and a product is not"), "{}", run.err);
    assert!(fs::read(&target).unwrap() == before);
}

#[test]
fn run_collects_and_merges_compressed_files_either_way() {
    let scene = Scene::new();
    let plain = sample("detector_mosaic.fits");
    let expected = product(&scene, &spec(None, &[&plain])).unwrap();
    let compressed = scene.write("a.fits.gz", gzip(&fs::read(&plain).unwrap()));
    for (id, mode) in [("reference", "reference"), ("copy", "copy")] {
        let config = scene.write(&format!("{id}.toml"), format!("[collect]\nlocal = '{mode}'\n"));
        let mut specification = spec(None, &[&compressed]);
        let digest = blake3::hash(&fs::read(&compressed).unwrap()).to_hex().to_string();
        specification["sources"][1]["digest"] = json!({"algorithm": "blake3", "value": digest});
        let spec = scene.spec("run.json", &specification);
        let workspace = scene.path(id);
        scene
            .dpm([
                OsStr::new("run"),
                spec.as_os_str(),
                "--config".as_ref(),
                config.as_os_str(),
                "--workspace".as_ref(),
                workspace.as_os_str(),
            ])
            .expect(0);
        assert!(fs::read(workspace.join("products/a.p.fits")).unwrap() == expected, "{mode}");
    }
}
