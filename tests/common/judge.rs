//! The independent judges: astropy, fitsverify and a checksum of their own (tests/judges/judge.py).

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

use crate::common::process::wait_bounded;
use crate::common::{LIMIT, Run, root};

/// Has all tools of the tests installed: runs tests/setup once in this process; it locks, so that several test programs may do so at once.
///
/// Never skips: without the judges the test fails, and the message says what to install.
pub(crate) fn set_up() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let done = Command::new(root().join("tests/setup")).stdin(Stdio::null()).output().expect("tests/setup runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            done.status.success(),
            "the judges are not there; run tests/setup, which says:\n{}{}",
            text(&done.stdout),
            text(&done.stderr)
        );
    });
}

/// Runs a script of tests/judges with the judges' python.
#[track_caller]
pub(crate) fn python(script: &str, arguments: &[OsString]) -> Run {
    set_up();
    let child = Command::new(root().join(".venv/bin/python"))
        .arg(root().join("tests/judges").join(script))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (code, out, err) = wait_bounded(child, LIMIT * 3);
    Run { code, out, err }
}

#[track_caller]
fn judge(arguments: &[OsString]) -> String {
    let run = python("judge.py", arguments);
    assert_eq!(run.code, Some(0), "the judge finds fault: {}{}", run.out, run.err);
    run.out
}

/// Has products judged; every one must be sound. Gives what the judge saw in each.
#[track_caller]
pub(crate) fn sound(files: &[&Path]) -> Vec<Value> {
    let mut arguments = vec![OsString::from("product")];
    arguments.extend(files.iter().map(|file| file.as_os_str().to_owned()));
    judge(&arguments).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The cards of a header as astropy reads them: keyword, value, comment.
#[track_caller]
pub(crate) fn cards(file: &Path, hdu: &str) -> Vec<(String, Value, String)> {
    let arguments = [OsString::from("header"), file.as_os_str().to_owned(), "--hdu".into(), hdu.into()];
    let cards: Vec<(String, Value, Option<String>)> = serde_json::from_str(&judge(&arguments)).unwrap();
    cards.into_iter().map(|(keyword, value, comment)| (keyword, value, comment.unwrap_or_default())).collect()
}

/// Has two data units compared, bit for bit.
#[track_caller]
pub(crate) fn same_data(product: &Path, hdu: &str, source: &Path, source_hdu: &str) {
    let file = |path: &Path| path.as_os_str().to_owned();
    judge(&["same-data".into(), file(product), hdu.into(), file(source), source_hdu.into()]);
}
