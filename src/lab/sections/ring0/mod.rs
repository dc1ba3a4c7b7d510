//! What user mode cannot measure, as a kernel measured it in ring 0: saving and restoring around a section, interrupts, the
//! trap at the first vector instruction, copies that may fault.
//!
//! The kernel in `tests/ring0/` writes these figures (`log.rs`), and a record keeps them beside what was measured in user mode of
//! the same CPU: `xsave-ring0.csv`, a figure a row, and `xsave-ring0-machine.csv`, one row, where they were taken.

#![forbid(unsafe_code)]

mod error;
mod log;

pub use error::{Ring0Cause, Ring0Error};

use super::GrowingSections;
use crate::lab::record::{CsvFile, Record, RecordError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The file of the figures, without its ending.
const FIGURES: &str = "xsave-ring0";
/// The file of the machine.
const MACHINE: &str = "xsave-ring0-machine";

/// What timing nothing takes: it is in every other figure.
pub const EMPTY: &str = "empty";

/// The name of a machine whose instructions a program carries out.
const EMULATOR: &str = "tcg";

/// More ticks than any figure has: minutes.
const MOST_TICKS: f64 = 1e12;
/// Time-stamp counters that there are, in ticks a second.
const TSC_HZ: std::ops::RangeInclusive<u64> = 100_000..=16_000_000_000;

/// Figures from ring 0, and where they were taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Ring0 {
    /// Where.
    pub machine: Machine,
    /// The figures, in the order in which they were taken.
    pub rows: Vec<Row>,
}

/// Where figures were taken in ring 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// Vendor, family, model, stepping, as in `env.toml`.
    pub cpu: String,
    /// `bare`, `kvm`, `tcg` or what another hypervisor calls itself.
    pub machine: String,
    /// Why figures that do not say otherwise of themselves are not those of a CPU; empty where they are.
    pub not_real: String,
    /// Ticks of the time-stamp counter a second.
    pub tsc_hz: u64,
}

/// A figure from ring 0, in ticks of the time-stamp counter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// What was timed, such as `xsaves_xrstors/avx`.
    pub name: String,
    /// The median.
    pub ticks: f64,
    /// The 5th percentile.
    pub p5_ticks: f64,
    /// The 95th percentile.
    pub p95_ticks: f64,
    /// How many samples.
    pub samples: u64,
    /// Whether this is what the CPU takes: no emulator and no hypervisor stood in for it.
    pub real: bool,
}

impl Ring0 {
    /// Reads the log of a serial port.
    ///
    /// `signature` is that of the CPU whose record the figures are for. With `may_be_unreal` figures are taken of which none
    /// is real.
    ///
    /// # Errors
    ///
    /// [`Ring0Error`] if it cannot be read, or is not such a log, not whole, of another CPU, or of an emulated machine.
    pub fn read(path: &Path, signature: &str, may_be_unreal: bool) -> Result<Self, Ring0Error> {
        let failed = |cause| Ring0Error { path: path.to_owned(), cause };
        let ring0 = log::read(path).and_then(|text| log::parse(&text)).map_err(failed)?;
        let Machine { cpu, machine, not_real, .. } = &ring0.machine;
        if cpu != signature {
            return Err(failed(Ring0Cause::OtherCpu { found: cpu.clone(), record: signature.to_owned() }));
        }
        if !may_be_unreal && !ring0.is_real() {
            return Err(failed(Ring0Cause::NotReal {
                machine: machine.clone(),
                why: if not_real.is_empty() { "no row of it is".into() } else { not_real.clone() },
            }));
        }
        Ok(ring0)
    }

    /// Whether any of the figures is what the CPU takes.
    pub fn is_real(&self) -> bool {
        self.rows.iter().any(|row| row.real)
    }

    /// What a real figure is beyond timing nothing, in core cycles at `core_cycles_per_ns`.
    pub fn cycles(&self, name: &str, core_cycles_per_ns: f64) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.name == name && row.real)?;
        let cycles = self.ns(row, row.ticks) * core_cycles_per_ns;
        (cycles.is_finite() && core_cycles_per_ns > 0.0).then_some(cycles.max(0.0))
    }

    /// So many ticks of a row, without what timing nothing takes, in nanoseconds.
    pub fn ns(&self, row: &Row, ticks: f64) -> f64 {
        let empty = self.rows.iter().find(|other| other.name == EMPTY && row.name != EMPTY);
        (ticks - empty.map_or(0.0, |empty| empty.ticks)) * 1e9 / self.machine.tsc_hz as f64
    }

    /// The further files of a record.
    fn tables(&self) -> Result<[CsvFile; 2], RecordError> {
        Ok([CsvFile::of(FIGURES, &self.rows)?, CsvFile::of(MACHINE, std::slice::from_ref(&self.machine))?])
    }

    /// Keeps the figures in a record that grows.
    ///
    /// # Errors
    ///
    /// [`RecordError::Partial`] if they cannot be written.
    pub fn keep_in(&self, growing: &mut GrowingSections) -> Result<(), RecordError> {
        self.tables()?.into_iter().try_for_each(|table| growing.keep(table))
    }

    /// Saves a new record beside that in `<results>/<machine>/<date>.<n>`, with the next `n`: the same, with these figures in the
    /// place of any others from ring 0. Returns its folder.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if the record cannot be read, is not complete or does not lie in such a folder, or if the new one cannot
    /// be written.
    pub fn beside(&self, folder: &Path) -> Result<PathBuf, RecordError> {
        let unreadable = |cause: &str| RecordError::Unreadable { path: folder.to_owned(), cause: cause.to_owned() };
        let mut record = Record::read(folder)?;
        if !record.complete {
            return Err(unreadable("its run did not come to its end, so that nothing is added to it"));
        }
        let full = folder.canonicalize().map_err(|error| unreadable(&error.to_string()))?;
        let results = full.parent().filter(|machine| machine.ends_with(&record.environment.machine));
        let results = results.and_then(Path::parent).ok_or_else(|| {
            unreadable("it does not lie in the folder of its machine, where a record with figures from ring 0 would go")
        })?;
        record.tables.retain(|table| ![FIGURES, MACHINE].contains(&table.name()));
        record.tables.extend(self.tables()?);
        record.save(results)
    }

    /// The figures among the files of a record, if there are any.
    pub(super) fn of(tables: &[CsvFile]) -> Result<Option<Self>, RecordError> {
        let named = |name: &str| tables.iter().find(|table| table.name() == name);
        let (figures, machine) = match (named(FIGURES), named(MACHINE)) {
            (None, None) => return Ok(None),
            (Some(figures), Some(machine)) => (figures, machine),
            (Some(alone), None) | (None, Some(alone)) => {
                return Err(
                    alone.damaged(1, format!("{FIGURES}.csv and {MACHINE}.csv go together, and one is missing"))
                );
            }
        };
        let mut machines = machine.read(|machine: Machine| machine.checked())?;
        let (Some(machine), true) = (machines.pop(), machines.is_empty()) else {
            return Err(machine.damaged(1, "this file has one row".to_owned()));
        };
        let mut rows: Vec<Row> = Vec::new();
        figures.read(|row: Row| {
            rows.push(row.checked(&machine, &rows)?);
            Ok(())
        })?;
        Ok(Some(Self { machine, rows }))
    }
}

impl Machine {
    fn checked(self) -> Result<Self, String> {
        let Self { cpu, machine, not_real, tsc_hz } = &self;
        for (name, word) in [("CPU", cpu), ("machine", machine)] {
            if word.is_empty() || word.contains(char::is_control) {
                return Err(format!("{word:?} is no name of a {name}"));
            }
        }
        if not_real.contains(char::is_control) {
            return Err(format!("{not_real:?} is no line"));
        }
        if !TSC_HZ.contains(tsc_hz) {
            return Err(format!("{tsc_hz} ticks a second are no time-stamp counter's"));
        }
        Ok(self)
    }
}

impl Row {
    /// The row, if it can be one beside those before it.
    fn checked(self, machine: &Machine, before: &[Self]) -> Result<Self, String> {
        let Self { name, ticks, p5_ticks, p95_ticks, samples, real } = &self;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-/.+".contains(&byte);
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_name) {
            return Err(format!("{name:?} is no name of a figure"));
        }
        if before.iter().any(|row| row.name == *name) {
            return Err(format!("{name} is there twice"));
        }
        let is_count = |ticks: &f64| (0.0..=MOST_TICKS).contains(ticks);
        if ![p5_ticks, ticks, p95_ticks].into_iter().all(is_count) || p5_ticks > ticks || ticks > p95_ticks {
            return Err(format!(
                "{name}: a 5th percentile of {p5_ticks}, a median of {ticks} and a 95th percentile of {p95_ticks} ticks do \
                 not rise from 0"
            ));
        }
        if *samples == 0 {
            return Err(format!("{name}: a figure of no samples"));
        }
        if *real && machine.machine == EMULATOR {
            return Err(format!("{name}: on {EMULATOR}, which is an emulator, no figure is real"));
        }
        Ok(self)
    }
}
