//! Waiting for any of thousands of semaphores.
//!
//! A member is either *polled*, and looked at in user space, or *armed*: the flag in its word tells posters to notify ([`Slots`]).
//! A few that had nothing stay polled, since who was posted is often posted again; the others are armed, and polled again when they
//! are marked. So a wait looks at marks and at members that have them. Notifiers are polled and armed in the same way: of a polled one
//! the marks are looked at, of an armed one the socket.
//!
//! Turns are taken on every level: a wait takes in the marks of one group of 64 members, of the notifiers and their groups in
//! turn, and takes from one member, of those that are polled in turn. What marks too much gets no more than its turns.

#![forbid(unsafe_code)]

use super::marks::Turn;
use super::notifier::Notifier;
use super::word::WATCHED;
use super::{MAX_SLEEP, Member, Semaphore, SemaphoreError, Spin};
use crate::transport::slots::{Key, Slots};
use crate::transport::watch::{Report, Watch};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Looks at the sockets come after so many waits that found something, too.
const WAITS_PER_LOOK: u32 = 64;
/// How many members are looked at after a sleep that no notifier ended, and how many with such a look: a mark that was lost, as only
/// a process that shares the notifier can bring about, is made up for so.
const SWEEP: usize = 64;
const BUSY_SWEEP: usize = 8;
/// So many members and notifiers that have nothing stay polled: to look at them costs less than to arm them.
const MAX_POLLED: usize = 4;
/// So many groups are gone through in one look for a member that has something.
const MAX_GROUPS: usize = 64;

/// A set of semaphores, to wait for any of them.
///
/// A wait costs what it returns, however many members there are and however many of them are busy. Each member that another process
/// shares can at most be ready too often or not at all, together with those on the same notifier: the others have their turn
/// between its.
///
/// ```
/// use memcpy_select::transport::memory::Mapped;
/// use memcpy_select::transport::semaphore::{Notifier, SEMAPHORE_BYTES, Semaphore, SemaphoreSet};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let memory = Mapped::private(8192).ok_or("no memory")?;
/// let notifier = Arc::new(Notifier::new(memory.clone(), 4096)?);
/// let mut set = SemaphoreSet::create()?;
/// let mut members = Vec::new();
/// for at in (0..4096).step_by(SEMAPHORE_BYTES) {
///     let semaphore = Arc::new(Semaphore::new(memory.clone(), at)?.with_notifier(Arc::clone(&notifier)));
///     members.push((set.add(Arc::clone(&semaphore))?, semaphore));
/// }
/// members[17].1.post()?;
/// assert_eq!(set.wait_set_any(Duration::from_secs(10))?, Some(members[17].0));
/// assert_eq!(set.wait_set_any(Duration::from_millis(1))?, None);
/// set.remove(members[17].0)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SemaphoreSet {
    members: Slots<Arc<Semaphore>>,
    watch: Watch,
    notifiers: Slots<Notified>,
    /// By the notifiers' addresses.
    keys: HashMap<usize, Key>,
    waits: u32,
    /// Where the next sweep starts.
    swept: usize,
    spin: Spin,
}

/// A notifier that is watched, and the members that it may name.
#[derive(Debug)]
struct Notified {
    notifier: Arc<Notifier>,
    turn: Turn,
    /// By their marks.
    members: Vec<Vec<Member>>,
    count: usize,
}

impl SemaphoreSet {
    /// An empty set.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::System`] if there are no descriptors for it.
    pub fn create() -> Result<Self, SemaphoreError> {
        Ok(Self {
            members: Slots::default(),
            watch: Watch::new().map_err(SemaphoreError::system)?,
            notifiers: Slots::default(),
            keys: HashMap::new(),
            waits: 0,
            swept: 0,
            spin: Spin::default(),
        })
    }

    /// The same set, which goes to sleep without looking for a while before.
    #[must_use]
    pub fn without_spinning(self) -> Self {
        Self { spin: Spin::never(), ..self }
    }

    /// Adds a semaphore. Those that share a notifier share the value, too: of a notifier that is taken in twice one copy sees each mark.
    /// In several sets a semaphore is noticed by the one that sees its mark first, and late by the others.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::NoNotifier`] if it has none, [`SemaphoreError::AlreadyIn`] if it is a member, and
    /// [`SemaphoreError::System`] if its notifier cannot be watched.
    pub fn add(&mut self, semaphore: Arc<Semaphore>) -> Result<Member, SemaphoreError> {
        let notifier = semaphore.notifier().ok_or(SemaphoreError::NoNotifier)?;
        let mark = notifier.marks.shared(semaphore.place());
        let key = match self.keys.entry(Arc::as_ptr(notifier).addr()) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                let key = self.notifiers.next_key();
                let descriptor = notifier.receiver.as_fd();
                self.watch.add(key, descriptor, Report::EachTime).map_err(SemaphoreError::system)?;
                let (notifier, turn) = (Arc::clone(notifier), Turn::default());
                self.notifiers.insert(Notified { notifier, turn, members: Vec::new(), count: 0 });
                self.notifiers.poll(key);
                *entry.insert(key)
            }
        };
        let notified = self.notifiers.get_mut(key).ok_or(SemaphoreError::NoNotifier)?;
        if notified.members.len() <= mark {
            notified.members.resize_with(mark + 1, Vec::new);
        }
        let marked = &mut notified.members[mark];
        if marked.iter().any(|key| self.members.get(*key).is_some_and(|other| Arc::ptr_eq(other, &semaphore))) {
            return Err(SemaphoreError::AlreadyIn);
        }
        let member = self.members.insert(semaphore);
        marked.push(member);
        notified.count += 1;
        self.members.poll(member);
        Ok(member)
    }

    /// Removes a member, and gives it back. Its notifier is watched no more if it was the last one there.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::NotAMember`] if it is none, or no more.
    pub fn remove(&mut self, member: Member) -> Result<Arc<Semaphore>, SemaphoreError> {
        let semaphore = self.members.remove(member).ok_or(SemaphoreError::NotAMember)?;
        let address = semaphore.notifier().map_or(0, |notifier| Arc::as_ptr(notifier).addr());
        if let Some(&key) = self.keys.get(&address)
            && let Some(notified) = self.notifiers.get_mut(key)
            && let Some(marked) = notified.members.get_mut(notified.notifier.marks.shared(semaphore.place()))
        {
            marked.retain(|other| *other != member);
            notified.count -= 1;
            if notified.count == 0 {
                self.watch.remove(notified.notifier.receiver.as_fd());
                self.notifiers.remove(key);
                self.keys.remove(&address);
            }
        }
        Ok(semaphore)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes one off the count of any member, waiting for at most the limit. `None` if there was none.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::Nothing`] if the set is empty, [`SemaphoreError::System`] if the system refuses to wait.
    pub fn wait_set_any(&mut self, limit: Duration) -> Result<Option<Member>, SemaphoreError> {
        if self.is_empty() {
            return Err(SemaphoreError::Nothing);
        }
        self.waits += 1;
        if self.waits >= WAITS_PER_LOOK {
            self.waits = 0;
            self.look(Duration::ZERO)?;
            self.sweep(BUSY_SWEEP);
        }
        let found = self.try_any(MAX_POLLED).or_else(|| self.spin_for_any(limit));
        if found.is_some() {
            return Ok(found);
        }
        let start = Instant::now();
        let mut left = limit;
        loop {
            if let Some(member) = self.try_any(0) {
                return Ok(Some(member));
            }
            // Only what is armed wakes this side.
            let is_armed = self.members.polled() + self.notifiers.polled() == 0;
            self.look(if is_armed { left.min(MAX_SLEEP) } else { Duration::ZERO })?;
            if let Some(member) = self.try_any(MAX_POLLED) {
                self.spin.slept(start.elapsed());
                return Ok(Some(member));
            }
            left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            self.sweep(SWEEP);
        }
    }

    /// Takes from a member that has something, of those that are polled or marked. So many of the others stay polled.
    fn try_any(&mut self, kept: usize) -> Option<Member> {
        for _ in 0..MAX_GROUPS {
            let is_any_marked = self.gather(kept);
            let taken = self.try_polled(kept);
            if taken.is_some() || !is_any_marked {
                return taken;
            }
        }
        None
    }

    /// Polls the members of a group that are marked, of the first polled notifier that has such; whether there was one. Of the others
    /// all but so many are armed.
    fn gather(&mut self, kept: usize) -> bool {
        let Self { notifiers, members, .. } = self;
        let look = |notified: &mut Notified, is_kept| {
            let Notified { notifier, turn, members: named, .. } = notified;
            let (first, mut marked) = if is_kept { notifier.marks.take(turn) } else { notifier.take_or_arm(turn) }?;
            while marked != 0 {
                let mark = first + marked.trailing_zeros() as usize;
                marked &= marked - 1;
                named.get(mark).into_iter().flatten().for_each(|member| members.poll(*member));
            }
            Some(())
        };
        notifiers.find(kept, look).is_some()
    }

    /// Takes from the first polled member that has something. Of those that have nothing all but so many are armed.
    fn try_polled(&mut self, kept: usize) -> Option<Member> {
        let look = |semaphore: &mut Arc<Semaphore>, is_kept| {
            let has_taken =
                if is_kept { semaphore.try_wait() } else { semaphore.word.take_or_raise(WATCHED).is_none() };
            has_taken.then_some(())
        };
        self.members.find(kept, look).map(|(member, ())| member)
    }

    fn spin_for_any(&mut self, limit: Duration) -> Option<Member> {
        // Where all are armed, there is nothing to look at.
        if limit.is_zero() || self.members.polled() + self.notifiers.polled() == 0 {
            return None;
        }
        // Apart, so that the members can be looked at meanwhile.
        let spin = std::mem::replace(&mut self.spin, Spin::never());
        let found = spin.find(limit, || self.try_any(MAX_POLLED));
        self.spin = spin;
        found
    }

    /// Looks at the next few members, marked or not, and polls those that have something.
    fn sweep(&mut self, members: usize) {
        let count = self.members.slots();
        for _ in 0..members.min(count) {
            self.swept = if self.swept + 1 < count { self.swept + 1 } else { 0 };
            let key = self.members.key_at(self.swept);
            if self.members.get(key).is_some_and(|semaphore| semaphore.count() > 0) {
                self.members.poll(key);
            }
        }
    }

    /// Waits for the sockets of notifiers, and polls those that have something.
    fn look(&mut self, limit: Duration) -> Result<(), SemaphoreError> {
        for ready in self.watch.wait(limit).map_err(SemaphoreError::system)? {
            if let Some(notified) = self.notifiers.get(ready.key) {
                notified.notifier.woken();
                self.notifiers.poll(ready.key);
            }
        }
        Ok(())
    }
}
