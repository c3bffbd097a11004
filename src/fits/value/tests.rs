//! Tests of value tokens.

use proptest::prelude::{any, prop_assert_eq, proptest};

use crate::fits::value::{Value, ValueFault};

#[test]
fn tokens_are_read() {
    #[track_caller]
    fn check(token: &str, expected: Result<Value, ValueFault>) {
        assert_eq!(Value::parse(token), expected, "{token}");
    }
    let string = |text: &str| Ok(Value::String(text.to_owned()));
    check("", Ok(Value::Undefined));
    check("   ", Ok(Value::Undefined));
    check(" T ", Ok(Value::Logical(true)));
    check("F", Ok(Value::Logical(false)));
    check("'abc   '", string("abc"));
    check("'  abc'", string("  abc"));
    check("'it''s'", string("it's"));
    check("''''", string("'"));
    check("''", string(""));
    check("'        '", string(""));
    check("'T'", string("T"));
    check("'/ no comment'", string("/ no comment"));
    check("-17", Ok(Value::Integer(-17)));
    check("+017", Ok(Value::Integer(17)));
    check("18446744073709551615", Ok(Value::Integer(i128::from(u64::MAX))));
    check("1.", Ok(Value::Real(1.0)));
    check("-.5", Ok(Value::Real(-0.5)));
    check("1E3", Ok(Value::Real(1000.0)));
    check("1.5D-3", Ok(Value::Real(0.0015)));
    check("1.5d+3", Ok(Value::Real(1500.0)));
    check("1000000000000000000000000000000000000000000", Ok(Value::Real(1e42)));
    check("(1, -2)", Ok(Value::ComplexInteger(1, -2)));
    check("(1,2.5)", Ok(Value::ComplexReal(1.0, 2.5)));
    check("'abc", Err(ValueFault::UnterminatedString));
    check("'", Err(ValueFault::UnterminatedString));
    check("'abc''", Err(ValueFault::UnterminatedString));
    check("'abc' x", Err(ValueFault::TextAfterValue));
    check("1E999", Err(ValueFault::NotFinite));
    check("'Å'", Err(ValueFault::NotPrintable));
    for token in
        ["TRUE", "t", "inf", "NaN", "infinity", "-", ".", "E5", "1E", "1E+", "1.2.3", "1 2", "(1)", "(1,", "0x1F"]
    {
        check(token, Err(ValueFault::NotAValue));
    }
}

#[test]
fn tokens_are_written() {
    #[track_caller]
    fn check(value: &Value, expected: &str) {
        assert_eq!(value.to_token().as_deref(), Ok(expected));
    }
    check(&Value::String("it's".into()), "'it''s   '");
    check(&Value::String(String::new()), "'        '");
    check(&Value::String("longer than eight".into()), "'longer than eight'");
    check(&Value::Logical(true), "T");
    check(&Value::Integer(-5), "-5");
    check(&Value::Real(12.5), "12.5");
    check(&Value::Real(1.0), "1.0");
    check(&Value::Real(1e-30), "1.0E-30");
    check(&Value::Real(1.25e300), "1.25E300");
    check(&Value::Real(-0.0), "-0.0");
    check(&Value::ComplexInteger(1, -2), "(1, -2)");
    check(&Value::ComplexReal(1.0, 2.5), "(1.0, 2.5)");
    check(&Value::Undefined, "");
    assert_eq!(Value::Real(f64::NAN).to_token(), Err(ValueFault::NotFinite));
    assert_eq!(Value::ComplexReal(0.0, f64::INFINITY).to_token(), Err(ValueFault::NotFinite));
    assert_eq!(Value::String("a\nb".into()).to_token(), Err(ValueFault::NotPrintable));
}

proptest! {
    #[test]
    fn reals_read_back_equal(bits in any::<u64>()) {
        let real = f64::from_bits(bits);
        if real.is_finite() {
            let token = Value::Real(real).to_token().unwrap();
            match Value::parse(&token) {
                Ok(Value::Real(back)) => prop_assert_eq!(back.to_bits(), bits),
                other => panic!("{token} was read as {other:?}"),
            }
        }
    }

    #[test]
    fn integers_read_back_equal(integer in any::<i128>()) {
        let value = Value::Integer(integer);
        prop_assert_eq!(Value::parse(&value.to_token().unwrap()), Ok(value));
    }

    #[test]
    fn strings_read_back_equal(text in "[ -~]{0,200}") {
        let token = Value::String(text.clone()).to_token().unwrap();
        prop_assert_eq!(Value::parse(&token), Ok(Value::String(text.trim_end_matches(' ').to_owned())));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>()) {
        let _ = Value::parse(&text);
    }
}
