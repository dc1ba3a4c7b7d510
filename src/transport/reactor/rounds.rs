//! A reactor's rounds: serves polled clients, looks at the sockets in between, and sleeps when there is nothing.

use super::budget::Kind;
use super::newcomers::NEWCOMER_LOOK;
use super::{Name, Reactor, Served, Service, Session, Source};
use crate::transport::error::{SessionError, TableError};
use crate::transport::job::ClientKey;
use crate::transport::memory::between_looks;
use crate::transport::options::Waiting;
use crate::transport::semaphore::{Doorbell, Via};
use crate::transport::slots::Key;
use crate::transport::watch::{Ready, Report};
use rustix::io::Errno;
use std::mem::replace;
use std::time::{Duration, Instant};

/// Most events that are gathered at once.
const BATCH: usize = 256;
/// Most requests that are taken of a client in its turn: of one that is served alone, and of one among others, each of whom waits
/// for the requests of all.
const TURN_ALONE: usize = 64;
pub(super) const TURN: usize = 16;
/// Busy rounds between two polls of the sockets, requests counted too, or the time between them.
const ROUNDS_PER_LOOK: u32 = 256;
const TIME_PER_LOOK: Duration = Duration::from_millis(2);
/// A few clients are waited for on their words, which are woken sooner than sockets, but the sockets have to be looked at in
/// between: so often, and only until all have been quiet for so long.
const WORD_SLEEP: Duration = Duration::from_millis(4);
const QUIET: Duration = Duration::from_millis(100);
/// Most sessions that are waited for so: each word costs the system some tenths of a microsecond at each sleep.
const MAX_ON_WORDS: usize = 8;
/// A newcomer accepts within so long what it is offered, if it does not have to wait for a CPU: its answer is waited for with all
/// sockets.
const PROMPT: Duration = Duration::from_millis(1);
/// How long a side is not heard that rings too often, after which its rings are looked at in any case: a request that is made
/// meanwhile is seen so much later at most, and [`TIME_PER_LOOK`].
const MUTED_FOR: Duration = Duration::from_millis(5);
/// With more polled clients than this a look at all of them takes longer than it saves.
const MAX_SPUN: usize = 16;

/// How many requests are taken of each of so many polled clients in its turn.
#[inline(always)]
fn turn_among(polled: usize) -> usize {
    if polled > 1 { TURN } else { TURN_ALONE }
}

/// Says whether a session has something, if it is no last turn, for [`Slots::find`](crate::transport::slots::Slots::find).
#[inline(always)]
fn ready<S: Service>(served: &mut Served<S>) -> Option<()> {
    (served.last_turns.is_none() && served.session.is_ready()).then_some(())
}

impl<S: Service> Reactor<S> {
    /// Serves clients, waiting for something for at most the limit; whether there was something, or an event has come.
    #[inline(always)]
    pub(in crate::transport) fn round(&mut self, limit: Duration) -> Result<bool, TableError> {
        if self.gather() {
            self.idle = None;
            return Ok(true);
        }
        self.wait(limit)
    }

    /// Whether the client whose turn it is asks for more, and no look at the sockets is due.
    #[inline(always)]
    pub(in crate::transport) fn turn_goes_on(&mut self) -> bool {
        let Some((key, 1..)) = self.turn else { return false };
        self.rounds < ROUNDS_PER_LOOK && self.sessions.get_mut(key).is_some_and(|served| ready(served).is_some())
    }

    /// Begins the turn of a polled client that asks for something, if there are few of them and no look at the sockets is due. A side
    /// that polls looks for one for a while.
    #[inline(always)]
    pub(in crate::transport) fn begin_turn(&mut self) {
        let polled = self.sessions.polled();
        let looks = if self.waiting == Waiting::Poll { ROUNDS_PER_LOOK } else { 1 };
        let can_begin = self.rounds < ROUNDS_PER_LOOK && (1..=MAX_SPUN).contains(&polled);
        self.turn = if can_begin { self.find_ready(looks).map(|key| (key, turn_among(polled))) } else { None };
    }

    /// What the client whose turn it is asks for next.
    #[inline(always)]
    pub(in crate::transport) fn take_in_turn<T>(
        &mut self,
        take: impl FnOnce(&mut S, ClientKey, &mut S::Session) -> Result<Option<T>, SessionError>,
    ) -> Option<(ClientKey, T)> {
        let (client, left) = self.turn?;
        match take(&mut self.service, client, &mut self.sessions.get_mut(client)?.session) {
            Ok(Some(taken)) => {
                self.turn = Some((client, left - 1));
                self.rounds += 1;
                self.budgets.serve();
                self.idle = None;
                Some((client, taken))
            }
            Ok(None) => None,
            Err(why) => {
                self.end(client, why);
                None
            }
        }
    }

    /// Looks at polled clients, so many times, until one has something. A look is a load and a compare: a request waits for half a
    /// look on average, and a round costs as much as many of them.
    #[inline(always)]
    pub(super) fn find_ready(&mut self, mut looks: u32) -> Option<Key> {
        loop {
            let found = match self.sessions.only_polled() {
                Some((key, served)) => ready(served).map(|()| key),
                None => self.sessions.find(usize::MAX, |served, _| ready(served)).map(|(key, ())| key),
            };
            looks -= 1;
            if found.is_some() || looks == 0 {
                return found;
            }
            between_looks();
        }
    }

    /// Serves polled clients, and looks at the sockets when that is due; whether there was something, or an event has come.
    #[inline(always)]
    fn gather(&mut self) -> bool {
        self.rounds += 1;
        // Also with a crowd that comes or goes: of a client's requests one in so many waits for one of them.
        if self.rounds >= ROUNDS_PER_LOOK {
            self.rounds = 0;
            self.look_if_due();
        }
        let mut any = false;
        let turn = turn_among(self.sessions.polled());
        for _ in 0..self.sessions.polled() {
            if self.events.len() >= BATCH {
                break;
            }
            let Some(key) = self.sessions.next_polled() else { break };
            let Some(served) = self.sessions.get_mut(key) else { continue };
            match self.service.serve(key, &mut served.session, turn, &mut self.events) {
                Ok(is_served) => {
                    any |= is_served;
                    if served.has_turns_after(is_served) {
                        self.sessions.poll(key);
                    } else {
                        self.depart(key, SessionError::PeerGone);
                    }
                }
                Err(why) => self.end(key, why),
            }
        }
        if any {
            self.rounds += self.events.len() as u32;
            self.budgets.serve();
        }
        any || !self.events.is_empty()
    }

    fn look_if_due(&mut self) {
        if self.longest_sleep(Duration::ZERO).is_zero() || self.looked.elapsed() >= TIME_PER_LOOK {
            // What the system refuses here it refuses in the next wait too, which says so.
            let _ = self.look(Duration::ZERO, 1);
        }
    }

    #[cold]
    fn wait(&mut self, limit: Duration) -> Result<bool, TableError> {
        let start = Instant::now();
        let idle = *self.idle.get_or_insert(start);
        // A wake for nothing must not have this side spin in vain, and learn that spinning does not pay.
        let mut has_slept = false;
        loop {
            let left = limit.saturating_sub(start.elapsed());
            if self.waiting == Waiting::Poll {
                if self.find_ready(ROUNDS_PER_LOOK).is_none() {
                    self.look_if_due();
                }
            } else if self.waiting == Waiting::Sleep || has_slept || !self.spin_for_polled(left) {
                self.sleep(left, idle)?;
                has_slept = true;
            }
            if self.gather() {
                self.idle = None;
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }

    /// Looks at polled clients for as long as that may pay; whether one has something.
    fn spin_for_polled(&mut self, limit: Duration) -> bool {
        let Self { spin, sessions, .. } = self;
        if !(1..=MAX_SPUN).contains(&sessions.polled()) {
            return false;
        }
        spin.find(limit, || sessions.find(usize::MAX, |served, _| ready(served))).is_some()
    }

    /// Tells every polled client to ring, and sleeps until one does.
    fn sleep(&mut self, limit: Duration, idle: Instant) -> Result<(), TableError> {
        let slept = Instant::now();
        self.budgets.begin_lull(slept);
        // While clients ask, they wake this side in time for what is put off: a shorter sleep would be the next thing that the timer
        // has to ring for, and setting it twice for each sleep costs a guest a tenth of a request.
        let is_quiet = slept - idle >= QUIET;
        let longest = self.longest_sleep(if is_quiet { Duration::ZERO } else { WORD_SLEEP });
        let is_on_words = !is_quiet && self.has_words();
        // A look that is due comes before a sleep on words: the other side waits for what comes after that.
        if longest.is_zero() || is_on_words && slept - self.looked >= TIME_PER_LOOK {
            return self.look(Duration::ZERO, 0);
        }
        self.budgets.pass_lull();
        let limit = limit.min(longest);
        if !(is_on_words && self.sleep_on_words(limit.min(WORD_SLEEP))) {
            // Up to one that has something already.
            let found = self.sessions.find(0, |served, _| served.session.arm(Via::Socket).then_some(()));
            self.look(if found.is_some() { Duration::ZERO } else { limit }, 0)?;
        }
        if self.waiting == Waiting::Adaptive {
            self.spin.slept(slept.elapsed());
        }
        Ok(())
    }

    /// Whether clients can be waited for on their words: they are few, and no newcomer's answer is awaited. Newcomers that say
    /// nothing, however many there are, do not count.
    pub(in crate::transport) fn has_words(&self) -> bool {
        let is_awaited = !self.newcomers.is_empty() && self.offered.is_some_and(|offered| offered.elapsed() < PROMPT);
        (1..=MAX_ON_WORDS).contains(&self.sessions.len()) && !is_awaited
    }

    /// Tells every client that is heard to ring at its word, and sleeps until one does, without a look at any socket; false if this
    /// side has to wait at the sockets: no client is heard, the system does not let it wait for several words, or one was changed
    /// and is as before.
    fn sleep_on_words(&mut self, limit: Duration) -> bool {
        if self.sessions.polled() < self.sessions.len() {
            self.sessions.poll_all();
        }
        // Up to one that has something already.
        let found = self.sessions.find(usize::MAX, |served, _| {
            let is_ready = if served.is_muted() { served.session.is_ready() } else { served.session.arm(Via::Word) };
            is_ready.then_some(())
        });
        if found.is_some() {
            self.sessions.iter_polled().for_each(|served| served.session.disarm());
            return true;
        }
        let heard = self.sessions.iter_polled().filter(|served| !served.is_muted());
        let slept = Doorbell::sleep_on(heard.flat_map(|served| served.session.bells()), limit);
        let (mut number, mut is_explained) = (0, slept.is_ok());
        for _ in 0..self.sessions.polled() {
            let Some(key) = self.sessions.next_polled() else { break };
            self.sessions.poll(key);
            let Some(served) = self.sessions.get_mut(key).filter(|served| !served.is_muted()) else { continue };
            let mut rung = [false; 2];
            for (rung, bell) in rung.iter_mut().zip(served.session.bells()) {
                *rung = !bell.is_armed(Via::Word) || slept == Ok(Some(number));
                number += 1;
            }
            served.session.disarm();
            is_explained |= slept == Err(Errno::AGAIN) && rung != [false; 2];
            if !served.session.is_ready() {
                let sources = [Source::Client, Source::Other].into_iter().zip(rung);
                sources.filter(|(_, is_rung)| *is_rung).for_each(|(source, _)| self.count_ring(key, source, 1));
            }
        }
        is_explained
    }

    /// Counts a ring. A side that rings too often is not heard on, for a while; its end is noticed all the same.
    fn count_ring(&mut self, key: Key, source: Source, cost: u32) {
        let (name, now) = (Name::Session(key, source), Instant::now());
        let Some(served) = self.sessions.get_mut(key) else { return };
        let taken = served.session.taken(source);
        if !served.rings[source as usize].ring(cost, taken, now) && !replace(&mut served.muted[source as usize], true) {
            self.muted.insert((now + MUTED_FOR, name));
            let _ = self.hear(name, Report::NOTHING);
        }
    }

    /// How long a sleep may be, because of what is put off, and of clients that are connecting. What is put off need not be attended to
    /// on time: a sleep until then that is shorter than `least` is as long.
    fn longest_sleep(&self, least: Duration) -> Duration {
        let newcomers = if self.newcomers.is_empty() { Duration::MAX } else { NEWCOMER_LOOK };
        let muted = self.muted.first().map(|(until, ..)| until.saturating_duration_since(Instant::now()));
        let next = self.time_to_next();
        let next = if next.is_zero() { next } else { next.max(least) };
        next.min(newcomers).min(muted.unwrap_or(Duration::MAX))
    }

    /// Sees what the sockets have, waiting for at most the limit. What is not a request has its moments then, as long as no client
    /// asks for something, but so many steps at least: among clients of which one always does, it must not come to a halt.
    fn look(&mut self, limit: Duration, least_steps: u32) -> Result<(), TableError> {
        self.looked = Instant::now();
        self.hear_again();
        for ready in self.watch.wait(limit).map_err(TableError::wait)? {
            self.see(ready);
        }
        Kind::ALL.into_iter().for_each(|kind| self.attend_to(kind, least_steps));
        Ok(())
    }

    /// A descriptor has something.
    fn see(&mut self, ready: Ready) {
        let name = Name::of_key(ready.key);
        let (key, source) = match name {
            Name::Listener => return self.is_asked = true,
            Name::Newcomer(number, _) => return self.queue(number),
            Name::Session(key, source) => (key, source),
        };
        let Some(served) = self.sessions.get_mut(key) else { return };
        served.session.disarm();
        let taken_in = if ready.is_gone { Err(SessionError::PeerGone) } else { served.session.take_in(source) };
        match taken_in {
            Ok(cost) => self.count_ring(key, source, cost),
            // What it published before is served still.
            Err(SessionError::PeerGone) if served.has_last_turns() => return self.sessions.poll(key),
            Err(why) => return self.depart(key, why),
        }
        self.sessions.poll(key);
    }

    /// Goes on with what was put off, if its time is over.
    fn hear_again(&mut self) {
        self.queue_late();
        // Each turn takes one off.
        while let Some(&(until, name)) = self.muted.first()
            && until <= self.looked
        {
            self.muted.pop_first();
            match name {
                Name::Listener => self.accept_again(),
                Name::Newcomer(number, _) => self.queue(number),
                Name::Session(key, source) => {
                    let _ = self.hear(name, Report::EACH_TIME);
                    self.sessions.poll(key);
                    if let Some(served) = self.sessions.get_mut(key) {
                        served.muted[source as usize] = false;
                    }
                }
            }
        }
    }
}
