//! Which lengths are counted together.

#![forbid(unsafe_code)]

use core::ops::RangeInclusive;

/// The longest length that has a bin of its own.
const SINGLE_MAX_BYTES: usize = 64;
/// Above, each octave has that many bins of equal width.
const BINS_AN_OCTAVE: usize = 8;
/// The first octave of shared bins starts at 2 to that power, the last one ends before 2 to the other.
const OCTAVES: core::ops::Range<u32> = 6..40;

/// How many bins there are: 0 to 64 one each, eight an octave up to 2^40, and one beyond.
pub const LENGTH_BINS: usize = SINGLE_MAX_BYTES + 1 + BINS_AN_OCTAVE * (OCTAVES.end - OCTAVES.start) as usize + 1;

/// The lengths that are counted together, by their place in a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LengthBin(u16);

impl LengthBin {
    /// How many of the bins hold one length only: the first ones.
    pub const SINGLES: usize = SINGLE_MAX_BYTES + 1;

    /// The bin of a length in bytes.
    #[inline]
    pub const fn of(len: usize) -> Self {
        if len <= SINGLE_MAX_BYTES {
            return Self(len as u16);
        }
        let octave = len.ilog2();
        if octave >= OCTAVES.end {
            return Self(LENGTH_BINS as u16 - 1);
        }
        // The first bin of the first octave ends at 71 and starts at 65: 64 has its own.
        let part = (len >> (octave - 3)) as u16 - BINS_AN_OCTAVE as u16;
        Self(Self::SINGLES as u16 + (octave - OCTAVES.start) as u16 * BINS_AN_OCTAVE as u16 + part)
    }

    /// The bin at that place, if there is one.
    pub const fn at(place: usize) -> Option<Self> {
        if place < LENGTH_BINS { Some(Self(place as u16)) } else { None }
    }

    /// Every bin, shortest lengths first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..LENGTH_BINS as u16).map(Self)
    }

    /// Its place in a histogram.
    #[inline]
    pub const fn place(self) -> usize {
        self.0 as usize
    }

    /// The lengths in it, in bytes.
    pub const fn lengths(self) -> RangeInclusive<usize> {
        let place = self.place();
        if place < Self::SINGLES {
            return place..=place;
        }
        if place + 1 == LENGTH_BINS {
            return 1 << OCTAVES.end..=usize::MAX;
        }
        let (octave, part) = ((place - Self::SINGLES) / BINS_AN_OCTAVE, (place - Self::SINGLES) % BINS_AN_OCTAVE);
        let width = 1 << (octave as u32 + OCTAVES.start - 3);
        let start = (BINS_AN_OCTAVE + part) * width;
        if start == SINGLE_MAX_BYTES { start + 1..=start + width - 1 } else { start..=start + width - 1 }
    }
}

/// How many bins the lengths of one call site have.
pub const SITE_LENGTHS: usize = 16;

/// The longest length in each of them, in bytes.
const SITE_LIMITS: [usize; SITE_LENGTHS] =
    [0, 8, 16, 32, 64, 128, 256, 512, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 16 << 20, usize::MAX];

/// Where a length is counted in [`Site::lengths`](super::Site::lengths).
pub fn site_length(len: usize) -> usize {
    SITE_LIMITS.iter().take_while(|limit| len > **limit).count()
}

/// The lengths counted at that place, in bytes.
///
/// # Panics
///
/// From place [`SITE_LENGTHS`] on.
pub fn site_length_range(place: usize) -> RangeInclusive<usize> {
    let start = place.checked_sub(1).map_or(0, |before| SITE_LIMITS[before] + 1);
    start..=SITE_LIMITS[place]
}

/// From that many ticks on a timed copy counts as interrupted: some 10 to 20 µs, and a quarter of a byte a tick, which is
/// slower than copying into memory that the system has yet to provide.
pub const fn outlier_ticks(len: usize) -> u64 {
    (len as u64).saturating_mul(4).saturating_add(40_000)
}

/// How far ticks are shifted right before they are squared: a sum of squares of long copies fits 64 bits for hours.
pub const fn square_shift(bin: LengthBin) -> u32 {
    match *bin.lengths().start() {
        0..0x1_0000 => 0,
        0x1_0000..0x100_0000 => 6,
        _ => 12,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_follow_each_other_and_hold_every_length() {
        let mut next = 0_usize;
        for (place, bin) in LengthBin::all().enumerate() {
            let lengths = bin.lengths();
            assert_eq!(bin.place(), place);
            assert_eq!(LengthBin::at(place), Some(bin));
            assert_eq!(*lengths.start(), next, "{bin:?}");
            for len in [*lengths.start(), lengths.start() + (lengths.end() - lengths.start()) / 2, *lengths.end()] {
                assert_eq!(LengthBin::of(len), bin, "{len}");
            }
            next = lengths.end().wrapping_add(1);
        }
        assert_eq!(next, 0, "the last one ends with the longest length");
        assert_eq!(LengthBin::at(LENGTH_BINS), None);
    }

    #[test]
    fn above_64_bytes_a_bin_is_at_most_an_eighth_wide() {
        for bin in LengthBin::all().skip(LengthBin::SINGLES).take(LENGTH_BINS - LengthBin::SINGLES - 1) {
            let (start, end) = bin.lengths().into_inner();
            assert!((end - start + 1) * 8 <= start, "{bin:?} has {start} to {end}");
        }
    }

    #[test]
    fn lengths_of_sites_follow_each_other() {
        let mut next = 0_usize;
        for place in 0..SITE_LENGTHS {
            let (start, end) = site_length_range(place).into_inner();
            assert_eq!(start, next);
            assert_eq!((site_length(start), site_length(end)), (place, place));
            next = end.wrapping_add(1);
        }
        assert_eq!(next, 0);
    }

    /// An hour of copies of any length, each just no outlier.
    #[test]
    fn sums_of_squares_fit() {
        for bin in LengthBin::all() {
            let ticks = outlier_ticks(*bin.lengths().start()).min(1 << 40) - 1;
            let copies = (3600 * 5_000_000_000_u64 / ticks).max(1);
            let squared = u128::from(ticks >> square_shift(bin)).pow(2);
            assert!(squared * u128::from(copies) < 1 << 64, "{bin:?}");
        }
    }
}
