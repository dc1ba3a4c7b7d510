//! From samples to figures: medians for each contender of each cell, the winner, and the noise floor of the run.

#![forbid(unsafe_code)]

use crate::kernel::{Kernel, Stores, kernels};
use crate::lab::copies::cell::{Cell, Residency};
use crate::lab::copies::contender::{LIBC, LIBC_AGAIN, MEMCPY_AUTO};
use crate::lab::copies::sweep::{CORE_CLOCK, Sample};
use crate::lab::instruments::statistics::{geometric_mean, is_tie, median, noise_floor, paired_ratio, quantile};
use crate::select::INLINE_MAX_BYTES;
use std::collections::{BTreeMap, BTreeSet};

/// No noise floor is below this: two routines may differ by as much through nothing but where their code lies.
pub const FINEST_FLOOR: f64 = 1.01;

/// All cells of a run, in the order of measuring.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The cells.
    pub cells: Vec<CellSummary>,
    /// The noise floor: how far the installed libc differs from itself, 95th percentile over the cells, as a ratio
    /// above 1; at least [`FINEST_FLOOR`].
    pub noise_floor: f64,
}

/// One cell of a run.
#[derive(Clone, Debug)]
pub struct CellSummary {
    /// Which.
    pub cell: Cell,
    /// Core cycles per nanosecond while this cell was measured.
    pub core_cycles_per_ns: Option<f64>,
    /// Whether the run shows that non-temporal stores lose at this length once the copy is read.
    pub non_temporal_loses: bool,
    contenders: BTreeMap<String, Vec<f64>>,
}

/// The kernel to use in a cell, or what to call there.
#[derive(Clone, Debug, PartialEq)]
pub struct Winner<'a> {
    /// Its name: the simplest of those that tie with the fastest.
    pub name: &'a str,
    /// The others within the noise floor of the fastest, simplest first.
    pub ties: Vec<&'a str>,
}

impl Summary {
    /// The figures of these samples.
    pub fn of(samples: &[Sample]) -> Self {
        let mut cells: Vec<CellSummary> = Vec::new();
        let mut position: BTreeMap<Cell, usize> = BTreeMap::new();
        for sample in samples {
            let at = *position.entry(sample.cell).or_insert_with(|| {
                cells.push(CellSummary {
                    cell: sample.cell,
                    core_cycles_per_ns: None,
                    non_temporal_loses: false,
                    contenders: BTreeMap::new(),
                });
                cells.len() - 1
            });
            let per_iteration_ns = sample.total_ns as f64 / sample.iterations as f64;
            cells[at].contenders.entry(sample.contender.to_string()).or_default().push(per_iteration_ns);
        }
        for cell in &mut cells {
            let cycle_ns = cell.contenders.remove(CORE_CLOCK).as_deref().and_then(median);
            cell.core_cycles_per_ns = cycle_ns.filter(|ns| *ns > 0.0).map(|ns| 1.0 / ns);
        }
        let losing: BTreeSet<usize> = non_temporal_loses_at(&cells);
        for cell in &mut cells {
            cell.non_temporal_loses = losing.contains(&cell.cell.len_bytes);
        }
        let same: Vec<f64> = cells.iter().filter_map(|cell| cell.time_ratio(LIBC_AGAIN, LIBC)).collect();
        let noise_floor = noise_floor(&same).unwrap_or(1.0).max(FINEST_FLOOR);
        Self { cells, noise_floor }
    }
}

/// The lengths at which copies by non-temporal stores lose to others once the copy is read: a loop that does not read keeps
/// the destination out of the caches for the next such copy, which no program does for it. Runs without such cells say
/// nothing.
fn non_temporal_loses_at(cells: &[CellSummary]) -> BTreeSet<usize> {
    let least = |cell: &CellSummary, stores: Stores| {
        let of_kind = kernels().iter().filter(|kernel| kernel.stores() == stores && kernel.is_contender());
        of_kind.filter_map(|kernel| cell.copy_ns(kernel.name())).min_by(f64::total_cmp)
    };
    let mut ratios: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| matches!(cell.cell.residency, Residency::Read | Residency::Touch)) {
        if let Some((past, others)) = least(cell, Stores::NonTemporal).zip(least(cell, Stores::Temporal)) {
            ratios.entry(cell.cell.len_bytes).or_default().push(past / others);
        }
    }
    let loses = |ratios: &[f64]| geometric_mean(ratios.iter().copied()).is_some_and(|ratio| ratio >= 1.0);
    ratios.into_iter().filter(|(_, ratios)| loses(ratios)).map(|(len_bytes, _)| len_bytes).collect()
}

impl CellSummary {
    /// The median time of one copy, in nanoseconds.
    pub fn copy_ns(&self, contender: &str) -> Option<f64> {
        median(self.contenders.get(contender)?)
    }

    /// The first and the third quartile of the time of one copy over the rounds, in nanoseconds.
    pub fn quartiles_ns(&self, contender: &str) -> Option<(f64, f64)> {
        let rounds = self.contenders.get(contender)?;
        Some((quantile(rounds, 0.25)?, quantile(rounds, 0.75)?))
    }

    /// Half the distance between the quartiles over the median: how far the rounds of a contender spread.
    pub fn spread(&self, contender: &str) -> Option<f64> {
        let (lower, upper) = self.quartiles_ns(contender)?;
        Some((upper - lower) / 2.0 / self.copy_ns(contender)?)
    }

    /// Time of `a` over time of `b`, round by round.
    pub fn time_ratio(&self, a: &str, b: &str) -> Option<f64> {
        paired_ratio(self.contenders.get(a)?, self.contenders.get(b)?)
    }

    /// Time of a contender over time of the fastest of others. With four rounds or more the fastest is picked from the even
    /// ones, and the odd ones give the ratio: the least of many noisy medians is less than any of them is worth.
    pub fn ratio_to_best<'a>(&self, contender: &str, others: impl Iterator<Item = &'a str>) -> Option<f64> {
        let rounds = |name: &str, first: usize| -> Option<Vec<f64>> {
            let all = self.contenders.get(name)?;
            let step = if all.len() < 4 { (0, 1) } else { (first, 2) };
            Some(all.iter().copied().skip(step.0).step_by(step.1).collect())
        };
        let timed = others.filter_map(|name| Some((name, median(&rounds(name, 0)?)?)));
        let (best, _) = timed.min_by(|a, b| a.1.total_cmp(&b.1))?;
        paired_ratio(&rounds(contender, 1)?, &rounds(best, 1)?)
    }

    /// Bytes copied per nanosecond: decimal gigabytes per second, the payload counted once.
    pub fn gb_per_s(&self, contender: &str) -> Option<f64> {
        Some(self.cell.len_bytes as f64 / self.copy_ns(contender)?)
    }

    /// Bytes copied per core cycle.
    pub fn bytes_per_cycle(&self, contender: &str) -> Option<f64> {
        Some(self.gb_per_s(contender)? / self.core_cycles_per_ns?)
    }

    /// The kernels of the table that were measured here, simplest first.
    pub fn kernels(&self) -> impl Iterator<Item = &'static str> + '_ {
        kernels().iter().map(Kernel::name).filter(|name| self.contenders.contains_key(*name))
    }

    /// Whatever else was measured here but `memcpy_auto` and the second libc: peers, by name.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        let is_other = |name: &&str| ![LIBC_AGAIN, MEMCPY_AUTO].contains(name) && Kernel::named(name).is_none();
        self.contenders.keys().map(String::as_str).filter(is_other)
    }

    /// Everything that was measured here, by name.
    pub fn contenders(&self) -> impl Iterator<Item = &str> {
        self.contenders.keys().map(String::as_str)
    }

    /// The fastest kernel, ties aside.
    pub fn fastest(&self) -> Option<&str> {
        self.fastest_of(|_| true)
    }

    fn fastest_of(&self, is_eligible: impl Fn(&str) -> bool) -> Option<&'static str> {
        let timed =
            self.kernels().filter(|name| is_eligible(name)).filter_map(|name| Some((name, self.copy_ns(name)?)));
        timed.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(name, _)| name)
    }

    /// The kernel to use: the simplest of those that the noise floor does not tell from the fastest.
    pub fn winner(&self, noise_floor: f64) -> Option<Winner<'_>> {
        self.winner_of(noise_floor, |_| true)
    }

    fn winner_of(&self, noise_floor: f64, is_eligible: impl Fn(&str) -> bool) -> Option<Winner<'_>> {
        let fastest = self.fastest_of(&is_eligible)?;
        let is_as_fast = |name: &&str| {
            self.time_ratio(name, fastest).is_some_and(|ratio| *name == fastest || is_tie(ratio, noise_floor))
        };
        let mut equals = self.kernels().filter(|name| is_eligible(name)).filter(is_as_fast);
        let name = equals.next()?;
        Some(Winner { name, ties: equals.collect() })
    }

    /// What a program should call here: `memcpy_auto` where it copies inlined or where it beats every kernel beyond the
    /// noise floor, else the kernel to use. It is never slower than the installed libc or than `memcpy_auto` beyond that
    /// floor, and no non-temporal kernel where [these lose](Self::non_temporal_loses) when the copy is read.
    pub fn advice(&self, noise_floor: f64) -> Option<Winner<'_>> {
        let is_advisable = |name: &str| {
            let stores = Kernel::named(name).map(Kernel::stores);
            !(self.non_temporal_loses && stores == Some(Stores::NonTemporal))
        };
        let fastest = self.fastest_of(is_advisable)?;
        let is_slower = |name: &str, than: &str| self.time_ratio(name, than).is_some_and(|ratio| ratio > noise_floor);
        let kernels = self.winner_of(noise_floor, is_advisable)?;
        let has_auto = self.copy_ns(MEMCPY_AUTO).is_some();
        let is_inlined = self.cell.len_bytes <= INLINE_MAX_BYTES && !matches!(self.cell.residency, Residency::Calls(_));
        if has_auto && is_inlined && !is_slower(MEMCPY_AUTO, fastest) {
            let ties = std::iter::once(kernels.name).chain(kernels.ties);
            let ties = ties.filter(|name| !is_slower(name, MEMCPY_AUTO)).collect();
            return Some(Winner { name: MEMCPY_AUTO, ties });
        }
        let mut equals = std::iter::once(kernels.name).chain(kernels.ties).filter(|name| {
            // Ratios are medians of rounds: what ties with the fastest need not tie with both of these.
            !is_slower(name, LIBC) && !is_slower(name, MEMCPY_AUTO)
        });
        Some(match equals.next() {
            Some(name) => Winner { name, ties: equals.collect() },
            None if has_auto && is_slower(fastest, MEMCPY_AUTO) => Winner { name: MEMCPY_AUTO, ties: Vec::new() },
            None => Winner { name: fastest, ties: Vec::new() },
        })
    }

    /// Time of `memcpy_auto` over time of the fastest kernel.
    pub fn regret(&self) -> Option<f64> {
        self.time_ratio(MEMCPY_AUTO, self.fastest()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn samples(figures: &[(&'static str, [u64; 3])]) -> Vec<Sample> {
        let of_one = |&(name, rounds): &(&'static str, [u64; 3])| {
            rounds.into_iter().enumerate().map(move |(round, total_ns)| Sample {
                cell: Cell::hot(1000, 0, 0),
                contender: Cow::Borrowed(name),
                round: round as u32,
                iterations: 10,
                total_ns,
            })
        };
        figures.iter().flat_map(of_one).collect()
    }

    #[test]
    fn figures_come_from_medians() {
        let summary =
            Summary::of(&samples(&[(CORE_CLOCK, [5, 5, 5]), ("gpr", [900, 1000, 5000]), (LIBC, [500, 500, 500])]));
        let cell = &summary.cells[0];
        assert_eq!(cell.core_cycles_per_ns, Some(2.0));
        assert_eq!(cell.copy_ns("gpr"), Some(100.0));
        assert_eq!(cell.gb_per_s("gpr"), Some(10.0));
        assert_eq!(cell.bytes_per_cycle("gpr"), Some(5.0));
        assert_eq!(cell.time_ratio("gpr", LIBC), Some(2.0));
        assert_eq!(cell.copy_ns("absent"), None);
    }

    #[test]
    fn the_simplest_of_equals_wins() {
        let figures = [("portable", [1000; 3]), (LIBC, [1000; 3]), (LIBC_AGAIN, [1020; 3]), (MEMCPY_AUTO, [500; 3])];
        let summary = Summary::of(&samples(&figures));
        let winner = summary.cells[0].winner(summary.noise_floor).unwrap();
        assert_eq!(winner, Winner { name: LIBC, ties: vec!["portable"] });
        assert_eq!(summary.cells[0].regret(), Some(0.5));
    }

    fn advised(len_bytes: usize, figures: &[(&'static str, [u64; 3])]) -> String {
        let mut samples = samples(figures);
        samples.iter_mut().for_each(|sample| sample.cell = Cell::hot(len_bytes, 0, 0));
        Summary::of(&samples).cells[0].advice(1.02).unwrap().name.to_owned()
    }

    #[test]
    fn advice_is_memcpy_auto_where_it_is_inlined_unless_something_beats_it() {
        let equal = [("portable", [1000; 3]), (LIBC, [1000; 3]), (MEMCPY_AUTO, [1010; 3])];
        assert_eq!(advised(64, &equal), MEMCPY_AUTO);
        assert_eq!(advised(65, &equal), LIBC);
        let beaten = [("portable", [900; 3]), (LIBC, [1000; 3]), (MEMCPY_AUTO, [1010; 3])];
        assert_eq!(advised(64, &beaten), "portable");
    }

    #[test]
    fn advice_is_never_slower_than_libc_or_memcpy_auto_beyond_the_floor() {
        assert_eq!(advised(4096, &[("portable", [1100; 3]), (LIBC, [1000; 3]), (MEMCPY_AUTO, [1100; 3])]), LIBC);
        assert_eq!(advised(4096, &[("portable", [1000; 3]), (LIBC, [1100; 3]), (MEMCPY_AUTO, [900; 3])]), MEMCPY_AUTO);
        // The rounds of the three do not agree: by medians of ratios `portable` ties with the fastest and loses to libc.
        let torn = [("portable", [1000, 1030, 1030]), (LIBC, [1005, 1000, 1000]), (MEMCPY_AUTO, [1000; 3])];
        assert_eq!(advised(4096, &torn), LIBC);
    }

    #[cfg(memcpy_select_asm)]
    #[test]
    fn a_non_temporal_kernel_is_no_advice_where_it_loses_when_the_copy_is_read() {
        let hot = samples(&[("sse2_aligned", [1000; 3]), ("sse2_nt", [500; 3]), (LIBC, [1100; 3])]);
        for (nt_ns, name) in [(1200, "sse2_aligned"), (800, "sse2_nt")] {
            let mut read = samples(&[("sse2_aligned", [1000; 3]), ("sse2_nt", [nt_ns; 3]), (LIBC, [1100; 3])]);
            read.iter_mut().for_each(|sample| sample.cell = sample.cell.with(Residency::Read));
            let summary = Summary::of(&[hot.clone(), read].concat());
            assert_eq!(summary.cells[0].advice(1.02).unwrap().name, name);
            assert_eq!(summary.cells[0].fastest(), Some("sse2_nt"));
        }
    }

    #[test]
    fn a_difference_above_the_floor_is_a_win() {
        let figures = [("portable", [900; 3]), (LIBC, [1000; 3]), (LIBC_AGAIN, [1020; 3])];
        let summary = Summary::of(&samples(&figures));
        assert!((summary.noise_floor - 1.02).abs() < 1e-9);
        let winner = summary.cells[0].winner(summary.noise_floor).unwrap();
        assert_eq!(winner, Winner { name: "portable", ties: vec![] });
    }
}
