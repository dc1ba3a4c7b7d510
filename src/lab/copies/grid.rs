//! How much an effort measures of copies: the grid, and how often each of its cells is timed.

#![forbid(unsafe_code)]

use super::cell::{Cell, Residency};
use super::thread::{THREAD, ThreadRow};
use crate::cpu::Cpu;
use crate::lab::instruments::effort::Effort;
use std::collections::BTreeSet;

/// Placements (destination, source) whose offsets in a page are half a page apart. The first is what the first table
/// shows.
const PLACEMENTS: [(usize, usize); 8] = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 32), (32, 0), (15, 0), (65, 66)];
/// Placements with these offsets in a page: one follows the other closely modulo 4096. The second is that of two large blocks
/// of `malloc`, the third where `rep movsb` collapses on some designs (results/TRIED.md).
const ALIASED: [(usize, usize); 6] = [(64, 0), (16, 16), (31, 16), (0, 64), (65, 2), (1, 66)];
/// A placement that `malloc` gives. Lengths between the powers of two are measured at it, too: no plan is made from them, so
/// that they can judge one.
pub(super) const MALLOC: (usize, usize) = (16, 48);
/// The longest copies that the default effort measures at places which matter inside the caches.
const PLACED_MAX_BYTES: usize = 4 << 20;
/// The shortest of these lengths is three quarters of the power of two above.
const MIN_BETWEEN_BYTES: usize = 64;
/// Placements that are also measured cold.
const SPREAD: [(usize, usize); 2] = [(0, 0), (65, 66)];
/// Placements that are also measured in use, and with a consumer.
const IN_USE: [(usize, usize); 2] = [(0, 0), MALLOC];

impl Effort {
    /// How often the grid is gone through for copies of a length. A neighbour who takes half of the core for a tenth of a
    /// second spoils a cell in one pass, and the median over several does not follow it. Long copies take that long
    /// themselves.
    pub const fn passes(self, len_bytes: usize) -> u32 {
        match self {
            Self::Default | Self::Full if len_bytes <= LONG_BYTES => 3,
            _ => 1,
        }
    }

    /// How often each contender of a cell is timed in one pass, unless its copies are long.
    pub const fn rounds(self) -> u32 {
        match self {
            Self::Quick => 9,
            Self::Default => 9,
            Self::Full => 7,
        }
    }

    /// The same for copies of a length: fewer where a copy alone takes longer than a timing should. It follows from the
    /// length, not from the clock, so that two runs of a grid have the same rounds.
    pub fn rounds_at(self, len_bytes: usize) -> u32 {
        let timing_ns = self.sample_ns().max(len_bytes as u64 / NOMINAL_BYTES_PER_NS);
        let all = u64::from(self.rounds());
        let fitting = self.sample_ns() * all * MAX_STRETCH / timing_ns;
        let fewest = u64::from(MIN_ROUNDS.div_ceil(self.passes(len_bytes)));
        fitting.clamp(fewest, all.max(fewest)) as u32
    }

    /// How long one timing should take at least, in nanoseconds.
    pub const fn sample_ns(self) -> u64 {
        match self {
            Self::Quick => 40_000,
            Self::Default => 150_000,
            Self::Full => 200_000,
        }
    }

    /// The lengths of the grid in bytes.
    pub fn lengths(self) -> Vec<usize> {
        let (step, max_bytes) = match self {
            Self::Quick => (2, 64 << 20),
            Self::Default => (1, 64 << 20),
            Self::Full => (1, 256 << 20),
        };
        let powers = (4..).step_by(step).map(|power| 1_usize << power).take_while(|bytes| *bytes <= max_bytes);
        match self {
            Self::Quick | Self::Default => powers.collect(),
            Self::Full => {
                let around = powers.flat_map(|bytes| [bytes - 1, bytes, bytes + 1, bytes + bytes / 2]);
                around.filter(|bytes| *bytes <= max_bytes + 1).collect()
            }
        }
    }

    /// How large each buffer has to be: for the longest copy, and for cold ones four times the last-level cache, so
    /// that nothing of it is left when a walk comes round.
    pub fn buffer_bytes(self, cpu: &Cpu) -> usize {
        let cache_bytes = cpu.caches.l3.or(cpu.caches.l2).map_or(32 << 20, |cache| cache.size_bytes);
        let longest = self.lengths().into_iter().max().unwrap_or(0);
        longest.max(usize::try_from(4 * cache_bytes).unwrap_or(longest).min(1 << 30))
    }

    /// The grid in the order of measuring, a placement after the other: aligned first, so that there is a table early;
    /// then the other placements, the rows of the [thread](crate::lab::copies::thread), lengths between the powers of two, aliased
    /// placements, buffers in use, those with a consumer too, cold ones, and all cores at once.
    pub fn grid(self) -> Vec<Vec<Cell>> {
        let (placements, aliased, spread, in_use) = match self {
            Self::Quick => (&PLACEMENTS[..4], &ALIASED[..1], &SPREAD[..1], &IN_USE[..1]),
            Self::Default | Self::Full => (&PLACEMENTS[..], &ALIASED[..], &SPREAD[..], &IN_USE[..]),
        };
        let column = |cell: &dyn Fn(usize) -> Cell| -> Vec<Cell> { self.lengths().into_iter().map(cell).collect() };
        let hot = placements.iter().map(|&(dst, src)| column(&|len_bytes| Cell::hot(len_bytes, dst, src)));
        // Beyond the second level it is the lines' way that takes the time, not where they lie.
        let is_short = |cell: &Cell| self == Self::Full || cell.len_bytes <= PLACED_MAX_BYTES;
        let aliased = aliased.iter().map(|&(dst, src)| {
            column(&|len_bytes| Cell::at(len_bytes, dst, src)).into_iter().filter(is_short).collect()
        });
        let with = |residency: Residency, places: &'static [(usize, usize)]| {
            let place = move |&(dst, src): &(usize, usize)| {
                let lengths = self.lengths().into_iter().filter(|bytes| *bytes <= SPREAD_MAX_BYTES);
                lengths.map(|len_bytes| Cell::hot(len_bytes, dst, src).with(residency)).collect()
            };
            places.iter().map(place)
        };
        let crowd = self.lengths().into_iter().filter(|bytes| CROWD_BYTES.contains(bytes) && bytes.is_power_of_two());
        let crowd = crowd.map(|len_bytes| Cell::hot(len_bytes, 0, 0).with(Residency::Crowd)).collect();
        let (dst, src) = MALLOC;
        let lengths = self.lengths();
        let between = lengths.iter().filter(|bytes| bytes.is_power_of_two() && **bytes > MIN_BETWEEN_BYTES);
        let between: Vec<Cell> = between.map(|bytes| Cell::hot(bytes / 4 * 3, dst, src)).collect();
        let between = if self == Self::Quick { Vec::new() } else { between };
        let [used, read] = [Residency::Used, Residency::Read]
            .map(|residency| between.iter().map(|cell| cell.with(residency)).filter(is_short).collect::<Vec<Cell>>());
        let thread = THREAD.iter().map(ThreadRow::cell).collect();
        let columns = hot.chain([thread, between]).chain(aliased);
        let columns = columns.chain(with(Residency::Used, in_use)).chain([used]);
        let columns = columns.chain(with(Residency::Read, in_use)).chain([read]);
        let columns = columns.chain(with(Residency::Cold, spread)).chain([crowd]);
        let mut seen = BTreeSet::new();
        let once = |column: Vec<Cell>| column.into_iter().filter(|cell| seen.insert(*cell)).collect();
        columns.map(once).filter(|column: &Vec<Cell>| !column.is_empty()).collect()
    }

    /// The cells of a grid and the pass over each, in the order of measuring: all passes over a column before the next.
    pub fn steps(self, grid: &[Vec<Cell>]) -> impl Iterator<Item = (Cell, u32)> {
        let passes = move |cell: &Cell| self.passes(cell.len_bytes);
        grid.iter().flat_map(move |column| {
            let most = column.iter().map(passes).max().unwrap_or(0);
            let of_pass =
                move |pass| column.iter().filter(move |cell| pass < passes(cell)).map(move |cell| (*cell, pass));
            (0..most).flat_map(of_pass)
        })
    }
}

/// Rounds that even the longest copies get, in all passes: fewer give no median worth the name.
const MIN_ROUNDS: u32 = 5;
/// What a timing may take before a cell gets fewer rounds, as a multiple of what it should.
const MAX_STRETCH: u64 = 12;
/// How fast a core copies in memory at least, in bytes a nanosecond, as far as rounds are concerned: the slowest of the
/// records is 4.4 (`sse2_nt`, read afterwards, 64 MiB, in intel-6-167-1-masked-kvm/2026-11-24.1).
const NOMINAL_BYTES_PER_NS: u64 = 4;

/// The lengths that are measured with all cores at once: those for which cores share a cache or the memory.
pub(crate) const CROWD_BYTES: std::ops::RangeInclusive<usize> = 64 << 10..=64 << 20;

/// Copies longer than this are long.
const LONG_BYTES: usize = 8 << 20;

/// The longest copies that are measured cold or with a consumer: beyond, they are cold anyway.
const SPREAD_MAX_BYTES: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_follow_from_the_length_and_fall_with_it() {
        for effort in Effort::ALL {
            assert_eq!(effort.rounds_at(0), effort.rounds());
            assert_eq!(effort.rounds_at(1 << 20), effort.rounds());
            let rounds: Vec<u32> = effort.lengths().into_iter().map(|bytes| effort.rounds_at(bytes)).collect();
            assert!(rounds.is_sorted_by(|a, b| a >= b), "{effort:?}: {rounds:?}");
            let longest = effort.lengths().into_iter().max().unwrap();
            assert_eq!(effort.rounds_at(longest) * effort.passes(longest), MIN_ROUNDS);
        }
    }

    #[test]
    fn the_grid_starts_aligned_and_repeats_no_cell() {
        for effort in Effort::ALL {
            let grid = effort.grid();
            assert!(grid[0].iter().all(|cell| cell.line_offsets() == (0, 0)));
            let mut cells: Vec<Cell> = grid.concat();
            let count = cells.len();
            cells.sort_unstable();
            cells.dedup();
            assert_eq!(cells.len(), count);
        }
    }
}
