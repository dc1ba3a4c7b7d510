//! Promise: rings publish whole entries, and the shared free list hands a block to one side at a time, in any order of
//! events; and the models that show it find each way to break it.

use crate::judge;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use loom::thread;
use memcpy_select::transport::blocks::{AllocateError, FreeList, Pool};
use memcpy_select::transport::memory::{Load, Memory, Store};
use memcpy_select::transport::ring::{Consumer, Producer, RingLayout, RingPlace};
use memcpy_select::transport::{Blocks, Copier, LAP_BIT};
use std::sync::Arc;

/// What is broken in the memory that a model runs over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bug {
    /// Nothing.
    #[default]
    None,
    /// Stores do not release.
    RelaxedStore,
    /// Loads do not acquire.
    RelaxedLoad,
    /// A head is given back without release: entries are written again while they are read.
    RelaxedHead,
    /// A head is never given back.
    LostHead,
    /// A swing of the list's head does not release.
    RelaxedGive,
    /// A swing of the list's head, and the look before it, do not acquire.
    RelaxedTake,
    /// The list's head has no tag.
    NoTag,
    /// The swing of the list's head is a look and a store.
    TornSwing,
}

/// Words, and what is accessed as a whole: entries of rings, blocks. Loom reports two sides in one of those at a time.
pub struct Model {
    bug: Bug,
    words: Vec<AtomicU32>,
    head: AtomicU64,
    wholes: Vec<UnsafeCell<[u8; WHOLE_BYTES]>>,
    /// Where the entries are that count as wholes, and their stride; with the words of each that are waited for left out.
    entries: Option<(usize, usize, usize)>,
    pub head_words: [usize; 2],
}

const WHOLE_BYTES: usize = 64;
/// The list's head stands here; nothing else is a word of 8 bytes.
const LIST_HEAD_AT: usize = 1 << 20;

impl Model {
    pub fn new(bug: Bug, words: usize, wholes: usize) -> Self {
        Self {
            bug,
            words: (0..words).map(|_| AtomicU32::new(0)).collect(),
            head: AtomicU64::new(0),
            wholes: (0..wholes).map(|_| UnsafeCell::new([0; WHOLE_BYTES])).collect(),
            entries: None,
            head_words: [usize::MAX; 2],
        }
    }

    pub fn shared(self) -> Side {
        Side(Arc::new(self))
    }

    /// The entry that a word belongs to, if it is one that only its owner may touch.
    fn entry(&self, at: usize) -> Option<usize> {
        let (start, stride, waited_words) = self.entries?;
        let inside = at.checked_sub(start)?;
        (inside % stride / 4 >= waited_words).then_some(inside / stride)
    }

    /// The whole that bytes belong to, and where they are in it.
    fn place(&self, at: usize) -> (usize, usize) {
        match self.entries {
            Some((start, stride, _)) if at >= start => ((at - start) / stride, (at - start) % stride),
            _ => (at / WHOLE_BYTES, at % WHOLE_BYTES),
        }
    }

    fn release(&self, order: Ordering) -> Ordering {
        if self.bug == Bug::RelaxedGive && order == Ordering::Release { Ordering::Relaxed } else { order }
    }

    fn acquire(&self, order: Ordering) -> Ordering {
        if self.bug == Bug::RelaxedTake && order == Ordering::Acquire { Ordering::Relaxed } else { order }
    }

    fn untagged(&self, head: u64) -> u64 {
        if self.bug == Bug::NoTag { head & 0xFFFF_FFFF } else { head }
    }
}

/// The model as one side has it.
#[derive(Clone)]
pub struct Side(Arc<Model>);

impl std::ops::Deref for Side {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.0
    }
}

impl Memory for Side {
    fn len_bytes(&self) -> usize {
        usize::MAX
    }

    fn load32(&self, at: usize, order: Load) -> u32 {
        if let Some(entry) = self.entry(at) {
            self.wholes[entry].with(|_| ());
        }
        self.words[at / 4].load(match order {
            Load::Acquire if self.bug != Bug::RelaxedLoad => Ordering::Acquire,
            _ => Ordering::Relaxed,
        })
    }

    fn store32(&self, at: usize, value: u32, order: Store) {
        if let Some(entry) = self.entry(at) {
            self.wholes[entry].with_mut(|_| ());
        }
        if self.bug == Bug::LostHead && self.head_words.contains(&at) {
            return;
        }
        let is_weak = match self.bug {
            Bug::RelaxedStore => !self.head_words.contains(&at),
            Bug::RelaxedHead => self.head_words.contains(&at),
            _ => false,
        };
        self.words[at / 4].store(
            value,
            match order {
                Store::Release if !is_weak => Ordering::Release,
                _ => Ordering::Relaxed,
            },
        );
    }

    fn cas32(&self, at: usize, current: u32, new: u32, order: Ordering) -> Result<u32, u32> {
        self.words[at / 4].compare_exchange(current, new, order, Ordering::Relaxed)
    }

    fn add32(&self, at: usize, value: u32, order: Ordering) -> u32 {
        self.words[at / 4].fetch_add(value, order)
    }

    fn load64(&self, _at: usize, order: Load) -> u64 {
        let order = if order == Load::Acquire { self.acquire(Ordering::Acquire) } else { Ordering::Relaxed };
        self.untagged(self.head.load(order))
    }

    fn cas64(&self, _at: usize, current: u64, new: u64, order: Ordering) -> Result<u64, u64> {
        let order = self.release(self.acquire(order));
        let (current, new) = (self.untagged(current), self.untagged(new));
        if self.bug == Bug::TornSwing {
            let found = self.head.load(Ordering::Acquire);
            if found != current {
                return Err(found);
            }
            self.head.store(new, Ordering::Release);
            return Ok(found);
        }
        let failure = if order == Ordering::Acquire { Ordering::Acquire } else { Ordering::Relaxed };
        self.head.compare_exchange(current, new, order, failure)
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn read(&self, at: usize, dst: &mut [u8], _copier: Copier) {
        let (whole, inside) = self.place(at);
        self.wholes[whole].with(|whole| {
            // SAFETY: loom ends the model if somebody writes it meanwhile.
            let whole = unsafe { &*whole };
            dst.copy_from_slice(&whole[inside..inside + dst.len()]);
        });
    }

    fn write(&self, at: usize, src: &[u8], _copier: Copier) {
        let (whole, inside) = self.place(at);
        self.wholes[whole].with_mut(|whole| {
            // SAFETY: loom ends the model if somebody else touches it meanwhile.
            let whole = unsafe { &mut *whole };
            whole[inside..inside + src.len()].copy_from_slice(src);
        });
    }

    fn relax(&self) {
        thread::yield_now();
    }
}

/// What finds a message that is published too early or looked for too early.
pub const PUBLISHING: [Bug; 2] = [Bug::RelaxedStore, Bug::RelaxedLoad];

#[test]
fn rings_hold_and_their_models_find_every_seeded_bug() {
    judge("a ring", ring, 3, &PUBLISHING);
    judge("a batch", batch, 3, &PUBLISHING);
    judge("a ring, going round", round, 3, &[Bug::RelaxedHead, Bug::RelaxedLoad]);
    judge("bytes in entries", bytes, 3, &[Bug::RelaxedStore, Bug::RelaxedLoad, Bug::RelaxedHead]);
    judge("blocks that are given back", releases, 3, &[Bug::RelaxedStore, Bug::RelaxedLoad, Bug::LostHead]);
}

#[test]
fn the_free_list_holds_and_its_models_find_every_seeded_bug() {
    judge("a free list", free_list, 3, &[Bug::RelaxedGive, Bug::RelaxedTake, Bug::NoTag, Bug::TornSwing]);
    judge("a free list with blocks kept aside", kept_aside, 2, &[Bug::RelaxedGive, Bug::TornSwing]);
}

const HEAD_AT: usize = 0;
const ENTRIES_AT: usize = 4;

/// The first word of an entry is waited for; the others are the owner's alone.
fn new_ring(bug: Bug) -> (Producer<Side, 3>, Consumer<Side, 3>) {
    ring_of(bug, 12, 1)
}

/// A ring of two entries, of which so many words do not count as their owner's.
fn ring_of(bug: Bug, stride_bytes: u32, waited_words: usize) -> (Producer<Side, 3>, Consumer<Side, 3>) {
    let (model, layout) = model(bug, stride_bytes, LAP_BIT, waited_words);
    (Producer::new(model.clone(), layout), Consumer::new(model, layout))
}

fn model(bug: Bug, stride_bytes: u32, lap_bit: u32, waited_words: usize) -> (Side, RingLayout) {
    let place = RingPlace { head_at: HEAD_AT, entries_at: ENTRIES_AT };
    let layout = RingLayout::new(place, 2, stride_bytes, lap_bit).unwrap();
    let mut model = Model::new(bug, layout.end_at() / 4, 2);
    model.entries = Some((ENTRIES_AT, stride_bytes as usize, waited_words));
    model.head_words = [HEAD_AT, usize::MAX];
    (model.shared(), layout)
}

fn push(producer: &mut Producer<Side, 3>, number: u32) {
    while !producer.push([number, 10 + number, 20 + number]).unwrap() {
        thread::yield_now();
    }
    producer.publish();
}

fn pop(consumer: &mut Consumer<Side, 3>) -> [u32; 3] {
    loop {
        if let Some(entry) = consumer.pop() {
            return entry;
        }
        thread::yield_now();
    }
}

/// Two entries, whole and in order.
fn ring(bug: Bug) {
    let (mut producer, mut consumer) = new_ring(bug);
    let writer = thread::spawn(move || {
        push(&mut producer, 1);
        push(&mut producer, 2);
    });
    for number in 1..3 {
        assert_eq!(pop(&mut consumer), [number, 10 + number, 20 + number]);
    }
    writer.join().unwrap();
}

/// Two entries that are published together: either none is seen or both.
fn batch(bug: Bug) {
    let (mut producer, mut consumer) = new_ring(bug);
    let writer = thread::spawn(move || {
        for number in 1..3 {
            assert!(producer.push([number, 10 + number, 20 + number]).unwrap());
        }
        producer.publish();
    });
    pop(&mut consumer);
    assert_eq!(consumer.pop(), Some([2, 12, 22]), "both were published");
    writer.join().unwrap();
}

/// Three entries through two places: none is written while it is read.
fn round(bug: Bug) {
    let (mut producer, mut consumer) = new_ring(bug);
    let writer = thread::spawn(move || {
        for number in 1..4 {
            push(&mut producer, number);
        }
    });
    for number in 1..4 {
        assert_eq!(pop(&mut consumer), [number, 10 + number, 20 + number]);
        consumer.release();
    }
    writer.join().unwrap();
}

/// Three entries with bytes through two places. Only the bytes count as their owner's: it is they that are there before the entry is
/// seen, and are not written again while they are read.
fn bytes(bug: Bug) {
    let (mut producer, mut consumer) = ring_of(bug, 32, 4);
    let writer = thread::spawn(move || {
        for number in 1..4 {
            while !producer.push_with([number, 0, 0], &[number as u8; 5], Copier::AUTO).unwrap() {
                thread::yield_now();
            }
            producer.publish();
        }
    });
    for number in 1..4 {
        pop(&mut consumer);
        let mut dst = [0; 5];
        consumer.take_bytes(5, &mut dst, Copier::AUTO).unwrap();
        assert_eq!(dst, [number; 5]);
        consumer.release();
    }
    writer.join().unwrap();
}

/// Three blocks, one after the other, through a ring of two releases: its entry is the block alone, and the reader has it whole.
fn releases(bug: Bug) {
    let (queue, layout) = model(bug, 4, 1 << 31, 1);
    let blocks = Model::new(bug, 0, 3).shared();
    let (mut releases, mut given_back) =
        (Producer::<_, 1>::new(queue.clone(), layout), Consumer::<_, 1>::new(queue, layout));
    let client = blocks.clone();
    let writer = thread::spawn(move || {
        for block in 0..3 {
            use_block(&client, block, 1);
            while !releases.push([block]).unwrap() {
                thread::yield_now();
            }
            releases.publish();
        }
    });
    for block in 0..3 {
        while given_back.pop().map(|[found]| assert_eq!(found, block)).is_none() {
            thread::yield_now();
        }
        use_block(&blocks, block, 2);
        given_back.release();
    }
    writer.join().unwrap();
}

const LIST: FreeList = FreeList { head_at: LIST_HEAD_AT, links_at: 0 };

/// Writes the whole of a block: loom reports it if another side has it at the same time.
fn use_block(model: &Side, block: u32, byte: u8) {
    model.write(block as usize * WHOLE_BYTES, &[byte; WHOLE_BYTES], Copier::AUTO);
    let mut bytes = [0; WHOLE_BYTES];
    model.read(block as usize * WHOLE_BYTES, &mut bytes, Copier::AUTO);
    assert_eq!(bytes, [byte; WHOLE_BYTES]);
}

/// One takes one; the other takes two and gives the first back, which is how a head comes to be what it was.
fn free_list(bug: Bug) {
    let region = Blocks { block_bytes: 64, count: 3 };
    let model = Model::new(bug, 3, 3).shared();
    LIST.lay_out(&model, region);
    let other = model.clone();
    let taker = thread::spawn(move || {
        let mut list = Pool::keeping(other.clone(), LIST, region, 0);
        let first = list.allocate_one(0).unwrap();
        use_block(&other, first, 1);
        let second = list.allocate_one(0);
        if let Ok(second) = second {
            use_block(&other, second, 1);
        }
        list.free(&[first]).unwrap();
        if let Ok(second) = second {
            use_block(&other, second, 2);
        }
    });
    let mut list = Pool::keeping(model.clone(), LIST, region, 0);
    let mine = list.allocate_one(0).unwrap();
    use_block(&model, mine, 3);
    if let Ok(another) = list.allocate_one(0) {
        use_block(&model, another, 3);
    }
    taker.join().unwrap();
}

/// Blocks that were kept aside, and go back when their side ends, are whole for the next one.
fn kept_aside(bug: Bug) {
    let region = Blocks { block_bytes: 64, count: 2 };
    let model = Model::new(bug, 2, 2).shared();
    LIST.lay_out(&model, region);
    let other = model.clone();
    let taker = thread::spawn(move || {
        let mut list = Pool::keeping(other.clone(), LIST, region, 2);
        if let Ok(block) = list.allocate_one(0) {
            use_block(&other, block, 1);
            list.free(&[block]).unwrap();
        }
    });
    let mut list = Pool::keeping(model.clone(), LIST, region, 1);
    let mut blocks = Vec::new();
    match list.allocate(0, 2, &mut blocks) {
        Ok(()) => blocks.iter().for_each(|&block| use_block(&model, block, 2)),
        Err(AllocateError::OutOfBlocks) => {}
        Err(AllocateError::Violation(violation)) => panic!("{violation}"),
    }
    taker.join().unwrap();
    list.free(&blocks).unwrap();
    // Nothing was lost, whoever kept it.
    blocks.clear();
    list.allocate(0, 2, &mut blocks).unwrap();
}
