//! The interleaved sweep: every contender at every cell, in rounds of shuffled order.

use crate::lab::copies::cell::{Cell, Residency};
use crate::lab::copies::contender::Contender;
use crate::lab::copies::workload::Workload;
use crate::lab::instruments::buffers::{BufferError, Buffers};
use crate::lab::instruments::clock;
use crate::lab::instruments::effort::Effort;
use crate::lab::instruments::random::SplitMix64;
use crate::lab::record::CallLengths;
use std::borrow::Cow;
use std::fmt;
use std::time::Instant;

/// One pass over one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pass {
    /// Where.
    pub cell: Cell,
    /// Which, from 0.
    pub number: u32,
}

impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cell.fmt(f)
    }
}

/// The name of the rows that count core cycles instead of copies.
pub const CORE_CLOCK: &str = "core_clock";

/// One timing: the raw material of every figure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Where.
    pub cell: Cell,
    /// Which contender; or [`CORE_CLOCK`], whose iterations are core cycles.
    pub contender: Cow<'static, str>,
    /// In which round of the cell, from 0: contenders of one round ran right after each other.
    pub round: u32,
    /// How many copies were timed together.
    pub iterations: u64,
    /// How long all of them took, in nanoseconds.
    pub total_ns: u64,
}

/// Why a contender has no timing in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where.
    pub cell: Cell,
    /// Which contender.
    pub contender: Cow<'static, str>,
    /// The round from which on it is missing.
    pub round: u32,
    /// What happened, in one line.
    pub cause: String,
}

impl Failure {
    /// A contender that is missing from these cells from the beginning.
    pub fn in_all(cells: impl IntoIterator<Item = Cell>, contender: &str, cause: &str) -> Vec<Self> {
        let cells = cells.into_iter();
        cells
            .map(|cell| Self { cell, contender: Cow::Owned(contender.to_owned()), round: 0, cause: cause.to_owned() })
            .collect()
    }
}

/// Times contenders cell by cell.
pub struct Sweep {
    contenders: Vec<Contender>,
    buffers: Buffers,
    effort: Effort,
    /// The lengths of [`Lengths::Workload`](super::calls::Lengths::Workload).
    lengths: Option<CallLengths>,
    random: SplitMix64,
    /// What a timing must take at least to be one, in nanoseconds.
    least_ns: u64,
    /// Core cycles counted in each round of a cell.
    clock_cycles: u64,
}

/// What part of a timing's copies is made before it, untimed.
const SETTLING_SHARE: u64 = 32;
/// What part of its length a timing has at least: the warm-up may have been interrupted, and have taken few copies for a
/// sample's worth.
const SHORTEST_SHARE: u64 = 8;
/// How many steps of the clock a timing has at least: twice what readers of a record call for.
const CLOCK_STEPS: u64 = 20;
/// No core is faster, so that as many cycles take a nanosecond at least.
const MOST_CYCLES_PER_NS: u64 = 8;
/// Core cycles counted in each round of a cell, unless the clock is coarse: a few microseconds.
const CLOCK_CYCLES: u64 = 20_000;

impl Sweep {
    /// A sweep of these contenders over cells of up to `max_len_bytes`.
    ///
    /// # Errors
    ///
    /// [`BufferError`] if there is no memory for the buffers.
    pub fn new(contenders: Vec<Contender>, max_len_bytes: usize, effort: Effort) -> Result<Self, BufferError> {
        let buffers = Buffers::new(max_len_bytes)?;
        let steps_ns = CLOCK_STEPS * clock::precision_ns();
        let least_ns = steps_ns.max(effort.sample_ns() / SHORTEST_SHARE);
        let clock_cycles = CLOCK_CYCLES.max(steps_ns * MOST_CYCLES_PER_NS);
        let random = SplitMix64(0x6d65_6d63_7079);
        Ok(Self { contenders, buffers, effort, lengths: None, random, least_ns, clock_cycles })
    }

    /// With the lengths of a workload, for cells of its calls.
    pub fn with_lengths(mut self, lengths: Option<CallLengths>) -> Self {
        self.lengths = lengths;
        self
    }

    /// The contenders.
    pub fn contenders(&self) -> &[Contender] {
        &self.contenders
    }

    /// Times every contender at one cell, in one of the [passes](Effort::passes) over the grid.
    ///
    /// # Panics
    ///
    /// If the cell is longer than the sweep was made for, or of calls of a workload of which none fits it.
    pub fn measure(&mut self, cell: Cell, pass: u32) -> Vec<Sample> {
        let mut workload = Workload::of(cell, &self.buffers, self.lengths.as_ref());
        let mut time_ns =
            |contender: &Contender, iterations: u64| workload.time(contender, iterations).as_nanos() as u64;

        let sample_ns = self.effort.sample_ns();
        let mut plan: Vec<u64> =
            self.contenders.iter().map(|contender| warm_up(sample_ns, |n| time_ns(contender, n))).collect();
        let rounds = self.effort.rounds_at(cell.len_bytes);
        let first_round = pass * self.effort.rounds();

        let mut order: Vec<usize> = (0..self.contenders.len()).collect();
        let mut samples = Vec::with_capacity((order.len() + 1) * rounds as usize);
        for round in first_round..first_round + rounds {
            self.random.shuffle(&mut order);
            let start = Instant::now();
            let cycles = clock::core_cycles(self.clock_cycles);
            let clock_ns = start.elapsed().as_nanos() as u64;
            let mut sample = |contender: Cow<'static, str>, iterations, total_ns| {
                samples.push(Sample { cell, contender, round, iterations, total_ns });
            };
            if cycles > 0 {
                sample(Cow::Borrowed(CORE_CLOCK), cycles, clock_ns);
            }
            for &at in &order {
                let contender = &self.contenders[at];
                // The one before may have left the destination out of the caches, which is not this one's doing.
                if cell.residency != Residency::Cold {
                    time_ns(contender, 1 + plan[at] / SETTLING_SHARE);
                }
                let total_ns = long_enough(self.least_ns, sample_ns, &mut plan[at], |n| time_ns(contender, n));
                sample(contender.name.clone(), plan[at], total_ns);
            }
        }
        samples
    }
}

/// Runs until the caches and predictors have settled, and returns how many iterations make a sample of at least
/// `sample_ns`.
fn warm_up(sample_ns: u64, mut time_ns: impl FnMut(u64) -> u64) -> u64 {
    // What only the first call does (faulting code in, asking CPUID) must not be taken for the usual.
    time_ns(1);
    let mut iterations = 1;
    loop {
        let passed_ns = time_ns(iterations).max(1);
        if passed_ns >= sample_ns / 2 {
            let wanted = (u128::from(iterations) * u128::from(sample_ns)).div_ceil(u128::from(passed_ns)).max(1);
            return u64::try_from(wanted).unwrap_or(u64::MAX);
        }
        iterations = iterations.saturating_mul(if passed_ns < sample_ns / 16 { 8 } else { 2 });
    }
}

/// Times that many iterations, and if that was shorter than `least_ns`, as many more as make it long enough: what the warm-up took
/// for a sample's worth was an interruption. Returns how long the last timing took, which is of `iterations` as they are then.
fn long_enough(least_ns: u64, sample_ns: u64, iterations: &mut u64, mut time_ns: impl FnMut(u64) -> u64) -> u64 {
    loop {
        let passed_ns = time_ns(*iterations);
        if passed_ns >= least_ns {
            return passed_ns;
        }
        *iterations = warm_up(sample_ns, &mut time_ns).max(iterations.saturating_mul(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::copies::calls::Calls;

    #[test]
    fn every_contender_is_sampled_once_a_round() {
        let contenders = Contender::all_available();
        let calls = Calls::all().nth(3).unwrap();
        let mut sweep = Sweep::new(contenders.clone(), 1 << 20, Effort::Quick).unwrap();
        let hot = Cell::hot(4096, 1, 2);
        let ways = [Residency::Hot, Residency::Cold, Residency::Touch, Residency::Used, Residency::Read];
        let short = Cell::hot(24, 16, 48).with(Residency::Used);
        for cell in ways.map(|residency| hot.with(residency)).into_iter().chain([short, Cell::calls(calls)]) {
            let samples = sweep.measure(cell, 0);
            let rounds = samples.iter().map(|sample| sample.round).max().unwrap() as usize + 1;
            assert_eq!(rounds, Effort::Quick.rounds_at(cell.len_bytes) as usize);
            // Elsewhere no work is known whose cycles can be counted.
            let clock = cfg!(target_arch = "x86_64").then_some(CORE_CLOCK);
            for name in contenders.iter().map(Contender::name).chain(clock) {
                let of_it: Vec<&Sample> = samples.iter().filter(|sample| sample.contender == name).collect();
                assert_eq!(of_it.len(), rounds, "{name}, {cell}");
                assert!(of_it.iter().all(|sample| sample.iterations > 0));
            }
        }
    }

    #[test]
    fn a_slow_first_call_is_not_taken_for_the_usual() {
        let mut calls = 0;
        let iterations = warm_up(60_000, |iterations| {
            calls += 1;
            if calls == 1 { 1_000_000 } else { iterations * 10 }
        });
        assert!((5_000..=7_000).contains(&iterations), "{iterations}");
    }

    #[test]
    fn a_warm_up_that_was_interrupted_gives_no_sample_that_is_too_short() {
        let mut interruptions = [false, true, false, true].into_iter();
        let mut time_ns = |iterations: u64| {
            let took_ns = iterations * 10;
            took_ns + if interruptions.next().unwrap_or(false) { 1_000_000 } else { 0 }
        };
        let mut iterations = warm_up(60_000, &mut time_ns);
        assert_eq!(iterations, 1, "the interruption is taken for the copy");
        let passed_ns = long_enough(7_500, 60_000, &mut iterations, time_ns);
        assert!(passed_ns >= 7_500 && passed_ns == iterations * 10, "{passed_ns} ns, {iterations} iterations");
    }

    #[test]
    fn warming_up_ends_at_the_length_that_was_asked() {
        let iterations = warm_up(60_000, |iterations| iterations * 10);
        assert!((5_000..=7_000).contains(&iterations), "{iterations}");
    }
}
