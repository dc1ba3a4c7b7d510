//! The client: asks a table for objects, and reads and writes them.
//!
//! Every call that waits ends at its limit. What is submitted is sent with the next [`flush`](Client::flush), poll or wait,
//! all with one wake-up, and none if the server is awake.

use super::blocks::{AllocateError, BlockGeometry};
use super::chain::{Chain, clamp};
use super::completion::{Completion, Handle, Shared};
use super::connect::{Address, Channel, ConnectError, JoinOptions, Joined, join, join_over};
use super::error::{ClientError, SessionError};
use super::geometry::{Allocator, Geometry};
use super::loan::{Lease, Place, View};
use super::memory::{Copier, Mapped};
use super::request::{Args, ErrorCode, Flags, JobId, Kind, PageRange};
use super::semaphore::{Doorbell, Spin};
use super::session::{ClientSide, Outcome, QueueLayout, SubmitError, Ticket};
use std::collections::VecDeque;
use std::io::SeekFrom;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a side waits for the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiting {
    /// Looks for as long as that has paid lately, then sleeps.
    #[default]
    Adaptive,
    /// Looks until the limit, and never sleeps: the quickest, for a CPU of its own.
    Poll,
    /// Sleeps at once.
    Sleep,
}

/// How to connect, and how to wait.
#[derive(Debug)]
pub struct ClientOptions {
    /// What this side maps, and how long connecting may take.
    pub join: JoinOptions,
    /// The limit of every call that waits.
    pub limit: Duration,
    /// How it waits.
    pub waiting: Waiting,
}

impl Default for ClientOptions {
    /// Five seconds for each call; looks, then sleeps.
    fn default() -> Self {
        Self { join: JoinOptions::default(), limit: Duration::from_secs(5), waiting: Waiting::default() }
    }
}

/// No sleep is longer before it is seen whether the server still lives.
const MAX_SLEEP: Duration = Duration::from_millis(4);
/// So many looks pass between two looks at the clock.
const LOOKS_PER_CLOCK: u32 = 64;

/// A connection to a table.
///
/// ```no_run
/// use memcpy_select::transport::{Address, Client, ClientOptions};
///
/// let mut client = Client::connect(&Address::parse("@greetings")?, ClientOptions::default())?;
/// let file = client.open("hello.txt")?;
/// let mut text = [0; 100];
/// let len = client.read(file, &mut text)?;
/// println!("{}", String::from_utf8_lossy(&text[..len]));
/// client.close(file)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Client {
    side: ClientSide<Mapped>,
    channel: Channel,
    server_bell: Doorbell<Mapped>,
    own_bell: Doorbell<Mapped>,
    spin: Spin,
    waiting: Waiting,
    limit: Duration,
    own: Arc<Place>,
    theirs: Arc<Place>,
    geometry: Geometry,
    /// Polled while another one was waited for.
    done: VecDeque<Ticket>,
    over: Option<SessionError>,
}

impl Client {
    /// Connects to the table at an address.
    ///
    /// # Errors
    ///
    /// [`ConnectError`]: nobody listens there, it is not a table or one of another version, it is full, or it does not
    /// answer in time.
    pub fn connect(address: &Address, options: ClientOptions) -> Result<Self, ConnectError> {
        let ClientOptions { join: how, limit, waiting } = options;
        Self::new(join(address, how)?, limit, waiting)
    }

    /// Connects over a socket that this process was given.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub fn over(stream: UnixStream, options: ClientOptions) -> Result<Self, ConnectError> {
        let ClientOptions { join: how, limit, waiting } = options;
        Self::new(join_over(stream, how)?, limit, waiting)
    }

    /// The client of a session that was agreed on.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Geometry`] if the regions do not fit its numbers.
    pub fn new(joined: Joined, limit: Duration, waiting: Waiting) -> Result<Self, ConnectError> {
        let Joined { channel, geometry, queue, own_data, data } = joined;
        let layout = QueueLayout::of(&geometry)?;
        let queue = queue.into_memory();
        let (data, data_file) = data.into_parts();
        let data_file = (geometry.allocator == Allocator::Owned).then_some(data_file);
        let own = own_data.map_or_else(|| data.clone(), |region| region.into_memory());
        let side = ClientSide::new(&geometry, queue.clone(), own, data)?;
        Ok(Self {
            server_bell: Doorbell::new(queue.clone(), layout.server_doorbell_at),
            own_bell: Doorbell::new(queue, layout.client_doorbell_at),
            spin: Spin::default(),
            waiting,
            limit,
            own: Place::new(side.client_data(), geometry.allocator == Allocator::Owned, None),
            theirs: Place::new(side.server_data(), false, data_file),
            side,
            channel,
            geometry,
            done: VecDeque::new(),
            over: None,
        })
    }

    /// The numbers of the session.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Changes the limit of every call that waits.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Opens an object.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn open(&mut self, name: impl AsRef<[u8]>) -> Result<Handle, ClientError> {
        self.named(Kind::Open, name.as_ref())
    }

    /// Makes an object, and opens it.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn create(&mut self, name: impl AsRef<[u8]>) -> Result<Handle, ClientError> {
        self.named(Kind::Create, name.as_ref())
    }

    /// Opens an object, with the memory object that the table hands out with it, if it does.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn open_shared(&mut self, name: impl AsRef<[u8]>) -> Result<(Handle, Option<Shared>), ClientError> {
        let ticket = self.submit_named(Kind::Open, name.as_ref())?;
        match self.finish(ticket)? {
            Completion::Opened(handle, shared) => Ok((handle, shared)),
            other => Err(other.unexpected()),
        }
    }

    fn named(&mut self, kind: Kind, name: &[u8]) -> Result<Handle, ClientError> {
        let ticket = self.submit_named(kind, name)?;
        match self.finish(ticket)? {
            Completion::Opened(handle, _) => Ok(handle),
            other => Err(other.unexpected()),
        }
    }

    /// Removes an object.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn destroy(&mut self, name: impl AsRef<[u8]>) -> Result<(), ClientError> {
        let ticket = self.submit_named(Kind::Destroy, name.as_ref())?;
        self.finish(ticket).map(drop)
    }

    /// Ends a handle. There is no answer to wait for.
    ///
    /// # Errors
    ///
    /// [`ClientError::Full`] if the ring is full, or [`ClientError::Session`].
    pub fn close(&mut self, handle: Handle) -> Result<(), ClientError> {
        self.begin()?;
        self.side.close(handle.number()).map_err(|error| self.refused(error))?;
        self.flush()
    }

    /// Copies bytes from where the handle is into `dst`, and moves it past them; how many, 0 at the end. It is one
    /// transfer: what is longer than one can be ([`max_read_bytes`](Self::max_read_bytes)) takes another call.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn read(&mut self, handle: Handle, dst: &mut [u8]) -> Result<usize, ClientError> {
        self.read_with(handle, dst, Copier::AUTO)
    }

    /// As [`read`](Self::read), with a kernel of the caller's choice.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn read_with(&mut self, handle: Handle, dst: &mut [u8], copier: Copier) -> Result<usize, ClientError> {
        let amount = clamp(dst.len().min(self.max_read_bytes()));
        let ticket = self.submit_read(handle, amount)?;
        self.wait_for(ticket)?;
        match self.side.take(ticket) {
            Some(Outcome::Bytes(chain)) => {
                let (memory, blocks) = self.side.server_data();
                let len_bytes = (chain.length() as usize).min(dst.len());
                let copied = chain.read(memory, blocks, 0, dst.get_mut(..len_bytes).unwrap_or_default(), copier);
                self.side.release(chain).map_err(|violation| self.end(violation.into()))?;
                Ok(copied)
            }
            Some(Outcome::Refused(code)) => Err(ClientError::Refused(code)),
            _ => Err(ClientError::NotOfThisSession),
        }
    }

    /// As [`read`](Self::read), but leaves the bytes where the server put them, without a copy.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn read_in_place(&mut self, handle: Handle, len_bytes: usize) -> Result<View, ClientError> {
        let amount = clamp(len_bytes.min(self.max_read_bytes()));
        let ticket = self.submit_read(handle, amount)?;
        match self.finish(ticket)? {
            Completion::Read(view) => Ok(view),
            other => Err(other.unexpected()),
        }
    }

    /// Copies bytes to where the handle is, and moves it past them; how many. It is one transfer: what is longer than one
    /// can be ([`max_write_bytes`](Self::max_write_bytes)) takes another call.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn write(&mut self, handle: Handle, src: &[u8]) -> Result<usize, ClientError> {
        self.write_with(handle, src, Copier::AUTO)
    }

    /// As [`write`](Self::write), with a kernel of the caller's choice.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn write_with(&mut self, handle: Handle, src: &[u8], copier: Copier) -> Result<usize, ClientError> {
        let src = src.get(..self.max_write_bytes()).unwrap_or(src);
        let ticket = self.submit_write(handle, src, copier)?;
        self.finish(ticket)?.amount()
    }

    /// Sends the bytes of a [lease](Self::lease) without a copy; how many the table took.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn write_in_place(&mut self, handle: Handle, lease: Lease) -> Result<usize, ClientError> {
        let ticket = self.submit_write_in_place(handle, lease)?;
        self.finish(ticket)?.amount()
    }

    /// Moves the position of a handle; where it is then.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn seek(&mut self, handle: Handle, to: SeekFrom) -> Result<u64, ClientError> {
        let ticket = self.submit_seek(handle, to)?;
        match self.finish(ticket)? {
            Completion::Position(position) => Ok(position),
            other => Err(other.unexpected()),
        }
    }

    /// Asks for the memory of an object: `len_bytes` from `start_bytes` on, both multiples of 4096, or with a length of 0
    /// all the rest.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`ClientError::Unaligned`] for a part that does not lie on pages.
    pub fn share(
        &mut self,
        handle: Handle,
        start_bytes: u64,
        len_bytes: u64,
        is_writable: bool,
    ) -> Result<Shared, ClientError> {
        let ticket = self.submit_share(handle, start_bytes, len_bytes, is_writable)?;
        match self.finish(ticket)? {
            Completion::Shared(shared) => Ok(shared),
            other => Err(other.unexpected()),
        }
    }

    /// The longest transfer to here.
    pub fn max_read_bytes(&self) -> usize {
        max_bytes(self.side.server_data().1)
    }

    /// The longest transfer from here.
    pub fn max_write_bytes(&self) -> usize {
        max_bytes(self.side.client_data().1)
    }

    /// Blocks for `len_bytes`, to be filled and sent without a copy.
    ///
    /// # Errors
    ///
    /// [`ClientError::TooLarge`], [`ClientError::OutOfBlocks`] or [`ClientError::Session`].
    pub fn lease(&mut self, len_bytes: usize) -> Result<Lease, ClientError> {
        let chain = self.allocate(len_bytes)?;
        Ok(Lease { loan: self.own.loan(chain) })
    }

    fn allocate(&mut self, len_bytes: usize) -> Result<Chain, ClientError> {
        self.begin()?;
        let max_bytes = self.max_write_bytes();
        if len_bytes > max_bytes {
            return Err(ClientError::TooLarge { len_bytes, max_bytes });
        }
        self.side.allocate(clamp(len_bytes)).map_err(|error| match error {
            AllocateError::OutOfBlocks => ClientError::OutOfBlocks { len_bytes },
            AllocateError::Violation(violation) => self.end(violation.into()),
        })
    }

    fn send(&mut self, what: (Kind, Flags, u32), args: Args, payload: Chain) -> Result<Ticket, ClientError> {
        self.begin()?;
        self.side.submit(what, args, payload).map_err(|(error, payload)| {
            self.side.give_back(payload);
            self.refused(error)
        })
    }

    /// Submits an open, a create or a destroy, by a name.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn submit_named(&mut self, kind: Kind, name: &[u8]) -> Result<Ticket, ClientError> {
        let chain = self.allocate(name.len())?;
        let (memory, blocks) = self.side.client_data();
        chain.write(memory, blocks, 0, name, Copier::AUTO);
        self.send((kind, Flags::NONE, 0), Args::from_raw(0), chain)
    }

    /// Submits a read of that many bytes at most.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    #[inline]
    pub fn submit_read(&mut self, handle: Handle, amount: u32) -> Result<Ticket, ClientError> {
        self.send((Kind::Read, Flags::DATA, handle.number()), Args::of(Args::AMOUNT, amount), Chain::EMPTY)
    }

    /// Submits a write of a copy of `src`.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn submit_write(&mut self, handle: Handle, src: &[u8], copier: Copier) -> Result<Ticket, ClientError> {
        let chain = self.allocate(src.len())?;
        let (memory, blocks) = self.side.client_data();
        chain.write(memory, blocks, 0, src, copier);
        self.send((Kind::Write, Flags::DATA, handle.number()), Args::from_raw(0), chain)
    }

    /// Submits a write of what is in a lease.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn submit_write_in_place(&mut self, handle: Handle, lease: Lease) -> Result<Ticket, ClientError> {
        let chain = lease.loan.into_chain(&self.own).ok_or(ClientError::NotOfThisSession)?;
        self.send((Kind::Write, Flags::DATA, handle.number()), Args::from_raw(0), chain)
    }

    /// Submits a move of the position.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn submit_seek(&mut self, handle: Handle, to: SeekFrom) -> Result<Ticket, ClientError> {
        let (kind, args) = match to {
            SeekFrom::Start(offset) => (Kind::SeekStart, Args::of(Args::OFFSET, offset)),
            SeekFrom::Current(offset) => (Kind::SeekCurrent, Args::of(Args::SIGNED_OFFSET, offset)),
            SeekFrom::End(offset) => (Kind::SeekEnd, Args::of(Args::SIGNED_OFFSET, offset)),
        };
        self.send((kind, Flags::NONE, handle.number()), args, Chain::EMPTY)
    }

    /// Submits a request for the memory of an object.
    ///
    /// # Errors
    ///
    /// As [`share`](Self::share).
    pub fn submit_share(
        &mut self,
        handle: Handle,
        start_bytes: u64,
        len_bytes: u64,
        is_writable: bool,
    ) -> Result<Ticket, ClientError> {
        let pages = PageRange::of_bytes(start_bytes, len_bytes, is_writable)
            .ok_or(ClientError::Unaligned { start_bytes, len_bytes })?;
        self.send((Kind::Share, Flags::NONE, handle.number()), Args::of(Args::RANGE, pages), Chain::EMPTY)
    }

    /// Requests under way, and answers that nobody took.
    pub fn in_flight(&self) -> u32 {
        self.side.in_flight()
    }

    /// Sends what was submitted, and wakes the server if it sleeps.
    ///
    /// # Errors
    ///
    /// [`ClientError::Session`].
    #[inline]
    pub fn flush(&mut self) -> Result<(), ClientError> {
        let is_published = self.side.flush().map_err(|violation| self.end(violation.into()))?;
        if is_published && self.server_bell.ring() {
            self.wake()?;
        }
        Ok(())
    }

    #[cold]
    fn wake(&mut self) -> Result<(), ClientError> {
        self.channel.wake().map_err(|error| self.lost(error))
    }

    /// The next answer, of whichever request; none if there is none yet. Does not wait.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub fn poll(&mut self) -> Result<Option<(Ticket, Completion)>, ClientError> {
        self.begin()?;
        self.flush()?;
        let ticket = match self.done.pop_front() {
            Some(ticket) => Some(ticket),
            None => self.look()?,
        };
        ticket.map(|ticket| Ok((ticket, self.complete(ticket)?))).transpose()
    }

    /// The next answer, of whichever request, waiting for it until the limit.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; [`ClientError::NotOfThisSession`] if nothing is under way.
    pub fn wait(&mut self) -> Result<(Ticket, Completion), ClientError> {
        if self.in_flight() == 0 {
            return Err(ClientError::NotOfThisSession);
        }
        self.begin()?;
        self.flush()?;
        let ticket = match self.done.pop_front() {
            Some(ticket) => ticket,
            None => self.wait_any()?,
        };
        Ok((ticket, self.complete(ticket)?))
    }

    /// The answer to one request, waiting for it until the limit. Others that come meanwhile are kept.
    ///
    /// # Errors
    ///
    /// [`ClientError`]. A request that was not answered in time is given up.
    pub fn finish(&mut self, ticket: Ticket) -> Result<Completion, ClientError> {
        self.wait_for(ticket)?;
        match self.complete(ticket)? {
            Completion::Refused(code) => Err(ClientError::Refused(code)),
            completion => Ok(completion),
        }
    }

    /// Waits until a request has its answer.
    #[inline]
    fn wait_for(&mut self, ticket: Ticket) -> Result<(), ClientError> {
        self.begin()?;
        self.flush()?;
        if let Some(at) = self.done.iter().position(|done| *done == ticket) {
            self.done.remove(at);
            return Ok(());
        }
        if !self.side.is_waiting(ticket) {
            return Err(ClientError::NotOfThisSession);
        }
        // Bounded: each turn takes in one request that was under way.
        loop {
            match self.wait_any() {
                Ok(done) if done == ticket => return Ok(()),
                Ok(other) => self.done.push_back(other),
                Err(error) => {
                    self.side.abandon(ticket).map_err(|violation| self.end(violation.into()))?;
                    return Err(error);
                }
            }
        }
    }

    /// Takes in one response.
    #[inline]
    fn look(&mut self) -> Result<Option<Ticket>, ClientError> {
        self.side.poll().map_err(|violation| self.end(violation.into()))
    }

    /// Takes in one response, waiting for it.
    #[inline]
    fn wait_any(&mut self) -> Result<Ticket, ClientError> {
        // The usual case of a server that is quick: no clock is read.
        for _ in 0..LOOKS_PER_CLOCK {
            if let Some(ticket) = self.look()? {
                return Ok(ticket);
            }
            if self.waiting == Waiting::Sleep {
                break;
            }
            std::hint::spin_loop();
        }
        self.wait_longer()
    }

    fn wait_longer(&mut self) -> Result<Ticket, ClientError> {
        let start = Instant::now();
        let mut checked = start;
        loop {
            let found = match self.waiting {
                Waiting::Poll => (0..LOOKS_PER_CLOCK).any(|_| {
                    std::hint::spin_loop();
                    self.side.is_ready()
                }),
                Waiting::Adaptive => {
                    let side = &self.side;
                    let look = || side.is_ready().then_some(());
                    self.spin.find(self.limit, std::hint::spin_loop, look).is_some() || self.sleep(start)
                }
                Waiting::Sleep => self.sleep(start),
            };
            if found && let Some(ticket) = self.look()? {
                return Ok(ticket);
            }
            let now = Instant::now();
            if now - checked >= MAX_SLEEP {
                checked = now;
                if self.channel.is_gone() {
                    // What it answered before it went is still an answer.
                    return self.look()?.ok_or_else(|| self.end(SessionError::PeerGone));
                }
            }
            if now - start >= self.limit {
                return Err(ClientError::Timeout { limit: self.limit });
            }
        }
    }

    /// Sleeps until the server rings, but not for long.
    fn sleep(&self, start: Instant) -> bool {
        let left = self.limit.saturating_sub(start.elapsed()).min(MAX_SLEEP);
        let slept = Instant::now();
        let side = &self.side;
        self.own_bell.sleep_unless(left, || side.is_ready().then_some(()));
        self.spin.slept(slept.elapsed());
        side.is_ready()
    }

    /// What became of a request that has its response.
    fn complete(&mut self, ticket: Ticket) -> Result<Completion, ClientError> {
        Ok(match self.side.take(ticket).ok_or(ClientError::NotOfThisSession)? {
            Outcome::Refused(code) => Completion::Refused(code),
            Outcome::Bytes(chain) => Completion::Read(View { loan: self.theirs.loan(chain) }),
            Outcome::Amount(amount) => Completion::Amount(amount),
            Outcome::Handle(handle) => Completion::Opened(Handle::of(handle), None),
            Outcome::HandleWithObject(handle, id) => Completion::Opened(Handle::of(handle), Some(self.receive(id)?)),
            Outcome::Position(position) => Completion::Position(position),
            Outcome::Object(id) => Completion::Shared(self.receive(id)?),
        })
    }

    /// The object that the server passed for a job, before it answered.
    fn receive(&mut self, id: JobId) -> Result<Shared, ClientError> {
        match self.channel.accept_parcel(id.get(), self.limit) {
            Ok((parcel, descriptor)) => Ok(Shared::new(parcel, descriptor)),
            Err(ConnectError::Timeout { .. }) => {
                let id = id.get() as u32;
                Err(self.end(super::Violation::NoObject { id }.into()))
            }
            Err(error) => Err(self.lost(error)),
        }
    }

    /// Takes in what was given back; an error if the session is over.
    #[inline]
    fn begin(&mut self) -> Result<(), ClientError> {
        if let Some(over) = self.over {
            return Err(over.into());
        }
        while let Some(chain) = self.theirs.take_returned() {
            self.side.release(chain).map_err(|violation| self.end(violation.into()))?;
        }
        while let Some(chain) = self.own.take_returned() {
            self.side.give_back(chain);
        }
        Ok(())
    }

    fn refused(&mut self, error: SubmitError) -> ClientError {
        match error {
            SubmitError::Full => ClientError::Full,
            SubmitError::Violation(violation) => self.end(violation.into()),
        }
    }

    /// Ends the session.
    #[cold]
    fn end(&mut self, error: SessionError) -> ClientError {
        ClientError::Session(*self.over.insert(error))
    }

    #[cold]
    fn lost(&mut self, error: ConnectError) -> ClientError {
        match error {
            ConnectError::PeerGone => self.end(SessionError::PeerGone),
            error => ClientError::Socket(error),
        }
    }
}

/// The longest transfer in a region: all its blocks, but for those of the chain's lists.
fn max_bytes(blocks: BlockGeometry) -> usize {
    let entries = blocks.block_bytes() / 4;
    let data = match blocks.count() {
        1 | 2 => 1,
        // Each list block but the last names one block less than it holds entries.
        count => count - (count - 1).div_ceil(entries).max(1),
    };
    (data as usize).saturating_mul(blocks.block_bytes() as usize).min(u32::MAX as usize)
}

impl Completion {
    /// How many bytes were written.
    fn amount(self) -> Result<usize, ClientError> {
        match self {
            Self::Amount(amount) => Ok(amount as usize),
            other => Err(other.unexpected()),
        }
    }

    /// A session checks each response against its request, so that none of another kind gets here.
    fn unexpected(self) -> ClientError {
        match self {
            Self::Refused(code) => ClientError::Refused(code),
            _ => ClientError::Refused(ErrorCode::UNSUPPORTED),
        }
    }
}
