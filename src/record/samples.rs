//! `samples.csv`: one timing a row, integers and names only.

use super::folder::RecordError;
use crate::measure::cell::{Cell, Residency};
use crate::measure::sweep::Sample;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
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

pub(super) fn write(path: &Path, bench: &str, samples: &[Sample]) -> Result<(), RecordError> {
    let unwritable = |error: &dyn ToString| RecordError::Unwritable { path: path.to_owned(), cause: error.to_string() };
    let file = File::create_new(path).map_err(|error| unwritable(&error))?;
    let mut writer = csv::Writer::from_writer(file);
    for sample in samples {
        let row = Row {
            bench: Cow::Borrowed(bench),
            kernel: Cow::Borrowed(&sample.contender),
            len_bytes: sample.cell.len_bytes,
            dst_offset: sample.cell.dst_offset,
            src_offset: sample.cell.src_offset,
            residency: sample.cell.residency.name(),
            round: sample.round,
            iterations: sample.iterations,
            total_ns: sample.total_ns,
        };
        writer.serialize(row).map_err(|error| unwritable(&error))?;
    }
    writer.flush().map_err(|error| unwritable(&error))
}

/// Reads samples back, and the bench that they are of. A row that cannot be a measurement is refused with its line.
pub(super) fn read(path: &Path, precision_ns: u64) -> Result<(String, Vec<Sample>), RecordError> {
    let damaged = |line, cause: String| RecordError::Damaged { path: path.to_owned(), line, cause };
    let mut reader = csv::Reader::from_path(path).map_err(|error| damaged(1, error.to_string()))?;
    let mut seen = HashSet::new();
    let (mut bench, mut samples) = (None, Vec::new());
    for (at, row) in reader.deserialize::<Row<'_>>().enumerate() {
        let line = at as u64 + 2;
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
    }
    Ok((bench.unwrap_or_default(), samples))
}
