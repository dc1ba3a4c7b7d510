//! A plan from a fraction of a second of measuring on this machine.
//!
//! The formulas know a CPU by its signature; a guest, a new model, a tuned firmware they do not. Here the kernels that
//! can run, and the platform's copy, are timed at some hundred spots, each a length at a placement in a way of use, and where
//! one of them beats what the formulas (or the profile) say beyond doubt, the plan changes.
//!
//! A shared machine is noisy in bursts of milliseconds. So nothing is timed long: each visit to a spot times each kernel
//! still in the running for some microseconds, right after one another, and all spots are visited before any is visited
//! again. What counts is the ratio of two kernels in one visit, and its median over the visits. Kernels far behind drop out;
//! spots with nothing left to decide are passed over, so that the time goes to the close ones.

mod adopt;
mod race;
mod small;
mod spot;

use super::choose::{Point, Terms, choose};
use super::cpu_name::CpuName;
use super::plan::{Origin, Plan};
use super::text::PlanText;
use super::{INLINE_MAX_BYTES, Policy, formula, plan_for};
use crate::cpu::{Cache, Cpu};
use crate::kernel::{Kernel, ReadyKernel, kernels};
pub use adopt::RangeVerdict;
use adopt::{adopt, mean_gain, position};
use core::fmt;
use race::{Race, bar_non_temporal, enter_the_long_races, median};
use spot::{Buffers, Spot};
use std::string::{String, ToString};
use std::time::{Duration, Instant};
use std::vec::Vec;

/// How long [`calibrate`] takes at most.
pub const CALIBRATE_MAX_TIME: Duration = Duration::from_millis(300);
/// The most memory that calibration uses, in bytes.
pub const CALIBRATE_MAX_BYTES: usize = 64 << 20;

/// What part of the time is left for the visit under way and for the choice.
const SPARE: f64 = 0.2;
/// With less, small lengths are not timed: they take a thousandth of a second.
const LEAST_TIME_FOR_SMALL: Duration = Duration::from_millis(20);
/// No visit to a long race begins after this share of the time: it may take a tenth of it.
const LAST_LONG: f64 = 0.7;
/// More visits tell nothing new.
const MOST_VISITS: usize = 200;
/// Long copies are timed from this round of visits on, in every other one, with the kernels that shorter ones left in the
/// running.
const LONG_FROM_VISIT: usize = 2;

/// What [`calibrate`] found.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// The plan for [`Policy::User`]: the one before with what measured better. [`install`](super::install) puts it in force.
    pub plan: Plan,
    /// The plan that was to be beaten: this CPU's profile, or the formulas'.
    pub before: Plan,
    /// The same for [`Policy::NoSimd`]: the plan, and the one before.
    pub no_simd: (Plan, Plan),
    /// How far two halves of the same timings differ, as a ratio above 1: nine of ten by less.
    pub noise_floor: f64,
    /// Time under the plan before over time under the new one, geometric mean over the spots by their weights: 1 where nothing
    /// changed.
    pub gain: f64,
    /// What was decided for each range of lengths, shortest first.
    pub verdicts: Vec<RangeVerdict>,
    /// The same for [`Policy::NoSimd`].
    pub no_simd_verdicts: Vec<RangeVerdict>,
    /// The CPU that was measured.
    pub cpu: CpuName,
    /// How many spots were measured, and how many there are: fewer where time ran out.
    pub points: (usize, usize),
    /// How often the kernels in the running were timed at a spot, in the median.
    pub visits: usize,
    /// How long it took.
    pub took: Duration,
}

impl Calibration {
    /// The plan for [`Policy::User`] as text, as a file keeps it and [`load`](super::load) reads it.
    pub fn text(&self) -> String {
        PlanText { cpu: self.cpu, policy: Policy::User, plan: self.plan }.to_string()
    }

    /// The plan for [`Policy::NoSimd`] as text.
    pub fn no_simd_text(&self) -> String {
        PlanText { cpu: self.cpu, policy: Policy::NoSimd, plan: self.no_simd.0 }.to_string()
    }
}

/// Times the kernels on this machine and returns the best plans for it.
///
/// Takes at most [`CALIBRATE_MAX_TIME`] and [`CALIBRATE_MAX_BYTES`]. Nothing is put in force. The calling thread may be
/// moved or interrupted. A plan changes in a range of lengths only if the timings of that range leave no doubt, and never
/// above the longest length that was measured (16 MiB): each [`RangeVerdict`] says how sure it is.
pub fn calibrate() -> Calibration {
    calibrate_within(CALIBRATE_MAX_TIME, |_| {})
}

/// As [`calibrate`], in this much time: more visits tell closer races apart. `progress` is told the share of the time that
/// has passed, after each round of visits.
///
/// Less than a tenth of a second is not enough to measure every spot; those that were not are left as they were.
pub fn calibrate_within(limit: Duration, progress: impl FnMut(f64)) -> Calibration {
    calibrate_weighted(limit, |_| 1.0, progress)
}

/// As [`calibrate_within`], for a program that copies some lengths more than others: `weigh` says how much a length in bytes
/// counts beside the others. What it says is taken as 1 / 50 if it is less, and as 50 if it is more or no number.
///
/// A plan is for all lengths, and those that hardly count get what little evidence there is for them.
pub fn calibrate_weighted(limit: Duration, weigh: impl Fn(usize) -> f64, mut progress: impl FnMut(f64)) -> Calibration {
    let started = Instant::now();
    let last_visit = limit.mul_f64(1.0 - SPARE);
    let cpu = Cpu::detect();
    let (before, before_no_simd) = (plan_for(&cpu, Policy::User), plan_for(&cpu, Policy::NoSimd));
    let candidates: Vec<ReadyKernel> =
        kernels().iter().filter(|kernel| kernel.may_be_planned()).filter_map(Kernel::ready).collect();
    let kernels: Vec<&'static Kernel> = candidates.iter().map(|ready| ready.kernel()).collect();
    let mut races: Vec<Race> = Spot::all()
        .into_iter()
        .map(|spot| Spot { weight: spot.weight * limited(weigh(spot.len_bytes)), ..spot })
        .map(|spot| {
            let chosen =
                [&before, &before_no_simd].map(|plan| position(&kernels, plan.kernel(spot.len_bytes, spot.class())));
            Race::new(spot, &kernels, chosen)
        })
        .collect();
    // Code for debugging copies small lengths in a way of its own.
    let is_timed = limit >= LEAST_TIME_FOR_SMALL && cfg!(not(memcpy_select_out_of_line));
    let small = if is_timed { small::scheme(before.small()) } else { before.small() };
    let mut buffers = Buffers::new();
    'visits: for visit in 0..MOST_VISITS {
        if visit == LONG_FROM_VISIT {
            enter_the_long_races(&mut races, &kernels);
        }
        for at in 0..races.len() {
            // Every other time the other way round, so that none always follows the same.
            let at = if visit % 2 == 0 { at } else { races.len() - 1 - at };
            if started.elapsed() > last_visit {
                break 'visits;
            }
            let is_due = visit >= LONG_FROM_VISIT && visit % 2 == LONG_FROM_VISIT % 2;
            if races[at].spot.is_long() && !(is_due && started.elapsed() < limit.mul_f64(LAST_LONG)) {
                continue;
            }
            races[at].visit(&mut buffers, &candidates);
        }
        races.iter_mut().for_each(|race| race.drop_losers(&kernels));
        progress((started.elapsed().as_secs_f64() / limit.as_secs_f64()).min(1.0));
        if races.iter().all(|race| race.is_decided()) {
            break;
        }
    }
    let all = races.len();
    races.retain(|race| race.visits() > 0);
    bar_non_temporal(&mut races, &kernels);
    let noise_floor = noise_floor(&races);
    let size = |cache: Option<Cache>| cache.map(|cache| cache.size_bytes);
    let limits = formula::natural_limits(size(cpu.caches.l1d), size(cpu.caches.l2), size(cpu.caches.l3));
    let decide = |before: &Plan, policy| decide(before, policy, &kernels, &races, &limits, noise_floor);
    let user = decide(&before, Policy::User);
    let no_simd = decide(&before_no_simd, Policy::NoSimd);
    let mut visits: Vec<usize> = races.iter().map(Race::visits).collect();
    visits.sort_unstable();
    let plan = user.plan.with_small(small);
    Calibration {
        plan: if plan == before { before } else { plan.with_origin(Origin::Calibrated) },
        before,
        no_simd: (no_simd.plan, before_no_simd),
        noise_floor,
        gain: user.gain,
        verdicts: user.verdicts,
        no_simd_verdicts: no_simd.verdicts,
        cpu: CpuName::of(&cpu.signature),
        points: (races.len(), all),
        visits: visits.get(visits.len() / 2).copied().unwrap_or(0),
        took: started.elapsed(),
    }
}

/// A weight that leaves no length out.
fn limited(weight: f64) -> f64 {
    if weight.is_nan() { 50.0 } else { weight.clamp(0.02, 50.0) }
}

/// How far the odd visits differ from the even ones: the ratio that nine of ten kernels and spots stay below.
fn noise_floor(races: &[Race]) -> f64 {
    let half = |ns: &[Option<f64>], odd: usize| median(ns.iter().skip(odd).step_by(2).flatten().copied().collect());
    let all = races.iter().flat_map(|race| &race.ns).filter_map(|ns| Some((half(ns, 0)? / half(ns, 1)?).ln().abs()));
    let mut spread: Vec<f64> = all.collect();
    spread.sort_unstable_by(f64::total_cmp);
    spread.get(spread.len() * 9 / 10).copied().unwrap_or(0.0).exp()
}

/// The plan, what it gains, and why.
struct Decision {
    plan: Plan,
    gain: f64,
    verdicts: Vec<RangeVerdict>,
}

/// The plan before, with the kernels of the best plan on these spots where the timings leave no doubt.
fn decide(
    before: &Plan,
    policy: Policy,
    kernels: &[&'static Kernel],
    races: &[Race],
    limits: &[usize],
    noise_floor: f64,
) -> Decision {
    let is_allowed = |at: &usize| policy == Policy::User || kernels[*at].writes().is_empty();
    let allowed: Vec<usize> = (0..kernels.len()).filter(is_allowed).collect();
    let candidates: Vec<&'static Kernel> = allowed.iter().map(|at| kernels[*at]).collect();
    let points: Vec<Point> = races
        .iter()
        .filter_map(|race| {
            let base = position(kernels, before.kernel(race.spot.len_bytes, race.spot.class()))?;
            let point = race.point(base)?;
            Some(Point { copy_ns: allowed.iter().map(|at| point.copy_ns[*at]).collect(), ..point })
        })
        .collect();
    let terms = Terms { tie: 1.0, line: noise_floor, class: Terms::CLASS_FLOOR };
    let wanted = choose(&candidates, &points, limits, terms).unwrap_or(*before);
    let from_bytes = if policy == Policy::User { INLINE_MAX_BYTES + 1 } else { 1 };
    let (plan, verdicts) = adopt(before, &wanted, from_bytes, kernels, races);
    Decision { plan, gain: mean_gain(before, &plan, kernels, races), verdicts }
}

/// What was decided for each range of lengths and why, then the plan.
impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (measured, all) = self.points;
        writeln!(
            f,
            "measured {measured} of {all} spots, {} times each, in {} ms; two halves differ by up to {:.1}%\n",
            self.visits,
            self.took.as_millis(),
            (self.noise_floor - 1.0) * 100.0
        )?;
        writeln!(f, "{:<24} {:<18} {:<18} why", "lengths in bytes", "before", "now")?;
        self.verdicts.iter().try_for_each(|verdict| writeln!(f, "{verdict}"))?;
        if self.no_simd.0 != self.no_simd.1 {
            writeln!(f, "\nwithout vector registers:")?;
            self.no_simd_verdicts.iter().try_for_each(|verdict| writeln!(f, "{verdict}"))?;
        }
        if self.plan == self.before {
            writeln!(f, "\nNothing changes. The plan is {}:", self.before.origin())?;
        } else {
            writeln!(
                f,
                "\nThe new plan takes {:.1}% less time than the one before ({}), geometric mean of the spots:",
                (1.0 - 1.0 / self.gain) * 100.0,
                self.before.origin().name()
            )?;
        }
        write!(f, "{}", self.plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spot::Way;
    #[cfg(memcpy_select_asm)]
    use std::vec;

    /// Three kernels of which the first is the plan's, and what each took in each visit.
    fn race(way: Way, kernels: &[&'static Kernel], ns: &[&[f64]]) -> Race {
        let spot = Spot { len_bytes: 1 << 20, place: (0, 2048), way, weight: 1.0 };
        let mut race = Race::new(spot, kernels, [Some(0), None]);
        race.ns = ns.iter().map(|ns| ns.iter().copied().map(Some).collect()).collect();
        race
    }

    #[cfg(memcpy_select_asm)]
    fn named(names: [&str; 3]) -> Vec<&'static Kernel> {
        names.map(|name| Kernel::named(name).unwrap()).into()
    }

    #[test]
    #[cfg(memcpy_select_asm)]
    fn losers_drop_out_but_not_the_kernel_of_the_plan() {
        let kernels = named(["sse2_aligned", "sse2_hybrid", "gpr"]);
        let slow: [&[f64]; 3] = [&[300.0; 3], &[100.0; 3], &[130.0; 3]];
        let mut race = race(Way::Steady, &kernels, &slow);
        race.drop_losers(&kernels);
        assert_eq!(race.running, [0, 1, 2], "gpr is the best of those without vector state");
        assert!(!race.is_decided());
        race.ns[1] = vec![Some(1000.0); 3];
        race.drop_losers(&kernels);
        assert_eq!(race.running, [0, 2]);
    }

    #[test]
    #[cfg(memcpy_select_asm)]
    fn a_visit_is_compared_with_itself_alone() {
        let kernels = named(["sse2_aligned", "sse2_hybrid", "gpr"]);
        // Everything takes twice as long in the second visit, and one timing is interrupted.
        let race = race(Way::Used, &kernels, &[&[100.0, 200.0, 100.0], &[50.0, 100.0, 9000.0], &[100.0, 200.0, 100.0]]);
        let point = race.point(0).unwrap();
        assert_eq!(point.copy_ns.iter().map(|ns| ns.round()).collect::<Vec<_>>(), [100.0, 50.0, 100.0]);
    }

    #[test]
    #[cfg(memcpy_select_asm)]
    fn non_temporal_stores_must_win_where_the_copy_is_read() {
        let kernels = named(["sse2_aligned", "sse2_nt", "gpr"]);
        let times: [&[f64]; 3] = [&[100.0], &[50.0], &[100.0]];
        let lost: [&[f64]; 3] = [&[100.0], &[150.0], &[100.0]];
        let mut both = vec![race(Way::Steady, &kernels, &times), race(Way::Read, &kernels, &lost)];
        bar_non_temporal(&mut both, &kernels);
        assert_eq!(both[0].point(0).unwrap().copy_ns[1], f64::INFINITY);
        let mut both = vec![race(Way::Steady, &kernels, &lost), race(Way::Read, &kernels, &times)];
        bar_non_temporal(&mut both, &kernels);
        assert!(both[0].point(0).unwrap().copy_ns[1].is_finite());
    }

    #[test]
    fn the_floor_is_how_far_halves_differ() {
        let kernels = &super::kernels()[..1].iter().collect::<Vec<_>>();
        let floor = noise_floor(&[race(Way::Steady, kernels, &[&[105.0, 100.0, 105.0, 100.0]])]);
        assert!((floor - 1.05).abs() < 1e-9);
        assert_eq!(noise_floor(&[]), 1.0);
    }

    #[test]
    fn a_weight_leaves_no_length_out() {
        let weights = [-1.0, 0.0, 0.5, 50.5, f64::INFINITY, f64::NAN];
        assert_eq!(weights.map(limited), [0.02, 0.02, 0.5, 50.0, 50.0, 50.0]);
    }

    #[test]
    fn a_limit_that_is_too_short_changes_nothing() {
        let calibration = calibrate_within(Duration::ZERO, |_| {});
        assert_eq!(calibration.points.0, 0);
        assert_eq!((calibration.plan, calibration.gain), (calibration.before, 1.0));
        assert_eq!(calibration.no_simd.0, calibration.no_simd.1);
    }
}
