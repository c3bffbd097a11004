//! Files that are legal in an unusual way, or not quite legal: each test tells what once went wrong.

use serde_json::json;

use crate::fits::CARD_BYTES;
use crate::fits::hdu::ScanLimits;
use crate::merge::input;
use crate::merge::plan::tests::{ids, in_place};
use crate::merge::testing::{TestHdu, TestMerge, file, source, source_with};

#[test]
fn text_behind_end_is_not_copied_into_the_product() {
    // Some writers leave the rest of their buffer behind END. The header was copied with it, and the product was as
    // illegal as its source (Standard 3.3.1: only spaces follow END), without a word.
    for room in [0, 1, 2, 3, 20] {
        let image = TestHdu::image("A", 10).with_room(room);
        let mut bytes = file(&[TestHdu::primary(), image.clone()]);
        let end = 2880 + image.header().cards().len() * CARD_BYTES;
        let block_end = (end + CARD_BYTES).next_multiple_of(2880);
        bytes[end + CARD_BYTES..block_end].fill(b'x');
        let has_text = end + CARD_BYTES < block_end;
        let merge = TestMerge::of(&[("a", bytes)]);
        assert_eq!(ids(&merge.plan()), if has_text { vec!["IllegalCards:a:1"] } else { vec![] }, "room {room}");
        let product = merge.product();
        assert!(!product.hdu(1)[..product.hdus[1].header.byte_count() as usize].contains(&b'x'), "room {room}");
        assert!(!product.hdus[1].header.has_text_behind_end());
        assert_eq!(&product.data(1)[..10], image.data());
    }
}

#[test]
fn a_describing_keyword_that_an_in_place_target_has_twice_stands_there_once() {
    // Keywords that go through the merge were resolved, those that stay in place were all kept: BUNIT stood in the
    // product twice. The first card is the one that readers see.
    let target = TestHdu::primary_image(10)
        .with("BUNIT   = 'adu     ' / first")
        .with("CRVAL1  =                  1.0")
        .with("BUNIT   = 'electron' / second")
        .with("CRVAL1  =                  2.0");
    let product = in_place(&[], &[("det", file(&[target]))]).product();
    let cards = product.cards(0);
    let of = |name: &str| cards.iter().filter(|card| card.starts_with(name)).cloned().collect::<Vec<_>>();
    assert_eq!(of("BUNIT"), ["BUNIT   = 'adu     ' / first"]);
    assert_eq!(of("CRVAL1"), ["CRVAL1  =                  1.0"]);
}

#[test]
fn a_primary_array_with_groups_is_no_image_extension() {
    // GCOUNT counts in a primary array, as CFITSIO and astropy read it; an IMAGE extension must have GCOUNT = 1. The
    // extension said 1, its data was that of 2, and the product was refused as if its disk were broken.
    let mut bytes = file(&[TestHdu::primary_image(5760).with("GCOUNT  =                    2")]);
    bytes.extend([7; 5760]);
    let members = json!({"primaryData": "asExtension"});
    let merge = TestMerge::with(&[source_with("a", members)], &json!({}), &[("a", bytes)]);
    let plan = merge.plan();
    assert_eq!(ids(&plan), ["UnmergedData:a"]);
    let told = &plan.notices[0].description;
    assert!(told.contains("cannot become an extension") && !told.contains("asExtension"), "{told}");
    assert_eq!(merge.product().hdus.len(), 1);
}

#[test]
fn names_that_differ_only_in_case_collide() {
    // CFITSIO and astropy find `sci` where `SCI` is asked for: two of version 1 were passed as different.
    let files = [("a", file(&[TestHdu::primary(), TestHdu::image("SCI", 10), TestHdu::image("sci", 10)]))];
    assert_eq!(ids(&TestMerge::of(&files).plan()), ["DuplicateExtension:sci,1"]);
    let unique = TestMerge::with(&[source("a")], &json!({"extensionNames": "unique"}), &files).product();
    let versions: Vec<i128> = unique.hdus[1..].iter().map(crate::fits::hdu::Hdu::version).collect();
    assert_eq!(versions, [1, 2]);
}

#[test]
fn the_distortion_of_an_image_goes_with_its_pixels() {
    // SIP polynomials went into the product's primary header, and the extension that got the pixels had a CTYPE
    // ending in -SIP without them: its sky positions were wrong by many pixels.
    let sip = ["A_ORDER =                    2", "A_0_2   =              2.9E-05", "BP_1_0  =              -3.E-06"];
    let image =
        sip.iter().fold(TestHdu::primary_image(10).with("CTYPE1  = 'RA---TAN-SIP'"), |hdu, card| hdu.with(card));
    let files = [("a", file(&[image]))];
    let members = json!({"primaryData": "asExtension"});
    let product = TestMerge::with(&[source_with("a", members)], &json!({}), &files).product();
    for card in sip {
        assert!(product.cards(1).contains(&card.to_owned()), "{card}");
        assert!(!product.cards(0).contains(&card.to_owned()), "{card}");
    }
}

#[test]
fn a_refusal_says_how_many_cards_are_illegal() {
    // Only the first illegal card was told: who mended it was refused again, for the next.
    let mut bytes = file(&[TestHdu::primary(), TestHdu::image("A", 10).with("OBSERVER= 'a'").with("NIGHT   = 'b'")]);
    for (card, byte) in [(7, 0xE9_u8), (8, 0xFF)] {
        bytes[2880 + card * CARD_BYTES + 11] = byte;
    }
    let scanned = input::describe("a", "/data/a.fits".into(), bytes.as_slice(), ScanLimits::default());
    let text = scanned.expect_err("illegal bytes").to_string();
    assert!(text.contains("HDU 1 at byte 2880: card 8") && text.contains("column 12"), "{text}");
    assert!(text.ends_with("(and so 1 more card of this header)"), "{text}");
}

#[test]
fn what_is_illegal_in_a_primary_header_and_left_out_is_told() {
    // Text behind END, SIMPLE or NAXIS twice and a CONTINUE of nobody went away without a word, in sources and targets.
    let twice = TestHdu::primary().with("NAXIS   =                    0").with("SIMPLE  =                    T");
    let orphans = TestHdu::primary().with("CONTINUE  'of nobody'").with("OBJECT  = 'x'").with("CONTINUE  'nor this'");
    let mut behind_end = file(&[TestHdu::primary()]);
    behind_end[2800..2804].copy_from_slice(b"rest");
    let cases = [
        (file(&[TestHdu::primary().with("NAXISX  =                    1")]), ""),
        (behind_end, "text behind END"),
        (file(&[twice]), "has NAXIS, SIMPLE more than once"),
        (file(&[orphans]), "has 2 CONTINUE cards that continue nothing"),
    ];
    for (bytes, expected) in cases {
        for (label, merge) in [("a", TestMerge::of(&[("a", bytes.clone())])), ("det", in_place(&[], &[("det", bytes)]))]
        {
            let plan = merge.plan();
            let told: Vec<(String, &str)> =
                plan.notices.iter().map(|notice| (notice.id.clone(), notice.description.as_str())).collect();
            match (expected, told.as_slice()) {
                ("", []) => {}
                (expected, [(id, text)]) => {
                    assert_eq!(*id, format!("IllegalCards:{label}"));
                    assert!(text.contains("HDU 0 of") && text.contains(expected), "{text}");
                }
                _ => panic!("{expected}: {told:?}"),
            }
            let bytes = merge.product().bytes;
            assert!(!bytes.windows(4).any(|window| window == b"rest" || window == b"CONT"), "{expected}");
        }
    }
}

#[test]
fn an_extension_with_a_mandatory_keyword_twice_is_told() {
    let image = TestHdu::image("A", 10).with("NAXIS1  =                   10").with("PCOUNT  =                    0");
    let plan = TestMerge::of(&[("a", file(&[TestHdu::primary(), image]))]).plan();
    assert_eq!(ids(&plan), ["IllegalCards:a:1"]);
    let told = &plan.notices[0].description;
    assert!(told.contains("has NAXIS1, PCOUNT more than once"), "{told}");
}

#[test]
fn a_keyword_that_the_specification_gives_twice_in_one_source_is_told() {
    // The first won in silence; only --explain told.
    let keyword = |name: &str, value: i32| json!({"type": "valueKeyword", "name": name, "value": value});
    let source = |name: &str, keywords: &[serde_json::Value]| json!({"type": "fitsKeywords", "sourceName": name, "keywords": keywords});
    let note = json!({"type": "literalKeyword", "value": "HISTORY again"});
    let one = source("one", &[keyword("A", 1), note.clone(), keyword("B", 1), note, keyword("A", 2), keyword("A", 3)]);
    let two = source("two", &[keyword("A", 1), keyword("C", 1)]);
    let plan = TestMerge::with(&[one, two], &json!({}), &[]).plan();
    assert_eq!(ids(&plan), ["RepeatedKeyword:one"]);
    let told = &plan.notices[0].description;
    assert!(told.starts_with("source 'one' of the specification gives A more than once"), "{told}");
}
