//! Tables made byte by byte: every TFORM letter, heaps with gaps, cells of no size.

use crate::common::fits::Random;
use crate::raw::{RawHdu, fixed, text};

/// Bytes of an element of a binary table's column (Standard table 18).
fn element_bytes(letter: char) -> usize {
    match letter {
        'L' | 'B' | 'A' => 1,
        'I' => 2,
        'J' | 'E' => 4,
        'K' | 'D' | 'C' => 8,
        _ => 16,
    }
}

/// `count` elements of a column.
fn elements(random: &mut Random, letter: char, count: usize) -> Vec<u8> {
    match letter {
        'L' => (0..count).map(|_| b"TF\0"[random.below(3) as usize]).collect(),
        'A' => (0..count).map(|_| b' ' + random.below(95) as u8).collect(),
        'X' => {
            let mut bytes = random.bytes(count.div_ceil(8));
            if !count.is_multiple_of(8) {
                // Bits behind the last one are zero.
                *bytes.last_mut().expect("at least a bit") &= 0xFF << (8 - count % 8);
            }
            bytes
        }
        // Numbers, so that no judge trips over what a random NaN means.
        'E' | 'C' => (0..count * element_bytes(letter) / 4)
            .flat_map(|_| (random.below(1_000_000) as f32 / 7.0).to_be_bytes())
            .collect(),
        'D' | 'M' => {
            (0..count * element_bytes(letter) / 8).flat_map(|_| (random.next() as f64 / 7.0).to_be_bytes()).collect()
        }
        _ => random.bytes(count * element_bytes(letter)),
    }
}

fn header(kind: &str, row_bytes: usize, rows: usize, pcount: usize, fields: usize) -> Vec<String> {
    vec![
        text("XTENSION", kind),
        fixed("BITPIX", 8),
        fixed("NAXIS", 2),
        fixed("NAXIS1", row_bytes),
        fixed("NAXIS2", rows),
        fixed("PCOUNT", pcount),
        fixed("GCOUNT", 1),
        fixed("TFIELDS", fields),
    ]
}

/// A binary table of these (letter, repeat), and further cards of its columns.
fn plain(random: &mut Random, columns: &[(char, usize)], rows: usize, further: &[String]) -> RawHdu {
    let mut data = Vec::new();
    for _ in 0..rows {
        for (letter, repeat) in columns {
            data.extend(elements(random, *letter, *repeat));
        }
    }
    let width = |(letter, repeat): &(char, usize)| {
        if *letter == 'X' { repeat.div_ceil(8) } else { repeat * element_bytes(*letter) }
    };
    let mut cards = header("BINTABLE", columns.iter().map(width).sum(), rows, 0, columns.len());
    for (index, (letter, repeat)) in columns.iter().enumerate() {
        cards.push(text(&format!("TTYPE{}", index + 1), &format!("COL{}", index + 1)));
        cards.push(text(&format!("TFORM{}", index + 1), &format!("{repeat}{letter}")));
    }
    cards.extend_from_slice(further);
    RawHdu { cards, data, fill: 0 }
}

/// Tables without a heap.
pub(crate) fn binary_table(random: &mut Random) -> Vec<(String, RawHdu)> {
    let all: Vec<(char, usize)> = "LXBIJKAEDCM".chars().map(|letter| (letter, 1 + letter as usize % 3)).collect();
    let dimensions = [text("TDIM1", "(2,3,4)"), text("TDIM2", "(5,4)")];
    let described = [
        text("TUNIT1", "m s-1"),
        fixed("TNULL1", -1),
        fixed("TSCAL1", "0.5"),
        fixed("TZERO1", "100.0"),
        text("TDISP1", "F8.3"),
        fixed("TZERO2", "9223372036854775808"),
        fixed("TSCAL2", 1),
    ];
    let wide: Vec<(char, usize)> = (0..120).map(|_| ('I', 1)).collect();
    vec![
        ("table of all letters".to_owned(), plain(random, &all, 13, &[])),
        ("table of bits".to_owned(), plain(random, &[('X', 1), ('X', 8), ('X', 13), ('X', 64)], 5, &[])),
        ("table with TDIM".to_owned(), plain(random, &[('J', 24), ('A', 20)], 4, &dimensions)),
        ("table of long strings".to_owned(), plain(random, &[('A', 300), ('A', 1), ('A', 4000)], 3, &[])),
        ("table of scaled columns".to_owned(), plain(random, &[('I', 1), ('K', 2)], 40, &described)),
        ("table without rows".to_owned(), plain(random, &all, 0, &[])),
        ("table without columns".to_owned(), plain(random, &[], 0, &[])),
        ("table of columns without size".to_owned(), plain(random, &[('A', 0), ('J', 1), ('D', 0)], 6, &[])),
        ("table of 120 columns".to_owned(), plain(random, &wide, 2, &[])),
    ]
}

/// A table of one variable-length column: its descriptors, a gap of `gap` bytes before the heap, and holes in it.
fn heap(random: &mut Random, descriptor: char, letter: char, gap: usize) -> RawHdu {
    let (rows, mut rows_data, mut heap_data, mut longest) = (11, Vec::new(), Vec::new(), 0);
    for row in 0..rows {
        let count = if row == 4 { 0 } else { random.below(12) as usize };
        longest = longest.max(count);
        // Bytes that no descriptor points at: the Standard allows them (7.3.5).
        heap_data.extend(random.bytes(random.clone().below(9) as usize));
        let place = if count == 0 { 0 } else { heap_data.len() };
        heap_data.extend(elements(random, letter, count));
        if descriptor == 'P' {
            rows_data.extend([count as u32, place as u32].iter().flat_map(|number| number.to_be_bytes()));
        } else {
            rows_data.extend([count as u64, place as u64].iter().flat_map(|number| number.to_be_bytes()));
        }
    }
    let row_bytes = if descriptor == 'P' { 8 } else { 16 };
    let mut cards = header("BINTABLE", row_bytes, rows, gap + heap_data.len(), 1);
    cards.push(text("TTYPE1", "VARIABLE"));
    cards.push(text("TFORM1", &format!("1{descriptor}{letter}({longest})")));
    if gap > 0 {
        cards.push(fixed("THEAP", row_bytes * rows + gap));
    }
    let data = [rows_data, random.bytes(gap), heap_data].concat();
    RawHdu { cards, data, fill: 0 }
}

/// Tables with variable-length columns.
pub(crate) fn heap_table(random: &mut Random) -> Vec<(String, RawHdu)> {
    let mut tables: Vec<(String, RawHdu)> =
        "LXBIJKAEDCM".chars().map(|letter| (format!("heap P{letter}"), heap(random, 'P', letter, 0))).collect();
    for letter in ['J', 'D'] {
        tables.push((format!("heap Q{letter}"), heap(random, 'Q', letter, 0)));
        tables.push((format!("heap P{letter} behind a gap"), heap(random, 'P', letter, 100)));
        tables.push((format!("heap Q{letter} behind a gap"), heap(random, 'Q', letter, 33)));
    }
    tables
}

/// ASCII tables: all kinds of columns, columns apart, no rows.
pub(crate) fn ascii_table(random: &mut Random) -> Vec<(String, RawHdu)> {
    let make = |random: &mut Random, rows: usize, gap: usize| {
        let formats = [("A8", 8), ("I6", 6), ("F10.3", 10), ("E14.6", 14), ("D25.16", 25)];
        let mut data = String::new();
        for _ in 0..rows {
            // At least 1: then no exponent is negative.
            let number = 1.0 + random.below(1_000_000) as f64 / 1000.0;
            let exponent = format!("{number:.6E}").replace('E', "E+0");
            let cells = [
                format!("{:<8}", "text"),
                format!("{:>6}", random.below(99_999)),
                format!("{number:>10.3}"),
                format!("{exponent:>14}"),
                format!("{:>25}", format!("{number:.12E}").replace('E', "D+0")),
            ];
            data.push_str(&cells.map(|cell| cell + &" ".repeat(gap)).concat());
        }
        let width = formats.iter().map(|(_, width)| width + gap).sum();
        let mut cards = header("TABLE", width, rows, 0, formats.len());
        let mut column = 1;
        for (index, (format, width)) in formats.iter().enumerate() {
            cards.push(fixed(&format!("TBCOL{}", index + 1), column));
            cards.push(text(&format!("TFORM{}", index + 1), format));
            cards.push(text(&format!("TTYPE{}", index + 1), &format!("COL{}", index + 1)));
            column += width + gap;
        }
        RawHdu { cards, data: data.into_bytes(), fill: b' ' }
    };
    vec![
        ("ASCII table".to_owned(), make(random, 20, 0)),
        ("ASCII table of columns apart".to_owned(), make(random, 3, 2)),
        ("ASCII table without rows".to_owned(), make(random, 0, 1)),
    ]
}
