//! The server's side of one session.
//!
//! A request is copied out, then checked, then believed: its kind, its job id, its blocks. A job has a place in a private
//! table, and the program knows it by that place and a generation, never by the client's number for it.
//!
//! The server takes a request only if there is room for its response, whatever the client does with its ring meanwhile:
//! an answer never waits and never fails for want of room.

use super::directions::{Pool, Receiving, Sending};
use super::layout::QueueLayout;
use super::outcome::{AnswerError, Reply};
use crate::transport::blocks::{AllocateError, BlockMemory, Marks};
use crate::transport::chain::Chain;
use crate::transport::geometry::{Allocator, Geometry, GeometryError};
use crate::transport::memory::{Copier, Memory};
use crate::transport::request::{JobId, Kind, Request, Response, Slice, Value};
use crate::transport::ring::{Consumer, Producer};
use crate::transport::violation::Violation;
use std::collections::HashMap;

/// A job of one session: its place and which job of that place it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobKey {
    slot: u32,
    generation: u32,
}

/// A request that was found to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// The job to answer; none for [`Kind::Close`].
    pub job: Option<JobKey>,
    /// The request.
    pub request: Request,
}

#[derive(Debug)]
struct Job {
    generation: u32,
    is_waiting: bool,
    id: JobId,
    /// How many bytes an answer may have.
    asked: u32,
    payload: Chain,
}

/// The server's side of a session.
#[derive(Debug)]
pub struct ServerSide<M: Memory> {
    requests: Consumer<M, 4>,
    responses: Producer<M, 3>,
    releases: Option<Consumer<M, 1>>,
    receiving: Receiving<M>,
    sending: Sending<M>,
    jobs: Vec<Job>,
    free_jobs: Vec<u32>,
    lent: Lent,
}

/// Blocks that the client has, on the server's own account: known by their first block.
#[derive(Debug)]
struct Lent {
    alone: Marks,
    chains: HashMap<u32, Chain>,
    blocks: u32,
    limit_blocks: u32,
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
        super::check_lengths(geometry, &layout, &queue, &client_data, &server_data)?;
        let Geometry { allocator, client_blocks, server_blocks, .. } = *geometry;
        let owned = allocator == Allocator::Owned;
        let job = || Job { generation: 0, is_waiting: false, id: JobId::ZERO, asked: 0, payload: Chain::EMPTY };
        Ok(Self {
            requests: Consumer::new(queue.clone(), layout.requests),
            responses: Producer::new(queue.clone(), layout.responses),
            releases: owned.then(|| Consumer::new(queue, layout.releases)),
            receiving: Receiving::new(allocator, client_blocks, client_data)?,
            sending: Sending::new(allocator, server_blocks, server_data, layout.responses.room_bytes())?,
            jobs: (0..geometry.capacity).map(|_| job()).collect(),
            free_jobs: (0..geometry.capacity).rev().collect(),
            lent: Lent {
                alone: Marks::new(if owned { server_blocks.count } else { 0 }),
                chains: HashMap::new(),
                blocks: 0,
                limit_blocks: server_blocks.count,
            },
        })
    }

    /// Lets the client hold that many blocks at most.
    pub fn limit_lent_blocks(&mut self, limit_blocks: u32) {
        self.lent.limit_blocks = limit_blocks;
    }

    /// The next request; none if there is none yet, or if there would be no room for its response.
    ///
    /// # Errors
    ///
    /// [`Violation`]: the session is over.
    #[inline(always)]
    pub fn take_request(&mut self) -> Result<Option<Incoming>, Violation> {
        if !self.responses.has_room(self.unanswered() + 1)? {
            return Ok(None);
        }
        let Some(entry) = self.requests.pop()? else { return Ok(None) };
        let request = Request::from_entry(entry)?;
        let is_close = request.kind == Kind::Close;
        if is_close != (request.id == JobId::ZERO) {
            return Err(Violation::JobId { id: request.id.get() as u32 });
        }
        if is_close {
            return Ok(Some(Incoming { job: None, request }));
        }
        let asked = if request.kind == Kind::Read { request.args.to_amount() } else { 0 };
        // There is a place for each response, so that there is one for each job.
        let Some(&slot) = self.free_jobs.last() else { return Ok(None) };
        let Some(job) = self.jobs.get_mut(slot as usize) else { return Ok(None) };
        if request.kind.has_payload() {
            let slice = request.args.to_slice();
            self.receiving.resolve(&mut self.sending.pool, &self.requests, &mut job.payload, slice)?;
        }
        self.free_jobs.pop();
        job.is_waiting = true;
        job.id = request.id;
        job.asked = asked;
        Ok(Some(Incoming { job: Some(JobKey { slot, generation: job.generation }), request }))
    }

    /// How many requests were taken, modulo 2^32.
    pub fn taken(&self) -> u32 {
        self.requests.index()
    }

    /// Whether [`take_request`](Self::take_request) would return something, an error included: what a server that wants to
    /// sleep checks last. A client that leaves no room for responses is none to stay awake for.
    #[inline]
    pub fn is_ready(&mut self) -> bool {
        self.requests.is_ready() && self.responses.has_room(self.unanswered() + 1) != Ok(false)
    }

    #[inline(always)]
    fn job(&self, key: JobKey) -> Option<&Job> {
        self.jobs.get(key.slot as usize).filter(|job| job.is_waiting && job.generation == key.generation)
    }

    /// The bytes, or the name, that came with a job.
    #[inline(always)]
    pub fn payload(&self, key: JobKey) -> Option<&Chain> {
        self.job(key).map(|job| &job.payload)
    }

    /// The client's number for a job.
    pub fn job_id(&self, key: JobKey) -> Option<JobId> {
        self.job(key).map(|job| job.id)
    }

    /// How many bytes an answer to a job may have.
    #[inline(always)]
    pub fn asked(&self, key: JobKey) -> Option<u32> {
        self.job(key).map(|job| job.asked)
    }

    /// Jobs that wait for an answer.
    #[inline(always)]
    pub fn unanswered(&self) -> u32 {
        (self.jobs.len() - self.free_jobs.len()) as u32
    }

    /// Blocks that the client holds, on the server's account.
    #[inline(always)]
    pub fn lent_blocks(&self) -> u32 {
        self.lent.blocks
    }

    /// The blocks of the payloads.
    #[inline(always)]
    pub fn client_data(&self) -> &BlockMemory<M> {
        &self.receiving.place
    }

    /// The blocks of the answers.
    #[inline(always)]
    pub fn server_data(&self) -> &BlockMemory<M> {
        &self.sending.place
    }

    /// Whether so many bytes travel in a response, and need no blocks.
    #[inline(always)]
    pub fn fits(&self, len_bytes: usize) -> bool {
        len_bytes <= self.sending.room_bytes as usize
    }

    /// Takes blocks for an answer of `length` bytes, or memory of this side's own if they [fit](Self::fits) into the response.
    ///
    /// # Errors
    ///
    /// [`AllocateError::OutOfBlocks`] if the client holds too many, or there are none left.
    #[inline(always)]
    pub fn lend(&mut self, length: u32) -> Result<Chain, AllocateError> {
        let result = self.try_lend(length);
        if !matches!(result, Err(AllocateError::OutOfBlocks)) || self.releases.is_none() {
            return result;
        }
        // The client may have given some back meanwhile.
        self.take_releases()?;
        self.try_lend(length)
    }

    #[inline(always)]
    fn try_lend(&mut self, length: u32) -> Result<Chain, AllocateError> {
        let chain = self.sending.allocate(length)?;
        let count = chain.blocks().len() as u32;
        if self.lent.blocks + count > self.lent.limit_blocks {
            self.sending.give_back(chain);
            return Err(AllocateError::OutOfBlocks);
        }
        Ok(chain)
    }

    /// Gives blocks back that were lent for an answer which is not sent.
    pub fn give_back(&mut self, chain: Chain) {
        self.sending.give_back(chain);
    }

    /// Answers a job. The client sees it at the latest after [`flush`](Self::flush).
    ///
    /// # Errors
    ///
    /// [`AnswerError`].
    #[inline(always)]
    pub fn answer(&mut self, key: JobKey, reply: Reply<'_>) -> Result<(), AnswerError> {
        let Some((id, asked)) = self.job(key).map(|job| (job.id, job.asked)) else {
            if let Reply::Bytes(chain) = reply {
                self.give_back(chain);
            }
            return Err(AnswerError::NoSuchJob);
        };
        let has_object = matches!(reply, Reply::WithObject(_));
        match reply {
            Reply::Value(value) | Reply::WithObject(value) => {
                self.respond(Response { has_object, id, value }, &[], Copier::AUTO)?;
            }
            Reply::Copy(bytes, copier) => {
                let asked = asked.min(self.sending.room_bytes);
                if bytes.len() > asked as usize {
                    return Err(AnswerError::MoreThanAsked { asked });
                }
                let value = Value::slice(Slice::inline(bytes.len() as u32));
                self.respond(Response { has_object, id, value }, bytes, copier)?;
            }
            Reply::Bytes(chain) if chain.length() > asked => {
                self.give_back(chain);
                return Err(AnswerError::MoreThanAsked { asked });
            }
            Reply::Bytes(chain) => {
                let value = Value::slice(chain.slice());
                self.respond(Response { has_object, id, value }, chain.inline().unwrap_or_default(), Copier::AUTO)?;
                self.hand_over(chain)?;
            }
        }
        Ok(self.finish(key)?)
    }

    /// Sends a response, for which room was kept.
    #[inline(always)]
    fn respond(&mut self, response: Response, bytes: &[u8], copier: Copier) -> Result<(), Violation> {
        let is_pushed = self.responses.push_with(response.to_entry(), bytes, copier)?;
        debug_assert!(is_pushed, "a request was taken without room for its response");
        Ok(())
    }

    /// Books blocks to the client.
    #[inline(always)]
    fn hand_over(&mut self, chain: Chain) -> Result<(), Violation> {
        let Sending { pool, .. } = &mut self.sending;
        match pool {
            // The client gives them back to the list itself.
            Pool::Shared(shared) => {
                for &block in chain.blocks() {
                    shared.held().clear(block)?;
                }
                self.sending.keep(chain);
            }
            Pool::Owned(_) => match *chain.blocks() {
                [] => self.sending.keep(chain),
                [block] => {
                    self.lent.alone.mark(block)?;
                    self.lent.blocks += 1;
                    self.sending.keep(chain);
                }
                _ => {
                    self.lent.blocks += chain.blocks().len() as u32;
                    self.lent.chains.insert(chain.slice().block, chain);
                }
            },
        }
        Ok(())
    }

    /// Ends a job: its payload is the client's again.
    #[inline(always)]
    fn finish(&mut self, key: JobKey) -> Result<(), Violation> {
        let Some(job) = self.jobs.get_mut(key.slot as usize) else { return Ok(()) };
        self.receiving.give_up(&mut self.sending.pool, job.payload.blocks())?;
        job.payload.clear();
        job.is_waiting = false;
        job.generation = job.generation.wrapping_add(1);
        self.free_jobs.push(key.slot);
        Ok(())
    }

    /// Takes back the blocks that the client is done with.
    ///
    /// # Errors
    ///
    /// [`Violation::NotHeld`] for a block that is not the client's to give back: the session is over.
    pub fn take_releases(&mut self) -> Result<(), Violation> {
        let Some(releases) = &mut self.releases else { return Ok(()) };
        // Bounded by what the client can hold: each release must be of something that it does.
        while let Some([block]) = releases.pop()? {
            if self.lent.alone.is_marked(block) {
                self.lent.alone.clear(block)?;
                self.lent.blocks -= 1;
                self.sending.free(&[block])?;
            } else if let Some(chain) = self.lent.chains.remove(&block) {
                self.lent.blocks -= chain.blocks().len() as u32;
                self.sending.free(chain.blocks())?;
                self.sending.keep(chain);
            } else {
                return Err(Violation::NotHeld { block });
            }
        }
        releases.release();
        Ok(())
    }

    /// Publishes the answers so far and gives the places of the requests back; whether there were answers, so that the
    /// client is to be woken if it sleeps.
    #[inline(always)]
    pub fn flush(&mut self) -> bool {
        self.requests.release();
        self.responses.publish()
    }
}
