//! CFITSIO, the library behind most readers, opens every HDU of our products and finds both sums right.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test ends where something unexpected happens")]
#![allow(clippy::expect_used, reason = "only some of the shared helpers are used")]

#[path = "common/cfitsio.rs"]
mod cfitsio;
mod common;

use std::path::Path;

use crate::common::{Scene, fits, sample_spec};

/// What CFITSIO says of the sums of each HDU: data unit, whole HDU; 1 right, 0 missing, -1 wrong.
fn judge(path: &Path) -> Vec<(i32, i32)> {
    let reading = cfitsio::read(&[path.as_os_str().to_owned()]).remove(0);
    assert_eq!(reading.fault, None, "CFITSIO reads {}", path.display());
    reading.hdus.iter().map(|hdu| (hdu.data_sum, hdu.hdu_sum)).collect()
}

#[test]
fn cfitsio_finds_both_sums_of_every_hdu_right() {
    let scene = Scene::new();
    for name in ["new_file", "in_place", "keyword_rules", "elt_style", "many_sources"] {
        let output = format!("{name}.fits");
        scene.merge(&sample_spec(&format!("{name}.json")), &output).expect(0);
        let sums = judge(&scene.path(&output));
        assert_eq!(sums.len(), fits::read(&scene.path(&output)).len(), "{name}");
        assert!(sums.iter().all(|sums| *sums == (1, 1)), "{name}: {sums:?}");
    }
}

#[test]
fn cfitsio_sees_a_flipped_bit_so_that_its_praise_means_something() {
    let scene = Scene::new();
    scene.merge(&sample_spec("new_file.json"), "product.fits").expect(0);
    let path = scene.path("product.fits");
    let mut bytes = std::fs::read(&path).unwrap();
    let hdus = fits::read(&path);
    bytes[hdus[3].data_offset as usize + 100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let sums = judge(&path);
    assert_eq!((sums[3], sums[2]), ((-1, -1), (1, 1)));
}

/// Runs as a child of the tests above: see [`cfitsio::read`].
#[test]
fn cfitsio_worker() {
    cfitsio::work();
}
