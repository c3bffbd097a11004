//! Calls CFITSIO: opens a file, reads every header, has both sums verified, reads pixels and columns at both ends.
//!
//! For the confined worker only (`version` apart): whatever the library does to its process, nobody else is hurt.

#![expect(unsafe_code, reason = "CFITSIO is a C library; it runs in a confined process of its own")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use fitsio::sys;

use crate::cfitsio::{MOST_FAULTS, Report};

/// Bytes that CFITSIO may write for an error text, with NUL (FLEN_ERRMSG is 81, FLEN_STATUS 31).
const TEXT_BYTES: usize = 81;
/// Bytes of a card with NUL (FLEN_CARD).
const CARD_TEXT_BYTES: usize = 81;
/// Values that are read at once.
const VALUES: i64 = 10_000;
/// CFITSIO's codes for columns that are read as numbers: TBYTE, TSBYTE, TSHORT, TUSHORT, TLONG, TFLOAT, TLONGLONG, TDOUBLE.
const NUMBERS: [c_int; 8] = [11, 12, 21, 20, 41, 42, 81, 82];

/// The version that the library tells, such as `4.06`.
pub(crate) fn version() -> String {
    let mut version = 0.0;
    // SAFETY: the pointer is to a live local.
    unsafe { sys::ffvers(&raw mut version) };
    format!("{version:.3}")
}

/// An open file.
struct Open {
    file: *mut sys::fitsfile,
    faults: Vec<String>,
    /// Number of the HDU for messages, 0-based as everywhere in dpm.
    hdu: c_int,
}

/// Reads `path` as a file name, never as CFITSIO's extended syntax.
pub(crate) fn examine(path: &Path) -> Result<Report, String> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
    let mut open = Open { file: ptr::null_mut(), faults: Vec::new(), hdu: 0 };
    let mut status = 0;
    // SAFETY: the name ends with NUL, the pointers are to live locals, 0 is READONLY.
    unsafe { sys::ffdkopn(&raw mut open.file, name.as_ptr(), 0, &raw mut status) };
    if !open.is_well(status, "it cannot be opened") {
        return Ok(Report { hdus: 0, faults: open.faults });
    }
    let (mut count, mut status) = (0, 0);
    // SAFETY: the file is open, the pointers are to live locals.
    unsafe { sys::ffthdu(open.file, &raw mut count, &raw mut status) };
    open.is_well(status, "its HDUs cannot be counted");
    for hdu in 0..count {
        open.hdu = hdu;
        open.examine_hdu();
    }
    status = 0;
    // SAFETY: the file is open and is not used behind this.
    unsafe { sys::ffclos(open.file, &raw mut status) };
    open.is_well(status, "it cannot be closed");
    Ok(Report { hdus: u64::try_from(count).unwrap_or(0), faults: open.faults })
}

impl Open {
    /// Notes an error status with the library's own texts; true where there is none.
    fn is_well(&mut self, status: c_int, what: &str) -> bool {
        if status == 0 {
            return true;
        }
        let mut text = [0 as c_char; TEXT_BYTES];
        // SAFETY: CFITSIO writes at most 31 bytes with NUL here.
        unsafe { sys::ffgerr(status, text.as_mut_ptr()) };
        let mut message = format!("HDU {}: {what}: {} ({status})", self.hdu, read(&text));
        let mut texts = 0;
        // SAFETY: CFITSIO writes at most 81 bytes with NUL here. Its stack has at most 25 messages.
        while unsafe { sys::ffgmsg(text.as_mut_ptr()) } != 0 && texts < 25 {
            message.push_str("; ");
            message.push_str(&read(&text));
            texts += 1;
        }
        self.note(message);
        false
    }

    fn note(&mut self, message: String) {
        if self.faults.len() < MOST_FAULTS {
            self.faults.push(message);
        }
    }

    fn examine_hdu(&mut self) {
        let (mut kind, mut status) = (0, 0);
        // SAFETY: the file is open, the pointers are to live locals.
        unsafe { sys::ffmahd(self.file, self.hdu + 1, &raw mut kind, &raw mut status) };
        if !self.is_well(status, "it cannot be reached") {
            return;
        }
        self.examine_header();
        let (mut data, mut whole, mut status) = (0, 0, 0);
        // SAFETY: as above.
        unsafe { sys::ffvcks(self.file, &raw mut data, &raw mut whole, &raw mut status) };
        self.is_well(status, "its sums cannot be verified");
        for (verdict, name) in [(data, "DATASUM"), (whole, "CHECKSUM")] {
            if verdict < 0 {
                self.note(format!("HDU {}: {name} is wrong", self.hdu));
            }
        }
        // 0 is IMAGE_HDU; a compressed image counts as one.
        if kind == 0 { self.examine_pixels() } else { self.examine_columns() }
    }

    fn examine_header(&mut self) {
        let (mut count, mut room, mut status) = (0, 0, 0);
        // SAFETY: the file is open, the pointers are to live locals.
        unsafe { sys::ffghsp(self.file, &raw mut count, &raw mut room, &raw mut status) };
        let mut text = [0 as c_char; CARD_TEXT_BYTES];
        for number in 1..=count {
            // SAFETY: as above; a card has 80 bytes and NUL.
            unsafe { sys::ffgrec(self.file, number, text.as_mut_ptr(), &raw mut status) };
            if status != 0 {
                break;
            }
        }
        self.is_well(status, "its header cannot be read");
    }

    fn examine_pixels(&mut self) {
        const AXES: usize = 999;
        let (mut count, mut status) = (0, 0);
        let mut axes = vec![0; AXES];
        // SAFETY: the file is open, the pointers are to live locals, at most AXES lengths are written.
        unsafe {
            sys::ffgidm(self.file, &raw mut count, &raw mut status);
            sys::ffgiszll(self.file, AXES as c_int, axes.as_mut_ptr(), &raw mut status);
        }
        if !self.is_well(status, "its size cannot be told") || count == 0 {
            return;
        }
        let used = axes.iter().take(usize::try_from(count).unwrap_or(0));
        let total = used.fold(1_i64, |product, length| product.saturating_mul(*length));
        let read = total.min(VALUES);
        for first in [1, total - read + 1] {
            if read < 1 {
                return;
            }
            let mut values = vec![0.0; VALUES as usize];
            let (mut any_null, mut status) = (0, 0);
            // SAFETY: as above; at most VALUES numbers are written.
            unsafe {
                let room = values.as_mut_ptr();
                sys::ffgpvd(self.file, 1, first, read, 0.0, room, &raw mut any_null, &raw mut status);
            }
            if !self.is_well(status, "its pixels cannot be read") {
                return;
            }
        }
    }

    fn examine_columns(&mut self) {
        let (mut columns, mut rows, mut status) = (0, 0, 0);
        // SAFETY: the file is open, the pointers are to live locals.
        unsafe {
            sys::ffgncl(self.file, &raw mut columns, &raw mut status);
            sys::ffgnrwll(self.file, &raw mut rows, &raw mut status);
        }
        if !self.is_well(status, "its columns cannot be counted") || rows < 1 {
            return;
        }
        for column in 1..=columns {
            let (mut code, mut repeat, mut width, mut status) = (0, 0, 0, 0);
            // SAFETY: as above.
            unsafe {
                let (code, repeat, width) = (&raw mut code, &raw mut repeat, &raw mut width);
                sys::ffgtclll(self.file, column, code, repeat, width, &raw mut status);
            }
            if !self.is_well(status, &format!("column {column} cannot be understood")) || !NUMBERS.contains(&code) {
                continue;
            }
            let count = repeat.min(VALUES);
            for row in [1, rows] {
                if count > 0 && !self.examine_entry(column, row, count) {
                    break;
                }
            }
        }
    }

    fn examine_entry(&mut self, column: c_int, row: i64, count: i64) -> bool {
        let mut values = vec![0.0; VALUES as usize];
        let (mut any_null, mut status) = (0, 0);
        // SAFETY: the file is open, the pointers are to live locals; at most VALUES numbers are written.
        unsafe {
            let room = values.as_mut_ptr();
            sys::ffgcvd(self.file, column, row, 1, count, 0.0, room, &raw mut any_null, &raw mut status);
        }
        self.is_well(status, &format!("column {column}, row {row} cannot be read"))
    }
}

/// A text that the library wrote, without what is not printable.
fn read(text: &[c_char]) -> String {
    let bytes: Vec<u8> = text.iter().map(|byte| byte.cast_unsigned()).collect();
    let text = CStr::from_bytes_until_nul(&bytes).map(CStr::to_string_lossy).unwrap_or_default();
    text.chars().filter(|character| matches!(character, ' '..='~')).collect()
}
