//! A record of programs: `programs.csv`, a run of a program a row; `programs-installed.csv`, what was there to be measured; and,
//! where a recorder was there, `programs-copying.csv`, what it saw and predicted.

use super::arms::Arm;
use super::sample::Sample;
use super::summary::{Measured, summary};
use crate::lab::instruments::statistics::noise_floor;
use crate::lab::record::{CsvFile, Ended, Environment, Growing, Growth, Kept, Record, RecordError};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The bench of such records, and the name of the file that grows, without its ending.
pub const BENCH: &str = "programs";
/// The further files, without their endings.
pub(super) const INSTALLED: &str = "programs-installed";
pub(super) const COPYING: &str = "programs-copying";

/// A workload, and what it found installed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// The workload.
    pub program: String,
    /// What kind of program it is.
    pub kind: String,
    /// The packages that it needs, with their versions where they are installed.
    pub packages: String,
    /// The programs that are missing.
    pub missing: String,
    /// What stands against putting a library in front of it.
    pub obstacle: String,
}

/// What a recorder saw of a program, and what it predicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copying {
    /// The workload.
    pub program: String,
    /// Which share of its processor time it copies, with the installed libc; nothing where too few calls were timed.
    pub share: Option<f64>,
    /// Processor time with the drop-in library over that with the installed libc.
    pub predicted_ratio: Option<f64>,
}

/// A run over programs.
#[derive(Clone, Debug)]
pub struct ProgramRecord {
    /// Where and how it ran.
    pub environment: Environment,
    /// Whether the run came to its end.
    pub complete: bool,
    /// What was to be measured.
    pub grid: String,
    /// Every run of a program.
    pub samples: Vec<Sample>,
    /// What there was.
    pub installed: Vec<Installed>,
    /// What was predicted; nothing without a recorder.
    pub copying: Vec<Copying>,
    /// The files beside that of the samples, as they are.
    pub tables: Vec<CsvFile>,
}

impl ProgramRecord {
    /// Reads a record back.
    ///
    /// # Errors
    ///
    /// [`RecordError`] with the file, and where there is one the line, that cannot be what a run has written.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        Self::of(Record::read(folder)?)
    }

    /// The programs of a record.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn of(record: Record) -> Result<Self, RecordError> {
        Self::of_kept(Kept::of::<ProgramGrowth>(record)?)
    }

    /// The same of what was just written.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn of_kept(kept: Kept<Sample>) -> Result<Self, RecordError> {
        let Kept { environment, complete, grid, entries: samples, tables, .. } = kept;
        let table = |name: &str| tables.iter().find(|table| table.name() == name);
        let installed = table(INSTALLED).map_or(Ok(Vec::new()), CsvFile::rows)?;
        let copying = table(COPYING).map_or(Ok(Vec::new()), CsvFile::rows)?;
        let grid = grid.unwrap_or_default();
        Ok(Self { environment, complete, grid, samples, installed, copying, tables })
    }

    /// What each program took, in the order of measuring.
    pub fn measured(&self) -> Vec<Measured<'_>> {
        summary(&self.samples)
    }

    /// What a recorder saw of a program.
    pub fn copying_of(&self, program: &str) -> Option<&Copying> {
        self.copying.iter().find(|one| one.program == program)
    }

    /// How far the installed libc differs from itself.
    pub fn noise_floor(&self) -> f64 {
        noise_floor_of(&self.samples)
    }
}

fn noise_floor_of(samples: &[Sample]) -> f64 {
    let again = |one: &Measured<'_>| one.wall(Arm::LibcAgain).map(|ratio| ratio.median);
    noise_floor(&summary(samples).iter().filter_map(again).collect::<Vec<f64>>()).unwrap_or(1.0).max(1.0)
}

/// A record of programs while it grows, program by program.
pub type GrowingPrograms = Growing<ProgramGrowth>;

/// What the rows of a record of programs have in common: nothing.
#[derive(Debug)]
pub struct ProgramGrowth;

impl Growth for ProgramGrowth {
    const FILE: &'static str = BENCH;
    /// The workload, and the round.
    type Step = (String, u32);
    type Entry = Sample;

    fn new(_bench: &str, _environment: &Environment) -> Self {
        Self
    }

    fn row<'a>(&'a self, sample: &'a Sample) -> impl Serialize + 'a {
        sample
    }

    fn step(&self, sample: &Sample) -> (String, u32) {
        (sample.program.clone(), sample.round)
    }

    fn read(&self, table: &CsvFile) -> Result<Vec<Ended<Sample>>, RecordError> {
        let of_row = |sample: Sample| match sample.error.is_empty() && sample.wall_ns == 0 {
            true => Err("a run of a program takes longer than 0 ns".to_owned()),
            false => Ok(sample),
        };
        table.read_ends(of_row, |error| error.to_string())
    }

    fn noise_floor(&self, samples: &[Sample]) -> f64 {
        noise_floor_of(samples)
    }
}
