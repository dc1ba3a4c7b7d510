//! Which copies are made: lengths, offsets, and on which side the guard page lies.

use super::rng::Rng;
use core::fmt;

/// Every length up to this one is checked.
pub const EVERY_LENGTH_UP_TO: usize = 1100;
/// Every pair of offsets is checked up to this length.
const EVERY_OFFSET_UP_TO: usize = 256;
/// Offsets are checked modulo a cache line, the largest alignment that a kernel asks for.
const OFFSETS: usize = 64;
/// The largest length around which boundaries are checked.
pub const LARGEST: usize = 64 << 20;
const LARGEST_USUAL: usize = 4 << 20;
const LARGEST_SAMPLED: usize = 1 << 20;
/// The usual run gives each length one of so many pairs of offsets, and so many lengths in a row have all of them.
const USUAL_SHARE: usize = 32;

/// The variable that asks for more cases, as CI does, or for fewer, as a slow machine (an emulator) does.
const VARIABLE: &str = "MEMCPY_SELECT_TEST_CASES";

/// How many cases are checked, fewest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Every length, but only a sample of offsets, and boundaries up to 1 MiB.
    Sampled,
    /// Every length, every pair of offsets at one in [`USUAL_SHARE`] of them, and boundaries up to 4 MiB.
    Usual,
    /// Everything.
    Full,
    /// Everything, and by interpretation too what otherwise the processor and symbols show: a minute more.
    Exhaustive,
}

impl Effort {
    /// From the environment: unset or `usual`, or `sampled`, `full` or `exhaustive`.
    pub fn chosen() -> Self {
        let value = std::env::var(VARIABLE).unwrap_or_else(|_| String::from("usual"));
        Self::parse(&value).unwrap_or_else(|message| panic!("{message}"))
    }

    pub fn parse(value: &str) -> Result<Self, String> {
        match value {
            "sampled" => Ok(Self::Sampled),
            "usual" => Ok(Self::Usual),
            "full" => Ok(Self::Full),
            "exhaustive" => Ok(Self::Exhaustive),
            other => Err(format!(
                "{VARIABLE} is {other:?}: the number of cases is unknown and nothing was tested; set it to sampled, \
                 usual, full or exhaustive, or unset it"
            )),
        }
    }

    pub fn largest(self) -> usize {
        match self {
            Self::Sampled => LARGEST_SAMPLED,
            Self::Usual => LARGEST_USUAL,
            Self::Full | Self::Exhaustive => LARGEST,
        }
    }
}

/// The end of its region that a range is placed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The offset counts up from the guard page before the region.
    Low,
    /// The offset counts down from the guard page after the region.
    High,
}

impl Side {
    /// Where a range of `len` bytes starts in a region.
    pub fn start(self, region_bytes: usize, offset: usize, len: usize) -> usize {
        match self {
            Self::Low => offset,
            Self::High => region_bytes - len - offset,
        }
    }
}

const SIDES: [(Side, Side); 4] =
    [(Side::Low, Side::Low), (Side::High, Side::High), (Side::Low, Side::High), (Side::High, Side::Low)];

/// One copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    pub len: usize,
    pub dst: (Side, usize),
    pub src: (Side, usize),
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |side| match side {
            Side::Low => "after the guard page",
            Side::High => "before the guard page",
        };
        write!(
            f,
            "a copy of {} bytes (dst {} bytes {}, src {} bytes {})",
            self.len,
            self.dst.1,
            place(self.dst.0),
            self.src.1,
            place(self.src.0)
        )
    }
}

/// The cases of one length of the every-length run.
pub fn of_length(len: usize, effort: Effort) -> Vec<Case> {
    let mut cases = Vec::new();
    if effort > Effort::Sampled && len <= EVERY_OFFSET_UP_TO {
        let is_taken =
            |dst: usize, src: usize| effort > Effort::Usual || (dst / 8 + src + len).is_multiple_of(USUAL_SHARE);
        // Ranges at different ends of theirs are among the samples.
        let sides = SIDES.into_iter().filter(|(dst, src)| dst == src || effort == Effort::Exhaustive);
        for (dst_side, src_side) in sides {
            for dst in 0..OFFSETS {
                let taken = (0..OFFSETS).filter(|src| is_taken(dst, *src));
                cases.extend(taken.map(|src| Case { len, dst: (dst_side, dst), src: (src_side, src) }));
            }
        }
    }
    let samples = match effort {
        Effort::Sampled => 24,
        Effort::Usual => 48,
        Effort::Full | Effort::Exhaustive => 512,
    };
    cases.extend(sample(len, samples));
    cases
}

/// The cases of one length of the boundary run: fewer the longer it is.
pub fn at_boundary(len: usize, effort: Effort) -> Vec<Case> {
    let samples = match len {
        0..=0x1_0000 => 60,
        0x1_0001..=0x10_0001 => 12,
        0x10_0002..=0x80_0001 => 4,
        _ => {
            let (dst, src) = SIDES[len % SIDES.len()];
            return vec![Case { len, dst: (dst, 0), src: (src, 0) }];
        }
    };
    sample(len, if effort == Effort::Sampled { samples / 6 } else { samples })
}

/// Both ranges flush with a guard page, on either side; then `count` with random offsets and sides.
fn sample(len: usize, count: usize) -> Vec<Case> {
    let mut rng = Rng::new(len as u64);
    let mut cases: Vec<Case> = [Side::Low, Side::High].map(|side| Case { len, dst: (side, 0), src: (side, 0) }).into();
    let mut range = || {
        let side = if rng.next() & 1 == 0 { Side::Low } else { Side::High };
        (side, rng.below(OFFSETS))
    };
    cases.extend((0..count).map(|_| Case { len, dst: range(), src: range() }));
    cases
}

/// One below, at, and one above every power of two, the lengths at which kernels change their loops, and `thresholds`.
pub fn boundaries(thresholds: &[usize], effort: Effort) -> Vec<usize> {
    let powers = (0..=LARGEST.ilog2()).map(|exponent| 1 << exponent);
    // Blocks of whole pages, and what alignment takes away before the first or leaves behind the last.
    let pages = (1..=6).map(|pages| pages * 4096);
    let aligned = pages.clone().flat_map(|bytes| [bytes + 32, bytes + 64, bytes + 128, bytes + 192]);
    let all: Vec<usize> = powers.chain(pages).chain(aligned).chain(thresholds.iter().copied()).collect();
    around(&all, effort)
}

/// One below, at, and one above each of these, as far as they are tested at all.
pub fn around(lengths: &[usize], effort: Effort) -> Vec<usize> {
    let tested = lengths.iter().filter(|length| (1..=effort.largest()).contains(*length));
    let mut lengths: Vec<usize> = tested.flat_map(|length| [length - 1, *length, length + 1]).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}
