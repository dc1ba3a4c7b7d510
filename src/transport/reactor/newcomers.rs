//! Clients that connect: accepted, greeted as far as they have come, made sessions, or refused; and what else has a budget.

use super::budget::{Effort, Kind, Moment};
use super::crowd::{MAX_NEWCOMERS, Place, gives_way};
use super::{Member, Newcomer, Offer, Progress, Reactor, Service, Session};
use crate::transport::connect::{ConnectError, Greeting, Listener, Origin, Refusal, Step};
use crate::transport::job::{ClientKey, Event};
use crate::transport::slots::Key;
use crate::transport::watch::Report;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// More than the steps that a handshake has.
const MAX_STEPS: usize = 8;

impl<O: Offer, T: Session> Reactor<O, T> {
    /// Watches a client that is connecting. It is told if that cannot be.
    pub(super) fn add_newcomer(&mut self, mut greeting: Greeting) -> Result<Key, ConnectError> {
        let key = self.members.next_key();
        if let Err(cause) = self.watch.add(key, greeting.as_fd(), Report::Once) {
            let error = ConnectError::socket(cause);
            greeting.refuse_for(&error);
            return Err(error);
        }
        self.newcomers.push(key);
        Ok(self.members.insert(Member::Newcomer(Newcomer::new(greeting))))
    }

    fn newcomer(&mut self, key: Key) -> Option<&mut Newcomer<O>> {
        match self.members.get_mut(key) {
            Some(Member::Newcomer(newcomer)) => Some(newcomer),
            _ => None,
        }
    }

    /// Whether there is something of that kind to be done.
    fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Departures => !self.departed.is_empty(),
            Kind::Arrivals => self.is_asked,
            Kind::Greetings => !self.lines.is_empty(),
            Kind::Faults => !self.unfaulted.is_empty(),
        }
    }

    /// Whether there is something to be done of which the sockets will not tell again, and its turn has come.
    pub(super) fn is_behind(&self) -> bool {
        Kind::ALL.into_iter().any(|kind| self.has(kind) && self.budgets.is_open(kind))
    }

    /// How long it is until the next turn of something that is to be done.
    pub(super) fn time_to_next(&self) -> Duration {
        let waiting = Kind::ALL.into_iter().filter(|kind| self.has(*kind));
        waiting.map(|kind| self.budgets.time_left(kind)).min().unwrap_or(Duration::MAX)
    }

    /// Attends to what is not a request: to each kind for a moment, if it is time.
    pub(super) fn attend(&mut self, service: &mut impl Service<O, T>) {
        for kind in Kind::ALL {
            self.attend_to(service, kind);
        }
    }

    pub(super) fn attend_to(&mut self, service: &mut impl Service<O, T>, kind: Kind) {
        let is_late = kind == Kind::Arrivals && self.late().is_some();
        if !self.has(kind) && !is_late || !self.budgets.is_open(kind) {
            return;
        }
        let mut moment = Moment::begin();
        while moment.goes_on_after(match kind {
            Kind::Departures => self.bury(service),
            Kind::Arrivals => self.arrive(),
            Kind::Greetings => self.greet_next(service),
            Kind::Faults => self.prefault(service),
        }) {}
        let is_put_off = self.budgets.shut(kind, moment) && self.has(kind);
        if is_put_off && matches!(kind, Kind::Arrivals | Kind::Greetings) {
            self.events.extend(self.notices.throttled());
        }
    }

    /// Gives up what a session had that is over.
    fn bury(&mut self, service: &mut impl Service<O, T>) -> Effort {
        let Some((client, session)) = self.departed.pop_front() else { return Effort::None };
        service.end(client, session, self.sessions);
        Effort::Dear
    }

    /// Refuses a client that takes too long, or accepts the next one.
    fn arrive(&mut self) -> Effort {
        if let Some(late) = self.late() {
            self.refuse(late, Refusal::Late);
            self.refused(ConnectError::Timeout { limit: self.settings.connect_limit });
            return Effort::Cheap;
        }
        if !self.is_asked {
            return Effort::None;
        }
        match self.accept_one() {
            Ok(Some(key)) => {
                if self.newcomer(key).is_some_and(|newcomer| newcomer.greeting.has_asked()) {
                    self.queue(key);
                }
            }
            Ok(None) => {
                self.is_asked = false;
                self.accept_again();
            }
            // That one was hung up on; the next may be welcome.
            Err(why) => self.refused(why),
        }
        Effort::Cheap
    }

    /// Goes on with the newcomer whose turn it is.
    fn greet_next(&mut self, service: &mut impl Service<O, T>) -> Effort {
        let Some(key) = self.lines.pop() else { return Effort::None };
        if let Some(newcomer) = self.newcomer(key)
            && let Some(since) = newcomer.queued.take()
        {
            newcomer.greeting.excuse(since.elapsed());
        }
        let effort = self.greet(service, key);
        self.watch_newcomer(key);
        effort
    }

    /// The client that is connecting for longest, if it takes too long. One that waits for its turn does not.
    fn late(&self) -> Option<Key> {
        let &key = self.newcomers.first()?;
        match self.members.get(key) {
            Some(Member::Newcomer(newcomer))
                if newcomer.queued.is_some() || newcomer.greeting.time_left().is_some() =>
            {
                None
            }
            _ => Some(key),
        }
    }

    /// Accepts the next client. Where as many are connecting as may, one of them gives way, or the new one has to.
    fn accept_one(&mut self) -> Result<Option<Key>, ConnectError> {
        let limit = self.settings.connect_limit;
        let Some(listener) = self.listener() else { return Ok(None) };
        let Some(mut greeting) = listener.accept(limit)? else { return Ok(None) };
        if self.newcomers.len() >= MAX_NEWCOMERS {
            let Some(key) = self.expendable(greeting.origin()) else {
                greeting.refuse(Refusal::Full);
                return Err(ConnectError::Full);
            };
            self.refuse(key, Refusal::Full);
        }
        self.add_newcomer(greeting).map(Some)
    }

    fn listener(&mut self) -> Option<&mut Listener> {
        match self.members.get_mut(self.listener?) {
            Some(Member::Listener(listener)) => Some(listener),
            _ => None,
        }
    }

    /// Which of those that are connecting gives way to a further one.
    fn expendable(&self, further: Origin) -> Option<Key> {
        let now = Instant::now();
        let place = |key: &Key| match self.members.get(*key) {
            Some(Member::Newcomer(newcomer)) => {
                let Newcomer { greeting, queued, .. } = &**newcomer;
                let has_had_its_time = queued.is_none() && greeting.has_had_its_time(now);
                Some((*key, Place { origin: greeting.origin(), is_silent: greeting.is_silent(), has_had_its_time }))
            }
            _ => None,
        };
        let places: Vec<(Key, Place)> = self.newcomers.iter().filter_map(place).collect();
        gives_way(&places, further)
    }

    /// Hears of the listener once more, when a client can be accepted. If it cannot be watched any longer it is forgotten.
    pub(super) fn accept_again(&mut self) {
        let Some(key) = self.listener else { return };
        self.is_resting = self.listener().is_some_and(|listener| listener.rest().is_some());
        if !self.is_resting
            && let Some(Member::Listener(listener)) = self.members.get(key)
            && self.watch.change(key, listener.as_fd(), Report::Once).is_err()
        {
            self.remove(key);
        }
    }

    /// Hears of a client that is still connecting once more. One that is gone, or cannot be watched any longer, is forgotten.
    fn watch_newcomer(&mut self, key: Key) {
        let Self { watch, members, .. } = self;
        let Some(Member::Newcomer(newcomer)) = members.get_mut(key) else { return };
        let other = newcomer.other.zip(newcomer.offer.other());
        let is_watched = !newcomer.is_gone
            && watch.change(key, newcomer.greeting.as_fd(), Report::Once).is_ok()
            && other.is_none_or(|(other, descriptor)| watch.change(other, descriptor, Report::Once).is_ok());
        if !is_watched {
            self.remove(key);
        }
    }

    /// A client that is connecting is to be attended to.
    pub(super) fn queue(&mut self, key: Key) {
        if let Some(newcomer) = self.newcomer(key)
            && newcomer.queued.is_none()
        {
            newcomer.queued = Some(Instant::now());
            let origin = newcomer.greeting.origin();
            self.lines.push(origin, key);
        }
    }

    /// Hangs up on a client that is connecting, and says why.
    fn refuse(&mut self, key: Key, reason: Refusal) {
        if let Some(newcomer) = self.newcomer(key) {
            newcomer.greeting.refuse(reason);
        }
        self.remove(key);
    }

    /// Goes on with a client that connects, as far as it has come.
    pub(super) fn greet(&mut self, service: &mut impl Service<O, T>, key: Key) -> Effort {
        let mut effort = Effort::Cheap;
        // What is left of those that have gone counts.
        if self.sessions + self.departed.len() >= self.settings.max_clients && self.bury(service) == Effort::Dear {
            effort = Effort::Dear;
        }
        let is_full = self.sessions >= self.settings.max_clients;
        for _ in 0..MAX_STEPS {
            let Some(Newcomer { greeting, offer, .. }) = self.newcomer(key) else { return effort };
            let progress = match greeting.step() {
                Ok(Step::Pending) => return effort,
                Ok(Step::Asked | Step::Agreed) if is_full => Err(ConnectError::Full),
                // An offer costs far more than this look.
                Ok(Step::Asked) if greeting.channel().is_gone() => Err(ConnectError::PeerGone),
                Ok(step) => {
                    effort = Effort::Dear;
                    service.go_on(greeting, offer, step)
                }
                // It has been told.
                Err(why) => {
                    self.remove(key);
                    self.refused(why);
                    return effort;
                }
            };
            let result = match progress {
                Ok(Progress::Waits) => return effort,
                Ok(Progress::TriesAgain) => {
                    self.retries.push(key);
                    return effort;
                }
                Ok(Progress::GoesOn) => self.watch_other(key),
                Ok(Progress::Agrees) => {
                    if let Err(why) = self.promote(service, key) {
                        self.refused(why);
                    }
                    return effort;
                }
                Err(why) => Err(why),
            };
            if let Err(why) = result {
                self.refuse(key, reason_of(&why));
                self.refused(why);
                return effort;
            }
        }
        effort
    }

    /// Watches a newcomer's other descriptor, as soon as it has one.
    fn watch_other(&mut self, key: Key) -> Result<(), ConnectError> {
        let other_key = self.members.next_key();
        if let Some(Member::Newcomer(newcomer)) = self.members.get_mut(key)
            && newcomer.other.is_none()
            && let Some(descriptor) = newcomer.offer.other()
        {
            self.watch.add(other_key, descriptor, Report::Once).map_err(ConnectError::socket)?;
            newcomer.other = Some(other_key);
            self.members.insert(Member::Other(key));
        }
        Ok(())
    }

    /// Makes a session of a client with which all is agreed.
    fn promote(&mut self, service: &mut impl Service<O, T>, key: Key) -> Result<(), ConnectError> {
        // Nothing is done for such a member while it stands in for the session.
        let Some(Member::Newcomer(newcomer)) = self.members.replace(key, Member::Other(key)) else {
            return Err(ConnectError::PeerGone);
        };
        self.newcomers.retain(|other| *other != key);
        // The end of the last session comes before the beginning of the next one.
        while self.sessions == 0 && self.bury(service) != Effort::None {}
        let Newcomer { greeting, offer, mut other, .. } = *newcomer;
        let session = service.begin(greeting, offer).and_then(|session| {
            self.watch.change(key, session.client(), Report::EachTime).map_err(ConnectError::socket)?;
            if let Some(descriptor) = session.other() {
                match other {
                    Some(other) => {
                        self.watch.change(other, descriptor, Report::EachTime).map_err(ConnectError::socket)?
                    }
                    // Without it the client's hang-up tells of its end, if later.
                    None => {
                        let added = self.members.next_key();
                        let is_added = self.watch.add(added, descriptor, Report::EachTime).is_ok();
                        other = is_added.then(|| self.members.insert(Member::Other(key)));
                    }
                }
            }
            Ok(session)
        });
        let session = session.inspect_err(|_| {
            // The sockets are closed, and with that no longer watched: only the keys have to go.
            self.members.remove(key);
            other.and_then(|other| self.members.remove(other));
        })?;
        if session.is_unfaulted() {
            self.unfaulted.push_back(key);
        }
        self.members.replace(key, Member::Session(Box::new(session), other));
        self.members.poll(key);
        self.sessions += 1;
        self.events.push_back(Event::Joined(ClientKey(key)));
        Ok(())
    }

    /// A client was not taken in.
    fn refused(&mut self, why: ConnectError) {
        self.events.extend(self.notices.refused(why));
    }

    /// Pre-faults a bit more of a session's regions.
    fn prefault(&mut self, service: &mut impl Service<O, T>) -> Effort {
        let Some(key) = self.unfaulted.pop_front() else { return Effort::None };
        let Some(session) = self.session_at(key) else { return Effort::Cheap };
        match session.prefault() {
            Ok(()) if session.is_unfaulted() => self.unfaulted.push_back(key),
            Ok(()) => {}
            Err(why) => self.end(service, ClientKey(key), why),
        }
        Effort::Dear
    }
}

/// What a client is told when this is why there will be no session.
fn reason_of(why: &ConnectError) -> Refusal {
    match why {
        // What a table behind a proxy said is the proxy's answer, too.
        ConnectError::Refused { reason } => *reason,
        other => other.refusal().unwrap_or(Refusal::Handshake),
    }
}
