//! Files of several HDUs, put together at random: any structure in any place, with any cards.

use crate::common::fits::Random;
use crate::raw::{self, RawFile, RawHdu, Tail};
use crate::tables::{ascii_table, binary_table, heap_table};

/// One of `choices`; there is at least one.
fn one_of<T>(random: &mut Random, mut choices: Vec<T>) -> T {
    let chosen = random.below(choices.len() as u64) as usize;
    choices.swap_remove(chosen)
}

/// The pixels of a small image: BITPIX and up to four axes, some of no length.
fn shape(random: &mut Random) -> (i64, Vec<u64>) {
    let bitpix = one_of(random, vec![8, 16, 32, 64, -32, -64]);
    let axes = (0..random.below(5)).map(|_| random.below(9)).collect();
    (bitpix, axes)
}

/// An extension of a standard type (fitsverify misreads the padding of a foreign one behind a compressed table), named by its place.
fn extension(random: &mut Random, place: u64) -> RawHdu {
    let name = raw::named(one_of(random, vec!["PART", "OTHER", "it''s"]), place);
    let tables = match random.below(4) {
        0 => binary_table(random),
        1 => heap_table(random),
        2 => ascii_table(random),
        _ => {
            let (bitpix, axes) = shape(random);
            return raw::image(random, bitpix, &axes, &name);
        }
    };
    let (_, table) = one_of(random, tables);
    raw::described_table(random, table, name)
}

/// `count` files, of a primary HDU of any kind and up to four extensions.
pub(crate) fn files(random: &mut Random, count: usize) -> Vec<RawFile> {
    let file = |number: usize| {
        let primary = match random.below(4) {
            0 => raw::random_groups(random),
            1 => raw::empty_primary(random),
            _ => {
                let (bitpix, axes) = shape(random);
                raw::primary_image(random, bitpix, &axes, &[])
            }
        };
        let extensions: Vec<RawHdu> = (1..=random.below(5)).map(|place| extension(random, place)).collect();
        let hdus = std::iter::once(primary).chain(extensions).collect();
        RawFile { name: format!("composed {number}"), hdus, tail: Tail::Clean }
    };
    (0..count).map(file).collect()
}
