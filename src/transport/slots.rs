//! Members under names that are never given twice, and a list of those to look at.
//!
//! A member is either *polled*, and looked at in user space, or *armed*: it has told its other side that it waits for a wake.
//! A member that was ready stays polled until a poll finds nothing. What that means is for the user of this to say.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

/// The name of a client of a table, or of a member of a set. It is never given to another one.
// One number, so that it moves as a whole: a load of two that were stored apart has to wait for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub(super) u64);

impl Key {
    #[inline(always)]
    pub(super) const fn new(slot: u32, generation: u32) -> Self {
        Self((generation as u64) << 32 | slot as u64)
    }

    /// A small number, unique among those of this moment: an index for a table of the program's own.
    #[inline(always)]
    pub const fn slot(self) -> usize {
        self.0 as u32 as usize
    }

    /// Which member of its slot it is.
    #[inline(always)]
    pub(super) const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// Members by their keys.
#[derive(Debug)]
pub(super) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    members: usize,
    polled: VecDeque<Key>,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    is_polled: bool,
    member: Option<T>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), members: 0, polled: VecDeque::new() }
    }
}

impl<T> Slots<T> {
    /// The key that the next member gets.
    pub(super) fn next_key(&self) -> Key {
        // Memory ends long before numbers do.
        let slot = self.free.last().copied().unwrap_or(self.slots.len() as u32);
        self.key_at(slot as usize)
    }

    /// The key of the member in that slot, or of the next one there.
    pub(super) fn key_at(&self, slot: usize) -> Key {
        let generation = self.slots.get(slot).map_or(0, |slot| slot.generation);
        Key::new(slot as u32, generation)
    }

    /// Takes a member in. It is not polled.
    pub(super) fn insert(&mut self, member: T) -> Key {
        let key = self.next_key();
        if self.free.pop().is_none() {
            self.slots.push(Slot { generation: 0, is_polled: false, member: None });
        }
        self.slots[key.slot()].member = Some(member);
        self.members += 1;
        key
    }

    #[inline(always)]
    fn slot(&mut self, key: Key) -> Option<&mut Slot<T>> {
        let is_there = |slot: &&mut Slot<T>| slot.generation == key.generation() && slot.member.is_some();
        self.slots.get_mut(key.slot()).filter(is_there)
    }

    /// The member of that name.
    #[inline(always)]
    pub(super) fn get(&self, key: Key) -> Option<&T> {
        self.slots.get(key.slot()).filter(|slot| slot.generation == key.generation())?.member.as_ref()
    }

    /// The member of that name, to be changed.
    #[inline(always)]
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slot(key)?.member.as_mut()
    }

    /// Takes a member out.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slot(key)?;
        let member = slot.member.take();
        slot.is_polled = false;
        // After 2^32 members in one slot it is used no more.
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(key.slot() as u32);
        }
        self.members -= 1;
        member
    }

    /// How many members there are.
    pub(super) fn len(&self) -> usize {
        self.members
    }

    /// How many slots there are, used or not.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// How many members are polled, at most: a removed one counts until its turn.
    #[inline(always)]
    pub(super) fn polled(&self) -> usize {
        self.polled.len()
    }

    /// Takes the next polled member off the list. Look at it; if it has something, [`poll`](Self::poll) it again, else arm it
    /// and look once more.
    #[inline(always)]
    pub(super) fn next_polled(&mut self) -> Option<Key> {
        // Each turn takes one off.
        while let Some(key) = self.polled.pop_front() {
            if let Some(slot) = self.slot(key) {
                slot.is_polled = false;
                return Some(key);
            }
        }
        None
    }

    /// The polled member, if it is one alone.
    #[inline(always)]
    pub(super) fn only_polled(&mut self) -> Option<(Key, &mut T)> {
        let key = self.polled.front().copied().filter(|_| self.polled.len() == 1)?;
        Some((key, self.get_mut(key)?))
    }

    /// Puts a member at the end of the polled ones, if it is not among them.
    #[inline(always)]
    pub(super) fn poll(&mut self, key: Key) {
        if let Some(slot) = self.slot(key)
            && !std::mem::replace(&mut slot.is_polled, true)
        {
            self.polled.push_back(key);
        }
    }

    /// Puts all members among the polled ones.
    pub(super) fn poll_all(&mut self) {
        for slot in 0..self.slots() {
            self.poll(self.key_at(slot));
        }
    }

    /// The polled members, in turn.
    pub(super) fn iter_polled(&self) -> impl Iterator<Item = &T> {
        self.polled.iter().filter_map(|key| self.get(*key))
    }

    /// Looks at each polled member once, in turn, until one has something. That one stays polled, and so many of the others;
    /// `look` is told whether the member does, and else is to arm it if it has nothing.
    #[inline(always)]
    pub(super) fn find<R>(&mut self, kept: usize, mut look: impl FnMut(&mut T, bool) -> Option<R>) -> Option<(Key, R)> {
        for _ in 0..self.polled() {
            let key = *self.polled.front()?;
            let is_kept = self.polled() <= kept;
            let Some(member) = self.get_mut(key) else {
                self.polled.pop_front();
                continue;
            };
            let found = look(member, is_kept);
            if found.is_none() && !is_kept {
                self.next_polled();
                continue;
            }
            if self.polled() > 1 {
                self.polled.rotate_left(1);
            }
            if let Some(found) = found {
                return Some((key, found));
            }
        }
        None
    }
}
