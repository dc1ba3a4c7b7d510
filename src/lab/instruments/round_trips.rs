//! Round trips as they are kept: how many took how long, times rounded to eight significant bits.

use crate::lab::instruments::clock;
use std::time::Instant;

/// Bits of a time that are kept: the error is below half a percent, less than a time repeats.
const KEPT_BITS: u32 = 8;

/// Round trips while they are taken.
#[derive(Debug)]
pub(crate) struct RoundTrips {
    ticks: Vec<u64>,
    ticks_per_ns: f64,
    start: Instant,
}

impl RoundTrips {
    pub(crate) fn new(ticks_per_ns: f64) -> Self {
        Self { ticks: Vec::new(), ticks_per_ns, start: Instant::now() }
    }

    pub(crate) fn clear(&mut self) {
        self.ticks.clear();
    }

    /// Now, in ticks of the clock.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        if self.ticks_per_ns > 0.0 { clock::ticks() } else { self.start.elapsed().as_nanos() as u64 }
    }

    /// A round trip that started then has ended.
    #[inline]
    pub(crate) fn ended(&mut self, start: u64) {
        let passed = self.now().saturating_sub(start);
        self.ticks.push(passed);
    }

    /// How many took how long, in nanoseconds, shortest first.
    pub(crate) fn counts(&self) -> Vec<(u64, u32)> {
        let rate = if self.ticks_per_ns > 0.0 { self.ticks_per_ns } else { 1.0 };
        counts(self.ticks.iter().map(|ticks| (*ticks as f64 / rate).round() as u64))
    }
}

/// Times in nanoseconds as they are kept: rounded to eight significant bits, with how many there are of each, shortest
/// first.
pub fn counts(times_ns: impl IntoIterator<Item = u64>) -> Vec<(u64, u32)> {
    let mut times: Vec<u64> = times_ns.into_iter().map(rounded).collect();
    times.sort_unstable();
    times.chunk_by(|a, b| a == b).map(|same| (same[0], same.len() as u32)).collect()
}

/// The middle of the times that have the same leading bits.
fn rounded(ns: u64) -> u64 {
    let dropped = (u64::BITS - ns.leading_zeros()).saturating_sub(KEPT_BITS);
    if dropped == 0 {
        return ns;
    }
    (ns >> dropped << dropped) + (1 << (dropped - 1))
}

/// The time below or at which this share of the round trips lie. Nothing for none.
pub fn percentile(counts: &[(u64, u32)], share: f64) -> Option<u64> {
    let all: u64 = counts.iter().map(|(_, count)| u64::from(*count)).sum();
    let rank = ((all as f64 * share).ceil() as u64).clamp(1, all.max(1));
    let mut passed = 0;
    counts.iter().find_map(|(ns, count)| {
        passed += u64::from(*count);
        (passed >= rank).then_some(*ns)
    })
}

/// Several counts as one, shortest first.
pub fn together<'a>(several: impl IntoIterator<Item = &'a [(u64, u32)]>) -> Vec<(u64, u32)> {
    let mut all: Vec<(u64, u32)> = several.into_iter().flatten().copied().collect();
    all.sort_unstable();
    let one = |same: &[(u64, u32)]| (same[0].0, same.iter().fold(0_u32, |sum, (_, count)| sum.saturating_add(*count)));
    all.chunk_by(|a, b| a.0 == b.0).map(one).collect()
}

/// Round trips as text: `<ns>x<count>`, blanks between.
pub fn round_trips_text(counts: &[(u64, u32)]) -> String {
    counts.iter().map(|(ns, count)| format!("{ns}x{count}")).collect::<Vec<String>>().join(" ")
}

/// The round trips that such a text holds.
///
/// # Errors
///
/// The word that is none, and how they are written.
pub fn round_trips(text: &str) -> Result<Vec<(u64, u32)>, String> {
    let one = |word: &str| {
        let (ns, count) = word.split_once('x')?;
        Some((ns.parse().ok()?, count.parse().ok().filter(|count| *count > 0)?))
    };
    let wrong = |word: &str| format!("round trips {word:?}: they are written as <ns>x<count>");
    text.split_whitespace().map(|word| one(word).ok_or_else(|| wrong(word))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_by_less_than_half_a_percent() {
        for ns in (0..5000).chain([1 << 20, (1 << 20) + 4095, u64::from(u32::MAX), 123_456_789]) {
            let error = rounded(ns).abs_diff(ns) as f64;
            assert!(error <= ns as f64 / 256.0, "{ns}: {}", rounded(ns));
        }
        assert_eq!(rounded(255), 255);
    }

    #[test]
    fn percentiles_are_ranks() {
        assert_eq!(percentile(&[], 0.5), None);
        let counts = [(10, 500), (20, 490), (30, 9), (40, 1)];
        let at = |share| percentile(&counts, share);
        assert_eq!(
            (at(0.0), at(0.5), at(0.501), at(0.99), at(0.999), at(1.0)),
            (Some(10), Some(10), Some(20), Some(20), Some(30), Some(40))
        );
    }

    #[test]
    fn counts_add_up() {
        assert_eq!(together([&[(1, 2), (5, 1)][..], &[(1, 1), (3, 4)]]), [(1, 3), (3, 4), (5, 1)]);
    }
}
