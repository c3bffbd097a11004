//! What the mandatory keywords say about an HDU: its kind, its axes, the size of its data unit.
//!
//! All numbers come from the file and are checked before they are used; arithmetic is checked throughout.

use crate::fits::BLOCK_BYTES;
use crate::fits::card::{Card, CardFault, CardFaultKind, Record};
use crate::fits::header::Header;
use crate::fits::value::Value;

/// Most axes an array may have (Standard 4.4.1.1).
pub const MOST_AXES: i128 = 999;

/// The kind of an HDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HduKind {
    /// A primary HDU with an array or without data.
    Primary,
    /// A primary HDU with random groups (Standard 6).
    RandomGroups,
    /// An IMAGE extension.
    Image,
    /// A BINTABLE extension.
    BinaryTable,
    /// A TABLE extension.
    AsciiTable,
    /// A conforming extension of another type, named by XTENSION.
    Foreign(String),
}

impl HduKind {
    /// The name as in XTENSION; PRIMARY and GROUPS for the two sorts of primary HDU.
    pub fn label(&self) -> &str {
        match self {
            Self::Primary => "PRIMARY",
            Self::RandomGroups => "GROUPS",
            Self::Image => "IMAGE",
            Self::BinaryTable => "BINTABLE",
            Self::AsciiTable => "TABLE",
            Self::Foreign(name) => name,
        }
    }
}

/// The layout of an HDU's data unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// The kind of HDU.
    pub kind: HduKind,
    /// BITPIX: 8, 16, 32, 64, -32 or -64.
    pub bitpix: i64,
    /// NAXISn, NAXIS1 (which varies fastest) first.
    pub axes: Vec<u64>,
    /// PCOUNT: bytes of the heap, or parameters of a random group; 0 where it is not given.
    pub pcount: u64,
    /// GCOUNT: number of random groups; 1 where it is not given.
    pub gcount: u64,
    /// Bytes of the data unit without padding (Standard equations 1, 2 and 4).
    pub data_bytes: u64,
}

/// A mandatory keyword that is missing or wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{keyword}: {kind}")]
pub struct StructureFault {
    /// The keyword.
    pub keyword: String,
    /// What is wrong with it.
    pub kind: StructureFaultKind,
}

/// What is wrong with a mandatory keyword.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StructureFaultKind {
    /// There is no such card with a value.
    #[error("the keyword is missing: it must be card {expected}")]
    Missing {
        /// 1-based place where it belongs.
        expected: usize,
    },
    /// The keyword stands elsewhere (Standard 4.4.1: the order is prescribed).
    #[error("the keyword is card {found}: it must be card {expected}")]
    OutOfPlace {
        /// 1-based place where it stands.
        found: usize,
        /// 1-based place where it belongs.
        expected: usize,
    },
    /// The value cannot be read or has another type.
    #[error(transparent)]
    Card(CardFault),
    /// The keyword has no value.
    #[error("the value is undefined: it must be {expected}")]
    Undefined {
        /// What is legal.
        expected: &'static str,
    },
    /// The value is not legal there.
    #[error("the value is {found}: it must be {expected}")]
    OutOfRange {
        /// The value.
        found: i128,
        /// What is legal.
        expected: &'static str,
    },
    /// SIMPLE = F: the file says itself that it does not conform.
    #[error("the file declares that it does not conform to the Standard: it cannot be merged")]
    NotConforming,
    /// The data unit is larger than any file.
    #[error("the data unit would have more than 2^63 bytes: the header is damaged")]
    TooLarge,
}

impl Structure {
    /// Reads the mandatory keywords of a header; `is_first` for the first HDU of a file.
    ///
    /// As in CFITSIO and astropy, PCOUNT and GCOUNT of a primary array count where they are given.
    ///
    /// # Errors
    ///
    /// The first [`StructureFault`]: keyword missing, out of order, of a wrong type or out of range.
    pub fn of(header: &Header, is_first: bool) -> Result<Self, StructureFault> {
        let mut cursor = Cursor { header, index: 0 };
        let extension = if is_first {
            cursor.simple()?;
            None
        } else {
            Some(cursor.extension_type()?)
        };
        let bitpix = cursor
            .integer("BITPIX", "8, 16, 32, 64, -32 or -64", |bitpix| matches!(bitpix, 8 | 16 | 32 | 64 | -32 | -64))?;
        let axis_count = cursor.integer("NAXIS", "0 to 999", |count| (0..=MOST_AXES).contains(&count))?;
        let axes = (1..=axis_count)
            .map(|axis| cursor.size(&format!("NAXIS{axis}")))
            .collect::<Result<Vec<u64>, StructureFault>>()?;
        let (kind, pcount, gcount) = match extension {
            None => primary(header, &axes)?,
            Some(kind) => {
                let (pcount, gcount) = (cursor.size("PCOUNT")?, cursor.size("GCOUNT")?);
                check_extension(&kind, bitpix, axis_count, pcount, gcount)?;
                if matches!(kind, HduKind::BinaryTable | HduKind::AsciiTable) {
                    cursor.integer("TFIELDS", "0 to 999", |count| (0..=999).contains(&count))?;
                }
                (kind, pcount, gcount)
            }
        };
        if axes.is_empty() && pcount > 0 {
            // The Standard says that there is no data unit then; CFITSIO would still skip PCOUNT bytes.
            return Err(out_of_range("PCOUNT", pcount.into(), "0 where NAXIS is 0"));
        }
        let data_bytes = data_bytes(&kind, bitpix, &axes, pcount, gcount)
            .ok_or_else(|| StructureFault { keyword: "NAXIS".to_owned(), kind: StructureFaultKind::TooLarge })?;
        #[expect(clippy::cast_possible_truncation, reason = "one of six small numbers")]
        Ok(Self { kind, bitpix: bitpix as i64, axes, pcount, gcount, data_bytes })
    }

    /// Bytes of the data unit in a file: padded to whole blocks.
    pub fn data_bytes_padded(&self) -> u64 {
        self.data_bytes.div_ceil(BLOCK_BYTES as u64).saturating_mul(BLOCK_BYTES as u64)
    }

    /// Whether there is a data unit.
    pub fn has_data(&self) -> bool {
        self.data_bytes > 0
    }
}

/// Takes one mandatory keyword after the other, each from the card where it must stand.
struct Cursor<'a> {
    header: &'a Header,
    index: usize,
}

impl Cursor<'_> {
    fn next(&mut self, name: &str) -> Result<(), StructureFault> {
        let expected = self.index + 1;
        if self.header.cards().get(self.index).is_some_and(|card| card.is_value_of(name)) {
            self.index = expected;
            return Ok(());
        }
        let kind = match self.header.position(name) {
            None => StructureFaultKind::Missing { expected },
            Some(at) => StructureFaultKind::OutOfPlace { found: at + 1, expected },
        };
        Err(StructureFault { keyword: name.to_owned(), kind })
    }

    fn value(&mut self, name: &str) -> Result<Value, StructureFault> {
        self.next(name)?;
        // The card itself, not the first of that name: a repeated keyword must not be read from elsewhere.
        let card = self.header.cards().get(self.index - 1).copied().unwrap_or(Card::BLANK);
        if let Some(value) = card.plain_value() {
            return Ok(value);
        }
        let value = Record::of_card(card).value();
        value
            .map(|value| value.unwrap_or(Value::Undefined))
            .map_err(|fault| StructureFault { keyword: name.to_owned(), kind: StructureFaultKind::Card(fault) })
    }

    fn wrong_type(&self, name: &str, expected: &'static str, found: &Value) -> StructureFault {
        let kind = match (found, self.header.cards().get(self.index.saturating_sub(1))) {
            (Value::Undefined, _) | (_, None) => StructureFaultKind::Undefined { expected },
            (found, Some(card)) => {
                let kind = CardFaultKind::WrongType { expected, found: found.type_name() };
                StructureFaultKind::Card(card.blame(kind))
            }
        };
        StructureFault { keyword: name.to_owned(), kind }
    }

    fn simple(&mut self) -> Result<(), StructureFault> {
        match self.value("SIMPLE")? {
            Value::Logical(true) => Ok(()),
            Value::Logical(false) => {
                Err(StructureFault { keyword: "SIMPLE".to_owned(), kind: StructureFaultKind::NotConforming })
            }
            other => Err(self.wrong_type("SIMPLE", "T", &other)),
        }
    }

    fn extension_type(&mut self) -> Result<HduKind, StructureFault> {
        match self.value("XTENSION")? {
            Value::String(name) => Ok(match name.as_str() {
                "IMAGE" => HduKind::Image,
                "BINTABLE" => HduKind::BinaryTable,
                "TABLE" => HduKind::AsciiTable,
                _ => HduKind::Foreign(name),
            }),
            other => Err(self.wrong_type("XTENSION", "a string", &other)),
        }
    }

    fn integer(
        &mut self,
        name: &str,
        expected: &'static str,
        is_legal: impl Fn(i128) -> bool,
    ) -> Result<i128, StructureFault> {
        match self.value(name)? {
            Value::Integer(found) if is_legal(found) => Ok(found),
            Value::Integer(found) => Err(out_of_range(name, found, expected)),
            other => Err(self.wrong_type(name, expected, &other)),
        }
    }

    fn size(&mut self, name: &str) -> Result<u64, StructureFault> {
        let size = self.integer(name, SIZE, is_size)?;
        u64::try_from(size).map_err(|_| out_of_range(name, size, SIZE))
    }
}

const SIZE: &str = "an integer from 0 to 2^63 - 1";

fn is_size(size: i128) -> bool {
    (0..=i128::from(i64::MAX)).contains(&size)
}

fn out_of_range(keyword: &str, found: i128, expected: &'static str) -> StructureFault {
    StructureFault { keyword: keyword.to_owned(), kind: StructureFaultKind::OutOfRange { found, expected } }
}

/// Kind, PCOUNT and GCOUNT of a primary header, where they may stand anywhere behind NAXISn.
fn primary(header: &Header, axes: &[u64]) -> Result<(HduKind, u64, u64), StructureFault> {
    let size = |name: &str| -> Result<Option<u64>, StructureFault> {
        let found = header
            .integer(name)
            .map_err(|fault| StructureFault { keyword: name.to_owned(), kind: StructureFaultKind::Card(fault) })?;
        match found {
            None => Ok(None),
            Some(found) if is_size(found) => Ok(u64::try_from(found).ok()),
            Some(found) => Err(out_of_range(name, found, SIZE)),
        }
    };
    let is_groups = axes.first() == Some(&0) && matches!(header.logical("GROUPS"), Ok(Some(true)));
    let (pcount, gcount) = (size("PCOUNT")?, size("GCOUNT")?);
    if !is_groups {
        return Ok((HduKind::Primary, pcount.unwrap_or(0), gcount.unwrap_or(1)));
    }
    let missing = |name: &str| StructureFault {
        keyword: name.to_owned(),
        kind: StructureFaultKind::Undefined { expected: "given for random groups" },
    };
    Ok((HduKind::RandomGroups, pcount.ok_or_else(|| missing("PCOUNT"))?, gcount.ok_or_else(|| missing("GCOUNT"))?))
}

/// The values that the Standard prescribes for its own extensions (7.1.1, 7.2.1, 7.3.1).
fn check_extension(
    kind: &HduKind,
    bitpix: i128,
    axis_count: i128,
    pcount: u64,
    gcount: u64,
) -> Result<(), StructureFault> {
    let is_table = matches!(kind, HduKind::BinaryTable | HduKind::AsciiTable);
    if is_table && bitpix != 8 {
        return Err(out_of_range("BITPIX", bitpix, "8 for a table"));
    }
    if is_table && axis_count != 2 {
        return Err(out_of_range("NAXIS", axis_count, "2 for a table"));
    }
    if matches!(kind, HduKind::Image | HduKind::AsciiTable) && pcount != 0 {
        return Err(out_of_range("PCOUNT", pcount.into(), "0 for this extension"));
    }
    if !matches!(kind, HduKind::Foreign(_)) && gcount != 1 {
        return Err(out_of_range("GCOUNT", gcount.into(), "1 for this extension"));
    }
    Ok(())
}

/// |BITPIX| / 8 x GCOUNT x (PCOUNT + product of the axes); none where that is beyond 2^63 - 1.
fn data_bytes(kind: &HduKind, bitpix: i128, axes: &[u64], pcount: u64, gcount: u64) -> Option<u64> {
    // NAXIS1 = 0 of random groups is a flag, not a length (Standard 6.1.1).
    let lengths = match (kind, axes) {
        (HduKind::RandomGroups, [_, lengths @ ..]) => lengths,
        (_, []) => return Some(0),
        (_, lengths) => lengths,
    };
    // An axis without length makes all of it nothing, even where the others alone would overflow.
    let elements = if lengths.contains(&0) {
        0
    } else {
        lengths.iter().try_fold(1_u64, |product, length| product.checked_mul(*length))?
    };
    let item_bytes = u64::try_from(bitpix.checked_abs()?.checked_div(8)?).ok()?;
    let bytes = pcount.checked_add(elements)?.checked_mul(gcount)?.checked_mul(item_bytes)?;
    if i64::try_from(bytes).is_ok() { Some(bytes) } else { None }
}

#[cfg(test)]
mod tests;
