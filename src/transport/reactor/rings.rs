//! How often a side may ring: a token for each ring, which comes back with time, and with what it asks for.

use std::time::{Duration, Instant};

/// A wake is heard in 1 to 2 us: the wait that reports it, and a read of the socket. One in 400 us with nothing to ask for is half
/// a percent of a CPU,
const PERIOD: Duration = Duration::from_micros(400);
/// and so many at once are a tenth of a millisecond.
const MAX_TOKENS: u32 = 64;

/// The tokens of one side.
///
/// A side that rings once for each request or less is always heard: each of its rings has a request, of which the token comes
/// back, whichever of the two is seen first.
#[derive(Debug)]
pub(in crate::transport) struct Rings {
    tokens: u32,
    /// What was taken up to the last ring, modulo 2^32.
    taken: u32,
    /// Up to when tokens have come back.
    filled: Instant,
}

impl Rings {
    /// All tokens.
    pub(in crate::transport) fn new(now: Instant) -> Self {
        Self { tokens: MAX_TOKENS, taken: 0, filled: now }
    }

    /// Counts a ring that costs so many tokens, at least one, when so much was taken of what the side asks for; whether it is heard on.
    pub(in crate::transport) fn ring(&mut self, cost: u32, taken: u32, now: Instant) -> bool {
        let asked = taken.wrapping_sub(std::mem::replace(&mut self.taken, taken));
        let periods = now.saturating_duration_since(self.filled).as_nanos() / PERIOD.as_nanos();
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        // What is left of a period counts on; a full bucket takes in none.
        self.filled = if periods > MAX_TOKENS { now } else { self.filled + PERIOD * periods };
        let tokens = self.tokens.saturating_add(asked).saturating_add(periods).min(MAX_TOKENS);
        self.tokens = tokens.saturating_sub(cost.max(1));
        self.tokens > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(heard(u32::MAX, PERIOD, 10_000), 10_000);
        assert!(heard(u32::MAX, PERIOD / 2, 10_000) < 3 * MAX_TOKENS);
        // Parts of a period add up.
        assert_eq!(heard(4, PERIOD * 3 / 4, 10_000), 10_000);
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
