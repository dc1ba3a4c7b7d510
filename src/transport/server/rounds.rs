//! A table's rounds: takes what polled clients ask for, looks at the sockets in between, and sleeps when there is nothing.

use super::Table;
use super::admission::{Effort, Moment};
use super::member::Kind;
use super::offer::offer;
use super::served::Session;
use crate::transport::client::Waiting;
use crate::transport::connect::{ConnectError, Refusal, Step};
use crate::transport::error::{SessionError, TableError};
use crate::transport::job::{ClientKey, Event};
use crate::transport::semaphore::Key;
use crate::transport::session::lay_out_shared;
use std::time::{Duration, Instant};

/// Most events that are gathered at once, and most of one client.
const BATCH: usize = 256;
const BATCH_OF_ONE: usize = 64;
/// Busy rounds between two polls of the sockets, or the time between them.
const ROUNDS_PER_LOOK: u32 = 256;
const TIME_PER_LOOK: Duration = Duration::from_millis(2);
/// A lone client is waited for on its word, which is woken sooner than a socket, but the sockets have to be looked at in
/// between: so often, and only until it has been quiet for so long.
const WORD_SLEEP: Duration = Duration::from_millis(4);
const QUIET: Duration = Duration::from_millis(100);
/// With more polled clients than this a look at all of them takes longer than it saves.
const MAX_SPUN: usize = 16;

impl Table {
    /// As [`next`](Self::next), when all that was gathered is used up.
    pub(super) fn next_round(&mut self, limit: Duration) -> Result<Option<Event>, TableError> {
        self.flush();
        self.gather();
        match self.events.pop_front() {
            Some(event) => {
                self.idle = None;
                Ok(Some(event))
            }
            None => self.wait(limit),
        }
    }

    /// Takes what polled clients ask for, and looks at the sockets when that is due.
    #[inline(always)]
    fn gather(&mut self) {
        self.rounds = self.rounds.wrapping_add(1);
        // Also with a crowd that comes or goes: of a client's requests one in so many waits for one of them.
        if self.rounds.is_multiple_of(ROUNDS_PER_LOOK) {
            self.look_if_due();
        }
        for _ in 0..self.members.polled() {
            if self.events.len() >= BATCH {
                break;
            }
            let Some(key) = self.members.next_polled() else { break };
            let Some(session) = self.members.session(key) else { continue };
            match session.take(key, BATCH_OF_ONE, &mut self.events) {
                Ok(any) => {
                    self.members.poll(key);
                    if any {
                        self.members.touch(key);
                        self.admission.serve();
                    }
                }
                Err(violation) => self.end(key, violation.into()),
            }
        }
    }

    fn look_if_due(&mut self) {
        if self.is_behind() || self.looked.elapsed() >= TIME_PER_LOOK {
            // What the system refuses here it refuses in the next wait too, which says so.
            let _ = self.look(Duration::ZERO);
        }
    }

    #[cold]
    fn wait(&mut self, limit: Duration) -> Result<Option<Event>, TableError> {
        let start = Instant::now();
        let idle = *self.idle.get_or_insert(start);
        loop {
            let left = limit.saturating_sub(start.elapsed());
            match self.options.waiting {
                Waiting::Poll => {
                    for _ in 0..ROUNDS_PER_LOOK {
                        self.gather();
                        if !self.events.is_empty() {
                            break;
                        }
                        std::hint::spin_loop();
                    }
                    if self.events.is_empty() {
                        self.look_if_due();
                    }
                }
                Waiting::Adaptive => {
                    let members = &mut self.members;
                    let is_found = members.polled() <= MAX_SPUN
                        && members.polled() > 0
                        && self.spin.find(left, std::hint::spin_loop, || members.is_ready().then_some(())).is_some();
                    if !is_found {
                        self.sleep(left, idle)?;
                    }
                }
                Waiting::Sleep => self.sleep(left, idle)?,
            }
            self.gather();
            if let Some(event) = self.events.pop_front() {
                self.idle = None;
                return Ok(Some(event));
            }
            if left.is_zero() {
                return Ok(None);
            }
        }
    }

    /// Tells every polled client to ring, and sleeps until one does.
    fn sleep(&mut self, limit: Duration, idle: Instant) -> Result<(), TableError> {
        let slept = Instant::now();
        if self.is_behind() {
            return self.look(Duration::ZERO);
        }
        if slept - idle < QUIET
            && let Some(session) = self.members.only_session()
        {
            session.sleep(limit.min(WORD_SLEEP));
            self.spin.slept(slept.elapsed());
            self.look_if_due();
            return Ok(());
        }
        let is_ready = self.members.arm_all();
        let limit = if is_ready {
            Duration::ZERO
        } else {
            limit.min(self.members.longest_sleep()).min(self.admission.time_left().unwrap_or(Duration::MAX))
        };
        self.look(limit)?;
        self.spin.slept(slept.elapsed());
        Ok(())
    }

    /// Whether a client comes or goes of which the sockets will not tell again, and its turn has come.
    fn is_behind(&self) -> bool {
        !self.gone.is_empty() || self.admission.is_due()
    }

    /// Sees what the sockets have, waiting for at most the limit. Of the clients that go, which takes a while, one is attended
    /// to at each look, and those that come are for a moment, so that the others are served in between.
    fn look(&mut self, limit: Duration) -> Result<(), TableError> {
        self.looked = Instant::now();
        self.members.unmute_all();
        if self.gone.is_empty() {
            for ready in self.members.wait(limit)? {
                match self.members.kind(ready.key) {
                    Some(Kind::Session) if ready.is_gone => self.gone.push_back(ready.key),
                    Some(Kind::Session) => self.woken(ready.key),
                    Some(Kind::Listener | Kind::Greeting) => self.admission.push(ready.key),
                    Some(Kind::Process(session)) => self.gone.push_back(session),
                    None => {}
                }
            }
        }
        if let Some(key) = self.gone.pop_front() {
            self.end(key, SessionError::PeerGone);
        }
        self.attend();
        Ok(())
    }

    /// A client rang.
    fn woken(&mut self, key: Key) {
        match self.members.session(key).map(Session::woken) {
            None => {}
            Some(Ok(is_heard)) => {
                if !is_heard {
                    self.members.stop_hearing(key);
                }
                self.members.poll(key);
            }
            Some(Err(why)) => self.end(key, why),
        }
    }

    /// Attends to newcomers for a moment, if it is time.
    fn attend(&mut self) {
        if !self.admission.is_open() || !self.admission.is_due() && self.members.late_greeting().is_none() {
            return;
        }
        let mut moment = Moment::begin();
        while moment.goes_on_after(self.attend_one()) {}
        if self.admission.shut(&moment) {
            self.events.extend(self.notices.throttled());
        }
    }

    /// One step: of a client that takes too long, or of the next that waits.
    fn attend_one(&mut self) -> Effort {
        if let Some(late) = self.members.late_greeting() {
            self.members.refuse(late, Refusal::Late);
            self.refused(ConnectError::Timeout { limit: self.options.connect_limit });
            return Effort::Cheap;
        }
        let Some(key) = self.admission.pop() else { return Effort::None };
        match self.members.kind(key) {
            Some(Kind::Listener) => self.accept(key),
            Some(Kind::Session) => self.prefault(key),
            _ => {
                let effort = self.greet(key);
                self.members.accept_again(key);
                effort
            }
        }
    }

    fn accept(&mut self, listener: Key) -> Effort {
        let effort = match self.members.accept(self.options.connect_limit) {
            Ok(None) => {
                self.members.accept_again(listener);
                return Effort::Cheap;
            }
            Ok(Some(key)) => self.greet(key),
            // That one was hung up on; the next may be welcome.
            Err(why) => {
                self.refused(why);
                Effort::Cheap
            }
        };
        self.admission.push(listener);
        effort
    }

    /// Goes on with a client that connects, as far as it has come.
    pub(super) fn greet(&mut self, key: Key) -> Effort {
        let is_full = self.members.sessions() >= self.options.max_clients;
        let mut effort = Effort::Cheap;
        for _ in 0..4 {
            let Some(pending) = self.members.pending(key) else { return effort };
            let result = match pending.greeting.step() {
                Ok(Step::Pending) => return effort,
                Ok(Step::Asked) if is_full => Err(ConnectError::Full),
                Ok(Step::Asked) => {
                    effort = Effort::Dear;
                    offer(pending, &self.options, self.common.as_ref())
                }
                Ok(Step::Agreed) => {
                    effort = Effort::Dear;
                    match self.members.promote(key, &self.options) {
                        Ok(()) => {
                            self.events.push_back(Event::Joined(ClientKey(key)));
                            if self.members.session(key).is_some_and(|session| session.is_unfaulted()) {
                                self.admission.push_unfaulted(key);
                            }
                            return effort;
                        }
                        Err(error) => Err(error),
                    }
                }
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                if let Some(pending) = self.members.pending(key) {
                    pending.greeting.refuse_for(&error);
                }
                self.refused(error);
                break;
            }
        }
        self.members.remove(key);
        effort
    }

    fn refused(&mut self, why: ConnectError) {
        self.events.extend(self.notices.refused(why));
    }

    /// Pre-faults a bit more of a session's regions.
    fn prefault(&mut self, key: Key) -> Effort {
        let Some(session) = self.members.session(key) else { return Effort::Cheap };
        match session.prefault() {
            Ok(()) if session.is_unfaulted() => self.admission.push_unfaulted(key),
            Ok(()) => {}
            Err(why) => self.end(key, why),
        }
        Effort::Dear
    }

    /// Ends a session. The program hears of it once, and of nothing that the client asked for before.
    pub(super) fn end(&mut self, key: Key, why: SessionError) {
        if self.members.session(key).is_none() {
            return;
        }
        self.members.remove(key);
        let client = ClientKey(key);
        self.events.retain(|event| match event {
            Event::Job(job) => job.client != client,
            Event::Closed { client: whose, .. } => *whose != client,
            Event::Joined(_) | Event::Left { .. } | Event::Refused { .. } | Event::Throttled { .. } => true,
        });
        self.events.push_back(Event::Left { client, why });
        if let Some(common) = &self.common
            && self.members.sessions() == 0
        {
            // What those who left still held is free again. The numbers were checked before.
            let _ = lay_out_shared(common.memory(), self.options.geometry.server_blocks);
        }
    }
}
