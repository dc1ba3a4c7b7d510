//! A plan from a fraction of a second of measuring on this machine.
//!
//! The formulas know a CPU by its signature; a guest, a new model, a tuned firmware they do not. Here the kernels that
//! can run are timed at a few dozen points, in turns, and where one of them beats what the formulas (or the profile)
//! say by more than the noise, the plan changes.

#![forbid(unsafe_code)]

use super::adopt::{RangeVerdict, adopt};
use super::choose::{Point, Terms, choose};
use super::class::Class;
use super::plan::{Origin, Plan};
use super::text::{CpuName, PlanText};
use super::{Policy, formula, plan_for};
use crate::cpu::{Cache, Cpu};
use crate::kernel::{Kernel, ReadyKernel, Stores, kernels};
use core::fmt;
use std::hint::black_box;
use std::string::{String, ToString};
use std::time::{Duration, Instant};
use std::vec::Vec;

/// The longest that [`calibrate`] takes.
pub const CALIBRATE_MAX_TIME: Duration = Duration::from_millis(300);
/// The most memory that [`calibrate`] uses, in bytes.
pub const CALIBRATE_MAX_BYTES: usize = 64 << 20;

/// The longest copy that is timed: source and destination with their offsets stay within the limit.
const MAX_LEN_BYTES: usize = 24 << 20;
/// No point is begun after this: what is under way, and the choice, still fit the limit.
const LAST_START: Duration = Duration::from_millis(240);
/// How long the copies of a first look take together, at most.
const LOOK_NS: u64 = 2_000;
/// How long the copies of one timing take together, at least.
const SAMPLE_NS: u64 = 12_000;
/// How often each kernel is timed at a point.
const ROUNDS: usize = 5;
/// Destination and source offsets in their pages: aligned, misaligned, and both aliased.
const PLACES: [(usize, usize); 3] = [(0, 2048), (1, 2050), (64, 0)];

/// What [`calibrate`] found.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// The plan: the one before with what measured better. [`install`](super::install) puts it in force.
    pub plan: Plan,
    /// The plan that was to be beaten: this CPU's profile, or the formulas'.
    pub before: Plan,
    /// How far two halves of the same timings differ, as a ratio above 1: differences below it were ignored.
    pub noise_floor: f64,
    /// Time under the plan before over time under the new one, geometric mean over the points: 1 where nothing changed.
    pub gain: f64,
    /// What was decided for each range of lengths, shortest first.
    pub verdicts: Vec<RangeVerdict>,
    /// The CPU that was measured.
    pub cpu: CpuName,
    /// How many points were measured, and how many there are: fewer where time ran out, longest lengths first left out.
    pub points: (usize, usize),
    /// How long it took.
    pub took: Duration,
}

impl Calibration {
    /// The plan as text, as a file keeps it and [`load`](super::load) reads it.
    pub fn text(&self) -> String {
        PlanText { cpu: self.cpu, policy: Policy::User, plan: self.plan }.to_string()
    }
}

/// Times the kernels on this machine and returns the best plan for it.
///
/// Takes at most [`CALIBRATE_MAX_TIME`] and [`CALIBRATE_MAX_BYTES`]. The calling thread may be moved or interrupted:
/// medians and the noise floor account for that, and where they cannot tell two kernels apart, the plan stays as it
/// was. It changes a range of lengths only if both halves of the timings in that range speak for the change, and never
/// lengths above the longest that was measured. Nothing is put in force.
pub fn calibrate() -> Calibration {
    let started = Instant::now();
    let cpu = Cpu::detect();
    let before = plan_for(&cpu, Policy::User);
    let candidates: Vec<ReadyKernel> =
        kernels().iter().filter(|kernel| kernel.may_be_planned()).filter_map(Kernel::ready).collect();
    let lengths = lengths();
    let all = lengths.len() * PLACES.len();
    let mut measured: Vec<Measured> = Vec::new();
    let mut ground = Ground::new();
    'points: for len_bytes in lengths {
        for place in PLACES {
            if started.elapsed() > LAST_START {
                break 'points;
            }
            measured.extend(ground.measure(&candidates, len_bytes, place));
        }
    }
    let noise_floor = noise_floor(&measured);
    let size = |cache: Option<Cache>| cache.map(|cache| cache.size_bytes);
    let limits = formula::natural_limits(size(cpu.caches.l1d), size(cpu.caches.l2), size(cpu.caches.l3));
    let Decision { plan, gain, verdicts } = decide(&before, &candidates, &measured, &limits, noise_floor);
    let plan = if plan == before { before } else { plan.with_origin(Origin::Calibrated) };
    Calibration {
        plan,
        before,
        noise_floor,
        gain,
        verdicts,
        cpu: CpuName::of(&cpu.signature),
        points: (measured.len(), all),
        took: started.elapsed(),
    }
}

/// Powers of two and the middles between them, where the plans of the formulas change kernels.
fn lengths() -> Vec<usize> {
    let powers = (7..25).map(|power| 1_usize << power);
    let mut lengths: Vec<usize> = powers.flat_map(|bytes| [bytes, bytes + bytes / 2]).collect();
    lengths.retain(|bytes| *bytes <= 4 << 20 || bytes.is_power_of_two());
    lengths.retain(|bytes| *bytes <= MAX_LEN_BYTES);
    lengths
}

/// One point: for each candidate the median, and the medians of the even and of the odd rounds for each that was in the
/// running to the end.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) point: Point,
    pub(super) halves: Vec<Option<(f64, f64)>>,
}

/// Shorter copies past the caches cost ten times as much and more, and leave the next candidate a cold destination.
const NON_TEMPORAL_FROM_BYTES: usize = 256 << 10;

/// What a new plan must gain on the average of all points to replace the one before.
const WORTH_IT: f64 = 1.005;

/// How much slower than the best a candidate may look at first and still be in the running.
const HOPELESS: f64 = 1.6;

/// The buffers.
struct Ground {
    dst: Vec<u8>,
    src: Vec<u8>,
}

/// Room for a page's alignment and an offset in a page.
const MARGIN_BYTES: usize = 3 * 4096;

impl Ground {
    fn new() -> Self {
        let bytes = MAX_LEN_BYTES + MARGIN_BYTES;
        // Zeroed pages of the source are one and the same page of the system's: it is written, to be memory of its own.
        Self { dst: std::vec![0; bytes], src: std::vec![1; bytes] }
    }

    fn measure(&mut self, candidates: &[ReadyKernel], len_bytes: usize, place: (usize, usize)) -> Option<Measured> {
        let dst_at = self.dst.as_ptr().addr().next_multiple_of(4096) - self.dst.as_ptr().addr() + place.0;
        let src_at = self.src.as_ptr().addr().next_multiple_of(4096) - self.src.as_ptr().addr() + place.1;
        let dst = &mut self.dst[dst_at..dst_at + len_bytes];
        let src = &self.src[src_at..src_at + len_bytes];
        let class = Class::of(dst.as_ptr().addr(), src.as_ptr().addr());

        // A first look, the better of two: most candidates are out of the running at most points. The one before may
        // have left the destination out of the caches, which is not this one's doing: it settles first.
        let mut copy_ns: Vec<f64> = candidates
            .iter()
            .map(|kernel| {
                if kernel.kernel().stores() == Stores::NonTemporal && len_bytes < NON_TEMPORAL_FROM_BYTES {
                    return f64::INFINITY;
                }
                let settled_ns = time_ns(*kernel, dst, src, 1).min(time_ns(*kernel, dst, src, 1));
                let iterations = (LOOK_NS / settled_ns.max(1)).clamp(1, 128);
                let mut look = || time_ns(*kernel, dst, src, iterations) as f64 / iterations as f64;
                look().min(look()).max(0.1)
            })
            .collect();
        let best = copy_ns.iter().copied().fold(f64::INFINITY, f64::min);
        let running: Vec<usize> = (0..candidates.len()).filter(|at| copy_ns[*at] < HOPELESS * best).collect();

        let iterations = ((SAMPLE_NS as f64 / best) as u64).clamp(1, 8192);
        let mut samples: Vec<Vec<f64>> = std::vec![Vec::new(); running.len()];
        for round in 0..ROUNDS {
            for turn in 0..running.len() {
                // Each round starts elsewhere and every other one goes backward, so that nobody always follows the same.
                let turn = if round % 2 == 0 { turn } else { running.len() - 1 - turn };
                let at = (turn + round * 3) % running.len();
                let kernel = candidates[running[at]];
                time_ns(kernel, dst, src, 1 + iterations / 32);
                samples[at].push(time_ns(kernel, dst, src, iterations) as f64 / iterations as f64);
            }
        }
        let half = |samples: &[f64], odd: usize| median(samples.iter().copied().skip(odd).step_by(2).collect());
        let mut halves = std::vec![None; candidates.len()];
        for (at, samples) in running.iter().zip(&samples) {
            copy_ns[*at] = median(samples.clone())?;
            halves[*at] = Some((half(samples, 0)?, half(samples, 1)?));
        }
        Some(Measured { point: Point { len_bytes, class, weight: 1.0, copy_ns }, halves })
    }
}

fn time_ns(kernel: ReadyKernel, dst: &mut [u8], src: &[u8], iterations: u64) -> u64 {
    let start = Instant::now();
    for _ in 0..iterations {
        // The lengths are equal: there is no error to see.
        let _ = kernel.copy(black_box(&mut *dst), black_box(src));
    }
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().filter(|value| *value > 0.0)
}

/// How far the odd rounds differ from the even ones: the ratio that nine of ten kernels and points stay below.
fn noise_floor(measured: &[Measured]) -> f64 {
    let halves = measured.iter().flat_map(|measured| measured.halves.iter().flatten());
    let mut spread: Vec<f64> = halves.map(|(odd, even)| (odd / even).ln().abs()).collect();
    spread.sort_unstable_by(f64::total_cmp);
    spread.get(spread.len() * 9 / 10).copied().unwrap_or(0.0).exp()
}

/// The plan, what it gains, and why.
struct Decision {
    plan: Plan,
    gain: f64,
    verdicts: Vec<RangeVerdict>,
}

/// The plan before, with the kernels of the best plan on these points where the measurements speak for them.
fn decide(
    before: &Plan,
    candidates: &[ReadyKernel],
    measured: &[Measured],
    limits: &[usize],
    noise_floor: f64,
) -> Decision {
    let kernels: Vec<&'static Kernel> = candidates.iter().map(|ready| ready.kernel()).collect();
    // What is already chosen counts as faster by the noise floor: it is left only for something that is beyond doubt.
    let points: Vec<Point> = measured
        .iter()
        .map(|measured| {
            let mut point = measured.point.clone();
            let chosen = before.kernel(point.len_bytes, point.class);
            if let Some(at) = kernels.iter().position(|kernel| *kernel == chosen) {
                point.copy_ns[at] /= noise_floor;
            }
            point
        })
        .collect();
    // A line more in the plan takes two lengths that speak for it, or one that does so twice as loud.
    let line = noise_floor * noise_floor;
    let terms = Terms { tie: 1.0, line, class: Terms::CLASS_FLOOR.max(line) };
    let wanted = choose(&kernels, &points, limits, terms).unwrap_or(*before);
    let (plan, verdicts) = adopt(before, &wanted, &kernels, measured);
    let gain = gain(before, &plan, &kernels, measured);
    if gain > WORTH_IT {
        return Decision { plan, gain, verdicts };
    }
    // What gains next to nothing in all is not worth another plan.
    let verdicts = verdicts.into_iter().map(RangeVerdict::kept).collect();
    Decision { plan: *before, gain: 1.0, verdicts }
}

/// Time under one plan over time under another, geometric mean over the points.
fn gain(before: &Plan, after: &Plan, kernels: &[&'static Kernel], measured: &[Measured]) -> f64 {
    let time = |plan: &Plan, point: &Point| {
        let chosen = plan.kernel(point.len_bytes, point.class);
        kernels.iter().position(|kernel| *kernel == chosen).map(|at| point.copy_ns[at].ln())
    };
    let ratios: Vec<f64> = measured
        .iter()
        .filter_map(|measured| Some(time(before, &measured.point)? - time(after, &measured.point)?))
        .collect();
    if ratios.is_empty() { 1.0 } else { (ratios.iter().sum::<f64>() / ratios.len() as f64).exp() }
}

/// What was decided for each range of lengths and why, then the plan.
impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (measured, all) = self.points;
        writeln!(
            f,
            "measured {measured} of {all} points in {} ms; differences below {:.1}% count as noise\n",
            self.took.as_millis(),
            (self.noise_floor - 1.0) * 100.0
        )?;
        writeln!(f, "{:<24} {:<18} {:<18} why", "lengths in bytes", "before", "now")?;
        self.verdicts.iter().try_for_each(|verdict| writeln!(f, "{verdict}"))?;
        if self.plan == self.before {
            writeln!(f, "\nNothing changes. The plan is {}:", self.before.origin())?;
        } else {
            writeln!(
                f,
                "\nThe new plan takes {:.1}% less time than the one before ({}), geometric mean of the points:",
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

    fn measured(copy_ns: Vec<f64>, spread: f64) -> Measured {
        let halves = copy_ns.iter().map(|ns| Some((*ns, ns * spread))).collect();
        Measured { point: Point { len_bytes: 4096, class: Class::ALL[0], weight: 1.0, copy_ns }, halves }
    }

    #[test]
    fn the_floor_is_how_far_halves_differ() {
        let floor = noise_floor(&[measured(std::vec![10.0, 20.0], 1.05), measured(std::vec![30.0], 1.05)]);
        assert!((floor - 1.05).abs() < 1e-9);
        assert_eq!(noise_floor(&[]), 1.0);
    }

    /// Kernels that run everywhere, the first of which the plan before has everywhere.
    fn setting() -> (Plan, Vec<ReadyKernel>) {
        let candidates: Vec<ReadyKernel> = kernels().iter().filter_map(Kernel::ready).take(2).collect();
        (Plan::new(&[super::super::Band::new(usize::MAX, candidates[0].kernel())]).unwrap(), candidates)
    }

    fn at(len_bytes: usize, copy_ns: [f64; 2]) -> Measured {
        let mut measured = measured(copy_ns.to_vec(), 1.0);
        measured.point.len_bytes = len_bytes;
        measured
    }

    #[test]
    fn a_win_beyond_the_noise_changes_the_plan_and_one_within_does_not() {
        let (before, candidates) = setting();
        let won = [at(4096, [200.0, 100.0]), at(8192, [400.0, 200.0])];
        let decision = decide(&before, &candidates, &won, &[], 1.05);
        assert_eq!(decision.plan.kernel(4096, Class::ALL[0]), candidates[1].kernel());
        assert!((decision.gain - 2.0).abs() < 1e-9);
        let close = [at(4096, [102.0, 100.0]), at(8192, [204.0, 200.0])];
        for measured in [&close[..], &[]] {
            let decision = decide(&before, &candidates, measured, &[], 1.05);
            assert_eq!((decision.plan, decision.gain), (before, 1.0));
            assert!(decision.verdicts.iter().all(|verdict| !verdict.is_changed));
        }
    }

    #[test]
    fn memory_stays_within_the_limit() {
        const { assert!(2 * (MAX_LEN_BYTES + MARGIN_BYTES) <= CALIBRATE_MAX_BYTES) };
        assert!(lengths().into_iter().all(|bytes| bytes <= MAX_LEN_BYTES));
    }
}
