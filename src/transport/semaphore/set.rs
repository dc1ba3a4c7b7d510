//! Waiting for any of thousands of semaphores.

#![forbid(unsafe_code)]

use super::watch::{Key, Watch};
use super::word::{Raised, WATCHED};
use super::{MAX_SLEEP, Semaphore, SemaphoreError, Spin};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many are taken from hot members before the others are looked at too.
const TAKES_PER_LOOK: u32 = 64;
/// So many members are looked at after each sleep that ended without a bell: one whose ring was lost, as only a process
/// that shares it can bring about, is noticed so.
const SWEEP: usize = 64;
/// So many hot members are looked at while spinning: with more, a round takes longer than it saves.
const MAX_SPUN: usize = 8;

/// A set of semaphores, to wait for any of them.
///
/// A wait costs as much as there are members that were posted, however many there are. Each member that another process
/// shares can at most be ready too often or not at all: the others have their turn between its.
///
/// ```
/// use memcpy_select::transport::memory::Mapped;
/// use memcpy_select::transport::semaphore::{Bell, SEMAPHORE_BYTES, Semaphore, SemaphoreSet};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// let memory = Mapped::private(4096).ok_or("no memory")?;
/// let mut set = SemaphoreSet::create()?;
/// let mut members = Vec::new();
/// for at in (0..4096).step_by(SEMAPHORE_BYTES) {
///     let semaphore = Arc::new(Semaphore::new(memory.clone(), at)?.with_bell(Bell::new()?));
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
    watch: Watch,
    members: Vec<Option<Arc<Semaphore>>>,
    takes: u32,
    /// Where the next sweep starts.
    swept: usize,
    spin: Spin,
}

impl SemaphoreSet {
    /// An empty set.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::System`] if there are no descriptors for it.
    pub fn create() -> Result<Self, SemaphoreError> {
        let watch = Watch::new().map_err(SemaphoreError::system)?;
        Ok(Self { watch, members: Vec::new(), takes: 0, swept: 0, spin: Spin::default() })
    }

    /// The same set, which goes to sleep without looking for a while before.
    #[must_use]
    pub fn without_spinning(self) -> Self {
        Self { spin: Spin::never(), ..self }
    }

    /// Adds a semaphore. In several sets it is noticed by the one that hears its bell first, and late by the others.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::NoBell`] if it has none, [`SemaphoreError::System`] if it cannot be watched.
    pub fn add(&mut self, semaphore: Arc<Semaphore>) -> Result<Key, SemaphoreError> {
        let sound = semaphore.bell().ok_or(SemaphoreError::NoBell)?.sound();
        let key = self.watch.add(sound).map_err(SemaphoreError::system)?;
        if self.members.len() <= key.slot() {
            self.members.resize(key.slot() + 1, None);
        }
        self.members[key.slot()] = Some(semaphore);
        Ok(key)
    }

    /// Removes a member, and gives it back.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::NotAMember`] if it is none, or no more.
    pub fn remove(&mut self, key: Key) -> Result<Arc<Semaphore>, SemaphoreError> {
        let semaphore = self.member(key).cloned().ok_or(SemaphoreError::NotAMember)?;
        if let Some(bell) = semaphore.bell() {
            self.watch.remove(key, bell.sound());
        }
        self.members[key.slot()] = None;
        Ok(semaphore)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.watch.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.watch.is_empty()
    }

    /// Takes one off the count of any member, waiting for a post at most so long. `None` if there was none.
    ///
    /// # Errors
    ///
    /// [`SemaphoreError::Nothing`] if the set is empty, [`SemaphoreError::System`] if the system refuses to wait.
    pub fn wait_set_any(&mut self, limit: Duration) -> Result<Option<Key>, SemaphoreError> {
        if self.is_empty() {
            return Err(SemaphoreError::Nothing);
        }
        self.takes += 1;
        if self.takes >= TAKES_PER_LOOK {
            self.takes = 0;
            self.look(Duration::ZERO)?;
        }
        if let Some(key) = self.try_hot() {
            return Ok(Some(key));
        }
        if limit.is_zero() {
            return self.arm_and_look(Duration::ZERO);
        }
        if let Some(key) = self.spin_for_hot(limit) {
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

    /// Arms all hot members, sleeps if none has anything, and takes from one that then has.
    fn arm_and_look(&mut self, limit: Duration) -> Result<Option<Key>, SemaphoreError> {
        if let Some(key) = self.arm_hot() {
            return Ok(Some(key));
        }
        self.look(limit)?;
        Ok(self.try_hot())
    }

    fn member(&self, key: Key) -> Option<&Arc<Semaphore>> {
        if !self.watch.contains(key) {
            return None;
        }
        self.members.get(key.slot()).and_then(Option::as_ref)
    }

    fn try_take(&self, key: Key) -> bool {
        self.member(key).is_some_and(|semaphore| semaphore.try_wait())
    }

    /// Takes from the first hot member that has something. Those that have nothing stay hot, behind it.
    fn try_hot(&mut self) -> Option<Key> {
        for _ in 0..self.watch.hot_len() {
            let key = self.watch.next_hot()?;
            let has_taken = self.try_take(key);
            self.watch.heat(key);
            if has_taken {
                return Some(key);
            }
        }
        None
    }

    fn spin_for_hot(&mut self, limit: Duration) -> Option<Key> {
        if self.watch.hot_len() > MAX_SPUN || self.watch.hot_len() == 0 {
            return None;
        }
        // Apart, so that the members can be looked at meanwhile.
        let spin = std::mem::replace(&mut self.spin, Spin::never());
        let found = spin.find(limit, std::hint::spin_loop, || self.try_hot());
        self.spin = spin;
        found
    }

    /// Tells the other sides of all hot members that this one waits. Takes from one that has something after all.
    fn arm_hot(&mut self) -> Option<Key> {
        for _ in 0..self.watch.hot_len() {
            let key = self.watch.next_hot()?;
            let Some(semaphore) = self.member(key) else { continue };
            match semaphore.word().raise(WATCHED) {
                Raised::Up(_) => {}
                Raised::Ready => {
                    let has_taken = semaphore.try_wait();
                    self.watch.heat(key);
                    if has_taken {
                        return Some(key);
                    }
                }
            }
        }
        None
    }

    /// Makes the next few members hot, whether their bells rang or not.
    fn sweep(&mut self) {
        let count = self.members.len();
        for turn in 0..SWEEP.min(count) {
            if let Some(key) = self.watch.key_at((self.swept + turn) % count) {
                self.watch.heat(key);
            }
        }
        self.swept = (self.swept + SWEEP) % count.max(1);
    }

    /// Waits for bells, and makes hot whose rang.
    fn look(&mut self, limit: Duration) -> Result<(), SemaphoreError> {
        for ready in self.watch.wait(limit).map_err(SemaphoreError::system)? {
            if let Some(bell) = self.member(ready.key).and_then(|semaphore| semaphore.bell()) {
                bell.drain();
                self.watch.heat(ready.key);
            }
        }
        Ok(())
    }
}
