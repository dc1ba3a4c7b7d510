//! Budgets: how much of this thread's time is spent on what is not a request, and how often a side may ring.
//!
//! Connections, handshakes and sessions that end are some dozen system calls each, and a flood of one kind must keep neither the
//! requests of clients waiting nor what is of another kind. So each kind is attended to for a moment, and then not for a
//! while, if a client has asked for something since its last moment; with no clients to serve there is no pause. A moment is
//! long enough for as many dead and silent connections as wait to be accepted, which cost little. A request that comes meanwhile
//! waits for one step: then it is served, and the moment goes on when there is no other one.
//!
//! A moment is CPU time of this thread, a pause is not: what other processes take of the CPU is not the newcomers' doing.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// No further step is begun after so long,
const MOMENT: Duration = Duration::from_micros(50);
/// but for these: steps that cost a few system calls, in a row. As many connections wait to be accepted.
const MIN_CHEAP_STEPS: u32 = 16;

/// A moment of which nothing was used.
const WHOLE: (Duration, u32) = (Duration::ZERO, MIN_CHEAP_STEPS);

/// A client that has its answer needs some microseconds to wake up before it asks again: one step that is begun at once keeps it waiting
/// for a part of its length or not at all, and later ones in full. So the next one is begun after the next answer, or when
/// nothing was asked for so long.
const LULL: Duration = Duration::from_micros(200);

/// What is not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Memory and sockets of sessions that are over are given up.
    Departures,
    /// Clients are accepted.
    Arrivals,
    /// Handshakes go on, and those that take too long are given up.
    Greetings,
    /// Regions of sessions are pre-faulted.
    Faults,
}

impl Kind {
    /// In the order in which they are attended to.
    pub(super) const ALL: [Self; 4] = [Self::Departures, Self::Arrivals, Self::Greetings, Self::Faults];

    /// How long nothing is done after a moment of this length.
    fn pause_after(self, moment: Duration) -> Duration {
        let (times, least) = match self {
            // They are no more than the handshakes before them, but they may come all at once: a twentieth of the time.
            Self::Departures => (20, Duration::ZERO),
            // A hundredth each: of a client's requests, far less than one in a hundred meets one of them.
            Self::Arrivals | Self::Greetings | Self::Faults => (100, Duration::from_millis(5)),
        };
        moment.saturating_mul(times).clamp(least, Duration::from_millis(20))
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Effort {
    /// Nothing was to be done.
    None,
    /// A few system calls.
    Cheap,
    /// Memory was made, mapped or given up.
    Dear,
    /// As that, and what was begun with it is ended in the same moment.
    Begun,
}

/// A moment in which one kind is attended to.
#[derive(Debug)]
pub(super) struct Moment {
    /// When it began, or would have, had it not been interrupted.
    start: Duration,
    /// Cheap steps for which the clock is not read.
    cheap_steps: u32,
}

impl Moment {
    /// Counts a step; whether there is time for another one.
    pub(super) fn goes_on_after(&mut self, effort: Effort) -> bool {
        self.cheap_steps = match effort {
            Effort::None => return false,
            Effort::Cheap => self.cheap_steps.saturating_sub(1),
            Effort::Dear | Effort::Begun => 0,
        };
        effort == Effort::Begun || self.cheap_steps > 0 || self.spent() < MOMENT
    }

    /// How long it has taken.
    pub(super) fn spent(&self) -> Duration {
        cpu_time().saturating_sub(self.start)
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
    /// Of each kind's moment, which may have been interrupted, what it had taken, and the cheap steps that are left.
    interrupted: [(Duration, u32); Kind::ALL.len()],
    /// When the last lull began, and how often clients had been served by then.
    lull: (Instant, u32),
    /// Until when it is too late to begin a step in it, if it is.
    late: Option<Instant>,
}

impl Budgets {
    /// All of them open.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            opens: [now; Kind::ALL.len()],
            seen: [0; Kind::ALL.len()],
            served: 0,
            interrupted: [WHOLE; Kind::ALL.len()],
            lull: (now, 0),
            late: None,
        }
    }

    /// Clients were served.
    #[inline(always)]
    pub(super) fn serve(&mut self) {
        self.served = self.served.wrapping_add(1);
    }

    /// All that was asked for is answered, and a lull begins, if it was something.
    pub(super) fn begin_lull(&mut self, now: Instant) {
        if self.lull.1 != self.served {
            (self.lull, self.late) = ((now, self.served), None);
        }
    }

    /// A step was made, or the thread is about to sleep: what comes later in this lull meets the next request.
    pub(super) fn pass_lull(&mut self) {
        self.late = Some(self.lull.0 + LULL);
    }

    /// How long that kind has to wait still.
    pub(super) fn time_left(&self, kind: Kind) -> Duration {
        let opens = self.opens[kind as usize];
        self.late.map_or(opens, |late| late.max(opens)).saturating_duration_since(Instant::now())
    }

    /// A moment of that kind: what is left of one that was interrupted, or a new one.
    pub(super) fn begin(&mut self, kind: Kind) -> Moment {
        let (spent, cheap_steps) = std::mem::replace(&mut self.interrupted[kind as usize], WHOLE);
        Moment { start: cpu_time().saturating_sub(spent), cheap_steps }
    }

    /// Keeps what is left of a moment for later: a client has asked for something.
    pub(super) fn interrupt(&mut self, kind: Kind, moment: Moment) {
        self.interrupted[kind as usize] = (moment.spent(), moment.cheap_steps);
    }

    /// Ends a moment that took so long; whether that kind has to wait now, because clients are served.
    pub(super) fn shut(&mut self, kind: Kind, spent: impl FnOnce() -> Duration) -> bool {
        let is_busy = std::mem::replace(&mut self.seen[kind as usize], self.served) != self.served;
        let pause = if is_busy { kind.pause_after(spent()) } else { Duration::ZERO };
        self.opens[kind as usize] = Instant::now() + pause;
        is_busy
    }
}

/// What this thread has had of a CPU.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// A wake is heard in some us, in which no request is: the system wakes this thread, the wait reports it, and the socket is read. One
/// in so long with nothing to ask for is a tenth of a percent of a CPU,
const RING_PERIOD: Duration = Duration::from_millis(4);
/// and so many at once are some tenths of a millisecond.
const MAX_TOKENS: u32 = 64;

/// The tokens of one side.
///
/// A side that rings once for each request or less is always heard, as long as there is room for what it asks: each of its rings has
/// a request, of which the token comes back, whichever of the two is seen first.
#[derive(Debug)]
pub(super) struct Rings {
    tokens: u32,
    /// What was taken up to the last ring, modulo 2^32.
    taken: u32,
    /// Up to when tokens have come back.
    filled: Instant,
}

impl Rings {
    /// All tokens.
    pub(super) fn new(now: Instant) -> Self {
        Self { tokens: MAX_TOKENS, taken: 0, filled: now }
    }

    /// Counts a ring that costs so many tokens, at least one, when so much was taken of what the side asks for; whether it is heard on.
    pub(super) fn ring(&mut self, cost: u32, taken: u32, now: Instant) -> bool {
        let asked = taken.wrapping_sub(std::mem::replace(&mut self.taken, taken));
        let periods = now.saturating_duration_since(self.filled).as_nanos() / RING_PERIOD.as_nanos();
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        // What is left of a period counts on; a full bucket takes in none.
        self.filled = if periods > MAX_TOKENS { now } else { self.filled + RING_PERIOD * periods };
        let tokens = self.tokens.saturating_add(asked).saturating_add(periods).min(MAX_TOKENS);
        self.tokens = tokens.saturating_sub(cost.max(1));
        self.tokens > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kind_that_has_used_up_its_time_leaves_the_others_theirs() {
        let mut budgets = Budgets::new();
        let (moment, long) = (|| MOMENT, || Duration::from_secs(1));
        assert!(!budgets.shut(Kind::Arrivals, moment), "nobody is served");
        assert!(budgets.time_left(Kind::Arrivals).is_zero());
        budgets.serve();
        assert!(budgets.shut(Kind::Arrivals, long));
        assert!(!budgets.time_left(Kind::Arrivals).is_zero());
        for other in [Kind::Departures, Kind::Greetings, Kind::Faults] {
            assert!(budgets.time_left(other).is_zero(), "{other:?}");
            assert!(budgets.shut(other, long), "{other:?} is told of it, too");
        }
        assert!(!budgets.shut(Kind::Arrivals, moment), "nobody was served since");
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
        let moment = || Moment { start: Duration::ZERO, cheap_steps: MIN_CHEAP_STEPS };
        let mut cheap = moment();
        let steps = (0..100).take_while(|_| cheap.goes_on_after(Effort::Cheap)).count();
        assert_eq!(steps as u32, MIN_CHEAP_STEPS - 1);
        let mut dear = moment();
        assert!(dear.goes_on_after(Effort::Begun));
        assert!(!dear.goes_on_after(Effort::Dear) && !dear.goes_on_after(Effort::None));
    }

    #[test]
    fn one_step_is_begun_after_an_answer_and_the_next_one_after_the_next() {
        let mut budgets = Budgets::new();
        let is_open = |budgets: &Budgets| Kind::ALL.map(|kind| budgets.time_left(kind).is_zero());
        // A lull that has not passed while this test runs.
        let now = Instant::now() + Duration::from_secs(3600);
        for _ in 0..3 {
            budgets.serve();
            budgets.begin_lull(now);
            assert_eq!(is_open(&budgets), [true; Kind::ALL.len()]);
            budgets.pass_lull();
            assert_eq!(is_open(&budgets), [false; Kind::ALL.len()]);
            budgets.begin_lull(now);
            assert_eq!(is_open(&budgets), [false; Kind::ALL.len()], "nothing was asked for meanwhile");
        }
        budgets.late = Some(Instant::now());
        assert_eq!(is_open(&budgets), [true; Kind::ALL.len()], "no client asks");
    }

    #[test]
    fn a_moment_that_was_interrupted_goes_on_with_what_is_left_of_it() {
        let mut budgets = Budgets::new();
        let cheap = |moment: &mut Moment| (0..100).take_while(|_| moment.goes_on_after(Effort::Cheap)).count() as u32;
        // It has had its time; what is left are cheap steps.
        while cpu_time() < MOMENT {}
        let mut moment = Moment { start: Duration::ZERO, cheap_steps: MIN_CHEAP_STEPS };
        for _ in 0..5 {
            assert!(moment.goes_on_after(Effort::Cheap));
        }
        budgets.interrupt(Kind::Arrivals, moment);
        assert_eq!(budgets.begin(Kind::Greetings).cheap_steps, MIN_CHEAP_STEPS, "another kind's is its own");
        let mut moment = budgets.begin(Kind::Arrivals);
        assert!(moment.spent() >= MOMENT);
        assert_eq!(cheap(&mut moment), MIN_CHEAP_STEPS - 1 - 5);
        assert_eq!(budgets.begin(Kind::Arrivals).cheap_steps, MIN_CHEAP_STEPS, "the next one is whole");
    }

    /// How many of so many rings are heard of a side that asks for something with one in `each`, and rings after `pause`; it
    /// stops ringing when it is not heard.
    fn heard(each: u32, pause: Duration, most: u32) -> u32 {
        let mut now = Instant::now();
        let mut rings = Rings::new(now);
        for number in 1..=most {
            now += pause;
            if !rings.ring(1, number / each, now) {
                return number;
            }
        }
        most
    }

    #[test]
    fn a_side_that_asks_for_something_with_each_ring_is_always_heard() {
        for pause in [Duration::ZERO, Duration::from_micros(1), Duration::from_secs(1)] {
            assert_eq!(heard(1, pause, 100_000), 100_000);
        }
        // The counter comes round.
        let now = Instant::now();
        let mut rings = Rings::new(now);
        rings.taken = u32::MAX - 500;
        assert!((0..1000_u32).all(|number| rings.ring(1, number.wrapping_sub(500), now)));
    }

    #[test]
    fn one_request_in_sixteen_rings_does_not_keep_a_side_from_being_muted() {
        let few = heard(16, Duration::from_micros(2), 100_000);
        assert!((MAX_TOKENS..2 * MAX_TOKENS).contains(&few), "{few}");
        assert!(heard(u32::MAX, Duration::ZERO, 100_000) == MAX_TOKENS);
        // Nor does one in two.
        assert!(heard(2, Duration::from_micros(2), 100_000) < 3 * MAX_TOKENS);
    }

    #[test]
    fn a_side_that_rings_seldom_may_ask_for_nothing() {
        assert_eq!(heard(u32::MAX, RING_PERIOD, 10_000), 10_000);
        assert!(heard(u32::MAX, RING_PERIOD / 2, 10_000) < 3 * MAX_TOKENS);
        // Parts of a period add up.
        assert_eq!(heard(4, RING_PERIOD * 3 / 4, 10_000), 10_000);
    }

    #[test]
    fn what_is_requested_at_once_is_no_store_for_rings_to_come() {
        let now = Instant::now();
        let mut rings = Rings::new(now);
        assert!(rings.ring(1, 1_000_000, now));
        let heard = (0..1000).take_while(|_| rings.ring(1, 1_000_000, now)).count() as u32;
        assert!(heard < MAX_TOKENS, "{heard}");
        // A ring that costs all there are is one.
        assert!(!Rings::new(now).ring(MAX_TOKENS, 0, now));
        // After a while it is heard again, not for longer than at first.
        let later = now + Duration::from_secs(3600);
        let heard = (0..1000).take_while(|_| rings.ring(1, 1_000_000, later)).count() as u32;
        assert_eq!(heard, MAX_TOKENS - 1);
    }
}
