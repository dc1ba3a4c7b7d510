//! From measured times to a plan. Pure: the same times give the same plan, on any machine and in any year.
//!
//! What is minimised is the mean of the logarithm of the time over all points, each with its weight: a cell that is
//! twice as slow costs as much as another that is twice as fast gains, whatever its length. Lengths are cut into bands by
//! dynamic programming; within a band each class takes the kernel with the least sum. A kernel, a class or a band that
//! gains less than the noise floor is not worth a line in a plan, so the simpler one stays.
//!
//! A policy under which vector state costs something is served in the same way: who makes the points adds that cost to
//! the times of the kernels that [write](crate::Kernel::writes) it.

#![forbid(unsafe_code)]

use super::band::Band;
use super::class::{Aliasing, Alignment, Class};
use super::plan::{MAX_BANDS, Plan};
use crate::kernel::Kernel;
use std::vec::Vec;

/// What a copy costs more beyond the first band, in nanoseconds, as far as it does not fall into a [step](super::slot) of one
/// kernel: a second load, the search for the band and the class (results/TRIED.md).
const BEYOND_FIRST_BAND_NS: f64 = 1.0;

/// What was measured at one length and class, in one way.
#[derive(Clone, Debug)]
pub struct Point {
    /// The length in bytes.
    pub len_bytes: usize,
    /// How source and destination lay.
    pub class: Class,
    /// How much it counts.
    pub weight: f64,
    /// Nanoseconds a copy took, for each of the candidates, in their order.
    pub copy_ns: Vec<f64>,
}

/// What a difference must be worth, as ratios of times above 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Kernels whose times differ by less on the average are as good as each other: the simpler one is taken.
    pub tie: f64,
    /// What a further band must gain, in sum over its lengths.
    pub line: f64,
    /// What a kernel for one class must gain, on the average of the band's lengths.
    pub class: f64,
}

impl Terms {
    /// For figures with this noise floor that are made to last.
    pub const fn of_noise(noise_floor: f64) -> Self {
        Self { tie: noise_floor, line: noise_floor, class: Self::CLASS_FLOOR.max(noise_floor) }
    }

    /// Classes are measured at few places and long copies in few rounds: less than this is not worth telling them apart.
    pub const CLASS_FLOOR: f64 = 1.1;
}

/// The plan that is best on these points: every candidate is one of its choices, simpler ones first. Nothing if there
/// is no candidate or no point.
///
/// A band ends at one of `limits`, lengths at which something is known to change, if one lies between the measured
/// lengths in question; else half-way between them.
pub fn choose(candidates: &[&'static Kernel], points: &[Point], limits: &[usize], terms: Terms) -> Option<Plan> {
    let mut lengths: Vec<usize> = points.iter().map(|point| point.len_bytes).collect();
    lengths.sort_unstable();
    lengths.dedup();
    if candidates.is_empty() || lengths.is_empty() {
        return None;
    }
    let [tie, line, class] = [terms.tie, terms.line, terms.class].map(|ratio| ratio.max(1.0).ln());
    let chooser = Chooser { candidates, points, lengths: &lengths, limits, tie, line, class };

    // The cheapest way to cover the first `end` lengths with `count` bands: its cost and where its last band starts.
    let mut best = vec![[None::<(f64, usize)>; MAX_BANDS + 1]; lengths.len() + 1];
    best[0][0] = Some((0.0, 0));
    for end in 1..=lengths.len() {
        for start in 0..end {
            let (_, cost) = chooser.band(start, end);
            for count in 0..MAX_BANDS {
                let Some((before, _)) = best[start][count] else { continue };
                let total = before + cost;
                if best[end][count + 1].is_none_or(|(known, _)| total < known) {
                    best[end][count + 1] = Some((total, start));
                }
            }
        }
    }
    let costs = best[lengths.len()].iter().enumerate().filter_map(|(count, found)| Some((count, (*found)?.0)));
    let (mut count, _) = costs.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let (mut end, mut bands) = (lengths.len(), Vec::new());
    while count > 0 {
        let (_, start) = best[end][count]?;
        bands.push(chooser.band(start, end).0);
        (end, count) = (start, count - 1);
    }
    bands.reverse();
    Plan::new(&bands).ok()
}

struct Chooser<'a> {
    candidates: &'a [&'static Kernel],
    points: &'a [Point],
    lengths: &'a [usize],
    limits: &'a [usize],
    /// The logarithms of the [`Terms`].
    tie: f64,
    line: f64,
    class: f64,
}

impl Chooser<'_> {
    /// The best band for the lengths from `start` to before `end`, and its cost.
    fn band(&self, start: usize, end: usize) -> (Band, f64) {
        let limit = match self.lengths.get(end) {
            None => usize::MAX,
            Some(next) => self.between(self.lengths[end - 1], *next),
        };
        let covered: Vec<&Point> = {
            let lengths = &self.lengths[start..end];
            self.points.iter().filter(|point| lengths.contains(&point.len_bytes)).collect()
        };
        // What one length weighs, all its classes together: the unit in which a gain must exceed the noise floor.
        let unit = covered.iter().map(|point| point.weight).sum::<f64>() / (end - start) as f64;

        let of = |class: Option<Class>, extra_ns: f64| {
            let chosen = covered.iter().filter(|point| class.is_none_or(|class| point.class == class));
            let chosen: Vec<&&Point> = chosen.collect();
            self.cheapest(&chosen, extra_ns)
        };
        let is_first = start == 0;
        // One length alone is where noise is mistaken for a class.
        let is_wide = end - start > 1;
        let (uniform, uniform_cost) = of(None, if is_first { 0.0 } else { BEYOND_FIRST_BAND_NS });
        let mut band = Band::new(limit, self.candidates[uniform]);

        // With kernels for single classes; the first band loses its short way by that.
        let mut own: Vec<(Class, usize)> = Vec::new();
        let mut own_cost = 0.0;
        for class in Class::ALL {
            let points: Vec<&&Point> = covered.iter().filter(|point| point.class == class).collect();
            if points.is_empty() {
                continue;
            }
            let stay = self.cost(&points, uniform, BEYOND_FIRST_BAND_NS);
            let (other, change) = self.cheapest(&points, BEYOND_FIRST_BAND_NS);
            let share = points.iter().map(|point| point.weight).sum::<f64>();
            if is_wide && other != uniform && change + self.class * share < stay {
                own.push((class, other));
                own_cost += change;
            } else {
                own_cost += stay;
            }
        }
        let band_cost = self.line * unit;
        if own.is_empty() || own_cost + band_cost > uniform_cost {
            return (band, uniform_cost + band_cost);
        }
        for class in Class::ALL {
            let measured = covered.iter().any(|point| point.class == class);
            let model = if measured { Some(class) } else { stand_in(class, &covered) };
            if let Some((_, kernel)) = own.iter().find(|(class, _)| Some(*class) == model) {
                band = band.with(class, self.candidates[*kernel]);
            }
        }
        (band, own_cost + band_cost)
    }

    /// A limit between two lengths: a known one, or their geometric mean in whole lines.
    fn between(&self, below: usize, above: usize) -> usize {
        let mean = (below as f64 * above as f64).sqrt() as usize / 64 * 64;
        let known = self.limits.iter().copied().find(|limit| (below..above).contains(limit));
        known.unwrap_or(if mean >= below { mean } else { below })
    }

    /// The simplest candidate that is as good as the best of them, and its cost.
    fn cheapest(&self, points: &[&&Point], extra_ns: f64) -> (usize, f64) {
        let costs: Vec<f64> = (0..self.candidates.len()).map(|at| self.cost(points, at, extra_ns)).collect();
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let weight: f64 = points.iter().map(|point| point.weight).sum();
        let simplest = costs.iter().position(|cost| *cost <= least + self.tie * weight).unwrap_or(0);
        (simplest, costs[simplest])
    }

    fn cost(&self, points: &[&&Point], candidate: usize, extra_ns: f64) -> f64 {
        points.iter().map(|point| point.weight * (point.copy_ns[candidate] + extra_ns).ln()).sum()
    }
}

/// The class whose kernel a class takes that was not measured: as it, but not aliased; or misaligned in another way.
fn stand_in(class: Class, covered: &[&Point]) -> Option<Class> {
    let is_measured = |class: &Class| covered.iter().any(|point| point.class == *class);
    let apart = Class::new(class.alignment, Aliasing::Apart);
    let misaligned = match class.alignment {
        Alignment::BothAligned => Alignment::BothAligned,
        Alignment::DstAligned => Alignment::BothAligned,
        Alignment::Equal | Alignment::Unequal => Alignment::Unequal,
    };
    let others = [Class::new(misaligned, class.aliasing), apart, Class::new(misaligned, Aliasing::Apart)];
    others.into_iter().find(is_measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> &'static Kernel {
        Kernel::named(name).unwrap()
    }

    #[cfg(memcpy_select_asm)]
    fn candidates() -> [&'static Kernel; 3] {
        ["rep_movsb", "gpr", "sse2_aligned"].map(named)
    }

    #[cfg(memcpy_select_asm)]
    fn point(len_bytes: usize, class: Class, copy_ns: [f64; 3]) -> Point {
        Point { len_bytes, class, weight: 1.0, copy_ns: copy_ns.to_vec() }
    }

    #[cfg(memcpy_select_asm)]
    const ALIGNED: Class = Class::of(0, 2048);
    #[cfg(memcpy_select_asm)]
    const MISALIGNED: Class = Class::of(1, 2048);

    #[test]
    fn nothing_measured_is_no_plan() {
        assert_eq!(choose(&[], &[], &[], Terms::of_noise(1.0)), None);
        assert_eq!(choose(&[named("portable")], &[], &[], Terms::of_noise(1.0)), None);
    }

    #[test]
    #[cfg(memcpy_select_asm)]
    fn each_range_of_lengths_takes_its_best_kernel() {
        let points = [
            point(128, ALIGNED, [40.0, 10.0, 20.0]),
            point(1024, ALIGNED, [50.0, 60.0, 30.0]),
            point(4096, ALIGNED, [160.0, 200.0, 100.0]),
            point(65536, ALIGNED, [1000.0, 3000.0, 2000.0]),
        ];
        let plan = choose(&candidates(), &points, &[], Terms::of_noise(1.02)).unwrap();
        let limits: Vec<(usize, &str)> =
            plan.bands().iter().map(|band| (band.up_to_bytes(), band.kernel(ALIGNED).name())).collect();
        assert_eq!(limits, [(320, "gpr"), (16384, "sse2_aligned"), (usize::MAX, "rep_movsb")]);
    }

    #[test]
    #[cfg(memcpy_select_asm)]
    fn a_known_limit_is_where_a_band_ends() {
        let points = [point(4096, ALIGNED, [400.0, 900.0, 100.0]), point(65536, ALIGNED, [1000.0, 9000.0, 4000.0])];
        let plan = choose(&candidates(), &points, &[1000, 26624, 70000], Terms::of_noise(1.02)).unwrap();
        assert_eq!(plan.bands()[0].up_to_bytes(), 26624);
    }

    #[test]
    #[cfg(memcpy_select_asm)]
    fn what_the_noise_floor_hides_makes_no_band() {
        let points = [point(128, ALIGNED, [100.0, 101.0, 99.0]), point(1024, ALIGNED, [1010.0, 1000.0, 1020.0])];
        let plan = choose(&candidates(), &points, &[], Terms::of_noise(1.05)).unwrap();
        assert_eq!(plan.bands().len(), 1);
        assert_eq!(plan.kernel(1, ALIGNED).name(), "rep_movsb");
    }

    #[test]
    #[cfg(memcpy_select_asm)]
    fn a_class_with_a_better_kernel_gets_it_and_so_do_those_like_it() {
        let points = [
            point(4096, ALIGNED, [100.0, 400.0, 200.0]),
            point(4096, MISALIGNED, [900.0, 400.0, 200.0]),
            point(8192, ALIGNED, [200.0, 800.0, 400.0]),
            point(8192, MISALIGNED, [1800.0, 800.0, 400.0]),
        ];
        let plan = choose(&candidates(), &points, &[], Terms::of_noise(1.02)).unwrap();
        assert_eq!(plan.kernel(4096, ALIGNED).name(), "rep_movsb");
        assert_eq!(plan.kernel(4096, MISALIGNED).name(), "sse2_aligned");
        assert_eq!(plan.kernel(4096, Class::new(Alignment::Equal, Aliasing::SrcAfterDst)).name(), "sse2_aligned");
        assert_eq!(plan.kernel(4096, Class::new(Alignment::DstAligned, Aliasing::DstAfterSrc)).name(), "rep_movsb");
    }

    #[test]
    #[cfg(memcpy_select_asm)]
    fn there_are_never_more_bands_than_a_plan_may_have() {
        let points: Vec<Point> = (7..31)
            .map(|power| {
                let copy_ns = if power % 2 == 0 { [1e3, 9e3, 9e3] } else { [9e3, 1e3, 9e3] };
                point(1 << power, ALIGNED, copy_ns)
            })
            .collect();
        let plan = choose(&candidates(), &points, &[], Terms::of_noise(1.02)).unwrap();
        assert_eq!(plan.bands().len(), MAX_BANDS);
    }
}
