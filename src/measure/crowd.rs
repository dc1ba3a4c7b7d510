//! Other cores at the same work: copies of the same length by the same routine, each core in memory of its own.
//!
//! A routine that wins alone may lose when all cores share a cache and the memory's bandwidth.

use super::buffers::{BufferError, Buffers};
use super::cell::APART_BYTES;
use super::contender::Contender;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Threads on other logical CPUs; they end when this is dropped.
pub(super) struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    /// What to copy with; nothing means to wait.
    contender: Mutex<Option<Contender>>,
    /// How often that changed.
    turn: AtomicUsize,
    /// How many threads have begun the present turn.
    begun: AtomicUsize,
    is_over: AtomicBool,
}

impl Crowd {
    /// Starts the threads, each with buffers for copies of this length: so many that with the calling one there are
    /// `threads`; without a number, one for each other logical CPU.
    pub(super) fn new(len_bytes: usize, threads: Option<usize>) -> Result<Self, BufferError> {
        let shared = Arc::new(Shared {
            contender: Mutex::new(None),
            turn: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let mut crowd = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        for cpu in other_cpus().into_iter().take(threads.map_or(MAX_THREADS, |count| count.saturating_sub(1))) {
            let buffers = Buffers::new(len_bytes)?;
            let shared = Arc::clone(&shared);
            crowd.threads.push(thread::spawn(move || {
                let mut only = CpuSet::new();
                only.set(cpu);
                // Where the system does not allow it, the thread runs wherever there is room.
                let _ = sched_setaffinity(None, &only);
                shared.serve(&buffers, len_bytes);
            }));
        }
        Ok(crowd)
    }

    /// Has all threads copy with this contender; returns when each has begun. Nobody copies with nothing.
    pub(super) fn copy_with(&self, contender: Option<Contender>) {
        *self.shared.contender.lock().unwrap_or_else(PoisonError::into_inner) = contender;
        self.shared.begun.store(0, Ordering::SeqCst);
        self.shared.turn.fetch_add(1, Ordering::SeqCst);
        while self.shared.begun.load(Ordering::SeqCst) < self.threads.len() {
            // A thread that came to its end early begins nothing any more.
            if self.threads.iter().any(JoinHandle::is_finished) {
                return;
            }
            std::hint::spin_loop();
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.shared.turn.fetch_add(1, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn serve(&self, buffers: &Buffers, len_bytes: usize) {
        let mut turn = 0;
        loop {
            while self.turn.load(Ordering::SeqCst) == turn {
                thread::yield_now();
            }
            turn = self.turn.load(Ordering::SeqCst);
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            let contender = self.contender.lock().unwrap_or_else(PoisonError::into_inner).clone();
            self.begun.fetch_add(1, Ordering::SeqCst);
            let Some(contender) = contender else { continue };
            while self.turn.load(Ordering::SeqCst) == turn {
                // SAFETY: the buffers hold the length at these offsets, apart from each other, and are this thread's.
                unsafe { contender.time(buffers.dst(0), buffers.src(APART_BYTES), len_bytes, 1) };
            }
        }
    }
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
        return (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect();
    }
    listed(&std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default())
}

/// All but the one that the calling thread is pinned to.
fn other_cpus() -> Vec<usize> {
    let own = sched_getaffinity(None).ok().filter(|set| set.count() == 1);
    logical_cpus().into_iter().filter(|cpu| own.is_none_or(|own| !own.is_set(*cpu))).take(MAX_THREADS).collect()
}

/// The crowd stays small enough to start and stop between two timings.
pub(super) const MAX_THREADS: usize = 255;

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

    #[test]
    fn a_crowd_copies_waits_and_ends() {
        let crowd = Crowd::new(4096, None).unwrap();
        assert_eq!(Crowd::new(4096, Some(1)).unwrap().threads.len(), 0);
        assert!(Crowd::new(4096, Some(2)).unwrap().threads.len() <= 1);
        for contender in Contender::all_available() {
            crowd.copy_with(Some(contender));
            crowd.copy_with(None);
        }
    }
}
