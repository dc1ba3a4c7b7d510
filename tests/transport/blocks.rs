//! Both allocators hand every block out once, refuse what cannot be, and take all back on a failure; chains lead to
//! exactly the bytes they were made for.

use crate::rng::Rng;
use memcpy_select::transport::blocks::{AllocateError, BlockMemory, FreeList, Marks, Pool};
use memcpy_select::transport::chain::{Chain, blocks_for};
use memcpy_select::transport::memory::{Load, Store};
use memcpy_select::transport::{Blocks, Copier, Mapped, Memory, Slice, Violation};
use std::collections::HashSet;

const LIST: FreeList = FreeList { head_at: 0, links_at: 64 };

fn geometry(block_bytes: u32, count: u32) -> Blocks {
    Blocks { block_bytes, count }
}

fn place_of(blocks: Blocks) -> BlockMemory<Mapped> {
    BlockMemory::new(Mapped::private(blocks.total_bytes() as usize).unwrap(), blocks).unwrap()
}

fn shared(count: u32) -> (Mapped, Pool<Mapped>) {
    let memory = Mapped::private(64 + 4 * count as usize).unwrap();
    LIST.lay_out(&memory, geometry(64, count));
    (memory.clone(), Pool::keeping(memory, LIST, geometry(64, count), 0))
}

/// The blocks that are marked.
fn marked(marks: &Marks, count: u32) -> HashSet<u32> {
    (0..count).filter(|block| marks.clone().clear(*block).is_ok()).collect()
}

/// How many blocks could be taken.
fn free_blocks(allocator: &mut Pool<Mapped>) -> usize {
    let all: Vec<u32> = std::iter::from_fn(|| allocator.allocate_one(0).ok()).collect();
    allocator.free(&all).unwrap();
    all.len()
}

/// Sets a shared list's head, with whatever tag it has.
fn set_head(memory: &Mapped, block: u32) {
    let old = memory.load64(0, Load::Acquire);
    memory.cas64(0, old, old & !0xFFFF_FFFF | u64::from(block), std::sync::atomic::Ordering::AcqRel).unwrap();
}

/// Random taking and giving back against a set.
fn hands_every_block_out_once(allocator: &mut Pool<Mapped>, count: u32) {
    let mut rng = Rng::new(u64::from(count));
    let mut taken: Vec<Vec<u32>> = Vec::new();
    let mut out = HashSet::new();
    for _ in 0..20_000 {
        if rng.below(2) == 0 {
            let wanted = rng.below(count as usize / 3 + 2) as u32;
            let mut blocks = vec![7777];
            let got = if wanted == 1 {
                allocator.allocate_one(0).map(|block| blocks.push(block))
            } else {
                allocator.allocate(0, wanted, &mut blocks)
            };
            if out.len() as u32 + wanted <= count {
                assert_eq!(got, Ok(()));
                assert_eq!(blocks.len() as u32, 1 + wanted);
                for &block in &blocks[1..] {
                    assert!(block < count && out.insert(block), "{block}");
                }
                taken.push(blocks.split_off(1));
            } else {
                assert_eq!(got, Err(AllocateError::OutOfBlocks));
                assert_eq!(blocks, [7777], "a failed allocation leaves nothing behind");
            }
        } else if !taken.is_empty() {
            let blocks = taken.swap_remove(rng.below(taken.len()));
            allocator.free(&blocks).unwrap();
            for block in blocks {
                assert!(out.remove(&block));
            }
        }
    }
    // All come back: none was lost on the way.
    for blocks in taken {
        allocator.free(&blocks).unwrap();
    }
    let mut all = Vec::new();
    allocator.allocate(0, count, &mut all).unwrap();
    assert_eq!(all.into_iter().collect::<HashSet<_>>().len() as u32, count);
}

#[test]
fn both_allocators_hand_every_block_out_once() {
    for count in [1, 2, 63, 64, 65, 200] {
        hands_every_block_out_once(&mut Pool::owned(geometry(64, count)), count);
        for kept in [0, 1, 2, 16] {
            let mut allocator = Pool::keeping(shared(count).0, LIST, geometry(64, count), kept);
            hands_every_block_out_once(&mut allocator, count);
        }
    }
}

#[test]
fn what_is_not_held_cannot_be_given_back() {
    let check = |allocator: &mut Pool<Mapped>| {
        assert_eq!(allocator.free(&[2]), Err(Violation::NotHeld { block: 2 }));
        let block = allocator.allocate_one(0).unwrap();
        assert_eq!(allocator.free(&[block]), Ok(()));
        assert_eq!(allocator.free(&[block]), Err(Violation::NotHeld { block }), "a double free");
        assert_eq!(allocator.free(&[8]), Err(Violation::Block { block: 8, count: 8 }));
        assert_eq!(allocator.free(&[u32::MAX]), Err(Violation::Block { block: u32::MAX, count: 8 }));
    };
    check(&mut Pool::owned(geometry(64, 8)));
    check(&mut shared(8).1);
}

/// The list of the thread followed its head without looking: an empty one led to 0xFFFF_FFFF.
#[test]
fn a_shared_head_beyond_the_region_is_refused_and_an_empty_one_is_empty() {
    for block in [8, 9, 1 << 31, u32::MAX - 1] {
        let (memory, mut allocator) = shared(8);
        set_head(&memory, block);
        let expected = Err(AllocateError::Violation(Violation::Block { block, count: 8 }));
        assert_eq!(allocator.allocate_one(0), expected);
        assert_eq!(allocator.allocate(0, 2, &mut Vec::new()).map(|()| 0), expected);
    }
    let (memory, mut allocator) = shared(8);
    set_head(&memory, u32::MAX);
    assert_eq!(allocator.allocate_one(0), Err(AllocateError::OutOfBlocks));
}

#[test]
fn a_shared_link_beyond_the_region_is_refused() {
    let (memory, mut allocator) = shared(8);
    memory.store32(LIST.links_at + 4, 8, Store::Release);
    let mut blocks = Vec::new();
    let expected = Err(AllocateError::Violation(Violation::Block { block: 8, count: 8 }));
    assert_eq!(allocator.allocate(0, 3, &mut blocks), expected);
    assert!(blocks.is_empty());
}

#[test]
fn a_shared_list_with_a_cycle_is_noticed() {
    let (memory, mut allocator) = shared(8);
    memory.store32(LIST.links_at + 8, 0, Store::Release);
    let got = allocator.allocate(0, 5, &mut Vec::new());
    assert_eq!(got, Err(AllocateError::Violation(Violation::BlockTwice { block: 0 })));
    // One block at a time, too.
    let (memory, mut allocator) = shared(8);
    memory.store32(LIST.links_at, 0, Store::Release);
    assert_eq!(allocator.allocate_one(0), Ok(0));
    assert_eq!(allocator.allocate_one(0), Err(AllocateError::Violation(Violation::BlockTwice { block: 0 })));
}

/// Each change gives the head another tag: one that was taken and put back is not the one that was read.
#[test]
fn every_change_of_a_shared_head_counts_up_its_tag() {
    let (memory, mut allocator) = shared(4);
    for change in 0..10 {
        assert_eq!(memory.load64(0, Load::Relaxed) >> 32, 2 * change);
        let block = allocator.allocate_one(0).unwrap();
        allocator.free(&[block]).unwrap();
    }
}

/// What a side keeps aside is not lost to the other one for ever, and is never more than an eighth.
#[test]
fn blocks_that_are_kept_aside_go_back_with_their_side() {
    let (memory, mut other) = shared(64);
    let mut side = Pool::shared(memory, LIST, geometry(64, 64));
    let block = side.allocate_one(0).unwrap();
    side.free(&[block]).unwrap();
    let mut all = Vec::new();
    assert_eq!(other.allocate(0, 61, &mut all), Err(AllocateError::OutOfBlocks));
    other.allocate(0, 60, &mut all).unwrap();
    other.free(&all).unwrap();
    drop(side);
    all.clear();
    other.allocate(0, 64, &mut all).unwrap();
}

#[test]
fn degenerate_geometries_are_refused() {
    for block_bytes in [0, 1, 2, 4, 12, 100, 1 << 31] {
        let error = geometry(block_bytes, 4).check().unwrap_err();
        assert!(error.found == u64::from(block_bytes) && error.what.starts_with("bytes in a block"), "{error}");
    }
    for count in [0, (1 << 30) + 1, u32::MAX] {
        let error = geometry(64, count).check().unwrap_err();
        assert!(error.found == u64::from(count) && error.what.starts_with("blocks of a region"), "{error}");
    }
    assert!(geometry(8, 1).check().is_ok());
    assert!(BlockMemory::new((), geometry(4, 1)).unwrap_err().to_string().contains("chains"));
}

/// The number of list blocks is what following the links needs, and what the formula says.
#[test]
fn list_blocks_are_as_many_as_the_formula_says() {
    for block_bytes in [8, 16, 64, 4096] {
        let entries = block_bytes / 4;
        let place = BlockMemory::new((), geometry(block_bytes, 1 << 20)).unwrap();
        for data in 0..200 {
            let length = data * block_bytes;
            let (got, lists) = blocks_for(&place, length);
            let (mut left, mut counted) = (data, 0);
            while data > 1 && left > 0 {
                counted += 1;
                left -= if left <= entries { left } else { entries - 1 };
            }
            assert_eq!((got, lists), (data, counted), "{data} blocks of {block_bytes}");
        }
        assert_eq!(blocks_for(&place, block_bytes + 1), (2, 1));
    }
}

#[test]
fn chains_hold_exactly_their_bytes_at_every_boundary() {
    let mut rng = Rng::new(3);
    for block_bytes in [8_u32, 16, 64, 1024] {
        let entries = block_bytes / 4;
        let geometry = geometry(block_bytes, 1200);
        let place = place_of(geometry);
        let mut allocator = Pool::owned(geometry);
        let boundaries =
            [0, 1, 2, entries - 1, entries, entries + 1, 2 * entries - 2, 2 * entries - 1, 2 * entries, 500];
        for blocks in boundaries {
            for length in [(blocks * block_bytes).saturating_sub(1), blocks * block_bytes, blocks * block_bytes + 1] {
                // Scatter the free blocks, so that the chain is not one run.
                let mut hole = Vec::new();
                allocator.allocate(0, rng.below(50) as u32, &mut hole).unwrap();
                let keep = hole.split_off(hole.len() / 2);
                allocator.free(&hole).unwrap();

                let mut bytes = vec![0; length as usize];
                rng.fill(&mut bytes);
                let mut made = Chain::EMPTY;
                made.allocate(&place, &mut allocator, length).unwrap();
                assert_eq!(made.write(&place, 0, &bytes, Copier::AUTO), bytes.len());

                // The other side has only the slice and the region.
                let mut marks = Marks::new(geometry.count);
                let mut found = Chain::EMPTY;
                found.resolve(&place, &mut marks, made.slice()).unwrap();
                assert_eq!(found, made);
                assert_eq!(marked(&marks, geometry.count), made.blocks().iter().copied().collect());
                let mut got = vec![0; bytes.len() + 1];
                assert_eq!(found.read(&place, 0, &mut got, Copier::AUTO), bytes.len());
                assert_eq!(got[..bytes.len()], bytes);

                // A part in the middle.
                let from = rng.below(length as usize + 1);
                let part_bytes = rng.below(length as usize + 1 - from);
                let mut part = vec![0; part_bytes];
                assert_eq!(found.read(&place, from as u32, &mut part, Copier::AUTO), part_bytes);
                assert_eq!(part, bytes[from..from + part_bytes]);

                allocator.free(made.blocks()).unwrap();
                allocator.free(&keep).unwrap();
            }
        }
        assert_eq!(free_blocks(&mut allocator), 1200);
    }
}

#[test]
fn neighbouring_blocks_are_one_run() {
    let geometry = geometry(64, 16);
    let place = place_of(geometry);
    let mut chain = Chain::EMPTY;
    chain.allocate(&place, &mut Pool::owned(geometry), 300).unwrap();
    assert_eq!(chain.runs(geometry, 0, 300).collect::<Vec<_>>(), [(0, 300)]);
    assert_eq!(chain.runs(geometry, 65, 10).collect::<Vec<_>>(), [(65, 10)]);
    assert_eq!(chain.runs(geometry, 290, 100).collect::<Vec<_>>(), [(290, 10)]);
    assert_eq!(chain.runs(geometry, 301, 1).next(), None);
}

/// The blocks of as many payloads of that length, each given back before the next one.
fn blocks_of(allocator: &mut Pool<Mapped>, place: &BlockMemory<Mapped>, length: u32, payloads: usize) -> Vec<Vec<u32>> {
    let mut chain = Chain::EMPTY;
    let mut next = || {
        chain.allocate(place, allocator, length).unwrap();
        allocator.free(chain.blocks()).unwrap();
        assert_eq!(chain.runs(place.blocks(), 0, length).count(), 1, "{chain:?}");
        chain.blocks().to_vec()
    };
    (0..payloads).map(|_| next()).collect()
}

fn distinct(blocks: &[Vec<u32>]) -> usize {
    blocks.iter().flatten().collect::<HashSet<_>>().len()
}

#[test]
fn a_long_payload_is_written_where_two_mebibytes_have_been_read_since() {
    // Blocks that it fills, of which it takes a half or a fraction, and chains of them.
    for (length, resting) in [(64 << 10, 32), (32 << 10, 64), (8 << 10, 256), (1 << 20, 2 * 17), (2 << 20, 33)] {
        let geometry = geometry(64 << 10, 300);
        let place = place_of(geometry);
        let mut allocator = Pool::owned(geometry);
        let first = blocks_of(&mut allocator, &place, length, 31);
        assert!(distinct(&first) <= first[0].len().max(8), "few payloads use little memory");
        blocks_of(&mut allocator, &place, length, 32 * 300);
        let later = blocks_of(&mut allocator, &place, length, 1000);
        let payloads = resting / later[0].len();
        assert_eq!(distinct(&later), resting, "{length}");
        for (turn, blocks) in later.iter().enumerate().skip(payloads) {
            assert_eq!(*blocks, later[turn - payloads], "{length}: {turn}");
        }
        assert_eq!(
            distinct(&blocks_of(&mut allocator, &place, (8 << 10) - 1, 1000)),
            1,
            "what is short is written near"
        );
        assert_eq!(free_blocks(&mut allocator), 300);
    }
}

#[test]
fn blocks_that_both_sides_write_are_used_again_at_once() {
    let blocks = geometry(64 << 10, 32);
    let memory = Mapped::private(64 + 4 * 32).unwrap();
    LIST.lay_out(&memory, blocks);
    let mut allocator = Pool::shared(memory, LIST, blocks);
    assert_eq!(distinct(&blocks_of(&mut allocator, &place_of(blocks), 64 << 10, 1000)), 1);
}

#[test]
fn an_allocation_that_fails_half_way_gives_everything_back() {
    let geometry = geometry(64, 10);
    let place = place_of(geometry);
    let mut allocator = Pool::owned(geometry);
    let mut chain = Chain::EMPTY;
    // Ten data blocks fit, their list block does not; and lengths that no region holds.
    for length in [64 * 10, 64 * 11, u32::MAX] {
        let got = chain.allocate(&place, &mut allocator, length);
        assert_eq!(got, Err(AllocateError::OutOfBlocks));
        assert_eq!((free_blocks(&mut allocator), chain.blocks().len()), (10, 0));
    }
    chain.allocate(&place, &mut allocator, 64 * 9).unwrap();
    assert_eq!(free_blocks(&mut allocator), 0);
}

fn refused(place: &BlockMemory<Mapped>, slice: Slice) -> Violation {
    let mut chain = Chain::default();
    chain.resolve(place, &mut Marks::new(place.blocks().count), slice).unwrap_err()
}

#[test]
fn chains_that_cannot_be_are_refused() {
    let geometry = geometry(16, 20);
    let place = place_of(geometry);
    let list = |block: u32, entries: [u32; 4]| {
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        place.memory().write(geometry.block_at(block), &bytes, Copier::AUTO);
    };
    // A block beyond: alone, as a list, as data, as a link.
    for block in [20, 21, 1 << 31, u32::MAX] {
        let beyond = Violation::Block { block, count: 20 };
        assert_eq!(refused(&place, Slice { block, length: 1 }), beyond);
        assert_eq!(refused(&place, Slice { block, length: 17 }), beyond);
        list(0, [1, block, 2, 3]);
        assert_eq!(refused(&place, Slice { block: 0, length: 32 }), beyond);
        list(0, [1, 2, 3, block]);
        assert_eq!(refused(&place, Slice { block: 0, length: 80 }), beyond);
    }
    // A list that is its own next, its own data; data twice.
    list(0, [1, 2, 3, 0]);
    assert_eq!(refused(&place, Slice { block: 0, length: 80 }), Violation::BlockTwice { block: 0 });
    list(0, [1, 0, 3, 4]);
    assert_eq!(refused(&place, Slice { block: 0, length: 32 }), Violation::BlockTwice { block: 0 });
    list(0, [1, 1, 3, 4]);
    assert_eq!(refused(&place, Slice { block: 0, length: 32 }), Violation::BlockTwice { block: 1 });
    // Two lists that are each other's next.
    list(0, [1, 2, 3, 4]);
    list(4, [5, 6, 7, 0]);
    assert_eq!(refused(&place, Slice { block: 0, length: 16 * 9 }), Violation::BlockTwice { block: 0 });
    // Lengths that the region does not hold.
    for length in [16 * 20, 16 * 15 + 1, 1 << 31, u32::MAX] {
        assert_eq!(refused(&place, Slice { block: 0, length }), Violation::Length { length, count: 20 });
    }
    // A length of 0 names no block, whatever stands there.
    let mut marks = Marks::new(20);
    let mut chain = Chain::EMPTY;
    assert_eq!(chain.resolve(&place, &mut marks, Slice { block: u32::MAX, length: 0 }), Ok(()));
    assert_eq!((chain.length(), marked(&marks, 20).len()), (0, 0));
}

#[test]
fn a_block_in_use_by_one_chain_cannot_be_part_of_another() {
    let geometry = geometry(16, 20);
    let place = place_of(geometry);
    let mut marks = Marks::new(20);
    let slice = Slice { block: 3, length: 5 };
    let [mut first, mut again] = [Chain::EMPTY, Chain::EMPTY];
    assert_eq!(first.resolve(&place, &mut marks, slice), Ok(()));
    let again = again.resolve(&place, &mut marks, slice);
    assert_eq!(again, Err(Violation::BlockTwice { block: 3 }));
}

#[test]
fn marks_of_many_blocks_change_all_at_once_or_not() {
    const COUNT: u32 = 130;
    let whole: Vec<u32> = (0..COUNT).collect();
    let mixed = [129, 0, 64, 63, 1, 128, 65, 127];
    for blocks in [&whole[..], &mixed[..], &whole[60..70], &[5], &[]] {
        let (mut at_once, mut one_by_one) = (Marks::new(COUNT), Marks::new(COUNT));
        at_once.mark_all(blocks).unwrap();
        blocks.iter().for_each(|block| one_by_one.mark(*block).unwrap());
        assert_eq!(marked(&at_once, COUNT), marked(&one_by_one, COUNT), "{blocks:?}");
        at_once.clear_all(blocks).unwrap();
        assert!(marked(&at_once, COUNT).is_empty(), "{blocks:?}");
    }
    // The first that is wrong is the one that is named, and none is marked then.
    let mut marks = Marks::new(COUNT);
    marks.mark(70).unwrap();
    for (blocks, violation) in [
        (&[1, 2, 130, 1][..], Violation::Block { block: 130, count: COUNT }),
        (&[1, 192, 3], Violation::Block { block: 192, count: COUNT }),
        (&[u32::MAX], Violation::Block { block: u32::MAX, count: COUNT }),
        (&[1, 2, 1, 130], Violation::BlockTwice { block: 1 }),
        (&[129, 3, 70], Violation::BlockTwice { block: 70 }),
    ] {
        assert_eq!(marks.mark_all(blocks), Err(violation), "{blocks:?}");
        assert_eq!(marked(&marks, COUNT), HashSet::from([70]), "{blocks:?}");
    }
    assert_eq!(marks.clear_all(&[70, 71]), Err(Violation::NotHeld { block: 71 }));
    assert_eq!(marks.clear_all(&[130]), Err(Violation::Block { block: 130, count: COUNT }));
    assert!(marked(&marks, COUNT).is_empty());
}
