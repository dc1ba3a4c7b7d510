//! What is moved: a pattern that differs at every place and in every message, written and checked at the rate of the
//! caches, so that producing and consuming hide as little as possible of the way between.
//!
//! Little-endian word *i* of a message is `seed + i * STEP`; of the last word, as many bytes as there is room for. All
//! accesses are assembly or volatile: the memory may be another process's too.

use crate::lab::paths::ways::pattern::{is_pattern, word_at, write_pattern};

/// The difference between the seeds of one message and the next: even, so that a seed stays odd and no first word is 0.
const NEXT: u64 = 0xd1b5_4a32_d192_ed02;
/// Where the pattern of a run starts.
pub const FIRST_SEED: u64 = 0x6d65_6d63_7079_2d31;

/// Writes payloads.
#[derive(Clone, Debug)]
pub struct Producer {
    is_touching: bool,
    seed: u64,
}

/// Reads and checks payloads.
#[derive(Clone, Debug)]
pub struct Consumer {
    is_touching: bool,
    seed: u64,
    /// Whether a piece of the payload was not what was sent.
    is_wrong: bool,
    wrong: u64,
}

impl Producer {
    /// Starts with the pattern of this seed. If it does not touch, it leaves the memory as it is.
    pub const fn new(is_touching: bool, seed: u64) -> Self {
        Self { is_touching, seed: seed | 1 }
    }

    /// Writes the next payload.
    ///
    /// # Safety
    ///
    /// `at` is valid for writes of `len_bytes` bytes.
    #[inline]
    pub unsafe fn write(&mut self, at: *mut u8, len_bytes: usize) {
        if self.is_touching {
            // SAFETY: the caller's.
            unsafe { write_pattern(at, len_bytes, self.seed) };
            self.seed = self.seed.wrapping_add(NEXT);
        }
    }

    /// Writes a piece of the next payload: its `len_bytes` bytes from `offset` on. `is_last` ends the payload.
    ///
    /// # Safety
    ///
    /// `at` is valid for writes of `len_bytes` bytes.
    #[inline]
    pub unsafe fn write_piece(&mut self, at: *mut u8, len_bytes: usize, offset: usize, is_last: bool) {
        debug_assert!(offset.is_multiple_of(8), "pieces are of whole words");
        if self.is_touching {
            // SAFETY: the caller's.
            unsafe { write_pattern(at, len_bytes, word_at(self.seed, offset)) };
            if is_last {
                self.seed = self.seed.wrapping_add(NEXT);
            }
        }
    }

    /// Writes the next payload to memory that is this process's alone.
    #[inline]
    pub fn fill(&mut self, payload: &mut [u8]) {
        // SAFETY: a slice is valid for its length.
        unsafe { self.write(payload.as_mut_ptr(), payload.len()) };
    }
}

impl Consumer {
    /// Expects the pattern of this seed first. If it does not touch, it reads nothing.
    pub const fn new(is_touching: bool, seed: u64) -> Self {
        Self { is_touching, seed: seed | 1, is_wrong: false, wrong: 0 }
    }

    /// Reads the next payload and compares every byte.
    ///
    /// # Safety
    ///
    /// `at` is valid for reads of `len_bytes` bytes.
    #[inline]
    pub unsafe fn read(&mut self, at: *const u8, len_bytes: usize) {
        // SAFETY: the caller's.
        unsafe { self.read_piece(at, len_bytes, 0, true) };
    }

    /// Reads and compares a piece of the next payload: its `len_bytes` bytes from `offset` on. `is_last` ends the payload.
    ///
    /// # Safety
    ///
    /// `at` is valid for reads of `len_bytes` bytes.
    #[inline]
    pub unsafe fn read_piece(&mut self, at: *const u8, len_bytes: usize, offset: usize, is_last: bool) {
        debug_assert!(offset.is_multiple_of(8), "pieces are of whole words");
        if self.is_touching {
            // SAFETY: the caller's.
            self.is_wrong |= !unsafe { is_pattern(at, len_bytes, word_at(self.seed, offset)) };
            if is_last {
                self.wrong += u64::from(self.is_wrong);
                self.is_wrong = false;
                self.seed = self.seed.wrapping_add(NEXT);
            }
        }
    }

    /// Reads the next payload in memory that is this process's alone.
    #[inline]
    pub fn check(&mut self, payload: &[u8]) {
        // SAFETY: a slice is valid for its length.
        unsafe { self.read(payload.as_ptr(), payload.len()) };
    }

    /// Reads as many bytes of memory that is this process's alone in the place of the next payload, whatever they are.
    #[inline]
    pub fn skim(&mut self, bytes: &[u8]) {
        let wrong = self.wrong;
        self.check(bytes);
        self.wrong = wrong;
    }

    /// How many payloads were not what was sent.
    pub const fn wrong(&self) -> u64 {
        self.wrong
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::STEP;
    use super::*;

    /// The pattern, by its definition.
    fn oracle(seed: u64, len_bytes: usize) -> Vec<u8> {
        let words = (0_u64..).flat_map(|at| seed.wrapping_add(at.wrapping_mul(STEP)).to_le_bytes());
        words.take(len_bytes).collect()
    }

    #[test]
    fn writes_what_is_defined_and_nothing_beyond() {
        for len_bytes in (0..200).chain([4095, 4096, 4097]) {
            let mut memory = vec![0x55; len_bytes + 64];
            Producer::new(true, 7).fill(&mut memory[..len_bytes]);
            assert_eq!(memory[..len_bytes], oracle(7, len_bytes), "{len_bytes}");
            assert!(memory[len_bytes..].iter().all(|byte| *byte == 0x55), "{len_bytes}");
        }
    }

    #[test]
    fn every_wrong_byte_is_seen() {
        for len_bytes in [1, 7, 8, 63, 64, 65, 127, 200] {
            let right = oracle(7, len_bytes);
            for at in 0..len_bytes {
                let mut wrong = right.clone();
                wrong[at] ^= 0x10;
                let mut consumer = Consumer::new(true, 7);
                consumer.check(&wrong);
                assert_eq!(consumer.wrong(), 1, "byte {at} of {len_bytes}");
            }
            let mut consumer = Consumer::new(true, 7);
            consumer.check(&right);
            assert_eq!(consumer.wrong(), 0);
        }
    }

    #[test]
    fn pieces_are_the_whole() {
        let (mut producer, mut whole) = (Producer::new(true, 7), vec![0; 200]);
        for (offset, len_bytes) in [(0, 64), (64, 72), (136, 64)] {
            // SAFETY: the part is inside.
            unsafe { producer.write_piece(whole[offset..].as_mut_ptr(), len_bytes, offset, offset == 136) };
        }
        assert_eq!(whole, oracle(7, 200));
        for wrong_at in [None, Some(3), Some(100), Some(199)] {
            let (mut consumer, mut found) = (Consumer::new(true, 7), whole.clone());
            if let Some(at) = wrong_at {
                found[at] ^= 1;
            }
            for (offset, len_bytes) in [(0, 136), (136, 64)] {
                // SAFETY: the part is inside.
                unsafe { consumer.read_piece(found[offset..].as_ptr(), len_bytes, offset, offset == 136) };
            }
            assert_eq!(consumer.wrong(), u64::from(wrong_at.is_some()));
        }
    }

    #[test]
    fn messages_differ_and_a_message_too_few_is_seen() {
        let (mut producer, mut first, mut second) = (Producer::new(true, 3), [0; 64], [0; 64]);
        producer.fill(&mut first);
        producer.fill(&mut second);
        assert_ne!(first, second);
        let mut consumer = Consumer::new(true, 3);
        consumer.check(&second);
        assert_eq!(consumer.wrong(), 1);
    }

    #[test]
    fn who_does_not_touch_does_not_touch() {
        let mut memory = [1, 2, 3];
        Producer::new(false, 3).fill(&mut memory);
        assert_eq!(memory, [1, 2, 3]);
        let mut consumer = Consumer::new(false, 3);
        consumer.check(&memory);
        assert_eq!(consumer.wrong(), 0);
    }
}
