//! Promise: sessions begin and end as programs see them: those who go, are killed or break the protocol are noticed, in one
//! process and in several, and only tables are tables.

use crate::programs::{Over, compare, next_job, serve};
use memcpy_select::transport::connect::{Greeted, Greeting, Step};
use memcpy_select::transport::ring::{Consumer, Producer};
use memcpy_select::transport::session::QueueLayout;
use memcpy_select::transport::{
    Address, Allocator, Answer, Answered, Client, ClientError, ClientOptions, Completion, Event, JobId, Mapped, Memory,
    PageRange, Region, RegionOptions, Request, Response, SessionError, Table, TableError, TableOptions, Value,
    Violation,
};
use std::io::SeekFrom;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::table::{address, by_hand, geometry};

const SOON: Duration = Duration::from_millis(20);

#[test]
fn a_server_that_goes_is_noticed_and_so_is_a_client() {
    let (table, mut client) = by_hand(TableOptions::default());
    let file = memcpy_select::transport::Handle(1);
    let ticket = client.submit_read(file, 8).unwrap();
    drop(table);
    assert!(matches!(client.finish(ticket), Err(ClientError::Session(SessionError::PeerGone))));
    assert!(matches!(client.open("again"), Err(ClientError::Session(SessionError::PeerGone))));

    let (mut table, mut client) = by_hand(TableOptions::default());
    client.submit_read(file, 8).unwrap();
    client.flush().unwrap();
    let job = next_job(&mut table);
    let key = job.client();
    drop(client);
    assert!(
        matches!(table.next(Duration::from_secs(5)).unwrap(), Some(Event::Left { client, why: SessionError::PeerGone }) if client == key)
    );
    assert_eq!(table.clients(), 0);
    assert!(table.payload(&job).is_empty());
    assert_eq!(table.answer(job, Answer::Bytes(b"too late")), Answered::Left);
    assert!(matches!(table.disconnect(key), Err(TableError::NoSuchClient)));
}

#[test]
fn no_more_clients_than_allowed_and_only_tables_are_tables() {
    let at = address("full");
    let table = Table::create(&at, TableOptions::default().max_clients(1)).unwrap();
    assert!(matches!(Table::create(&at, TableOptions::default()), Err(TableError::Socket(_))), "the address is taken");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| serve(table, &is_over));
        let _over = Over(&is_over);
        let mut first = Client::connect(&at, ClientOptions::default()).unwrap();
        let second = Client::connect(&at, ClientOptions::default()).unwrap_err();
        assert!(second.to_string().contains("as many clients"), "{second}");
        first.create("still there").unwrap();
        drop(first);
        // The place is free again, as soon as the server has seen it.
        assert!((0..100).any(|_| {
            thread::sleep(SOON);
            Client::connect(&at, ClientOptions::default()).is_ok()
        }));
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(Client::connect(&address("nobody"), ClientOptions::default()).is_err());
}

const ROLE: &str = "MEMCPY_SELECT_TEST_ROLE";

/// This test binary again, in another role.
fn other_process(role: &str, at: &Address) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "ends::in_another_process", "--nocapture"])
        .env(ROLE, format!("{role} {at}"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// What the other process does; in a run without a role nothing.
#[test]
fn in_another_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (role, at) = role.split_once(' ').unwrap();
    let at = at.parse::<Address>().unwrap();
    match role {
        "client" => {
            let mut client = Client::connect(&at, ClientOptions::default()).unwrap();
            compare(&mut client, 77, 500, 5000);
        }
        "stuck" => {
            let mut client = Client::connect(&at, ClientOptions::default()).unwrap();
            client.create("f").unwrap();
            loop {
                thread::sleep(Duration::from_secs(1));
            }
        }
        "server" => {
            let is_over = AtomicBool::new(false);
            serve(Table::create(&at, TableOptions::default()).unwrap(), &is_over);
        }
        other => panic!("{other}"),
    }
}

#[test]
fn two_processes_share_a_table() {
    let at = address("two");
    let table = Table::create(&at, TableOptions::default()).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(table, &is_over));
        let _over = Over(&is_over);
        let mut clients: Vec<_> = (0..2).map(|_| other_process("client", &at)).collect();
        for client in &mut clients {
            assert!(client.wait().unwrap().success());
        }
        // One that is killed is seen to have left, too.
        let mut stuck = other_process("stuck", &at);
        thread::sleep(10 * SOON);
        stuck.kill().unwrap();
        stuck.wait().unwrap();
        thread::sleep(3 * SOON);
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(server.join().unwrap(), 3);
    });
}

#[test]
fn a_server_that_is_killed_ends_its_clients_sessions() {
    let at = address("killed");
    let mut server = other_process("server", &at);
    let mut client = (0..500)
        .find_map(|_| {
            thread::sleep(Duration::from_millis(10));
            Client::connect(&at, ClientOptions::default()).ok()
        })
        .expect("the server comes up");
    let file = client.create("f").unwrap();
    client.write(file, b"bytes").unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(matches!(client.write(file, b"bytes"), Err(ClientError::Session(SessionError::PeerGone))));
}

/// A client that breaks the protocol ends its own session; another one, with a request under way, is served on.
#[test]
fn a_violation_ends_its_own_session_and_no_other() {
    use memcpy_select::transport::connect::{JoinOptions, join};
    use memcpy_select::transport::memory::Store;
    use memcpy_select::transport::session::QueueLayout;
    use memcpy_select::transport::{LAP_BIT, Violation};
    let at = address("violation");
    let options = TableOptions::default().geometry(geometry(Allocator::Owned));
    let mut table = Table::create(&at, options).unwrap();
    let (hostile, mut honest) = thread::scope(|scope| {
        let clients = scope.spawn(|| {
            (join(&at, JoinOptions::default()).unwrap(), Client::connect(&at, ClientOptions::default()).unwrap())
        });
        let joined: Vec<_> = (0..2).map(|_| table.next(Duration::from_secs(5)).unwrap()).collect();
        assert!(joined.iter().all(|event| matches!(event, Some(Event::Joined(_)))), "{joined:?}");
        clients.join().unwrap()
    });
    let file = memcpy_select::transport::Handle(1);
    let ticket = honest.submit_seek(file, SeekFrom::Start(0)).unwrap();
    honest.flush().unwrap();
    let job = next_job(&mut table);
    // A request of unknown kind.
    let requests_at = QueueLayout::of(&hostile.geometry).unwrap().requests.end_at() - 16 * 16;
    hostile.queue.memory().store32(requests_at, LAP_BIT | 15, Store::Release);
    hostile.channel.wake().unwrap();
    match table.next(Duration::from_secs(5)).unwrap() {
        Some(Event::Left { client, why: SessionError::Violation(Violation::Kind { kind: 15 }) }) => {
            assert_ne!(client, job.client());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((table.clients(), hostile.channel.is_gone()), (1, true));
    table.answer(job, Answer::Position(5));
    table.flush();
    assert!(matches!(honest.finish(ticket), Ok(Completion::Position(5))));
}

/// A client, and a server that does what it is told: the ring of its answers.
fn deceived() -> (Client, Greeted, Producer<Mapped, 3>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let joining = thread::spawn(|| Client::over(theirs, ClientOptions::default()).unwrap());
    let geometry = geometry(Allocator::Owned);
    let layout = QueueLayout::of(&geometry).unwrap();
    let data = Region::create(geometry.server_blocks.total_bytes() as usize, RegionOptions::default()).unwrap();
    data.seal_writing().unwrap();
    let mut greeting = Greeting::over(ours, Duration::from_secs(20));
    let greeted = loop {
        match greeting.step().unwrap() {
            Step::Asked => greeting.offer(geometry, &data).unwrap(),
            Step::Agreed => break greeting.finish().unwrap(),
            Step::Pending => thread::yield_now(),
        }
    };
    let responses = Producer::new(greeted.queue.memory().clone(), layout.responses);
    (joining.join().unwrap(), greeted, responses)
}

/// What a server broke is over: every call says why, and sends nothing any more.
#[test]
fn a_session_that_was_broken_stays_so() {
    let file = memcpy_select::transport::Handle(1);
    let id = JobId(5);
    let no_job = Response { has_object: false, has_more: false, id, value: Value(0) };
    let (mut client, greeted, mut responses) = deceived();
    responses.push(no_job.to_entry()).unwrap();
    responses.publish();
    let mut requests =
        Consumer::<_, 4>::new(greeted.queue.memory().clone(), QueueLayout::of(&greeted.geometry).unwrap().requests);
    let is_over = |error: ClientError| {
        matches!(error, ClientError::Session(SessionError::Violation(Violation::NoSuchJob { id: 5 })))
    };
    assert!(is_over(client.poll().unwrap_err()));
    assert!(is_over(client.open("name").unwrap_err()));
    assert!(is_over(client.post(file, b"").unwrap_err()));
    assert!(is_over(client.submit_seek(file, SeekFrom::Start(0)).unwrap_err()));
    assert!(is_over(client.close(file).unwrap_err()));
    assert!(is_over(client.poll().unwrap_err()));
    assert_eq!(requests.pop(), None);

    // An object that is promised and does not come.
    let (mut client, greeted, mut responses) = deceived();
    client.set_limit(SOON);
    let ticket = client.submit_share(file, PageRange::WHOLE).unwrap();
    client.flush().unwrap();
    let mut requests =
        Consumer::<_, 4>::new(greeted.queue.memory().clone(), QueueLayout::of(&greeted.geometry).unwrap().requests);
    let id = Request::from_entry(requests.pop().unwrap()).unwrap().id;
    responses.push(Response { has_object: true, id, ..no_job }.to_entry()).unwrap();
    responses.publish();
    for error in [client.finish(ticket).unwrap_err(), client.open("name").unwrap_err()] {
        assert!(matches!(error, ClientError::Session(SessionError::Violation(Violation::NoObject { .. }))), "{error}");
    }
}
