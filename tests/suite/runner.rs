//! The one runner: every routine through every case, on two threads, with a count of what was checked.

use super::arena::{Arena, region_bytes};
use super::cases::{self, Case, Effort};
use super::fault;
use super::pattern::{Pattern, Polarity};
use super::routine::Routine;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// Checks must not slow down whoever else uses the machine, nor each other's caches.
const THREADS: usize = 2;
/// Lengths are dealt to the threads in this many heaps.
const HEAPS: usize = 16;

/// Gives each job to one of the threads, each of which keeps a state of its own.
pub fn in_parallel<S, J: Sync>(jobs: &[J], state: impl Fn() -> S + Sync, work: impl Fn(&mut S, &J) + Sync) {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut state = state();
        while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(&mut state, job);
        }
    };
    thread::scope(|scope| {
        for thread in (0..THREADS).map(|_| scope.spawn(worker)).collect::<Vec<_>>() {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// Checks every length up to [`cases::EVERY_LENGTH_UP_TO`] and prints the counts under `title`.
pub fn every_length(title: &str, routines: &[&dyn Routine], effort: Effort) {
    let largest = region_bytes(cases::EVERY_LENGTH_UP_TO);
    let patterns = [0, 1].map(|number| Arc::new(Pattern::new(largest, Polarity::alternating(number))));
    let lengths: Vec<usize> = (0..=cases::EVERY_LENGTH_UP_TO).collect();
    run(title, routines, &lengths, &patterns, |len| cases::of_length(len, effort));
}

/// Checks the lengths around every boundary and every one of `thresholds`, and prints the counts under `title`.
pub fn boundaries(title: &str, routines: &[&dyn Routine], thresholds: &[usize], effort: Effort) {
    of_lengths(title, routines, cases::boundaries(thresholds, effort), effort);
}

/// Checks the lengths around every one of `thresholds` and prints the counts under `title`.
pub fn around(title: &str, routines: &[&dyn Routine], thresholds: &[usize], effort: Effort) {
    of_lengths(title, routines, cases::around(thresholds, effort), effort);
}

fn of_lengths(title: &str, routines: &[&dyn Routine], lengths: Vec<usize>, effort: Effort) {
    /// Above, regions are so large that one pattern has to do.
    const MEDIUM: usize = (1 << 20) + 1;
    let (medium, large): (Vec<usize>, Vec<usize>) = lengths.into_iter().partition(|len| *len <= MEDIUM);
    if let Some(largest) = medium.last() {
        let patterns =
            [0, 1].map(|number| Arc::new(Pattern::new(region_bytes(*largest), Polarity::alternating(number))));
        let title = format!("{title}, around boundaries");
        run(&title, routines, &medium, &patterns, |len| cases::at_boundary(len, effort));
    }
    if let Some(largest) = large.last() {
        let pattern = Arc::new(Pattern::new(region_bytes(*largest), Polarity::PayloadLow));
        let title = format!("{title}, around boundaries above 1 MiB");
        run(&title, routines, &large, &[pattern], |len| cases::at_boundary(len, effort));
    }
}

/// Runs all cases of all lengths through every routine; panics at the first failure.
fn run(
    title: &str,
    routines: &[&dyn Routine],
    lengths: &[usize],
    patterns: &[Arc<Pattern>],
    cases_of: impl Fn(usize) -> Vec<Case> + Sync,
) {
    fault::report();
    let started = Instant::now();
    let counts: Vec<AtomicU64> = routines.iter().map(|_| AtomicU64::new(0)).collect();
    // Heaps of large lengths would differ too much to be worth dealing.
    let heaps = if patterns.len() > 1 { HEAPS } else { 1 };
    let jobs: Vec<(usize, usize)> =
        (0..routines.len()).flat_map(|row| (0..heaps).map(move |heap| (row, heap))).collect();
    let arenas = || patterns.iter().map(|pattern| Arena::new(Arc::clone(pattern))).collect::<Vec<_>>();
    in_parallel(&jobs, arenas, |arenas, &(row, heap)| {
        let arena = &mut arenas[heap % patterns.len()];
        let before = arena.cases();
        for len in lengths.iter().copied().skip(heap).step_by(heaps) {
            let result = cases_of(len)
                .into_iter()
                .try_for_each(|case| arena.check(routines[row], case).map_err(|failure| format!("{case}: {failure}")));
            let result = result.and_then(|()| arena.check_paint_if_small().map_err(|failure| failure.to_string()));
            if let Err(message) = result {
                panic!("{}, {len} bytes: {message}", routines[row].name());
            }
        }
        if let Err(failure) = arena.check_paint() {
            panic!("{}, somewhere in its heap of lengths: {failure}", routines[row].name());
        }
        counts[row].fetch_add(arena.cases() - before, Ordering::Relaxed);
    });
    println!("{title}: {} lengths, {:.1} s", lengths.len(), started.elapsed().as_secs_f64());
    for (routine, count) in routines.iter().zip(&counts) {
        println!("  {:<24} {:>9} cases", routine.name(), count.load(Ordering::Relaxed));
    }
}
