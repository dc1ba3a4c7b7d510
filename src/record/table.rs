//! What else a record holds: further files `<name>.csv`, compressed or not, beside the samples, each with a header line, for measurements that
//! are no timings of copies. What their columns mean is for the module that writes and reads them.

use super::error::{RecordError, unwritable};
use super::samples::SAMPLES_FILE;
use super::stored;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A further file of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    name: String,
    text: String,
    /// Where it was read; messages name it.
    path: PathBuf,
}

impl Table {
    /// A table of these rows, whose header line has the names of their fields.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unwritable`] if the name is not one word of letters, digits, `_` and `-`, or is `samples`, or if a
    /// row is no row of plain fields.
    pub fn of<T: Serialize>(name: &str, rows: &[T]) -> Result<Self, RecordError> {
        let path = PathBuf::from(format!("{name}.csv"));
        let is_word =
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if !is_word || path == Path::new(SAMPLES_FILE) {
            return Err(unwritable(&path, &"no further file of a record can have this name"));
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        rows.iter().try_for_each(|row| writer.serialize(row)).map_err(|error| unwritable(&path, &error))?;
        let bytes = writer.into_inner().map_err(|error| unwritable(&path, &error))?;
        let text = String::from_utf8(bytes).map_err(|error| unwritable(&path, &error))?;
        Ok(Self { name: name.to_owned(), text, path })
    }

    /// The file's name without `.csv` and what follows.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The rows.
    ///
    /// # Errors
    ///
    /// [`RecordError::Damaged`] with the line that is no such row.
    pub fn rows<T: DeserializeOwned>(&self) -> Result<Vec<T>, RecordError> {
        let mut reader = csv::Reader::from_reader(self.text.as_bytes());
        let rows = reader.deserialize().enumerate();
        rows.map(|(at, row)| row.map_err(|error| self.damaged(at as u64 + 2, &error))).collect()
    }

    /// The header line, then every row, as text.
    ///
    /// # Errors
    ///
    /// [`RecordError::Damaged`] with the line that has another number of fields than the header.
    pub fn cells(&self) -> Result<Vec<Vec<String>>, RecordError> {
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(self.text.as_bytes());
        let fields = |row: csv::StringRecord| row.iter().map(str::to_owned).collect();
        let rows = reader.records().enumerate();
        rows.map(|(at, row)| row.map(fields).map_err(|error| self.damaged(at as u64 + 1, &error))).collect()
    }

    fn damaged(&self, line: u64, error: &csv::Error) -> RecordError {
        RecordError::Damaged { path: self.path.clone(), line, cause: error.to_string() }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), RecordError> {
        let path = folder.join(format!("{}.csv", self.name));
        stored::write(&path, self.text.as_bytes()).map_err(|error| unwritable(&path, &error))
    }

    /// The further file of that name, if the record has it.
    pub(super) fn read_named(folder: &Path, name: &str) -> Result<Option<Self>, RecordError> {
        Self::read(&folder.join(format!("{name}.csv")), true)
    }

    fn read(plain: &Path, is_complete: bool) -> Result<Option<Self>, RecordError> {
        let Some(path) = stored::find(plain, is_complete) else { return Ok(None) };
        let text = String::from_utf8(stored::read(&path)?).map_err(|error| {
            let read = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + read.iter().filter(|byte| **byte == b'\n').count() as u64;
            RecordError::Damaged { path: path.clone(), line, cause: error.utf8_error().to_string() }
        })?;
        let name = plain.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Some(Self { name, text, path }))
    }

    /// All further files of a record, by name.
    pub(super) fn read_all(folder: &Path, is_complete: bool) -> Result<Vec<Self>, RecordError> {
        let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, error))?;
        let mut paths = BTreeSet::new();
        for entry in entries {
            paths.insert(stored::plain(&entry.map_err(|error| unreadable(folder, error))?.path()));
        }
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "csv"));
        paths.remove(&folder.join(SAMPLES_FILE));
        paths.iter().filter_map(|path| Self::read(path, is_complete).transpose()).collect()
    }
}

fn unreadable(path: &Path, error: io::Error) -> RecordError {
    RecordError::Unreadable { path: path.to_owned(), cause: error.to_string() }
}
