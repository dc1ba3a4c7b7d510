//! Waiting for any of thousands of semaphores.
//!
//! A member is either *polled*, and looked at in user space, or *armed*: the flag in its word tells posters to notify ([`Slots`]).

#![forbid(unsafe_code)]

use super::notifier::{Notifier, Rest};
use super::word::{Raised, WATCHED};
use super::{MAX_SLEEP, Semaphore, SemaphoreError, Spin};
use crate::transport::slots::{Key, Slots};
use crate::transport::watch::{Report, Watch};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most that is taken from polled members before the others are looked at too.
const TAKES_PER_LOOK: u32 = 64;
/// How many members are looked at after a sleep that no notifier ended: a message that was lost, as only a process that shares
/// the notifier can bring about, is made up for so.
const SWEEP: usize = 64;
/// The most polled members that are looked at while spinning: with more, a round takes longer than it saves.
const MAX_SPUN: usize = 8;

/// The name of a member of a set. It is never given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member(Key);

impl Member {
    /// A small number, unique among the members of this moment: an index for a table beside the set.
    pub const fn slot(self) -> usize {
        self.0.slot()
    }
}

/// A set of semaphores, to wait for any of them.
///
/// A wait costs as much as there are members that were posted, however many there are. Each member that another process
/// shares can at most be ready too often or not at all, together with those on the same notifier: the others have their turn
/// between its.
///
/// ```
/// use memcpy_select::transport::memory::Mapped;
/// use memcpy_select::transport::semaphore::{Notifier, SEMAPHORE_BYTES, Semaphore, SemaphoreSet};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let memory = Mapped::private(4096).ok_or("no memory")?;
/// let notifier = Arc::new(Notifier::new()?);
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
    takes: u32,
    /// Where the next sweep starts.
    swept: usize,
    spin: Spin,
}

/// A notifier that is watched, and the members that it may name.
#[derive(Debug)]
struct Notified {
    notifier: Arc<Notifier>,
    rest: Rest,
    /// By what the notifier says.
    members: HashMap<u32, Vec<Key>>,
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
            takes: 0,
            swept: 0,
            spin: Spin::default(),
        })
    }

    /// The same set, which goes to sleep without looking for a while before.
    #[must_use]
    pub fn without_spinning(self) -> Self {
        Self { spin: Spin::never(), ..self }
    }

    /// Adds a semaphore. Those that share a notifier share the value, too: of a notifier that is taken in twice one copy reads each post.
    /// In several sets a semaphore is noticed by the one that reads its notifier first, and late by the others.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::NoNotifier`] if it has none, [`SemaphoreError::AlreadyIn`] if it is a member, and
    /// [`SemaphoreError::System`] if its notifier cannot be watched.
    pub fn add(&mut self, semaphore: Arc<Semaphore>) -> Result<Member, SemaphoreError> {
        let notifier = semaphore.notifier().ok_or(SemaphoreError::NoNotifier)?;
        let address = Arc::as_ptr(notifier).addr();
        let key = match self.keys.get(&address) {
            Some(key) => *key,
            None => {
                let key = self.notifiers.next_key();
                self.watch.add(key, notifier.receiver(), Report::EachTime).map_err(SemaphoreError::system)?;
                let (notifier, rest) = (Arc::clone(notifier), Rest::default());
                self.keys.insert(address, key);
                self.notifiers.insert(Notified { notifier, rest, members: HashMap::new() })
            }
        };
        let notified = self.notifiers.get_mut(key).ok_or(SemaphoreError::NoNotifier)?;
        let named = notified.members.entry(semaphore.place()).or_default();
        if named.iter().any(|key| self.members.get(*key).is_some_and(|other| Arc::ptr_eq(other, &semaphore))) {
            return Err(SemaphoreError::AlreadyIn);
        }
        let member = self.members.insert(semaphore);
        named.push(member);
        self.members.poll(member);
        Ok(Member(member))
    }

    /// Removes a member, and gives it back.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::NotAMember`] if it is none, or no more.
    pub fn remove(&mut self, member: Member) -> Result<Arc<Semaphore>, SemaphoreError> {
        let semaphore = self.members.remove(member.0).ok_or(SemaphoreError::NotAMember)?;
        if let Some(notifier) = semaphore.notifier() {
            self.forget(notifier, semaphore.place(), member.0);
        }
        Ok(semaphore)
    }

    /// Takes a member off its notifier, which is watched no more if it was the last.
    fn forget(&mut self, notifier: &Arc<Notifier>, place: u32, member: Key) {
        let address = Arc::as_ptr(notifier).addr();
        let Some(&key) = self.keys.get(&address) else { return };
        let Some(notified) = self.notifiers.get_mut(key) else { return };
        if let Some(named) = notified.members.get_mut(&place) {
            named.retain(|other| *other != member);
            if named.is_empty() {
                notified.members.remove(&place);
            }
        }
        if notified.members.is_empty() {
            self.watch.remove(notifier.receiver());
            self.notifiers.remove(key);
            self.keys.remove(&address);
        }
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
        self.takes += 1;
        if self.takes >= TAKES_PER_LOOK {
            self.takes = 0;
            self.look(Duration::ZERO)?;
        }
        if let Some(key) = self.try_polled() {
            return Ok(Some(key));
        }
        if limit.is_zero() {
            return self.arm_and_look(Duration::ZERO);
        }
        if let Some(key) = self.spin_for_polled(limit) {
            return Ok(Some(key));
        }
        let start = Instant::now();
        let mut left = limit;
        while !left.is_zero() {
            if let Some(key) = self.arm_and_look(left.min(MAX_SLEEP))? {
                self.spin.slept(start.elapsed());
                return Ok(Some(key));
            }
            self.sweep();
            left = limit.saturating_sub(start.elapsed());
        }
        Ok(None)
    }

    /// Arms all polled members, sleeps if none has anything, and takes from one that then has.
    fn arm_and_look(&mut self, limit: Duration) -> Result<Option<Member>, SemaphoreError> {
        if let Some(key) = self.arm_polled() {
            return Ok(Some(key));
        }
        self.look(limit)?;
        Ok(self.try_polled())
    }

    /// Takes from the first polled member that has something. Those that have nothing stay polled, behind it.
    fn try_polled(&mut self) -> Option<Member> {
        for _ in 0..self.members.polled() {
            let key = self.members.next_polled()?;
            let has_taken = self.members.get(key).is_some_and(|semaphore| semaphore.try_wait());
            self.members.poll(key);
            if has_taken {
                return Some(Member(key));
            }
        }
        None
    }

    fn spin_for_polled(&mut self, limit: Duration) -> Option<Member> {
        if !(1..=MAX_SPUN).contains(&self.members.polled()) {
            return None;
        }
        // Apart, so that the members can be looked at meanwhile.
        let spin = std::mem::replace(&mut self.spin, Spin::never());
        let found = spin.find(limit, std::hint::spin_loop, || self.try_polled());
        self.spin = spin;
        found
    }

    /// Tells the other sides of all polled members that this one waits. Takes from one that has something after all.
    fn arm_polled(&mut self) -> Option<Member> {
        for _ in 0..self.members.polled() {
            let key = self.members.next_polled()?;
            let Some(semaphore) = self.members.get(key) else { continue };
            if semaphore.word().raise(WATCHED) == Raised::Ready {
                let has_taken = semaphore.try_wait();
                self.members.poll(key);
                if has_taken {
                    return Some(Member(key));
                }
            }
        }
        None
    }

    /// Polls the next few members, whether their notifiers named them or not.
    fn sweep(&mut self) {
        let count = self.members.slots();
        for turn in 0..SWEEP.min(count) {
            let key = self.members.key_at((self.swept + turn) % count);
            self.members.poll(key);
        }
        self.swept = (self.swept + SWEEP) % count.max(1);
    }

    /// Waits for notifiers, and polls the members that they name.
    fn look(&mut self, limit: Duration) -> Result<(), SemaphoreError> {
        for ready in self.watch.wait(limit).map_err(SemaphoreError::system)? {
            let Some(Notified { notifier, rest, members }) = self.notifiers.get_mut(ready.key) else { continue };
            let are_some_lost = notifier.receive(rest, |place| {
                for member in members.get(&place).into_iter().flatten() {
                    self.members.poll(*member);
                }
            });
            if are_some_lost {
                for member in members.values().flatten() {
                    self.members.poll(*member);
                }
            }
        }
        Ok(())
    }
}
