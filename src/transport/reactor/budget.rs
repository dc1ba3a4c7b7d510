//! Budgets: how much of this thread's time is spent on what is not a request.
//!
//! Connections, handshakes and sessions that end are some dozen system calls each, and a flood of one kind must keep neither the
//! requests of clients waiting nor what is of another kind. So each kind is attended to for a moment, and then not for a
//! while, if a client has asked for something since its last moment; with no clients to serve there is no pause. A moment is
//! long enough for as many dead and silent connections as wait to be accepted, which cost little.
//!
//! A moment is CPU time of this thread, a pause is not: what other processes take of the CPU is not the newcomers' doing.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// No further step is begun after so long,
const MOMENT: Duration = Duration::from_micros(50);
/// but for these: steps that cost a few system calls, in a row. As many connections wait to be accepted.
const MIN_CHEAP_STEPS: u32 = 16;

/// What is not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Memory and sockets of sessions that are over are given up.
    Departures,
    /// Clients are accepted, and those that take too long are refused.
    Arrivals,
    /// Handshakes go on.
    Greetings,
    /// Regions of sessions are pre-faulted.
    Faults,
}

impl Kind {
    /// In the order in which they are attended to.
    pub(super) const ALL: [Self; 4] = [Self::Departures, Self::Arrivals, Self::Greetings, Self::Faults];

    /// How long nothing is done after a moment of this length.
    fn pause_after(self, moment: Duration) -> Duration {
        const MAX: Duration = Duration::from_millis(20);
        match self {
            // They are no more than the handshakes before them, but they may come all at once: a twentieth of the time.
            Self::Departures => moment.saturating_mul(20).min(MAX),
            // A hundredth each: of a client's requests, far less than one in a hundred meets one of them.
            Self::Arrivals | Self::Greetings | Self::Faults => {
                moment.saturating_mul(100).clamp(Duration::from_millis(5), MAX)
            }
        }
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// Nothing was to be done.
    None,
    /// A few system calls.
    Cheap,
    /// Memory was made, mapped or given up.
    Dear,
}

/// A moment in which one kind is attended to.
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

/// When each kind has its next moment.
#[derive(Debug)]
pub(super) struct Budgets {
    opens: [Instant; Kind::ALL.len()],
    /// How often clients had been served at the last moment of each.
    seen: [u32; Kind::ALL.len()],
    /// How often clients were served, modulo 2^32.
    served: u32,
}

impl Budgets {
    /// All of them open.
    pub(super) fn new() -> Self {
        Self { opens: [Instant::now(); Kind::ALL.len()], seen: [0; Kind::ALL.len()], served: 0 }
    }

    /// Clients were served.
    #[inline(always)]
    pub(super) fn serve(&mut self) {
        self.served = self.served.wrapping_add(1);
    }

    /// How long that kind has to wait still.
    pub(super) fn time_left(&self, kind: Kind) -> Duration {
        self.opens[kind as usize].saturating_duration_since(Instant::now())
    }

    pub(super) fn is_open(&self, kind: Kind) -> bool {
        self.time_left(kind).is_zero()
    }

    /// Ends a moment; whether that kind has to wait now, because clients are served.
    pub(super) fn shut(&mut self, kind: Kind, mut moment: Moment) -> bool {
        let is_busy = std::mem::replace(&mut self.seen[kind as usize], self.served) != self.served;
        self.opens[kind as usize] = Instant::now();
        if is_busy {
            self.opens[kind as usize] += kind.pause_after(moment.spent());
        }
        is_busy
    }
}

/// What this thread has had of a CPU.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(spent: Duration) -> Moment {
        Moment { start: Duration::ZERO, spent: Some(spent), cheap_steps: 0, is_cheap: true }
    }

    #[test]
    fn one_kind_that_has_used_up_its_time_leaves_the_others_theirs() {
        let mut budgets = Budgets::new();
        assert!(!budgets.shut(Kind::Arrivals, moment(MOMENT)), "nobody is served");
        assert!(budgets.is_open(Kind::Arrivals));
        budgets.serve();
        assert!(budgets.shut(Kind::Arrivals, moment(Duration::from_secs(1))));
        assert!(!budgets.is_open(Kind::Arrivals));
        for other in [Kind::Departures, Kind::Greetings, Kind::Faults] {
            assert!(budgets.is_open(other), "{other:?}");
            assert!(budgets.shut(other, moment(Duration::from_secs(1))), "{other:?} is told of it, too");
        }
        assert!(!budgets.shut(Kind::Arrivals, moment(MOMENT)), "nobody was served since");
    }

    #[test]
    fn a_kind_has_its_share_of_the_time_and_no_pause_is_long() {
        for kind in Kind::ALL {
            let least = if kind == Kind::Departures { 20 } else { 100 };
            for micros in [1, 10, 50, 150] {
                let spent = Duration::from_micros(micros);
                assert!(kind.pause_after(spent) >= spent * least, "{kind:?} {micros}");
            }
            assert!(kind.pause_after(Duration::MAX) <= Duration::from_millis(20), "{kind:?}");
        }
    }

    #[test]
    fn a_moment_is_some_cheap_steps_or_one_that_is_dear() {
        // What this thread has had is what the moment has taken.
        while cpu_time() < MOMENT {}
        let mut cheap = moment(Duration::ZERO);
        let steps = (0..100).take_while(|_| cheap.goes_on_after(Effort::Cheap)).count();
        assert_eq!(steps as u32, MIN_CHEAP_STEPS - 1);
        let mut dear = moment(Duration::ZERO);
        assert!(!dear.goes_on_after(Effort::Dear) && !dear.goes_on_after(Effort::None));
    }
}
