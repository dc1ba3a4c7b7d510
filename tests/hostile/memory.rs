//! Memory whose other side writes between any two accesses of the production code, and which checks each of them.

use super::Choices;
use super::choices::BLOWS;
use memcpy_select::transport::memory::{Load, Store};
use memcpy_select::transport::{Copier, Memory};
use std::cell::{Cell, RefCell};
use std::ops::Range;
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
    /// The adversary stays near what an honest side might say, so that it gets further before it is found out.
    is_sly: Cell<bool>,
    pub mutated_words: Cell<u64>,
    pub payload_words: Cell<u64>,
    pub accesses: Cell<u64>,
    is_payload: Cell<bool>,
    /// Values that were answered before, to be replayed.
    old: [Cell<u32>; 32],
    next_old: Cell<usize>,
}

impl Plot {
    pub fn new(choices: Choices) -> Rc<Self> {
        Rc::new(Self {
            choices: RefCell::new(choices),
            intensity: Cell::new(0),
            is_sly: Cell::new(false),
            mutated_words: Cell::new(0),
            payload_words: Cell::new(0),
            accesses: Cell::new(0),
            is_payload: Cell::new(false),
            old: [const { Cell::new(0) }; 32],
            next_old: Cell::new(0),
        })
    }

    /// A choice of a number below `limit`.
    pub fn below(&self, limit: usize) -> usize {
        self.choices.borrow_mut().below(limit)
    }

    /// Another adversary: how often it strikes, and how.
    pub fn new_adversary(&self) {
        self.is_sly.set(self.below(2) == 1);
        let sly = [4, 16, 64, 128, 192, 224, 255, 255];
        let wild = [0, 4, 16, 64, 96, 128, 192, 255];
        let intensities = if self.is_sly.get() { sly } else { wild };
        self.intensity.set(intensities[self.below(8)]);
    }

    /// Work that copies payload, whose words nobody looks at: they are counted apart.
    pub fn payload<T>(&self, work: impl FnOnce() -> T) -> T {
        self.is_payload.set(true);
        let result = work();
        self.is_payload.set(false);
        result
    }

    fn remember(&self, value: u32) {
        let at = self.next_old.get();
        self.old[at].set(value);
        self.next_old.set((at + 1) % 32);
    }

    /// The victim has read a word that is not what an honest side had there.
    fn count_mutated(&self) {
        let count = if self.is_payload.get() { &self.payload_words } else { &self.mutated_words };
        count.set(count.get() + 1);
    }

    /// What the adversary makes of a word, and whether that stays there; `None` leaves it.
    fn tamper(&self, real: u32, is_index: bool) -> Option<(u32, bool)> {
        let whole = self.intensity.get();
        let intensity = if is_index && self.is_sly.get() { whole / 64 } else { whole };
        if intensity == 0 {
            return None;
        }
        let blow = self.choices.borrow_mut().blow(intensity)?;
        let how = blow.how % BLOWS;
        let value = match if self.is_sly.get() { SLY[usize::from(how)] } else { how } {
            0 => blow.word,
            1 => real.wrapping_add(1),
            2 => real.wrapping_sub(1),
            3 => real ^ 1 << (blow.byte % 32),
            4 => u32::MAX,
            5 => blow.byte.into(),
            6 | 7 => self.old[usize::from(blow.byte % 32)].get(),
            // The lap bit, and with it an old entry that becomes a new one.
            8 => real ^ [0x80, 1 << 31][usize::from(blow.byte % 2)],
            9 => real.wrapping_add(blow.byte.into()),
            10 => 0,
            _ => real & 0xffff_ff00 | u32::from(blow.byte),
        };
        Some((value, blow.how & 0x80 != 0))
    }
}

/// The blows of one who does not want to be found out.
const SLY: [u8; BLOWS as usize] = [6, 6, 6, 7, 7, 7, 8, 8, 8, 11, 11, 5];

/// How a word is accessed: always the same way, but in blocks.
const UNKNOWN: u8 = 0;
const WORD_32: u8 = 4;
const WORD_64: u8 = 8;
const BYTES: u8 = 1;
/// Beside it: the adversary changed the word, and the victim has not read it since.
const CHANGED: u8 = 0x80;

/// The words of a region, and what is known of each.
#[derive(Debug)]
struct Words {
    values: Box<[Cell<u32>]>,
    notes: Box<[Cell<u8>]>,
}

/// A region.
#[derive(Clone, Debug)]
pub struct Hostile {
    plot: Option<Rc<Plot>>,
    side: Side,
    words: Rc<Words>,
    /// Below that are heads and doorbells, of which a wrong one is soon found out.
    indices_below: usize,
}

impl Hostile {
    /// A region of zeros; its length is a multiple of 4.
    pub fn new(plot: &Rc<Plot>, side: Side, len_bytes: usize) -> Self {
        assert!(len_bytes.is_multiple_of(4), "{len_bytes} bytes: no whole words");
        let words = Words {
            values: vec![Cell::new(0); len_bytes / 4].into(),
            notes: vec![Cell::new(UNKNOWN); len_bytes / 4].into(),
        };
        Self { plot: Some(Rc::clone(plot)), side, words: Rc::new(words), indices_below: 0 }
    }

    /// The same region, whose rings have their heads below an offset: a sly adversary seldom touches them.
    #[must_use]
    pub fn with_indices_below(self, indices_below: usize) -> Self {
        Self { indices_below, ..self }
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

    /// Zeros again, for another session.
    pub fn wipe(&self) {
        self.words.values.iter().for_each(|word| word.set(0));
        self.words.notes.iter().for_each(|note| note.set(UNKNOWN));
    }

    /// Whether the bytes of a range of whole words are all the same one.
    pub fn holds_only(&self, byte: u8, at: usize, len_bytes: usize) -> bool {
        let word = u32::from_le_bytes([byte; 4]);
        self.words.values[at / 4..(at + len_bytes) / 4].iter().all(|value| value.get() == word)
    }

    /// Writes as the adversary may at any time.
    pub fn poke(&self, at: usize, word: u32) {
        if self.words.values[at / 4].replace(word) != word {
            let note = &self.words.notes[at / 4];
            note.set(note.get() | CHANGED);
        }
    }

    /// Fails the test for an access outside, one that is not aligned, and one of another size than before.
    fn check(&self, at: usize, len_bytes: usize, kind: u8, is_write: bool) {
        if let Some(plot) = &self.plot {
            plot.accesses.set(plot.accesses.get() + 1);
        }
        let whole = self.len_bytes();
        let is_inside = at.checked_add(len_bytes).is_some_and(|end| end <= whole);
        assert!(is_inside, "{len_bytes} bytes at {at} of {whole}: outside");
        assert!(!is_write || self.side != Side::Adversary, "{len_bytes} bytes at {at}: written, but not its own");
        if kind != BYTES {
            assert!(at.is_multiple_of(len_bytes), "a word of {len_bytes} bytes at {at}: not aligned");
        }
        for note in &self.words.notes[at / 4..(at + len_bytes).div_ceil(4)] {
            let (known, changed) = (note.get() & !CHANGED, note.get() & CHANGED);
            // A block is a list at one time and bytes at another; there are none among the indices.
            let is_block = self.indices_below == 0 && [known, kind].iter().all(|kind| [BYTES, WORD_32].contains(kind));
            assert!(known == UNKNOWN || known == kind || is_block, "{at}: accessed in two ways");
            note.set(kind | changed);
        }
    }

    fn get32(&self, at: usize) -> u32 {
        self.words.values[at / 4].get()
    }

    fn set32(&self, at: usize, value: u32) {
        self.words.values[at / 4].set(value);
    }

    /// The adversary's change is gone: the victim read it, or wrote over it. Whether there was one.
    fn take_change(&self, at: usize) -> bool {
        let note = self.words.notes[at / 4].replace(self.words.notes[at / 4].get() & !CHANGED);
        note & CHANGED != 0
    }

    /// What is read, after the adversary's turn. A word that was changed and stays so is counted once.
    fn seen32(&self, at: usize) -> u32 {
        let real = self.get32(at);
        let Some(plot) = self.plot.as_ref().filter(|_| self.side != Side::Victim) else { return real };
        let mut is_mutated = self.take_change(at);
        let seen = match plot.tamper(real, at < self.indices_below) {
            Some((value, stays)) => {
                is_mutated |= value != real;
                if stays {
                    self.set32(at, value);
                }
                value
            }
            None => real,
        };
        if is_mutated {
            plot.count_mutated();
        }
        plot.remember(seen);
        seen
    }

    fn seen64(&self, at: usize) -> u64 {
        u64::from(self.seen32(at)) | u64::from(self.seen32(at + 4)) << 32
    }

    /// Reads bytes of one word.
    fn read_part(&self, range: Range<usize>, dst: &mut [u8]) {
        if !range.is_empty() {
            let seen = self.seen32(range.start / 4 * 4).to_le_bytes();
            dst.copy_from_slice(&seen[range.start % 4..][..range.len()]);
        }
    }

    /// Writes bytes of one word.
    fn write_part(&self, range: Range<usize>, src: &[u8]) {
        if !range.is_empty() {
            let mut bytes = self.get32(range.start).to_le_bytes();
            bytes[range.start % 4..][..range.len()].copy_from_slice(src);
            self.take_change(range.start);
            self.set32(range.start, u32::from_le_bytes(bytes));
        }
    }
}

impl Memory for Hostile {
    fn len_bytes(&self) -> usize {
        4 * self.words.values.len()
    }

    fn load32(&self, at: usize, _: Load) -> u32 {
        self.check(at, 4, WORD_32, false);
        self.seen32(at)
    }

    fn store32(&self, at: usize, value: u32, _: Store) {
        self.check(at, 4, WORD_32, true);
        self.take_change(at);
        self.set32(at, value);
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
        let (head, words, tail) = whole_words(at, dst.len());
        let (first, rest) = dst.split_at_mut(head.len());
        let (middle, last) = rest.split_at_mut(4 * words.len());
        self.read_part(head, first);
        for (word, bytes) in words.clone().zip(middle.chunks_exact_mut(4)) {
            bytes.copy_from_slice(&self.seen32(4 * word).to_le_bytes());
        }
        self.read_part(tail, last);
    }

    fn write(&self, at: usize, src: &[u8], _: Copier) {
        self.check(at, src.len(), BYTES, true);
        let (head, words, tail) = whole_words(at, src.len());
        let (first, rest) = src.split_at(head.len());
        let (middle, last) = rest.split_at(4 * words.len());
        self.write_part(head, first);
        let places = self.words.values[words.clone()].iter().zip(&self.words.notes[words]);
        for ((value, note), bytes) in places.zip(middle.chunks_exact(4)) {
            value.set(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
            note.set(BYTES);
        }
        self.write_part(tail, last);
    }

    fn relax(&self) {}
}

/// A range of bytes as a part of a word, whole words by their numbers, and a part of another.
fn whole_words(at: usize, len_bytes: usize) -> (Range<usize>, Range<usize>, Range<usize>) {
    let end = at + len_bytes;
    let first = at.next_multiple_of(4).min(end);
    let last = (end / 4 * 4).max(first);
    (at..first, first / 4..first / 4 + (last - first) / 4, last..end)
}
