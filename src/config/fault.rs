//! What is wrong with a configuration: each fault with its place, the key and what to do.
//!
//! Finds no faults itself.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::specification::fault::FAULTS_MAX;

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is dpm's own.
    Default,
    /// A file.
    File {
        /// Its path as it was named.
        path: PathBuf,
        /// 1-based; none where the whole file is meant.
        line: Option<usize>,
    },
    /// The environment.
    Environment {
        /// Name of the variable.
        name: String,
    },
    /// The command line.
    Flag {
        /// Name of the flag, with its dashes.
        name: &'static str,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => {
                write!(f, "{}", path.to_string_lossy().escape_debug())?;
                line.map_or(Ok(()), |line| write!(f, ":{line}"))
            }
            Self::Environment { name } => write!(f, "environment variable {}", name.escape_debug()),
            Self::Flag { name } => f.write_str(name),
        }
    }
}

/// One fault of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where the faulty value was set.
    pub origin: Origin,
    /// Path of the key, e.g. `limits.merges` or `release.receivers[0].path`; none where no key is meant.
    pub key: Option<String>,
    /// What is wrong: a fragment without full stop, control characters escaped.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if let Some(key) = &self.key {
            write!(f, "{}: ", key.escape_debug())?;
        }
        f.write_str(&self.message)?;
        self.hint.as_ref().map_or(Ok(()), |hint| write!(f, "; {hint}"))
    }
}

/// Every fault of one configuration: those of the file in its order, then those of the environment, then flags.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct ConfigurationError {
    /// At least one.
    pub faults: Vec<Fault>,
}

impl fmt::Display for ConfigurationError {
    /// One line a fault, no newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// The faults so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    found: Vec<Fault>,
    unlisted: usize,
}

impl Faults {
    /// Adds one; past [`FAULTS_MAX`] they are only counted.
    pub(crate) fn push(
        &mut self,
        origin: Origin,
        key: Option<String>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        if self.found.len() < FAULTS_MAX {
            self.found.push(Fault { origin, key, message: message.into(), hint });
        } else {
            self.unlisted += 1;
        }
    }

    /// True when nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The error that lists all of them, if there are any.
    pub(crate) fn into_result(mut self) -> Result<(), ConfigurationError> {
        if self.found.is_empty() {
            return Ok(());
        }
        // Stable: the environment comes in order of names, and faults without a line first.
        self.found.sort_by_key(|fault| match &fault.origin {
            Origin::File { line, .. } => (0, line.unwrap_or(0)),
            Origin::Default | Origin::Environment { .. } => (1, 0),
            Origin::Flag { .. } => (2, 0),
        });
        if self.unlisted > 0
            && let Some(last) = self.found.last()
        {
            let (origin, message) = (last.origin.clone(), format!("{} more faults are not listed", self.unlisted));
            self.found.push(Fault { origin, key: None, message, hint: Some("correct those above first".to_owned()) });
        }
        Err(ConfigurationError { faults: self.found })
    }
}
