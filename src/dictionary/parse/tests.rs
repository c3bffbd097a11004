//! Dictionaries as they are found: spellings, encodings, stray lines, limits.

use proptest::prelude::{any, proptest};

use crate::dictionary::parse::{Dictionary, DictionaryError, FILE_BYTES_MAX, PARAMETERS_MAX, ValueType, parse};

const SAMPLE: &str = "\
# a comment: with a colon
Dictionary Name:   XMPL-DIC.TEST
Scope:             TEST
Revision:          0.1
Description:       Based on nothing

Parameter Name:    DET CHIPi NX
Class:             header|setup
Type:              integer
Value Format:      %d
Unit:              pixel
Comment Format:    # of pixels along X
Description:       Several lines, one of which has a colon:
                   Type: not a field, for it is indented
Default:           2048

Parameter name:\t EXPTIME
Type:              Double
Value format:      %.3f
Comment field:     Integration time. %TIME
Range:             0..100000
Decsription:       misspelt, and for people
";

fn shown(dictionary: &Dictionary) -> Vec<String> {
    dictionary
        .parameters
        .iter()
        .map(|p| {
            let value_type = p.value_type.map_or("-", ValueType::as_str);
            let range = p.range.as_ref().map_or("-", |(_, text)| text);
            let format = if p.format.is_some() { "f" } else { "-" };
            format!("{}|{value_type}|{format}|{}|{range}", p.names[0].text(), p.comment)
        })
        .collect()
}

#[test]
fn records_and_their_fields() {
    let expected =
        ["DET CHIP# NX|integer|f|# of pixels along X|-", "EXPTIME|double|f|Integration time. %TIME|0..100000"];
    for text in [SAMPLE.to_owned(), SAMPLE.replace('\n', "\r\n"), format!("\u{feff}{SAMPLE}")] {
        let dictionary = parse(text.as_bytes()).expect("a dictionary");
        assert_eq!(dictionary.name, "XMPL-DIC.TEST");
        assert_eq!(shown(&dictionary), expected);
        assert_eq!(dictionary.faults, []);
    }
}

#[test]
fn text_may_be_latin_1_or_utf_8() {
    let latin: &[u8] = b"Parameter Name: A\nComment Field: 20 \xb0C \xe9\nDescription: \xb0\n";
    assert_eq!(shown(&parse(latin).expect("a dictionary")), ["A|-|-|20  C  |-"]);
    let utf = "Parameter Name: A\nComment Field: 20 °C\n";
    assert_eq!(shown(&parse(utf.as_bytes()).expect("a dictionary")), ["A|-|-|20  C|-"]);
}

#[test]
fn a_line_that_cannot_be_used_is_told_and_the_rest_is() {
    let text =
        "Parameter Name: not a name\nType: string\nParameter Name: A\nType: quaternion\nValue Format: T\nRange: ?! x\n";
    let dictionary = parse(text.as_bytes()).expect("a dictionary");
    assert_eq!(shown(&dictionary), ["A|-|-||-"]);
    let faults: Vec<String> = dictionary.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            "line 1: `not a name` is no name of a keyword; its record is left out",
            "line 4: `quaternion` is no type; it is not used: write logical, integer, double or string",
            "line 5: `T` is no format; it is not used: write one printf conversion such as %d or %.3f",
            "line 6: `?! x` is no range; it is not used: write an interval such as 0..360 or a list such as ON, OFF",
        ]
    );
    let many = "Parameter Name: ?\n".repeat(1000) + "Dictionary Name: X\n";
    assert_eq!(parse(many.as_bytes()).expect("a dictionary").faults.len(), 100);
}

#[test]
fn what_is_no_dictionary_or_too_large_is_refused() {
    for bytes in [&b""[..], b"SIMPLE  =                    T", b"{\"id\": 1}", b"\0\xff\n\n"] {
        assert_eq!(parse(bytes).expect_err("refused"), DictionaryError::NotADictionary);
    }
    let long = vec![b'#'; FILE_BYTES_MAX + 1];
    assert_eq!(parse(&long).expect_err("refused"), DictionaryError::TooLong { bytes: FILE_BYTES_MAX + 1 });
    let many = "Parameter Name: A\n".repeat(PARAMETERS_MAX + 1);
    assert_eq!(parse(many.as_bytes()).expect_err("refused"), DictionaryError::TooMany { line: PARAMETERS_MAX + 1 });
    assert!(parse(&many.as_bytes()[18..]).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..600) {
        let mut text = SAMPLE.as_bytes().to_vec();
        let at = at.min(text.len());
        text.splice(at..at, bytes);
        let _ = parse(&text);
    }
}
