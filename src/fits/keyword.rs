//! Names of keywords: their kinds, which characters are legal, and the class that decides whether a merge copies them.
//!
//! Deliberately knows no values and no cards.

use std::fmt;

/// Longest name of a standard keyword in characters (Standard 4.1.2.1).
pub const STANDARD_NAME_LENGTH: usize = 8;
/// Longest logical name of an ESO keyword: 80 - 13 (`HIERARCH ESO `) - 4 (` = ` and one character of value).
pub const ESO_NAME_LENGTH: usize = 63;
/// Longest name of another hierarchical keyword: 80 - 9 (`HIERARCH `) - 4.
pub const HIERARCH_NAME_LENGTH: usize = 67;

/// What sort of record a keyword heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeywordKind {
    /// A standard keyword with a value (`= ` in columns 9 and 10).
    Value,
    /// `HIERARCH ESO name = value`.
    Eso,
    /// `HIERARCH name = value` of another tree than ESO's.
    Hierarch,
    /// COMMENT, HISTORY, blank, and every record without a value indicator.
    Commentary,
}

/// The name of a header record, without its prefix and padding.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Keyword {
    /// The sort of record.
    pub kind: KeywordKind,
    /// The logical name: `EXPTIME`, `TPL ID` (no prefix), `COMMENT`, and empty for the blank keyword.
    pub name: String,
}

/// Why a name is not a legal keyword.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeywordFault {
    /// A keyword with a value has no name.
    #[error("the keyword has no name: give it one")]
    Empty,
    /// The name leaves no room for a value.
    #[error("the keyword name has {length} characters: shorten it to {limit}")]
    TooLong {
        /// Characters in the name.
        length: usize,
        /// Characters allowed for this kind.
        limit: usize,
    },
    /// A lower-case letter (Standard 4.1.2.1 allows only capitals).
    #[error("the keyword name has the lower-case letter '{character}': write it in capitals")]
    LowerCase {
        /// The first such letter.
        character: char,
    },
    /// A character that is not in A-Z, 0-9, `-`, `_`.
    #[error(
        "the keyword name has the character '{}': use only A-Z, 0-9, '-' and '_'",
        character.escape_default()
    )]
    BadCharacter {
        /// The first such character.
        character: char,
    },
    /// A space at an end of the name, or two in a row: they would not be read back.
    #[error("the words of the keyword name are not separated by single spaces: remove the extra ones")]
    Spacing,
    /// A name of another kind, such as the tree `ESO` in a keyword of kind [`KeywordKind::Hierarch`].
    #[error("the keyword '{name}' is not of the kind that is asked for: use the kind that its card has")]
    WrongKind {
        /// The name.
        name: String,
    },
}

/// Whether a keyword belongs to the HDU that it stands in (DESIGN "Keyword classes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeywordClass {
    /// Says how the HDU is laid out: never copied.
    Structural,
    /// Describes the data or the making of that HDU: not copied to another unless asked for.
    Core,
    /// Everything else: copied by default.
    User,
}

impl Keyword {
    /// Names a standard keyword with a value.
    pub fn value(name: impl Into<String>) -> Self {
        Self { kind: KeywordKind::Value, name: name.into() }
    }

    /// Names an ESO keyword by its logical name (without `HIERARCH ESO `).
    pub fn eso(name: impl Into<String>) -> Self {
        Self { kind: KeywordKind::Eso, name: name.into() }
    }

    /// Names a hierarchical keyword of another tree (without `HIERARCH `).
    pub fn hierarch(name: impl Into<String>) -> Self {
        Self { kind: KeywordKind::Hierarch, name: name.into() }
    }

    /// Names a commentary keyword; the empty name is the blank keyword.
    pub fn commentary(name: impl Into<String>) -> Self {
        Self { kind: KeywordKind::Commentary, name: name.into() }
    }

    /// Checks that the name can be written on a card and read back as the same keyword.
    ///
    /// # Errors
    ///
    /// The first [`KeywordFault`] found.
    pub fn validate(&self) -> Result<(), KeywordFault> {
        let limit = match self.kind {
            KeywordKind::Value | KeywordKind::Commentary => STANDARD_NAME_LENGTH,
            KeywordKind::Eso => ESO_NAME_LENGTH,
            KeywordKind::Hierarch => HIERARCH_NAME_LENGTH,
        };
        if self.name.is_empty() && self.kind != KeywordKind::Commentary {
            return Err(KeywordFault::Empty);
        }
        self.name.chars().try_for_each(|character| self.check_character(character))?;
        if self.is_hierarchical() && self.name.split(' ').any(str::is_empty) {
            return Err(KeywordFault::Spacing);
        }
        if self.name.len() > limit {
            return Err(KeywordFault::TooLong { length: self.name.len(), limit });
        }
        self.check_kind()
    }

    /// Returns the class that decides whether a merge copies the keyword into another HDU.
    pub fn class(&self) -> KeywordClass {
        if self.is_hierarchical() {
            KeywordClass::User
        } else if is_structural(&self.name) {
            KeywordClass::Structural
        } else if is_core(&self.name) {
            KeywordClass::Core
        } else {
            KeywordClass::User
        }
    }

    /// Whether the keyword is written with `HIERARCH`.
    pub fn is_hierarchical(&self) -> bool {
        matches!(self.kind, KeywordKind::Eso | KeywordKind::Hierarch)
    }

    /// Names that never carry a value, whatever stands in columns 9 and 10 (Standard 4.4.2.4 and 4.2.1.2).
    pub(crate) fn is_always_commentary(name: &str) -> bool {
        matches!(name, "" | "COMMENT" | "HISTORY" | "CONTINUE")
    }

    fn check_character(&self, character: char) -> Result<(), KeywordFault> {
        match character {
            'A'..='Z' | '0'..='9' | '-' | '_' => Ok(()),
            ' ' if self.is_hierarchical() => Ok(()),
            // Foreign trees (CFITSIO, astropy) use more characters than the Standard's: any that cannot be taken
            // for the start of the value.
            '!'..='~' if self.kind == KeywordKind::Hierarch && !matches!(character, '=' | '\'' | 'a'..='z') => Ok(()),
            'a'..='z' => Err(KeywordFault::LowerCase { character }),
            _ => Err(KeywordFault::BadCharacter { character }),
        }
    }

    fn check_kind(&self) -> Result<(), KeywordFault> {
        let name = self.name.as_str();
        let fits = match self.kind {
            KeywordKind::Value => !Self::is_always_commentary(name) && name != "END",
            KeywordKind::Hierarch => name != "ESO" && !name.starts_with("ESO "),
            KeywordKind::Eso | KeywordKind::Commentary => true,
        };
        if fits { Ok(()) } else { Err(KeywordFault::WrongKind { name: self.name.clone() }) }
    }
}

impl fmt::Display for Keyword {
    /// Writes the name as on a card: `EXPTIME`, `HIERARCH ESO TPL ID`; the blank keyword as `(blank)`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            KeywordKind::Eso => write!(formatter, "HIERARCH ESO {}", self.name),
            KeywordKind::Hierarch => write!(formatter, "HIERARCH {}", self.name),
            KeywordKind::Commentary if self.name.is_empty() => formatter.write_str("(blank)"),
            KeywordKind::Value | KeywordKind::Commentary => formatter.write_str(&self.name),
        }
    }
}

const STRUCTURAL: [&str; 11] =
    ["SIMPLE", "XTENSION", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "GROUPS", "TFIELDS", "TFORM", "END", "CONTINUE"];
const STRUCTURAL_INDEXED: [&str; 3] = ["NAXIS", "TFORM", "TBCOL"];

const CORE: [&str; 20] = [
    "BSCALE", "BZERO", "BUNIT", "BLANK", "DATAMIN", "DATAMAX", "EXTEND", "BLOCKED", "INHERIT", "EXTNAME", "EXTVER",
    "EXTLEVEL", "CHECKSUM", "DATASUM", "DATE", "ORIGFILE", "ARCFILE", "ZHECKSUM", "ZDATASUM", "THEAP",
];
/// Columns of a table and parameters of random groups.
const CORE_INDEXED: [&str; 15] = [
    "TTYPE", "TUNIT", "TNULL", "TSCAL", "TZERO", "TDISP", "TDIM", "TLMIN", "TLMAX", "TDMIN", "TDMAX", "PTYPE", "PSCAL",
    "PZERO", "CROTA",
];
/// World coordinates of the whole image, each also with the letter of an alternate description.
const WCS: [&str; 13] = [
    "WCSAXES", "WCSNAME", "LONPOLE", "LATPOLE", "SPECSYS", "SSYSOBS", "SSYSSRC", "VELOSYS", "VELANGL", "ZSOURCE",
    "RESTFRQ", "RESTWAV", "RESTFREQ",
];
const WCS_AXIS: [&str; 10] = ["CTYPE", "CRPIX", "CRVAL", "CDELT", "CUNIT", "CNAME", "CRDER", "CSYER", "CZPHS", "CPERI"];
const WCS_PAIR: [&str; 4] = ["PC", "CD", "PV", "PS"];
/// Polynomials of the SIP convention, which go with the coordinates that CTYPEn ending in `-SIP` describes.
const SIP: [&str; 4] = ["A_", "B_", "AP_", "BP_"];

/// CONTINUE is here because its meaning is its neighbour's: one that stands alone must never be copied behind another.
fn is_structural(name: &str) -> bool {
    STRUCTURAL.contains(&name) || STRUCTURAL_INDEXED.iter().any(|stem| name.strip_prefix(stem).is_some_and(is_index))
}

fn is_core(name: &str) -> bool {
    if CORE.contains(&name) || CORE_INDEXED.iter().any(|stem| name.strip_prefix(stem).is_some_and(is_index)) {
        return true;
    }
    // EQUINOX and RADESYS say where an ESO telescope pointed; only those of an alternate description are the image's.
    if matches!(name.strip_prefix("EQUINOX").or_else(|| name.strip_prefix("RADESYS")), Some(letter) if is_letter(letter))
    {
        return true;
    }
    WCS.iter().any(|stem| matches!(name.strip_prefix(stem), Some(rest) if rest.is_empty() || is_letter(rest)))
        || WCS_AXIS.iter().any(|stem| name.strip_prefix(stem).is_some_and(|rest| is_index(without_letter(rest))))
        || SIP
            .iter()
            .any(|stem| name.strip_prefix(stem).is_some_and(|rest| matches!(rest, "ORDER" | "DMAX") || is_power(rest)))
        || WCS_PAIR.iter().any(|stem| name.strip_prefix(stem).is_some_and(|rest| is_pair(without_letter(rest))))
}

fn is_letter(text: &str) -> bool {
    text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

fn without_letter(text: &str) -> &str {
    text.strip_suffix(|character: char| character.is_ascii_uppercase()).unwrap_or(text)
}

fn is_index(text: &str) -> bool {
    !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0')
}

/// `i_j` or `i_m`; m counts from 0 (Standard table 22).
fn is_pair(text: &str) -> bool {
    text.split_once('_').is_some_and(|(axis, other)| is_index(axis) && (other == "0" || is_index(other)))
}

/// `p_q`, both counted from 0.
fn is_power(text: &str) -> bool {
    text.split_once('_')
        .is_some_and(|(first, second)| [first, second].iter().all(|power| *power == "0" || is_index(power)))
}

#[cfg(test)]
mod tests;
