//! Requests on their way: blocks for them, and their entries in the ring, with an answer, many or none.

use super::Client;
use super::wait::MIN_SLEEP;
use crate::transport::blocks::AllocateError;
use crate::transport::chain::{Chain, clamp};
use crate::transport::completion::Handle;
use crate::transport::error::ClientError;
use crate::transport::geometry::Blocks;
use crate::transport::loan::Lease;
use crate::transport::memory::Copier;
use crate::transport::request::{Flags, Kind, PageRange, Request, Value};
use crate::transport::session::Ticket;
use std::io::SeekFrom;

impl Client {
    /// The longest transfer to here.
    pub fn max_read_bytes(&self) -> usize {
        max_bytes(self.side.data.theirs.blocks())
    }

    /// The longest transfer from here.
    pub fn max_write_bytes(&self) -> usize {
        max_bytes(self.side.data.own.blocks())
    }

    /// Blocks for `len_bytes`, to be filled and sent without a copy. What fits into a request
    /// ([`Geometry::request_room_bytes`](crate::transport::Geometry::request_room_bytes)) is copied there and takes no block.
    ///
    /// # Errors
    ///
    /// [`ClientError::TooLarge`], [`ClientError::OutOfBlocks`] or [`ClientError::Session`].
    #[inline]
    pub fn lease(&mut self, len_bytes: usize) -> Result<Lease, ClientError> {
        self.begin()?;
        let chain = self.allocate(len_bytes)?;
        Ok(Lease { loan: self.own.loan(chain) })
    }

    #[inline(always)]
    fn allocate(&mut self, len_bytes: usize) -> Result<Chain, ClientError> {
        let max_bytes = self.max_write_bytes();
        if len_bytes > max_bytes {
            return Err(ClientError::TooLarge { len_bytes, max_bytes });
        }
        self.side.data.allocate(clamp(len_bytes)).map_err(|error| match error {
            AllocateError::OutOfBlocks => ClientError::OutOfBlocks { len_bytes },
            AllocateError::Violation(violation) => self.end(violation.into()),
        })
    }

    /// Begins a call that sends a request, and waits for room in the ring until the limit: posts may fill it. If as many requests with
    /// an answer are under way as can be, one more of them is to be refused, and does not wait.
    #[inline(always)]
    pub(super) fn begin_request(&mut self, has_answer: bool) -> Result<(), ClientError> {
        self.begin()?;
        let may_be_sent = !has_answer || self.in_flight() < self.geometry.capacity;
        if may_be_sent && !self.side.has_room().map_err(|violation| self.end(violation.into()))? {
            self.wait_for_room()?;
        }
        Ok(())
    }

    /// Sends a request without a payload.
    #[inline(always)]
    fn ask(&mut self, request: Request) -> Result<Ticket, ClientError> {
        self.begin_request(true)?;
        self.send(request, Chain::EMPTY)
    }

    #[inline(always)]
    fn send(&mut self, request: Request, payload: Chain) -> Result<Ticket, ClientError> {
        self.side.submit(request, payload).map_err(|error| self.refused(error))
    }

    /// Submits an open, a create or a destroy, by a name.
    pub fn submit_named(&mut self, kind: Kind, name: &[u8]) -> Result<Ticket, ClientError> {
        self.submit_bytes(Request::new(kind, Flags::NONE, 0, Value(0)), name, Copier::AUTO)
    }

    #[inline(always)]
    pub(super) fn submit_bytes(&mut self, request: Request, src: &[u8], copier: Copier) -> Result<Ticket, ClientError> {
        self.begin_request(true)?;
        if self.side.data.fits(src.len()) {
            return self.side.submit_copy(request, src, copier).map_err(|error| self.refused(error));
        }
        let mut chain = self.allocate(src.len())?;
        chain.write(&self.side.data.own, 0, src, copier);
        self.send(request, chain)
    }

    /// Submits a read of that many bytes at most.
    #[inline]
    pub fn submit_read(&mut self, handle: Handle, amount: u32) -> Result<Ticket, ClientError> {
        self.ask(Request::new(Kind::Read, Flags::DATA, handle.0, Value::number(amount)))
    }

    /// Submits a write of a copy of `src`.
    #[inline]
    pub fn submit_write(&mut self, handle: Handle, src: &[u8], copier: Copier) -> Result<Ticket, ClientError> {
        self.submit_bytes(Request::new(Kind::Write, Flags::DATA, handle.0, Value(0)), src, copier)
    }

    /// Submits a write of what is in a lease.
    #[inline]
    pub fn submit_write_in_place(&mut self, handle: Handle, lease: Lease) -> Result<Ticket, ClientError> {
        self.begin_request(true)?;
        let chain = self.own.take_back(lease.loan).ok_or(ClientError::NotOfThisSession)?;
        self.send(Request::new(Kind::Write, Flags::DATA, handle.0, Value(0)), chain)
    }

    /// Submits a move of the position.
    #[inline]
    pub fn submit_seek(&mut self, handle: Handle, to: SeekFrom) -> Result<Ticket, ClientError> {
        let (kind, args) = match to {
            SeekFrom::Start(offset) => (Kind::SeekStart, Value(offset)),
            SeekFrom::Current(offset) => (Kind::SeekCurrent, Value(offset as u64)),
            SeekFrom::End(offset) => (Kind::SeekEnd, Value(offset as u64)),
        };
        self.ask(Request::new(kind, Flags::NONE, handle.0, args))
    }

    /// Submits a request for the memory of an object.
    pub fn submit_share(&mut self, handle: Handle, part: PageRange) -> Result<Ticket, ClientError> {
        self.ask(Request::new(Kind::Share, Flags::NONE, handle.0, Value(part.0)))
    }

    /// Sends a copy of `src` to where the handle is, with the next [`flush`](Self::flush), poll or wait. There is no answer: what
    /// becomes of it is not said. Waits for room in the ring, until the limit.
    ///
    /// # Errors
    ///
    /// [`ClientError::TooLarge`] if it does not fit into a request
    /// ([`Geometry::request_room_bytes`](crate::transport::Geometry::request_room_bytes)), [`ClientError::Full`] if the table
    /// takes nothing until the limit, or [`ClientError::Session`].
    #[inline]
    pub fn post(&mut self, handle: Handle, src: &[u8]) -> Result<(), ClientError> {
        let (len_bytes, max_bytes) = (src.len(), self.geometry.request_room_bytes());
        if len_bytes > max_bytes {
            return Err(ClientError::TooLarge { len_bytes, max_bytes });
        }
        self.begin_request(false)?;
        let request = Request::new(Kind::Write, Flags::DATA, handle.0, Value(0));
        self.side.post(request, src, Copier::AUTO).map_err(|error| self.refused(error))
    }

    /// Waits for room in the ring for one more request.
    #[cold]
    fn wait_for_room(&mut self) -> Result<(), ClientError> {
        self.flush()?;
        // The table does not ring when it takes what it answers later.
        let waited = self.wait_for(MIN_SLEEP, &mut None, |side, done| {
            // Answers are taken in, so that the table has room for more of them. Bounded by what is under way.
            while let Some(ticket) = side.poll()? {
                done.push_back(ticket);
            }
            Ok(side.has_room()?.then_some(()))
        });
        waited.map_err(|error| if let ClientError::Timeout { .. } = error { ClientError::Full } else { error })
    }

    /// Asks for messages of at most `max_bytes` each, as long as the table has some. At most `credits` of them are on their way: 1 or
    /// more, and fewer than the ring has entries. The credits of those that were taken are given back by themselves.
    ///
    /// Each message comes as a [`Completion`](crate::transport::Completion) of its own by [`poll`](Self::poll), [`wait`](Self::wait)
    /// or [`next_message`](Self::next_message): `Read`, and the last is `Ended` or `Refused`. The ticket is good until then.
    ///
    /// ```no_run
    /// # use memcpy_select::transport::{Client, ClientOptions, Completion};
    /// # let mut client = Client::connect(&"@prices".parse()?, ClientOptions::default())?;
    /// let prices = client.open("prices")?;
    /// let ticket = client.stream(prices, 48, 16)?;
    /// while let Completion::Read(view) = client.next_message(ticket)? {
    ///     println!("{:?}", view.to_vec());
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ClientError::Full`] if the ring has no room for as many responses beside those that are under way, or
    /// [`ClientError::Session`].
    pub fn stream(&mut self, handle: Handle, max_bytes: u32, credits: u32) -> Result<Ticket, ClientError> {
        let args = Value::pair(max_bytes, credits.max(1));
        self.ask(Request::new(Kind::Stream, Flags::NONE, handle.0, args))
    }
}

/// The longest transfer in a region: all its blocks, but for those of the chain's lists.
fn max_bytes(blocks: Blocks) -> usize {
    let entries = blocks.block_bytes / 4;
    // Each list block but the last names one block less than it holds entries. One block has no list.
    let lists = (blocks.count - 1).div_ceil(entries).max(1);
    let data = (blocks.count - lists).max(1);
    (data as usize).saturating_mul(blocks.block_bytes as usize).min(u32::MAX as usize)
}
