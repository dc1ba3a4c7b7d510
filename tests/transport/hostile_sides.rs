//! Promise: what the other side of a session sends against the protocol, or changes under the reader, ends the session with
//! a typed error at worst; and what it may do, it may do as often as it likes.

use crate::cases::Effort;
use crate::files::Files;
use crate::memories::{Adversary, Mood};
use crate::rng::Rng;
use crate::sides::{geometries, geometry, memories, response, serve, slice_value};
use memcpy_select::transport::chain::Chain;
use memcpy_select::transport::geometry::{Allocator, Geometry};
use memcpy_select::transport::memory::{Load, Store};
use memcpy_select::transport::session::{
    AnswerError, ClientSide, Outcome, QueueLayout, Reply, ServerSide, SubmitError, data_bytes,
};
use memcpy_select::transport::{Copier, Flags, JobId, Kind, LAP_BIT, Mapped, Memory, Request, Slice, Value, Violation};

fn small() -> Geometry {
    geometry(Allocator::Owned, 4, 64)
}

/// A client side that sends what it is told, byte for byte, and the server that gets it.
struct Raw {
    queue: Mapped,
    data: Mapped,
    server: ServerSide<Mapped>,
    requests: memcpy_select::transport::ring::Producer<Mapped, 4>,
    releases: memcpy_select::transport::ring::Producer<Mapped, 1>,
}

fn raw(geometry: &Geometry) -> Raw {
    let [queue, data, server_data] = memories(geometry);
    let layout = QueueLayout::of(geometry).unwrap();
    Raw {
        server: ServerSide::new(geometry, queue.clone(), data.read_only(), server_data).unwrap(),
        requests: memcpy_select::transport::ring::Producer::new(queue.clone(), layout.requests),
        releases: memcpy_select::transport::ring::Producer::new(queue.clone(), layout.releases),
        queue,
        data,
    }
}

fn request(kind: Kind, id: u64, args: Value) -> Request {
    Request { kind, flags: Flags::NONE, id: JobId(id as u32), handle: 1, args }
}

impl Raw {
    fn send(&mut self, request: Request) {
        assert!(self.requests.push(request.to_entry()).unwrap());
        self.requests.publish();
    }

    fn refused(mut self, request: Request) -> Violation {
        self.send(request);
        self.server.take_request().unwrap_err()
    }
}

#[test]
fn requests_that_no_client_sends_end_the_session() {
    let amount = Value::number(1);
    let slice = |block, length| Value::slice(Slice { block, length });
    assert_eq!(raw(&small()).refused(request(Kind::Read, 0, amount)), Violation::JobId { id: 0 });
    assert_eq!(raw(&small()).refused(request(Kind::Close, 5, amount)), Violation::JobId { id: 5 });
    for kind in [Kind::Write, Kind::Open, Kind::Create, Kind::Destroy] {
        let beyond = raw(&small()).refused(request(kind, 1, slice(64, 5)));
        assert_eq!(beyond, Violation::Block { block: 64, count: 64 });
        let long = raw(&small()).refused(request(kind, 1, slice(0, u32::MAX)));
        assert_eq!(long, Violation::Length { length: u32::MAX, count: 64 });
    }
    // A chain that names its own list block.
    let side = raw(&small());
    side.data.write(0, &0_u32.to_le_bytes(), Copier::AUTO);
    assert_eq!(side.refused(request(Kind::Write, 1, slice(0, 100))), Violation::BlockTwice { block: 0 });
    // A kind that nobody declared.
    let mut side = raw(&small());
    let mut entry = request(Kind::Read, 1, amount).to_entry();
    entry[0] = entry[0] & !0xF | 12;
    side.requests.push(entry).unwrap();
    side.requests.publish();
    assert!(matches!(side.server.take_request(), Err(Violation::Kind { kind: 12 })));
}

#[test]
fn a_payload_block_in_two_jobs_ends_the_session_and_after_the_answer_it_may_come_again() {
    let mut side = raw(&small());
    let write = request(Kind::Write, 1, Value::slice(Slice { block: 3, length: 5 }));
    side.send(write);
    let job = side.server.take_request().unwrap().unwrap().job.unwrap();
    side.server.answer(job, Reply::Value(Value::number(5))).unwrap();
    side.server.flush();
    side.send(write);
    assert!(side.server.take_request().unwrap().is_some());
    side.send(Request { id: JobId(2), ..write });
    assert_eq!(side.server.take_request(), Err(Violation::BlockTwice { block: 3 }));
}

/// An entry of this lap is judged as any other, also one that nobody wrote; one of another lap is none.
#[test]
fn entries_that_appear_early_are_judged_as_any_other() {
    let geometry = small();
    let layout = QueueLayout::of(&geometry).unwrap();
    let [requests_at, responses_at, releases_at] =
        [(layout.requests, 16), (layout.responses, 16), (layout.releases, 4)]
            .map(|(ring, stride)| ring.end_at() - 4 * stride);
    for garbage in [12, 0x0FF0_0F0C, !LAP_BIT] {
        let mut side = raw(&geometry);
        side.queue.store32(requests_at, garbage, Store::Release);
        assert_eq!(side.server.take_request(), Ok(None));
        side.queue.store32(requests_at, garbage | LAP_BIT, Store::Release);
        assert_eq!(side.server.take_request(), Err(Violation::Kind { kind: garbage & 0xF }));
    }
    for garbage in [0, 1, 63, 64, 1 << 30, i32::MAX as u32] {
        let mut side = raw(&geometry);
        side.queue.store32(releases_at, garbage, Store::Release);
        assert_eq!(side.server.take_releases(), Ok(()));
        side.queue.store32(releases_at, garbage | 1 << 31, Store::Release);
        assert_eq!(side.server.take_releases(), Err(Violation::NotHeld { block: garbage }));
    }
    for id in [0, 1, 0xFF_FFFF] {
        let [queue, data, server_data] = memories(&geometry);
        let mut client = ClientSide::new(&geometry, queue.clone(), data, server_data.read_only()).unwrap();
        queue.store32(responses_at, id << 8, Store::Release);
        assert_eq!((client.is_ready(), client.poll()), (false, Ok(None)));
        queue.store32(responses_at, id << 8 | LAP_BIT, Store::Release);
        assert_eq!((client.is_ready(), client.poll()), (true, Err(Violation::NoSuchJob { id })));
    }
}

/// The same job id in flight twice confuses the one who sent it, nobody else: each gets its own answer.
#[test]
fn job_ids_are_the_clients_own_affair() {
    let mut side = raw(&small());
    for _ in 0..2 {
        side.send(request(Kind::Read, 7, Value::number(1)));
    }
    let jobs = [(); 2].map(|()| side.server.take_request().unwrap().unwrap().job.unwrap());
    assert_ne!(jobs[0], jobs[1]);
    for job in jobs {
        side.server.answer(job, Reply::Value(Value::slice(Slice::EMPTY))).unwrap();
    }
}

#[test]
fn a_job_is_answered_once() {
    let mut side = raw(&small());
    side.send(request(Kind::Read, 7, Value::number(3)));
    let job = side.server.take_request().unwrap().unwrap().job.unwrap();
    let more = side.server.lend(4).unwrap();
    assert_eq!(side.server.answer(job, Reply::Bytes(more)), Err(AnswerError::MoreThanAsked { asked: 3 }));
    let bytes = side.server.lend(3).unwrap();
    side.server.answer(job, Reply::Bytes(bytes)).unwrap();
    assert_eq!(side.server.lent_blocks(), 1);
    // The place has another generation now, also when another job has it.
    side.send(request(Kind::Read, 7, Value::number(3)));
    let next = side.server.take_request().unwrap().unwrap().job.unwrap();
    let bytes = side.server.lend(3).unwrap();
    assert_eq!(side.server.answer(job, Reply::Bytes(bytes)), Err(AnswerError::NoSuchJob));
    side.server.answer(next, Reply::Value(Value(0))).unwrap();
}

/// A client that never reads its responses is not served further, and costs nobody a place.
#[test]
fn no_request_is_taken_without_room_for_its_response() {
    let mut side = raw(&small());
    for round in 0..4 {
        side.send(request(Kind::SeekStart, 1 + round, Value(0)));
        let job = side.server.take_request().unwrap().unwrap().job.unwrap();
        side.server.answer(job, Reply::Value(Value(0))).unwrap();
        side.server.flush();
    }
    side.send(request(Kind::SeekStart, 9, Value(0)));
    assert!(!side.server.is_ready());
    assert_eq!(side.server.take_request(), Ok(None));
    // Unanswered jobs count as well.
    let mut side = raw(&small());
    for id in 1..5 {
        side.send(request(Kind::SeekStart, id, Value(0)));
        assert!(side.server.take_request().unwrap().is_some());
    }
    side.server.flush();
    side.send(request(Kind::SeekStart, 9, Value(0)));
    assert_eq!(side.server.take_request(), Ok(None));
    // A head beyond what was answered is no room.
    side.queue.store32(128, 4, Store::Release);
    assert!(matches!(side.server.take_request(), Err(Violation::Head { .. })));
}

#[test]
fn only_lent_blocks_can_be_released_and_only_once() {
    for block in [0, 5, 64, u32::MAX] {
        let mut side = raw(&small());
        side.releases.push([block]).unwrap();
        side.releases.publish();
        assert_eq!(side.server.take_releases(), Err(Violation::NotHeld { block: block & !(1 << 31) }));
    }
    for length in [10, 200] {
        let mut side = raw(&small());
        side.send(request(Kind::Read, 1, Value::number(length)));
        let job = side.server.take_request().unwrap().unwrap().job.unwrap();
        let chain = side.server.lend(length).unwrap();
        let (head, data) = (chain.slice().block, chain.data()[0]);
        side.server.answer(job, Reply::Bytes(chain)).unwrap();
        assert!(side.server.lent_blocks() > 0);
        side.releases.push([head]).unwrap();
        side.releases.publish();
        side.server.take_releases().unwrap();
        assert_eq!(side.server.lent_blocks(), 0);
        side.releases.push([data]).unwrap();
        side.releases.publish();
        assert_eq!(side.server.take_releases(), Err(Violation::NotHeld { block: data }), "a second time");
    }
}

#[test]
fn a_client_that_holds_too_many_blocks_gets_no_more_and_after_a_release_it_does() {
    let mut side = raw(&small());
    side.server.limit_blocks = 2;
    let mut heads = Vec::new();
    for id in 1..3 {
        side.send(request(Kind::Read, id, Value::number(1)));
        let job = side.server.take_request().unwrap().unwrap().job.unwrap();
        let chain = side.server.lend(1).unwrap();
        heads.push(chain.slice().block);
        side.server.answer(job, Reply::Bytes(chain)).unwrap();
    }
    for _ in 0..200 {
        assert!(side.server.lend(1).is_err());
    }
    side.releases.push([heads[0]]).unwrap();
    side.releases.publish();
    let chain = side.server.lend(1).unwrap();
    side.server.data.give_back(chain);
}

/// A server side that answers what it is told, and the client that gets it.
fn deceived(geometry: &Geometry, kind: Kind, asked: u32, answer: impl Fn(u32) -> [u32; 3]) -> Violation {
    let [queue, data, server_data] = memories(geometry);
    let layout = QueueLayout::of(geometry).unwrap();
    let mut client = ClientSide::new(geometry, queue.clone(), data, server_data.read_only()).unwrap();
    let chain = client.data.allocate(if kind == Kind::Write { asked } else { 0 }).unwrap();
    client.submit(Request::new(kind, Flags::NONE, 1, Value::number(asked)), chain).unwrap();
    client.flush().unwrap();
    let id = queue.load32(layout.requests.end_at() - 16 * geometry.capacity as usize, Load::Acquire) >> 8;
    let mut responses = memcpy_select::transport::ring::Producer::<_, 3>::new(queue, layout.responses);
    // What a list block would hold: itself.
    server_data.write(0, &0_u32.to_le_bytes(), Copier::AUTO);
    responses.push(answer(id)).unwrap();
    responses.publish();
    client.poll().unwrap_err()
}

#[test]
fn responses_that_no_server_sends_end_the_session() {
    let geometry = small();
    let sized = |value: Value| move |id: u32| response(id.into(), value);
    let amount = |amount: u64| Value(amount);
    assert_eq!(
        deceived(&geometry, Kind::Read, 10, sized(slice_value(0, 11))),
        Violation::MoreThanAsked { got: 11, asked: 10 }
    );
    assert_eq!(
        deceived(&geometry, Kind::Read, u32::MAX, sized(slice_value(0, u32::MAX - 0x1000))),
        Violation::Length { length: u32::MAX - 0x1000, count: 64 }
    );
    assert_eq!(
        deceived(&geometry, Kind::Read, 10, sized(slice_value(64, 10))),
        Violation::Block { block: 64, count: 64 }
    );
    assert_eq!(deceived(&geometry, Kind::Read, 100, sized(slice_value(0, 100))), Violation::BlockTwice { block: 0 });
    assert_eq!(
        deceived(&geometry, Kind::Write, 10, sized(amount(11))),
        Violation::MoreThanAsked { got: 11, asked: 10 }
    );
    assert_eq!(
        deceived(&geometry, Kind::Open, 0, sized(amount(1 << 32))),
        Violation::MoreThanAsked { got: 1 << 32, asked: u32::MAX.into() }
    );
    assert_eq!(deceived(&geometry, Kind::Destroy, 0, sized(amount(1))), Violation::MoreThanAsked { got: 1, asked: 0 });
    assert!(matches!(deceived(&geometry, Kind::Share, 0, sized(amount(0))), Violation::NoObject { .. }));
    // A job that was never sent, one of another generation, and id 0.
    for wrong in [0, 1, 0xff_ffff] {
        let got = deceived(&geometry, Kind::Read, 10, |id| response(u64::from(id ^ 4) & !3 | wrong & 3, amount(0)));
        assert!(matches!(got, Violation::NoSuchJob { .. }), "{got:?}");
    }
}

#[test]
fn a_second_response_to_a_job_ends_the_session() {
    let geometry = small();
    for takes_first in [false, true] {
        let [queue, data, server_data] = memories(&geometry);
        let layout = QueueLayout::of(&geometry).unwrap();
        let mut client = ClientSide::new(&geometry, queue.clone(), data, server_data.read_only()).unwrap();
        let mut responses = memcpy_select::transport::ring::Producer::<_, 3>::new(queue, layout.responses);
        let ticket = client.submit(Request::new(Kind::SeekEnd, Flags::NONE, 1, Value(0)), Chain::EMPTY).unwrap();
        // The first place in its first generation.
        let id = 1 << 2;
        for _ in 0..2 {
            responses.push(response(id, Value(5))).unwrap();
        }
        responses.publish();
        assert!(!client.is_done(ticket));
        assert_eq!(client.poll(), Ok(Some(ticket)));
        assert!(client.is_done(ticket));
        if takes_first {
            assert_eq!(client.take(ticket), Some(Outcome::Position(5)));
            assert_eq!(client.take(ticket), None);
        }
        assert_eq!(client.poll(), Err(Violation::NoSuchJob { id: id as u32 }));
    }
}

/// The generation of a job id comes round and is never 0 with place 0: that id is for closing.
#[test]
fn job_ids_are_never_zero() {
    // The more places a session has, the fewer numbers each of them has: with two, it takes millions of requests.
    let bits = if Effort::chosen() < Effort::Full { 13 } else { 1 };
    let capacity = 1 << bits;
    let geometry = geometry(Allocator::Owned, capacity, 64);
    let [queue, data, server_data] = memories(&geometry);
    let layout = QueueLayout::of(&geometry).unwrap();
    let mut client = ClientSide::new(&geometry, queue.clone(), data, server_data.read_only()).unwrap();
    let mut requests = memcpy_select::transport::ring::Consumer::<_, 4>::new(queue.clone(), layout.requests);
    let mut responses = memcpy_select::transport::ring::Producer::<_, 3>::new(queue, layout.responses);
    let (mut ids, mut last) = (std::collections::HashSet::new(), 0);
    for _ in 0..(1 << (24 - bits)) + 2 {
        let ticket = client.submit(Request::new(Kind::SeekEnd, Flags::NONE, 1, Value(0)), Chain::EMPTY).unwrap();
        client.flush().unwrap();
        let request = Request::from_entry(requests.pop().unwrap()).unwrap();
        requests.release();
        let id = u64::from(request.id.0);
        assert_ne!(id, 0);
        last = id;
        if ids.len() < 1000 {
            assert!(ids.insert(id));
        }
        responses.push(response(id, Value(5))).unwrap();
        responses.publish();
        assert_eq!(client.poll(), Ok(Some(ticket)));
        client.take(ticket).unwrap();
        client.flush().unwrap();
    }
    assert!(ids.contains(&last), "the numbers went round");
}

#[test]
fn regions_that_are_too_short_are_refused() {
    let geometry = small();
    let [queue, client, server] = memories(&geometry);
    let short = Mapped::private(64).unwrap();
    assert!(ServerSide::new(&geometry, short.clone(), client.clone(), server.clone()).is_err());
    assert!(ServerSide::new(&geometry, queue.clone(), short.clone(), server.clone()).is_err());
    assert!(ClientSide::new(&geometry, queue, client, short).is_err());
    assert!(QueueLayout::of(&Geometry { capacity: 3, ..geometry }).is_err());
    assert!(data_bytes(geometry.client_blocks, Allocator::Shared).unwrap() > 64 * 64);
}

/// The production code over memory that answers anything at each read: it ends with a typed error, or goes on; it does
/// not panic, touches nothing outside, and works a bounded amount for each call.
#[test]
fn an_adversarial_server_cannot_harm_a_client_nor_a_client_a_server() {
    let moods = [Mood::Wild, Mood::Mostly(3), Mood::Mostly(30), Mood::Mostly(300), Mood::Small];
    let mut rng = Rng::new(99);
    let (mut ended, mut lasted, seeds) = (0, 0, if Effort::chosen() < Effort::Full { 10 } else { 40 });
    for geometry in geometries() {
        for mood in moods {
            for seed in 0..seeds {
                let [queue, client_data, server_data] =
                    memories(&geometry).map(|memory| Adversary::new(memory, seed, mood));
                let is_client = seed % 2 == 0;
                let mut client =
                    ClientSide::new(&geometry, queue.clone(), client_data.clone(), server_data.clone()).unwrap();
                let mut server = ServerSide::new(&geometry, queue.clone(), client_data, server_data).unwrap();
                let mut files = Files::default();
                let over = (0..60).any(|_| {
                    let before = queue.accesses();
                    // A list that never stands still is given up after some ten thousands of attempts, a few times a step.
                    let over = if is_client {
                        step_client(&mut client, &mut rng).is_err()
                    } else {
                        let _ = step_client(&mut client, &mut rng);
                        serve(&mut server, &mut files, geometry.capacity as usize).is_err()
                    };
                    assert!(queue.accesses() - before < 100_000, "a step that does not end");
                    over
                });
                if over { ended += 1 } else { lasted += 1 }
            }
        }
    }
    assert!(ended > 12 * seeds && lasted > seeds / 4, "{ended} ended, {lasted} lasted: the adversary should do both");
}

fn step_client<M: Memory + Clone>(client: &mut ClientSide<M>, rng: &mut Rng) -> Result<(), Violation> {
    let length = rng.below(200) as u32;
    let kinds = [Kind::Read, Kind::Write, Kind::Open, Kind::SeekEnd, Kind::Share, Kind::Destroy];
    for _ in 0..rng.below(4) {
        let chain = match client.data.allocate(length) {
            Ok(chain) => chain,
            Err(memcpy_select::transport::blocks::AllocateError::OutOfBlocks) => continue,
            Err(memcpy_select::transport::blocks::AllocateError::Violation(violation)) => return Err(violation),
        };
        let args = Value::number(rng.below(500) as u32);
        match client.submit(Request::new(kinds[rng.below(6)], Flags::DATA, 1, args), chain) {
            Ok(_) | Err(SubmitError::Full) => {}
            Err(SubmitError::Violation(violation)) => return Err(violation),
        }
    }
    client.flush()?;
    for _ in 0..8 {
        let Some(ticket) = client.poll()? else { break };
        if let Some(Outcome::Read(chain)) = client.take(ticket) {
            let place = &client.data.theirs;
            let mut bytes = vec![0; chain.length() as usize];
            chain.read(place, 0, &mut bytes, Copier::AUTO);
            client.release(chain)?;
        }
    }
    Ok(())
}
