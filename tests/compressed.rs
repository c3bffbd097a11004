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

use crate::common::{Scene, alerts_of, fits, sample, samples};

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

#[test]
fn members_and_padding_are_as_gzip_itself_reads_them() {
    let scene = Scene::new();
    let plain = fs::read(sample("detector_mosaic.fits")).unwrap();
    let expected = product(&scene, &spec(None, &[&sample("detector_mosaic.fits")])).unwrap();
    let (first, rest) = plain.split_at(10_000);
    let members = [gzip(first), gzip(b""), gzip(rest)].concat();
    let source = scene.write("a.fits.gz", &members);
    assert!(product(&scene, &spec(None, &[&source])).unwrap() == expected, "three members");
    let padded = scene.write("padded.fits.gz", [members.as_slice(), &[0; 512]].concat());
    let spec_of_padded = scene.spec("padded.json", &spec(None, &[&padded]));
    let messages = scene.merge_json(&spec_of_padded, "padded.fits");
    assert_eq!(alerts_of(&messages), [("IrregularFile:s0".to_owned(), "Warning".to_owned())]);
    assert!(fs::read(scene.path("padded.fits")).unwrap() == expected, "zeros behind the last member");
    let garbage = scene.write("garbage.fits.gz", [members.as_slice(), b"garbage"].concat());
    let (code, text) = product(&scene, &spec(None, &[&garbage])).expect_err("refused");
    assert_eq!(code, Some(65), "{text}");
    let place = format!("garbage.fits.gz (source 's0'): what stands at byte {}, behind member 3", members.len());
    assert!(text.contains(&place), "{text}");
}

/// What a plain file lacks or has too much, its compressed form lacks or has too.
#[test]
fn irregular_content_is_treated_as_that_of_a_plain_file() {
    let scene = Scene::new();
    let whole = fs::read(sample("detector_mosaic.fits")).unwrap();
    let unpadded = &whole[..whole.len() - 10];
    let trailed = [whole.as_slice(), b"bytes behind the last HDU"].concat();
    for (what, content) in [("unpadded", unpadded), ("trailed", trailed.as_slice()), ("empty", b""), ("text", b"text")]
    {
        let plain = scene.write("plain.fits", content);
        let compressed = scene.write("compressed.fits", gzip(content));
        let outcomes = [&plain, &compressed].map(|path| {
            product(&scene, &spec(None, &[path])).map_err(|(code, text)| {
                let name = path.file_name().unwrap().to_str().unwrap();
                (code, text.replace(name, "FILE"))
            })
        });
        assert!(outcomes[0] == outcomes[1], "{what}");
        assert_eq!(outcomes[0].is_ok(), content.len() > 4, "{what}");
    }
}

#[test]
fn no_damaged_file_becomes_a_product() {
    let scene = Scene::new();
    let plain = fits::write_image(&scene.path("a.fits"), "PIXELS", 20_000, 7);
    let expected = product(&scene, &spec(None, &[&plain])).unwrap();
    // Members that end where HDUs do: a lost one leaves a file that is whole FITS.
    let bytes = fs::read(&plain).unwrap();
    let members = [gzip(&bytes[..2880]), gzip(&bytes[2880..5760]), gzip(&bytes[5760..])];
    let good = members.concat();
    let ends: Vec<usize> = members
        .iter()
        .scan(0, |end, member| {
            *end += member.len();
            Some(*end)
        })
        .collect();
    let mut damaged: Vec<(String, Vec<u8>)> = Vec::new();
    for end in [0, ends[0], ends[1]] {
        for place in [end, end + 1, end + 2, end + 3, end + 9, end + 15] {
            let mut bytes = good.clone();
            bytes[place] ^= 0x40;
            damaged.push((format!("byte {place}"), bytes));
        }
        damaged.push((format!("cut at {}", end + 5), good[..end + 5].to_vec()));
    }
    for end in ends {
        for back in 1..=8 {
            let mut bytes = good.clone();
            bytes[end - back] ^= 1;
            damaged.push((format!("byte {} of a trailer", end - back), bytes));
            damaged.push((format!("cut at {}", end - back), good[..end - back].to_vec()));
        }
    }
    for (what, bytes) in damaged {
        let source = scene.write("damaged.fits.gz", bytes);
        match product(&scene, &spec(None, &[&source])) {
            Ok(found) => assert!(found == expected, "{what}: a product, and another one"),
            Err((code, text)) => {
                assert_eq!(code, Some(65), "{what}: {text}");
                assert!(text.contains("damaged.fits.gz"), "{what}: {text}");
            }
        }
    }
}

#[test]
fn bombs_are_refused_in_bounded_time_and_memory() {
    let scene = Scene::new();
    let header = fits::image_extension("ZEROS", 1_000_000_000);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(9));
    encoder.write_all(&fits::empty_primary(&[])).unwrap();
    encoder.write_all(&header).unwrap();
    let zeros = vec![0; 1_000_000];
    for _ in 0..1001 {
        encoder.write_all(&zeros).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1_100_000);
    let twice = scene.write("twice.fits.gz", gzip(&bomb));
    let bomb = scene.write("bomb.fits.gz", bomb);
    let refusals = [
        (
            &bomb,
            "expand to more than 100 times as many: if that is right, expand it (gunzip), or, to merge it, raise merge.gzip_ratio",
        ),
        (&twice, "it is compressed twice: expand it once (gunzip)"),
    ];
    for (source, reason) in refusals {
        let (code, text) = product(&scene, &spec(None, &[source])).expect_err("refused");
        assert_eq!(code, Some(65), "{text}");
        assert!(text.contains(reason) && text.contains("source 's0'"), "{text}");
        let limits = ["--gzip-ratio", "10000", "--expanded-bytes", "2000000"];
        let path = scene.spec("spec.json", &spec(None, &[&bomb]));
        let mut arguments = vec![OsStr::new("merge"), path.as_os_str(), "-o".as_ref(), "x.fits".as_ref()];
        arguments.extend(limits.map(OsStr::new));
        let run = scene.dpm(arguments).expect(65);
        assert!(run.err.contains("expands to more than 2000000 bytes: if that is right, expand it"), "{}", run.err);
    }
}

/// A blank frame of 300 MB: what only reads it needs no limit but that of the content.
#[test]
fn any_ratio_is_verified_and_shown() {
    let scene = Scene::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(9));
    encoder.write_all(&fits::empty_primary(&[])).unwrap();
    encoder.write_all(&fits::image_extension("ZEROS", 300_000_000)).unwrap();
    let zeros = vec![0; 1_000_000];
    for _ in 0..300 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.write_all(&vec![0; 2880 - 300_000_000 % 2880]).unwrap();
    scene.write("blank.fits.gz", encoder.finish().unwrap());
    assert!(scene.dpm(["verify", "blank.fits.gz"]).expect(0).out.contains("good, 2 HDUs"));
    assert!(scene.dpm(["info", "blank.fits.gz"]).expect(0).out.contains("ZEROS"));
    assert!(scene.dpm(["header", "blank.fits.gz", "EXTNAME"]).expect(0).out.contains("ZEROS"));
}

/// The limits of the configuration reach the worker process.
#[test]
fn the_daemons_limits_hold_in_its_workers() {
    let scene = Scene::new();
    let source = scene.write("a.fits.gz", gzip(&[fits::empty_primary(&[]), vec![0; 3_000_000]].concat()));
    let config = scene.write("dpm.toml", "[merge]\nexpanded_bytes = 2000000\n[retry]\nattempts = 1\n");
    let spec = scene.spec("spec.json", &spec(None, &[&source]));
    let run = scene.dpm([OsStr::new("run"), spec.as_os_str(), "--config".as_ref(), config.as_os_str()]).expect(1);
    assert!(run.err.contains("expands to more than 2000000 bytes"), "{}", run.err);
}
