//! A client, the table behind, and what goes to and fro between them.

use crate::transport::blocks::BlockMemory;
use crate::transport::connect::{Channel, ConnectError, Greeted, Joined};
use crate::transport::error::SessionError;
use crate::transport::job::{ClientKey, Operation};
use crate::transport::memory::{Copier, Mapped, Memory};
use crate::transport::reactor::{Session, Source};
use crate::transport::region::Region;
use crate::transport::request::{ErrorCode, JobId, Kind, Request, Response, Slice, Value};
use crate::transport::ring::{Consumer, Producer};
use crate::transport::semaphore::Doorbell;
use crate::transport::session::QueueLayout;
use crate::transport::violation::Violation;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// The longest name, where a block holds as much.
const MAX_NAME_BYTES: usize = 4096;

/// What a client asks for, for a rule to judge.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The client that asks.
    pub client: ClientKey,
    /// What for.
    pub operation: Operation,
    /// The name, where one says which object; else empty.
    pub name: &'a [u8],
}

/// A rule: lets a request through, or refuses it with an error.
pub trait Rule: FnMut(&Asked<'_>) -> Result<(), ErrorCode> {}

impl<R: FnMut(&Asked<'_>) -> Result<(), ErrorCode>> Rule for R {}

/// A session of a client with the proxy, and one of the proxy with the table behind.
#[derive(Debug)]
pub(super) struct Pair {
    front: Channel,
    behind: Channel,
    requests_in: Consumer<Mapped, 4>,
    requests_out: Producer<Mapped, 4>,
    responses_in: Consumer<Mapped, 3>,
    responses_out: Producer<Mapped, 3>,
    releases_in: Consumer<Mapped, 1>,
    releases_out: Producer<Mapped, 1>,
    /// Where the client rings, and where the table behind does.
    own_bells: [Doorbell<Mapped>; 2],
    client_bell: Doorbell<Mapped>,
    table_bell: Doorbell<Mapped>,
    names: Names,
    /// Responses that may still come to requests that were forwarded.
    in_flight: u32,
    /// The credits of each stream: the most, and those that the table has.
    streams: HashMap<u32, [u32; 2]>,
    /// Whether requests without a response were taken since the last time.
    has_taken_unanswered: bool,
    capacity: u32,
    /// The longest bytes that travel in a request, and in a response.
    room_bytes: [u32; 2],
    /// All that is mapped: what is left of a session that is over.
    pub(super) memory: Vec<Mapped>,
}

/// The names that clients send, and where they are sent on from.
#[derive(Debug)]
struct Names {
    client: BlockMemory<Mapped>,
    /// Bytes that were copied out of a message: as many as the longest name has.
    buffer: Vec<u8>,
    own: Mapped,
    free: Vec<u32>,
    /// The block that a job's name is in.
    used: HashMap<u32, u32>,
}

impl Pair {
    /// Both sessions; `names` is the region of the last of the client's blocks.
    pub(super) fn new(greeted: Greeted, joined: Joined, names: &Region) -> Result<Self, ConnectError> {
        let (front, behind) = (QueueLayout::of(&greeted.geometry)?, QueueLayout::of(&joined.geometry)?);
        let (front_queue, behind_queue) = (greeted.queue.into_memory(), joined.queue.into_memory());
        let blocks = greeted.geometry.client_blocks;
        let client_data = greeted.client_data.ok_or(ConnectError::PeerGone)?.into_memory();
        let memory = [&front_queue, &behind_queue, &client_data, names.memory()].map(Clone::clone).into();
        let own_count = joined.geometry.client_blocks.count - blocks.count;
        Ok(Self {
            front: greeted.channel,
            behind: joined.channel,
            requests_in: Consumer::new(front_queue.clone(), front.requests),
            requests_out: Producer::new(behind_queue.clone(), behind.requests),
            responses_in: Consumer::new(behind_queue.clone(), behind.responses),
            responses_out: Producer::new(front_queue.clone(), front.responses),
            releases_in: Consumer::new(front_queue.clone(), front.releases),
            releases_out: Producer::new(behind_queue.clone(), behind.releases),
            own_bells: [
                Doorbell::new(front_queue.clone(), front.server_doorbell_at),
                Doorbell::new(behind_queue.clone(), behind.client_doorbell_at),
            ],
            client_bell: Doorbell::new(front_queue, front.client_doorbell_at),
            table_bell: Doorbell::new(behind_queue, behind.server_doorbell_at),
            names: Names {
                client: BlockMemory::new(client_data, blocks)?,
                buffer: vec![0; MAX_NAME_BYTES],
                own: names.memory().clone(),
                free: (0..own_count).rev().collect(),
                used: HashMap::new(),
            },
            in_flight: 0,
            streams: HashMap::new(),
            has_taken_unanswered: false,
            capacity: greeted.geometry.capacity,
            room_bytes: [front.requests.room_bytes(), front.responses.room_bytes()],
            memory,
        })
    }

    /// Forwards what there is in both directions, so many requests at most; whether there was something.
    pub(super) fn forward(
        &mut self,
        client: ClientKey,
        turn: usize,
        rule: &mut impl Rule,
    ) -> Result<bool, SessionError> {
        self.forward_responses()?;
        self.forward_releases()?;
        self.forward_requests(client, turn, rule)?;
        self.responses_in.release();
        self.requests_in.release();
        let has_responses = self.responses_out.publish();
        let has_requests = self.requests_out.publish();
        // A client that waits for room hears of it: nothing else may come that wakes it.
        let has_room = std::mem::take(&mut self.has_taken_unanswered);
        if (has_responses || has_room) && self.client_bell.ring() {
            self.front.wake()?;
        }
        if has_requests && self.table_bell.ring() {
            self.behind.wake()?;
        }
        Ok(has_responses || has_requests || has_room)
    }

    fn forward_responses(&mut self) -> Result<(), SessionError> {
        for _ in 0..self.capacity {
            let Some(entry) = self.responses_in.pop() else { break };
            let mut response = Response::from_entry(entry);
            let id = response.id.0;
            // Room was kept for as many as are under way, and for no more.
            let ended = match self.streams.get_mut(&id) {
                Some([_, credits]) if response.has_more => {
                    *credits = credits.checked_sub(1).ok_or(Violation::Credits { found: 1, most: 0 })?;
                    1
                }
                None if response.has_more => return Err(Violation::NoSuchJob { id }.into()),
                _ => 1 + self.streams.remove(&id).map_or(0, |[_, credits]| credits),
            };
            self.in_flight = self.in_flight.checked_sub(ended).ok_or(Violation::NoSuchJob { id })?;
            if let Some(block) = self.names.used.remove(&id) {
                self.names.free.push(block);
            }
            if response.has_object && !self.forward_object(response.id)? {
                (response.has_object, response.value) = (false, ErrorCode::IO.value());
            }
            // Whether it is a slice is for the client to say: what looks like bytes in the entry is sent on.
            let slice = response.value.to_slice();
            let is_inline = slice.is_inline() && slice.length <= self.room_bytes[1];
            let bytes = if is_inline { self.names.take(&self.responses_in, slice.length)? } else { &[] };
            self.responses_out.push_with(response.to_entry(), bytes, Copier::AUTO)?;
        }
        Ok(())
    }

    /// Passes an object on, which is in the socket before the response that promises it. False if the client leaves no room for it.
    fn forward_object(&mut self, id: JobId) -> Result<bool, SessionError> {
        let (parcel, object) = self.behind.accept_parcel(id.0.into(), 0, Duration::ZERO)?;
        match self.front.pass(parcel, object.as_fd()) {
            Err(ConnectError::Congested) => Ok(false),
            passed => Ok(passed.map(|()| true)?),
        }
    }

    /// Blocks that the client gives back: whether they are its own to give back is for the table to say.
    fn forward_releases(&mut self) -> Result<(), SessionError> {
        for _ in 0..self.capacity {
            if !self.releases_out.has_room(1)? {
                break;
            }
            let Some(block) = self.releases_in.pop() else { break };
            self.releases_out.push(block)?;
        }
        self.releases_in.release();
        self.releases_out.publish();
        Ok(())
    }

    fn forward_requests(&mut self, client: ClientKey, turn: usize, rule: &mut impl Rule) -> Result<(), SessionError> {
        for _ in 0..turn.min(self.capacity as usize) {
            if !self.has_room()? {
                break;
            }
            let Some(entry) = self.requests_in.pop() else { break };
            let mut request = Request::from_entry(entry)?;
            request.check(self.capacity)?;
            self.has_taken_unanswered |= !Request::has_response(entry[0]);
            let responses = match request.kind {
                Kind::Close => {
                    self.requests_out.push(entry)?;
                    continue;
                }
                Kind::Credit => {
                    self.forward_credits(&request)?;
                    continue;
                }
                _ if request.is_post() => 0,
                _ => 1 + request.credits(),
            };
            let id = request.id.0;
            if !self.responses_out.has_room(self.in_flight + responses)? {
                return Err(Violation::NoRoom.into());
            }
            if self.streams.contains_key(&id) {
                return Err(Violation::JobId { id }.into());
            }
            match self.names.judge(client, &self.requests_in, self.room_bytes[0], &mut request, rule)? {
                Ok(bytes) => {
                    self.requests_out.push_with(request.to_entry(), bytes, Copier::AUTO)?;
                    self.in_flight += responses;
                    if request.kind == Kind::Stream {
                        self.streams.insert(id, [request.credits(); 2]);
                    }
                }
                Err(_) if responses == 0 => {}
                Err(code) => {
                    let response = Response { has_object: false, has_more: false, id: request.id, value: code.value() };
                    self.responses_out.push(response.to_entry())?;
                }
            }
        }
        Ok(())
    }

    /// Credits for a stream, for the messages of which there must be room. One that has ended meanwhile is none.
    fn forward_credits(&mut self, request: &Request) -> Result<(), Violation> {
        let Some([most, credits]) = self.streams.get_mut(&request.id.0) else { return Ok(()) };
        let found = request.args.to_number();
        if found > *most - *credits {
            return Err(Violation::Credits { found, most: *most - *credits });
        }
        *credits += found;
        self.in_flight += found;
        if !self.responses_out.has_room(self.in_flight)? {
            return Err(Violation::NoRoom);
        }
        self.requests_out.push(request.to_entry())?;
        Ok(())
    }

    /// Whether one more request can be taken: there is room for it behind, and for its response in front, if it has one.
    fn has_room(&mut self) -> Result<bool, Violation> {
        let needs_none = || self.requests_in.peek().is_some_and(|first| !Request::has_response(first));
        Ok(self.requests_out.has_room(1)? && (self.responses_out.has_room(self.in_flight + 1)? || needs_none()))
    }
}

impl Session for Pair {
    /// The socket of the client, and the one to the table behind.
    fn descriptor(&self, source: Source) -> Option<BorrowedFd<'_>> {
        Some(match source {
            Source::Client => self.front.as_fd(),
            Source::Other => self.behind.as_fd(),
        })
    }

    fn is_ready(&mut self) -> bool {
        self.responses_in.peek().is_some() || self.requests_in.peek().is_some() && self.has_room() != Ok(false)
    }

    fn bells(&self) -> &[Doorbell<Mapped>] {
        &self.own_bells
    }

    fn take_in(&mut self, source: Source) -> Result<u32, SessionError> {
        match source {
            Source::Client => Ok(self.front.drain()?),
            Source::Other => {
                // Objects may have come between the wakes: they are kept until their response is there.
                self.behind.wait(Duration::ZERO)?;
                Ok(1)
            }
        }
    }

    fn taken(&self, source: Source) -> u32 {
        match source {
            Source::Client => self.requests_in.index(),
            // An object comes by itself, and then the wake for its response; a request without one has a wake of its own.
            Source::Other => self.responses_in.index().wrapping_mul(2).wrapping_add(self.requests_in.index()),
        }
    }
}

impl Names {
    /// The bytes in the entry that was popped last, copied out.
    fn take<const WORDS: usize>(&mut self, ring: &Consumer<Mapped, WORDS>, length: u32) -> Result<&[u8], Violation> {
        ring.take_bytes(length, &mut self.buffer, Copier::AUTO)?;
        Ok(self.buffer.get(..length as usize).unwrap_or_default())
    }

    /// Copies the name of a request out, has it judged, and has the request name this side's copy: the bytes to be sent with it
    /// if they fit, which is also so with what a client writes. The outer error ends the session, the inner one is the client's
    /// answer.
    fn judge(
        &mut self,
        client: ClientKey,
        ring: &Consumer<Mapped, 4>,
        room_bytes: u32,
        request: &mut Request,
        rule: &mut impl Rule,
    ) -> Result<Result<&[u8], ErrorCode>, Violation> {
        let slice = if request.kind.has_payload() { request.args.to_slice() } else { Slice::EMPTY };
        let has_name = request.kind.has_payload() && request.kind != Kind::Write;
        if slice.is_inline() {
            self.take(ring, slice.length)?;
        } else if has_name && slice.length > 0 {
            // It is in one block.
            let (block, blocks) = (slice.block, self.client.blocks());
            let name = self.buffer.get_mut(..slice.length as usize).filter(|_| slice.length <= blocks.block_bytes);
            let Some(name) = name else { return Ok(Err(ErrorCode::BAD_NAME)) };
            if block >= blocks.count {
                return Err(Violation::Block { block, count: blocks.count });
            }
            self.client.memory().read(blocks.block_at(block), name, Copier::AUTO);
        }
        let is_copied = has_name || slice.is_inline();
        let bytes = self.buffer.get(..slice.length as usize).filter(|_| is_copied).unwrap_or_default();
        let name = if has_name { bytes } else { &[] };
        if let Err(code) = rule(&Asked { client, operation: Operation::of(request), name }) {
            return Ok(Err(code));
        }
        if !is_copied {
            return Ok(Ok(bytes));
        }
        if slice.length <= room_bytes {
            request.args = Value::slice(Slice::inline(slice.length));
            return Ok(Ok(bytes));
        }
        let id = request.id.0;
        if self.used.contains_key(&id) {
            return Err(Violation::JobId { id });
        }
        let Some(block) = self.free.pop() else { return Ok(Err(ErrorCode::OUT_OF_BLOCKS)) };
        self.own.write(block as usize * self.client.blocks().block_bytes as usize, bytes, Copier::AUTO);
        self.used.insert(id, block);
        let block = self.client.blocks().count + block;
        request.args = Value::slice(Slice { block, length: slice.length });
        Ok(Ok(&[]))
    }
}
