//! What a [`Reactor`](super::Reactor) has to know of what it runs, a table or a proxy before one, and what it watches for it.

use super::budget::Rings;
use super::crowd::Place;
use super::rounds::TURN;
use crate::transport::connect::{ConnectError, Greeting};
use crate::transport::error::SessionError;
use crate::transport::job::{ClientKey, Event};
use crate::transport::memory::Mapped;
use crate::transport::ring::MAX_CAPACITY;
use crate::transport::semaphore::{Doorbell, Via};
use crate::transport::slots::Key;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

/// What is done for clients.
pub(in crate::transport) trait Service {
    /// What goes with a client that is connecting.
    type Offer: Default + Debug;
    type Session: Session + Debug;

    /// A second descriptor that tells of a client which is connecting.
    fn other(_offer: &Self::Offer) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Goes on with a client that asked for a session, or has accepted the one that it was offered. The error says why there will
    /// be no session, and is told to the client.
    fn go_on(&mut self, greeting: &mut Greeting, offer: &mut Self::Offer) -> Result<Progress, ConnectError>;

    /// Makes most of what a session needs of a client with which all is agreed.
    fn prepare(greeting: &mut Greeting) -> Result<(), ConnectError> {
        greeting.prepare()
    }

    /// The session of a client with which all is agreed, and that is prepared; and its regions that are to be pre-faulted.
    fn begin(&mut self, greeting: Greeting, offer: Self::Offer) -> Result<(Self::Session, Vec<Mapped>), ConnectError>;

    /// Takes what a client has, so many requests at most; whether there was something. After an error the session is over.
    fn serve(
        &mut self,
        client: ClientKey,
        session: &mut Self::Session,
        turn: usize,
        events: &mut VecDeque<Event>,
    ) -> Result<bool, SessionError>;

    /// A session is over; so many others are not. The memory that it had is given up by and by, to unmap it is dear.
    fn end(&mut self, client: ClientKey, session: Self::Session, others: usize) -> Vec<Mapped>;
}

/// What a step of a handshake came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum Progress {
    /// Nothing more can be done before a socket has something.
    Waits,
    /// The same step may do in a while what it could not do now.
    TriesAgain,
    /// Both sides agree: [`Service::begin`].
    Agrees,
}

/// A client's session, as far as waiting for it goes.
pub(in crate::transport) trait Session {
    /// One of the descriptors that tell of it; all have the client's socket.
    fn descriptor(&self, source: Source) -> Option<BorrowedFd<'_>>;

    /// Whether [`Service::serve`] would find something.
    fn is_ready(&mut self) -> bool;

    /// Where this side is rung, in the order of the sides that ring: [`Source::Client`], [`Source::Other`].
    fn bells(&self) -> &[Doorbell<Mapped>];

    /// Tells the other side to ring; whether there is something already, and it is told that this side is awake.
    fn arm(&mut self, via: Via) -> bool {
        self.bells().iter().for_each(|bell| bell.arm(via));
        let is_ready = self.is_ready();
        if is_ready {
            self.disarm();
        }
        is_ready
    }

    /// Tells the other side that this one is awake.
    fn disarm(&self) {
        for bell in self.bells() {
            bell.disarm();
        }
    }

    /// Takes in what a descriptor has. What that cost, counted in rings; an error if the session is over.
    fn take_in(&mut self, source: Source) -> Result<u32, SessionError>;

    /// What was taken so far of the side that rings there, counted in the rings that it is worth, modulo 2^32.
    fn taken(&self, source: Source) -> u32;
}

/// Which of a client's two descriptors has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::transport) enum Source {
    /// The client's socket.
    Client,
    /// The other one.
    Other,
}

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::transport) enum Name {
    Listener,
    /// A descriptor of a newcomer, by its number.
    Newcomer(u64, Source),
    Session(Key, Source),
}

impl Name {
    // Memory ends before a slot has these bits in its number.
    const OTHER: u64 = 1 << 31;
    const NEWCOMER: u64 = 1 << 30;

    /// The name as a key that no other one has.
    pub(super) fn to_key(self) -> Key {
        let (data, source) = match self {
            Self::Listener => (Self::NEWCOMER, Source::Client),
            // The halves change places: no process counts so far that both bits are not free.
            Self::Newcomer(number, source) => (number.rotate_left(32) | Self::NEWCOMER, source),
            Self::Session(key, source) => (key.0, source),
        };
        Key(if source == Source::Other { data | Self::OTHER } else { data })
    }

    /// The name that is that key.
    pub(super) fn of_key(key: Key) -> Self {
        let source = if key.0 & Self::OTHER == 0 { Source::Client } else { Source::Other };
        let data = key.0 & !(Self::OTHER | Self::NEWCOMER);
        match data.rotate_left(32) {
            _ if key.0 & Self::NEWCOMER == 0 => Self::Session(Key(data), source),
            0 => Self::Listener,
            number => Self::Newcomer(number, source),
        }
    }
}

/// A session, and the rings of those at its two descriptors.
#[derive(Debug)]
pub(in crate::transport) struct Served<S: Service> {
    pub(in crate::transport) session: S::Session,
    pub(super) rings: [Rings; 2],
    /// Which of those ring too often, and are not heard for a while.
    pub(super) muted: [bool; 2],
    /// One of the two is gone: how many turns more it has, at most, for what was asked before that.
    pub(super) last_turns: Option<u32>,
}

/// The turns of a session that is gone: enough for a full ring. Memory that is written by another process can always have more.
const LAST_TURNS: u32 = MAX_CAPACITY / TURN as u32;

impl<S: Service> Served<S> {
    /// Whether one of its sides is not heard: then neither is waited for at its word, which delays this session alone.
    pub(super) fn is_muted(&self) -> bool {
        self.muted != [false; 2]
    }

    /// Whether a session one of whose sides is gone has something still, and so some turns more.
    pub(super) fn has_last_turns(&mut self) -> bool {
        if self.last_turns.is_none() && self.session.is_ready() {
            self.last_turns = Some(LAST_TURNS);
        }
        self.last_turns.is_some()
    }

    /// Counts a turn; whether there are more.
    #[inline(always)]
    pub(super) fn has_turns_after(&mut self, is_served: bool) -> bool {
        let Some(turns) = &mut self.last_turns else { return true };
        *turns = turns.saturating_sub(1);
        is_served && *turns > 0
    }
}

/// A client that is connecting.
#[derive(Debug)]
pub(super) struct Newcomer<S: Service> {
    pub(super) greeting: Greeting,
    pub(super) offer: S::Offer,
    /// Since when it is in the line of those to be attended to, if it is.
    pub(super) queued: Option<Instant>,
}

impl<S: Service> Newcomer<S> {
    pub(super) fn descriptor(&self, source: Source) -> Option<BorrowedFd<'_>> {
        match source {
            Source::Client => Some(self.greeting.as_fd()),
            Source::Other => S::other(&self.offer),
        }
    }

    pub(super) fn place(&self, now: Instant) -> Place {
        let Self { greeting, queued, .. } = self;
        let has_had_its_time = queued.is_none() && greeting.has_had_its_time(now);
        Place { origin: greeting.origin(), is_silent: greeting.is_silent(), has_had_its_time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::memory::{Load, Memory};

    /// A session whose other side asks for something just when it is told to ring, or does not.
    struct Asked<const SOON: bool> {
        memory: Mapped,
        bells: [Doorbell<Mapped>; 2],
    }

    impl<const SOON: bool> Asked<SOON> {
        fn words(&self) -> [u32; 2] {
            [0, 4].map(|at| self.memory.load32(at, Load::Relaxed))
        }
    }

    impl<const SOON: bool> Session for Asked<SOON> {
        fn descriptor(&self, _source: Source) -> Option<BorrowedFd<'_>> {
            None
        }

        fn is_ready(&mut self) -> bool {
            SOON && self.words() == [Via::Socket as u32; 2]
        }

        fn bells(&self) -> &[Doorbell<Mapped>] {
            &self.bells
        }

        fn take_in(&mut self, _source: Source) -> Result<u32, SessionError> {
            Err(SessionError::PeerGone)
        }

        fn taken(&self, _source: Source) -> u32 {
            0
        }
    }

    fn asked<const SOON: bool>() -> Asked<SOON> {
        let memory = Mapped::private(4096).unwrap();
        Asked { bells: [0, 4].map(|at| Doorbell::new(memory.clone(), at)), memory }
    }

    #[test]
    fn a_session_is_looked_at_once_more_when_all_its_bells_are_up() {
        let mut soon = asked::<true>();
        assert!(soon.arm(Via::Socket));
        assert_eq!(soon.words(), [0, 0], "it is told that this side is awake");
        let mut never = asked::<false>();
        assert!(!never.arm(Via::Socket));
        assert_eq!(never.words(), [Via::Socket as u32; 2]);
    }

    #[test]
    fn each_name_has_a_key_of_its_own() {
        let key = |slot: u64, generation: u64| Key(generation << 32 | slot);
        let mut names = vec![Name::Listener];
        for source in [Source::Client, Source::Other] {
            let numbers = [1, (1 << 30) - 1, 1 << 30, 1 << 40, (1 << 62) - 1];
            names.extend(numbers.map(|number| Name::Newcomer(number, source)));
            let keys = [key(0, 0), key(0, 1), key(1, u64::from(u32::MAX)), key((1 << 30) - 1, 7)];
            names.extend(keys.map(|key| Name::Session(key, source)));
        }
        for name in names {
            assert_eq!(Name::of_key(name.to_key()), name);
        }
    }
}
