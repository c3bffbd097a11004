//! What a line about an HDU says: name, type, size, format, in the words of astropy's `fitsinfo`.

use crate::fits::hdu::Hdu;
use crate::fits::header::Header;
use crate::fits::structure::{HduKind, Structure};
use crate::fits::value::Value;

/// An HDU in short.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// EXTNAME; `PRIMARY` for a primary HDU without one.
    pub name: String,
    /// EXTVER, 1 where there is none.
    pub version: i128,
    /// Name of astropy's class, such as `BinTableHDU`.
    pub class: &'static str,
    /// Records of the header: a string over several cards counts once.
    pub cards: usize,
    /// What the data unit holds.
    pub size: Size,
    /// Type of the pixels such as `int16 (rescales to uint16)`, or the TFORMn such as `[1J, 3A]`; empty without data.
    pub format: String,
}

/// The size of a data unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Size {
    /// An array: NAXIS1 first. Of a compressed image, that of the image.
    Array(Vec<u64>),
    /// Rows and columns.
    Table(u64, u64),
    /// Random groups: the axes of one (NAXIS2 first), how many, parameters of each.
    Groups(Vec<u64>, u64, u64),
}

impl Overview {
    /// Describes an HDU by its header. Cost: linear in its cards.
    pub fn of(hdu: &Hdu) -> Self {
        let (header, structure) = (&hdu.header, &hdu.structure);
        let is_primary = hdu.index == 0;
        let name = hdu.name().map(|name| name.trim().to_owned()).unwrap_or_default();
        let name = if name.is_empty() && is_primary { "PRIMARY".to_owned() } else { name };
        let is_compressed = structure.kind == HduKind::BinaryTable && header.logical("ZIMAGE") == Ok(Some(true));
        let class = match &structure.kind {
            HduKind::Primary => "PrimaryHDU",
            HduKind::RandomGroups => "GroupsHDU",
            HduKind::Image => "ImageHDU",
            HduKind::AsciiTable => "TableHDU",
            HduKind::BinaryTable if is_compressed => "CompImageHDU",
            HduKind::BinaryTable => "BinTableHDU",
            HduKind::Foreign(_) => "NonstandardExtHDU",
        };
        let (size, format) = if is_compressed { compressed(header) } else { plain(header, structure) };
        let cards = header.records().len();
        Self { name, version: hdu.version(), class, cards, size, format }
    }
}

impl std::fmt::Display for Size {
    /// Writes `(128, 128)` or `190R x 8C`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Array(axes) | Self::Groups(axes, ..) => {
                let axes: Vec<String> = axes.iter().map(u64::to_string).collect();
                let comma = if axes.len() == 1 { "," } else { "" };
                write!(formatter, "({}{comma})", axes.join(", "))
            }
            Self::Table(rows, columns) => write!(formatter, "{rows}R x {columns}C"),
        }
    }
}

fn plain(header: &Header, structure: &Structure) -> (Size, String) {
    let axes = structure.axes.clone();
    let pixels = pixel_format(header, structure.bitpix);
    match &structure.kind {
        HduKind::AsciiTable | HduKind::BinaryTable => table(header, &axes),
        HduKind::RandomGroups => {
            let format = format!("{pixels}   {} Groups  {} Parameters", structure.gcount, structure.pcount);
            (Size::Groups(axes.get(1..).unwrap_or_default().to_vec(), structure.gcount, structure.pcount), format)
        }
        _ if !structure.has_data() => (Size::Array(axes), String::new()),
        _ => (Size::Array(axes), pixels),
    }
}

fn table(header: &Header, axes: &[u64]) -> (Size, String) {
    // The formats are found in one pass, whatever the number of columns.
    let mut formats: Vec<(usize, String)> = Vec::new();
    for record in header.records() {
        let index = record.keyword.name.strip_prefix("TFORM").and_then(|index| index.parse::<usize>().ok());
        if let (Some(index), Ok(Some(Value::String(text)))) = (index, record.value()) {
            formats.push((index, text));
        }
    }
    formats.sort_by_key(|(index, _)| *index);
    let formats: Vec<String> = formats.into_iter().map(|(_, text)| text).collect();
    let columns = header.integer("TFIELDS").ok().flatten().and_then(|count| u64::try_from(count).ok()).unwrap_or(0);
    (Size::Table(axes.get(1).copied().unwrap_or(0), columns), format!("[{}]", formats.join(", ")))
}

fn compressed(header: &Header) -> (Size, String) {
    let integer = |name: &str| header.integer(name).ok().flatten();
    let count = integer("ZNAXIS").unwrap_or(0).clamp(0, 999);
    let length = |axis| integer(&format!("ZNAXIS{axis}")).and_then(|length| u64::try_from(length).ok()).unwrap_or(0);
    let bitpix = integer("ZBITPIX").and_then(|bitpix| i64::try_from(bitpix).ok()).unwrap_or(0);
    (Size::Array((1..=count).map(length).collect()), pixel_format(header, bitpix))
}

/// The type of pixels as numpy calls it, and what BSCALE and BZERO make of it.
fn pixel_format(header: &Header, bitpix: i64) -> String {
    let stored = match bitpix {
        8 => "uint8",
        16 => "int16",
        32 => "int32",
        64 => "int64",
        -32 => "float32",
        -64 => "float64",
        _ => return String::new(),
    };
    let real = |name: &str, default: f64| match header.get(name).and_then(|record| record.value().ok().flatten()) {
        #[expect(clippy::cast_precision_loss, reason = "a scale is a real number")]
        Some(Value::Integer(integer)) => integer as f64,
        Some(Value::Real(real)) => real,
        _ => default,
    };
    let scaled = match (bitpix, real("BSCALE", 1.0), real("BZERO", 0.0)) {
        (_, 1.0, 0.0) => return stored.to_owned(),
        (8, 1.0, -128.0) => "int8",
        (16, 1.0, 32_768.0) => "uint16",
        (32, 1.0, 2_147_483_648.0) => "uint32",
        (64, 1.0, 9_223_372_036_854_775_808.0) => "uint64",
        (8 | 16 | -32, ..) => "float32",
        _ => "float64",
    };
    if scaled == stored { stored.to_owned() } else { format!("{stored} (rescales to {scaled})") }
}

#[cfg(test)]
mod tests;
