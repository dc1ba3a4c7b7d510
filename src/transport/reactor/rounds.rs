//! A reactor's rounds: serves polled clients, looks at the sockets in between, and sleeps when there is nothing.

use super::budget::Kind;
use super::{Member, Offer, Reactor, Service, Session, Source};
use crate::transport::error::{SessionError, TableError};
use crate::transport::job::{ClientKey, Event};
use crate::transport::memory::between_looks;
use crate::transport::options::Waiting;
use crate::transport::slots::Key;
use crate::transport::watch::{Ready, Report};
use std::time::{Duration, Instant};

/// Most events that are gathered at once.
const BATCH: usize = 256;
/// Most requests that are taken of a client in its turn: of one that is served alone, and of one among others, each of whom waits
/// for the requests of all.
const TURN_ALONE: usize = 64;
const TURN: usize = 16;
/// Busy rounds between two polls of the sockets, requests counted too, or the time between them.
const ROUNDS_PER_LOOK: u32 = 256;
const TIME_PER_LOOK: Duration = Duration::from_millis(2);
/// A lone client is waited for on its word, which is woken sooner than a socket, but the sockets have to be looked at in
/// between: so often, and only until it has been quiet for so long.
const WORD_SLEEP: Duration = Duration::from_millis(4);
const QUIET: Duration = Duration::from_millis(100);
/// While a client is connecting, it is seen so often whether its time is over.
const NEWCOMER_LOOK: Duration = Duration::from_millis(50);
/// How long a side is not heard that rings too often, after which its rings are looked at in any case: a request that is made
/// meanwhile is seen so much later at most, and [`TIME_PER_LOOK`].
const MUTED_FOR: Duration = Duration::from_millis(5);
/// With more polled clients than this a look at all of them takes longer than it saves.
const MAX_SPUN: usize = 16;

impl<O: Offer, T: Session> Reactor<O, T> {
    /// Serves clients, waiting for something for at most the limit; whether there was something, or an event has come.
    ///
    /// # Errors
    ///
    /// [`TableError::Wait`] if the system refuses to wait.
    #[inline(always)]
    pub(in crate::transport) fn round(
        &mut self,
        service: &mut impl Service<O, T>,
        limit: Duration,
    ) -> Result<bool, TableError> {
        if self.gather(service) {
            self.idle = None;
            return Ok(true);
        }
        self.wait(service, limit)
    }

    /// What the only client asks for next, if there is just one, it is polled, and no look at the sockets is due. It goes past the
    /// queue, where those behind it come. A side that polls looks for it for a while.
    #[inline(always)]
    pub(in crate::transport) fn next_of_lone(
        &mut self,
        mut take: impl FnMut(ClientKey, &mut T) -> Result<Option<Event>, SessionError>,
    ) -> Option<Event> {
        if self.sessions != 1 || !self.newcomers.is_empty() || self.rounds >= ROUNDS_PER_LOOK {
            return None;
        }
        let key = self.members.first_polled()?;
        let Some(Member::Session(session, _)) = self.members.get_mut(key) else { return None };
        if self.settings.waiting == Waiting::Poll {
            let mut looks = ROUNDS_PER_LOOK;
            while looks > 0 && !session.is_ready() {
                between_looks();
                looks -= 1;
            }
        }
        let client = ClientKey(key);
        let first = take(client, session);
        if let Ok(Some(_)) = first {
            for _ in 1..TURN_ALONE {
                match take(client, session) {
                    Ok(Some(event)) => self.events.push_back(event),
                    Ok(None) => break,
                    Err(why) => {
                        self.depart(client, why);
                        break;
                    }
                }
            }
            self.rounds += 1 + self.events.len() as u32;
            self.budgets.serve();
            self.idle = None;
        }
        first.unwrap_or_else(|why| {
            self.depart(client, why);
            None
        })
    }

    /// Serves polled clients, and looks at the sockets when that is due; whether there was something, or an event has come.
    #[inline(always)]
    fn gather(&mut self, service: &mut impl Service<O, T>) -> bool {
        self.rounds += 1;
        // Also with a crowd that comes or goes: of a client's requests one in so many waits for one of them.
        if self.rounds >= ROUNDS_PER_LOOK {
            self.rounds = 0;
            self.look_if_due(service);
        }
        let mut any = false;
        let turn = if self.members.polled() > 1 { TURN } else { TURN_ALONE };
        for _ in 0..self.members.polled() {
            if self.events.len() >= BATCH {
                break;
            }
            let Some(key) = self.members.next_polled() else { break };
            let Some(Member::Session(session, _)) = self.members.get_mut(key) else { continue };
            match service.serve(ClientKey(key), session, turn, &mut self.events) {
                Ok(is_served) => {
                    any |= is_served;
                    self.members.poll(key);
                }
                Err(why) => {
                    self.depart(ClientKey(key), why);
                    self.attend_to(service, Kind::Departures);
                }
            }
        }
        if any {
            self.rounds += self.events.len() as u32;
            self.budgets.serve();
        }
        any || !self.events.is_empty()
    }

    fn look_if_due(&mut self, service: &mut impl Service<O, T>) {
        if self.is_behind() || self.looked.elapsed() >= TIME_PER_LOOK {
            // What the system refuses here it refuses in the next wait too, which says so.
            let _ = self.look(service, Duration::ZERO);
        }
    }

    #[cold]
    fn wait(&mut self, service: &mut impl Service<O, T>, limit: Duration) -> Result<bool, TableError> {
        let start = Instant::now();
        let idle = *self.idle.get_or_insert(start);
        // A wake for nothing must not have this side spin in vain, and learn that spinning does not pay.
        let mut has_slept = false;
        loop {
            let left = limit.saturating_sub(start.elapsed());
            let mut is_found = false;
            match self.settings.waiting {
                Waiting::Poll => {
                    if !self.is_lone_and_quiet() {
                        for _ in 0..ROUNDS_PER_LOOK {
                            is_found = self.gather(service);
                            if is_found {
                                break;
                            }
                            between_looks();
                        }
                    }
                    if !is_found {
                        self.look_if_due(service);
                    }
                }
                waiting => {
                    if waiting == Waiting::Sleep || has_slept || !self.spin_for_polled(left) {
                        self.sleep(service, left, idle)?;
                        has_slept = true;
                    }
                }
            }
            if is_found || self.gather(service) {
                self.idle = None;
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }

    /// Whether there is one client alone that has nothing for some looks. Each of them is a load and a compare: a request waits
    /// for half a look on average, and a round costs as much as many of them.
    fn is_lone_and_quiet(&mut self) -> bool {
        let has_nothing = |session: &mut T| {
            between_looks();
            !session.is_ready()
        };
        self.only_session().is_some_and(|session| (0..ROUNDS_PER_LOOK).all(|_| has_nothing(session)))
    }

    /// Looks at polled clients for as long as that may pay; whether one has something.
    fn spin_for_polled(&mut self, limit: Duration) -> bool {
        let Self { spin, members, .. } = self;
        if !(1..=MAX_SPUN).contains(&members.polled()) {
            return false;
        }
        let is_any_ready = || {
            for _ in 0..members.polled() {
                let key = members.next_polled()?;
                let Some(Member::Session(session, _)) = members.get_mut(key) else { continue };
                let is_ready = session.is_ready();
                members.poll(key);
                if is_ready {
                    return Some(());
                }
            }
            None
        };
        spin.find(limit, is_any_ready).is_some()
    }

    /// Tells every polled client to ring, and sleeps until one does.
    fn sleep(&mut self, service: &mut impl Service<O, T>, limit: Duration, idle: Instant) -> Result<(), TableError> {
        let slept = Instant::now();
        let is_lone = slept - idle < QUIET && self.only_session().is_some();
        // A look that is due comes before a lone client's sleep: the other side waits for what comes after that.
        if self.is_behind() || is_lone && slept - self.looked >= TIME_PER_LOOK {
            return self.look(service, Duration::ZERO);
        }
        let to_next = self.time_to_next();
        if is_lone
            && let Some(session) = self.only_session()
            && session.sleep(limit.min(WORD_SLEEP).min(to_next))
        {
            self.learn_from(slept);
            return Ok(());
        }
        let is_ready = self.arm_polled();
        let limit = if is_ready { Duration::ZERO } else { limit.min(self.longest_sleep()).min(to_next) };
        self.look(service, limit)?;
        self.learn_from(slept);
        Ok(())
    }

    /// A sleep is over that began then.
    fn learn_from(&self, slept: Instant) {
        if self.settings.waiting == Waiting::Adaptive {
            self.spin.slept(slept.elapsed());
        }
    }

    /// The only session, if there is just one, it is polled, and no client is connecting.
    fn only_session(&mut self) -> Option<&mut T> {
        if self.sessions != 1 || !self.newcomers.is_empty() {
            return None;
        }
        for _ in 0..self.members.polled() {
            let key = self.members.next_polled()?;
            if self.session_at(key).is_some() {
                self.members.poll(key);
                return self.session_at(key);
            }
        }
        None
    }

    /// Tells every polled client to ring from now on; whether one has something already, and stays polled.
    fn arm_polled(&mut self) -> bool {
        let mut any = false;
        for _ in 0..self.members.polled() {
            let Some(key) = self.members.next_polled() else { break };
            if let Some(session) = self.session_at(key)
                && session.arm()
            {
                self.members.poll(key);
                any = true;
            }
        }
        any
    }

    /// How long a sleep may be, because of clients that are connecting or muted.
    fn longest_sleep(&self) -> Duration {
        let newcomer = if self.newcomers.is_empty() && !self.is_resting { Duration::MAX } else { NEWCOMER_LOOK };
        let muted = self.muted.front().map(|(.., until)| until.saturating_duration_since(Instant::now()));
        newcomer.min(muted.unwrap_or(Duration::MAX))
    }

    /// Sees what the sockets have, waiting for at most the limit. What is not a request has its moments then, so that clients are
    /// served in between.
    fn look(&mut self, service: &mut impl Service<O, T>, limit: Duration) -> Result<(), TableError> {
        self.looked = Instant::now();
        self.hear_again();
        for ready in self.watch.wait(limit).map_err(TableError::wait)? {
            self.see(ready);
        }
        self.attend(service);
        Ok(())
    }

    /// A descriptor has something.
    fn see(&mut self, ready: Ready) {
        let (key, source) = match self.members.get(ready.key) {
            Some(Member::Other(key)) => (*key, Source::Other),
            _ => (ready.key, Source::Client),
        };
        match self.members.get_mut(key) {
            Some(Member::Listener(_)) => self.is_asked = true,
            Some(Member::Newcomer(newcomer)) => {
                newcomer.is_gone |= ready.is_gone;
                self.queue(key);
            }
            Some(Member::Session(session, _)) => {
                let result = if ready.is_gone { Err(SessionError::PeerGone) } else { session.woken(source) };
                match result {
                    Ok(is_heard) => {
                        if !is_heard {
                            self.mute(key, source);
                        }
                        self.members.poll(key);
                    }
                    Err(why) => self.depart(ClientKey(key), why),
                }
            }
            Some(Member::Other(_)) | None => {}
        }
    }

    /// Mutes one side of a session for a while: its rings are not heard, but its end is noticed.
    fn mute(&mut self, key: Key, source: Source) {
        if self.listen_to(key, source, Report::Nothing) {
            self.muted.push_back((key, source, Instant::now() + MUTED_FOR));
        }
    }

    /// From now on hears that of one side of a session; whether there is that side, and it can be.
    fn listen_to(&self, key: Key, source: Source, report: Report) -> bool {
        let Some(Member::Session(session, other)) = self.members.get(key) else { return false };
        match (source, session.other().zip(*other)) {
            (Source::Client, _) => self.watch.change(key, session.client(), report).is_ok(),
            (Source::Other, Some((descriptor, other))) => self.watch.change(other, descriptor, report).is_ok(),
            (Source::Other, None) => false,
        }
    }

    /// Goes on with what was put off: the listener, clients that could not go on connecting, and those that were muted.
    fn hear_again(&mut self) {
        if self.is_resting {
            self.accept_again();
        }
        while let Some(key) = self.retries.pop() {
            self.queue(key);
        }
        // Each turn takes one off.
        while let Some(&(key, source, until)) = self.muted.front()
            && until <= Instant::now()
        {
            self.muted.pop_front();
            self.listen_to(key, source, Report::EachTime);
            self.members.poll(key);
        }
    }
}
