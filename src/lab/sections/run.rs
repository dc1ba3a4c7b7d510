//! A run: the instructions, copies, and registers kept by hand; then the prediction, which is on the disk before the first
//! section is measured; then sections, switches and signals.

use super::prediction::Model;
use super::record::{GrowingSections, IN_USE, InUse, PREDICTION, SectionGrowth, prediction_table};
use super::runner::Arm;
use super::timings::Timings;
use super::{Part, Runner, composites, costs, curves, in_use, round_trip};
use crate::cpu::Cpu;
use crate::kernel::kernels;
use crate::lab::LabError;
use crate::lab::experiment::{Experiment, Observer};
use crate::lab::instruments::buffers::Buffers;
use crate::lab::instruments::effort::Effort;
use crate::lab::record::CsvFile;
use std::fmt;

/// What a run measures, one step after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Rounds of the loops of a part, and how many.
    Rounds(Part, u32),
    /// The prediction is written down.
    Prediction,
    /// What kernels leave in use is looked at.
    InUse,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rounds(Part::Cost, _) => "the instructions",
            Self::Rounds(Part::Curve | Part::HeldBack | Part::Clock, _) => "copies",
            Self::Rounds(Part::Spill, _) => "registers kept by hand",
            Self::Rounds(Part::Composite, _) => "sections, which were predicted",
            Self::Rounds(Part::Switch, _) => "switches",
            Self::Rounds(Part::Signal, _) => "signals",
            Self::Prediction => "the prediction",
            Self::InUse => "what kernels leave in use",
        })
    }
}

/// Everything about sections, on the CPU that this thread is pinned to.
pub struct Sections<'a> {
    cpu: Cpu,
    effort: Effort,
    pinned_to: Option<usize>,
    buffers: &'a Buffers,
    lengths: Vec<usize>,
    runner: Runner,
    /// The loops of the part that is under way, which have run once to warm up.
    arms: Option<(Part, Vec<Arm<'a>>)>,
    /// Parts that the system does not allow.
    refused: Vec<Part>,
}

impl<'a> Sections<'a> {
    /// The longest copy that is measured: as much as the buffers have to hold.
    pub const MAX_LEN_BYTES: usize = curves::MAX_LEN_BYTES;

    /// A run with buffers of [`MAX_LEN_BYTES`](Self::MAX_LEN_BYTES).
    ///
    /// # Errors
    ///
    /// [`LabError::NoXsave`] if the CPU or its system lacks XSAVE.
    pub fn new(effort: Effort, pinned_to: Option<usize>, buffers: &'a Buffers) -> Result<Self, LabError> {
        let cpu = Cpu::detect();
        if cpu.xstate.enabled.is_empty() {
            return Err(LabError::NoXsave);
        }
        let (lengths, runner) = (curves::fitted_lengths(&cpu.caches), Runner::new());
        Ok(Self { cpu, effort, pinned_to, buffers, lengths, runner, arms: None, refused: Vec::new() })
    }

    /// Rounds of each part, in the order of measuring.
    fn rounds(&self) -> [(Part, u32); 6] {
        // Trips: fifty of each arm a round, so that 2,000 rounds are 100,000.
        let [costs, curves, composites, trips] = match self.effort {
            Effort::Quick => [11, 7, 5, 100],
            Effort::Default => [41, 21, 11, 2000],
            Effort::Full => [201, 101, 51, 10_000],
        };
        [
            (Part::Cost, costs),
            (Part::Curve, curves),
            (Part::Spill, costs),
            (Part::Composite, composites),
            (Part::Switch, trips),
            (Part::Signal, trips),
        ]
    }

    /// Makes the loops of a part, if they are not those under way, and runs each once.
    fn prepare(&mut self, part: Part) {
        if self.arms.as_ref().is_some_and(|(known, _)| *known == part) {
            return;
        }
        let xstate = &self.cpu.xstate;
        let mut arms = match part {
            Part::Cost => costs::arms(xstate, self.buffers),
            Part::Curve => curves::arms(Part::Curve, curves::measured_kernels(), &self.lengths, self.buffers),
            Part::Spill => curves::spill_arms(),
            Part::Composite => composites::arms(xstate, self.buffers),
            _ => Vec::new(),
        };
        // SAFETY: the makers of the arms state what their blocks keep: images, areas and masks for this CPU, instructions and
        // kernels that are available, buffers that are long enough and apart.
        unsafe { self.runner.interleave(&mut arms, false) };
        self.arms = Some((part, arms));
    }

    /// Rounds of a part: one, or as many trips as given.
    fn rounds_of(&mut self, part: Part, count: u32, observer: &dyn Observer) {
        if matches!(part, Part::Switch | Part::Signal) {
            let pinned_to = self.pinned_to;
            let trips = match part {
                Part::Switch => round_trip::measure_switches(&mut self.runner, &self.cpu.xstate, pinned_to, count),
                _ => round_trip::measure_signals(&mut self.runner, &self.cpu.xstate, count),
            };
            // Where the system allows no pipe or pinning, there is no such figure: absent, not zero.
            if let Err(error) = trips {
                observer.say(&format!("no {}: {error}", Step::Rounds(part, count)));
                self.refused.push(part);
            }
            return;
        }
        self.prepare(part);
        if let Some((_, arms)) = &mut self.arms {
            // SAFETY: as for `prepare`.
            unsafe { self.runner.interleave(arms, true) };
        }
    }
}

/// Rounds of trips that are measured in one go: each takes about a millisecond.
const TRIP_ROUNDS: u32 = 100;

impl Experiment for Sections<'_> {
    type Growth = SectionGrowth;
    type Step = Step;

    fn steps(&self, growing: &GrowingSections) -> Vec<(Step, f64)> {
        let samples = &growing.kept().entries;
        let mut steps = Vec::new();
        for (part, rounds) in self.rounds() {
            if part == Part::Composite && !growing.has_table(PREDICTION) {
                steps.push((Step::Prediction, 0.1));
            }
            let of_part = samples.iter().filter(|sample| sample.key.part == part);
            let mut done: Vec<u32> = of_part.map(|sample| sample.round).collect();
            done.dedup();
            let left = rounds.saturating_sub(done.len() as u32);
            let (most, share) =
                if matches!(part, Part::Switch | Part::Signal) { (TRIP_ROUNDS, 4.0) } else { (1, share(part)) };
            let pieces = (0..left).step_by(most as usize);
            steps.extend(pieces.map(|done| (Step::Rounds(part, most.min(left - done)), share)));
        }
        if !growing.has_table(IN_USE) {
            steps.push((Step::InUse, 0.1));
        }
        steps
    }

    fn measure(&mut self, step: &Step, growing: &mut GrowingSections, observer: &dyn Observer) -> Result<(), LabError> {
        match *step {
            Step::Rounds(part, count) => {
                if !self.refused.contains(&part) {
                    let last = growing.kept().entries.last().map_or(0, |sample| sample.round);
                    self.runner.goes_on_after(last);
                    self.rounds_of(part, count, observer);
                    growing.append(self.runner.take())?;
                }
            }
            Step::Prediction => {
                let model = Model::fit(&Timings::of(&growing.kept().entries), &self.cpu.xstate);
                growing.keep(prediction_table(&model.predict(&self.cpu.xstate))?)?;
            }
            Step::InUse => {
                let of = |kernel: &crate::kernel::Kernel| {
                    let in_use = in_use::after(kernel, &self.cpu.xstate, self.buffers)?;
                    Some(InUse { kernel: kernel.name().to_owned(), in_use })
                };
                growing.keep(CsvFile::of(IN_USE, &kernels().iter().filter_map(of).collect::<Vec<InUse>>())?)?;
            }
        }
        Ok(())
    }
}

/// How long a round takes, beside those of other parts.
fn share(part: Part) -> f64 {
    match part {
        Part::Curve => 8.0,
        Part::Composite => 60.0,
        _ => 1.0,
    }
}
