//! Figures with their intervals, from counts of all calls and timings of a few. Pure.
//!
//! Every call is counted by its length; some, chosen at random, are timed, by one of two routines, chosen at random. So the
//! time of all calls of a length is estimated by their number times the mean of the timed ones, and what one routine saves over
//! the other by their number times the difference of two means. Means of independent samples: variances add up. The
//! samples of one turn are not independent: what lifts one lifts all.

#![forbid(unsafe_code)]

use crate::recording::TURN_SAMPLES;

/// How many standard errors from an estimate the ends of its 95% interval are.
const ENDS: f64 = 1.96;
/// A mean of fewer timings has no error that can be told.
const LEAST_TIMINGS: u64 = 8;

/// Timings by one routine, in ticks of the time-stamp counter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// How many there are.
    pub count: u64,
    /// Their sum.
    pub ticks: f64,
    /// The sum of their squares.
    pub squares: f64,
}

impl Timings {
    /// Each of them less what timing nothing takes.
    #[must_use]
    pub fn without(self, empty_ticks: f64) -> Self {
        let count = self.count as f64;
        Self {
            count: self.count,
            ticks: self.ticks - count * empty_ticks,
            squares: self.squares - 2.0 * empty_ticks * self.ticks + count * empty_ticks * empty_ticks,
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { count: self.count + other.count, ticks: self.ticks + other.ticks, squares: self.squares + other.squares }
    }

    /// Their mean with its error, if there are enough of them.
    pub fn mean(self) -> Option<Estimate> {
        let count = self.count as f64;
        let mean = self.ticks / count;
        // Of unbiased variance; sums of like values may leave less than nothing.
        let variance = ((self.squares - count * mean * mean) / (count - 1.0)).max(0.0);
        // As if each turn had been timed once.
        let turns = count / f64::from(TURN_SAMPLES);
        (self.count >= LEAST_TIMINGS).then(|| Estimate { value: mean, variance: variance / turns })
    }
}

/// A value and how sure it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// The square of its standard error.
    pub variance: f64,
}

impl Estimate {
    /// So many times as much.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { value: self.value * factor, variance: self.variance * factor * factor }
    }

    /// The sum of this one and another, independent one.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { value: self.value + other.value, variance: self.variance + other.variance }
    }

    /// Between these it lies with a probability of 95%.
    pub fn interval(self) -> (f64, f64) {
        let reach = ENDS * self.variance.sqrt();
        (self.value - reach, self.value + reach)
    }

    /// Whether it differs from 0 by more than chance.
    pub fn is_sure(self) -> bool {
        let (low, high) = self.interval();
        low > 0.0 || high < 0.0
    }
}

/// The calls of a range of lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// The middle of the range, in bytes.
    pub len_bytes: f64,
    /// How many calls there were.
    pub calls: u64,
    /// Those timed with the installed libc's routine.
    pub libc: Timings,
    /// Those timed with the plan's kernels.
    pub plan: Timings,
}

/// What all calls take, and what the plan's kernels save over libc's routine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs {
    /// Ticks of all calls, by libc's routine; nothing where too few were timed.
    pub libc: Option<Estimate>,
    /// The same by the plan's kernels.
    pub plan: Option<Estimate>,
    /// Ticks that the plan saves over libc at the lengths at which both were timed; below 0 where it costs more.
    pub saved: Estimate,
    /// The ticks of all calls at these lengths, by libc's routine: the saving is known for so much.
    pub covered: f64,
}

impl Costs {
    /// Of both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let sum = |a: Option<Estimate>, b: Option<Estimate>| match (a, b) {
            (Some(a), Some(b)) => Some(a.plus(b)),
            (a, b) => a.or(b),
        };
        Self {
            libc: sum(self.libc, other.libc),
            plan: sum(self.plan, other.plan),
            saved: self.saved.plus(other.saved),
            covered: self.covered + other.covered,
        }
    }

    /// What all calls take as the program makes them: by libc's routine, if that was timed.
    pub fn all(&self) -> Option<Estimate> {
        self.libc.or(self.plan)
    }

    /// The share of the time of all calls for which the saving is known; nothing where one routine alone was timed.
    pub fn covered_share(&self) -> Option<f64> {
        let libc = self.libc.filter(|_| self.plan.is_some())?;
        Some(if libc.value > 0.0 { (self.covered / libc.value).clamp(0.0, 1.0) } else { 0.0 })
    }
}

/// The same calls in fewer bins, in their order: neighbours together until both routines were timed often enough, and what is left
/// with those before it. Which calls are timed does not depend on their length, so that the mean of several lengths together is
/// as right as that of each.
pub fn together(bins: &[Bin]) -> Vec<Bin> {
    let is_enough = |bin: &Bin| bin.libc.count >= LEAST_TIMINGS && bin.plan.count >= LEAST_TIMINGS;
    let mut joined: Vec<Bin> = Vec::new();
    for bin in bins {
        match joined.last_mut() {
            Some(last) if !is_enough(last) => *last = last.and(bin),
            _ => joined.push(*bin),
        }
    }
    if let [.., before, last] = &mut joined[..]
        && !is_enough(last)
    {
        *before = before.and(last);
        joined.pop();
    }
    joined
}

impl Bin {
    fn and(&self, other: &Self) -> Self {
        let calls = self.calls.saturating_add(other.calls);
        let bytes = self.len_bytes * self.calls as f64 + other.len_bytes * other.calls as f64;
        let len_bytes = if calls > 0 { bytes / calls as f64 } else { self.len_bytes };
        Self { len_bytes, calls, libc: self.libc.and(other.libc), plan: self.plan.and(other.plan) }
    }
}

/// The costs of these calls, in ascending order of length.
pub fn costs(bins: &[Bin]) -> Costs {
    let [libc, plan] = [|bin: &Bin| bin.libc, |bin: &Bin| bin.plan].map(|arm| all(bins, arm));
    let (mut saved, mut covered) = (Estimate::default(), 0.0);
    for bin in bins {
        let calls = bin.calls as f64;
        if let (Some(libc), Some(plan)) = (bin.libc.mean(), bin.plan.mean()) {
            saved = saved.plus(libc.plus(plan.times(-1.0)).times(calls));
            covered += calls * libc.value;
        }
    }
    Costs { libc, plan, saved, covered }
}

/// The time of all calls by one routine. Where too few were timed at a length, it is taken from the lengths beside it, and is as
/// unsure as it is large.
fn all(bins: &[Bin], arm: impl Fn(&Bin) -> Timings) -> Option<Estimate> {
    let known: Vec<(f64, Estimate)> = bins.iter().filter_map(|bin| Some((bin.len_bytes, arm(bin).mean()?))).collect();
    let mut sum = Estimate::default();
    for bin in bins.iter().filter(|bin| bin.calls > 0) {
        let mean = match arm(bin).mean() {
            Some(mean) => mean,
            None => {
                let value = between(&known, bin.len_bytes)?;
                Estimate { value, variance: value * value }
            }
        };
        sum = sum.plus(mean.times(bin.calls as f64));
    }
    (!known.is_empty()).then_some(sum)
}

/// A mean at a length from those of others: on the line between its neighbours; beyond the longest, by the length.
fn between(known: &[(f64, Estimate)], len_bytes: f64) -> Option<f64> {
    let above = known.partition_point(|(len, _)| *len < len_bytes);
    Some(match (above.checked_sub(1).map(|below| known[below]), known.get(above)) {
        (Some((from, low)), Some((to, high))) => {
            low.value + (high.value - low.value) * (len_bytes - from) / (to - from).max(1.0)
        }
        (Some((from, low)), None) => low.value * (len_bytes / from.max(1.0)).max(1.0),
        (None, Some((_, high))) => high.value,
        (None, None) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Timings of these ticks each.
    fn timed(ticks: &[f64]) -> Timings {
        let squares = ticks.iter().map(|one| one * one).sum();
        Timings { count: ticks.len() as u64, ticks: ticks.iter().sum(), squares }
    }

    fn alternating(low: f64, high: f64, pairs: usize) -> Timings {
        timed(&[low, high].repeat(pairs))
    }

    #[test]
    fn a_mean_and_its_error_are_those_of_the_books() {
        let mean = alternating(90.0, 110.0, 50).mean().unwrap();
        assert_eq!(mean.value, 100.0);
        // 100 values of variance 100 · 100 / 99, in turns of eight that are of one moment each.
        assert!((mean.variance - 8.0 / 0.99).abs() < 1e-9, "{mean:?}");
        let (low, high) = mean.interval();
        assert!((high - low - 2.0 * 1.96 * (8.0_f64 / 0.99).sqrt()).abs() < 1e-9);
        assert_eq!(timed(&[5.0; 7]).mean(), None, "seven are too few");
        let without = alternating(90.0, 110.0, 50).without(30.0).mean().unwrap();
        assert!((without.value - 70.0).abs() < 1e-9 && (without.variance - mean.variance).abs() < 1e-9);
        let halves = alternating(90.0, 110.0, 25);
        assert_eq!(halves.and(halves).mean(), Some(mean));
        assert!(mean.is_sure() && !Estimate { value: 1.0, variance: 1.0 }.is_sure());
    }

    #[test]
    fn costs_add_up_over_lengths() {
        let bin = |len_bytes, calls, libc, plan| Bin { len_bytes, calls, libc, plan };
        let bins = [
            bin(16.0, 1_000_000, alternating(9.0, 11.0, 50), alternating(9.0, 11.0, 50)),
            bin(4096.0, 10_000, alternating(190.0, 210.0, 50), alternating(90.0, 110.0, 50)),
        ];
        let costs = costs(&bins);
        let [libc, plan] = [costs.libc, costs.plan].map(|all| all.unwrap().value);
        assert!((libc - 12e6).abs() < 1e-3 && (plan - 11e6).abs() < 1e-3);
        assert!((costs.saved.value - 1e6).abs() < 1e-3 && costs.saved.is_sure() && costs.covered_share() == Some(1.0));
        // 10⁶ · √(2 · 1 / 99) and 10⁴ · √(2 · 100 / 99) ticks, eight times as often.
        let error = (8.0 * (1e12_f64 * 2.0 / 99.0 + 1e8 * 200.0 / 99.0)).sqrt();
        assert!((costs.saved.variance.sqrt() - error).abs() < 1.0);
        let same = [bins[0]];
        assert!(!super::costs(&same).saved.is_sure(), "equal means save nothing");
        assert_eq!(costs.and(Costs::default()), costs);
        let one = [Bin { plan: Timings::default(), ..bins[0] }];
        let one = super::costs(&one);
        assert_eq!((one.all().unwrap().value, one.covered_share(), one.saved.value), (1e7, None, 0.0));
    }

    #[test]
    fn neighbours_are_joined_until_they_were_timed_often_enough() {
        let bin = |len_bytes, calls, timings| Bin { len_bytes, calls, libc: timings, plan: timings };
        let (few, enough) = (timed(&[10.0; 5]), timed(&[10.0; 9]));
        let bins = [bin(64.0, 1, few), bin(72.0, 3, few), bin(80.0, 5, enough), bin(88.0, 7, Timings::default())];
        let joined = together(&bins);
        let lengths: Vec<(f64, u64, u64)> =
            joined.iter().map(|bin| (bin.len_bytes, bin.calls, bin.libc.count)).collect();
        assert_eq!(lengths, [(70.0, 4, 10), ((80.0 * 5.0 + 88.0 * 7.0) / 12.0, 12, 9)]);
        assert_eq!(together(&bins[..1]), bins[..1]);
        assert_eq!(together(&[]), []);
    }

    #[test]
    fn lengths_that_were_not_timed_are_guessed_and_make_it_unsure() {
        let timings = alternating(99.0, 101.0, 50);
        let bin = |len_bytes, timings| Bin { len_bytes, calls: 10, libc: timings, plan: timings };
        let none = Timings::default();
        let bins = [bin(0.0, none), bin(100.0, timings), bin(150.0, none), bin(200.0, timings), bin(2000.0, none)];
        let costs = costs(&bins);
        let libc = costs.libc.unwrap();
        assert!((libc.value - 10.0 * (100.0 + 100.0 + 100.0 + 100.0 + 1000.0)).abs() < 1e-6, "{costs:?}");
        assert!(libc.variance >= 1e8, "a thousand ticks, ten times, and none of it timed");
        assert!((costs.covered_share().unwrap() - 2.0 / 14.0).abs() < 1e-9);
        assert_eq!(super::costs(&[bin(8.0, none)]), Costs::default());
        assert_eq!(super::costs(&[]), Costs::default());
    }
}
