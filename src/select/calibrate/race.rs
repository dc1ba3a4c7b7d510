//! Kernels against each other at one spot: which are timed, which drop out, and what the visits come to.

use super::super::choose::Point;
use super::spot::{Buffers, Spot, Way, is_worth_trying};
use crate::kernel::{Kernel, ReadyKernel, Stores};
use std::collections::BTreeMap;
use std::vec::Vec;

/// In fewer a kernel may be behind by accident.
pub(super) const SURE_VISITS: usize = 3;
/// How much slower than the best a kernel may look, in its first visits and then, and still be in the running.
const HOPELESS: [f64; 2] = [1.6, 1.2];
/// The same for long copies, of which each visit is expensive.
const HOPELESS_IF_LONG: [f64; 2] = [1.25, 1.15];

/// The candidates at one spot: what each took in each visit, and which are still in the running.
#[derive(Clone, Debug)]
pub(super) struct Race {
    pub(super) spot: Spot,
    /// The candidates of the plans before, without whom nothing is compared, and the platform's copy.
    stays: Vec<usize>,
    pub(super) running: Vec<usize>,
    /// Nanoseconds of one copy, by candidate and visit; `None` where it did not run.
    pub(super) ns: Vec<Vec<Option<f64>>>,
    /// Kernels that must not be taken here, whatever they took.
    barred: Vec<bool>,
}

impl Race {
    pub(super) fn new(spot: Spot, kernels: &[&'static Kernel], chosen: [Option<usize>; 2]) -> Self {
        let platform = kernels.iter().position(|kernel| kernel.stores() == Stores::Unknown);
        let mut stays: Vec<usize> = chosen.into_iter().chain([platform]).flatten().collect();
        stays.sort_unstable();
        stays.dedup();
        let worth = |at: &usize| stays.contains(at) || is_worth_trying(kernels[*at], spot.len_bytes);
        let running = (0..kernels.len()).filter(worth).collect();
        Self { spot, stays, running, ns: std::vec![Vec::new(); kernels.len()], barred: std::vec![false; kernels.len()] }
    }

    /// Times each kernel in the running once, one after another, unless there is nothing left to decide.
    pub(super) fn visit(&mut self, buffers: &mut Buffers, candidates: &[ReadyKernel]) {
        if self.is_decided() {
            return;
        }
        let (visit, count) = (self.visits(), self.running.len());
        // The first one finds the caches as another spot left them: it is timed twice.
        let first = self.running[visit % count];
        buffers.time(candidates[first], &self.spot, Some(f64::INFINITY));
        let mut ns: Vec<Option<f64>> = std::vec![None; candidates.len()];
        for turn in 0..count {
            // Each visit starts elsewhere.
            let at = self.running[(turn + visit) % count];
            let usual = self.ns[at].iter().flatten().copied().min_by(f64::total_cmp);
            ns[at] = Some(buffers.time(candidates[at], &self.spot, usual));
        }
        self.ns.iter_mut().zip(ns).for_each(|(all, one)| all.push(one));
    }

    pub(super) fn visits(&self) -> usize {
        self.ns.first().map_or(0, Vec::len)
    }

    pub(super) fn is_decided(&self) -> bool {
        self.visits() >= SURE_VISITS && self.running.iter().all(|at| self.stays.contains(at)) && self.stays.len() < 2
    }

    /// The median time of one copy by a candidate, in nanoseconds.
    pub(super) fn usual_ns(&self, at: usize) -> Option<f64> {
        median(self.ns[at].iter().flatten().copied().collect())
    }

    /// Takes kernels out of the running that are far behind the best of those that may take their place.
    pub(super) fn drop_losers(&mut self, kernels: &[&'static Kernel]) {
        let behind = if self.spot.is_long() { HOPELESS_IF_LONG } else { HOPELESS };
        let behind = behind[usize::from(self.visits() >= SURE_VISITS)];
        let usual: Vec<Option<f64>> = (0..self.ns.len()).map(|at| self.usual_ns(at)).collect();
        let best = |without_simd: bool| {
            let eligible = self.running.iter().filter(|at| !without_simd || kernels[**at].writes().is_empty());
            eligible.filter_map(|at| usual[*at]).fold(f64::INFINITY, f64::min)
        };
        let (best, best_no_simd) = (best(false), best(true));
        let stays = &self.stays;
        self.running.retain(|at| {
            let own_best = if kernels[*at].writes().is_empty() { best_no_simd } else { best };
            stays.contains(at) || usual[*at].is_none_or(|ns| ns <= behind * own_best)
        });
    }

    /// The logarithm of the time of one kernel over that of another in each visit that timed both.
    pub(super) fn ratios(&self, over: usize, under: usize) -> Vec<f64> {
        let pairs = self.ns[over].iter().zip(&self.ns[under]);
        pairs.filter_map(|(over, under)| Some(((*over)? / (*under)?).ln())).collect()
    }

    /// What a copy takes with each candidate, for those with whom it can be compared: the time of `base`, by the median ratio.
    pub(super) fn point(&self, base: usize) -> Option<Point> {
        let base_ns = self.usual_ns(base)?;
        let ns = |at: usize| {
            let ratio = median(self.ratios(at, base)).filter(|_| !self.barred[at]);
            ratio.map_or(f64::INFINITY, |ratio| base_ns * ratio.exp())
        };
        let Spot { len_bytes, weight, .. } = self.spot;
        Some(Point { len_bytes, class: self.spot.class(), weight, copy_ns: (0..self.ns.len()).map(ns).collect() })
    }
}

/// Takes kernels out of the long races that dropped out of the longest of the others, non-temporal ones aside.
pub(super) fn enter_the_long_races(races: &mut [Race], kernels: &[&'static Kernel]) {
    let Some(shorter) = races.iter().rev().find(|race| !race.spot.is_long() && race.spot.way == Way::Read) else {
        return;
    };
    let left = shorter.running.clone();
    for race in races.iter_mut().filter(|race| race.spot.is_long()) {
        let stays = &race.stays;
        let enters =
            |at: &usize| stays.contains(at) || left.contains(at) || kernels[*at].stores() == Stores::NonTemporal;
        race.running.retain(enters);
    }
}

/// Bars non-temporal kernels at lengths at which they lose once the copy is read: a loop that does not read keeps the
/// destination out of the caches for the next such copy, which no program does for it.
pub(super) fn bar_non_temporal(races: &mut [Race], kernels: &[&'static Kernel]) {
    let mut sums: BTreeMap<usize, f64> = BTreeMap::new();
    for race in races.iter().filter(|race| race.spot.way == Way::Read) {
        let best = |is_non_temporal: bool| {
            let of_kind = |at: &usize| (kernels[*at].stores() == Stores::NonTemporal) == is_non_temporal;
            let times = (0..kernels.len()).filter(of_kind).filter_map(|at| race.usual_ns(at));
            times.fold(f64::INFINITY, f64::min)
        };
        *sums.entry(race.spot.len_bytes).or_default() += (best(true) / best(false)).ln();
    }
    for race in races {
        let wins = sums.get(&race.spot.len_bytes).is_some_and(|sum| *sum < 0.0);
        for (barred, kernel) in race.barred.iter_mut().zip(kernels) {
            *barred |= kernel.stores() == Stores::NonTemporal && !wins;
        }
    }
}

pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        values.get(middle).copied()
    } else {
        Some((values.get(middle)? + values.get(middle.checked_sub(1)?)?) / 2.0)
    }
}
