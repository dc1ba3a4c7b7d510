//! A record of what a program copies: `profile.csv`, what was counted of each process; `profile-processes.csv`,
//! `profile-sites.csv` and `profile-run.csv`, what is known of the processes, the call sites and the run; `workload.csv`, the
//! lengths of the copies.

use super::run::{Choice, PLAN};
use super::totals::Totals;
use crate::lab::record::{
    CallLengths, CsvFile, Ended, Environment, Growing, Growth, Kept, LengthRange, Record, RecordError,
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The bench of such records, and the name of the file that grows, without its ending.
pub const BENCH: &str = "profile";
/// The further files, without their endings; [`WORKLOAD`](crate::lab::record::WORKLOAD) is one more.
pub(super) const PROCESSES: &str = "profile-processes";
pub(super) const SITES: &str = "profile-sites";
pub(super) const RUN: &str = "profile-run";

/// The line of a grid that asks for each process by itself.
const BY_PROCESS: &str = "each process";

/// What a row of `profile.csv` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// All calls, by what they did and their length in bytes.
    Calls,
    /// Timed copies of ranges that do not overlap, by routine and length: `ticks` and the sum of their squares.
    TimedCopies,
    /// The same of ranges that overlap.
    TimedMoves,
    /// The same of fills.
    TimedFills,
    /// Timed calls during which something else ran, by routine and length.
    Interrupted,
    /// Sampled copies by the destination's address modulo 64.
    DstOffset,
    /// The same by the source's.
    SrcOffset,
    /// Sampled fills by the destination's address modulo 64.
    FillOffset,
    /// Sampled copies by how far the destination is after the source modulo 4096.
    Distance,
    /// Sampled copies of ranges that do not overlap, by alignment class and length.
    Class,
    /// Copies that were watched, by line and length, and how soon after the copy that line was accessed, in nanoseconds.
    Reuse,
    /// The same where it was not accessed while it was watched, for that long at least.
    Unused,
}

/// A row of `profile.csv`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The process, by its number in `profile-processes.csv`.
    pub process: u32,
    /// What is counted.
    pub figure: Figure,
    /// Of which kind.
    pub what: String,
    /// From here on, in the figure's unit.
    pub from: u64,
    /// To here.
    pub up_to: u64,
    /// How many calls.
    pub count: u64,
    /// How many bytes all of them had.
    pub bytes: u64,
    /// How long all of them took, in ticks of the time-stamp counter, what timing nothing takes included.
    pub ticks: u64,
    /// The sum of the squares of that.
    pub squares: f64,
}

/// A process that was recorded, or several that are counted together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Its number.
    pub process: u32,
    /// Its process identifier; 0 of several together.
    pub pid: u32,
    /// That of its parent at the start.
    pub parent: u32,
    /// The path of its program.
    pub program: String,
    /// How many it forked that did not execute another program: they are counted with it.
    pub forked: u32,
    /// How many threads copied.
    pub threads: u32,
    /// From its start to the last thing that was written, in nanoseconds.
    pub elapsed_ns: u64,
    /// Its processor time, in nanoseconds; 0: not known.
    pub cpu_ns: u64,
    /// One call in that many was sampled.
    pub period: u32,
    /// What carried out the calls: `libc`, `plan`, or `both` in turns.
    pub under: String,
    /// Ticks of the time-stamp counter in a nanosecond; 0: not known.
    pub ticks_per_ns: f64,
    /// What timing nothing takes, in ticks.
    pub empty_ticks: f64,
    /// What recording adds to a call, in ticks.
    pub call_ticks: f64,
    /// What a sampled call takes, in ticks.
    pub sample_ticks: f64,
    /// How it ended: `exited`; `without exit`, by a signal, by `_exit`, or by executing another program; or `goes on`.
    pub end: String,
    /// Why it is not known how soon copies are accessed again; empty where it is.
    pub unwatched: String,
    /// Sampled calls whose site found no place.
    pub sites_missed: u64,
}

/// Where sampled calls came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// The file with the code; empty where there is none.
    pub module: String,
    /// The return address in that file as its symbols count, or in memory where there is none.
    pub address: u64,
    /// The function with the call; empty where its name is not known.
    pub symbol: String,
    /// How far the return address is in it, in bytes.
    pub offset: u64,
    /// What is called: `memcpy`, and so on, joined by `+`.
    pub calls_to: String,
    /// Sampled calls.
    pub samples: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their ticks, by the mean of those that were timed and not interrupted, less what timing nothing takes.
    pub ticks: f64,
    /// How many had the length of the sample before, of all but the first in each process.
    pub repeats: u64,
    /// How many those were.
    pub compared: u64,
    /// Sampled calls by length, as `<longest length>x<how many>`.
    pub lengths: String,
}

/// How the run went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// How the program ended, in words.
    pub end: String,
    /// How long it ran, in nanoseconds.
    pub elapsed_ns: u64,
    /// Processes that went on when it had ended.
    pub going_on: u32,
    /// What could not be recorded, and why; empty if there is nothing to say.
    pub caveat: String,
}

/// A run of a program.
#[derive(Clone, Debug)]
pub struct CallsRecord {
    /// Where and how it ran.
    pub environment: Environment,
    /// Whether the run came to its end.
    pub complete: bool,
    /// The program and its arguments.
    pub command: String,
    /// What was counted.
    pub rows: Vec<Row>,
    /// The processes.
    pub processes: Vec<Process>,
    /// The call sites, those with most time first.
    pub sites: Vec<Site>,
    /// What the plan chooses for the sampled copies.
    pub choices: Vec<Choice>,
    /// Whether each process is to be shown by itself.
    pub is_by_process: bool,
    /// How the run went; nothing in records of runs that did not come to their end.
    pub run: Option<Run>,
    /// The files beside that of the rows, as they are.
    pub tables: Vec<CsvFile>,
}

impl CallsRecord {
    /// Reads a record back.
    ///
    /// # Errors
    ///
    /// [`RecordError`] with the file, and where there is one the line, that cannot be what a run has written.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        Self::of(Record::read(folder)?)
    }

    /// What a record says.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn of(record: Record) -> Result<Self, RecordError> {
        Self::of_kept(Kept::of::<ProfileGrowth>(record)?)
    }

    /// The same of what was just written.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn of_kept(kept: Kept<Row>) -> Result<Self, RecordError> {
        fn rows<T: serde::de::DeserializeOwned>(tables: &[CsvFile], name: &str) -> Result<Vec<T>, RecordError> {
            tables.iter().find(|table| table.name() == name).map_or(Ok(Vec::new()), CsvFile::rows)
        }
        let Kept { environment, complete, entries, tables, grid, .. } = kept;
        let processes = rows(&tables, PROCESSES)?;
        let sites = rows(&tables, SITES)?;
        let choices = rows(&tables, PLAN)?;
        let run = rows(&tables, RUN)?.pop();
        let grid = grid.unwrap_or_default();
        let command = grid.lines().find_map(|line| line.strip_prefix("command ")).unwrap_or("a program").to_owned();
        let is_by_process = grid.lines().any(|line| line == BY_PROCESS);
        Ok(Self {
            environment,
            complete,
            command,
            rows: entries,
            processes,
            sites,
            choices,
            is_by_process,
            run,
            tables,
        })
    }

    /// All processes together.
    pub fn totals(&self) -> Totals {
        self.totals_of(&self.rows, &self.processes)
    }

    /// Each process by itself.
    pub fn of_each(&self) -> Vec<Totals> {
        let of = |process: &Process| {
            let rows: Vec<Row> = self.rows.iter().filter(|row| row.process == process.process).cloned().collect();
            self.totals_of(&rows, std::slice::from_ref(process))
        };
        self.processes.iter().map(of).collect()
    }

    fn totals_of(&self, rows: &[Row], processes: &[Process]) -> Totals {
        Totals::of(rows, processes, self.environment.clock.tsc_ticks_per_ns)
    }

    /// Why it is not known of some processes how soon copies are accessed again.
    pub fn unwatched(&self) -> Option<String> {
        // Where one process was watched, the others copied too little.
        let is_watched = |row: &Row| matches!(row.figure, Figure::Reuse | Figure::Unused);
        if self.rows.iter().any(is_watched) {
            return None;
        }
        let process = self.processes.iter().find(|process| !process.unwatched.is_empty())?;
        Some(format!("How soon copies are accessed again is not known: {}.", process.unwatched))
    }
}

/// What a record says of what was run: the command on one line, then the options.
pub(super) fn grid_of(command: &[String], period: u32, under: &str, is_by_process: bool) -> String {
    let words: Vec<String> = command.iter().map(|word| word.escape_debug().to_string()).collect();
    let by_process = if is_by_process { format!("{BY_PROCESS}\n") } else { String::new() };
    format!("command {}\nevery {period}\nunder {under}\n{by_process}", words.join(" "))
}

/// The lengths of all copies in these rows, fills aside; nothing if there is none.
pub(super) fn lengths_of(rows: &[Row]) -> Option<CallLengths> {
    let mut ranges: Vec<LengthRange> = Vec::new();
    let is_copy = |row: &&Row| row.figure == Figure::Calls && row.what != super::totals::Kind::Fill.name();
    let mut copies: Vec<&Row> = rows.iter().filter(is_copy).collect();
    copies.sort_by_key(|row| row.from);
    for row in copies {
        match ranges.last_mut() {
            Some(last) if last.from_bytes == row.from => last.calls = last.calls.saturating_add(row.count),
            _ => ranges.push(LengthRange { from_bytes: row.from, up_to_bytes: row.up_to, calls: row.count }),
        }
    }
    CallLengths::new(ranges).ok()
}

/// A record of a program while it grows, process by process.
pub type GrowingProfile = Growing<ProfileGrowth>;

/// What the rows of a record of a program have in common: nothing.
#[derive(Debug)]
pub struct ProfileGrowth;

impl Growth for ProfileGrowth {
    const FILE: &'static str = BENCH;
    /// The process.
    type Step = u32;
    type Entry = Row;

    fn new(_bench: &str, _environment: &Environment) -> Self {
        Self
    }

    fn row<'a>(&'a self, row: &'a Row) -> impl Serialize + 'a {
        row
    }

    fn step(&self, row: &Row) -> u32 {
        row.process
    }

    fn read(&self, table: &CsvFile) -> Result<Vec<Ended<Row>>, RecordError> {
        let of_row = |row: Row| match row {
            Row { from, up_to, .. } if from > up_to => Err(format!("{from} to {up_to} is no range")),
            Row { squares, .. } if !(squares.is_finite() && squares >= 0.0) => {
                Err(format!("{squares} is no sum of squares"))
            }
            row => Ok(row),
        };
        table.read_ends(of_row, |error| error.to_string())
    }

    /// How sure the ratio of the two routines' times is, in the median over the lengths.
    fn noise_floor(&self, rows: &[Row]) -> f64 {
        Totals::of(rows, &[], 1.0).noise_floor()
    }
}
