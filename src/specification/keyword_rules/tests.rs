//! Rules as a specification writes them, on the names of a small header.

use std::error::Error as _;

use crate::fits::card::Record;
use crate::fits::keyword::Keyword;
use crate::fits::value::Value;
use crate::specification::keyword_rules::{
    KeywordRule, KeywordRuleFault, KeywordRules, PatternFault, SelectionPattern, apply, compile_regex, rust_format,
};

fn record(text: &str) -> Record {
    Record::from_literal(text).expect(text)
}

fn header() -> Vec<Record> {
    let lines = [
        "NAXIS   =                    0",
        "OBJECT  = 'STD-42  '",
        "DATE-OBS= '2031-02-03'",
        "BZERO   =                  1.0",
        "CHECKSUM= '0000000000000000'",
        "DATE    = '2031-02-03'",
        "HIERARCH ESO AOS RTC STATE = 'OK'",
        "HIERARCH ESO AOS DEBUG LEVEL = 3",
        "HIERARCH ESO INS1 NAME = 'A'",
        "HIERARCH XYZ TEMP = 4.0",
        "COMMENT first",
        "HISTORY second",
    ];
    lines.into_iter().map(record).collect()
}

fn patterns(texts: &[&str]) -> Vec<SelectionPattern> {
    texts.iter().map(|text| SelectionPattern::parse(text).expect(text)).collect()
}

fn filter(texts: &[&str]) -> KeywordRule {
    KeywordRule::Filter(patterns(texts))
}

fn transform(texts: &[&str], regex: &str, format: &str) -> KeywordRule {
    let regex = compile_regex(regex).expect(regex);
    let format = rust_format(format, &regex).expect(format);
    KeywordRule::Transform { patterns: patterns(texts), regex, format }
}

fn names(rules: Option<Vec<KeywordRule>>) -> Result<Vec<String>, KeywordRuleFault> {
    let rules = rules.map(KeywordRules);
    Ok(apply(rules.as_ref(), header())?.into_iter().map(|record| record.keyword.name).collect())
}

fn check(rules: Vec<KeywordRule>, expected: &[&str]) {
    let shown = format!("{rules:?}");
    assert_eq!(names(Some(rules)).expect(&shown), expected, "{shown}");
}

const USER: [&str; 8] =
    ["OBJECT", "DATE-OBS", "AOS RTC STATE", "AOS DEBUG LEVEL", "INS1 NAME", "XYZ TEMP", "COMMENT", "HISTORY"];

#[test]
fn absent_rules_copy_the_user_class_and_empty_ones_nothing() {
    assert_eq!(names(None).expect("no rules"), USER);
    check(vec![], &[]);
}

#[test]
fn filters() {
    check(vec![filter(&["+e AOS *", "-e AOS DEBUG *", "+v DATE-OBS"])], &["DATE-OBS", "AOS RTC STATE"]);
    check(vec![filter(&["+e *"])], &["AOS RTC STATE", "AOS DEBUG LEVEL", "INS1 NAME"]);
    check(vec![filter(&["+v *"])], &["OBJECT", "DATE-OBS", "BZERO", "XYZ TEMP"]);
    check(vec![filter(&["+c *"])], &["COMMENT", "HISTORY"]);
    check(vec![filter(&["+c COMMENT", "+v [!OX]*"])], &["DATE-OBS", "BZERO", "COMMENT"]);
    check(vec![filter(&["+evc *", "-ec *", "-v B*"])], &["OBJECT", "DATE-OBS", "XYZ TEMP"]);
    // A later pattern adds what an earlier one took away.
    check(vec![filter(&["-v *", "+v OBJECT", "-v *", "+v DATE-OBS"])], &["DATE-OBS"]);
    check(vec![filter(&["-e *"])], &[]);
    check(vec![filter(&[])], &[]);
    check(vec![filter(&["+v *"]), filter(&["+v O*", "+e *"])], &["OBJECT"]);
    // Reserved and structural ones never pass.
    check(vec![filter(&["+v CHECKSUM", "+v DATE", "+v NAXIS"])], &[]);
}

#[test]
fn transforms() {
    let others = |first: &[&'static str]| [&USER[..2], first, &USER[4..]].concat();
    check(vec![transform(&["+e AOS *"], "^AOS ", "AOS1 ")], &others(&["AOS1 RTC STATE", "AOS1 DEBUG LEVEL"]));
    check(
        vec![transform(&["+e AOS *", "-e AOS DEBUG *"], "^(AOS) (R.C)", "$2 $1")],
        &others(&["RTC AOS STATE", "AOS DEBUG LEVEL"]),
    );
    check(vec![filter(&["+e AOS R*"]), transform(&["+e *"], "T", "TT")], &["AOS RTTC STTATTE"]);
    check(vec![filter(&["+v OBJECT"]), transform(&["+v *"], "^", "X")], &["XOBJECT"]);
    // The next rule sees the new name.
    check(vec![transform(&["+e AOS *"], "^AOS", "NEW"), filter(&["+e NEW R*", "+e AOS *"])], &["NEW RTC STATE"]);
    check(vec![filter(&["+c COMMENT"]), transform(&["+c *"], "COMMENT", "HISTORY")], &["HISTORY"]);
    // Renamed to a reserved name, it is still the merger who writes that.
    check(vec![filter(&["+v OBJECT"]), transform(&["+v *"], "OBJECT", "ARCFILE")], &[]);
}

#[test]
fn a_transform_keeps_the_value_as_written() {
    let rules = KeywordRules(vec![transform(&["+v DATE-OBS"], "DATE-OBS", "DATE-X")]);
    let out = apply(Some(&rules), header()).expect("renamed");
    let renamed = out.iter().find(|record| record.keyword == Keyword::value("DATE-X")).expect("renamed");
    assert_eq!(renamed.value(), Ok(Some(Value::String("2031-02-03".to_owned()))));
}

#[test]
fn a_rename_to_no_legal_name_names_both() {
    for (rule, from, to) in [
        (transform(&["+v OBJECT"], "$", "LONGER"), "OBJECT", "OBJECTLONGER"),
        (transform(&["+v OBJECT"], "OBJECT", "object"), "OBJECT", "object"),
        (transform(&["+v OBJECT"], ".*", ""), "OBJECT", ""),
        (transform(&["+v OBJECT"], "OBJECT", "NAXIS2"), "OBJECT", "NAXIS2"),
        (transform(&["+e INS1 *"], "INS1", "INS1 "), "HIERARCH ESO INS1 NAME", "INS1  NAME"),
        (transform(&["+e INS1 *"], "NAME", &"X".repeat(70)), "HIERARCH ESO INS1 NAME", "INS1 XXX"),
    ] {
        let fault = names(Some(vec![filter(&["+ev *"]), rule])).expect_err(to);
        let text = fault.to_string();
        assert!(text.contains(&format!("rename {from} to `{to}")), "{text}");
        assert!(fault.source().is_some_and(|source| !source.to_string().is_empty()), "{text}");
        assert_eq!(fault.rule, 1);
    }
}

#[test]
fn pattern_grammar() {
    use PatternFault as F;
    for (text, expected) in [
        ("", F::Sign),
        ("e AOS", F::Sign),
        ("+", F::Kinds { letters: String::new() }),
        ("+ AOS", F::Kinds { letters: String::new() }),
        ("+x AOS", F::Kinds { letters: "x".to_owned() }),
        ("+E AOS", F::Kinds { letters: "E".to_owned() }),
        ("+e", F::NoGlob),
        ("+e ", F::NoGlob),
        ("+e  AOS", F::LeadingSpace),
        ("+e HIERARCH ESO AOS *", F::Prefix),
        ("+e ESO AOS *", F::Prefix),
    ] {
        assert_eq!(SelectionPattern::parse(text), Err(expected), "{text}");
    }
    assert!(matches!(SelectionPattern::parse("+e [a"), Err(F::Glob(_))));
    for text in ["+e AOS *", "-vc *", "+evc [12]", "+vv X"] {
        assert!(SelectionPattern::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn formats_as_ecmascript_reads_them() {
    let regex = compile_regex("(A)(?P<last>B)").expect("regex");
    let check = |format: &str, expected: Result<&str, &str>| {
        let seen = rust_format(format, &regex).map(|format| regex.replace_all("-AB-", format).into_owned());
        assert_eq!(seen.as_deref().map_err(String::as_str), expected, "{format}");
    };
    check("$2$1", Ok("-BA-"));
    check("$1X", Ok("-AX-"));
    check("$10", Ok("-A0-"));
    check("${1}0", Ok("-A0-"));
    check("${last}", Ok("-B-"));
    check("[$&]", Ok("-[AB]-"));
    check("$$1", Ok("-$1-"));
    check("a$", Ok("-a$-"));
    check("$3", Err("$3"));
    check("$34", Err("$34"));
    check("${x}", Err("${x}"));
}

#[test]
fn regex_size_is_limited() {
    for text in ["(", "a{1000}{1000}{1000}", "(?=a)", "\\w{5000}", &"(".repeat(1000)] {
        assert!(compile_regex(text).is_err(), "{text}");
    }
}

#[test]
fn twenty_thousand_records() {
    let records: Vec<Record> = (0..20_000)
        .map(|index| Record::new(Keyword::eso(format!("AOS P{index} VAL")), &Value::Integer(index), None))
        .collect::<Result<_, _>>()
        .expect("records");
    let texts: Vec<String> = (0..50).map(|index| format!("-e *X*Y{index}*")).collect();
    let texts: Vec<&str> = ["+e AOS *"].into_iter().chain(texts.iter().map(String::as_str)).collect();
    let rules = KeywordRules(vec![filter(&texts), transform(&["+e *"], "^AOS", "NEW")]);
    assert_eq!(apply(Some(&rules), records).expect("applied").len(), 20_000);
}
