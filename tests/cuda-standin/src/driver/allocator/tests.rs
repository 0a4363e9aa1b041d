//! The books, held against what a real driver told (`recorded/facts.json`, `memory/`).

use super::*;

const GIB: u64 = 1 << 30;

fn taken(allocator: &Allocator) -> u64 {
    let (free, total) = allocator.info();
    total - free
}

#[test]
fn plain_blocks_share_segments_of_two_mebibytes() {
    let mut allocator = Allocator::new(GIB);
    let blocks: Vec<Address> = [(1, 2), (256, 2), (4096, 2), (65_537, 2), (MIB, 2), (MIB, 4), (2 * MIB + 1, 8)]
        .map(|(len, mebibytes)| {
            let block = allocator.plain(len, 0, false).unwrap();
            assert_eq!(taken(&allocator), mebibytes * MIB, "{len}");
            block
        })
        .into();
    assert_eq!((blocks[1] - blocks[0], blocks[2] - blocks[1]), (2 * LINE, 2 * LINE));
    blocks.iter().rev().for_each(|block| allocator.free(*block, false).unwrap());
    assert_eq!(taken(&allocator), 0);
    assert_eq!(allocator.plain(8 * MIB, 0, false), Ok(blocks[0]), "the lowest place again");
}

#[test]
fn a_gap_lies_behind_every_block() {
    let mut allocator = Allocator::new(GIB);
    let pool = allocator.default_pool();
    for len in [1, 512, 513, 4096, MIB, 3 * MIB] {
        let (a, b) = (allocator.plain(len, 0, false).unwrap(), allocator.plain(len, 0, false).unwrap());
        assert!(a.abs_diff(b) >= 2 * len, "{len}");
        let (a, b) = (allocator.pooled(pool, len, 0).unwrap(), allocator.pooled(pool, len, 0).unwrap());
        assert!(a.abs_diff(b) >= 2 * len, "{len}");
    }
}

#[test]
fn wrong_frees_are_refused() {
    let mut allocator = Allocator::new(GIB);
    let block = allocator.plain(4096, 0, false).unwrap();
    let variable = allocator.plain(4, 0, true).unwrap();
    for wrong in [0x1234_5600, block + 256, variable] {
        assert_eq!(allocator.free(wrong, false), Err(Code::INVALID_VALUE));
    }
    assert_eq!(allocator.free(block, true), Ok(()));
    assert_eq!(allocator.free(block, false), Err(Code::INVALID_VALUE));
}

#[test]
fn what_is_too_large_is_refused_and_leaves_nothing_taken() {
    let mut allocator = Allocator::new(GIB);
    let pool = allocator.default_pool();
    for len in [GIB + 1, 1 << 40, 1 << 50, u64::MAX, u64::MAX - 4096] {
        assert_eq!(allocator.plain(len, 0, false), Err(Code::OUT_OF_MEMORY));
        assert_eq!(allocator.pooled(pool, len, 0), Err(Code::OUT_OF_MEMORY));
    }
    assert_eq!(taken(&allocator), 0);
    assert!(allocator.plain(GIB, 0, false).is_ok());
}

/// The pool of `memory/pool_threshold_…`: reserved, reserved high, used, used high.
fn counters(allocator: &mut Allocator) -> [u64; 4] {
    let pool = allocator.default_pool();
    let pool = allocator.alive(pool).unwrap();
    [Attribute::Reserved, Attribute::ReservedHigh, Attribute::Used, Attribute::UsedHigh].map(|it| pool.get(it))
}

#[test]
fn a_pool_grows_and_gives_back_as_recorded() {
    let mut allocator = Allocator::new(4 * GIB);
    let pool = allocator.default_pool();
    let mut blocks = Vec::new();
    for (len, reserved) in [
        (1, 32),
        (512, 32),
        (513, 32),
        (4096, 32),
        (MIB, 32),
        (2 * MIB, 32),
        (2 * MIB + 1, 32),
        (31 * MIB, 64),
        (32 * MIB, 96),
        (33 * MIB, 128),
        (64 * MIB, 192),
        (100 * MIB, 288),
        (500 * MIB + 1, 768),
    ] {
        blocks.push(allocator.pooled(pool, len, 0).unwrap());
        assert_eq!(counters(&mut allocator)[0], reserved * MIB, "{len}");
        assert_eq!(taken(&allocator), reserved * MIB, "{len}");
    }
    assert_eq!(counters(&mut allocator), [768 * MIB, 768 * MIB, 802_165_764, 802_165_764]);
    blocks.iter().rev().for_each(|block| allocator.free(*block, true).unwrap());
    assert_eq!(counters(&mut allocator), [768 * MIB, 768 * MIB, 0, 802_165_764]);
    allocator.synchronised();
    assert_eq!(counters(&mut allocator), [0, 768 * MIB, 0, 802_165_764]);
    assert_eq!(taken(&allocator), 0);
}

#[test]
fn a_threshold_keeps_until_a_trim() {
    let mut allocator = Allocator::new(GIB);
    let pool = allocator.default_pool();
    allocator.alive(pool).unwrap().set(Attribute::Threshold, u64::MAX).unwrap();
    let block = allocator.pooled(pool, 40 * MIB, 0).unwrap();
    allocator.free(block, true).unwrap();
    allocator.synchronised();
    assert_eq!(taken(&allocator), 64 * MIB);
    allocator.trim(pool, 16 * MIB).unwrap();
    assert_eq!(taken(&allocator), 32 * MIB);
    allocator.trim(pool, 0).unwrap();
    assert_eq!(taken(&allocator), 0);
    let kept = allocator.pooled(pool, 48 * MIB, 0).unwrap();
    allocator.trim(pool, 0).unwrap();
    assert_eq!(counters(&mut allocator)[..1], [64 * MIB]);
    allocator.free(kept, false).unwrap();
    assert_eq!(counters(&mut allocator)[2], 48 * MIB, "cuMemFree leaves the counter");
}

#[test]
fn small_blocks_fill_a_chunk_before_the_next() {
    let mut allocator = Allocator::new(GIB);
    let pool = allocator.default_pool();
    let grown: Vec<u64> = (0..1100)
        .filter(|_| {
            let before = taken(&allocator);
            allocator.pooled(pool, 100_000, 0).unwrap();
            taken(&allocator) != before
        })
        .collect();
    assert_eq!(grown, [0, 334, 668, 1003]);
}

#[test]
fn a_pool_has_its_own_limit_and_outlives_its_end_with_a_block() {
    let mut allocator = Allocator::new(GIB);
    let pool = allocator.make_pool(40 * MIB);
    let block = allocator.pooled(pool, 30 * MIB, 0).unwrap();
    assert!(allocator.pooled(pool, 30 * MIB, 0).is_ok(), "the limit is rounded up to 64 MiB");
    assert_eq!(allocator.pooled(pool, 30 * MIB, 0), Err(Code::OUT_OF_MEMORY));
    assert_eq!(allocator.destroy_pool(pool), Ok(()));
    assert_eq!(allocator.destroy_pool(pool), Err(Code::INVALID_VALUE));
    assert_eq!(allocator.free(block, true), Ok(()));
    assert_eq!(allocator.end_of(0).len(), 1);
    assert_eq!(taken(&allocator), 0);
    assert_eq!(allocator.destroy_pool(allocator.default_pool()), Err(Code::INVALID_VALUE));
}
