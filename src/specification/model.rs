//! The specification as the rest of the product knows it: typed and valid, so that nothing asks again.
//!
//! Built only by [`crate::specification::validate`]; plain values without behaviour beyond naming files.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::fits::card::Record;
use crate::specification::keyword_rules::KeywordRules;
use crate::specification::location::Location;

/// Longest [`DaqId`] and [`FileId`] in characters: with prefix and suffix it stays a legal file name (255 bytes).
pub const NAME_CHARS_MAX: usize = 128;

/// One data product: what it is made of and where it goes.
#[derive(Clone, Debug)]
pub struct Specification {
    /// Identifier of the data acquisition.
    pub id: DaqId,
    /// Higher runs first; 0 unless given.
    pub priority: i64,
    /// In descending priority, which is also the order of their extensions.
    pub sources: Vec<SourceSpecification>,
    /// The product.
    pub target: Target,
    /// Where the product is delivered; empty: the configuration decides.
    pub receivers: Vec<Receiver>,
    /// Names of data interface dictionaries, as given.
    pub keyword_dictionaries: Vec<String>,
}

impl Specification {
    /// Every file to collect: the in-place target first, then the sources in order.
    pub fn file_sources(&self) -> impl Iterator<Item = FileInput<'_>> {
        let target = self.target.source.iter().map(|source| (FileRole::Target, source));
        let sources = self.sources.iter().enumerate().filter_map(|(index, source)| match source {
            SourceSpecification::FitsFile(source) => Some((FileRole::Source { index }, source)),
            SourceSpecification::FitsKeywords(_) => None,
        });
        target.chain(sources).enumerate().map(|(ordinal, (role, source))| FileInput { ordinal, role, source })
    }
}

/// One file to collect.
#[derive(Clone, Copy, Debug)]
pub struct FileInput<'a> {
    /// Number of the file over all files, 0-based.
    pub ordinal: usize,
    /// What it is for.
    pub role: FileRole,
    /// Where it lies and how it is used.
    pub source: &'a FitsFileSource,
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileRole {
    /// The base that the product is made of in place.
    Target,
    /// A source.
    Source {
        /// Its place in [`Specification::sources`], 0-based.
        index: usize,
    },
}

/// Why a text is no [`DaqId`] or [`FileId`].
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("not 1 to 128 letters, digits and . _ : + -, the first a letter or digit")]
pub struct NameFault;

fn check_name(text: &str) -> Result<String, NameFault> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:+-".contains(&byte);
    let is_name = text.len() <= NAME_CHARS_MAX
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(is_legal);
    if is_name { Ok(text.to_owned()) } else { Err(NameFault) }
}

macro_rules! file_name_type {
    ($name:ident, $what:literal) => {
        #[doc = $what]
        ///
        /// Matches `^[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}$`: it is used as a file name.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameFault;

            fn from_str(text: &str) -> Result<Self, NameFault> {
                check_name(text).map(Self)
            }
        }
    };
}

file_name_type!(DaqId, "Identifier of a data acquisition.");
file_name_type!(FileId, "Archive file id: the product is `{fileId}.fits`.");

/// One origin of keywords or of a file.
#[derive(Clone, Debug)]
pub enum SourceSpecification {
    /// A FITS file.
    FitsFile(FitsFileSource),
    /// Keywords in the specification itself.
    FitsKeywords(FitsKeywordsSource),
}

impl SourceSpecification {
    /// The name given by the specification; several sources may share it.
    pub fn name(&self) -> &str {
        match self {
            Self::FitsFile(source) => &source.source_name,
            Self::FitsKeywords(source) => &source.source_name,
        }
    }
}

/// A FITS file as a source, or as the base of the product.
#[derive(Clone, Debug)]
pub struct FitsFileSource {
    /// Name of the source: printable ASCII without `/`.
    pub source_name: String,
    /// Where the file lies.
    pub location: Location,
    /// Which keywords of its primary header are copied; `None`: those of class user.
    pub keyword_rules: Option<KeywordRules>,
    /// Whether pixels that cannot be merged raise an alert.
    pub alert_unmergeable: bool,
    /// What becomes of pixels in its primary HDU.
    pub primary_data: PrimaryData,
    /// Whether dpm may take the file itself instead of a copy.
    pub handover: bool,
    /// What the collected bytes must match.
    pub digest: Option<SourceDigest>,
}

/// What becomes of pixels in the primary HDU of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrimaryData {
    /// They are left out, with an alert (ELT).
    Alert,
    /// They become an IMAGE extension named after the source.
    AsExtension,
    /// They are left out in silence.
    Ignore,
}

/// Digest that a file must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceDigest {
    /// Algorithm.
    pub algorithm: DigestAlgorithm,
    /// 64 hexadecimal digits in lower case.
    pub value: String,
}

/// Algorithm of a digest; both give 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestAlgorithm {
    /// BLAKE3.
    Blake3,
    /// SHA-256.
    Sha256,
}

/// Keywords in the specification itself.
#[derive(Clone, Debug)]
pub struct FitsKeywordsSource {
    /// Name of the source.
    pub source_name: String,
    /// The keywords as records, formatted, in order.
    pub records: Vec<Record>,
    /// Rules applied to them; `None`: those of class user are copied.
    pub keyword_rules: Option<KeywordRules>,
}

/// The product.
#[derive(Clone, Debug)]
pub struct Target {
    /// Archive file id.
    pub file_id: FileId,
    /// Goes before the file id in ORIGFILE; empty unless given.
    pub file_prefix: String,
    /// The file that the product is made of in place; `None`: a new file.
    pub source: Option<FitsFileSource>,
    /// Order of the keywords.
    pub sort: SortOrder,
    /// What is done about equal names of extensions.
    pub extension_names: ExtensionNames,
}

impl Target {
    /// The name under which the product is delivered, and its ARCFILE: `{fileId}.fits`.
    pub fn archive_name(&self) -> String {
        format!("{}.fits", self.file_id)
    }

    /// The product's ORIGFILE: prefix, file id, `.fits`.
    pub fn original_name(&self) -> String {
        format!("{}{}.fits", self.file_prefix, self.file_id)
    }
}

/// Order of the keywords in the product's primary header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortOrder {
    /// Value keywords, ESO keywords by category, commentary.
    Category,
    /// As the sources give them.
    None,
}

/// What is done about extensions of equal EXTNAME and EXTVER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtensionNames {
    /// Nothing.
    AsIs,
    /// EXTVER is raised.
    Unique,
}

/// Where a finished product is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// The ingestion directory of the archive.
    Olas(OlasReceiver),
    /// A folder of this host.
    Folder(FolderReceiver),
    /// An object store.
    Object {
        /// Bucket and prefix.
        url: String,
    },
    /// A program.
    Command {
        /// The program and its arguments, at least one.
        argv: Vec<String>,
    },
}

/// The ingestion directory of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OlasReceiver {
    /// Absolute path of the directory.
    pub path: String,
    /// Host of the archive; empty: the path is reachable here.
    pub host: String,
    /// Whether a symbolic link may be delivered.
    pub allow_symlink: bool,
}

/// A folder of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FolderReceiver {
    /// Absolute path of the folder.
    pub path: String,
    /// How the file gets there.
    pub mode: FolderMode,
}

/// How a file gets into a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderMode {
    /// The cheapest way that gives an independent regular file: hard link, reflink, copy.
    Auto,
    /// A hard link or nothing.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A copy.
    Copy,
}

#[cfg(test)]
mod tests {
    use crate::specification::model::{DaqId, FileId};

    #[test]
    fn names_of_files() {
        let longest = "x".repeat(128);
        for text in ["A", "0", "XMPL.2031-02-03T04:05:06.789", "a..b", "a_b+c", longest.as_str()] {
            assert_eq!(text.parse::<DaqId>().map(|id| id.to_string()).as_deref(), Ok(text));
            assert_eq!(text.parse::<FileId>().map(|id| id.as_str().to_owned()).as_deref(), Ok(text));
        }
        let too_long = "x".repeat(129);
        for text in ["", ".", "..", "-x", "_x", "a/b", "a b", "a\0", "a\n", "../a", "é", "\u{430}", too_long.as_str()]
        {
            assert!(text.parse::<DaqId>().is_err(), "{text}");
        }
    }
}
