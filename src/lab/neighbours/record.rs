//! A record of neighbours: `neighbour.csv`, a neighbour and round a row; `safety.csv`, what safety costs; `newcomers.csv`, how
//! long newcomers took to connect.

use super::roles::{IDLE, NEIGHBOURS, Neighbour, original};
use super::{Newcomer, Price};
use crate::lab::instruments::round_trips::{percentile, round_trips, round_trips_text, together};
use crate::lab::instruments::statistics::{Estimate, bootstrap_median, noise_floor, paired_ratio, quantile};
use crate::lab::record::{CsvFile, Ended, Environment, Growing, Growth, Kept, Record, RecordError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::Path;

/// The bench of such records, and the name of the file that grows, without its ending.
pub const BENCH: &str = "neighbour";
/// The further files, without their endings.
pub(super) const SAFETY: &str = "safety";
pub(super) const NEWCOMERS: &str = "newcomers";

/// What an honest client saw in one round beside one neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How all wait.
    pub mode: String,
    /// Beside which neighbour.
    pub neighbour: String,
    /// In which round.
    pub round: u32,
    /// Nanoseconds, and how many requests took that long.
    pub round_trips: Vec<(u64, u32)>,
    /// How often a hostile neighbour, or the stranger that makes its calls, did in a second what it does; 0 of others, and in older
    /// records.
    pub steps_per_s: u64,
}

/// A request is slow that takes so many times the median of those beside an idle neighbour.
pub const SLOW: f64 = 10.0;
/// A hostile neighbour may cost so many times what a stranger costs that makes the same calls elsewhere.
pub const AT_MOST: f64 = 1.1;
const RESAMPLES: usize = 1000;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    mode: String,
    neighbour: String,
    round: u32,
    round_trips: String,
    #[serde(default)]
    steps_per_s: u64,
}

/// A run over neighbours.
#[derive(Clone, Debug)]
pub struct NeighbourRecord {
    /// Where and how it ran.
    pub environment: Environment,
    /// Whether the run came to its end.
    pub complete: bool,
    /// What was seen.
    pub samples: Vec<Sample>,
    /// What safety costs; nothing in records of runs that did not come so far.
    pub prices: Vec<Price>,
    /// How long newcomers took; nothing in older records.
    pub newcomers: Vec<Newcomer>,
    /// The files beside that of the samples, as they are.
    pub tables: Vec<CsvFile>,
}

impl NeighbourRecord {
    /// Reads a record back.
    ///
    /// # Errors
    ///
    /// [`RecordError`] with the file, and where there is one the line, that cannot be what a run has written.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        Self::of(Record::read(folder)?)
    }

    /// The neighbours of a record.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn of(record: Record) -> Result<Self, RecordError> {
        Self::of_kept(Kept::of::<NeighbourGrowth>(record)?)
    }

    /// The same of what was just written.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn of_kept(kept: Kept<Sample>) -> Result<Self, RecordError> {
        let Kept { environment, complete, entries: samples, tables, .. } = kept;
        let table = |name: &str| tables.iter().find(|table| table.name() == name);
        let prices = table(SAFETY).map_or(Ok(Vec::new()), CsvFile::rows)?;
        let newcomers = table(NEWCOMERS).map_or(Ok(Vec::new()), CsvFile::rows)?;
        Ok(Self { environment, complete, samples, prices, newcomers, tables })
    }

    /// What was seen beside each neighbour in each way to wait, in the order of measuring.
    pub fn seen(&self) -> Vec<Seen<'_>> {
        seen(&self.samples)
    }

    /// Each hostile neighbour against the stranger that makes the same calls elsewhere, in each way to wait; nothing in older
    /// records.
    pub fn verdicts(&self) -> Vec<Verdict<'_>> {
        verdicts(&self.seen())
    }

    /// What a turn took by the prices of safety, round by round.
    pub fn turns_ns(&self, what: &str, allocator: &str, size: u32) -> Vec<f64> {
        let is_it = |price: &&Price| (&*price.what, &*price.allocator, price.size) == (what, allocator, size);
        self.prices.iter().filter(is_it).map(|price| price.total_ns as f64 / price.turns.max(1) as f64).collect()
    }

    /// Of which sizes there are prices, ascending.
    pub fn sizes(&self, what: &str) -> Vec<u32> {
        let sizes = self.prices.iter().filter(|price| price.what == what).map(|price| price.size);
        sizes.collect::<BTreeSet<u32>>().into_iter().collect()
    }

    /// Of newcomers beside each neighbour: how many there were, and the median, 99th percentile and worst of how long they
    /// took to connect, in nanoseconds.
    pub fn connects(&self) -> Vec<(&'static str, usize, [f64; 3])> {
        let beside = |neighbour: &'static Neighbour| {
            let times = self.newcomers.iter().filter(|one| one.neighbour == neighbour.name);
            let times_ns: Vec<f64> = times.map(|one| one.connect_ns as f64).collect();
            let [p50, p99, worst] = [0.5, 0.99, 1.0].map(|share| quantile(&times_ns, share));
            Some((neighbour.name, times_ns.len(), [p50?, p99?, worst?]))
        };
        NEIGHBOURS.iter().filter_map(beside).collect()
    }

    /// How far rounds beside one and the same neighbour differ.
    pub fn noise_floor(&self) -> f64 {
        noise_floor_of(&self.samples)
    }
}

fn verdicts<'a>(all: &[Seen<'a>]) -> Vec<Verdict<'a>> {
    let find = |mode: &str, name: &str| all.iter().find(|one| one.mode == mode && one.neighbour == name);
    let of = |stranger: &Seen<'a>| {
        let hostile = find(stranger.mode, original(stranger.neighbour)?)?;
        let slow_ns = SLOW * find(stranger.mode, IDLE)?.at_ns(0.5)?;
        let slow = [hostile, stranger].map(|one| one.share_above(slow_ns));
        Some(Verdict { hostile: hostile.clone(), stranger: stranger.clone(), ratio: hostile.against(stranger)?, slow })
    };
    all.iter().filter_map(of).collect()
}

fn seen(samples: &[Sample]) -> Vec<Seen<'_>> {
    let mut all: Vec<Seen<'_>> = Vec::new();
    for Sample { mode, neighbour, round, round_trips, steps_per_s } in samples {
        let at = all.iter().position(|one| one.mode == mode && one.neighbour == neighbour).unwrap_or_else(|| {
            all.push(Seen { mode, neighbour, rounds: Vec::new(), steps_per_s: Vec::new() });
            all.len() - 1
        });
        all[at].rounds.push((*round, round_trips));
        all[at].steps_per_s.push(*steps_per_s as f64);
    }
    all.iter_mut().for_each(|one| one.rounds.sort_by_key(|(round, _)| *round));
    all
}

/// What a hostile neighbour costs an honest client beyond a stranger that makes the same calls elsewhere.
#[derive(Clone, Debug)]
pub struct Verdict<'a> {
    /// Beside the hostile one.
    pub hostile: Seen<'a>,
    /// Beside the stranger.
    pub stranger: Seen<'a>,
    /// The 99th percentile beside the first over that beside the second, in the same round.
    pub ratio: Estimate,
    /// Which share of the requests was slow, beside each.
    pub slow: [f64; 2],
}

impl Verdict<'_> {
    /// Whether the hostile one costs no more than it may, 1.1 times as much; `None` if that is not sure.
    pub fn is_fair(&self) -> Option<bool> {
        let (low, high) = self.ratio.interval;
        if high <= AT_MOST {
            Some(true)
        } else if low > AT_MOST {
            Some(false)
        } else {
            None
        }
    }
}

/// Odd rounds against even ones, over all neighbours.
fn noise_floor_of(samples: &[Sample]) -> f64 {
    let halves = |one: &Seen<'_>| {
        let rounds = one.rounds_p99_ns();
        let half = |from: usize| rounds.iter().copied().skip(from).step_by(2).collect::<Vec<f64>>();
        paired_ratio(&half(0), &half(1))
    };
    noise_floor(&seen(samples).iter().filter_map(halves).collect::<Vec<f64>>()).unwrap_or(1.0).max(1.0)
}

/// What was seen beside one neighbour in one way to wait.
#[derive(Clone, Debug)]
pub struct Seen<'a> {
    /// How all wait.
    pub mode: &'a str,
    /// The neighbour.
    pub neighbour: &'a str,
    /// Of each round, in their order.
    rounds: Vec<(u32, &'a [(u64, u32)])>,
    steps_per_s: Vec<f64>,
}

impl Seen<'_> {
    /// All round trips together.
    pub fn all(&self) -> Vec<(u64, u32)> {
        together(self.rounds.iter().map(|(_, trips)| *trips))
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.all().iter().map(|(_, count)| u64::from(*count)).sum()
    }

    /// The time below which this share of them lie, in nanoseconds.
    pub fn at_ns(&self, share: f64) -> Option<f64> {
        percentile(&self.all(), share).map(|ns| ns as f64)
    }

    /// The 99th percentile of each round, in nanoseconds.
    pub fn rounds_p99_ns(&self) -> Vec<f64> {
        self.rounds.iter().filter_map(|(_, trips)| percentile(trips, 0.99)).map(|ns| ns as f64).collect()
    }

    /// The share of all round trips that took longer.
    pub fn share_above(&self, ns: f64) -> f64 {
        let all = self.all();
        let count = |trips: &[&(u64, u32)]| trips.iter().map(|(_, count)| u64::from(*count)).sum::<u64>() as f64;
        let slow: Vec<&(u64, u32)> = all.iter().filter(|(took_ns, _)| *took_ns as f64 > ns).collect();
        count(&slow) / count(&all.iter().collect::<Vec<_>>()).max(1.0)
    }

    /// As [`over`](Self::over), of the rounds that both have, with its interval.
    pub fn against(&self, other: &Self) -> Option<Estimate> {
        let p99 = |trips: &[(u64, u32)]| percentile(trips, 0.99).map(|ns| ns as f64);
        let ratio = |(round, trips): &(u32, &[(u64, u32)])| {
            let (_, others) = other.rounds.iter().find(|(same, _)| same == round)?;
            Some(p99(trips)? / p99(others)?).filter(|ratio| ratio.is_finite())
        };
        bootstrap_median(&self.rounds.iter().filter_map(ratio).collect::<Vec<f64>>(), RESAMPLES)
    }

    /// The steps in a second that the neighbour took, of the round in the middle.
    pub fn steps_per_s(&self) -> Option<f64> {
        quantile(&self.steps_per_s, 0.5)
    }

    /// The 99th percentile over that beside another neighbour, round by round.
    pub fn over(&self, other: &Self) -> Option<f64> {
        paired_ratio(&self.rounds_p99_ns(), &other.rounds_p99_ns()).filter(|ratio| ratio.is_finite())
    }
}

/// A record of neighbours while it grows, round by round.
pub type GrowingNeighbours = Growing<NeighbourGrowth>;

/// What the rows of a record of neighbours have in common: nothing.
#[derive(Debug)]
pub struct NeighbourGrowth;

impl Growth for NeighbourGrowth {
    const FILE: &'static str = BENCH;
    /// How all wait, and the round.
    type Step = (String, u32);
    type Entry = Sample;

    fn new(_bench: &str, _environment: &Environment) -> Self {
        Self
    }

    fn row<'a>(&'a self, sample: &'a Sample) -> impl Serialize + 'a {
        let Sample { mode, neighbour, round, round_trips, steps_per_s } = sample.clone();
        Row { mode, neighbour, round, round_trips: round_trips_text(&round_trips), steps_per_s }
    }

    fn step(&self, sample: &Sample) -> (String, u32) {
        (sample.mode.clone(), sample.round)
    }

    fn read(&self, table: &CsvFile) -> Result<Vec<Ended<Sample>>, RecordError> {
        let of_row = |Row { mode, neighbour, round, round_trips: trips, steps_per_s }| {
            Ok(Sample { mode, neighbour, round, round_trips: round_trips(&trips)?, steps_per_s })
        };
        table.read_ends(of_row, |error| error.to_string())
    }

    fn noise_floor(&self, samples: &[Sample]) -> f64 {
        noise_floor_of(samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(neighbour: &str, round: u32, p99_ns: u64) -> Sample {
        let round_trips = vec![(100, 95), (p99_ns, 5)];
        Sample { mode: "adaptive".to_owned(), neighbour: neighbour.to_owned(), round, round_trips, steps_per_s: 7 }
    }

    #[test]
    fn a_hostile_neighbour_is_judged_by_the_stranger_that_makes_its_calls() {
        let p99_ns = |name: &str, round: u64| match name {
            "rings" => 2000 + 10 * round,
            "leaves" => 1000 * (1 + round % 3),
            "greets" => 1050,
            _ => 1000,
        };
        let names = [
            "idle",
            "rings",
            "rings_elsewhere",
            "leaves_elsewhere",
            "leaves",
            "greets",
            "stranger_connects",
            "dies",
            "stops_elsewhere",
        ];
        let round = |round: u32| names.map(|name| sample(name, round, p99_ns(name, round.into())));
        let samples: Vec<Sample> = (0..12).flat_map(round).collect();
        let all = seen(&samples);
        let verdicts = verdicts(&all);
        let said: Vec<_> = verdicts.iter().map(|one| (one.hostile.neighbour, one.is_fair())).collect();
        assert_eq!(said, [("rings", Some(false)), ("leaves", None), ("greets", Some(true))]);
        assert!((2.0..2.2).contains(&verdicts[0].ratio.median), "{:?}", verdicts[0].ratio);
        // Ten times the median beside the idle one is 1000 ns.
        assert_eq!(verdicts[0].slow, [0.05, 0.0]);
        assert_eq!(verdicts[0].hostile.steps_per_s(), Some(7.0));
    }
}
