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
    /// Name, value text (strings unquoted and joined over their CONTINUE cards) of each keyword with a value.
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
    // SAFETY: CFITSIO writes at most 81 bytes into each buffer; a long string is its own and is freed by it.
    unsafe {
        sys::ffghsp(file, &raw mut count, &raw mut more, &raw mut status);
        for number in 1..=count {
            let mut buffers = [[0 as c_char; 81]; 3];
            let [name, value, comment] = &mut buffers;
            sys::ffgkyn(file, number, name.as_mut_ptr(), value.as_mut_ptr(), comment.as_mut_ptr(), &raw mut status);
            let text = |buffer: &[c_char; 81]| CStr::from_ptr(buffer.as_ptr()).to_string_lossy().into_owned();
            let (name, mut value) = (text(name), text(value));
            if status != 0 {
                found.push((name, format!("status {status}")));
                status = 0;
                continue;
            }
            if value.is_empty() {
                continue;
            }
            if value.starts_with('\'') {
                let keyword = CString::new(name.as_str()).unwrap();
                let mut long = ptr::null_mut();
                sys::ffgkls(file, keyword.as_ptr(), &raw mut long, ptr::null_mut(), &raw mut status);
                if status == 0 && !long.is_null() {
                    value = CStr::from_ptr(long).to_string_lossy().into_owned();
                    sys::fffree(long.cast(), &raw mut status);
                }
                status = 0;
            }
            found.push((name, value));
        }
    }
    found
}
