//! Tests of cards and records: reading, writing, renaming.

use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use crate::fits::card::{Card, CardFaultKind, Record};
use crate::fits::header::Header;
use crate::fits::keyword::{Keyword, KeywordFault};
use crate::fits::value::{Value, ValueFault};

fn card(text: &str) -> Card {
    Card::from_text(text).unwrap()
}

fn string(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn texts(record: &Record) -> Vec<String> {
    record.cards.iter().map(Card::text).collect()
}

#[test]
fn cards_are_read() {
    #[track_caller]
    fn check(text: &str, keyword: Keyword, value: Option<Value>, comment: Option<&str>) {
        let record = Record::of_card(card(text));
        assert_eq!(record.keyword, keyword, "{text}");
        assert_eq!(record.value(), Ok(value), "{text}");
        assert_eq!(record.comment().as_deref(), comment, "{text}");
    }
    let integer = |integer| Some(Value::Integer(integer));
    check("NAXIS   =                    2 / axes", Keyword::value("NAXIS"), integer(2), Some("axes"));
    check("NAXIS   = 2/axes", Keyword::value("NAXIS"), integer(2), Some("axes"));
    check("OBJECT  = 'a/b''c  ' / it's", Keyword::value("OBJECT"), Some(string("a/b'c")), Some("it's"));
    check("OBJECT  =       'far'", Keyword::value("OBJECT"), Some(string("far")), None);
    check("UNDEF   =", Keyword::value("UNDEF"), Some(Value::Undefined), None);
    check("UNDEF   =  / none", Keyword::value("UNDEF"), Some(Value::Undefined), Some("none"));
    check("HIERARCH ESO TPL ID = 'x'", Keyword::eso("TPL ID"), Some(string("x")), None);
    check("HIERARCH   ESO  TPL   ID='x' /c", Keyword::eso("TPL ID"), Some(string("x")), Some("c"));
    check("HIERARCH ESO= 5", Keyword::hierarch("ESO"), integer(5), None);
    check("HIERARCH LSST CAM NAME  =5", Keyword::hierarch("LSST CAM NAME"), integer(5), None);
    check("HIERARCH ESO 'a=b'", Keyword::commentary("HIERARCH"), None, None);
    check("HIERARCH = 5", Keyword::commentary("HIERARCH"), None, None);
    check("HIERARCH= 5", Keyword::value("HIERARCH"), integer(5), None);
    check("COMMENT = 5", Keyword::commentary("COMMENT"), None, None);
    check("HISTORY a / b", Keyword::commentary("HISTORY"), None, None);
    check("        = 5", Keyword::commentary(""), None, None);
    check("CONTINUE  'abc'", Keyword::commentary("CONTINUE"), None, None);
    check("EXPTIME 5", Keyword::commentary("EXPTIME"), None, None);
}

#[test]
fn faults_are_named() {
    #[track_caller]
    fn check(text: &str, expected: Option<CardFaultKind>) {
        assert_eq!(card(text).fault().map(|fault| fault.kind), expected, "{text}");
    }
    check("EXPTIME =                  5.0 / s", None);
    check("exptime =                  5.0", Some(KeywordFault::LowerCase { character: 'e' }.into()));
    check("HIERARCH ESO Tpl = 5", Some(KeywordFault::LowerCase { character: 'p' }.into()));
    check("EXP TIME= 5", Some(KeywordFault::BadCharacter { character: ' ' }.into()));
    check("EXPTIME =5", Some(CardFaultKind::MissingSpace));
    check("EXPTIME = five", Some(ValueFault::NotAValue.into()));
    check("OBJECT  = 'five", Some(ValueFault::UnterminatedString.into()));
    check("OBJECT  = 'five' 6", Some(ValueFault::TextAfterValue.into()));
    check("CONTINUE  'five", Some(ValueFault::UnterminatedString.into()));
    check("END     x", Some(CardFaultKind::End));
    check("END", None);
    check("", None);
    check("COMMENT =anything at all", None);
    let mut bytes = *card("COMMENT caf").as_bytes();
    bytes[11] = 0xE9;
    let fault = Card::from_bytes(bytes).fault().unwrap();
    assert_eq!(fault.kind, CardFaultKind::NotPrintable { column: 12 });
    assert_eq!(fault.to_string(), "card 'COMMENT caf?': column 12 is not printable ASCII: replace that character");
    let fault = Card::from_text("COMMENT é").unwrap_err();
    assert_eq!(fault.kind, CardFaultKind::NotPrintable { column: 9 });
    let fault = Card::from_text(&"A".repeat(81)).unwrap_err();
    assert_eq!(fault.kind, CardFaultKind::TooLong { length: 81, limit: 80 });
}

#[test]
fn records_are_written() {
    #[track_caller]
    fn check(keyword: Keyword, value: &Value, comment: Option<&str>, expected: &[&str]) {
        assert_eq!(texts(&Record::new(keyword, value, comment).unwrap()), expected);
    }
    let value = Keyword::value;
    check(value("SIMPLE"), &Value::Logical(true), Some("ok"), &["SIMPLE  =                    T / ok"]);
    check(value("NAXIS"), &Value::Integer(2), None, &["NAXIS   =                    2"]);
    check(value("OBJECT"), &string("M 31"), Some("target"), &["OBJECT  = 'M 31    '           / target"]);
    check(value("A"), &Value::Undefined, Some("none"), &["A       =                      / none"]);
    check(Keyword::eso("TPL ID"), &string("x"), Some("c"), &["HIERARCH ESO TPL ID = 'x       ' / c"]);
    check(Keyword::hierarch("CAM N"), &Value::Integer(5), None, &["HIERARCH CAM N = 5"]);
    let comment = "c".repeat(100);
    let cut = format!("A       =                    1 / {}", "c".repeat(47));
    check(value("A"), &Value::Integer(1), Some(&comment), &[&cut]);
    // One column short: `= ` instead of ` = `; the padding of a short string goes first.
    let name = "N".repeat(63);
    check(Keyword::eso(&name), &Value::Integer(55), None, &[&format!("HIERARCH ESO {name}= 55")]);
    check(Keyword::eso(&name), &string(""), None, &[&format!("HIERARCH ESO {name}= ''")]);
    let fault = Record::new(Keyword::eso(&name), &Value::Integer(555), None).unwrap_err();
    assert_eq!(fault.kind, CardFaultKind::ValueTooLong { needed: 3, room: 2 });
    let fault = Record::new(Keyword::commentary("COMMENT"), &Value::Integer(5), None).unwrap_err();
    assert_eq!(fault.kind, CardFaultKind::NoValue);
    let fault = Record::new(value("A"), &Value::Integer(5), Some("µm")).unwrap_err();
    assert_eq!(fault.kind, CardFaultKind::Value(ValueFault::NotPrintable));
}

#[test]
fn long_strings_are_continued() {
    let text = format!("{}''''{}", "x".repeat(64), "y".repeat(80));
    let record = Record::new(Keyword::value("LONG"), &string(&text), Some("why")).unwrap();
    let expected = [
        format!("LONG    = '{}''&'", "x".repeat(64)),
        format!("CONTINUE  '''''''{}&'", "y".repeat(61)),
        format!("CONTINUE  '{}' / why", "y".repeat(19)),
    ];
    assert_eq!(texts(&record), expected);
    assert_eq!(record.value(), Ok(Some(string(&text))));
    assert_eq!(record.comment().as_deref(), Some("why"));
    let record = Record::new(Keyword::eso("LONG NAME"), &string(&text), None).unwrap();
    assert!(texts(&record)[0].starts_with("HIERARCH ESO LONG NAME = 'xxx"), "{record:?}");
    assert_eq!(record.value(), Ok(Some(string(&text))));
    // The last piece is full: the comment moves to a card with the last character.
    let record = Record::new(Keyword::value("LONG"), &string(&"x".repeat(134)), Some("why")).unwrap();
    assert_eq!(texts(&record)[1..], [format!("CONTINUE  '{}&'", "x".repeat(66)), "CONTINUE  'x' / why".to_owned()]);
    // 68 characters fit on one card, 69 do not.
    for (length, cards) in [(68, 1), (69, 2), (134, 2), (135, 3)] {
        let record = Record::new(Keyword::value("LONG"), &string(&"x".repeat(length)), None).unwrap();
        assert_eq!(record.cards.len(), cards, "{length}");
    }
}

#[test]
fn renaming_keeps_value_text_and_comment() {
    #[track_caller]
    fn check(text: &str, to: &Keyword, expected: &str) {
        let renamed = Record::of_card(card(text)).renamed(to).unwrap();
        assert_eq!(texts(&renamed), [expected]);
        assert_eq!(renamed.keyword, renamed.cards[0].keyword());
    }
    check("EXPTIME = 1.500E0 / [s]", &Keyword::value("TEXP"), "TEXP    = 1.500E0 / [s]");
    check("HIERARCH ESO INS ID   = 'x' / c", &Keyword::eso("INS2 ID"), "HIERARCH ESO INS2 ID  = 'x' / c");
    check("HIERARCH ESO INS ID = 'x' / c", &Keyword::eso("INS2 ID"), "HIERARCH ESO INS2 ID= 'x' / c");
    check("HIERARCH ESO INS ID = 'x'   / c", &Keyword::eso("INS22 ID"), "HIERARCH ESO INS22 ID = 'x' / c");
    check("EXPTIME = 1.500E0 / [s]", &Keyword::eso("DET TEXP"), "HIERARCH ESO DET TEXP = 1.500E0 / [s]");
    check("HIERARCH ESO DET TEXP = 1.500E0 / [s]", &Keyword::value("T"), "T       =              1.500E0 / [s]");
    check("HISTORY a", &Keyword::commentary("COMMENT"), "COMMENT a");
    let name = Keyword::eso("N".repeat(63));
    let fault = Record::of_card(card("A       = 12345")).renamed(&name).unwrap_err();
    assert_eq!(fault.kind, CardFaultKind::ValueTooLong { needed: 5, room: 2 });
    let fault = Record::of_card(card("A       = 12345")).renamed(&Keyword::value("a")).unwrap_err();
    assert_eq!(fault.kind, KeywordFault::LowerCase { character: 'a' }.into());
    let fault = Record::of_card(card("A       = 12345")).renamed(&Keyword::commentary("HISTORY")).unwrap_err();
    assert_eq!(fault.kind, CardFaultKind::NoValue);
    let long = Record::new(Keyword::eso("A"), &string(&"x'".repeat(60)), Some("c")).unwrap();
    let renamed = long.renamed(&Keyword::eso("A LONGER NAME")).unwrap();
    assert_eq!((renamed.value(), renamed.comment()), (long.value(), long.comment()));
}

#[test]
fn commentary_is_written() {
    assert_eq!(texts(&Record::commentary("COMMENT", "a  b").unwrap()), ["COMMENT a  b"]);
    assert_eq!(texts(&Record::commentary("", "note").unwrap()), ["        note"]);
    let refused = |keyword: &str, text: &str| Record::commentary(keyword, text).unwrap_err().kind;
    assert_eq!(refused("HISTORY", &"x".repeat(73)), CardFaultKind::TooLong { length: 73, limit: 72 });
    assert_eq!(refused("EXPTIME", "= 5"), CardFaultKind::NotCommentary);
    assert_eq!(refused("HIERARCH", " ESO A = 5"), CardFaultKind::NotCommentary);
    assert_eq!(refused("CONTINUE", "  'x'"), CardFaultKind::NotCommentary);
    assert_eq!(refused("END", ""), CardFaultKind::NotCommentary);
    assert_eq!(refused("COMMENTARY", ""), KeywordFault::TooLong { length: 10, limit: 8 }.into());
    let wrapped = Record::commentary_wrapped("HISTORY", &format!("{}\n\nend", "x".repeat(100))).unwrap();
    let texts: Vec<String> = wrapped.iter().map(Record::commentary_text).collect();
    assert_eq!(texts, ["x".repeat(72), "x".repeat(28), String::new(), "end".to_owned()]);
    assert!(Record::commentary_wrapped("HISTORY", &"é".repeat(100)).is_err());
}

#[test]
fn literals_are_checked() {
    assert_eq!(Record::from_literal("EXPTIME = 5").unwrap().value(), Ok(Some(Value::Integer(5))));
    assert_eq!(Record::from_literal("COMMENT x").unwrap().keyword, Keyword::commentary("COMMENT"));
    let refused = |text: &str| Record::from_literal(text).unwrap_err().kind;
    assert_eq!(refused("END"), CardFaultKind::End);
    assert_eq!(refused("CONTINUE  'x'"), CardFaultKind::OrphanContinue);
    assert_eq!(refused("EXPTIME =5"), CardFaultKind::MissingSpace);
    assert_eq!(refused(&"x".repeat(81)), CardFaultKind::TooLong { length: 81, limit: 80 });
}

fn keywords() -> impl Strategy<Value = Keyword> {
    prop_oneof![
        "[A-Z0-9_-]{1,8}".prop_map(Keyword::value),
        "[A-Z0-9_-]{1,9}( [A-Z0-9_-]{1,9}){0,5}".prop_map(Keyword::eso),
        "[A-DF-Z][A-Z0-9_.-]{0,9}( [A-Z0-9_-]{1,9}){0,5}".prop_map(Keyword::hierarch),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[ -~]{0,300}".prop_map(|text| Value::String(text.trim_end_matches(' ').to_owned())),
        "['&]{0,200}".prop_map(Value::String),
        any::<bool>().prop_map(Value::Logical),
        any::<i64>().prop_map(|integer| Value::Integer(integer.into())),
        proptest::num::f64::NORMAL.prop_map(Value::Real),
        any::<(i64, i64)>().prop_map(|(re, im)| Value::ComplexInteger(re.into(), im.into())),
    ]
}

proptest! {
    #[test]
    fn written_records_read_back(keyword in keywords(), value in values(), comment in "[ -~]{0,60}") {
        match Record::new(keyword.clone(), &value, Some(&comment)) {
            Ok(record) => {
                for card in &record.cards {
                    prop_assert_eq!(card.fault(), None);
                }
                let read = Header::from_cards(record.cards.clone()).records();
                prop_assert_eq!(read.len(), 1);
                prop_assert_eq!(&read[0].keyword, &keyword);
                prop_assert_eq!(read[0].value(), Ok(Some(value)));
                let read_comment = read[0].comment().unwrap_or_default();
                prop_assert!(comment.trim_matches(' ').starts_with(&read_comment));
            }
            Err(fault) => {
                let expected = matches!(fault.kind, CardFaultKind::ValueTooLong { .. } | CardFaultKind::Keyword(_));
                prop_assert!(expected, "{}", fault);
            }
        }
    }

    #[test]
    fn renamed_records_read_back(from in keywords(), to in keywords(), value in values()) {
        if let Ok(record) = Record::new(from, &value, Some("c"))
            && let Ok(renamed) = record.renamed(&to)
        {
            prop_assert_eq!(renamed.cards[0].keyword(), to);
            prop_assert_eq!(renamed.value(), Ok(Some(value)));
        }
    }

    #[test]
    fn no_bytes_make_a_card_panic(start in "[A-Z=' &/HISTORYEND]{0,20}", rest in proptest::collection::vec(any::<u8>(), 80)) {
        let mut bytes = [0_u8; 80];
        bytes.copy_from_slice(&rest);
        bytes[..start.len()].copy_from_slice(start.as_bytes());
        let card = Card::from_bytes(bytes);
        prop_assert_eq!(card.as_bytes(), &bytes);
        let record = Record::of_card(card);
        let _ = (card.fault(), record.value(), record.comment(), record.commentary_text(), format!("{card:?}"));
        let _ = record.renamed(&Keyword::eso("X Y"));
        let _ = record.renamed(&Keyword::value("X"));
        let _ = record.renamed(&Keyword::commentary("X"));
        let _ = card.keyword().class();
    }

    #[test]
    fn a_card_without_fault_is_taken_as_literal(text in "[A-Z ]{8}[= ]{2}[ -~]{0,70}") {
        if let Ok(record) = Record::from_literal(&text) {
            prop_assert_eq!(record.cards[0].fault(), None);
        }
    }
}

#[test]
fn grave_faults_are_illegal_bytes_and_standard_names() {
    let column = |column| Some(CardFaultKind::NotPrintable { column });
    for (card, expected) in [
        (&b"OBJECT  = 'a'"[..], None),
        (b"", None),
        (b"COMMENT any \x7f", column(13)),
        (b"OBSERVER= 'Jos\xe9'", column(15)),
        (b"EXPTIME = not a value", None),
        (b"HIERARCH foreign key = 1", None),
        (b"END", None),
        (b"END     here", Some(CardFaultKind::End)),
        (b"object  = 'a'", Some(KeywordFault::LowerCase { character: 'o' }.into())),
        (b"A B     = 1", Some(KeywordFault::BadCharacter { character: ' ' }.into())),
    ] {
        let mut bytes = [b' '; 80];
        bytes[..card.len()].copy_from_slice(card);
        assert_eq!(Card::from_bytes(bytes).grave_fault().map(|fault| fault.kind), expected, "{}", card.escape_ascii());
    }
}

#[test]
fn what_is_plainly_legal_is_legal() {
    let yes = [
        "SIMPLE  =                    T / conforms",
        "NAXIS1  =                 4096",
        "EXPTIME =                -1.5",
        "X       = .5",
        "OBJECT  = 'D''Arrest' / it / has slashes",
        "HIERARCH ESO TPL ID = 'x'",
        "HIERARCH ESO DET READ1 NAME= +3 / no space before the sign",
        "COMMENT = anything",
        "HISTORY",
        "",
    ];
    let no = [
        "END",
        "CONTINUE  'x'",
        "lower   = 1",
        "X       = 1e5",
        "X       =",
        "X       = 'open",
        "X       = 'a' b",
        "X       = .",
        "X       = 1.2.3",
        "X       = 1 2",
        "X       =1",
        "HIERARCH ESO  TPL ID = 1",
        "HIERARCH ESO TPL  ID = 1",
        "HIERARCH ESO = 1",
        "HIERARCH ESO A = 'x'y",
        "HIERARCH OTHER = 1",
        "HIERARCH ESO no = 1",
        "        = 5",
    ];
    for text in yes {
        let card = Card::from_text(text).unwrap();
        assert!(card.is_plainly_legal() && card.fault().is_none(), "{text}");
    }
    for text in no {
        assert!(!Card::from_text(text).unwrap().is_plainly_legal(), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_illegal_is_plainly_legal(text in "(HIERARCH ESO |X +)?[A-Z ]{0,9}[= ]{0,3}['TF+.0-9 /a&-]{0,20}[ -~]{0,20}") {
        let card = Card::from_text(&text).unwrap();
        proptest::prop_assert!(!card.is_plainly_legal() || card.fault().is_none(), "{:?}", card.fault());
    }
}
