//! One thread and all its clients: takes them in, serves those that have something, sleeps when none has, and sees them go.
//!
//! All sockets are watched together. A session is *polled* while it is looked at in user space; one that has told its client
//! to ring is left alone until it does. A client has one turn after the other, so that none keeps the others waiting; what is
//! not a request has its [budgets](budget), and [rings](rings) have theirs.
//!
//! What is done for a client is for the [`Service`] to say: a table's, or a proxy's.

mod budget;
mod crowd;
mod members;
mod newcomers;
mod notices;
mod rings;
mod rounds;
mod service;

use crate::transport::connect::{ConnectError, Greeting, Listener};
use crate::transport::error::{SessionError, TableError};
use crate::transport::job::{ClientKey, Event};
use crate::transport::options::Waiting;
use crate::transport::semaphore::Spin;
use crate::transport::slots::{Key, Slots};
use crate::transport::watch::{Report, Watch};
use budget::Budgets;
use crowd::Lines;
use members::{Member, Newcomer};
use notices::Notices;
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

pub(super) use rings::Rings;
pub(super) use service::{Offer, Progress, Service, Session, Source};

/// How a reactor works.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) max_clients: usize,
    pub(super) connect_limit: Duration,
    pub(super) waiting: Waiting,
}

/// Clients whose sessions are `T`. With each that is connecting goes an `O`.
#[derive(Debug)]
pub(super) struct Reactor<O, T> {
    settings: Settings,
    watch: Watch,
    members: Slots<Member<O, T>>,
    sessions: usize,
    /// Clients that are connecting, in the order in which their time is over.
    newcomers: Vec<Key>,
    /// Those of them that are to be attended to at the next look.
    retries: Vec<Key>,
    listener: Option<Key>,
    /// Whether clients may wait to be accepted.
    is_asked: bool,
    /// Whether no client is accepted for a while: the system refused.
    is_resting: bool,
    /// When what is not a request is attended to.
    budgets: Budgets,
    /// Newcomers that have said something, or hung up. One is there once: after it was reported it is not reported again before
    /// it was attended to ([`Report::Once`]), and one with two descriptors remembers that it is there.
    lines: Lines,
    /// Sessions whose regions are not pre-faulted yet.
    unfaulted: VecDeque<Key>,
    /// Sessions that are over, whose memory and sockets are to be given up.
    departed: VecDeque<(ClientKey, T)>,
    notices: Notices,
    /// Muted sockets of sessions, and until when, in that order.
    muted: VecDeque<(Key, Source, Instant)>,
    /// What has happened, for the program.
    pub(super) events: VecDeque<Event>,
    spin: Spin,
    rounds: u32,
    looked: Instant,
    /// Since when nothing has happened.
    idle: Option<Instant>,
}

impl<O: Offer, T: Session> Reactor<O, T> {
    /// One without clients.
    ///
    /// # Errors
    ///
    /// [`TableError::Wait`] if there are no descriptors.
    pub(super) fn new(settings: Settings) -> Result<Self, TableError> {
        Ok(Self {
            settings,
            watch: Watch::new().map_err(TableError::wait)?,
            members: Slots::default(),
            sessions: 0,
            newcomers: Vec::new(),
            retries: Vec::new(),
            listener: None,
            is_asked: false,
            is_resting: false,
            budgets: Budgets::new(),
            lines: Lines::default(),
            unfaulted: VecDeque::new(),
            departed: VecDeque::new(),
            notices: Notices::default(),
            muted: VecDeque::new(),
            events: VecDeque::new(),
            spin: Spin::default(),
            rounds: 0,
            looked: Instant::now(),
            idle: None,
        })
    }

    /// Takes in the clients of a listener.
    ///
    /// # Errors
    ///
    /// [`TableError::Wait`] if the system cannot watch one more.
    pub(super) fn listen(&mut self, listener: Listener) -> Result<(), TableError> {
        let key = self.members.next_key();
        self.watch.add(key, listener.as_fd(), Report::Once).map_err(TableError::wait)?;
        self.listener = Some(self.members.insert(Member::Listener(listener)));
        Ok(())
    }

    /// Takes the process at the other end of a socket as a client.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Socket`] if the system cannot watch one more.
    pub(super) fn adopt(&mut self, stream: UnixStream, service: &mut impl Service<O, T>) -> Result<(), ConnectError> {
        let key = self.add_newcomer(Greeting::over(stream, self.settings.connect_limit))?;
        self.greet(service, key);
        Ok(())
    }

    /// How many sessions there are.
    pub(super) fn sessions(&self) -> usize {
        self.sessions
    }

    /// A client's session.
    #[inline(always)]
    pub(super) fn session(&self, client: ClientKey) -> Option<&T> {
        match self.members.get(client.0) {
            Some(Member::Session(session, _)) => Some(session),
            _ => None,
        }
    }

    /// A client's session, to be changed.
    #[inline(always)]
    pub(super) fn session_mut(&mut self, client: ClientKey) -> Option<&mut T> {
        self.session_at(client.0)
    }

    #[inline(always)]
    fn session_at(&mut self, key: Key) -> Option<&mut T> {
        match self.members.get_mut(key) {
            Some(Member::Session(session, _)) => Some(session),
            _ => None,
        }
    }

    /// Forgets a member. Its descriptors are watched no more.
    fn remove(&mut self, key: Key) -> Option<T> {
        let member = self.members.remove(key)?;
        let other = match &member {
            Member::Listener(listener) => {
                self.watch.remove(listener.as_fd());
                None
            }
            Member::Newcomer(newcomer) => {
                self.newcomers.retain(|other| *other != key);
                if newcomer.queued.is_some() {
                    self.lines.forget(newcomer.greeting.origin(), key);
                }
                self.watch.remove(newcomer.greeting.as_fd());
                newcomer.other.zip(newcomer.offer.other())
            }
            Member::Session(session, other) => {
                self.sessions -= 1;
                self.watch.remove(session.client());
                other.zip(session.other())
            }
            Member::Other(_) => None,
        };
        if let Some((other, descriptor)) = other {
            self.watch.remove(descriptor);
            self.members.remove(other);
        }
        match member {
            Member::Session(session, _) => Some(*session),
            _ => None,
        }
    }

    /// Ends a session. The program hears of it once, and of nothing that the client asked for before.
    pub(super) fn end(&mut self, service: &mut impl Service<O, T>, client: ClientKey, why: SessionError) {
        if let Some(session) = self.leave(client, why) {
            service.end(client, session, self.sessions);
        }
    }

    /// As [`end`](Self::end), but for what is dear of it, which is put off.
    fn depart(&mut self, client: ClientKey, why: SessionError) {
        if let Some(session) = self.leave(client, why) {
            self.departed.push_back((client, session));
        }
    }

    /// Ends a session; what is left of it.
    fn leave(&mut self, client: ClientKey, why: SessionError) -> Option<T> {
        self.session_mut(client)?;
        let session = self.remove(client.0)?;
        self.events.retain(|event| match event {
            Event::Job(job) => job.client != client,
            Event::Closed { client: whose, .. } | Event::Credit { client: whose } => *whose != client,
            Event::Joined(_) | Event::Left { .. } | Event::Refused { .. } | Event::Throttled { .. } => true,
        });
        self.events.push_back(Event::Left { client, why });
        Some(session)
    }

    /// Whether a client's socket is not listened to for a while.
    #[cfg(test)]
    pub(super) fn is_muted(&self, client: ClientKey) -> bool {
        self.muted.iter().any(|(key, ..)| *key == client.0)
    }

    /// Whether something is left of sessions that are over.
    #[cfg(test)]
    pub(super) fn has_departed(&self) -> bool {
        !self.departed.is_empty()
    }
}
