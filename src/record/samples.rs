//! `samples.csv`: one timing a row, integers and names only.

use super::appending::{Appending, Mark};
use super::environment::{Environment, MOST_CYCLES_PER_NS};
use super::error::{RecordError, unwritable};
use super::progress::Progress;
use super::stored;
use crate::measure::cell::{Cell, Residency};
use crate::measure::scope::MAX_LEN_BYTES;
use crate::measure::sweep::{CORE_CLOCK, Failure, Sample};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

pub(super) const SAMPLES_FILE: &str = "samples.csv";

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
struct Row<'a> {
    bench: Cow<'a, str>,
    kernel: Cow<'a, str>,
    #[serde(default)]
    source_hash: Cow<'a, str>,
    len_bytes: usize,
    dst_offset: usize,
    src_offset: usize,
    residency: Cow<'a, str>,
    round: u32,
    iterations: u64,
    total_ns: u64,
    #[serde(default)]
    error: Cow<'a, str>,
}

impl<'a> Row<'a> {
    fn of(bench: &'a str, hashes: &'a HashMap<String, String>, kernel: &'a str, cell: Cell, round: u32) -> Self {
        Self {
            bench: Cow::Borrowed(bench),
            kernel: Cow::Borrowed(kernel),
            source_hash: Cow::Borrowed(hashes.get(kernel).map_or("", String::as_str)),
            len_bytes: cell.len_bytes,
            dst_offset: cell.dst_offset,
            src_offset: cell.src_offset,
            residency: cell.residency.name(),
            round,
            iterations: 0,
            total_ns: 0,
            error: Cow::Borrowed(""),
        }
    }
}

/// Rows, under a header line if there is none yet.
fn rows(
    has_header: bool,
    bench: &str,
    hashes: &HashMap<String, String>,
    samples: &[Sample],
    failures: &[Failure],
) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().has_headers(!has_header).from_writer(Vec::new());
    for failure in failures {
        let mut row = Row::of(bench, hashes, &failure.contender, failure.cell, failure.round);
        // A row is a line.
        row.error = Cow::Owned(failure.cause.replace(['\n', '\r'], " "));
        writer.serialize(row).map_err(io::Error::other)?;
    }
    for sample in samples {
        let mut row = Row::of(bench, hashes, &sample.contender, sample.cell, sample.round);
        (row.iterations, row.total_ns) = (sample.iterations, sample.total_ns);
        writer.serialize(row).map_err(io::Error::other)?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// Writes a file of samples as a whole.
pub(super) fn write(
    folder: &Path,
    bench: &str,
    hashes: &HashMap<String, String>,
    samples: &[Sample],
    failures: &[Failure],
) -> Result<(), RecordError> {
    if samples.is_empty() && failures.is_empty() {
        return Ok(());
    }
    let path = folder.join(SAMPLES_FILE);
    let rows = rows(false, bench, hashes, samples, failures);
    rows.and_then(|rows| stored::write(&path, &rows)).map_err(|error| unwritable(&path, &error))
}

/// A file of samples that grows piece by piece.
#[derive(Debug)]
pub(super) struct Appender {
    file: Appending,
    bench: String,
    hashes: HashMap<String, String>,
}

impl Appender {
    /// As [`Appending::open`].
    pub(super) fn open(
        path: &Path,
        bench: &str,
        hashes: HashMap<String, String>,
        found: Mark,
        kept_bytes: u64,
    ) -> io::Result<Self> {
        Ok(Self { file: Appending::open(path, found, kept_bytes)?, bench: bench.to_owned(), hashes })
    }

    /// Writes these rows in one piece. If that fails, what was written of them is cut off again.
    pub(super) fn append(&mut self, samples: &[Sample], failures: &[Failure]) -> io::Result<()> {
        let has_header = !self.file.is_empty();
        self.file.append(&rows(has_header, &self.bench, &self.hashes, samples, failures)?)
    }

    /// Cuts off what is not kept, and returns once everything is on the disk.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.append(&[], &[])?;
        self.file.end()
    }
}

/// What `env.toml` says of the rows.
#[derive(Debug)]
pub(super) struct Expected {
    format: u32,
    precision_ns: u64,
    is_complete: bool,
    bench: Option<String>,
    rows: Option<u64>,
    hashes: HashMap<String, String>,
}

impl Expected {
    pub(super) fn of(environment: &Environment, progress: &Progress) -> Self {
        Self {
            format: environment.format,
            precision_ns: environment.clock.precision_ns,
            is_complete: progress.complete,
            bench: progress.bench.clone(),
            rows: progress.rows,
            hashes: environment.source_hashes(),
        }
    }

    /// What is wrong with a row, taken by itself.
    fn defect(&self, row: &Row<'_>) -> Option<String> {
        let kernel = &row.kernel;
        if let Some(bench) = self.bench.as_ref().filter(|bench| **bench != row.bench) {
            return Some(format!("bench {} in a record of {bench}", row.bench));
        }
        let hash = if self.format == 1 { "" } else { self.hashes.get(&**kernel).map_or("", String::as_str) };
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

/// Offsets are counted in a page of this size.
const PAGE_BYTES: usize = 4096;
/// No timing takes longer: an hour.
const LONGEST_NS: u64 = 3_600_000_000_000;
/// No core copies faster: 256 bytes in each of [`MOST_CYCLES_PER_NS`].
const MOST_BYTES_PER_NS: f64 = 4096.0;

/// What a file of samples holds.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// The bench that they are of; empty if neither they nor `env.toml` say so.
    pub(super) bench: String,
    /// The samples, in the order of the file.
    pub(super) samples: Vec<Sample>,
    /// Where each sample's row ends, in bytes from the start of the file.
    pub(super) ends: Vec<u64>,
    /// The rows that say why there is no sample.
    pub(super) failures: Vec<Failure>,
    /// How the file ends.
    pub(super) found: Mark,
}

/// Reads samples back. A row that cannot be a measurement is refused with its line. Where the record is not complete, a
/// last line that was not written to its end is left out.
pub(super) fn read(folder: &Path, expected: &Expected) -> Result<Samples, RecordError> {
    let bench = expected.bench.clone();
    let mut read = Samples { bench: bench.clone().unwrap_or_default(), ..Samples::default() };
    let plain = folder.join(SAMPLES_FILE);
    let path = match stored::find(&plain, expected.is_complete) {
        Some(path) => path,
        // No copies were timed, or the run was ended before the first cell.
        None if expected.rows == Some(0) || !expected.is_complete => return Ok(read),
        None => plain,
    };
    let damaged = |line, cause: String| RecordError::Damaged { path: path.clone(), line, cause };
    let bytes = stored::read(&path)?;
    read.found = Mark::of(&bytes);
    let bytes = if expected.is_complete { &bytes[..] } else { without_torn_line(&bytes) };
    check_header(bytes, expected.format).map_err(|cause| damaged(1, cause))?;
    let mut reader = csv::Reader::from_reader(bytes);
    let mut seen = HashSet::new();
    let mut bench = bench;
    let mut line = 1;
    let mut rows = reader.deserialize::<Row<'_>>();
    while let Some(row) = rows.next() {
        line += 1;
        let row = row.map_err(|error| damaged(line, cause(&error, expected.format)))?;
        let bench: &String = bench.get_or_insert_with(|| row.bench.to_string());
        if *bench != row.bench {
            return Err(damaged(line, format!("bench {} in a record of {bench}", row.bench)));
        }
        if let Some(defect) = expected.defect(&row) {
            return Err(damaged(line, defect));
        }
        let Some(residency) = Residency::named(&row.residency) else {
            return Err(damaged(line, format!("there is no residency {:?}", row.residency)));
        };
        let Row { len_bytes, dst_offset, src_offset, round, iterations, total_ns, .. } = row;
        let cell = Cell { len_bytes, dst_offset, src_offset, residency };
        let contender: Cow<'static, str> = Cow::Owned(row.kernel.into_owned());
        if !seen.insert((cell, contender.clone(), round)) {
            return Err(damaged(line, format!("a second row for {contender}, {cell}, round {round}")));
        }
        if row.error.is_empty() {
            read.samples.push(Sample { cell, contender, round, iterations, total_ns });
            read.ends.push(rows.reader().position().byte());
        } else {
            read.failures.push(Failure { cell, contender, round, cause: row.error.into_owned() });
        }
    }
    if expected.is_complete && !bytes.is_empty() && !bytes.ends_with(b"\n") {
        return Err(damaged(line, "the file ends inside this line".to_owned()));
    }
    if let Some(rows) = expected.rows.filter(|rows| *rows + 1 != line) {
        return Err(damaged(line, format!("the file ends after {} rows, env.toml counts {rows}", line - 1)));
    }
    read.bench = bench.unwrap_or_default();
    Ok(read)
}

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
