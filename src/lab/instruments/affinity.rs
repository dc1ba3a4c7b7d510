//! Which logical CPUs threads run on.

#![forbid(unsafe_code)]

use core_affinity::CoreId;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::panic::resume_unwind;
use std::thread;

/// The logical CPUs of two processes or threads that work together: nothing where the system does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuPair {
    /// Of the side that reads the clock.
    pub near: Option<usize>,
    /// Of the other side; the same as the near one where there is no other.
    pub far: Option<usize>,
}

impl CpuPair {
    /// The last two that the calling thread may use: the first ones serve most interrupts.
    pub fn last_two() -> Self {
        let allowed = allowed();
        let mut last = allowed.into_iter().rev();
        let near = last.next();
        Self { near, far: last.next().or(near) }
    }

    /// Whether both sides share one logical CPU because there is no other.
    pub fn is_single(self) -> bool {
        self.near.is_some() && self.near == self.far
    }
}

/// Keeps the calling thread on one logical CPU. Where the system refuses, it runs anywhere: false.
pub fn pin_to(cpu: usize) -> bool {
    core_affinity::set_for_current(CoreId { id: cpu })
}

/// Does something in a thread of its own on that logical CPU, or on any: what the calling thread starts later may run anywhere.
pub fn on<T: Send>(cpu: Option<usize>, work: impl FnOnce() -> T + Send) -> T {
    let pinned = || {
        cpu.map(pin_to);
        work()
    };
    thread::scope(|scope| scope.spawn(pinned).join()).unwrap_or_else(|panic| resume_unwind(panic))
}

/// Pins the calling thread to the last logical CPU that it may use: not the first, which serves most interrupts.
pub fn pin() -> Option<usize> {
    allowed().pop().filter(|last| pin_to(*last))
}

/// The logical CPUs that the calling thread may use, ascending.
fn allowed() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

fn members(set: &CpuSet) -> Vec<usize> {
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

/// The logical CPUs that this process may be moved to, whatever the calling thread is pinned to.
pub fn logical_cpus() -> Vec<usize> {
    let widest = || {
        let mut all = CpuSet::new();
        (0..CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
        // The system takes of it what the process is confined to.
        sched_setaffinity(None, &all).and_then(|()| sched_getaffinity(None)).ok()
    };
    // A thread of its own: the calling one stays where it is.
    if let Ok(Some(set)) = thread::spawn(widest).join() {
        return members(&set);
    }
    listed(&std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default())
}

/// All logical CPUs of this process but the one that the calling thread is pinned to.
pub fn other_cpus() -> Vec<usize> {
    let own = sched_getaffinity(None).ok().filter(|set| set.count() == 1);
    logical_cpus().into_iter().filter(|cpu| own.is_none_or(|own| !own.is_set(*cpu))).collect()
}

/// The numbers of a list of ranges as Linux writes it: `0-3,8`.
fn listed(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?.min(CpuSet::MAX_CPU - 1))
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_linux_writes_them() {
        assert_eq!(listed("0-1\n"), [0, 1]);
        assert_eq!(listed("0-2,5,7-8"), [0, 1, 2, 5, 7, 8]);
        assert!(listed("").is_empty() && listed("x-y").is_empty());
    }
}
