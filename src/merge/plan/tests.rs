//! Plans of files in memory; where bytes matter, the product that they give.

mod irregular;
mod random;

use serde_json::{Value as Json, json};

use crate::fits::hdu::HduKind;
use crate::fits::{BLOCK_BYTES, CARDS_PER_BLOCK};
use crate::merge::plan::{HeaderPlan, MergePlan, PlanErrorKind};
use crate::merge::testing::{TestHdu, TestMerge, file, pixels, source, source_with};

fn ids(plan: &MergePlan) -> Vec<&str> {
    plan.notices.iter().map(|notice| notice.id.as_str()).collect()
}

fn names(plan: &MergePlan) -> Vec<&str> {
    plan.hdus.iter().map(|hdu| hdu.name.as_str()).collect()
}

/// A specification of one in-place target, then `sources`.
fn in_place(sources: &[Json], files: &[(&str, Vec<u8>)]) -> TestMerge {
    TestMerge::with(sources, &json!({"source": source("det")}), files)
}

#[test]
fn a_new_file_of_nothing() {
    let product = TestMerge::of(&[]).product();
    assert_eq!(
        product.cards(0),
        [
            "SIMPLE  =                    T / conforms to the FITS Standard",
            "BITPIX  =                    8 / no data in this HDU",
            "NAXIS   =                    0 / no data in this HDU",
            "EXTEND  =                    T / extensions may follow",
            "DATE    = '2031-02-03T04:05:06' / UTC time at which this file was written",
            "ORIGFILE= 'P_F.fits'           / original file name",
            "ARCFILE = 'F.fits  '           / archive file name",
        ]
    );
    assert_eq!((product.hdus.len(), product.bytes.len()), (1, BLOCK_BYTES));
}

#[test]
fn a_new_file_has_the_extensions_in_order_and_the_keywords_of_the_first() {
    let a = [
        TestHdu::primary().with("OBJECT  = 'first'").with("HIERARCH ESO DET ID = 7"),
        TestHdu::image("A1", 5000).sealed(),
        TestHdu::image("A2", 2880),
    ];
    let b = [TestHdu::primary().with("OBJECT  = 'second'").with("RA      = 1.5"), TestHdu::ascii_table("B1", 100)];
    let keywords = json!({"type": "fitsKeywords", "sourceName": "k", "keywords": [
        {"type": "valueKeyword", "name": "AIRMASS", "value": 1.25}]});
    let merge = TestMerge::with(&[keywords, source("a"), source("b")], &json!({}), &[("a", file(&a)), ("b", file(&b))]);
    let plan = merge.plan();
    assert_eq!(names(&plan), ["", "A1", "A2", "B1"]);
    let beaten: Vec<_> =
        plan.keywords.iter().map(|k| (k.keyword.as_str(), k.winner.as_str(), k.beaten.len())).collect();
    assert_eq!(beaten, [("AIRMASS", "k", 0), ("OBJECT", "a", 1), ("RA", "b", 0), ("HIERARCH ESO DET ID", "a", 0)]);
    let product = merge.product();
    assert_eq!(
        product.cards(0)[7..].to_vec(),
        ["AIRMASS =                 1.25", "OBJECT  = 'first'", "RA      = 1.5", "HIERARCH ESO DET ID = 7",]
    );
    // It was sealed: every byte is as it was.
    assert_eq!(product.hdu(1), a[1].bytes());
    for (index, source) in [(1, &a[1]), (2, &a[2]), (3, &b[1])] {
        assert_eq!(&product.data(index)[..source.data().len()], source.data());
        assert!(
            product.cards(index).iter().eq(source
                .header()
                .cards()
                .iter()
                .map(|card| card.text())
                .collect::<Vec<_>>()
                .iter())
        );
    }
    assert_eq!(ids(&plan), [""; 0]);
}

#[test]
fn what_describes_another_hdu_never_leaks_by_default() {
    let core = [
        "EXTEND  =                    F",
        "BSCALE  =                  2.0",
        "BZERO   =                  3.0",
        "BLANK   =                    4",
        "BUNIT   = 'adu     '",
        "DATAMIN =                  0.0",
        "CTYPE1  = 'RA---TAN'",
        "CRVAL1  =                  1.0",
        "CD1_1   =                  1.0",
        "INHERIT =                    T",
        "EXTNAME = 'primary '",
        "CHECKSUM= 'abcdefghijklmnop'",
        "DATASUM = '17      '",
        "DATE    = '2000-01-01'",
        "ORIGFILE= 'mine    '",
        "ARCFILE = 'mine    '",
    ];
    let primary = core.iter().fold(TestHdu::primary_image(10), |hdu, card| hdu.with(card)).with("OBJECT  = 'x'");
    for members in [
        json!({}),
        json!({"keywordRules": [
        {"type": "filter", "selectionPatterns": ["+v OBJECT"]}]}),
    ] {
        let merge =
            TestMerge::with(&[source_with("a", members)], &json!({}), &[("a", file(std::slice::from_ref(&primary)))]);
        assert_eq!(
            merge.product().keywords(0),
            ["SIMPLE", "BITPIX", "NAXIS", "EXTEND", "DATE", "ORIGFILE", "ARCFILE", "OBJECT", "CHECKSUM", "DATASUM"]
        );
    }
}

#[test]
fn structure_never_comes_from_a_source() {
    let primary = TestHdu::primary_image(10).with("OBJECT  = 'x'");
    let rules = json!({"keywordRules": [{"type": "filter", "selectionPatterns": ["+vec *"]}]});
    let merge = TestMerge::with(&[source_with("a", rules)], &json!({}), &[("a", file(&[primary]))]);
    assert_eq!(merge.product().cards(0)[..4], TestMerge::of(&[]).product().cards(0)[..4]);
}

#[test]
fn an_in_place_target_keeps_what_describes_its_pixels() {
    let det = TestHdu::primary_image(7000)
        .with("EXTEND  =                    F / old")
        .with("OBJECT  = 'target'")
        .with("BZERO   =              32768.0 / offset")
        .with("BSCALE  =                  1.0")
        .with("CTYPE1  = 'LINEAR'")
        .with("DATE    = '2000-01-01'")
        .with("HISTORY of the target");
    let env = TestHdu::primary().with("OBJECT  = 'env'").with("HUMIDITY=                   12");
    let files =
        [("det", file(&[det.clone(), TestHdu::image("D1", 10)])), ("env", file(&[env, TestHdu::image("E1", 10)]))];
    let merge = in_place(&[source("env")], &files);
    let product = merge.product();
    assert_eq!(
        product.cards(0),
        [
            "SIMPLE  =                    T",
            "BITPIX  =                    8",
            "NAXIS   =                    1",
            "NAXIS1  =                 7000",
            "EXTEND  =                    T / extensions may follow",
            "BZERO   =              32768.0 / offset",
            "BSCALE  =                  1.0",
            "CTYPE1  = 'LINEAR'",
            "DATE    = '2031-02-03T04:05:06' / UTC time at which this file was written",
            "ORIGFILE= 'P_F.fits'           / original file name",
            "ARCFILE = 'F.fits  '           / archive file name",
            "OBJECT  = 'env'",
            "HUMIDITY=                   12",
            "HISTORY of the target",
        ]
    );
    assert_eq!(&product.data(0)[..7000], det.data());
    assert_eq!(product.hdus.iter().filter_map(|hdu| hdu.name()).collect::<Vec<_>>(), ["D1", "E1"]);
}

/// A target that had no BZERO of its own got the one of a source, which moved the value of each of its pixels.
#[test]
fn no_source_changes_the_pixels_of_an_in_place_target() {
    let scaling =
        ["BZERO   =              32768.0", "BSCALE  =                  2.0", "BLANK   =                    7"];
    let env = scaling.iter().fold(TestHdu::primary_image(10), |hdu, card| hdu.with(card)).with("BUNIT   = 'adu     '");
    let rules = json!({"alertUnmergeable": false, "keywordRules": [{"type": "filter", "selectionPatterns": ["+v *"]}]});
    let check = |det: TestHdu, expected: &[&str]| {
        let merge = in_place(
            &[source_with("env", rules.clone())],
            &[("det", file(&[det])), ("env", file(std::slice::from_ref(&env)))],
        );
        let mut keywords = merge.product().keywords(0);
        keywords.retain(|keyword| ["BZERO", "BSCALE", "BLANK", "BUNIT"].contains(&keyword.as_str()));
        assert_eq!(keywords, expected);
    };
    check(TestHdu::primary_image(10), &["BUNIT"]);
    check(TestHdu::primary_image(10).with("BZERO   =                  1.0"), &["BZERO", "BUNIT"]);
    check(TestHdu::primary(), &["BZERO", "BSCALE", "BLANK", "BUNIT"]);
    let keywords = json!({"type": "fitsKeywords", "sourceName": "k", "keywords": [
        {"type": "valueKeyword", "name": "BZERO", "value": 5.0}]});
    let merge = in_place(&[keywords], &[("det", file(&[TestHdu::primary_image(10)]))]);
    assert!(!merge.product().keywords(0).contains(&"BZERO".to_owned()));
}

#[test]
fn an_in_place_header_is_never_smaller_and_ends_in_its_last_block() {
    let roomy = TestHdu::primary().with_spare(3 * CARDS_PER_BLOCK);
    let before = roomy.header().byte_count();
    let merge = in_place(&[], &[("det", file(&[roomy, TestHdu::image("D1", 10)]))]);
    let plan = merge.plan();
    assert_eq!((plan.hdus[0].header_bytes, ids(&plan).len()), (before, 0));
    let product = merge.product();
    let header = &product.hdus[0].header;
    assert_eq!(header.block_count() * BLOCK_BYTES as u64, before);
    assert_eq!(header.cards().len() + 1, header.block_count() as usize * CARDS_PER_BLOCK);
    assert!(header.cards().iter().rev().take(2 * CARDS_PER_BLOCK).all(|card| card.is_blank()));
}

#[test]
fn an_in_place_header_that_grows_says_how_much_room_was_missing() {
    let env = TestHdu::primary().with_filler(CARDS_PER_BLOCK);
    let merge = in_place(&[source("env")], &[("det", file(&[TestHdu::primary()])), ("env", file(&[env]))]);
    let plan = merge.plan();
    assert_eq!(ids(&plan), ["PrimaryHduResized"]);
    let description = &plan.notices[0].description;
    assert!(description.contains("from 2880 to 5760 bytes: reserve 36 more"), "{description}");
}

#[test]
fn sums_go_into_their_cards_or_into_free_ones() {
    // (HDU, blocks of its header in the product)
    let cases = [
        (TestHdu::image("A", 10), 1),
        (TestHdu::image("A", 10).sealed(), 1),
        (TestHdu::image("A", 10).with_spare(5), 1),
        (TestHdu::image("A", 10).with_room(2), 1),
        (TestHdu::image("A", 10).with_room(1), 2),
        (TestHdu::image("A", 10).with_room(0), 2),
        (TestHdu::image("A", 10).with_room(10).with_spare(10), 1),
        (TestHdu::image("A", 10).with("DATASUM = '0       '").with_room(1), 1),
        (TestHdu::image("A", 10).with("DATASUM = '0       '").with_room(0), 2),
        (TestHdu::image("A", 10).with("DATASUM =                   17 / no string").with_room(1), 1),
        (TestHdu::image("A", 10).with("CHECKSUM= 'none    '").with("HISTORY behind it"), 1),
        (TestHdu::image("", 0), 1),
    ];
    for (hdu, blocks) in cases {
        let mut own: Vec<String> = hdu.header().cards().iter().map(|card| card.text().trim_end().to_owned()).collect();
        own.retain(|card| !card.is_empty() && !card.starts_with("DATASUM") && !card.starts_with("CHECKSUM"));
        let product = TestMerge::of(&[("a", file(&[TestHdu::primary(), hdu.clone()]))]).product();
        assert_eq!(product.hdus[1].header.block_count(), blocks, "{own:?}");
        assert_eq!(product.cards(1), own);
        assert_eq!(&product.data(1)[..hdu.data().len()], hdu.data());
    }
}

#[test]
fn an_extension_with_several_sums_keeps_one_of_each_and_is_told() {
    let hdu = TestHdu::image("A", 10)
        .sealed()
        .with("DATASUM = '4711    '")
        .with("KEPT    =                    1")
        .with("CHECKSUM= '0123456789abcdef'");
    let merge = TestMerge::of(&[("a", file(&[TestHdu::primary(), hdu.clone()]))]);
    assert_eq!(ids(&merge.plan()), ["IllegalCards:a:1"]);
    let product = merge.product();
    let header = &product.hdus[1].header;
    for name in ["DATASUM ", "CHECKSUM"] {
        let count = header.cards().iter().filter(|card| card.as_bytes().starts_with(name.as_bytes())).count();
        assert_eq!(count, 1, "{name}: {:?}", product.cards(1));
    }
    assert!(product.cards(1).contains(&"KEPT    =                    1".to_owned()), "{:?}", product.cards(1));
    // The seal is two cards more.
    assert_eq!(header.cards().len(), hdu.header().cards().len() + 2);
}

#[test]
fn extensions_of_one_name_are_told_once_or_numbered() {
    let hdu = |name: &str, version: Option<i64>| match version {
        Some(version) => TestHdu::image(name, 10).with(&format!("EXTVER  = {version:>20}")),
        None => TestHdu::image(name, 10),
    };
    let one = [TestHdu::primary(), hdu("A", None), hdu("B", Some(3)), hdu("A", None), hdu("", None), hdu("", None)];
    let two = [TestHdu::primary(), hdu("A", Some(1)), hdu("A", Some(2)), hdu("B", Some(3)), hdu("A", Some(1)).sealed()];
    let files = [("one", file(&one)), ("two", file(&two))];
    let plan = TestMerge::of(&files).plan();
    assert_eq!(ids(&plan), ["DuplicateExtension:A,1", "DuplicateExtension:B,3"]);
    let unique = TestMerge::with(&[source("one"), source("two")], &json!({"extensionNames": "unique"}), &files);
    assert_eq!(ids(&unique.plan()), [""; 0]);
    let product = unique.product();
    let found: Vec<(String, i128)> = product.hdus.iter().filter_map(|hdu| Some((hdu.name()?, hdu.version()))).collect();
    let expected = [("A", 1), ("B", 3), ("A", 2), ("A", 3), ("A", 4), ("B", 4), ("A", 5)];
    assert_eq!(found, expected.map(|(name, version)| (name.to_owned(), version)));
}

#[test]
fn a_raised_version_finds_room_in_a_full_header() {
    for spare in 0..5 {
        let full = TestHdu::image("A", 10).with_room(spare);
        let files = [("a", file(&[TestHdu::primary(), full.clone(), full.clone()]))];
        let product = TestMerge::with(&[source("a")], &json!({"extensionNames": "unique"}), &files).product();
        assert_eq!(product.hdus[2].version(), 2, "{spare}");
        assert_eq!(product.hdus[2].header.block_count(), if spare < 3 { 2 } else { 1 }, "{spare}");
    }
}

#[test]
fn primary_pixels_as_an_extension() {
    let det = TestHdu::primary_image(5000)
        .with("EXTEND  =                    T")
        .with("BSCALE  =                  2.0")
        .with("BZERO   =              32768.0")
        .with("BUNIT   = 'adu     '")
        .with("CTYPE1  = 'RA---TAN'")
        .with("RADESYS = 'FK5     '")
        .with("EQUINOX =               2000.0")
        .with("EXTNAME = 'mine    '")
        .with("OBJECT  = 'x'")
        .with("HISTORY of it")
        .sealed();
    let members = json!({"primaryData": "asExtension"});
    let files = [("guide camera", file(&[det.clone(), TestHdu::image("guide camera", 10)]))];
    let merge = TestMerge::with(&[source_with("guide camera", members)], &json!({}), &files);
    let product = merge.product();
    assert_eq!(
        product.cards(1),
        [
            "XTENSION= 'IMAGE   '           / image extension",
            "BITPIX  =                    8 / bits of a pixel",
            "NAXIS   =                    1 / number of axes",
            "NAXIS1  =                 5000 / length of the axis",
            "PCOUNT  =                    0 / no bytes besides the pixels",
            "GCOUNT  =                    1 / one group",
            "EXTNAME = 'guide camera'       / source of these pixels",
            "EXTVER  =                    1",
            "BSCALE  =                  2.0",
            "BZERO   =              32768.0",
            "BUNIT   = 'adu     '",
            "CTYPE1  = 'RA---TAN'",
            "RADESYS = 'FK5     '",
            "EQUINOX =               2000.0",
        ]
    );
    assert_eq!(&product.data(1)[..5000], det.data());
    assert!(product.keywords(0).contains(&"OBJECT".to_owned()));
    assert_eq!(product.notices, ["DuplicateExtension:guide camera,1"]);
}

#[test]
fn pixels_that_are_not_merged_raise_an_alert_unless_told_otherwise() {
    let images = || file(&[TestHdu::primary_image(10)]);
    let groups = || file(&[TestHdu::random_groups(10)]);
    let check = |members: Json, bytes: Vec<u8>, hdus: usize, expected: &[&str]| {
        let plan = TestMerge::with(&[source_with("a", members.clone())], &json!({}), &[("a", bytes)]).plan();
        assert_eq!((plan.hdus.len(), ids(&plan).as_slice()), (hdus, expected), "{members}");
    };
    check(json!({}), images(), 1, &["UnmergedData:a"]);
    check(json!({"alertUnmergeable": false}), images(), 1, &[]);
    check(json!({"primaryData": "ignore"}), images(), 1, &[]);
    check(json!({"primaryData": "asExtension"}), images(), 2, &[]);
    // Random groups are no image.
    check(json!({"primaryData": "asExtension"}), groups(), 1, &["UnmergedData:a"]);
    check(json!({}), file(&[TestHdu::primary()]), 1, &[]);
}

#[test]
fn random_groups_stay_in_place() {
    let groups = TestHdu::random_groups(1000).with("PSCAL1  =                  1.0");
    let merge = in_place(&[], &[("det", file(std::slice::from_ref(&groups)))]);
    assert_eq!(merge.plan().hdus[0].kind, HduKind::RandomGroups);
    let product = merge.product();
    assert_eq!(
        product.keywords(0)[..8],
        ["SIMPLE", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "GROUPS", "PCOUNT", "GCOUNT"]
    );
    assert_eq!(&product.data(0)[..4000], groups.data());
}

#[test]
fn missing_padding_is_added() {
    let check = |hdus: &[TestHdu], fill: u8| {
        let mut bytes = file(hdus);
        let last = hdus.last().expect("an HDU");
        let whole = bytes.len();
        let padding = last.data().len().next_multiple_of(BLOCK_BYTES) - last.data().len();
        for missing in [1, padding / 2, padding] {
            bytes.truncate(whole - missing);
            let product = in_place(&[], &[("det", bytes.clone())]).product();
            assert_eq!(product.notices, ["IrregularFile:det"]);
            let data = product.data(hdus.len() - 1);
            assert_eq!((data.len() % BLOCK_BYTES, &data[..last.data().len()]), (0, last.data()));
            assert!(data[last.data().len()..].iter().all(|byte| *byte == fill));
        }
    };
    for size in [3, 1001, 1_500_001] {
        check(&[TestHdu::primary(), TestHdu::ascii_table("T", size)], b' ');
        check(&[TestHdu::primary(), TestHdu::image("T", size)], 0);
        check(&[TestHdu::primary_image(size)], 0);
    }
}

#[test]
fn bytes_behind_the_last_hdu_are_told_and_left_out() {
    let mut bytes = file(&[TestHdu::primary(), TestHdu::image("A", 10)]);
    bytes.extend_from_slice(b"special records");
    let merge = TestMerge::of(&[("a", bytes.clone()), ("a", bytes)]);
    assert_eq!(ids(&merge.plan()), ["IrregularFile:a", "DuplicateExtension:A,1", "IrregularFile:a#2"]);
    assert_eq!(merge.product().hdus.len(), 3);
}

/// They were written without a word into a product that `dpm verify` then found faulty.
#[test]
fn values_that_nobody_can_read_are_told() {
    let bytes = file(&[TestHdu::primary().with("OBJECT  = 'x'").with("WRONG   = 1.2.3").with("OPEN    = 'no end")]);
    let plan = TestMerge::of(&[("a", bytes.clone())]).plan();
    assert_eq!(ids(&plan), ["IllegalCards:a"]);
    assert!(plan.notices[0].description.contains("2 cards"), "{}", plan.notices[0].description);
    let rules = json!({"keywordRules": [{"type": "filter", "selectionPatterns": ["+v OBJECT"]}]});
    let plan = TestMerge::with(&[source_with("a", rules)], &json!({}), &[("a", bytes)]).plan();
    assert_eq!(ids(&plan), [""; 0], "what is not copied does not matter");
}

/// An in-place target's were not told at all, and those that another source replaces were.
#[test]
fn illegal_cards_are_told_of_those_that_the_product_has() {
    let bad = TestHdu::primary().with("WRONG   = 1.2.3").with("BUNIT   = 'no end").with("ORIGFILE= x");
    let (bad, good) = (file(&[bad]), file(&[TestHdu::primary().with("WRONG   = 1")]));
    let target = json!({"source": source("det")});
    let alone = TestMerge::with(&[], &target, &[("det", bad.clone())]).plan();
    assert_eq!(ids(&alone), ["IllegalCards:det"]);
    let told = &alone.notices[0].description;
    assert!(told.contains("2 cards are neither") && told.ends_with(": mend the source"), "{told}");
    let sources = [source("a"), source("b")];
    let beaten = TestMerge::with(&sources, &json!({}), &[("a", good), ("b", bad)]).plan();
    assert_eq!(ids(&beaten), [""; 0], "the first source replaces one, and what describes an HDU is not copied");
}

/// Each of 20 000 notices went into the status, which is written and published with each of them.
#[test]
fn notices_have_a_limit() {
    let extensions = (0..600).map(|index| TestHdu::image(&format!("N{}", index % 300), 0));
    let hdus: Vec<TestHdu> = std::iter::once(TestHdu::primary()).chain(extensions).collect();
    let plan = TestMerge::of(&[("a", file(&hdus))]).plan();
    assert!(plan.notices.len() < 300, "{}", plan.notices.len());
    let last = plan.notices.last().expect("a notice");
    assert_eq!(last.id, "FurtherNotices:plan");
    let told = plan.notices.len() - 1;
    assert!(last.description.contains(&format!("{} more", 300 - told)), "{}", last.description);
}

#[test]
fn rules_that_make_no_keyword_are_an_error_with_its_source() {
    let rules = json!({"keywordRules": [
        {"type": "transform", "selectionPatterns": ["+v OBJECT"], "regex": "OBJECT", "format": "TOO LONG NAME"}]});
    let bytes = file(&[TestHdu::primary().with("OBJECT  = 'x'")]);
    let error =
        TestMerge::with(&[source_with("a", rules)], &json!({}), &[("a", bytes)]).try_plan().expect_err("illegal");
    assert_eq!(error.label, "a");
    assert!(matches!(error.kind, PlanErrorKind::KeywordRules(_)));
}

#[test]
fn long_strings_and_foreign_trees_pass_whole() {
    let long = "v".repeat(60);
    let primary = TestHdu::primary()
        .with(&format!("LONGSTR = '{long}&'"))
        .with("CONTINUE  'the end' / comment")
        .with("CONTINUE  'of nobody'")
        .with("HIERARCH FOO BAR = 3 / another tree");
    let product = TestMerge::of(&[("a", file(&[primary]))]).product();
    let text = product.hdus[0].header.string("LONGSTR").expect("readable").expect("there");
    assert_eq!(text, format!("{long}the end"));
    assert_eq!(product.cards(0)[7..].len(), 3, "{:?}", product.cards(0));
}

#[test]
fn a_plan_copies_headers_of_extensions_by_reference() {
    let bytes = file(&[TestHdu::primary(), TestHdu::image("A", 10).with_data(pixels(10)).sealed()]);
    let plan = TestMerge::of(&[("a", bytes)]).plan();
    let HeaderPlan::Patched { edits, bytes, .. } = &plan.hdus[1].header else { panic!("{:?}", plan.hdus[1]) };
    assert_eq!((edits.len(), *bytes), (0, 2880));
    assert!(plan.hdus[1].recorded_datasum.is_some());
}
