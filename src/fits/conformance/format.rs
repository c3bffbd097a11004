//! The small languages of column formats: TFORMn of both sorts of tables, TDISPn (Standard 7.2.1, 7.3.1, 7.3.4).

/// TFORMn of an ASCII table: `Aw`, `Iw`, `Fw.d`, `Ew.d`, `Dw.d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AsciiFormat {
    pub(crate) letter: u8,
    /// Characters of the field.
    pub(crate) width: u64,
}

impl AsciiFormat {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let letter = *text.as_bytes().first()?;
        let rest = text.get(1..)?;
        let width = match (letter, rest.split_once('.')) {
            (b'A' | b'I', None) => number(rest)?,
            (b'F' | b'E' | b'D', Some((width, decimals))) => {
                let width = number(width)?;
                number(decimals).filter(|decimals| *decimals < width)?;
                width
            }
            _ => return None,
        };
        (width > 0).then_some(Self { letter, width })
    }
}

/// TFORMn of a binary table: `rTa`, and `rPt(emax)` or `rQt(emax)` of descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BinaryFormat {
    pub(crate) repeat: u64,
    pub(crate) letter: u8,
    /// Type of the elements in the heap, of a descriptor.
    pub(crate) pointed: Option<u8>,
    /// Most elements of an array in the heap, where that is told.
    pub(crate) most: Option<u64>,
}

impl BinaryFormat {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim_end_matches(' ');
        let letter_at = text.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = text.split_at_checked(letter_at)?;
        let repeat = if digits.is_empty() { 1 } else { number(digits)? };
        let letter = *rest.as_bytes().first()?;
        let rest = rest.get(1..)?;
        if matches!(letter, b'P' | b'Q') {
            let pointed = *rest.as_bytes().first().filter(|byte| element_bits(**byte).is_some())?;
            let most = match rest.get(1..)? {
                "" => None,
                limit => Some(number(limit.strip_prefix('(')?.strip_suffix(')')?)?),
            };
            return Some(Self { repeat, letter, pointed: Some(pointed), most });
        }
        // What follows a fixed format is not defined, and allowed (`20A5` of substrings).
        element_bits(letter)?;
        Some(Self { repeat, letter, pointed: None, most: None })
    }

    /// Whether the column holds descriptors of arrays in the heap.
    pub(crate) fn is_descriptor(&self) -> bool {
        self.pointed.is_some()
    }

    /// Letter of the elements, in the row or in the heap.
    pub(crate) fn element(&self) -> u8 {
        self.pointed.unwrap_or(self.letter)
    }

    /// Bytes in a row.
    pub(crate) fn width(&self) -> u64 {
        match self.letter {
            b'P' => self.repeat.saturating_mul(8),
            b'Q' => self.repeat.saturating_mul(16),
            letter => element_bits(letter).unwrap_or(0).saturating_mul(self.repeat).div_ceil(8),
        }
    }

    /// Bytes of `count` elements in the heap.
    pub(crate) fn heap_bytes(&self, count: u64) -> u64 {
        element_bits(self.element()).unwrap_or(0).saturating_mul(count).div_ceil(8)
    }
}

/// Bits of one element (Standard table 18).
fn element_bits(letter: u8) -> Option<u64> {
    match letter {
        b'X' => Some(1),
        b'L' | b'B' | b'A' => Some(8),
        b'I' => Some(16),
        b'J' | b'E' => Some(32),
        b'K' | b'D' | b'C' => Some(64),
        b'M' => Some(128),
        _ => None,
    }
}

/// Whether `text` is a display format (Standard table 20) for a column of this type.
pub(crate) fn fits_display(text: &str, letter: u8) -> bool {
    let text = text.trim_end_matches(' ');
    let Some(first) = text.bytes().next() else { return false };
    let (kind, rest) = match text.get(..2) {
        Some("EN" | "ES") => (b'E', text.get(2..).unwrap_or_default()),
        _ => (first, text.get(1..).unwrap_or_default()),
    };
    let (body, exponent) = match rest.split_once('E') {
        Some((body, exponent)) if matches!(kind, b'E' | b'D' | b'G') => (body, number(exponent).is_some()),
        Some(_) => return false,
        None => (rest, true),
    };
    let (width, decimals) = match body.split_once('.') {
        Some((width, decimals)) => (number(width), number(decimals).is_some()),
        None => (number(body), true),
    };
    let is_form = exponent && decimals && width.is_some_and(|width| width > 0);
    let is_of_column = match kind {
        b'A' => letter == b'A',
        b'L' => letter == b'L',
        b'I' | b'B' | b'O' | b'Z' | b'F' | b'E' | b'D' | b'G' => letter != b'A' && letter != b'L',
        _ => false,
    } || (kind == b'G' && matches!(letter, b'A' | b'L'));
    is_form && is_of_column
}

/// A number of digits only.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}
