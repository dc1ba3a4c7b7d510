//! What a record of paths holds beside the paths: `ipc-copies.csv`, copies as the table makes them, with the columns of
//! `ipc.csv`; `ipc-cache.csv`, what transfers do to other data in the consumer's cache; and `ipc-parts.csv`, parts of the
//! transport by themselves. Each is written as a whole.

use super::error::RecordError;
use super::ipc_rows::read_rows;
use super::stored;
use super::table::Table;
use crate::measure::ipc::{CacheSample, PartSample, Sample};
use crate::path::Way;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

pub(super) const COPIES_FILE: &str = "ipc-copies.csv";
pub(super) const CACHE_FILE: &str = "ipc-cache.csv";

/// The file of the parts, without its ending.
const PARTS: &str = "ipc-parts";

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

/// Samples of copies; none if the record has no such file.
pub(super) fn read_copies(folder: &Path) -> Result<Vec<Sample>, RecordError> {
    let path = stored::find(&folder.join(COPIES_FILE), true);
    path.map_or(Ok(Vec::new()), |path| Ok(read_rows(&path, true)?.samples))
}

/// Walks; none if the record has no such file.
pub(super) fn read_cache(folder: &Path) -> Result<Vec<CacheSample>, RecordError> {
    let Some(path) = stored::find(&folder.join(CACHE_FILE), true) else { return Ok(Vec::new()) };
    let text = stored::read(&path)?;
    let mut reader = csv::Reader::from_reader(&text[..]);
    let rows = reader.deserialize::<CacheRow>().enumerate().map(|(at, row)| {
        let damaged = |cause| RecordError::Damaged { path: path.clone(), line: at as u64 + 2, cause };
        row.map_err(|error| error.to_string()).and_then(CacheRow::read).map_err(damaged)
    });
    rows.collect()
}

/// Parts; none if the record has no such file.
pub(super) fn read_parts(folder: &Path) -> Result<Vec<PartSample>, RecordError> {
    Table::read_named(folder, PARTS)?.map_or(Ok(Vec::new()), |table| table.rows())
}

/// Writes the file of these parts.
pub(super) fn write_parts(folder: &Path, samples: &[PartSample]) -> Result<(), RecordError> {
    Table::of(PARTS, samples)?.write(folder)
}

/// The file of these walks.
pub(super) fn cache_text(samples: &[CacheSample]) -> io::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    samples.iter().try_for_each(|sample| writer.serialize(CacheRow::of(sample))).map_err(io::Error::other)?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}
