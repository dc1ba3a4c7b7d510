//! Which records there are, by what each says of itself, without its rows.

use super::environment::Environment;
use super::error::RecordError;
use super::folder::{Record, age, is_unused, read_environment};
use super::ipc_rows::is_of_paths;
use super::judge::can_judge;
use super::plan::is_held_back;
use super::profiles::{BENCH, is_first_rate};
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

/// Of each CPU one record of copies.
#[derive(Debug, Default)]
pub struct Chosen {
    /// The records with their folders, by CPU.
    pub records: Vec<(PathBuf, Record)>,
    /// What was named and not chosen, and why.
    pub passed_over: Vec<(PathBuf, String)>,
    /// What could not be read.
    pub unreadable: Vec<RecordError>,
}

/// Of the records that these folders are, for each CPU the newest; one that is quick, or beside a tuned libc, after all
/// others, one of a grid of its maker's choice after those of `cargo bench`, and one without cells [from which no plan is
/// made](is_held_back) after those that have some.
pub fn one_of_each_cpu(folders: &[PathBuf]) -> Chosen {
    let mut chosen = Chosen::default();
    let mut ranked = Vec::new();
    for folder in folders {
        let mut pass_over = |why: &str| chosen.passed_over.push((folder.clone(), why.to_owned()));
        if !is_record(folder) {
            pass_over("this is no record");
        } else if is_of_paths(folder) {
            pass_over("a record of paths between processes has no copies by kernel");
        } else {
            match Record::read(folder) {
                Err(error) => chosen.unreadable.push(error),
                Ok(record) if !record.complete => pass_over("its run did not come to its end"),
                Ok(record) if !can_judge(&record) => {
                    pass_over(&format!(
                        "this one of bench {} has no copies of libc and other kernels by length",
                        record.bench
                    ));
                }
                Ok(record) => {
                    let has_held_back = record.samples.iter().any(|sample| is_held_back(&sample.cell));
                    let is_whole = record.bench == BENCH;
                    let rank = (is_first_rate(&record.environment), is_whole, has_held_back, age(folder));
                    ranked.push((record.environment.cpu.signature.clone(), rank, folder.clone(), record));
                }
            }
        }
    }
    // The best of each CPU comes first.
    ranked.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(&a.1)));
    for (signature, _, folder, record) in ranked {
        match chosen.records.last() {
            Some((better, of)) if of.environment.cpu.signature == signature => {
                let why = format!("{} says more of this CPU, or is newer", better.display());
                chosen.passed_over.push((folder, why));
            }
            _ => chosen.records.push((folder, record)),
        }
    }
    chosen
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
