//! Judges tile-compressed images and tables by their headers (Standard 10.1, 10.3); the tiles are not expanded.

use crate::fits::conformance::finding::{Findings, Keywords, split_index};
use crate::fits::conformance::rule::{self, Rule};
use crate::fits::structure::{HduKind, Structure};

/// Algorithms (Standard table 36); RICE_ONE is an alias of old files.
const ALGORITHMS: [&str; 7] = ["RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1", "NOCOMPRESS"];
const COLUMN_ALGORITHMS: [&str; 4] = ["GZIP_1", "GZIP_2", "RICE_1", "NOCOMPRESS"];
const QUANTIZERS: [&str; 4] = ["NO_DITHER", "SUBTRACTIVE_DITHER_1", "SUBTRACTIVE_DITHER_2", "NONE"];

/// Judges a binary table that holds a compressed image or table.
pub(crate) fn judge(keywords: &Keywords, structure: &Structure, findings: &mut Findings) {
    if structure.kind != HduKind::BinaryTable {
        return;
    }
    if keywords.logical("ZIMAGE") == Some(true) {
        judge_image(keywords, structure, findings);
    }
    if keywords.logical("ZTABLE") == Some(true) {
        judge_table(keywords, findings);
    }
}

fn require(rule: &'static Rule, names: &[String], keywords: &Keywords, findings: &mut Findings) {
    for name in names.iter().filter(|name| keywords.get(name).is_none()) {
        findings.tell(rule, 0, name, format!("{name} is missing: a compressed HDU needs it"));
    }
}

fn judge_image(keywords: &Keywords, structure: &Structure, findings: &mut Findings) {
    let axes = keywords.integer("ZNAXIS").unwrap_or(0).clamp(0, 999);
    let mut names: Vec<String> = ["ZCMPTYPE", "ZBITPIX", "ZNAXIS"].map(str::to_owned).to_vec();
    names.extend((1..=axes).map(|axis| format!("ZNAXIS{axis}")));
    require(&rule::COMPRESSED_IMAGE, &names, keywords, findings);
    let mut tell = |rule: &'static Rule, name: &str, message: String| {
        findings.tell(rule, keywords.card(name), name, message);
    };
    if let Some(name) = keywords.string("ZCMPTYPE").filter(|name| !ALGORITHMS.contains(name)) {
        tell(
            &rule::COMPRESSED_IMAGE,
            "ZCMPTYPE",
            format!("ZCMPTYPE is '{name}', which is no algorithm of the Standard"),
        );
    }
    if let Some(bitpix) = keywords.integer("ZBITPIX").filter(|bitpix| !matches!(bitpix, 8 | 16 | 32 | 64 | -32 | -64)) {
        tell(&rule::COMPRESSED_IMAGE, "ZBITPIX", format!("ZBITPIX is {bitpix}: it must be 8, 16, 32, 64, -32 or -64"));
    }
    if let Some(name) = keywords.string("ZQUANTIZ").filter(|name| !QUANTIZERS.contains(name)) {
        tell(&rule::COMPRESSED_OPTION, "ZQUANTIZ", format!("ZQUANTIZ is '{name}', which is no quantization"));
    }
    if let Some(seed) = keywords.integer("ZDITHER0").filter(|seed| !(1..=10_000).contains(seed)) {
        tell(&rule::COMPRESSED_OPTION, "ZDITHER0", format!("ZDITHER0 is {seed}: it must be from 1 to 10000"));
    }
    for entry in keywords.all() {
        let Some((stem @ ("ZNAME" | "ZVAL" | "ZTILE"), index)) = split_index(&entry.name) else { continue };
        let partner = match stem {
            "ZNAME" => format!("ZVAL{index}"),
            "ZVAL" => format!("ZNAME{index}"),
            _ if keywords.integer(&entry.name).is_some_and(|length| length < 1) || index as i128 > axes => {
                tell(&rule::COMPRESSED_OPTION, &entry.name, format!("{} is of no axis, or not above 0", entry.name));
                continue;
            }
            _ => continue,
        };
        if keywords.get(&partner).is_none() {
            tell(&rule::COMPRESSED_OPTION, &entry.name, format!("{} stands without {partner}", entry.name));
        }
    }
    judge_tiles(keywords, structure, axes, findings);
}

fn judge_tiles(keywords: &Keywords, structure: &Structure, axes: i128, findings: &mut Findings) {
    let is_data = |entry: &crate::fits::conformance::finding::Entry| {
        matches!(split_index(&entry.name), Some(("TTYPE", _)))
            && keywords.string(&entry.name).is_some_and(|name| name.eq_ignore_ascii_case("COMPRESSED_DATA"))
    };
    if !keywords.all().iter().any(is_data) {
        findings.tell(&rule::COMPRESSED_COLUMN, 0, "", "there is no column COMPRESSED_DATA".to_owned());
    }
    let tiles = (1..=axes).try_fold(1_u64, |product, axis| {
        let length = u64::try_from(keywords.integer(&format!("ZNAXIS{axis}"))?).ok()?;
        // By default a tile is a row (Standard 10.1.2).
        let default = if axis == 1 { length.max(1) } else { 1 };
        let tile = keywords.integer(&format!("ZTILE{axis}")).and_then(|tile| u64::try_from(tile).ok());
        product.checked_mul(length.div_ceil(tile.filter(|tile| *tile > 0).unwrap_or(default)))
    });
    let rows = structure.axes.get(1).copied().unwrap_or(0);
    if let Some(tiles) = tiles.filter(|tiles| axes > 0 && *tiles != rows) {
        let message = format!("NAXIS2 is {rows}, but the image has {tiles} tiles");
        findings.tell(&rule::COMPRESSED_COLUMN, keywords.card("NAXIS2"), "NAXIS2", message);
    }
}

fn judge_table(keywords: &Keywords, findings: &mut Findings) {
    let columns = keywords.integer("TFIELDS").unwrap_or(0).clamp(0, 999);
    let mut names: Vec<String> = ["ZNAXIS1", "ZNAXIS2", "ZPCOUNT"].map(str::to_owned).to_vec();
    names.extend((1..=columns).flat_map(|column| [format!("ZFORM{column}"), format!("ZCTYP{column}")]));
    require(&rule::COMPRESSED_TABLE, &names, keywords, findings);
    for column in 1..=columns {
        let name = format!("ZCTYP{column}");
        if let Some(text) = keywords.string(&name).filter(|text| !COLUMN_ALGORITHMS.contains(text)) {
            let message = format!("{name} is '{text}', which is no algorithm for columns");
            findings.tell(&rule::COMPRESSED_TABLE, keywords.card(&name), &name, message);
        }
    }
}
