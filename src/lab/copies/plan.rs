//! From records to a plan: the cells that make it, what each counts, and what a plan calls in a cell. Pure.

use super::CopyRecord;
use crate::kernel::{Kernel, Stores, kernels};
use crate::lab::copies::cell::{Cell, Residency};
use crate::lab::copies::summary::{CellSummary, Summary};
use crate::lab::instruments::statistics::median;
use crate::select::choose::{Point, Terms, choose};
use crate::select::{INLINE_MAX_BYTES, Plan, Policy, formula};

/// Whether plans are made from the cells of that length: from powers of two.
const fn makes_plans(len_bytes: usize) -> bool {
    len_bytes.is_power_of_two()
}

/// Whether a cell goes by the plan, and no plan is made from it.
pub const fn is_held_back(cell: &Cell) -> bool {
    is_planned(cell) && !makes_plans(cell.len_bytes)
}

/// Whether a copy goes by the plan: shorter ones are inlined.
pub(crate) const fn is_planned(cell: &Cell) -> bool {
    cell.len_bytes > INLINE_MAX_BYTES
}

/// What stands for kernels in records that are older than they are: the kernel of the same width that they took the place of,
/// or the one past the caches that fetches without `prefetchnta` as they do.
const STAND_INS: [(&str, &str); 4] = [
    ("avx512_hi16", "avx512_aligned"),
    ("avx512vl_hi16", "avx_aligned"),
    ("avx_nt_4pages", "avx512_nt"),
    ("avx_nt_plain", "avx512_nt"),
];

/// What a plan calls in a cell, or what stands for it.
pub(crate) fn kernel(plan: &Plan, cell: &CellSummary) -> &'static str {
    let name = plan.kernel(cell.cell.len_bytes, cell.cell.class()).name();
    let stand_in = STAND_INS.iter().find(|(newer, _)| *newer == name && cell.copy_ns(name).is_none());
    stand_in.map_or(name, |(_, older)| older)
}

/// Time under one plan over time under another, by the kernels that they name in a cell.
pub fn ratio_of_plans(cell: &CellSummary, plan: &Plan, other: &Plan) -> Option<f64> {
    cell.time_ratio(kernel(plan, cell), kernel(other, cell))
}

/// The shortest length that goes by the plan: without SIMD all do, else those that are not inlined.
pub(crate) const fn least_bytes(policy: Policy) -> usize {
    match policy {
        Policy::User => INLINE_MAX_BYTES + 1,
        Policy::NoSimd | Policy::Section => 1,
    }
}

/// The best plan for the figures of these records, all of one CPU.
pub fn plan<'a>(records: impl Iterator<Item = &'a CopyRecord> + Clone, policy: Policy) -> Option<Plan> {
    let newest = &records.clone().last()?.environment;
    let available =
        |kernel: &&Kernel| newest.kernels.iter().any(|known| known.name == kernel.name() && known.available);
    let is_allowed = |kernel: &&Kernel| policy == Policy::User || kernel.writes().is_empty();
    let planned = kernels().iter().filter(|kernel| kernel.may_be_planned());
    let candidates: Vec<&'static Kernel> = planned.filter(available).filter(is_allowed).collect();
    let summaries: Vec<Summary> = records.map(|record| Summary::of(&record.samples)).collect();
    let points: Vec<Point> = summaries.iter().flat_map(|summary| points(summary, &candidates, policy)).collect();
    let floors: Vec<f64> = summaries.iter().map(|summary| summary.noise_floor).collect();
    let limits = formula::natural_limits(newest.cpu.l1d_bytes, newest.cpu.l2_bytes, newest.cpu.l3_bytes);
    choose(&candidates, &points, &limits, Terms::of_noise(median(&floors)?))
}

fn points(summary: &Summary, candidates: &[&'static Kernel], policy: Policy) -> Vec<Point> {
    let least = least_bytes(policy);
    let in_plan = |cell: &&CellSummary| cell.cell.len_bytes >= least && makes_plans(cell.cell.len_bytes);
    let cells: Vec<&CellSummary> = summary.cells.iter().filter(in_plan).collect();
    let count = |len_bytes: usize, residency: Residency| {
        let same = cells.iter().filter(|cell| cell.cell.len_bytes == len_bytes && cell.cell.residency == residency);
        same.count() as f64
    };
    let point = |cell: &&CellSummary| {
        let len_bytes = cell.cell.len_bytes;
        let ns = |kernel: &&'static Kernel| {
            let is_barred = cell.non_temporal_loses && kernel.stores() == Stores::NonTemporal;
            if is_barred { Some(f64::INFINITY) } else { cell.copy_ns(kernel.name()) }
        };
        let copy_ns: Option<Vec<f64>> = candidates.iter().map(ns).collect();
        let weight = weight(cell.cell.residency) / count(len_bytes, cell.cell.residency);
        Some(Point { len_bytes, class: cell.cell.class(), weight, copy_ns: copy_ns? })
    };
    cells.iter().filter_map(point).collect()
}

/// How much a way of use counts. Programs write to memory that they have just used and read what they copied: these ways
/// count twice. A loop over one pair of buffers, cold buffers and busy neighbours are what some programs have.
pub(crate) const fn weight(residency: Residency) -> f64 {
    match residency {
        Residency::Used | Residency::Read | Residency::Touch => 2.0,
        Residency::Hot | Residency::Cold | Residency::Crowd | Residency::Threads(_) | Residency::Calls(_) => 1.0,
    }
}
