//! Which members of a set were posted: marks in shared memory, in two levels, so that a waiter looks only at what is set.
//!
//! | bytes from the start | what |
//! |---|---|
//! | 0 | a bit for each group of 64 members: one of them may be marked |
//! | then, at the next multiple of 128 | a bit for each member, a word of 8 bytes for each group |
//!
//! Who marks a member sets its bit and then its group's; who looks takes the group's bit down and then its members'. Each is one
//! change of one word, so that of a mark that comes in between either the word of the members is taken with it, or its group's bit is
//! up again. A mark is a hint: it says where to look and nothing more, so that one that is false costs a look, and one that a
//! hostile process took away makes its own posts late.

#![forbid(unsafe_code)]

use crate::transport::memory::{Load, Memory};
use std::sync::atomic::Ordering;

/// Members of a group.
const GROUP: usize = u64::BITS as usize;
const WORD_BYTES: usize = 8;
/// What one level is rounded up to: a cache line and its neighbour, which the CPU fetches with it.
const LEVEL_BYTES: usize = 128;

/// So often is a change tried that others keep from happening. A hostile peer can always be faster.
const MAX_TRIES: u32 = 1 << 10;

/// Marks at an offset of shared memory; all processes that share them have to name the same number of members.
///
/// The protocol alone; [`Notifier`](super::Notifier) is the usable whole. Public so that it can be run over any memory.
#[derive(Clone, Debug)]
pub struct Marks<M> {
    memory: M,
    at: usize,
    members: usize,
}

/// Whose turn it is: private to the side that looks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Turn {
    /// A word of groups, and those of its groups that were taken and not looked at yet.
    word: usize,
    groups: u64,
}

impl<M: Memory> Marks<M> {
    /// The marks at that offset, a multiple of 8. Zeros mark none. One member at least is marked: for 0 it is as for 1.
    pub const fn new(memory: M, at: usize, members: usize) -> Self {
        Self { memory, at, members: if members == 0 { 1 } else { members } }
    }

    /// What the marks of so many members take, in bytes.
    pub const fn bytes_for(members: usize) -> usize {
        let groups = members.div_ceil(GROUP);
        level_bytes(groups.div_ceil(GROUP)) + level_bytes(groups)
    }

    /// How many members can be marked.
    pub const fn members(&self) -> usize {
        self.members
    }

    /// Marks a member. From that number of members on they share marks in turn.
    #[inline]
    pub fn mark(&self, member: usize) {
        let member = self.shared(member);
        let group = member / GROUP;
        self.set(self.members_at(group), member % GROUP);
        self.set(self.groups_at(group / GROUP), group % GROUP);
    }

    /// Whose mark a member's is.
    #[inline]
    pub(super) const fn shared(&self, member: usize) -> usize {
        if member < self.members { member } else { member % self.members }
    }

    /// Takes the marks of the group whose turn it is, of those that have any: the first member of the group, and a bit for each that
    /// was marked. None only if there was none in any word of groups.
    #[inline]
    pub fn take(&self, turn: &mut Turn) -> Option<(usize, u64)> {
        let words = self.groups().div_ceil(GROUP);
        let mut left = words;
        loop {
            while turn.groups != 0 {
                let group = turn.word * GROUP + turn.groups.trailing_zeros() as usize;
                turn.groups &= turn.groups - 1;
                let marked = if group < self.groups() { self.take_word(self.members_at(group)) } else { 0 };
                if marked != 0 {
                    return Some((group * GROUP, marked));
                }
            }
            if left == 0 {
                return None;
            }
            left -= 1;
            turn.word = if turn.word + 1 < words { turn.word + 1 } else { 0 };
            turn.groups = self.take_word(self.groups_at(turn.word));
        }
    }

    const fn groups(&self) -> usize {
        self.members.div_ceil(GROUP)
    }

    const fn groups_at(&self, word: usize) -> usize {
        self.at + word * WORD_BYTES
    }

    const fn members_at(&self, group: usize) -> usize {
        self.at + level_bytes(self.groups().div_ceil(GROUP)) + group * WORD_BYTES
    }

    /// Sets a bit. It is written even if it is set already: who takes it down sees by that what was written before.
    fn set(&self, at: usize, bit: usize) {
        let mut word = self.memory.load64(at, Load::Relaxed);
        for _ in 0..MAX_TRIES {
            match self.memory.cas64(at, word, word | 1 << bit, Ordering::Release) {
                Ok(_) => return,
                Err(found) => word = found,
            }
        }
    }

    fn take_word(&self, at: usize) -> u64 {
        let mut word = self.memory.load64(at, Load::Relaxed);
        for _ in 0..MAX_TRIES {
            if word == 0 {
                return 0;
            }
            match self.memory.cas64(at, word, 0, Ordering::Acquire) {
                Ok(_) => return word,
                Err(found) => word = found,
            }
        }
        0
    }
}

const fn level_bytes(words: usize) -> usize {
    (words * WORD_BYTES).next_multiple_of(LEVEL_BYTES)
}
