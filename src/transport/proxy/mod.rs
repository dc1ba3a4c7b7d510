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
//!
//! A client that connects, and the session that is asked of the table behind for it, are two handshakes that wait for each
//! other, in steps that never wait.

mod pair;

use self::pair::Pair;
pub use self::pair::{Asked, Rule};
use super::connect::{Address, ClientHandshake, ConnectError, Greeting, JoinOptions, Listener, Peers};
use super::error::{SessionError, TableError};
use super::geometry::{Allocator, Geometry, GeometryError};
use super::job::{ClientKey, Event};
use super::memory::{Mapped, PAGE_BYTES};
use super::options::{Waiting, options};
use super::reactor::{Progress, Reactor, Service};
use super::region::{Region, RegionOptions};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

options! {
    /// How a proxy works; usually with 1024 clients of the own user, each of which has five seconds to connect; looks, then sleeps.
    pub struct ProxyOptions {
        /// Whose processes may connect.
        pub peers: Peers = Peers::default(),
        /// How many clients there may be.
        pub max_clients: usize = 1024,
        /// How long a client may take to connect, with what the table behind takes of it.
        pub connect_limit: Duration = Duration::from_secs(5),
        /// How the proxy waits.
        pub waiting: Waiting = Waiting::default(),
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
pub struct Proxy<R: Rule> {
    reactor: Reactor<Relay<R>>,
    events: VecDeque<Event>,
}

impl<R: Rule> Proxy<R> {
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
        let reactor = Reactor::new(Relay { table: behind, rule }, max_clients, connect_limit, waiting)?;
        Ok(Self { reactor, events: VecDeque::new() })
    }

    /// Takes the process at the other end of a socket as a client.
    ///
    /// # Errors
    ///
    /// [`TableError::Socket`] if the system cannot watch one more.
    pub fn adopt(&mut self, stream: UnixStream) -> Result<(), TableError> {
        Ok(self.reactor.adopt(stream)?)
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.reactor.sessions.len()
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
        let any = self.reactor.round(limit)?;
        let is_kept = |event: &Event| matches!(event, Event::Refused { .. } | Event::Throttled { .. });
        self.events.extend(self.reactor.events.drain(..).filter(is_kept));
        self.events.truncate(MAX_EVENTS);
        Ok(any)
    }
}

/// Where a proxy's clients get what they ask for.
#[derive(Debug)]
struct Relay<R> {
    /// The table behind.
    table: Address,
    rule: R,
}

/// What the table behind offers, and what the proxy adds to it.
#[derive(Debug, Default)]
struct Behind {
    asking: Option<ClientHandshake>,
    /// The region for names, when the client has been offered the rest.
    names: Option<Region>,
    has_accepted: bool,
}

impl<R: Rule> Service for Relay<R> {
    type Offer = Behind;
    type Session = Pair;

    fn other(offer: &Behind) -> Option<BorrowedFd<'_>> {
        offer.asking.as_ref().map(|asking| asking.channel.as_fd())
    }

    fn go_on(&mut self, greeting: &mut Greeting, offer: &mut Behind) -> Result<Progress, ConnectError> {
        let Behind { asking, names, has_accepted } = offer;
        let Some(asking) = asking else {
            return match ClientHandshake::start(&self.table) {
                Ok(new) => {
                    *asking = Some(new);
                    Ok(Progress::Waits)
                }
                // Too many want to connect to the table.
                Err(ConnectError::Congested) => Ok(Progress::TriesAgain),
                Err(why) => Err(why),
            };
        };
        if greeting.has_asked() {
            *names = make_offer(greeting, asking)?;
            return Ok(Progress::Waits);
        }
        if !*has_accepted {
            asking.ready(greeting.client_data.as_ref(), names.as_ref())?;
            *has_accepted = true;
        }
        Ok(if asking.has_go()? { Progress::Agrees } else { Progress::Waits })
    }

    fn begin(&mut self, mut greeting: Greeting, offer: Behind) -> Result<(Pair, Vec<Mapped>), ConnectError> {
        let Behind { asking: Some(asking), names: Some(names), .. } = offer else {
            return Err(ConnectError::PeerGone);
        };
        let joined = asking.finish(None).inspect_err(|why| greeting.refuse(why.refusal()))?;
        Ok((Pair::new(greeting.finish()?, joined, &names)?, Vec::new()))
    }

    fn serve(
        &mut self,
        client: ClientKey,
        session: &mut Pair,
        turn: usize,
        _events: &mut VecDeque<Event>,
    ) -> Result<bool, SessionError> {
        session.forward(client, turn, &mut self.rule)
    }

    fn end(&mut self, client: ClientKey, mut session: Pair, _others: usize) -> Vec<Mapped> {
        // What the table answered before it went is forwarded still.
        let _ = session.forward(client, usize::MAX, &mut self.rule);
        session.memory
    }
}

/// Offers a client what the table offers, but for the blocks that the proxy needs for names: the region of these. None if the
/// table has not offered anything yet.
fn make_offer(greeting: &mut Greeting, asking: &mut ClientHandshake) -> Result<Option<Region>, ConnectError> {
    let Some(offered) = asking.offered(&JoinOptions::default())? else { return Ok(None) };
    let (geometry, names_bytes) = without_names(offered.geometry)?;
    let names = Region::create(names_bytes, RegionOptions::default())?;
    names.seal_writing()?;
    greeting.offer(geometry, &offered.data)?;
    Ok(Some(names))
}

/// The geometry that is left for a client when the proxy has taken blocks for names, in whole pages, and their length.
fn without_names(mut geometry: Geometry) -> Result<(Geometry, usize), GeometryError> {
    let blocks = geometry.client_blocks;
    let no_room =
        GeometryError { what: "blocks of a client, too few to leave some to a proxy", found: blocks.count.into() };
    if geometry.allocator == Allocator::Shared {
        return Err(GeometryError { what: "blocks that both sides write, which no proxy can guard", ..no_room });
    }
    let unit = (PAGE_BYTES as u32 / blocks.block_bytes).max(1);
    let wanted = (blocks.count / 8).clamp(1, geometry.capacity);
    let names = wanted.next_multiple_of(unit);
    if names >= blocks.count || !blocks.count.is_multiple_of(unit) {
        return Err(no_room);
    }
    geometry.client_blocks.count -= names;
    Ok((geometry, names as usize * blocks.block_bytes as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_not_asked_for_the_first_events_are_kept() {
        let behind = Address::Abstract("memcpy-select-nobody".to_owned());
        let rule = |_: &Asked<'_>| Ok(());
        let mut proxy = Proxy::without_address(behind, ProxyOptions::default(), rule).unwrap();
        for count in 1..=50 {
            let refused = Event::Refused { why: ConnectError::Full, count };
            proxy.reactor.events.extend([refused, Event::Throttled { count }]);
            proxy.serve(Duration::ZERO).unwrap();
        }
        let kept: Vec<u64> = std::iter::from_fn(|| proxy.next_event())
            .map(|event| match event {
                Event::Refused { count, .. } | Event::Throttled { count } => count,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(kept, (1..=32).flat_map(|count| [count; 2]).collect::<Vec<_>>());
    }
}
