//! Comments of a dictionary: `%HOURANG`, `%DEGREE`, `%TIME` and `%DAYTIM` in them stand for the value as people read it.
//!
//! ESO's headers show what is meant: `RA = 54.348 / 03:37:23.6 RA (J2000) pointing (deg)`.

use jiff::civil::{DateTime, date};
use jiff::{RoundMode, SignedDuration, Unit};

use crate::fits::value::Value;

/// What stands for the value.
const DIRECTIVES: [&str; 4] = ["%HOURANG", "%DEGREE", "%DAYTIM", "%TIME"];

/// The comment of a parameter for a keyword with `value`; a directive that does not fit the value is left out.
pub(in crate::dictionary) fn expand(comment: &str, value: &Value) -> String {
    let mut text = comment.to_owned();
    for name in DIRECTIVES {
        if text.contains(name) {
            let shown = number(value).and_then(|number| match name {
                "%HOURANG" => hour_angle(number),
                "%DEGREE" => degrees(number),
                "%DAYTIM" => day_time(number),
                _ => time(number),
            });
            text = text.replacen(name, &shown.unwrap_or_default(), 1);
        }
    }
    text.split_whitespace().collect::<Vec<&str>>().join(" ")
}

#[expect(clippy::cast_precision_loss, reason = "only shown, to a tenth of a second")]
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(integer) => Some(*integer as f64),
        Value::Real(real) => Some(*real),
        _ => None,
    }
}

/// Degrees as hours, `HH:MM:SS.s`.
fn hour_angle(degrees: f64) -> Option<String> {
    sexagesimal(degrees / 15.0, 1)
}

/// Degrees, `DD:MM:SS.s`.
fn degrees(degrees: f64) -> Option<String> {
    sexagesimal(degrees, 1)
}

/// Seconds, `HH:MM:SS.sss`.
fn time(seconds: f64) -> Option<String> {
    sexagesimal(seconds / 3600.0, 3)
}

/// `units` and their sixtieths; none beyond three digits, which are no angle and no time of a day.
fn sexagesimal(units: f64, decimals: usize) -> Option<String> {
    if units.is_nan() || units.abs() >= 1000.0 {
        return None;
    }
    let scale = 10_f64.powi(decimals as i32);
    let ticks = (units.abs() * 3600.0 * scale).round() as u64;
    let per_second = scale as u64;
    let (seconds, fraction) = (ticks / per_second, ticks % per_second);
    let sign = if units < 0.0 && ticks > 0 { "-" } else { "" };
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some(format!("{sign}{hours:02}:{minutes:02}:{seconds:02}.{fraction:0decimals$}"))
}

/// A modified Julian date, `YYYY-MM-DDThh:mm:ss.sss`.
fn day_time(mjd: f64) -> Option<String> {
    let epoch: DateTime = date(1858, 11, 17).at(0, 0, 0, 0);
    let elapsed = SignedDuration::try_from_secs_f64(mjd * 86_400.0).ok()?;
    let at = epoch.checked_add(elapsed).ok()?;
    let rounding = jiff::civil::DateTimeRound::new().smallest(Unit::Millisecond).mode(RoundMode::HalfExpand);
    Some(at.round(rounding).ok()?.strftime("%Y-%m-%dT%H:%M:%S%.3f").to_string())
}

#[cfg(test)]
mod tests {
    use crate::dictionary::comment::expand;
    use crate::fits::value::Value;

    #[test]
    fn directives_show_the_value() {
        for (comment, value, expected) in [
            ("Template id", "'x'", "Template id"),
            ("%HOURANG RA (J2000) pointing (deg)", "54.348333", "03:37:23.6 RA (J2000) pointing (deg)"),
            ("%DEGREE  DEC (J2000)", "-18.571944", "-18:34:19.0 DEC (J2000)"),
            ("%DEGREE, DEC", "-0.00000001", "00:00:00.0, DEC"),
            ("%TIME UT at start", "26251", "07:17:31.000 UT at start"),
            ("Total integration time. %TIME", "30.0", "Total integration time. 00:00:30.000"),
            ("Obs start %DAYTIM", "51544.5", "Obs start 2000-01-01T12:00:00.000"),
            ("Obs start %DAYTIM", "1E300", "Obs start"),
            ("%TIME at start", "'late'", "at start"),
            ("%HOURANG RA", "1E9", "RA"),
            ("[%] humidity, % of all", "5", "[%] humidity, % of all"),
        ] {
            assert_eq!(expand(comment, &Value::parse(value).expect(value)), expected, "{comment} {value}");
        }
    }
}
