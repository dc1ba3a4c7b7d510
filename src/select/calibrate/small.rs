//! Which way to copy small lengths: timed in the four situations that tell the ways apart.

use super::super::dispatch::memcpy_auto_as;
use super::super::inline::{INLINE_MAX_BYTES, Small};
use super::super::ways::nothing_of;
use super::race::median;
use std::hint::black_box;
use std::time::Instant;
use std::vec::Vec;

/// Copies in one timing.
const CALLS: usize = 256;
/// How often each is timed.
const ROUNDS: usize = 9;
/// What the other way must gain in the mean of the four situations, and may lose in one of them, as ratios of times: what a
/// program does is not known, so that a way which is bad in one of them is not taken.
const LEAST_GAIN: f64 = 1.03;
const MOST_LOSS: f64 = 1.03;

/// The way to take, given the one before.
pub(super) fn scheme(before: Small) -> Small {
    let others = [Small::Pieces, Small::Masked].into_iter().filter(|small| *small != before);
    let can_run = |small: &Small| crate::cpu::features().contains(small.needs());
    others.filter(can_run).find(|other| is_better(&ratios(*other, before))).unwrap_or(before)
}

fn is_better(ratios: &[f64]) -> bool {
    let mean = ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len().max(1) as f64;
    mean.exp() * LEAST_GAIN <= 1.0 && ratios.iter().all(|ratio| *ratio <= MOST_LOSS)
}

/// Time of one way over that of another: one length or random ones, the copy read at once or not.
fn ratios(other: Small, before: Small) -> Vec<f64> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let random: Vec<usize> = (0..CALLS)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % INLINE_MAX_BYTES + 1
        })
        .collect();
    let same = std::vec![24; CALLS];
    let situations = [(&same, false), (&same, true), (&random, false), (&random, true)];
    let of = |(lengths, is_read): (&Vec<usize>, bool)| {
        let ratio = |_| time_ns(other, lengths, is_read) / time_ns(before, lengths, is_read);
        time_ns(other, lengths, is_read);
        median((0..ROUNDS).map(ratio).collect()).unwrap_or(1.0)
    };
    situations.into_iter().map(of).collect()
}

fn time_ns(small: Small, lengths: &[usize], is_read: bool) -> f64 {
    match small {
        Small::Pieces => time_as(lengths, is_read, Small::Pieces),
        Small::Masked => time_as(lengths, is_read, Small::Masked),
    }
}

/// Each way is inlined into a loop of its own, as into a program.
#[inline(always)]
fn time_as(lengths: &[usize], is_read: bool, small: Small) -> f64 {
    let (mut dst, src) = ([0_u8; INLINE_MAX_BYTES + 1], [1_u8; INLINE_MAX_BYTES + 1]);
    let mut shift = 0;
    let start = Instant::now();
    for len in lengths {
        let (to, from) = (black_box(dst.as_mut_ptr()), black_box(src.as_ptr()).wrapping_add(shift));
        // SAFETY: both have room for the longest length and the shift, which is always 0, and the CPU has what the way needs.
        unsafe { memcpy_auto_as(to, from, *len, small) };
        if is_read {
            // SAFETY: the byte was just written.
            shift = nothing_of(unsafe { to.wrapping_add(len - 1).read_volatile() });
        }
    }
    let passed = start.elapsed().as_nanos().max(1) as f64;
    black_box(&dst);
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_is_bad_in_one_situation_is_not_taken() {
        assert!(is_better(&[0.5, 1.0, 0.9, 1.02]));
        assert!(!is_better(&[0.3, 0.3, 0.3, 1.04]));
        assert!(!is_better(&[0.98, 0.98, 1.0, 1.0]));
    }

    #[test]
    fn what_cannot_run_here_is_not_tried() {
        let found = scheme(Small::Pieces);
        assert!(crate::cpu::features().contains(found.needs()));
    }
}
