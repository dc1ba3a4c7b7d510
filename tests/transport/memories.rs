//! Memories that no honest system has: one that answers differently at each read, one whose other side sees each store at once.

use super::rng::Rng;
use memcpy_select::transport::memory::{Load, Store};
use memcpy_select::transport::{Copier, Mapped, Memory};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// How an adversary answers.
#[derive(Clone, Copy, Debug)]
pub enum Mood {
    /// Anything at all.
    Wild,
    /// What stands there, but for a read in so many.
    Mostly(usize),
    /// Small numbers, which are more often in range.
    Small,
}

/// Memory whose other side writes between any two accesses. An access outside fails the test: the logic must not make one.
#[derive(Clone)]
pub struct Adversary {
    real: Mapped,
    rng: Rc<RefCell<Rng>>,
    mood: Rc<Cell<Mood>>,
    accesses: Rc<Cell<u64>>,
}

impl Adversary {
    pub fn new(real: Mapped, seed: u64, mood: Mood) -> Self {
        Self {
            real,
            rng: Rc::new(RefCell::new(Rng::new(seed))),
            mood: Rc::new(Cell::new(mood)),
            accesses: Rc::default(),
        }
    }

    /// How often it was touched.
    pub fn accesses(&self) -> u64 {
        self.accesses.get()
    }

    fn touch(&self, at: usize, len_bytes: usize) {
        self.accesses.set(self.accesses.get() + 1);
        let end = at.checked_add(len_bytes).expect("an offset that overflows");
        assert!(end <= self.real.len_bytes(), "an access of {len_bytes} bytes at {at}, outside");
        assert!(!matches!(len_bytes, 4 | 8) || at.is_multiple_of(4), "a word at {at}, not aligned");
    }

    fn twist(&self, real: u64) -> u64 {
        let mut rng = self.rng.borrow_mut();
        match self.mood.get() {
            Mood::Wild => match rng.below(4) {
                0 => rng.next(),
                1 => u64::MAX,
                2 => real.wrapping_add(1),
                _ => real ^ (1 << rng.below(64)),
            },
            Mood::Mostly(one_in) if rng.below(one_in) > 0 => real,
            Mood::Mostly(_) => match rng.below(5) {
                0 => rng.next(),
                1 => real.wrapping_add(1),
                2 => real.wrapping_sub(1),
                3 => u64::from(u32::MAX),
                _ => rng.below(80) as u64,
            },
            Mood::Small => rng.below(80) as u64,
        }
    }
}

impl Memory for Adversary {
    fn len_bytes(&self) -> usize {
        self.real.len_bytes()
    }
    fn load32(&self, at: usize, order: Load) -> u32 {
        self.touch(at, 4);
        self.twist(self.real.load32(at, order).into()) as u32
    }
    fn store32(&self, at: usize, value: u32, order: Store) {
        self.touch(at, 4);
        self.real.store32(at, value, order);
    }
    fn cas32(&self, at: usize, current: u32, new: u32, order: Ordering) -> Result<u32, u32> {
        self.touch(at, 4);
        if self.twist(0).is_multiple_of(2) { Ok(current) } else { self.real.cas32(at, current, new, order) }
    }
    fn add32(&self, at: usize, value: u32, order: Ordering) -> u32 {
        self.touch(at, 4);
        self.twist(self.real.add32(at, value, order).into()) as u32
    }
    fn load64(&self, at: usize, order: Load) -> u64 {
        self.touch(at, 8);
        self.twist(self.real.load64(at, order))
    }
    fn cas64(&self, at: usize, current: u64, new: u64, order: Ordering) -> Result<u64, u64> {
        self.touch(at, 8);
        if self.twist(0).is_multiple_of(2) { Ok(current) } else { self.real.cas64(at, current, new, order) }
    }
    fn fence(&self) {
        self.real.fence();
    }
    fn read(&self, at: usize, dst: &mut [u8], copier: Copier) {
        self.touch(at, dst.len());
        self.real.read(at, dst, copier);
        for word in dst.chunks_exact_mut(4) {
            let real = u32::from_le_bytes(word.try_into().unwrap());
            word.copy_from_slice(&(self.twist(real.into()) as u32).to_le_bytes());
        }
    }
    fn write(&self, at: usize, src: &[u8], copier: Copier) {
        self.touch(at, src.len());
        self.real.write(at, src, copier);
    }
}

/// Memory whose other side runs after each word that this one stores, and that knows which lines were asked for ahead.
#[derive(Clone)]
pub struct Watched {
    real: Mapped,
    after_store: Rc<RefCell<dyn FnMut()>>,
    asked_for: Rc<RefCell<Vec<usize>>>,
}

impl Watched {
    pub fn new(real: Mapped, after_store: Rc<RefCell<dyn FnMut()>>) -> Self {
        Self { real, after_store, asked_for: Rc::default() }
    }

    /// Where the lines are that were asked for since the last call.
    pub fn take_asked_for(&self) -> Vec<usize> {
        self.asked_for.take()
    }
}

impl Memory for Watched {
    fn len_bytes(&self) -> usize {
        self.real.len_bytes()
    }
    fn load32(&self, at: usize, order: Load) -> u32 {
        self.real.load32(at, order)
    }
    fn store32(&self, at: usize, value: u32, order: Store) {
        self.real.store32(at, value, order);
        (self.after_store.borrow_mut())();
    }
    fn cas32(&self, at: usize, current: u32, new: u32, order: Ordering) -> Result<u32, u32> {
        self.real.cas32(at, current, new, order)
    }
    fn add32(&self, at: usize, value: u32, order: Ordering) -> u32 {
        self.real.add32(at, value, order)
    }
    fn load64(&self, at: usize, order: Load) -> u64 {
        self.real.load64(at, order)
    }
    fn cas64(&self, at: usize, current: u64, new: u64, order: Ordering) -> Result<u64, u64> {
        self.real.cas64(at, current, new, order)
    }
    fn fence(&self) {
        self.real.fence();
    }
    fn prefetch(&self, at: usize, to_write: bool) {
        if !to_write {
            self.asked_for.borrow_mut().push(at);
        }
    }
    fn read(&self, at: usize, dst: &mut [u8], copier: Copier) {
        self.real.read(at, dst, copier);
    }
    fn write(&self, at: usize, src: &[u8], copier: Copier) {
        self.real.write(at, src, copier);
    }
}
