//! A record's folder: named by machine and date, made once, never overwritten.

use super::environment::Environment;
use super::{FORMAT_VERSION, samples};
use crate::measure::sweep::Sample;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const ENVIRONMENT_FILE: &str = "env.toml";
const SAMPLES_FILE: &str = "samples.csv";

/// A run: its environment and all its samples.
#[derive(Clone, Debug)]
pub struct Record {
    /// The bench that ran: its samples answer that question and no other.
    pub bench: String,
    /// Where and how it ran.
    pub environment: Environment,
    /// Every timing.
    pub samples: Vec<Sample>,
}

impl Record {
    /// Saves the record as `<results>/<machine>/<date>.<n>` with the first free `n`, and returns that folder.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unwritable`] if a folder or file cannot be made.
    pub fn save(&self, results: &Path) -> Result<PathBuf, RecordError> {
        let machine = results.join(&self.environment.machine);
        let unwritable = |path: &Path, cause: &dyn ToString| RecordError::Unwritable {
            path: path.to_owned(),
            cause: cause.to_string(),
        };
        fs::create_dir_all(&machine).map_err(|error| unwritable(&machine, &error))?;
        let folder = first_free(&machine, &self.environment.date).map_err(|error| unwritable(&machine, &error))?;
        let environment = toml::to_string_pretty(&self.environment).map_err(|error| unwritable(&folder, &error))?;
        let path = folder.join(ENVIRONMENT_FILE);
        fs::write(&path, environment).map_err(|error| unwritable(&path, &error))?;
        samples::write(&folder.join(SAMPLES_FILE), &self.bench, &self.samples)?;
        Ok(folder)
    }

    /// Reads a record back.
    ///
    /// # Errors
    ///
    /// [`RecordError`] with the file, and where there is one the line, that cannot be what a run has written.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let path = folder.join(ENVIRONMENT_FILE);
        let text = fs::read_to_string(&path)
            .map_err(|error| RecordError::Unreadable { path: path.clone(), cause: error.to_string() })?;
        let environment: Environment = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1) as u64);
            RecordError::Damaged { path: path.clone(), line, cause: error.message().to_owned() }
        })?;
        if environment.format != FORMAT_VERSION {
            return Err(RecordError::OtherFormat { path, found: environment.format });
        }
        let (bench, samples) = samples::read(&folder.join(SAMPLES_FILE), environment.clock.precision_ns)?;
        Ok(Self { bench, environment, samples })
    }
}

/// Makes `<machine>/<date>.<n>` with the smallest `n` from 1 that does not exist yet.
fn first_free(machine: &Path, date: &str) -> std::io::Result<PathBuf> {
    for n in 1_u32.. {
        let folder = machine.join(format!("{date}.{n}"));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

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
    /// A file holds what no run writes.
    Damaged {
        /// Which.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        cause: String,
    },
    /// A record of another format.
    OtherFormat {
        /// The file that says so.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
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
            Self::Damaged { path, line, cause } => write!(
                f,
                "{}:{line}: {cause}: the record is refused as a whole; restore the file from where it was committed",
                path.display()
            ),
            Self::OtherFormat { path, found } => write!(
                f,
                "{}: format {found}, this build reads format {FORMAT_VERSION}: the record is refused; use the version \
                 of memcpy-select that wrote it",
                path.display()
            ),
        }
    }
}

impl std::error::Error for RecordError {}
