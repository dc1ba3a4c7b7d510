//! A table that stands before another one: it lets through what a rule allows, and refuses the rest.
//!
//! For each client the proxy connects to the table behind it, and hands on the regions themselves: the table's data region
//! to the client, the client's to the table. What is read and written in place passes through the proxy without a copy; it
//! forwards 16 bytes of request and 12 of response.
//!
//! Names are the exception. The client can write its region at any time, also after the rule has looked: so a name is copied
//! out once, judged, and sent on from memory that the client cannot write. For that the proxy has the last few of the
//! client's blocks in a region of its own, which the table maps behind the client's.

mod newcomers;
mod pair;
mod pending;

use self::pair::Pair;
use self::pending::PendingClient;
use super::client::Waiting;
use super::connect::{Address, ConnectError, Greeting, Listener, Peers, Refusal};
use super::error::{SessionError, TableError};
use super::job::{ClientKey, Event, Operation};
use super::request::ErrorCode;
use super::semaphore::{Key, Spin, Watch};
use super::server::Notices;
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What a client asks for, for a rule to judge.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asks.
    pub client: ClientKey,
    /// What for.
    pub operation: Operation,
    /// The name, where one says which object; else empty.
    pub name: &'a [u8],
}

/// How a proxy works.
#[derive(Debug)]
pub struct ProxyOptions {
    /// Who may connect.
    pub peers: Peers,
    /// How many clients there may be.
    pub max_clients: usize,
    /// How long a client may take to connect, with what the table behind takes of it.
    pub connect_limit: Duration,
    /// How the proxy waits.
    pub waiting: Waiting,
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

/// With more polled clients than this a look at all of them takes longer than it saves.
const MAX_SPUN: usize = 16;
/// While a client is connecting, it is seen so often whether its time is over.
const GUEST_LOOK: Duration = Duration::from_millis(50);
/// How many waiting clients are accepted in one poll.
const ACCEPTS_PER_LOOK: usize = 16;
/// More than the steps that a handshake has.
const MAX_STEPS: usize = 8;
/// Busy rounds between two polls of the sockets.
const ROUNDS_PER_LOOK: u32 = 256;

/// What is watched.
#[derive(Debug)]
enum Member {
    Listener(Listener),
    PendingClient(Box<PendingClient>),
    Pair(Box<Pair>),
    /// The other socket of a pending client or a pair: the one to the table behind.
    Behind(Key),
}

/// A table that forwards what its rule allows.
///
/// ```no_run
/// use memcpy_select::transport::{Address, Asked, ErrorCode, Operation, Proxy, ProxyOptions};
/// use std::time::Duration;
///
/// let read_only = |asked: &Asked<'_>| match asked.operation {
///     Operation::Open if asked.name.starts_with(b"public/") => Ok(()),
///     Operation::Read { .. } | Operation::Seek { .. } => Ok(()),
///     _ => Err(ErrorCode::DENIED),
/// };
/// let (front, behind) = (Address::parse("@public")?, Address::parse("@files")?);
/// let mut proxy = Proxy::create(&front, behind, ProxyOptions::default(), read_only)?;
/// loop {
///     proxy.serve(Duration::from_secs(1))?;
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Proxy<R> {
    behind: Address,
    options: ProxyOptions,
    rule: R,
    watch: Watch,
    members: Vec<Option<Member>>,
    pending: Vec<Key>,
    /// The listener, while no client is accepted: the system refused, or too many are connecting.
    resting: Option<Key>,
    clients: usize,
    notices: Notices,
    events: VecDeque<Event>,
    rounds: u32,
    spin: Spin,
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
        proxy.add(Member::Listener(listener))?;
        Ok(proxy)
    }

    /// A proxy that has only the clients that are [adopted](Self::adopt).
    ///
    /// # Errors
    ///
    /// [`TableError::Wait`] if there are no descriptors.
    pub fn without_address(behind: Address, options: ProxyOptions, rule: R) -> Result<Self, TableError> {
        Ok(Self {
            behind,
            options,
            rule,
            watch: Watch::new()?,
            members: Vec::new(),
            pending: Vec::new(),
            resting: None,
            clients: 0,
            notices: Notices::default(),
            events: VecDeque::new(),
            rounds: 0,
            spin: Spin::default(),
        })
    }

    /// Takes the process at the other end of a socket as a client.
    ///
    /// # Errors
    ///
    /// [`TableError::Socket`] if the system cannot watch one more.
    pub fn adopt(&mut self, stream: UnixStream) -> Result<(), TableError> {
        let greeting = Greeting::over(stream, self.options.connect_limit);
        let key = self.add(Member::PendingClient(PendingClient::new(greeting, self.options.connect_limit)))?;
        self.greet(key);
        Ok(())
    }

    /// How many clients there are.
    pub fn clients(&self) -> usize {
        self.clients
    }

    /// The next [`Event::Refused`], of clients that were not taken in; none if there is none. At
    /// most 64 are kept.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Forwards what there is, waiting for at most the limit; whether there was something.
    ///
    /// # Errors
    ///
    /// [`TableError::Wait`] if the system refuses to wait. A client that breaks the protocol, or whose table is gone, is
    /// hung up on.
    pub fn serve(&mut self, limit: Duration) -> Result<bool, TableError> {
        let start = Instant::now();
        loop {
            self.rounds = self.rounds.wrapping_add(1);
            if self.rounds.is_multiple_of(ROUNDS_PER_LOOK) {
                self.look(Duration::ZERO)?;
            }
            if self.forward() {
                return Ok(true);
            }
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            let is_found = match self.options.waiting {
                Waiting::Poll => true,
                Waiting::Adaptive if self.watch.polled_len() <= MAX_SPUN && self.watch.polled_len() > 0 => {
                    let Self { spin, watch, members, .. } = self;
                    let look = || is_any_ready(watch, members).then_some(());
                    spin.find(left, std::hint::spin_loop, look).is_some()
                }
                Waiting::Adaptive | Waiting::Sleep => false,
            };
            if !is_found {
                let slept = Instant::now();
                let is_quiet = self.pending.is_empty() && self.resting.is_none();
                let longest = if is_quiet { left } else { left.min(GUEST_LOOK) };
                let limit = if self.arm_all() { Duration::ZERO } else { longest };
                self.look(limit)?;
                self.spin.slept(slept.elapsed());
            }
        }
    }

    /// Forwards what polled clients and their tables have; whether there was something.
    fn forward(&mut self) -> bool {
        let mut any = false;
        for _ in 0..self.watch.polled_len() {
            let Some(key) = self.watch.next_polled() else { break };
            let Some(Some(Member::Pair(pair))) = self.members.get_mut(key.slot()) else { continue };
            match pair.forward(ClientKey(key), &mut self.rule) {
                Ok(has_forwarded) => {
                    any |= has_forwarded;
                    self.watch.poll(key);
                }
                Err(_) => self.remove(key),
            }
        }
        any
    }

    /// Tells every polled client and its table to ring from now on; whether one has something already.
    fn arm_all(&mut self) -> bool {
        let mut any = false;
        for _ in 0..self.watch.polled_len() {
            let Some(key) = self.watch.next_polled() else { break };
            let Some(Some(Member::Pair(pair))) = self.members.get_mut(key.slot()) else { continue };
            if pair.arm() {
                self.watch.poll(key);
                any = true;
            }
        }
        any
    }

    /// Sees what the sockets have, waiting for at most the limit.
    fn look(&mut self, limit: Duration) -> Result<(), TableError> {
        for ready in self.watch.wait(limit)? {
            let key = match self.member(ready.key) {
                None => continue,
                Some(Member::Listener(_)) => {
                    self.accept(ready.key);
                    continue;
                }
                Some(Member::PendingClient(_) | Member::Pair(_)) => ready.key,
                Some(Member::Behind(other)) => *other,
            };
            let pair = match self.members.get_mut(key.slot()) {
                Some(Some(Member::Pair(pair))) => pair,
                Some(Some(Member::PendingClient(_))) => {
                    // What the table said before it went may be why it will not have the client, which is told.
                    if !ready.is_gone || ready.key != key {
                        self.greet(key);
                    }
                    if ready.is_gone {
                        self.remove(key);
                    }
                    continue;
                }
                _ => continue,
            };
            if ready.is_gone || pair.woken().is_err() {
                // What the table answered before it went is forwarded still.
                let _ = pair.forward(ClientKey(key), &mut self.rule);
                self.remove(key);
            } else {
                self.watch.poll(key);
            }
        }
        for at in (0..self.pending.len()).rev() {
            if let Some(&key) = self.pending.get(at)
                && let Some(Member::PendingClient(pending)) = self.member(key)
            {
                if pending.is_late() {
                    self.refuse(key, Refusal::Late);
                    self.tell(ConnectError::Timeout { limit: self.options.connect_limit });
                } else if pending.waits_for_table() {
                    self.greet(key);
                }
            }
        }
        if let Some(listener) = self.resting.take() {
            self.accept_again(listener);
        }
        Ok(())
    }

    /// Forgets those whose sockets are closed, and so watched no more.
    fn forget(&mut self, keys: [Option<Key>; 2]) {
        for key in keys.into_iter().flatten() {
            self.watch.forget(key);
            if let Some(place) = self.members.get_mut(key.slot()) {
                *place = None;
            }
        }
    }

    fn member(&self, key: Key) -> Option<&Member> {
        if self.watch.contains(key) { self.members.get(key.slot())?.as_ref() } else { None }
    }

    fn add(&mut self, member: Member) -> Result<Key, ConnectError> {
        let Self { watch, members, .. } = self;
        let key = match &member {
            Member::Listener(listener) => watch.add_once(listener.as_fd()),
            Member::PendingClient(pending) => watch.add(pending.front().ok_or(ConnectError::PeerGone)?),
            Member::Pair(pair) => watch.add(pair.front.as_fd()),
            Member::Behind(front) => {
                let behind = match members.get(front.slot()) {
                    Some(Some(Member::PendingClient(pending))) => pending.behind(),
                    _ => None,
                };
                watch.add(behind.ok_or(ConnectError::PeerGone)?)
            }
        }
        .map_err(ConnectError::socket)?;
        if matches!(member, Member::PendingClient(_)) {
            self.pending.push(key);
        }
        if self.members.len() <= key.slot() {
            self.members.resize_with(key.slot() + 1, || None);
        }
        self.members[key.slot()] = Some(member);
        Ok(key)
    }

    /// Forgets a member; its sockets are closed.
    fn remove(&mut self, key: Key) {
        if !self.watch.contains(key) {
            return;
        }
        let behind = match self.members.get_mut(key.slot()).and_then(Option::take) {
            Some(Member::Pair(pair)) => {
                self.clients -= 1;
                pair.behind_key
            }
            Some(Member::PendingClient(pending)) => {
                self.pending.retain(|other| *other != key);
                pending.behind_key
            }
            Some(Member::Listener(_)) => None,
            // Goes with its pair.
            Some(Member::Behind(_)) | None => return,
        };
        self.forget([Some(key), behind]);
    }
}

fn is_any_ready(watch: &mut Watch, members: &mut [Option<Member>]) -> bool {
    for _ in 0..watch.polled_len() {
        let Some(key) = watch.next_polled() else { return false };
        let Some(Some(Member::Pair(pair))) = members.get_mut(key.slot()) else { continue };
        watch.poll(key);
        if pair.is_ready() {
            return true;
        }
    }
    false
}

/// Why a pair is over; the proxy only hangs up.
type Over = SessionError;
