//! How well a plan does on the cells of a record: against libc, against the best kernel, against everything else. Pure.
//!
//! A plan says nothing of the record that it was made from. So some cells are held back: no plan is made from lengths
//! between powers of two. Where a record has such cells in a way of use, they alone are judged; where it has none, all are,
//! and whatever was made from that record is marked.

use super::CopyRecord;
use crate::kernel::Kernel;
use crate::lab::copies::cell::{Cell, Residency};
use crate::lab::copies::contender::{LIBC, MEMCPY_AUTO};
use crate::lab::copies::plan::{is_held_back, is_planned, kernel, plan};
use crate::lab::copies::summary::{CellSummary, Summary};
use crate::lab::instruments::statistics::geometric_mean;
use crate::select::{Class, Origin, Plan, Policy, formula, plan_for, profiled_records};
use std::collections::{BTreeMap, BTreeSet};

/// The ways of use that are judged, in the order of tables. Older records have copies that are read as
/// [`Touch`](Residency::Touch), newer ones as [`Read`](Residency::Read).
pub const WAYS: [Residency; 5] = [Residency::Hot, Residency::Used, Residency::Read, Residency::Touch, Residency::Cold];

/// A cell counts as slow if it takes this many times as long as the best of everything that was measured there.
pub const SLOW: f64 = 1.1;

/// Something that chooses a kernel for each cell, to be judged.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What tables call it.
    pub name: String,
    /// How it chooses.
    pub choice: Choice,
    /// What it knows of the record that judges it.
    pub knows: Knows,
}

/// How a candidate chooses.
#[derive(Clone, Debug)]
pub enum Choice {
    /// By a plan.
    Plan(Box<Plan>),
    /// By a plan for each way of use.
    ByWay(Vec<(Residency, Plan)>),
    /// Not at all: it was measured itself, under this name.
    Measured(&'static str),
}

/// What a candidate knows of the record that judges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knows {
    /// Nothing of the cells that count.
    Nothing,
    /// Nothing of the cells, but its rules were written with a record of that CPU at hand.
    ItsCpu,
    /// It was made from the record's cells at powers of two.
    TheRecord,
}

impl Candidate {
    /// A plan to be judged.
    pub fn new(name: impl Into<String>, plan: Plan, knows: Knows) -> Self {
        Self { name: name.into(), choice: Choice::Plan(Box::new(plan)), knows }
    }

    fn chosen(&self, cell: &CellSummary) -> Option<&'static str> {
        match &self.choice {
            Choice::Plan(plan) => Some(kernel(plan, cell)),
            Choice::ByWay(plans) => {
                let of_way = plans.iter().find(|(way, _)| *way == cell.cell.residency);
                of_way.map(|(_, plan)| kernel(plan, cell))
            }
            Choice::Measured(name) => Some(name),
        }
    }
}

/// How a candidate does in one way of use. Ratios are geometric means over the cells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// In how many cells it was judged: those in which what it chooses was measured.
    pub cells: usize,
    /// Its time over libc's.
    pub over_libc: f64,
    /// Its time over the best kernel's.
    pub over_best: f64,
    /// The share of cells that are [slow](SLOW): beside kernels and libc, other libraries count where they were measured.
    pub slow_share: f64,
    /// Where it loses most.
    pub worst: Group,
    /// Whether it was made from the cells that judge it.
    pub is_in_sample: bool,
}

/// The cells of one alignment class whose lengths are within a factor of four.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// The class.
    pub class: Class,
    /// The lengths are from here on, to before four times as much.
    pub from_bytes: usize,
    /// How many there are.
    pub cells: usize,
    /// Time over the best kernel's, geometric mean.
    pub over_best: f64,
}

/// All candidates in one way of use.
#[derive(Clone, Debug)]
pub struct Way {
    /// Which.
    pub residency: Residency,
    /// How many cells there are.
    pub cells: usize,
    /// Whether these are the cells that were held back. If not, the record has none, and they are all that it has.
    pub is_held_back: bool,
    /// For each candidate, in their order; nothing where it chooses nothing that was measured.
    pub figures: Vec<Option<Figures>>,
}

/// Judges candidates in each way of use that a run has.
pub fn judge(summary: &Summary, candidates: &[Candidate]) -> Vec<Way> {
    let way = |residency: Residency| {
        let all = summary.cells.iter().filter(|cell| cell.cell.residency == residency && is_planned(&cell.cell));
        let all: Vec<&CellSummary> = all.collect();
        let held_back: Vec<&CellSummary> = all.iter().copied().filter(|cell| is_held_back(&cell.cell)).collect();
        let is_held_back = !held_back.is_empty();
        let cells = if is_held_back { held_back } else { all };
        let figures = candidates.iter().map(|candidate| figures(&cells, candidate, is_held_back)).collect();
        (!cells.is_empty()).then_some(Way { residency, cells: cells.len(), is_held_back, figures })
    };
    WAYS.into_iter().filter_map(way).collect()
}

fn figures(cells: &[&CellSummary], candidate: &Candidate, is_held_back: bool) -> Option<Figures> {
    let mut groups: BTreeMap<(u32, usize), (Class, Vec<f64>)> = BTreeMap::new();
    let (mut over_libc, mut over_best, mut slow) = (Vec::new(), Vec::new(), 0);
    for cell in cells {
        let ratios = candidate.chosen(cell).and_then(|name| {
            let everything = cell.kernels().map(|name| -> &str { name }).chain(cell.others());
            Some((
                cell.time_ratio(name, LIBC)?,
                cell.ratio_to_best(name, cell.kernels())?,
                cell.ratio_to_best(name, everything)?,
            ))
        });
        let Some((libc, best, of_all)) = ratios else { continue };
        over_libc.push(libc);
        over_best.push(best);
        slow += usize::from(of_all > SLOW);
        let class = cell.cell.class();
        let place = Class::ALL.iter().position(|one| *one == class).unwrap_or(0);
        groups.entry((cell.cell.len_bytes.ilog2() / 2, place)).or_insert((class, Vec::new())).1.push(best);
    }
    let group = |((quarter, _), (class, ratios)): ((u32, usize), (Class, Vec<f64>))| {
        let (from_bytes, cells) = (1 << (2 * quarter), ratios.len());
        Some(Group { class, from_bytes, cells, over_best: geometric_mean(ratios)? })
    };
    let worst = groups.into_iter().filter_map(group).max_by(|a, b| a.over_best.total_cmp(&b.over_best))?;
    let cells = over_libc.len();
    Some(Figures {
        cells,
        over_libc: geometric_mean(over_libc)?,
        over_best: geometric_mean(over_best)?,
        slow_share: slow as f64 / cells as f64,
        worst,
        is_in_sample: !is_held_back && candidate.knows == Knows::TheRecord,
    })
}

/// A record, and how the candidates do on it.
#[derive(Clone, Debug)]
pub struct Validation {
    /// The record's name, `<machine>/<date>.<n>`.
    pub record: String,
    /// The design of its CPU, by name.
    pub microarchitecture: String,
    /// The CPU's signature.
    pub signature: String,
    /// The candidates.
    pub candidates: Vec<Candidate>,
    /// How they do, in each way of use that the record has.
    pub ways: Vec<Way>,
    /// What is inlined, if it was measured: in how many cells, and time of `memcpy_auto` over libc's, geometric mean.
    pub inlined: Option<(usize, f64)>,
}

/// The name of the candidate that knows no record.
pub const FORMULAS: &str = "formulas";
/// The name of the candidate from the table of measured CPUs.
pub const PROFILE: &str = "profile";
/// The same where it was made from the record that judges it.
pub const PROFILE_OF_IT: &str = "its profile";
/// The name of the plan that the record gives.
pub const OWN: &str = "own record";
/// What the names of calibrated plans begin with.
pub const CALIBRATION: &str = "calibration";
/// The name of the plans that the record gives without the way of use in which each is judged.
pub const OWN_WITHOUT: &str = "own, way left out";

impl Validation {
    /// Judges what is known of a record's CPU, the plan that the record itself gives, and these further candidates.
    ///
    /// # Errors
    ///
    /// Why there is nothing to judge, in a few words.
    pub fn of(name: &str, record: &CopyRecord, further: Vec<Candidate>) -> Result<Self, String> {
        let summary = Summary::of(&record.samples);
        let mut candidates = candidates(name, record)?;
        candidates.extend(further);
        let ways = judge(&summary, &candidates);
        if ways.iter().all(|way| way.figures.iter().all(Option::is_none)) {
            return Err("the kernels that the plans name were not measured in it".to_owned());
        }
        let cpu = &record.environment.cpu;
        Ok(Self {
            record: name.to_owned(),
            microarchitecture: cpu.microarchitecture.clone(),
            signature: cpu.signature.clone(),
            candidates,
            ways,
            inlined: inlined(&summary),
        })
    }
}

fn inlined(summary: &Summary) -> Option<(usize, f64)> {
    let cells = summary.cells.iter().filter(|cell| WAYS.contains(&cell.cell.residency) && !is_planned(&cell.cell));
    let ratios: Vec<f64> = cells.filter_map(|cell| cell.time_ratio(MEMCPY_AUTO, LIBC)).collect();
    Some((ratios.len(), geometric_mean(ratios)?))
}

/// Whether a record has what it takes to judge: libc, and two other kernels that plans name, at lengths that go by a plan.
pub(crate) fn can_judge(record: &CopyRecord) -> bool {
    let is_judged = |cell: &Cell| is_planned(cell) && WAYS.contains(&cell.residency);
    let names: BTreeSet<&str> =
        record.samples.iter().filter(|sample| is_judged(&sample.cell)).map(|sample| &*sample.contender).collect();
    let is_planned = |name: &&&str| Kernel::named(name).is_some_and(Kernel::may_be_planned);
    names.contains(LIBC) && names.iter().filter(is_planned).count() > 2
}

fn candidates(name: &str, record: &CopyRecord) -> Result<Vec<Candidate>, String> {
    let cpu =
        record.environment.cpu.cpu().ok_or("it keeps no words of its CPU: what is known of that cannot be asked")?;
    let knows = if formula::is_from_record_of(&cpu) { Knows::ItsCpu } else { Knows::Nothing };
    let mut candidates = vec![Candidate::new(FORMULAS, formula::plan(&cpu, Policy::User), knows)];
    let profile = plan_for(&cpu, Policy::User);
    if profile.origin() == Origin::Profile {
        let is_its_own = profiled_records().any(|of| of == name);
        let (name, knows) = if is_its_own { (PROFILE_OF_IT, Knows::TheRecord) } else { (PROFILE, Knows::Nothing) };
        candidates.push(Candidate::new(name, profile, knows));
    }
    if let Some(own) = plan([record].into_iter(), Policy::User) {
        candidates.push(Candidate::new(OWN, own, Knows::TheRecord));
    }
    let without = |way: Residency| {
        let has_way = record.samples.iter().any(|sample| sample.cell.residency == way);
        let samples = record.samples.iter().filter(|sample| sample.cell.residency != way).cloned().collect();
        let rest =
            CopyRecord { tables: Vec::new(), ..CopyRecord::new(&*record.bench, record.environment.clone(), samples) };
        plan([&rest].into_iter(), Policy::User).filter(|_| has_way).map(|plan| (way, plan))
    };
    let by_way: Vec<(Residency, Plan)> = WAYS.into_iter().filter_map(without).collect();
    if !by_way.is_empty() {
        let choice = Choice::ByWay(by_way);
        candidates.push(Candidate { name: OWN_WITHOUT.to_owned(), choice, knows: Knows::Nothing });
    }
    Ok(candidates)
}

#[cfg(test)]
#[cfg(memcpy_select_asm)]
mod tests {
    use super::*;
    use crate::lab::copies::sweep::Sample;
    use crate::select::{Band, INLINE_MAX_BYTES};
    use std::borrow::Cow;

    fn samples(cell: Cell, figures: &[(&'static str, [u64; 4])]) -> Vec<Sample> {
        let of_one = |&(name, rounds): &(&'static str, [u64; 4])| {
            rounds.into_iter().zip(0..).map(move |(total_ns, round)| Sample {
                cell,
                contender: Cow::Borrowed(name),
                round,
                iterations: 1,
                total_ns,
            })
        };
        figures.iter().flat_map(of_one).collect()
    }

    fn always(name: &str) -> Plan {
        Plan::new(&[Band::new(usize::MAX, Kernel::named(name).unwrap())]).unwrap()
    }

    fn judged(samples: &[Vec<Sample>], candidate: Candidate) -> Vec<Way> {
        judge(&Summary::of(&samples.concat()), &[candidate])
    }

    fn near(value: f64, wanted: f64) -> bool {
        (value - wanted).abs() < 1e-9
    }

    const THREE: [(&str, [u64; 4]); 3] = [("gpr", [300; 4]), ("avx_aligned", [200; 4]), (LIBC, [400; 4])];

    #[test]
    fn a_plan_that_always_loses_has_the_regret_that_it_has() {
        let cells = [96, 1500, 9000].map(|len_bytes| samples(Cell::hot(len_bytes, 16, 48), &THREE));
        let ways = judged(&cells, Candidate::new("gpr", always("gpr"), Knows::TheRecord));
        let figures = ways[0].figures[0].unwrap();
        assert!(ways[0].is_held_back && !figures.is_in_sample && figures.cells == 3);
        assert!(near(figures.over_libc, 0.75) && near(figures.over_best, 1.5) && figures.slow_share == 1.0);
        let best = judged(&cells, Candidate::new("avx", always("avx_aligned"), Knows::Nothing));
        let figures = best[0].figures[0].unwrap();
        assert!(near(figures.over_best, 1.0) && figures.slow_share == 0.0);
    }

    #[test]
    fn cells_that_were_held_back_are_judged_alone_and_others_are_in_sample_if_need_be() {
        let made = samples(Cell::hot(4096, 0, 0), &THREE);
        let held_back = samples(Cell::hot(3000, 0, 0), &THREE);
        let short = samples(Cell::hot(INLINE_MAX_BYTES, 0, 0), &THREE);
        let own = || Candidate::new(OWN, always("gpr"), Knows::TheRecord);
        let in_sample = |ways: &[Way]| (ways[0].cells, ways[0].is_held_back, ways[0].figures[0].unwrap().is_in_sample);
        assert_eq!(in_sample(&judged(&[made.clone(), short.clone()], own())), (1, false, true));
        assert_eq!(in_sample(&judged(&[made.clone(), held_back], own())), (1, true, false));
        let formulas = Candidate::new(FORMULAS, always("gpr"), Knows::ItsCpu);
        assert_eq!(in_sample(&judged(&[made], formulas)), (1, false, false));
        assert!(judged(&[short], own()).is_empty(), "what is inlined goes by no plan");
    }

    #[test]
    fn the_worst_group_is_that_of_a_class_and_a_factor_of_four() {
        let bad = [("gpr", [800; 4]), ("avx_aligned", [200; 4]), (LIBC, [400; 4])];
        let cells = [
            samples(Cell::hot(5000, 16, 48), &bad),
            samples(Cell::hot(9000, 16, 48), &THREE),
            samples(Cell::hot(5000, 0, 0), &THREE),
            samples(Cell::hot(70_000, 16, 48), &THREE),
        ];
        let worst = judged(&cells, Candidate::new("gpr", always("gpr"), Knows::Nothing))[0].figures[0].unwrap().worst;
        assert_eq!((worst.class.name(), worst.from_bytes, worst.cells), ("unequal", 4096, 2));
        assert!(near(worst.over_best, (4.0_f64 * 1.5).sqrt()), "{worst:?}");
    }

    /// The least of noisy times is biased low: the best is chosen by other rounds than those that judge it.
    #[test]
    fn the_best_kernel_is_picked_from_rounds_that_do_not_score() {
        let noisy = [("gpr", [100, 100, 100, 100]), ("avx_aligned", [90, 110, 90, 110]), (LIBC, [200; 4])];
        let cells = [samples(Cell::hot(3000, 0, 0), &noisy)];
        let figures = judged(&cells, Candidate::new("gpr", always("gpr"), Knows::Nothing))[0].figures[0].unwrap();
        assert!(near(figures.over_best, 100.0 / 110.0), "{figures:?}");
    }

    #[test]
    fn another_library_that_is_faster_makes_a_cell_slow_and_no_kernel_worse() {
        let peer = [("gpr", [100; 4]), (LIBC, [100; 4]), ("other", [50; 4])];
        let cells = [samples(Cell::hot(3000, 0, 0), &peer)];
        let figures = judged(&cells, Candidate::new("gpr", always("gpr"), Knows::Nothing))[0].figures[0].unwrap();
        assert!(near(figures.over_best, 1.0) && figures.slow_share == 1.0);
        let absent = judged(&cells, Candidate::new("absent", always("avx_aligned"), Knows::Nothing));
        assert_eq!(absent[0].figures[0], None, "what was not measured is not judged");
    }

    #[test]
    fn a_plan_by_way_is_judged_in_its_way_alone() {
        let cells = [Residency::Hot, Residency::Cold].map(|way| samples(Cell::hot(3000, 0, 0).with(way), &THREE));
        let choice = Choice::ByWay(vec![(Residency::Cold, always("gpr"))]);
        let ways = judged(&cells, Candidate { name: OWN_WITHOUT.to_owned(), choice, knows: Knows::Nothing });
        let judged: Vec<bool> = ways.iter().map(|way| way.figures[0].is_some()).collect();
        assert_eq!(judged, [false, true]);
    }
}
