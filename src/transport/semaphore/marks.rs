//! Which members of a set were posted: a ring of marks in shared memory, in the order of the posts, so that a waiter looks only at
//! what is marked.
//!
//! | bytes from the start | what |
//! |---|---|
//! | 0 | bit 0: the waiter is told of the next mark by its socket; bits 1 to 31: how many marks were made, modulo 2^31 |
//! | 128 | the marks, words of 4 bytes, a power of two of them: a lap, and the member |
//!
//! A side that marks a member adds one to the count, which makes one place of the ring its own, and writes the member there. The
//! waiter reads the marks one after the other: each says by its lap that it is there. So a mark is one locked operation, and a look none. The
//! flag is in the word of the count, so that of a mark and a flag that are made at the same time the later one sees the
//! other: the waiter finds the count changed, or the side that marks finds the flag.
//!
//! A mark is a hint: it says where to look and nothing more. One that is false costs a look. Where marks are missing, since a side that
//! made the count greater has been stopped in between or the ring was too short, the waiter is told so, and has to look at
//! all members: by the count it has seen whatever was before these marks.

#![forbid(unsafe_code)]

use super::{change, lower};
use crate::transport::memory::{Load, Memory, Store};
use std::sync::atomic::Ordering;

/// The waiter is told of the next mark.
const TOLD: u32 = 1;
/// One mark, in the word of the count.
const ONE: u32 = 2;
/// What a count is modulo.
const COUNTS: u32 = u32::MAX / ONE + 1;
/// More members share marks: a lap has the bits that a member leaves.
const MAX_PLACES: usize = 1 << 24;
/// The count has a cache line of its own, and its neighbour, which the CPU fetches with it.
const COUNT_BYTES: usize = 128;
const MARK_BYTES: usize = 4;
/// A mark that is still missing after this number of looks in a row is given up.
const PATIENCE: u32 = 64;

/// Marks at an offset of shared memory; all processes that share them have to name the same number of members.
///
/// The protocol alone; [`Notifier`](super::Notifier) is the usable whole. Public so that it can be run over any memory.
#[derive(Clone, Debug)]
pub struct Marks<M> {
    memory: M,
    at: usize,
    /// A power of two.
    places: u32,
}

/// Whose turn it is: private to the side that looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    /// How many marks were taken, modulo as the count.
    next: u32,
    /// Looks in vain at a place whose mark is on its way.
    looks: u32,
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A mark: the member, or a number that is none.
    Member(usize),
    /// There is none.
    Nothing,
    /// One is on its way.
    Soon,
    /// Some are missing, and were given up. Any member may have had one.
    Missing,
}

impl<M: Memory> Marks<M> {
    /// The marks at that offset, a multiple of 4. Zeros mark none. One member at least is marked: for 0 it is as for 1.
    pub fn new(memory: M, at: usize, members: usize) -> Self {
        Self { memory, at, places: places(members) as u32 }
    }

    /// What the marks of so many members take, in bytes.
    pub const fn bytes_for(members: usize) -> usize {
        COUNT_BYTES + (MARK_BYTES * places(members)).next_multiple_of(COUNT_BYTES)
    }

    /// Marks a member. From as many members on as there are marks they share them in turn. True if the waiter is to be told.
    #[inline]
    #[must_use = "the waiter may sleep"]
    pub fn mark(&self, member: usize) -> bool {
        let before = self.memory.add32(self.at, ONE, Ordering::Release);
        let place = before / ONE;
        self.memory.store32(self.place_at(place), self.lap(place) | self.shared(member) as u32, Store::Release);
        before & TOLD != 0 && self.disarm()
    }

    /// Whose mark a member's is.
    #[inline]
    pub(super) const fn shared(&self, member: usize) -> usize {
        member & (self.places as usize - 1)
    }

    /// From now on: what was marked before is not taken.
    pub fn turn(&self) -> Turn {
        Turn { next: self.count(), looks: 0 }
    }

    /// Takes the next mark.
    #[inline]
    pub fn take(&self, turn: &mut Turn) -> Taken {
        let mark = self.memory.load32(self.place_at(turn.next), Load::Acquire);
        if mark & !(self.places - 1) == self.lap(turn.next) {
            *turn = Turn { next: (turn.next + 1) % COUNTS, looks: 0 };
            return Taken::Member((mark & (self.places - 1)) as usize);
        }
        let count = self.count();
        if count == turn.next {
            return Taken::Nothing;
        }
        let ahead = count.wrapping_sub(turn.next) % COUNTS;
        turn.looks += 1;
        if turn.looks < PATIENCE && ahead <= self.places {
            return Taken::Soon;
        }
        turn.looks = 0;
        if ahead < COUNTS / 2 {
            turn.next = count;
        } else {
            // It was put back, and the same marks would be taken again and again.
            let to = |word: u32| (word / ONE == count).then_some(turn.next * ONE);
            let _ = change(&self.memory, self.at, Ordering::Relaxed, to);
        }
        Taken::Missing
    }

    /// Has the waiter told of the next mark. False, and nothing is changed, if there is one already.
    #[inline]
    #[must_use = "there may be a mark already"]
    pub fn arm(&self, turn: &Turn) -> bool {
        let to = |word: u32| (word / ONE == turn.next).then_some(word | TOLD);
        change(&self.memory, self.at, Ordering::Relaxed, to).is_ok()
    }

    /// Has the waiter told of no more marks. False if it would not have been.
    pub fn disarm(&self) -> bool {
        lower(&self.memory, self.at, TOLD) != 0
    }

    #[inline]
    fn count(&self) -> u32 {
        self.memory.load32(self.at, Load::Acquire) / ONE
    }

    #[inline]
    const fn place_at(&self, place: u32) -> usize {
        self.at + COUNT_BYTES + MARK_BYTES * (place & (self.places - 1)) as usize
    }

    /// The lap of a place as it is in marks; that of the first lap is not that of zeros.
    #[inline]
    const fn lap(&self, place: u32) -> u32 {
        (place + self.places) & !(self.places - 1)
    }
}

/// The number of places for the marks of this number of members. A member has one mark at a time, unless marks are given up.
const fn places(members: usize) -> usize {
    if members >= MAX_PLACES { MAX_PLACES } else { members.next_power_of_two() }
}
