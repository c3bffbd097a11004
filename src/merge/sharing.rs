//! Finds out whether a product can share blocks with its sources (reflinks), by trying.

use std::collections::HashMap;
use std::path::Path;

use crate::durable::new_file::NewFile;
use crate::merge::intake::OpenInput;
use crate::merge::plan::SHARED_MIN_BYTES;

/// Tries with a nameless file where the product will be; once for each device.
#[derive(Debug)]
pub(crate) struct Sharing {
    trial: Option<NewFile>,
    /// Bytes of a block, by the device of the source.
    known: HashMap<u64, Option<u64>>,
}

impl Sharing {
    /// For a product in `folder`.
    pub(crate) fn new(folder: &Path) -> Sharing {
        // Where no file can be made nothing can be shared; the merge itself will tell.
        let trial = NewFile::create(&folder.join("product")).ok();
        Sharing { trial, known: HashMap::new() }
    }

    /// Bytes of a block that product and `input` can share; `None` where they cannot or it would not pay.
    pub(crate) fn block_bytes(&mut self, input: &OpenInput) -> Option<u64> {
        if !input.is_plain() || input.fingerprint.bytes < SHARED_MIN_BYTES {
            return None;
        }
        let trial = self.trial.as_ref()?.file();
        *self.known.entry(input.fingerprint.device).or_insert_with(|| {
            rustix::fs::ioctl_ficlone(trial, &input.file).ok()?;
            trial.set_len(0).ok()?;
            let block = rustix::fs::fstatvfs(trial).ok()?.f_bsize;
            block.is_power_of_two().then_some(block)
        })
    }
}
