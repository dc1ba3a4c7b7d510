//! Why a record could not be written or read: which file, which line, what it means, what helps.

use super::{FORMAT_VERSION, OLDEST_FORMAT};
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a record could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// A folder or file could not be made or written.
    Unwritable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// A file could not be read.
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// A folder in which nothing was written.
    Empty {
        /// Which.
        folder: PathBuf,
    },
    /// A file holds what no run writes.
    Damaged {
        /// Which.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        cause: String,
    },
    /// A record that grows could not be written any further.
    Partial {
        /// The record, which holds what was written before.
        folder: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// A record that this process cannot go on with.
    NotResumable {
        /// The record.
        folder: PathBuf,
        /// Why.
        cause: String,
    },
    /// A record that another process is writing to.
    InUse {
        /// The record.
        folder: PathBuf,
    },
    /// A record of another format.
    OtherFormat {
        /// The file that says so.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
}

/// That something could not be made or written.
pub(super) fn unwritable(path: &Path, cause: &dyn ToString) -> RecordError {
    RecordError::Unwritable { path: path.to_owned(), cause: cause.to_string() }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unwritable { path, cause } => write!(
                f,
                "{}: {cause}: the record of this run is not kept; make the folder writable and run again",
                path.display()
            ),
            Self::Unreadable { path, cause } => {
                write!(f, "{}: {cause}: there is no record to read; name a folder that holds one", path.display())
            }
            Self::Empty { folder } => write!(
                f,
                "{}: neither env.toml nor samples.csv is here: a run was ended before it wrote anything, or this is no \
                 record; name another folder, and remove this one if it is empty",
                folder.display()
            ),
            Self::Damaged { path, line, cause } => write!(
                f,
                "{}:{line}: {cause}: the record is refused as a whole; restore the file from where it was committed",
                path.display()
            ),
            Self::Partial { folder, cause } => write!(
                f,
                "{cause}: the record is partial: {0} holds what was measured before; make room there, and go on with \
                 --resume {0}",
                folder.display()
            ),
            Self::NotResumable { folder, cause } => write!(
                f,
                "{}: {cause}: the record cannot be resumed and stays as it is; start a new one without --resume",
                folder.display()
            ),
            Self::InUse { folder } => write!(
                f,
                "{0}: another process is writing to this record: it stays as it is; wait until that process has ended, or \
                 end it, and then go on with --resume {0}",
                folder.display()
            ),
            Self::OtherFormat { path, found } => write!(
                f,
                "{}: format {found}, this build reads formats {OLDEST_FORMAT} to {FORMAT_VERSION}: the record is refused; \
                 use the version of memcpy-select that wrote it, or a newer one",
                path.display()
            ),
        }
    }
}

impl std::error::Error for RecordError {}
