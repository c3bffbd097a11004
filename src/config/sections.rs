//! The table of all settings: key, type, default, range, and the reason, each written once.
//!
//! The doc comment of a key is also its description in `dpm serve --check-config` and in the schema, which a test
//! compares with this table. Reads and checks nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::config::fault::Origin;
use crate::config::setting::{Key, Kind, Setting};
use crate::merge::gzip::GzipLimits;
use crate::merge::options::{DigestScope, MergeOptions, MismatchPolicy, PageCache, Reflink};
use crate::merge::sealing::ChecksumMode;
use crate::specification::model::Receiver;
use crate::transfer::plan::CollectMode;

/// Bytes of a workspace path: PATH_MAX (4096) less the longest name below it, rounded.
const WORKSPACE_BYTES_MAX: usize = 3500;

/// Bytes of a Unix socket's path: `sockaddr_un` has 108, the last of them NUL.
const SOCKET_BYTES_MAX: usize = 107;

/// Past this number more at once only makes all of them slower: the files and processes that they hold run out first.
const AT_ONCE_MAX: i64 = 1000;

macro_rules! settings {
    ($(
        $(#[doc = $section_doc:literal])+
        [$section:ident] $type:ident {
            $( $(#[doc = $doc:literal])+ $name:ident: $field:ty = $default:expr, $kind:expr; )+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq)]
            pub struct $type { $( $(#[doc = $doc])+ pub $name: $field, )+ }

            impl Default for $type {
                fn default() -> Self {
                    Self { $( $name: $default, )+ }
                }
            }
        )+

        /// Every setting, valid, and where it was set.
        #[derive(Clone, Debug, Default)]
        pub struct Configuration {
            $( $(#[doc = $section_doc])+ pub $section: $type, )+
            /// Where the values were set.
            pub(crate) provenance: Provenance,
        }

        /// Name and description of every section.
        pub(crate) const SECTIONS: &[(&str, &str)] = &[$( (stringify!($section), concat!($($section_doc),+)) ),+];

        /// Every key, in order of its section.
        pub(crate) const KEYS: &[Key] = &[$( $( Key {
            section: stringify!($section),
            name: stringify!($name),
            doc: concat!($($doc),+),
            kind: $kind,
        }, )+ )+];

        impl Configuration {
            /// Sets one key; false where the field cannot hold the value.
            pub(crate) fn set(&mut self, key: &Key, value: &Value) -> bool {
                $( $( if (key.section, key.name) == (stringify!($section), stringify!($name)) {
                    return Setting::read(value).map(|value| self.$section.$name = value).is_some();
                } )+ )+
                false
            }

            /// The value of one key; null where it has none.
            pub(crate) fn value(&self, key: &Key) -> Value {
                $( $( if (key.section, key.name) == (stringify!($section), stringify!($name)) {
                    return self.$section.$name.value();
                } )+ )+
                Value::Null
            }
        }
    };
}

settings! {
    /// Where everything that dpm keeps is.
    [workspace] WorkspaceSettings {
        /// Folder of the queue's state, the collected files and the finished products. By default in the current
        /// folder, so that a first try needs no rights and leaves nothing elsewhere; put it on the file system of the
        /// receivers, so that products are delivered by links instead of copies.
        path: PathBuf = PathBuf::from("dpm-workspace"), Kind::Path(WORKSPACE_BYTES_MAX);
    }

    /// The command socket.
    [server] ServerSettings {
        /// Path of the command socket; without it, dpm.sock in the workspace, so that whoever knows the workspace finds
        /// its daemon. Set it where the workspace's path is too long for a socket (107 bytes).
        socket: Option<PathBuf> = None, Kind::Path(SOCKET_BYTES_MAX);
        /// Bytes of one request: as long as the longest specification (16 MiB), so that no client can fill the memory.
        max_request_bytes: usize = 16 * 1024 * 1024, Kind::Integer(4096, 256 * 1024 * 1024);
        /// Clients at once; each holds one of the process's files, of which there are often only 1024.
        max_connections: usize = 256, Kind::Integer(1, 100_000);
        /// Seconds without a request after which a connection that waits for nothing gives way to a new one, where all are
        /// taken: a client that forgot to close must not keep others out, and one that works is never put out.
        idle_seconds: u64 = 1, Kind::Integer(1, 86_400);
        /// Seconds between two notifications of the storage's status: often enough to see a disk fill.
        storage_interval_seconds: u64 = 10, Kind::Integer(1, 86_400);
    }

    /// How many may run at once; 0 is no limit, except for queue_length.
    [limits] LimitSettings {
        /// DAQs that have begun and not ended, parked ones aside: enough to collect for the next merges while two run.
        daqs: usize = 4, Kind::Integer(0, AT_ONCE_MAX);
        /// Merges: each is one process that reads and writes as fast as the disk; a second one fills the pauses of the
        /// first, more only compete.
        merges: usize = 2, Kind::Integer(0, AT_ONCE_MAX);
        /// DAQs that collect their files: they mostly wait for other machines.
        transfers: usize = 4, Kind::Integer(0, AT_ONCE_MAX);
        /// DAQs that are delivered: a link or a copy each.
        releases: usize = 4, Kind::Integer(0, AT_ONCE_MAX);
        /// Unfinished DAQs; more are refused with Busy. Several nights' worth, while each is kept in memory.
        queue_length: usize = 10_000, Kind::Integer(1, 1_000_000);
    }

    /// How source files are collected.
    [collect] CollectSettings {
        /// Files of this machine: "reference" reads them where they lie, once, into the product, and proves that they
        /// did not change; "copy" copies them first, for producers that reuse or remove their files early.
        local: CollectMode = CollectMode::Reference, Kind::Choice(&["reference", "copy"]);
    }

    /// How products are merged.
    [merge] MergeSettings {
        /// Niceness of the merging processes, 0 to 19: by default below the acquisition software of the same machine.
        niceness: i32 = 5, Kind::Integer(0, 19);
        /// "recompute" reads and sums every data unit; "trust" takes a DATASUM that a file records as it is wherever its
        /// data need not be read for another reason, such as those of a target that is grown in place.
        checksum: ChecksumMode = ChecksumMode::Recompute, Kind::Choice(&["recompute", "trust"]);
        /// Bytes to which each byte of a gzip-compressed source may expand, in the mean; content of up to 256 MiB may
        /// have any ratio. Pixels of a detector have 1.5 to 4, masks some tens; what has more is rather made to fill
        /// a disk.
        gzip_ratio: u64 = GzipLimits::DEFAULT.ratio, Kind::Integer(1, 10_000);
        /// Bytes to which a gzip-compressed source may expand: by default 64 GiB, some minutes of work, twice.
        expanded_bytes: u64 = GzipLimits::DEFAULT.expanded_bytes, Kind::Integer(1_048_576, i64::MAX);
        /// BLAKE3 digests that are taken while data is copied: "product", by which a product is proved after a crash and
        /// at its receivers; "all" also of each source file, for the record.
        digest: DigestScope = DigestScope::Product, Kind::Choice(&["product", "all"]);
        /// Whether the product shares large data units with its sources: "auto" does where the file system can
        /// (reflinks on xfs and btrfs), which saves writing and space; "never" copies every byte.
        reflink: Reflink = Reflink::Auto, Kind::Choice(&["auto", "never"]);
        /// What the page cache keeps of sources and products: "auto" keeps all but that of products above an eighth of
        /// the memory, which would push out what the acquisition has cached; "keep"; "drop".
        page_cache: PageCache = PageCache::Auto, Kind::Choice(&["auto", "keep", "drop"]);
        /// Threads of one merge: one reads while another writes; more than 2 only wait for one another at the file.
        threads: usize = 2, Kind::Integer(1, 16);
        /// What follows where the data of a source do not fit the DATASUM that it records: "alert" makes the product with
        /// the sum of the data as they are and tells of it, as the ELT does; "error" parks the DAQ.
        checksum_mismatch: MismatchPolicy = MismatchPolicy::Alert, Kind::Choice(&["alert", "error"]);
    }

    /// Data Interface Dictionaries, which say what keywords there are.
    [dictionaries] DictionariesSettings {
        /// Folders with the dictionaries that specifications name in keywordDictionaries, searched in order. Without any
        /// they are not looked for, because the ELT's merger does not use them either.
        path: Vec<PathBuf> = Vec::new(), Kind::Paths(WORKSPACE_BYTES_MAX);
        /// Whether a keyword that is not as the dictionaries say, or a dictionary that is missing, parks the DAQ instead of
        /// raising an alert.
        strict: bool = false, Kind::Boolean;
    }

    /// Where finished products go.
    [release] ReleaseSettings {
        /// Receivers of a specification that names none, of the same form as there. Without any, such a product stays
        /// in the workspace's products folder, which is right for trials.
        receivers: Vec<Receiver> = Vec::new(), Kind::Receivers;
    }

    /// How failures that may pass are tried again.
    [retry] RetrySettings {
        /// Tries in all before a DAQ is parked with an error: a short loss of the network needs no operator, a lasting
        /// one needs one soon.
        attempts: u32 = 3, Kind::Integer(1, 1000);
        /// Seconds of pause after the first failure; each further pause is twice as long.
        first_pause_seconds: f64 = 1.0, Kind::Real(0.0, 3600.0);
        /// Seconds of the longest pause: waiting longer no longer spares what failed and delays the product.
        longest_pause_seconds: f64 = 60.0, Kind::Real(0.0, 86_400.0);
    }

    /// The folder for specifications in the workspace.
    [inbox] InboxSettings {
        /// Whether a specification that is put into the inbox folder is queued: for producers without a client.
        enabled: bool = true, Kind::Boolean;
    }

    /// The log, on standard error.
    [log] LogSettings {
        /// The least important level that is logged: error, warn, info, debug or off; or a list like
        /// "info,dpm::engine=debug". By default what an operator acts on or looks up later.
        level: String = "info".to_owned(), Kind::LogLevel;
        /// "text" for people, or "json" for programs: one object a line.
        format: LogFormat = LogFormat::Text, Kind::Choice(&["text", "json"]);
    }
}

impl MergeSettings {
    /// What a worker is told.
    pub(crate) fn options(&self) -> MergeOptions {
        MergeOptions {
            digest: self.digest,
            checksum: self.checksum,
            gzip: GzipLimits { ratio: self.gzip_ratio, expanded_bytes: self.expanded_bytes },
            threads: self.threads,
            page_cache: self.page_cache,
            reflink: self.reflink,
            mismatch: self.checksum_mismatch,
        }
    }
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl LogFormat {
    /// As it is written in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl Setting for LogFormat {
    fn read(value: &Value) -> Option<Self> {
        [Self::Text, Self::Json].into_iter().find(|format| value.as_str() == Some(format.as_str()))
    }

    fn value(&self) -> Value {
        json!(self.as_str())
    }
}

/// Where the values of a configuration were set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Provenance {
    /// The file that was read.
    pub(crate) file: Option<PathBuf>,
    /// By the key's path; what is not in here has its default.
    pub(crate) origins: BTreeMap<String, Origin>,
}

impl Provenance {
    /// Where `section.key` was set.
    pub(crate) fn of(&self, path: &str) -> &Origin {
        self.origins.get(path).unwrap_or(&Origin::Default)
    }
}
