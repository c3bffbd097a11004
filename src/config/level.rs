//! Which log records are wanted: the text of `log.level`, checked.
//!
//! Starts no logging.

use std::str::FromStr;

use thiserror::Error;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{Directive, LevelFilter};

use crate::specification::fault::{nearest, quoted};

/// Bytes of a level: some dozens of modules by name.
pub(crate) const LEVEL_BYTES_MAX: usize = 1000;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Why a text is no level.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum LevelFault {
    /// There is nothing in it.
    #[error("the level is empty: write one of off, error, warn, info, debug")]
    Empty,
    /// Longer than any list of modules.
    #[error("the level is longer than {LEVEL_BYTES_MAX} bytes")]
    TooLong,
    /// A word that is no level.
    #[error("{} is not a level; {}", quoted(word), hint(word))]
    Unknown {
        /// The word.
        word: String,
    },
    /// A directive that cannot be read.
    #[error("{} is not of the form TARGET=LEVEL: {reason}", quoted(directive))]
    Directive {
        /// The directive.
        directive: String,
        /// Why.
        reason: String,
    },
}

fn hint(word: &str) -> String {
    match nearest(word, LEVELS) {
        Some(level) => format!("did you mean `{level}`?"),
        None => "off, error, warn, info and debug are; for one module write MODULE=LEVEL".to_owned(),
    }
}

/// The filter for a level, or for a list of `TARGET=LEVEL` as [`EnvFilter`] takes it.
///
/// Stricter than [`EnvFilter`]: there a misspelt level is a module of that name, of which everything is logged, and
/// nothing of the others. Builds of release have no `trace`: it gives the same as `debug`.
///
/// # Errors
///
/// [`LevelFault`] for the first word that is wrong.
pub(crate) fn filter(text: &str) -> Result<EnvFilter, LevelFault> {
    if text.trim().is_empty() {
        return Err(LevelFault::Empty);
    }
    if text.len() > LEVEL_BYTES_MAX {
        return Err(LevelFault::TooLong);
    }
    // Not `EnvFilter::try_new`: it prints to standard error, and panics there, when `trace` is not compiled in.
    let off = EnvFilter::builder().with_default_directive(LevelFilter::OFF.into()).parse_lossy("");
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(directive)
        .try_fold(off, |filter, directive| Ok(filter.add_directive(directive?)))
}

fn directive(word: &str) -> Result<Directive, LevelFault> {
    let is_bare = !word.contains(['=', '[', '{']);
    if is_bare && !LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word)) {
        return Err(LevelFault::Unknown { word: word.to_owned() });
    }
    Directive::from_str(word)
        .map_err(|error| LevelFault::Directive { directive: word.to_owned(), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use crate::config::level::filter;

    #[test]
    fn levels() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let found = filter(text).map(|filter| filter.to_string()).map_err(|fault| fault.to_string());
            assert_eq!(found.as_deref().map_err(String::as_str), expected, "{text}");
        };
        check("info", Ok("info"));
        check(" WARN ", Ok("warn"));
        check("off", Ok("off"));
        check("trace", Ok("trace"));
        check("warn,dpm::engine=debug", Ok("dpm::engine=debug,warn"));
        check("dpm=debug", Ok("dpm=debug,off"));
        check("inof", Err("`inof` is not a level; did you mean `info`?"));
        check("warning", Err("`warning` is not a level; did you mean `warn`?"));
        check(
            "dpm",
            Err("`dpm` is not a level; off, error, warn, info and debug are; for one module write MODULE=LEVEL"),
        );
        check("", Err("the level is empty: write one of off, error, warn, info, debug"));
        assert!(filter(&"x".repeat(2000)).is_err());
        let fault = filter("dpm=debgu").unwrap_err().to_string();
        assert!(fault.starts_with("`dpm=debgu` is not of the form TARGET=LEVEL: "), "{fault}");
    }
}
