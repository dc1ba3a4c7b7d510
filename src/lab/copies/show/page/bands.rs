//! The fewest bands of lengths with one name each that is good at all of them.

#![forbid(unsafe_code)]

use crate::lab::copies::contender::{LIBC, MEMCPY_AUTO};
use crate::lab::copies::show::page::speed;
use crate::lab::copies::summary::CellSummary;
use crate::lab::show::page::ranges::cover;
use crate::select::INLINE_MAX_BYTES;

/// Neighbouring lengths with one name for all of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Band<'a> {
    /// The first length, in bytes.
    pub from_bytes: usize,
    /// The last.
    pub to_bytes: usize,
    /// What to use.
    pub name: &'a str,
    /// How many times as fast as libc it is: at its worst and at its best length, if libc was measured.
    pub gain: Option<(f64, f64)>,
}

/// The bands over these cells, which are of rising lengths.
///
/// At each length the [advice](CellSummary::advice) and what ties with it are good, so no band names what is slower than
/// libc or than `memcpy_auto` there. Lengths that `memcpy_auto` copies inlined have a band of their own.
pub(crate) fn bands<'a>(cells: &[&'a CellSummary], noise_floor: f64) -> Vec<Band<'a>> {
    let good = |cell: &&'a CellSummary| {
        let advice = cell.advice(noise_floor)?;
        let is_inlined = advice.name == MEMCPY_AUTO && cell.cell.len_bytes <= INLINE_MAX_BYTES;
        let ties = if is_inlined { Vec::new() } else { advice.ties };
        Some((cell.cell.len_bytes, std::iter::once(advice.name).chain(ties).collect()))
    };
    let band = |(from_bytes, to_bytes, name): (usize, usize, &'a str)| {
        let inside = || cells.iter().filter(|cell| (from_bytes..=to_bytes).contains(&cell.cell.len_bytes));
        let gains = || inside().filter_map(|cell| speed(cell, name, LIBC));
        Band { from_bytes, to_bytes, name, gain: gains().reduce(f64::min).zip(gains().reduce(f64::max)) }
    };
    cover(cells.iter().filter_map(good)).into_iter().map(band).collect()
}

#[cfg(all(test, memcpy_select_asm))]
mod tests {
    use super::*;
    use crate::lab::copies::cell::Cell;
    use crate::lab::copies::summary::Summary;
    use crate::lab::copies::sweep::Sample;
    use std::borrow::Cow;

    /// What is said of these times of `gpr`, `sse2_aligned`, `libc` and `memcpy_auto`, at multiples of a length.
    fn names(unit_bytes: usize, times: &[[u64; 4]]) -> Vec<(usize, usize, String)> {
        let of_size = |(at, times): (usize, &[u64; 4])| {
            ["gpr", "sse2_aligned", LIBC, MEMCPY_AUTO].into_iter().zip(*times).map(move |(name, total_ns)| Sample {
                cell: Cell::hot((at + 1) * unit_bytes, 0, 0),
                contender: Cow::Borrowed(name),
                round: 0,
                iterations: 1,
                total_ns,
            })
        };
        let summary = Summary::of(&times.iter().enumerate().flat_map(of_size).collect::<Vec<_>>());
        let cells: Vec<&CellSummary> = summary.cells.iter().collect();
        let shown = |band: Band<'_>| (band.from_bytes / unit_bytes, band.to_bytes / unit_bytes, band.name.to_owned());
        bands(&cells, 1.05).into_iter().map(shown).collect()
    }

    fn expected(bands: &[(usize, usize, &str)]) -> Vec<(usize, usize, String)> {
        bands.iter().map(|(from, to, name)| (*from, *to, (*name).to_owned())).collect()
    }

    #[test]
    fn bands_change_where_the_advice_does() {
        let times = [[100, 200, 300, 400], [100, 200, 300, 400], [200, 100, 300, 400], [300, 200, 100, 400]];
        assert_eq!(names(1024, &times), expected(&[(1, 2, "gpr"), (3, 3, "sse2_aligned"), (4, 4, LIBC)]));
        assert!(bands(&[], 1.05).is_empty());
    }

    #[test]
    fn what_is_good_at_every_length_makes_one_band() {
        // The simplest at the first length is not good at the second; another one is good at both.
        let times = [[100, 102, 300, 400], [200, 100, 300, 400], [104, 100, 300, 400]];
        assert_eq!(names(1024, &times), expected(&[(1, 3, "sse2_aligned")]));
    }

    #[test]
    fn no_band_hides_a_length_at_which_libc_or_memcpy_auto_wins() {
        let times = [[100, 200, 300, 400], [110, 200, 100, 400], [100, 200, 300, 400], [100, 200, 300, 50]];
        assert_eq!(names(1024, &times), expected(&[(1, 1, "gpr"), (2, 2, LIBC), (3, 3, "gpr"), (4, 4, MEMCPY_AUTO)]));
    }

    #[test]
    fn inlined_lengths_have_a_band_of_their_own() {
        let times = [[100, 200, 300, 100], [100, 200, 300, 100], [100, 200, 300, 100]];
        assert_eq!(names(32, &times), expected(&[(1, 2, MEMCPY_AUTO), (3, 3, "gpr")]));
    }
}
