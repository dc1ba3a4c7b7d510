//! From the plan in force and the plan that measurements ask for to the plan that they give evidence for. Pure.
//!
//! The lengths are cut wherever one of the two plans changes kernels, and at the longest length that was measured. In
//! each range the wanted kernels replace those before only if the timings of that range leave no doubt: at two spots at
//! least, in the mean by more than twice its standard error, and at three of four spots. A range without spots, and all
//! lengths above the longest one measured, stay as they were.

#![forbid(unsafe_code)]

use super::super::band::Band;
use super::super::class::Class;
use super::super::plan::Plan;
use super::race::{Race, SURE_VISITS, median};
use super::spot::Way;
use crate::kernel::{Kernel, Stores};
use core::fmt;
use std::string::String;
use std::vec::Vec;

/// What a change must gain in the mean, as a ratio of times, and what it must gain beyond doubt: less is where code happens to
/// lie.
const LEAST_GAIN: f64 = 1.01;
const LEAST_SURE_GAIN: f64 = 1.005;
/// How many standard errors are beyond doubt.
const SURE_ERRORS: f64 = 2.0;
/// Fewer spots are an accident.
const LEAST_SPOTS: usize = 2;

/// What was decided for a range of lengths.
#[derive(Clone, Debug)]
pub struct RangeVerdict {
    /// The shortest length of the range, in bytes.
    pub from_bytes: usize,
    /// The longest, in bytes; [`usize::MAX`] in the last range.
    pub up_to_bytes: usize,
    /// The kernel of the plan before, for most classes.
    pub before: &'static str,
    /// The kernel that the measurements ask for, for most classes.
    pub wanted: &'static str,
    /// Whether the wanted kernels were taken.
    pub is_changed: bool,
    /// How many spots were measured in the range.
    pub measured: usize,
    /// The spots at which the two plans differ.
    pub points: usize,
    /// At how many of them the wanted kernel is the faster one.
    pub points_for: usize,
    /// Time with the kernels before over time with the wanted ones, geometric mean over these spots by their weights.
    pub gain: f64,
    /// The standard error of the gain, as a share of it.
    pub error: f64,
}

impl RangeVerdict {
    /// Whether a range that was not measured needs no line of its own after this one.
    fn takes_in(&self, next: &Self) -> bool {
        next.measured == 0 && self.measured > 0 && !self.is_changed && self.before == next.before
    }
}

/// The plan before, with the wanted one's kernels where the measurements speak for them, and the verdict on each range.
pub(super) fn adopt(
    before: &Plan,
    wanted: &Plan,
    mut from_bytes: usize,
    kernels: &[&'static Kernel],
    races: &[Race],
) -> (Plan, Vec<RangeVerdict>) {
    let longest = races.iter().map(|race| race.spot.len_bytes).max().unwrap_or(0);
    let limits = [before, wanted].into_iter().flat_map(|plan| plan.bands().iter().map(Band::up_to_bytes));
    let mut limits: Vec<usize> = limits.filter(|limit| *limit < longest).chain([longest, usize::MAX]).collect();
    // Above the longest length measured only the plan before counts.
    limits.extend(before.bands().iter().map(Band::up_to_bytes).filter(|limit| *limit > longest));
    limits.retain(|limit| *limit > 0);
    limits.sort_unstable();
    limits.dedup();

    let mut bands: Vec<Band> = Vec::new();
    let mut verdicts: Vec<RangeVerdict> = Vec::new();
    for up_to_bytes in limits {
        let at = |plan: &Plan| {
            let mut band = Band::new(up_to_bytes, plan.kernel(up_to_bytes, Class::ALL[0]));
            for class in Class::ALL {
                band = band.with(class, plan.kernel(up_to_bytes, class));
            }
            band
        };
        let (old, new) = (at(before), if up_to_bytes > longest { at(before) } else { at(wanted) });
        let covered = races.iter().filter(|race| (from_bytes..=up_to_bytes).contains(&race.spot.len_bytes));
        let evidence = Evidence::of(&old, &new, kernels, covered.clone());
        let is_changed = evidence.is_enough();
        let verdict = RangeVerdict {
            from_bytes,
            up_to_bytes,
            before: most(&old),
            wanted: most(&new),
            is_changed,
            measured: covered.count(),
            points: evidence.spots,
            points_for: evidence.spots_for,
            gain: evidence.mean.exp(),
            error: evidence.error,
        };
        match verdicts.last_mut() {
            Some(last) if last.takes_in(&verdict) => last.up_to_bytes = up_to_bytes,
            _ => verdicts.push(verdict),
        }
        let band = if is_changed { new } else { old };
        match bands.last_mut() {
            Some(last) if Class::ALL.iter().all(|class| last.kernel(*class) == band.kernel(*class)) => *last = band,
            _ => bands.push(band),
        }
        from_bytes = up_to_bytes.saturating_add(1);
    }
    match Plan::new(&bands) {
        Ok(plan) => (plan.with_small(before.small()), verdicts),
        // More bands than a plan may have: the one before stays.
        Err(_) => {
            (*before, verdicts.into_iter().map(|verdict| RangeVerdict { is_changed: false, ..verdict }).collect())
        }
    }
}

/// The kernel of most classes.
fn most(band: &Band) -> &'static str {
    let names = Class::ALL.map(|class| band.kernel(class).name());
    let count = |name: &str| names.iter().filter(|other| **other == name).count();
    names.into_iter().max_by_key(|name| count(name)).unwrap_or_default()
}

/// What the spots say where two bands differ.
#[derive(Debug, Default)]
struct Evidence {
    spots: usize,
    spots_for: usize,
    /// The logarithm of the time before over the time wanted, mean over the spots by their weights, and its standard error.
    mean: f64,
    error: f64,
}

impl Evidence {
    fn of<'a>(old: &Band, new: &Band, kernels: &[&'static Kernel], covered: impl Iterator<Item = &'a Race>) -> Self {
        let gains = covered.filter_map(|race| {
            let class = race.spot.class();
            let (old, new) = (old.kernel(class), new.kernel(class));
            // Only a loop that does not read the copy favours non-temporal stores.
            let passes_caches = [old, new].iter().any(|kernel| kernel.stores() == Stores::NonTemporal);
            let counts = !passes_caches || matches!(race.spot.way, Way::Used | Way::Read);
            if old == new || !counts {
                return None;
            }
            Some((race.spot.weight, race.ratios(position(kernels, old)?, position(kernels, new)?)))
        });
        // Kernels that dropped out were behind by far: what few ratios there are of them tell enough.
        let gains: Vec<(f64, f64, Vec<f64>)> =
            gains.filter_map(|(weight, ratios)| Some((weight, median(ratios.clone())?, ratios))).collect();
        let all =
            || gains.iter().flat_map(|(_, middle, ratios)| ratios.iter().map(move |ratio| (ratio - middle).abs()));
        // What one ratio strays, from the median distance, which bursts of noise do not move; and so the error of a median.
        let spread = 1.4826 * median(all().collect()).unwrap_or(0.0);
        let (mut sum, mut variance, mut weights) = (0.0, 0.0, 0.0);
        for (weight, middle, ratios) in &gains {
            sum += weight * middle;
            variance += weight * weight * spread * spread * std::f64::consts::FRAC_PI_2 / ratios.len() as f64;
            weights += weight;
        }
        let spots_for = gains.iter().filter(|(_, middle, _)| *middle > 0.0).count();
        let few = gains.iter().all(|(_, _, ratios)| ratios.len() < SURE_VISITS);
        match gains.len() {
            0 => Self::default(),
            // A spread of one or two ratios is none.
            spots if few => Self { spots, spots_for, mean: sum / weights, error: f64::INFINITY },
            spots => Self { spots, spots_for, mean: sum / weights, error: variance.sqrt() / weights },
        }
    }

    fn is_enough(&self) -> bool {
        self.spots >= LEAST_SPOTS
            && self.mean > LEAST_GAIN.ln()
            && self.mean - SURE_ERRORS * self.error > LEAST_SURE_GAIN.ln()
            && 4 * self.spots_for >= 3 * self.spots
    }
}

/// The place of a kernel among the candidates.
pub(super) fn position(kernels: &[&'static Kernel], kernel: &Kernel) -> Option<usize> {
    kernels.iter().position(|one| one.name() == kernel.name())
}

/// Time under one plan over time under another, geometric mean over all spots by their weights.
pub(super) fn mean_gain(before: &Plan, after: &Plan, kernels: &[&'static Kernel], races: &[Race]) -> f64 {
    let (mut sum, mut weights) = (0.0, 0.0);
    for race in races {
        let at = |plan: &Plan| position(kernels, plan.kernel(race.spot.len_bytes, race.spot.class()));
        let Some((before, after)) = at(before).zip(at(after)) else { continue };
        sum += race.spot.weight * median(race.ratios(before, after)).unwrap_or(0.0);
        weights += race.spot.weight;
    }
    if weights > 0.0 { (sum / weights).exp() } else { 1.0 }
}

/// One line: the range, the two kernels, and why.
impl fmt::Display for RangeVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        let mut range = String::new();
        match self.up_to_bytes {
            usize::MAX => write!(range, "{} and more", self.from_bytes)?,
            up_to_bytes => write!(range, "{} to {up_to_bytes}", self.from_bytes)?,
        }
        let now = if self.is_changed { self.wanted } else { self.before };
        write!(f, "{range:<24} {:<18} {now:<18} ", self.before)?;
        let Self { points, points_for, gain, error, wanted, .. } = self;
        match (self.is_changed, self.measured, points) {
            (true, ..) => write!(f, "{gain:.2} (±{:.2}) times as fast, {points} spots", gain * error),
            (false, 0, _) => f.write_str("not measured"),
            (false, _, 0) => f.write_str("the best"),
            (false, ..) => {
                let what = if *wanted == self.before { "others at some alignments" } else { wanted };
                write!(f, "no proof for {what}: {gain:.2} (±{:.2}), better at {points_for} of {points}", gain * error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::spot::Spot;
    use super::*;
    use crate::kernel::kernels;
    use std::vec;

    const CLASS: Class = Class::of(0, 2048);

    /// A race of two kernels: what both took, visit by visit.
    fn race(len_bytes: usize, way: Way, ns: [&[f64]; 2]) -> Race {
        let spot = Spot { len_bytes, place: (0, 2048), way, weight: 1.0 };
        let mut race = Race::new(spot, &setting().0, [Some(0), None]);
        race.ns = ns.iter().map(|ns| ns.iter().copied().map(Some).collect()).collect();
        race
    }

    fn won(len_bytes: usize) -> Race {
        race(len_bytes, Way::Steady, [&[200.0, 202.0, 198.0, 200.0], &[100.0, 101.0, 99.0, 100.0]])
    }

    /// Two kernels, a plan of the first alone and one of the second alone.
    fn setting() -> (Vec<&'static Kernel>, Plan, Plan) {
        let two = vec![&kernels()[0], &kernels()[kernels().len() - 1]];
        let plan = |kernel| Plan::new(&[Band::new(usize::MAX, kernel)]).unwrap();
        let (first, second) = (plan(two[0]), plan(two[1]));
        (two, first, second)
    }

    #[test]
    fn nothing_changes_above_the_longest_length_measured() {
        let (two, before, wanted) = setting();
        let (plan, verdicts) = adopt(&before, &wanted, 1, &two, &[won(1024), won(4096)]);
        assert_eq!(plan.kernel(4096, CLASS), two[1]);
        assert_eq!(plan.kernel(4097, CLASS), two[0]);
        assert_eq!(verdicts.iter().map(|verdict| verdict.is_changed).collect::<Vec<_>>(), [true, false]);
        assert_eq!(verdicts[1].measured, 0);
        assert!((mean_gain(&before, &plan, &two, &[won(1024)]) - 2.0).abs() < 0.05);
    }

    #[test]
    fn a_range_changes_by_its_own_evidence_alone() {
        let (two, before, other) = setting();
        let wanted = Plan::new(&[Band::new(2048, two[1]), Band::new(4096, two[0]), Band::new(usize::MAX, two[1])]);
        let (plan, _) = adopt(&before, &wanted.unwrap(), 1, &two, &[won(1024), won(2048), won(8192)]);
        assert_eq!(plan.kernel(2048, CLASS), two[1]);
        assert_eq!(plan.kernel(8192, CLASS), two[0], "one spot is not enough");
        let (plan, _) = adopt(&before, &other, 1, &two, &[]);
        assert_eq!(plan, before, "nothing was measured");
    }

    #[test]
    fn what_noise_may_have_done_changes_nothing() {
        let (two, before, wanted) = setting();
        let torn =
            |len| race(len, Way::Steady, [&[300.0, 100.0, 250.0, 90.0, 110.0], &[100.0, 102.0, 98.0, 100.0, 99.0]]);
        assert_eq!(adopt(&before, &wanted, 1, &two, &[torn(1024), torn(4096)]).0, before);
        let lost = |len| race(len, Way::Used, [&[98.0, 99.0, 98.0], &[100.0, 101.0, 100.0]]);
        assert_eq!(adopt(&before, &wanted, 1, &two, &[won(1024), lost(4096)]).0, before, "one of two");
        let once = |len| race(len, Way::Used, [&[200.0], &[100.0]]);
        assert_eq!(adopt(&before, &wanted, 1, &two, &[once(1024), once(4096)]).0, before, "one visit has no spread");
    }

    #[test]
    #[cfg(memcpy_select_asm)]
    fn a_loop_does_not_speak_for_non_temporal_stores() {
        let two: Vec<&Kernel> = ["sse2_aligned", "sse2_nt"].map(|name| Kernel::named(name).unwrap()).into();
        let plan = |kernel| Plan::new(&[Band::new(usize::MAX, kernel)]).unwrap();
        let (before, wanted) = (plan(two[0]), plan(two[1]));
        let times: [&[f64]; 2] = [&[200.0, 202.0, 198.0], &[100.0, 101.0, 99.0]];
        let races = |way| [1 << 20, 2 << 20].map(|len| race(len, way, times));
        assert_eq!(adopt(&before, &wanted, 1, &two, &races(Way::Steady)).0, before);
        assert_eq!(adopt(&before, &wanted, 1, &two, &races(Way::Read)).0.kernel(1 << 20, CLASS), two[1]);
    }
}
