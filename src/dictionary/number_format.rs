//! printf formats of real numbers, as the C standard (7.21.6.1) defines `%f`, `%e` and `%g`, in FITS letters.
//!
//! Width and flags are read and ignored: a card has its own columns.

/// More digits than these no double has, and no card has room for.
const PRECISION_MAX: usize = 60;
/// Digits behind the point where a format gives none.
const PRECISION: usize = 6;

/// A printf conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::dictionary) struct NumberFormat {
    conversion: Conversion,
    precision: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conversion {
    /// `%f`
    Fixed,
    /// `%e`, `%E`
    Exponent,
    /// `%g`, `%G`
    Shorter,
    /// `%s`
    Text,
    /// `%d`, `%i`, `%u`, `%c`: nothing to do here.
    Other,
}

impl NumberFormat {
    /// Reads `%[flags][width][.precision]conversion`; `None` for anything else.
    pub(in crate::dictionary) fn parse(text: &str) -> Option<NumberFormat> {
        let rest = text.trim().strip_prefix('%')?.trim_start_matches(['-', '+', ' ', '0', '#']);
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let (precision, rest) = match rest.strip_prefix('.') {
            None => (None, rest),
            Some(rest) => {
                let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
                let digits = rest.strip_suffix(after).unwrap_or_default();
                let precision = if digits.is_empty() { 0 } else { digits.parse().ok()? };
                (Some(precision), after)
            }
        };
        let conversion = match rest.trim_start_matches(['l', 'h', 'L']) {
            "f" | "F" => Conversion::Fixed,
            "e" | "E" => Conversion::Exponent,
            "g" | "G" => Conversion::Shorter,
            "s" => Conversion::Text,
            "d" | "i" | "u" | "c" => Conversion::Other,
            _ => return None,
        };
        if precision.is_some_and(|digits| digits > PRECISION_MAX) && conversion != Conversion::Text {
            return None;
        }
        Some(NumberFormat { conversion, precision })
    }

    /// Longest string that it lets pass, in characters: the precision of `%s` (DICD, rules of parameter records).
    pub(in crate::dictionary) fn text_limit(self) -> Option<usize> {
        if self.conversion == Conversion::Text { self.precision } else { None }
    }

    /// The FITS text of a finite `real`, always with a point; `None` where the format is not for reals.
    pub(in crate::dictionary) fn real_text(self, real: f64) -> Option<String> {
        let precision = self.precision.unwrap_or(PRECISION);
        match self.conversion {
            Conversion::Fixed => Some(with_point(format!("{real:.precision$}"))),
            Conversion::Exponent => Some(exponent_text(real, precision)),
            Conversion::Shorter => Some(shorter_text(real, precision.max(1))),
            Conversion::Text | Conversion::Other => None,
        }
    }
}

/// A number without a point would be read back as an integer.
fn with_point(text: String) -> String {
    if text.contains('.') { text } else { format!("{text}.") }
}

/// `d.dddE+dd`: at least two digits of exponent, as C writes them, with the capital letter that FITS wants.
fn exponent_text(real: f64, precision: usize) -> String {
    let text = format!("{real:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
    format!("{}E{sign}{digits:0>2}", with_point(mantissa.to_owned()))
}

/// `%g`: `precision` significant digits without trailing zeros, in the form that the size of the number asks for.
fn shorter_text(real: f64, precision: usize) -> String {
    let text = exponent_text(real, precision - 1);
    let (mantissa, exponent) = text.split_once('E').unwrap_or((&text, "+00"));
    let power: i32 = exponent.parse().unwrap_or_default();
    let places = precision as i32 - 1 - power;
    if power < -4 || places < 0 {
        let bare = mantissa.trim_end_matches('0');
        return format!("{bare}E{exponent}");
    }
    let places = places.unsigned_abs() as usize;
    let fixed = with_point(format!("{real:.places$}"));
    fixed.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use crate::dictionary::number_format::NumberFormat;
    use crate::fits::value::Value;

    #[test]
    fn reals_are_written_as_printf_writes_them() {
        for (format, real, expected) in [
            ("%f", 12.5, "12.500000"),
            ("%.3f", 12.5, "12.500"),
            ("%.0f", 1999.6, "2000."),
            ("%.f", 0.4, "0."),
            ("%8.2f", -0.005, "-0.01"),
            ("%-8.2lf", 1e3, "1000.00"),
            ("%e", 12.5, "1.250000E+01"),
            ("%.1E", -1.26e-7, "-1.3E-07"),
            ("%.0e", 1e100, "1.E+100"),
            ("%e", 0.0, "0.000000E+00"),
            ("%g", 12.5, "12.5"),
            ("%g", 100_000.0, "100000."),
            ("%g", 1e6, "1.E+06"),
            ("%.3g", 1234.0, "1.23E+03"),
            ("%g", 0.0001, "0.0001"),
            ("%g", 0.000_012_5, "1.25E-05"),
            ("%g", 0.0, "0."),
        ] {
            let text = NumberFormat::parse(format).and_then(|format| format.real_text(real));
            assert_eq!(text.as_deref(), Some(expected), "{format} {real}");
        }
    }

    #[test]
    fn other_formats_leave_reals_alone() {
        for format in ["%d", "%i", "%c", "%s", "%30s", "%.8s"] {
            assert_eq!(NumberFormat::parse(format).expect(format).real_text(1.5), None, "{format}");
        }
        for text in ["", "T", "%", "f", "%x", "%.f%f", "%.61f", "%*f", "%.99999999999999999999s"] {
            assert_eq!(NumberFormat::parse(text), None, "{text}");
        }
        for (format, limit) in [("%.8s", Some(8)), ("%30s", None), ("%s", None), ("%.3f", None)] {
            assert_eq!(NumberFormat::parse(format).and_then(NumberFormat::text_limit), limit, "{format}");
        }
    }

    proptest! {
        #[test]
        fn every_text_is_a_fits_real(bits in any::<u64>(), precision in 0_usize..20, letter in 0_usize..3) {
            let real = f64::from_bits(bits);
            let format = NumberFormat::parse(&format!("%.{precision}{}", ["f", "e", "g"][letter])).expect("a format");
            if real.is_finite() {
                let text = format.real_text(real).expect("a text");
                assert!(matches!(Value::parse(&text), Ok(Value::Real(_))), "{text}");
            }
        }
    }
}
