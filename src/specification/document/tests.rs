//! Tables of good and bad JSON.

use proptest::prelude::{any, prop_assert_eq, proptest};
use serde_json::{Value, json};

use crate::specification::document::{Document, DocumentError, TEXT_BYTES_MAX};
use crate::specification::fault::FaultList;

fn error(text: &str) -> DocumentError {
    Document::read(text).expect_err(&text.chars().take(100).collect::<String>())
}

fn faults(text: &str) -> Vec<String> {
    let mut list = FaultList::default();
    Document::read(text).expect(text).faults(&mut list);
    list.into_error(text).faults.iter().map(ToString::to_string).collect()
}

#[test]
fn syntax_errors_name_place_and_remedy() {
    let check = |text: &str, place: (usize, usize), message: &str, hint: &str| {
        let error = error(text);
        let expected = format!("at line {} column {}", place.0, place.1);
        assert!(error.to_string().contains(message), "{text}: {error}");
        assert!(error.to_string().ends_with(&expected), "{text}: {error}");
        assert!(error.hint().contains(hint), "{text}: {}", error.hint());
        assert_eq!(error.line(), Some(place.0), "{text}");
    };
    check("{\n  \"a\": 1,\n}", (2, 9), "trailing comma", "remove the comma");
    check("[1, 2 ,  ]", (1, 7), "trailing comma", "remove the comma");
    check("{\"a\": 1} x", (1, 10), "trailing characters", "one document");
    check("{a: 1}", (1, 2), "key must be a string", "double quotes");
    check("// note\n{}", (1, 1), "expected value", "comments");
    check("{\"a\": NaN}", (1, 7), "expected value", "NaN");
    check("{\"a\": 1 \"b\": 2}", (1, 9), "expected `,` or `}`", "comma");
    check("{\"a\": 01}", (1, 8), "invalid number", "leading zero");
    check("{\"a\": \"x", (1, 8), "EOF", "complete");
    check("", (1, 0), "EOF", "complete");
    check("{\"a\": \"x\ny\"}", (2, 0), "control character", "\\n");
    check("{\"a\": \"\\q\"}", (1, 9), "invalid escape", "\\\\");
}

#[test]
fn hostile_documents_are_typed_errors() {
    assert_eq!(error("\u{feff}{}"), DocumentError::ByteOrderMark);
    assert!(matches!(error(&"[".repeat(100_000)), DocumentError::TooDeep { .. }));
    assert!(matches!(error(&"{\"a\":".repeat(100_000)), DocumentError::TooDeep { .. }));
    assert!(matches!(error("{\"a\": 1e999}"), DocumentError::NumberOutOfRange { .. }));
    assert!(matches!(error("{\"a\": -1e999}"), DocumentError::NumberOutOfRange { .. }));
    for text in [r#"["\ud800"]"#, r#"["\udc00"]"#, r#"["\ud800\ud800"]"#, r#"["\ud800\u0041"]"#, r#"["\ud800x"]"#] {
        assert!(matches!(error(text), DocumentError::LoneSurrogate { .. }), "{text}: {:?}", error(text));
    }
    assert!(matches!(error(&" ".repeat(TEXT_BYTES_MAX + 1)), DocumentError::TooLong { .. }));
    assert_eq!(error(&format!("[{}0]", "0,".repeat(2_000_000))), DocumentError::TooManyValues);
    assert_eq!(error(&format!("{{\n\"{}\": 1}}", "x".repeat(600))), DocumentError::NameTooLong { line: 2 });
    assert_eq!(error(&format!("[{}0]", "-0,".repeat(300_000))), DocumentError::TooManyValues);
    assert_eq!(Document::text_of(b"{}\n\"\xff\""), Err(DocumentError::NotUtf8 { offset: 4, line: 2 }));
    assert_eq!(Document::text_of(b"{}"), Ok("{}"));
}

#[test]
fn duplicates_are_all_found() {
    assert_eq!(
        faults("{\"a\": 1,\n\"a\": 2, \"b\": [{\"c\": 1,\n \"\\u0063\": 1}]}"),
        [
            "/a (line 2): member `a` is given twice; keep one of them",
            "/b/0/c (line 3): member `c` is given twice; keep one of them"
        ]
    );
}

#[test]
fn a_million_members() {
    let text: String = (0..1_000_000).map(|index| format!("\"k{index}\":0,")).collect();
    let text = format!("{{{text}\"z\":0}}");
    assert_eq!(Document::read(&text).expect("read").value().as_object().map(serde_json::Map::len), Some(1_000_001));
}

#[test]
fn numbers_are_kept_exactly() {
    let check = |text: &str, expected: Value| {
        assert_eq!(Document::read(text).expect(text).value(), &expected, "{text}");
        assert_eq!(faults(text), [""; 0], "{text}");
    };
    check("9223372036854775807", json!(i64::MAX));
    check("-9223372036854775808", json!(i64::MIN));
    check("18446744073709551615", json!(u64::MAX));
    check("-0", json!(0));
    check("[-0, -0.0]", json!([0, -0.0]));
    check("1.0", json!(1.0));
    check("1e20", json!(1e20));
    check("18446744073709551616.0", json!(18_446_744_073_709_551_616.0));
    check("[true, null, \"\\ud83d\\ude00\"]", json!([true, null, "\u{1f600}"]));
    for text in ["18446744073709551616", "-9223372036854775809", "1000000000000000000000000"] {
        assert_eq!(faults(&format!("[0,\n{text}]")).len(), 1, "{text}");
        assert!(faults(&format!("[0,\n{text}]"))[0].starts_with("/1 (line 2): integer beyond 64 bits"), "{text}");
    }
}

proptest! {
    #[test]
    fn integers_read_back(value in any::<u64>(), signed in any::<i64>()) {
        let text = format!("[{value}, {signed}]");
        let document = Document::read(&text).expect("read");
        prop_assert_eq!(document.value(), &json!([value, signed]));
    }

    #[test]
    fn agrees_with_serde_json(text in "[\\[\\]{}\",:0-9a\\\\.e-]{0,40}") {
        if let (Ok(document), Ok(value)) = (Document::read(&text), serde_json::from_str::<Value>(&text))
            && faults(&text).is_empty() && !text.contains("-0")
        {
            prop_assert_eq!(document.value(), &value);
        }
    }
}
