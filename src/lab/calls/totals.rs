//! All processes of a run together: sums of the rows of its record. Pure.

#![forbid(unsafe_code)]

use super::estimate::{Bin, Costs, Estimate, Timings, costs, together};
use super::record::{Figure, Process, Row};
use crate::lab::instruments::statistics::median;
pub use crate::recording::{Arm, Kind};
use std::collections::BTreeMap;

impl Kind {
    /// Its name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::MoveDown => "move_down",
            Self::MoveUp => "move_up",
            Self::Same => "same",
            Self::Fill => "fill",
        }
    }
}

impl Arm {
    /// Its name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Libc => "libc",
            Self::Plan => "plan",
        }
    }
}

/// Calls and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many calls.
    pub calls: u64,
    /// How many bytes all of them had.
    pub bytes: u64,
}

impl Sum {
    fn add(&mut self, calls: u64, bytes: u64) {
        self.calls = self.calls.saturating_add(calls);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Of some sums together.
    pub fn of(all: impl IntoIterator<Item = Self>) -> Self {
        let mut sum = Self::default();
        all.into_iter().for_each(|one| sum.add(one.calls, one.bytes));
        sum
    }
}

/// A range of lengths, or of whatever a figure counts by.
pub type Range = (u64, u64);

/// What all processes together did.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// All calls, by figure, kind and range.
    sums: BTreeMap<(Figure, String, Range), Sum>,
    /// Timed copies that are not interrupted, less what timing nothing takes, by routine.
    timed: BTreeMap<(Figure, Range), [Timings; 2]>,
    /// Processor time of all processes of which it is known, in nanoseconds.
    pub cpu_ns: u64,
    /// What recording took, in nanoseconds.
    pub recording_ns: f64,
    /// Ticks of the time-stamp counter in a nanosecond.
    pub ticks_per_ns: f64,
}

/// The figures that hold timings, by what was timed.
const TIMED: [Figure; 3] = [Figure::TimedCopies, Figure::TimedMoves, Figure::TimedFills];

impl Totals {
    /// The sums of these rows. Where the processes do not know how fast the time-stamp counter runs, it runs so fast.
    pub fn of(rows: &[Row], processes: &[Process], ticks_per_ns: f64) -> Self {
        let known = processes.iter().map(|process| process.ticks_per_ns).find(|rate| *rate > 0.0);
        let ticks_per_ns = known.unwrap_or(ticks_per_ns);
        let mut totals = Self { ticks_per_ns, ..Self::default() };
        let mut calls: BTreeMap<u32, u64> = BTreeMap::new();
        for row in rows {
            let Row { process, figure, ref what, from, up_to, count, bytes, ticks, squares } = *row;
            let of = processes.iter().find(|one| one.process == process);
            if figure == Figure::Calls {
                let all = calls.entry(process).or_default();
                *all = all.saturating_add(count);
            }
            if TIMED.contains(&figure) {
                let empty_ticks = of.map_or(0.0, |process| process.empty_ticks);
                let timings = Timings { count, ticks: ticks as f64, squares }.without(empty_ticks);
                let arms = totals.timed.entry((figure, (from, up_to))).or_default();
                if let Some(arm) = Arm::ALL.into_iter().find(|arm| arm.name() == what) {
                    arms[arm as usize] = arms[arm as usize].and(timings);
                }
            }
            totals.sums.entry((figure, what.clone(), (from, up_to))).or_default().add(count, bytes);
        }
        for process in processes {
            let calls = calls.get(&process.process).copied().unwrap_or(0) as f64;
            let ticks = calls * (process.call_ticks + process.sample_ticks / f64::from(process.period.max(1)));
            totals.recording_ns += ticks / ticks_per_ns.max(1e-4);
            totals.cpu_ns = totals.cpu_ns.saturating_add(process.cpu_ns);
        }
        totals
    }

    /// The sums of a figure, by kind and range.
    pub fn figure(&self, figure: Figure) -> impl Iterator<Item = (&str, Range, Sum)> {
        let of_it = self.sums.iter().filter(move |((one, _, _), _)| *one == figure);
        of_it.map(|((_, what, range), sum)| (&**what, *range, *sum))
    }

    /// All calls of these kinds.
    pub fn calls(&self, kinds: &[Kind]) -> Sum {
        Sum::of(self.by_length(kinds).into_values())
    }

    /// All calls of these kinds, by their lengths.
    pub fn by_length(&self, kinds: &[Kind]) -> BTreeMap<Range, Sum> {
        let mut found: BTreeMap<Range, Sum> = BTreeMap::new();
        for (what, range, sum) in self.figure(Figure::Calls) {
            if kinds.iter().any(|kind| kind.name() == what) {
                found.entry(range).or_default().add(sum.calls, sum.bytes);
            }
        }
        found
    }

    /// Copies, moves and fills by length, with what was timed of them.
    pub fn bins(&self, of: Figure) -> Vec<(Range, Bin)> {
        let kinds: &[Kind] = match of {
            Figure::TimedCopies => &[Kind::Copy],
            Figure::TimedMoves => &[Kind::MoveDown, Kind::MoveUp, Kind::Same],
            _ => &[Kind::Fill],
        };
        let bin = |((from, up_to), sum): (Range, Sum)| {
            let [libc, plan] = self.timed.get(&(of, (from, up_to))).copied().unwrap_or_default();
            let len_bytes = if sum.calls > 0 { sum.bytes as f64 / sum.calls as f64 } else { from as f64 };
            ((from, up_to), Bin { len_bytes, calls: sum.calls, libc, plan })
        };
        self.by_length(kinds).into_iter().map(bin).collect()
    }

    /// What all calls take, and what the plan saves over libc.
    pub fn costs(&self) -> Costs {
        let bins = |of| self.octaves(of).into_iter().flat_map(|(_, bins)| bins).collect::<Vec<Bin>>();
        TIMED.into_iter().map(|of| costs(&bins(of))).fold(Costs::default(), Costs::and)
    }

    /// The same by octave, lengths of one octave together as far as they must be for each to be timed often enough.
    pub fn octaves(&self, of: Figure) -> Vec<(Range, Vec<Bin>)> {
        let mut octaves: BTreeMap<Option<u32>, (Range, Vec<Bin>)> = BTreeMap::new();
        for (range, bin) in self.bins(of) {
            let (whole, bins) = octaves.entry(range.0.checked_ilog2()).or_insert((range, Vec::new()));
            whole.1 = range.1;
            bins.push(bin);
        }
        octaves.into_values().map(|(range, bins)| (range, together(&bins))).collect()
    }

    /// Ticks as a share of the processor time of all processes.
    pub fn share(&self, ticks: Estimate) -> Option<Estimate> {
        let all = self.cpu_ns as f64 * self.ticks_per_ns;
        (all > 0.0).then(|| ticks.times(1.0 / all))
    }

    /// The copies of each octave in which both routines were timed: libc's mean in ticks, and the plan's over it, with its error.
    pub fn ratios(&self) -> Vec<(Range, f64, Estimate)> {
        let ratio = |(range, bins): (Range, Vec<Bin>)| {
            let calls: u64 = bins.iter().map(|bin| bin.calls).fold(0, u64::saturating_add);
            let Costs { libc, plan, .. } = costs(&bins);
            let [libc, plan] = [libc?, plan?].map(|all| all.times(1.0 / calls as f64));
            let value = plan.value / libc.value;
            let relative = libc.variance / libc.value.powi(2) + plan.variance / plan.value.powi(2);
            let ratio = Estimate { value, variance: value * value * relative };
            (libc.value > 0.0 && plan.value > 0.0).then_some((range, libc.value, ratio))
        };
        self.octaves(Figure::TimedCopies).into_iter().filter_map(ratio).collect()
    }

    /// How sure those ratios are, in the median: a ratio above 1.
    pub fn noise_floor(&self) -> f64 {
        let reach = |(_, _, ratio): (Range, f64, Estimate)| 1.0 + 1.96 * ratio.variance.sqrt() / ratio.value;
        median(&self.ratios().into_iter().map(reach).collect::<Vec<f64>>()).unwrap_or(1.0)
    }

    /// The length below which that share of the calls is, in bytes, and the same by bytes; nothing where there is no call.
    pub fn quantile(&self, kinds: &[Kind], share: f64, weigh: impl Fn(&Sum) -> u64) -> Option<Range> {
        let lengths = self.by_length(kinds);
        let all: f64 = lengths.values().map(|sum| weigh(sum) as f64).sum();
        let mut passed = 0.0;
        lengths.into_iter().find_map(|(range, sum)| {
            passed += weigh(&sum) as f64;
            (all > 0.0 && passed >= share * all).then_some(range)
        })
    }
}
