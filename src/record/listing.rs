//! Which records there are, by what each says of itself, without its rows.

use super::environment::Environment;
use super::error::RecordError;
use super::folder::{Progress, Record, is_unused, read_environment};
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
    let place = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (date, number) = name.rsplit_once('.').unwrap_or((&name, ""));
        (folder.parent().map(Path::to_owned), date.to_owned(), number.parse::<u32>().unwrap_or(0), name)
    };
    found.sort_by_cached_key(place);
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
