//! A server that is none, and what its client gets.

use super::enemy::{FalseServer, flood, meddle};
use super::neighbours::rng::Rng;
use super::neighbours::{Belongings, LONG, address, alone, apart, geometry, until};
use super::{other_process, row};
use memcpy_select::transport::memory::Store;
use memcpy_select::transport::{
    Access, Address, Allocator, Client, ClientError, ClientOptions, Copier, Handle, JobId, Memory, PageRange,
    SessionError, Slice, Value, Violation,
};
use rustix::fs::FallocateFlags;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// What it does, by its role.
pub fn be(role: &str, at: &Address) {
    match role {
        "server: wrong job ids" => false_server(at, |server| {
            let request = server.next();
            server.answer(JobId(request.id.0 ^ 1), false, Value(0));
        }),
        "server: four gigabytes" => false_server(at, |server| {
            let request = server.next();
            server.answer(request.id, false, Value::slice(Slice { block: 0, length: u32::MAX - 0x1000 }));
        }),
        "server: an old job" => false_server(at, |server| {
            let old = server.next().id;
            server.answer(old, false, Value(1));
            server.next();
            server.answer(old, false, Value(1));
        }),
        "server: a chain that bites its tail" => false_server(at, |server| {
            let request = server.next();
            server.data.write(0, &[0; 1024], Copier::AUTO);
            server.answer(request.id, false, Value::slice(Slice { block: 0, length: 3000 }));
        }),
        "server: no object" => false_server(at, |server| {
            let request = server.next();
            server.answer(request.id, false, Value(0));
        }),
        "server: floods with objects" => false_server(at, |server| {
            let request = server.next();
            assert!(flood(&server.channel, 300) > 0);
            server.answer(request.id, true, Value(0));
        }),
        "server: silence" => false_server(at, |server| {
            server.next();
            let bells = [server.layout.client_doorbell_at, server.layout.server_doorbell_at];
            meddle(&server.queue, bells, LONG, || server.channel.is_gone());
        }),
        "server: scribbles" => false_server(at, |server| {
            let mut rng = Rng::new(5);
            while !server.channel.is_gone() {
                let at = 4 * rng.below(server.queue.len_bytes() / 4);
                server.queue.store32(at, rng.next() as u32, Store::Relaxed);
                server.ring();
            }
        }),
        "server: truncates" => false_server(at, |server| {
            let request = server.next();
            let region = server.region.descriptor();
            assert!(rustix::fs::ftruncate(region, 0).is_err());
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            assert!(rustix::fs::fallocate(region, hole, 0, 4096).is_err());
            server.answer(request.id, false, Value::slice(Slice { block: 0, length: 10 }));
        }),
        other => panic!("{other}"),
    }
}

fn false_server(at: &Address, act: impl FnOnce(&mut FalseServer)) {
    let mut server = FalseServer::accept(at, geometry(Allocator::Owned));
    act(&mut server);
    server.is_left();
}

/// What a client gets from a call to a server that is none. Its session, if it is over, stays over.
pub fn deceived<T: std::fmt::Debug>(
    role: &str,
    call: impl FnOnce(&mut Client) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    let before = Belongings::now();
    let at = address();
    let mut child = other_process(role, &at);
    let mut client = ControlFlow::Continue(());
    until("the server is there", || {
        if let Ok(connected) = Client::connect(&at, ClientOptions::default()) {
            client = ControlFlow::Break(connected);
        }
        client.is_break()
    });
    let mut client = client.break_value().unwrap();
    client.set_limit(Duration::from_millis(300));
    let start = Instant::now();
    let result = call(&mut client);
    assert!(start.elapsed() < LONG, "a call that does not end");
    if let Err(ClientError::Session(over)) = &result {
        let again = client.open("again");
        assert!(matches!(again, Err(ClientError::Session(error)) if error == *over));
    }
    drop(client);
    assert!(child.wait().unwrap().success(), "the enemy failed");
    before.are_back();
    result
}

pub fn violation<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Violation {
    match result {
        Err(ClientError::Session(SessionError::Violation(violation))) => violation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_false_server_gets_no_further() {
    if apart() {
        return;
    }
    let _alone = alone();
    let test = "a_false_server_gets_no_further";
    let got =
        violation(deceived("server: a chain that bites its tail", |client| client.read(Handle(1), &mut [0; 3000])));
    assert!(matches!(got, Violation::BlockTwice { .. }), "{got:?}");
    row("a server answers with a cyclic chain", "BlockTwice", test);
    let got = violation(deceived("server: no object", |client| {
        client.share(Handle(1), PageRange::of_bytes(0, 4096, Access::Read)?)
    }));
    assert!(matches!(got, Violation::NoObject { .. }), "{got:?}");
    row("a server promises an object that does not come", "NoObject", test);
    let share = |client: &mut Client| client.share(Handle(1), PageRange::of_bytes(0, 4096, Access::Read)?).map(drop);
    let got = deceived("server: floods with objects", share);
    assert!(matches!(got, Ok(_) | Err(ClientError::Socket(_))), "{got:?}");
    row("a server passes 300 objects for one", "at most 64 are kept", test);
    let got = deceived("server: silence", |client| client.read(Handle(1), &mut [0; 100]));
    assert!(matches!(got, Err(ClientError::Timeout { .. })), "{got:?}");
    row("a server never answers, steals and requeues wakes", "Timeout at the limit", test);
    let got = deceived("server: scribbles", |client| {
        (0..).find_map(|_| client.read(Handle(1), &mut [0; 100]).err()).map_or(Ok(()), Err)
    });
    assert!(matches!(got, Err(ClientError::Session(_) | ClientError::Timeout { .. } | ClientError::Refused(_))));
    row("a server scribbles over the queue", "a typed error", test);
    let got = deceived("server: truncates", |client| client.read(Handle(1), &mut [0; 100]));
    assert!(matches!(got, Ok(10)), "{got:?}");
    row("a server truncates, and punches holes into, what it passed", "the seals refuse", test);
}
