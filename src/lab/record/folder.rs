//! A record's folder: named by machine and date, made once and as a whole, never overwritten.

use super::environment::Environment;
use super::error::{RecordError, unwritable};
use super::file;
use super::progress::Progress;
use super::stored;
use super::table::{CsvFile, SAMPLES};
use super::{FORMAT_VERSION, OLDEST_FORMAT};
use serde::Deserialize;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

pub(super) const ENVIRONMENT_FILE: &str = "env.toml";

/// A run as it is kept: where and how it ran, and its files. What those say is for the question that the run is of.
#[derive(Clone, Debug)]
pub struct Record {
    /// The bench that ran: its samples answer that question and no other.
    pub bench: String,
    /// Where and how it ran.
    pub environment: Environment,
    /// What was to be measured, if the run said so.
    pub grid: Option<String>,
    /// Whether the run came to its end.
    pub complete: bool,
    /// How many rows of timings of copies there are, once the run has come to its end.
    pub rows: Option<u64>,
    /// What lies in the folder as `<name>.csv` or `<name>.csv.gz`, by name.
    pub tables: Vec<CsvFile>,
}

impl Record {
    /// A whole record of these files.
    pub fn new(bench: impl Into<String>, environment: Environment, tables: Vec<CsvFile>) -> Self {
        Self { bench: bench.into(), environment, grid: None, complete: true, rows: Some(0), tables }
    }

    /// Saves the record as `<results>/<machine>/<date>.<n>` with the next `n`, and returns that folder. It has that
    /// name only once all of it is there.
    ///
    /// # Errors
    ///
    /// [`RecordError::Unwritable`] if a folder or file cannot be made.
    pub fn save(&self, results: &Path) -> Result<PathBuf, RecordError> {
        let Self { grid, rows, .. } = self.clone();
        let progress = Progress { complete: true, bench: Some(self.bench.clone()), rows, grid };
        // What was read from an older format is written in this one.
        let environment = Environment { format: FORMAT_VERSION, ..self.environment.clone() };
        let fill = |folder: &Path| {
            write_environment(folder, &environment, &progress)?;
            self.tables.iter().try_for_each(|table| table.write(folder))
        };
        make(results, &environment, fill).map(|(folder, ())| folder)
    }

    /// Reads a record back. Of one that is [not complete](Progress::complete), a last line that was not written to its
    /// end is left out.
    ///
    /// # Errors
    ///
    /// [`RecordError`] with the file, and where there is one the line, that cannot be what a run has written.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        let (environment, Progress { complete, bench, rows, grid }) = read_environment(folder)?;
        let tables = CsvFile::read_all(folder, complete)?;
        let mut record = Self { bench: String::new(), environment, grid, complete, rows, tables };
        record.bench = bench.or_else(|| record.bench_of_rows()).unwrap_or_default();
        Ok(record)
    }

    /// The bench that the first timing names: records of format 1 say it nowhere else.
    fn bench_of_rows(&self) -> Option<String> {
        let mut reader = csv::Reader::from_reader(self.table(SAMPLES)?.bytes());
        let at = reader.headers().ok()?.iter().position(|column| column == "bench")?;
        Some(reader.records().next()?.ok()?.get(at)?.to_owned())
    }

    /// The file of that name, if the record has one.
    pub fn table(&self, name: &str) -> Option<&CsvFile> {
        self.tables.iter().find(|table| table.name() == name)
    }
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

/// The key that says how to read the others.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

pub(crate) fn read_environment(folder: &Path) -> Result<(Environment, Progress), RecordError> {
    let path = folder.join(ENVIRONMENT_FILE);
    let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
        ErrorKind::NotFound if is_unused(folder) => RecordError::Empty { folder: folder.to_owned() },
        _ if folder.is_file() => {
            RecordError::Unreadable { path: folder.to_owned(), cause: "this is a file, not a folder".to_owned() }
        }
        _ => RecordError::Unreadable { path: path.clone(), cause: error.to_string() },
    })?;
    let damaged = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1) as u64);
        RecordError::Damaged { path: path.clone(), line, cause: error.message().to_owned() }
    };
    let Version { format } = toml::from_str(&text).map_err(damaged)?;
    if !(OLDEST_FORMAT..=FORMAT_VERSION).contains(&format) {
        return Err(RecordError::OtherFormat { path, found: format });
    }
    let progress: Progress = toml::from_str(&text).map_err(damaged)?;
    // The environment knows each of its keys and refuses any other.
    let mut table = toml::de::DeTable::parse(&text).map_err(damaged)?;
    for key in Progress::KEYS {
        table.get_mut().remove(key);
    }
    show_controls(table.get_mut());
    let environment = Environment::deserialize(toml::Deserializer::from(table)).map_err(damaged)?;
    if let Some((key, cause)) = environment.absurdity() {
        let at = text.lines().position(|line| line.split('=').next().is_some_and(|word| word.trim() == key));
        return Err(RecordError::Damaged { path, line: at.map_or(1, |at| at as u64 + 1), cause });
    }
    Ok((environment, progress))
}

/// A line break in a name would begin a line of its own wherever it is shown. The plan alone has several lines.
fn show_controls(table: &mut toml::de::DeTable<'_>) {
    for (_, value) in table.iter_mut().filter(|(key, _)| key.get_ref() != "plan") {
        show_control(value.get_mut());
    }
}

fn show_control(value: &mut toml::de::DeValue<'_>) {
    match value {
        toml::de::DeValue::String(text) if text.contains(char::is_control) => {
            *text = text.escape_debug().to_string().into();
        }
        toml::de::DeValue::Array(values) => values.iter_mut().for_each(|value| show_control(value.get_mut())),
        toml::de::DeValue::Table(table) => show_controls(table),
        _ => {}
    }
}

/// Whether a folder holds neither of the files of a record: a run that was ended before it wrote anything, or a folder
/// of something else.
pub(crate) fn is_unused(folder: &Path) -> bool {
    let is_here = |name: &str| stored::find(&folder.join(name), true).is_some();
    folder.is_dir() && !is_here(ENVIRONMENT_FILE) && !is_here(&format!("{SAMPLES}.csv"))
}

/// Replaces the environment as a whole: a reader finds the old file or the new one.
pub(super) fn write_environment(
    folder: &Path,
    environment: &Environment,
    progress: &Progress,
) -> Result<(), RecordError> {
    let text = |error: toml::ser::Error| io::Error::other(error.to_string());
    let path = folder.join(ENVIRONMENT_FILE);
    let write = || {
        let progress = toml::to_string_pretty(progress).map_err(text)?;
        let environment = toml::to_string_pretty(environment).map_err(text)?;
        file::replace(&path, (progress + &environment).as_bytes())
    };
    write().map_err(|error| unwritable(&path, &error))
}

/// Makes a folder under a name that no reader looks at, fills it, and then calls it `<machine>/<date>.<n>` with the
/// next `n`. A process that is killed meanwhile leaves nothing that looks like a record.
pub(super) fn make<T>(
    results: &Path,
    environment: &Environment,
    fill: impl FnOnce(&Path) -> Result<T, RecordError>,
) -> Result<(PathBuf, T), RecordError> {
    let machine = results.join(&environment.machine);
    fs::create_dir_all(&machine).map_err(|error| unwritable(&machine, &error))?;
    let unnamed = unnamed_folder(&machine).map_err(|error| unwritable(&machine, &error))?;
    let made = fill(&unnamed).and_then(|filled| {
        let folder = next(&unnamed, &machine, &environment.date).map_err(|error| unwritable(&machine, &error))?;
        Ok((folder, filled))
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&unnamed);
    }
    made
}

/// A new folder whose name begins with a dot.
fn unnamed_folder(machine: &Path) -> io::Result<PathBuf> {
    for n in 0_u32.. {
        let folder = machine.join(format!(".unfinished-{}-{n}", std::process::id()));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// The day of a record and its number on that day, by its name; then the name.
pub(crate) fn age(folder: &Path) -> (String, u32, String) {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (date, number) = name.rsplit_once('.').unwrap_or((&name, ""));
    (date.to_owned(), number.parse().unwrap_or(0), name)
}

/// Renames a folder to `<date>.<n>`, `n` one more than the last of that day: numbers tell which record is the newer one. An
/// empty folder of that name is replaced.
pub(super) fn next(unnamed: &Path, machine: &Path, date: &str) -> io::Result<PathBuf> {
    let used = fs::read_dir(machine)?.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| !is_unused(path));
    let of_day = used.map(|path| age(&path)).filter(|(day, _, _)| day == date);
    let last = of_day.map(|(_, number, _)| number).max().unwrap_or(0);
    for n in last.saturating_add(1).. {
        let folder = machine.join(format!("{date}.{n}"));
        match fs::rename(unnamed, &folder) {
            Ok(()) => return Ok(folder),
            // What is there is a record, or a file.
            Err(_) if folder.exists() => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}
