//! A record of paths: `ipc.csv`, one run of one path a row, integers and names only; `ipc-copies.csv`, copies as the table makes
//! them, with the same columns; `ipc-cache.csv`, what transfers do to other data in the consumer's cache; and `ipc-parts.csv`,
//! parts of the transport by themselves.

use super::cache::CacheSample;
use super::ways::{Mode, Way};
use super::{
    Cell, Copies, Cost, Moved, PartSample, Pattern, Placement, Predicted, Refusal, Sample, Summary, What, predictions,
};
use crate::lab::instruments::round_trips::{round_trips, round_trips_text};
use crate::lab::record::{CsvFile, Ended, Environment, Growing, Growth, Kept, Record, RecordError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The bench of such records, and the name of the file that grows, without its ending.
pub const BENCH: &str = "ipc";
/// The further files, without their endings.
pub(super) const COPIES: &str = "ipc-copies";
pub(super) const CACHE: &str = "ipc-cache";
pub(super) const PARTS: &str = "ipc-parts";
/// What stands in the column `pattern` of a row that tells what setting up took.
const SET_UP: &str = "set_up";
/// What stands there in a row that tells of traced system calls.
const TRACED: &str = "traced";
/// What stands there in a row that tells why there is no other.
const REFUSED: &str = "refused";

/// A run of the verb `ipc`: its environment, its samples, and what could not be measured.
#[derive(Clone, Debug)]
pub struct PathRecord {
    /// Where and how it ran.
    pub environment: Environment,
    /// What was to be measured, a line each.
    pub grid: String,
    /// Every run of every path.
    pub samples: Vec<Sample>,
    /// What could not be measured, and why.
    pub refusals: Vec<Refusal>,
    /// Parts of the transport by themselves; none in records of runs that did not measure any.
    pub parts: Vec<PartSample>,
    /// Whether the run came to its end.
    pub complete: bool,
    /// Copies as the table makes them, without the table; none if they were not measured.
    pub copies: Vec<Sample>,
    /// What transfers did to other data in the consumer's cache; nothing if it was not measured.
    pub cache: Vec<CacheSample>,
}

impl PathRecord {
    /// Reads a record back. Of one that is not complete, a last line that was not written to its end is left out.
    ///
    /// # Errors
    ///
    /// [`RecordError`] with the file, and where there is one the line, that cannot be what a run has written.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        Self::of(Record::read(folder)?)
    }

    /// The paths of a record.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn of(record: Record) -> Result<Self, RecordError> {
        Self::of_kept(Kept::of::<PathGrowth>(record)?)
    }

    /// The same of what was just written.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn of_kept(kept: Kept<Entry>) -> Result<Self, RecordError> {
        let Kept { environment, grid, complete, entries, tables, .. } = kept;
        let table = |name: &str| tables.iter().find(|table| table.name() == name);
        let copies = table(COPIES).map_or(Ok(Vec::new()), |table| table.read(Row::read))?;
        let cache = table(CACHE).map_or(Ok(Vec::new()), |table| table.read(CacheRow::read))?;
        let parts = table(PARTS).map_or(Ok(Vec::new()), CsvFile::rows)?;
        let copies = copies.into_iter().filter_map(Result::ok).collect();
        let grid = grid.unwrap_or_default();
        let mut record =
            Self { environment, grid, samples: Vec::new(), refusals: Vec::new(), parts, complete, copies, cache };
        for entry in entries {
            match entry {
                Ok(sample) => record.samples.push(sample),
                Err(refusal) => record.refusals.push(refusal),
            }
        }
        Ok(record)
    }

    /// Saves the record as `<results>/<machine>/<date>.<n>` with the next `n`, and returns that folder.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unwritable`] if a folder or file cannot be made.
    pub fn save(&self, results: &Path) -> Result<PathBuf, RecordError> {
        let Self { environment, grid, samples, refusals, parts, complete, copies, cache } = self.clone();
        let mut tables = Vec::new();
        if !copies.is_empty() {
            tables.push(copies_table(&copies, &[])?);
        }
        if !cache.is_empty() {
            tables.push(cache_table(&cache)?);
        }
        if !parts.is_empty() {
            tables.push(CsvFile::of(PARTS, &parts)?);
        }
        let entries = samples.into_iter().map(Ok).chain(refusals.into_iter().map(Err)).collect();
        let kept = Kept { bench: BENCH.to_owned(), environment, grid: Some(grid), complete, entries, tables };
        kept.record::<PathGrowth>()?.save(results)
    }

    /// What the model says of the table's copying rows; nothing if no copies were measured.
    pub fn predictions(&self) -> Vec<Predicted> {
        predictions(&self.summary(), &Copies::of(&self.copies))
    }

    /// The figures.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.samples)
    }
}

/// Copies as the table makes them, and why some have no sample.
pub(super) fn copies_table(copies: &[Sample], refusals: &[Refusal]) -> Result<CsvFile, RecordError> {
    CsvFile::made(COPIES, copies.iter().map(Row::of_sample).chain(refusals.iter().map(Row::of_refusal)))
}

/// What transfers did to other data.
pub(super) fn cache_table(samples: &[CacheSample]) -> Result<CsvFile, RecordError> {
    CsvFile::made(CACHE, samples.iter().map(CacheRow::of))
}

/// A run of a path, or why there is none.
pub type Entry = Result<Sample, Refusal>;

/// A record of paths while it grows, cell by cell.
pub type GrowingPaths = Growing<PathGrowth>;

/// What the rows of a record of paths have in common: nothing.
#[derive(Debug)]
pub struct PathGrowth;

impl Growth for PathGrowth {
    const FILE: &'static str = BENCH;
    type Step = Cell;
    type Entry = Entry;

    fn new(_bench: &str, _environment: &Environment) -> Self {
        Self
    }

    fn row<'a>(&'a self, entry: &'a Entry) -> impl Serialize + 'a {
        match entry {
            Ok(sample) => Row::of_sample(sample),
            Err(refusal) => Row::of_refusal(refusal),
        }
    }

    fn step(&self, entry: &Entry) -> Cell {
        match entry {
            Ok(sample) => sample.cell,
            Err(refusal) => refusal.cell,
        }
    }

    fn read(&self, table: &CsvFile) -> Result<Vec<Ended<Entry>>, RecordError> {
        table.read_ends(Row::read, |error| error.to_string())
    }

    fn noise_floor(&self, entries: &[Entry]) -> f64 {
        let samples: Vec<Sample> = entries.iter().filter_map(|entry| entry.as_ref().ok()).cloned().collect();
        Summary::of(&samples).noise_floor
    }
}

/// A row as it stands in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    path: String,
    kernel: Option<String>,
    payload_bytes: usize,
    mode: String,
    placement: String,
    touched: bool,
    depth: usize,
    connections: usize,
    src_offset: usize,
    dst_offset: usize,
    pattern: String,
    round: u32,
    copies: u32,
    messages: u64,
    total_ns: u64,
    near_cpu_ns: u64,
    far_cpu_ns: u64,
    near_system_calls: Option<u64>,
    far_system_calls: Option<u64>,
    near_faults: u64,
    far_faults: u64,
    clock_cycles: u64,
    clock_ns: u64,
    round_trips: String,
    reason: String,
}

impl Row {
    fn at(cell: &Cell, path: &str, kernel: Option<&str>, pattern: &str) -> Self {
        Self {
            path: path.to_owned(),
            kernel: kernel.map(str::to_owned),
            payload_bytes: cell.payload_bytes,
            mode: cell.mode.name().to_owned(),
            placement: cell.placement.name().to_owned(),
            touched: cell.touch,
            depth: cell.depth,
            connections: cell.connections,
            src_offset: cell.src_offset,
            dst_offset: cell.dst_offset,
            pattern: pattern.to_owned(),
            ..Self::default()
        }
    }

    fn of_refusal(refusal: &Refusal) -> Self {
        let row = Self::at(&refusal.cell, &refusal.path, refusal.kernel.as_deref(), REFUSED);
        // A line a row: a file that was torn off anywhere is read up to its last line's end.
        Self { reason: refusal.reason.replace(['\n', '\r'], " "), ..row }
    }

    fn of_sample(sample: &Sample) -> Self {
        let pattern = match &sample.what {
            What::SetUp(_) => SET_UP,
            What::Traced { .. } => TRACED,
            What::Moved { pattern, .. } => pattern.name(),
        };
        let row = Self::at(&sample.cell, &sample.path, sample.kernel.as_deref(), pattern);
        let row = Self { round: sample.round, copies: sample.copies, ..row };
        match &sample.what {
            What::SetUp(cost) => Self { messages: 1, total_ns: cost.ns, near_faults: cost.faults, ..row },
            What::Traced { messages, system_calls } => {
                Self { messages: *messages, near_system_calls: Some(*system_calls), ..row }
            }
            What::Moved { messages, near, far, .. } => Self {
                messages: *messages,
                total_ns: near.total_ns,
                near_cpu_ns: near.cpu_ns,
                far_cpu_ns: far.cpu_ns,
                near_system_calls: near.system_calls,
                far_system_calls: far.system_calls,
                near_faults: near.faults,
                far_faults: far.faults,
                clock_cycles: near.clock.0,
                clock_ns: near.clock.1,
                round_trips: round_trips_text(&near.round_trips),
                ..row
            },
        }
    }

    fn cell(&self) -> Result<Cell, String> {
        let mode = Mode::ALL.into_iter().find(|mode| mode.name() == self.mode);
        let placement = Placement::ALL.into_iter().find(|placement| placement.name() == self.placement);
        if self.depth == 0 || self.connections == 0 {
            return Err("nothing is under way at depth 0 or over no connection".to_owned());
        }
        Ok(Cell {
            mode: mode.ok_or_else(|| format!("there is no mode {:?}", self.mode))?,
            placement: placement.ok_or_else(|| format!("there is no placement {:?}", self.placement))?,
            touch: self.touched,
            depth: self.depth,
            connections: self.connections,
            src_offset: self.src_offset,
            dst_offset: self.dst_offset,
            payload_bytes: self.payload_bytes,
        })
    }

    /// What the row tells: a sample, or why there is none.
    fn read(self) -> Result<Result<Sample, Refusal>, String> {
        let cell = self.cell()?;
        if self.pattern == REFUSED {
            return Ok(Err(Refusal { cell, path: self.path, kernel: self.kernel, reason: self.reason }));
        }
        if self.messages == 0 || (self.total_ns == 0 && self.pattern != TRACED) {
            return Err("no message was timed".to_owned());
        }
        let what = if self.pattern == TRACED {
            let system_calls = self.near_system_calls.ok_or("no system calls in a traced row")?;
            What::Traced { messages: self.messages, system_calls }
        } else if self.pattern == SET_UP {
            What::SetUp(Cost { ns: self.total_ns, faults: self.near_faults })
        } else {
            let pattern = Pattern::ALL.into_iter().find(|pattern| pattern.name() == self.pattern);
            let near = Moved {
                total_ns: self.total_ns,
                cpu_ns: self.near_cpu_ns,
                system_calls: self.near_system_calls,
                faults: self.near_faults,
                wrong: 0,
                round_trips: round_trips(&self.round_trips)?,
                clock: (self.clock_cycles, self.clock_ns),
                beside: (0, 0),
            };
            let far = Moved {
                cpu_ns: self.far_cpu_ns,
                system_calls: self.far_system_calls,
                faults: self.far_faults,
                ..Moved::default()
            };
            What::Moved {
                pattern: pattern.ok_or_else(|| format!("there is no pattern {:?}", self.pattern))?,
                messages: self.messages,
                near: Box::new(near),
                far: Box::new(far),
            }
        };
        let (path, kernel, round, copies) = (self.path, self.kernel, self.round, self.copies);
        Ok(Ok(Sample { cell, path, kernel, round, copies, what }))
    }
}

/// A row as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CacheRow {
    way: String,
    kernel: Option<String>,
    touched: bool,
    payload_bytes: usize,
    walk_bytes: usize,
    round: u32,
    walks: u64,
    total_ns: u64,
}

impl CacheRow {
    fn of(sample: &CacheSample) -> Self {
        Self {
            way: sample.way.name().to_owned(),
            kernel: sample.kernel.clone(),
            touched: sample.touch,
            payload_bytes: sample.payload_bytes,
            walk_bytes: sample.walk_bytes,
            round: sample.round,
            walks: sample.walks,
            total_ns: sample.total_ns,
        }
    }

    fn read(self) -> Result<CacheSample, String> {
        let way = Way::ALL.into_iter().find(|way| way.name() == self.way);
        if self.walks == 0 || self.total_ns == 0 || self.walk_bytes == 0 {
            return Err("nothing was walked through".to_owned());
        }
        Ok(CacheSample {
            way: way.ok_or_else(|| format!("there is no way {:?}", self.way))?,
            kernel: self.kernel,
            touch: self.touched,
            payload_bytes: self.payload_bytes,
            walk_bytes: self.walk_bytes,
            round: self.round,
            walks: self.walks,
            total_ns: self.total_ns,
        })
    }
}
