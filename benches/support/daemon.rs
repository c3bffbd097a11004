//! A daemon that is measured, and clients of its socket that share no code with it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::Outcome;

/// No start takes longer, unless it fails.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running `dpm serve`; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    /// Starts a daemon on `workspace` and waits for its first answer to `first`; gives the time that took.
    ///
    /// # Errors
    ///
    /// It does not start, or refuses.
    pub(crate) fn start(
        workspace: &Path,
        settings: &[(&str, &str)],
        first: (&str, Value),
    ) -> Outcome<(Daemon, Duration)> {
        // A socket's path is short; the workspace's may be long.
        let socket = std::env::temp_dir().join(format!("dpm-bench-{}.sock", std::process::id()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_dpm"));
        command.arg("serve").arg("--workspace").arg(workspace).arg("--socket").arg(&socket);
        command.envs(settings.iter().copied()).env("DPM_LOG__LEVEL", "error").stdin(Stdio::null());
        let began = Instant::now();
        let mut daemon = Daemon { child: command.spawn()?, socket };
        loop {
            if let Ok(mut client) = daemon.client() {
                client.call(first.0, &first.1)?;
                return Ok((daemon, began.elapsed()));
            }
            if let Some(status) = daemon.child.try_wait()? {
                return Err(format!("the daemon ended with {status}").into());
            }
            if began.elapsed() > START_LIMIT {
                return Err("the daemon does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A further client.
    ///
    /// # Errors
    ///
    /// Nobody listens.
    pub(crate) fn client(&self) -> Outcome<Client> {
        let stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(START_LIMIT))?;
        Ok(Client { reader: BufReader::with_capacity(1 << 16, stream) })
    }

    /// Peak resident memory (VmHWM, proc_pid_status(5)) in bytes.
    ///
    /// # Errors
    ///
    /// The daemon has ended.
    pub(crate) fn peak_bytes(&self) -> Outcome<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse::<u64>()? * 1024)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It was measured; how it ends is no matter.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// One connection.
pub(crate) struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    /// Sends one request and waits for its answer.
    ///
    /// # Errors
    ///
    /// The daemon refuses or goes away.
    pub(crate) fn call(&mut self, method: &str, parameters: &Value) -> Outcome<()> {
        self.send(line(method, parameters).as_bytes())?;
        self.receive().map(|_| ())
    }

    /// Sends lines.
    ///
    /// # Errors
    ///
    /// The daemon has gone away.
    pub(crate) fn send(&mut self, lines: &[u8]) -> Outcome<()> {
        Ok(self.reader.get_mut().write_all(lines)?)
    }

    /// Reads one answer, which must be a result.
    ///
    /// # Errors
    ///
    /// It is a refusal, or the daemon has gone away.
    pub(crate) fn receive(&mut self) -> Outcome<String> {
        let mut answer = String::new();
        self.reader.read_line(&mut answer)?;
        if answer.contains("\"result\":") { Ok(answer) } else { Err(answer.into()) }
    }
}

/// A request as a line.
pub(crate) fn line(method: &str, parameters: &Value) -> String {
    format!("{}\n", json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}))
}
