//! Promise: moves are right at every length and every distance of the two ranges, upwards and downwards, and touch nothing else:
//! the kernels that are there for overlaps, and the calls.

use crate::suite::cases::{EVERY_LENGTH_UP_TO, Effort};
use crate::suite::fault;
use crate::suite::guarded::Guarded;
use crate::suite::rng::Rng;
use crate::suite::routine::{kernels_here, print_skipped};
use crate::suite::runner::in_parallel;
use memcpy_select::kernel::Overlap;
use memcpy_select::{Kernel, memmove_auto, memmove_auto_nosimd, memmove_auto_unchecked};
use std::sync::atomic::{AtomicU64, Ordering};

/// What moves: a kernel in the direction it bears, a call, or a symbol.
enum Mover {
    Kernel(&'static Kernel),
    Slices,
    Unchecked,
    NoSimd,
    /// A symbol of programs without a C library.
    #[cfg(memcpy_select_symbols)]
    Symbol,
}

impl Mover {
    fn name(&self) -> &'static str {
        match self {
            Self::Kernel(kernel) => kernel.name(),
            Self::Slices => "memmove_auto",
            Self::Unchecked => "memmove_auto_unchecked",
            Self::NoSimd => "memmove_auto_nosimd",
            #[cfg(memcpy_select_symbols)]
            Self::Symbol => "memmove",
        }
    }

    /// Whether it bears a destination so far from the source.
    fn bears(&self, distance: isize) -> bool {
        match self {
            Self::Kernel(kernel) => match kernel.overlap() {
                Overlap::DstBelow => distance <= 0,
                Overlap::DstAbove => distance >= 0,
                // As `memmove` relies on for kernels without vector registers.
                Overlap::Never => (-200..=-64).contains(&distance),
            },
            _ => true,
        }
    }

    fn copy(&self, memory: &mut [u8], dst: usize, src: usize, len: usize) {
        assert!(src + len <= memory.len() && dst + len <= memory.len());
        if matches!(self, Self::Slices) {
            return memmove_auto(memory, src..src + len, dst);
        }
        let start = memory.as_mut_ptr();
        let (dst, src) = (start.wrapping_add(dst), start.wrapping_add(src).cast_const());
        match self {
            // SAFETY: both ranges were just checked; the kernel is available here and bears such ranges.
            Self::Kernel(kernel) => unsafe { kernel.copy(dst, src, len) },
            // SAFETY: both ranges were just checked.
            Self::Unchecked => unsafe { memmove_auto_unchecked(dst, src, len) },
            // SAFETY: as above.
            Self::NoSimd | Self::Slices => unsafe { memmove_auto_nosimd(dst, src, len) },
            #[cfg(memcpy_select_symbols)]
            Self::Symbol => {
                // SAFETY: as above.
                let returned = unsafe { memcpy_select::mem::memmove(dst, src, len) };
                assert_eq!(returned, dst, "it returns its destination");
            }
        }
    }
}

fn movers() -> Vec<Mover> {
    let (ready, lacking) = kernels_here();
    print_skipped(&lacking);
    let moves = |kernel: &&Kernel| kernel.overlap() != Overlap::Never || kernel.writes().is_empty();
    let kernels = ready.iter().map(|ready| ready.kernel()).filter(moves);
    let movers = kernels.map(Mover::Kernel).chain([Mover::Slices, Mover::Unchecked, Mover::NoSimd]);
    #[cfg(memcpy_select_symbols)]
    let movers = movers.chain([Mover::Symbol]);
    movers.collect()
}

/// Memory between guard pages, and what it holds before each move.
struct Memory {
    guarded: Guarded,
    before: Vec<u8>,
}

impl Memory {
    fn new(bytes: usize) -> Self {
        let mut guarded = Guarded::new(bytes);
        Rng::new(0x5eed_0005).fill(guarded.as_mut_slice());
        let before = guarded.as_slice().to_vec();
        Self { guarded, before }
    }

    /// One move: the two ranges together begin or end at a guard page, or `gap` bytes from it.
    fn check(&mut self, mover: &Mover, len: usize, distance: isize, is_low: bool, gap: usize) {
        let together = len + distance.unsigned_abs();
        let first = if is_low { gap } else { self.before.len() - together - gap };
        let (src, dst) =
            if distance < 0 { (first + distance.unsigned_abs(), first) } else { (first, first + distance as usize) };
        mover.copy(self.guarded.as_mut_slice(), dst, src, len);
        let (found, before) = (self.guarded.as_slice(), &self.before);
        let beyond = (first + together + 64).min(before.len());
        let is_right = found[dst..dst + len] == before[src..src + len]
            && found[first..dst] == before[first..dst]
            && found[dst + len..first + together] == before[dst + len..first + together]
            // What lies beside: no kernel stores further away in one instruction.
            && found[first.saturating_sub(64)..first] == before[first.saturating_sub(64)..first]
            && found[first + together..beyond] == before[first + together..beyond];
        assert!(is_right, "{}: {len} bytes from {src} to {dst} ({distance})", mover.name());
        self.guarded.as_mut_slice()[dst..dst + len].copy_from_slice(&before[dst..dst + len]);
    }
}

/// Runs all movers through these lengths, at the distances of each.
fn run(title: &str, lengths: &[usize], gaps: &[usize], distances: impl Fn(usize) -> Vec<isize> + Sync) {
    fault::report();
    let movers = movers();
    let counts: Vec<AtomicU64> = movers.iter().map(|_| AtomicU64::new(0)).collect();
    let largest = lengths.iter().max().expect("there are lengths");
    let jobs: Vec<(usize, usize)> = (0..movers.len()).flat_map(|mover| (0..8).map(move |heap| (mover, heap))).collect();
    in_parallel(
        &jobs,
        || Memory::new(2 * largest + 256),
        |memory, (number, heap)| {
            let mover = &movers[*number];
            for len in lengths.iter().skip(*heap).step_by(8) {
                for distance in distances(*len).into_iter().filter(|distance| mover.bears(*distance)) {
                    for (is_low, gap) in
                        [true, false].into_iter().flat_map(|is_low| gaps.iter().map(move |gap| (is_low, *gap)))
                    {
                        memory.check(mover, *len, distance, is_low, gap);
                        counts[*number].fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            assert!(memory.guarded.as_slice() == memory.before, "{} wrote far from its destination", mover.name());
        },
    );
    println!("{title}: {} lengths", lengths.len());
    for (mover, count) in movers.iter().zip(counts) {
        println!("  {:<24} {:>9} moves", mover.name(), count.into_inner());
    }
}

/// All distances at which ranges of a length overlap, and some at which they do not.
fn every_distance(len: usize) -> Vec<isize> {
    let len = len as isize;
    (-len - 2..=len + 2).collect()
}

#[test]
fn every_length_is_moved_by_every_distance() {
    let lengths: Vec<usize> = match Effort::chosen() {
        Effort::Sampled => (0..=300).chain((301..=EVERY_LENGTH_UP_TO).step_by(37)).collect(),
        Effort::Usual => (0..=300).chain((301..=EVERY_LENGTH_UP_TO).step_by(13)).collect(),
        Effort::Full | Effort::Exhaustive => (0..=EVERY_LENGTH_UP_TO).collect(),
    };
    run("every distance", &lengths, &[0], every_distance);
}

/// Across pages and beyond all that is done with both ends alone; at every alignment of the destination modulo 64.
#[test]
fn long_ranges_are_moved_across_pages() {
    let pages = [1, 2, 5].map(|pages| 4096 * pages);
    let lengths: Vec<usize> = pages.into_iter().flat_map(|bytes| [bytes - 1, bytes, bytes + 129]).collect();
    let gaps: Vec<usize> = (0..64).step_by(7).collect();
    run("pages", &lengths, &gaps, |len| {
        let near = [1, 2, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 1000, 4095, 4096, 4097];
        let all = near.into_iter().chain([len / 2, len - 1, len, len + 1]).map(|distance| distance as isize);
        all.flat_map(|distance| [distance, -distance]).chain([0]).collect()
    });
}
