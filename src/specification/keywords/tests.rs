//! Values on their whole way: JSON text, specification, cards, bytes of a header, cards, value. Nothing is lost on it.

use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;
use proptest::{prop_assert, prop_assert_eq};
use serde_json::{Value as Json, json};

use crate::fits::CARD_BYTES;
use crate::fits::card::{Card, Record};
use crate::fits::header::Header;
use crate::fits::value::Value;
use crate::specification::model::SourceSpecification;
use crate::specification::validate;

/// The record that a header holds which was written from `keyword`, given as JSON text.
fn read_back(keyword: &str) -> Record {
    let text = format!(
        r#"{{"id": "A", "target": {{"fileId": "F"}}, "sources": [
            {{"type": "fitsKeywords", "sourceName": "s", "keywords": [{keyword}]}}]}}"#
    );
    let specification = validate::parse(&text).unwrap_or_else(|error| panic!("{keyword}: {error:?}"));
    let SourceSpecification::FitsKeywords(source) = &specification.sources[0] else { panic!("keywords") };
    let mut header = Header::new();
    source.records.iter().for_each(|record| header.push_record(record));
    let bytes = header.to_bytes();
    let cards = bytes.as_chunks::<CARD_BYTES>().0.iter().map(|card| Card::from_bytes(*card));
    let header = Header::from_cards(cards.take_while(|card| !card.is_end()).collect());
    assert_eq!(header.faults(), [], "{keyword}");
    let records = header.records();
    assert_eq!(records.len(), 1, "{keyword} gave {records:?}");
    records[0].clone()
}

/// The value of a keyword whose JSON value is this text.
fn value_of(kind: &str, name: &str, value: &str, comment: &Json) -> Value {
    let keyword = format!(r#"{{"type": "{kind}", "name": "{name}", "value": {value}, "comment": {comment}}}"#);
    let record = read_back(&keyword);
    assert_eq!(record.keyword.name, name);
    record.value().expect("readable").expect("a value")
}

/// A value keyword, and an ESO keyword whose name leaves so little room that only numbers of 24 characters fit.
const NAMES: [(&str, &str); 3] =
    [("valueKeyword", "A"), ("esoKeyword", "DET ID"), ("esoKeyword", "VERY LONG NAME OF MANY WORDS WITH LITTLE")];

fn check_real(real: f64, text: &str) -> Result<(), TestCaseError> {
    for (kind, name) in NAMES {
        match value_of(kind, name, text, &Json::Null) {
            Value::Real(read) => prop_assert_eq!(read.to_bits(), real.to_bits(), "{} {}", name, text),
            other => prop_assert!(false, "{} {} is {:?}", name, text, other),
        }
    }
    Ok(())
}

/// Texts that are hard on cards: quotes, ampersands, slashes, spaces at every place.
fn hard_text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,400}", "['&/ ]{0,300}", "[a']{60,75}&{0,3}", "[ -~]{60,72} {0,10}", " {0,90}[&']? {0,5}"]
}

proptest! {
    #[test]
    fn every_finite_real_comes_through(bits in any::<u64>()) {
        let real = f64::from_bits(bits);
        if real.is_finite() {
            check_real(real, &serde_json::to_string(&real).expect("finite"))?;
        }
    }

    #[test]
    fn reals_of_many_digits_are_rounded_once(mantissa in any::<u64>(), more in any::<u64>(), exponent in -300_i32..280) {
        let text = format!("{}.{mantissa}{more}e{exponent}", mantissa % 9 + 1);
        check_real(text.parse().expect("a number"), &text)?;
    }

    #[test]
    fn every_integer_of_64_bits_comes_through(signed in any::<i64>(), unsigned in any::<u64>()) {
        for (text, integer) in [(signed.to_string(), i128::from(signed)), (unsigned.to_string(), i128::from(unsigned))] {
            for (kind, name) in NAMES {
                prop_assert_eq!(value_of(kind, name, &text, &Json::Null), Value::Integer(integer));
            }
        }
    }

    #[test]
    fn strings_come_through_but_for_trailing_spaces(text in hard_text(), comment in "[ -~]{0,80}") {
        for (kind, name) in NAMES {
            let read = value_of(kind, name, &json!(text).to_string(), &json!(comment));
            prop_assert_eq!(read, Value::String(text.trim_end_matches(' ').to_owned()));
        }
    }
}

#[test]
fn reals_at_the_edges_come_through() {
    for real in [0.0, -0.0, f64::MAX, f64::MIN, f64::MIN_POSITIVE, 5e-324, 9007199254740992.0] {
        let text = serde_json::to_string(&real).expect("finite");
        check_real(real, &text).unwrap_or_else(|error| panic!("{real}: {error}"));
    }
}

/// Every length around the ends of the first, second and third card, with each hard character at the split.
#[test]
fn strings_are_split_at_every_place() {
    for (kind, name) in NAMES {
        for length in (10..75).chain(125..145).chain(195..212) {
            for end in ["x", "'", "''", "&", "&&", "'&", " x", "  '"] {
                for comment in [Json::Null, json!("c"), json!("a comment of some length, for the end")] {
                    let text = format!("{}{end}", "y".repeat(length));
                    let read = value_of(kind, name, &json!(text).to_string(), &comment);
                    assert_eq!(read, Value::String(text), "{name} {length} {end} {comment}");
                }
            }
        }
    }
}

/// Cards given as text stay as they are.
#[test]
fn literals_of_every_kind_come_through() {
    for (text, value) in [
        ("A       = T", Some(Value::Logical(true))),
        ("A       = 'it''s'            / c", Some(Value::String("it's".to_owned()))),
        ("A       = 9223372036854775807", Some(Value::Integer(i128::from(i64::MAX)))),
        ("A       = 1.5D+3", Some(Value::Real(1500.0))),
        ("A       = (1, 2)", Some(Value::ComplexInteger(1, 2))),
        ("A       = (1.0, 2)", Some(Value::ComplexReal(1.0, 2.0))),
        ("A       =", Some(Value::Undefined)),
        ("A       =                      / no value", Some(Value::Undefined)),
        ("HIERARCH ESO DET ID = 7 / c", Some(Value::Integer(7))),
        ("HIERARCH XYZ TEMP = 4.0", Some(Value::Real(4.0))),
        ("COMMENT text = text", None),
        ("HISTORY 'x", None),
        ("        blank", None),
        ("ANYNAME without a value", None),
    ] {
        let record = read_back(&json!({"type": "literalKeyword", "value": text}).to_string());
        let expected = format!("{text:<80}");
        assert_eq!(record.cards, [Card::from_text(&expected).expect("printable")], "{text}");
        assert_eq!(record.value().expect("readable"), value, "{text}");
    }
}
