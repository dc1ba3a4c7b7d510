//! A record that grows: a run that may be ended before its time leaves what it has measured, and a later one goes on
//! with it.

use super::FORMAT_VERSION;
use super::appending::Mark;
use super::environment::Environment;
use super::error::{RecordError, unwritable};
use super::file;
use super::folder::{Record, make, read_environment, write_environment};
use super::lock::Lock;
use super::progress::Progress;
use super::samples::{self, Expected, SAMPLES_FILE};
use super::stored;
use crate::measure::cell::Cell;
use crate::measure::effort::Effort;
use crate::measure::summary::Summary;
use crate::measure::sweep::{Failure, Sample};
use std::collections::{BTreeSet, HashSet};
use std::io;
use std::path::{Path, PathBuf};

/// A record that is written as it is measured, one cell and pass after the other.
///
/// Whatever ends the process, the record can be read, and [resumed](Self::resume). No other process can resume it while
/// this one runs.
#[derive(Debug)]
pub struct Growing {
    _lock: Lock,
    folder: PathBuf,
    progress: Progress,
    record: Record,
    file: samples::Appender,
    /// Cells and passes that are kept.
    kept: HashSet<(Cell, u32)>,
}

impl Growing {
    /// Starts a record as `<results>/<machine>/<date>.<n>` with the next `n`. `grid` says what is to be measured.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unwritable`] if a folder or file cannot be made; none is left then.
    pub fn create(results: &Path, bench: &str, environment: Environment, grid: &str) -> Result<Self, RecordError> {
        let progress = begun(bench, grid);
        let hashes = environment.source_hashes();
        let fill = |folder: &Path| {
            let lock = Lock::of(folder)?;
            write_environment(folder, &environment, &progress)?;
            let path = folder.join(SAMPLES_FILE);
            let file = samples::Appender::open(&path, bench, hashes, Mark::default(), 0);
            Ok((lock, file.map_err(|error| unwritable(&path, &error))?))
        };
        let (folder, (lock, file)) = make(results, &environment, fill)?;
        let record = Record { complete: false, ..Record::new(bench, environment, Vec::new()) };
        Ok(Self { _lock: lock, folder, progress, record, file, kept: HashSet::new() })
    }

    /// Goes on with a record that is not complete: what is kept of it [is known](Self::has), the rest is cut off with the
    /// next [`append`](Self::append). Passes over cells are kept up to the first that lacks a row.
    ///
    /// `now` is the environment of the process that goes on.
    ///
    /// # Errors
    ///
    /// [`RecordError::NotResumable`] if the record is complete, of another format, bench or grid, or from another machine
    /// or build; [`RecordError::InUse`] if another process is writing to it; [`RecordError`] as for [`Record::read`];
    /// [`RecordError::Partial`] if it cannot be written. In all but the last the record stays as it was.
    pub fn resume(folder: &Path, bench: &str, now: &Environment, grid: &str) -> Result<Self, RecordError> {
        let (lock, environment, progress) = resumable(folder, SAMPLES_FILE, bench, now, grid)?;
        let mut read = samples::read(folder, &Expected::of(&environment, &progress))?;
        let (kept, count) = whole_passes(&read.samples, Effort::named(&environment.effort).ok());
        read.samples.truncate(count);
        let kept_bytes = count.checked_sub(1).map_or(0, |last| read.ends[last]);
        if count == 0 {
            read.failures.clear();
        }
        let hashes = environment.source_hashes();
        let file = samples::Appender::open(&folder.join(SAMPLES_FILE), bench, hashes, read.found, kept_bytes)
            .map_err(|error| RecordError::Partial { folder: folder.to_owned(), cause: error.to_string() })?;
        let record =
            Record { failures: read.failures, complete: false, ..Record::new(bench, environment, read.samples) };
        Ok(Self { _lock: lock, folder: folder.to_owned(), progress: begun(bench, grid), record, file, kept })
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
        self.kept.contains(&(cell, pass))
    }

    /// Says which contenders have no timing in which cells, unless the record says so already. This comes before the first
    /// [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// As for [`append`](Self::append).
    pub fn leave_out(&mut self, failures: Vec<Failure>) -> Result<(), RecordError> {
        if self.record.failures.is_empty() && !failures.is_empty() {
            self.file.append(&[], &failures).map_err(|error| self.partial(&error))?;
            self.record.failures = failures;
        }
        Ok(())
    }

    /// Appends what one pass over one cell gave, in one piece.
    ///
    /// # Errors
    ///
    /// [`RecordError::Partial`] if it cannot be written; the record is what it was before.
    pub fn append(&mut self, samples: Vec<Sample>) -> Result<(), RecordError> {
        self.file.append(&samples, &[]).map_err(|error| self.partial(&error))?;
        let effort = Effort::named(&self.record.environment.effort).ok();
        self.kept.extend(samples.iter().map(|sample| pass_of(sample, effort)));
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
        let rows = self.record.samples.len() as u64 + self.record.failures.len() as u64;
        self.file.end().map_err(|error| self.partial(&error))?;
        complete(&self.folder, SAMPLES_FILE, &self.record.environment, self.progress, rows)?;
        self.record.complete = true;
        Ok((self.folder, self.record))
    }

    fn partial(&self, error: &io::Error) -> RecordError {
        partial(&self.folder, error)
    }
}

/// A record of which a part cannot be written.
pub(super) fn partial(folder: &Path, error: &io::Error) -> RecordError {
    RecordError::Partial { folder: folder.to_owned(), cause: error.to_string() }
}

/// Compresses the file that grew, whose rows are all there, and says of the record that it is complete.
///
/// # Errors
///
/// [`RecordError::Partial`] if that cannot be written.
pub(super) fn complete(
    folder: &Path,
    file: &str,
    environment: &Environment,
    progress: Progress,
    rows: u64,
) -> Result<(), RecordError> {
    let progress = Progress { complete: true, rows: Some(rows), ..progress };
    let plain = folder.join(file);
    stored::compress(&plain).map_err(|error| partial(folder, &error))?;
    write_environment(folder, environment, &progress).map_err(|error| match error {
        RecordError::Unwritable { cause, .. } => RecordError::Partial { folder: folder.to_owned(), cause },
        other => other,
    })?;
    stored::remove_plain(&plain);
    Ok(())
}

/// What a record that is to grow further says of itself, if it may, and this process's right to write to it. `grows` is
/// the file that rows are appended to.
///
/// # Errors
///
/// [`RecordError::InUse`]; [`RecordError::NotResumable`] with what speaks against it.
pub(super) fn resumable(
    folder: &Path,
    grows: &str,
    bench: &str,
    now: &Environment,
    grid: &str,
) -> Result<(Lock, Environment, Progress), RecordError> {
    let refused = |cause: String| RecordError::NotResumable { folder: folder.to_owned(), cause };
    let lock = Lock::of(folder)?;
    let (environment, progress) = read_environment(folder)?;
    if progress.complete {
        return Err(refused("it is complete".to_owned()));
    }
    if environment.format != FORMAT_VERSION {
        return Err(refused(format!("it is of format {}, new rows are of {FORMAT_VERSION}", environment.format)));
    }
    let found = progress.grid.clone().unwrap_or_default();
    if found != grid {
        let one_line = |text: &str| text.trim_end().replace('\n', "; ");
        return Err(refused(format!("it is of the grid \"{}\", not \"{}\"", one_line(&found), one_line(grid))));
    }
    if let Some(difference) = difference(&environment, now) {
        return Err(refused(difference));
    }
    let found = progress.bench.as_deref().unwrap_or_default();
    if found != bench {
        return Err(refused(format!("it is of bench {found}, not {bench}")));
    }
    let plain = folder.join(grows);
    if let Some(path) = stored::find(&plain, false).filter(|path| *path != plain) {
        return Err(refused(format!("rows cannot be appended to {}: decompress it", path.display())));
    }
    file::remove_left_over(folder);
    Ok((lock, environment, progress))
}

/// How far a record has got that was just begun.
pub(super) fn begun(bench: &str, grid: &str) -> Progress {
    Progress { complete: false, bench: Some(bench.to_owned()), grid: Some(grid.to_owned()), rows: None }
}

/// The cell and pass of a sample; where the effort is none of this build, each round is a pass.
fn pass_of(sample: &Sample, effort: Option<Effort>) -> (Cell, u32) {
    (sample.cell, sample.round / effort.map_or(1, Effort::rounds))
}

/// The cells and passes of which everything is there, up to the first that is not whole, and how many samples they have.
fn whole_passes(samples: &[Sample], effort: Option<Effort>) -> (HashSet<(Cell, u32)>, usize) {
    let names = |of_round: &[Sample]| -> BTreeSet<String> {
        of_round.iter().map(|sample| sample.contender.to_string()).collect()
    };
    let mut all: Option<BTreeSet<String>> = None;
    let mut is_whole = |pass: &[Sample]| {
        let (cell, number) = pass_of(&pass[0], effort);
        let rounds = effort.map_or(1, |effort| effort.rounds_at(cell.len_bytes));
        let first = number * effort.map_or(1, Effort::rounds);
        let of_rounds: Vec<&[Sample]> = pass.chunk_by(|a, b| a.round == b.round).collect();
        // The first pass is whole if all its rounds have the same contenders, and says who they are.
        let all = all.get_or_insert_with(|| names(of_rounds[0]));
        of_rounds.len() == rounds as usize
            && of_rounds.iter().zip(first..).all(|(round, number)| round[0].round == number && names(round) == *all)
    };
    let passes = samples.chunk_by(|a, b| pass_of(a, effort) == pass_of(b, effort));
    let whole: Vec<&[Sample]> = passes.take_while(|pass| is_whole(pass)).collect();
    let count = whole.iter().map(|pass| pass.len()).sum();
    (whole.into_iter().map(|pass| pass_of(&pass[0], effort)).collect(), count)
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
    let peer = then
        .peers
        .iter()
        .zip(&now.peers)
        .find(|(then, now)| then != now)
        .map(|(then, now)| format!("peer {} was {}, here it is {}", then.name, then.contents(), now.contents()));
    fact.chain(kernel).chain(peer).next()
}
