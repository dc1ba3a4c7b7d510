//! The two sides of a session, over plain memory: what a client gets is what the table's objects are, whatever the
//! geometry; nothing is lost on any way out; and an adversary's memory ends the session with a typed error at worst.

use crate::files::{Files, MAX_HANDLES};
use crate::memories::Watched;
use crate::rng::Rng;
use crate::sides::{geometries, geometry, memories, pair, serve};
use memcpy_select::transport::chain::Chain;
use memcpy_select::transport::geometry::{Allocator, Geometry};
use memcpy_select::transport::session::{ClientSide, Outcome, Reply, ServerSide, SubmitError, Ticket};
use memcpy_select::transport::{Copier, ErrorCode, Flags, Kind, Mapped, Memory, Request, Value, Violation};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// An operation of the table, and its result by calling the objects themselves.
#[derive(Clone, Debug)]
enum Op {
    Open(Vec<u8>),
    Create(Vec<u8>),
    Destroy(Vec<u8>),
    Read(u32, usize, bool),
    Write(u32, Vec<u8>),
    Seek(Kind, u32, i64),
    Close(u32),
}

#[derive(Debug, PartialEq)]
enum Got {
    Refused(ErrorCode),
    Bytes(Vec<u8>),
    Amount(u32),
    Handle(u32),
    Position(u64),
}

fn random(rng: &mut Rng, handles: &[u32], max_bytes: usize) -> Op {
    let name =
        [&b""[..], b"a", b"b", b"a longer name, of more than one block, so that it becomes a chain of some blocks"]
            [rng.below(4)]
        .to_vec();
    // Now and then one that is not open.
    let handle = if handles.is_empty() || rng.below(20) == 0 { 999 } else { handles[rng.below(handles.len())] };
    match rng.below(12) {
        0 => Op::Open(name),
        1 => Op::Create(name),
        2 => Op::Destroy(name),
        3 => Op::Close(handle),
        4 => Op::Seek(Kind::SeekStart, handle, rng.below(300) as i64),
        5 => Op::Seek(Kind::SeekCurrent, handle, rng.below(300) as i64 - 150),
        6 => Op::Seek(Kind::SeekEnd, handle, rng.below(300) as i64 - 150),
        7..9 => Op::Read(handle, rng.below(max_bytes), rng.below(3) > 0),
        _ => {
            let mut bytes = vec![0; rng.below(max_bytes)];
            rng.fill(&mut bytes);
            Op::Write(handle, bytes)
        }
    }
}

fn directly(files: &mut Files, op: &Op) -> Option<Got> {
    let result = match op {
        Op::Open(name) => files.open(name).map(Got::Handle),
        Op::Create(name) => files.create(name).map(Got::Handle),
        Op::Destroy(name) => files.destroy(name).map(|()| Got::Amount(0)),
        Op::Read(handle, amount, advance) => files.read(*handle, *amount, *advance).map(Got::Bytes),
        Op::Write(handle, bytes) => files.write(*handle, bytes).map(Got::Amount),
        Op::Seek(Kind::SeekStart, handle, offset) => files.seek_start(*handle, *offset as u64).map(Got::Position),
        Op::Seek(Kind::SeekCurrent, handle, offset) => files.seek_current(*handle, *offset).map(Got::Position),
        Op::Seek(_, handle, offset) => files.seek_end(*handle, *offset).map(Got::Position),
        Op::Close(handle) => {
            files.close(*handle);
            return None;
        }
    };
    Some(result.unwrap_or_else(Got::Refused))
}

/// Sends an operation; `None` for a close.
fn submit<M: Memory + Clone>(client: &mut ClientSide<M>, op: &Op) -> Result<Option<Ticket>, SubmitError> {
    let (kind, handle, args, bytes) = match op {
        Op::Open(name) => (Kind::Open, 0, None, &name[..]),
        Op::Create(name) => (Kind::Create, 0, None, &name[..]),
        Op::Destroy(name) => (Kind::Destroy, 0, None, &name[..]),
        Op::Read(handle, amount, _) => (Kind::Read, *handle, Some(Value::number(*amount as u32)), &[][..]),
        Op::Write(handle, bytes) => (Kind::Write, *handle, None, &bytes[..]),
        Op::Seek(Kind::SeekStart, handle, offset) => (Kind::SeekStart, *handle, Some(Value(*offset as u64)), &[][..]),
        Op::Seek(kind, handle, offset) => (*kind, *handle, Some(Value(*offset as u64)), &[][..]),
        Op::Close(handle) => {
            return client.post(Request::close(*handle, Flags::NONE), b"", Copier::AUTO).map(|()| None);
        }
    };
    let flags = match op {
        Op::Read(_, _, false) => Flags::BINARY,
        _ => Flags::DATA,
    };
    let mut chain = match client.data.allocate(bytes.len() as u32) {
        Ok(chain) => chain,
        Err(error) => panic!("{error:?}: no test asks for as much"),
    };
    let place = &client.data.own;
    chain.write(place, 0, bytes, Copier::AUTO);
    client.submit(Request::new(kind, flags, handle, args.unwrap_or(Value(0))), chain).map(Some)
}

fn take<M: Memory + Clone>(client: &mut ClientSide<M>, ticket: Ticket) -> Result<Got, Violation> {
    Ok(match client.take(ticket).expect("it was polled") {
        Outcome::Refused(code) => Got::Refused(code),
        Outcome::Amount(amount) => Got::Amount(amount),
        Outcome::Opened(handle, None) => Got::Handle(handle.0),
        Outcome::Position(position) => Got::Position(position),
        Outcome::Read(chain) => {
            let place = &client.data.theirs;
            let mut bytes = vec![0; chain.length() as usize];
            chain.read(place, 0, &mut bytes, Copier::AUTO);
            client.release(chain)?;
            Got::Bytes(bytes)
        }
        other => panic!("{other:?}"),
    })
}

/// Many in flight, answered in batches: every result is what the objects themselves give.
#[test]
fn clients_see_the_objects_as_they_are() {
    for (number, geometry) in geometries().into_iter().enumerate() {
        let (mut client, mut server) = pair(&geometry);
        let (mut files, mut model) = (Files::default(), Files::default());
        let mut rng = Rng::new(number as u64);
        let mut handles = Vec::new();
        // So few that all in flight find blocks: refusals for want of blocks have a test of their own.
        let max_bytes = 8 * geometry.client_blocks.block_bytes as usize;
        let mut expected: HashMap<Ticket, (Op, Got)> = HashMap::new();
        let mut answered = 0;
        while answered < 3000 {
            for _ in 0..rng.below(geometry.capacity as usize + 2) {
                let op = random(&mut rng, &handles, max_bytes);
                let full = client.in_flight() == geometry.capacity;
                match submit(&mut client, &op) {
                    Ok(ticket) => {
                        let got = directly(&mut model, &op);
                        if let Some(ticket) = ticket {
                            assert!(!full);
                            expected.insert(ticket, (op, got.unwrap()));
                        }
                    }
                    // A close uses a place of the ring and no other: the ring may be full before the jobs are.
                    Err(SubmitError::Full) => break,
                    Err(error) => panic!("{error:?}"),
                }
            }
            client.flush().unwrap();
            serve(&mut server, &mut files, usize::MAX).unwrap();
            while let Some(ticket) = client.poll().unwrap() {
                let got = take(&mut client, ticket).unwrap();
                let (op, wanted) = expected.remove(&ticket).unwrap();
                assert_eq!(got, wanted, "{op:?} with {geometry:?}");
                if let Got::Handle(handle) = got {
                    handles.push(handle);
                    if handles.len() > MAX_HANDLES {
                        handles.remove(0);
                    }
                }
                answered += 1;
            }
        }
        client.flush().unwrap();
        serve(&mut server, &mut files, usize::MAX).unwrap();
        assert_eq!((client.in_flight(), server.unanswered(), server.lent_blocks()), (0, 0, 0));
        // Every block is free again.
        let most = geometry.client_blocks.count * 7 / 8 * geometry.client_blocks.block_bytes;
        let all = client.data.allocate(most).unwrap();
        client.data.give_back(all);
        let all = server.lend(most).unwrap();
        server.data.give_back(all);
    }
}

/// Each store of the client is seen at once by a server that answers, as on another core.
#[test]
fn what_a_request_counts_on_is_given_back_before_the_server_finds_it() {
    for geometry in geometries().into_iter().filter(|geometry| geometry.allocator == Allocator::Owned) {
        let block_bytes = geometry.server_blocks.block_bytes;
        let [queue, client_data, server_data] = memories(&geometry);
        let mut server =
            ServerSide::new(&geometry, queue.clone(), client_data.read_only(), server_data.clone()).unwrap();
        // Two of bytes, and their list.
        server.limit_blocks = 3;
        let answer: Rc<RefCell<dyn FnMut()>> = Rc::new(RefCell::new(move || {
            while let Some(incoming) = server.take_request().unwrap() {
                let chain = server.lend(incoming.request.args.to_number()).expect("the client holds nothing");
                server.answer(incoming.job.unwrap(), Reply::Bytes(chain)).unwrap();
                server.flush();
            }
        }));
        let [queue, client_data, server_data] =
            [queue, client_data, server_data.read_only()].map(|memory| Watched::new(memory, Rc::clone(&answer)));
        let mut client = ClientSide::new(&geometry, queue, client_data, server_data).unwrap();
        for round in 0..6 * geometry.capacity {
            // One block is given back, or three.
            let read = Value::number(block_bytes * (1 + round % 3 / 2));
            let ticket = client.submit(Request::new(Kind::Read, Flags::NONE, 1, read), Chain::EMPTY).unwrap();
            client.flush().unwrap();
            assert_eq!(client.poll().unwrap(), Some(ticket));
            let Some(Outcome::Read(chain)) = client.take(ticket) else { panic!("no bytes") };
            client.release(chain).unwrap();
        }
    }
}

/// A side of a session whose other side does something after each of its stores.
fn watched_by(after_store: impl FnMut() + 'static, memories: [Mapped; 3]) -> [Watched; 3] {
    let after_store: Rc<RefCell<dyn FnMut()>> = Rc::new(RefCell::new(after_store));
    memories.map(|memory| Watched::new(memory, Rc::clone(&after_store)))
}

/// Sessions of four entries and few blocks, without room in the entries.
fn small() -> Geometry {
    geometry(Allocator::Owned, 4, 64)
}

/// A server that pushes as soon as it finds a credit: there is room for the message in the ring, and its block is back.
#[test]
fn what_a_credit_counts_on_is_given_back_before_the_server_finds_it() {
    for credits in 1..4 {
        let geometry = small();
        let [queue, client_data, server_data] = memories(&geometry);
        let mut server =
            ServerSide::new(&geometry, queue.clone(), client_data.read_only(), server_data.clone()).unwrap();
        server.limit_blocks = credits;
        let mut stream = None;
        let serve = move || {
            while let Some(incoming) = server.take_request().expect("there is room") {
                stream = stream.or(incoming.job);
                while let Some(job) = stream.filter(|job| server.job(*job).is_some_and(|found| found.credits > 0)) {
                    let chain = server.lend(1).expect("the client holds no more than it has credits for");
                    server.push(job, Reply::Bytes(chain)).unwrap();
                }
                server.flush();
            }
        };
        let [queue, client_data, server_data] = watched_by(serve, [queue, client_data, server_data.read_only()]);
        let mut client = ClientSide::new(&geometry, queue, client_data, server_data).unwrap();
        let ticket =
            client.submit(Request::new(Kind::Stream, Flags::NONE, 1, Value::pair(1, credits)), Chain::EMPTY).unwrap();
        client.flush().unwrap();
        let mut seen = 0;
        while seen < 40 {
            let before = seen;
            while let Some(found) = client.poll().unwrap() {
                assert_eq!(found, ticket);
                let Some(Outcome::Read(chain)) = client.take(ticket) else { panic!("no message") };
                client.release(chain).unwrap();
                seen += 1;
            }
            assert!(seen > before, "the stream has stopped");
            client.flush().unwrap();
        }
    }
}

/// A client that asks again as soon as it has its answers: the places of their requests are free.
#[test]
fn places_of_requests_are_given_back_before_the_client_finds_the_answers() {
    let geometry = small();
    let [queue, client_data, server_data] = memories(&geometry);
    let mut client = ClientSide::new(&geometry, queue.clone(), client_data.clone(), server_data.read_only()).unwrap();
    let ask = |client: &mut ClientSide<Mapped>| {
        client.submit(Request::new(Kind::SeekStart, Flags::NONE, 1, Value(7)), Chain::EMPTY).expect("a place")
    };
    for _ in 0..geometry.capacity {
        ask(&mut client);
    }
    client.flush().unwrap();
    let answered = Rc::new(RefCell::new(0));
    let count = Rc::clone(&answered);
    let go_on = move || {
        while let Some(ticket) = client.poll().unwrap() {
            assert_eq!(client.take(ticket), Some(Outcome::Position(7)));
            ask(&mut client);
            client.flush().unwrap();
            *count.borrow_mut() += 1;
        }
    };
    let [queue, client_data, server_data] = watched_by(go_on, [queue, client_data.read_only(), server_data]);
    let mut server = ServerSide::new(&geometry, queue, client_data, server_data).unwrap();
    for _ in 0..20 {
        for _ in 0..geometry.capacity {
            let incoming = server.take_request().unwrap().expect("a request");
            server.answer(incoming.job.unwrap(), Reply::Value(Value(7))).unwrap();
        }
        server.flush();
    }
    assert_eq!(*answered.borrow(), 20 * geometry.capacity);
}
