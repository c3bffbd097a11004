//! Which way a target grows, and what the plan looks like then.

use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use serde_json::json;

use crate::fits::{BLOCK_BYTES, CARD_BYTES};
use crate::merge::plan::growth::{FileFacts, Growth, SMALL_BYTES, TargetShape, decide, give_room, make_room, shape};
use crate::merge::plan::{HeaderPlan, MergePlan};
use crate::merge::testing::{TestHdu, TestMerge, described, file, source};

const LARGE: u64 = 2880 * 1_000_000;
const BLOCK: u64 = BLOCK_BYTES as u64;

fn target(header_bytes: u64, needed_bytes: u64) -> TargetShape {
    TargetShape { bytes: LARGE, header_bytes, needed_bytes, hdus: 3, keeps_layout: true }
}

/// ext4, a file of ours.
const EXT4: FileFacts = FileFacts { is_ours: true, block_bytes: 4096, can_insert: true, can_clone: false };
const BTRFS: FileFacts = FileFacts { can_insert: false, can_clone: true, ..EXT4 };
const TMPFS: FileFacts = FileFacts { can_insert: false, ..EXT4 };

#[test]
fn the_way_follows_from_the_facts() {
    #[track_caller]
    fn check(shape: TargetShape, facts: FileFacts, expected: Growth) {
        assert_eq!(decide(&shape, &facts), expected, "{shape:?} {facts:?}");
    }
    let (fits, grows) = (target(BLOCK * 4, BLOCK * 4), target(BLOCK * 4, BLOCK * 5));
    check(fits, EXT4, Growth::Fits);
    check(fits, TMPFS, Growth::Fits);
    check(grows, EXT4, Growth::Insert { at: 8192, bytes: 184_320 });
    check(target(BLOCK, BLOCK * 65), EXT4, Growth::Insert { at: 0, bytes: 184_320 });
    check(target(BLOCK, BLOCK * 66), EXT4, Growth::Insert { at: 0, bytes: 368_640 });
    check(grows, FileFacts { block_bytes: 1024, ..EXT4 }, Growth::Insert { at: 11_264, bytes: 46_080 });
    check(grows, FileFacts { block_bytes: 512, ..EXT4 }, Growth::Insert { at: 11_264, bytes: 23_040 });
    // Clones leave the target alone, so nobody asks whose it is.
    check(fits, BTRFS, Growth::Clone { at: 8192, bytes: 0 });
    check(grows, BTRFS, Growth::Clone { at: 8192, bytes: 184_320 });
    check(grows, FileFacts { is_ours: false, ..BTRFS }, Growth::Clone { at: 8192, bytes: 184_320 });
    // Nothing to insert with, or too large a unit.
    check(grows, TMPFS, Growth::Rewrite);
    check(grows, FileFacts { block_bytes: 4 << 20, ..EXT4 }, Growth::Rewrite);
    check(grows, FileFacts { block_bytes: 0, ..EXT4 }, Growth::Rewrite);
    // Not without need, not what is not ours, not what would have to move inside.
    for facts in [EXT4, TMPFS] {
        check(grows, FileFacts { is_ours: false, ..facts }, Growth::Rewrite);
        check(fits, FileFacts { is_ours: false, ..facts }, Growth::Rewrite);
    }
    for facts in [EXT4, TMPFS, BTRFS] {
        check(TargetShape { keeps_layout: false, ..fits }, facts, Growth::Rewrite);
        check(TargetShape { bytes: SMALL_BYTES, ..fits }, facts, Growth::Rewrite);
    }
}

fn merge(target_hdus: &[TestHdu]) -> (MergePlan, TargetShape) {
    let target = file(target_hdus);
    let added = file(&[TestHdu::primary().with_filler(3), TestHdu::image("NEW", 500)]);
    let merge = TestMerge::with(
        &[source("new")],
        &json!({"source": source("own")}),
        &[("own", target.clone()), ("new", added)],
    );
    let plan = merge.plan();
    let shape = shape(&plan, &described("own", &target));
    (plan, shape)
}

#[test]
fn the_shape_is_that_of_the_targets_file() {
    let sealed =
        [TestHdu::primary().with_room(30), TestHdu::image("A", 100).sealed(), TestHdu::image("B", 5000).sealed()];
    let (plan, found) = merge(&sealed);
    let bytes = file(&sealed).len() as u64;
    assert!(found.keeps_layout);
    assert_eq!((found.bytes, found.header_bytes, found.hdus), (bytes, found.needed_bytes, 3));
    assert_eq!(plan.hdus[found.hdus].product_offset, bytes);
    // A header that must grow moves what is behind it, and that is all.
    let full = [TestHdu::primary().with_filler(30), sealed[1].clone(), sealed[2].clone()];
    let (_, found) = merge(&full);
    assert!(found.keeps_layout && found.needed_bytes > found.header_bytes, "{found:?}");
    assert_eq!(found.bytes, file(&full).len() as u64);
}

#[test]
fn an_extension_without_room_for_its_sums_changes_the_layout() {
    // 35 cards and END fill the block: no place for CHECKSUM and DATASUM.
    let image = TestHdu::image("A", 100);
    let cards = image.header().cards().len();
    let full = image.clone().with_filler(35 - cards);
    assert!(!merge(&[TestHdu::primary(), full.clone()]).1.keeps_layout);
    assert!(merge(&[TestHdu::primary(), image.sealed()]).1.keeps_layout);
}

#[test]
fn a_grown_plan_stands_where_the_file_system_moves_the_target() {
    let hdus = [TestHdu::primary().with_filler(30), TestHdu::image("A", 100).sealed()];
    let (plan, mut shape) = merge(&hdus);
    shape.bytes = LARGE;
    for facts in [EXT4, BTRFS] {
        let growth = decide(&shape, &facts);
        let mut grown = plan.clone();
        make_room(&mut grown, &shape, growth);
        assert_eq!(growth.gained_bytes(), 184_320);
        assert_eq!(grown.hdus[0].header_bytes, shape.header_bytes + 184_320);
        let HeaderPlan::Patched { offset, .. } = grown.hdus[1].header else { panic!("an extension is patched") };
        assert_eq!(grown.hdus[1].product_offset, offset + 184_320);
    }
}

fn check_room(plan: &MergePlan, room: u64) {
    let mut grown = plan.clone();
    give_room(&mut grown, room);
    let (HeaderPlan::Complete(before), HeaderPlan::Complete(after)) = (&plan.hdus[0].header, &grown.hdus[0].header)
    else {
        panic!("a primary header is complete");
    };
    assert_eq!(after.len() as u64, before.len() as u64 + room);
    let used = |bytes: &[u8]| -> Vec<Vec<u8>> {
        bytes.chunks(CARD_BYTES).map(<[u8]>::to_vec).filter(|card| !card.iter().all(|byte| *byte == b' ')).collect()
    };
    assert_eq!(used(before), used(after));
    if room > 0 {
        let end = after.chunks(CARD_BYTES).position(|card| card.starts_with(b"END "));
        assert_eq!(end, Some(after.len() / CARD_BYTES - 1));
    }
    for (before, after) in plan.hdus.iter().zip(&grown.hdus).skip(1) {
        assert_eq!(before.product_offset + room, after.product_offset);
    }
    assert_eq!(grown.product_bytes, plan.product_bytes + room);
    assert_eq!(grown.hdus[0].header_bytes, after.len() as u64);
}

#[test]
fn room_is_blank_cards_before_end() {
    let (plan, _) = merge(&[TestHdu::primary(), TestHdu::image("A", 100)]);
    for blocks in [0, 1, 64] {
        check_room(&plan, blocks * BLOCK);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn whatever_is_inserted_is_whole_and_enough(
        header in 1_u64..200, lacking in 0_u64..5000, power in 9_u32..17, can_insert in any::<bool>(), can_clone in any::<bool>(),
    ) {
        let shape = target(header * BLOCK, (header + lacking) * BLOCK);
        let facts = FileFacts { block_bytes: 1 << power, can_insert, can_clone, ..EXT4 };
        if let Growth::Insert { at, bytes } | Growth::Clone { at, bytes } = decide(&shape, &facts) {
            prop_assert_eq!((at % facts.block_bytes, bytes % facts.block_bytes, bytes % BLOCK), (0, 0, 0));
            prop_assert!(at <= shape.header_bytes && at + facts.block_bytes > shape.header_bytes);
            prop_assert!(shape.header_bytes + bytes >= shape.needed_bytes);
        }
    }
}
