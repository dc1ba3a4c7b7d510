//! Promise: a session's bytes are there before the message that names them, in any order of events; and the models that
//! show it find each way to break it.

use crate::judge;
use crate::rings::{Bug, Model, PUBLISHING, Side};
use loom::thread;
use memcpy_select::transport::chain::Chain;
use memcpy_select::transport::session::{Came, ClientSide, Outcome, Reply, ServerSide};
use memcpy_select::transport::{Blocks, Copier, Flags, Geometry, Kind, Request, Value};

#[test]
fn sessions_hold_and_their_models_find_every_seeded_bug() {
    judge("a session", |bug| session(bug, (16, 12)), 2, &PUBLISHING);
    judge("a session with bytes in entries", |bug| session(bug, (64, 64)), 2, &PUBLISHING);
}

#[test]
fn streams_hold_and_their_models_find_every_seeded_bug() {
    judge("a stream", stream, 2, &[Bug::RelaxedStore, Bug::RelaxedLoad, Bug::LostHead]);
}

/// A stream of one credit through a ring of two: each message finds room, since its credit came after the place of the one before
/// it, and the last response finds some, too.
fn stream(bug: Bug) {
    let blocks = Blocks { block_bytes: 64, count: 1 };
    let geometry = Geometry::symmetric(2, 64, blocks);
    let mut queue = Model::new(bug, 400, 20);
    // The head of the responses.
    queue.head_words = [128, usize::MAX];
    let queue = queue.shared();
    let [client_data, server_data] = [(); 2].map(|()| Model::new(bug, 0, 1).shared());
    let mut server = ServerSide::new(&geometry, queue.clone(), client_data.clone(), server_data.clone()).unwrap();
    let mut client = ClientSide::new(&geometry, queue, client_data, server_data).unwrap();

    let serving = thread::spawn(move || {
        let next = |server: &mut ServerSide<Side>| loop {
            match server.take_request().unwrap() {
                Some(incoming) => break incoming.job.unwrap(),
                None => thread::yield_now(),
            }
        };
        let job = next(&mut server);
        for number in 0..MESSAGES {
            if number > 0 {
                assert_eq!(next(&mut server), job);
            }
            server.push(job, Reply::Copy(&[number; 3], Copier::AUTO)).unwrap();
            server.flush();
        }
        server.answer(job, Reply::Value(Value(0))).unwrap();
        server.flush();
    });

    let ticket = client.submit(Request::new(Kind::Stream, Flags::NONE, 1, Value::pair(3, 1)), Chain::EMPTY).unwrap();
    let mut seen = 0;
    loop {
        client.flush().unwrap();
        // Each second message is copied out at once.
        let mut bytes = [0; 3];
        let found = loop {
            let found = if seen % 2 == 0 {
                client.poll().unwrap().map(Came::Response)
            } else {
                client.poll_into(ticket, &mut bytes, Copier::AUTO).unwrap()
            };
            match found {
                Some(found) => break found,
                None => thread::yield_now(),
            }
        };
        if found == Came::Bytes(3) {
            assert_eq!(bytes, [seen; 3]);
            seen += 1;
            continue;
        }
        assert_eq!(found, Came::Response(ticket));
        match client.take(ticket).unwrap() {
            Outcome::Read(chain) => {
                assert_eq!(chain.inline(), Some(&[seen; 3][..]));
                client.release(chain).unwrap();
                seen += 1;
            }
            other => {
                assert_eq!((other, seen), (Outcome::Ended, MESSAGES));
                break;
            }
        }
    }
    serving.join().unwrap();
}

/// Messages of a stream: one more than the ring has places.
const MESSAGES: u8 = 3;

/// A client writes, a server reads what was written and answers with other bytes, the client reads those and gives them
/// back: no block, and no room of an entry, is touched by both at a time.
fn session(bug: Bug, (request_stride_bytes, response_stride_bytes): (u16, u16)) {
    let blocks = Blocks { block_bytes: 64, count: 1 };
    let geometry = Geometry { response_stride_bytes, ..Geometry::symmetric(2, request_stride_bytes, blocks) };
    let queue = Model::new(bug, 400, 20).shared();
    let [client_data, server_data] = [(); 2].map(|()| Model::new(bug, 0, 1).shared());
    let mut server = ServerSide::new(&geometry, queue.clone(), client_data.clone(), server_data.clone()).unwrap();
    let mut client = ClientSide::new(&geometry, queue, client_data, server_data).unwrap();

    let serving = thread::spawn(move || {
        for _ in 0..2 {
            let incoming = loop {
                match server.take_request().unwrap() {
                    Some(incoming) => break incoming,
                    None => thread::yield_now(),
                }
            };
            let job = incoming.job.unwrap();
            let reply = if incoming.request.kind == Kind::Write {
                let place = &server.data.theirs;
                let mut bytes = [0; 3];
                server.job(job).unwrap().payload.read(place, 0, &mut bytes, Copier::AUTO);
                assert_eq!(&bytes, b"one");
                Reply::Value(Value::number(3))
            } else {
                let mut chain = server.lend(3).unwrap();
                let place = &server.data.own;
                chain.write(place, 0, b"two", Copier::AUTO);
                Reply::Bytes(chain)
            };
            server.answer(job, reply).unwrap();
            server.flush();
        }
    });

    let mut chain = client.data.allocate(3).unwrap();
    let place = &client.data.own;
    chain.write(place, 0, b"one", Copier::AUTO);
    client.submit(Request::new(Kind::Write, Flags::DATA, 1, Value(0)), chain).unwrap();
    client.submit(Request::new(Kind::Read, Flags::DATA, 1, Value::number(3)), Chain::EMPTY).unwrap();
    client.flush().unwrap();
    for _ in 0..2 {
        let ticket = loop {
            match client.poll().unwrap() {
                Some(ticket) => break ticket,
                None => thread::yield_now(),
            }
        };
        match client.take(ticket).unwrap() {
            Outcome::Amount(amount) => assert_eq!(amount, 3),
            Outcome::Read(chain) => {
                let mut bytes = [0; 3];
                let place = &client.data.theirs;
                chain.read(place, 0, &mut bytes, Copier::AUTO);
                assert_eq!(&bytes, b"two");
                client.release(chain).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    serving.join().unwrap();
}
