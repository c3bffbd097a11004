//! CFITSIO, the library behind most readers, in a child process: what it says of files that it did not write.
//!
//! The child is the test program itself, asked to run its test `cfitsio_worker`, which calls [`work`]. So a file that
//! makes CFITSIO die fails one test with a message, and nothing else.

use std::ffi::{CStr, CString, OsString, c_char, c_int};
use std::process::{Command, Stdio};
use std::ptr;

use fitsio::sys;
use serde::{Deserialize, Serialize};

use crate::common::LIMIT;
use crate::common::process::wait_bounded;

/// Name of the variable that tells the child its list of files.
const FILES: &str = "CFITSIO_WORKER_FILES";
/// Begins a line of the child's answer.
const MARK: &str = "cfitsio: ";

/// What CFITSIO says of one file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// Why it could not be read to its end.
    pub(crate) fault: Option<String>,
    pub(crate) hdus: Vec<HduReading>,
}

/// What CFITSIO says of one HDU; sums are 1 right, 0 missing, -1 wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HduReading {
    pub(crate) data_sum: c_int,
    pub(crate) hdu_sum: c_int,
    /// Name and value of each keyword with a value: strings joined over their CONTINUE cards, logicals as 0 or 1,
    /// reals (one or a complex pair) as the number of their bits.
    pub(crate) keywords: Vec<(String, String)>,
}

/// Has CFITSIO read files, in a child process.
#[track_caller]
pub(crate) fn read(files: &[OsString]) -> Vec<Reading> {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("files");
    let names: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
    std::fs::write(&list, serde_json::to_string(&names).unwrap()).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "cfitsio_worker", "--nocapture", "--test-threads=1"])
        .env(FILES, &list)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (code, out, err) = wait_bounded(child, LIMIT * 3);
    assert_eq!(code, Some(0), "the child in which CFITSIO runs: {out}{err}");
    // The test harness may have written its own text in front of the mark.
    let answers = out.lines().filter_map(|line| line.split_once(MARK));
    let readings: Vec<Reading> = answers.map(|(_, answer)| serde_json::from_str(answer).unwrap()).collect();
    assert_eq!(readings.len(), files.len(), "an answer for each file: {out}{err}");
    readings
}

/// The child's part: reads the files that its environment names; does nothing where it names none.
#[expect(clippy::print_stdout, reason = "it is how the child answers")]
pub(crate) fn work() {
    let Some(list) = std::env::var_os(FILES) else { return };
    let files: Vec<String> = serde_json::from_slice(&std::fs::read(list).unwrap()).unwrap();
    for file in files {
        println!("{MARK}{}", serde_json::to_string(&read_file(&file)).unwrap());
    }
}

#[expect(unsafe_code, reason = "CFITSIO is a C library; this runs in a child process")]
fn read_file(path: &str) -> Reading {
    let name = CString::new(path).unwrap();
    let (mut file, mut status, mut count) = (ptr::null_mut(), 0, 0);
    let mut reading = Reading { fault: None, hdus: Vec::new() };
    // SAFETY: the name ends with NUL, every pointer is to a live local, and the file is closed before it goes.
    unsafe {
        sys::ffdkopn(&raw mut file, name.as_ptr(), 0, &raw mut status);
        if status != 0 {
            reading.fault = Some(format!("it cannot be opened: {status}"));
            return reading;
        }
        sys::ffthdu(file, &raw mut count, &raw mut status);
        for number in 1..=count {
            let (mut kind, mut data_sum, mut hdu_sum) = (0, 0, 0);
            sys::ffmahd(file, number, &raw mut kind, &raw mut status);
            sys::ffvcks(file, &raw mut data_sum, &raw mut hdu_sum, &raw mut status);
            if status != 0 {
                reading.fault = Some(format!("HDU {number}: status {status}"));
                break;
            }
            reading.hdus.push(HduReading { data_sum, hdu_sum, keywords: read_keywords(file) });
        }
        status = 0;
        sys::ffclos(file, &raw mut status);
    }
    reading
}

/// The keywords of the present HDU.
#[expect(unsafe_code, reason = "CFITSIO is a C library; this runs in a child process")]
fn read_keywords(file: *mut sys::fitsfile) -> Vec<(String, String)> {
    let (mut status, mut count, mut more) = (0, 0, 0);
    let mut found = Vec::new();
    // SAFETY: CFITSIO writes at most 81 bytes into each buffer.
    unsafe {
        sys::ffghsp(file, &raw mut count, &raw mut more, &raw mut status);
        for number in 1..=count {
            let mut buffers = [[0 as c_char; 81]; 3];
            let [name, value, comment] = &mut buffers;
            sys::ffgkyn(file, number, name.as_mut_ptr(), value.as_mut_ptr(), comment.as_mut_ptr(), &raw mut status);
            let (mut kind, mut unknown) = (0 as c_char, 0);
            sys::ffdtyp(value.as_ptr(), &raw mut kind, &raw mut unknown);
            let name = CStr::from_ptr(name.as_ptr());
            let text = name.to_string_lossy().into_owned();
            if status != 0 {
                found.push((text, format!("status {status}")));
                status = 0;
            } else if unknown == 0 {
                found.push((
                    text,
                    read_value(file, name, kind as u8).unwrap_or_else(|status| format!("status {status}")),
                ));
            }
        }
    }
    found
}

/// The value of a keyword, whose kind CFITSIO names by a letter.
#[expect(unsafe_code, reason = "CFITSIO is a C library; this runs in a child process")]
fn read_value(file: *mut sys::fitsfile, name: &CStr, kind: u8) -> Result<String, c_int> {
    let (mut status, comment) = (0, ptr::null_mut());
    // SAFETY: every pointer is to a live local; a long string is CFITSIO's own and is freed by it.
    let value = unsafe {
        match kind {
            b'C' => {
                let (mut long, mut freed) = (ptr::null_mut(), 0);
                sys::ffgkls(file, name.as_ptr(), &raw mut long, comment, &raw mut status);
                let text =
                    if long.is_null() { String::new() } else { CStr::from_ptr(long).to_string_lossy().into_owned() };
                sys::fffree(long.cast(), &raw mut freed);
                text
            }
            b'L' => {
                let mut logical = 0;
                sys::ffgkyl(file, name.as_ptr(), &raw mut logical, comment, &raw mut status);
                logical.to_string()
            }
            b'I' => {
                let (mut signed, mut unsigned) = (0, 0);
                sys::ffgkyjj(file, name.as_ptr(), &raw mut signed, comment, &raw mut status);
                if status == 0 {
                    signed.to_string()
                } else {
                    status = 0;
                    sys::ffgkyujj(file, name.as_ptr(), &raw mut unsigned, comment, &raw mut status);
                    unsigned.to_string()
                }
            }
            b'X' => {
                let mut pair = [0.0_f64; 2];
                sys::ffgkym(file, name.as_ptr(), pair.as_mut_ptr(), comment, &raw mut status);
                format!("{},{}", pair[0].to_bits(), pair[1].to_bits())
            }
            _ => {
                let mut real = 0.0_f64;
                sys::ffgkyd(file, name.as_ptr(), &raw mut real, comment, &raw mut status);
                real.to_bits().to_string()
            }
        }
    };
    if status == 0 { Ok(value) } else { Err(status) }
}
