//! Admission: clients that are connecting, and when the next of them is attended to.
//!
//! Taking in a client is some dozen system calls, and a flood of connections must not make the requests of the others wait
//! for them. So newcomers are attended to for a moment, and then not for a while, if a client has asked for something since
//! the last moment; with no clients to serve there is no pause. A moment is long enough for a number of dead and silent
//! connections, which cost little, so that a flood of them does not keep clients out for long.
//!
//! All times are this thread's CPU time but for the pause: what other processes take of the CPU is not the newcomers' doing.
//!
//! A member is in the queue once: after it was reported it is not reported again before it was attended to
//! ([`Report::Once`](crate::transport::watch::Report::Once)), and one with two descriptors remembers that it is there.

use crate::transport::slots::Key;
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The pause between two moments: of a client's requests, far less than one in a hundred meets a newcomer.
const MIN_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_millis(20);
/// A longer moment is followed by a pause that is longer by this factor.
const PAUSES_PER_STEP: u32 = 100;
/// No further step is begun after so long,
const MOMENT: Duration = Duration::from_micros(50);
/// but for these: steps that cost a few system calls, in a row.
const MIN_CHEAP_STEPS: u32 = 32;

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// Nothing was to be done.
    None,
    /// A few system calls.
    Cheap,
    /// Memory was made or mapped.
    Dear,
}

/// The queue of newcomers, and when the next of them has its turn.
#[derive(Debug)]
pub(super) struct Admission {
    waiting: VecDeque<Key>,
    /// Sessions whose regions are not pre-faulted yet. They come after the others, since they work already.
    unfaulted: VecDeque<Key>,
    opens: Instant,
    /// Whether a client has asked for something since the last moment.
    is_busy: bool,
}

/// A moment in which newcomers are attended to.
#[derive(Debug)]
pub(super) struct Moment {
    start: Duration,
    /// How long it had taken after the last step; none if the clock was not read then.
    spent: Option<Duration>,
    cheap_steps: u32,
    is_cheap: bool,
}

impl Moment {
    pub(super) fn begin() -> Self {
        Self { start: cpu_time(), spent: None, cheap_steps: 0, is_cheap: true }
    }

    /// Counts a step; whether there is time for another one.
    pub(super) fn goes_on_after(&mut self, effort: Effort) -> bool {
        if effort == Effort::None {
            return false;
        }
        self.is_cheap &= effort == Effort::Cheap;
        self.cheap_steps += 1;
        self.spent = None;
        self.is_cheap && self.cheap_steps < MIN_CHEAP_STEPS || self.spent() < MOMENT
    }

    /// How long it has taken, up to the last step.
    fn spent(&mut self) -> Duration {
        *self.spent.get_or_insert_with(|| cpu_time().saturating_sub(self.start))
    }
}

impl Admission {
    /// An open one, with an empty queue.
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::new(), unfaulted: VecDeque::new(), opens: Instant::now(), is_busy: false }
    }

    /// A client has connected, or its next message has come.
    pub(super) fn push(&mut self, key: Key) {
        self.waiting.push_back(key);
    }

    /// A session is to be pre-faulted, or to go on with that.
    pub(super) fn push_unfaulted(&mut self, key: Key) {
        self.unfaulted.push_back(key);
    }

    /// A client asked for something.
    #[inline(always)]
    pub(super) fn serve(&mut self) {
        self.is_busy = true;
    }

    /// The next one.
    pub(super) fn pop(&mut self) -> Option<Key> {
        self.waiting.pop_front().or_else(|| self.unfaulted.pop_front())
    }

    /// Whether it is open.
    pub(super) fn is_open(&self) -> bool {
        self.opens <= Instant::now()
    }

    /// Whether a newcomer waits while it is open.
    pub(super) fn is_due(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
    }

    /// How long the next one has to wait still; `None` if the queue is empty.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let is_empty = self.waiting.is_empty() && self.unfaulted.is_empty();
        if is_empty { None } else { Some(self.opens.saturating_duration_since(Instant::now())) }
    }

    /// Shuts it after a moment; whether newcomers have to wait now.
    pub(super) fn shut(&mut self, mut moment: Moment) -> bool {
        let is_busy = std::mem::take(&mut self.is_busy);
        self.opens = Instant::now();
        if is_busy {
            self.opens += pause_after(moment.spent());
        }
        is_busy && !self.waiting.is_empty()
    }
}

/// How long no newcomer is attended to after a moment of this length.
fn pause_after(moment: Duration) -> Duration {
    moment.saturating_mul(PAUSES_PER_STEP).clamp(MIN_PAUSE, MAX_PAUSE)
}

/// What this thread has had of a CPU.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
