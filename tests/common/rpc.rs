//! A client of the command socket that shares no code with dpm's own.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::LIMIT;

/// One connection.
pub(crate) struct Rpc {
    reader: BufReader<UnixStream>,
    next_id: u64,
}

impl Rpc {
    pub(crate) fn connect(socket: &Path) -> std::io::Result<Rpc> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        Ok(Rpc { reader: BufReader::new(stream), next_id: 1 })
    }

    /// Sends raw bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.reader.get_mut().write_all(bytes)
    }

    /// Ends the sending half.
    pub(crate) fn half_close(&mut self) {
        self.reader.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Reads one message; none at the end of the stream.
    #[track_caller]
    pub(crate) fn receive(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no answer: {error}"),
        }
    }

    /// Sends a line and reads its answer.
    #[track_caller]
    pub(crate) fn raw(&mut self, line: &[u8]) -> Value {
        self.send(line).unwrap();
        self.send(b"\n").unwrap();
        self.receive().expect("an answer")
    }

    /// Calls a method; the error object where it is refused. Notifications that come before the answer are left out.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        let id = self.next_id;
        self.next_id += 1;
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": parameters});
        self.send(format!("{request}\n").as_bytes()).unwrap();
        loop {
            let answer = self.receive().expect("an answer");
            if answer.get("method").is_some() {
                continue;
            }
            assert_eq!((&answer["jsonrpc"], &answer["id"]), (&json!("2.0"), &json!(id)), "{answer}");
            return match answer.get("error") {
                Some(error) => Err(error.clone()),
                None => Ok(answer["result"].clone()),
            };
        }
    }
}
