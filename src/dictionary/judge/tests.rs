//! Complaints, and what a dictionary gives to a record.

use crate::dictionary::judge::{Complaint, Dictionaries, Judgement, Origin};
use crate::dictionary::parse::{ValueType, parse};
use crate::fits::card::{Card, Record};
use crate::fits::keyword::Keyword;
use crate::fits::value::Value;

const DICTIONARY: &str = "\
Parameter Name: EXPTIME
Type: double
Value Format: %.3f
Comment Field: Integration time. %TIME
Range: 0..1000
Parameter Name: TPL EXPNO
Type: integer
Value Format: %d
Comment Field: Exposure number
Range: >= 1
Parameter Name: DET CHIPi ID
Type: string
Value Format: %.6s
Parameter Name: INS LAMPi ST
Type: logical
Value Format: %c
Comment Field: Lamp is on
Parameter Name: INS MODE
Type: string
Range: IMG, SPEC
Parameter Name: FREE
Comment Field: of any type
Parameter Name: DET CHIP9 ID
Type: integer
Parameter Name: OFFSET
Type: double
Value Format: %d
Parameter Name: WIDE
Type: double
Value Format: %.40f
";

fn dictionaries(is_complete: bool) -> Dictionaries {
    Dictionaries::new([parse(DICTIONARY.as_bytes()).expect("a dictionary")], is_complete)
}

fn card(text: &str) -> Record {
    Record::of_card(Card::from_text(text).expect("printable"))
}

fn check_complaint(text: &str, expected: Option<Complaint>) {
    assert_eq!(dictionaries(true).judge(&card(text), Origin::File).complaint, expected, "{text}");
}

fn wrong_type(expected: ValueType, found: &'static str) -> Option<Complaint> {
    Some(Complaint::WrongType { expected, found })
}

#[test]
fn types_and_ranges() {
    let out_of = |range: &str| Some(Complaint::OutOfRange { range: range.to_owned() });
    check_complaint("EXPTIME =                 12.5", None);
    check_complaint("EXPTIME =                   12", None);
    check_complaint("EXPTIME = 1.2D+1", None);
    check_complaint("EXPTIME =", None);
    check_complaint("EXPTIME =                 -0.5", out_of("0..1000"));
    check_complaint("EXPTIME = '12.5'", wrong_type(ValueType::Double, "string"));
    check_complaint("EXPTIME = (1.0, 2.0)", wrong_type(ValueType::Double, "complex"));
    check_complaint("HIERARCH ESO TPL EXPNO = 3", None);
    check_complaint("HIERARCH ESO TPL EXPNO = 0", out_of(">= 1"));
    check_complaint("HIERARCH ESO TPL EXPNO = 3.0", wrong_type(ValueType::Integer, "real"));
    check_complaint("HIERARCH ESO TPL EXPNO = T", wrong_type(ValueType::Integer, "logical"));
    check_complaint("HIERARCH ESO INS LAMP3 ST = F", None);
    check_complaint("HIERARCH ESO INS LAMP3 ST = 1", wrong_type(ValueType::Logical, "integer"));
    check_complaint("HIERARCH ESO INS MODE = 'IMG'", None);
    check_complaint("HIERARCH ESO INS MODE = 'img'", out_of("IMG, SPEC"));
    check_complaint("HIERARCH ESO DET CHIP2 ID = 'ABCDEF'", None);
    check_complaint("HIERARCH ESO DET CHIP2 ID = 'ABCDEFG'", Some(Complaint::TooLong { length: 7, limit: 6 }));
    check_complaint("HIERARCH ESO DET CHIP9 ID = 7", None);
    check_complaint("FREE    = (1, 2)", None);
    check_complaint("EXPTIME = 1 2 3", None);
}

#[test]
fn unknown_keywords_are_those_that_neither_a_dictionary_nor_the_standard_has() {
    for text in
        ["ELEPHANT= 1", "HIERARCH ESO DET CHIP ID = 'x'", "HIERARCH ESO DET CHIP2 IDX = 'x'", "HIERARCH A B = 1"]
    {
        check_complaint(text, Some(Complaint::Unknown));
        assert_eq!(dictionaries(false).judge(&card(text), Origin::File), Judgement::default(), "{text}");
    }
    for text in
        ["OBJECT  = 'x'", "DATE-OBS= 'x'", "MJD-OBS = 1", "COMMENT x", "BSCALE  = 1.0", "CRVAL1  = 1.0", "HISTORY"]
    {
        check_complaint(text, None);
    }
}

fn check_improved(record: &Record, origin: Origin, expected: Option<&str>) {
    let improved = dictionaries(true).judge(record, origin).improved;
    assert_eq!(improved.map(|record| record.cards[0].text()).as_deref(), expected, "{record:?}");
}

#[test]
fn a_card_of_a_file_keeps_its_bytes_and_gets_only_a_comment() {
    let at = Origin::File;
    let text = "EXPTIME = 12.50D0";
    check_improved(&card(text), at, Some("EXPTIME = 12.50D0              / Integration time. 00:00:12.500"));
    check_improved(&card("EXPTIME = 12.50D0 / own"), at, None);
    check_improved(&card("HIERARCH ESO DET CHIP2 ID = 'A'"), at, None);
    check_improved(&card("ELEPHANT= 1"), at, None);
}

#[test]
fn a_keyword_of_the_specification_gets_format_and_comment() {
    let at = Origin::Specification;
    let made = |name: Keyword, value: Value, comment| Record::new(name, &value, comment).expect("legal");
    let exptime = |value, comment| made(Keyword::value("EXPTIME"), value, comment);
    let fixed = "EXPTIME =               12.500 / ";
    check_improved(&exptime(Value::Real(12.5), Some("own")), at, Some(&format!("{fixed}own")));
    let with_time = format!("{fixed}Integration time. 00:00:12.500");
    check_improved(&exptime(Value::Real(12.5), None), at, Some(&with_time));
    check_improved(&exptime(Value::Integer(12), Some("own")), at, Some("EXPTIME =               12.000 / own"));
    check_improved(&exptime(Value::Integer((1 << 60) + 1), Some("own")), at, None);
    check_improved(&exptime(Value::String("x".to_owned()), Some("own")), at, None);
    let number = made(Keyword::eso("TPL EXPNO"), Value::Integer(3), None);
    check_improved(&number, at, Some("HIERARCH ESO TPL EXPNO = 3 / Exposure number"));
    // No format of reals: the shortest text; a format that leaves the card: likewise.
    check_improved(&made(Keyword::value("OFFSET"), Value::Real(0.1), None), at, None);
    check_improved(
        &made(Keyword::value("OFFSET"), Value::Integer(2), None),
        at,
        Some("OFFSET  =                  2.0"),
    );
    check_improved(&made(Keyword::value("WIDE"), Value::Real(1e40), None), at, None);
    // A keyword that was given as a card keeps its text.
    check_improved(&card("EXPTIME = 12.5 / own"), at, None);
}

#[test]
fn the_first_dictionary_decides() {
    let other = "Parameter Name: EXPTIME\nType: string\nParameter Name: MORE\nType: string\n";
    let both = Dictionaries::new([parse(DICTIONARY.as_bytes()), parse(other.as_bytes())].map(Result::unwrap), true);
    assert_eq!(both.judge(&card("EXPTIME = 1.0"), Origin::File).complaint, None);
    assert_eq!(both.judge(&card("MORE    = 'x'"), Origin::File).complaint, None);
}
