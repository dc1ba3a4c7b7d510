//! The client's side of the handshake, which waits for each answer, and no longer than its limit.

use super::ConnectError;
use super::channel::{Channel, Deadline};
use super::listen::Address;
use super::wire::{Message, Refusal, VERSION};
use crate::transport::geometry::{Allocator, Geometry, GeometryError, Limits};
use crate::transport::memory::Access;
use crate::transport::options::options;
use crate::transport::region::{Promise, Region, RegionOptions, Sealing, file_bytes};
use crate::transport::session::data_bytes;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

options! {
    /// How to connect to a table; usually within five seconds, with the usual limits, and an own region in ordinary pages.
    pub struct JoinOptions {
        /// The longest that connecting takes.
        pub limit: Duration = Duration::from_secs(5),
        /// What this side is ready to map.
        pub limits: Limits = Limits::default(),
        /// Where this side's own blocks lie, if it has some.
        pub own_region: OwnRegion = OwnRegion::New(RegionOptions::default()),
        /// Pre-fault what the server passes, if it is sealed.
        pub prefault: bool = false,
        takes_unsealed: bool = false,
    }
}

/// Where a client's own blocks lie.
#[derive(Debug)]
pub enum OwnRegion {
    /// In a new region.
    New(RegionOptions),
    /// In a region that there is already: sealed against writing, and as long as the server's geometry says.
    Supplied(Region),
}

impl JoinOptions {
    /// The same, but for a data region that is taken without asking for its seals: a device's memory, or a file.
    ///
    /// # Safety
    ///
    /// The server will neither truncate what it passes nor make it inaccessible: an access would end this process then.
    #[must_use]
    pub unsafe fn unsealed(self) -> Self {
        self.takes_unsealed(true)
    }
}

/// What the client has of a session.
#[derive(Debug)]
pub struct Joined {
    /// The socket.
    pub channel: Channel,
    /// The numbers that the server gave.
    pub geometry: Geometry,
    /// The queue region, which both sides write.
    pub queue: Region,
    /// With [`Allocator::Owned`] the region of this side's blocks, which it alone writes.
    pub own_data: Option<Region>,
    /// The region of the server's blocks, mapped for reading; with [`Allocator::Shared`] the one that both write.
    pub data: Region,
}

/// Connects to the table at that address.
///
/// # Errors
///
/// [`ConnectError`], at the latest when the limit is over.
pub fn join(address: &Address, options: JoinOptions) -> Result<Joined, ConnectError> {
    let deadline = Deadline::after(options.limit);
    let stream = address.connect(Some(&deadline))?;
    shake_hands(Channel::to_server(stream), options, &deadline)
}

/// As [`join`], over a socket that this process was given.
///
/// # Errors
///
/// As [`join`].
pub fn join_over(stream: UnixStream, options: JoinOptions) -> Result<Joined, ConnectError> {
    let deadline = Deadline::after(options.limit);
    shake_hands(Channel::new(stream), options, &deadline)
}

fn shake_hands(channel: Channel, options: JoinOptions, deadline: &Deadline) -> Result<Joined, ConnectError> {
    let mut asking = ClientHandshake::over(channel)?;
    let geometry = loop {
        match asking.offered(&options)? {
            Some(offer) => break offer.geometry,
            None => asking.channel.wait_until(deadline)?,
        }
    };
    // The server is told, so that it need not wait for its limit.
    let own = own_region(&geometry, options.own_region).inspect_err(|error| asking.channel.refuse(error.refusal()))?;
    asking.ready(own.as_ref(), None)?;
    while !asking.has_go()? {
        asking.channel.wait_until(deadline)?;
    }
    asking.finish(own)
}

/// A session that this side asks a table for. A caller with other things to do takes it in steps that never wait, as the other
/// side does with a [`Greeting`](super::Greeting).
#[derive(Debug)]
pub(in crate::transport) struct ClientHandshake {
    /// Readable when the next step can be taken.
    pub(in crate::transport) channel: Channel,
    offer: Option<Offer>,
}

/// What a server offers.
#[derive(Debug)]
pub(in crate::transport) struct Offer {
    pub(in crate::transport) geometry: Geometry,
    pub(in crate::transport) data: Region,
    queue: Region,
}

impl ClientHandshake {
    /// Connects at once, and says Hello. [`ConnectError::Congested`] if too many wait to connect: try again.
    pub(in crate::transport) fn start(address: &Address) -> Result<Self, ConnectError> {
        Self::over(Channel::to_server(address.connect(None)?))
    }

    fn over(channel: Channel) -> Result<Self, ConnectError> {
        let mut asking = Self { channel, offer: None };
        asking.send(Message::Hello, &[])?;
        Ok(asking)
    }

    /// Sends a message; if the server has hung up, the error is what it said before.
    fn send(&mut self, message: Message, descriptors: &[BorrowedFd<'_>]) -> Result<(), ConnectError> {
        match self.channel.send(message, descriptors) {
            Err(ConnectError::PeerGone) => Err(match self.channel.receive() {
                Ok(Some((last, _))) => unexpected(last),
                _ => ConnectError::PeerGone,
            }),
            result => result,
        }
    }

    /// What the server offers, if that has come.
    pub(in crate::transport) fn offered(&mut self, options: &JoinOptions) -> Result<Option<&Offer>, ConnectError> {
        if self.offer.is_none()
            && let Some((message, descriptors)) = self.channel.receive()?
        {
            let Message::Welcome { geometry, queue_bytes, data_bytes } = message else {
                return Err(unexpected(message));
            };
            let (queue, data) = map_offered(geometry, queue_bytes, data_bytes, descriptors, options)
                .inspect_err(|error| self.channel.refuse(error.refusal()))?;
            self.offer = Some(Offer { geometry, data, queue });
        }
        Ok(self.offer.as_ref())
    }

    /// Accepts the offer, with the region of this side's own blocks, and one more whose blocks are the last of them.
    pub(in crate::transport) fn ready(
        &mut self,
        own: Option<&Region>,
        last: Option<&Region>,
    ) -> Result<(), ConnectError> {
        let len_bytes = |region: Option<&Region>| region.map_or(Ok(0), |region| file_bytes(region.descriptor()));
        let descriptors: Vec<_> = own.iter().chain(&last).map(|region| region.descriptor()).collect();
        let message = Message::Ready { data_bytes: len_bytes(own)?, last_bytes: len_bytes(last)? };
        self.send(message, &descriptors)
    }

    /// Whether the server's Go has come, after which there is a session: true once.
    pub(in crate::transport) fn has_go(&mut self) -> Result<bool, ConnectError> {
        match self.channel.receive()? {
            None => Ok(false),
            Some((Message::Go, _)) => Ok(true),
            Some((message, _)) => Err(unexpected(message)),
        }
    }

    /// The session, when the server has said Go.
    pub(in crate::transport) fn finish(self, own_data: Option<Region>) -> Result<Joined, ConnectError> {
        let Self { channel, offer: Some(Offer { geometry, data, queue }) } = self else {
            return Err(ConnectError::PeerGone);
        };
        queue.verify_sealed()?;
        Ok(Joined { channel, geometry, queue, own_data, data })
    }
}

/// The queue region and the data region.
fn map_offered(
    geometry: Geometry,
    queue_bytes: u64,
    data_bytes: u64,
    descriptors: Vec<OwnedFd>,
    options: &JoinOptions,
) -> Result<(Region, Region), ConnectError> {
    let JoinOptions { limits, prefault, takes_unsealed, .. } = *options;
    geometry.check(&limits)?;
    let what = "bytes in a queue region, more than the limit";
    let queue_len_bytes = GeometryError::unless(queue_bytes <= limits.max_queue_bytes, what, queue_bytes)?;
    let data_len_bytes = geometry.check_data_bytes(geometry.server_blocks, data_bytes)?;
    let [queue, data] = <[OwnedFd; 2]>::try_from(descriptors)
        .map_err(|found| ConnectError::Descriptors { expected: 2, found: found.len() })?;
    let promise = Promise { len_bytes: queue_len_bytes, sealing: Sealing::Size };
    // Always pre-faulted: it is short, and used at once.
    let queue = Region::open(queue, promise, Access::ReadWrite)?;
    queue.prefault()?;
    let (access, sealing) = match geometry.allocator {
        Allocator::Owned => (Access::Read, Sealing::SizeAndWriting),
        Allocator::Shared => (Access::ReadWrite, Sealing::Size),
    };
    let data = if takes_unsealed {
        // SAFETY: the caller of `JoinOptions::unsealed` has vouched that the server neither truncates what it passes nor makes
        // it inaccessible.
        unsafe { Region::map_unsealed(data, 0, data_len_bytes, access) }?
    } else {
        let data = Region::open(data, Promise { len_bytes: data_len_bytes, sealing }, access)?;
        if prefault {
            data.prefault()?;
        }
        data
    };
    Ok((queue, data))
}

/// The region of this side's own blocks, if each side has its own.
fn own_region(geometry: &Geometry, own_region: OwnRegion) -> Result<Option<Region>, ConnectError> {
    let blocks = geometry.client_blocks;
    let region = match (geometry.allocator, own_region) {
        (Allocator::Shared, _) => return Ok(None),
        (Allocator::Owned, OwnRegion::Supplied(region)) => {
            geometry.check_data_bytes(blocks, region.len_bytes() as u64)?;
            region.verify_sealed()?;
            region
        }
        (Allocator::Owned, OwnRegion::New(options)) => {
            let region = Region::create(data_bytes(blocks, geometry.allocator)?, options)?;
            region.seal_writing()?;
            region
        }
    };
    Ok(Some(region))
}

fn unexpected(message: Message) -> ConnectError {
    match message {
        Message::Refused { reason: Refusal::Version, version } => {
            ConnectError::Version { ours: VERSION, theirs: version }
        }
        Message::Refused { reason, .. } => ConnectError::Refused { reason },
        other => ConnectError::Message { kind: other.kind() },
    }
}
