//! The client: asks a table for objects, and reads and writes them.
//!
//! Every call that waits ends at its limit. What is submitted is sent with the next [`flush`](Client::flush), poll or wait,
//! all with one wake-up, and none if the server is awake.

mod submit;
mod wait;

use crate::transport::chain::clamp;
use crate::transport::completion::{Completion, Handle, Shared};
use crate::transport::connect::{Address, Channel, ConnectError, JoinOptions, Joined, join, join_over};
use crate::transport::error::{ClientError, SessionError};
use crate::transport::geometry::{Allocator, Geometry};
use crate::transport::loan::{Lease, Lender, View};
use crate::transport::memory::{Copier, Mapped};
use crate::transport::options::{Waiting, options};
use crate::transport::request::{ErrorCode, Flags, Kind, PageRange, Request, Value};
use crate::transport::semaphore::{Doorbell, Spin};
use crate::transport::session::{ClientSide, QueueLayout, Ticket};
use std::collections::VecDeque;
use std::io::SeekFrom;
use std::os::unix::net::UnixStream;
use std::time::Duration;

options! {
    /// How to connect, and how to wait; usually: five seconds for each call; looks, then sleeps.
    pub struct ClientOptions {
        /// What this side maps, and how long connecting may take.
        pub join: JoinOptions = JoinOptions::default(),
        /// The limit of every call that waits.
        pub limit: Duration = Duration::from_secs(5),
        /// How it waits.
        pub waiting: Waiting = Waiting::default(),
    }
}

/// A session checks each response against its request, so that no answer of another kind gets here.
const UNEXPECTED: ClientError = ClientError::Refused(ErrorCode::UNSUPPORTED);

/// A connection to a table.
///
/// Dropped, it hangs up: what was [sent](Self::flush) before that is served still, what was submitted and not sent is not. With
/// [`Allocator::Shared`] the blocks of views, leases and requests under way that it leaves behind are missing until all clients have
/// left.
///
/// What a call did not do it says as a [`ClientError`]; after all but [`ClientError::Session`] the session goes on. Each that waits
/// ends with [`ClientError::Timeout`] at the limit.
///
/// ```no_run
/// use memcpy_select::transport::{Client, ClientOptions};
///
/// let mut client = Client::connect(&"@greetings".parse()?, ClientOptions::default())?;
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
    own: Lender,
    theirs: Lender,
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
    /// [`ConnectError`]: no process listens there, it is not a table or one of another version, it is full, or it does not
    /// answer in time.
    pub fn connect(address: &Address, options: ClientOptions) -> Result<Self, ConnectError> {
        Self::new(join(address, options.join)?, options.limit, options.waiting)
    }

    /// Connects over a socket that this process was given.
    pub fn over(stream: UnixStream, options: ClientOptions) -> Result<Self, ConnectError> {
        Self::new(join_over(stream, options.join)?, options.limit, options.waiting)
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
            own: Lender::new(&side.data.own, geometry.allocator == Allocator::Owned, None),
            theirs: Lender::new(&side.data.theirs, false, data_file),
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
    pub fn open(&mut self, name: impl AsRef<[u8]>) -> Result<Handle, ClientError> {
        Ok(self.open_shared(name)?.0)
    }

    /// Makes an object, and opens it.
    pub fn create(&mut self, name: impl AsRef<[u8]>) -> Result<Handle, ClientError> {
        let ticket = self.submit_named(Kind::Create, name.as_ref())?;
        Ok(self.opened(ticket)?.0)
    }

    /// Makes an object, also where there is one of that name, and opens it. When the new one takes the place of the old one
    /// is for the table to say. A table that knows no such request makes the object only if there is none.
    pub fn create_or_replace(&mut self, name: impl AsRef<[u8]>) -> Result<Handle, ClientError> {
        let request = Request::new(Kind::Create, Flags::META, 0, Value(0));
        let ticket = self.submit_bytes(request, name.as_ref(), Copier::AUTO)?;
        Ok(self.opened(ticket)?.0)
    }

    /// Opens an object, with the memory object that the table hands out with it, if it does.
    pub fn open_shared(&mut self, name: impl AsRef<[u8]>) -> Result<(Handle, Option<Shared>), ClientError> {
        let ticket = self.submit_named(Kind::Open, name.as_ref())?;
        self.opened(ticket)
    }

    fn opened(&mut self, ticket: Ticket) -> Result<(Handle, Option<Shared>), ClientError> {
        let Completion::Opened(handle, shared) = self.answer_to(ticket)? else { return Err(UNEXPECTED) };
        Ok((handle, shared))
    }

    /// Removes an object.
    pub fn destroy(&mut self, name: impl AsRef<[u8]>) -> Result<(), ClientError> {
        let ticket = self.submit_named(Kind::Destroy, name.as_ref())?;
        self.answer_to(ticket).map(drop)
    }

    /// Ends a handle. There is no answer to wait for.
    ///
    /// # Errors
    ///
    /// [`ClientError::Full`] if the table takes nothing until the limit, or [`ClientError::Session`].
    pub fn close(&mut self, handle: Handle) -> Result<(), ClientError> {
        self.begin_request(false)?;
        let end = Request::close(handle.0, Flags::NONE);
        self.side.post(end, &[], Copier::AUTO).map_err(|error| self.refused(error))?;
        self.flush()
    }

    /// Copies bytes from where the handle is into `dst`, and moves it past them; how many, 0 at the end. It is one
    /// transfer: what is longer than one can be ([`max_read_bytes`](Self::max_read_bytes)) takes another call.
    pub fn read(&mut self, handle: Handle, dst: &mut [u8]) -> Result<usize, ClientError> {
        self.read_with(handle, dst, Copier::AUTO)
    }

    /// As [`read`](Self::read), with a kernel of the caller's choice.
    pub fn read_with(&mut self, handle: Handle, dst: &mut [u8], copier: Copier) -> Result<usize, ClientError> {
        let amount = clamp(dst.len().min(self.max_read_bytes()));
        let ticket = self.submit_read(handle, amount)?;
        let copied = self.copy_out(ticket, dst, copier);
        self.or_abandon(ticket, copied)?.ok_or(ClientError::NotOfThisSession)
    }

    /// As [`read`](Self::read), but leaves the bytes where the server put them, without a copy.
    #[inline]
    pub fn read_in_place(&mut self, handle: Handle, len_bytes: usize) -> Result<View, ClientError> {
        let amount = clamp(len_bytes.min(self.max_read_bytes()));
        let ticket = self.submit_read(handle, amount)?;
        let Completion::Read(view) = self.answer_to(ticket)? else { return Err(UNEXPECTED) };
        Ok(view)
    }

    /// Gives the blocks of a view back. Dropping it does the same; this spares the lock that a view which another thread may
    /// drop needs.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotOfThisSession`] for a view of another session, which gets its blocks back;
    /// [`ClientError::Session`].
    #[inline]
    pub fn release(&mut self, view: View) -> Result<(), ClientError> {
        let chain = self.theirs.take_back(view.blocks).ok_or(ClientError::NotOfThisSession)?;
        self.side.release(chain).map_err(|violation| self.end(violation.into()))
    }

    /// Copies bytes to where the handle is, and moves it past them; how many. It is one transfer: what is longer than one
    /// can be ([`max_write_bytes`](Self::max_write_bytes)) takes another call.
    pub fn write(&mut self, handle: Handle, src: &[u8]) -> Result<usize, ClientError> {
        self.write_with(handle, src, Copier::AUTO)
    }

    /// As [`write`](Self::write), with a kernel of the caller's choice.
    pub fn write_with(&mut self, handle: Handle, src: &[u8], copier: Copier) -> Result<usize, ClientError> {
        let src = src.get(..self.max_write_bytes()).unwrap_or(src);
        let ticket = self.submit_write(handle, src, copier)?;
        self.amount(ticket)
    }

    fn amount(&mut self, ticket: Ticket) -> Result<usize, ClientError> {
        let Completion::Amount(amount) = self.answer_to(ticket)? else { return Err(UNEXPECTED) };
        Ok(amount as usize)
    }

    /// Sends the bytes of a [lease](Self::lease) without a copy; how many the table took.
    pub fn write_in_place(&mut self, handle: Handle, lease: Lease) -> Result<usize, ClientError> {
        let ticket = self.submit_write_in_place(handle, lease)?;
        self.amount(ticket)
    }

    /// Sends what is known about an object, or is to be done with it as a whole, not what is in it; how many bytes the table
    /// took. What it understands is the table's to say: `streamtable-server` takes `publish`, for one.
    ///
    /// # Errors
    ///
    /// [`ClientError`]; the table refuses what it does not understand with [`ErrorCode::UNSUPPORTED`].
    pub fn write_meta(&mut self, handle: Handle, src: &[u8]) -> Result<usize, ClientError> {
        let request = Request::new(Kind::Write, Flags::META, handle.0, Value(0));
        let ticket = self.submit_bytes(request, src, Copier::AUTO)?;
        self.amount(ticket)
    }

    /// Moves the position of a handle; where it is then.
    #[inline]
    pub fn seek(&mut self, handle: Handle, to: SeekFrom) -> Result<u64, ClientError> {
        let ticket = self.submit_seek(handle, to)?;
        let Completion::Position(position) = self.answer_to(ticket)? else { return Err(UNEXPECTED) };
        Ok(position)
    }

    /// Asks for the memory of an object, or of [a part](PageRange::of_bytes) of it.
    pub fn share(&mut self, handle: Handle, part: PageRange) -> Result<Shared, ClientError> {
        let ticket = self.submit_share(handle, part)?;
        let Completion::Shared(shared) = self.answer_to(ticket)? else { return Err(UNEXPECTED) };
        Ok(shared)
    }
}

impl Drop for Client {
    /// Gives back what others may use.
    fn drop(&mut self) {
        let pool = &mut self.side.data.pool;
        if pool.gives_back() && self.channel.is_gone() {
            // The list may be another one by now, with all blocks on it.
            pool.forget();
        } else if pool.gives_back() && self.over.is_none() {
            // A list that was spoiled cannot be repaired from here.
            let _ = self.take_returned().and_then(|()| self.side.abandon_all());
        }
    }
}
