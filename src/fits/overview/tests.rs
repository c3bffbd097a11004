//! What is said of small headers; tests/show.rs compares with astropy.

use crate::fits::card::Card;
use crate::fits::hdu::{ScanLimits, scan};
use crate::fits::header::Header;
use crate::fits::overview::Overview;

/// The line about a file of one HDU.
fn check(cards: &[&str], data_bytes: usize, expected: &str) {
    let cards = cards.iter().map(|text| Card::from_text(text).unwrap()).collect();
    let mut bytes = Header::from_cards(cards).to_bytes();
    bytes.resize((bytes.len() + data_bytes).next_multiple_of(2880), 0);
    let (hdus, _) = scan(bytes.as_slice(), ScanLimits::default()).unwrap();
    let found = Overview::of(&hdus[0]);
    let line =
        format!("{} {} {} {} {} {}", found.name, found.version, found.class, found.cards, found.size, found.format);
    assert_eq!(line.trim_end(), expected);
}

#[test]
fn primary_headers() {
    let start = ["SIMPLE  =                    T", "BITPIX  =                   16"];
    let with = |rest: &[&'static str]| [start.as_slice(), rest].concat();
    check(&with(&["NAXIS   =                    0", "", ""]), 0, "PRIMARY 1 PrimaryHDU 5 ()");
    let line = ["NAXIS   =                    1", "NAXIS1  =                    4"];
    check(&with(&line), 8, "PRIMARY 1 PrimaryHDU 4 (4,) int16");
    check(&with(&[line[0], line[1], "EXTNAME = 'A'"]), 8, "A 1 PrimaryHDU 5 (4,) int16");
    let unsigned = [line[0], line[1], "BZERO   = 32768"];
    check(&with(&unsigned), 8, "PRIMARY 1 PrimaryHDU 5 (4,) int16 (rescales to uint16)");
    let scaled = [line[0], line[1], "BSCALE  = 0.5"];
    check(&with(&scaled), 8, "PRIMARY 1 PrimaryHDU 5 (4,) int16 (rescales to float32)");
    let groups = [
        "NAXIS   =                    2",
        "NAXIS1  =                    0",
        "NAXIS2  =                    3",
        "GROUPS  =                    T",
        "PCOUNT  =                    1",
        "GCOUNT  =                    2",
    ];
    check(&with(&groups), 16, "PRIMARY 1 GroupsHDU 8 (3,) int16   2 Groups  1 Parameters");
}
