//! Rings, chains, messages and allocators, one of them at a time, over memory that answers anything.

use super::blocks::BlockSet;
use super::memory::Plot;
use super::{Choices, Hostile, Side, Tally, is_of_the_protocol};
use memcpy_select::transport::blocks::{AllocateError, BlockMemory, FreeList, Marks, Pool};
use memcpy_select::transport::chain::{Chain, blocks_for};
use memcpy_select::transport::ring::{Consumer, Producer, RingLayout, RingPlace};
use memcpy_select::transport::{
    Blocks, Copier, ErrorCode, LAP_BIT, PageRange, Request, Response, Slice, Value, Violation,
};
use std::rc::Rc;

/// Calls in one round, at most.
const MAX_CALLS: u64 = 400;
/// Rounds of one drive, at most: when one is refused the next starts over the same memory.
const MAX_ROUNDS: u64 = 64;

/// Runs one of them, round after round.
pub fn drive(choices: Choices) -> Tally {
    let plot = Plot::new(choices);
    let which = plot.choices.borrow_mut().byte();
    let mut tally = Tally::default();
    match which % 8 {
        0..4 => rings(&plot, &mut tally),
        4 | 5 => chains(&plot, &mut tally),
        6 => lists(&plot, &mut tally),
        _ => messages(&plot, &mut tally),
    }
    tally.mutated_words = plot.mutated_words.get();
    tally.payload_words = plot.payload_words.get();
    tally.accesses = plot.accesses.get();
    tally
}

/// Plays rounds, each with an adversary of another intensity, and notes how each ended.
fn rounds(plot: &Plot, tally: &mut Tally, mut round: impl FnMut(&mut Tally) -> Result<(), Violation>) {
    for _ in 0..MAX_ROUNDS {
        plot.new_adversary();
        let mut one = Tally::default();
        match round(&mut one) {
            Ok(()) => one.lasted += 1,
            Err(violation) => {
                assert!(is_of_the_protocol(violation), "{violation}");
                one.refused += 1;
            }
        }
        *tally += one;
        if plot.choices.borrow().is_over() {
            break;
        }
    }
}

/// Counts a call and fails the test if it touches memory more often than it may.
fn call<T>(plot: &Plot, tally: &mut Tally, most_accesses: u64, work: impl FnOnce() -> T) -> T {
    let before = plot.accesses.get();
    let result = work();
    let accesses = plot.accesses.get() - before;
    assert!(accesses <= most_accesses, "{accesses} accesses in one call, of at most {most_accesses}");
    tally.calls += 1;
    result
}

fn goes_on(plot: &Plot, tally: &Tally) -> bool {
    tally.calls < MAX_CALLS && !plot.choices.borrow().is_over()
}

fn rings(plot: &Rc<Plot>, tally: &mut Tally) {
    let (capacity, start, stride_bytes, lap_bit) = {
        let mut choices = plot.choices.borrow_mut();
        let capacity = 1_u32 << choices.below(5);
        let laps = [0, u32::MAX / (2 * capacity), 1 << 10][choices.below(3)];
        let lap_bit = [LAP_BIT, 1 << 31][choices.below(2)];
        (capacity, laps.wrapping_mul(2 * capacity), [12, 16, 64, 256][choices.below(4)], lap_bit)
    };
    let layout = RingLayout::new(RingPlace { head_at: 0, entries_at: 128 }, capacity, stride_bytes, lap_bit).unwrap();
    let memory = Hostile::new(plot, Side::Both, layout.end_at()).with_indices_below(128);
    rounds(plot, tally, |tally| ring_round(plot, tally, &memory, layout, (capacity, start)));
}

fn ring_round(
    plot: &Plot,
    tally: &mut Tally,
    memory: &Hostile,
    layout: RingLayout,
    (capacity, start): (u32, u32),
) -> Result<(), Violation> {
    memory.wipe();
    let mut producer = Producer::<_, 3>::starting_at(memory.clone(), layout, start);
    let mut consumer = Consumer::<_, 3>::starting_at(memory.clone(), layout, start);
    // What the two did so far, as their own accounts must have it.
    let (mut pushed, mut popped) = (0_u32, 0_u32);
    let mut batch = 0;
    while goes_on(plot, tally) {
        let what = plot.choices.borrow_mut().byte();
        match what % 9 {
            0..3 => {
                let entry = [(); 3].map(|()| plot.choices.borrow_mut().word());
                let bytes = [what; 300];
                let bytes = &bytes[..plot.below(300)];
                let is_pushed = call(plot, tally, 3, || producer.push_with(entry, bytes, Copier::AUTO))?;
                pushed += u32::from(is_pushed);
                batch += u64::from(is_pushed);
            }
            3 => {
                assert_eq!(call(plot, tally, 3 * batch + 1, || producer.publish()), batch > 0);
                batch = 0;
            }
            4 => assert!(!call(plot, tally, 1, || producer.has_room(capacity + 1))?),
            5 => {
                let wanted = plot.choices.borrow_mut().edge(capacity);
                let has_room = call(plot, tally, 1, || producer.has_room(wanted))?;
                assert!(!has_room || wanted <= capacity);
            }
            6 => {
                // As a consumer does that is told to take all there is.
                for turn in 0.. {
                    if call(plot, tally, 3, || consumer.pop()).is_none() {
                        break;
                    }
                    popped += 1;
                    let (length, mut dst) = (plot.choices.borrow_mut().edge(layout.room_bytes()), [0; 256]);
                    let taken =
                        call(plot, tally, 1, || plot.payload(|| consumer.take_bytes(length, &mut dst, Copier::AUTO)));
                    assert_eq!(taken.is_ok(), length <= layout.room_bytes());
                    if turn == capacity {
                        break;
                    }
                }
            }
            7 => {
                call(plot, tally, 1, || consumer.peek());
            }
            _ => call(plot, tally, 1, || consumer.release()),
        }
        assert!(call(plot, tally, 1, || producer.unread())? <= capacity);
    }
    // Nobody pushes more than was given back: with an adversary that is what it says was given back.
    assert!(pushed <= MAX_CALLS as u32 && popped <= MAX_CALLS as u32 * (capacity + 1));
    Ok(())
}

fn geometry(plot: &Plot) -> Blocks {
    let mut choices = plot.choices.borrow_mut();
    let block_bytes = [8, 16, 64, 256][choices.below(4)];
    let count = 1 + choices.below(96) as u32;
    let short = Blocks { block_bytes: 4, count };
    assert!(short.check().is_err_and(|error| error.found == 4 && error.what.contains("a power of two")));
    Blocks { block_bytes, count }
}

/// Blocks that can be those of one chain.
fn check_blocks(place: &BlockMemory<Hostile>, chain: &Chain) {
    assert!(BlockSet::of(chain.blocks()).is_some(), "a block twice");
    assert!(chain.blocks().iter().all(|block| *block < place.blocks().count), "a block outside");
    let (data, lists) = blocks_for(place, chain.length());
    assert_eq!((chain.data().len(), chain.blocks().len()), (data as usize, (data + lists) as usize));
    let runs: usize = chain.runs(place.blocks(), 0, chain.length()).map(|(_, len_bytes)| len_bytes).sum();
    assert_eq!(runs, chain.length() as usize);
}

fn chains(plot: &Rc<Plot>, tally: &mut Tally) {
    let geometry = geometry(plot);
    let memory = Hostile::new(plot, Side::Adversary, geometry.total_bytes() as usize);
    rounds(plot, tally, |tally| chain_round(plot, tally, &BlockMemory::new(memory.clone(), geometry).unwrap()));
}

fn chain_round(plot: &Plot, tally: &mut Tally, place: &BlockMemory<Hostile>) -> Result<(), Violation> {
    let (memory, geometry) = (place.memory(), place.blocks());
    let count = u64::from(geometry.count);
    let mut marks = Marks::new(geometry.count);
    let mut held: Vec<Chain> = Vec::new();
    let mut total = 0;
    while goes_on(plot, tally) {
        let what = plot.choices.borrow_mut().byte();
        match what % 4 {
            0 => {
                // The adversary builds a chain, or something like it.
                let mut choices = plot.choices.borrow_mut();
                for _ in 0..choices.below(40) {
                    let at = 4 * choices.below(geometry.total_bytes() as usize / 4);
                    let word = choices.edge(geometry.count);
                    memory.poke(at, word);
                }
            }
            1 | 2 => {
                let slice = {
                    let mut choices = plot.choices.borrow_mut();
                    let block = choices.edge(geometry.count);
                    Slice { block, length: choices.edge(geometry.total_bytes() as u32) }
                };
                let mut chain = Chain::EMPTY;
                call(plot, tally, 2 * count + 2, || chain.resolve(place, &mut marks, slice))?;
                assert_eq!(chain.length(), slice.length);
                check_blocks(place, &chain);
                let mut bytes = vec![0; slice.length as usize];
                let read = || plot.payload(|| chain.read(place, 0, &mut bytes, Copier::AUTO));
                let copied = call(plot, tally, count, read);
                assert_eq!(copied, bytes.len());
                total += chain.blocks().len();
                held.push(chain);
            }
            _ => {
                if let Some(chain) = held.pop() {
                    total -= chain.blocks().len();
                    chain.blocks().iter().for_each(|block| marks.clear(*block).unwrap());
                }
            }
        }
        let marked = (0..geometry.count).filter(|block| marks.clone().clear(*block).is_ok()).count();
        assert_eq!(marked, total, "no chain has a block of another");
    }
    Ok(())
}

fn lists(plot: &Rc<Plot>, tally: &mut Tally) {
    let geometry = geometry(plot);
    let list = FreeList { head_at: 0, links_at: 128 };
    let memory = Hostile::new(plot, Side::Both, list.links_at + 4 * geometry.count as usize);
    rounds(plot, tally, |tally| list_round(plot, tally, &memory, list, geometry));
}

fn list_round(
    plot: &Plot,
    tally: &mut Tally,
    memory: &Hostile,
    list: FreeList,
    geometry: Blocks,
) -> Result<(), Violation> {
    let count = geometry.count;
    let intensity = plot.intensity.replace(0);
    list.lay_out(memory, geometry);
    plot.intensity.set(intensity);
    let mut shared = Pool::shared(memory.clone(), list, geometry);
    let mut owned = Pool::owned(geometry);
    // So many attempts, each of which follows as many links as blocks are wanted.
    let most = |blocks: u32| (u64::from(blocks) + 4) << 17;
    let mut held = [BlockSet::default(); 2];
    while goes_on(plot, tally) {
        let what = plot.choices.borrow_mut().byte();
        let which = usize::from(what & 1);
        let allocator = if which == 0 { &mut shared } else { &mut owned };
        let held = &mut held[which];
        match what / 2 % 5 {
            0 => match call(plot, tally, most(16), || allocator.allocate_one(0)) {
                Ok(block) => assert!(block < count && held.insert(block), "block {block} of {count}, twice or outside"),
                Err(AllocateError::OutOfBlocks) => {}
                Err(AllocateError::Violation(violation)) => return Err(violation),
            },
            1 => {
                let wanted = plot.choices.borrow_mut().edge(count);
                let mut blocks = Vec::new();
                match call(plot, tally, most(wanted.min(count)), || allocator.allocate(0, wanted, &mut blocks)) {
                    Ok(()) => {
                        assert_eq!(blocks.len(), wanted as usize);
                        for block in blocks {
                            assert!(block < count && held.insert(block), "block {block} of {count}, twice or outside");
                        }
                    }
                    Err(AllocateError::OutOfBlocks) => assert!(blocks.is_empty(), "kept what it could not use"),
                    Err(AllocateError::Violation(violation)) => return Err(violation),
                }
            }
            2 => {
                let some = held.take(1 + usize::from(what / 16));
                call(plot, tally, most(16), || allocator.free(&some))?;
            }
            3 => {
                // One that this side does not hold: refused.
                let block = plot.choices.borrow_mut().edge(count);
                if !held.contains(block) {
                    assert!(call(plot, tally, 4, || allocator.free(&[block])).is_err());
                }
            }
            _ => {
                // The head, its tag, or a link.
                let mut choices = plot.choices.borrow_mut();
                let at = match choices.below(count as usize + 2) {
                    word @ ..2 => list.head_at + 4 * word,
                    word => list.links_at + 4 * (word - 2),
                };
                let word = choices.edge(count);
                memory.poke(at, word);
            }
        }
    }
    Ok(())
}

/// Whatever stands in an entry is a message or a typed error, and reads back as it was written.
fn messages(plot: &Plot, tally: &mut Tally) {
    while goes_on(plot, tally) {
        let entry = [(); 4].map(|()| plot.choices.borrow_mut().word());
        match call(plot, tally, 0, || Request::from_entry(entry)) {
            Ok(request) => {
                assert_eq!(request.to_entry(), [entry[0] & !LAP_BIT, entry[1], entry[2], entry[3]]);
                assert!(request.id.0 < 1 << 24);
                assert_eq!(Value::slice(request.args.to_slice()), request.args);
                let range = PageRange(request.args.0);
                assert_eq!(Value(range.0), request.args);
                assert!(range.start_bytes().checked_add(range.len_bytes()).is_some());
            }
            Err(violation) => assert!(violation == Violation::Kind { kind: entry[0] & 15 } && entry[0] & 15 > 11),
        }
        let entry = [entry[0], entry[1], entry[2]];
        let response = call(plot, tally, 0, || Response::from_entry(entry));
        assert_eq!(response.to_entry(), [entry[0] & !0xFC, entry[1], entry[2]]);
        let is_error = response.value.0 >= ErrorCode::FIRST;
        assert_eq!(ErrorCode::of(response.value).is_some(), is_error);
        assert_eq!(Value::slice(response.value.to_slice()), response.value);
    }
    tally.lasted += 1;
}
