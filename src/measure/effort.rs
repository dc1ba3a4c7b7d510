//! How much is measured: the one setting a reader may want to change.

#![forbid(unsafe_code)]

use super::cell::Cell;
use std::fmt;

/// The environment variable that `cargo bench` reads the effort from.
pub const VARIABLE: &str = "MEMCPY_SELECT_EFFORT";

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// Every other size, aligned and misaligned once: seconds.
    Quick,
    /// Every power of two and eight placements: under a minute.
    Default,
    /// Sizes beside and between the powers of two as well, more rounds: many minutes.
    Full,
}

/// Placements (destination, source) modulo a cache line. The first is what the first table shows.
const PLACEMENTS: [(usize, usize); 8] = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 32), (32, 0), (15, 0), (1, 2)];

impl Effort {
    /// All efforts.
    pub const ALL: [Self; 3] = [Self::Quick, Self::Default, Self::Full];

    /// The name, as the variable spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Default => "default",
            Self::Full => "full",
        }
    }

    /// The effort of that name.
    ///
    /// # Errors
    ///
    /// [`UnknownEffort`] for any other word.
    pub fn named(name: &str) -> Result<Self, UnknownEffort> {
        let found = Self::ALL.into_iter().find(|effort| effort.name() == name);
        found.ok_or_else(|| UnknownEffort(name.to_owned()))
    }

    /// The effort that [`VARIABLE`] asks for; [`Effort::Default`] where it is not set.
    ///
    /// # Errors
    ///
    /// [`UnknownEffort`] if it holds any other word.
    pub fn from_environment() -> Result<Self, UnknownEffort> {
        match std::env::var_os(VARIABLE) {
            None => Ok(Self::Default),
            Some(value) => Self::named(&value.to_string_lossy()),
        }
    }

    /// How often the grid is gone through. A neighbour who takes half of the core for a tenth of a second spoils a cell
    /// in one pass, and the median over several does not follow it.
    pub const fn passes(self) -> u32 {
        match self {
            Self::Quick => 1,
            Self::Default | Self::Full => 3,
        }
    }

    /// How often each contender of a cell is timed in one pass.
    pub const fn rounds(self) -> u32 {
        match self {
            Self::Quick => 9,
            Self::Default => 9,
            Self::Full => 11,
        }
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
            Self::Full => powers.flat_map(|bytes| [bytes - 1, bytes, bytes + 1, bytes + bytes / 2]).collect(),
        }
    }

    /// The grid in the order of measuring: all lengths aligned first, so that there is a table early.
    pub fn grid(self) -> Vec<Vec<Cell>> {
        let placements = match self {
            Self::Quick => &PLACEMENTS[..4],
            Self::Default | Self::Full => &PLACEMENTS[..],
        };
        let column = |&(dst, src): &(usize, usize)| {
            self.lengths().into_iter().map(|len_bytes| Cell::hot(len_bytes, dst, src)).collect()
        };
        placements.iter().map(column).collect()
    }
}

/// A word that names no effort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEffort(String);

impl fmt::Display for UnknownEffort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VARIABLE}={}: there is no such effort, so nothing was measured; use quick, default or full", self.0)
    }
}

impl std::error::Error for UnknownEffort {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_refused_by_name() {
        for effort in Effort::ALL {
            assert_eq!(Effort::named(effort.name()), Ok(effort));
        }
        let message = Effort::named("fast").unwrap_err().to_string();
        assert!(message.contains("MEMCPY_SELECT_EFFORT=fast") && message.contains("quick, default or full"));
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
