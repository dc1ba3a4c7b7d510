//! How much is measured: the one setting a reader may want to change.

#![forbid(unsafe_code)]

use super::cell::{APART_BYTES, Cell, Residency};
use super::sweep::{LIBC, MEMCPY_AUTO};
use crate::cpu::Cpu;
use crate::kernel::{Kernel, kernels};
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

/// Placements (destination, source) whose offsets in a page are half a page apart. The first is what the first table
/// shows.
const PLACEMENTS: [(usize, usize); 8] = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 32), (32, 0), (15, 0), (65, 66)];
/// Placements with these offsets in a page: one follows the other closely modulo 4096.
const ALIASED: [(usize, usize); 4] = [(64, 0), (0, 64), (65, 2), (1, 66)];
/// Placements that are also measured cold, and with a consumer.
const SPREAD: [(usize, usize); 2] = [(0, 0), (65, 66)];

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

    /// How often the grid is gone through for copies of a length. A neighbour who takes half of the core for a tenth of a
    /// second spoils a cell in one pass, and the median over several does not follow it. Long copies take that long
    /// themselves.
    pub const fn passes(self, len_bytes: usize) -> u32 {
        match self {
            Self::Default | Self::Full if len_bytes <= LONG_BYTES => 3,
            _ => 1,
        }
    }

    /// How often each contender of a cell is timed in one pass.
    pub const fn rounds(self) -> u32 {
        match self {
            Self::Quick => 9,
            Self::Default => 9,
            Self::Full => 7,
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
    /// then the other placements, aliased ones, those with a consumer, cold ones, and all cores at once.
    pub fn grid(self) -> Vec<Vec<Cell>> {
        let (placements, aliased, spread) = match self {
            Self::Quick => (&PLACEMENTS[..4], &ALIASED[..1], &SPREAD[..1]),
            Self::Default | Self::Full => (&PLACEMENTS[..], &ALIASED[..], &SPREAD[..]),
        };
        let column = |cell: &dyn Fn(usize) -> Cell| -> Vec<Cell> { self.lengths().into_iter().map(cell).collect() };
        let hot = placements.iter().map(|&(dst, src)| column(&|len_bytes| Cell::hot(len_bytes, dst, src)));
        let aliased = aliased.iter().map(|&(dst, src)| column(&|len_bytes| Cell::at(len_bytes, dst, src)));
        let with = |residency: Residency| {
            let place = move |&(dst, src): &(usize, usize)| {
                let lengths = self.lengths().into_iter().filter(|bytes| *bytes <= SPREAD_MAX_BYTES);
                lengths.map(|len_bytes| Cell::hot(len_bytes, dst, src).with(residency)).collect()
            };
            spread.iter().map(place)
        };
        let crowd = self.lengths().into_iter().filter(|bytes| CROWD_BYTES.contains(bytes) && bytes.is_power_of_two());
        let crowd = crowd.map(|len_bytes| Cell::hot(len_bytes, 0, 0).with(Residency::Crowd)).collect();
        hot.chain(aliased).chain(with(Residency::Touch)).chain(with(Residency::Cold)).chain([crowd]).collect()
    }
}

impl Effort {
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

/// The lengths that are measured with all cores at once: those for which cores share a cache or the memory.
const CROWD_BYTES: std::ops::RangeInclusive<usize> = 64 << 10..=64 << 20;

/// Copies longer than this are long.
const LONG_BYTES: usize = 8 << 20;

/// The longest copies that are measured cold or with a consumer: beyond, they are cold anyway.
const SPREAD_MAX_BYTES: usize = 64 << 20;

/// A word that names no effort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEffort(String);

impl fmt::Display for UnknownEffort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VARIABLE}={}: there is no such effort, so nothing was measured; use quick, default or full", self.0)
    }
}

impl std::error::Error for UnknownEffort {}

/// The longest copy that can be asked for.
pub const MAX_LEN_BYTES: usize = 1 << 30;
/// The longest copy that can be asked for with all cores at once: each has buffers of its own.
pub const CROWD_MAX_BYTES: usize = *CROWD_BYTES.end();
/// Binary units, as lengths are written.
const UNITS: [(&str, usize); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// What is to be measured. What a list does not say is the effort's; once any of lengths, offsets and residencies is
/// given, the others are the effort's lengths, 0:0 and hot.
///
/// Its text, a line for each list that is given, is what a record keeps of it, and reads back as the same scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Rounds, passes and, where no list says otherwise, the grid.
    pub effort: Effort,
    /// Lengths in bytes, ascending.
    pub sizes: Vec<usize>,
    /// Destination and source as [`Cell::hot`] takes them.
    pub offsets: Vec<(usize, usize)>,
    /// Residencies that are measured by length: not sequences of calls.
    pub residencies: Vec<Residency>,
    /// Names of kernels.
    pub kernels: Vec<String>,
    /// Peers, as [`peer::load`](super::peer::load) takes them.
    pub peers: Vec<String>,
}

impl Scope {
    /// All that an effort measures.
    pub const fn of(effort: Effort) -> Self {
        Self {
            effort,
            sizes: Vec::new(),
            offsets: Vec::new(),
            residencies: Vec::new(),
            kernels: Vec::new(),
            peers: Vec::new(),
        }
    }

    /// The scope that [`Display`](fmt::Display) wrote.
    ///
    /// # Errors
    ///
    /// [`ScopeError`] if there is a line that it cannot have written.
    pub fn read(text: &str) -> Result<Self, ScopeError> {
        let mut scope = Self::of(Effort::Default);
        for line in text.lines() {
            let damaged = || ScopeError::new("the grid of a record", line, "it is not what a sweep writes");
            let (key, value) = line.split_once(' ').ok_or_else(damaged)?;
            match key {
                "effort" => scope.effort = Effort::named(value).map_err(|_| damaged())?,
                "sizes" => scope.sizes = sizes(value)?,
                "offsets" => scope.offsets = offsets(value)?,
                "residency" => scope.residencies = residencies(value)?,
                "kernels" => scope.kernels = kernel_names(value)?,
                "peer" => scope.peers.push(value.to_owned()),
                _ => return Err(damaged()),
            }
        }
        Ok(scope)
    }

    /// The cells in the order of measuring, a placement and residency after the other.
    ///
    /// # Errors
    ///
    /// [`ScopeError`] if a length is too much for all cores at once.
    pub fn grid(&self) -> Result<Vec<Vec<Cell>>, ScopeError> {
        if self.sizes.is_empty() && self.offsets.is_empty() && self.residencies.is_empty() {
            return Ok(self.effort.grid());
        }
        let sizes = if self.sizes.is_empty() { self.effort.lengths() } else { self.sizes.clone() };
        let offsets = if self.offsets.is_empty() { &[(0, 0)][..] } else { &self.offsets };
        let residencies = if self.residencies.is_empty() { &[Residency::Hot][..] } else { &self.residencies };
        let too_long = self.sizes.iter().find(|bytes| **bytes > CROWD_MAX_BYTES);
        if let (Some(bytes), true) = (too_long, residencies.contains(&Residency::Crowd)) {
            let cause = "residency crowd takes lengths up to 64MiB, since every CPU has buffers of its own";
            return Err(ScopeError::new("--sizes", bytes, cause));
        }
        let is_measured = |bytes: &usize, residency| residency != Residency::Crowd || *bytes <= CROWD_MAX_BYTES;
        let column = |(dst, src), residency| {
            let sizes = sizes.iter().filter(|bytes| is_measured(bytes, residency));
            sizes.map(|bytes| Cell::hot(*bytes, dst, src).with(residency)).collect()
        };
        let places = residencies.iter().flat_map(|residency| offsets.iter().map(move |place| (*place, *residency)));
        Ok(places.map(|(place, residency)| column(place, residency)).collect())
    }

    /// How large each buffer has to be for these cells.
    pub fn buffer_bytes(&self, grid: &[Vec<Cell>], cpu: &Cpu) -> usize {
        let cells = || grid.iter().flatten();
        let longest = cells().map(|cell| cell.len_bytes).max().unwrap_or(0);
        let is_cold = cells().any(|cell| cell.residency == Residency::Cold);
        if is_cold { longest.max(self.effort.buffer_bytes(cpu)) } else { longest }
    }

    /// Whether a kernel of that name is measured. The baseline is, whatever the list says.
    pub fn has_kernel(&self, name: &str) -> bool {
        self.kernels.is_empty() || name == LIBC || self.kernels.iter().any(|wanted| wanted == name)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = |key: &str, words: Vec<String>| match words.is_empty() {
            true => Ok(()),
            false => writeln!(f, "{key} {}", words.join(",")),
        };
        list("effort", vec![self.effort.name().to_owned()])?;
        list("sizes", self.sizes.iter().map(ToString::to_string).collect())?;
        list("offsets", self.offsets.iter().map(|(dst, src)| format!("{dst}:{src}")).collect())?;
        list("residency", self.residencies.iter().map(|residency| residency.name().into_owned()).collect())?;
        list("kernels", self.kernels.clone())?;
        self.peers.iter().try_for_each(|peer| list("peer", vec![peer.clone()]))
    }
}

/// Lengths in bytes from a list: `64,4KiB,1MiB..64MiB`. A range is the powers of two from its first length to its last.
///
/// # Errors
///
/// [`ScopeError`] with the word that is no length, or none from 1 byte to [`MAX_LEN_BYTES`].
pub fn sizes(list: &str) -> Result<Vec<usize>, ScopeError> {
    let mut sizes = Vec::new();
    for word in words("--sizes", list)? {
        let Some((first, last)) = word.split_once("..") else {
            sizes.push(size(word)?);
            continue;
        };
        let (first, last) = (size(first)?, size(last)?);
        let powers = (0..usize::BITS).map(|power| 1_usize << power).filter(|bytes| (first..=last).contains(bytes));
        let before = sizes.len();
        sizes.extend(powers);
        if sizes.len() == before {
            return Err(ScopeError::new("--sizes", word, "there is no power of two from the first length to the last"));
        }
    }
    sizes.sort_unstable();
    sizes.dedup();
    Ok(sizes)
}

fn size(word: &str) -> Result<usize, ScopeError> {
    let error = |cause| ScopeError::new("--sizes", word, cause);
    let unit = UNITS.into_iter().find(|(unit, _)| word.ends_with(unit));
    let (digits, unit_bytes) = unit.map_or((word, 1), |(unit, bytes)| (word[..word.len() - unit.len()].trim(), bytes));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(error("a length is a whole number of bytes, or of B, KiB, MiB or GiB, as in 64 or 4KiB"));
    }
    let bytes = digits.parse::<usize>().ok().and_then(|count| count.checked_mul(unit_bytes));
    match bytes {
        Some(0) => Err(error("a copy of no bytes has no speed; use 1 or more")),
        Some(bytes) if bytes <= MAX_LEN_BYTES => Ok(bytes),
        _ => Err(error("this is more than is measured; use 1GiB or less")),
    }
}

/// Placements from a list: `0:0,65:66`, offsets of destination and source, the source half a page further.
///
/// # Errors
///
/// [`ScopeError`] with the word that is no pair of offsets below half a page.
pub fn offsets(list: &str) -> Result<Vec<(usize, usize)>, ScopeError> {
    let offset = |word: &str| {
        let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        word.parse::<usize>().ok().filter(|offset| is_number && *offset < APART_BYTES)
    };
    let pair = |word: &str| {
        let pair = word.split_once(':').and_then(|(dst, src)| Some((offset(dst)?, offset(src)?)));
        let cause = "write destination:source, as in 0:1, each below 2048";
        pair.ok_or_else(|| ScopeError::new("--offsets", word, cause))
    };
    once(words("--offsets", list)?.into_iter().map(pair))
}

/// Residencies from a list of their names.
///
/// # Errors
///
/// [`ScopeError`] with the word that names none.
pub fn residencies(list: &str) -> Result<Vec<Residency>, ScopeError> {
    let named = |word: &str| {
        let found = Residency::named(word).filter(|residency| !matches!(residency, Residency::Calls(_)));
        found.ok_or_else(|| ScopeError::new("--residency", word, "there is none; use hot, cold, touch or crowd"))
    };
    once(words("--residency", list)?.into_iter().map(named))
}

/// Names of kernels from a list. `memcpy_auto`, which is always measured, may be among them.
///
/// # Errors
///
/// [`ScopeError`] with the name that no kernel has, or one that this CPU cannot run.
pub fn kernel_names(list: &str) -> Result<Vec<String>, ScopeError> {
    let named = |word: &str| {
        let error = |cause: String| ScopeError::new("--kernels", word, cause);
        match Kernel::named(word) {
            None if word == MEMCPY_AUTO => Ok(word.to_owned()),
            Some(kernel) if kernel.is_available() => Ok(word.to_owned()),
            Some(_) => Err(error("this CPU cannot run it; leave it out".to_owned())),
            None => {
                let known: Vec<&str> = kernels().iter().map(Kernel::name).collect();
                Err(error(format!("there is no such kernel; use {}", known.join(", "))))
            }
        }
    };
    let mut names = once(words("--kernels", list)?.into_iter().map(named))?;
    names.sort_unstable();
    Ok(names)
}

/// The words of a list, of which there is one at least and none is empty.
fn words<'a>(option: &'static str, list: &'a str) -> Result<Vec<&'a str>, ScopeError> {
    let words: Vec<&str> = list.split(',').map(str::trim).collect();
    let is_whole = words.iter().all(|word| !word.is_empty());
    is_whole.then_some(words).ok_or_else(|| ScopeError::new(option, list, "a list has a word between its commas"))
}

/// Each item at its first place only.
fn once<T: PartialEq>(items: impl Iterator<Item = Result<T, ScopeError>>) -> Result<Vec<T>, ScopeError> {
    let mut kept = Vec::new();
    for item in items {
        let item = item?;
        if !kept.contains(&item) {
            kept.push(item);
        }
    }
    Ok(kept)
}

/// What cannot be measured, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeError {
    option: &'static str,
    word: String,
    cause: String,
}

impl ScopeError {
    fn new(option: &'static str, word: impl fmt::Display, cause: impl Into<String>) -> Self {
        Self { option, word: word.to_string(), cause: cause.into() }
    }
}

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { option, word, cause } = self;
        write!(f, "{option} {word:?}: nothing was measured: {cause}")
    }
}

impl std::error::Error for ScopeError {}

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
