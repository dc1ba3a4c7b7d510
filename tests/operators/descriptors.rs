//! Processes with few descriptors.

use crate::roles::{Other, address, ask, can_run, seek};
use crate::{LONG, eventually, suite::sys, turn};
use memcpy_select::transport::{
    Access, Address, Answer, Client, ClientError, ClientOptions, ConnectError, Event, Handle, Object, Operation,
    PageRange, Region, RegionOptions, Table, TableOptions, connect::Refusal,
};
use std::thread;
use std::time::Duration;

const FEW: &[&str] = &["prlimit", "--nofile=64"];
/// How many sessions that is enough for, at least: each takes three on either side.
const SESSIONS: usize = 12;

#[test]
fn a_server_with_64_descriptors_refuses_newcomers_and_recovers() {
    let _turn = turn();
    if !can_run(FEW) {
        return;
    }
    let at = address("few");
    let mut server = Other::start(FEW, &format!("serve {at}"));
    server.says("serves");
    for round in 0..3 {
        let mut clients = Vec::new();
        let error = loop {
            match ask(&at) {
                Ok(client) => clients.push(client),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, ConnectError::Refused { reason: Refusal::Resources }), "{error}");
        // It is told of one kind of refusal once a second.
        if round == 0 {
            let why = server.says("refused");
            assert!(why.contains("code: 24,") && why.contains("limit"), "{why}");
        }
        assert!(clients.len() >= SESSIONS, "{}", clients.len());
        // Those that have a session go on.
        clients.iter_mut().for_each(|client| seek(client).unwrap());
        clients.truncate(clients.len() / 2);
        clients.iter_mut().for_each(|client| seek(client).unwrap());
        // There is room again, as soon as the server has seen the others go.
        eventually("there is room again", || ask(&at).map(|client| clients.push(client)).is_ok());
        clients.iter_mut().for_each(|client| seek(client).unwrap());
    }
}

#[test]
fn a_client_with_64_descriptors_names_the_limit_and_recovers() {
    let _turn = turn();
    if !can_run(FEW) {
        return;
    }
    let at = address("many");
    let mut server = Other::start(&[], &format!("serve {at}"));
    server.says("serves");
    let mut clients = Other::start(FEW, &format!("many {at}"));
    for _ in 0..2 {
        let why = clients.says("failed");
        assert!(why.contains("Too many open files") && why.contains("limit"), "{why}");
    }
    let counts = clients.says("joined");
    let (first, then) = counts.split_once(' ').unwrap();
    assert!(first == then && first.parse::<usize>().unwrap() >= SESSIONS, "{counts}");
    assert!(ask(&at).is_ok(), "the server takes others");
}

#[test]
fn an_object_that_finds_no_descriptor_is_an_error_and_the_session_goes_on() {
    let _turn = turn();
    let at = address("object");
    let mut table = Table::create(&at, TableOptions::default()).unwrap();
    let region = Region::create(4096, RegionOptions::default()).unwrap();
    region.seal_writing().unwrap();
    let client = sys::Child::start(|| match receive(&at) {
        Ok(()) => 0,
        Err(step) => step,
    });
    let end = thread::spawn(move || client.end());
    let object = || Object::of(&region, PageRange::WHOLE).unwrap();
    let mut discarded = Vec::new();
    while !end.is_finished() {
        match table.next(Duration::from_millis(1)).unwrap() {
            Some(Event::Job(job)) => {
                let answer = match job.operation() {
                    Operation::Open => Answer::HandleAndObject(7, object()),
                    Operation::Share { .. } => Answer::Object(object()),
                    _ => Answer::Position(7),
                };
                table.answer(job, answer);
            }
            Some(Event::Closed { handle, is_discarded: true, .. }) => discarded.push(handle),
            _ => {}
        }
    }
    assert_eq!((end.join().unwrap(), discarded), (sys::End::Exit(0), vec![7]));
}

/// Takes objects with descriptors, without one, and with one again; which step failed.
fn receive(at: &Address) -> Result<(), u8> {
    let mut client = Client::connect(at, ClientOptions::default().limit(LONG)).map_err(|_| 1)?;
    let share = |client: &mut Client| client.share(Handle(1), PageRange::of_bytes(0, 4096, Access::Read)?);
    share(&mut client).map_err(|_| 2)?;
    let file = || std::fs::File::open("/proc/self/status");
    let usual = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(64), ..usual };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).map_err(|_| 3)?;
    let taken: Vec<_> = std::iter::from_fn(|| file().ok()).collect();
    match share(&mut client) {
        Err(ClientError::Socket(ConnectError::Resources { .. })) => {}
        _ => return Err(4),
    }
    match client.open_shared("name") {
        Err(ClientError::Socket(ConnectError::Resources { .. })) => {}
        _ => return Err(8),
    }
    // What needs no descriptor works meanwhile, and what was given up is nobody's.
    let given_up =
        client.submit_share(Handle(1), PageRange::of_bytes(0, 4096, Access::Read).unwrap()).map_err(|_| 9)?;
    client.abandon(given_up).map_err(|_| 10)?;
    for _ in 0..2 {
        seek(&mut client).map_err(|_| 5)?;
    }
    // Of two under way both are lost, also if there are descriptors again when the first one is asked for.
    let tickets = [(); 2].map(|()| client.submit_share(Handle(1), PageRange::of_bytes(0, 4096, Access::Read).unwrap()));
    let [Ok(first), Ok(second)] = tickets else { return Err(11) };
    let is_lost = |result| matches!(result, Err(ClientError::Socket(ConnectError::Resources { .. })));
    if !is_lost(client.finish(second)) {
        return Err(12);
    }
    drop(taken);
    if !is_lost(client.finish(first)) {
        return Err(13);
    }
    share(&mut client).map_err(|_| 6)?;
    seek(&mut client).map_err(|_| 7)
}
