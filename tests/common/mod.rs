//! What the end-to-end tests share: a folder for each test, the real binary, a daemon, independent judges.

#![allow(dead_code, reason = "each test binary uses a part of this")]

pub(crate) mod daemon;
pub(crate) mod fits;
pub(crate) mod judge;
pub(crate) mod process;
pub(crate) mod rpc;
pub(crate) mod samples;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::process::wait_bounded;

/// The time that stands in every product of these tests.
pub(crate) const EPOCH: &str = "1900000000";
/// Nothing that is waited for takes longer, unless it hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// The folder of the crate.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A sample FITS file.
pub(crate) fn sample(name: &str) -> PathBuf {
    root().join("testdata/fits").join(name)
}

/// A sample specification.
pub(crate) fn sample_spec(name: &str) -> PathBuf {
    root().join("testdata/specs").join(name)
}

/// How a run of `dpm` ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// Fails the test unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "exit code\nstdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    /// Standard output as one JSON document a line.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
    }
}

/// The folder of one test, removed at its end.
pub(crate) struct Scene {
    folder: TempDir,
}

impl Scene {
    /// Makes the folder, below /tmp: a socket's path has at most 107 bytes.
    pub(crate) fn new() -> Scene {
        let folder = tempfile::Builder::new().prefix("dpm-").tempdir_in("/tmp").unwrap();
        fs::write(folder.path().join("empty.toml"), "").unwrap();
        Scene { folder }
    }

    /// Keeps the folder after the test, for a person to look at.
    pub(crate) fn keep(&mut self) {
        self.folder.disable_cleanup(true);
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    /// Writes a file and gives its path.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Writes a specification and gives its path.
    pub(crate) fn spec(&self, name: &str, value: &Value) -> PathBuf {
        self.write(name, serde_json::to_string_pretty(value).unwrap())
    }

    /// Copies a sample FITS file here.
    pub(crate) fn copy_sample(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::copy(sample(name), &path).unwrap();
        path
    }

    /// `dpm` in this folder, with a fixed time and nothing of the caller's configuration.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dpm"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("DPM_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("DPM_CONFIG", self.path("empty.toml"))
            .env("SOURCE_DATE_EPOCH", EPOCH)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs `dpm` to its end.
    #[track_caller]
    pub(crate) fn dpm<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Run {
        finish(self.command(arguments), b"")
    }

    /// Merges a specification into `output` of this folder.
    #[track_caller]
    pub(crate) fn merge(&self, spec: &Path, output: &str) -> Run {
        self.dpm([OsStr::new("merge"), spec.as_os_str(), OsStr::new("-o"), self.path(output).as_os_str()])
    }

    /// Merges with `--json` and gives its messages.
    #[track_caller]
    pub(crate) fn merge_json(&self, spec: &Path, output: &str) -> Vec<Value> {
        let output = self.path(output);
        let arguments =
            [OsStr::new("merge"), spec.as_os_str(), OsStr::new("-o"), output.as_os_str(), "--json".as_ref()];
        self.dpm(arguments).expect(0).json_lines()
    }
}

/// Runs a prepared command to its end; it must end within [`LIMIT`].
#[track_caller]
pub(crate) fn finish(mut command: Command, input: &[u8]) -> Run {
    if !input.is_empty() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap();
    if let Some(mut stdin) = child.stdin.take() {
        // dpm may refuse before it has read everything.
        let _ = stdin.write_all(input);
    }
    let (code, out, err) = wait_bounded(child, LIMIT);
    Run { code, out, err }
}

/// Waits until `probe` gives a value; fails the test, naming `what`, after [`LIMIT`].
#[track_caller]
pub(crate) fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every file, folder and link below `folder`, relative and sorted.
pub(crate) fn tree(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            }
            found.push(entry.path().strip_prefix(folder).unwrap().to_string_lossy().into_owned());
        }
    }
    found.sort();
    found
}

/// Names below `folder` that look like files of interrupted work.
pub(crate) fn temporaries(folder: &Path) -> Vec<String> {
    let is_temporary = |name: &String| {
        let name = name.rsplit('/').next().unwrap_or_default();
        name.contains("dpm-part") || name.contains(".part") || name.contains(".tmp-") || name.contains(".dpm-")
    };
    tree(folder).into_iter().filter(is_temporary).collect()
}

/// The alerts among the messages of a merge.
pub(crate) fn alerts_of(messages: &[Value]) -> Vec<(String, String)> {
    let text = |message: &Value, name: &str| message[name].as_str().unwrap_or_default().to_owned();
    let alerts = messages.iter().filter(|message| message["type"] == "alert");
    alerts.map(|message| (text(message, "id"), text(message, "severity"))).collect()
}
