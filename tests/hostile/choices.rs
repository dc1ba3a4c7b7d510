//! What an adversary does next.

use super::rng::Rng;

/// A stream of choices.
#[derive(Clone, Debug)]
pub enum Choices {
    /// The bytes of an input, and how many of them are used up. Behind its end all is 0, which is honest.
    Input(Vec<u8>, usize),
    /// As many as wanted, the same for the same seed.
    Seeded(Rng),
}

/// What is done to a word, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Blow {
    pub how: u8,
    pub byte: u8,
    pub word: u32,
}

/// Blows have so many kinds, of which the first takes a whole word.
pub const BLOWS: u8 = 12;

impl Choices {
    pub fn input(bytes: &[u8]) -> Self {
        Self::Input(bytes.to_vec(), 0)
    }

    pub fn seeded(seed: u64) -> Self {
        Self::Seeded(Rng::new(seed))
    }

    /// Whether an input is used up.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Input(bytes, at) if *at >= bytes.len())
    }

    pub fn byte(&mut self) -> u8 {
        match self {
            Self::Input(bytes, at) => {
                let byte = bytes.get(*at).copied().unwrap_or(0);
                *at += 1;
                byte
            }
            Self::Seeded(rng) => rng.next() as u8,
        }
    }

    /// A number below `limit`, which is from 1 to 65536.
    pub fn below(&mut self, limit: usize) -> usize {
        if let Self::Seeded(rng) = self {
            return rng.below(limit);
        }
        let low = usize::from(self.byte());
        if limit <= 256 { low % limit } else { (usize::from(self.byte()) << 8 | low) % limit }
    }

    pub fn word(&mut self) -> u32 {
        match self {
            Self::Input(..) => u32::from_le_bytes([(); 4].map(|()| self.byte())),
            Self::Seeded(rng) => rng.next() as u32,
        }
    }

    /// Whether the next read is tampered with, as so many of 256 are, and how.
    pub fn blow(&mut self, intensity: u8) -> Option<Blow> {
        if let Self::Seeded(rng) = self {
            // One draw has all that a blow may need.
            let [chance, how, byte, _, word @ ..] = rng.next().to_le_bytes();
            return (chance < intensity).then(|| Blow { how, byte, word: u32::from_le_bytes(word) });
        }
        if self.byte() >= intensity || self.is_over() {
            return None;
        }
        let how = self.byte();
        let word = if how.is_multiple_of(BLOWS) { self.word() } else { u32::from(self.byte()) };
        Some(Blow { how, byte: word as u8, word })
    }

    /// A number that tends to be near an edge of what is allowed.
    pub fn edge(&mut self, limit: u32) -> u32 {
        match self.byte() % 8 {
            0 => self.word(),
            1 => limit,
            2 => limit.wrapping_add(1),
            3 => limit.wrapping_sub(1),
            4 => u32::MAX,
            5 => 1 << (self.byte() % 32),
            _ => self.below(limit.clamp(1, 65536) as usize) as u32,
        }
    }
}
