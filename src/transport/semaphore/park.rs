//! Sleeping on a word of shared memory, as the futexes of Linux allow it.
//!
//! A trait over [`Memory`], so that the very same protocols run over real futexes and over a model of them.

use crate::transport::memory::{Mapped, Memory};
use rustix::io::Errno;
use rustix::thread::futex;
use std::ops::Deref;
use std::thread;
use std::time::Duration;

/// How long a wait is where there are no futexes.
const REFUSED_SLEEP: Duration = Duration::from_micros(500);

/// Memory whose words one can sleep on.
pub trait Park: Memory {
    /// Sleeps until [`unpark`](Self::unpark) or until the limit has passed, unless the word is already not `expected`. May
    /// return early for no reason, and with a hostile peer may sleep through a wake: its caller checks again, within a bound.
    fn park(&self, at: usize, expected: u32, limit: Duration);

    /// Wakes all threads that sleep on the word.
    fn unpark(&self, at: usize);
}

impl Park for Mapped {
    fn park(&self, at: usize, expected: u32, duration: Duration) {
        let Some(word) = self.word32(at) else { return };
        let Ok(limit) = rustix::event::Timespec::try_from(duration) else { return };
        // Not private: the other side is another process. Every outcome means the same: look again.
        let result = futex::wait(word, futex::Flags::empty(), expected, Some(&limit));
        if let Err(Errno::PERM | Errno::NOSYS) = result {
            // A filter of system calls does not let it sleep on a word: look again soon, and burn no CPU until then.
            thread::sleep(duration.min(REFUSED_SLEEP));
        }
    }

    fn unpark(&self, at: usize) {
        const ALL: u32 = i32::MAX as u32;
        if let Some(word) = self.word32(at) {
            let _ = futex::wake(word, futex::Flags::empty(), ALL);
        }
    }
}

/// Memory behind a pointer is the same memory.
impl<P: Deref<Target: Park>> Park for P {
    fn park(&self, at: usize, expected: u32, limit: Duration) {
        (**self).park(at, expected, limit);
    }

    fn unpark(&self, at: usize) {
        (**self).unpark(at);
    }
}
