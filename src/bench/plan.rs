//! What is measured: sets of files, how often, and how much space that takes.

use std::fmt;
use std::str::FromStr;

/// DAQs that are run at once for the throughput of small ones.
pub const SMALL_DAQS: usize = 40;
/// What each of them merges.
pub const SMALL_SET: FileSet = FileSet { count: 3, bytes: 300_000 };
/// Left free on the disk, whatever is measured.
pub const RESERVE_BYTES: u64 = 1 << 30;
/// Most files in a set: a specification takes as many sources.
const FILES_MAX: u64 = 10_000;
/// Most bytes of one file, so that sums cannot overflow.
const FILE_BYTES_MAX: u64 = 1 << 50;
/// Header and padding of a sample.
const OVERHEAD_BYTES: u64 = 8640;

/// Equal files that one DAQ merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSet {
    /// Number of files.
    pub count: u64,
    /// Bytes of the data in each.
    pub bytes: u64,
}

/// Why a text is no list of sizes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no size: write COUNTxBYTES with kB, MB or GB, such as 16x64MB, with at most {FILES_MAX} files")]
pub struct SizeFault {
    text: String,
}

impl FromStr for FileSet {
    type Err = SizeFault;

    /// Reads `16x64MB`: decimal units, `B` if none is given.
    fn from_str(text: &str) -> Result<FileSet, SizeFault> {
        let fault = || SizeFault { text: text.to_owned() };
        let (count, size) = text.trim().split_once(['x', 'X']).ok_or_else(fault)?;
        let digits = size.len() - size.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = size.split_at(digits);
        let factor: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" => 1000,
            "m" | "mb" => 1_000_000,
            "g" | "gb" => 1_000_000_000,
            _ => return Err(fault()),
        };
        let count: u64 = count.parse().map_err(|_| fault())?;
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(fault)?;
        let is_legal = (1..=FILES_MAX).contains(&count) && (1..=FILE_BYTES_MAX).contains(&bytes);
        if is_legal { Ok(FileSet { count, bytes }) } else { Err(fault()) }
    }
}

impl fmt::Display for FileSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, unit) = match self.bytes {
            bytes if bytes % 1_000_000_000 == 0 => (bytes / 1_000_000_000, "GB"),
            bytes if bytes % 1_000_000 == 0 => (bytes / 1_000_000, "MB"),
            bytes if bytes % 1000 == 0 => (bytes / 1000, "kB"),
            bytes => (bytes, "B"),
        };
        write!(formatter, "{}x{value}{unit}", self.count)
    }
}

impl FileSet {
    /// Bytes of all files together, headers included.
    pub fn bytes_total(&self) -> u64 {
        self.count.saturating_mul(self.bytes.saturating_add(OVERHEAD_BYTES))
    }
}

/// Bytes that the bench needs while `sets` are measured one after the other, the reserve included.
///
/// `made` is false for files of the user's, which are there already. Beside its inputs, a set has one product and one
/// plain copy at a time.
pub fn bytes_needed(sets: &[u64], made: bool) -> u64 {
    let copies = if made { 3 } else { 2 };
    let largest = sets.iter().copied().max().unwrap_or(0).saturating_mul(copies);
    let small = SMALL_SET.bytes_total().saturating_mul(SMALL_DAQS as u64 + 1);
    largest.max(small).saturating_add(RESERVE_BYTES)
}

#[cfg(test)]
mod tests {
    use crate::bench::plan::{FileSet, RESERVE_BYTES, bytes_needed};

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let cases = [
            ("16x64MB", Some((16, 64_000_000))),
            ("200X330kb", Some((200, 330_000))),
            (" 1x5", Some((1, 5))),
            ("2x1g", Some((2, 1_000_000_000))),
            ("0x5MB", None),
            ("3x0", None),
            ("x5", None),
            ("5", None),
            ("1x5TB", None),
            ("1x99999999999999999999", None),
            ("20000x1", None),
            ("-1x5", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = text.parse::<FileSet>().ok().map(|set| (set.count, set.bytes));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn sets_are_named_as_they_are_read() {
        for text in ["16x64MB", "200x330kB", "1x5B", "2x1GB"] {
            assert_eq!(text.parse::<FileSet>().map(|set| set.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn the_largest_set_and_the_reserve_are_asked_for() {
        assert_eq!(bytes_needed(&[1_000_000_000, 5], true), 3_000_000_000 + RESERVE_BYTES);
        assert_eq!(bytes_needed(&[1_000_000_000, 5], false), 2_000_000_000 + RESERVE_BYTES);
        assert!(bytes_needed(&[], true) > RESERVE_BYTES);
        assert_eq!(bytes_needed(&[u64::MAX], true), u64::MAX);
    }
}
