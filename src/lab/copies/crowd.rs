//! Other cores at the same work: copies of the same length by the same routine, each core in memory of its own.
//!
//! A routine that wins alone may lose when all cores share a cache and the memory's bandwidth.

use crate::lab::copies::cell::APART_BYTES;
use crate::lab::copies::contender::Contender;
use crate::lab::instruments::affinity::{other_cpus, pin_to};
use crate::lab::instruments::buffers::{BufferError, Buffers};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// Threads on other logical CPUs; they end when this is dropped.
pub(crate) struct Crowd {
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
    pub(crate) fn new(len_bytes: usize, threads: Option<usize>) -> Result<Self, BufferError> {
        let shared = Arc::new(Shared {
            contender: Mutex::new(None),
            turn: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        });
        let mut crowd = Self { shared: Arc::clone(&shared), threads: Vec::new() };
        for cpu in
            other_cpus().into_iter().take(threads.map_or(MAX_THREADS, |count| count.saturating_sub(1).min(MAX_THREADS)))
        {
            let buffers = Buffers::new(len_bytes)?;
            let shared = Arc::clone(&shared);
            crowd.threads.push(thread::spawn(move || {
                // Where the system does not allow it, the thread runs wherever there is room.
                let _ = pin_to(cpu);
                shared.serve(&buffers, len_bytes);
            }));
        }
        Ok(crowd)
    }

    /// Has all threads copy with this contender; returns when each has begun. Without a contender none copies.
    pub(crate) fn copy_with(&self, contender: Option<Contender>) {
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

/// The crowd stays small enough to start and stop between two timings.
pub(crate) const MAX_THREADS: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

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
