//! Whether to look a while longer before going to sleep: decided by how often that has paid.
//!
//! A sleep and the wake from it cost as much as some tens of microseconds of looking. If the other side runs on another CPU
//! and answers sooner, looking wins; if it needs this very CPU, or is idle, looking is in vain. No program can know which it
//! is, so it is tried: a spin that paid is followed by the next, one that did not is paused, and the pause doubles each
//! time. Waits that were long anyway are no reason to try again, so that an idle side uses no CPU.

#![forbid(unsafe_code)]

use super::MAX_SLEEP;
use rustix::thread::sched_getaffinity;
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The longest spin: about what a sleep and a wake from another CPU cost together, and longer than a core fills or reads 1 MiB.
const MAX_SPIN: Duration = Duration::from_micros(100);
/// Turns between two clock reads.
const TURNS_PER_LOOK: u32 = 16;
/// How many fruitless spins are allowed after one that paid.
const MAX_CREDIT: u32 = 3;
/// The first pause, in short waits, and the longest: each is twice as long as the one before.
const MIN_PAUSE: u32 = 8;
const MAX_PAUSE: u32 = 2048;

/// What one waiting side has learned. Threads may share it: their figures only mix.
#[derive(Debug)]
pub struct Spin {
    /// Short waits left until the next try; 0 means to spin.
    pause: AtomicU32,
    /// Spins in vain since one paid.
    vain: AtomicU32,
}

impl Default for Spin {
    /// Nothing learned yet. A thread that is bound to one CPU sleeps first and tries later; others spin first.
    fn default() -> Self {
        let is_bound = sched_getaffinity(None).is_ok_and(|cpus| cpus.count() == 1);
        Self { pause: AtomicU32::new(if is_bound { MIN_PAUSE } else { 0 }), vain: AtomicU32::new(0) }
    }
}

impl Spin {
    /// One that never spins.
    pub const fn never() -> Self {
        Self { pause: AtomicU32::new(u32::MAX), vain: AtomicU32::new(0) }
    }

    /// Looks until something is found, for as long as that may pay and no longer than `limit`. Follow it with
    /// [`slept`](Self::slept) if nothing was found.
    #[inline]
    pub fn find<T>(&self, limit: Duration, mut find: impl FnMut() -> Option<T>) -> Option<T> {
        if self.pause.load(Ordering::Relaxed) > 0 || !has_other_cpus() {
            return None;
        }
        let (start, limit) = (Instant::now(), limit.min(MAX_SPIN));
        loop {
            for _ in 0..TURNS_PER_LOOK {
                if let Some(found) = find() {
                    self.paid();
                    return Some(found);
                }
                std::hint::spin_loop();
            }
            if start.elapsed() >= limit {
                self.was_in_vain();
                return None;
            }
        }
    }

    /// Looks, for as long as that may pay, and then sleeps again and again, until something is found or the limit is over.
    /// `sleep` sleeps no longer than it is told, and looks.
    pub(super) fn wait<T, E>(
        &self,
        limit: Duration,
        mut find: impl FnMut() -> Option<T>,
        mut sleep: impl FnMut(Duration) -> Result<Option<T>, E>,
    ) -> Result<Option<T>, E> {
        let found = find();
        if found.is_some() || limit.is_zero() {
            return Ok(found);
        }
        if let found @ Some(_) = self.find(limit, find) {
            return Ok(found);
        }
        let start = Instant::now();
        let mut left = limit;
        while !left.is_zero() {
            if let found @ Some(_) = sleep(left.min(MAX_SLEEP))? {
                self.slept(start.elapsed());
                return Ok(found);
            }
            left = limit.saturating_sub(start.elapsed());
        }
        Ok(None)
    }

    /// Learns from a wait that went to sleep: after enough short ones a spin is worth a try.
    pub fn slept(&self, waited: Duration) {
        let pause = self.pause.load(Ordering::Relaxed);
        if waited < 2 * MAX_SPIN && pause > 0 && pause < u32::MAX {
            self.pause.store(pause - 1, Ordering::Relaxed);
        }
    }

    fn paid(&self) {
        if self.vain.load(Ordering::Relaxed) > 0 {
            self.vain.store(0, Ordering::Relaxed);
        }
    }

    #[cold]
    fn was_in_vain(&self) {
        let vain = self.vain.load(Ordering::Relaxed);
        self.vain.store(vain.saturating_add(1), Ordering::Relaxed);
        if let Some(doublings) = vain.checked_sub(MAX_CREDIT) {
            self.pause.store(MIN_PAUSE << doublings.min((MAX_PAUSE / MIN_PAUSE).ilog2()), Ordering::Relaxed);
        }
    }
}

/// Whether the machine has a CPU on which the other side could run at the same time.
///
/// Found out once, or once by each of several threads, without a lock: a child that is forked meanwhile would wait for that for ever.
fn has_other_cpus() -> bool {
    /// 0 until it is known, then 1, or 2 for more than one.
    static CPUS: AtomicU32 = AtomicU32::new(0);
    let mut cpus = CPUS.load(Ordering::Relaxed);
    if cpus == 0 {
        let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
        cpus = if online.trim() == "0" { 1 } else { 2 };
        CPUS.store(cpus, Ordering::Relaxed);
    }
    cpus == 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const SHORT: Duration = Duration::from_micros(10);
    const LONG: Duration = Duration::from_secs(1);

    fn fresh() -> Spin {
        let spin = Spin::default();
        spin.pause.store(0, Ordering::Relaxed);
        spin
    }

    /// One wait in which looking finds something, or not.
    fn wait(spin: &Spin, pays: bool, waited: Duration) -> bool {
        let looked = Cell::new(false);
        let found = spin.find(Duration::from_nanos(1), || {
            looked.set(true);
            pays.then_some(())
        });
        if found.is_none() {
            spin.slept(waited);
        }
        looked.get()
    }

    #[test]
    fn what_pays_goes_on_and_what_does_not_is_tried_ever_more_seldom() {
        if !has_other_cpus() {
            println!("skipped: there is one CPU, where no thread ever spins");
            return;
        }
        let spin = fresh();
        assert!((0..1000).all(|_| wait(&spin, true, SHORT)));
        // In vain a few times, then less and less.
        assert!((0..=MAX_CREDIT).all(|_| wait(&spin, false, SHORT)));
        let spun = |waits: u32| (0..waits).filter(|_| wait(&spin, false, SHORT)).count();
        assert!((1..=3).contains(&spun(4 * MIN_PAUSE)));
        spun(4 * MAX_PAUSE);
        assert!(spun(10 * MAX_PAUSE) <= 10);
        // When it pays again, that is found out, and spinning goes on.
        assert!((0..=MAX_PAUSE).any(|_| wait(&spin, true, SHORT)));
        assert!((0..1000).all(|_| wait(&spin, true, SHORT)));
        assert!((0..MAX_CREDIT).all(|_| wait(&spin, false, SHORT)) && wait(&spin, true, SHORT));
    }

    #[test]
    fn an_idle_side_does_not_spin() {
        let spin = fresh();
        let spun = (0..10_000).filter(|_| wait(&spin, false, LONG)).count();
        assert!(spun <= 1 + MAX_CREDIT as usize, "{spun}");
        assert!((0..MIN_PAUSE).all(|_| !wait(&spin, true, SHORT)), "a few short waits come first");
    }

    #[test]
    fn never_is_never() {
        let spin = Spin::never();
        assert!((0..10 * MAX_PAUSE).all(|_| !wait(&spin, true, SHORT)));
    }
}
