//! Which values a parameter takes: an interval or a list.
//!
//! The control document leaves the field's form open; these are read: `0..360`, `0:360`, `[0, 360)`, `]0, 360]`, `>= 0`,
//! `< 5`, and lists such as `ON, OFF` or `"A" | "B"`.

use crate::fits::value::Value;

/// Items of one list.
const ITEMS_MAX: usize = 1000;

/// The values that a parameter takes.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::dictionary) enum Range {
    /// Numbers between two ends.
    Interval { low: End, high: End },
    /// These texts; numbers are compared as numbers.
    List(Vec<String>),
}

/// One end of an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::dictionary) struct End {
    at: f64,
    is_included: bool,
}

impl Range {
    /// Reads a range; `None` where the text is none of its forms.
    pub(in crate::dictionary) fn parse(text: &str) -> Option<Range> {
        let text = text.trim();
        comparison(text).or_else(|| brackets(text)).or_else(|| bare_interval(text)).or_else(|| list(text))
    }

    /// Whether `value` is in it. What is no number, string or logical is not its business.
    pub(in crate::dictionary) fn has(&self, value: &Value) -> bool {
        match (self, value) {
            #[expect(clippy::cast_precision_loss, reason = "bounds are given as decimal texts of few digits")]
            (Range::Interval { .. }, Value::Integer(integer)) => self.has_number(*integer as f64),
            (Range::Interval { .. }, Value::Real(real)) => self.has_number(*real),
            (Range::List(items), Value::String(text)) => items.iter().any(|item| item == text),
            (Range::List(items), Value::Integer(_) | Value::Real(_) | Value::Logical(_)) => {
                items.iter().any(|item| Value::parse(item).is_ok_and(|item| is_equal(&item, value)))
            }
            _ => true,
        }
    }

    fn has_number(&self, number: f64) -> bool {
        let Range::Interval { low, high } = self else { return true };
        let above = number > low.at || (low.is_included && number == low.at);
        let below = number < high.at || (high.is_included && number == high.at);
        above && below
    }
}

#[expect(clippy::cast_precision_loss, reason = "items of a list are given as decimal texts of few digits")]
fn is_equal(item: &Value, value: &Value) -> bool {
    match (item, value) {
        (Value::Integer(integer), Value::Real(real)) | (Value::Real(real), Value::Integer(integer)) => {
            *integer as f64 == *real
        }
        _ => item == value,
    }
}

fn comparison(text: &str) -> Option<Range> {
    let unbounded = |at| End { at, is_included: true };
    let (sign, number) = [">=", "<=", ">", "<"].into_iter().find_map(|sign| Some((sign, text.strip_prefix(sign)?)))?;
    let end = End { at: finite(number)?, is_included: sign.ends_with('=') };
    Some(match sign.starts_with('>') {
        true => Range::Interval { low: end, high: unbounded(f64::INFINITY) },
        false => Range::Interval { low: unbounded(f64::NEG_INFINITY), high: end },
    })
}

/// `[a, b]`; a bracket that faces outwards, or a round one, leaves its end out.
fn brackets(text: &str) -> Option<Range> {
    let (open, close) = (text.chars().next()?, text.chars().next_back()?);
    let inner = text.strip_prefix(['[', ']', '('])?.strip_suffix(['[', ']', ')'])?;
    let (low, high) = inner.split_once(',').or_else(|| inner.split_once(".."))?;
    interval(low, open == '[', high, close == ']')
}

fn bare_interval(text: &str) -> Option<Range> {
    let (low, high) = text.split_once("..").or_else(|| text.split_once(':'))?;
    interval(low, true, high, true)
}

fn interval(low: &str, low_included: bool, high: &str, high_included: bool) -> Option<Range> {
    let low = End { at: end(low, f64::NEG_INFINITY)?, is_included: low_included };
    let high = End { at: end(high, f64::INFINITY)?, is_included: high_included };
    if low.at <= high.at { Some(Range::Interval { low, high }) } else { None }
}

/// A number, or nothing for an end that is open.
fn end(text: &str, open: f64) -> Option<f64> {
    match text.trim() {
        "" | "*" => Some(open),
        number => finite(number),
    }
}

fn finite(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

fn list(text: &str) -> Option<Range> {
    let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let separator = if inner.contains('|') { '|' } else { ',' };
    let items: Option<Vec<String>> = inner.split(separator).take(ITEMS_MAX + 1).map(item).collect();
    items.filter(|items| items.len() <= ITEMS_MAX).map(Range::List)
}

/// A text in quotes, or one word: several words without quotes are a sentence for people.
fn item(text: &str) -> Option<String> {
    let text = text.trim();
    let inner = ['"', '\''].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote));
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-+_./".contains(c);
    match inner {
        Some(inner) => Some(inner.trim_end().to_owned()),
        None if text.is_empty() || text.contains("..") || !text.chars().all(is_word) => None,
        None => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use crate::dictionary::range::Range;
    use crate::fits::value::Value;

    fn check(range: &str, inside: &[&str], outside: &[&str]) {
        let parsed = Range::parse(range).expect(range);
        for (values, expected) in [(inside, true), (outside, false)] {
            for value in values {
                assert_eq!(parsed.has(&Value::parse(value).expect(value)), expected, "{range}: {value}");
            }
        }
    }

    #[test]
    fn intervals_and_lists() {
        check("0..360", &["0", "360", "12.5"], &["-1", "360.5"]);
        check("0:10", &["0", "10."], &["11"]);
        check("[0, 360)", &["0", "359.9"], &["360"]);
        check("]0, 1]", &["1", "0.5"], &["0"]);
        check("-5 .. *", &["-5", "1E300"], &["-5.1"]);
        check(">= 0", &["0", "7"], &["-1"]);
        check("< 5", &["4.9"], &["5"]);
        check("ON, OFF", &["'ON'", "'OFF     '"], &["'on'", "''", "1"]);
        check("\"A B\" | \"C\"", &["'A B'", "'C'"], &["'A'"]);
        check("{1, 2, 4}", &["1", "2.0", "4"], &["3"]);
        check("T,F", &["T", "F"], &["'X'"]);
        check("0..1", &["'text'", "T", "(1, 2)"], &[]);
    }

    #[test]
    fn what_is_no_range_is_told() {
        for text in ["", "see the manual", ">= x", "5..1", "[a, b]", "1,,2", "nan..1", "one of ON, OFF"] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
    }
}
