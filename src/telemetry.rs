//! The log: from `tracing` to standard error, as text, as JSON lines, or for the journal of systemd.
//!
//! Standard output belongs to results and is never written here. A log that cannot be written stops nothing: what is
//! lost is counted, and said in the log itself as soon as it can be written again. A reader that holds its pipe open
//! without reading does stop the writer, as with any program; nothing is buffered that a crash would lose.

use std::fmt;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

pub use crate::config::LogFormat;

use crate::clock;
use crate::config::{LogSettings, level};

/// How the log is written.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// What is logged: a level, or a list of `TARGET=LEVEL`.
    pub level: String,
    /// Form of a record.
    pub format: LogFormat,
    /// Whether text is coloured: for a terminal, and only where `NO_COLOR` is not set; the caller knows.
    pub ansi: bool,
    /// Whether the journal of systemd reads: each line then says its severity (`<6>`, sd-daemon(3)), and text has
    /// neither times nor colours, which the journal adds.
    pub journald: bool,
}

impl LogOptions {
    /// As the configuration says; the rest depends on where standard error leads.
    pub fn of(settings: &LogSettings, ansi: bool, journald: bool) -> LogOptions {
        LogOptions { level: settings.level.clone(), format: settings.format, ansi, journald }
    }
}

/// Why there is no log, or no other level.
#[derive(Debug, Error)]
#[error("{kind}")]
pub struct TelemetryError {
    /// What went wrong.
    pub kind: TelemetryErrorKind,
}

/// What went wrong.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TelemetryErrorKind {
    /// The level cannot be read; the one before stays.
    #[error("log.level: {reason}")]
    Level {
        /// Why, and what to write.
        reason: String,
    },
    /// A program has one log.
    #[error("logging has been started already in this process")]
    AlreadyStarted,
    /// The log was taken down.
    #[error("the log has ended, so that its level cannot be changed")]
    Ended,
}

impl From<TelemetryErrorKind> for TelemetryError {
    fn from(kind: TelemetryErrorKind) -> TelemetryError {
        TelemetryError { kind }
    }
}

/// Changes the log while it runs. Dropping it changes nothing.
#[derive(Clone)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    output: Arc<Output>,
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogHandle").field("lost_records", &self.lost_records()).finish_non_exhaustive()
    }
}

impl LogHandle {
    /// Logs from now on what `level` says.
    ///
    /// # Errors
    ///
    /// [`TelemetryErrorKind::Level`] where it cannot be read; then nothing changes.
    pub fn set_level(&self, level: &str) -> Result<(), TelemetryError> {
        self.filter.reload(filter(level)?).map_err(|_| TelemetryErrorKind::Ended.into())
    }

    /// Records that could not be written since the start.
    pub fn lost_records(&self) -> u64 {
        self.output.lost_total.load(Ordering::Relaxed)
    }
}

/// Starts the log of this process, on standard error.
///
/// # Errors
///
/// [`TelemetryErrorKind::Level`] where the level cannot be read, [`TelemetryErrorKind::AlreadyStarted`] the second time.
pub fn start(options: &LogOptions) -> Result<LogHandle, TelemetryError> {
    let (subscriber, handle) = build(options, Box::new(io::stderr()))?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryErrorKind::AlreadyStarted)?;
    Ok(handle)
}

type Sink = Box<dyn Write + Send>;

fn build(
    options: &LogOptions,
    sink: Sink,
) -> Result<(impl Subscriber + Send + Sync + use<>, LogHandle), TelemetryError> {
    let (filter, handle) = reload::Layer::new(filter(&options.level)?);
    let form = Form { is_text: options.format == LogFormat::Text, has_severity: options.journald };
    let output = Arc::new(Output { form, state: Mutex::new(State::new(sink)), lost_total: AtomicU64::new(0) });
    let records = records(options, Arc::clone(&output));
    Ok((Registry::default().with(filter).with(records), LogHandle { filter: handle, output }))
}

fn filter(text: &str) -> Result<EnvFilter, TelemetryError> {
    level::filter(text).map_err(|fault| TelemetryErrorKind::Level { reason: fault.to_string() }.into())
}

fn records<S>(options: &LogOptions, output: Arc<Output>) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // The layer's own reports of failure would go to standard error by a macro that panics when that is closed.
    let layer = tracing_subscriber::fmt::layer().with_writer(ToOutput(output)).log_internal_errors(false);
    match (options.format, options.journald) {
        (LogFormat::Json, _) => layer.json().flatten_event(true).with_timer(ClockTime).boxed(),
        (LogFormat::Text, true) => layer.with_ansi(false).without_time().boxed(),
        (LogFormat::Text, false) => layer.with_ansi(options.ansi).with_timer(ClockTime).boxed(),
    }
}

/// RFC 3339 in UTC with microseconds, from the one clock.
struct ClockTime;

impl FormatTime for ClockTime {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{:.6}", clock::now())
    }
}

#[derive(Clone, Copy, Debug)]
struct Form {
    is_text: bool,
    has_severity: bool,
}

/// Where all records go, one at a time.
struct Output {
    form: Form,
    state: Mutex<State>,
    lost_total: AtomicU64,
}

struct State {
    sink: Sink,
    /// Lost since the last record that was written.
    lost: u64,
    /// A record was cut off in the middle of its line.
    is_mid_line: bool,
}

impl State {
    fn new(sink: Sink) -> State {
        State { sink, lost: 0, is_mid_line: false }
    }

    /// Writes all of `bytes`, or says how it ended; then it is known whether a line was begun.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.sink.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    let (written, unwritten) = rest.split_at(count.min(rest.len()));
                    self.is_mid_line = written.last() != Some(&b'\n');
                    rest = unwritten;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.sink.flush()
    }
}

impl Output {
    /// Writes one record, after the report of those lost before it. Never fails: a record that cannot be written is
    /// counted.
    fn record(&self, severity: u8, bytes: &[u8]) {
        // A panic while the lock was held left at worst half a line.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = Vec::with_capacity(bytes.len() + 8);
        if state.is_mid_line {
            text.push(b'\n');
        }
        if state.lost > 0 {
            self.form.lines(&self.form.loss_report(state.lost), LOSS_SEVERITY, &mut text);
        }
        self.form.lines(bytes, severity, &mut text);
        if state.write(&text).is_ok() {
            state.lost = 0;
        } else {
            state.lost += 1;
            self.lost_total.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Form {
    /// Appends a record, ended by a newline.
    ///
    /// Text may come from others (names, locations, messages of programs), so that no line of it may look like a
    /// record of its own: continued lines are marked, and carriage returns made visible. JSON has neither.
    fn lines(self, record: &[u8], severity: u8, text: &mut Vec<u8>) {
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        for (index, line) in record.split(|byte| *byte == b'\n').enumerate() {
            if self.has_severity {
                text.extend_from_slice(&[b'<', b'0' + severity, b'>']);
            }
            if index > 0 && self.is_text {
                text.extend_from_slice(b"  | ");
            }
            for byte in line {
                match byte {
                    b'\r' => text.extend_from_slice(b"\\r"),
                    byte => text.push(*byte),
                }
            }
            text.push(b'\n');
        }
    }

    fn loss_report(self, lost: u64) -> Vec<u8> {
        let message = format!("{lost} log records could not be written and are lost");
        let time = format!("{:.6}", clock::now());
        match (self.is_text, self.has_severity) {
            (true, true) => format!(" WARN {}: {message}", module_path!()).into_bytes(),
            (true, false) => format!("{time}  WARN {}: {message}", module_path!()).into_bytes(),
            (false, _) => {
                let record = serde_json::json!({
                    "timestamp": time, "level": "WARN", "message": message, "target": module_path!(), "lost": lost,
                });
                record.to_string().into_bytes()
            }
        }
    }
}

/// Severities of syslog (RFC 5424 6.2.1), of which the journal shows the same names as ours.
fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => LOSS_SEVERITY,
        Level::INFO => 6,
        _ => 7,
    }
}

const LOSS_SEVERITY: u8 = 4;

/// Gives each record its writer.
struct ToOutput(Arc<Output>);

impl<'a> MakeWriter<'a> for ToOutput {
    type Writer = RecordWriter<'a>;

    fn make_writer(&'a self) -> RecordWriter<'a> {
        RecordWriter { output: &self.0, severity: severity(Level::INFO) }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> RecordWriter<'a> {
        RecordWriter { output: &self.0, severity: severity(*metadata.level()) }
    }
}

/// Takes one record, which the layer hands over as a whole.
struct RecordWriter<'a> {
    output: &'a Output,
    severity: u8,
}

impl Write for RecordWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            self.output.record(self.severity, bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
