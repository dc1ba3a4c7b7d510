//! The records of the tree, each read once for all who ask.

use memcpy_select::record::{LOCAL, Record};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::thread;

/// Readers at the same time.
const THREADS: usize = 2;

pub fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results")
}

/// All records, with their folders, in the order of these.
pub fn records() -> &'static [(PathBuf, Record)] {
    static RECORDS: OnceLock<Vec<(PathBuf, Record)>> = OnceLock::new();
    RECORDS.get_or_init(|| {
        let left = Mutex::new(record_folders());
        let read = || {
            let mut records = Vec::new();
            loop {
                let next = left.lock().unwrap().pop();
                let Some(folder) = next else { break records };
                let record = Record::read(&folder).unwrap_or_else(|error| panic!("{error}"));
                records.push((folder, record));
            }
        };
        let mut all: Vec<(PathBuf, Record)> = thread::scope(|scope| {
            let readers: Vec<_> = (0..THREADS).map(|_| scope.spawn(read)).collect();
            readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
        });
        assert!(!all.is_empty(), "there are records");
        all.sort_by(|(first, _), (second, _)| first.cmp(second));
        all
    })
}

fn record_folders() -> Vec<PathBuf> {
    let folders = |path: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        entries.map(|entry| entry.expect("an entry can be read").path()).filter(|path| path.is_dir()).collect()
    };
    // What a reader measured here is no part of the tree.
    let machines = folders(&results()).into_iter().filter(|machine| !machine.ends_with(LOCAL));
    machines.flat_map(|machine| folders(&machine)).collect()
}
