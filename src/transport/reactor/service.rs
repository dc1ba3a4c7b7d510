//! What a [`Reactor`](super::Reactor) has to know of what it runs: a table, or a proxy before one.

use crate::transport::connect::{ConnectError, Greeting, Step};
use crate::transport::error::SessionError;
use crate::transport::job::{ClientKey, Event};
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::time::Duration;

/// What is done for clients, whose sessions are `T`. With each that is connecting goes an `O`.
pub(in crate::transport) trait Service<O, T> {
    /// Goes on with a client that asked for a session, or has accepted the one that it was offered.
    ///
    /// # Errors
    ///
    /// Why there will be no session. The client is told.
    fn go_on(&mut self, greeting: &mut Greeting, offer: &mut O, step: Step) -> Result<Progress, ConnectError>;

    /// The session of a client with which all is agreed.
    ///
    /// # Errors
    ///
    /// Why there is none after all.
    fn begin(&mut self, greeting: Greeting, offer: O) -> Result<T, ConnectError>;

    /// Takes what a client has, so many requests at most; whether there was something.
    ///
    /// # Errors
    ///
    /// Why the session is over.
    fn serve(
        &mut self,
        client: ClientKey,
        session: &mut T,
        turn: usize,
        events: &mut VecDeque<Event>,
    ) -> Result<bool, SessionError>;

    /// A session is over; so many others are not.
    fn end(&mut self, client: ClientKey, session: T, others: usize);
}

/// What a step of a handshake came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum Progress {
    /// Nothing more can be done before a socket has something.
    Waits,
    /// The same step may do in a while what it could not do now.
    TriesAgain,
    /// The next step can be taken.
    GoesOn,
    /// Both sides agree: [`Service::begin`].
    Agrees,
}

/// What goes with a client that is connecting.
pub(in crate::transport) trait Offer: Default {
    /// A second descriptor that tells of it.
    fn other(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// Which of a session's two descriptors has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::transport) enum Source {
    /// The client's socket.
    Client,
    /// The other one.
    Other,
}

/// A client's session, as far as waiting for it goes.
pub(in crate::transport) trait Session {
    /// The client's socket.
    fn client(&self) -> BorrowedFd<'_>;

    /// A second descriptor that tells of the session.
    fn other(&self) -> Option<BorrowedFd<'_>>;

    /// Whether [`Service::serve`] would find something.
    fn is_ready(&mut self) -> bool;

    /// Tells the other side to ring; whether there is something already, and it is told that this side is awake.
    fn arm(&mut self) -> bool;

    /// A descriptor has something: this side is awake. False if the one who rings there does so too often with nothing to ask for.
    ///
    /// # Errors
    ///
    /// Why the session is over.
    fn woken(&mut self, source: Source) -> Result<bool, SessionError>;

    /// Sleeps until the client rings or the limit has passed, without a look at any descriptor. False if that cannot be.
    fn sleep(&mut self, _limit: Duration) -> bool {
        false
    }

    /// Whether there is something to be pre-faulted.
    fn is_unfaulted(&self) -> bool {
        false
    }

    /// Pre-faults a bit more.
    ///
    /// # Errors
    ///
    /// [`SessionError::OutOfMemory`].
    fn prefault(&mut self) -> Result<(), SessionError> {
        Ok(())
    }
}
