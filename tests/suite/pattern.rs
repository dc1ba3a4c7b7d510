//! Contents by which a misplaced byte is told.
//!
//! Two streams of random bytes: the payload, which is to be copied, and the paint, which covers everything else. All
//! payload bytes have one value of the top bit and all paint bytes the other, so that a byte left unwritten or fetched
//! from outside the source is seen for certain. Random bytes do not repeat, so that swapped or shifted blocks are seen.

use super::rng::Rng;

/// How far a payload may be shifted from one case to the next.
pub const SHIFTS: usize = 1 << 16;
/// The source's paint is the destination's, this much further: a byte copied from beyond the source onto a byte beyond
/// the destination changes it even where both lie at the same place of their regions.
const SRC_PAINT_SHIFT: usize = 4099;

/// Which of the two streams has its top bits set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    PayloadLow,
    PayloadHigh,
}

impl Polarity {
    pub fn alternating(number: usize) -> Self {
        if number.is_multiple_of(2) { Self::PayloadLow } else { Self::PayloadHigh }
    }
}

/// The two streams, long enough for regions of one size.
pub struct Pattern {
    paint: Vec<u8>,
    payload: Vec<u8>,
    region_bytes: usize,
}

impl Pattern {
    pub fn new(region_bytes: usize, polarity: Polarity) -> Self {
        let (paint_top, payload_top) = match polarity {
            Polarity::PayloadLow => (0x80, 0),
            Polarity::PayloadHigh => (0, 0x80),
        };
        Self {
            paint: stream(1, region_bytes + SRC_PAINT_SHIFT, paint_top),
            payload: stream(2, region_bytes + SHIFTS, payload_top),
            region_bytes,
        }
    }

    pub fn region_bytes(&self) -> usize {
        self.region_bytes
    }

    /// What covers the destination's region.
    pub fn dst_paint(&self) -> &[u8] {
        &self.paint[..self.region_bytes]
    }

    /// What covers the source's region.
    pub fn src_paint(&self) -> &[u8] {
        &self.paint[SRC_PAINT_SHIFT..]
    }

    /// `len` bytes to copy; another `number`, other bytes.
    pub fn payload(&self, number: u64, len: usize) -> &[u8] {
        let shift = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as usize;
        debug_assert!(shift < SHIFTS);
        &self.payload[shift..shift + len]
    }
}

fn stream(seed: u64, len: usize, top_bit: u8) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Rng::new(seed).fill(&mut bytes);
    for byte in &mut bytes {
        *byte = *byte & 0x7f | top_bit;
    }
    bytes
}
