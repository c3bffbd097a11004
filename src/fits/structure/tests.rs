//! Tests of mandatory keywords and sizes.

use proptest::prelude::{any, prop_assert_eq, proptest};

use crate::fits::card::Card;
use crate::fits::header::Header;
use crate::fits::structure::{HduKind, Structure};

/// A header from `NAME VALUE; NAME VALUE`.
fn header(text: &str) -> Header {
    let card = |item: &str| {
        let (name, value) = item.trim().split_once(' ').unwrap();
        Card::from_text(&format!("{name:<8}= {value}")).unwrap()
    };
    Header::from_cards(text.split(';').map(card).collect())
}

fn structure(text: &str) -> Result<Structure, String> {
    Structure::of(&header(text), text.starts_with("SIMPLE")).map_err(|fault| fault.to_string())
}

#[test]
fn sizes_follow_the_standard() {
    #[track_caller]
    fn check(text: &str, kind: &HduKind, data_bytes: u64, padded: u64) {
        let found = structure(text).unwrap();
        assert_eq!((&found.kind, found.data_bytes, found.data_bytes_padded()), (kind, data_bytes, padded), "{text}");
    }
    check("SIMPLE T; BITPIX 8; NAXIS 0", &HduKind::Primary, 0, 0);
    check("SIMPLE T; BITPIX -64; NAXIS 2; NAXIS1 10; NAXIS2 36", &HduKind::Primary, 2880, 2880);
    check("SIMPLE T; BITPIX 16; NAXIS 1; NAXIS1 1441", &HduKind::Primary, 2882, 5760);
    check("SIMPLE T; BITPIX 8; NAXIS 2; NAXIS1 5; NAXIS2 0", &HduKind::Primary, 0, 0);
    check("SIMPLE T; BITPIX 8; NAXIS 2; NAXIS1 0; NAXIS2 5", &HduKind::Primary, 0, 0);
    check("SIMPLE T; BITPIX 8; NAXIS 2; NAXIS1 0; NAXIS2 5; GROUPS F", &HduKind::Primary, 0, 0);
    let groups = "SIMPLE T; BITPIX -32; NAXIS 3; NAXIS1 0; NAXIS2 3; NAXIS3 4; GROUPS T; PCOUNT 6; GCOUNT 10";
    check(groups, &HduKind::RandomGroups, 4 * 10 * (6 + 12), 2880);
    check("XTENSION 'IMAGE   '; BITPIX 32; NAXIS 1; NAXIS1 3; PCOUNT 0; GCOUNT 1", &HduKind::Image, 12, 2880);
    let table = "XTENSION 'BINTABLE'; BITPIX 8; NAXIS 2; NAXIS1 7; NAXIS2 0; PCOUNT 100; GCOUNT 1; TFIELDS 2";
    check(table, &HduKind::BinaryTable, 100, 2880);
    let table = "XTENSION 'TABLE'; BITPIX 8; NAXIS 2; NAXIS1 7; NAXIS2 3; PCOUNT 0; GCOUNT 1; TFIELDS 0";
    check(table, &HduKind::AsciiTable, 21, 2880);
    let foreign = "XTENSION 'FOO'; BITPIX 16; NAXIS 1; NAXIS1 3; PCOUNT 2; GCOUNT 4";
    check(foreign, &HduKind::Foreign("FOO".into()), 40, 2880);
    // An axis without length rules out overflow by the others.
    let big = i64::MAX;
    check(&format!("SIMPLE T; BITPIX 64; NAXIS 3; NAXIS1 {big}; NAXIS2 {big}; NAXIS3 0"), &HduKind::Primary, 0, 0);
    check(
        &format!("SIMPLE T; BITPIX 8; NAXIS 1; NAXIS1 {big}"),
        &HduKind::Primary,
        big as u64,
        (big as u64 / 2880 + 1) * 2880,
    );
}

#[test]
fn the_most_axes_are_999() {
    let mut text = "SIMPLE T; BITPIX 8; NAXIS 999".to_owned();
    for axis in 1..=999 {
        text.push_str(&format!("; NAXIS{axis} 1"));
    }
    let found = structure(&text).unwrap();
    assert_eq!((found.axes.len(), found.data_bytes), (999, 1));
}

#[test]
fn faults_say_what_to_do() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(structure(text), Err(expected.to_owned()), "{text}");
    }
    let size = "an integer from 0 to 2^63 - 1";
    check(
        "SIMPLE F; BITPIX 8",
        "SIMPLE: the file declares that it does not conform to the Standard: it cannot be merged",
    );
    check("SIMPLE T; NAXIS 0", "BITPIX: the keyword is missing: it must be card 2");
    check("SIMPLE T; NAXIS 0; BITPIX 8", "BITPIX: the keyword is card 3: it must be card 2");
    check("SIMPLE T; BITPIX 12; NAXIS 0", "BITPIX: the value is 12: it must be 8, 16, 32, 64, -32 or -64");
    check("SIMPLE T; BITPIX 8; NAXIS -1", "NAXIS: the value is -1: it must be 0 to 999");
    check("SIMPLE T; BITPIX 8; NAXIS 1000", "NAXIS: the value is 1000: it must be 0 to 999");
    check("SIMPLE T; BITPIX 8; NAXIS 999; NAXIS1 1", "NAXIS2: the keyword is missing: it must be card 5");
    check("SIMPLE T; BITPIX 8; NAXIS 1; NAXIS1 -5", &format!("NAXIS1: the value is -5: it must be {size}"));
    check("SIMPLE T; BITPIX 8; NAXIS 2.0", "NAXIS: card 'NAXIS   = 2.0': the value is real: give it as 0 to 999");
    check("SIMPLE T; BITPIX 8; NAXIS  / none", "NAXIS: the value is undefined: it must be 0 to 999");
    check(
        "SIMPLE T; BITPIX 64; NAXIS 2; NAXIS1 4294967296; NAXIS2 4294967296",
        "NAXIS: the data unit would have more than 2^63 bytes: the header is damaged",
    );
    check(
        "XTENSION 'FOO'; BITPIX 8; NAXIS 1; NAXIS1 1; PCOUNT 9223372036854775807; GCOUNT 2",
        "NAXIS: the data unit would have more than 2^63 bytes: the header is damaged",
    );
    check(
        "XTENSION 'FOO'; BITPIX 8; NAXIS 1; NAXIS1 1; PCOUNT -2880; GCOUNT 2",
        &format!("PCOUNT: the value is -2880: it must be {size}"),
    );
    check("XTENSION 'FOO'; BITPIX 8; NAXIS 0; GCOUNT 1; PCOUNT 0", "PCOUNT: the keyword is card 5: it must be card 4");
    check(
        "XTENSION 'FOO'; BITPIX 8; NAXIS 0; PCOUNT 5; GCOUNT 1",
        "PCOUNT: the value is 5: it must be 0 where NAXIS is 0",
    );
    check(
        "XTENSION 'IMAGE'; BITPIX 8; NAXIS 0; PCOUNT 0; GCOUNT 2",
        "GCOUNT: the value is 2: it must be 1 for this extension",
    );
    check(
        "XTENSION 'BINTABLE'; BITPIX 16; NAXIS 2; NAXIS1 1; NAXIS2 1; PCOUNT 0; GCOUNT 1; TFIELDS 1",
        "BITPIX: the value is 16: it must be 8 for a table",
    );
    check(
        "XTENSION 'TABLE'; BITPIX 8; NAXIS 2; NAXIS1 1; NAXIS2 1; PCOUNT 0; GCOUNT 1",
        "TFIELDS: the keyword is missing: it must be card 8",
    );
    check(
        "SIMPLE T; BITPIX 8; NAXIS 1; NAXIS1 0; GROUPS T; GCOUNT 1",
        "PCOUNT: the value is undefined: it must be given for random groups",
    );
}

proptest! {
    #[test]
    fn sizes_never_overflow(axes in proptest::collection::vec(any::<u64>(), 0..6), pcount in any::<i64>(), gcount in any::<i64>()) {
        let mut text = format!("XTENSION 'FOO'; BITPIX -64; NAXIS {}", axes.len());
        for (index, axis) in axes.iter().enumerate() {
            text.push_str(&format!("; NAXIS{} {axis}", index + 1));
        }
        text.push_str(&format!("; PCOUNT {pcount}; GCOUNT {gcount}"));
        if let Ok(found) = structure(&text) {
            let product: u128 = if axes.is_empty() { 0 } else { axes.iter().map(|axis| u128::from(*axis)).product() };
            prop_assert_eq!(u128::from(found.data_bytes), 8 * u128::from(found.gcount) * (u128::from(found.pcount) + product));
        }
    }
}
