//! Cuts a plan into stripes: pieces of work that any thread can do on its own, in the order of the product.
//!
//! Pure. Small HDUs that stand side by side become one stripe, so that hundreds of them cost one write; a large data
//! unit becomes many. Borders within a data unit lie at multiples of [`STRIPE_BYTES`] of the product: pages are written
//! whole, pieces of the digest are mostly whole, and sums (which need multiples of 4) can be taken apart.

use std::ops::Range;

use crate::merge::plan::{HduPlan, MergePlan, SharedRange};

/// Bytes of a stripe: they stay in the second-level cache between reading, summing, digesting and writing.
pub(crate) const STRIPE_BYTES: u64 = 1024 * 1024;

/// One piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stripe {
    /// Whole HDUs, side by side.
    Whole {
        /// Which of the plan.
        hdus: Range<usize>,
        /// Byte offset of the first in the product.
        offset: u64,
        /// Bytes of all.
        bytes: usize,
    },
    /// A part of a large data unit.
    Part(DataPart),
}

/// A part of the data unit of a large HDU, padding included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DataPart {
    /// Index of the HDU in the plan.
    pub(crate) hdu: usize,
    /// Byte offset in the data unit.
    pub(crate) start: u64,
    /// Length.
    pub(crate) bytes: u64,
    /// Whether these bytes are copied.
    pub(crate) transfer: Transfer,
}

/// How bytes get into the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// Read and written.
    Copy,
    /// Shared with the source: this part is the first of the range, which is shared as a whole.
    Share(SharedRange),
    /// Shared by an earlier part.
    Shared,
}

/// Whether bytes that are shared with their source are read for their sum and digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SharedReads {
    /// Always.
    Always,
    /// Only of a data unit that records no DATASUM; else the whole range is one part.
    UnlessRecorded,
}

/// Gives the stripes of a plan one after the other.
#[derive(Debug)]
pub(crate) struct Stripes<'a> {
    hdus: &'a [HduPlan],
    shared_reads: SharedReads,
    hdu: usize,
    /// Bytes of the present HDU's data unit that are given out.
    done: u64,
}

/// True if the header is sealed when the last part of the data is done, and not together with it.
pub(crate) fn is_large(hdu: &HduPlan) -> bool {
    hdu.data.is_some() && hdu.header_bytes + hdu.data_bytes_padded() > STRIPE_BYTES
}

impl<'a> Stripes<'a> {
    /// Starts with the first HDU.
    pub(crate) fn new(plan: &'a MergePlan, shared_reads: SharedReads) -> Stripes<'a> {
        Stripes { hdus: &plan.hdus, shared_reads, hdu: 0, done: 0 }
    }

    fn part(&mut self, hdu: &HduPlan) -> DataPart {
        let (start, total) = (self.done, hdu.data_bytes_padded());
        let stripe_end = ((hdu.data_offset() + start) / STRIPE_BYTES + 1) * STRIPE_BYTES - hdu.data_offset();
        let (end, transfer) = match hdu.data.as_ref().and_then(|data| data.shared) {
            Some(shared) if start < shared.start => (stripe_end.min(shared.start), Transfer::Copy),
            Some(shared) if start < shared.end() => {
                let is_read = self.shared_reads == SharedReads::Always || hdu.recorded_datasum.is_none();
                let end = if is_read { stripe_end.min(shared.end()) } else { shared.end() };
                (end, if start == shared.start { Transfer::Share(shared) } else { Transfer::Shared })
            }
            _ => (stripe_end, Transfer::Copy),
        };
        let bytes = end.min(total) - start;
        let part = DataPart { hdu: self.hdu, start, bytes, transfer };
        self.done += bytes;
        if self.done == total {
            self.hdu += 1;
            self.done = 0;
        }
        part
    }

    fn whole(&mut self, first: &HduPlan) -> Stripe {
        let start = self.hdu;
        let mut bytes = 0;
        while let Some(hdu) = self.hdus.get(self.hdu) {
            let own = hdu.header_bytes + hdu.data_bytes_padded();
            if is_large(hdu) || (bytes > 0 && bytes + own > STRIPE_BYTES) {
                break;
            }
            bytes += own;
            self.hdu += 1;
        }
        Stripe::Whole { hdus: start..self.hdu, offset: first.product_offset, bytes: bytes as usize }
    }
}

impl Iterator for Stripes<'_> {
    type Item = Stripe;

    fn next(&mut self) -> Option<Stripe> {
        let hdu = self.hdus.get(self.hdu)?;
        Some(if is_large(hdu) { Stripe::Part(self.part(hdu)) } else { self.whole(hdu) })
    }
}

/// Bytes of an input that no data unit of the product needs: headers, data that are not merged, what follows the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnreadRange {
    /// Index of the input.
    pub(crate) input: usize,
    /// Byte offset in it.
    pub(crate) offset: u64,
    /// Length, at most [`STRIPE_BYTES`].
    pub(crate) bytes: u64,
}

/// What is left of inputs of the sizes `input_bytes` when every data unit of the plan is read; of one that is not read
/// as it lies (`is_plain`), all.
pub(crate) fn unread(plan: &MergePlan, input_bytes: &[u64], is_plain: impl Fn(usize) -> bool) -> Vec<UnreadRange> {
    let data = plan.hdus.iter().filter_map(|hdu| hdu.data.as_ref());
    let mut extents: Vec<_> = data.filter(|extent| is_plain(extent.input)).collect();
    extents.sort_by_key(|extent| (extent.input, extent.offset));
    let mut extents = extents.into_iter().peekable();
    let mut ranges = Vec::new();
    for (input, bytes) in input_bytes.iter().enumerate() {
        let mut position = 0;
        while let Some(extent) = extents.next_if(|extent| extent.input == input) {
            push_range(&mut ranges, input, position..extent.offset);
            position = extent.offset + extent.bytes;
        }
        push_range(&mut ranges, input, position..*bytes);
    }
    ranges
}

fn push_range(ranges: &mut Vec<UnreadRange>, input: usize, range: Range<u64>) {
    let mut offset = range.start;
    while offset < range.end {
        let bytes = (range.end - offset).min(STRIPE_BYTES);
        ranges.push(UnreadRange { input, offset, bytes });
        offset += bytes;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::merge::plan::{MergePlan, SharedRange};
    use crate::merge::stripes::{STRIPE_BYTES, SharedReads, Stripe, Stripes, Transfer, UnreadRange, unread};
    use crate::merge::testing::{TestHdu, TestMerge, file, source_with};

    /// Plan of one file of images of these sizes.
    fn plan(sizes: &[usize]) -> MergePlan {
        let mut hdus = vec![TestHdu::primary()];
        hdus.extend(sizes.iter().enumerate().map(|(index, size)| TestHdu::image(&format!("I{index}"), *size)));
        TestMerge::of(&[("a", file(&hdus))]).plan()
    }

    /// Product ranges of the stripes; the headers of large HDUs are none of them.
    fn ranges(plan: &MergePlan, reads: SharedReads) -> Vec<(u64, u64)> {
        let range = |stripe| match stripe {
            Stripe::Whole { offset, bytes, .. } => (offset, offset + bytes as u64),
            Stripe::Part(part) => {
                let start = plan.hdus[part.hdu].data_offset() + part.start;
                (start, start + part.bytes)
            }
        };
        Stripes::new(plan, reads).map(range).collect()
    }

    #[test]
    fn stripes_cover_the_product_but_for_headers_of_large_hdus() {
        let large = STRIPE_BYTES as usize + 1;
        for sizes in
            [&[][..], &[1], &[large], &[10, large, 20, 3 * large, 4 * large, 30], &[500_000; 7], &[0, large, 0]]
        {
            let plan = plan(sizes);
            let mut position = 0;
            for (start, end) in ranges(&plan, SharedReads::Always) {
                let gap = plan.hdus.iter().find(|hdu| hdu.product_offset == position && start > position);
                position += gap.map_or(0, |hdu| hdu.header_bytes);
                assert_eq!(start, position, "{sizes:?}");
                assert!(end > start && end - start <= STRIPE_BYTES, "{sizes:?}");
                position = end;
            }
            assert_eq!(position, plan.product_bytes, "{sizes:?}");
        }
    }

    #[test]
    fn small_hdus_are_gathered_and_borders_are_multiples_of_a_stripe() {
        assert_eq!(ranges(&plan(&[100; 50]), SharedReads::Always).len(), 1);
        assert_eq!(ranges(&plan(&[400_000; 5]), SharedReads::Always).len(), 3);
        let plan = plan(&[3 * STRIPE_BYTES as usize]);
        let found = ranges(&plan, SharedReads::Always);
        assert!(found[1..found.len() - 1].iter().all(|(_, end)| end % STRIPE_BYTES == 0), "{found:?}");
    }

    #[test]
    fn a_shared_range_is_one_part_where_nobody_reads_it() {
        let mut plan = plan(&[5 * STRIPE_BYTES as usize]);
        let shared = SharedRange { start: 1000, bytes: 4 * STRIPE_BYTES };
        plan.hdus[1].data.as_mut().expect("data").shared = Some(shared);
        let transfers = |plan: &MergePlan| {
            let part = |stripe| if let Stripe::Part(part) = stripe { Some(part.transfer) } else { None };
            let found: Vec<_> = Stripes::new(plan, SharedReads::UnlessRecorded).filter_map(part).collect();
            assert_eq!(found.iter().filter(|transfer| **transfer == Transfer::Share(shared)).count(), 1);
            found.iter().filter(|transfer| **transfer == Transfer::Shared).count()
        };
        assert!(transfers(&plan) >= 3);
        plan.hdus[1].recorded_datasum = Some(7);
        assert_eq!(transfers(&plan), 0);
    }

    #[test]
    fn what_no_data_unit_needs_is_listed() {
        let hdus = [TestHdu::primary_image(100), TestHdu::image("A", 3000)];
        let ignored = source_with("b", json!({"primaryData": "ignore"}));
        let files = [("b", file(&hdus))];
        let plan = TestMerge::with(&[ignored], &json!({}), &files).plan();
        let bytes = files[0].1.len() as u64;
        assert_eq!(unread(&plan, &[], |_| true), []);
        assert_eq!(unread(&plan, &[bytes], |_| true), [UnreadRange { input: 0, offset: 0, bytes: 3 * 2880 }]);
        let tail = unread(&plan, &[bytes + STRIPE_BYTES + 5], |_| true);
        assert_eq!(tail[1..].iter().map(|range| range.bytes).collect::<Vec<_>>(), [STRIPE_BYTES, 5]);
    }
}
