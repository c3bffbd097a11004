//! Judges keywords of world coordinates against one another: order, axes, forms of the linear part (Standard 8.1, 8.2).

use std::collections::BTreeMap;

use crate::fits::conformance::finding::{Findings, Keywords, split_index};
use crate::fits::conformance::rule;

/// Keywords with the index of an axis.
const OF_AXIS: [&str; 8] = ["CTYPE", "CUNIT", "CRPIX", "CRVAL", "CDELT", "CNAME", "CRDER", "CSYER"];

/// A keyword of world coordinates, taken apart.
struct Coordinate<'a> {
    stem: &'a str,
    axis: usize,
    /// Letter of the description; a space for the primary one.
    description: char,
}

/// What a description has, by its first card.
#[derive(Default)]
struct Description {
    axes: Option<i128>,
    axes_card: usize,
    first_card: usize,
    pc: usize,
    cd: usize,
    rotation: usize,
}

/// Judges the world coordinates of an image.
pub(crate) fn judge(keywords: &Keywords, findings: &mut Findings) {
    let mut descriptions: BTreeMap<char, Description> = BTreeMap::new();
    for entry in keywords.all() {
        if let Some(description) = axes_of(&entry.name) {
            let found = descriptions.entry(description).or_default();
            if found.axes_card == 0 {
                (found.axes, found.axes_card) = (keywords.integer(&entry.name), entry.card);
            }
        } else if let Some(coordinate) = coordinate(&entry.name) {
            let found = descriptions.entry(coordinate.description).or_default();
            let place = match coordinate.stem {
                "PC" => &mut found.pc,
                "CD" => &mut found.cd,
                "CROTA" => &mut found.rotation,
                _ => &mut 0,
            };
            *place = entry.card;
            if found.first_card == 0 {
                found.first_card = entry.card;
            }
        }
    }
    for found in descriptions.values() {
        judge_description(found, findings);
    }
    judge_indices(keywords, &descriptions, findings);
}

fn judge_description(found: &Description, findings: &mut Findings) {
    if found.axes_card > 0 && found.first_card > 0 && found.first_card < found.axes_card {
        let message = format!("WCSAXES stands behind card {}, which depends on it", found.first_card);
        findings.tell(&rule::WCSAXES_ORDER, found.axes_card, "WCSAXES", message);
    }
    if found.pc > 0 && found.cd > 0 {
        let message = format!("CDi_j stands beside PCi_j of card {}: use one of them", found.pc);
        findings.tell(&rule::WCS_MIXED, found.cd, "CD", message);
    }
    if found.pc > 0 && found.rotation > 0 {
        let message = format!("CROTAi stands beside PCi_j of card {}: use one of them", found.pc);
        findings.tell(&rule::WCS_MIXED, found.rotation, "CROTA", message);
    }
}

fn judge_indices(keywords: &Keywords, descriptions: &BTreeMap<char, Description>, findings: &mut Findings) {
    for entry in keywords.all() {
        let Some(coordinate) = coordinate(&entry.name) else { continue };
        let axes = descriptions.get(&coordinate.description).and_then(|description| description.axes);
        // Without WCSAXES the highest index says how many axes there are.
        if let Some(axes) = axes.filter(|axes| coordinate.axis as i128 > *axes) {
            let message = format!("{} is of axis {}, but WCSAXES is {axes}", entry.name, coordinate.axis);
            findings.tell(&rule::WCS_INDEX, entry.card, &entry.name, message);
        }
    }
}

/// The description whose WCSAXES this is.
fn axes_of(name: &str) -> Option<char> {
    let mut letters = name.strip_prefix("WCSAXES")?.chars();
    match (letters.next(), letters.next()) {
        (None, _) => Some(' '),
        (Some(letter @ 'A'..='Z'), None) => Some(letter),
        _ => None,
    }
}

fn coordinate(name: &str) -> Option<Coordinate<'_>> {
    let (bare, description) = match name.chars().next_back()? {
        letter @ 'A'..='Z' => (name.get(..name.len() - 1)?, letter),
        _ => (name, ' '),
    };
    if let Some((row, column)) = bare.split_once('_') {
        let (stem @ ("PC" | "CD"), axis) = split_index(row)? else { return None };
        let (_, other) = split_index(&name[row.len()..bare.len()]).filter(|_| !column.is_empty())?;
        return Some(Coordinate { stem, axis: axis.max(other), description });
    }
    let (stem, axis) = split_index(bare)?;
    let is_known = OF_AXIS.contains(&stem) || (stem == "CROTA" && description == ' ');
    is_known.then_some(Coordinate { stem, axis, description })
}
