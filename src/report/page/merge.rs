//! A few bands in the place of many: what to say where neighbouring sizes have different winners.

#![forbid(unsafe_code)]

use crate::measure::statistics::is_tie;
use crate::measure::summary::CellSummary;
use std::collections::BTreeSet;

/// Neighbouring sizes with one kernel for all of them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Band<'a> {
    /// The first size, in bytes.
    pub from_bytes: usize,
    /// The last.
    pub to_bytes: usize,
    /// The kernel.
    pub name: &'a str,
}

/// At most `most` bands over these cells, which are of rising lengths, that lose least to the fastest kernel of each cell:
/// the sum of the logarithms of the ratios of times, of which those within the noise floor count for nothing. Fewer where
/// more gain nothing.
pub(super) fn merged<'a>(cells: &[&'a CellSummary], noise_floor: f64, most: usize) -> Vec<Band<'a>> {
    let cells: Vec<&CellSummary> = cells.iter().copied().filter(|cell| cell.fastest().is_some()).collect();
    // A kernel that is missing somewhere is no candidate; the table has them simplest first.
    let known: Vec<BTreeSet<&str>> = cells.iter().map(|cell| cell.kernels().collect()).collect();
    let first = cells.first().map(|cell| cell.kernels().collect::<Vec<_>>()).unwrap_or_default();
    let candidates: Vec<&'static str> =
        first.into_iter().filter(|name| known.iter().all(|names| names.contains(name))).collect();
    if cells.is_empty() || candidates.is_empty() {
        return Vec::new();
    }
    let ratio = |cell: &CellSummary, name: &str| {
        let ratio = cell.fastest().and_then(|fastest| cell.time_ratio(name, fastest));
        ratio.filter(|ratio| ratio.is_finite()).map_or(f64::MAX, |ratio| ratio.max(1.0))
    };
    let loss = |ratio: f64| if is_tie(ratio, noise_floor) { 0.0 } else { ratio.ln() };
    // For each candidate, what it loses in all cells before one.
    let sums: Vec<Vec<f64>> = candidates
        .iter()
        .map(|name| {
            let losses = cells.iter().scan(0.0, |sum, cell| {
                *sum += loss(ratio(cell, name));
                Some(*sum)
            });
            [0.0].into_iter().chain(losses).collect()
        })
        .collect();
    let one = |from: usize, to: usize| {
        let losses = sums.iter().map(|sum| sum[to] - sum[from]).enumerate();
        losses.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or((0, f64::MAX))
    };
    // For each number of bands, the least loss up to each cell, and where the last band begins.
    let mut best: Vec<Vec<(f64, usize)>> = vec![(0..=cells.len()).map(|to| (one(0, to).1, 0)).collect()];
    for _ in 1..most.max(1) {
        let before = &best[best.len() - 1];
        let step = |to: usize| {
            let begins = (0..to).map(|from| (before[from].0 + one(from, to).1, from));
            begins.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 0))
        };
        let next = (0..=cells.len()).map(step).collect();
        best.push(next);
    }
    let least = best.iter().map(|losses| losses[cells.len()].0).fold(f64::MAX, f64::min);
    let count = best.iter().position(|losses| losses[cells.len()].0 <= least + GAINS_NOTHING).unwrap_or(0);
    let mut bands = Vec::new();
    let mut to = cells.len();
    for losses in best[..=count].iter().rev() {
        let from = losses[to].1;
        if from < to {
            let name = candidates[one(from, to).0];
            let (from_bytes, to_bytes) = (cells[from].cell.len_bytes, cells[to - 1].cell.len_bytes);
            bands.push(Band { from_bytes, to_bytes, name });
        }
        to = from;
    }
    bands.reverse();
    // A kernel that serves both sides of a border has one band.
    bands.dedup_by(|next, band| {
        let is_same = next.name == band.name;
        if is_same {
            band.to_bytes = next.to_bytes;
        }
        is_same
    });
    bands
}

/// A gain in the sum of logarithms that is no reason for another band.
const GAINS_NOTHING: f64 = 1e-9;

#[cfg(all(test, memcpy_select_asm))]
mod tests {
    use super::*;
    use crate::measure::cell::Cell;
    use crate::measure::summary::Summary;
    use crate::measure::sweep::Sample;
    use std::borrow::Cow;

    /// Times of `gpr`, `sse2_aligned` and `libc` at 1, 2, 3 … KiB.
    fn summary(times: &[[u64; 3]]) -> Summary {
        let of_size = |(at, times): (usize, &[u64; 3])| {
            ["gpr", "sse2_aligned", "libc"].into_iter().zip(*times).map(move |(name, total_ns)| Sample {
                cell: Cell::hot((at + 1) << 10, 0, 0),
                contender: Cow::Borrowed(name),
                round: 0,
                iterations: 1,
                total_ns,
            })
        };
        Summary::of(&times.iter().enumerate().flat_map(of_size).collect::<Vec<_>>())
    }

    fn names(times: &[[u64; 3]], most: usize) -> Vec<(usize, usize, String)> {
        let summary = summary(times);
        let cells: Vec<&CellSummary> = summary.cells.iter().collect();
        let bands = merged(&cells, 1.05, most);
        bands.into_iter().map(|band| (band.from_bytes >> 10, band.to_bytes >> 10, band.name.to_owned())).collect()
    }

    #[test]
    fn bands_change_where_the_winner_does() {
        let times = [[100, 200, 300], [100, 200, 300], [200, 100, 300], [300, 200, 100]];
        let expected =
            [(1, 2, "gpr".to_owned()), (3, 3, "sse2_aligned".to_owned()), (4, 4, "libc".to_owned())].to_vec();
        assert_eq!(names(&times, 4), expected);
        assert_eq!(names(&times, 3), expected);
    }

    #[test]
    fn with_fewer_bands_the_least_is_lost() {
        // gpr loses a tenth in the middle, sse2_aligned as much again at either end.
        let times = [[100, 200, 900], [110, 100, 900], [100, 200, 900], [900, 900, 100]];
        assert_eq!(names(&times, 2), [(1, 3, "gpr".to_owned()), (4, 4, "libc".to_owned())]);
    }

    #[test]
    fn what_ties_makes_no_band() {
        let times = [[100, 104, 200], [104, 100, 200], [100, 104, 200]];
        assert_eq!(names(&times, 4), [(1, 3, "gpr".to_owned())]);
        assert!(merged(&[], 1.05, 4).is_empty());
    }
}
