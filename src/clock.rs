//! The one place that asks the operating system for the time.
//!
//! Everything else takes a [`Timestamp`] as an argument, so that a run can be replayed.

use jiff::Timestamp;

/// Environment variable that fixes the time written into products (reproducible-builds.org convention).
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// Returns the present time (UTC).
#[expect(clippy::disallowed_methods, reason = "this is the clock that the rule points to")]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A `SOURCE_DATE_EPOCH` that is not a number of seconds since 1970.
#[derive(Debug, thiserror::Error)]
#[error("SOURCE_DATE_EPOCH is '{text}': give it as whole seconds since 1970-01-01T00:00:00Z, or unset it")]
pub struct ClockError {
    /// The text as found in the environment.
    pub text: String,
}

/// Returns the time to write as `DATE` into a product: `SOURCE_DATE_EPOCH` where it is set, else now.
///
/// # Errors
///
/// [`ClockError`] where the variable is set but is no number of seconds: a silent fall-back to the present
/// time would break the promise of equal bytes.
pub fn product_date() -> Result<Timestamp, ClockError> {
    match std::env::var_os(SOURCE_DATE_EPOCH) {
        None => Ok(now()),
        Some(raw) => {
            let text = raw.to_string_lossy().into_owned();
            text.trim()
                .parse::<i64>()
                .ok()
                .and_then(|seconds| Timestamp::from_second(seconds).ok())
                .ok_or(ClockError { text })
        }
    }
}
