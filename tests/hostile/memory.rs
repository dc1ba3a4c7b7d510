//! Memory whose other side writes between any two accesses of the production code, and which checks each of them.

use super::Choices;
use memcpy_select::transport::memory::{Load, Store};
use memcpy_select::transport::{Copier, Memory};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering;

/// Who may write a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Both: what the victim reads may be anything.
    Both,
    /// The victim alone: what it reads is what it wrote.
    Victim,
    /// The adversary alone: the victim must not write it.
    Adversary,
}

/// What the adversaries of one session have in common.
#[derive(Debug)]
pub struct Plot {
    pub choices: RefCell<Choices>,
    /// So many of 256 reads are tampered with.
    pub intensity: Cell<u8>,
    pub mutated_words: Cell<u64>,
    pub accesses: Cell<u64>,
    /// Values that were answered before, to be replayed.
    old: RefCell<[u32; 32]>,
    next_old: Cell<usize>,
}

impl Plot {
    pub fn new(choices: Choices) -> Rc<Self> {
        Rc::new(Self {
            choices: RefCell::new(choices),
            intensity: Cell::new(0),
            mutated_words: Cell::new(0),
            accesses: Cell::new(0),
            old: RefCell::new([0; 32]),
            next_old: Cell::new(0),
        })
    }

    fn remember(&self, value: u32) {
        let at = self.next_old.get();
        self.old.borrow_mut()[at] = value;
        self.next_old.set((at + 1) % 32);
    }

    /// What the adversary makes of a word; `None` leaves it.
    fn tamper(&self, real: u32) -> Option<(u32, bool)> {
        if self.intensity.get() == 0 {
            return None;
        }
        let mut choices = self.choices.borrow_mut();
        if choices.byte() >= self.intensity.get() || choices.is_over() {
            return None;
        }
        let how = choices.byte();
        let value = match how % 12 {
            0 => choices.word(),
            1 => real.wrapping_add(1),
            2 => real.wrapping_sub(1),
            3 => real ^ 1 << (choices.byte() % 32),
            4 => u32::MAX,
            5 => choices.byte().into(),
            6 | 7 => self.old.borrow()[usize::from(choices.byte() % 32)],
            // The lap bit, and with it an old entry that becomes a new one.
            8 => real ^ 0x80,
            9 => real.wrapping_add(choices.byte().into()),
            10 => 0,
            _ => real & 0xffff_ff00 | u32::from(choices.byte()),
        };
        self.mutated_words.set(self.mutated_words.get() + 1);
        Some((value, how & 0x80 != 0))
    }
}

/// How a word is accessed: always the same way.
const UNKNOWN: u8 = 0;
const WORD_32: u8 = 4;
const WORD_64: u8 = 8;
const BYTES: u8 = 1;

/// A region.
#[derive(Clone, Debug)]
pub struct Hostile {
    plot: Option<Rc<Plot>>,
    side: Side,
    bytes: Rc<RefCell<Vec<u8>>>,
    kinds: Rc<RefCell<Vec<u8>>>,
}

impl Hostile {
    pub fn new(plot: &Rc<Plot>, side: Side, len_bytes: usize) -> Self {
        Self {
            plot: Some(Rc::clone(plot)),
            side,
            bytes: Rc::new(RefCell::new(vec![0; len_bytes])),
            kinds: Rc::new(RefCell::new(vec![UNKNOWN; len_bytes / 4])),
        }
    }

    /// The same region as the adversary's own code sees it: nobody tampers with that.
    #[must_use]
    pub fn accomplice(&self) -> Self {
        let side = match self.side {
            Side::Both => Side::Both,
            Side::Victim => Side::Adversary,
            Side::Adversary => Side::Victim,
        };
        Self { plot: None, side, ..self.clone() }
    }

    /// Bytes as they are.
    pub fn peek(&self, at: usize, len_bytes: usize) -> Vec<u8> {
        self.bytes.borrow()[at..at + len_bytes].to_vec()
    }

    /// Writes as the adversary may at any time.
    pub fn poke(&self, at: usize, word: u32) {
        self.bytes.borrow_mut()[at..at + 4].copy_from_slice(&word.to_le_bytes());
        if let Some(plot) = &self.plot {
            plot.mutated_words.set(plot.mutated_words.get() + 1);
        }
    }

    /// Fails the test for an access outside, one that is not aligned, and one of another size than before.
    fn check(&self, at: usize, len_bytes: usize, kind: u8, is_write: bool) {
        if let Some(plot) = &self.plot {
            plot.accesses.set(plot.accesses.get() + 1);
        }
        let whole = self.bytes.borrow().len();
        let is_inside = at.checked_add(len_bytes).is_some_and(|end| end <= whole);
        assert!(is_inside, "{len_bytes} bytes at {at} of {whole}: outside");
        assert!(!is_write || self.side != Side::Adversary, "{len_bytes} bytes at {at}: written, but not its own");
        if kind != BYTES {
            assert!(at.is_multiple_of(len_bytes), "a word of {len_bytes} bytes at {at}: not aligned");
        }
        for word in &mut self.kinds.borrow_mut()[at / 4..(at + len_bytes).div_ceil(4)] {
            assert!(*word == UNKNOWN || *word == kind, "{at}: accessed in two ways");
            *word = kind;
        }
    }

    fn get32(&self, at: usize) -> u32 {
        let bytes = self.bytes.borrow();
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    fn set32(&self, at: usize, value: u32) {
        self.bytes.borrow_mut()[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// What is read, after the adversary's turn.
    fn seen32(&self, at: usize) -> u32 {
        let real = self.get32(at);
        let Some(plot) = self.plot.as_ref().filter(|_| self.side != Side::Victim) else { return real };
        let seen = match plot.tamper(real) {
            Some((value, stays)) => {
                if stays {
                    self.set32(at, value);
                }
                value
            }
            None => real,
        };
        plot.remember(seen);
        seen
    }

    fn seen64(&self, at: usize) -> u64 {
        u64::from(self.seen32(at)) | u64::from(self.seen32(at + 4)) << 32
    }
}

impl Memory for Hostile {
    fn len_bytes(&self) -> usize {
        self.bytes.borrow().len()
    }

    fn load32(&self, at: usize, _: Load) -> u32 {
        self.check(at, 4, WORD_32, false);
        self.seen32(at)
    }

    fn store32(&self, at: usize, value: u32, _: Store) {
        self.check(at, 4, WORD_32, true);
        self.set32(at, value);
    }

    fn swap32(&self, at: usize, value: u32, _: Ordering) -> u32 {
        self.check(at, 4, WORD_32, true);
        let seen = self.seen32(at);
        self.set32(at, value);
        seen
    }

    fn cas32(&self, at: usize, current: u32, new: u32, _: Ordering) -> Result<u32, u32> {
        self.check(at, 4, WORD_32, true);
        let seen = self.seen32(at);
        if seen != current {
            return Err(seen);
        }
        self.set32(at, new);
        Ok(seen)
    }

    fn add32(&self, at: usize, value: u32, _: Ordering) -> u32 {
        self.check(at, 4, WORD_32, true);
        let seen = self.seen32(at);
        self.set32(at, seen.wrapping_add(value));
        seen
    }

    fn load64(&self, at: usize, _: Load) -> u64 {
        self.check(at, 8, WORD_64, false);
        self.seen64(at)
    }

    fn cas64(&self, at: usize, current: u64, new: u64, _: Ordering) -> Result<u64, u64> {
        self.check(at, 8, WORD_64, true);
        let seen = self.seen64(at);
        if seen != current {
            return Err(seen);
        }
        self.set32(at, new as u32);
        self.set32(at + 4, (new >> 32) as u32);
        Ok(seen)
    }

    fn fence(&self) {}

    fn read(&self, at: usize, dst: &mut [u8], _: Copier) {
        self.check(at, dst.len(), BYTES, false);
        dst.copy_from_slice(&self.bytes.borrow()[at..at + dst.len()]);
        if self.side == Side::Victim || self.plot.is_none() {
            return;
        }
        for (word, place) in dst.chunks_exact_mut(4).zip((at..).step_by(4)) {
            word.copy_from_slice(&self.seen32(place).to_le_bytes());
        }
    }

    fn write(&self, at: usize, src: &[u8], _: Copier) {
        self.check(at, src.len(), BYTES, true);
        self.bytes.borrow_mut()[at..at + src.len()].copy_from_slice(src);
    }

    fn relax(&self) {}
}
