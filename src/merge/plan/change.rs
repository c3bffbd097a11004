//! In what an HDU of the product differs from the one that it comes from: for explanations.

use std::fmt;

use crate::merge::input::ExtensionDescription;

/// One difference between an HDU of the product and its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HduChange {
    /// EXTVER was raised, because the name was taken.
    VersionRaised {
        /// In the source; 1 where it has none.
        from: i128,
        /// In the product.
        to: i128,
    },
    /// CHECKSUM or DATASUM was not there.
    SumsAdded,
    /// The header grew.
    HeaderGrew {
        /// By how many bytes.
        bytes: u64,
    },
    /// Padding behind the data was missing.
    PaddingAdded {
        /// How many bytes.
        bytes: u64,
    },
    /// The pixels of a primary HDU became an IMAGE extension.
    MadeExtension,
}

impl fmt::Display for HduChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HduChange::VersionRaised { from, to } => write!(formatter, "EXTVER raised from {from} to {to}"),
            HduChange::SumsAdded => formatter.write_str("checksums added"),
            HduChange::HeaderGrew { bytes } => write!(formatter, "header grown by {bytes} bytes"),
            HduChange::PaddingAdded { bytes } => write!(formatter, "{bytes} bytes of padding added"),
            HduChange::MadeExtension => formatter.write_str("made an extension"),
        }
    }
}

/// The differences of an extension: `raised` is its new version, if it has one.
pub(in crate::merge::plan) fn of_extension(
    extension: &ExtensionDescription,
    raised: Option<i128>,
    header_bytes: u64,
    missing_padding: u64,
) -> Vec<HduChange> {
    let grown = header_bytes.saturating_sub(extension.header_bytes);
    let has_sums = extension.sums.datasum.is_some() && extension.sums.checksum.is_some();
    let mut changes: Vec<HduChange> = [
        raised.map(|to| HduChange::VersionRaised { from: extension.version, to }),
        (!has_sums).then_some(HduChange::SumsAdded),
        (grown > 0).then_some(HduChange::HeaderGrew { bytes: grown }),
        (missing_padding > 0).then_some(HduChange::PaddingAdded { bytes: missing_padding }),
    ]
    .into_iter()
    .flatten()
    .collect();
    // There may be tens of thousands of extensions.
    changes.shrink_to_fit();
    changes
}
