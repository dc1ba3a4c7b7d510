//! `ipc.csv`: paths between processes, one run of one path a row, integers and names only; and `ipc-parts.csv`: parts of
//! the transport by themselves, one round of one part a row.

use super::environment::Environment;
use super::error::RecordError;
use super::folder::read_environment;
use super::ipc_further;
use super::ipc_rows::{IPC_FILE, Rows, is_of_paths, read_rows};
use super::profiles::all_folders;
use super::stored;
use crate::measure::ipc::{CacheSample, Copies, PartSample, Predicted, Refusal, Sample, Summary, predictions};
use std::path::{Path, PathBuf};

/// A run of the verb `ipc`: its environment, its samples, and what could not be measured.
#[derive(Clone, Debug)]
pub struct IpcRecord {
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

impl IpcRecord {
    /// Reads a record back. Of one that is not complete, a last line that was not written to its end is left out.
    ///
    /// # Errors
    ///
    /// [`RecordError`] with the file, and where there is one the line, that cannot be what a run has written.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let (environment, progress) = read_environment(folder)?;
        let plain = folder.join(IPC_FILE);
        let path = stored::find(&plain, progress.complete).unwrap_or(plain);
        let Rows { samples, refusals, .. } = read_rows(&path, progress.complete)?;
        let (grid, complete) = (progress.grid.unwrap_or_default(), progress.complete);
        let (copies, cache) = (ipc_further::read_copies(folder)?, ipc_further::read_cache(folder)?);
        let parts = ipc_further::read_parts(folder)?;
        Ok(Self { environment, grid, samples, refusals, complete, copies, cache, parts })
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

/// The newest record of paths among those of a CPU in a folder of records: a complete one, if there is any.
///
/// # Errors
///
/// [`RecordError`] if a record cannot be read.
pub fn newest_ipc_record(results: &Path, signature: &str) -> Result<Option<(PathBuf, IpcRecord)>, RecordError> {
    let mut newest = None;
    for folder in all_folders(results)?.into_iter().filter(|folder| is_of_paths(folder)) {
        let (environment, progress) = read_environment(&folder)?;
        let is_better = newest.as_ref().is_none_or(|(_, complete)| progress.complete || !complete);
        if environment.cpu.signature == signature && is_better {
            newest = Some((folder, progress.complete));
        }
    }
    newest.map(|(folder, _)| Ok((folder.clone(), IpcRecord::read(&folder)?))).transpose()
}
