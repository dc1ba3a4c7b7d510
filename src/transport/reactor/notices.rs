//! What the program hears of clients that were not taken in: seldom, whatever the flood.

use crate::transport::connect::ConnectError;
use crate::transport::job::Event;
use std::mem::{Discriminant, discriminant};
use std::time::{Duration, Instant};

/// Of each kind of reason one is reported per interval; the others are counted.
const PERIOD: Duration = Duration::from_secs(1);

/// When each kind of reason was told last.
#[derive(Debug, Default)]
pub(super) struct Notices {
    /// No more than there are kinds.
    refused: Vec<(Discriminant<ConnectError>, Notice)>,
    throttled: Option<Notice>,
}

#[derive(Debug)]
struct Notice {
    told: Instant,
    untold: u64,
}

impl Notice {
    /// One more; how many to tell of, if it is time.
    fn count(notice: &mut Option<Self>) -> Option<u64> {
        let now = Instant::now();
        let untold = match notice {
            Some(Self { told, untold }) if now.saturating_duration_since(*told) < PERIOD => {
                *untold += 1;
                return None;
            }
            Some(Self { untold, .. }) => *untold,
            None => 0,
        };
        *notice = Some(Self { told: now, untold: 0 });
        Some(untold + 1)
    }
}

impl Notices {
    /// A client was not taken in; the event that says so, if it is time for one.
    pub(super) fn refused(&mut self, why: ConnectError) -> Option<Event> {
        // Of one that came and went there is nothing to tell.
        if matches!(why, ConnectError::PeerGone) {
            return None;
        }
        let kind = discriminant(&why);
        let at = self.refused.iter().position(|(known, _)| *known == kind);
        let mut notice = at.map(|at| self.refused.swap_remove(at).1);
        let count = Notice::count(&mut notice);
        self.refused.extend(notice.map(|notice| (kind, notice)));
        count.map(|count| Event::Refused { why, count })
    }

    /// Newcomers have to wait for clients; the event that says so, if it is time for one.
    pub(super) fn throttled(&mut self) -> Option<Event> {
        Notice::count(&mut self.throttled).map(|count| Event::Throttled { count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(notices.refused.len(), 2);
        for (_, notice) in &mut notices.refused {
            notice.told -= PERIOD;
        }
        assert!(matches!(notices.refused(ConnectError::NotATable), Some(Event::Refused { count: 1001, .. })));
        assert!(is_told(notices.refused(ConnectError::Congested)));
        assert!(matches!(notices.throttled(), Some(Event::Throttled { count: 1 })));
        assert!(notices.throttled().is_none());
    }
}
