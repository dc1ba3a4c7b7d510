//! Promise: one request serves many messages, in order, and one entry is a message without an answer; a side that does not keep
//! to the credits ends its own session, and one that does not read gets no more than it asked for.

use crate::programs::{Over, next_job};
use crate::rng::Rng;
use crate::sides::{geometries, geometry, memories, pair};
use crate::table::{address, by_hand, by_hand_as};
use memcpy_select::transport::chain::Chain;
use memcpy_select::transport::geometry::{Allocator, Geometry};
use memcpy_select::transport::memory::{Load, Store};
use memcpy_select::transport::ring::Producer;
use memcpy_select::transport::session::{
    AnswerError, Came, ClientSide, JobKey, Outcome, QueueLayout, Reply, ServerSide, SubmitError, Ticket,
};
use memcpy_select::transport::{
    Answer, Answered, Asked, Blocks, Client, ClientError, ClientOptions, Completion, Copier, ErrorCode, Event, Flags,
    Handle, Job, JobId, Kind, Mapped, Memory, Operation, Proxy, ProxyOptions, Pushed, Request, Response, Slice, Table,
    TableOptions, Value, Violation, Waiting,
};
use std::io::SeekFrom;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);

pub fn message(number: u32, most: usize) -> Vec<u8> {
    vec![number as u8; number as usize % (most + 1)]
}

fn open(client: &mut ClientSide<Mapped>, amount: u32, credits: u32) -> Result<Ticket, SubmitError> {
    client.submit(Request::new(Kind::Stream, Flags::NONE, 1, Value::pair(amount, credits)), Chain::EMPTY)
}

fn next(server: &mut ServerSide<Mapped>) -> (JobKey, Request) {
    let incoming = server.take_request().unwrap().expect("a request");
    (incoming.job.expect("a job"), incoming.request)
}

/// Pushes the message of that number, by either call; false without a credit.
fn push(server: &mut ServerSide<Mapped>, job: JobKey, number: u32, most: usize) -> bool {
    let bytes = message(number, most);
    let result = if number.is_multiple_of(2) && server.data.fits(bytes.len()) {
        server.push(job, Reply::Copy(&bytes, Copier::AUTO))
    } else {
        let mut chain = server.lend(bytes.len() as u32).unwrap();
        chain.write(&server.data.own, 0, &bytes, Copier::AUTO);
        server.push(job, Reply::Bytes(chain))
    };
    assert!(matches!(result, Ok(()) | Err(AnswerError::NoCredit)), "{result:?}");
    result.is_ok()
}

fn bytes_of(client: &mut ClientSide<Mapped>, outcome: Option<Outcome>) -> Vec<u8> {
    let Some(Outcome::Read(chain)) = outcome else { panic!("{outcome:?}") };
    let mut bytes = vec![0; chain.length() as usize];
    chain.read(&client.data.theirs, 0, &mut bytes, Copier::AUTO);
    client.release(chain).unwrap();
    bytes
}

/// A stream beside other requests, with every kind of session: no message is lost, none comes twice, and all are whole.
#[test]
fn messages_arrive_in_order_beside_other_requests() {
    for (number, geometry) in geometries().into_iter().enumerate() {
        let most = geometry.server_blocks.block_bytes as usize + 10;
        let (mut client, mut server) = pair(&geometry);
        let mut rng = Rng::new(number as u64);
        let credits = 1 + rng.below(geometry.capacity as usize - 1) as u32;
        let ticket = open(&mut client, most as u32, credits).unwrap();
        client.flush().unwrap();
        let (job, request) = next(&mut server);
        assert_eq!((request.kind, request.args.to_pair()[1]), (Kind::Stream, credits));
        let (mut sent, mut seen, mut asked, mut answered) = (0, 0, 0, 0);
        while seen < 500 {
            for _ in 0..rng.below(3) {
                match client.submit(Request::new(Kind::SeekStart, Flags::NONE, 1, Value(asked)), Chain::EMPTY) {
                    Ok(_) => asked += 1,
                    Err(error) => assert_eq!(error, SubmitError::Full),
                }
            }
            client.flush().unwrap();
            while let Some(incoming) = server.take_request().unwrap() {
                let position = incoming.request.args;
                match incoming.request.kind {
                    Kind::Credit => assert_eq!(incoming.job, Some(job)),
                    _ => server.answer(incoming.job.unwrap(), Reply::Value(Value(position.0))).unwrap(),
                }
            }
            server.take_releases().unwrap();
            for _ in 0..rng.below(5) {
                let had = server.job(job).unwrap().credits;
                let is_sent = push(&mut server, job, sent, most);
                assert_eq!(is_sent, had > 0);
                sent += u32::from(is_sent);
            }
            server.flush();
            for _ in 0..rng.below(6) {
                let found = if rng.below(2) == 0 {
                    client.poll().unwrap()
                } else {
                    let mut dst = vec![0; most];
                    match client.poll_into(ticket, &mut dst, Copier::AUTO).unwrap() {
                        Some(Came::Bytes(len_bytes)) => {
                            assert_eq!(dst[..len_bytes], message(seen, most));
                            seen += 1;
                            continue;
                        }
                        Some(Came::Response(found)) => Some(found),
                        None => None,
                    }
                };
                let Some(found) = found else { break };
                if found != ticket {
                    assert_eq!(client.take(found), Some(Outcome::Position(answered)));
                    answered += 1;
                    continue;
                }
                let outcome = client.take(ticket);
                assert_eq!(bytes_of(&mut client, outcome), message(seen, most));
                seen += 1;
            }
        }
        server.answer(job, Reply::Value(Value(0))).unwrap();
        server.flush();
        while client.in_flight() > 0 {
            client.flush().unwrap();
            while let Some(incoming) = server.take_request().unwrap() {
                if incoming.request.kind != Kind::Credit {
                    let position = incoming.request.args.0;
                    server.answer(incoming.job.unwrap(), Reply::Value(Value(position))).unwrap();
                }
            }
            server.flush();
            while let Some(found) = client.poll().unwrap() {
                match client.take(found).unwrap() {
                    Outcome::Read(chain) => {
                        seen += 1;
                        client.release(chain).unwrap();
                    }
                    Outcome::Ended => assert_eq!((found, seen), (ticket, sent)),
                    other => {
                        assert_eq!(other, Outcome::Position(answered));
                        answered += 1;
                    }
                }
            }
        }
        client.flush().unwrap();
        assert_eq!(server.take_request().map(|incoming| incoming.is_none_or(|one| one.job.is_none())), Ok(true));
        server.take_releases().unwrap();
        assert_eq!((answered, server.unanswered(), server.lent_blocks()), (asked, 0, 0), "{geometry:?}");
        assert!(server.job(job).is_none());
        assert_eq!(server.push(job, Reply::Value(Value(0))), Err(AnswerError::NoSuchJob));
    }
}

pub fn with_room(capacity: u32) -> Geometry {
    Geometry { request_stride_bytes: 64, response_stride_bytes: 64, ..geometry(Allocator::Owned, capacity, 64) }
}

/// A client that keeps all its credits in use, takes messages one by one, and never asks for more than there is room for.
#[test]
fn credits_come_back_when_half_are_used_and_fill_the_ring_at_most() {
    let (mut client, mut server) = pair(&with_room(8));
    assert_eq!(open(&mut client, 10, 8), Err(SubmitError::Full), "there is the last response, too");
    let ticket = open(&mut client, 10, 7).unwrap();
    for kind in [Kind::SeekEnd, Kind::Stream] {
        let more = client.submit(Request::new(kind, Flags::NONE, 1, Value::pair(1, 1)), Chain::EMPTY);
        assert_eq!(more, Err(SubmitError::Full));
    }
    client.flush().unwrap();
    let (job, _) = next(&mut server);
    for number in 0..7 {
        assert!(push(&mut server, job, number, 10));
    }
    assert!(!push(&mut server, job, 7, 10));
    server.flush();
    for number in 0..7 {
        assert_eq!(client.poll().unwrap(), Some(ticket));
        let outcome = client.take(ticket);
        assert_eq!(bytes_of(&mut client, outcome), message(number, 10));
        client.flush().unwrap();
        let credits = server.take_request().unwrap().map(|incoming| incoming.request.args.to_number());
        assert_eq!(credits, (number == 3).then_some(4));
    }
    assert_eq!(server.job(job).unwrap().credits, 4);
    // Its messages take no block: the last response has its place all the same, also now.
    server.answer(job, Reply::Value(ErrorCode::BUSY.value())).unwrap();
    server.flush();
    assert_eq!((client.poll().unwrap(), client.take(ticket)), (Some(ticket), Some(Outcome::Refused(ErrorCode::BUSY))));
    assert_eq!((client.in_flight(), server.unanswered()), (0, 0));
}

#[test]
fn a_stream_that_is_given_up_ends_and_leaves_nothing() {
    let (mut client, mut server) = pair(&geometry(Allocator::Owned, 4, 64));
    for round in 0..50_u32 {
        let ticket = open(&mut client, 10, 3).unwrap();
        client.flush().unwrap();
        let (job, _) = next(&mut server);
        for number in 1..4 {
            push(&mut server, job, number, 10);
        }
        server.flush();
        for _ in 0..round % 4 {
            assert_eq!(client.poll().unwrap(), Some(ticket));
        }
        if round.is_multiple_of(3) && round % 4 > 0 {
            let outcome = client.take(ticket);
            assert_eq!(bytes_of(&mut client, outcome), message(1, 10));
        }
        client.abandon(ticket).unwrap();
        client.flush().unwrap();
        let mut is_ended = false;
        while let Some(incoming) = server.take_request().unwrap() {
            assert_eq!((incoming.request.kind, incoming.job), (Kind::Credit, Some(job)));
            is_ended |= incoming.request.args.to_number() == 0;
        }
        assert!(is_ended);
        assert_eq!(server.push(job, Reply::Value(Value(0))), Err(AnswerError::NoSuchJob));
        server.flush();
        assert_eq!(client.poll(), Ok(None));
        client.flush().unwrap();
        server.take_releases().unwrap();
        assert_eq!((client.in_flight(), server.unanswered(), server.lent_blocks()), (0, 0, 0));
    }
}

/// Neither a full ring of responses nor streams that have all of them keep credits or posted writes from being taken.
#[test]
fn what_has_no_answer_needs_no_room_for_one() {
    let (mut client, mut server) = pair(&with_room(4));
    let ticket = open(&mut client, 10, 3).unwrap();
    client.flush().unwrap();
    let (job, _) = next(&mut server);
    for round in 0..20 {
        client.post(Request::new(Kind::Write, Flags::DATA, 1, Value(0)), b"posted", Copier::AUTO).unwrap();
        while push(&mut server, job, round, 10) {}
        server.flush();
        while let Some(found) = client.poll().unwrap() {
            assert_eq!(found, ticket);
            let outcome = client.take(ticket);
            bytes_of(&mut client, outcome);
        }
        client.flush().unwrap();
        assert!(server.is_ready());
        let (posted, request) = next(&mut server);
        assert_eq!(request.kind, Kind::Write);
        server.answer(posted, Reply::Value(Value(0))).unwrap();
        while let Some(incoming) = server.take_request().unwrap() {
            assert_eq!(incoming.request.kind, Kind::Credit);
        }
        server.flush();
        assert!(!server.is_ready());
    }
    assert!(server.job(job).unwrap().credits > 0);
}

/// A client that sends what it is told, and its server.
struct Raw {
    queue: Mapped,
    requests: Producer<Mapped, 4>,
    server: ServerSide<Mapped>,
}

fn raw(capacity: u32) -> Raw {
    let geometry = with_room(capacity);
    let [queue, data, server_data] = memories(&geometry);
    let layout = QueueLayout::of(&geometry).unwrap();
    let server = ServerSide::new(&geometry, queue.clone(), data.read_only(), server_data).unwrap();
    Raw { requests: Producer::new(queue.clone(), layout.requests), queue, server }
}

impl Raw {
    fn send(&mut self, kind: Kind, id: u64, args: Value) {
        let request = Request { kind, flags: Flags::NONE, id: JobId(id as u32), handle: 1, args };
        assert!(self.requests.push(request.to_entry()).unwrap());
        self.requests.publish();
    }

    fn refused(&mut self, kind: Kind, id: u64, args: Value) -> Violation {
        self.send(kind, id, args);
        self.server.take_request().unwrap_err()
    }
}

#[test]
fn credits_and_numbers_that_cannot_be_end_the_session() {
    for credits in [0, 8, 9, u32::MAX] {
        let refused = raw(8).refused(Kind::Stream, 1, Value::pair(10, credits));
        assert_eq!(refused, Violation::Credits { found: credits, most: 7 });
    }
    assert_eq!(raw(8).refused(Kind::Stream, 0, Value::pair(10, 1)), Violation::JobId { id: 0 });
    assert_eq!(raw(8).refused(Kind::Credit, 0, Value::number(1)), Violation::JobId { id: 0 });
    let in_a_block = Value::slice(Slice { block: 0, length: 1 });
    assert_eq!(raw(8).refused(Kind::Write, 0, in_a_block), Violation::JobId { id: 0 });
    assert_eq!(raw(8).refused(Kind::Open, 0, Value::slice(Slice::inline(1))), Violation::JobId { id: 0 });
    // More than were used, and more than fit into any number.
    for (used, credits) in [(0, 1), (2, 3), (2, u32::MAX)] {
        let mut side = raw(8);
        side.send(Kind::Stream, 5, Value::pair(10, 4));
        let (job, _) = next(&mut side.server);
        for number in 0..used {
            assert!(push(&mut side.server, job, number, 10));
        }
        let refused = side.refused(Kind::Credit, 5, Value::number(credits));
        assert_eq!(refused, Violation::Credits { found: credits, most: used });
    }
    // A number that a stream has, until that one has ended.
    let mut side = raw(8);
    for _ in 0..2 {
        side.send(Kind::Stream, 5, Value::pair(10, 2));
        next(&mut side.server);
        side.send(Kind::Credit, 5, Value::number(0));
        assert!(side.server.take_request().unwrap().is_some_and(|incoming| incoming.job.is_some()));
    }
    side.send(Kind::Stream, 5, Value::pair(10, 2));
    next(&mut side.server);
    assert_eq!(side.refused(Kind::Stream, 5, Value::pair(10, 2)), Violation::JobId { id: 5 });
    // For no stream: void, as often as it comes.
    let mut side = raw(8);
    for credits in [0, 1, u32::MAX] {
        side.send(Kind::Credit, 9, Value::number(credits));
        assert!(side.server.take_request().unwrap().is_some_and(|incoming| incoming.job.is_none()));
        side.server.flush();
    }
}

/// Streams together, or credits for messages that were not read, want more than the ring holds.
#[test]
fn promises_that_the_ring_has_no_room_for_end_the_session() {
    let mut side = raw(8);
    side.send(Kind::Stream, 1, Value::pair(10, 3));
    next(&mut side.server);
    assert_eq!(side.refused(Kind::Stream, 2, Value::pair(10, 4)), Violation::NoRoom);

    let mut side = raw(8);
    side.send(Kind::Stream, 1, Value::pair(10, 7));
    let (job, _) = next(&mut side.server);
    for number in 0..7 {
        assert!(push(&mut side.server, job, number, 10));
    }
    side.server.flush();
    // One place was given back, and two are asked for.
    side.queue.store32(128, 1, Store::Release);
    side.send(Kind::Credit, 1, Value::number(1));
    assert!(side.server.take_request().unwrap().is_some());
    assert_eq!(side.refused(Kind::Credit, 1, Value::number(1)), Violation::NoRoom);
}

/// A client that does not read gets what it asked for, and costs nobody more.
#[test]
fn pushes_to_a_client_that_does_not_read_end_with_its_credits() {
    let mut side = raw(8);
    side.send(Kind::Stream, 1, Value::pair(100, 5));
    let (job, _) = next(&mut side.server);
    for number in 0..1000 {
        let bytes = [number as u8; 100];
        let mut chain = side.server.lend(100).unwrap();
        chain.write(&side.server.data.own, 0, &bytes, Copier::AUTO);
        let pushed = side.server.push(job, Reply::Bytes(chain));
        assert_eq!(pushed, if number < 5 { Ok(()) } else { Err(AnswerError::NoCredit) });
        side.server.flush();
    }
    // Two blocks and their list each.
    assert_eq!(side.server.lent_blocks(), 5 * 3);
    // A request that would need one more place than there is waits; the end of the stream does not.
    side.send(Kind::SeekEnd, 2, Value(0));
    assert!(side.server.take_request().unwrap().is_some());
    side.send(Kind::SeekEnd, 3, Value(0));
    assert!(side.server.take_request().unwrap().is_some());
    side.send(Kind::SeekEnd, 4, Value(0));
    assert_eq!((side.server.is_ready(), side.server.take_request()), (false, Ok(None)));
    side.server.answer(job, Reply::Value(Value(0))).unwrap();
}

/// What a server sends that no honest one does, in answer to a stream of two credits or to a read: it is found by either call.
fn deceived(kind: Kind, answers: &[(bool, Value)]) -> Violation {
    let taken_in = deceived_by(kind, answers, |client, _| client.poll().map(drop));
    let copied_out =
        deceived_by(kind, answers, |client, ticket| client.poll_into(ticket, &mut [0; 10], Copier::AUTO).map(drop));
    assert_eq!(taken_in, copied_out);
    taken_in
}

fn deceived_by(
    kind: Kind,
    answers: &[(bool, Value)],
    poll: impl Fn(&mut ClientSide<Mapped>, Ticket) -> Result<(), Violation>,
) -> Violation {
    let geometry = with_room(4);
    let [queue, data, server_data] = memories(&geometry);
    let layout = QueueLayout::of(&geometry).unwrap();
    let mut client = ClientSide::new(&geometry, queue.clone(), data, server_data.read_only()).unwrap();
    let ticket = client.submit(Request::new(kind, Flags::NONE, 1, Value::pair(10, 2)), Chain::EMPTY).unwrap();
    client.flush().unwrap();
    let id = JobId(queue.load32(5 * 128, Load::Acquire) >> 8);
    let mut responses = Producer::<_, 3>::new(queue, layout.responses);
    for &(has_more, value) in answers {
        responses.push(Response { has_object: false, has_more, id, value }.to_entry()).unwrap();
    }
    responses.publish();
    loop {
        if let Err(violation) = poll(&mut client, ticket) {
            return violation;
        }
    }
}

#[test]
fn messages_that_no_server_sends_end_the_session() {
    let some = Value::slice(Slice::inline(10));
    assert!(matches!(deceived(Kind::Read, &[(true, some)]), Violation::NoSuchJob { .. }));
    // Those that were copied out were taken, so that their credits are the server's again.
    let without_credit = deceived_by(Kind::Stream, &[(true, some); 3], |client, _| client.poll().map(drop));
    assert_eq!(without_credit, Violation::Credits { found: 1, most: 0 });
    let long = Value::slice(Slice::inline(11));
    assert_eq!(deceived(Kind::Stream, &[(true, long)]), Violation::MoreThanAsked { got: 11, asked: 10 });
    assert_eq!(deceived(Kind::Stream, &[(false, some)]), Violation::MoreThanAsked { got: 10, asked: 0 });
    let over = [(true, some), (false, Value(0)), (true, some)];
    assert!(matches!(deceived(Kind::Stream, &over), Violation::NoSuchJob { .. }));
    // An error is no message.
    let error = ErrorCode::BUSY.value();
    assert!(matches!(deceived(Kind::Stream, &[(true, error)]), Violation::MoreThanAsked { .. }));
}

pub fn options() -> TableOptions {
    TableOptions::default().geometry(with_room(8))
}

#[test]
fn a_table_pushes_by_hand_and_loses_nothing_without_credit() {
    let (mut table, mut client) = by_hand(options());
    let object = Handle(3);
    let ticket = client.stream(object, 100, 2).unwrap();
    client.flush().unwrap();
    let job = next_job(&mut table);
    assert_eq!(job.operation(), Operation::Stream { handle: 3, amount: 100, credits: 2 });
    assert!(job.wants_answer());
    assert!(matches!(table.push(&job, Answer::Bytes(b"first")), Pushed::Sent));
    assert!(matches!(table.push(&job, Answer::Bytes(&[0; 101])), Pushed::Refused(ErrorCode::TOO_LARGE)));
    assert!(matches!(table.push(&job, Answer::Amount(1)), Pushed::Refused(ErrorCode::UNSUPPORTED)));
    let mut lease = table.lease(&job, 100).unwrap();
    lease.write_at(0, &[2; 100]);
    assert!(matches!(table.push(&job, Answer::Lease(lease)), Pushed::Sent));
    let mut lease = table.lease(&job, 60).unwrap();
    lease.write_at(0, &[3; 60]);
    let Pushed::NoCredit(Answer::Lease(lease)) = table.push(&job, Answer::Lease(lease)) else { panic!("a third") };
    table.flush();
    let bytes = |client: &mut Client| match client.next_message(ticket).unwrap() {
        Completion::Read(view) => view.to_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!(bytes(&mut client), b"first");
    assert_eq!(bytes(&mut client), [2; 100]);
    client.set_limit(SOON);
    assert!(matches!(client.next_message(ticket), Err(ClientError::Timeout { .. })), "and the stream goes on");
    assert!(matches!(table.next(SOON).unwrap(), Some(Event::Credit { .. })));
    assert!(matches!(table.push(&job, Answer::Lease(lease)), Pushed::Sent));
    table.flush();
    assert_eq!(bytes(&mut client), [3; 60]);
    assert_eq!(table.answer(job, Answer::Done), Answered::Sent);
    table.flush();
    assert!(matches!(client.next_message(ticket).unwrap(), Completion::Ended));
    assert!(matches!(client.next_message(ticket), Err(ClientError::NotOfThisSession)));
    // One that its client gives up: the program is told, and its next push says so.
    let ticket = client.stream(object, 100, 2).unwrap();
    client.flush().unwrap();
    let job = loop {
        if let Some(Event::Job(job)) = table.next(SOON).unwrap() {
            break job;
        }
    };
    assert!(matches!(table.push(&job, Answer::Bytes(b"for nobody")), Pushed::Sent));
    client.abandon(ticket).unwrap();
    while !matches!(table.push(&job, Answer::Bytes(b"")), Pushed::Ended) {
        table.next(SOON).unwrap();
    }
    assert_eq!(table.answer(job, Answer::Done), Answered::Left);
    table.flush();
    assert!(client.poll().unwrap().is_none());
    assert_eq!(client.in_flight(), 0);
    // A stream is ended by nothing but its end.
    let ticket = client.stream(object, 100, 2).unwrap();
    client.flush().unwrap();
    let job = next_job(&mut table);
    assert_eq!(table.answer(job, Answer::Bytes(b"too late")), Answered::Instead(ErrorCode::UNSUPPORTED));
    table.flush();
    assert!(matches!(client.finish(ticket), Err(ClientError::Refused(ErrorCode::UNSUPPORTED))));
    assert!(matches!(client.stream(object, 100, 8), Err(ClientError::Full)));
}

#[test]
fn messages_are_copied_to_where_they_are_wanted() {
    for waiting in [Waiting::Poll, Waiting::Adaptive, Waiting::Sleep] {
        let (mut table, mut client) = by_hand_as(options(), waiting);
        client.set_limit(SOON);
        let object = Handle(3);
        let ticket = client.stream(object, 100, 3).unwrap();
        client.flush().unwrap();
        let job = next_job(&mut table);
        let mut dst = [0; 120];
        let too_short = client.receive(ticket, &mut dst[..99]);
        assert!(matches!(too_short, Err(ClientError::TooLarge { len_bytes: 100, max_bytes: 99 })), "{too_short:?}");
        assert!(matches!(client.receive(ticket, &mut dst), Err(ClientError::Timeout { .. })), "and the stream goes on");
        // In their entries and in blocks, behind an answer to another request, and behind one that was taken in before.
        let seek = client.submit_seek(object, SeekFrom::Start(9)).unwrap();
        client.flush().unwrap();
        let position = next_job(&mut table);
        assert!(matches!(table.push(&job, Answer::Bytes(b"first")), Pushed::Sent));
        assert_eq!(table.answer(position, Answer::Position(9)), Answered::Sent);
        assert!(matches!(table.push(&job, Answer::Bytes(&[2; 100])), Pushed::Sent));
        assert!(matches!(table.push(&job, Answer::Bytes(b"third")), Pushed::Sent));
        table.flush();
        assert!(matches!(client.finish(seek).unwrap(), Completion::Position(9)));
        for message in [b"first".as_slice(), &[2; 100], b"third"] {
            dst.fill(0);
            assert_eq!(client.receive(ticket, &mut dst).unwrap(), Some(message.len()));
            assert_eq!(dst[..message.len()], *message);
        }
        client.flush().unwrap();
        while !matches!(table.next(SOON).unwrap(), Some(Event::Credit { .. })) {}
        assert!(matches!(table.push(&job, Answer::Bytes(b"last")), Pushed::Sent));
        assert_eq!(table.answer(job, Answer::Error(ErrorCode::BUSY)), Answered::Sent);
        table.flush();
        assert_eq!(client.receive(ticket, &mut dst).unwrap(), Some(4));
        assert!(matches!(client.receive(ticket, &mut dst), Err(ClientError::Refused(ErrorCode::BUSY))));
        assert!(matches!(client.receive(ticket, &mut dst), Err(ClientError::NotOfThisSession)));
        let ticket = client.stream(object, 0, 1).unwrap();
        client.flush().unwrap();
        let job = loop {
            // Credits for the stream before come first.
            if let Some(Event::Job(job)) = table.next(SOON).unwrap() {
                break job;
            }
        };
        assert_eq!(table.answer(job, Answer::Done), Answered::Sent);
        table.flush();
        assert_eq!(client.receive(ticket, &mut []).unwrap(), None);
    }
}

/// Longer ones, in blocks, more often than there are blocks; and a stream has a credit at least.
#[test]
fn blocks_of_messages_that_were_copied_go_back() {
    let (mut table, mut client) = by_hand(options());
    let ticket = client.stream(Handle(3), 100, 0).unwrap();
    client.flush().unwrap();
    let job = next_job(&mut table);
    assert_eq!(job.operation(), Operation::Stream { handle: 3, amount: 100, credits: 1 });
    for round in 0..3 * client.geometry().server_blocks.count {
        let bytes = [round as u8; 100];
        assert!(matches!(table.push(&job, Answer::Bytes(&bytes)), Pushed::Sent), "{round}");
        table.flush();
        let mut dst = [0; 100];
        assert_eq!(client.receive(ticket, &mut dst).unwrap(), Some(100));
        assert_eq!(dst, bytes);
        client.flush().unwrap();
        while !matches!(table.next(SOON).unwrap(), Some(Event::Credit { .. })) {}
    }
}

/// What a client posts comes back to it as a stream.
fn serve(mut table: Table, is_over: &AtomicBool) {
    let mut stream: Option<Job> = None;
    let mut kept = std::collections::VecDeque::new();
    while !is_over.load(Ordering::Relaxed) {
        match table.next(SOON).unwrap() {
            Some(Event::Job(job)) => match job.operation() {
                Operation::Stream { .. } => stream = Some(job),
                Operation::Write { .. } => {
                    kept.push_back(table.payload(&job).to_vec());
                    table.answer(job, Answer::Done);
                }
                _ => drop(table.answer(job, Answer::Error(ErrorCode::UNSUPPORTED))),
            },
            Some(Event::Left { .. }) => stream = None,
            _ => {}
        }
        let Some(job) = &stream else { continue };
        while let Some(bytes) = kept.front() {
            match table.push(job, Answer::Bytes(bytes)) {
                Pushed::Sent => _ = kept.pop_front(),
                Pushed::NoCredit(_) => break,
                Pushed::Ended => {
                    stream = None;
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn posts_come_back(at: &memcpy_select::transport::Address, waiting: Waiting) {
    let mut client = Client::connect(at, ClientOptions::default().waiting(waiting)).unwrap();
    let object = Handle(1);
    let ticket = client.stream(object, 48, 5).unwrap();
    let mut seen = 0;
    let take = |client: &mut Client, seen: &mut u32| match client.next_message(ticket).unwrap() {
        Completion::Read(view) => {
            assert_eq!(view.to_vec(), message(*seen, 48));
            *seen += 1;
        }
        other => panic!("{other:?}"),
    };
    for number in 0..400 {
        client.post(object, &message(number, 48)).unwrap();
        if number - seen > 20 {
            take(&mut client, &mut seen);
        }
        // Another request between them has its answer.
        if number.is_multiple_of(50) {
            assert!(matches!(client.open("x"), Err(ClientError::Refused(ErrorCode::UNSUPPORTED | ErrorCode::DENIED))));
        }
    }
    while seen < 400 {
        take(&mut client, &mut seen);
    }
    client.abandon(ticket).unwrap();
}

#[test]
fn what_is_posted_comes_back_as_a_stream_with_every_kind_of_waiting() {
    for waiting in [Waiting::Adaptive, Waiting::Sleep, Waiting::Poll] {
        let at = address(&format!("streams-{waiting:?}"));
        let table = Table::create(&at, options().waiting(waiting)).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| serve(table, &is_over));
            let _over = Over(&is_over);
            posts_come_back(&at, waiting);
        });
    }
}

#[test]
fn streams_and_posts_pass_through_a_proxy_that_judges_them() {
    let (front, behind) = (address("streams-front"), address("streams-behind"));
    // A proxy takes whole pages of the client's blocks.
    let client_blocks = Blocks { block_bytes: 4096, count: 16 };
    let table =
        Table::create(&behind, TableOptions::default().geometry(Geometry { client_blocks, ..with_room(8) })).unwrap();
    let rule = |asked: &Asked<'_>| match asked.operation {
        Operation::Stream { handle: 1, .. } | Operation::Write { handle: 1 } => Ok(()),
        _ => Err(ErrorCode::DENIED),
    };
    let mut proxy = Proxy::create(&front, behind, ProxyOptions::default(), rule).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| serve(table, &is_over));
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                proxy.serve(SOON).unwrap();
            }
        });
        let _over = Over(&is_over);
        posts_come_back(&front, Waiting::Adaptive);
        let mut client = Client::connect(&front, ClientOptions::default()).unwrap();
        let ticket = client.stream(Handle(2), 48, 5).unwrap();
        assert!(matches!(client.finish(ticket), Err(ClientError::Refused(ErrorCode::DENIED))));
        // What is denied has no answer, and is not seen behind.
        client.post(Handle(2), b"denied").unwrap();
        client.post(Handle(1), b"allowed").unwrap();
        let ticket = client.stream(Handle(1), 48, 5).unwrap();
        let Completion::Read(view) = client.next_message(ticket).unwrap() else { panic!("no message") };
        assert_eq!(view.to_vec(), b"allowed");
    });
}
