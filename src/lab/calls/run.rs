//! A run: the program once, with the recorder in it; then all that was recorded, process by process.

#![forbid(unsafe_code)]

use super::record::{Figure, GrowingProfile, PROCESSES, ProfileGrowth, RUN, Row, Run, SITES, grid_of, lengths_of};
use super::watch::{Job, Watched, ending, going_on_text, watch};
use crate::lab::LabError;
use crate::lab::experiment::{Experiment, Observer};
use crate::lab::record::CsvFile;
use crate::select::{Class, INLINE_MAX_BYTES, Plan};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The plan's choices in a record, without the ending.
pub(super) const PLAN: &str = "profile-plan";

/// What the plan chooses for sampled copies of a class and about a length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choice {
    /// The alignment class.
    pub class: String,
    /// The shortest length, in bytes.
    pub from_bytes: u64,
    /// The longest, in bytes.
    pub up_to_bytes: u64,
    /// The kernel for their mean length; `inlined` where the plan is not asked.
    pub kernel: String,
    /// Sampled copies.
    pub samples: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A program, to be run with the recorder in it.
pub struct Calls {
    job: Job,
    plan: Plan,
    is_by_process: bool,
    /// The exit status of the program, once it has ended.
    status: u8,
}

/// What a run measures: the program.
#[derive(Clone, Debug)]
pub struct Step(String);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Calls {
    /// This program; the plan is what memcpy-select's routine follows in it. `is_by_process`: each process is to be shown by itself.
    pub fn new(job: Job, plan: Plan, is_by_process: bool) -> Self {
        Self { job, plan, is_by_process, status: 0 }
    }

    /// What its record says of what was run.
    pub fn grid(&self) -> String {
        grid_of(&self.words(), self.job.period, self.job.under.name(), self.is_by_process)
    }

    /// The exit status that stands for that of the program: its own, or 128 and the number of the signal that ended it.
    pub fn status(&self) -> u8 {
        self.status
    }

    fn words(&self) -> Vec<String> {
        self.job.command.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    }
}

impl Experiment for Calls {
    type Growth = ProfileGrowth;
    type Step = Step;

    fn steps(&self, growing: &GrowingProfile) -> Vec<(Step, f64)> {
        let is_there = growing.has_table(RUN);
        (!is_there).then(|| (Step(self.words().join(" ")), 1.0)).into_iter().collect()
    }

    fn measure(&mut self, _step: &Step, growing: &mut GrowingProfile, observer: &dyn Observer) -> Result<(), LabError> {
        let Watched { status, elapsed, going_on, gathered, mut caveats } = watch(&self.job)?;
        let (end, code) = ending(status);
        self.status = code;
        caveats.extend(going_on_text(going_on));
        caveats.iter().for_each(|caveat| observer.say(&format!("note: {caveat}")));
        let (mut processes, mut rows) = (Vec::new(), Vec::new());
        for (process, of_process) in gathered.processes() {
            processes.push(process);
            if !of_process.is_empty() {
                growing.append(of_process.clone())?;
                rows.extend(of_process);
            }
        }
        growing.keep(CsvFile::of(PROCESSES, &processes)?)?;
        growing.keep(CsvFile::of(SITES, &gathered.sites())?)?;
        growing.keep(CsvFile::of(PLAN, &choices(&rows, &self.plan))?)?;
        if let Some(lengths) = lengths_of(&rows) {
            growing.keep(lengths.file()?)?;
        }
        let elapsed_ns = elapsed.as_nanos() as u64;
        growing.keep(CsvFile::of(RUN, &[Run { end, elapsed_ns, going_on, caveat: caveats.join("; ") }])?)?;
        Ok(())
    }
}

/// What a plan chooses for these sampled copies.
fn choices(rows: &[Row], plan: &Plan) -> Vec<Choice> {
    let mut choices: Vec<Choice> = Vec::new();
    for row in rows.iter().filter(|row| row.figure == Figure::Class) {
        let Row { what: class, from, up_to, count, bytes, .. } = row.clone();
        let known = choices.iter_mut().find(|one| (&one.class, one.from_bytes) == (&class, from));
        match known {
            Some(one) => {
                one.samples = one.samples.saturating_add(count);
                one.bytes = one.bytes.saturating_add(bytes);
            }
            None => choices.push(Choice {
                class,
                from_bytes: from,
                up_to_bytes: up_to,
                kernel: String::new(),
                samples: count,
                bytes,
            }),
        }
    }
    for one in &mut choices {
        let mean_bytes = usize::try_from(one.bytes / one.samples.max(1)).unwrap_or(usize::MAX);
        let kernel = Class::named(&one.class).map(|class| plan.kernel(mean_bytes, class).name());
        one.kernel = if mean_bytes <= INLINE_MAX_BYTES { "inlined" } else { kernel.unwrap_or("not known") }.to_owned();
    }
    choices
}
