//! Where a bench may write, and whether there is room.

use std::path::{Path, PathBuf};

use crate::support::{MEBIBYTE, Outcome};

/// Names the folder for what a bench makes.
pub(crate) const FOLDER_VARIABLE: &str = "DPM_BENCH_DIR";
/// Left free on the disk, whatever a bench makes.
const RESERVE_BYTES: u64 = 1024 * MEBIBYTE;

/// `DPM_BENCH_DIR`, else the target folder: it is on the disk and not in memory, as a folder for temporary files may be.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os(FOLDER_VARIABLE).map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from)
}

/// # Errors
///
/// `folder` has not room for `bytes` and a reserve.
pub(crate) fn check(folder: &Path, bytes: u64) -> Outcome<()> {
    let (needed, available) = (bytes + RESERVE_BYTES, fs2::available_space(folder)?);
    if available >= needed {
        return Ok(());
    }
    let place = folder.display();
    Err(format!("{place} has {available} bytes, {needed} are needed: name another folder by {FOLDER_VARIABLE}").into())
}
