//! A crowd of newcomers: whose turn it is, who gives way where there are too many, and what the program hears of that.
//!
//! What counts is the process that connects, as the kernel names it: however many connections one makes, it has its turns
//! among those of the others, and it is its own connections that give way first.

use crate::transport::connect::{ConnectError, Origin};
use crate::transport::job::Event;
use std::collections::VecDeque;
use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

/// Clients that are connecting at one time, at most.
pub(super) const MAX_NEWCOMERS: usize = 256;

/// Newcomers that are to be attended to: a line for each process, one of each line by turns.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// None is empty.
    lines: VecDeque<(Origin, VecDeque<u64>)>,
}

impl Lines {
    /// One more, at the end of its line.
    pub(super) fn push(&mut self, origin: Origin, number: u64) {
        match self.lines.iter_mut().find(|(other, _)| *other == origin) {
            Some((_, line)) => line.push_back(number),
            None => self.lines.push_back((origin, VecDeque::from([number]))),
        }
    }

    /// The first one of the line whose turn it is.
    pub(super) fn pop(&mut self) -> Option<u64> {
        let (origin, mut line) = self.lines.pop_front()?;
        let first = line.pop_front();
        if !line.is_empty() {
            self.lines.push_back((origin, line));
        }
        first
    }

    /// One that has gone.
    pub(super) fn forget(&mut self, origin: Origin, number: u64) {
        let Some(at) = self.lines.iter().position(|(other, _)| *other == origin) else { return };
        self.lines[at].1.retain(|other| *other != number);
        if self.lines[at].1.is_empty() {
            self.lines.remove(at);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// What counts of a newcomer when one has to give way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) origin: Origin,
    /// It has not asked for a session yet.
    pub(super) is_silent: bool,
    /// It was its turn, for long.
    pub(super) has_had_its_time: bool,
}

/// Which of as many newcomers as there may be gives way to a further one; they are in the order in which they came. `None`:
/// the further one has to, as one of a process that has most of the places and lets none of them go.
///
/// A process gives way that has most of the places, and two more than the further one's; or else that one's own. Of a process's
/// places the first that is silent goes, then the first that has had its time, then the last.
pub(super) fn gives_way(places: &[Place], further: Origin) -> Option<usize> {
    let mut origins: Vec<Origin> = places.iter().map(|place| place.origin).collect();
    origins.sort_unstable();
    let most = origins.chunk_by(|a, b| a == b).max_by_key(|same| same.len())?;
    let own_count = origins.iter().filter(|origin| **origin == further).count();
    let from = if most.len() > own_count + 1 { most[0] } else { further };
    let silent = places.iter().position(|place| place.origin == from && place.is_silent);
    let in_time = || places.iter().position(|place| place.origin == from && place.has_had_its_time);
    let last = || places.iter().rposition(|place| place.origin == from).filter(|_| from != further);
    // Where all have as many as it has: the first that has had its time.
    let anyone = || places.iter().position(|place| place.has_had_its_time);
    silent.or_else(in_time).or_else(last).or_else(anyone)
}

/// Of each kind of reason one is reported per interval; the others are counted.
const PERIOD: Duration = Duration::from_secs(1);

/// Each kind of reason for an event, or none for [`Event::Throttled`], with when it was told last and how often it was not told
/// since.
#[derive(Debug, Default)]
pub(super) struct Notices(Vec<(Option<Discriminant<ConnectError>>, Instant, u64)>);

impl Notices {
    /// A client was not taken in; the event that says so, if it is time for one.
    pub(super) fn refused(&mut self, why: ConnectError) -> Option<Event> {
        // Of one that came and went there is nothing to tell.
        if matches!(why, ConnectError::PeerGone) {
            return None;
        }
        self.count(Some(discriminant(&why))).map(|count| Event::Refused { why, count })
    }

    /// Newcomers have to wait for clients; the event that says so, if it is time for one.
    pub(super) fn throttled(&mut self) -> Option<Event> {
        self.count(None).map(|count| Event::Throttled { count })
    }

    /// One more of a kind; how many to tell of, if it is time.
    fn count(&mut self, kind: Option<Discriminant<ConnectError>>) -> Option<u64> {
        let now = Instant::now();
        let Some((_, told, untold)) = self.0.iter_mut().find(|(known, ..)| *known == kind) else {
            self.0.push((kind, now, 0));
            return Some(1);
        };
        *untold += 1;
        if now.saturating_duration_since(*told) < PERIOD {
            return None;
        }
        *told = now;
        Some(std::mem::take(untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(process: i32) -> Origin {
        Origin { process, user: 1000 }
    }

    #[test]
    fn a_process_waits_for_one_of_each_other_and_not_for_a_crowd_of_one() {
        let mut lines = Lines::default();
        for number in 0..200 {
            lines.push(origin(1), number);
        }
        lines.pop();
        lines.push(origin(2), 1000);
        lines.push(origin(3), 1001);
        lines.push(origin(2), 1002);
        let first: Vec<u64> = (0..6).filter_map(|_| lines.pop()).collect();
        assert_eq!(first, [1, 1000, 1001, 2, 1002, 3]);
        lines.forget(origin(1), 150);
        lines.forget(origin(2), 150);
        assert_eq!((0..1000).filter_map(|_| lines.pop()).count(), 195);
        lines.push(origin(4), 2000);
        lines.forget(origin(4), 2000);
        assert!(lines.is_empty());
    }

    #[test]
    fn a_process_whose_first_ones_gave_way_keeps_its_turn() {
        let mut lines = Lines::default();
        (0..200).for_each(|number| lines.push(origin(1), number));
        (0..199).for_each(|number| lines.forget(origin(1), number));
        (1000..1100).for_each(|number| lines.push(origin(2), number));
        assert_eq!((lines.pop(), lines.pop()), (Some(199), Some(1000)));
    }

    #[test]
    fn a_newcomer_waits_for_one_of_each_other_process() {
        let mut lines = Lines::default();
        for process in 1..=4 {
            (0..3).for_each(|number| lines.push(origin(process), number));
        }
        lines.pop();
        lines.push(origin(5), 99);
        let before = std::iter::from_fn(|| lines.pop()).take_while(|number| *number != 99).count();
        assert!(before <= 4, "{before}");
    }

    fn place(process: i32, is_silent: bool, has_had_its_time: bool) -> Place {
        Place { origin: origin(process), is_silent, has_had_its_time }
    }

    #[test]
    fn the_connections_of_a_flood_give_way_and_no_other() {
        let greets = place(1, false, false);
        let mut places = vec![place(2, true, true), greets, greets, greets];
        // That of the process with one place stays, though it is silent and late.
        assert_eq!(gives_way(&places, origin(3)), Some(3), "the last one");
        assert_eq!(gives_way(&places, origin(2)), Some(3));
        assert_eq!(gives_way(&places, origin(1)), Some(0), "it has no more to give than what has had its time");
        places[0].has_had_its_time = false;
        assert_eq!(gives_way(&places, origin(1)), None);
        places[2].has_had_its_time = true;
        for process in 1..4 {
            assert_eq!(gives_way(&places, origin(process)), Some(2), "{process}");
        }
        places[3].is_silent = true;
        for process in 1..4 {
            assert_eq!(gives_way(&places, origin(process)), Some(3), "{process}");
        }
    }

    #[test]
    fn of_as_many_processes_as_places_one_that_has_had_its_time_gives_way() {
        let places: Vec<Place> = (0..8).map(|process| place(process, true, process == 5)).collect();
        assert_eq!(gives_way(&places, origin(100)), Some(5));
        assert_eq!(gives_way(&places[..5], origin(100)), None);
        assert_eq!(gives_way(&places, origin(3)), Some(3), "its own");
        assert_eq!(gives_way(&[], origin(3)), None);
    }

    #[test]
    fn each_kind_is_told_at_once_and_then_counted() {
        let mut notices = Notices::default();
        let is_told = |event: Option<Event>| matches!(event, Some(Event::Refused { count: 1, .. }));
        assert!(is_told(notices.refused(ConnectError::NotATable)));
        assert!(is_told(notices.refused(ConnectError::Congested)));
        for _ in 0..1000 {
            assert!(notices.refused(ConnectError::NotATable).is_none());
            assert!(notices.refused(ConnectError::PeerGone).is_none());
        }
        assert_eq!(notices.0.len(), 2);
        for (_, told, _) in &mut notices.0 {
            *told -= PERIOD;
        }
        assert!(matches!(notices.refused(ConnectError::NotATable), Some(Event::Refused { count: 1001, .. })));
        assert!(is_told(notices.refused(ConnectError::Congested)));
        assert!(matches!(notices.throttled(), Some(Event::Throttled { count: 1 })));
        assert!(notices.throttled().is_none());
    }
}
