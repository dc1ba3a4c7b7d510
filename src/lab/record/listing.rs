//! Which records there are, by what each says of itself, without its rows.

use super::environment::Environment;
use super::error::RecordError;
use super::folder::{Record, age, is_unused, read_environment};
use super::progress::Progress;
use std::fs;
use std::path::{Path, PathBuf};

/// A record under a folder.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The bench that ran.
    pub bench: String,
    /// Where and how it ran.
    pub environment: Environment,
    /// Whether the run came to its end.
    pub complete: bool,
}

impl Listed {
    /// What a record says of itself.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if it cannot be read.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let (environment, Progress { bench, complete, .. }) = read_environment(folder)?;
        // Older records name it in their rows alone.
        let bench = bench.map_or_else(|| Ok(Record::read(folder)?.bench), Ok)?;
        Ok(Self { bench, environment, complete })
    }
}

/// Whether a folder is a record, be it one that cannot be read.
pub fn is_record(folder: &Path) -> bool {
    folder.is_dir() && !is_unused(folder)
}

/// The records under a folder, at most three folders down, by name; of one machine and day by number. Folders that cannot be
/// looked into, and those whose names begin with a dot, have none.
pub fn records_below(folder: &Path) -> Vec<PathBuf> {
    const DEPTH: u32 = 3;
    let mut found = Vec::new();
    look(folder, DEPTH, &mut found);
    found.sort_by_cached_key(|folder| (folder.parent().map(Path::to_owned), age(folder)));
    found
}

fn look(folder: &Path, depth: u32, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir());
    for folder in folders.filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))) {
        if is_record(&folder) {
            found.push(folder);
        } else if depth > 1 {
            look(&folder, depth - 1, found);
        }
    }
}

/// The folder under the results in which runs on this machine are kept: no profile is made from them, and version control
/// ignores them. `memcpy-select contribute` takes one out of it.
pub const LOCAL: &str = "local";

/// The record of a bench under a folder that says most of the CPU of that signature, runs on this machine included: the newest
/// of those that are complete, and of these one that is neither quick nor beside a tuned libc, as far as there are any.
///
/// # Errors
///
/// [`RecordError`] if an environment cannot be read.
pub fn newest(results: &Path, signature: &str, bench: &str) -> Result<Option<PathBuf>, RecordError> {
    let mut newest = None;
    for folder in all_folders(results)?.into_iter().filter(|folder| !is_unused(folder)) {
        let (environment, progress) = read_environment(&folder)?;
        let rank = (progress.complete, environment.is_first_rate());
        if environment.cpu.signature == signature
            && newest.as_ref().is_none_or(|(_, best)| rank >= *best)
            && Listed::read(&folder)?.bench == bench
        {
            newest = Some((folder, rank));
        }
    }
    Ok(newest.map(|(folder, _)| folder))
}

/// All records, those of [`LOCAL`] after the others: what was measured on this machine tells more of it.
pub fn all_folders(results: &Path) -> Result<Vec<PathBuf>, RecordError> {
    let mut all = record_folders(results)?;
    let local = results.join(LOCAL);
    if local.is_dir() {
        all.extend(record_folders(&local)?);
    }
    Ok(all)
}

/// All records, by day, number of the day and machine, without those of [`LOCAL`].
pub fn record_folders(results: &Path) -> Result<Vec<PathBuf>, RecordError> {
    let folders = |path: &Path| -> Result<Vec<PathBuf>, RecordError> {
        let unreadable =
            |error: std::io::Error| RecordError::Unreadable { path: path.into(), cause: error.to_string() };
        let entries = fs::read_dir(path).map_err(unreadable)?;
        let paths: Result<Vec<PathBuf>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
        let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        Ok(paths.map_err(unreadable)?.into_iter().filter(|path| path.is_dir() && !is_hidden(path)).collect())
    };
    let mut all = Vec::new();
    for machine in folders(results)?.into_iter().filter(|machine| !machine.ends_with(LOCAL)) {
        all.extend(folders(&machine)?);
    }
    all.sort_by_key(|folder| (age(folder), folder.clone()));
    Ok(all)
}
