//! Random files and specifications: the product against a naive model of it.

use std::collections::BTreeMap;

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use serde_json::{Value as Json, json};

use crate::fits::CARDS_PER_BLOCK;
use crate::merge::testing::{TestHdu, TestMerge, file, source_with};

/// A random HDU, and the cards of it that must be in the product.
#[derive(Clone, Debug)]
struct Extension {
    hdu: TestHdu,
    cards: Vec<String>,
}

fn extensions() -> impl Strategy<Value = Extension> {
    let size = prop_oneof![Just(0), 1..100_usize, 2879..2882_usize, 100_000..100_010_usize, Just(1_200_000)];
    let name = prop_oneof![Just(""), Just("A"), Just("B"), Just("LONG NAME")];
    (size, name, any::<bool>(), any::<bool>(), 0..2 * CARDS_PER_BLOCK, 0..40_usize).prop_map(
        |(size, name, is_table, is_sealed, filler, spare)| {
            let hdu = if is_table { TestHdu::ascii_table(name, size) } else { TestHdu::image(name, size) };
            let hdu = hdu.with_filler(filler);
            let cards = hdu.header().cards().iter().map(|card| card.text().trim_end().to_owned()).collect();
            let hdu = hdu.with_spare(spare);
            Extension { hdu: if is_sealed { hdu.sealed() } else { hdu }, cards }
        },
    )
}

#[derive(Clone, Debug)]
struct Source {
    pixels: usize,
    /// Names as numbers, so that they collide between sources.
    keywords: Vec<(u8, i32)>,
    extensions: Vec<Extension>,
    as_extension: bool,
}

fn sources() -> impl Strategy<Value = Source> {
    let pixels = prop_oneof![Just(0), Just(10), Just(2880), Just(1_100_000)];
    let keywords = proptest::collection::vec((0..30_u8, any::<i32>()), 0..50);
    (pixels, keywords, proptest::collection::vec(extensions(), 0..4), any::<bool>())
        .prop_map(|(pixels, keywords, extensions, as_extension)| Source { pixels, keywords, extensions, as_extension })
}

impl Source {
    fn primary(&self) -> TestHdu {
        let start = if self.pixels == 0 { TestHdu::primary() } else { TestHdu::primary_image(self.pixels) };
        self.keywords.iter().fold(start, |hdu, (name, value)| hdu.with(&card(*name, *value)))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut hdus = vec![self.primary()];
        hdus.extend(self.extensions.iter().map(|extension| extension.hdu.clone()));
        file(&hdus)
    }
}

/// Value and ESO keywords, some that describe pixels, some commentary.
fn card(name: u8, value: i32) -> String {
    match name {
        0..10 => format!("KEY{name:<5}= {value:>20}"),
        10..20 => format!("HIERARCH ESO DET ID{name} = {value}"),
        20..25 => format!("HIERARCH ESO ZZ ID{name} = {value}"),
        25..27 => format!("CRVAL{}  = {value:>20}", name - 24),
        _ => format!("COMMENT {name} {value}"),
    }
}

/// Value cards by name, and commentary in order.
fn sorted(cards: impl Iterator<Item = String>) -> (BTreeMap<String, String>, Vec<String>) {
    let (mut values, mut comments) = (BTreeMap::new(), Vec::new());
    for text in cards {
        match text.split_once('=') {
            // The first one counts.
            Some((name, value)) => drop(values.entry(name.trim().to_owned()).or_insert(value.trim().to_owned())),
            None => comments.push(text),
        }
    }
    (values, comments)
}

/// What the primary header must have behind the merger's own cards; the target's own have the lowest priority.
fn expected(sources: &[Source], has_target: bool) -> (BTreeMap<String, String>, Vec<String>) {
    let mut order: Vec<&Source> = sources.iter().collect();
    if has_target {
        order.rotate_left(1);
    }
    let offered = order.iter().flat_map(|source| &source.keywords).filter(|(name, _)| !(25..27).contains(name));
    sorted(offered.map(|(name, value)| card(*name, *value)))
}

fn merge(sources: &[Source], has_target: bool) -> TestMerge {
    let label = |index: usize| format!("s{index}");
    let specified = |index: usize| {
        let kind = if sources[index].as_extension { "asExtension" } else { "alert" };
        source_with(&label(index), json!({"primaryData": kind}))
    };
    let listed: Vec<Json> = (usize::from(has_target)..sources.len()).map(specified).collect();
    let target = if has_target { json!({"source": source_with("s0", json!({}))}) } else { json!({}) };
    let labels: Vec<String> = (0..sources.len()).map(label).collect();
    let files: Vec<(&str, Vec<u8>)> =
        labels.iter().zip(sources).map(|(label, source)| (label.as_str(), source.bytes())).collect();
    TestMerge::with(&listed, &target, &files)
}

fn check(sources: &[Source], has_target: bool) {
    let merge = merge(sources, has_target);
    merge.plan();
    let product = merge.product();
    let mut index = 1;
    for (number, source) in sources.iter().enumerate() {
        if has_target && number == 0 {
            assert!(&product.data(0)[..source.pixels] == source.primary().data());
        } else if source.as_extension && source.pixels > 0 {
            assert_eq!(product.hdus[index].name(), Some(format!("s{number}")));
            assert!(&product.data(index)[..source.pixels] == source.primary().data());
            index += 1;
        }
        for extension in &source.extensions {
            assert_eq!(product.cards(index), extension.cards);
            let bytes = extension.hdu.bytes();
            let data = &bytes[bytes.len() - product.data(index).len()..];
            assert!(product.data(index) == data, "data of HDU {index}");
            index += 1;
        }
    }
    assert_eq!(product.hdus.len(), index);

    let is_offered = |text: &String| ["KEY", "HIERARCH", "COMMENT"].iter().any(|start| text.starts_with(start));
    let cards: Vec<String> = product.cards(0).into_iter().filter(is_offered).collect();
    let (values, comments) = sorted(cards.iter().cloned());
    assert_eq!(cards.len(), values.len() + comments.len(), "a keyword stands there twice");
    assert_eq!((values, comments), expected(sources, has_target));
    let world = |cards: Vec<String>| cards.into_iter().filter(|text| text.starts_with("CRVAL")).collect::<Vec<_>>();
    let mut own = if has_target { sources[0].keywords.clone() } else { vec![] };
    let mut seen = Vec::new();
    own.retain(|(name, _)| {
        !seen.contains(name) && {
            seen.push(*name);
            true
        }
    });
    assert_eq!(world(product.cards(0)), world(own.iter().map(|(name, value)| card(*name, *value)).collect()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_product_is_what_a_naive_model_says(
        sources in proptest::collection::vec(sources(), 0..4),
        has_target in any::<bool>(),
    ) {
        check(&sources, has_target && !sources.is_empty());
    }
}
