//! BLAKE3 of a file whose bytes come in any order and from several threads.
//!
//! A header carries the checksum of the data behind it, so one pass knows it last; and two threads copy side by side.
//! BLAKE3 is a tree: pieces that start at multiples of a power of two chunks are hashed on their own and joined
//! afterwards (BLAKE3 paper, section 2.1). What covers a whole piece is hashed at once, while it is hot; only what ends
//! within one is kept until its neighbour has come. The result is the plain BLAKE3 of the file, as `b3sum` prints it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use blake3::{Hash, Hasher};

/// Bytes of a piece that is hashed on its own: a power of two chunks. Small enough that what is kept of the pieces in
/// work costs nothing, large enough that 50 GB leave only 6 MB of chaining values.
const PIECE_BYTES: u64 = 256 * 1024;

/// Digest of a file of known size, fed in any order by any number of threads; each byte exactly once.
#[derive(Debug)]
pub struct TreeDigest {
    bytes_total: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Chaining values by piece; the file's only piece has none, because it is the root.
    values: Vec<Option<ChainingValue>>,
    /// Digest of a file of one piece.
    root: Option<Hash>,
    /// Pieces of which a part has come.
    parts: HashMap<u64, Part>,
}

#[derive(Debug)]
struct Part {
    bytes: Vec<u8>,
    filled: usize,
}

impl TreeDigest {
    /// Starts the digest of a file of `bytes_total` bytes.
    pub fn new(bytes_total: u64) -> TreeDigest {
        let root = (bytes_total == 0).then(|| blake3::hash(&[]));
        let values = vec![None; bytes_total.div_ceil(PIECE_BYTES) as usize];
        TreeDigest { bytes_total, state: Mutex::new(State { values, root, parts: HashMap::new() }) }
    }

    /// Takes the bytes at `offset`. Cost: the hash; a copy of what does not fill a piece.
    pub fn absorb(&self, offset: u64, bytes: &[u8]) {
        debug_assert!(offset + bytes.len() as u64 <= self.bytes_total, "bytes beyond the end");
        let (mut position, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let index = position / PIECE_BYTES;
            let within = (position % PIECE_BYTES) as usize;
            let count = rest.len().min(self.piece_bytes(index) - within);
            let (now, later) = rest.split_at(count);
            if now.len() == self.piece_bytes(index) {
                self.close(index, now);
            } else if let Some(whole) = self.add_part(index, within, now) {
                self.close(index, &whole);
            }
            position += count as u64;
            rest = later;
        }
    }

    /// Returns the digest of all bytes; none where some never came.
    pub fn finish(self) -> Option<Hash> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        if state.values.len() < 2 {
            return state.root;
        }
        let values: Vec<ChainingValue> = state.values.into_iter().collect::<Option<_>>()?;
        let (left, right) = values.split_at(left_pieces(values.len()));
        Some(merge_subtrees_root(&join(left), &join(right), Mode::Hash))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is whole, so a thread that died elsewhere left nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn piece_bytes(&self, index: u64) -> usize {
        (self.bytes_total - index * PIECE_BYTES).min(PIECE_BYTES) as usize
    }

    /// Hashes a whole piece.
    fn close(&self, index: u64, bytes: &[u8]) {
        if self.bytes_total <= PIECE_BYTES {
            self.state().root = Some(blake3::hash(bytes));
            return;
        }
        let mut hasher = Hasher::new();
        hasher.set_input_offset(index * PIECE_BYTES);
        hasher.update(bytes);
        let value = hasher.finalize_non_root();
        if let Some(place) = self.state().values.get_mut(index as usize) {
            *place = Some(value);
        }
    }

    /// Keeps a part of a piece; gives the piece when it is whole.
    fn add_part(&self, index: u64, within: usize, bytes: &[u8]) -> Option<Vec<u8>> {
        let piece_bytes = self.piece_bytes(index);
        let mut state = self.state();
        let part = state.parts.entry(index).or_insert_with(|| Part { bytes: vec![0; piece_bytes], filled: 0 });
        part.bytes[within..within + bytes.len()].copy_from_slice(bytes);
        part.filled += bytes.len();
        if part.filled < piece_bytes { None } else { state.parts.remove(&index).map(|part| part.bytes) }
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
    use proptest::prelude::{Just, ProptestConfig, Strategy, prop_assert_eq, proptest};

    use crate::merge::digest::{PIECE_BYTES, TreeDigest, left_pieces};

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|index| (index * 31 + index / 251) as u8).collect()
    }

    /// Feeds `content`, cut at `cuts`, in the given order of its ranges.
    fn digest_of(content: &[u8], cuts: &[usize], order: &[usize]) -> Option<blake3::Hash> {
        let mut borders: Vec<usize> = cuts.iter().map(|cut| cut % (content.len() + 1)).collect();
        borders.extend([0, content.len()]);
        borders.sort_unstable();
        let digest = TreeDigest::new(content.len() as u64);
        for index in order.iter().filter(|index| **index + 1 < borders.len()) {
            let range = borders[*index]..borders[*index + 1];
            digest.absorb(range.start as u64, &content[range]);
        }
        digest.finish()
    }

    #[test]
    fn sizes_around_piece_borders_equal_the_plain_digest() {
        let piece = PIECE_BYTES as usize;
        for size in [0, 1, 1024, piece - 1, piece, piece + 1, 2 * piece, 2 * piece + 1, 3 * piece, 5 * piece + 77] {
            let content = bytes(size);
            for cuts in [&[][..], &[2880], &[piece], &[piece - 2880, piece + 5, 2 * piece]] {
                let mut order: Vec<usize> = (0..=cuts.len()).collect();
                order.reverse();
                assert_eq!(digest_of(&content, cuts, &order), Some(blake3::hash(&content)), "{size} {cuts:?}");
            }
        }
    }

    #[test]
    fn bytes_that_never_came_give_no_digest() {
        for size in [1, 1000, 300_000, 600_000] {
            let digest = TreeDigest::new(size as u64);
            digest.absorb(1, &bytes(size - 1));
            assert_eq!(digest.finish(), None, "{size}");
        }
    }

    #[test]
    fn left_subtree_is_the_largest_smaller_power_of_two() {
        let expected = [(2, 1), (3, 2), (4, 2), (5, 4), (8, 4), (9, 8), (16, 8), (17, 16)];
        for (count, left) in expected {
            assert_eq!(left_pieces(count), left, "{count}");
        }
    }

    #[test]
    fn threads_may_feed_side_by_side() {
        let content = bytes(3_000_001);
        let digest = TreeDigest::new(content.len() as u64);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (digest, content) = (&digest, &content);
                scope.spawn(move || {
                    for (index, piece) in content.chunks(100_003).enumerate().filter(|(index, _)| index % 3 == thread) {
                        digest.absorb(index as u64 * 100_003, piece);
                    }
                });
            }
        });
        assert_eq!(digest.finish(), Some(blake3::hash(&content)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn any_order_equals_the_plain_digest(
            size in 0_usize..1_500_000,
            (cuts, order) in proptest::collection::vec(0_usize..1_500_000, 0..9).prop_flat_map(|cuts| {
                let order: Vec<usize> = (0..=cuts.len()).collect();
                (Just(cuts), Just(order).prop_shuffle())
            }),
        ) {
            let content = bytes(size);
            prop_assert_eq!(digest_of(&content, &cuts, &order), Some(blake3::hash(&content)));
        }
    }
}
