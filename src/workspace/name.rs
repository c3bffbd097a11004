//! Names that become parts of paths: identifiers are checked, file names of others are made harmless.
//!
//! Knows no file system: text in, text out.

/// Most bytes of an identifier (DAQ or file).
pub const NAME_BYTES_MAX: usize = 128;
/// Most bytes kept of a source's own file name.
const SOURCE_NAME_BYTES_MAX: usize = 100;
/// Most bytes of a bad name that an error message repeats.
const SHOWN_CHARACTERS: usize = 60;

/// An identifier that cannot be a file name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{shown}' is no valid name: use 1 to {NAME_BYTES_MAX} of the characters A-Z a-z 0-9 . _ : + - and start with a \
     letter or digit"
)]
pub struct NameFault {
    /// The name, shortened, with control characters escaped.
    pub shown: String,
}

/// Checks that `name` matches `^[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}$`: it is one path component and hidden from nobody.
///
/// # Errors
///
/// [`NameFault`] with a printable form of the name.
pub fn check_name(name: &str) -> Result<&str, NameFault> {
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(|first| first.is_ascii_alphanumeric());
    if starts_well && name.len() <= NAME_BYTES_MAX && bytes.all(is_name_byte) {
        return Ok(name);
    }
    let shown = name.chars().take(SHOWN_CHARACTERS).flat_map(char::escape_default).collect();
    Err(NameFault { shown })
}

/// Makes a harmless file name of a source's ordinal (0-based) and its own file name: `0003-NAME`.
///
/// Unique in a DAQ through the ordinal; other characters than those of an identifier become `_`; of a long name the
/// end is kept, because it carries the suffix.
pub(in crate::workspace) fn source_file_name(ordinal: usize, name: &str) -> String {
    let harmless: String = name.chars().map(|c| if c.is_ascii() && is_name_byte(c as u8) { c } else { '_' }).collect();
    // Only ASCII is left, so any byte index is a character boundary.
    let kept = &harmless[harmless.len().saturating_sub(SOURCE_NAME_BYTES_MAX)..];
    format!("{ordinal:04}-{kept}")
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._:+-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use crate::workspace::name::{check_name, source_file_name};

    #[test]
    fn only_harmless_names_pass() {
        let longest = "x".repeat(128);
        for good in ["a", "0", "KMOS.2026-03-25T12:00:00.123", "a+b_c", "A..", longest.as_str()] {
            assert_eq!(check_name(good), Ok(good));
        }
        let too_long = "x".repeat(129);
        let bad =
            ["", ".", "..", "../a", "a/b", "/a", "-x", ".a", "a b", "a\0", "a\n", "\u{430}", "a\u{301}", &too_long];
        for name in bad {
            let fault = check_name(name).unwrap_err();
            assert!(!fault.to_string().contains(['\n', '\0']), "{fault}");
        }
    }

    #[test]
    fn source_names_are_unique_and_stay_in_their_folder() {
        let check = |ordinal, name, expected: &str| assert_eq!(source_file_name(ordinal, name), expected);
        check(0, "a.fits", "0000-a.fits");
        check(12_345, "../../etc/passwd", "12345-.._.._etc_passwd");
        check(1, "", "0001-");
        check(1, "a\u{20ac} b\n", "0001-a__b_");
        let long = source_file_name(7, &format!("{}.fits", "y".repeat(5000)));
        assert_eq!(long.len(), 105);
        assert!(long.ends_with("y.fits"));
    }
}
