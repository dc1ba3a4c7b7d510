//! What a reactor watches, one by one.

use super::service::Offer;
use crate::transport::connect::{Greeting, Listener};
use crate::transport::slots::Key;
use std::time::Instant;

/// What is watched.
#[derive(Debug)]
pub(super) enum Member<O, T> {
    Listener(Listener),
    Newcomer(Box<Newcomer<O>>),
    /// A session, and the key of its other descriptor.
    Session(Box<T>, Option<Key>),
    /// The other descriptor of that member.
    Other(Key),
}

/// A client that is connecting.
#[derive(Debug)]
pub(super) struct Newcomer<O> {
    pub(super) greeting: Greeting,
    pub(super) offer: O,
    /// The key of its other descriptor.
    pub(super) other: Option<Key>,
    /// Since when it is in the line of those to be attended to, if it is.
    pub(super) queued: Option<Instant>,
    /// One of its descriptors is hung up.
    pub(super) is_gone: bool,
}

impl<O: Offer> Newcomer<O> {
    pub(super) fn new(greeting: Greeting) -> Box<Self> {
        Box::new(Self { greeting, offer: O::default(), other: None, queued: None, is_gone: false })
    }
}
