//! The flags of `dpm merge` that stand for settings: where one is not given, what is configured counts.
//!
//! The daemon's worker is told everything by flags and reads no configuration.

use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::cli::exit::CliError;
use crate::cli::session;
use crate::config::Configuration;
use crate::dictionary::DictionarySettings;
use crate::merge::gzip::GzipLimits;
use crate::merge::options::{DigestScope, MergeOptions, MismatchPolicy, PageCache, Reflink};
use crate::merge::sealing::ChecksumMode;

/// Flags that win over the configuration's sections merge and dictionaries.
#[derive(Debug, Args)]
pub(crate) struct MergeFlags {
    /// Configuration file, of which the sections merge and dictionaries count; the flags below win over it
    #[arg(long, value_name = "FILE", env = "DPM_CONFIG")]
    config: Option<PathBuf>,
    /// Whether to read and sum all data ("recompute"), or to take a recorded DATASUM as it is ("trust") wherever the
    /// data need not be read for another reason [default: merge.checksum, "recompute"]
    #[arg(long, value_name = "MODE", value_parser = word(ChecksumMode::parse, ChecksumMode::WORDS))]
    checksum: Option<ChecksumMode>,
    /// Bytes to which each byte of a gzip source may expand, in the mean, beyond 256 MiB [default: merge.gzip_ratio,
    /// 100]
    #[arg(long, value_name = "N")]
    gzip_ratio: Option<u64>,
    /// Bytes to which a gzip source may expand [default: merge.expanded_bytes, 68719476736]
    #[arg(long, value_name = "N")]
    expanded_bytes: Option<u64>,
    /// What is digested with BLAKE3 while it is copied: the product, also each source file ("all"), or nothing
    /// [default: merge.digest, "product"]
    #[arg(long, value_name = "WHAT", value_parser = word(DigestScope::parse, DigestScope::WORDS))]
    digest: Option<DigestScope>,
    /// Whether large data units are shared with their sources where the file system can, or always copied [default:
    /// merge.reflink, "auto"]
    #[arg(long, value_name = "WHEN", value_parser = word(Reflink::parse, Reflink::WORDS))]
    reflink: Option<Reflink>,
    /// What the page cache keeps of sources and product [default: merge.page_cache, "auto"]
    #[arg(long, value_name = "WHAT", value_parser = word(PageCache::parse, PageCache::WORDS))]
    page_cache: Option<PageCache>,
    /// Threads that copy [default: merge.threads, 2]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=16))]
    threads: Option<u8>,
    /// What follows where a source's data do not fit their DATASUM: "alert" or "error" [default:
    /// merge.checksum_mismatch, "alert"]
    #[arg(long, value_name = "POLICY", value_parser = word(MismatchPolicy::parse, MismatchPolicy::WORDS))]
    checksum_mismatch: Option<MismatchPolicy>,
    /// Folder with data interface dictionaries, instead of the configured ones; may be given several times
    #[arg(long, value_name = "DIR")]
    dictionary_path: Vec<PathBuf>,
    /// A keyword that is not as the dictionaries say is an error, as is a missing dictionary
    #[arg(long)]
    strict_dictionaries: bool,
}

/// How a merge is done, all layers together.
pub(crate) struct MergeSettings {
    pub(crate) options: MergeOptions,
    pub(crate) dictionaries: DictionarySettings,
}

/// Reads one of `words`, which clap lists where it is another.
fn word<T: Clone + Send + Sync + 'static>(
    parse: fn(&str) -> Option<T>,
    words: &'static [&'static str],
) -> impl TypedValueParser<Value = T> {
    let unknown = move |text: String| parse(&text).ok_or("unknown word");
    PossibleValuesParser::new(words).try_map(unknown)
}

impl MergeFlags {
    /// What counts: the flags, over the configuration for a merge by hand, over the defaults for a worker.
    pub(crate) fn settings(&self, is_worker: bool) -> Result<MergeSettings, CliError> {
        let configuration = match is_worker {
            true => Configuration::default(),
            false => session::configuration(self.config.as_deref(), None, None)?,
        };
        let base = configuration.merge.options();
        let options = MergeOptions {
            digest: self.digest.unwrap_or(base.digest),
            checksum: self.checksum.unwrap_or(base.checksum),
            gzip: GzipLimits {
                ratio: self.gzip_ratio.unwrap_or(base.gzip.ratio),
                expanded_bytes: self.expanded_bytes.unwrap_or(base.gzip.expanded_bytes),
            },
            threads: self.threads.map_or(base.threads, usize::from),
            page_cache: self.page_cache.unwrap_or(base.page_cache),
            reflink: self.reflink.unwrap_or(base.reflink),
            mismatch: self.checksum_mismatch.unwrap_or(base.mismatch),
        };
        let mut dictionaries = configuration.dictionary_settings();
        if !self.dictionary_path.is_empty() {
            dictionaries.path.clone_from(&self.dictionary_path);
        }
        dictionaries.strict |= self.strict_dictionaries;
        Ok(MergeSettings { options, dictionaries })
    }
}
