//! Which arm carries out the calls: turns of random order, so that both are timed as the program would know them.

use crate::routines::{arm, set_arm};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use memcpy_select::recording::{Arm, TURN_SAMPLES};

/// How many of these pass before what was cold at its beginning is warm.
const UNTIMED: u32 = 2;

/// The turn of a process. That of a forked child begins when it is forked, warm.
#[repr(C)]
pub(crate) struct Turns {
    /// How many sampled calls the turn has had.
    samples: AtomicU32,
    /// How many more are not timed.
    untimed: AtomicU32,
}

impl Turns {
    /// Whether what is timed now is typical of the arm.
    pub(crate) fn is_settled(&self) -> bool {
        self.untimed.load(Relaxed) == 0
    }

    /// After a sampled call. Threads that come at once may lengthen or shorten a turn.
    pub(crate) fn pass(&self, random: u64) {
        self.untimed.store(self.untimed.load(Relaxed).saturating_sub(1), Relaxed);
        let samples = self.samples.load(Relaxed) + 1;
        if samples < TURN_SAMPLES {
            self.samples.store(samples, Relaxed);
            return;
        }
        self.samples.store(0, Relaxed);
        let next = Arm::ALL[(random >> 63) as usize];
        if next != arm() {
            self.untimed.store(UNTIMED, Relaxed);
            set_arm(next);
        }
    }
}
