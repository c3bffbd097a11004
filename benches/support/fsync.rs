//! The floor of everything durable: how fast this disk syncs, in a bare loop.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::Outcome;

/// A page of the database.
const PAGE_BYTES: usize = 4096;

/// Time of `count` appends of 4 KiB to a file in `folder`, each followed by fdatasync.
///
/// # Errors
///
/// The disk refuses.
pub(crate) fn appends(folder: &Path, count: usize) -> Outcome<Duration> {
    let path = folder.join("fsync-floor");
    let mut file = File::create(&path)?;
    let page = [0x5a; PAGE_BYTES];
    let began = Instant::now();
    for _ in 0..count {
        file.write_all(&page)?;
        file.sync_data()?;
    }
    let time = began.elapsed();
    std::fs::remove_file(path)?;
    Ok(time)
}
