//! The server's side of one session.
//!
//! A request is copied out, then checked, then believed: its kind, its job id, its blocks.
//!
//! The server takes a request only if there is room for its response, or for all that a stream may send, whatever the client does
//! with its ring meanwhile: an answer never waits and never fails for want of room.

use super::data::Data;
use super::jobs::{JobKey, Jobs, Pending};
use super::layout::QueueLayout;
use super::releases::Lent;
use super::{AnswerError, Reply};
use crate::transport::blocks::AllocateError;
use crate::transport::chain::Chain;
use crate::transport::geometry::{Allocator, Geometry, GeometryError};
use crate::transport::memory::{Copier, Memory};
use crate::transport::request::{JobId, Kind, Request, Response, Slice, Value};
use crate::transport::ring::{Consumer, Producer};
use crate::transport::violation::Violation;

/// A request that was found to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The job to answer, or the stream that was given credits; none for [`Kind::Close`].
    pub job: Option<JobKey>,
    /// The request.
    pub request: Request,
}

/// The server's side of a session, which is over with the first [`Violation`].
#[derive(Debug)]
pub struct ServerSide<M: Memory> {
    /// As many were taken as its index says, modulo 2^32.
    pub(in crate::transport) requests: Consumer<M, 4>,
    responses: Producer<M, 3>,
    /// The blocks of the answers, and of the payloads.
    pub data: Data<M>,
    jobs: Jobs,
    capacity: u32,
    /// Whether requests without a response were taken since the last flush.
    has_taken_unanswered: bool,
    /// Whether a request may have been left in the ring for want of a place.
    has_left_some: bool,
    lent: Lent<M>,
    /// How many blocks the client may hold.
    pub limit_blocks: u32,
}

impl<M: Memory + Clone> ServerSide<M> {
    /// The server's side over a queue region that is all zeros, and two data regions: with [`Allocator::Shared`] twice the
    /// same, whose list was laid out.
    ///
    /// # Errors
    ///
    /// [`GeometryError`] if no session can have this geometry, or if a region is too short for it.
    pub fn new(geometry: &Geometry, queue: M, client_data: M, server_data: M) -> Result<Self, GeometryError> {
        let layout = QueueLayout::of(geometry)?;
        super::check_length(&queue, layout.len_bytes)?;
        let Geometry { allocator, client_blocks, server_blocks, .. } = *geometry;
        let releases = (allocator == Allocator::Owned).then(|| Consumer::new(queue.clone(), layout.releases));
        let (own, theirs) = ((server_blocks, server_data), (client_blocks, client_data));
        Ok(Self {
            requests: Consumer::new(queue.clone(), layout.requests),
            responses: Producer::new(queue, layout.responses),
            data: Data::new(allocator, own, theirs, layout.responses.room_bytes())?,
            jobs: Jobs::new(geometry.capacity),
            capacity: geometry.capacity,
            has_taken_unanswered: false,
            has_left_some: false,
            lent: Lent::new(releases, server_blocks.count),
            limit_blocks: server_blocks.count,
        })
    }

    /// The next request; none if there is none yet, or if there would be no room for its response.
    #[inline(always)]
    pub fn take_request(&mut self) -> Result<Option<Incoming>, Violation> {
        let has_room = self.has_room()?;
        if !has_room && !self.next_needs_no_room() {
            self.has_left_some = true;
            return Ok(None);
        }
        let Some(entry) = self.requests.pop() else { return Ok(None) };
        let request = Request::from_entry(entry)?;
        request.check(self.capacity)?;
        self.has_taken_unanswered |= !Request::has_response(entry[0]);
        match request.kind {
            Kind::Close => return Ok(Some(Incoming { job: None, request })),
            Kind::Credit => return Ok(Some(Incoming { job: self.take_credits(&request)?, request })),
            Kind::Stream if self.jobs.stream(request.id).is_some() => {
                return Err(Violation::JobId { id: request.id.0 });
            }
            Kind::Stream if !self.responses.has_room(self.jobs.promised() + request.credits() + 1)? => {
                return Err(Violation::NoRoom);
            }
            _ if has_room || request.is_post() && !self.jobs.is_full() => {}
            // It was another one when it was looked at.
            _ => return Err(Violation::NoRoom),
        }
        if request.kind.has_payload()
            && let Some(payload) = self.jobs.next_payload()
        {
            self.data.resolve(&self.requests, payload, request.args.to_slice())?;
        }
        Ok(Some(Incoming { job: self.jobs.begin(&request), request }))
    }

    /// Whether there may be a request that was left for want of a place, and there is one now: true once. Its client does not say so
    /// again.
    #[inline(always)]
    pub fn can_go_on(&mut self) -> bool {
        self.has_left_some && !self.jobs.is_full() && std::mem::take(&mut self.has_left_some)
    }

    /// Whether there is room for the response to one more request, and a place for it.
    #[inline(always)]
    fn has_room(&mut self) -> Result<bool, Violation> {
        Ok(self.responses.has_room(self.jobs.promised() + 1)? && !self.jobs.is_full())
    }

    /// Whether there is a next request that has no response, and a place for it if it needs one.
    fn next_needs_no_room(&self) -> bool {
        let is_write = |first| first & 0xF == Kind::Write as u32;
        self.requests
            .peek()
            .is_some_and(|first| !(Request::has_response(first) || is_write(first) && self.jobs.is_full()))
    }

    /// Takes credits for a stream, or ends it. One that has ended meanwhile is none.
    fn take_credits(&mut self, request: &Request) -> Result<Option<JobKey>, Violation> {
        let Some(key) = self.jobs.stream(request.id) else { return Ok(None) };
        let found = request.args.to_number();
        if found == 0 {
            let end = Response { has_object: false, has_more: false, id: request.id, value: Value(0) };
            self.respond(end, &[], Copier::AUTO)?;
            self.finish(key)?;
            return Ok(Some(key));
        }
        self.jobs.give_credits(key, found)?;
        if self.responses.has_room(self.jobs.promised())? { Ok(Some(key)) } else { Err(Violation::NoRoom) }
    }

    /// Whether [`take_request`](Self::take_request) would return something, an error included: what a server that wants to
    /// sleep checks last. A client that leaves no room for responses is none to stay awake for.
    #[inline]
    pub fn is_ready(&mut self) -> bool {
        self.requests.peek().is_some() && (self.has_room() != Ok(false) || self.next_needs_no_room())
    }

    /// A job, until it is answered.
    #[inline(always)]
    pub fn job(&self, key: JobKey) -> Option<&Pending> {
        self.jobs.get(key)
    }

    /// Jobs that wait for an answer.
    #[inline(always)]
    pub fn unanswered(&self) -> u32 {
        self.jobs.waiting()
    }

    /// Blocks that the client holds, on the server's account.
    #[inline(always)]
    pub fn lent_blocks(&self) -> u32 {
        self.lent.blocks
    }

    /// Takes blocks for an answer of `length` bytes, or memory of this side's own if they [fit](Data::fits) into the response.
    ///
    /// # Errors
    ///
    /// [`AllocateError::OutOfBlocks`] if the client holds too many, or there are none left.
    #[inline(always)]
    pub fn lend(&mut self, length: u32) -> Result<Chain, AllocateError> {
        let result = self.try_lend(length);
        if !matches!(result, Err(AllocateError::OutOfBlocks)) || self.data.pool.is_shared() {
            return result;
        }
        // The client may have given some back meanwhile.
        self.take_releases()?;
        self.try_lend(length)
    }

    #[inline(always)]
    fn try_lend(&mut self, length: u32) -> Result<Chain, AllocateError> {
        let chain = self.data.allocate(length)?;
        if self.lent.blocks + chain.blocks().len() as u32 > self.limit_blocks {
            self.data.give_back(chain);
            return Err(AllocateError::OutOfBlocks);
        }
        Ok(chain)
    }

    /// Answers a job, which ends it: a stream without bytes, and a posted write without a word. The client sees it at the latest
    /// after [`flush`](Self::flush).
    #[inline(always)]
    pub fn answer(&mut self, key: JobKey, reply: Reply<'_>) -> Result<(), AnswerError> {
        let Some((id, asked, is_stream)) = self.jobs.get(key).map(|job| (job.id, job.asked, job.is_stream())) else {
            self.drop_reply(reply);
            return Err(AnswerError::NoSuchJob);
        };
        if id == JobId::ZERO {
            self.drop_reply(reply);
        } else {
            self.send(id, if is_stream { 0 } else { asked }, false, reply)?;
        }
        Ok(self.finish(key)?)
    }

    /// Ends a posted write, whose bytes came in its entry; whether it was there.
    #[inline(always)]
    pub fn end_post(&mut self, key: JobKey) -> bool {
        let is_there = self.jobs.get(key).is_some();
        if is_there {
            self.jobs.end(key);
        }
        is_there
    }

    /// Sends a message of a stream, which uses a credit. The client sees it at the latest after [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`AnswerError`]; the stream goes on, unless it has ended.
    #[inline(always)]
    pub fn push(&mut self, key: JobKey, reply: Reply<'_>) -> Result<(), AnswerError> {
        let found = self.jobs.get(key).filter(|job| job.is_stream()).map(|job| (job.id, job.asked, job.credits));
        let why = match found {
            Some((id, asked, 1..)) => {
                self.send(id, asked, true, reply)?;
                self.jobs.use_credit(key);
                return Ok(());
            }
            Some(_) => AnswerError::NoCredit,
            None => AnswerError::NoSuchJob,
        };
        self.drop_reply(reply);
        Err(why)
    }

    /// Sends what a job is answered with, of `asked` bytes at most.
    #[inline(always)]
    fn send(&mut self, id: JobId, asked: u32, has_more: bool, reply: Reply<'_>) -> Result<(), AnswerError> {
        let has_object = matches!(reply, Reply::WithObject(_));
        let response = |value| Response { has_object, has_more, id, value };
        match reply {
            Reply::Value(value) | Reply::WithObject(value) => self.respond(response(value), &[], Copier::AUTO)?,
            Reply::Copy(bytes, copier) => {
                let asked = asked.min(self.data.room_bytes);
                if bytes.len() > asked as usize {
                    return Err(AnswerError::MoreThanAsked { asked });
                }
                let value = Value::slice(Slice::inline(bytes.len() as u32));
                self.respond(response(value), bytes, copier)?;
            }
            Reply::Bytes(chain) if chain.length() > asked => {
                self.data.give_back(chain);
                return Err(AnswerError::MoreThanAsked { asked });
            }
            Reply::Bytes(chain) => {
                let value = Value::slice(chain.slice());
                self.respond(response(value), chain.inline().unwrap_or_default(), Copier::AUTO)?;
                self.lent.lend(chain, &mut self.data)?;
            }
        }
        Ok(())
    }

    /// Takes back what is not sent.
    fn drop_reply(&mut self, reply: Reply<'_>) {
        if let Reply::Bytes(chain) = reply {
            self.data.give_back(chain);
        }
    }

    /// Sends a response, for which room was kept.
    #[inline(always)]
    fn respond(&mut self, response: Response, bytes: &[u8], copier: Copier) -> Result<(), Violation> {
        let is_pushed = self.responses.push_with(response.to_entry(), bytes, copier)?;
        debug_assert!(is_pushed, "a request was taken without room for its response");
        Ok(())
    }

    /// Ends a job: its payload is the client's again.
    #[inline(always)]
    fn finish(&mut self, key: JobKey) -> Result<(), Violation> {
        if let Some(job) = self.jobs.get(key) {
            self.data.give_up(job.payload.blocks())?;
        }
        self.jobs.end(key);
        Ok(())
    }

    /// Takes back the blocks that the client is done with.
    ///
    /// # Errors
    ///
    /// [`Violation::NotHeld`] for a block that is not the client's to give back: the session is over.
    pub fn take_releases(&mut self) -> Result<(), Violation> {
        self.lent.take_releases(&mut self.data)
    }

    /// Publishes the answers so far and gives the places of the requests back; whether there were answers, or places of requests
    /// that have none, so that the client is to be woken if it sleeps.
    #[inline(always)]
    pub fn flush(&mut self) -> bool {
        self.requests.release();
        self.responses.publish() | std::mem::take(&mut self.has_taken_unanswered)
    }
}
