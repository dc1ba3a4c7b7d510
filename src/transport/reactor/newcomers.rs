//! Clients that connect: accepted, greeted as far as they have come, made sessions, or refused.

use super::admission::{Effort, Moment};
use super::{Member, Newcomer, Offer, Progress, Reactor, Service, Session};
use crate::transport::connect::{ConnectError, Greeting, Listener, MAX_GREETINGS, Refusal, Step, expendable};
use crate::transport::job::{ClientKey, Event};
use crate::transport::slots::Key;
use crate::transport::watch::Report;
use std::os::fd::AsFd;

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

    /// Attends to newcomers for a moment, if it is time.
    pub(super) fn attend(&mut self, service: &mut impl Service<O, T>) {
        if !self.admission.is_open() || !self.admission.is_due() && self.late().is_none() {
            return;
        }
        let mut moment = Moment::begin();
        while moment.goes_on_after(self.attend_one(service)) {}
        if self.admission.shut(moment) {
            self.events.extend(self.notices.throttled());
        }
    }

    /// One step: of a client that takes too long, or of the next that waits.
    fn attend_one(&mut self, service: &mut impl Service<O, T>) -> Effort {
        if let Some(late) = self.late() {
            self.refuse(late, Refusal::Late);
            self.refused(ConnectError::Timeout { limit: self.settings.connect_limit });
            return Effort::Cheap;
        }
        let Some(key) = self.admission.pop() else { return Effort::None };
        match self.members.get(key) {
            Some(Member::Listener(_)) => self.accept(service, key),
            Some(Member::Session(..)) => self.prefault(service, key),
            Some(Member::Newcomer(_)) => {
                let effort = self.greet(service, key);
                self.watch_newcomer(key);
                effort
            }
            Some(Member::Other(_)) | None => Effort::Cheap,
        }
    }

    /// The client that is connecting for longest, if it takes too long.
    fn late(&self) -> Option<Key> {
        let &key = self.newcomers.first()?;
        match self.members.get(key) {
            Some(Member::Newcomer(newcomer)) if newcomer.greeting.time_left().is_some() => None,
            _ => Some(key),
        }
    }

    /// Accepts the next client. The others wait in line if there is none, and while as many are connecting as can be and all
    /// of them are new.
    fn accept(&mut self, service: &mut impl Service<O, T>, listener: Key) -> Effort {
        let effort = match self.accept_one() {
            Ok(None) => {
                self.accept_again();
                return Effort::Cheap;
            }
            Ok(Some(key)) => self.greet(service, key),
            // That one was hung up on; the next may be welcome.
            Err(why) => {
                self.refused(why);
                Effort::Cheap
            }
        };
        self.admission.push(listener);
        effort
    }

    fn accept_one(&mut self) -> Result<Option<Key>, ConnectError> {
        if self.is_crowded() {
            return Ok(None);
        }
        let limit = self.settings.connect_limit;
        let Some(listener) = self.listener() else { return Ok(None) };
        let Some(greeting) = listener.accept(limit)? else { return Ok(None) };
        if self.newcomers.len() >= MAX_GREETINGS
            && let Some(key) = self.expendable()
        {
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

    /// Whether as many are connecting as can be, and all of them are new.
    fn is_crowded(&self) -> bool {
        self.newcomers.len() >= MAX_GREETINGS && self.expendable().is_none()
    }

    /// A client that is connecting and has had its time.
    fn expendable(&self) -> Option<Key> {
        expendable(self.newcomers.iter().filter_map(|key| match self.members.get(*key) {
            Some(Member::Newcomer(newcomer)) => Some((*key, &newcomer.greeting)),
            _ => None,
        }))
    }

    /// Hears of the listener once more, when a client can be accepted. If it cannot be watched any longer it is forgotten.
    pub(super) fn accept_again(&mut self) {
        let Some(key) = self.listener else { return };
        self.is_resting = self.is_crowded() || self.listener().is_some_and(|listener| listener.rest().is_some());
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
        newcomer.is_queued = false;
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
            && !std::mem::replace(&mut newcomer.is_queued, true)
        {
            self.admission.push(key);
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
        let is_full = self.sessions >= self.settings.max_clients;
        let mut effort = Effort::Cheap;
        for _ in 0..MAX_STEPS {
            let Some(Newcomer { greeting, offer, .. }) = self.newcomer(key) else { return effort };
            let progress = match greeting.step() {
                Ok(Step::Pending) => return effort,
                Ok(Step::Asked) if is_full => Err(ConnectError::Full),
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
            self.admission.push_unfaulted(key);
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
    fn prefault(&mut self, service: &mut impl Service<O, T>, key: Key) -> Effort {
        let Some(session) = self.session_at(key) else { return Effort::Cheap };
        match session.prefault() {
            Ok(()) if session.is_unfaulted() => self.admission.push_unfaulted(key),
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
