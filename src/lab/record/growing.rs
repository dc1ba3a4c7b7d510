//! A record that grows: a run that may be ended before its time leaves what it has measured, and a later one goes on
//! with it.

use super::FORMAT_VERSION;
use super::appending::{Appending, Mark};
use super::environment::{Environment, MOST_NOISE};
use super::error::{RecordError, unwritable};
use super::file;
use super::folder::{Record, make, read_environment, write_environment};
use super::lock::Lock;
use super::progress::Progress;
use super::stored;
use super::table::{CsvFile, Ended, SAMPLES, csv_text};
use serde::Serialize;
use std::collections::HashSet;
use std::hash::Hash;
use std::io;
use std::path::{Path, PathBuf};

/// What a question keeps in the file that grows, row by row, and which rows belong together.
pub trait Growth: Sized {
    /// The file, without `.csv`.
    const FILE: &'static str;
    /// What is measured in one go, and kept in one piece.
    type Step: Clone + Eq + Hash;
    /// What a row tells.
    type Entry: Clone;

    /// For rows of a bench that ran like this.
    fn new(bench: &str, environment: &Environment) -> Self;

    /// The row of an entry: a struct whose fields are the columns.
    fn row<'a>(&'a self, entry: &'a Self::Entry) -> impl Serialize + 'a;

    /// The step that an entry is of.
    fn step(&self, entry: &Self::Entry) -> Self::Step;

    /// The entries of a file.
    ///
    /// # Errors
    ///
    /// [`RecordError::Damaged`] with the line that no run has written.
    fn read(&self, table: &CsvFile) -> Result<Vec<Ended<Self::Entry>>, RecordError>;

    /// Whether one of the pieces that a file has is a whole step. Each was written in one go, so that the last one alone may lack
    /// entries.
    fn is_whole(&self, pieces: &[Vec<&Self::Entry>], at: usize) -> bool {
        at + 1 < pieces.len()
    }

    /// How far what is measured differs from itself: a ratio above 1, under which a difference is a tie.
    fn noise_floor(&self, entries: &[Self::Entry]) -> f64;
}

/// What a record holds, in the terms of its question.
#[derive(Clone, Debug)]
pub struct Kept<E> {
    /// The bench that ran.
    pub bench: String,
    /// Where and how it ran.
    pub environment: Environment,
    /// What was to be measured, if the run said so.
    pub grid: Option<String>,
    /// Whether the run came to its end.
    pub complete: bool,
    /// What the rows of the file that grew tell.
    pub entries: Vec<E>,
    /// The other files.
    pub tables: Vec<CsvFile>,
}

impl<E> Kept<E> {
    /// What a record holds whose rows are of this growth.
    ///
    /// # Errors
    ///
    /// As for [`Growth::read`].
    pub fn of<G: Growth<Entry = E>>(record: Record) -> Result<Self, RecordError> {
        let Record { bench, environment, grid, complete, mut tables, .. } = record;
        let at = tables.iter().position(|table| table.name() == G::FILE);
        let entries = match at.map(|at| tables.remove(at)) {
            Some(table) => G::new(&bench, &environment).read(&table)?.into_iter().map(|one| one.row).collect(),
            None => Vec::new(),
        };
        Ok(Self { bench, environment, grid, complete, entries, tables })
    }

    /// The record of it, to be saved.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unwritable`] if an entry is no row of plain fields.
    pub fn record<G: Growth<Entry = E>>(&self) -> Result<Record, RecordError> {
        let growth = G::new(&self.bench, &self.environment);
        let mut tables = self.tables.clone();
        if !self.entries.is_empty() {
            tables.push(CsvFile::made(G::FILE, self.entries.iter().map(|entry| growth.row(entry)))?);
        }
        let rows = Some(counted::<G>(self.entries.len()));
        let record = Record::new(self.bench.clone(), self.environment.clone(), tables);
        Ok(Record { grid: self.grid.clone(), complete: self.complete, rows, ..record })
    }
}

/// How many rows of timings of copies a record of that many entries has.
fn counted<G: Growth>(entries: usize) -> u64 {
    if G::FILE == SAMPLES { entries as u64 } else { 0 }
}

/// A record that is written as it is measured, one step after the other.
///
/// Whatever ends the process, the record can be read, and [resumed](Self::resume). No other process can resume it while
/// this one runs.
#[derive(Debug)]
pub struct Growing<G: Growth> {
    _lock: Lock,
    folder: PathBuf,
    growth: G,
    file: Appending,
    kept: Kept<G::Entry>,
    steps: HashSet<G::Step>,
}

impl<G: Growth> Growing<G> {
    /// Starts a record as `<results>/<machine>/<date>.<n>` with the next `n`. `grid` says what is to be measured.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unwritable`] if a folder or file cannot be made; none is left then.
    pub fn create(results: &Path, bench: &str, environment: Environment, grid: &str) -> Result<Self, RecordError> {
        let progress = begun(bench, grid);
        let fill = |folder: &Path| {
            let lock = Lock::of(folder)?;
            write_environment(folder, &environment, &progress)?;
            let path = grown::<G>(folder);
            let file = Appending::open(&path, Mark::default(), 0).map_err(|error| unwritable(&path, &error))?;
            Ok((lock, file))
        };
        let (folder, (lock, file)) = make(results, &environment, fill)?;
        let growth = G::new(bench, &environment);
        let kept = Kept {
            bench: bench.to_owned(),
            environment,
            grid: Some(grid.to_owned()),
            complete: false,
            entries: Vec::new(),
            tables: Vec::new(),
        };
        Ok(Self { _lock: lock, folder, growth, file, kept, steps: HashSet::new() })
    }

    /// Goes on with a record that is not complete: what is kept of it [is known](Self::has), the rest is cut off with the
    /// next [`append`](Self::append). Steps are kept up to the first that is not whole.
    ///
    /// `now` is the environment of the process that goes on.
    ///
    /// # Errors
    ///
    /// [`RecordError::NotResumable`] if the record is complete, of another format, bench or grid, or from another machine
    /// or build; [`RecordError::InUse`] if another process is writing to it; [`RecordError`] as for [`Record::read`];
    /// [`RecordError::Partial`] if it cannot be written. In all but the last the record stays as it was.
    pub fn resume(folder: &Path, bench: &str, now: &Environment, grid: &str) -> Result<Self, RecordError> {
        let (lock, environment) = resumable(folder, &grown::<G>(folder), bench, now, grid)?;
        let growth = G::new(bench, &environment);
        let mut tables = Record::read(folder)?.tables;
        let at = tables.iter().position(|table| table.name() == G::FILE);
        let table = at.map(|at| tables.remove(at));
        let read = table.as_ref().map_or(Ok(Vec::new()), |table| growth.read(table))?;
        let (steps, count) = whole_steps(&growth, &read);
        let kept_bytes = count.checked_sub(1).map_or(0, |last| read[last].end);
        let found = table.map(|table| table.found().clone()).unwrap_or_default();
        let file = Appending::open(&grown::<G>(folder), found, kept_bytes).map_err(|error| partial(folder, &error))?;
        let entries = read.into_iter().take(count).map(|one| one.row).collect();
        let kept = Kept {
            bench: bench.to_owned(),
            environment,
            grid: Some(grid.to_owned()),
            complete: false,
            entries,
            tables,
        };
        Ok(Self { _lock: lock, folder: folder.to_owned(), growth, file, kept, steps })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was written so far.
    pub fn kept(&self) -> &Kept<G::Entry> {
        &self.kept
    }

    /// Whether this step is there.
    pub fn has(&self, step: &G::Step) -> bool {
        self.steps.contains(step)
    }

    /// Whether a further file of that name is there.
    pub fn has_table(&self, name: &str) -> bool {
        self.kept.tables.iter().any(|table| table.name() == name)
    }

    /// Appends what one step gave, in one piece.
    ///
    /// # Errors
    ///
    /// [`RecordError::Partial`] if it cannot be written; the record is what it was before.
    pub fn append(&mut self, entries: Vec<G::Entry>) -> Result<(), RecordError> {
        let rows = entries.iter().map(|entry| self.growth.row(entry));
        let piece = csv_text(rows, self.file.is_empty());
        let written = piece.and_then(|piece| self.file.append(&piece));
        written.map_err(|error| partial(&self.folder, &error))?;
        self.steps.extend(entries.iter().map(|entry| self.growth.step(entry)));
        self.kept.entries.extend(entries);
        Ok(())
    }

    /// Keeps a further file, in the place of one of that name.
    ///
    /// # Errors
    ///
    /// [`RecordError::Partial`] if it cannot be written.
    pub fn keep(&mut self, table: CsvFile) -> Result<(), RecordError> {
        table.write(&self.folder).map_err(|error| self.partial(error))?;
        self.kept.tables.retain(|known| known.name() != table.name());
        self.kept.tables.push(table);
        Ok(())
    }

    /// Declares the record complete, with the noise floor that its entries give.
    ///
    /// # Errors
    ///
    /// [`RecordError::Partial`] if that cannot be written.
    pub fn finish(mut self) -> Result<(PathBuf, Kept<G::Entry>), RecordError> {
        let kept = &mut self.kept;
        kept.environment.noise_floor = self.growth.noise_floor(&kept.entries).clamp(1.0, MOST_NOISE);
        kept.complete = true;
        let begun = begun(&kept.bench, kept.grid.as_deref().unwrap_or_default());
        let progress = Progress { complete: true, rows: Some(counted::<G>(kept.entries.len())), ..begun };
        let plain = grown::<G>(&self.folder);
        let compressed = self.file.end().and_then(|()| stored::compress(&plain));
        compressed.map_err(|error| partial(&self.folder, &error))?;
        let written = write_environment(&self.folder, &self.kept.environment, &progress);
        written.map_err(|error| self.partial(error))?;
        stored::remove_plain(&plain);
        Ok((self.folder, self.kept))
    }

    /// What could not be written leaves a record of what was measured before.
    fn partial(&self, error: RecordError) -> RecordError {
        match error {
            RecordError::Unwritable { cause, .. } => RecordError::Partial { folder: self.folder.clone(), cause },
            other => other,
        }
    }
}

/// The file that grows.
fn grown<G: Growth>(folder: &Path) -> PathBuf {
    folder.join(format!("{}.csv", G::FILE))
}

/// The steps of which everything is there, up to the first that is not whole, and how many entries they have.
fn whole_steps<G: Growth>(growth: &G, read: &[Ended<G::Entry>]) -> (HashSet<G::Step>, usize) {
    let pieces: Vec<Vec<&G::Entry>> = read
        .chunk_by(|a, b| growth.step(&a.row) == growth.step(&b.row))
        .map(|piece| piece.iter().map(|one| &one.row).collect())
        .collect();
    let whole = (0..pieces.len()).take_while(|at| growth.is_whole(&pieces, *at)).count();
    let whole = &pieces[..whole];
    (whole.iter().map(|piece| growth.step(piece[0])).collect(), whole.iter().map(Vec::len).sum())
}

/// A record of which a part cannot be written.
fn partial(folder: &Path, error: &io::Error) -> RecordError {
    RecordError::Partial { folder: folder.to_owned(), cause: error.to_string() }
}

/// What a record that is to grow further says of itself, if it may, and this process's right to write to it. `plain` is
/// the file that rows are appended to.
///
/// # Errors
///
/// [`RecordError::InUse`]; [`RecordError::NotResumable`] with what speaks against it.
fn resumable(
    folder: &Path,
    plain: &Path,
    bench: &str,
    now: &Environment,
    grid: &str,
) -> Result<(Lock, Environment), RecordError> {
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
    if let Some(path) = stored::find(plain, false).filter(|path| path != plain) {
        return Err(refused(format!("rows cannot be appended to {}: decompress it", path.display())));
    }
    file::remove_left_over(folder);
    Ok((lock, environment))
}

/// How far a record has got that was just begun.
fn begun(bench: &str, grid: &str) -> Progress {
    Progress { complete: false, bench: Some(bench.to_owned()), grid: Some(grid.to_owned()), rows: None }
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
