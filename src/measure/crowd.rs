//! The other cores at the same work: copies of the same length by the same routine, each core in memory of its own.
//!
//! A routine that wins alone may lose when all cores share a cache and the memory's bandwidth.

use super::buffers::{BufferError, Buffers};
use super::cell::APART_BYTES;
use super::sweep::Contender;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// One thread for each other logical CPU that is on; they end when this is dropped.
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
    /// Starts the threads, each with buffers for copies of this length.
    pub(super) fn new(len_bytes: usize) -> Result<Self, BufferError> {
        let shared = Arc::new(Shared {
            contender: Mutex::new(None),
            turn: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let mut crowd = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        for cpu in other_cpus() {
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

/// The logical CPUs that are on, but for the one that the calling thread is pinned to.
fn other_cpus() -> Vec<usize> {
    let own = sched_getaffinity(None).ok().filter(|set| set.count() == 1);
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    listed(&text).into_iter().filter(|cpu| own.is_none_or(|own| !own.is_set(*cpu))).take(MAX_THREADS).collect()
}

/// The crowd stays small enough to start and stop between two timings.
const MAX_THREADS: usize = 255;

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
        let crowd = Crowd::new(4096).unwrap();
        for contender in Contender::all_available() {
            crowd.copy_with(Some(contender));
            crowd.copy_with(None);
        }
    }
}
