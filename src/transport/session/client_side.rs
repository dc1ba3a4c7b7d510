//! The client's side of one session.
//!
//! What a response says is checked against what was asked before the program sees it. The blocks of a request are free again,
//! on this side's own account, when its response is there.

use super::data::Data;
use super::layout::QueueLayout;
use super::releases::Returns;
use super::tickets::{State, Ticket, Tickets};
use super::{Came, Outcome, SubmitError};
use crate::transport::chain::Chain;
use crate::transport::geometry::{Allocator, Geometry, GeometryError};
use crate::transport::memory::{Copier, Memory};
use crate::transport::request::{ErrorCode, Flags, JobId, Kind, Request, Response, Slice, Value};
use crate::transport::ring::{Consumer, Producer};
use crate::transport::violation::Violation;

/// The client's side of a session, which is over with the first [`Violation`].
#[derive(Debug)]
pub struct ClientSide<M: Memory> {
    requests: Producer<M, 4>,
    responses: Consumer<M, 3>,
    returns: Returns<M>,
    /// The blocks of what is written, and of what is read.
    pub data: Data<M>,
    tickets: Tickets,
    /// Objects to receive and close, last one first: they came for requests which were given up.
    pub(in crate::transport) unwanted: Vec<JobId>,
}

impl<M: Memory + Clone> ClientSide<M> {
    /// The client's side; the memory as for [`ServerSide`](super::ServerSide::new).
    ///
    /// # Errors
    ///
    /// [`GeometryError`] if no session can have this geometry, or if a region is too short for it.
    pub fn new(geometry: &Geometry, queue: M, client_data: M, server_data: M) -> Result<Self, GeometryError> {
        let layout = QueueLayout::of(geometry)?;
        super::check_length(&queue, layout.len_bytes)?;
        let Geometry { allocator, client_blocks, server_blocks, .. } = *geometry;
        let releases = (allocator == Allocator::Owned).then(|| Producer::new(queue.clone(), layout.releases));
        let (own, theirs) = ((client_blocks, client_data), (server_blocks, server_data));
        Ok(Self {
            requests: Producer::new(queue.clone(), layout.requests),
            responses: Consumer::new(queue, layout.responses),
            returns: Returns::new(releases, server_blocks.count),
            data: Data::new(allocator, own, theirs, layout.requests.room_bytes())?,
            tickets: Tickets::new(geometry.capacity),
            unwanted: Vec::new(),
        })
    }

    /// Requests under way, and outcomes that were not taken yet.
    pub fn in_flight(&self) -> u32 {
        self.tickets.taken()
    }

    /// Sends a request, which gets its number here, with the payload that its args do not name, if its kind has one. The server
    /// sees it at the latest after [`flush`](Self::flush). On an error the payload's blocks are free again.
    #[inline(always)]
    pub fn submit(&mut self, mut request: Request, mut payload: Chain) -> Result<Ticket, SubmitError> {
        if request.kind.has_payload() {
            request.args = Value::slice(payload.slice());
        }
        let sent = self.send(request, payload.inline().unwrap_or_default(), Copier::AUTO);
        let Ok(ticket) = sent else {
            self.data.give_back(payload);
            return sent;
        };
        if payload.inline().is_none()
            && let Some(slot) = self.tickets.get_mut(ticket)
        {
            // Until the response. What stood there before is for the next one.
            std::mem::swap(&mut slot.payload, &mut payload);
        }
        self.data.keep(payload);
        sent
    }

    /// As [`submit`](Self::submit), with a payload that [fits](Data::fits) into the request, where it is copied; what is longer is
    /// cut.
    #[inline(always)]
    pub fn submit_copy(&mut self, request: Request, src: &[u8], copier: Copier) -> Result<Ticket, SubmitError> {
        let (request, src) = self.cut(request, src);
        self.send(request, src, copier)
    }

    /// As [`submit_copy`](Self::submit_copy), a request without a response: a write that is posted, or the end of a handle.
    #[inline(always)]
    pub fn post(&mut self, request: Request, src: &[u8], copier: Copier) -> Result<(), SubmitError> {
        let (request, src) = self.cut(request, src);
        self.push(request, src, copier)
    }

    /// The request with what of these bytes travels in it.
    #[inline(always)]
    fn cut<'a>(&self, request: Request, src: &'a [u8]) -> (Request, &'a [u8]) {
        let src = src.get(..self.data.room_bytes as usize).unwrap_or(src);
        (Request { args: Value::slice(Slice::inline(src.len() as u32)), ..request }, src)
    }

    #[inline(always)]
    fn send(&mut self, mut request: Request, bytes: &[u8], copier: Copier) -> Result<Ticket, SubmitError> {
        if self.returns.is_behind() || !self.has_room()? {
            return Err(SubmitError::Full);
        }
        let kind = request.kind;
        let asked = if kind == Kind::Write { request.args.to_slice().length } else { request.most_bytes() };
        let ticket = self.tickets.begin(kind, asked, request.credits()).ok_or(SubmitError::Full)?;
        request.id = ticket.0;
        self.push(request, bytes, copier)?;
        self.returns.asks_for_many |= kind == Kind::Read && asked > self.data.theirs.blocks().block_bytes;
        Ok(ticket)
    }

    #[inline(always)]
    fn push(&mut self, request: Request, bytes: &[u8], copier: Copier) -> Result<(), SubmitError> {
        if self.requests.push_with(request.to_entry(), bytes, copier)? { Ok(()) } else { Err(SubmitError::Full) }
    }

    /// Whether one more request can be sent, as far as the ring goes.
    #[inline(always)]
    pub fn has_room(&mut self) -> Result<bool, Violation> {
        self.requests.has_room(1)
    }

    /// The next request that has its response, or a message; none if there is none yet. [`take`](Self::take) its outcome.
    #[inline(always)]
    pub fn poll(&mut self) -> Result<Option<Ticket>, Violation> {
        // Bounded: each turn ends a request that was under way, or uses a credit.
        while let Some(entry) = self.responses.pop() {
            if let Some(ticket) = self.accept(Response::from_entry(entry))? {
                return Ok(Some(ticket));
            }
        }
        Ok(None)
    }

    /// As [`poll`](Self::poll), but what a read asked for, or the next message of a stream, is copied into `dst` at once if it came in its
    /// entry: `dst` has room for as much as was asked for.
    #[inline(always)]
    pub fn poll_into(&mut self, wanted: Ticket, dst: &mut [u8], copier: Copier) -> Result<Option<Came>, Violation> {
        // Bounded as in `poll`.
        while let Some(entry) = self.responses.pop() {
            let response = Response::from_entry(entry);
            let (slice, has_more) = (response.value.to_slice(), response.has_more);
            let has_bytes = response.id == wanted.0 && slice.is_inline();
            if has_bytes
                && ErrorCode::of(response.value).is_none()
                && let Some(slot) = self.tickets.get_mut(wanted).filter(|slot| slot.is_next(has_more))
            {
                slot.admit(slice.length, has_more)?;
                self.responses.take_bytes(slice.length, dst, copier)?;
                if has_more {
                    self.returns.add_credits(response.id, slot.take_message(), false);
                } else {
                    slot.state = State::Done;
                    self.tickets.take(wanted);
                }
                return Ok(Some(Came::Bytes(slice.length as usize)));
            }
            if let Some(ticket) = self.accept(response)? {
                return Ok(Some(Came::Response(ticket)));
            }
        }
        Ok(None)
    }

    /// Takes a response in; the request that it is for, unless that was abandoned.
    #[inline(always)]
    fn accept(&mut self, response: Response) -> Result<Option<Ticket>, Violation> {
        let ticket = Ticket(response.id);
        let is_wanted = self.is_waiting(ticket).then_some(ticket);
        if response.has_more {
            self.accept_message(response)?;
            return Ok(is_wanted);
        }
        let slot = self.tickets.answered_by(response)?;
        slot.outcome = Some(match ErrorCode::of(response.value) {
            Some(code) => Outcome::Refused(code),
            None if slot.kind == Kind::Read => {
                let slice = response.value.to_slice();
                slot.admit(slice.length, false)?;
                Outcome::Read(self.data.receive(&self.responses, slice)?)
            }
            None => slot.outcome(response)?,
        });
        slot.state = State::Done;
        self.data.free(slot.payload.blocks())?;
        slot.payload.clear();
        if is_wanted.is_none() {
            self.discard(ticket)?;
        }
        Ok(is_wanted)
    }

    /// Takes a message of a stream in.
    fn accept_message(&mut self, response: Response) -> Result<(), Violation> {
        let slot = self.tickets.answered_by(response)?;
        let slice = response.value.to_slice();
        slot.admit(slice.length, true)?;
        let chain = self.data.receive(&self.responses, slice)?;
        if slot.state != State::Waiting {
            return self.release(chain);
        }
        slot.messages.push_back(chain);
        Ok(())
    }

    /// Gives a request up: its response is dropped when it comes, or now if it is there. A stream is ended.
    pub fn abandon(&mut self, ticket: Ticket) -> Result<(), Violation> {
        // Bounded: a stream has no more messages than credits.
        while self.discard(ticket)? {}
        if let Some(slot) = self.tickets.get_mut(ticket).filter(|slot| slot.state == State::Waiting) {
            slot.state = State::Abandoned;
            if slot.kind == Kind::Stream {
                self.returns.add_credits(ticket.0, 0, true);
            }
        }
        Ok(())
    }

    /// Gives back what came of a request that was given up; whether there was something.
    fn discard(&mut self, ticket: Ticket) -> Result<bool, Violation> {
        match self.take(ticket) {
            None => return Ok(false),
            Some(Outcome::Read(chain)) => self.release(chain)?,
            Some(Outcome::Opened(handle, object)) => self.discard_handle(handle.0, object),
            Some(Outcome::Shared(id)) => self.unwanted.push(id),
            Some(_) => {}
        }
        Ok(true)
    }

    /// Ends a handle that is not used, with the next [`flush`](Self::flush); the object that comes with it is not wanted.
    pub fn discard_handle(&mut self, handle: u32, object: Option<JobId>) {
        self.unwanted.extend(object);
        self.returns.unsent_requests.push_back(Request::close(handle, Flags::META));
    }

    /// How many bytes the answer to a request, or a message, may have.
    #[inline(always)]
    pub fn asked(&self, ticket: Ticket) -> Option<u32> {
        self.tickets.get(ticket).map(|slot| slot.asked)
    }

    /// Whether a request waits for its response.
    #[inline(always)]
    pub fn is_waiting(&self, ticket: Ticket) -> bool {
        self.tickets.get(ticket).is_some_and(|slot| slot.state == State::Waiting)
    }

    /// Whether a request has its response.
    #[doc(hidden)]
    pub fn is_done(&self, ticket: Ticket) -> bool {
        self.tickets.get(ticket).is_some_and(|slot| slot.state == State::Done)
    }

    /// The outcome of a request that [has its response](Self::poll), or the next message of a stream; none if it has not, or if
    /// it was taken.
    #[inline(always)]
    pub fn take(&mut self, ticket: Ticket) -> Option<Outcome> {
        if let Some(slot) = self.tickets.get_mut(ticket)
            && let Some(message) = slot.messages.pop_front()
        {
            self.returns.add_credits(ticket.0, slot.take_message(), false);
            return Some(Outcome::Read(message));
        }
        self.tickets.take(ticket)
    }

    /// Gives the bytes of an answer back, and the server's blocks with them, at the latest with the next [`flush`](Self::flush).
    #[inline(always)]
    pub fn release(&mut self, chain: Chain) -> Result<(), Violation> {
        if self.data.pool.is_shared() {
            self.data.pool.free(chain.blocks())?;
        } else {
            self.data.give_up(chain.blocks())?;
            self.returns.add(&chain)?;
        }
        self.data.keep(chain);
        Ok(())
    }

    /// Whether there is a response.
    #[doc(hidden)]
    pub fn is_ready(&self) -> bool {
        self.responses.peek().is_some()
    }

    /// Publishes the requests so far and gives the places of the responses back; whether there were requests, so that the
    /// server is to be woken if it sleeps.
    #[inline(always)]
    pub fn flush(&mut self) -> Result<bool, Violation> {
        self.responses.release();
        self.returns.publish(&mut self.requests)
    }

    /// Takes in what was answered, and [gives up](Self::abandon) all there is.
    pub(in crate::transport) fn abandon_all(&mut self) -> Result<(), Violation> {
        while self.poll()?.is_some() {}
        self.tickets.all().into_iter().try_for_each(|ticket| self.abandon(ticket))
    }
}
