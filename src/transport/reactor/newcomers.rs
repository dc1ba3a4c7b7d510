//! Clients that connect: accepted, greeted as far as they have come, made sessions, or refused; and what else has a budget.

use super::budget::{Effort, Kind, Rings};
use super::crowd::{MAX_NEWCOMERS, Place, gives_way};
use super::{Name, Newcomer, Progress, Reactor, Served, Service, Source};
use crate::transport::connect::{ConnectError, Greeting, Listener, Origin, Refusal, Step};
use crate::transport::error::SessionError;
use crate::transport::job::Event;
use crate::transport::memory::Memory;
use crate::transport::watch::Report;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long a newcomer waits that could not go on.
const RETRY: Duration = Duration::from_millis(5);
/// While a client is connecting, it is seen so often whether its time is over.
pub(super) const NEWCOMER_LOOK: Duration = Duration::from_millis(50);
/// What is pre-faulted at a time: some dozen microseconds.
const FAULT_BYTES: usize = 128 << 10;

impl<S: Service> Reactor<S> {
    /// Watches a client that is connecting. It is told if that cannot be.
    pub(super) fn add_newcomer(&mut self, mut greeting: Greeting) -> Result<(), ConnectError> {
        self.last_newcomer += 1;
        let number = self.last_newcomer;
        let key = Name::Newcomer(number, Source::Client).to_key();
        if let Err(cause) = self.watch.add(key, greeting.as_fd(), Report::ONCE) {
            let error = ConnectError::socket(cause);
            greeting.refuse(error.refusal());
            return Err(error);
        }
        let has_asked = greeting.has_asked();
        self.newcomers.insert(number, Newcomer { greeting, offer: S::Offer::default(), queued: None });
        if has_asked {
            self.queue(number);
        }
        Ok(())
    }

    /// Whether there is something of that kind to be done.
    fn has(&self, kind: Kind) -> bool {
        match kind {
            Kind::Departures => !self.departed.is_empty() || !self.remains.is_empty(),
            Kind::Arrivals => self.is_asked,
            Kind::Greetings => !self.lines.is_empty() || self.agreed.is_some(),
            Kind::Faults => !self.unfaulted.is_empty(),
        }
    }

    /// How long it is until the next turn of something that is to be done, and of which the sockets will not tell again.
    pub(super) fn time_to_next(&self) -> Duration {
        let waiting = Kind::ALL.into_iter().filter(|kind| self.has(*kind));
        waiting.map(|kind| self.budgets.time_left(kind)).min().unwrap_or(Duration::MAX)
    }

    /// Attends to what is of a kind for a moment, if it is time, and after that many steps only until a client asks for something or is
    /// about to.
    pub(super) fn attend_to(&mut self, kind: Kind, least_steps: u32) {
        let is_time = self.has(kind) && self.budgets.time_left(kind).is_zero();
        if !is_time || least_steps == 0 && self.find_ready(1).is_some() {
            return;
        }
        let mut moment = self.budgets.begin(kind);
        for step in 1.. {
            let effort = match kind {
                Kind::Departures => self.bury(),
                Kind::Arrivals => self.arrive(),
                Kind::Greetings => self.greet(),
                Kind::Faults => self.prefault(),
            };
            self.budgets.pass_lull();
            if !moment.goes_on_after(effort) {
                break;
            }
            if step >= least_steps && (self.find_ready(1).is_some() || !self.budgets.time_left(kind).is_zero()) {
                return self.budgets.interrupt(kind, moment);
            }
        }
        let is_put_off = self.budgets.shut(kind, || moment.spent()) && self.has(kind);
        if is_put_off && matches!(kind, Kind::Arrivals | Kind::Greetings) {
            self.events.extend(self.notices.throttled());
        }
    }

    /// Gives up a bit of what sessions had that are over.
    pub(super) fn bury(&mut self) -> Effort {
        if self.remains.pop().is_none() {
            let Some((client, session)) = self.departed.pop_front() else { return Effort::None };
            self.remains = self.service.end(client, session, self.sessions.len());
        }
        Effort::Dear
    }

    /// Accepts the next client.
    fn arrive(&mut self) -> Effort {
        let limit = self.connect_limit;
        let accepted = self.listener.as_mut().map_or(Ok(None), |listener| listener.accept(limit));
        match accepted.and_then(|greeting| greeting.map(|greeting| self.admit(greeting)).transpose()) {
            Ok(Some(())) => {}
            Ok(None) => {
                self.is_asked = false;
                self.accept_again();
            }
            // That one was hung up on; the next may be welcome.
            Err(why) => self.events.extend(self.notices.refused(why)),
        }
        Effort::Cheap
    }

    /// Takes in a client that connects. Where as many are connecting as may, one of them gives way, or the new one has to.
    fn admit(&mut self, mut greeting: Greeting) -> Result<(), ConnectError> {
        if self.newcomers.len() >= MAX_NEWCOMERS {
            let Some(number) = self.expendable(greeting.origin()) else {
                greeting.refuse(Refusal::Full);
                return Err(ConnectError::Full);
            };
            self.refuse(number, ConnectError::Full);
        }
        self.add_newcomer(greeting)
    }

    /// Hears of the listener once more, when a client can be accepted. If it cannot be watched any longer it is given up.
    pub(super) fn accept_again(&mut self) {
        if let Some(rest) = self.listener.as_ref().and_then(Listener::rest) {
            self.muted.insert((Instant::now() + rest, Name::Listener));
        } else if self.hear(Name::Listener, Report::ONCE).is_err() {
            self.listener = None;
        }
    }

    /// Queues those that take too long: they hear of it when it is their turn. There may be many, and a look at them is not due
    /// with each look at the sockets.
    pub(super) fn queue_late(&mut self) {
        if self.newcomers.is_empty() || self.looked.saturating_duration_since(self.late_looked) < NEWCOMER_LOOK {
            return;
        }
        self.late_looked = self.looked;
        let is_late = |newcomer: &Newcomer<S>| newcomer.queued.is_some() || newcomer.greeting.time_left().is_none();
        let late = self.newcomers.iter().take_while(|(_, newcomer)| is_late(newcomer));
        for number in late.map(|(number, _)| *number).collect::<Vec<_>>() {
            self.queue(number);
        }
    }

    /// Which of those that are connecting gives way to a further one.
    fn expendable(&self, further: Origin) -> Option<u64> {
        let now = Instant::now();
        let places: Vec<Place> = self.newcomers.values().map(|newcomer| newcomer.place(now)).collect();
        self.newcomers.keys().nth(gives_way(&places, further)?).copied()
    }

    /// A client that is connecting is to be attended to.
    pub(super) fn queue(&mut self, number: u64) {
        if let Some(newcomer) = self.newcomers.get_mut(&number)
            && newcomer.queued.is_none()
        {
            newcomer.queued = Some(Instant::now());
            self.lines.push(newcomer.greeting.origin(), number);
        }
    }

    /// Goes on with the newcomer whose turn it is, if it has come further, and hears of it once more.
    fn greet(&mut self) -> Effort {
        if let Some((number, is_prepared)) = self.agreed.take() {
            return self.go_on_with_session(number, is_prepared);
        }
        let Some(number) = self.lines.pop() else { return Effort::None };
        let mut effort = Effort::Cheap;
        // What is left of those that have gone counts.
        while self.sessions.len() + self.departed.len() >= self.max_clients && self.bury() != Effort::None {
            effort = Effort::Dear;
        }
        let is_full = self.sessions.len() >= self.max_clients;
        let Some(Newcomer { greeting, offer, queued }) = self.newcomers.get_mut(&number) else { return effort };
        if let Some(since) = queued.take() {
            greeting.excuse(since.elapsed());
        }
        let progress = greeting.step().and_then(|step| match step {
            Step::Pending => Ok(Progress::Waits),
            _ if is_full => Err(ConnectError::Full),
            Step::Asked | Step::Agreed => {
                effort = Effort::Dear;
                self.offered = Some(Instant::now());
                self.service.go_on(greeting, offer)
            }
        });
        let hear = |source| self.hear(Name::Newcomer(number, source), Report::ONCE).map_err(ConnectError::socket);
        match progress {
            Ok(Progress::Waits) => hear(Source::Client).and_then(|()| hear(Source::Other)),
            Ok(Progress::TriesAgain) => {
                self.muted.insert((Instant::now() + RETRY, Name::Newcomer(number, Source::Client)));
                Ok(())
            }
            Ok(Progress::Agrees) => {
                (self.agreed, effort) = (Some((number, false)), Effort::Begun);
                Ok(())
            }
            Err(why) => Err(why),
        }
        .unwrap_or_else(|why| self.refuse(number, why));
        effort
    }

    /// Prepares the session of a client with which all is agreed, and then begins it.
    fn go_on_with_session(&mut self, number: u64, is_prepared: bool) -> Effort {
        let Some(newcomer) = self.newcomers.get_mut(&number) else { return Effort::Cheap };
        match if is_prepared { self.promote(number) } else { S::prepare(&mut newcomer.greeting) } {
            Ok(()) if !is_prepared => {
                self.agreed = Some((number, true));
                return Effort::Begun;
            }
            Ok(()) => {}
            Err(why) => self.refuse(number, why),
        }
        Effort::Dear
    }

    /// Hangs up on a client that is connecting, and says why.
    fn refuse(&mut self, number: u64, why: ConnectError) {
        if let Some(mut newcomer) = self.newcomers.remove(&number) {
            newcomer.greeting.refuse(why.refusal());
            if newcomer.queued.is_some() {
                self.lines.forget(newcomer.greeting.origin(), number);
            }
            for source in [Source::Client, Source::Other] {
                newcomer.descriptor(source).into_iter().for_each(|descriptor| self.watch.remove(descriptor));
            }
        }
        self.events.extend(self.notices.refused(why));
    }

    /// Makes a session of a client with which all is agreed.
    fn promote(&mut self, number: u64) -> Result<(), ConnectError> {
        let Some(Newcomer { greeting, offer, .. }) = self.newcomers.remove(&number) else {
            return Err(ConnectError::PeerGone);
        };
        // The end of the last session comes before the beginning of the next one.
        while self.sessions.len() == 0 && self.bury() != Effort::None {}
        let (session, unfaulted) = self.service.begin(greeting, offer)?;
        let rings = [(); 2].map(|()| Rings::new(Instant::now()));
        let key = self.sessions.insert(Box::new(Served { session, rings, muted: [false; 2], last_turns: None }));
        if let Err(cause) = self.hear(Name::Session(key, Source::Client), Report::EACH_TIME) {
            self.sessions.remove(key);
            return Err(ConnectError::socket(cause));
        }
        // Without the other one the client's hang-up tells of its end, if later.
        let _ = self.hear(Name::Session(key, Source::Other), Report::EACH_TIME);
        self.unfaulted.extend(unfaulted.into_iter().map(|region| (key, region, 0)));
        self.sessions.poll(key);
        self.events.push_back(Event::Joined(key));
        Ok(())
    }

    /// Pre-faults a bit more of a region, which is the next one's turn then.
    fn prefault(&mut self) -> Effort {
        let Some((key, region, done_bytes)) = self.unfaulted.pop_front() else { return Effort::None };
        let len_bytes = FAULT_BYTES.min(region.len_bytes() - done_bytes);
        if region.prefault(done_bytes, len_bytes).is_err() {
            self.end(key, SessionError::OutOfMemory);
        } else if done_bytes + len_bytes < region.len_bytes() {
            self.unfaulted.push_back((key, region, done_bytes + len_bytes));
        }
        Effort::Dear
    }
}
