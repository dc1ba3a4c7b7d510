//! One client's session, as the table has it: the logic of [`ServerSide`] with its socket, its doorbells and its regions.

use crate::transport::blocks::AllocateError;
use crate::transport::chain::Chain;
use crate::transport::connect::{Channel, ConnectError, Greeted, Parcel};
use crate::transport::error::SessionError;
use crate::transport::geometry::Allocator;
use crate::transport::job::{Answer, Job};
use crate::transport::loan::{Lender, Payload, Place};
use crate::transport::memory::{Copier, Mapped};
use crate::transport::reactor::{self, Source};
use crate::transport::region::Region;
use crate::transport::request::{ErrorCode, Value};
use crate::transport::semaphore::Doorbell;
use crate::transport::session::{QueueLayout, Reply, ServerSide};
use crate::transport::share::Object;
use std::os::fd::{AsFd, BorrowedFd};
use std::slice;

/// From this length on it is looked first for what the client has given back, which may still be in the caches: the look
/// costs less than fetching another block would.
const WARM_BYTES: u32 = 16 << 10;

/// One client's session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) side: ServerSide<Mapped>,
    channel: Channel,
    own_bell: Doorbell<Mapped>,
    client_bell: Doorbell<Mapped>,
    /// The region of the server's blocks.
    pub(super) place: Lender,
    /// The region of the client's blocks, as a file too if it alone writes it.
    client_place: Place,
    /// It is among those that have something to publish.
    pub(super) is_touched: bool,
    /// All that is mapped: the queue, the region of the server's blocks, and that of the client's, if it is another one.
    pub(super) memory: Vec<Mapped>,
}

impl Session {
    /// A session over the region `data` of the server's blocks.
    pub(super) fn new(greeted: Greeted, data: Mapped, max_held_blocks: u32) -> Result<Self, ConnectError> {
        let Greeted { channel, geometry, queue, client_data } = greeted;
        let layout = QueueLayout::of(&geometry)?;
        let queue = queue.into_memory();
        let mut memory = vec![queue.clone(), data.clone()];
        memory.extend(client_data.iter().map(|region| region.memory().clone()));
        let (client_data, client_file) = match client_data.map(Region::into_parts) {
            Some((memory, file)) => (memory, Some(file)),
            None => (data.clone(), None),
        };
        let mut side = ServerSide::new(&geometry, queue.clone(), client_data, data)?;
        side.limit_blocks = max_held_blocks;
        Ok(Self {
            place: Lender::new(&side.data.own, geometry.allocator == Allocator::Owned, None),
            client_place: Place::new(&side.data.theirs, false, client_file),
            side,
            channel,
            own_bell: Doorbell::new(queue.clone(), layout.server_doorbell_at),
            client_bell: Doorbell::new(queue, layout.client_doorbell_at),
            is_touched: false,
            memory,
        })
    }

    /// Takes in leases that were dropped without being sent.
    #[inline(always)]
    pub(super) fn take_returned(&mut self) {
        while let Some(chain) = self.place.take_returned() {
            self.side.data.give_back(chain);
        }
    }

    #[inline(always)]
    pub(super) fn flush(&mut self) -> Result<(), SessionError> {
        if self.side.flush() && self.client_bell.ring() {
            self.channel.wake()?;
        }
        // Now that the client has something to do: what it gave back by its last requests.
        if self.side.lent_blocks() > 0 {
            self.side.take_releases()?;
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn lend(&mut self, length: u32) -> Result<Chain, AllocateError> {
        self.take_returned();
        if length >= WARM_BYTES && self.side.lent_blocks() > 0 {
            self.side.take_releases()?;
        }
        self.side.lend(length)
    }

    /// The bytes that came with a job.
    #[inline(always)]
    pub(super) fn payload(&self, job: &Job) -> Payload<'_> {
        Payload { blocks: self.side.job(job.key).map(|found| (&found.payload, &self.client_place)) }
    }

    /// What answers a job: the answer, or the error that the client gets instead.
    #[inline(always)]
    pub(super) fn reply<'a>(&mut self, job: &Job, answer: Answer<'a>) -> Result<Reply<'a>, SessionError> {
        Ok(Reply::Value(match answer {
            Answer::Bytes(bytes) => return self.copied(job, bytes, Copier::AUTO),
            Answer::BytesWith(bytes, copier) => return self.copied(job, bytes, copier),
            Answer::Object(object) => return self.pass(job, Value::number(0), &object),
            Answer::HandleAndObject(handle, object) => return self.pass(job, Value::number(handle), &object),
            Answer::Lease(lease) => match self.place.take_back(lease.loan) {
                Some(chain) => return Ok(Reply::Bytes(chain)),
                None => ErrorCode::IO.value(),
            },
            Answer::Error(code) => code.value(),
            Answer::Done => Value::number(0),
            Answer::Amount(number) | Answer::Handle(number) => Value::number(number),
            Answer::Position(position) => Value(position),
        }))
    }

    /// As [`reply`](Self::reply), with a copy of these bytes.
    #[inline(always)]
    fn copied<'a>(&mut self, job: &Job, bytes: &'a [u8], copier: Copier) -> Result<Reply<'a>, SessionError> {
        let fits = self.side.data.fits(bytes.len());
        if fits { Ok(Reply::Copy(bytes, copier)) } else { self.in_blocks(job, bytes, copier) }
    }

    /// As [`reply`](Self::reply), with a copy of these bytes in blocks.
    #[inline]
    fn in_blocks(&mut self, job: &Job, bytes: &[u8], copier: Copier) -> Result<Reply<'static>, SessionError> {
        let length = match u32::try_from(bytes.len()) {
            Ok(length) if self.side.job(job.key).is_none_or(|found| length <= found.asked) => length,
            _ => return Ok(Reply::Value(ErrorCode::TOO_LARGE.value())),
        };
        match self.lend(length) {
            Ok(mut chain) => {
                chain.write(&self.side.data.own, 0, bytes, copier);
                Ok(Reply::Bytes(chain))
            }
            Err(AllocateError::OutOfBlocks) => Ok(Reply::Value(ErrorCode::OUT_OF_BLOCKS.value())),
            Err(AllocateError::Violation(violation)) => Err(violation.into()),
        }
    }

    /// As [`reply`](Self::reply), with an object.
    fn pass(&mut self, job: &Job, value: Value, object: &Object<'_>) -> Result<Reply<'static>, SessionError> {
        let Some(found) = self.side.job(job.key) else { return Ok(Reply::Value(ErrorCode::IO.value())) };
        let parcel = Parcel { id: found.id.0.into(), ..object.parcel };
        match self.channel.pass(parcel, object.descriptor()) {
            Ok(()) => Ok(Reply::WithObject(value)),
            Err(ConnectError::PeerGone) => Err(SessionError::PeerGone),
            Err(_) => Ok(Reply::Value(ErrorCode::IO.value())),
        }
    }
}

impl reactor::Session for Session {
    /// The client's socket, and its process.
    fn descriptor(&self, source: Source) -> Option<BorrowedFd<'_>> {
        match source {
            Source::Client => Some(self.channel.as_fd()),
            Source::Other => self.channel.process(),
        }
    }

    #[inline(always)]
    fn is_ready(&mut self) -> bool {
        self.side.is_ready()
    }

    fn bells(&self) -> &[Doorbell<Mapped>] {
        slice::from_ref(&self.own_bell)
    }

    fn take_in(&mut self, source: Source) -> Result<u32, SessionError> {
        match source {
            Source::Client => Ok(self.channel.drain()?),
            Source::Other => Err(SessionError::PeerGone),
        }
    }

    fn taken(&self, _source: Source) -> u32 {
        self.side.requests.index()
    }
}
