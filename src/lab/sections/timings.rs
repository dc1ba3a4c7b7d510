//! From samples to core cycles: each loop against the loop without, round by round.

#![forbid(unsafe_code)]

use crate::lab::copies::summary::FINEST_FLOOR;
use crate::lab::instruments::statistics::{median, noise_floor, quantile};
use crate::lab::sections::sample::{Key, Part, Sample};
use std::collections::{BTreeMap, HashMap};

/// A cost, with how far its rounds spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median, in core cycles.
    pub cycles: f64,
    /// The lower and upper quartile, in core cycles.
    pub quartiles: (f64, f64),
}

/// The samples of a run, by what was timed and by round.
#[derive(Debug, Default)]
pub struct Timings {
    /// Core cycles a turn, by round.
    loops: HashMap<Key, BTreeMap<u32, f64>>,
    /// Core cycles a tick, each time that it was measured.
    clock: Vec<f64>,
    order: Vec<Key>,
}

impl Timings {
    /// Of these samples, in the order of the run: ticks become cycles by the clock that was measured last before them.
    pub fn of(samples: &[Sample]) -> Self {
        let mut timings = Self::default();
        for sample in samples {
            if sample.key.part == Part::Clock {
                timings.clock.push(sample.turns as f64 / sample.ticks.max(1) as f64);
                continue;
            }
            let Some(cycles_per_tick) = timings.clock.last() else {
                continue;
            };
            let cycles = sample.ticks as f64 / sample.turns.max(1) as f64 * cycles_per_tick;
            let rounds = timings.loops.entry(sample.key.clone()).or_insert_with(|| {
                timings.order.push(sample.key.clone());
                BTreeMap::new()
            });
            rounds.insert(sample.round, cycles);
        }
        timings
    }

    /// What was timed, in the order of the run.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.order.iter()
    }

    /// Core cycles a tick, over the whole run.
    pub fn cycles_per_tick(&self) -> Option<f64> {
        median(&self.clock)
    }

    /// What a turn costs more than one of the loop without it, in core cycles, round by round.
    pub fn turn_cycles(&self, key: &Key) -> Vec<f64> {
        self.differences(key, &key.setup())
    }

    /// What a turn costs, with its spread.
    pub fn cost(&self, key: &Key) -> Option<Spread> {
        spread(&self.turn_cycles(key))
    }

    /// What one of the copies of a turn costs, everything else of the turn shared among them.
    pub fn copy_cycles(&self, key: &Key) -> Option<f64> {
        Some(median(&self.turn_cycles(key))? / f64::from(key.copies.max(1)))
    }

    /// How much longer a turn of one loop takes than one of another, in core cycles, round by round.
    pub fn differences(&self, a: &Key, b: &Key) -> Vec<f64> {
        let (Some(a), Some(b)) = (self.loops.get(a), self.loops.get(b)) else {
            return Vec::new();
        };
        let in_round = |(round, cycles): (&u32, &f64)| Some(cycles - b.get(round)?);
        a.iter().filter_map(in_round).collect()
    }

    /// The noise floor: how far the odd rounds of a loop differ from the even ones, 95th percentile over all loops that
    /// copy, as a ratio above 1; at least [`FINEST_FLOOR`].
    pub fn noise_floor(&self) -> f64 {
        let halves = |key: &Key| {
            let rounds = self.turn_cycles(key);
            let half = |from: usize| median(&rounds.iter().copied().skip(from).step_by(2).collect::<Vec<_>>());
            let ratio = half(0)? / half(1)?;
            (key.len_bytes > 0 && ratio.is_finite() && ratio > 0.0).then_some(ratio)
        };
        let ratios: Vec<f64> = self.keys().filter_map(halves).collect();
        noise_floor(&ratios).unwrap_or(1.0).max(FINEST_FLOOR)
    }

    /// The length of a turn in core cycles, nothing taken off, round by round.
    pub fn whole_cycles(&self, key: &Key) -> Vec<f64> {
        self.loops.get(key).map_or_else(Vec::new, |rounds| rounds.values().copied().collect())
    }
}

pub(crate) fn spread(rounds: &[f64]) -> Option<Spread> {
    Some(Spread { cycles: median(rounds)?, quartiles: (quantile(rounds, 0.25)?, quantile(rounds, 0.75)?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(part: Part, subject: &'static str, copies: u32, round: u32, turns: u64, ticks: u64) -> Sample {
        let key = Key { copies, len_bytes: copies as usize, ..Key::of(part, subject) };
        Sample { key, round, turns, ticks }
    }

    #[test]
    fn a_cost_is_the_difference_within_a_round() {
        let mut samples = Vec::new();
        // Two cycles a tick, later one: the same cost in other ticks.
        for (round, cycles_per_tick) in [(1, 2), (2, 2), (3, 1)] {
            samples.push(sample(Part::Clock, "core_clock", 0, round, 1000, 1000 / cycles_per_tick));
            samples.push(sample(Part::Cost, Key::SETUP, 0, round, 10, 400 / cycles_per_tick));
            samples.push(sample(Part::Cost, "xsave", 0, round, 10, 1400 / cycles_per_tick));
        }
        let timings = Timings::of(&samples);
        let cost = timings.cost(&Key::of(Part::Cost, "xsave")).unwrap();
        assert_eq!((cost.cycles, cost.quartiles), (100.0, (100.0, 100.0)));
        assert_eq!(timings.cycles_per_tick(), Some(2.0));
        assert_eq!(timings.cost(&Key::of(Part::Cost, "absent")), None);
    }

    #[test]
    fn copies_share_what_a_turn_costs() {
        let samples = [
            sample(Part::Clock, "core_clock", 0, 1, 100, 100),
            sample(Part::Curve, Key::SETUP, 0, 1, 1, 50),
            sample(Part::Curve, "gpr", 8, 1, 2, 580),
        ];
        let timings = Timings::of(&samples);
        let key = Key { copies: 8, len_bytes: 8, ..Key::of(Part::Curve, "gpr") };
        assert_eq!(timings.copy_cycles(&key), Some(30.0));
        // Without two rounds nothing is known of the noise.
        assert_eq!(timings.noise_floor(), FINEST_FLOOR);
    }

    #[test]
    fn without_a_clock_there_are_no_cycles() {
        let timings = Timings::of(&[sample(Part::Cost, "xsave", 0, 1, 1, 100)]);
        assert_eq!(timings.keys().count(), 0);
    }
}
