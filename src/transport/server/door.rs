//! Those who wait to become clients: attended to for a moment, and seldom while clients are served.
//!
//! Taking somebody in is some dozen system calls, and whoever connects without end must not make the requests of the
//! others wait for them. So the door is open for a moment, and then shut for a while, if a client has asked for something
//! since it was open last; with nobody to serve, it stays open. The moment is long enough for several of those who say
//! nothing, which cost little, so that a crowd of them does not keep the others out for long.
//!
//! Nobody stands here twice: who was seen is not reported again before he was attended to
//! ([`Watch::add_once`](crate::transport::semaphore::Watch::add_once)).

use crate::transport::semaphore::Key;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long it is shut: of a client's requests, far less than one in a hundred meets a newcomer.
const MIN_PAUSE: Duration = Duration::from_millis(5);
const MAX_PAUSE: Duration = Duration::from_millis(20);
/// What took long is followed by a pause that is longer by this factor.
const PAUSES_PER_STEP: u32 = 100;
/// No further step is begun after so long.
const MOMENT: Duration = Duration::from_micros(50);

/// Those who wait to become clients, and when the next one has his turn.
#[derive(Debug)]
pub(super) struct Door {
    waiting: VecDeque<Key>,
    opens: Instant,
    /// Whether a client has asked for something since the last step.
    is_busy: bool,
}

impl Door {
    /// An open one, where nobody waits.
    pub(super) fn new() -> Self {
        Self { waiting: VecDeque::new(), opens: Instant::now(), is_busy: false }
    }

    /// Somebody has come, or goes on.
    pub(super) fn push(&mut self, key: Key) {
        self.waiting.push_back(key);
    }

    /// A client asked for something.
    #[inline(always)]
    pub(super) fn serve(&mut self) {
        self.is_busy = true;
    }

    /// The next one.
    pub(super) fn pop(&mut self) -> Option<Key> {
        self.waiting.pop_front()
    }

    /// Whether it is open.
    pub(super) fn is_open(&self) -> bool {
        self.opens <= Instant::now()
    }

    /// Whether somebody waits, and the door is open.
    pub(super) fn is_due(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
    }

    /// How long whoever is next has to wait still; `None` if nobody waits.
    pub(super) fn time_left(&self) -> Option<Duration> {
        if self.waiting.is_empty() { None } else { Some(self.opens.saturating_duration_since(Instant::now())) }
    }

    /// Whether there is time for one step more, if the first began then.
    pub(super) fn has_time(start: Instant) -> bool {
        start.elapsed() < MOMENT
    }

    /// Shuts it after steps of which the first began then.
    pub(super) fn shut(&mut self, start: Instant) {
        let now = Instant::now();
        self.opens = if std::mem::take(&mut self.is_busy) { now + pause_after(now - start) } else { now };
    }
}

/// How long the door is shut after it was open so long.
fn pause_after(moment: Duration) -> Duration {
    moment.saturating_mul(PAUSES_PER_STEP).clamp(MIN_PAUSE, MAX_PAUSE)
}
