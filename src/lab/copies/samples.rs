//! A record of copies: `samples.csv`, one timing a row, integers and names only.

use super::cell::{Cell, Residency};
use super::scope::MAX_LEN_BYTES;
use super::summary::Summary;
use super::sweep::{CORE_CLOCK, Failure, Pass, Sample};
use crate::lab::instruments::effort::Effort;
use crate::lab::record::{
    CsvFile, Ended, Environment, Growing, Growth, Kept, MOST_CYCLES_PER_NS, Record, RecordError, SAMPLES,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// A run over copies: its timings, and which contenders have none and why.
#[derive(Clone, Debug)]
pub struct CopyRecord {
    /// The bench that ran: its samples answer that question and no other.
    pub bench: String,
    /// Where and how it ran.
    pub environment: Environment,
    /// What was to be measured, if the run said so.
    pub grid: Option<String>,
    /// Every timing.
    pub samples: Vec<Sample>,
    /// The contenders that have no timing in a cell, and why.
    pub failures: Vec<Failure>,
    /// What else lies in the folder.
    pub tables: Vec<CsvFile>,
    /// Whether the run came to its end.
    pub complete: bool,
}

impl CopyRecord {
    /// A record of these timings alone.
    pub fn new(bench: impl Into<String>, environment: Environment, samples: Vec<Sample>) -> Self {
        let (grid, failures, tables) = (None, Vec::new(), Vec::new());
        Self { bench: bench.into(), environment, grid, samples, failures, tables, complete: true }
    }

    /// The copies of a record.
    ///
    /// # Errors
    ///
    /// [`RecordError`] with the file, and where there is one the line, that cannot be what a run has written.
    pub fn of(record: Record, folder: &Path) -> Result<Self, RecordError> {
        let (rows, is_complete) = (record.rows, record.complete);
        match record.table(SAMPLES) {
            // No copies were timed, or the run was ended before the first cell.
            None if rows == Some(0) || !is_complete => {}
            None => {
                let (path, cause) = (folder.join("samples.csv"), "No such file or directory".to_owned());
                return Err(RecordError::Unreadable { path, cause });
            }
            Some(table) => check_whole(table, rows, is_complete)?,
        }
        Kept::of::<CopyGrowth>(record).map(Self::from)
    }

    /// Reads a record back. Of one that is not complete, a last line that was not written to its end is left out.
    ///
    /// # Errors
    ///
    /// As for [`of`](Self::of).
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        Self::of(Record::read(folder)?, folder)
    }

    /// Saves the record as `<results>/<machine>/<date>.<n>` with the next `n`, and returns that folder.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unwritable`] if a folder or file cannot be made.
    pub fn save(&self, results: &Path) -> Result<PathBuf, RecordError> {
        let Self { bench, environment, grid, samples, failures, tables, complete } = self.clone();
        let entries = failures.into_iter().map(Err).chain(samples.into_iter().map(Ok)).collect();
        Kept { bench, environment, grid, complete, entries, tables }.record::<CopyGrowth>()?.save(results)
    }

    /// The further file of that name, if the record has one.
    pub fn table(&self, name: &str) -> Option<&CsvFile> {
        self.tables.iter().find(|table| table.name() == name)
    }

    /// The figures.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.samples)
    }
}

impl From<Kept<Entry>> for CopyRecord {
    fn from(kept: Kept<Entry>) -> Self {
        let Kept { bench, environment, grid, complete, entries, tables } = kept;
        let mut record = Self { complete, grid, tables, ..Self::new(bench, environment, Vec::new()) };
        for entry in entries {
            match entry {
                Ok(sample) => record.samples.push(sample),
                Err(failure) => record.failures.push(failure),
            }
        }
        record
    }
}

/// A timing, or why there is none.
pub type Entry = Result<Sample, Failure>;

/// A record of copies while it grows, one pass over one cell after the other.
pub type GrowingCopies = Growing<CopyGrowth>;

/// What the rows of a record of copies have in common.
#[derive(Debug)]
pub struct CopyGrowth {
    bench: String,
    format: u32,
    precision_ns: u64,
    effort: Option<Effort>,
    hashes: HashMap<String, String>,
}

/// The header line of each format.
const HEADERS: [(u32, &str); 2] = [
    (1, "bench,kernel,len_bytes,dst_offset,src_offset,residency,round,iterations,total_ns"),
    (2, "bench,kernel,source_hash,len_bytes,dst_offset,src_offset,residency,round,iterations,total_ns,error"),
];

/// The header line of a format that this build reads.
fn header(format: u32) -> &'static str {
    HEADERS.iter().find(|(of, _)| *of == format).map_or("", |(_, header)| header)
}

/// A row as it stands in the file. Format 1 has neither `source_hash` nor `error`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    bench: String,
    kernel: String,
    #[serde(default)]
    source_hash: String,
    len_bytes: usize,
    dst_offset: usize,
    src_offset: usize,
    residency: String,
    round: u32,
    iterations: u64,
    total_ns: u64,
    #[serde(default)]
    error: String,
}

impl CopyGrowth {
    /// The pass that a round of a cell belongs to; where the effort is none of this build, each round is a pass.
    fn pass_of(&self, cell: Cell, round: u32) -> Pass {
        Pass { cell, number: round / self.effort.map_or(1, Effort::rounds) }
    }

    /// What is wrong with a row, taken by itself.
    fn defect(&self, row: &Row) -> Option<String> {
        let kernel = &row.kernel;
        if self.bench != row.bench {
            return Some(format!("bench {} in a record of {}", row.bench, self.bench));
        }
        let hash = if self.format == 1 { "" } else { self.hashes.get(kernel).map_or("", String::as_str) };
        if hash != row.source_hash {
            return Some(format!(
                "the row is of {kernel} with source {:?}, env.toml has {hash:?}: these are two builds in one record",
                row.source_hash
            ));
        }
        if row.len_bytes > MAX_LEN_BYTES || row.dst_offset >= PAGE_BYTES || row.src_offset >= PAGE_BYTES {
            let Row { len_bytes, dst_offset, src_offset, .. } = row;
            return Some(format!("no copy is of {len_bytes} bytes to +{dst_offset} from +{src_offset} of a page"));
        }
        if !row.error.is_empty() {
            let has_timing = (row.iterations, row.total_ns) != (0, 0);
            return has_timing.then(|| "there is an error beside a timing".to_owned());
        }
        if row.iterations == 0 {
            return Some("no iterations were timed, and no error says why".to_owned());
        }
        if row.total_ns < 10 * self.precision_ns {
            let Self { precision_ns, .. } = self;
            return Some(format!("{} ns are too few for a clock with steps of {precision_ns} ns", row.total_ns));
        }
        let per_ns = row.iterations as f64 / row.total_ns as f64;
        if row.total_ns > LONGEST_NS {
            Some(format!("no timing takes {} ns", row.total_ns))
        } else if kernel == CORE_CLOCK && per_ns > MOST_CYCLES_PER_NS {
            Some(format!("{per_ns:.0} GHz is no clock of a core"))
        } else if kernel != CORE_CLOCK && per_ns * row.len_bytes as f64 > MOST_BYTES_PER_NS {
            Some(format!("{:.0} GB/s is no speed of a copy", per_ns * row.len_bytes as f64))
        } else {
            None
        }
    }
}

impl Growth for CopyGrowth {
    const FILE: &'static str = SAMPLES;
    /// A pass over a cell; nothing for what is said before the first pass.
    type Step = Option<Pass>;
    type Entry = Entry;

    fn new(bench: &str, environment: &Environment) -> Self {
        Self {
            bench: bench.to_owned(),
            format: environment.format,
            precision_ns: environment.clock.precision_ns,
            effort: Effort::named(&environment.effort).ok(),
            hashes: environment.source_hashes(),
        }
    }

    fn row<'a>(&'a self, entry: &'a Entry) -> impl Serialize + 'a {
        let (contender, cell, round) = match entry {
            Ok(sample) => (&sample.contender, sample.cell, sample.round),
            Err(failure) => (&failure.contender, failure.cell, failure.round),
        };
        let (iterations, total_ns) = entry.as_ref().map_or((0, 0), |sample| (sample.iterations, sample.total_ns));
        Row {
            bench: self.bench.clone(),
            kernel: contender.to_string(),
            source_hash: self.hashes.get(&**contender).cloned().unwrap_or_default(),
            len_bytes: cell.len_bytes,
            dst_offset: cell.dst_offset,
            src_offset: cell.src_offset,
            residency: cell.residency.name().into_owned(),
            round,
            iterations,
            total_ns,
            // A row is a line.
            error: entry.as_ref().err().map_or_else(String::new, |failure| failure.cause.replace(['\n', '\r'], " ")),
        }
    }

    fn step(&self, entry: &Entry) -> Self::Step {
        entry.as_ref().ok().map(|sample| self.pass_of(sample.cell, sample.round))
    }

    /// A row that cannot be a measurement is refused with its line.
    fn read(&self, table: &CsvFile) -> Result<Vec<Ended<Entry>>, RecordError> {
        check_header(table.bytes(), self.format).map_err(|cause| table.damaged(1, cause))?;
        let mut seen = HashSet::new();
        let of_row = |row: Row| {
            if let Some(defect) = self.defect(&row) {
                return Err(defect);
            }
            let residency = Residency::named(&row.residency);
            let residency = residency.ok_or_else(|| format!("there is no residency {:?}", row.residency))?;
            let Row { len_bytes, dst_offset, src_offset, round, iterations, total_ns, .. } = row;
            let cell = Cell { len_bytes, dst_offset, src_offset, residency };
            let contender: Cow<'static, str> = Cow::Owned(row.kernel);
            if !seen.insert((cell, contender.clone(), round)) {
                return Err(format!("a second row for {contender}, {cell}, round {round}"));
            }
            Ok(if row.error.is_empty() {
                Ok(Sample { cell, contender, round, iterations, total_ns })
            } else {
                Err(Failure { cell, contender, round, cause: row.error })
            })
        };
        table.read_ends(of_row, |error| cause(error, self.format))
    }

    /// A pass is whole if all its rounds are there, each with the contenders of the first of all. Why some have no timing is
    /// written before the first pass.
    fn is_whole(&self, pieces: &[Vec<&Entry>], at: usize) -> bool {
        let taken: Vec<&Sample> = samples(&pieces[at]).collect();
        let Some(first) = taken.first() else { return at + 1 < pieces.len() };
        let Pass { cell, number } = self.pass_of(first.cell, first.round);
        let rounds = self.effort.map_or(1, |effort| effort.rounds_at(cell.len_bytes));
        let first_round = number * self.effort.map_or(1, Effort::rounds);
        let all = pieces.iter().find_map(|piece| {
            let first = samples(piece).next()?.round;
            Some(names(samples(piece).filter(|sample| sample.round == first)))
        });
        let of_rounds: Vec<&[&Sample]> = taken.chunk_by(|a, b| a.round == b.round).collect();
        let is_right =
            |(round, number): (&&[&Sample], u32)| round[0].round == number && Some(names(round.iter().copied())) == all;
        of_rounds.len() == rounds as usize && of_rounds.iter().zip(first_round..).all(is_right)
    }

    fn noise_floor(&self, entries: &[Entry]) -> f64 {
        let samples: Vec<Sample> = entries.iter().filter_map(|entry| entry.as_ref().ok()).cloned().collect();
        Summary::of(&samples).noise_floor
    }
}

fn samples<'a>(piece: &[&'a Entry]) -> impl Iterator<Item = &'a Sample> {
    piece.iter().filter_map(|entry| entry.as_ref().ok())
}

fn names<'a>(samples: impl Iterator<Item = &'a Sample>) -> BTreeSet<&'a str> {
    samples.map(|sample| &*sample.contender).collect()
}

/// Whether a complete file has all its rows, and its last line is whole.
fn check_whole(table: &CsvFile, rows: Option<u64>, is_complete: bool) -> Result<(), RecordError> {
    let bytes = table.bytes();
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    if is_complete && !bytes.is_empty() && !bytes.ends_with(b"\n") {
        return Err(table.damaged(lines + 1, "the file ends inside this line".to_owned()));
    }
    match rows.filter(|rows| *rows + 1 != lines) {
        Some(rows) => {
            let cause = format!("the file ends after {} rows, env.toml counts {rows}", lines.saturating_sub(1));
            Err(table.damaged(lines.max(1), cause))
        }
        None => Ok(()),
    }
}

/// Offsets are counted in a page of this size.
const PAGE_BYTES: usize = 4096;
/// No timing takes longer: an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;
/// No core copies faster: 256 bytes in each of [`MOST_CYCLES_PER_NS`].
const MOST_BYTES_PER_NS: f64 = 4096.0;

/// What is wrong with a row that is none, in the words of the file.
fn cause(error: &csv::Error, format: u32) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => {
            let column = err.field().and_then(|at| header(format).split(',').nth(at as usize)).unwrap_or("a column");
            format!("{column}: {}; figures are whole numbers, 0 or more", err.kind())
        }
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields in a row of {expected_len} columns: it is cut off, or of another format")
        }
        _ => error.to_string(),
    }
}

/// Whether the first line names the columns of a format. A file of no bytes has no rows.
fn check_header(bytes: &[u8], format: u32) -> Result<(), String> {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let found = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
    if bytes.is_empty() || found == header(format) {
        return Ok(());
    }
    Err(match HEADERS.iter().find(|(_, header)| *header == found) {
        Some((other, _)) => format!("these are the columns of format {other}, env.toml says format {format}"),
        None => format!("the columns are \"{found}\", those of format {format} are \"{}\"", header(format)),
    })
}
