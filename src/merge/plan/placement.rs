//! Finds places for the few cards that an extension gets, and free versions for its name.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};

use crate::fits::card::Card;
use crate::fits::{BLOCK_BYTES, CARDS_PER_BLOCK};
use crate::merge::input::ExtensionDescription;
use crate::merge::plan::header::fixed_card;

/// Places cards into an existing header: over an old card, into spare blank ones, or behind them.
pub(in crate::merge::plan) struct CardPlacement<'a> {
    extension: &'a ExtensionDescription,
    /// Index for the next card that has no place yet.
    next: usize,
    edits: Vec<(usize, Card)>,
}

impl CardPlacement<'_> {
    /// Nothing placed yet.
    pub(in crate::merge::plan) fn new(extension: &ExtensionDescription) -> CardPlacement<'_> {
        CardPlacement { extension, next: extension.used_cards, edits: Vec::new() }
    }

    /// Index for a card: its present one, else the first free one.
    pub(in crate::merge::plan) fn place(&mut self, present: Option<usize>) -> usize {
        present.unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        })
    }

    /// Writes EXTVER.
    pub(in crate::merge::plan) fn set_version(&mut self, version: i128) {
        let index = self.place(self.extension.extver_card);
        self.edits.push((index, fixed_card("EXTVER", &version.to_string(), "raised: the name was taken")));
    }

    /// Writes spaces over the cards of these indices.
    pub(in crate::merge::plan) fn blank(&mut self, indices: &[usize]) {
        self.edits.extend(indices.iter().map(|index| (*index, Card::BLANK)));
    }

    /// Blocks that the header needs in the product.
    pub(in crate::merge::plan) fn block_count(&self) -> u64 {
        (self.extension.end_card.max(self.next) + 1).div_ceil(CARDS_PER_BLOCK) as u64
    }

    /// Bytes of the header in the product with `padding` blank blocks more, and the edits, a moved END among them.
    pub(in crate::merge::plan) fn finish(mut self, padding: u64) -> (u64, Vec<(usize, Card)>) {
        let blocks = (self.block_count() + padding) as usize;
        let own_end = self.extension.end_card;
        // END stands in the last block of a header, so blank blocks go before it.
        let end = if padding > 0 { blocks * CARDS_PER_BLOCK - 1 } else { own_end.max(self.next) };
        if self.extension.has_text_behind_end {
            let behind = self.next.max(own_end + 1);
            self.edits.extend((behind..blocks * CARDS_PER_BLOCK).map(|index| (index, Card::BLANK)));
        }
        if end != own_end {
            if self.next <= own_end {
                self.edits.push((own_end, Card::BLANK));
            }
            self.edits.push((end, Card::END));
        }
        // There may be tens of thousands of extensions, with one edit or none each.
        self.edits.shrink_to_fit();
        ((blocks * BLOCK_BYTES) as u64, self.edits)
    }
}

/// Which (EXTNAME, EXTVER) pairs the product has.
#[derive(Debug, Default)]
pub(in crate::merge::plan) struct ExtensionNameBook {
    /// By name in capitals: CFITSIO and astropy find an extension by its name in either case.
    versions: HashMap<String, Versions>,
    told: HashSet<(String, i128)>,
}

impl ExtensionNameBook {
    /// Notes the pair; false if it was there.
    pub(in crate::merge::plan) fn insert(&mut self, name: &str, version: i128) -> bool {
        match self.versions.entry(name.to_ascii_uppercase()) {
            Entry::Vacant(entry) => {
                entry.insert(Versions::One(version));
                true
            }
            Entry::Occupied(mut entry) => entry.get_mut().insert(version),
        }
    }

    /// True the first time that a collision of the pair is to be told.
    pub(in crate::merge::plan) fn tell(&mut self, name: &str, version: i128) -> bool {
        self.told.insert((name.to_ascii_uppercase(), version))
    }

    /// Takes the version above the highest one of `name`.
    pub(in crate::merge::plan) fn next_version(&mut self, name: &str) -> i128 {
        let highest = self.versions.get(&name.to_ascii_uppercase()).map(Versions::highest);
        let next = highest.map_or(1, |highest| highest.saturating_add(1));
        self.insert(name, next);
        next
    }
}

/// The versions of one name: nearly always a single one, and there may be tens of thousands of names.
#[derive(Debug)]
enum Versions {
    One(i128),
    Several(BTreeSet<i128>),
}

impl Versions {
    /// Adds a version; false if it was there.
    fn insert(&mut self, version: i128) -> bool {
        match self {
            Versions::One(only) if *only == version => false,
            Versions::One(only) => {
                *self = Versions::Several(BTreeSet::from([*only, version]));
                true
            }
            Versions::Several(versions) => versions.insert(version),
        }
    }

    fn highest(&self) -> i128 {
        match self {
            Versions::One(only) => *only,
            // There are at least two.
            Versions::Several(versions) => versions.last().copied().unwrap_or(0),
        }
    }
}
