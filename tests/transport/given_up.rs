//! Promise: what a side gives up, or cannot send, leaves nothing behind: no block, no object, no place in a ring.

use crate::programs::next_job;
use crate::sides::{geometry, memories, pair, response};
use crate::table::{LONG, SOON, by_hand, geometry as table_geometry};
use memcpy_select::transport::blocks::AllocateError;
use memcpy_select::transport::chain::Chain;
use memcpy_select::transport::connect::{JoinOptions, Joined, join_over};
use memcpy_select::transport::geometry::Allocator;
use memcpy_select::transport::memory::{Memory, Store};
use memcpy_select::transport::ring::{Consumer, Producer};
use memcpy_select::transport::session::{
    AnswerError, ClientSide, JobKey, Outcome, QueueLayout, Reply, ServerSide, SubmitError, Ticket,
};
use memcpy_select::transport::{
    Answer, Answered, Client, ClientError, ClientKey, ClientOptions, Completion, Copier, ErrorCode, Event, Flags,
    Handle, Job, Kind, Mapped, Object, Operation, PageRange, Pushed, Region, RegionOptions, Request, Table, TableError,
    TableOptions, Value,
};
use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

const OBJECT: Handle = Handle(1);

fn sides(allocator: Allocator) -> (ClientSide<Mapped>, ServerSide<Mapped>) {
    pair(&geometry(allocator, 4, 64))
}

/// All that one transfer can have of 64 blocks of 64 bytes: 60, and four lists of them.
const MOST: u32 = 60 * 64;

fn ask(client: &mut ClientSide<Mapped>, server: &mut ServerSide<Mapped>, kind: Kind) -> (Ticket, JobKey) {
    let ticket = client.submit(Request::new(kind, Flags::NONE, 1, Value::pair(MOST - 1, 1)), Chain::EMPTY).unwrap();
    client.flush().unwrap();
    (ticket, server.take_request().unwrap().unwrap().job.unwrap())
}

/// Every block that a side sends from is free.
fn all_are_free(allocate: impl FnOnce(u32) -> Result<Chain, AllocateError>) -> Chain {
    allocate(MOST).expect("a block is missing")
}

#[test]
fn a_payload_that_is_not_sent_is_free_again() {
    let (mut client, mut server) = sides(Allocator::Owned);
    for _ in 0..4 {
        client.submit(Request::new(Kind::SeekEnd, Flags::NONE, 1, Value(0)), Chain::EMPTY).unwrap();
    }
    for _ in 0..3 {
        let all = all_are_free(|length| client.data.allocate(length));
        let refused = client.submit(Request::new(Kind::Write, Flags::DATA, 1, Value(0)), all);
        assert_eq!(refused, Err(SubmitError::Full));
    }
    client.flush().unwrap();
    while let Some(incoming) = server.take_request().unwrap() {
        server.answer(incoming.job.unwrap(), Reply::Value(Value(0))).unwrap();
    }
    server.flush();
    while let Some(ticket) = client.poll().unwrap() {
        client.take(ticket);
    }
    // Sent, it is the server's until it has answered.
    let all = all_are_free(|length| client.data.allocate(length));
    client.submit(Request::new(Kind::Write, Flags::DATA, 1, Value(0)), all).unwrap();
    client.flush().unwrap();
    assert_eq!(client.data.allocate(1), Err(AllocateError::OutOfBlocks));
    let job = server.take_request().unwrap().unwrap().job.unwrap();
    server.answer(job, Reply::Value(Value::number(MOST))).unwrap();
    assert_eq!(client.data.allocate(1), Err(AllocateError::OutOfBlocks));
    server.flush();
    client.poll().unwrap();
    all_are_free(|length| client.data.allocate(length));
}

/// However an answer fails, the blocks that were lent for it are the server's again.
#[test]
fn an_answer_that_is_not_sent_is_free_again() {
    let (mut client, mut server) = sides(Allocator::Owned);
    let (_, job) = ask(&mut client, &mut server, Kind::Read);
    let all = all_are_free(|length| server.lend(length));
    let asked = MOST - 1;
    assert_eq!(server.answer(job, Reply::Bytes(all)), Err(AnswerError::MoreThanAsked { asked }));
    server.answer(job, Reply::Value(Value(0))).unwrap();
    let all = all_are_free(|length| server.lend(length));
    assert_eq!(server.answer(job, Reply::Bytes(all)), Err(AnswerError::NoSuchJob));

    let (_, stream) = ask(&mut client, &mut server, Kind::Stream);
    let all = all_are_free(|length| server.lend(length));
    assert_eq!(server.answer(stream, Reply::Bytes(all)), Err(AnswerError::MoreThanAsked { asked: 0 }));
    let message = server.lend(1).unwrap();
    server.push(stream, Reply::Bytes(message)).unwrap();
    let rest = server.lend(MOST - 5 * 64).unwrap();
    assert_eq!(server.push(stream, Reply::Bytes(rest)), Err(AnswerError::NoCredit));
    let rest = server.lend(MOST - 5 * 64).unwrap();
    server.data.give_back(rest);
    // Of all that, one message is the client's.
    assert_eq!(server.lent_blocks(), 1);
    // More than it may hold was never lent.
    server.limit_blocks = 2;
    for _ in 0..200 {
        assert_eq!(server.lend(100), Err(AllocateError::OutOfBlocks));
    }
    server.limit_blocks = 64;
    server.lend(MOST - 5 * 64).unwrap();
}

/// A read that is not waited for any more, given up before its answer and after it: what it brings is given back unread.
#[test]
fn blocks_of_an_answer_that_is_not_wanted_go_back() {
    for allocator in [Allocator::Owned, Allocator::Shared] {
        let (mut client, mut server) = sides(allocator);
        for round in 0..20 {
            let (ticket, job) = ask(&mut client, &mut server, Kind::Read);
            if round % 3 == 0 {
                client.abandon(ticket).unwrap();
            }
            let most = if allocator == Allocator::Owned { MOST - 1 } else { MOST / 2 };
            let answer = server.lend(most).expect("what was not wanted did not come back");
            server.answer(job, Reply::Bytes(answer)).unwrap();
            server.flush();
            assert_eq!(client.poll().unwrap(), (round % 3 != 0).then_some(ticket));
            if round % 3 == 1 {
                client.abandon(ticket).unwrap();
            }
            if let Some(outcome) = client.take(ticket) {
                assert_eq!(round % 3, 2);
                let Outcome::Read(chain) = outcome else { panic!("{outcome:?}") };
                client.release(chain).unwrap();
            }
            client.flush().unwrap();
            server.take_releases().unwrap();
            assert_eq!((client.in_flight(), server.unanswered(), server.lent_blocks()), (0, 0, 0));
        }
    }
}

/// An open or a create that is given up before its answer and after it: the table hears that its handle is not used.
#[test]
fn handles_that_come_too_late_are_discarded() {
    let (mut client, mut server) = sides(Allocator::Owned);
    for handle in 1..20 {
        let kind = if handle % 5 == 0 { Kind::Create } else { Kind::Open };
        let ticket = client.submit_copy(Request::new(kind, Flags::NONE, 0, Value(0)), b"", Copier::AUTO).unwrap();
        client.flush().unwrap();
        let job = server.take_request().unwrap().unwrap().job.unwrap();
        if handle % 2 == 0 {
            client.abandon(ticket).unwrap();
        }
        server.answer(job, Reply::Value(Value::number(handle))).unwrap();
        server.flush();
        assert_eq!(client.poll().unwrap().is_some(), handle % 2 == 1);
        client.abandon(ticket).unwrap();
        assert_eq!(client.in_flight(), 0);
        client.flush().unwrap();
        let closed = server.take_request().unwrap().unwrap();
        assert_eq!((closed.job, closed.request), (None, Request::close(handle, Flags::META)));
        assert_eq!(server.take_request(), Ok(None));
        server.flush();
    }
}

/// A server that answers what is given up, and leaves room for one request at a time: what it is to be told does not pile up.
#[test]
fn what_a_client_has_to_say_of_what_it_gave_up_is_bounded() {
    let geometry = geometry(Allocator::Owned, 4, 64);
    let [queue, own, theirs] = memories(&geometry);
    let layout = QueueLayout::of(&geometry).unwrap();
    let mut client = ClientSide::new(&geometry, queue.clone(), own, theirs.read_only()).unwrap();
    let mut responses = Producer::<_, 3>::new(queue.clone(), layout.responses);
    let mut requests = Consumer::<_, 4>::new(queue.clone(), layout.requests);
    const REQUEST_HEAD: usize = 0;
    // Three lie unread.
    (0..3).for_each(|_| client.post(Request::close(9, Flags::NONE), b"", Copier::AUTO).unwrap());
    client.flush().unwrap();
    let mut read = VecDeque::new();
    let mut given_up = 0;
    while let Ok(ticket) = client.submit_copy(Request::new(Kind::Open, Flags::NONE, 0, Value(0)), b"", Copier::AUTO) {
        client.flush().unwrap();
        client.abandon(ticket).unwrap();
        read.extend(std::iter::from_fn(|| requests.pop()));
        let id = Request::from_entry(*read.back().unwrap()).unwrap().id;
        assert!(responses.push(response(id.0.into(), Value::number(1))).unwrap());
        responses.publish();
        assert_eq!(client.poll(), Ok(None));
        given_up += 1;
        assert!(given_up < 5000, "nothing bounds it");
        // Of the four that were read one place is given back.
        queue.store32(REQUEST_HEAD, given_up, Store::Release);
    }
    // All of it is said once there is room.
    let mut closed = 0;
    while closed < given_up {
        requests.release();
        client.flush().unwrap();
        let came: Vec<_> = std::iter::from_fn(|| requests.pop()).collect();
        assert!(!came.is_empty());
        closed += came.len() as u32;
    }
    requests.release();
    client.submit_copy(Request::new(Kind::Open, Flags::NONE, 0, Value(0)), b"", Copier::AUTO).unwrap();
}

/// More than the ring of releases holds: the others are sent when there is room again, without another one that brings them.
#[test]
fn blocks_that_wait_for_room_to_go_back_go_later() {
    let (mut client, mut server) = sides(Allocator::Owned);
    let mut held = Vec::new();
    for _ in 0..10 {
        let (ticket, job) = ask(&mut client, &mut server, Kind::Read);
        let answer = server.lend(1).unwrap();
        server.answer(job, Reply::Bytes(answer)).unwrap();
        server.flush();
        assert_eq!(client.poll().unwrap(), Some(ticket));
        let Some(Outcome::Read(chain)) = client.take(ticket) else { panic!("no bytes") };
        held.push(chain);
    }
    held.into_iter().for_each(|chain| client.release(chain).unwrap());
    for left in [6, 2, 0] {
        client.flush().unwrap();
        server.take_releases().unwrap();
        assert_eq!(server.lent_blocks(), left);
    }
}

/// A client that does not read its socket gets no more objects than that holds, and an error for each other one; it has the rest.
#[test]
fn an_object_that_does_not_pass_is_refused_and_the_session_goes_on() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut table = Table::without_address(TableOptions::default()).unwrap();
    table.adopt(ours).unwrap();
    let joining = thread::spawn(move || join_over(theirs, JoinOptions::default()).unwrap());
    assert!(matches!(table.next(LONG).unwrap(), Some(Event::Joined(_))));
    let Joined { channel: _unread, geometry, queue, own_data, data } = joining.join().unwrap();
    let own = own_data.unwrap().into_memory();
    let mut client = ClientSide::new(&geometry, queue.into_memory(), own, data.into_memory()).unwrap();
    let region = Region::create(4096, RegionOptions::default()).unwrap();
    let mut share = |table: &mut Table| {
        let ticket =
            client.submit(Request::new(Kind::Share, Flags::NONE, 1, Value(PageRange::WHOLE.0)), Chain::EMPTY).unwrap();
        client.flush().unwrap();
        let job = next_job(table);
        let answered = table.answer(job, Answer::Object(Object::of(&region, PageRange::WHOLE).unwrap()));
        table.flush();
        assert_eq!(client.poll().unwrap(), Some(ticket));
        (answered, client.take(ticket).unwrap())
    };
    let mut passed = 0;
    let refused = loop {
        match share(&mut table) {
            (Answered::Sent, Outcome::Shared(_)) => passed += 1,
            refused => break refused,
        }
        assert!(passed < 100_000, "nothing bounds them");
    };
    assert_eq!(refused, (Answered::Instead(ErrorCode::IO), Outcome::Refused(ErrorCode::IO)));
    assert!(passed > 0 && table.clients() == 1);
}

fn in_blocks() -> TableOptions {
    TableOptions::default().geometry(table_geometry(Allocator::Owned))
}

/// The next job of a client that reads so many bytes.
fn read(table: &mut Table, client: &mut Client, len_bytes: usize) -> (Ticket, Job) {
    let ticket = client.submit_read(OBJECT, len_bytes as u32).unwrap();
    client.flush().unwrap();
    (ticket, next_job(table))
}

#[test]
fn a_tables_lease_that_is_not_sent_is_free_again() {
    let (mut table, mut client) = by_hand(in_blocks());
    let (mut other_table, mut other) = by_hand(in_blocks());
    let most = client.max_read_bytes();
    let (_, long) = read(&mut table, &mut client, most);
    let (ticket, short) = read(&mut table, &mut client, 5);
    // Dropped.
    drop(table.lease(&long, most).unwrap());
    // For another job, which asks for less.
    let lease = table.lease(&long, most).unwrap();
    assert_eq!(table.answer(short, Answer::Lease(lease)), Answered::Instead(ErrorCode::TOO_LARGE));
    table.flush();
    assert!(matches!(client.finish(ticket), Err(ClientError::Refused(ErrorCode::TOO_LARGE))));
    // Of another session.
    let (_, elsewhere) = read(&mut other_table, &mut other, most);
    let lease = other_table.lease(&elsewhere, most).unwrap();
    assert_eq!(table.answer(long, Answer::Lease(lease)), Answered::Instead(ErrorCode::IO));
    // For a job whose client has ended it.
    let (ticket, again) = read(&mut table, &mut client, most);
    let stream = client.stream(OBJECT, most as u32, 1).unwrap();
    client.flush().unwrap();
    let messages = next_job(&mut table);
    let lease = table.lease(&again, most).unwrap();
    client.abandon(stream).unwrap();
    while !matches!(table.next(SOON).unwrap(), Some(Event::Credit { .. })) {}
    assert!(matches!(table.push(&messages, Answer::Lease(lease)), Pushed::Ended));
    for (table, job) in [(&mut table, again), (&mut other_table, elsewhere)] {
        let lease = table.lease(&job, most).expect("a block is missing");
        assert_eq!(table.answer(job, Answer::Lease(lease)), Answered::Sent);
        table.flush();
    }
    assert!(matches!(client.finish(ticket), Ok(Completion::Read(view)) if view.len() == most));
    assert!(matches!(table.lease(&messages, 1), Err(TableError::NoSuchJob)));
}

/// Objects that came for requests which were given up are closed, however many they are: those that are wanted come all the same.
#[test]
fn objects_that_are_not_wanted_do_not_keep_others_from_coming() {
    let (mut table, mut client) = by_hand(TableOptions::default());
    let region = Region::create(4096, RegionOptions::default()).unwrap();
    region.seal_writing().unwrap();
    let object = || Object::of(&region, PageRange::WHOLE).unwrap();
    let mut closed = 0;
    let mut next_job = |table: &mut Table| loop {
        match table.next(LONG).unwrap() {
            Some(Event::Job(job)) => break job,
            Some(Event::Closed { handle: 1, is_discarded: true, .. }) => closed += 1,
            other => panic!("{other:?}"),
        }
    };
    for round in 0..300 {
        let ticket = match round % 2 {
            0 => client.submit_share(OBJECT, PageRange::WHOLE).unwrap(),
            _ => client.submit_named(Kind::Open, b"name").unwrap(),
        };
        client.flush().unwrap();
        // Before the answer, or after it.
        if round % 4 < 2 {
            client.abandon(ticket).unwrap();
        }
        let job = next_job(&mut table);
        let answer = match job.operation() {
            Operation::Open => Answer::HandleAndObject(1, object()),
            _ => Answer::Object(object()),
        };
        assert_eq!(table.answer(job, answer), Answered::Sent, "{round}");
        table.flush();
        if round % 4 >= 2 {
            let other = client.submit_seek(OBJECT, std::io::SeekFrom::Start(0)).unwrap();
            client.flush().unwrap();
            let job = next_job(&mut table);
            table.answer(job, Answer::Position(0));
            table.flush();
            client.finish(other).unwrap();
            client.abandon(ticket).unwrap();
        }
    }
    let ticket = client.submit_share(OBJECT, PageRange::WHOLE).unwrap();
    client.flush().unwrap();
    let job = next_job(&mut table);
    table.answer(job, Answer::Object(object()));
    table.flush();
    let Completion::Shared(shared) = client.finish(ticket).unwrap() else { panic!("no object") };
    assert_eq!(shared.map().unwrap().len_bytes(), 4096);
    assert_eq!((client.in_flight(), closed), (0, 150));
}

fn has_left(table: &mut Table) {
    while !matches!(table.next(LONG).unwrap(), Some(Event::Left { .. })) {}
}

fn join(table: &mut Table) -> (ClientKey, Client) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    table.adopt(theirs).unwrap();
    let joining = thread::spawn(|| Client::over(ours, ClientOptions::default()).unwrap());
    let Some(Event::Joined(key)) = table.next(LONG).unwrap() else { panic!("no client") };
    (key, joining.join().unwrap())
}

/// Of a list that all clients share: what one of them had when it left, and what it was to be answered with, is there for the others.
#[test]
fn what_a_client_had_of_a_shared_list_goes_back_when_it_leaves() {
    let options = TableOptions::default().geometry(table_geometry(Allocator::Shared)).one_region(true);
    let (mut table, mut stays) = by_hand(options);
    for order in 0..45 {
        let (_, mut client) = join(&mut table);
        let lease = client.lease(1000).unwrap();
        let mut answered = [(); 3].map(|()| read(&mut table, &mut client, 1000)).map(|(ticket, job)| {
            assert_eq!(table.answer(job, Answer::Bytes(&[7; 1000])), Answered::Sent);
            ticket
        });
        table.flush();
        answered.rotate_left(order % 3);
        let Completion::Read(view) = client.finish(answered[0]).unwrap() else { panic!("no bytes") };
        drop((view, lease));
        drop(client);
        has_left(&mut table);
        // One that the table has blocks for, and sends away without an answer.
        let (key, mut client) = join(&mut table);
        let (_, job) = read(&mut table, &mut client, 1000);
        drop(table.lease(&job, 1000).unwrap());
        table.disconnect(key).unwrap();
        has_left(&mut table);
    }
    // The table gives up what it had of those that left bit by bit.
    let count = stays.geometry().client_blocks.count as usize;
    let start = Instant::now();
    while std::iter::from_fn(|| stays.lease(1).ok()).collect::<Vec<_>>().len() < count {
        assert!(start.elapsed() < LONG, "blocks are missing");
        assert!(table.next(Duration::from_millis(1)).unwrap().is_none());
    }
}

/// When the last client was sent away the list is a new one: what that client kept is on it already.
#[test]
fn a_client_that_was_sent_away_gives_nothing_back() {
    let options = TableOptions::default().geometry(table_geometry(Allocator::Shared)).one_region(true);
    let mut table = Table::without_address(options).unwrap();
    let (key, mut first) = join(&mut table);
    drop(first.lease(1000).unwrap());
    let (ticket, job) = read(&mut table, &mut first, 1000);
    table.answer(job, Answer::Bytes(&[7; 1000]));
    table.flush();
    let view = first.finish(ticket).unwrap();
    table.disconnect(key).unwrap();
    has_left(&mut table);
    let (_, mut second) = join(&mut table);
    drop(view);
    drop(first);
    let leases: Vec<_> = std::iter::from_fn(|| match second.lease(1) {
        Ok(lease) => Some(lease),
        Err(error) => {
            assert!(matches!(error, ClientError::OutOfBlocks { .. }), "{error}");
            None
        }
    })
    .collect();
    assert_eq!(leases.len(), second.geometry().client_blocks.count as usize);
}
