//! The peer CFITSIO: the same merge with its functions, in a process of its own (this bench, run with [`ARGUMENT`]).
//!
//! Copies HDU by HDU with `fits_copy_hdu`, writes both sums of each, and puts keywords into the primary header with
//! `fits_update_card`, which like a merge keeps one card of each keyword.

#![expect(unsafe_code, reason = "CFITSIO is a C library; it reads our own samples only")]

use std::ffi::{CString, c_char, c_int};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr;

use fitsio::sys;

use crate::support::Outcome;

/// First argument of the bench when it runs as the peer.
pub(crate) const ARGUMENT: &str = "--as-cfitsio";

/// What the peer puts into its product besides the extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keywords {
    /// Nothing.
    Left,
    /// The keywords of the primary headers.
    Selected,
}

/// The command that merges `inputs` into `output`.
///
/// # Errors
///
/// The bench does not know its own path.
pub(crate) fn command(keywords: Keywords, output: &Path, inputs: &[PathBuf]) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    let word = if keywords == Keywords::Selected { "selected" } else { "left" };
    command.arg(ARGUMENT).arg(word).arg(output).args(inputs);
    Ok(command)
}

/// Runs as the peer with the arguments behind [`ARGUMENT`].
///
/// # Errors
///
/// CFITSIO's status.
pub(crate) fn main(arguments: &[String]) -> Outcome<()> {
    let [keywords, output, inputs @ ..] = arguments else {
        return Err("the peer needs keywords, output, inputs".into());
    };
    let output = CString::new(output.as_str())?;
    let mut status = 0;
    let mut product = ptr::null_mut();
    // SAFETY: names end with NUL, every pointer is to a live local, and each file is closed before its pointer goes.
    unsafe {
        sys::ffdkinit(&raw mut product, output.as_ptr(), &raw mut status);
        sys::ffcrim(product, 8, 0, ptr::null_mut(), &raw mut status);
        for input in inputs {
            merge_file(product, input, keywords == "selected", &mut status)?;
        }
        let mut kind = 0;
        sys::ffmahd(product, 1, &raw mut kind, &raw mut status);
        sys::ffpcks(product, &raw mut status);
        sys::ffclos(product, &raw mut status);
    }
    check(status)
}

/// # Safety
///
/// `product` is an open file.
unsafe fn merge_file(product: *mut sys::fitsfile, input: &str, selected: bool, status: &mut c_int) -> Outcome<()> {
    let name = CString::new(input)?;
    let (mut file, mut count, mut kind) = (ptr::null_mut(), 0, 0);
    // SAFETY: as above.
    unsafe {
        sys::ffdkopn(&raw mut file, name.as_ptr(), 0, status);
        sys::ffthdu(file, &raw mut count, status);
        check(*status)?;
        sys::ffmahd(file, 1, &raw mut kind, status);
        if selected {
            copy_keywords(product, file, status)?;
        }
        for hdu in 2..=count {
            sys::ffmahd(file, hdu, &raw mut kind, status);
            sys::ffcopy(file, product, 0, status);
            sys::ffpcks(product, status);
        }
        sys::ffclos(file, status);
    }
    check(*status)
}

/// # Safety
///
/// Both files are open and at their primary HDU.
unsafe fn copy_keywords(product: *mut sys::fitsfile, file: *mut sys::fitsfile, status: &mut c_int) -> Outcome<()> {
    let (mut count, mut more, mut kind) = (0, 0, 0);
    // SAFETY: CFITSIO writes cards of at most 80 and names of at most 74 characters and a NUL.
    unsafe {
        sys::ffmahd(product, 1, &raw mut kind, status);
        sys::ffghsp(file, &raw mut count, &raw mut more, status);
        for number in 1..=count {
            let mut card: [c_char; 81] = [0; 81];
            let (mut name, mut length): ([c_char; 75], c_int) = ([0; 75], 0);
            sys::ffgrec(file, number, card.as_mut_ptr(), status);
            sys::ffgknm(card.as_mut_ptr(), name.as_mut_ptr(), &raw mut length, status);
            // Structure and sums are the product's own.
            if sys::ffgkcl(card.as_mut_ptr()) >= USER_CLASS {
                sys::ffucrd(product, name.as_ptr(), card.as_ptr(), status);
            }
        }
    }
    check(*status)
}

/// `TYP_REFSYS_KEY` of CFITSIO: what is below describes the HDU itself.
const USER_CLASS: c_int = 120;

fn check(status: c_int) -> Outcome<()> {
    if status == 0 { Ok(()) } else { Err(format!("CFITSIO ends with status {status}").into()) }
}
