//! A record of paths that grows cell by cell, so that a run that is ended before its time leaves what it has measured, and
//! a later one goes on with it.

use super::appending::{Appending, Mark};
use super::environment::Environment;
use super::error::{RecordError, unwritable};
use super::folder::{make, write_environment};
use super::growing::{begun, complete, partial, resumable};
use super::ipc::IpcRecord;
use super::ipc_further;
use super::ipc_rows::{BENCH, IPC_FILE, Rows, read_rows, rows_text};
use super::lock::Lock;
use super::progress::Progress;
use super::stored;
use crate::measure::ipc::{CacheSample, Cell, PartSample, Refusal, Sample};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

impl IpcRecord {
    /// Saves the record as `<results>/<machine>/<date>.<n>` with the next `n`, and returns that folder.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unwritable`] if a folder or file cannot be made.
    pub fn save(&self, results: &Path) -> Result<PathBuf, RecordError> {
        let mut growing = GrowingIpc::create(results, self.environment.clone(), &self.grid)?;
        growing.append(self.samples.clone(), self.refusals.clone())?;
        if !self.copies.is_empty() {
            growing.keep_copies(self.copies.clone(), &[])?;
        }
        if !self.cache.is_empty() {
            growing.keep_cache(self.cache.clone())?;
        }
        if !self.parts.is_empty() {
            growing.keep_parts(self.parts.clone())?;
        }
        growing.finish().map(|(folder, _)| folder)
    }
}

/// A record that is written as it is measured, one cell after the other.
///
/// Whatever ends the process, the record can be read, and [resumed](Self::resume). No other process can resume it while
/// this one runs.
#[derive(Debug)]
pub struct GrowingIpc {
    _lock: Lock,
    folder: PathBuf,
    progress: Progress,
    record: IpcRecord,
    file: Appending,
    kept: HashSet<Cell>,
}

impl GrowingIpc {
    /// Starts a record as `<results>/<machine>/<date>.<n>` with the next `n`. `grid` says what is to be measured.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unwritable`] if a folder or file cannot be made; none is left then.
    pub fn create(results: &Path, environment: Environment, grid: &str) -> Result<Self, RecordError> {
        let progress = begun(BENCH, grid);
        let fill = |folder: &Path| {
            let lock = Lock::of(folder)?;
            write_environment(folder, &environment, &progress)?;
            let path = folder.join(IPC_FILE);
            let file = Appending::open(&path, Mark::default(), 0);
            Ok((lock, file.map_err(|error| unwritable(&path, &error))?))
        };
        let (folder, (lock, file)) = make(results, &environment, fill)?;
        let record = IpcRecord {
            environment,
            grid: grid.to_owned(),
            samples: Vec::new(),
            refusals: Vec::new(),
            complete: false,
            copies: Vec::new(),
            cache: Vec::new(),
            parts: Vec::new(),
        };
        Ok(Self { _lock: lock, folder, progress, record, file, kept: HashSet::new() })
    }

    /// Goes on with a record that is not complete: what is kept of it [is known](Self::has). The last cell of the file may
    /// lack rows, and is measured again: it is cut off with the next [`append`](Self::append).
    ///
    /// `now` is the environment of the process that goes on.
    ///
    /// # Errors
    ///
    /// As [`Growing::resume`](super::Growing::resume).
    pub fn resume(folder: &Path, now: &Environment, grid: &str) -> Result<Self, RecordError> {
        let (lock, environment, progress) = resumable(folder, IPC_FILE, BENCH, now, grid)?;
        let path = folder.join(IPC_FILE);
        let Rows { mut samples, mut refusals, last, found } = read_rows(&path, false)?;
        if let Some((last, _)) = last {
            samples.retain(|sample| sample.cell != last);
            refusals.retain(|refusal| refusal.cell != last);
        }
        let kept = samples.iter().map(|sample| sample.cell).chain(refusals.iter().map(|one| one.cell)).collect();
        let partial = |error: io::Error| RecordError::Partial { folder: folder.to_owned(), cause: error.to_string() };
        let file = Appending::open(&path, found, last.map_or(0, |(_, start)| start)).map_err(partial)?;
        let (copies, cache) = (ipc_further::read_copies(folder)?, ipc_further::read_cache(folder)?);
        let (grid, parts) = (grid.to_owned(), ipc_further::read_parts(folder)?);
        let record = IpcRecord { environment, grid, samples, refusals, complete: false, copies, cache, parts };
        Ok(Self { _lock: lock, folder: folder.to_owned(), progress, record, file, kept })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was written so far.
    pub fn record(&self) -> &IpcRecord {
        &self.record
    }

    /// Whether this cell is there.
    pub fn has(&self, cell: &Cell) -> bool {
        self.kept.contains(cell)
    }

    /// Appends what a cell gave, in one piece.
    ///
    /// # Errors
    ///
    /// [`RecordError::Partial`] if it cannot be written; the record is what it was before.
    pub fn append(&mut self, samples: Vec<Sample>, refusals: Vec<Refusal>) -> Result<(), RecordError> {
        let has_header = !self.file.is_empty();
        let piece = rows_text(&samples, &refusals, has_header);
        piece.and_then(|piece| self.file.append(&piece)).map_err(|error| self.partial(&error))?;
        self.kept.extend(samples.iter().map(|sample| sample.cell).chain(refusals.iter().map(|one| one.cell)));
        self.record.samples.extend(samples);
        self.record.refusals.extend(refusals);
        Ok(())
    }

    /// Keeps copies as the table makes them, and why some have no sample.
    ///
    /// # Errors
    ///
    /// [`RecordError::Partial`] if they cannot be written.
    pub fn keep_copies(&mut self, copies: Vec<Sample>, refusals: &[Refusal]) -> Result<(), RecordError> {
        let text = rows_text(&copies, refusals, false);
        let written = text.and_then(|text| stored::write(&self.folder.join(ipc_further::COPIES_FILE), &text));
        written.map_err(|error| self.partial(&error))?;
        self.record.copies = copies;
        Ok(())
    }

    /// Keeps parts of the transport by themselves.
    ///
    /// # Errors
    ///
    /// [`RecordError::Partial`] if they cannot be written.
    pub fn keep_parts(&mut self, parts: Vec<PartSample>) -> Result<(), RecordError> {
        ipc_further::write_parts(&self.folder, &parts)?;
        self.record.parts = parts;
        Ok(())
    }

    /// Keeps what transfers did to other data in the consumer's cache.
    ///
    /// # Errors
    ///
    /// [`RecordError::Partial`] if it cannot be written.
    pub fn keep_cache(&mut self, cache: Vec<CacheSample>) -> Result<(), RecordError> {
        let text = ipc_further::cache_text(&cache);
        let written = text.and_then(|text| stored::write(&self.folder.join(ipc_further::CACHE_FILE), &text));
        written.map_err(|error| self.partial(&error))?;
        self.record.cache = cache;
        Ok(())
    }

    /// Declares the record complete, with the noise floor that its samples give.
    ///
    /// # Errors
    ///
    /// [`RecordError::Partial`] if that cannot be written.
    pub fn finish(mut self) -> Result<(PathBuf, IpcRecord), RecordError> {
        self.record.environment.noise_floor = self.record.summary().noise_floor;
        self.record.complete = true;
        self.file.end().map_err(|error| self.partial(&error))?;
        complete(&self.folder, IPC_FILE, &self.record.environment, self.progress, 0)?;
        Ok((self.folder, self.record))
    }

    fn partial(&self, error: &io::Error) -> RecordError {
        partial(&self.folder, error)
    }
}
