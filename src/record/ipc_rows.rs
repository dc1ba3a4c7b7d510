//! The rows of `ipc.csv`.

use super::appending::Mark;
use super::error::RecordError;
use super::stored;
use crate::measure::ipc::{Cell, Cost, Moved, Pattern, Placement, Refusal, Sample, What};
use crate::path::Mode;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// The file by which a record of paths is known.
pub(super) const IPC_FILE: &str = "ipc.csv";
/// The bench of such records, and the name of that file without its ending.
pub(super) const BENCH: &str = "ipc";
/// What stands in the column `pattern` of a row that tells what setting up took.
const SET_UP: &str = "set_up";
/// What stands there in a row that tells of traced system calls.
const TRACED: &str = "traced";
/// What stands there in a row that tells why there is no other.
const REFUSED: &str = "refused";

/// What a file of rows holds.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) samples: Vec<Sample>,
    pub(super) refusals: Vec<Refusal>,
    /// The cell of the last rows, and how long the file is before them.
    pub(super) last: Option<(Cell, u64)>,
    /// How the file ends.
    pub(super) found: Mark,
}

/// The rows of a file. Of one that is not complete, a last line that was not written to its end is left out.
pub(super) fn read_rows(path: &Path, is_complete: bool) -> Result<Rows, RecordError> {
    let unreadable = |cause: String| RecordError::Unreadable { path: path.to_owned(), cause };
    let mut text = stored::read(path)?;
    let mut rows = Rows { found: Mark::of(&text), ..Rows::default() };
    if !is_complete {
        text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    }
    let mut reader = csv::Reader::from_reader(&text[..]);
    let headers = reader.headers().cloned().map_err(|error| unreadable(error.to_string()))?;
    for (at, record) in reader.records().enumerate() {
        let damaged = |cause| RecordError::Damaged { path: path.to_owned(), line: at as u64 + 2, cause };
        let record = record.map_err(|error| damaged(error.to_string()))?;
        let start = record.position().map_or(0, csv::Position::byte);
        let row = record.deserialize::<Row>(Some(&headers)).map_err(|error| error.to_string());
        let read = row.and_then(Row::read).map_err(damaged)?;
        let cell = match &read {
            Ok(sample) => sample.cell,
            Err(refusal) => refusal.cell,
        };
        if rows.last.is_none_or(|(last, _)| last != cell) {
            rows.last = Some((cell, start));
        }
        match read {
            Ok(sample) => rows.samples.push(sample),
            Err(refusal) => rows.refusals.push(refusal),
        }
    }
    Ok(rows)
}

/// These samples and refusals as rows of the file, each cell's behind each other.
pub(super) fn rows_text(samples: &[Sample], refusals: &[Refusal], has_header: bool) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().has_headers(!has_header).from_writer(Vec::new());
    let rows = samples.iter().map(Row::of_sample).chain(refusals.iter().map(Row::of_refusal));
    for row in rows {
        writer.serialize(row).map_err(io::Error::other)?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// Whether the record in a folder is one of paths.
pub fn is_of_paths(folder: &Path) -> bool {
    stored::find(&folder.join(IPC_FILE), true).is_some()
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

/// Round trips as text: `<ns>x<count>`, blanks between.
pub fn round_trips_text(counts: &[(u64, u32)]) -> String {
    counts.iter().map(|(ns, count)| format!("{ns}x{count}")).collect::<Vec<String>>().join(" ")
}

/// The round trips that such a text holds.
///
/// # Errors
///
/// The word that is none, and how they are written.
pub fn round_trips(text: &str) -> Result<Vec<(u64, u32)>, String> {
    let one = |word: &str| {
        let (ns, count) = word.split_once('x')?;
        Some((ns.parse().ok()?, count.parse().ok().filter(|count| *count > 0)?))
    };
    let wrong = |word: &str| format!("round trips {word:?}: they are written as <ns>x<count>");
    text.split_whitespace().map(|word| one(word).ok_or_else(|| wrong(word))).collect()
}
