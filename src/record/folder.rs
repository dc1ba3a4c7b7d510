//! A record's folder: named by machine and date, made once, never overwritten. A run that may be ended before its time
//! lets its record [grow](Growing), and a later one goes on with it.

use super::environment::Environment;
use super::{FORMAT_VERSION, samples};
use crate::measure::cell::Cell;
use crate::measure::effort::Effort;
use crate::measure::summary::Summary;
use crate::measure::sweep::Sample;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

const ENVIRONMENT_FILE: &str = "env.toml";
const SAMPLES_FILE: &str = "samples.csv";
/// What becomes [`ENVIRONMENT_FILE`] once it is written.
const NEW_ENVIRONMENT_FILE: &str = "env.toml.new";

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
        let folder = first_free(&machine, &self.environment.date).map_err(|error| unwritable(&machine, &error))?;
        let environment = toml::to_string_pretty(&self.environment).map_err(|error| unwritable(&folder, &error))?;
        let path = folder.join(ENVIRONMENT_FILE);
        fs::write(&path, environment).map_err(|error| unwritable(&path, &error))?;
        samples::write(&folder.join(SAMPLES_FILE), &self.bench, &self.samples)?;
        Ok(folder)
    }

    /// Reads a record back. Of one that is [not complete](Progress::complete), a last line that was not written to its
    /// end is left out.
    ///
    /// # Errors
    ///
    /// [`RecordError`] with the file, and where there is one the line, that cannot be what a run has written.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let (environment, progress) = read_environment(folder)?;
        let path = folder.join(SAMPLES_FILE);
        let samples::Samples { bench, samples, .. } =
            samples::read(&path, environment.clock.precision_ns, progress.complete)?;
        Ok(Self { bench, environment, samples })
    }
}

/// How far a record got. It stands in `env.toml`, before the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Whether the run came to its end; so it is where the file does not say.
    #[serde(default = "complete_unless_said")]
    pub complete: bool,
    /// What was to be measured, if the run said so, in the words of [`Scope`](crate::measure::effort::Scope).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid: Option<String>,
}

const fn complete_unless_said() -> bool {
    true
}

impl Progress {
    /// How far the record in a folder got.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if the environment cannot be read.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        Ok(read_environment(folder)?.1)
    }
}

fn read_environment(folder: &Path) -> Result<(Environment, Progress), RecordError> {
    let path = folder.join(ENVIRONMENT_FILE);
    let text = fs::read_to_string(&path)
        .map_err(|error| RecordError::Unreadable { path: path.clone(), cause: error.to_string() })?;
    let damaged = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1) as u64);
        RecordError::Damaged { path: path.clone(), line, cause: error.message().to_owned() }
    };
    let progress: Progress = toml::from_str(&text).map_err(damaged)?;
    // The environment knows each of its keys and refuses any other.
    let mut table = toml::de::DeTable::parse(&text).map_err(damaged)?;
    table.get_mut().remove("complete");
    table.get_mut().remove("grid");
    let environment = Environment::deserialize(toml::Deserializer::from(table)).map_err(damaged)?;
    if environment.format != FORMAT_VERSION {
        return Err(RecordError::OtherFormat { path, found: environment.format });
    }
    Ok((environment, progress))
}

/// Puts the environment in its place as a whole: whoever reads finds the old file or the new one.
fn write_environment(folder: &Path, environment: &Environment, progress: &Progress) -> io::Result<()> {
    let text = |error: toml::ser::Error| io::Error::other(error.to_string());
    let progress = toml::to_string_pretty(progress).map_err(text)?;
    let environment = toml::to_string_pretty(environment).map_err(text)?;
    let new = folder.join(NEW_ENVIRONMENT_FILE);
    let mut file = File::create(&new)?;
    file.write_all(progress.as_bytes())?;
    file.write_all(environment.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, folder.join(ENVIRONMENT_FILE))
}

/// Makes `<machine>/<date>.<n>` with the smallest `n` from 1 that does not exist yet.
fn first_free(machine: &Path, date: &str) -> io::Result<PathBuf> {
    fs::create_dir_all(machine)?;
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

/// A record that is written as it is measured, one cell and pass after the other.
///
/// Whatever ends the process, the record can be read, and [resumed](Self::resume).
#[derive(Debug)]
pub struct Growing {
    folder: PathBuf,
    grid: String,
    record: Record,
    file: samples::Appender,
    /// Cells and passes that are kept, a pass by its first round.
    kept: HashSet<(Cell, u32)>,
    rounds: u32,
}

impl Growing {
    /// Starts a record as `<results>/<machine>/<date>.<n>` with the first free `n`. `grid` says what is to be measured.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unwritable`] if a folder or file cannot be made; none is left then.
    pub fn create(results: &Path, bench: &str, environment: Environment, grid: &str) -> Result<Self, RecordError> {
        let machine = results.join(&environment.machine);
        let unwritable =
            |path: &Path, error: io::Error| RecordError::Unwritable { path: path.to_owned(), cause: error.to_string() };
        let folder = first_free(&machine, &environment.date).map_err(|error| unwritable(&machine, error))?;
        let progress = Progress { complete: false, grid: Some(grid.to_owned()) };
        let opened = write_environment(&folder, &environment, &progress)
            .and_then(|()| samples::Appender::open(&folder.join(SAMPLES_FILE), bench, samples::Mark::default(), 0));
        let file = opened.map_err(|error| {
            for name in [NEW_ENVIRONMENT_FILE, ENVIRONMENT_FILE] {
                let _ = fs::remove_file(folder.join(name));
            }
            let _ = fs::remove_dir(&folder);
            unwritable(&folder, error)
        })?;
        let rounds = rounds(&environment);
        let record = Record { bench: bench.to_owned(), environment, samples: Vec::new() };
        Ok(Self { folder, grid: grid.to_owned(), record, file, kept: HashSet::new(), rounds })
    }

    /// Goes on with a record that is not complete: what is kept of it [is known](Self::has), the rest is cut off with the
    /// next [`append`](Self::append). The last cell and pass is never kept, since nothing tells whether all of it was written.
    ///
    /// `now` is the environment of the process that goes on.
    ///
    /// # Errors
    ///
    /// [`RecordError::NotResumable`] if the record is complete, of another bench or grid, or from another machine or
    /// build; [`RecordError`] as for [`Record::read`]; [`RecordError::Partial`] if it cannot be written. In all but the
    /// last the record stays as it was.
    pub fn resume(folder: &Path, bench: &str, now: &Environment, grid: &str) -> Result<Self, RecordError> {
        let refused = |cause: String| RecordError::NotResumable { folder: folder.to_owned(), cause };
        let (environment, progress) = read_environment(folder)?;
        if progress.complete {
            return Err(refused("it is complete".to_owned()));
        }
        let found = progress.grid.unwrap_or_default();
        if found != grid {
            let one_line = |text: &str| text.trim_end().replace('\n', "; ");
            return Err(refused(format!("it is of the grid \"{}\", not \"{}\"", one_line(&found), one_line(grid))));
        }
        if let Some(difference) = difference(&environment, now) {
            return Err(refused(difference));
        }
        let path = folder.join(SAMPLES_FILE);
        let mut read = samples::read(&path, environment.clock.precision_ns, false)?;
        if !read.bench.is_empty() && read.bench != bench {
            return Err(refused(format!("it is of bench {}, not {bench}", read.bench)));
        }
        let rounds = rounds(&environment);
        let (kept, count) = whole_passes(&read.samples, rounds);
        read.samples.truncate(count);
        let kept_bytes = count.checked_sub(1).map_or(0, |last| read.ends[last]);
        let file = samples::Appender::open(&path, bench, read.found, kept_bytes)
            .map_err(|error| RecordError::Partial { folder: folder.to_owned(), cause: error.to_string() })?;
        let record = Record { bench: bench.to_owned(), environment, samples: read.samples };
        Ok(Self { folder: folder.to_owned(), grid: grid.to_owned(), record, file, kept, rounds })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was written so far.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Whether this pass over this cell is there.
    pub fn has(&self, cell: Cell, pass: u32) -> bool {
        self.kept.contains(&(cell, pass * self.rounds))
    }

    /// Appends what one pass over one cell gave, in one piece.
    ///
    /// # Errors
    ///
    /// [`RecordError::Partial`] if it cannot be written; the record is what it was before.
    pub fn append(&mut self, samples: Vec<Sample>) -> Result<(), RecordError> {
        self.file.append(&samples).map_err(|error| self.partial(&error))?;
        self.kept.extend(samples.iter().map(|sample| pass_of(sample, self.rounds)));
        self.record.samples.extend(samples);
        Ok(())
    }

    /// Declares the record complete, with the noise floor that its samples give.
    ///
    /// # Errors
    ///
    /// [`RecordError::Partial`] if that cannot be written.
    pub fn finish(mut self) -> Result<(PathBuf, Record), RecordError> {
        self.record.environment.noise_floor = Summary::of(&self.record.samples).noise_floor;
        let progress = Progress { complete: true, grid: Some(self.grid.clone()) };
        let written =
            self.file.end().and_then(|()| write_environment(&self.folder, &self.record.environment, &progress));
        written.map_err(|error| self.partial(&error))?;
        Ok((self.folder, self.record))
    }

    fn partial(&self, error: &io::Error) -> RecordError {
        RecordError::Partial { folder: self.folder.clone(), cause: error.to_string() }
    }
}

/// Rounds of one pass of a record's effort; 1 where it is not an effort of this build.
fn rounds(environment: &Environment) -> u32 {
    Effort::named(&environment.effort).map_or(1, Effort::rounds)
}

/// The cell and pass of a sample, the pass by its first round.
fn pass_of(sample: &Sample, rounds: u32) -> (Cell, u32) {
    (sample.cell, sample.round - sample.round % rounds)
}

/// The cells and passes of which everything is there, up to the first that is not whole, and how many samples they have.
fn whole_passes(samples: &[Sample], rounds: u32) -> (HashSet<(Cell, u32)>, usize) {
    let names =
        |of_round: &[Sample]| -> BTreeSet<String> { of_round.iter().map(|s| s.contender.to_string()).collect() };
    let passes: Vec<&[Sample]> = samples.chunk_by(|a, b| pass_of(a, rounds) == pass_of(b, rounds)).collect();
    let Some((_last, passes)) = passes.split_last() else { return (HashSet::new(), 0) };
    let all = passes.first().map_or(BTreeSet::new(), |pass| names(pass));
    let is_whole = |pass: &&&[Sample]| {
        let mut of_rounds = pass.chunk_by(|a, b| a.round == b.round).zip(pass_of(&pass[0], rounds).1..);
        of_rounds.all(|(of_round, round)| of_round[0].round == round && names(of_round) == all)
    };
    let whole: Vec<&&[Sample]> = passes.iter().take_while(is_whole).collect();
    let count = whole.iter().map(|pass| pass.len()).sum();
    (whole.into_iter().map(|pass| pass_of(&pass[0], rounds)).collect(), count)
}

/// What speaks against figures of two processes in one record.
fn difference(then: &Environment, now: &Environment) -> Option<String> {
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let facts = |of: &Environment| {
        [
            ("machine", of.machine.clone()),
            ("CPU", of.cpu.signature.clone()),
            ("effort", of.effort.clone()),
            ("version of memcpy-select", of.build.version.clone()),
            ("compiler", of.build.rustc.clone()),
            ("plan of memcpy_auto", of.plan.clone()),
            ("libc", word(&of.system.libc)),
            ("GLIBC_TUNABLES", word(&of.system.libc_tunables)),
        ]
    };
    let pairs = facts(then).into_iter().zip(facts(now));
    let fact = pairs.filter(|(then, now)| then != now).map(|((name, then), (_, now))| {
        format!("its {name} is \"{}\", here it is \"{}\"", then.trim_end(), now.trim_end())
    });
    let changed = then.kernels.iter().find(|kernel| !now.kernels.contains(kernel));
    let added = now.kernels.iter().find(|kernel| !then.kernels.iter().any(|known| known.name == kernel.name));
    let kernel = changed.or(added).map(|kernel| format!("the source of kernel {} is another one here", kernel.name));
    fact.chain(kernel).next()
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
