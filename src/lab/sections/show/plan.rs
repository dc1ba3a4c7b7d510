//! A plan for sections, and what one length costs in them.

use crate::cpu::Components;
use crate::kernel::{Kernel, kernels};
use crate::lab::sections::SectionRecord;
use crate::lab::sections::curves::{PLAIN_KERNELS, VECTOR_KERNELS};
use crate::lab::sections::prediction::Model;
use crate::lab::sections::timings::Timings;
use crate::select::choose::{Point, Terms, choose};
use crate::select::formula::natural_limits;
use crate::select::{Class, Plan};
use crate::xsave::{Contest, Verdict};

use crate::lab::sections::show::priced::{Priced, Prices, Source, core_cycles_per_ns};
use crate::lab::sections::show::wins::{Parameters, TOLD_COPIES};

/// The state that plans are made for: everything that the owner may have in use.
const OWNED: Components = crate::lab::sections::show::TOLD_STATES[0].1;

/// The best plan for copies of which `copies` share a section that saves everything and restores it at its end; nothing
/// where the record holds no curve of a kernel of this build.
pub fn section_plan(record: &SectionRecord, parameters: &Parameters, copies: u32) -> Option<Plan> {
    let xstate = record.xstate();
    let timings = Timings::of(&record.samples);
    let model = Model::fit(&timings, &xstate);
    let owned = OWNED.intersection(xstate.enabled);
    let Priced { policy, cost, .. } = Prices::of(record, &model, &xstate, &timings, parameters).at_once(owned)?;
    let section_cycles = policy.section_cycles(cost);
    let is_candidate = |kernel: &&Kernel| {
        let name = kernel.name();
        (PLAIN_KERNELS.contains(&name) || VECTOR_KERNELS.contains(&name)) && model.copies.contains_key(name)
    };
    let candidates: Vec<&'static Kernel> = kernels().iter().filter(is_candidate).collect();
    let cycles = |kernel: &Kernel, len_bytes: usize| {
        let copy = model.copy_cycles(kernel.name(), len_bytes)?;
        let borrowed = section_cycles + model.first_cycles(kernel.name(), owned);
        Some(copy + if kernel.writes().is_empty() { 0.0 } else { borrowed / f64::from(copies.max(1)) })
    };
    let per_ns = core_cycles_per_ns(record, &timings);
    let lengths = model.copies.values().next().into_iter().flatten().map(|point| point.0);
    let point = |len_bytes: usize| {
        let copy_ns: Option<Vec<f64>> =
            candidates.iter().map(|kernel| Some(cycles(kernel, len_bytes)?.max(0.1) / per_ns)).collect();
        Some(Point { len_bytes, class: Class::of(0, 2048), weight: 1.0, copy_ns: copy_ns? })
    };
    let points: Vec<Point> = lengths.filter_map(point).collect();
    let cpu = &record.environment.cpu;
    let limits = natural_limits(cpu.l1d_bytes, cpu.l2_bytes, cpu.l3_bytes);
    choose(&candidates, &points, &limits, Terms::of_noise(timings.noise_floor()))
}

/// A copy of one length: in a section, and without.
#[derive(Clone, Copy, Debug)]
pub struct AtLength {
    /// How many copies share the section.
    pub copies: u32,
    /// Core cycles of a copy in one, its share of the section included.
    pub section_cycles: f64,
    /// Core cycles of the best copy without vector registers.
    pub plain_cycles: f64,
    /// Which is faster.
    pub verdict: Verdict,
    /// Whether what a section costs was measured in ring 0.
    pub is_ring0: bool,
}

/// What a length costs in sections of 1, 4, 16 and 64 copies that save everything and restore it at once.
pub fn at_length(record: &SectionRecord, parameters: &Parameters, len_bytes: usize) -> Vec<AtLength> {
    let xstate = record.xstate();
    let timings = Timings::of(&record.samples);
    let model = Model::fit(&timings, &xstate);
    let owned = OWNED.intersection(xstate.enabled);
    let prices = Prices::of(record, &model, &xstate, &timings, parameters);
    let Some(Priced { policy, cost, source }) = prices.at_once(owned) else { return Vec::new() };
    let (vector, plain) = (model.vector_kernels(&VECTOR_KERNELS, owned), model.curves(&PLAIN_KERNELS));
    let contest = Contest { vector: &vector, plain: &plain };
    let floor = timings.noise_floor();
    let row = |copies: u32| AtLength {
        copies,
        section_cycles: contest.section_copy_cycles(&policy, cost, len_bytes, copies),
        plain_cycles: contest.plain_cycles(len_bytes),
        verdict: contest.verdict(&policy, cost, len_bytes, copies, floor),
        is_ring0: source == Source::Ring0,
    };
    TOLD_COPIES.map(row).to_vec()
}
