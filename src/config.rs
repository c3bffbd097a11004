//! The configuration: a TOML file, then environment variables, then flags become one typed, checked
//! [`Configuration`], or a list of everything that is wrong.
//!
//! The keys, their defaults and their reasons stand in one table, [`sections`]; the schema, the checks and the printed
//! settings follow from it. Opens nothing but the configuration file: whether a folder exists, or a socket can be
//! bound, is asked by those who use it.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::config::fault::{Faults, Origin};
use crate::config::layer::{Layer, Placed};
use crate::dictionary::DictionarySettings;
use crate::engine::schedule::Limits;
use crate::engine::settings::{EngineSettings, RetryPolicy};

pub mod fault;
mod file;
mod layer;
pub(crate) mod level;
mod printed;
mod receivers;
pub mod sections;
mod setting;

pub use crate::config::fault::{ConfigurationError, Fault};
pub use crate::config::sections::{
    CollectSettings, Configuration, DictionariesSettings, InboxSettings, LimitSettings, LogFormat, LogSettings,
    MergeSettings, ReleaseSettings, RetrySettings, ServerSettings, WorkspaceSettings,
};

/// The JSON Schema (2020-12) of a configuration file, for editors and for `dpm schema configuration`.
pub const SCHEMA: &str = include_str!("../schemas/configuration.schema.json");

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "/etc/dpm/dpm.toml";

/// Bytes of a configuration file: a thousand times what all settings need, and too few to exhaust memory.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The socket's name in the workspace.
const SOCKET_NAME: &str = "dpm.sock";

/// What the command line sets; it wins over the environment and the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--workspace`
    pub workspace: Option<PathBuf>,
    /// `--socket`
    pub socket: Option<PathBuf>,
    /// `--log-level`
    pub log_level: Option<String>,
    /// `--log-format`
    pub log_format: Option<LogFormat>,
}

/// The variables of this process that may set something: those whose names begin with `DPM_`.
///
/// Unlike [`std::env::vars`] it does not panic on text that is not UTF-8; such text is refused where it is used.
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .filter(|(name, _)| name.starts_with(layer::PREFIX))
}

impl Configuration {
    /// Reads the file `flag`, else the one named by `DPM_CONFIG`, else [`DEFAULT_FILE`] if it exists; then sets what
    /// `environment` and `overrides` set.
    ///
    /// `DPM_SECTION__KEY` sets one key; `DPM_WORKSPACE` and `DPM_SOCKET` stand for the flags of that name and win over
    /// `DPM_WORKSPACE__PATH` and `DPM_SERVER__SOCKET`. A variable that is empty counts as not set. A relative path is
    /// relative to the current folder, wherever it was written.
    ///
    /// # Errors
    ///
    /// [`ConfigurationError`] with every fault of every layer, also of values that another layer replaces.
    pub fn load(
        flag: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        overrides: Overrides,
    ) -> Result<Configuration, ConfigurationError> {
        load_with(flag, Path::new(DEFAULT_FILE), environment, overrides)
    }

    /// The file that was read, if any.
    pub fn file(&self) -> Option<&Path> {
        self.provenance.file.as_deref()
    }

    /// Where the command socket is: as configured, else `dpm.sock` in the workspace.
    pub fn socket_path(&self) -> PathBuf {
        self.server.socket.clone().unwrap_or_else(|| self.workspace.path.join(SOCKET_NAME))
    }

    /// The keys (`section.key`) whose values differ, in the order of the table: a reload can say which of them take
    /// effect only after a restart.
    pub fn changed_keys(&self, newer: &Configuration) -> Vec<String> {
        let is_changed = |key: &&setting::Key| self.value(key) != newer.value(key);
        sections::KEYS.iter().filter(is_changed).map(setting::Key::path).collect()
    }

    /// What the engine is told: `local_hosts` are the names of this machine, `worker_program` is run as
    /// `PROGRAM merge ...`.
    pub fn engine_settings(&self, local_hosts: Vec<String>, worker_program: PathBuf) -> EngineSettings {
        let pause = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        EngineSettings {
            limits: self.scheduler_limits(),
            collect: self.collect.local,
            default_receivers: self.release.receivers.clone(),
            local_hosts,
            worker_program,
            worker_niceness: self.merge.niceness,
            merge: self.merge.options(),
            dictionaries: self.dictionary_settings(),
            retry: RetryPolicy {
                attempts: self.retry.attempts,
                first_pause: pause(self.retry.first_pause_seconds),
                longest_pause: pause(self.retry.longest_pause_seconds),
            },
            queue_length: self.limits.queue_length,
        }
    }

    /// Where dictionaries are, and how much they count.
    pub fn dictionary_settings(&self) -> DictionarySettings {
        DictionarySettings { path: self.dictionaries.path.clone(), strict: self.dictionaries.strict }
    }

    /// How many steps of each kind may run at once.
    pub fn scheduler_limits(&self) -> Limits {
        let LimitSettings { daqs, transfers, merges, releases, .. } = self.limits;
        Limits { daqs, transfers, merges, releases }
    }

    /// Sets what a layer sets. Its values have been checked, so a refusal here is a fault of the table itself.
    fn apply(&mut self, layer: Layer, faults: &mut Faults) {
        for Placed { key, value, origin } in layer.settings {
            if self.set(key, &value) {
                self.provenance.origins.insert(key.path(), origin);
            } else {
                faults.push(origin, Some(key.path()), "the value is not usable", None);
            }
        }
    }

    /// Faults between keys, which no key has alone.
    fn check(&self, faults: &mut Faults) {
        let (first, longest) = (self.retry.first_pause_seconds, self.retry.longest_pause_seconds);
        if first > longest {
            let keys = ["retry.first_pause_seconds", "retry.longest_pause_seconds"];
            let blamed = keys.into_iter().find(|key| self.provenance.of(key) != &Origin::Default).unwrap_or(keys[0]);
            let message = format!("the first pause ({first} s) is longer than the longest ({longest} s)");
            let hint = format!("raise {} or lower {}", keys[1], keys[0]);
            faults.push(self.provenance.of(blamed).clone(), Some(blamed.to_owned()), message, Some(hint));
        }
    }
}

fn load_with(
    flag: Option<&Path>,
    default_file: &Path,
    environment: impl Iterator<Item = (String, String)>,
    overrides: Overrides,
) -> Result<Configuration, ConfigurationError> {
    let mut faults = Faults::default();
    let mut configuration = Configuration::default();
    let (named, of_environment) = layer::of_environment(environment, &mut faults);
    let named = flag.map(Path::to_path_buf).or(named);
    let path = named.clone().unwrap_or_else(|| default_file.to_path_buf());
    if let Some(text) = read(&path, named.is_some(), &mut faults) {
        configuration.apply(file::parse(&path, &text, &mut faults), &mut faults);
        configuration.provenance.file = Some(path);
    }
    configuration.apply(of_environment, &mut faults);
    apply_overrides(&mut configuration, overrides, &mut faults);
    // Values that are wrong alone would be blamed twice.
    if faults.is_empty() {
        configuration.check(&mut faults);
    }
    faults.into_result().map(|()| configuration)
}

/// The text of the file; none, with a fault, where it cannot be read; none without one where an unnamed file is absent.
fn read(path: &Path, is_named: bool, faults: &mut Faults) -> Option<String> {
    let origin = || Origin::File { path: path.to_path_buf(), line: None };
    let mut bytes = Vec::new();
    let outcome = File::open(path).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match outcome {
        Err(error) if error.kind() == ErrorKind::NotFound && !is_named => return None,
        Err(error) => {
            let hint = "name another file with --config or DPM_CONFIG".to_owned();
            faults.push(origin(), None, format!("cannot be read: {error}"), Some(hint));
            return None;
        }
        Ok(_) if bytes.len() as u64 > FILE_BYTES_MAX => {
            faults.push(origin(), None, format!("is longer than {FILE_BYTES_MAX} bytes: no configuration"), None);
            return None;
        }
        Ok(_) => {}
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            faults.push(origin(), None, format!("is not UTF-8 from byte {offset} on"), None);
            None
        }
    }
}

fn apply_overrides(configuration: &mut Configuration, overrides: Overrides, faults: &mut Faults) {
    let mut layer = Layer::default();
    let path_of = |path: &Path| path.to_str().map(str::to_owned);
    // A path that is not UTF-8 is legal on the command line and cannot go through a text layer.
    let mut raw = Vec::new();
    for (name, section_key, path) in
        [("--workspace", "workspace.path", overrides.workspace), ("--socket", "server.socket", overrides.socket)]
    {
        let Some(path) = path else { continue };
        match path_of(&path) {
            Some(text) => layer.add(section_key, Value::String(text), Origin::Flag { name }, faults),
            None => raw.push((name, section_key, path)),
        }
    }
    if let Some(level) = overrides.log_level {
        layer.add("log.level", Value::String(level), Origin::Flag { name: "--log-level" }, faults);
    }
    if let Some(format) = overrides.log_format {
        let value = Value::String(format.as_str().to_owned());
        layer.add("log.format", value, Origin::Flag { name: "--log-format" }, faults);
    }
    configuration.apply(layer, faults);
    for (name, section_key, path) in raw {
        match section_key {
            "workspace.path" => configuration.workspace.path = path,
            _ => configuration.server.socket = Some(path),
        }
        configuration.provenance.origins.insert(section_key.to_owned(), Origin::Flag { name });
    }
}

#[cfg(test)]
mod tests;
