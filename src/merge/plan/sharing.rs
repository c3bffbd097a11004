//! Places a data unit so that a file system with reflinks can share it between source and product.
//!
//! Blocks are shared whole, so the data unit must stand at the same place within a block in both files. A FITS block
//! has 2880 = 64 x 45 bytes, and 45 is odd: some number of FITS blocks from 0 to block / 64 - 1 reaches any multiple
//! of 64 modulo the file system's block. That many blank blocks lengthen the header before it.

use crate::fits::BLOCK_BYTES;
use crate::merge::plan::{DataExtent, SharedRange};

/// Smaller data units are copied: the blank header blocks would be a noticeable part of the product.
pub const SHARED_MIN_BYTES: u64 = 8 * 1024 * 1024;

/// What blank header blocks may cost: at most this part of the data unit.
const PADDING_SHARE: u64 = 16;

/// How a data unit is brought into step with its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::merge::plan) struct Alignment {
    /// FITS blocks that the header before it grows by.
    pub(in crate::merge::plan) padding_blocks: u64,
    /// What can then be shared.
    pub(in crate::merge::plan) range: SharedRange,
}

/// Finds the fewest header blocks with which `extent`, at byte `position` of the product without them, shares whole
/// blocks of `block_bytes` with its input; `None` where that does not pay or cannot be.
pub(in crate::merge::plan) fn align(extent: &DataExtent, position: u64, block_bytes: u64) -> Option<Alignment> {
    if extent.bytes < SHARED_MIN_BYTES {
        return None;
    }
    let fits_block = BLOCK_BYTES as u64;
    let wanted = extent.offset % block_bytes;
    // The sequence of residues repeats after at most `block_bytes` / 64 steps.
    let is_aligned = |blocks: &u64| (position + blocks * fits_block) % block_bytes == wanted;
    let padding_blocks = (0..block_bytes.div_ceil(64)).find(is_aligned)?;
    let start = (block_bytes - wanted) % block_bytes;
    let bytes = (extent.bytes - start) / block_bytes * block_bytes;
    let pays = padding_blocks * fits_block <= extent.bytes / PADDING_SHARE;
    pays.then_some(Alignment { padding_blocks, range: SharedRange { start, bytes } })
}

#[cfg(test)]
mod tests {
    use crate::merge::plan::sharing::{SHARED_MIN_BYTES, align};
    use crate::merge::plan::{DataExtent, SharedRange};

    fn extent(offset: u64, bytes: u64) -> DataExtent {
        DataExtent { input: 0, offset, bytes, fill_bytes: 0, fill: 0, shared: None }
    }

    /// Every place of both files can be brought into step, and then all but the two ends is shared.
    #[test]
    fn any_source_is_aligned_by_at_most_63_blocks() {
        for source_block in 0..130 {
            for product_block in [0, 1, 7, 64, 1000] {
                let data = extent(source_block * 2880, SHARED_MIN_BYTES + 5760);
                let found = align(&data, product_block * 2880, 4096).expect("aligned");
                assert!(found.padding_blocks <= 63);
                let product = (product_block + found.padding_blocks) * 2880;
                assert_eq!((product + found.range.start) % 4096, 0);
                assert_eq!((data.offset + found.range.start) % 4096, 0);
                assert_eq!(found.range.bytes % 4096, 0);
                assert!(found.range.start < 4096 && found.range.end() <= data.bytes);
                assert!(data.bytes - found.range.end() < 4096);
            }
        }
    }

    #[test]
    fn what_stands_right_is_not_moved() {
        let found = align(&extent(64 * 2880, SHARED_MIN_BYTES), 0, 4096).expect("aligned");
        assert_eq!(found.padding_blocks, 0);
        assert_eq!(found.range, SharedRange { start: 0, bytes: SHARED_MIN_BYTES });
    }

    #[test]
    fn small_data_and_large_blocks_are_copied() {
        assert_eq!(align(&extent(2880, SHARED_MIN_BYTES - 1), 0, 4096), None);
        // Blocks of 64 KiB may need 1023 FITS blocks, 2.9 MB.
        assert_eq!(align(&extent(2880, SHARED_MIN_BYTES), 5760, 65536), None);
        assert!(align(&extent(2880, 64 * SHARED_MIN_BYTES), 5760, 65536).is_some());
    }
}
