//! What a record of bench `xsave` says: derived from its samples, for the terminal, as JSON, and for the page.

mod effects;
pub mod page;
mod plan;
mod priced;
mod ring0;
mod text;
mod wins;

use crate::cpu::{Components, XState};
use crate::lab::sections::costs::pair_subject;
use crate::lab::sections::curves::SPILLED_REGISTERS;
use crate::lab::sections::prediction::{Model, Validation, cost_key, validate};
use crate::lab::sections::timings::Timings;
use crate::lab::sections::{InUse, Key, Part, SectionRecord};
use crate::xsave::Save;
use priced::Prices;
use serde::Serialize;

pub use effects::Effect;
pub use plan::{AtLength, at_length, section_plan};
pub(crate) use priced::core_cycles_per_ns;
pub use ring0::{Ring0Figures, Ring0Row};
pub use wins::{BreakEven, Parameters, Wins};

/// Everything in use, and the XMM registers alone: the states that the break-even is told for.
pub(crate) const TOLD_STATES: [(&str, Components); 2] =
    [("everything", Components::SSE.union(Components::AVX).union(Components::AVX512)), ("xmm", Components::SSE)];

/// The figures of a record.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The machine's folder.
    pub machine: String,
    /// The ratio above 1 under which a difference is a tie.
    pub noise_floor: f64,
    /// Core cycles a nanosecond.
    pub core_cycles_per_ns: f64,
    /// The components that the CPU has.
    pub components: Vec<ComponentRow>,
    /// What each kernel leaves in use.
    pub xinuse: Vec<InUseRow>,
    /// What each instruction costs.
    pub costs: Vec<CostRow>,
    /// What a kernel's first copy in a section costs more while the owner's upper halves are in use.
    pub first_copy: Vec<FirstCopyRow>,
    /// What saving and restoring registers by hand costs.
    pub spill: Vec<SpillRow>,
    /// Where vector registers win: for each policy, state and number of copies that share a section.
    pub break_even: Vec<BreakEven>,
    /// How right the predictions were.
    pub validation: ValidationRow,
    /// What dirty state costs a round trip between two threads on one CPU.
    pub switch: Option<Effect>,
    /// What it costs a signal.
    pub signal: Option<Effect>,
    /// What a kernel measured in ring 0 of the same CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ring0: Option<Ring0Figures>,
}

/// A component of the vector state.
#[derive(Clone, Debug, Serialize)]
pub struct ComponentRow {
    /// Its name.
    pub name: String,
    /// Its number in XCR0.
    pub number: u32,
    /// Whether the sections measured save it.
    pub saved: bool,
    /// Its size in bytes.
    pub size_bytes: u32,
    /// Where it lies in the standard format.
    pub standard_offset_bytes: u32,
    /// Where it lies in the compacted format of all components saved.
    pub compacted_offset_bytes: Option<u32>,
}

/// A kernel and what it leaves in use.
#[derive(Clone, Debug, Serialize)]
pub struct InUseRow {
    /// The kernel.
    pub kernel: String,
    /// The components' names.
    pub in_use: String,
}

/// A cost.
#[derive(Clone, Debug, Serialize)]
pub struct CostRow {
    /// The instruction, or a pair.
    pub instruction: String,
    /// The components in use.
    pub live: String,
    /// What had happened to them.
    pub condition: &'static str,
    /// Where the area was.
    pub area: &'static str,
    /// The components saved or restored.
    pub mask: String,
    /// The median, in core cycles.
    pub cycles: f64,
    /// The lower quartile.
    pub lower_cycles: f64,
    /// The upper quartile.
    pub upper_cycles: f64,
    /// The median in nanoseconds.
    pub ns: f64,
}

/// A kernel's first copy.
#[derive(Clone, Debug, Serialize)]
pub struct FirstCopyRow {
    /// The kernel.
    pub kernel: String,
    /// Core cycles.
    pub cycles: f64,
}

/// A partial spill.
#[derive(Clone, Debug, Serialize)]
pub struct SpillRow {
    /// How many registers.
    pub registers: u32,
    /// Core cycles.
    pub cycles: f64,
    /// What saving and restoring everything by XSAVE costs, over that.
    pub times_cheaper: Option<f64>,
}

/// How right the predictions were.
#[derive(Clone, Debug, Serialize)]
pub struct ValidationRow {
    /// How many sections were predicted and then measured.
    pub points: usize,
    /// The median of the absolute relative error.
    pub median_abs_error: f64,
    /// Its 95th percentile.
    pub p95_abs_error: f64,
    /// The section with the largest.
    pub worst: Option<String>,
    /// That error.
    pub worst_abs_error: Option<f64>,
    /// How many break-evens were compared: states times numbers of copies.
    pub crossings: usize,
    /// How many were predicted within one length of the grid, or rightly as none.
    pub crossings_right: usize,
    /// Of the choice by the model, time over the best choice's: the mean.
    pub regret_mean: Option<f64>,
    /// The worst.
    pub regret_worst: Option<f64>,
}

impl Figures {
    /// The figures of a record, with these parameters for what cannot be measured.
    pub fn of(record: &SectionRecord, parameters: &Parameters) -> Self {
        let xstate = record.xstate();
        let timings = Timings::of(&record.samples);
        let model = Model::fit(&timings, &xstate);
        let noise_floor = timings.noise_floor();
        let validation = validate(&record.predicted, &timings, &model, &xstate, noise_floor);
        let per_ns = core_cycles_per_ns(record, &timings);
        let prices = Prices::of(record, &model, &xstate, &timings, parameters);
        Self {
            machine: record.environment.machine.clone(),
            noise_floor,
            core_cycles_per_ns: per_ns,
            components: components(&xstate),
            xinuse: in_use(record),
            costs: costs(&timings, per_ns),
            first_copy: model
                .first_copy_cycles
                .iter()
                .map(|(kernel, cycles)| FirstCopyRow { kernel: kernel.clone(), cycles: *cycles })
                .collect(),
            spill: spill(&timings, &model, &xstate),
            break_even: wins::break_even(&model, &xstate, noise_floor, &prices),
            validation: validation_row(&validation),
            switch: Effect::of(&timings, Part::Switch),
            signal: Effect::of(&timings, Part::Signal),
            ring0: record.ring0.as_ref().map(|ring0| Ring0Figures::of(ring0, per_ns)),
        }
    }

    /// The cost of an instruction or pair, of a state dirtied and hot, everything saved.
    pub fn cost(&self, instruction: &str, live: Components) -> Option<&CostRow> {
        let (name, condition) = (live.to_string(), if live.is_empty() { "initial" } else { "dirtied" });
        self.costs.iter().find(|row| {
            row.instruction == instruction
                && row.live == name
                && row.condition == condition
                && row.area == "hot"
                && self.is_whole(&row.mask)
        })
    }

    /// Whether a mask's names are all that the sections save.
    pub(crate) fn is_whole(&self, mask: &str) -> bool {
        self.components.iter().filter(|row| row.saved).map(|row| row.name.as_str()).eq(mask.split(' '))
    }
}

fn components(xstate: &XState) -> Vec<ComponentRow> {
    let held = xstate.enabled;
    let row = |number: u32| {
        let component = xstate.component(number)?;
        Some(ComponentRow {
            name: Components::from_bits(1 << number).to_string(),
            number,
            saved: held.bits() >> number & 1 == 1,
            size_bytes: component.size_bytes,
            standard_offset_bytes: component.offset_bytes,
            compacted_offset_bytes: xstate.compacted_offset_bytes(held, number),
        })
    };
    (0..32).filter_map(row).collect()
}

fn in_use(record: &SectionRecord) -> Vec<InUseRow> {
    let row = |one: &InUse| InUseRow { kernel: one.kernel.clone(), in_use: one.in_use.to_string() };
    record.in_use.iter().map(row).collect()
}

fn costs(timings: &Timings, cycles_per_ns: f64) -> Vec<CostRow> {
    let is_cost = |key: &&Key| key.part == Part::Cost && key.subject != Key::SETUP && key.copies == 0;
    let mut keys: Vec<&Key> = timings.keys().filter(is_cost).collect();
    keys.sort();
    let row = |key: &Key| {
        let cost = timings.cost(key)?;
        Some(CostRow {
            instruction: key.subject.to_string(),
            live: key.live.to_string(),
            condition: key.condition.name(),
            area: key.area.name(),
            mask: key.mask.to_string(),
            cycles: cost.cycles,
            lower_cycles: cost.quartiles.0,
            upper_cycles: cost.quartiles.1,
            ns: cost.cycles / cycles_per_ns,
        })
    };
    keys.into_iter().filter_map(row).collect()
}

fn spill(timings: &Timings, model: &Model, xstate: &XState) -> Vec<SpillRow> {
    let each = |subject: String| {
        let key = timings.keys().find(|key| key.part == Part::Spill && key.subject == subject)?;
        timings.copy_cycles(key)
    };
    let everything = TOLD_STATES[0].1.intersection(xstate.enabled);
    let section = model
        .save
        .and_then(|save: Save| Some(timings.cost(&cost_key(&pair_subject(save), everything, xstate))?.cycles));
    let row = |registers: u32| {
        let cycles = each(format!("spill{registers}"))? - each("call".to_owned())?;
        let times_cheaper = section.filter(|_| cycles > 0.0).map(|section| section / cycles);
        Some(SpillRow { registers, cycles, times_cheaper })
    };
    SPILLED_REGISTERS.into_iter().filter_map(row).collect()
}

fn validation_row(validation: &Validation) -> ValidationRow {
    let worst = validation.worst.as_ref();
    ValidationRow {
        points: validation.points,
        median_abs_error: validation.median_error,
        p95_abs_error: validation.p95_error,
        worst: worst.map(|(one, _)| {
            format!("{} copies of {} bytes by {}, {} in use", one.copies, one.len_bytes, one.kernel, one.live)
        }),
        worst_abs_error: worst.map(|(_, error)| *error),
        crossings: validation.crossings.len(),
        crossings_right: validation.crossings.iter().filter(|crossing| crossing.agrees()).count(),
        regret_mean: validation.regret.map(|(mean, _)| mean),
        regret_worst: validation.regret.map(|(_, worst)| worst),
    }
}
