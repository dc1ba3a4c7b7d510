//! A file of a record: `<name>.csv`, compressed or not, with a header line. What its columns mean is for the question that writes
//! and reads them.

use super::appending::Mark;
use super::error::{RecordError, unwritable};
use super::stored;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file of the timings of copies, which has rules of its own.
pub const SAMPLES: &str = "samples";

/// A file of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvFile {
    name: String,
    bytes: Vec<u8>,
    /// Where it was read; messages name it.
    path: PathBuf,
    /// How the file ends, of which `bytes` may lack a last line that was not written to its end.
    found: Mark,
}

/// A row, and where in the file it ends.
#[derive(Clone, Debug)]
pub struct Ended<T> {
    /// What the row tells.
    pub row: T,
    /// The offset of the byte behind it.
    pub end: u64,
}

impl CsvFile {
    /// A table of these rows, whose header line has the names of their fields.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unwritable`] if the name is not one word of letters, digits, `_` and `-`, or is `samples`, or if a
    /// row is no row of plain fields.
    pub fn of<T: Serialize>(name: &str, rows: &[T]) -> Result<Self, RecordError> {
        let is_word =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !is_word || name == SAMPLES {
            let path = PathBuf::from(format!("{name}.csv"));
            return Err(unwritable(&path, &"no further file of a record can have this name"));
        }
        Self::made(name, rows.iter())
    }

    /// The same of a name that is known to be one.
    pub(crate) fn made<T: Serialize>(name: &str, rows: impl Iterator<Item = T>) -> Result<Self, RecordError> {
        let path = PathBuf::from(format!("{name}.csv"));
        let bytes = csv_text(rows, true).map_err(|error| unwritable(&path, &error))?;
        Ok(Self { name: name.to_owned(), bytes, path, found: Mark::default() })
    }

    /// The file's name without `.csv` and what follows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the file ends.
    pub(super) fn found(&self) -> &Mark {
        &self.found
    }

    /// What it holds.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The rows.
    ///
    /// # Errors
    ///
    /// [`RecordError::Damaged`] with the line that is no such row.
    pub fn rows<T: DeserializeOwned>(&self) -> Result<Vec<T>, RecordError> {
        self.read(Ok)
    }

    /// The rows as what `of_row` makes of them.
    ///
    /// # Errors
    ///
    /// [`RecordError::Damaged`] with the line that is no row, or of which `of_row` says what is wrong.
    pub(crate) fn read<T: DeserializeOwned, R>(
        &self,
        of_row: impl FnMut(T) -> Result<R, String>,
    ) -> Result<Vec<R>, RecordError> {
        Ok(self.read_ends(of_row, |error| error.to_string())?.into_iter().map(|one| one.row).collect())
    }

    /// The same with the end of each row; `cause` says in words what is wrong with a row that is none.
    pub(crate) fn read_ends<T: DeserializeOwned, R>(
        &self,
        mut of_row: impl FnMut(T) -> Result<R, String>,
        cause: impl Fn(&csv::Error) -> String,
    ) -> Result<Vec<Ended<R>>, RecordError> {
        let mut reader = csv::Reader::from_reader(&self.bytes[..]);
        let mut rows = reader.deserialize::<T>();
        let mut read = Vec::new();
        while let Some(row) = rows.next() {
            let line = read.len() as u64 + 2;
            let row = row.map_err(|error| cause(&error)).and_then(&mut of_row);
            let row = row.map_err(|cause| self.damaged(line, cause))?;
            read.push(Ended { row, end: rows.reader().position().byte() });
        }
        Ok(read)
    }

    /// The header line, then every row, as text.
    ///
    /// # Errors
    ///
    /// [`RecordError::Damaged`] with the line that has another number of fields than the header.
    pub fn cells(&self) -> Result<Vec<Vec<String>>, RecordError> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&self.bytes[..]);
        let fields = |row: csv::StringRecord| row.iter().map(str::to_owned).collect();
        let rows = reader.records().enumerate();
        rows.map(|(at, row)| row.map(fields).map_err(|error| self.damaged(at as u64 + 1, error.to_string()))).collect()
    }

    /// That a line of it cannot be what a run has written.
    pub(crate) fn damaged(&self, line: u64, cause: String) -> RecordError {
        RecordError::Damaged { path: self.path.clone(), line, cause }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), RecordError> {
        let path = folder.join(format!("{}.csv", self.name));
        stored::write(&path, &self.bytes).map_err(|error| unwritable(&path, &error))
    }

    fn read_file(plain: &Path, is_complete: bool) -> Result<Option<Self>, RecordError> {
        let Some(path) = stored::find(plain, is_complete) else { return Ok(None) };
        let mut bytes = stored::read(&path)?;
        let found = Mark::of(&bytes);
        if !is_complete {
            bytes.truncate(without_torn_line(&bytes).len());
        }
        if let Err(error) = std::str::from_utf8(&bytes) {
            let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() as u64;
            return Err(RecordError::Damaged { path, line, cause: error.to_string() });
        }
        let name = plain.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Some(Self { name, bytes, path, found }))
    }

    /// All files of a record, by name. Of one that is not complete, a last line that was not written to its end is left out.
    pub(super) fn read_all(folder: &Path, is_complete: bool) -> Result<Vec<Self>, RecordError> {
        let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
        let mut paths = BTreeSet::new();
        for entry in entries {
            paths.insert(stored::plain(&entry.map_err(|error| unreadable(folder, error))?.path()));
        }
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
        paths.iter().filter_map(|path| Self::read_file(path, is_complete).transpose()).collect()
    }
}

/// Rows as lines, under a header line if there is none yet. A row is a line: line breaks in its fields are its maker's to avoid.
pub(super) fn csv_text<T: Serialize>(rows: impl Iterator<Item = T>, has_header: bool) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().has_headers(has_header).from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(io::Error::other)?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
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

fn unreadable(path: &Path, error: io::Error) -> RecordError {
    RecordError::Unreadable { path: path.to_owned(), cause: error.to_string() }
}
