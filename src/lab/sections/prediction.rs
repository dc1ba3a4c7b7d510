//! The model fitted on a run's costs and curves, what it says about sections that were not measured yet, and how right
//! it was.

#![forbid(unsafe_code)]

use crate::cpu::{Components, XState};
use crate::lab::instruments::statistics::quantile;
use crate::lab::sections::costs::{
    FIRST_COPY_BYTES, first_copy_kernels, first_copy_subject, restore_subject, section_subject,
};
use crate::lab::sections::curves::PLAIN_KERNELS;
use crate::lab::sections::sample::{Area, Condition, Key, Part};
use crate::lab::sections::state::TRAINED_STATES;
use crate::lab::sections::timings::Timings;
use crate::xsave::{Curve, Save, StateCost, StatePolicy, VectorKernel, Verdict, verdict};
use std::collections::BTreeMap;

/// What the model knows of a CPU: points of its curves. Everything was measured apart from any section.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// The instruction that sections save by.
    pub save: Option<Save>,
    /// Bytes of state in use, and what saving costs.
    pub save_points: Vec<(usize, f64)>,
    /// The same for restoring.
    pub restore_points: Vec<(usize, f64)>,
    /// Of each kernel the lengths and what a copy costs.
    pub copies: BTreeMap<String, Vec<(usize, f64)>>,
    /// Of each kernel what its first copy costs more while the owner's upper halves are in use.
    pub first_copy_cycles: BTreeMap<String, f64>,
}

/// What a section of one kernel is said to cost a copy, in core cycles.
#[derive(Clone, Debug, PartialEq)]
pub struct Predicted {
    /// The kernel.
    pub kernel: String,
    /// The components in use.
    pub live: Components,
    /// The length of a copy.
    pub len_bytes: usize,
    /// How many copies share the section.
    pub copies: u32,
    /// Core cycles a copy.
    pub cycles: f64,
}

/// The bytes of state that a save has to write: the components' sizes (Intel SDM vol. 1, 13.4).
pub fn state_bytes(live: Components, xstate: &XState) -> usize {
    live.indices().filter_map(|index| xstate.component(index)).map(|component| component.size_bytes as usize).sum()
}

impl Model {
    /// Fits the model on the costs and curves among these timings. Composites are not looked at.
    pub fn fit(timings: &Timings, xstate: &XState) -> Self {
        let save = crate::lab::sections::costs::section_save(xstate);
        let points = |subject: &str| {
            let mut points: Vec<(usize, f64)> = TRAINED_STATES
                .into_iter()
                .filter_map(|live| {
                    let cycles = timings.cost(&cost_key(subject, live, xstate))?.cycles;
                    Some((state_bytes(live, xstate), cycles.max(0.0)))
                })
                .collect();
            points.dedup_by_key(|point| point.0);
            points
        };
        let mut copies: BTreeMap<String, Vec<(usize, f64)>> = BTreeMap::new();
        for key in timings.keys().filter(|key| key.part == Part::Curve && key.len_bytes > 0) {
            if let Some(cycles) = timings.copy_cycles(key) {
                copies.entry(key.subject.to_string()).or_default().push((key.len_bytes, cycles.max(0.0)));
            }
        }
        copies.values_mut().for_each(|points| {
            points.sort_by_key(|point| point.0);
            points.dedup_by_key(|point| point.0);
        });
        let beyond = |kernel: &str, live: Components| {
            let save = save?;
            let whole = Key {
                len_bytes: FIRST_COPY_BYTES,
                copies: 1,
                ..cost_key(&first_copy_subject(save, kernel), live, xstate)
            };
            Some(timings.cost(&whole)?.cycles - timings.cost(&cost_key(restore_subject(save), live, xstate))?.cycles)
        };
        let first_copy = |kernel: &str| {
            // Wherever upper halves are in use it is the same: of the states that count, the one with the most.
            let with_upper = TRAINED_STATES.into_iter().filter(|live| has_upper_halves(*live));
            let dearest = with_upper.filter_map(|live| beyond(kernel, live)).max_by(f64::total_cmp)?;
            Some((dearest - beyond(kernel, Components::SSE)?).max(0.0))
        };
        Self {
            first_copy_cycles: first_copy_kernels()
                .filter_map(|kernel| Some((kernel.name().to_owned(), first_copy(kernel.name())?)))
                .collect(),
            save,
            save_points: save.map(|save| points(save.name())).unwrap_or_default(),
            restore_points: save.map(|save| points(restore_subject(save))).unwrap_or_default(),
            copies,
        }
    }

    /// What saving and restoring a state costs; nothing where it was not measured.
    pub fn cost(&self, live: Components, xstate: &XState) -> Option<StateCost> {
        let bytes = state_bytes(live, xstate);
        Some(StateCost {
            save_cycles: Curve::new(&self.save_points).ok()?.cycles(bytes),
            restore_cycles: Curve::new(&self.restore_points).ok()?.cycles(bytes),
        })
    }

    /// What a kernel's first copy in a section costs more in a state.
    pub fn first_cycles(&self, kernel: &str, live: Components) -> f64 {
        self.first_copy_cycles.get(kernel).copied().filter(|_| has_upper_halves(live)).unwrap_or(0.0)
    }

    /// Those of these kernels that were measured, for sections in a state.
    pub fn vector_kernels(&self, names: &[&str], live: Components) -> Vec<VectorKernel<'_>> {
        let kernel = |name: &&str| {
            let curve = Curve::new(self.copies.get(*name)?).ok()?;
            Some(VectorKernel { curve, first_cycles: self.first_cycles(name, live) })
        };
        names.iter().filter_map(kernel).collect()
    }

    /// The curves of these kernels, as far as they were measured.
    pub fn curves(&self, names: &[&str]) -> Vec<Curve<'_>> {
        names.iter().filter_map(|name| Curve::new(self.copies.get(*name)?).ok()).collect()
    }

    /// What a copy by one kernel costs with nothing saved.
    pub fn copy_cycles(&self, kernel: &str, len_bytes: usize) -> Option<f64> {
        Some(Curve::new(self.copies.get(kernel)?).ok()?.cycles(len_bytes))
    }

    /// What a copy in a section costs, restored at once.
    pub fn section_cycles(
        &self,
        kernel: &str,
        live: Components,
        len_bytes: usize,
        copies: u32,
        xstate: &XState,
    ) -> Option<f64> {
        let cost = self.cost(live, xstate)?;
        let section = StatePolicy::RestoreAtOnce { entry_cycles: 0.0 }.section_cycles(cost);
        let section = section + self.first_cycles(kernel, live);
        Some(self.copy_cycles(kernel, len_bytes)? + section / f64::from(copies.max(1)))
    }

    /// The predictions for all sections that are going to be measured.
    pub fn predict(&self, xstate: &XState) -> Vec<Predicted> {
        let cases = crate::lab::sections::composites::cases(xstate).into_iter();
        let predicted = cases.filter_map(|(kernel, live, len_bytes, copies)| {
            let cycles = self.section_cycles(kernel.name(), live, len_bytes, copies, xstate)?;
            Some(Predicted { kernel: kernel.name().to_owned(), live, len_bytes, copies, cycles })
        });
        predicted.collect()
    }
}

/// The key of an instruction's cost, dirtied and hot, with everything in its mask.
pub fn cost_key(subject: &str, live: Components, xstate: &XState) -> Key {
    let condition = if live.is_empty() { Condition::Initial } else { Condition::Dirtied };
    let mask = crate::lab::sections::state::EVERYTHING.intersection(xstate.enabled);
    Key { live, condition, mask, area: Area::Hot, ..Key::of(Part::Cost, subject.to_owned()) }
}

/// How right the predictions were.
#[derive(Clone, Debug, PartialEq)]
pub struct Validation {
    /// How many sections were predicted and measured.
    pub points: usize,
    /// The median of the absolute relative error.
    pub median_error: f64,
    /// Its 95th percentile.
    pub p95_error: f64,
    /// The largest, and where.
    pub worst: Option<(Predicted, f64)>,
    /// Predicted and measured crossings.
    pub crossings: Vec<Crossing>,
    /// Of the choice between section and none by the model: time over that of the best choice, mean and worst.
    pub regret: Option<(f64, f64)>,
}

/// For one state and number of copies: from which length on, and up to which, sections win.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossing {
    /// The components in use.
    pub live: Components,
    /// How many copies share a section.
    pub copies: u32,
    /// The verdict for each held-back length: predicted, measured.
    pub verdicts: Vec<(usize, Verdict, Verdict)>,
}

impl Crossing {
    /// The lengths at which the verdicts are opposite: neither is a tie.
    pub fn contradictions(&self) -> impl Iterator<Item = usize> + '_ {
        let opposite = |(_, a, b): &&(usize, Verdict, Verdict)| a != b && *a != Verdict::Tie && *b != Verdict::Tie;
        self.verdicts.iter().filter(opposite).map(|(len_bytes, ..)| *len_bytes)
    }

    /// Whether predicted and measured change sides within one length of each other, ties being either side, or never.
    pub fn agrees(&self) -> bool {
        let contradicting: Vec<usize> = self.contradictions().collect();
        // One step of the grid is one position.
        let positions: Vec<usize> =
            contradicting.iter().filter_map(|len| self.verdicts.iter().position(|(known, ..)| known == len)).collect();
        positions.windows(2).all(|pair| pair[1] - pair[0] > 1)
            && positions.iter().all(|at| {
                let beside = |at: usize| self.verdicts.get(at).map(|(_, predicted, measured)| (predicted, measured));
                let (_, predicted, measured) = &self.verdicts[*at];
                [at.checked_sub(1), at.checked_add(1)]
                    .into_iter()
                    .flatten()
                    .filter_map(beside)
                    .any(|(other_predicted, other_measured)| other_predicted == measured || other_measured == predicted)
            })
    }
}

/// A section that was predicted and then measured.
struct Judged<'a> {
    said: &'a Predicted,
    cycles: f64,
}

/// Judges the predictions by the composites among these timings.
pub fn validate(predicted: &[Predicted], timings: &Timings, model: &Model, xstate: &XState, floor: f64) -> Validation {
    let judge = |said| Some(Judged { said, cycles: measured_section(said, timings, model, xstate)? });
    let judged: Vec<Judged<'_>> = predicted.iter().filter_map(judge).collect();
    let error = |one: &Judged<'_>| (one.said.cycles / one.cycles - 1.0).abs();
    let errors: Vec<f64> = judged.iter().map(error).collect();
    let worst = judged.iter().max_by(|a, b| error(a).total_cmp(&error(b)));

    // All sections of one state, number of copies and length: the kernels to choose from.
    let mut cells: BTreeMap<(Components, u32), BTreeMap<usize, Vec<&Judged<'_>>>> = BTreeMap::new();
    for one in &judged {
        let Predicted { live, copies, len_bytes, .. } = *one.said;
        cells.entry((live, copies)).or_default().entry(len_bytes).or_default().push(one);
    }
    let (mut crossings, mut regrets) = (Vec::new(), Vec::new());
    for ((live, copies), lengths) in &cells {
        let mut verdicts = Vec::new();
        for (len_bytes, kernels) in lengths {
            let Some(choice) = Choice::of(kernels, *len_bytes, timings, model) else {
                continue;
            };
            verdicts.push((
                *len_bytes,
                verdict(choice.section_said, choice.plain_said, floor),
                verdict(choice.section_best, choice.plain_best, floor),
            ));
            regrets.push(choice.regret());
        }
        crossings.push(Crossing { live: *live, copies: *copies, verdicts });
    }
    let worst_regret = regrets.iter().copied().max_by(f64::total_cmp);
    let mean_regret = regrets.iter().sum::<f64>() / regrets.len().max(1) as f64;
    Validation {
        points: judged.len(),
        median_error: quantile(&errors, 0.5).unwrap_or(0.0),
        p95_error: quantile(&errors, 0.95).unwrap_or(0.0),
        worst: worst.map(|one| (one.said.clone(), error(one))),
        crossings,
        regret: worst_regret.map(|worst| (mean_regret, worst)),
    }
}

/// What a predicted section was found to cost a copy.
fn measured_section(said: &Predicted, timings: &Timings, model: &Model, xstate: &XState) -> Option<f64> {
    let subject = section_subject(model.save?, &said.kernel);
    timings.copy_cycles(&Key {
        part: Part::Composite,
        len_bytes: said.len_bytes,
        copies: said.copies,
        ..cost_key(&subject, said.live, xstate)
    })
}

/// What there is to choose from at one length: core cycles a copy, said and measured.
struct Choice {
    section_said: f64,
    /// Of the section that the model would take.
    section_taken: f64,
    section_best: f64,
    plain_said: f64,
    /// Of the copy without a section that the model would take.
    plain_taken: f64,
    plain_best: f64,
}

impl Choice {
    fn of(sections: &[&Judged<'_>], len_bytes: usize, timings: &Timings, model: &Model) -> Option<Self> {
        let chosen = sections.iter().min_by(|a, b| a.said.cycles.total_cmp(&b.said.cycles))?;
        let plain = PLAIN_KERNELS.iter().filter_map(|kernel| Some((*kernel, model.copy_cycles(kernel, len_bytes)?)));
        let (kernel, plain_said) = plain.min_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Self {
            section_said: chosen.said.cycles,
            section_taken: chosen.cycles,
            section_best: sections.iter().map(|one| one.cycles).min_by(f64::total_cmp)?,
            plain_said,
            plain_taken: held_back(timings, &[kernel], len_bytes)?,
            plain_best: held_back(timings, &PLAIN_KERNELS, len_bytes)?,
        })
    }

    /// The time of what the model would take over that of the best.
    fn regret(&self) -> f64 {
        let taken = if self.section_said < self.plain_said { self.section_taken } else { self.plain_taken };
        taken / self.section_best.min(self.plain_best)
    }
}

/// The core cycles a copy of the fastest of these kernels at a held-back length.
fn held_back(timings: &Timings, kernels: &[&str], len_bytes: usize) -> Option<f64> {
    let is_asked =
        |key: &&Key| key.part == Part::HeldBack && key.len_bytes == len_bytes && kernels.contains(&&*key.subject);
    timings.keys().filter(is_asked).filter_map(|key| timings.copy_cycles(key)).min_by(f64::total_cmp)
}

/// Whether anything beyond the XMM registers 0 to 15 is in use, which legacy SSE instructions have to respect.
fn has_upper_halves(live: Components) -> bool {
    !live.difference(Components::X87.union(Components::SSE).union(Components::OPMASK)).is_empty()
}
