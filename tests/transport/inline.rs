//! Promise: what fits into an entry travels in it, whole, both ways, at every stride, and takes no block; and what the other side
//! sends there against the protocol, or changes there later, does no harm.

use crate::sides::{geometry, memories, pair, response};
use crate::table::by_hand;
use memcpy_select::transport::chain::Chain;
use memcpy_select::transport::geometry::{Allocator, Geometry};
use memcpy_select::transport::ring::{Consumer, Producer};
use memcpy_select::transport::session::{
    AnswerError, Came, ClientSide, JobKey, Outcome, QueueLayout, Reply, ServerSide, SubmitError, Ticket,
};
use memcpy_select::transport::{
    Answer, Completion, Copier, ErrorCode, Event, Flags, Handle, JobId, Kind, Mapped, Memory, Request, Slice, Table,
    TableOptions, Value, Violation,
};
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::time::Duration;

const STRIDES: [(u16, u16); 8] = [(16, 12), (16, 16), (32, 32), (64, 64), (128, 192), (320, 512), (512, 64), (64, 16)];

fn with_strides(geometry: Geometry, (request_stride_bytes, response_stride_bytes): (u16, u16)) -> Geometry {
    Geometry { request_stride_bytes, response_stride_bytes, ..geometry }
}

fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + seed * 31 + 1) as u8).collect()
}

#[test]
fn an_entry_has_room_for_what_its_stride_leaves() {
    let rooms: Vec<_> = STRIDES
        .iter()
        .map(|strides| with_strides(TableOptions::GEOMETRY, *strides))
        .map(|geometry| (geometry.request_room_bytes(), geometry.response_room_bytes()))
        .collect();
    assert_eq!(rooms, [(0, 0), (0, 0), (16, 16), (48, 48), (112, 176), (304, 496), (496, 48), (48, 0)]);
    let usual = TableOptions::default().geometry;
    assert_eq!(
        (usual.request_room_bytes(), usual.response_room_bytes()),
        (112, 112),
        "what the documentation promises"
    );
    for stride in [0, 8, 12, 20, 24, 48, 96, 513, 576, 1024, u16::MAX] {
        let refused = |strides| QueueLayout::of(&with_strides(TableOptions::GEOMETRY, strides)).unwrap_err();
        assert_eq!(refused((stride, 64)).found, u64::from(stride));
        if stride != 12 {
            assert_eq!(refused((64, stride)).found, u64::from(stride));
        }
    }
}

/// Sends a write by either call, and the read of as many bytes.
fn ask(client: &mut ClientSide<Mapped>, length: usize) -> Result<[Ticket; 2], SubmitError> {
    let bytes = pattern(length, length);
    let write = if length.is_multiple_of(2) && client.data.fits(length) {
        client.submit_copy(Request::new(Kind::Write, Flags::DATA, 1, Value(0)), &bytes, Copier::AUTO)?
    } else {
        let mut chain = client.data.allocate(length as u32).unwrap();
        assert_eq!(chain.blocks().is_empty(), client.data.fits(length));
        assert_eq!(chain.write(&client.data.own, 0, &bytes, Copier::AUTO), length);
        client.submit(Request::new(Kind::Write, Flags::DATA, 1, Value(0)), chain)?
    };
    let read = client.submit(Request::new(Kind::Read, Flags::DATA, 1, Value::number(length as u32)), Chain::EMPTY);
    Ok([write, read?])
}

fn bytes_of(server: &ServerSide<Mapped>, job: JobKey) -> Vec<u8> {
    let chain = &server.job(job).unwrap().payload;
    let mut bytes = vec![0; chain.length() as usize];
    assert_eq!(chain.read(&server.data.theirs, 0, &mut bytes, Copier::AUTO), bytes.len());
    bytes
}

/// Answers a write with its length, if it is as it must be, and a read with other bytes.
fn answer(server: &mut ServerSide<Mapped>, length: usize) {
    let incoming = server.take_request().unwrap().expect("a request");
    let job = incoming.job.unwrap();
    let bytes = pattern(length, length + 1);
    let reply = match incoming.request.kind {
        Kind::Write => {
            assert_eq!(bytes_of(server, job), pattern(length, length));
            Reply::Value(Value::number(length as u32))
        }
        _ if length.is_multiple_of(2) && server.data.fits(length) => Reply::Copy(&bytes, Copier::AUTO),
        _ => {
            let mut chain = server.lend(length as u32).unwrap();
            assert_eq!(chain.blocks().is_empty(), server.data.fits(length));
            chain.write(&server.data.own, 0, &bytes, Copier::AUTO);
            Reply::Bytes(chain)
        }
    };
    server.answer(job, reply).unwrap();
}

fn check(client: &mut ClientSide<Mapped>, [write, read]: [Ticket; 2], length: usize) {
    assert_eq!(client.poll().unwrap(), Some(write));
    assert_eq!(client.take(write), Some(Outcome::Amount(length as u32)));
    if length.is_multiple_of(3) {
        let mut bytes = vec![0; length];
        let before = client.in_flight();
        match client.poll_into(read, &mut bytes, Copier::AUTO).unwrap() {
            Some(Came::Bytes(len_bytes)) => {
                assert_eq!((len_bytes, bytes), (length, pattern(length, length + 1)));
                assert_eq!(client.in_flight(), before - 1, "its place is free");
                assert!(!client.is_waiting(read) && client.take(read).is_none());
                return;
            }
            found => assert_eq!(found, Some(Came::Response(read)), "it came in blocks"),
        }
    } else {
        assert_eq!(client.poll().unwrap(), Some(read));
    }
    let Some(Outcome::Read(chain)) = client.take(read) else { panic!("no bytes") };
    let mut bytes = vec![0; length + 1];
    assert_eq!(chain.read(&client.data.theirs, 0, &mut bytes, Copier::AUTO), length);
    assert_eq!(bytes[..length], pattern(length, length + 1));
    // A part of it, and what is beyond.
    let from = length / 3;
    assert_eq!(chain.read(&client.data.theirs, from as u32, &mut bytes, Copier::AUTO), length - from);
    assert_eq!(bytes[..length - from], pattern(length, length + 1)[from..]);
    assert_eq!(chain.read(&client.data.theirs, length as u32 + 5, &mut bytes, Copier::AUTO), 0);
    client.release(chain).unwrap();
}

#[test]
fn payloads_of_every_length_arrive_in_batches_and_round_the_ring() {
    for strides in STRIDES {
        for allocator in [Allocator::Owned, Allocator::Shared] {
            let geometry = with_strides(geometry(allocator, 8, 64), strides);
            let (mut client, mut server) = pair(&geometry);
            let most = geometry.request_room_bytes().max(geometry.response_room_bytes()) + 1;
            let mut under_way = VecDeque::new();
            for length in 0..=most {
                under_way.push_back((ask(&mut client, length).unwrap(), length));
                // One at a time, two, three and four: a batch is published at once.
                if under_way.len() > length % 4 || length == most {
                    client.flush().unwrap();
                    under_way.iter().for_each(|&(_, length)| [(); 2].iter().for_each(|()| answer(&mut server, length)));
                    server.flush();
                    let fits = under_way.iter().all(|&(_, length)| server.data.fits(length));
                    assert!(!fits || server.lent_blocks() == 0, "blocks for what is in the entries");
                    under_way.drain(..).for_each(|(tickets, length)| check(&mut client, tickets, length));
                    client.flush().unwrap();
                    server.take_releases().unwrap();
                }
            }
            assert_eq!((client.in_flight(), server.unanswered(), server.lent_blocks()), (0, 0, 0), "{geometry:?}");
        }
    }
}

#[test]
fn of_bytes_that_are_longer_than_an_entry_has_room_for_the_first_are_sent() {
    let (mut client, mut server) = pair(&with_strides(geometry(Allocator::Owned, 8, 64), (64, 64)));
    let long = pattern(49, 1);
    client.post(Request::new(Kind::Write, Flags::DATA, 1, Value(0)), &long, Copier::AUTO).unwrap();
    client.submit_copy(Request::new(Kind::Write, Flags::DATA, 1, Value(0)), &long, Copier::AUTO).unwrap();
    client.flush().unwrap();
    for _ in 0..2 {
        let job = server.take_request().unwrap().unwrap().job.unwrap();
        assert_eq!(bytes_of(&server, job), long[..48]);
    }
}

/// A client that sends what it is told, and its server.
struct Raw {
    queue: Mapped,
    layout: QueueLayout,
    requests: Producer<Mapped, 4>,
    server: ServerSide<Mapped>,
}

fn raw(geometry: &Geometry) -> Raw {
    let [queue, data, server_data] = memories(geometry);
    let layout = QueueLayout::of(geometry).unwrap();
    let server = ServerSide::new(geometry, queue.clone(), data.read_only(), server_data).unwrap();
    Raw { requests: Producer::new(queue.clone(), layout.requests), queue, layout, server }
}

impl Raw {
    fn send(&mut self, kind: Kind, length: u32, bytes: &[u8]) {
        let args = Value::slice(Slice { block: Slice::INLINE, length });
        let id = JobId(1);
        let request = Request { kind, flags: Flags::NONE, id, handle: 1, args };
        assert!(self.requests.push_with(request.to_entry(), bytes, Copier::AUTO).unwrap());
        self.requests.publish();
    }
}

fn hostile_geometry(strides: (u16, u16)) -> Geometry {
    with_strides(geometry(Allocator::Owned, 4, 64), strides)
}

#[test]
fn requests_with_more_bytes_than_an_entry_has_room_for_end_the_session() {
    for strides in STRIDES {
        let geometry = hostile_geometry(strides);
        let room_bytes = geometry.request_room_bytes() as u32;
        for kind in [Kind::Write, Kind::Open, Kind::Create, Kind::Destroy] {
            for length in [room_bytes + 1, 497, 512, 1 << 31, u32::MAX] {
                let mut side = raw(&geometry);
                side.send(kind, length, &[]);
                assert_eq!(side.server.take_request(), Err(Violation::Room { length, room_bytes }));
            }
            // No bytes are none, wherever they are said to be.
            let mut side = raw(&geometry);
            side.send(kind, 0, &[]);
            let job = side.server.take_request().unwrap().unwrap().job.unwrap();
            assert!(bytes_of(&side.server, job).is_empty());
        }
    }
}

#[test]
fn responses_with_more_bytes_than_asked_for_or_than_there_is_room_for_end_the_session() {
    for strides in STRIDES {
        let geometry = hostile_geometry(strides);
        let room_bytes = geometry.response_room_bytes() as u32;
        let lengths = [(room_bytes + 1, 1000), (u32::MAX, u32::MAX), (2, 1), (room_bytes + 1, room_bytes)];
        for ((length, asked), is_copied) in lengths.into_iter().flat_map(|one| [(one, false), (one, true)]) {
            let [queue, data, server_data] = memories(&geometry);
            let layout = QueueLayout::of(&geometry).unwrap();
            let mut client = ClientSide::new(&geometry, queue.clone(), data, server_data.read_only()).unwrap();
            let ticket =
                client.submit(Request::new(Kind::Read, Flags::NONE, 1, Value::number(asked)), Chain::EMPTY).unwrap();
            client.flush().unwrap();
            let mut requests = Consumer::<_, 4>::new(queue.clone(), layout.requests);
            let request = Request::from_entry(requests.pop().unwrap()).unwrap();
            let value = Value::slice(Slice { block: Slice::INLINE, length });
            let mut responses = Producer::<_, 3>::new(queue, layout.responses);
            responses.push(response(request.id.0.into(), value)).unwrap();
            responses.publish();
            let expected = if length > asked {
                Violation::MoreThanAsked { got: length.into(), asked: asked.into() }
            } else {
                Violation::Room { length, room_bytes }
            };
            // From here on all bits are an error code, which the client may be told.
            let is_error = ErrorCode::of(value).is_some();
            let found = if is_copied {
                client.poll_into(ticket, &mut [0; 1000], Copier::AUTO).map(drop)
            } else {
                client.poll().map(drop)
            };
            assert_eq!(found, if is_error { Ok(()) } else { Err(expected) }, "{length} {asked}");
        }
    }
}

/// The client writes over the bytes of its request as soon as they were taken, and the server over those of its response.
#[test]
fn bytes_that_change_after_they_were_taken_are_not_seen() {
    let geometry = hostile_geometry((64, 64));
    let mut side = raw(&geometry);
    let spoil = |queue: &Mapped, end_at: usize| queue.write(end_at - 4 * 64 + 16, &[0xEE; 48], Copier::AUTO);
    side.send(Kind::Write, 48, &pattern(48, 3));
    let job = side.server.take_request().unwrap().unwrap().job.unwrap();
    spoil(&side.queue, side.layout.requests.end_at());
    assert_eq!(bytes_of(&side.server, job), pattern(48, 3));
    // Nor when the place was given back and written again.
    side.server.flush();
    assert_eq!(bytes_of(&side.server, job), pattern(48, 3));

    let [queue, data, server_data] = memories(&geometry);
    let mut client = ClientSide::new(&geometry, queue.clone(), data.clone(), server_data.read_only()).unwrap();
    let mut server = ServerSide::new(&geometry, queue.clone(), data.read_only(), server_data).unwrap();
    let ticket = client.submit(Request::new(Kind::Read, Flags::NONE, 1, Value::number(48)), Chain::EMPTY).unwrap();
    client.flush().unwrap();
    let job = server.take_request().unwrap().unwrap().job.unwrap();
    server.answer(job, Reply::Copy(&pattern(48, 5), Copier::AUTO)).unwrap();
    server.flush();
    assert_eq!(client.poll().unwrap(), Some(ticket));
    spoil(&queue, side.layout.responses.end_at());
    let Some(Outcome::Read(chain)) = client.take(ticket) else { panic!("no bytes") };
    assert_eq!(chain.inline(), Some(&pattern(48, 5)[..]));
    client.release(chain).unwrap();
}

#[test]
fn a_copy_that_is_longer_than_it_may_be_is_refused_and_the_job_still_waits() {
    let mut side = raw(&hostile_geometry((64, 64)));
    for (asked, most) in [(10, 10), (100, 48)] {
        let request =
            Request { kind: Kind::Read, flags: Flags::NONE, id: JobId(1), handle: 1, args: Value::number(asked) };
        side.requests.push(request.to_entry()).unwrap();
        side.requests.publish();
        let job = side.server.take_request().unwrap().unwrap().job.unwrap();
        let long = vec![0; most as usize + 1];
        let refused = side.server.answer(job, Reply::Copy(&long, Copier::AUTO));
        assert_eq!(refused, Err(AnswerError::MoreThanAsked { asked: most }));
        side.server.answer(job, Reply::Copy(&long[1..], Copier::AUTO)).unwrap();
    }
}

fn job(table: &mut Table) -> memcpy_select::transport::Job {
    match table.next(Duration::from_secs(5)).unwrap() {
        Some(Event::Job(job)) => job,
        other => panic!("{other:?}"),
    }
}

/// Leases and views of what fits are memory of their own side, with both allocators, and need no block: a client that may hold none
/// gets them all the same.
#[test]
fn leases_and_views_of_what_fits_take_no_block() {
    for allocator in [Allocator::Owned, Allocator::Shared] {
        let geometry = with_strides(geometry(allocator, 8, 4096), (64, 128));
        let (mut table, mut client) = by_hand(TableOptions::default().geometry(geometry).max_held_blocks(0));
        let object = Handle(1);
        let file = std::fs::File::from(rustix::fs::memfd_create(c"test", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        for round in 0..20 {
            let mut lease = client.lease(48).unwrap();
            assert_eq!((lease.len(), lease.parts().count()), (48, 1));
            lease.slices_mut().expect("its own memory").for_each(|part| part.fill(round));
            assert_eq!(lease.write_at(40, &[1; 20]), 8);
            let ticket = client.submit_write_in_place(object, lease).unwrap();
            client.flush().unwrap();
            let write = job(&mut table);
            let payload = table.payload(&write);
            assert_eq!(
                (payload.to_vec()[..40].to_vec(), payload.to_vec()[40..].to_vec()),
                (vec![round; 40], vec![1; 8])
            );
            assert_eq!((payload.runs().count(), payload.parts().count()), (0, 1));
            let sent = payload.write_to_file(file.as_fd()).unwrap();
            assert_eq!((sent.len_bytes, sent.in_place), (48, false));
            table.answer(write, Answer::Amount(48));
            table.flush();
            assert!(matches!(client.finish(ticket).unwrap(), Completion::Amount(48)));

            let ticket = client.submit_read(object, 112).unwrap();
            client.flush().unwrap();
            let read = job(&mut table);
            let mut lease = table.lease(&read, 112).unwrap();
            assert_eq!(lease.read_from_file(file.as_fd(), u64::from(round) * 48).unwrap(), 48);
            drop(lease);
            let mut lease = table.lease(&read, 100).unwrap();
            lease.slices_mut().expect("its own memory").for_each(|part| part.fill(!round));
            table.answer(read, Answer::Lease(lease));
            table.flush();
            let Completion::Read(view) = client.finish(ticket).unwrap() else { panic!("no bytes") };
            assert_eq!((view.to_vec(), view.runs().count()), (vec![!round; 100], 0));
            if round.is_multiple_of(2) {
                client.release(view).unwrap();
            }
        }
        assert_eq!(file.metadata().unwrap().len(), 20 * 48);
        // One byte more takes a block, of which it may hold none; with a shared list it takes what it finds.
        if allocator == Allocator::Owned {
            let ticket = client.submit_read(object, 113).unwrap();
            client.flush().unwrap();
            let read = job(&mut table);
            table.answer(read, Answer::Bytes(&[0; 113]));
            table.flush();
            assert!(matches!(
                client.finish(ticket),
                Err(memcpy_select::transport::ClientError::Refused(ErrorCode::OUT_OF_BLOCKS))
            ));
        }
    }
}
