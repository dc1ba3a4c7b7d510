//! One thread and all its clients: takes them in, serves those that have something, sleeps when none has, and sees them go.
//!
//! All sockets are watched together. A session is *polled* while it is looked at in user space; one that has told its client
//! to ring is left alone until it does. A client has one turn after the other, so that none keeps the others waiting; what is
//! not a request has its [budgets](budget).
//!
//! What is done for a client is for the [`Service`] to say: a table's, or a proxy's.

mod budget;
mod crowd;
mod newcomers;
mod rounds;
mod service;
#[cfg(test)]
mod tests;

use crate::transport::connect::{ConnectError, Greeting, Listener};
use crate::transport::error::{SessionError, TableError};
use crate::transport::job::{ClientKey, Event};
use crate::transport::memory::Mapped;
use crate::transport::options::Waiting;
use crate::transport::semaphore::Spin;
use crate::transport::slots::{Key, Slots};
use crate::transport::watch::{Report, Watch};
use budget::Budgets;
use crowd::{Lines, Notices};
use rustix::io::Errno;
use service::{Newcomer, Served};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

pub(super) use service::{Name, Progress, Service, Session, Source};

/// Clients, and what is done for them.
#[derive(Debug)]
pub(super) struct Reactor<S: Service> {
    pub(super) service: S,
    max_clients: usize,
    connect_limit: Duration,
    waiting: Waiting,
    watch: Watch,
    pub(super) sessions: Slots<Box<Served<S>>>,
    /// Clients that are connecting, in the order in which their time is over.
    newcomers: BTreeMap<u64, Newcomer<S>>,
    last_newcomer: u64,
    /// When it was seen last whose time is over.
    late_looked: Instant,
    listener: Option<Listener>,
    /// Whether clients may wait to be accepted.
    is_asked: bool,
    /// When what is not a request is attended to.
    budgets: Budgets,
    /// Newcomers that have said something, or hung up.
    lines: Lines,
    /// The newcomer that is being made a session, and whether that is prepared.
    agreed: Option<(u64, bool)>,
    /// When a newcomer was offered a session last.
    pub(super) offered: Option<Instant>,
    /// Regions of sessions that are not pre-faulted yet, and how much of each is.
    unfaulted: VecDeque<(Key, Mapped, usize)>,
    /// Sessions that are over, whose memory and sockets are to be given up.
    pub(super) departed: VecDeque<(ClientKey, S::Session)>,
    /// Memory that is left of the last of them.
    pub(super) remains: Vec<Mapped>,
    notices: Notices,
    /// Descriptors that are not listened to until then: of a listener that the system refused a client, of newcomers that could
    /// not go on, and of sessions that ring too often.
    pub(super) muted: BTreeSet<(Instant, Name)>,
    /// What has happened, for the program.
    pub(super) events: VecDeque<Event>,
    /// The client whose requests go past the queue of events, one at a time, and how many more of them.
    turn: Option<(Key, usize)>,
    spin: Spin,
    rounds: u32,
    looked: Instant,
    /// Since when nothing has happened.
    idle: Option<Instant>,
}

impl<S: Service> Reactor<S> {
    /// One without clients.
    pub(super) fn new(
        service: S,
        max_clients: usize,
        connect_limit: Duration,
        waiting: Waiting,
    ) -> Result<Self, TableError> {
        Ok(Self {
            service,
            max_clients,
            connect_limit,
            waiting,
            watch: Watch::new().map_err(TableError::wait)?,
            sessions: Slots::default(),
            newcomers: BTreeMap::new(),
            last_newcomer: 0,
            late_looked: Instant::now(),
            listener: None,
            is_asked: false,
            budgets: Budgets::new(),
            lines: Lines::default(),
            agreed: None,
            offered: None,
            unfaulted: VecDeque::new(),
            departed: VecDeque::new(),
            remains: Vec::new(),
            notices: Notices::default(),
            muted: BTreeSet::new(),
            events: VecDeque::new(),
            turn: None,
            spin: Spin::default(),
            rounds: 0,
            looked: Instant::now(),
            idle: None,
        })
    }

    /// Takes in the clients of a listener.
    pub(super) fn listen(&mut self, listener: Listener) -> Result<(), TableError> {
        self.watch.add(Name::Listener.to_key(), listener.as_fd(), Report::ONCE).map_err(TableError::wait)?;
        self.listener = Some(listener);
        Ok(())
    }

    /// Takes the process at the other end of a socket as a client.
    pub(super) fn adopt(&mut self, stream: UnixStream) -> Result<(), ConnectError> {
        self.add_newcomer(Greeting::over(stream, self.connect_limit))
    }

    /// From now on hears that of a descriptor, if it is there; what has come already is reported once more.
    fn hear(&self, name: Name, report: Report) -> Result<(), Errno> {
        let descriptor = match name {
            Name::Listener => self.listener.as_ref().map(Listener::as_fd),
            Name::Newcomer(number, source) => {
                self.newcomers.get(&number).and_then(|newcomer| newcomer.descriptor(source))
            }
            Name::Session(key, source) => self.sessions.get(key).and_then(|served| served.session.descriptor(source)),
        };
        let (key, Some(descriptor)) = (name.to_key(), descriptor) else { return Ok(()) };
        self.watch.change(key, descriptor, report).or_else(|_| self.watch.add(key, descriptor, report))
    }

    /// Ends a session and hangs up, if no other one waits for that; its memory is given up by and by.
    pub(super) fn end(&mut self, client: ClientKey, why: SessionError) {
        self.depart(client, why);
        if self.remains.is_empty() && self.departed.len() == 1 {
            self.bury();
        }
    }

    /// Ends a session, but for what is dear of it, which is put off. The program hears of it once, and of nothing that the client
    /// asked for before.
    fn depart(&mut self, client: ClientKey, why: SessionError) {
        let Some(served) = self.sessions.remove(client) else { return };
        let session = served.session;
        self.unfaulted.retain(|(whose, ..)| *whose != client);
        for source in [Source::Client, Source::Other] {
            session.descriptor(source).into_iter().for_each(|descriptor| self.watch.remove(descriptor));
        }
        self.departed.push_back((client, session));
        self.events.retain(|event| match event {
            Event::Job(job) => job.client != client,
            Event::Closed { client: whose, .. } | Event::Credit { client: whose } => *whose != client,
            Event::Joined(_) | Event::Left { .. } | Event::Refused { .. } | Event::Throttled { .. } => true,
        });
        self.events.push_back(Event::Left { client, why });
    }
}
