//! Decides how a product comes about from its in-place target: grown where it lies, or written anew.
//!
//! Pure: a plan, the shape of the target, and what the file system can do -> [`Growth`].

use crate::fits::hdu::FileTail;
use crate::fits::{BLOCK_BYTES, CARD_BYTES};
use crate::merge::input::InputDescription;
use crate::merge::plan::{HeaderPlan, MergePlan};

/// A target up to this size is written anew: that costs less than the fsyncs of growing it safely.
pub const SMALL_BYTES: u64 = 16 * 1024 * 1024;
/// The header gets no more spare room than this, whatever unit the file system moves: every reader passes over it.
const ROOM_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What of the target stays as it is in the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetShape {
    /// Size of the target's file.
    pub bytes: u64,
    /// Bytes of its primary header.
    pub header_bytes: u64,
    /// Bytes that the product's primary header needs.
    pub needed_bytes: u64,
    /// Its HDUs: the first so many of the plan.
    pub hdus: usize,
    /// Every HDU behind the primary header keeps its size, and nothing lacks or follows the last one.
    pub keeps_layout: bool,
}

/// What the file system can do with the target's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// The file is there to be changed, and no other name shows it.
    pub is_ours: bool,
    /// Unit of the file system's allocation.
    pub block_bytes: u64,
    /// It can insert a range (fallocate(2), FALLOC_FL_INSERT_RANGE), and the file has no holes.
    pub can_insert: bool,
    /// The product can share the target's blocks (FICLONE).
    pub can_clone: bool,
}

/// How a product comes about from its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// All of it is written to a new file.
    Rewrite,
    /// A new file shares the target's blocks, those from byte `at` on `bytes` further behind; the target stays.
    Clone {
        /// Byte from which on blocks are moved: a multiple of the file system's unit.
        at: u64,
        /// How far; 0 where the header has room.
        bytes: u64,
    },
    /// The header has room: it is overwritten where it lies.
    Fits,
    /// The file system inserts `bytes` bytes at byte `at`.
    Insert {
        /// A multiple of the file system's unit, at most the length of the header.
        at: u64,
        /// A multiple of the file system's unit and of a FITS block.
        bytes: u64,
    },
}

impl Growth {
    /// Bytes that the primary header gains.
    pub fn gained_bytes(self) -> u64 {
        match self {
            Growth::Rewrite | Growth::Fits => 0,
            Growth::Clone { bytes, .. } | Growth::Insert { bytes, .. } => bytes,
        }
    }
}

/// Compares the target with the head of `plan`, whose first input it is.
pub fn shape(plan: &MergePlan, target: &InputDescription) -> TargetShape {
    let hdus = 1 + target.extensions.len();
    let header_bytes = target.primary.header.byte_count();
    let needed_bytes = plan.hdus.first().map_or(0, |hdu| hdu.header_bytes);
    let moved = needed_bytes.wrapping_sub(header_bytes);
    let kept = |(hdu, own): (&crate::merge::plan::HduPlan, &crate::merge::input::ExtensionDescription)| {
        let has_its_bytes = matches!(&hdu.header, HeaderPlan::Patched { input: 0, bytes, .. }
            if *bytes == own.header_bytes && hdu.header_bytes == own.header_bytes);
        has_its_bytes && hdu.product_offset == own.header_offset.wrapping_add(moved)
    };
    let mut extensions = plan.hdus.iter().skip(1).zip(&target.extensions);
    let keeps_layout = needed_bytes >= header_bytes
        && plan.hdus.len() >= hdus
        && target.tail == FileTail::default()
        && extensions.all(kept);
    let last = plan.hdus.get(hdus - 1);
    let end = last.map_or(0, |hdu| hdu.data_offset() + hdu.data_bytes_padded());
    TargetShape { bytes: end.wrapping_sub(moved), header_bytes, needed_bytes, hdus, keeps_layout }
}

/// False for a target that is written anew whatever the file system can do.
pub fn may_grow(shape: &TargetShape) -> bool {
    shape.keeps_layout && shape.bytes > SMALL_BYTES
}

/// Decides by cost, and among equal costs by safety: a target that need not be touched is not.
pub fn decide(shape: &TargetShape, file: &FileFacts) -> Growth {
    if !may_grow(shape) {
        return Growth::Rewrite;
    }
    let lacking = shape.needed_bytes - shape.header_bytes;
    let moved = aligned_room(lacking, file.block_bytes);
    let at = shape.header_bytes - shape.header_bytes % file.block_bytes.max(1);
    match moved {
        Some(bytes) if file.can_clone => Growth::Clone { at, bytes },
        _ if !file.is_ours => Growth::Rewrite,
        _ if lacking == 0 => Growth::Fits,
        Some(bytes) if file.can_insert => Growth::Insert { at, bytes },
        // Shifting all data within the file would have to save each piece before it is overwritten: twice the bytes of
        // writing the product anew, which leaves the target whole until the end.
        _ => Growth::Rewrite,
    }
}

/// The least room of at least `lacking` bytes that keeps both FITS blocks and the file system's blocks whole.
fn aligned_room(lacking: u64, block_bytes: u64) -> Option<u64> {
    if lacking == 0 {
        return Some(0);
    }
    if !block_bytes.is_power_of_two() {
        return None;
    }
    // 2880 is 64 x 45.
    let unit = BLOCK_BYTES as u64 / 64 * block_bytes.max(64);
    let room = lacking.checked_next_multiple_of(unit)?;
    (room - lacking <= ROOM_BYTES_MAX).then_some(room)
}

/// Makes the primary header of `plan` as long as it becomes by `growth`, so that the target's HDUs stand where they are
/// moved to.
pub fn make_room(plan: &mut MergePlan, shape: &TargetShape, growth: Growth) {
    let grown = shape.header_bytes + growth.gained_bytes();
    give_room(plan, grown.saturating_sub(shape.needed_bytes));
}

/// Gives the primary header `bytes` bytes of blank cards more (a multiple of a FITS block); all HDUs behind it move.
fn give_room(plan: &mut MergePlan, bytes: u64) {
    let Some((primary, others)) = plan.hdus.split_first_mut() else { return };
    let HeaderPlan::Complete(header) = &mut primary.header else { return };
    if bytes == 0 {
        return;
    }
    // The old END becomes a blank card; the new one is the last card, so that all room is before it.
    let end = header.chunks(CARD_BYTES).rposition(|card| card.trim_ascii_end() == b"END").unwrap_or(0);
    header[end * CARD_BYTES..].fill(b' ');
    header.resize(header.len() + bytes as usize, b' ');
    let last = header.len() - CARD_BYTES;
    header[last..last + 3].copy_from_slice(b"END");
    primary.header_bytes += bytes;
    for hdu in others {
        hdu.product_offset += bytes;
    }
    plan.product_bytes += bytes;
}

#[cfg(test)]
mod tests;
