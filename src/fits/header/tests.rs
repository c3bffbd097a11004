//! Tests of headers: records, faults, room, bytes.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};

use crate::fits::card::{Card, CardFaultKind, Record};
use crate::fits::header::{Header, HeaderError, HeaderReader};
use crate::fits::keyword::{Keyword, KeywordFault};
use crate::fits::value::Value;
use crate::fits::{BLOCK_BYTES, CARD_BYTES};

fn header(lines: &[&str]) -> Header {
    Header::from_cards(lines.iter().map(|line| Card::from_text(line).unwrap()).collect())
}

#[test]
fn continued_strings_are_one_record() {
    #[track_caller]
    fn check(lines: &[&str], expected: &[(Keyword, usize, Option<&str>)]) {
        let records = header(lines).records();
        let found: Vec<(Keyword, usize, Option<String>)> = records
            .iter()
            .map(|record| {
                let text = match record.value() {
                    Ok(Some(Value::String(text))) => Some(text),
                    _ => None,
                };
                (record.keyword.clone(), record.cards.len(), text)
            })
            .collect();
        let expected: Vec<(Keyword, usize, Option<String>)> =
            expected.iter().map(|(keyword, count, text)| (keyword.clone(), *count, text.map(str::to_owned))).collect();
        assert_eq!(found, expected, "{lines:?}");
    }
    let (a, b) = (|| Keyword::value("A"), || Keyword::eso("B C"));
    let orphan = || (Keyword::commentary("CONTINUE"), 1, None);
    check(&["A       = 'one &'", "CONTINUE  'two'"], &[(a(), 2, Some("one two"))]);
    check(&["A       = 'one&  '", "CONTINUE  '&'", "CONTINUE  '  '"], &[(a(), 3, Some("one"))]);
    check(&["HIERARCH ESO B C = 'one&'", "CONTINUE  ' two' / c"], &[(b(), 2, Some("one two"))]);
    // Without CONTINUE the ampersand is text.
    check(&["A       = 'one&'", "HIERARCH ESO B C = 'two'"], &[(a(), 1, Some("one&")), (b(), 1, Some("two"))]);
    check(&["A       = 'one'", "CONTINUE  'two'"], &[(a(), 1, Some("one")), orphan()]);
    check(&["A       = 'one&'", "CONTINUE  two"], &[(a(), 1, Some("one&")), orphan()]);
    check(&["A       = 'a&'", "CONTINUE  'b'", "CONTINUE  'c'"], &[(a(), 2, Some("ab")), orphan()]);
    check(&["CONTINUE  'b&'", "CONTINUE  'c'"], &[orphan(), orphan()]);
    check(&["A       = 'a&&'", "CONTINUE  'b&'"], &[(a(), 2, Some("a&b&"))]);
}

#[test]
fn values_are_found_by_name() {
    let header = header(&[
        "COMMENT NAXIS   = 7",
        "HIERARCH ESO NAXIS = 6",
        "NAXIS   = 5",
        "NAXIS   = 4",
        "TEXT    = 'a&'",
        "CONTINUE  'b'",
        "NONE    =",
        "FLAG    = T",
        "BAD     = x",
    ]);
    assert_eq!(header.integer("NAXIS"), Ok(Some(5)));
    assert_eq!(header.string("TEXT"), Ok(Some("ab".to_owned())));
    assert_eq!(header.logical("FLAG"), Ok(Some(true)));
    assert_eq!(header.integer("NONE"), Ok(None));
    assert_eq!(header.integer("MISSING"), Ok(None));
    assert_eq!(header.position("TEXT"), Some(4));
    let fault = header.integer("TEXT").unwrap_err();
    assert_eq!(fault.to_string(), "card 'TEXT    = 'a&'': the value is string: give it as an integer");
    assert!(header.logical("BAD").is_err());
}

#[test]
fn all_faults_are_reported_with_their_card() {
    let header =
        header(&["A       = 1", "b       = 1", "CONTINUE  'x'", "A       = 'x&'", "CONTINUE  'y'", "A       =1"]);
    let faults: Vec<(usize, CardFaultKind)> =
        header.faults().into_iter().map(|(index, fault)| (index, fault.kind)).collect();
    let expected = [
        (1, KeywordFault::LowerCase { character: 'b' }.into()),
        (2, CardFaultKind::OrphanContinue),
        (5, CardFaultKind::MissingSpace),
    ];
    assert_eq!(faults, expected);
}

#[test]
fn room_and_size_count_end() {
    #[track_caller]
    fn check(cards: usize, blank: usize, spare: usize, blocks: u64) {
        let mut header = Header::new();
        for _ in 0..cards {
            header.push_record(&Record::commentary("COMMENT", "x").unwrap());
        }
        for _ in 0..blank {
            header.push(Card::BLANK);
        }
        assert_eq!((header.spare_cards(), header.block_count()), (spare, blocks), "{cards} + {blank}");
        let bytes = header.to_bytes();
        assert_eq!(bytes.len() as u64, header.byte_count());
        assert_eq!(bytes[(cards + blank) * CARD_BYTES..][..CARD_BYTES], *Card::END.as_bytes());
    }
    check(0, 0, 35, 1);
    check(35, 0, 0, 1);
    check(36, 0, 35, 2);
    check(30, 5, 5, 1);
    check(30, 10, 41, 2);
}

#[test]
fn reader_stops_at_end_and_at_the_limit() {
    let block = |cards: usize| -> [u8; BLOCK_BYTES] {
        let mut bytes = header(&vec!["COMMENT x"; cards]).to_bytes();
        bytes.truncate(BLOCK_BYTES);
        bytes.try_into().unwrap()
    };
    let mut reader = HeaderReader::new(100);
    assert_eq!(reader.feed(&block(36)), Ok(false));
    assert_eq!(reader.feed(&block(2)), Ok(true));
    assert_eq!(reader.feed(&block(36)), Ok(true), "nothing is read behind END");
    assert_eq!(reader.finish().unwrap().cards().len(), 38);
    let mut reader = HeaderReader::new(36);
    assert_eq!(reader.feed(&block(36)), Ok(false));
    assert_eq!(reader.feed(&block(1)), Err(HeaderError::TooLong { limit: 36 }));
    let mut reader = HeaderReader::new(36);
    assert_eq!(reader.feed(&block(36)), Ok(false));
    assert_eq!(reader.feed(&block(0)), Ok(true), "END does not count");
    let mut reader = HeaderReader::new(100);
    assert_eq!(reader.feed(&block(36)), Ok(false));
    assert_eq!(reader.finish(), Err(HeaderError::NoEnd { cards: 36 }));
}

#[test]
fn records_take_linear_time() {
    // 20 000 keywords of which each string asks for a continuation: quadratic grouping would take minutes.
    let mut header = Header::new();
    for _ in 0..10_000 {
        header.push(Card::from_text("A       = 'x&'").unwrap());
        header.push(Card::from_text("CONTINUE  'y&'").unwrap());
    }
    for _ in 0..10_000 {
        header.push(Card::from_text("CONTINUE  'z&'").unwrap());
    }
    let records = header.records();
    assert_eq!(records.len(), 10_000);
    assert_eq!(records[9_999].cards.len(), 10_002);
    assert_eq!(header.faults(), []);
}

fn cards() -> impl Strategy<Value = Card> {
    let text = prop_oneof![
        "[A-Z]{1,8}",
        "[A-Z ]{8}= '[a-z' ]{0,9}&?'",
        "CONTINUE  '[a-z']{0,9}&?'",
        "HIERARCH ESO [A-Z ]{0,9}= [0-9'&]{0,9}",
        "COMMENT [ -~]{0,72}",
        "[ -~]{0,80}",
    ];
    prop_oneof![
        9 => text.prop_map(|text| Card::from_text(&text).unwrap()),
        1 => vec(any::<u8>(), CARD_BYTES).prop_map(|bytes| Card::from_bytes(bytes.try_into().unwrap())),
    ]
}

proptest! {
    #[test]
    fn records_hold_every_card_verbatim(cards in vec(cards(), 0..60)) {
        let header = Header::from_cards(cards.clone());
        let records = header.records();
        let regrouped: Vec<Card> = records.iter().flat_map(|record| record.cards.clone()).collect();
        prop_assert_eq!(regrouped, cards);
        for record in &records {
            let _ = (record.value(), record.comment(), record.keyword.class());
            if record.cards.len() > 1 {
                prop_assert_eq!(matches!(record.value(), Ok(Some(Value::String(_)))), true);
            }
        }
        let _ = (header.faults(), header.get("A"), header.spare_cards());
    }

    #[test]
    fn headers_read_back(cards in vec(cards(), 0..120)) {
        let cards: Vec<Card> = cards.into_iter().filter(|card| !card.is_end()).collect();
        let header = Header::from_cards(cards);
        let bytes = header.to_bytes();
        let mut reader = HeaderReader::new(1000);
        let (blocks, rest) = bytes.as_chunks::<BLOCK_BYTES>();
        prop_assert_eq!(rest.len(), 0);
        for (index, block) in blocks.iter().enumerate() {
            prop_assert_eq!(reader.feed(block).unwrap(), index + 1 == blocks.len());
        }
        prop_assert_eq!(reader.finish().unwrap(), header);
    }
}
