//! One side of a session over memory that answers anything, called in any order.
//!
//! The victim is the production code. Its other side is the production code as well, so that the session gets somewhere,
//! but between any two reads of the victim the adversary may change what stands there, or what is read. Beside it another
//! session of the same process goes on, which nothing may disturb.

use super::blocks::BlockSet;
use super::memory::Plot;
use super::neighbour::Neighbour;
use super::{Choices, Hostile, Side, Tally, is_of_the_protocol};
use memcpy_select::transport::blocks::AllocateError;
use memcpy_select::transport::chain::Chain;
use memcpy_select::transport::geometry::{Allocator, Blocks, Geometry};
use memcpy_select::transport::ring::MAX_ROOM_BYTES;
use memcpy_select::transport::session::{
    AnswerError, Came, ClientSide, JobKey, Outcome, QueueLayout, Reply, ServerSide, SubmitError, Ticket, data_bytes,
    lay_out_shared,
};
use memcpy_select::transport::{Copier, Flags, JobId, Kind, Request, Value, Violation};
use std::collections::HashMap;
use std::rc::Rc;

/// Steps of one session, at most.
const MAX_STEPS: usize = 300;
/// Sessions of one drive, at most: when one has ended the next starts over the same memory.
const MAX_SESSIONS: usize = 24;

/// A client's request that waits, with its bytes where they must stay as they are.
type Sent = HashMap<Ticket, (Vec<u32>, u8, u32)>;

/// What the sessions of a drive have in common.
struct Ground {
    plot: Rc<Plot>,
    geometry: Geometry,
    queue: Hostile,
    client_data: Hostile,
    server_data: Hostile,
    client_is_victim: bool,
}

/// The session under attack.
struct Attack<'a> {
    plot: &'a Plot,
    geometry: Geometry,
    queue: &'a Hostile,
    client: ClientSide<Hostile>,
    server: ServerSide<Hostile>,
    client_is_victim: bool,
    /// Jobs that the server's program has, and those that it answered.
    jobs: Vec<JobKey>,
    answered: Vec<JobKey>,
    /// Streams that the server's program has, where the client is the victim.
    streams: Vec<JobKey>,
    /// Blocks that the server's program, or the client's, has not sent yet.
    leased: Vec<Chain>,
    sent: Sent,
    views: Vec<Chain>,
    tally: Tally,
}

/// Runs sessions, one after the other.
pub fn drive(choices: Choices) -> Tally {
    let ground = Ground::new(&Plot::new(choices));
    let mut neighbour = Neighbour::new();
    let mut tally = Tally::default();
    let plot = &ground.plot;
    for _ in 0..MAX_SESSIONS {
        let mut attack = Attack::new(&ground);
        let result = attack.run(&mut neighbour);
        tally += attack.tally;
        match result {
            Ok(()) => tally.lasted += 1,
            Err(violation) => {
                assert!(is_of_the_protocol(violation), "{violation}");
                tally.refused += 1;
            }
        }
        // Also a session that is over is put away without harm.
        plot.intensity.set(64);
        drop(attack);
        if plot.choices.borrow().is_over() {
            break;
        }
    }
    neighbour.goes_on();
    tally.mutated_words = plot.mutated_words.get();
    tally.payload_words = plot.payload_words.get();
    tally.accesses = plot.accesses.get();
    tally
}

impl Ground {
    fn new(plot: &Rc<Plot>) -> Self {
        let (geometry, client_is_victim) = {
            let mut choices = plot.choices.borrow_mut();
            let how = choices.byte();
            let allocator = if how & 2 == 0 { Allocator::Owned } else { Allocator::Shared };
            // Few large blocks: a chain of them is no longer for it, and their bytes are only copied.
            let (block_bytes, most) = [(64, 80), (128, 80), (4096, 8)][choices.below(3)];
            let blocks = Blocks { block_bytes, count: 1 + choices.below(most) as u32 };
            let geometry = Geometry {
                capacity: 2 << choices.below(4),
                request_stride_bytes: [16, 32, 64, 512][choices.below(4)],
                response_stride_bytes: [12, 16, 32, 64, 192][choices.below(5)],
                allocator,
                client_blocks: blocks,
                server_blocks: blocks,
            };
            (geometry, how & 4 == 0)
        };
        let (own, foreign) = match geometry.allocator {
            Allocator::Owned => (Side::Victim, Side::Adversary),
            Allocator::Shared => (Side::Both, Side::Both),
        };
        let (client_side, server_side) = if client_is_victim { (own, foreign) } else { (foreign, own) };
        let region = |side| Hostile::new(plot, side, data_bytes(geometry.client_blocks, geometry.allocator).unwrap());
        let layout = QueueLayout::of(&geometry).unwrap();
        let queue = Hostile::new(plot, Side::Both, layout.len_bytes).with_indices_below(layout.server_doorbell_at);
        let client_data = region(client_side);
        let server_data = match geometry.allocator {
            Allocator::Owned => region(server_side),
            Allocator::Shared => client_data.clone(),
        };
        Self { plot: Rc::clone(plot), geometry, queue, client_data, server_data, client_is_victim }
    }
}

impl<'a> Attack<'a> {
    fn new(ground: &'a Ground) -> Self {
        let Ground { plot, geometry, queue, client_data, server_data, client_is_victim } = ground;
        plot.intensity.set(0);
        queue.wipe();
        if geometry.allocator == Allocator::Shared {
            lay_out_shared(&client_data.accomplice(), geometry.client_blocks).unwrap();
        }
        let memories = [queue, client_data, server_data];
        let [q, c, s] = memories.map(Hostile::accomplice);
        let [vq, vc, vs] = memories.map(Hostile::clone);
        let (client, server) = if *client_is_victim {
            (ClientSide::new(geometry, vq, vc, vs), ServerSide::new(geometry, q, c, s))
        } else {
            (ClientSide::new(geometry, q, c, s), ServerSide::new(geometry, vq, vc, vs))
        };
        let (client, server) = (client.unwrap(), server.unwrap());
        plot.new_adversary();
        Self {
            plot,
            geometry: *geometry,
            queue,
            client,
            server,
            client_is_victim: *client_is_victim,
            jobs: Vec::new(),
            answered: Vec::new(),
            streams: Vec::new(),
            leased: Vec::new(),
            sent: Sent::new(),
            views: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Goes on to the last step, or until the victim ends the session.
    fn run(&mut self, neighbour: &mut Neighbour) -> Result<(), Violation> {
        for step in 0..MAX_STEPS {
            if self.plot.choices.borrow().is_over() {
                break;
            }
            let intensity = self.plot.intensity.replace(0);
            if step % 4 == 0 {
                self.accomplish();
            }
            self.plot.intensity.set(intensity);
            if step % 16 == 0 {
                neighbour.goes_on();
            }
            self.step()?;
        }
        Ok(())
    }

    fn below(&self, limit: usize) -> usize {
        self.plot.below(limit)
    }

    fn edge(&self, limit: u32) -> u32 {
        self.plot.choices.borrow_mut().edge(limit)
    }

    /// The other side does what an honest one does, as far as it still can.
    fn accomplish(&mut self) {
        if self.client_is_victim {
            let mut streams = Vec::new();
            while let Ok(Some(incoming)) = self.server.take_request() {
                let Some(job) = incoming.job.filter(|_| incoming.request.kind != Kind::Credit) else { continue };
                if incoming.request.kind == Kind::Stream && self.below(4) > 0 {
                    streams.push(job);
                    continue;
                }
                let length = self.server.job(job).map_or(0, |found| found.asked).min(self.edge(1000));
                let reply = match (incoming.request.kind, self.server.lend(length)) {
                    (Kind::Read, Ok(chain)) => Reply::Bytes(chain),
                    (Kind::Read, Err(_)) => Reply::Value(Value(u64::MAX)),
                    (Kind::Write, Ok(chain)) => {
                        self.server.data.give_back(chain);
                        Reply::Value(Value::number(0))
                    }
                    (_, lent) => {
                        lent.into_iter().for_each(|chain| self.server.data.give_back(chain));
                        Reply::WithObject(Value::number(0))
                    }
                };
                let _ = self.server.answer(job, reply);
            }
            let _ = self.server.take_releases();
            self.streams.append(&mut streams);
            for job in self.streams.clone() {
                let Ok(chain) = self.server.lend(self.edge(300)) else { continue };
                let _ = self.server.push(job, Reply::Bytes(chain));
            }
            self.streams.retain(|job| self.server.job(*job).is_some());
            self.server.flush();
        } else {
            for _ in 0..self.below(4) {
                let kinds =
                    [Kind::Read, Kind::Write, Kind::Open, Kind::SeekEnd, Kind::Share, Kind::Destroy, Kind::Stream];
                let kind = kinds[self.below(kinds.len())];
                let Ok(chain) = self.client.data.allocate(self.below(3000) as u32) else { continue };
                let args = Value::pair(self.edge(300), 1 + self.below(self.geometry.capacity as usize - 1) as u32);
                let _ = self.client.submit(Request::new(kind, Flags::DATA, 1, args), chain);
            }
            let _ = self.client.post(Request::new(Kind::Write, Flags::DATA, 1, Value(0)), &[7; 20], Copier::AUTO);
            while let Ok(Some(ticket)) = self.client.poll() {
                if let Some(Outcome::Read(chain)) = self.client.take(ticket) {
                    let _ = self.client.release(chain);
                }
            }
            let _ = self.client.flush();
        }
    }

    /// A call of the victim, or a blow of the adversary.
    fn step(&mut self) -> Result<(), Violation> {
        let what = self.plot.choices.borrow_mut().byte();
        let before = self.plot.accesses.get();
        if what >= 240 {
            // Anywhere in the queue, and most of all in its words.
            let words =
                if what.is_multiple_of(2) { 160 } else { QueueLayout::of(&self.geometry).unwrap().len_bytes / 4 };
            let at = 4 * self.below(words);
            self.queue.poke(at, self.edge(self.geometry.capacity));
            return Ok(());
        }
        self.tally.calls += 1;
        let result = if self.client_is_victim { self.client_step(what) } else { self.server_step(what) };
        // Every loop of one call is bounded by the numbers of the session; a shared list that changes all the time is given
        // up after so many attempts.
        let (entries, blocks) = (u64::from(self.geometry.capacity), u64::from(self.geometry.client_blocks.count));
        let most = match self.geometry.allocator {
            Allocator::Owned => 64 + 32 * entries + 16 * blocks,
            Allocator::Shared => (entries + blocks + 8) << 18,
        };
        assert!(self.plot.accesses.get() - before <= most, "a call that does not end");
        result
    }

    fn server_step(&mut self, what: u8) -> Result<(), Violation> {
        let capacity = self.geometry.capacity;
        match what % 11 {
            0..3 => {
                if let Some(incoming) = self.server.take_request()?
                    && let Some(job) = incoming.job
                {
                    if incoming.request.kind == Kind::Credit {
                        // Of a stream that the client ends nothing is left.
                        if incoming.request.args.to_number() == 0 {
                            self.jobs.retain(|other| *other != job);
                            self.answered.push(job);
                        }
                        return Ok(());
                    }
                    assert!(!self.jobs.contains(&job) && !self.answered.contains(&job), "a job twice");
                    let chain = self.server.job(job).unwrap().payload.clone();
                    let place = &self.server.data.theirs;
                    let mut bytes = vec![0; chain.length() as usize];
                    let read = || chain.read(place, 0, &mut bytes, Copier::AUTO);
                    assert_eq!(self.plot.payload(read), bytes.len());
                    let is_post = incoming.request.kind == Kind::Write && incoming.request.id == JobId::ZERO;
                    assert!(self.server.job(job).is_some_and(|found| is_post || found.id != JobId::ZERO));
                    self.jobs.push(job);
                }
                assert!(self.jobs.len() <= capacity as usize);
                assert_eq!(self.server.unanswered() as usize, self.jobs.len());
            }
            3 => {
                self.server.is_ready();
            }
            4 => {
                let length = self.edge(self.geometry.server_blocks.total_bytes() as u32);
                match self.server.lend(length) {
                    Ok(chain) => self.lease(chain, false),
                    Err(AllocateError::OutOfBlocks) => {}
                    Err(AllocateError::Violation(violation)) => return Err(violation),
                }
            }
            5 => {
                if let Some(chain) = self.leased.pop() {
                    self.server.data.give_back(chain);
                }
            }
            6 => self.server.take_releases()?,
            7 => {
                self.server.flush();
            }
            8 => {
                // A job that was answered already.
                if let Some(&job) = self.answered.last() {
                    let reply = self.leased.pop().map_or(Reply::Value(Value(0)), Reply::Bytes);
                    assert_eq!(self.server.answer(job, reply), Err(AnswerError::NoSuchJob));
                }
            }
            _ => {
                if self.jobs.is_empty() {
                    return Ok(());
                }
                let job = self.jobs.swap_remove(self.below(self.jobs.len()));
                if let Some(credits) = self.server.job(job).filter(|found| found.is_stream()).map(|found| found.credits)
                    && what.is_multiple_of(2)
                {
                    self.jobs.push(job);
                    let reply = self.leased.pop().map_or(Reply::Copy(b"", Copier::AUTO), Reply::Bytes);
                    return match self.server.push(job, reply) {
                        Err(AnswerError::Violation(violation)) => Err(violation),
                        Err(AnswerError::NoSuchJob) => panic!("a stream that goes on is none"),
                        pushed => {
                            assert!((pushed == Err(AnswerError::NoCredit)) == (credits == 0), "{pushed:?}");
                            Ok(())
                        }
                    };
                }
                let asked = self.server.job(job).unwrap().asked;
                let reply = match self.leased.pop() {
                    Some(chain) => Reply::Bytes(chain),
                    None => Reply::Value(Value(u64::from(self.edge(asked)))),
                };
                match self.server.answer(job, reply) {
                    Ok(()) => self.answered.push(job),
                    Err(AnswerError::MoreThanAsked { .. }) => self.jobs.push(job),
                    Err(AnswerError::NoSuchJob | AnswerError::NoCredit) => panic!("a job that waits is none"),
                    Err(AnswerError::Violation(violation)) => return Err(violation),
                }
            }
        }
        Ok(())
    }

    /// Notes blocks that were allocated: nobody else's, and inside.
    fn lease(&mut self, chain: Chain, to_client: bool) {
        let blocks = if to_client { self.geometry.client_blocks } else { self.geometry.server_blocks };
        assert!(chain.blocks().iter().all(|block| *block < blocks.count), "a block outside");
        let mine = BlockSet::of(chain.blocks()).expect("a block twice");
        for other in &self.leased {
            assert!(other.blocks().iter().all(|block| !mine.contains(*block)), "a block of another chain");
        }
        for (other, ..) in self.sent.values() {
            assert!(other.iter().all(|block| !mine.contains(*block)), "a block under way");
        }
        self.leased.push(chain);
    }

    fn client_step(&mut self, what: u8) -> Result<(), Violation> {
        match what % 10 {
            0 | 1 => {
                let length = self.edge(self.geometry.client_blocks.total_bytes() as u32);
                match self.client.data.allocate(length) {
                    Ok(chain) => self.lease(chain, true),
                    Err(AllocateError::OutOfBlocks) => {}
                    Err(AllocateError::Violation(violation)) => return Err(violation),
                }
            }
            2 | 3 => {
                let kinds = [
                    Kind::Read,
                    Kind::Write,
                    Kind::Open,
                    Kind::Create,
                    Kind::Destroy,
                    Kind::SeekStart,
                    Kind::SeekCurrent,
                    Kind::SeekEnd,
                    Kind::Share,
                    Kind::Stream,
                ];
                let kind = kinds[self.below(kinds.len())];
                let mut chain = self.leased.pop().unwrap_or(Chain::EMPTY);
                let (paint, length, blocks) = (what, chain.length(), chain.blocks().to_vec());
                let data = chain.data().to_vec();
                let place = &self.client.data.own;
                chain.write(place, 0, &vec![paint; length as usize], Copier::AUTO);
                let args = Value::pair(self.edge(500), 1 + self.below(self.geometry.capacity as usize - 1) as u32);
                match self.client.submit(Request::new(kind, Flags::DATA, 1, args), chain) {
                    Ok(ticket) => {
                        let old = self.sent.insert(ticket, (blocks, paint, length));
                        assert!(old.is_none() && data.len() <= self.geometry.client_blocks.count as usize);
                    }
                    Err(SubmitError::Full) => {}
                    Err(SubmitError::Violation(violation)) => return Err(violation),
                }
            }
            4 => match self.client.post(Request::close(self.edge(9), Flags::NONE), b"", Copier::AUTO) {
                Ok(()) | Err(SubmitError::Full) => {}
                Err(SubmitError::Violation(violation)) => return Err(violation),
            },
            5 => {
                self.client.flush()?;
            }
            6 | 7 => {
                self.check_sent();
                let mut dst = [0; MAX_ROOM_BYTES];
                let found = match self.sent.keys().next() {
                    Some(&stream) if what.is_multiple_of(2) => self.client.poll_into(stream, &mut dst, Copier::AUTO)?,
                    _ => self.client.poll()?.map(Came::Response),
                };
                let ticket = match found {
                    Some(Came::Response(ticket)) => ticket,
                    Some(Came::Bytes(_)) => {
                        self.sent.retain(|ticket, _| self.client.is_waiting(*ticket) || self.client.is_done(*ticket));
                        return Ok(());
                    }
                    None => return Ok(()),
                };
                let is_message = self.client.is_waiting(ticket);
                assert!(is_message != self.client.is_done(ticket));
                let is_asked =
                    if is_message { self.sent.contains_key(&ticket) } else { self.sent.remove(&ticket).is_some() };
                assert!(is_asked, "an answer to nothing");
                if let Some(Outcome::Read(chain)) = self.client.take(ticket) {
                    let place = &self.client.data.theirs;
                    let mut bytes = vec![0; chain.length() as usize];
                    let read = || chain.read(place, 0, &mut bytes, Copier::AUTO);
                    assert_eq!(self.plot.payload(read), bytes.len());
                    self.views.push(chain);
                }
                assert!(self.client.take(ticket).is_none());
            }
            8 => {
                if let Some(chain) = self.views.pop() {
                    self.client.release(chain)?;
                } else if let Some(chain) = self.leased.pop() {
                    self.client.data.give_back(chain);
                }
            }
            _ => {
                if let Some(&ticket) = self.sent.keys().next()
                    && what.is_multiple_of(3)
                {
                    // Its blocks are its own until the response is there, which nobody sees any more.
                    self.client.abandon(ticket)?;
                    self.sent.remove(&ticket);
                }
            }
        }
        // Those that were abandoned are under way still.
        assert!(self.client.in_flight() as usize >= self.sent.len());
        assert!(self.client.in_flight() <= self.geometry.capacity);
        Ok(())
    }

    /// What was sent stands where it was written, as long as only this side can write there.
    fn check_sent(&self) {
        if self.geometry.allocator == Allocator::Shared {
            return;
        }
        let place = &self.client.data.own;
        let (memory, cut) = (place.memory(), place.blocks());
        for (blocks, paint, length) in self.sent.values() {
            let whole = (length / cut.block_bytes) as usize;
            for block in &blocks[..whole.min(blocks.len())] {
                let is_as_sent = memory.holds_only(*paint, cut.block_at(*block), cut.block_bytes as usize);
                assert!(is_as_sent, "bytes of a request that waits were changed");
            }
        }
    }
}
