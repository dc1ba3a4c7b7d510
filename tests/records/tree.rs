//! The records of the tree, each read once for all who ask.

use crate::cases::Effort as Cases;
use crate::program::{Scratch, copy_some, names};
use memcpy_select::lab::Evidence;
use memcpy_select::lab::copies::CopyRecord;
use memcpy_select::lab::question::{Named, read};
use memcpy_select::lab::record::record_folders;
use std::any::Any;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

/// Readers at the same time.
const THREADS: usize = 2;

pub fn results() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("results")
}

/// The same kernels on two occasions of one guest; a shorter record, of format 1 as these; one record of each of the other questions; calls in the order of programs.
pub const FIRST: &str = "results/amd-26-2-1-kvm/2026-11-23.9";
pub const SECOND: &str = "results/amd-26-2-1-kvm/2026-11-23.12";
pub const ONE: &str = "results/amd-25-1-1-kvm/2026-11-23.1";
pub const PATHS: &str = "results/amd-26-2-1-kvm/2026-12-01.1";
pub const SECTIONS: &str = "results/intel-6-167-1-masked-kvm/2026-11-24.2";
pub const NEIGHBOURS: &str = "results/intel-6-167-1-masked-kvm/2026-11-24.6";
pub const PROGRAMS: &str = "results/intel-6-207-2-kvm/2026-11-30.2";
pub const CALLS: &str = "results/amd-26-2-1-kvm/2026-11-23.8";
/// What a program copies.
pub const PROGRAM: &str = "results/intel-6-207-2-kvm/2026-11-30.1";

/// What is read by default: one of each question, and of copies another one, to stand beside the first.
const EACH: [&str; 7] = [ONE, OTHER, PATHS, SECTIONS, NEIGHBOURS, PROGRAMS, PROGRAM];
const OTHER: &str = "results/amd-26-2-1-kvm/2026-11-23.1";

/// A record, named from the folder of the package, under its name: `<machine>/<date>.<n>`.
pub fn named(folder: &str) -> Named {
    let name = folder.strip_prefix("results/").unwrap();
    (name.to_owned(), read(&results().join(name)).unwrap_or_else(|error| panic!("{error}")))
}

/// The same of a part of it, where it has very many rows: enough where no figure is asked for.
pub fn named_some(folder: &str) -> Named {
    let (name, scratch) = (folder.strip_prefix("results/").unwrap(), Scratch::new("some"));
    let files = names(&results().join(name));
    let large = ["xsave.csv", "ipc.csv", "samples.csv"].into_iter().find(|file| files.contains(&format!("{file}.gz")));
    let Some(large) = large else { return named(folder) };
    copy_some(folder.as_ref(), &scratch.0, large);
    (name.to_owned(), read(&scratch.0).unwrap_or_else(|error| panic!("{error}")))
}

/// One of copies.
pub fn copies(folder: &str) -> CopyRecord {
    static READ: Mutex<BTreeMap<String, CopyRecord>> = Mutex::new(BTreeMap::new());
    let read = || {
        CopyRecord::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap_or_else(|error| panic!("{error}"))
    };
    READ.lock().unwrap_or_else(PoisonError::into_inner).entry(folder.to_owned()).or_insert_with(read).clone()
}

/// What a record says, if it is of that question.
pub fn of<T: Evidence>(record: &Named) -> Option<&T> {
    let findings: &dyn Any = &*record.1;
    findings.downcast_ref()
}

/// All records, or by default parts of some of them, in the order of their names. What a reader measured here is no part of the tree.
pub fn records() -> &'static [Named] {
    static RECORDS: OnceLock<Vec<Named>> = OnceLock::new();
    RECORDS.get_or_init(|| {
        let mut folders = record_folders(&results()).unwrap();
        if Cases::chosen() < Cases::Full {
            folders.retain(|folder| EACH.iter().any(|name| folder.ends_with(name)));
        }
        let left = Mutex::new(folders);
        let next = || left.lock().unwrap().pop();
        let name =
            |folder: PathBuf| folder.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().to_str().unwrap().to_owned();
        let read = || std::iter::from_fn(next).map(|folder| named_some(&name(folder))).collect::<Vec<Named>>();
        let mut all: Vec<Named> = thread::scope(|scope| {
            let readers: Vec<_> = (0..THREADS).map(|_| scope.spawn(read)).collect();
            readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
        });
        assert!(!all.is_empty(), "there are records");
        all.sort_by(|(first, _), (second, _)| first.cmp(second));
        all
    })
}
