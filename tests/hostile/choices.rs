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
        let low = usize::from(self.byte());
        if limit <= 256 { low % limit } else { (usize::from(self.byte()) << 8 | low) % limit }
    }

    pub fn word(&mut self) -> u32 {
        u32::from_le_bytes([(); 4].map(|()| self.byte()))
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
