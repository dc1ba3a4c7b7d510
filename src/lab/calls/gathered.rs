//! All recordings of a run, as they are read one after the other: processes, and where their calls came from. What is kept is
//! bounded, however many processes there are.

#![forbid(unsafe_code)]

use super::estimate::Timings;
use super::mappings::CodeAt;
use super::record::{Figure, Process, Row, Site};
use super::recorded::{Recorded, Samples};
use super::symbols::{Named, functions};
use std::collections::BTreeMap;

/// So many processes are kept by themselves, those with most calls; the others together.
pub const MOST_PROCESSES: usize = 64;
/// So many call sites are told apart, of all processes together.
pub const MOST_SITES: usize = 16 << 10;
/// So many of them are named and kept in a record, those with most time.
const MOST_SITES_KEPT: usize = 256;

/// What rows of several processes must have in common to be one.
type Key = (Figure, String, u64, u64);

/// What was read so far.
#[derive(Debug, Default)]
pub struct Gathered {
    alone: Vec<(Process, Vec<Row>)>,
    /// All others, and how many they are.
    others: Option<(Process, BTreeMap<Key, Row>)>,
    others_count: u32,
    sites: BTreeMap<CodeAt, Samples>,
    sites_missed: u64,
}

impl Gathered {
    /// How many processes there are.
    pub fn count(&self) -> usize {
        self.alone.len() + self.others_count as usize
    }

    /// Adds what one recording says.
    pub fn add(&mut self, recorded: Recorded) {
        let Recorded { process, rows, sites, .. } = recorded;
        for (code, samples) in sites {
            if self.sites.len() >= MOST_SITES && !self.sites.contains_key(&code) {
                self.sites_missed = self.sites_missed.saturating_add(samples.count);
                continue;
            }
            self.sites.entry(code).or_default().add(&samples);
        }
        self.alone.push((process, rows));
        if self.alone.len() > MOST_PROCESSES {
            let least = (0..self.alone.len()).min_by_key(|at| calls(&self.alone[*at].1));
            let (process, rows) = self.alone.swap_remove(least.unwrap_or(0));
            self.join(process, rows);
        }
    }

    /// Counts a process with the others.
    fn join(&mut self, process: Process, rows: Vec<Row>) {
        self.others_count += 1;
        let empty_ticks = process.empty_ticks;
        let (others, sums) = self.others.get_or_insert_with(|| {
            let program = String::new();
            (
                Process {
                    pid: 0,
                    parent: 0,
                    program,
                    empty_ticks: 0.0,
                    forked: 0,
                    threads: 0,
                    cpu_ns: 0,
                    ..process.clone()
                },
                BTreeMap::new(),
            )
        });
        others.program = format!("{} further processes", self.others_count);
        others.forked = others.forked.saturating_add(process.forked);
        others.threads = others.threads.saturating_add(process.threads);
        others.cpu_ns = others.cpu_ns.saturating_add(process.cpu_ns);
        others.elapsed_ns = others.elapsed_ns.max(process.elapsed_ns);
        others.sites_missed = others.sites_missed.saturating_add(process.sites_missed);
        for row in rows {
            let Row { figure, what, from, up_to, count, bytes, ticks, squares, .. } = row;
            // Each process has measured for itself what timing nothing takes.
            let timed = Timings { count, ticks: ticks as f64, squares }.without(empty_ticks);
            let key = (figure, what.clone(), from, up_to);
            let none = Row { process: 0, figure, what, from, up_to, count: 0, bytes: 0, ticks: 0, squares: 0.0 };
            let sum = sums.entry(key).or_insert(none);
            sum.count = sum.count.saturating_add(count);
            sum.bytes = sum.bytes.saturating_add(bytes);
            sum.ticks = sum.ticks.saturating_add(timed.ticks.max(0.0) as u64);
            sum.squares += timed.squares.max(0.0);
        }
    }

    /// The processes with their rows, those with most calls first, each with its number.
    pub fn processes(&self) -> Vec<(Process, Vec<Row>)> {
        let mut all = self.alone.clone();
        all.sort_by_key(|(_, rows)| std::cmp::Reverse(calls(rows)));
        let others = self.others.as_ref();
        all.extend(others.map(|(process, sums)| (process.clone(), sums.values().cloned().collect())));
        for (number, (process, rows)) in (0..).zip(&mut all) {
            process.process = number;
            rows.iter_mut().for_each(|row| row.process = number);
        }
        all
    }

    /// The call sites with most time, by name.
    pub fn sites(&self) -> Vec<Site> {
        let mut all: Vec<(&CodeAt, &Samples)> = self.sites.iter().collect();
        all.sort_by(|a, b| b.1.ticks.total_cmp(&a.1.ticks).then(b.1.count.cmp(&a.1.count)));
        all.truncate(MOST_SITES_KEPT);
        let mut files: BTreeMap<(&str, u64), Vec<u64>> = BTreeMap::new();
        for (code, _) in &all {
            files.entry((&code.path, code.inode)).or_default().push(code.offset);
        }
        let mut named: BTreeMap<CodeAt, Named> = BTreeMap::new();
        for ((path, inode), places) in files {
            for (place, name) in places.iter().zip(functions(path, inode, &places)) {
                named.insert(CodeAt { path: path.to_owned(), inode, offset: *place }, name);
            }
        }
        let site = |(code, samples): &(&CodeAt, &Samples)| {
            let Named { address, symbol, offset } = named.get(code).cloned().unwrap_or_default();
            Site {
                module: code.path.escape_debug().to_string(),
                address,
                symbol: symbol.escape_debug().to_string(),
                offset,
                calls_to: samples.calls_to(),
                samples: samples.count,
                bytes: samples.bytes,
                ticks: samples.ticks.round(),
                repeats: samples.repeats.0,
                compared: samples.repeats.1,
                lengths: samples.lengths_text(),
            }
        };
        all.iter().map(site).collect()
    }
}

/// All calls in these rows.
fn calls(rows: &[Row]) -> u64 {
    let calls = rows.iter().filter(|row| row.figure == Figure::Calls);
    calls.fold(0, |sum, row| sum.saturating_add(row.count))
}
