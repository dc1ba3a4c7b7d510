//! `samples.csv`: one timing a row, integers and names only.

use super::folder::RecordError;
use crate::measure::cell::{Cell, Residency};
use crate::measure::sweep::Sample;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// A row as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row<'a> {
    bench: Cow<'a, str>,
    kernel: Cow<'a, str>,
    len_bytes: usize,
    dst_offset: usize,
    src_offset: usize,
    residency: Cow<'a, str>,
    round: u32,
    iterations: u64,
    total_ns: u64,
}

impl<'a> Row<'a> {
    fn of(bench: &'a str, sample: &'a Sample) -> Self {
        Self {
            bench: Cow::Borrowed(bench),
            kernel: Cow::Borrowed(&sample.contender),
            len_bytes: sample.cell.len_bytes,
            dst_offset: sample.cell.dst_offset,
            src_offset: sample.cell.src_offset,
            residency: sample.cell.residency.name(),
            round: sample.round,
            iterations: sample.iterations,
            total_ns: sample.total_ns,
        }
    }
}

pub(super) fn write(path: &Path, bench: &str, samples: &[Sample]) -> Result<(), RecordError> {
    let unwritable = |error: &dyn ToString| RecordError::Unwritable { path: path.to_owned(), cause: error.to_string() };
    let file = File::create_new(path).map_err(|error| unwritable(&error))?;
    let mut writer = csv::Writer::from_writer(file);
    for sample in samples {
        writer.serialize(Row::of(bench, sample)).map_err(|error| unwritable(&error))?;
    }
    writer.flush().map_err(|error| unwritable(&error))
}

/// A file of samples that grows piece by piece, and that holds whole pieces only unless the process is killed or the
/// system loses power.
#[derive(Debug)]
pub(super) struct Appender {
    file: File,
    bench: String,
    found: Mark,
    kept_bytes: u64,
}

/// How a file ends: whether another process wrote to it shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    len_bytes: u64,
    tail: Vec<u8>,
}

impl Mark {
    /// Several rows' figures.
    const TAIL_BYTES: usize = 256;

    fn of(bytes: &[u8]) -> Self {
        let tail = bytes[bytes.len().saturating_sub(Self::TAIL_BYTES)..].to_vec();
        Self { len_bytes: bytes.len() as u64, tail }
    }

    fn read(file: &mut File) -> io::Result<Self> {
        let len_bytes = file.metadata()?.len();
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(len_bytes.saturating_sub(Self::TAIL_BYTES as u64)))?;
        file.read_to_end(&mut tail)?;
        Ok(Self { len_bytes, tail })
    }
}

impl Appender {
    /// Opens or makes the file, which ends as `found` says. What is behind its first `kept_bytes` is cut off, but not
    /// before there is something else to write.
    pub(super) fn open(path: &Path, bench: &str, found: Mark, kept_bytes: u64) -> io::Result<Self> {
        let file = File::options().read(true).append(true).create(true).open(path)?;
        Ok(Self { file, bench: bench.to_owned(), found, kept_bytes })
    }

    /// Writes these samples in one piece. If that fails, what was written of them is cut off again.
    pub(super) fn append(&mut self, samples: &[Sample]) -> io::Result<()> {
        let mut writer = csv::WriterBuilder::new().has_headers(self.kept_bytes == 0).from_writer(Vec::new());
        for sample in samples {
            writer.serialize(Row::of(&self.bench, sample)).map_err(io::Error::other)?;
        }
        let piece = writer.into_inner().map_err(|error| io::Error::other(error.to_string()))?;
        if Mark::read(&mut self.file)? != self.found {
            return Err(io::Error::other("samples.csv was changed by another process"));
        }
        self.file.set_len(self.kept_bytes)?;
        if let Err(error) = self.file.write_all(&piece).and_then(|()| self.file.flush()) {
            // Where even that fails, a reader cuts off the torn line.
            let _ = self.file.set_len(self.kept_bytes);
            return Err(error);
        }
        self.kept_bytes += piece.len() as u64;
        self.found = Mark::read(&mut self.file)?;
        Ok(())
    }

    /// Cuts off what is not kept, and returns once everything is on the disk.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.append(&[])?;
        self.file.sync_all()
    }
}

/// What a file of samples holds.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// The bench that they are of; empty if there are none.
    pub(super) bench: String,
    /// The samples, in the order of the file.
    pub(super) samples: Vec<Sample>,
    /// Where each sample's row ends, in bytes from the start of the file.
    pub(super) ends: Vec<u64>,
    /// How the file ends.
    pub(super) found: Mark,
}

/// Reads samples back. A row that cannot be a measurement is refused with its line. Where the record is not complete, a
/// last line that was not written to its end is left out.
pub(super) fn read(path: &Path, precision_ns: u64, is_complete: bool) -> Result<Samples, RecordError> {
    let damaged = |line, cause: String| RecordError::Damaged { path: path.to_owned(), line, cause };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        // The run was ended before the first cell.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_complete => return Ok(Samples::default()),
        Err(error) => return Err(RecordError::Unreadable { path: path.to_owned(), cause: error.to_string() }),
    };
    let found = Mark::of(&bytes);
    let bytes = if is_complete { &bytes[..] } else { without_torn_line(&bytes) };
    let mut reader = csv::Reader::from_reader(bytes);
    let mut seen = HashSet::new();
    let (mut bench, mut samples, mut ends) = (None, Vec::new(), Vec::new());
    let mut rows = reader.deserialize::<Row<'_>>();
    while let Some(row) = rows.next() {
        let line = samples.len() as u64 + 2;
        let row = row.map_err(|error| damaged(line, error.to_string()))?;
        let bench: &String = bench.get_or_insert_with(|| row.bench.to_string());
        if *bench != row.bench {
            return Err(damaged(line, format!("bench {} in a record of {bench}", row.bench)));
        }
        let Some(residency) = Residency::named(&row.residency) else {
            return Err(damaged(line, format!("there is no residency {:?}", row.residency)));
        };
        let cell = Cell { len_bytes: row.len_bytes, dst_offset: row.dst_offset, src_offset: row.src_offset, residency };
        if row.iterations == 0 {
            return Err(damaged(line, "no iterations were timed".to_owned()));
        }
        if row.total_ns < 10 * precision_ns {
            let cause = format!("{} ns are too few for a clock with steps of {precision_ns} ns", row.total_ns);
            return Err(damaged(line, cause));
        }
        let contender: Cow<'static, str> = Cow::Owned(row.kernel.into_owned());
        if !seen.insert((cell, contender.clone(), row.round)) {
            return Err(damaged(line, format!("a second row for {contender}, {cell}, round {}", row.round)));
        }
        samples.push(Sample { cell, contender, round: row.round, iterations: row.iterations, total_ns: row.total_ns });
        ends.push(rows.reader().position().byte());
    }
    Ok(Samples { bench: bench.unwrap_or_default(), samples, ends, found })
}

/// The lines that end as lines do, without a last one that has fewer fields than the first.
fn without_torn_line(bytes: &[u8]) -> &[u8] {
    let end_of_lines = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = &bytes[..end_of_lines(bytes)];
    let Some(inner) = lines.strip_suffix(b"\n") else { return lines };
    let last_at = end_of_lines(inner);
    let commas = |line: &[u8]| line.iter().filter(|byte| **byte == b',').count();
    let header = inner.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if commas(&inner[last_at..]) < commas(header) { &lines[..last_at] } else { lines }
}
