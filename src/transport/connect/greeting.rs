//! The server's side of the handshake, in steps that never wait.

use super::ConnectError;
use super::channel::{Channel, Deadline};
use super::credentials::Origin;
use super::wire::{Message, Refusal};
use crate::transport::geometry::{Allocator, Geometry};
use crate::transport::memory::Access;
use crate::transport::region::{Promise, Region, RegionOptions, Sealing};
use crate::transport::region_error::RegionError;
use crate::transport::session::QueueLayout;
use rustix::fs::SealFlags;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Far longer than a client takes that only has to wait for a CPU before it goes on.
const PATIENCE: Duration = Duration::from_millis(150);

/// A client that has connected and is being greeted.
#[derive(Debug)]
pub struct Greeting {
    channel: Channel,
    deadline: Deadline,
    state: State,
    /// What was offered: the numbers, and the queue region.
    offer: Option<(Geometry, Region)>,
    /// The client's data region, once it has accepted.
    pub(in crate::transport) client_data: Option<Region>,
    /// Since when it is the client's turn, or was last.
    turned: Instant,
    /// Of a client that connected by name, so that its process is known.
    pub(super) origin: Option<Origin>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing has come yet.
    Silent,
    /// The client has said Hello, and waits for an offer.
    Asked,
    /// It has the offer.
    Offered,
    /// It has accepted, and waits for Go.
    Agreed,
    /// The queue region is ready, too.
    Prepared,
    /// The handshake is over, in one way or the other.
    Over,
}

/// How far a greeting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client's next message has not come. Go on when the socket has something.
    Pending,
    /// The client asks for a session: [`Greeting::offer`] one, or [`Greeting::refuse`].
    Asked,
    /// The client has accepted, and waits until the session is there: [`Greeting::finish`].
    Agreed,
}

/// What the server has of a session.
#[derive(Debug)]
pub struct Greeted {
    /// The socket.
    pub channel: Channel,
    /// The numbers that were offered.
    pub geometry: Geometry,
    /// The queue region, which both sides write.
    pub queue: Region,
    /// With [`Allocator::Owned`] the client's data region, mapped for reading: only the client writes it.
    pub client_data: Option<Region>,
}

impl Greeting {
    /// Greets the client at the other end of a socket that this process was given, within that time.
    pub fn over(stream: UnixStream, limit: Duration) -> Self {
        Self {
            channel: Channel::new(stream),
            deadline: Deadline::after(limit),
            state: State::Silent,
            offer: None,
            client_data: None,
            turned: Instant::now(),
            origin: None,
        }
    }

    /// Where the client connected from.
    pub(in crate::transport) fn origin(&self) -> Origin {
        self.origin.unwrap_or_default()
    }

    /// Whether the client has not asked for a session yet.
    pub(in crate::transport) fn is_silent(&self) -> bool {
        self.state == State::Silent
    }

    /// Whether the client waits for an offer.
    pub(in crate::transport) fn has_asked(&self) -> bool {
        self.state == State::Asked
    }

    /// Whether the client could long have gone on.
    pub(in crate::transport) fn has_had_its_time(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.turned) >= PATIENCE
    }

    /// So much of the client's time does not count: it waited for this side.
    pub(in crate::transport) fn excuse(&mut self, time: Duration) {
        self.deadline.start += time;
    }

    /// How long the client still has; `None` if its time is over and the greeting to be dropped.
    pub fn time_left(&self) -> Option<Duration> {
        self.deadline.left().ok()
    }

    /// Goes on as far as the client has come.
    ///
    /// # Errors
    ///
    /// Why there will be no session; the client has been told, as far as it can be, and the greeting is over: drop it. A
    /// greeting that goes on for longer than its limit ends with [`ConnectError::Timeout`].
    pub fn step(&mut self) -> Result<Step, ConnectError> {
        self.try_step().inspect_err(|error| match error {
            // It would not know what it is told.
            ConnectError::NotATable => self.state = State::Over,
            error => self.refuse(error.refusal()),
        })
    }

    fn try_step(&mut self) -> Result<Step, ConnectError> {
        self.deadline.left()?;
        match self.state {
            // An offer, and a session, cost far more than this look.
            State::Asked | State::Agreed if self.channel.is_gone() => return Err(ConnectError::PeerGone),
            State::Asked => return Ok(Step::Asked),
            State::Agreed | State::Prepared => return Ok(Step::Agreed),
            State::Over => return Err(ConnectError::PeerGone),
            State::Silent | State::Offered => {}
        }
        let Some((message, descriptors)) = self.channel.receive()? else { return Ok(Step::Pending) };
        match (message, &self.offer) {
            (Message::Hello, None) => self.state = State::Asked,
            (Message::Ready { data_bytes, last_bytes }, Some((geometry, _))) => {
                self.client_data = map_accepted(geometry, data_bytes, last_bytes, descriptors)?;
                self.state = State::Agreed;
            }
            (Message::Refused { reason, .. }, _) => return Err(ConnectError::Refused { reason }),
            (other, _) => return Err(ConnectError::Message { kind: other.kind() }),
        }
        self.try_step()
    }

    /// Offers a session: its numbers, a new queue region for them, and the data region with the server's blocks or the shared ones,
    /// which may serve many sessions. The queue region needs no pages before the client accepts: it is pre-faulted then.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Geometry`] for an offer that the client would refuse, [`ConnectError::Region`] if there is no queue region,
    /// [`ConnectError::Message`] if the client has not asked, and what happens to the socket.
    pub fn offer(&mut self, geometry: Geometry, data: &Region) -> Result<(), ConnectError> {
        if !self.has_asked() {
            return Err(ConnectError::Message { kind: 0 });
        }
        let (layout, data_bytes) = (QueueLayout::of(&geometry)?, data.len_bytes() as u64);
        geometry.check_data_bytes(geometry.server_blocks, data_bytes)?;
        let queue = Region::create(layout.len_bytes, RegionOptions::default())?;
        let welcome = Message::Welcome { geometry, queue_bytes: queue.len_bytes() as u64, data_bytes };
        self.channel.send(welcome, &[queue.descriptor(), data.descriptor()])?;
        self.offer = Some((geometry, queue));
        self.state = State::Offered;
        self.turned = Instant::now();
        Ok(())
    }

    /// Refuses the client, and tells it why as far as it reads. Once is enough.
    pub fn refuse(&mut self, reason: Refusal) {
        if self.state != State::Over {
            self.channel.refuse(reason);
            self.state = State::Over;
        }
    }

    /// Makes the queue region ready for a client that has accepted, which is most of what [`finish`](Self::finish) has to do.
    ///
    /// # Errors
    ///
    /// As of [`finish`](Self::finish).
    pub(in crate::transport) fn prepare(&mut self) -> Result<(), ConnectError> {
        match (self.state, &self.offer) {
            (State::Prepared, _) => Ok(()),
            (State::Agreed, Some((_, queue))) => {
                make_ready(queue).inspect_err(|error| self.refuse(error.refusal()))?;
                self.state = State::Prepared;
                Ok(())
            }
            _ => Err(ConnectError::PeerGone),
        }
    }

    /// The session, of which the client is told that it is there.
    ///
    /// # Errors
    ///
    /// [`ConnectError::PeerGone`] if the last step was not [`Step::Agreed`], and what keeps the queue region from being
    /// pre-faulted and sealed; the client has been told, as far as it can be.
    pub fn finish(mut self) -> Result<Greeted, ConnectError> {
        self.prepare()?;
        let (geometry, queue) = self.offer.take().ok_or(ConnectError::PeerGone)?;
        self.channel.send(Message::Go, &[])?;
        if self.origin.is_some() {
            self.channel.watch_process();
        }
        Ok(Greeted { channel: self.channel, geometry, queue, client_data: self.client_data })
    }
}

/// Maps what a client passed when it accepted: its own blocks, if each side has some, in one region or in two.
fn map_accepted(
    geometry: &Geometry,
    data_bytes: u64,
    last_bytes: u64,
    descriptors: Vec<OwnedFd>,
) -> Result<Option<Region>, ConnectError> {
    let expected = usize::from(geometry.allocator == Allocator::Owned) + usize::from(last_bytes > 0);
    let found = descriptors.len();
    if expected != found {
        return Err(ConnectError::Descriptors { expected, found });
    }
    let mut descriptors = descriptors.into_iter();
    Ok(match (descriptors.next(), descriptors.next()) {
        (None, _) => None,
        (Some(descriptor), None) => {
            let len_bytes = geometry.check_data_bytes(geometry.client_blocks, data_bytes)?;
            let promise = Promise { len_bytes, sealing: Sealing::SizeAndWriting };
            Some(Region::open(descriptor, promise, Access::Read)?)
        }
        (Some(first), Some(last)) => {
            let whole_bytes = geometry.client_blocks.check_parts(data_bytes, last_bytes)?;
            let parts = [(first, data_bytes as usize), (last, last_bytes as usize)];
            Some(Region::open_two(parts, whole_bytes)?)
        }
    })
}

/// Pre-faults a queue region and seals it, now that the client has mapped it too.
fn make_ready(queue: &Region) -> Result<(), ConnectError> {
    queue.prefault()?;
    // The client may have sealed it so already, which serves as well.
    if let Err(refused) = queue.seal_writing() {
        queue.verify_sealed().map_err(|error| match error {
            // It can have sealed it otherwise, too. If it has not, the system does not seal.
            RegionError::NotSealed { found_bits, .. } if found_bits & SealFlags::SEAL.bits() == 0 => refused,
            error => error,
        })?;
    }
    Ok(())
}

impl AsFd for Greeting {
    /// The socket, readable when the next step can be taken.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
