//! Figures from samples. Pure: derived now, or years later.

#![forbid(unsafe_code)]

use crate::lab::instruments::round_trips::{percentile, together};
use crate::lab::instruments::statistics::{median, noise_floor, paired_ratio};
use crate::lab::paths::cell::Cell;
use crate::lab::paths::control::{Moved, Pattern};
use crate::lab::paths::sweep::{AGAIN, Sample, What};
use crate::lab::paths::ways::Tiers;
use std::collections::BTreeMap;

/// What setting up is compared with: a path that needs next to none.
const PLAIN: &str = "unix_stream";

/// Half a round trip, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Percentiles {
    /// Half of the trips took at most that.
    pub p50: f64,
    /// 99 of 100 did.
    pub p99: f64,
    /// 999 of 1000 did; of fewer trips, the longest.
    pub p999: f64,
}

/// What one path does at one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Where.
    pub cell: Cell,
    /// The path.
    pub path: String,
    /// The kernel, where one was chosen.
    pub kernel: Option<String>,
    /// Half a round trip. Where several messages are under way, half of the time from sending a message to hearing that
    /// it was received, which includes its waiting.
    pub half_rtt_ns: Option<Percentiles>,
    /// Payload one way, once, decimal.
    pub gb_per_s: Option<f64>,
    /// Time of a message one way, in nanoseconds.
    pub message_ns: Option<f64>,
    /// Core cycles for a byte one way, of the near side's core.
    pub cycles_per_byte: Option<f64>,
    /// Copies that a payload makes, as the path declares.
    pub copies: u32,
    /// System calls of both sides for a message: counted by the path, or else by tracing both sides, where that may be.
    pub system_calls: Option<f64>,
    /// Page faults of both sides for a message.
    pub faults: Option<f64>,
    /// Processor time of both sides for a message, in nanoseconds.
    pub cpu_ns: Option<f64>,
    /// What setting up took on both sides, in nanoseconds.
    pub set_up_ns: Option<u64>,
    /// Page faults of setting up.
    pub set_up_faults: Option<u64>,
    /// After how many messages what setting up takes more than the plain path's is repaid; nothing if it never is.
    pub repaid_after: Option<u64>,
}

/// All figures of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// A row for each path and kernel at each cell, in the order of measuring; second runs are left out.
    pub rows: Vec<Row>,
    /// How far a path differs from itself: a ratio above 1, under which a difference is a tie.
    pub noise_floor: f64,
}

/// Samples of one path at one cell.
#[derive(Default)]
struct Taken<'a> {
    ping_pong: Vec<Run<'a>>,
    one_way: Vec<Run<'a>>,
    set_up: Option<(u64, u64)>,
    /// System calls a message, traced.
    traced: Option<f64>,
    copies: u32,
}

#[derive(Clone, Copy)]
struct Run<'a> {
    messages: u64,
    near: &'a Moved,
    far: &'a Moved,
}

impl Run<'_> {
    fn message_ns(&self) -> f64 {
        self.near.total_ns as f64 / self.messages as f64
    }
}

type Key = (String, Option<String>);

impl Summary {
    /// The figures of these samples.
    pub fn of(samples: &[Sample]) -> Self {
        let mut cells: Vec<(Cell, BTreeMap<Key, Taken<'_>>, Vec<Key>)> = Vec::new();
        for sample in samples {
            let at = cells.iter().rposition(|(cell, ..)| *cell == sample.cell).unwrap_or_else(|| {
                cells.push((sample.cell, BTreeMap::new(), Vec::new()));
                cells.len() - 1
            });
            let (_, taken, order) = &mut cells[at];
            let key = (sample.path.clone(), sample.kernel.clone());
            if !taken.contains_key(&key) {
                order.push(key.clone());
            }
            let taken = taken.entry(key).or_default();
            taken.copies = sample.copies;
            match &sample.what {
                What::SetUp(cost) => taken.set_up = Some((cost.ns, cost.faults)),
                What::Traced { messages, system_calls } => {
                    taken.traced = Some(*system_calls as f64 / (*messages).max(1) as f64);
                }
                What::Moved { pattern, messages, near, far } => {
                    let runs = if *pattern == Pattern::PingPong { &mut taken.ping_pong } else { &mut taken.one_way };
                    runs.push(Run { messages: *messages, near, far });
                }
            }
        }
        let mut rows = Vec::new();
        let mut same = Vec::new();
        for (cell, taken, order) in &cells {
            let plain = taken.get(&(PLAIN.to_owned(), None)).map(|plain| row(*cell, PLAIN, None, plain));
            for (path, kernel) in order {
                let key = (path.clone(), kernel.clone());
                if let Some(first) = path.strip_suffix(AGAIN) {
                    let first = taken.get(&(first.to_owned(), kernel.clone()));
                    same.extend(first.into_iter().flat_map(|first| ratio(first, &taken[&key])));
                    continue;
                }
                let mut row = row(*cell, path, kernel.as_deref(), &taken[&key]);
                row.repaid_after = plain.as_ref().and_then(|plain| repaid_after(plain, &row));
                rows.push(row);
            }
        }
        Self { rows, noise_floor: noise_floor(&same).unwrap_or(1.0) }
    }

    /// The rows of these circumstances, whatever the length.
    pub fn beside(&self, like: &Cell) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.cell.is_beside(like))
    }

    /// Where the tiered path should change from one tier to the next in these circumstances, if all three were measured:
    /// half way between lengths, as ratios.
    pub fn tiers(&self, like: &Cell) -> Option<Tiers> {
        let time = |path: &str, bytes: usize| {
            let of = |row: &&Row| row.path == path && row.kernel.is_none() && row.cell.payload_bytes == bytes;
            self.beside(like).find(of).and_then(Row::judged_ns)
        };
        let mut sizes: Vec<usize> = self.beside(like).map(|row| row.cell.payload_bytes).collect();
        sizes.sort_unstable();
        sizes.dedup();
        // The longest length at which the first is not slower than the others.
        let last = |first: &str, others: &[&str]| {
            let wins = |bytes: &usize| {
                let own = time(first, *bytes);
                own.is_some_and(|own| others.iter().all(|other| time(other, *bytes).is_none_or(|ns| own <= ns)))
            };
            sizes.iter().rposition(wins)
        };
        let limit = |at: Option<usize>, most: usize| match at {
            None => 0,
            Some(at) => sizes.get(at + 1).map_or(most, |next| ((sizes[at] as f64 * *next as f64).sqrt()) as usize),
        };
        let (direct, handover) = ("process_vm_readv", "cow_handover");
        sizes.iter().find_map(|bytes| time(handover, *bytes))?;
        Some(Tiers {
            inline_max_bytes: limit(last("inline", &[direct, handover]), Tiers::INLINE_MAX_BYTES),
            direct_max_bytes: limit(last(direct, &[handover]), usize::MAX),
        })
    }
}

impl Row {
    /// The time by which paths are compared: half a round trip where one message is under way, a message's time one way
    /// where there are several.
    pub fn judged_ns(&self) -> Option<f64> {
        let half = self.half_rtt_ns.map(|half| half.p50);
        if self.cell.depth == 1 { half.or(self.message_ns) } else { self.message_ns }
    }
}

/// How long the same path took the second time, as a ratio.
fn ratio(first: &Taken<'_>, again: &Taken<'_>) -> Vec<f64> {
    let times = |runs: &[Run<'_>]| -> Vec<f64> { runs.iter().map(Run::message_ns).collect() };
    let pairs = [(&first.ping_pong, &again.ping_pong), (&first.one_way, &again.one_way)];
    pairs.into_iter().filter_map(|(a, b)| paired_ratio(&times(a), &times(b))).collect()
}

fn row(cell: Cell, path: &str, kernel: Option<&str>, taken: &Taken<'_>) -> Row {
    let over = |runs: &[Run<'_>], figure: &dyn Fn(&Run<'_>) -> Option<f64>| {
        median(&runs.iter().filter_map(figure).collect::<Vec<f64>>())
    };
    let bytes = cell.payload_bytes as f64;
    // What is counted for a message: there and back are two. With several under way, credits are counted too.
    let (counted, each) = if taken.ping_pong.is_empty() { (&taken.one_way, 1.0) } else { (&taken.ping_pong, 2.0) };
    let per_message = |figure: &dyn Fn(&Moved) -> Option<u64>| {
        over(counted, &|run| {
            let both = figure(run.near)? + figure(run.far)?;
            Some(both as f64 / (run.messages as f64 * each))
        })
    };
    let message_ns = over(&taken.one_way, &|run| Some(run.message_ns()));
    let trips = together(counted.iter().map(|run| run.near.round_trips.as_slice()));
    let half = |share| percentile(&trips, share).map(|ns| ns as f64 / 2.0);
    let percentiles = || Some(Percentiles { p50: half(0.5)?, p99: half(0.99)?, p999: half(0.999)? });
    Row {
        cell,
        path: path.to_owned(),
        kernel: kernel.map(str::to_owned),
        half_rtt_ns: percentiles(),
        gb_per_s: message_ns.map(|ns| bytes / ns).filter(|_| cell.payload_bytes > 0),
        message_ns,
        cycles_per_byte: over(&taken.one_way, &|run| {
            let (cycles, ns) = run.near.clock;
            (cycles > 0 && ns > 0 && bytes > 0.0).then(|| run.message_ns() * cycles as f64 / ns as f64 / bytes)
        }),
        copies: taken.copies,
        system_calls: per_message(&|moved| moved.system_calls).or(taken.traced),
        faults: per_message(&|moved| Some(moved.faults)),
        cpu_ns: per_message(&|moved| Some(moved.cpu_ns)),
        set_up_ns: taken.set_up.map(|(ns, _)| ns),
        set_up_faults: taken.set_up.map(|(_, faults)| faults),
        repaid_after: None,
    }
}

fn repaid_after(plain: &Row, row: &Row) -> Option<u64> {
    let more_ns = row.set_up_ns?.saturating_sub(plain.set_up_ns?) as f64;
    let saved_ns = plain.judged_ns()? - row.judged_ns()?;
    (saved_ns > 0.0).then(|| (more_ns / saved_ns).ceil() as u64)
}
