//! From the plan in force and the plan that measurements ask for to the plan that they give evidence for. Pure.
//!
//! The lengths are cut wherever one of the two plans changes kernels, and at the longest length that was measured. In
//! each range the wanted kernels replace those before only if the timings of that range speak for it: at two points at
//! least, in the mean of the even rounds and in that of the odd ones, and at three of four points. A range without
//! points, and all lengths above the longest one measured, stay as they were.

#![forbid(unsafe_code)]

use super::calibrate::Measured;
use super::class::Class;
use super::plan::{Band, Plan};
use crate::kernel::Kernel;
use core::fmt;
use std::string::String;
use std::vec::Vec;

/// What both halves of the timings must gain in the mean, as a ratio of times: less is where code happens to lie.
const LEAST_GAIN: f64 = 1.01;
/// Fewer points are an accident.
const LEAST_POINTS: usize = 2;

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
    /// How many points were measured in the range.
    pub measured: usize,
    /// The points at which the two plans differ.
    pub points: usize,
    /// At how many of them the wanted kernel is the faster one.
    pub points_for: usize,
    /// Time with the kernels before over time with the wanted ones, geometric mean over these points.
    pub gain: f64,
}

impl RangeVerdict {
    /// The same range, left as it was.
    pub(super) fn kept(self) -> Self {
        Self { is_changed: false, ..self }
    }
}

/// The plan before, with the wanted one's kernels where the measurements speak for them, and the verdict on each range.
pub(super) fn adopt(
    before: &Plan,
    wanted: &Plan,
    kernels: &[&'static Kernel],
    measured: &[Measured],
) -> (Plan, Vec<RangeVerdict>) {
    let longest = measured.iter().map(|measured| measured.point.len_bytes).max().unwrap_or(0);
    let limits = [before, wanted].into_iter().flat_map(|plan| plan.bands().iter().map(Band::up_to_bytes));
    let mut limits: Vec<usize> = limits.filter(|limit| *limit < longest).chain([longest, usize::MAX]).collect();
    // Above the longest length measured only the plan before counts.
    limits.extend(before.bands().iter().map(Band::up_to_bytes).filter(|limit| *limit > longest));
    limits.retain(|limit| *limit > 0);
    limits.sort_unstable();
    limits.dedup();

    let mut bands: Vec<Band> = Vec::new();
    let mut verdicts = Vec::new();
    let mut from_bytes = super::INLINE_MAX_BYTES + 1;
    for up_to_bytes in limits {
        let at = |plan: &Plan| {
            let mut band = Band::new(up_to_bytes, plan.kernel(up_to_bytes, Class::ALL[0]));
            for class in Class::ALL {
                band = band.with(class, plan.kernel(up_to_bytes, class));
            }
            band
        };
        let (old, new) = (at(before), if up_to_bytes > longest { at(before) } else { at(wanted) });
        let covered = measured.iter().filter(|one| (from_bytes..=up_to_bytes).contains(&one.point.len_bytes));
        let evidence = Evidence::of(&old, &new, kernels, covered.clone());
        let is_changed = evidence.is_enough();
        verdicts.push(RangeVerdict {
            from_bytes,
            up_to_bytes,
            before: most(&old),
            wanted: most(&new),
            is_changed,
            measured: covered.count(),
            points: evidence.gains.len(),
            points_for: evidence.count_for(),
            gain: evidence.gain(),
        });
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
        Err(_) => (*before, verdicts.into_iter().map(RangeVerdict::kept).collect()),
    }
}

/// The kernel of most classes.
fn most(band: &Band) -> &'static str {
    let names = Class::ALL.map(|class| band.kernel(class).name());
    let count = |name: &str| names.iter().filter(|other| **other == name).count();
    names.into_iter().max_by_key(|name| count(name)).unwrap_or_default()
}

/// What each point says where two bands differ: the logarithms of the time before over the time wanted, in all rounds, in
/// the even ones and in the odd ones.
struct Evidence {
    gains: Vec<[f64; 3]>,
}

impl Evidence {
    fn of<'a>(
        old: &Band,
        new: &Band,
        kernels: &[&'static Kernel],
        covered: impl Iterator<Item = &'a Measured>,
    ) -> Self {
        let gain = |measured: &Measured| {
            let place = |band: &Band| {
                let chosen = band.kernel(measured.point.class);
                kernels.iter().position(|kernel| *kernel == chosen)
            };
            let (old, new) = (place(old)?, place(new)?);
            let all = |at: usize| measured.point.copy_ns[at];
            // A kernel that dropped out was slower than the best by far: its first look is what there is of it.
            let halves = |at: usize| measured.halves[at].unwrap_or((all(at), all(at)));
            let ratio = |before: f64, after: f64| (before / after).ln();
            let (even, odd) = ((halves(old).0, halves(new).0), (halves(old).1, halves(new).1));
            (old != new).then(|| [ratio(all(old), all(new)), ratio(even.0, even.1), ratio(odd.0, odd.1)])
        };
        Self { gains: covered.filter_map(gain).collect() }
    }

    fn mean(&self, which: usize) -> f64 {
        self.gains.iter().map(|gains| gains[which]).sum::<f64>() / self.gains.len().max(1) as f64
    }

    fn gain(&self) -> f64 {
        self.mean(0).exp()
    }

    fn count_for(&self) -> usize {
        self.gains.iter().filter(|gains| gains[0] > 0.0).count()
    }

    fn is_enough(&self) -> bool {
        self.gains.len() >= LEAST_POINTS
            && self.mean(1).min(self.mean(2)) > LEAST_GAIN.ln()
            && 4 * self.count_for() >= 3 * self.gains.len()
    }
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
        let Self { points, points_for, gain, wanted, .. } = self;
        match (self.is_changed, self.measured, points) {
            (true, ..) => write!(f, "{gain:.2} times as fast at {points} points"),
            (false, 0, _) => f.write_str("not measured"),
            (false, _, 0) => f.write_str("the best"),
            (false, ..) => write!(f, "no proof for {wanted}: {points_for} of {points} points"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::choose::Point;
    use super::*;
    use crate::kernel::kernels;
    use std::vec;

    const CLASS: Class = Class::ALL[0];

    fn measured(len_bytes: usize, even: [f64; 2], odd: [f64; 2]) -> Measured {
        let copy_ns = vec![(even[0] + odd[0]) / 2.0, (even[1] + odd[1]) / 2.0];
        let halves = vec![Some((even[0], odd[0])), Some((even[1], odd[1]))];
        Measured { point: Point { len_bytes, class: CLASS, weight: 1.0, copy_ns }, halves }
    }

    /// Two kernels, a plan of the first alone and one of the second alone.
    fn setting() -> ([&'static Kernel; 2], Plan, Plan) {
        let two = [&kernels()[0], &kernels()[kernels().len() - 1]];
        let plan = |kernel| Plan::new(&[Band::new(usize::MAX, kernel)]).unwrap();
        (two, plan(two[0]), plan(two[1]))
    }

    #[test]
    fn nothing_changes_above_the_longest_length_measured() {
        let (two, before, wanted) = setting();
        let points = [1024, 4096].map(|len_bytes| measured(len_bytes, [200.0, 100.0], [200.0, 100.0]));
        let (plan, verdicts) = adopt(&before, &wanted, &two, &points);
        assert_eq!(plan.kernel(4096, CLASS), two[1]);
        assert_eq!(plan.kernel(4097, CLASS), two[0]);
        assert_eq!(verdicts.iter().map(|verdict| verdict.is_changed).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn a_range_changes_by_its_own_evidence_alone() {
        let (two, before, other) = setting();
        let wanted = Plan::new(&[Band::new(2048, two[1]), Band::new(4096, two[0]), Band::new(usize::MAX, two[1])]);
        let won = |len_bytes| measured(len_bytes, [200.0, 100.0], [200.0, 100.0]);
        let (plan, _) = adopt(&before, &wanted.unwrap(), &two, &[won(1024), won(2048), won(8192)]);
        assert_eq!(plan.kernel(2048, CLASS), two[1]);
        assert_eq!(plan.kernel(8192, CLASS), two[0], "one point is not enough");
        let (plan, _) = adopt(&before, &other, &two, &[]);
        assert_eq!(plan, before, "nothing was measured");
    }

    #[test]
    fn halves_that_disagree_change_nothing() {
        let (two, before, wanted) = setting();
        let torn = [1024, 4096].map(|len_bytes| measured(len_bytes, [300.0, 100.0], [100.0, 102.0]));
        assert_eq!(adopt(&before, &wanted, &two, &torn).0, before);
        let one_of_two = [measured(1024, [300.0, 100.0], [300.0, 100.0]), measured(4096, [99.0, 100.0], [99.0, 100.0])];
        assert_eq!(adopt(&before, &wanted, &two, &one_of_two).0, before);
    }
}
