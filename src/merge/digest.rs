//! BLAKE3 of a product in the order of its bytes, although each header is known only after its data.
//!
//! A header carries the checksum of the data behind it, so one pass writes data first and the header last. BLAKE3 is
//! a tree: pieces that start at multiples of a power of two chunks are hashed on their own and joined afterwards
//! (BLAKE3 paper, section 2.1). So the digest leaves a gap for the header and fills it later. The result is
//! the plain BLAKE3 of the file, as `b3sum` prints it.

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use blake3::{Hash, Hasher};

/// Bytes of a piece that is hashed on its own: a power of two chunks. Small enough that holding back the rest of a
/// piece costs nothing, large enough that 50 GB leave only 6 MB of chaining values.
const PIECE_BYTES: u64 = 256 * 1024;

/// Digest of a file that is fed in order, except for one announced gap at a time.
#[derive(Default)]
pub struct TreeDigest {
    /// Chaining values of whole pieces by index; a hole while its piece waits for the gap.
    pieces: Vec<ChainingValue>,
    run: Run,
    /// Bytes seen, an announced gap included.
    position: u64,
    gap: Option<Gap>,
}

impl TreeDigest {
    /// Starts at byte 0.
    pub fn new() -> TreeDigest {
        TreeDigest::default()
    }

    /// Takes the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if let Some(gap) = &mut self.gap {
            let room = gap.held_until().saturating_sub(self.position);
            let (held, after) = rest.split_at(rest.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            gap.held_back.extend_from_slice(held);
            rest = after;
        }
        self.run.absorb(rest, &mut self.pieces);
        self.position += bytes.len() as u64;
    }

    /// Leaves a gap of `bytes` bytes at the present position; the earlier gap must have been filled.
    pub fn leave_gap(&mut self, bytes: u64) {
        debug_assert!(self.gap.is_none(), "one gap at a time");
        let gap = Gap { run: std::mem::take(&mut self.run), bytes, held_back: Vec::new() };
        self.position += bytes;
        self.run = Run::at(gap.held_until());
        self.gap = Some(gap);
    }

    /// Fills the gap; `bytes` has the announced length.
    pub fn fill_gap(&mut self, bytes: &[u8]) {
        let Some(mut gap) = self.gap.take() else { return };
        debug_assert_eq!(bytes.len() as u64, gap.bytes, "a gap is filled with its announced length");
        gap.run.absorb(bytes, &mut self.pieces);
        gap.run.absorb(&gap.held_back, &mut self.pieces);
        if self.run.is_empty() {
            self.run = gap.run;
        } else {
            gap.run.close(&mut self.pieces);
        }
    }

    /// Returns the digest of all bytes.
    pub fn finish(mut self) -> Hash {
        if self.pieces.is_empty() {
            return self.run.hasher.finalize();
        }
        self.run.close(&mut self.pieces);
        let (left, right) = self.pieces.split_at(left_pieces(self.pieces.len()));
        merge_subtrees_root(&join(left), &join(right), Mode::Hash)
    }
}

/// A gap that waits for its bytes.
struct Gap {
    /// Fed up to the gap.
    run: Run,
    bytes: u64,
    /// Bytes behind the gap up to the end of the piece in which the gap ends.
    held_back: Vec<u8>,
}

impl Gap {
    /// File offset up to which bytes behind the gap are held back.
    fn held_until(&self) -> u64 {
        (self.run.position + self.bytes).div_ceil(PIECE_BYTES) * PIECE_BYTES
    }
}

/// Consecutive bytes, hashed piece by piece. A whole piece is closed when the next byte comes and not before,
/// because the only piece of a file is the root of its tree.
#[derive(Default)]
struct Run {
    hasher: Hasher,
    piece_start: u64,
    position: u64,
}

impl Run {
    fn at(position: u64) -> Run {
        let mut hasher = Hasher::new();
        hasher.set_input_offset(position);
        Run { hasher, piece_start: position, position }
    }

    fn is_empty(&self) -> bool {
        self.position == self.piece_start
    }

    fn absorb(&mut self, bytes: &[u8], pieces: &mut Vec<ChainingValue>) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.position - self.piece_start == PIECE_BYTES {
                self.close(pieces);
                *self = Run::at(self.position);
            }
            let room = PIECE_BYTES - (self.position - self.piece_start);
            let (now, later) = rest.split_at(rest.len().min(room as usize));
            self.hasher.update(now);
            self.position += now.len() as u64;
            rest = later;
        }
    }

    fn close(&self, pieces: &mut Vec<ChainingValue>) {
        let index = (self.piece_start / PIECE_BYTES) as usize;
        if pieces.len() <= index {
            pieces.resize(index + 1, [0; 32]);
        }
        pieces[index] = self.hasher.finalize_non_root();
    }
}

/// Number of pieces in the left subtree: the largest power of two below `count`, which is at least 2.
fn left_pieces(count: usize) -> usize {
    count.div_ceil(2).next_power_of_two()
}

fn join(pieces: &[ChainingValue]) -> ChainingValue {
    match pieces {
        [] => [0; 32],
        [only] => *only,
        several => {
            let (left, right) = several.split_at(left_pieces(several.len()));
            merge_subtrees_non_root(&join(left), &join(right), Mode::Hash)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

    use crate::merge::digest::{PIECE_BYTES, TreeDigest, left_pieces};

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|index| (index * 31 + index / 251) as u8).collect()
    }

    /// Feeds `content` as (header gap, data) pairs in pieces of `step`.
    fn digest_with_gaps(content: &[u8], gaps: &[(usize, usize)], step: usize) -> blake3::Hash {
        let mut digest = TreeDigest::new();
        let mut position = 0;
        for &(header, data) in gaps {
            let header_end = (position + header).min(content.len());
            let end = (header_end + data).min(content.len());
            digest.leave_gap((header_end - position) as u64);
            for piece in content[header_end..end].chunks(step.max(1)) {
                digest.update(piece);
            }
            digest.fill_gap(&content[position..header_end]);
            position = end;
        }
        digest.update(&content[position..]);
        digest.finish()
    }

    #[test]
    fn sizes_around_piece_borders_equal_the_plain_digest() {
        let piece = PIECE_BYTES as usize;
        for size in [0, 1, 1024, piece - 1, piece, piece + 1, 2 * piece, 2 * piece + 1, 3 * piece, 5 * piece + 77] {
            let content = bytes(size);
            for gaps in [&[][..], &[(2880, piece)], &[(piece, piece)], &[(piece - 2880, 2880), (2 * piece + 5, 100)]] {
                assert_eq!(digest_with_gaps(&content, gaps, 100_000), blake3::hash(&content), "{size} {gaps:?}");
            }
        }
    }

    #[test]
    fn left_subtree_is_the_largest_smaller_power_of_two() {
        let expected = [(2, 1), (3, 2), (4, 2), (5, 4), (8, 4), (9, 8), (16, 8), (17, 16)];
        for (count, left) in expected {
            assert_eq!(left_pieces(count), left, "{count}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn any_gaps_equal_the_plain_digest(
            size in 0_usize..1_500_000,
            gaps in proptest::collection::vec((0_usize..600_000, 0_usize..600_000), 0..5),
            step in 1000_usize..700_000,
            _seed in any::<u8>(),
        ) {
            let content = bytes(size);
            prop_assert_eq!(digest_with_gaps(&content, &gaps, step), blake3::hash(&content));
        }
    }
}
