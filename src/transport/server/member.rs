//! What a table watches, one by one.

use super::pending::PendingClient;
use super::served::Session;
use crate::transport::connect::Listener;
use crate::transport::semaphore::Key;
use std::os::fd::OwnedFd;

/// What is watched.
#[derive(Debug)]
pub(super) enum Member {
    Listener(Listener),
    Greeting(Box<PendingClient>),
    Session(Box<Session>),
    /// The process of a session's client.
    Process(Key, OwnedFd),
}

/// What kind of member it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Listener,
    Greeting,
    Session,
    Process(Key),
}
