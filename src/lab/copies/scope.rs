//! What a reader wants to have measured: lengths, places, kernels and residencies as the command line spells them, and as a
//! record keeps them.

#![forbid(unsafe_code)]

use crate::cpu::Cpu;
use crate::kernel::{Kernel, kernels};
use crate::lab::copies::calls::{Calls, SEQUENCE_MAX_BYTES};
use crate::lab::copies::cell::{APART_BYTES, Cell, Residency};
use crate::lab::copies::contender::{LIBC, MEMCPY_AUTO};
use crate::lab::copies::crowd::MAX_THREADS;
use crate::lab::copies::grid::{CROWD_BYTES, MALLOC};
use crate::lab::instruments::affinity::logical_cpus;
use crate::lab::instruments::effort::Effort;
use crate::lab::instruments::words;
use crate::lab::record::{CallLengths, LengthRange};
use std::fmt;

/// The longest copy that can be asked for.
pub const MAX_LEN_BYTES: usize = 1 << 30;
/// The longest copy that can be asked for with all cores at once: each has buffers of its own.
pub const CROWD_MAX_BYTES: usize = *CROWD_BYTES.end();

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
    /// Distances from source to destination modulo 4096, as [`Cell::distant`] takes them.
    pub distances: Vec<usize>,
    /// Residencies that are measured by length: not sequences of calls.
    pub residencies: Vec<Residency>,
    /// Names of kernels.
    pub kernels: Vec<String>,
    /// Peers, as [`peer::load`](crate::lab::copies::peer::load) takes them.
    pub peers: Vec<String>,
    /// What a program was seen to copy.
    pub workload: Option<CallLengths>,
}

impl Scope {
    /// All that an effort measures.
    pub const fn of(effort: Effort) -> Self {
        Self {
            effort,
            sizes: Vec::new(),
            offsets: Vec::new(),
            distances: Vec::new(),
            residencies: Vec::new(),
            kernels: Vec::new(),
            peers: Vec::new(),
            workload: None,
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
                "distances" => scope.distances = distances(value)?,
                "residency" => scope.residencies = residencies(value)?,
                "kernels" => scope.kernels = kernel_names(value)?,
                "peer" => scope.peers.push(value.to_owned()),
                "workload" => scope.workload = Some(CallLengths::parse(value).ok_or_else(damaged)?),
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
        let are_places_given = !self.offsets.is_empty() || !self.distances.is_empty();
        let of_workload = self.workload.as_ref().map_or(Ok(Vec::new()), of_workload)?;
        if self.sizes.is_empty() && !are_places_given && self.residencies.is_empty() {
            return Ok(if self.workload.is_some() { of_workload } else { self.effort.grid() });
        }
        let sizes = if self.sizes.is_empty() { self.effort.lengths() } else { self.sizes.clone() };
        let offsets = if are_places_given { &self.offsets[..] } else { &[(0, 0)] };
        let hot = offsets.iter().map(|&(dst, src)| Cell::hot(0, dst, src));
        let places: Vec<Cell> = hot.chain(self.distances.iter().map(|bytes| Cell::distant(0, *bytes))).collect();
        let residencies = if self.residencies.is_empty() { &[Residency::Hot][..] } else { &self.residencies };
        let too_long = self.sizes.iter().find(|bytes| **bytes > CROWD_MAX_BYTES);
        if let (Some(bytes), true) = (too_long, residencies.iter().any(|residency| residency.is_crowded())) {
            let cause = "with several CPUs at once lengths go up to 64MiB, since each has buffers of its own";
            return Err(ScopeError::new("--sizes", bytes, cause));
        }
        let is_measured = |bytes: &usize, residency: Residency| !residency.is_crowded() || *bytes <= CROWD_MAX_BYTES;
        let column = |place: Cell| {
            let sizes = sizes.iter().filter(|bytes| is_measured(bytes, place.residency));
            sizes.map(|bytes| Cell { len_bytes: *bytes, ..place }).collect()
        };
        let places = residencies.iter().flat_map(|residency| places.iter().map(|place| place.with(*residency)));
        Ok(of_workload.into_iter().chain(places.map(column)).collect())
    }

    /// How large each buffer has to be for these cells.
    pub fn buffer_bytes(&self, grid: &[Vec<Cell>], cpu: &Cpu) -> usize {
        let cells = || grid.iter().flatten();
        let room = |cell: &Cell| match cell.residency {
            Residency::Calls(calls) => calls.region.bytes() + APART_BYTES,
            _ => cell.len_bytes,
        };
        let longest = cells().map(room).max().unwrap_or(0);
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
        list("distances", self.distances.iter().map(ToString::to_string).collect())?;
        list("residency", self.residencies.iter().map(|residency| residency.name().into_owned()).collect())?;
        list("kernels", self.kernels.clone())?;
        self.peers.iter().try_for_each(|peer| list("peer", vec![peer.clone()]))?;
        list("workload", self.workload.iter().map(ToString::to_string).collect())
    }
}

/// The cells of a workload: its calls in sequences, in each region that takes most of them; and lengths too long for those, each
/// by itself, where they are a hundredth of all bytes or more.
fn of_workload(workload: &CallLengths) -> Result<Vec<Vec<Cell>>, ScopeError> {
    let bytes = |range: &LengthRange| range.middle_bytes() as f64 * range.calls as f64;
    let all: f64 = workload.ranges().iter().map(bytes).sum();
    let is_long = |range: &&LengthRange| {
        (u64::from(SEQUENCE_MAX_BYTES) + 1..=MAX_LEN_BYTES as u64).contains(&range.middle_bytes())
            && bytes(range) >= all / 100.0
    };
    let (dst, src) = MALLOC;
    let long = |range: &LengthRange| Cell::hot(range.middle_bytes() as usize, dst, src).with(Residency::Used);
    let columns = [
        Calls::of_workload(workload).map(Cell::calls).collect(),
        workload.ranges().iter().filter(is_long).map(long).collect::<Vec<Cell>>(),
    ];
    let columns: Vec<Vec<Cell>> = columns.into_iter().filter(|column| !column.is_empty()).collect();
    let cause = "every call is longer than is measured; give --sizes instead";
    if columns.is_empty() { Err(ScopeError::new("--workload", workload, cause)) } else { Ok(columns) }
}

/// Lengths in bytes from a list of [lengths](words::length): `64,4KiB,1MiB..64MiB`. A range is the powers of two from its first length to its last.
///
/// # Errors
///
/// [`ScopeError`] with the word that is no length, or none from 1 byte to [`MAX_LEN_BYTES`].
pub fn sizes(list: &str) -> Result<Vec<usize>, ScopeError> {
    let mut sizes = Vec::new();
    for word in listed("--sizes", list)? {
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
    let error = |cause: String| ScopeError::new("--sizes", word, cause);
    match words::length(word).map_err(error)? {
        0 => Err(error("a copy of no bytes has no speed; use 1 or more".to_owned())),
        bytes if bytes <= MAX_LEN_BYTES => Ok(bytes),
        _ => Err(error("this is more than is measured; use 1GiB or less".to_owned())),
    }
}

/// Placements from a list: `0:0,65:66`, offsets of destination and source, the source half a page further.
///
/// # Errors
///
/// [`ScopeError`] with the word that is no pair of offsets below half a page.
pub fn offsets(list: &str) -> Result<Vec<(usize, usize)>, ScopeError> {
    let offset = |word: &str| words::length(word).ok().filter(|offset| *offset < APART_BYTES);
    let pair = |word: &str| {
        let pair = word.split_once(':').and_then(|(dst, src)| Some((offset(dst)?, offset(src)?)));
        let cause = "write destination:source, as in 0:1, each below 2048";
        pair.ok_or_else(|| ScopeError::new("--offsets", word, cause))
    };
    once(listed("--offsets", list)?.into_iter().map(pair))
}

/// Distances from a list: `0,1,0xA00,15..33`, bytes from the source to the destination modulo 4096. A range is every one from
/// its first to its last.
///
/// # Errors
///
/// [`ScopeError`] with the word that is no distance below a page, or no range of them.
pub fn distances(list: &str) -> Result<Vec<usize>, ScopeError> {
    let distance = |word: &str| {
        let number = match word.strip_prefix("0x") {
            Some(digits) => usize::from_str_radix(digits, 16).ok(),
            None => words::length(word).ok(),
        };
        number.filter(|bytes| *bytes < 4096)
    };
    let range = |word: &str| {
        let (first, last) = word.split_once("..").unwrap_or((word, word));
        let range = distance(first).zip(distance(last)).filter(|(first, last)| first <= last);
        let cause = "write a distance below 4096, as in 15 or 0xA00, or a range of them, as in 1..63";
        range.map(|(first, last)| first..=last).ok_or_else(|| ScopeError::new("--distances", word, cause))
    };
    let ranges: Result<Vec<_>, ScopeError> = listed("--distances", list)?.into_iter().map(range).collect();
    once(ranges?.into_iter().flatten().map(Ok))
}

/// Residencies from a list of their names.
///
/// # Errors
///
/// [`ScopeError`] with the word that names none.
pub fn residencies(list: &str) -> Result<Vec<Residency>, ScopeError> {
    let named = |word: &str| {
        if let Some(Residency::Threads(count)) = Residency::named(word) {
            return threads_of("--residency", word, usize::from(count));
        }
        let found = Residency::named(word).filter(|residency| !matches!(residency, Residency::Calls(_)));
        let known = ["hot", "cold", "touch", "used", "read", "crowd"];
        found.ok_or_else(|| ScopeError::new("--residency", word, words::unknown("residency", word, &known)))
    };
    once(listed("--residency", list)?.into_iter().map(named))
}

/// Hot copies by several threads at once, from a list of numbers: one thread is plain [`Residency::Hot`].
///
/// # Errors
///
/// [`ScopeError`] with the word that is no number of threads, or more than this process has logical CPUs.
pub fn threads(list: &str) -> Result<Vec<Residency>, ScopeError> {
    let count = |word: &str| {
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        let count = word.parse::<usize>().ok().filter(|count| is_number && *count > 0);
        let count = count.ok_or_else(|| ScopeError::new("--threads", word, "write how many, as in 2"))?;
        threads_of("--threads", word, count)
    };
    once(listed("--threads", list)?.into_iter().map(count))
}

fn threads_of(option: &'static str, word: &str, count: usize) -> Result<Residency, ScopeError> {
    let most = logical_cpus().len().min(MAX_THREADS + 1);
    match u16::try_from(count).ok().filter(|_| count <= most) {
        Some(1) => Ok(Residency::Hot),
        Some(count) => Ok(Residency::Threads(count)),
        None => {
            Err(ScopeError::new(option, word, format!("each thread has a logical CPU of its own; use {most} or fewer")))
        }
    }
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
                let known: Vec<&str> = kernels().iter().map(Kernel::name).chain([MEMCPY_AUTO]).collect();
                Err(error(words::unknown("kernel", word, &known)))
            }
        }
    };
    let mut names = once(listed("--kernels", list)?.into_iter().map(named))?;
    names.sort_unstable();
    Ok(names)
}

/// The words of a list, of which there is one at least and none is empty.
fn listed<'a>(option: &'static str, list: &'a str) -> Result<Vec<&'a str>, ScopeError> {
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
