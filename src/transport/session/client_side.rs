//! The client's side of one session.
//!
//! What a response says is checked against what was asked before the program sees it. The blocks of a request are free again,
//! on this side's own account, when its response is there.

mod unanswered;

use super::directions::{Pool, Receiving, Sending};
use super::layout::QueueLayout;
use super::outcome::{Outcome, SubmitError};
use super::releases::Releases;
use super::tickets::{State, Ticket, Tickets};
use crate::transport::blocks::{Allocate, AllocateError, BlockMemory};
use crate::transport::chain::Chain;
use crate::transport::geometry::{Allocator, Geometry, GeometryError};
use crate::transport::memory::{Copier, Memory};
use crate::transport::request::{Args, ErrorCode, Flags, JobId, Kind, Request, Response, Slice};
use crate::transport::ring::{Consumer, Producer};
use crate::transport::violation::Violation;
use std::collections::VecDeque;

/// What [`ClientSide::poll_into`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// So many bytes, which were copied out.
    Bytes(usize),
    /// A response, as [`ClientSide::poll`] would return it.
    Response(Ticket),
}

/// The client's side of a session.
#[derive(Debug)]
pub struct ClientSide<M: Memory> {
    requests: Producer<M, 4>,
    responses: Consumer<M, 3>,
    releases: Option<Releases<M>>,
    /// Whether one of the requests that are not published yet asks for more than a block.
    asks_for_many: bool,
    /// Credits for streams, or 0 for one that is to end. There are few: none is owed before the last ones were used.
    unsent_credits: VecDeque<(JobId, u32)>,
    sending: Sending<M>,
    receiving: Receiving<M>,
    tickets: Tickets,
}

impl<M: Memory + Clone> ClientSide<M> {
    /// The client's side; the memory as for [`ServerSide`](super::ServerSide::new).
    ///
    /// # Errors
    ///
    /// [`GeometryError`] if no session can have this geometry, or if a region is too short for it.
    pub fn new(geometry: &Geometry, queue: M, client_data: M, server_data: M) -> Result<Self, GeometryError> {
        let layout = QueueLayout::of(geometry)?;
        super::check_lengths(geometry, &layout, &queue, &client_data, &server_data)?;
        let Geometry { allocator, client_blocks, server_blocks, .. } = *geometry;
        Ok(Self {
            requests: Producer::new(queue.clone(), layout.requests),
            responses: Consumer::new(queue.clone(), layout.responses),
            releases: (allocator == Allocator::Owned)
                .then(|| Releases::new(Producer::new(queue, layout.releases), server_blocks.count)),
            asks_for_many: false,
            unsent_credits: VecDeque::new(),
            sending: Sending::new(allocator, client_blocks, client_data, layout.requests.room_bytes())?,
            receiving: Receiving::new(allocator, server_blocks, server_data)?,
            tickets: Tickets::new(geometry.capacity),
        })
    }

    /// The blocks of what is written.
    #[inline(always)]
    pub fn client_data(&self) -> &BlockMemory<M> {
        &self.sending.place
    }

    /// The blocks of what is read.
    #[inline(always)]
    pub fn server_data(&self) -> &BlockMemory<M> {
        &self.receiving.place
    }

    /// Requests under way, and outcomes that were not taken yet.
    pub fn in_flight(&self) -> u32 {
        self.tickets.taken()
    }

    /// Whether so many bytes travel in a request, and need no blocks.
    #[inline(always)]
    pub fn fits(&self, len_bytes: usize) -> bool {
        len_bytes <= self.sending.room_bytes as usize
    }

    /// Takes blocks for `length` bytes to be sent, or memory of this side's own if they [fit](Self::fits) into the request.
    ///
    /// # Errors
    ///
    /// [`AllocateError::OutOfBlocks`] if there are not as many.
    #[inline(always)]
    pub fn allocate(&mut self, length: u32) -> Result<Chain, AllocateError> {
        self.sending.allocate(length)
    }

    /// Gives blocks back that were allocated and not sent.
    pub fn give_back(&mut self, chain: Chain) {
        self.sending.give_back(chain);
    }

    /// Sends a request with these args, or, for the kinds that have one, with the payload that `args` do not name. The
    /// server sees it at the latest after [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`SubmitError`], with the payload.
    #[inline(always)]
    pub fn submit(
        &mut self,
        kind: Kind,
        flags: Flags,
        handle: u32,
        args: Args,
        payload: Chain,
    ) -> Result<Ticket, (SubmitError, Chain)> {
        let args = if kind.has_payload() { Args::slice(payload.slice()) } else { args };
        let bytes = payload.inline();
        match self.send((kind, flags, handle), args, bytes.unwrap_or_default(), Copier::AUTO) {
            Ok(ticket) if bytes.is_some() => {
                self.sending.keep(payload);
                Ok(ticket)
            }
            Ok(ticket) => {
                if let Some(slot) = self.tickets.get_mut(ticket) {
                    let old = std::mem::replace(&mut slot.payload, payload);
                    self.sending.keep(old);
                }
                Ok(ticket)
            }
            Err(error) => Err((error, payload)),
        }
    }

    /// Sends a request with a payload that [fits](Self::fits) into it, where it is copied; what is longer is cut. The server sees
    /// it at the latest after [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`SubmitError`].
    #[inline(always)]
    pub fn submit_copy(
        &mut self,
        kind: Kind,
        flags: Flags,
        handle: u32,
        src: &[u8],
        copier: Copier,
    ) -> Result<Ticket, SubmitError> {
        let src = src.get(..self.sending.room_bytes as usize).unwrap_or(src);
        self.send((kind, flags, handle), Args::slice(Slice::inline(src.len() as u32)), src, copier)
    }

    #[inline(always)]
    fn send(
        &mut self,
        (kind, flags, handle): (Kind, Flags, u32),
        args: Args,
        bytes: &[u8],
        copier: Copier,
    ) -> Result<Ticket, SubmitError> {
        if !self.requests.has_room(1)? {
            return Err(SubmitError::Full);
        }
        let mut request = Request { kind, flags, id: JobId::ZERO, handle, args };
        let credits = request.credits();
        let Some((ticket, id)) = self.tickets.next_free(credits) else { return Err(SubmitError::Full) };
        request.id = id;
        if !self.requests.push_with(request.to_entry(), bytes, copier)? {
            return Err(SubmitError::Full);
        }
        let asked = if kind == Kind::Write { args.to_slice().length } else { request.most_bytes() };
        self.asks_for_many |= kind == Kind::Read && asked > self.receiving.place.blocks().block_bytes;
        self.tickets.occupy(kind, asked, credits);
        Ok(ticket)
    }

    /// Whether one more request can be sent, as far as the ring goes.
    ///
    /// # Errors
    ///
    /// [`Violation`]: the session is over.
    #[inline(always)]
    pub fn has_room(&mut self) -> Result<bool, Violation> {
        self.requests.has_room(1)
    }

    /// The next request that has its response, or a message; none if there is none yet. [`take`](Self::take) its outcome.
    ///
    /// # Errors
    ///
    /// [`Violation`]: the session is over.
    #[inline(always)]
    pub fn poll(&mut self) -> Result<Option<Ticket>, Violation> {
        // Bounded: each turn ends a request that was under way, or uses a credit.
        while let Some(entry) = self.responses.pop()? {
            if let Some(ticket) = self.accept(Response::from_entry(entry))? {
                return Ok(Some(ticket));
            }
        }
        Ok(None)
    }

    /// As [`poll`](Self::poll), but what a read asked for, or the next message of a stream, is copied into `dst` at once if it came in its
    /// entry: `dst` has room for as much as was asked for.
    ///
    /// # Errors
    ///
    /// As [`poll`](Self::poll).
    #[inline(always)]
    pub fn poll_into(&mut self, wanted: Ticket, dst: &mut [u8], copier: Copier) -> Result<Option<Came>, Violation> {
        // Bounded as in `poll`.
        while let Some(entry) = self.responses.pop()? {
            let response = Response::from_entry(entry);
            if let Some(len_bytes) = self.copy_out(wanted, response, dst, copier)? {
                return Ok(Some(Came::Bytes(len_bytes)));
            }
            if let Some(ticket) = self.accept(response)? {
                return Ok(Some(Came::Response(ticket)));
            }
        }
        Ok(None)
    }

    /// Copies out what came in the entry of a response, if it is to that read or the next message of that stream; its length.
    #[inline(always)]
    fn copy_out(
        &mut self,
        wanted: Ticket,
        response: Response,
        dst: &mut [u8],
        copier: Copier,
    ) -> Result<Option<usize>, Violation> {
        let slice = response.value.to_slice();
        let is_wanted = response.id == self.tickets.id(wanted) && slice.is_inline();
        if !is_wanted || ErrorCode::of(response.value).is_some() {
            return Ok(None);
        }
        let Some(slot) = self.tickets.get_mut(wanted).filter(|slot| slot.is_next(response.has_more)) else {
            return Ok(None);
        };
        slot.admit(slice.length, response.has_more)?;
        self.responses.take_bytes(slice.length, dst, copier)?;
        if response.has_more {
            let credits = slot.take_message();
            self.owe(response.id, credits);
        } else {
            slot.state = State::Done;
            self.tickets.take(wanted);
        }
        Ok(Some(slice.length as usize))
    }

    /// Takes a response in; the request that it is for, unless that was abandoned.
    #[inline(always)]
    pub(super) fn accept(&mut self, response: Response) -> Result<Option<Ticket>, Violation> {
        let ticket = self.tickets.named(response.id);
        let state = self.tickets.state(ticket);
        let is_wanted = (state == State::Waiting).then_some(ticket);
        if response.has_more {
            self.take_in(ticket, response)?;
            return Ok(is_wanted);
        }
        let outcome = self.outcome(ticket, response)?;
        if let Some(slot) = self.tickets.get_mut(ticket) {
            slot.state = State::Done;
            slot.outcome = Some(outcome);
            self.sending.free(slot.payload.blocks())?;
            slot.payload.clear();
        }
        if is_wanted.is_none()
            && let Some(Outcome::Bytes(chain)) = self.take(ticket)
        {
            self.release(chain)?;
        }
        Ok(is_wanted)
    }

    /// Gives a request up: its response is dropped when it comes, or now if it is there. A stream is ended.
    ///
    /// # Errors
    ///
    /// As [`release`](Self::release).
    pub fn abandon(&mut self, ticket: Ticket) -> Result<(), Violation> {
        // Bounded: a stream has no more messages than credits.
        while let Some(outcome) = self.take(ticket) {
            if let Outcome::Bytes(chain) = outcome {
                self.release(chain)?;
            }
        }
        let id = self.tickets.id(ticket);
        if let Some(slot) = self.tickets.get_mut(ticket)
            && slot.state == State::Waiting
        {
            slot.state = State::Abandoned;
            if slot.kind == Kind::Stream {
                self.unsent_credits.push_back((id, 0));
            }
        }
        Ok(())
    }

    /// What a response means for the request it answers, if it can be an answer to it.
    #[inline(always)]
    fn outcome(&mut self, ticket: Ticket, response: Response) -> Result<Outcome, Violation> {
        let Some(slot) = self.tickets.get_mut(ticket).filter(|slot| slot.is_under_way()) else {
            return Err(Violation::NoSuchJob { id: response.id.get() as u32 });
        };
        if let Some(code) = ErrorCode::of(response.value) {
            return Ok(Outcome::Refused(code));
        }
        let raw = response.value.raw();
        let at_most =
            |asked: u64| if raw <= asked { Ok(raw) } else { Err(Violation::MoreThanAsked { got: raw, asked }) };
        Ok(match slot.kind {
            Kind::Read => {
                slot.admit(response.value.to_slice().length, false)?;
                Outcome::Bytes(self.bytes(response)?)
            }
            Kind::Write => Outcome::Amount(at_most(slot.asked.into())? as u32),
            Kind::Open | Kind::Create => {
                let handle = at_most(u32::MAX.into())? as u32;
                if response.has_object {
                    Outcome::HandleWithObject(handle, response.id)
                } else {
                    Outcome::Handle(handle)
                }
            }
            Kind::SeekStart | Kind::SeekCurrent | Kind::SeekEnd => Outcome::Position(raw),
            Kind::Share if response.has_object => Outcome::Object(response.id),
            Kind::Share => return Err(Violation::NoObject { id: response.id.get() as u32 }),
            Kind::Stream => {
                let got = response.value.to_slice().length.into();
                if got > 0 {
                    return Err(Violation::MoreThanAsked { got, asked: 0 });
                }
                Outcome::Ended
            }
            Kind::Destroy | Kind::Close | Kind::Credit => Outcome::Amount(at_most(0)? as u32),
        })
    }

    /// The bytes that came with a response.
    #[inline(always)]
    fn bytes(&mut self, response: Response) -> Result<Chain, Violation> {
        let slice = response.value.to_slice();
        let mut chain = if slice.length > 0 { self.sending.empty_chain() } else { Chain::EMPTY };
        self.receiving.resolve(&mut self.sending.pool, &self.responses, &mut chain, slice)?;
        Ok(chain)
    }

    /// Whether a request has its response.
    #[doc(hidden)]
    pub fn is_done(&self, ticket: Ticket) -> bool {
        self.tickets.state(ticket) == State::Done
    }

    /// How many bytes the answer to a request, or a message, may have.
    #[inline(always)]
    pub fn asked(&self, ticket: Ticket) -> Option<u32> {
        self.tickets.get(ticket).map(|slot| slot.asked)
    }

    /// Whether a request waits for its response.
    #[inline(always)]
    pub fn is_waiting(&self, ticket: Ticket) -> bool {
        self.tickets.state(ticket) == State::Waiting
    }

    /// The outcome of a request that [has its response](Self::poll), or the next message of a stream; none if it has not, or if
    /// it was taken.
    #[inline(always)]
    pub fn take(&mut self, ticket: Ticket) -> Option<Outcome> {
        if let Some((message, credits)) = self.tickets.take_message(ticket) {
            self.owe(self.tickets.id(ticket), credits);
            return Some(Outcome::Bytes(message));
        }
        self.tickets.take(ticket)
    }

    /// So many credits of a stream are to be given back.
    #[inline(always)]
    fn owe(&mut self, id: JobId, credits: u32) {
        if credits > 0 {
            self.unsent_credits.push_back((id, credits));
        }
    }

    /// Gives the bytes of an answer back, and the server's blocks with them, at the latest with the next [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`Violation`] if the server spoiled what they are given back to.
    #[inline(always)]
    pub fn release(&mut self, chain: Chain) -> Result<(), Violation> {
        let Sending { pool, .. } = &mut self.sending;
        if let Pool::Shared(shared) = pool {
            shared.free(chain.blocks())?;
        } else {
            self.receiving.give_up(pool, chain.blocks())?;
            if let (Some(releases), [_, ..]) = (&mut self.releases, chain.blocks()) {
                releases.add(chain.slice().block, chain.blocks().len() as u32)?;
            }
        }
        self.sending.keep(chain);
        Ok(())
    }

    #[inline]
    fn send_releases(&mut self) -> Result<(), Violation> {
        self.releases.as_mut().map_or(Ok(()), Releases::send)
    }

    /// Whether there is a response: what a client that wants to sleep checks last.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.responses.is_ready()
    }

    /// Publishes the requests so far and gives the places of the responses back; whether there were requests, so that the
    /// server is to be woken if it sleeps.
    ///
    /// # Errors
    ///
    /// [`Violation`] if the server's side of the releases is where it cannot be.
    #[inline(always)]
    pub fn flush(&mut self) -> Result<bool, Violation> {
        self.responses.release();
        // Ahead of requests for many blocks, and if many are given back: the server must not find a request first, count them as
        // lent still, and refuse. One block for one goes behind: stores become visible in order, and no side waits for it.
        let asks_for_many = std::mem::take(&mut self.asks_for_many) || !self.unsent_credits.is_empty();
        let unsent_blocks = self.releases.as_ref().map_or(0, Releases::unsent_blocks);
        if unsent_blocks > 1 || asks_for_many && unsent_blocks == 1 {
            self.send_releases()?;
        }
        self.send_credits()?;
        let is_published = self.requests.publish();
        if self.releases.as_ref().is_some_and(|releases| releases.unsent_blocks() > 0) {
            self.send_releases()?;
        }
        Ok(is_published)
    }
}
