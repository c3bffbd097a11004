//! Tests of sums and their text, against values made by astropy and by the Standard's appendix J.

use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use crate::fits::card::{Card, Record};
use crate::fits::checksum::{
    Sum32, ZERO_CHECKSUM, checksum_card, checksum_text, datasum_card, datasum_text, decode, encode, parse_datasum,
};
use crate::fits::header::Header;
use crate::fits::keyword::Keyword;
use crate::fits::value::Value;

/// The definition, word by word.
fn plain(bytes: &[u8]) -> u32 {
    let mut sum = 0_u64;
    for word in bytes.chunks(4) {
        let mut padded = [0; 4];
        padded[..word.len()].copy_from_slice(word);
        sum += u64::from(u32::from_be_bytes(padded));
        sum = (sum & 0xFFFF_FFFF) + (sum >> 32);
    }
    u32::try_from(sum).unwrap()
}

#[test]
fn sums_are_ones_complement() {
    #[track_caller]
    fn check(bytes: &[u8], expected: u32) {
        assert_eq!(Sum32::of(bytes).value(), expected);
        assert_eq!(plain(bytes), expected);
    }
    check(&[], 0);
    check(&[1], 0x0100_0000);
    check(&[0, 0, 0, 1, 2], 0x0200_0001);
    check(&[0xFF; 8], 0xFFFF_FFFF);
    check(&[0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1], 1);
    check(&[0x80, 0, 0, 0, 0x80, 0, 0, 1], 2);
    // All ones through every lane: the largest sums that the lanes must hold.
    check(&[0xFF; 100_000], 0xFFFF_FFFF);
}

#[test]
fn encoding_is_that_of_the_standard() {
    // The example of appendix J.2.
    let sum = Sum32::from_value(868_229_149);
    assert_eq!(encode(sum, true), "hcHjjc9ghcEghc9g");
    assert_eq!(decode("hcHjjc9ghcEghc9g"), Some(sum.complement()));
    assert_eq!(encode(Sum32::from_value(0), false), ZERO_CHECKSUM);
    assert_eq!(encode(Sum32::from_value(u32::MAX), true), ZERO_CHECKSUM);
    for byte in 0..=u8::MAX {
        let text = encode(Sum32::from_value(u32::from_be_bytes([byte; 4])), false);
        assert!(text.bytes().all(|character| character.is_ascii_alphanumeric()), "{byte}: {text}");
        assert_eq!(decode(&text), Some(Sum32::from_value(u32::from_be_bytes([byte; 4]))));
    }
    for text in ["", "0", "000000000000000/", "00000000000000000", "é00000000000000"] {
        assert_eq!(decode(text), None, "{text}");
    }
}

#[test]
fn datasum_text_is_decimal() {
    assert_eq!(datasum_text(Sum32::from_value(u32::MAX)), "4294967295");
    assert_eq!(parse_datasum("4294967295 "), Some(Sum32::from_value(u32::MAX)));
    for text in ["", "4294967296", "-1", "+1", "1.0"] {
        assert_eq!(parse_datasum(text), None, "{text}");
    }
}

#[test]
fn cards_have_fixed_columns() {
    let card = datasum_card(Sum32::from_value(5), "data unit checksum");
    assert_eq!(card.text(), "DATASUM = '5       '           / data unit checksum");
    let card = checksum_card(ZERO_CHECKSUM, "");
    assert_eq!(card.text(), "CHECKSUM= '0000000000000000'");
    assert_eq!(checksum_card("x", &"é\n".repeat(99)).fault(), None);
    assert_eq!(checksum_card(&"0".repeat(99), "").fault(), None);
}

#[test]
fn a_whole_hdu_sums_to_minus_zero() {
    let data: Vec<u8> = (0..2880_u32).map(|index| (index % 251) as u8).collect();
    let datasum = Sum32::of(&data);
    let header = |text: &str| {
        let mut header = Header::new();
        header.push_record(&Record::new(Keyword::value("SIMPLE"), &Value::Logical(true), None).unwrap());
        header.push(checksum_card(text, "HDU checksum"));
        header.push(datasum_card(datasum, "data unit checksum"));
        header.push(Card::BLANK);
        header.to_bytes()
    };
    let text = checksum_text(&header(ZERO_CHECKSUM), datasum);
    let sum = Sum32::of(&header(&text)).add(datasum);
    assert_eq!(sum.value(), u32::MAX);
    assert!(sum.is_zero());
    assert_eq!(decode(&text), Some(Sum32::of(&header(ZERO_CHECKSUM)).add(datasum).complement()));
}

proptest! {
    #[test]
    fn fast_sum_is_the_plain_sum(bytes in proptest::collection::vec(any::<u8>(), 0..20_000)) {
        prop_assert_eq!(Sum32::of(&bytes).value(), plain(&bytes));
    }

    #[test]
    fn pieces_add_up(bytes in proptest::collection::vec(any::<u8>(), 0..2000), cut in 0_usize..500) {
        let cut = (4 * cut).min(bytes.len() / 4 * 4);
        let (front, back) = bytes.split_at(cut);
        prop_assert_eq!(Sum32::of(front).add(Sum32::of(back)), Sum32::of(&bytes));
    }

    #[test]
    fn add_is_associative_and_commutative(a in any::<u32>(), b in any::<u32>(), c in any::<u32>()) {
        let [a, b, c] = [a, b, c].map(Sum32::from_value);
        prop_assert_eq!(a.add(b).add(c), a.add(b.add(c)));
        prop_assert_eq!(a.add(b), b.add(a));
        prop_assert_eq!(a.add(Sum32::default()), a);
        prop_assert!(a.add(a.complement()).is_zero());
    }

    #[test]
    fn encoded_sums_read_back(value in any::<u32>(), text in "[ -~]{16}") {
        let sum = Sum32::from_value(value);
        let encoded = encode(sum, false);
        prop_assert!(encoded.bytes().all(|character| character.is_ascii_alphanumeric()));
        prop_assert_eq!(decode(&encoded), Some(sum));
        prop_assert_eq!(decode(&encode(sum, true)), Some(sum.complement()));
        let _ = decode(&text);
    }
}
