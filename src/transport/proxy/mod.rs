//! A table that stands before another one: it lets through what a rule allows, and refuses the rest.
//!
//! For each client the proxy connects to the table behind it, and hands on the regions themselves: the table's data region
//! to the client, the client's to the table. What is read and written in place passes through the proxy without a copy; it
//! forwards 16 bytes of request and 12 of response.
//!
//! What travels in an entry is forwarded with it. Names are the exception: the client can write its memory at any time, also
//! after the rule has looked. So a name is copied out once, judged, and sent on from memory that the client cannot write: in the
//! entry, or where that has no room for it, from the last few of the client's blocks, which the proxy has in a region of its own
//! that the table maps behind the client's.

mod asked;
mod pair;
mod relay;

pub use self::asked::Asked;
use self::pair::Pair;
use self::relay::{Behind, Relay};
use super::connect::{Address, Listener, Peers};
use super::error::TableError;
use super::job::Event;
use super::options::Waiting;
use super::options::setters;
use super::reactor::{Reactor, Settings};
use super::request::ErrorCode;
use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// How a proxy works.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProxyOptions {
    /// Whose processes may connect.
    pub peers: Peers,
    /// How many clients there may be.
    pub max_clients: usize,
    /// How long a client may take to connect, with what the table behind takes of it.
    pub connect_limit: Duration,
    /// How the proxy waits.
    pub waiting: Waiting,
}

setters! {
    ProxyOptions { peers: Peers, max_clients: usize, connect_limit: Duration, waiting: Waiting }
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            peers: Peers::default(),
            max_clients: 1024,
            connect_limit: Duration::from_secs(5),
            waiting: Waiting::default(),
        }
    }
}

/// The most events that are kept for the program.
const MAX_EVENTS: usize = 64;

/// A table that forwards what its rule allows.
///
/// ```no_run
/// use memcpy_select::transport::{Asked, ErrorCode, Operation, Proxy, ProxyOptions};
/// use std::time::Duration;
///
/// let read_only = |asked: &Asked<'_>| match asked.operation {
///     Operation::Open if asked.name.starts_with(b"public/") => Ok(()),
///     Operation::Read { .. } | Operation::Seek { .. } => Ok(()),
///     _ => Err(ErrorCode::DENIED),
/// };
/// let (front, behind) = ("@public".parse()?, "@files".parse()?);
/// let mut proxy = Proxy::create(&front, behind, ProxyOptions::default(), read_only)?;
/// loop {
///     proxy.serve(Duration::from_secs(1))?;
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Proxy<R> {
    reactor: Reactor<Behind, Pair>,
    relay: Relay<R>,
    events: VecDeque<Event>,
}

impl<R: FnMut(&Asked<'_>) -> Result<(), ErrorCode>> Proxy<R> {
    /// A proxy that listens at one address for clients of the table at another one.
    ///
    /// # Errors
    ///
    /// [`TableError`]: the address is in use, or there are no descriptors.
    pub fn create(front: &Address, behind: Address, options: ProxyOptions, rule: R) -> Result<Self, TableError> {
        let listener = Listener::bind(front, options.peers)?;
        let mut proxy = Self::without_address(behind, options, rule)?;
        proxy.reactor.listen(listener)?;
        Ok(proxy)
    }

    /// A proxy that has only the clients that are [adopted](Self::adopt).
    ///
    /// # Errors
    ///
    /// [`TableError::Wait`] if there are no descriptors.
    pub fn without_address(behind: Address, options: ProxyOptions, rule: R) -> Result<Self, TableError> {
        let ProxyOptions { max_clients, connect_limit, waiting, .. } = options;
        let reactor = Reactor::new(Settings { max_clients, connect_limit, waiting })?;
        Ok(Self { reactor, relay: Relay { table: behind, rule }, events: VecDeque::new() })
    }

    /// Takes the process at the other end of a socket as a client.
    ///
    /// # Errors
    ///
    /// [`TableError::Socket`] if the system cannot watch one more.
    pub fn adopt(&mut self, stream: UnixStream) -> Result<(), TableError> {
        Ok(self.reactor.adopt(stream, &mut self.relay)?)
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.reactor.sessions()
    }

    /// The next [`Event::Refused`] or [`Event::Throttled`], of clients that were not taken in, or not at once; none if there is
    /// none. At most 64 are kept.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Forwards what there is, waiting for at most the limit; whether there was something, or a client came or went.
    ///
    /// # Errors
    ///
    /// [`TableError::Wait`] if the system refuses to wait. A client that breaks the protocol, or whose table is gone, is
    /// hung up on.
    pub fn serve(&mut self, limit: Duration) -> Result<bool, TableError> {
        let any = self.reactor.round(&mut self.relay, limit)?;
        for event in self.reactor.events.drain(..) {
            let is_kept = matches!(event, Event::Refused { .. } | Event::Throttled { .. });
            if is_kept && self.events.len() < MAX_EVENTS {
                self.events.push_back(event);
            }
        }
        Ok(any)
    }
}
