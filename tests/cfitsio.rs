//! CFITSIO, the library behind most readers, opens every HDU of our products and finds both sums right.

#![expect(unsafe_code, reason = "CFITSIO is a C library; it reads our own products only")]
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test ends where something unexpected happens")]
#![allow(clippy::expect_used, reason = "only some of the shared helpers are used")]

mod common;

use std::ffi::{CString, c_int};
use std::path::Path;
use std::ptr;

use fitsio::sys;

use crate::common::{Scene, fits, sample_spec};

/// What CFITSIO says of one HDU: 1 right, 0 missing, -1 wrong.
#[derive(Debug, PartialEq, Eq)]
struct Sums {
    data: c_int,
    hdu: c_int,
}

/// Opens each HDU of `path` and has CFITSIO verify its sums.
fn judge(path: &Path) -> Vec<Sums> {
    let name = CString::new(path.to_str().unwrap()).unwrap();
    let (mut file, mut status, mut count, mut sums) = (ptr::null_mut(), 0, 0, Vec::new());
    // SAFETY: the name ends with NUL, every pointer is to a live local, and the file is closed before it goes.
    unsafe {
        sys::ffdkopn(&raw mut file, name.as_ptr(), 0, &raw mut status);
        assert_eq!(status, 0, "CFITSIO opens {}", path.display());
        sys::ffthdu(file, &raw mut count, &raw mut status);
        for hdu in 1..=count {
            let (mut kind, mut data, mut whole) = (0, 0, 0);
            sys::ffmahd(file, hdu, &raw mut kind, &raw mut status);
            sys::ffvcks(file, &raw mut data, &raw mut whole, &raw mut status);
            assert_eq!(status, 0, "HDU {hdu} of {}", path.display());
            sums.push(Sums { data, hdu: whole });
        }
        sys::ffclos(file, &raw mut status);
    }
    assert_eq!(status, 0, "CFITSIO closes {}", path.display());
    sums
}

#[test]
fn cfitsio_finds_both_sums_of_every_hdu_right() {
    let scene = Scene::new();
    for name in ["new_file", "in_place", "keyword_rules", "elt_style", "many_sources"] {
        let output = format!("{name}.fits");
        scene.merge(&sample_spec(&format!("{name}.json")), &output).expect(0);
        let sums = judge(&scene.path(&output));
        assert_eq!(sums.len(), fits::read(&scene.path(&output)).len(), "{name}");
        assert!(sums.iter().all(|sums| *sums == Sums { data: 1, hdu: 1 }), "{name}: {sums:?}");
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
    assert_eq!(sums[3], Sums { data: -1, hdu: -1 });
    assert_eq!(sums[2], Sums { data: 1, hdu: 1 });
}
