//! How every question is measured: step by step, each step kept before the next begins, so that whatever ends the run leaves a
//! record that can be read and gone on with.

use super::error::LabError;
use super::instruments::affinity::pin;
use super::instruments::conditions::conditions;
use super::instruments::effort::Effort;
use super::record::{Environment, Growing, Growth, Kept};
use super::show;
use crate::cpu::Cpu;
use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is measured of one question.
pub trait Experiment {
    /// What it keeps.
    type Growth: Growth;
    /// What is measured in one go.
    type Step: Display;

    /// The steps that are missing in a record, in the order of measuring, each with how long it takes beside the others.
    fn steps(&self, growing: &Growing<Self::Growth>) -> Vec<(Self::Step, f64)>;

    /// Measures a step, and appends what it gave.
    ///
    /// # Errors
    ///
    /// [`LabError`] if it cannot be kept, or not measured while there is no use in going on.
    fn measure(
        &mut self,
        step: &Self::Step,
        growing: &mut Growing<Self::Growth>,
        observer: &dyn Observer,
    ) -> Result<(), LabError>;
}

/// What a run is watched by.
pub trait Observer {
    /// A line for the reader.
    fn say(&self, line: &str);
    /// How many steps of how many are done, which share of the time that is, and what is measured next.
    fn show(&self, done: usize, of: usize, share: f64, next: &dyn Display);
}

/// What a record says of what was to be measured, where nothing but the effort can be asked for.
pub fn grid_of(effort: Effort) -> String {
    format!("effort {}\n", effort.name())
}

/// Where a run goes, and how much of it there is.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// How much is measured.
    pub effort: Effort,
    /// The logical CPU that the thread which is timed is pinned to.
    pub pinned_to: Option<usize>,
    /// Where a new record goes.
    pub out: &'a Path,
    /// The record to go on with instead.
    pub resume: Option<&'a Path>,
    /// Whether the standard output is for one JSON document.
    pub is_json: bool,
}

impl<'a> Start<'a> {
    /// A run by the calling thread, pinned to the last logical CPU that it may use.
    pub fn pinned(effort: Effort, out: &'a Path, resume: Option<&'a Path>, is_json: bool) -> Self {
        Self { effort, pinned_to: pin(), out, resume, is_json }
    }

    /// Looks at this machine, and says what speaks against figures from it.
    ///
    /// # Errors
    ///
    /// [`LabError::Output`] if that cannot be printed.
    pub fn environment(&self) -> Result<Environment, LabError> {
        let cpu = Cpu::detect();
        let environment = Environment::gather(&cpu, self.effort, self.pinned_to);
        if !self.is_json {
            show::print(format_args!("{}\n", show::machine(&environment, &conditions(&cpu, self.pinned_to))))?;
        }
        Ok(environment)
    }

    /// The record: a new one, or the one to go on with.
    ///
    /// # Errors
    ///
    /// As for [`Growing::create`] and [`Growing::resume`].
    pub fn open<G: Growth>(&self, bench: &str, environment: Environment, grid: &str) -> Result<Growing<G>, LabError> {
        let growing = match self.resume {
            Some(folder) => Growing::resume(folder, bench, &environment, grid)?,
            None => Growing::create(self.out, bench, environment, grid)?,
        };
        show::say(format_args!("record: {}, as it grows", growing.folder().display()));
        Ok(growing)
    }
}

/// The folder of a record, and what it holds.
pub type Finished<G> = (PathBuf, Kept<<G as Growth>::Entry>);

/// Measures all that is missing in a record, and ends it.
///
/// # Errors
///
/// As for [`Experiment::measure`]; the record holds what was measured before.
pub fn run<E: Experiment>(
    experiment: &mut E,
    mut growing: Growing<E::Growth>,
    observer: &dyn Observer,
) -> Result<Finished<E::Growth>, LabError> {
    let steps = experiment.steps(&growing);
    let all: f64 = steps.iter().map(|(_, share)| share).sum();
    let mut done = 0.0;
    for (at, (step, share)) in steps.iter().enumerate() {
        observer.show(at, steps.len(), done / all, step);
        experiment.measure(step, &mut growing, observer)?;
        done += share;
    }
    Ok(growing.finish()?)
}

/// A line each second on the standard error, if that is a terminal: how far a run has got.
#[derive(Debug)]
pub struct Lines {
    is_watched: bool,
    start: Instant,
    last: std::cell::Cell<Instant>,
}

impl Lines {
    /// A run that begins now.
    pub fn new() -> Self {
        let now = Instant::now();
        Self { is_watched: stderr().is_terminal(), start: now, last: now.into() }
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Lines {
    fn say(&self, line: &str) {
        show::say(line);
    }

    fn show(&self, done: usize, of: usize, share: f64, next: &dyn Display) {
        if self.is_watched && self.last.get().elapsed() >= Duration::from_secs(1) && share > 0.0 {
            self.last.set(Instant::now());
            let left_s = self.start.elapsed().as_secs_f64() / share * (1.0 - share);
            let line = format!("{done} of {of}, about {left_s:.0} s left: {next}\n");
            let _ = stderr().write_all(line.as_bytes());
        }
    }
}
