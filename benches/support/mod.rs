//! What the benches share: seeded samples, processes that are timed, the peers that merge in other ways.

#![allow(dead_code, reason = "each bench uses a part")]

pub(crate) mod astropy;
pub(crate) mod cfitsio;
pub(crate) mod daemon;
pub(crate) mod fsync;
pub(crate) mod interrupt;
pub(crate) mod mount;
pub(crate) mod process;
pub(crate) mod sample;
pub(crate) mod space;
pub(crate) mod table;
pub(crate) mod verdict;

/// What a bench may fail with: it ends with the text.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// 1024 x 1024 bytes.
pub(crate) const MEBIBYTE: u64 = 1024 * 1024;
