//! How a merge is done, chosen by configuration and command line: words, no effects. Every choice gives a right product;
//! what differs is its cost, and what is proved or kept on the way.

use crate::merge::gzip::GzipLimits;
use crate::merge::sealing::ChecksumMode;

/// Threads by default: one reads while the other writes; more only wait for one another at the product's file.
const THREADS: usize = 2;

/// How a merge is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeOptions {
    /// What is digested.
    pub digest: DigestScope,
    /// Whether a recorded DATASUM is believed.
    pub checksum: ChecksumMode,
    /// What compressed sources may expand to.
    pub gzip: GzipLimits,
    /// Threads that copy, at least 1.
    pub threads: usize,
    /// What the page cache keeps.
    pub page_cache: PageCache,
    /// Whether large data units are shared with their sources.
    pub reflink: Reflink,
    /// What follows where a source's data do not fit their DATASUM.
    pub mismatch: MismatchPolicy,
}

impl Default for MergeOptions {
    fn default() -> Self {
        MergeOptions {
            digest: DigestScope::Product,
            checksum: ChecksumMode::default(),
            gzip: GzipLimits::DEFAULT,
            threads: THREADS,
            page_cache: PageCache::Auto,
            reflink: Reflink::Auto,
            mismatch: MismatchPolicy::Alert,
        }
    }
}

impl MergeOptions {
    /// What the daemon tells its worker process: the flags of `dpm merge` that stand for these options.
    pub fn arguments(&self) -> Vec<String> {
        let threads = self.threads.to_string();
        let (ratio, expanded_bytes) = (self.gzip.ratio.to_string(), self.gzip.expanded_bytes.to_string());
        let words = [
            ("--digest", self.digest.as_str()),
            ("--checksum", self.checksum.as_str()),
            ("--gzip-ratio", &ratio),
            ("--expanded-bytes", &expanded_bytes),
            ("--threads", &threads),
            ("--page-cache", self.page_cache.as_str()),
            ("--reflink", self.reflink.as_str()),
            ("--checksum-mismatch", self.mismatch.as_str()),
        ];
        words.iter().flat_map(|(flag, word)| [*flag, *word]).map(str::to_owned).collect()
    }
}

/// A choice that has a word in the configuration and on the command line.
macro_rules! words {
    ($(#[$of_type:meta])* $type:ident { $($(#[$of_value:meta])* $value:ident = $word:literal),+ $(,)? }) => {
        $(#[$of_type])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $($(#[$of_value])* $value),+
        }

        impl $type {
            /// Every word.
            pub const WORDS: &[&str] = &[$($word),+];

            /// As it is written in the configuration and on the command line.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $word),+
                }
            }

            /// Reads what `as_str` wrote; `None` for any other word.
            pub fn parse(text: &str) -> Option<Self> {
                [$(Self::$value),+].into_iter().find(|value| value.as_str() == text)
            }
        }
    };
}

words! {
    /// What is digested with BLAKE3 while it is copied.
    DigestScope {
        /// Nothing: for merges by hand that need no record.
        Nothing = "none",
        /// The product.
        Product = "product",
        /// The product and each source file, as it lies.
        All = "all",
    }
}

words! {
    /// What the page cache keeps of sources and product.
    PageCache {
        /// Everything, as long as the product is small against the memory.
        Auto = "auto",
        /// Everything: it is read again soon.
        Keep = "keep",
        /// Nothing: others need the memory.
        Drop = "drop",
    }
}

words! {
    /// What follows where the data of a source do not fit the DATASUM that it records.
    MismatchPolicy {
        /// The product is made with the sum of the data as they are, and an alert tells of it.
        Alert = "alert",
        /// There is no product.
        Error = "error",
    }
}

words! {
    /// Whether the product shares large data units with its sources.
    Reflink {
        /// Where the file system can.
        Auto = "auto",
        /// Every byte is copied.
        Never = "never",
    }
}

#[cfg(test)]
mod tests {
    use crate::merge::options::{DigestScope, PageCache, Reflink};

    #[test]
    fn words_are_read_back() {
        for word in DigestScope::WORDS {
            assert_eq!(DigestScope::parse(word).map(DigestScope::as_str), Some(*word));
        }
        assert_eq!(PageCache::WORDS, ["auto", "keep", "drop"]);
        assert_eq!(Reflink::parse("Never"), None);
    }
}
