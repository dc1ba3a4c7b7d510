//! Medians, ratios and the noise floor. Pure: everything is derived from raw samples, now or years later.

#![forbid(unsafe_code)]

use crate::lab::instruments::random::SplitMix64;

/// The median; of an even count, the mean of the middle two. Nothing for no values.
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The value below which `share` (0 to 1) of the values lie, linearly between neighbours. Nothing for no values.
///
/// Source: Hyndman and Fan, "Sample Quantiles in Statistical Packages" (1996), definition 7.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let position = share.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (position - below as f64))
}

/// The geometric mean of positive values. Nothing for no values.
pub fn geometric_mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.into_iter().fold((0.0, 0_u32), |(sum, count), value| (sum + value.ln(), count + 1));
    (count > 0).then(|| (sum / f64::from(count)).exp())
}

/// The median over rounds of `a / b`: both were timed in each round, so that what slows a whole round cancels out.
pub fn paired_ratio(a: &[f64], b: &[f64]) -> Option<f64> {
    let ratios: Vec<f64> = a.iter().zip(b).map(|(a, b)| a / b).collect();
    median(&ratios)
}

/// How far two runs of one and the same routine differ: a ratio above 1, the 95th percentile over the cells.
/// Differences smaller than that say nothing.
pub fn noise_floor(same_against_same: &[f64]) -> Option<f64> {
    let spread: Vec<f64> = same_against_same.iter().map(|ratio| ratio.ln().abs()).collect();
    Some(quantile(&spread, 0.95)?.exp())
}

/// A median and how sure it is, by resampling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The median of the values.
    pub median: f64,
    /// Between these lie the medians of 95% of the resamples.
    pub interval: (f64, f64),
    /// Their standard deviation.
    pub error: f64,
}

/// The median with its interval, from `resamples` bootstrap samples, seeded. Nothing for no values.
///
/// Source: Efron, "Bootstrap Methods: Another Look at the Jackknife" (1979).
pub fn bootstrap_median(values: &[f64], resamples: usize) -> Option<Estimate> {
    let center = median(values)?;
    let mut random = SplitMix64(0xb007);
    let mut medians: Vec<f64> = (0..resamples.max(2))
        .map(|_| {
            let mut drawn: Vec<f64> =
                (0..values.len()).map(|_| values[random.below(values.len() as u64) as usize]).collect();
            let middle = drawn.len() / 2;
            *drawn.select_nth_unstable_by(middle, f64::total_cmp).1
        })
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    let mean = medians.iter().sum::<f64>() / medians.len() as f64;
    let variance = medians.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (medians.len() - 1) as f64;
    let interval = (quantile(&medians, 0.025)?, quantile(&medians, 0.975)?);
    Some(Estimate { median: center, interval, error: variance.sqrt() })
}

/// Whether a ratio of two times is a tie under a noise floor.
pub fn is_tie(ratio: f64, noise_floor: f64) -> bool {
    ratio.ln().abs() <= noise_floor.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_quantiles() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(quantile(&[10.0, 20.0, 30.0, 40.0, 50.0], 0.25), Some(20.0));
        assert_eq!(quantile(&[10.0, 20.0], 0.95), Some(19.5));
        assert_eq!(quantile(&[1.0, 2.0], 7.0), Some(2.0));
    }

    #[test]
    fn geometric_means() {
        assert_eq!(geometric_mean([]), None);
        let mean = geometric_mean([2.0, 8.0]).unwrap();
        assert!((mean - 4.0).abs() < 1e-12);
    }

    #[test]
    fn drift_that_both_share_cancels_out() {
        let (a, b) = ([2.0, 4.0, 20.0], [1.0, 2.0, 10.0]);
        assert_eq!(paired_ratio(&a, &b), Some(2.0));
    }

    #[test]
    fn the_bootstrap_knows_what_it_does_not_know() {
        let values: Vec<f64> = (0..1001).map(|at| f64::from(at % 101)).collect();
        let estimate = bootstrap_median(&values, 500).unwrap();
        assert_eq!(estimate.median, 50.0);
        assert!(estimate.interval.0 <= 50.0 && 50.0 <= estimate.interval.1, "{estimate:?}");
        // The median's standard error is about 1.25 σ / √n: 29 · 1.25 / 31.6.
        assert!((0.5..3.0).contains(&estimate.error), "{estimate:?}");
        let few = bootstrap_median(&values[..101], 500).unwrap();
        assert!(few.error > estimate.error);
        assert_eq!(bootstrap_median(&[7.0; 20], 100).unwrap().error, 0.0);
        assert_eq!(bootstrap_median(&[], 100), None);
    }

    #[test]
    fn ties_are_symmetric_around_one() {
        let floor = noise_floor(&[1.02, 1.0 / 1.02, 1.0]).unwrap();
        assert!((floor - 1.02).abs() < 1e-9);
        assert!(is_tie(1.019, floor) && is_tie(1.0 / 1.019, floor));
        assert!(!is_tie(1.03, floor) && !is_tie(0.97, floor));
        assert_eq!(noise_floor(&[]), None);
    }
}
