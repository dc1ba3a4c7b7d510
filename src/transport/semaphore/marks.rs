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

use super::change;
use crate::transport::memory::{Load, Memory};
use std::sync::atomic::Ordering;

/// Members of a group.
const GROUP: usize = u64::BITS as usize;
const WORD_BYTES: usize = 8;
/// What one level is rounded up to: a cache line and its neighbour, which the CPU fetches with it.
const LEVEL_BYTES: usize = 128;

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
    pub fn new(memory: M, at: usize, members: usize) -> Self {
        Self { memory, at, members: members.max(1) }
    }

    /// What the marks of so many members take, in bytes.
    pub const fn bytes_for(members: usize) -> usize {
        let groups = members.div_ceil(GROUP);
        level_bytes(groups.div_ceil(GROUP)) + level_bytes(groups)
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
        for left in (0..=words).rev() {
            while turn.groups != 0 {
                let group = turn.word * GROUP + turn.groups.trailing_zeros() as usize;
                turn.groups &= turn.groups - 1;
                let marked = if group < self.groups() { self.take_word(self.members_at(group)) } else { 0 };
                if marked != 0 {
                    return Some((group * GROUP, marked));
                }
            }
            if left == 0 {
                break;
            }
            turn.word = if turn.word + 1 < words { turn.word + 1 } else { 0 };
            turn.groups = self.take_word(self.groups_at(turn.word));
        }
        None
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
        let _ = self.change(at, Ordering::Release, |word| Some(word | 1 << bit));
    }

    fn take_word(&self, at: usize) -> u64 {
        self.change(at, Ordering::Acquire, |word| (word != 0).then_some(0)).unwrap_or(0)
    }

    fn change(&self, at: usize, order: Ordering, to: impl Fn(u64) -> Option<u64>) -> Result<u64, u64> {
        change(self.memory.load64(at, Load::Relaxed), |old, new| self.memory.cas64(at, old, new, order), to)
    }
}

const fn level_bytes(words: usize) -> usize {
    (words * WORD_BYTES).next_multiple_of(LEVEL_BYTES)
}
