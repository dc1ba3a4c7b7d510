//! Medians, ratios and the noise floor. Pure: everything is derived from raw samples, now or years later.

#![forbid(unsafe_code)]

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
    fn ties_are_symmetric_around_one() {
        let floor = noise_floor(&[1.02, 1.0 / 1.02, 1.0]).unwrap();
        assert!((floor - 1.02).abs() < 1e-9);
        assert!(is_tie(1.019, floor) && is_tie(1.0 / 1.019, floor));
        assert!(!is_tie(1.03, floor) && !is_tie(0.97, floor));
        assert_eq!(noise_floor(&[]), None);
    }
}
