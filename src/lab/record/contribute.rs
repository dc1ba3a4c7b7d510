//! From a run on this machine to a record that others can use.

use super::LOCAL;
use super::error::{RecordError, unwritable};
use super::folder::{Record, next, read_environment};
use std::fs;
use std::path::{Path, PathBuf};

/// What a run writes for its reader alone, and what no record keeps.
const FOR_THE_READER: [&str; 2] = ["report.html", "user.plan"];

/// Moves a record out of the folder for runs on this machine, `<results>/local/<machine>/<date>.<n>`, to
/// `<results>/<machine>/<date>.<n>` with the next `n`, and returns that folder. Pages and plans that lie beside it
/// are removed: they can be made again.
///
/// # Errors
///
/// [`RecordError`] if the record cannot be read or is not complete, does not lie in such a folder, or cannot be moved. It
/// stays where it is then.
pub fn contribute(folder: &Path) -> Result<PathBuf, RecordError> {
    let unreadable = |cause: &str| RecordError::Unreadable { path: folder.to_owned(), cause: cause.to_owned() };
    let (environment, progress) = read_environment(folder)?;
    if !progress.complete {
        return Err(unreadable("its run did not come to its end, so that it is of no use to others"));
    }
    Record::read(folder)?;
    let full = folder.canonicalize().map_err(|error| unreadable(&error.to_string()))?;
    let results = full.ancestors().nth(2).filter(|local| local.ends_with(LOCAL)).and_then(Path::parent);
    let results = results.ok_or_else(|| {
        unreadable("it does not lie under results/local/<machine>, where runs on this machine are kept")
    })?;
    let machine = results.join(&environment.machine);
    let moved = || {
        fs::create_dir_all(&machine)?;
        let moved = next(&full, &machine, &environment.date)?;
        for name in FOR_THE_READER {
            let _ = fs::remove_file(moved.join(name));
        }
        Ok(moved)
    };
    moved().map_err(|error: std::io::Error| unwritable(&machine, &error))
}
