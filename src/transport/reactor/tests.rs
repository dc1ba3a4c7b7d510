//! A reactor of sessions that do nothing: what is taken in, what gives way, and what counts.

use super::budget::Kind;
use super::crowd::MAX_NEWCOMERS;
use super::*;
use crate::transport::connect::{Address, Peers, Step};
use crate::transport::memory::Mapped;
use crate::transport::semaphore::Doorbell;
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;

/// Agrees with every newcomer, or has them all wait.
#[derive(Debug)]
struct Nothing {
    progress: Progress,
}

#[derive(Debug)]
struct Idle(Greeting);

impl Service for Nothing {
    type Offer = ();
    type Session = Idle;

    fn go_on(&mut self, _greeting: &mut Greeting, _offer: &mut ()) -> Result<Progress, ConnectError> {
        Ok(self.progress)
    }

    fn prepare(_greeting: &mut Greeting) -> Result<(), ConnectError> {
        Ok(())
    }

    fn begin(&mut self, greeting: Greeting, _offer: ()) -> Result<(Idle, Vec<Mapped>), ConnectError> {
        Ok((Idle(greeting), Vec::new()))
    }

    fn serve(
        &mut self,
        _client: ClientKey,
        _session: &mut Idle,
        _turn: usize,
        _events: &mut VecDeque<Event>,
    ) -> Result<bool, SessionError> {
        Ok(false)
    }

    fn end(&mut self, _client: ClientKey, _session: Idle, _others: usize) -> Vec<Mapped> {
        Vec::new()
    }
}

impl Session for Idle {
    fn descriptor(&self, source: Source) -> Option<BorrowedFd<'_>> {
        (source == Source::Client).then(|| self.0.as_fd())
    }

    fn is_ready(&mut self) -> bool {
        false
    }

    fn bells(&self) -> &[Doorbell<Mapped>] {
        &[]
    }

    fn take_in(&mut self, _source: Source) -> Result<u32, SessionError> {
        Ok(0)
    }

    fn taken(&self, _source: Source) -> u32 {
        0
    }
}

fn reactor(progress: Progress, max_clients: usize) -> Reactor<Nothing> {
    // Long enough for any machine, for a newcomer that is to have time.
    Reactor::new(Nothing { progress }, max_clients, Duration::from_secs(600), Waiting::Sleep).unwrap()
}

/// A message without words of its own.
fn message(kind: u8) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..8].copy_from_slice(b"mcsTable");
    bytes[8] = crate::transport::connect::VERSION as u8;
    bytes[12] = kind;
    bytes
}

fn say_hello(mut client: &UnixStream) {
    client.write_all(&message(1)).unwrap();
}

/// Attends to a kind, once it is time.
fn attend(reactor: &mut Reactor<Nothing>, kind: Kind) {
    while !reactor.budgets.time_left(kind).is_zero() {}
    reactor.attend_to(kind, u32::MAX);
}

/// One more that asks for a session, and is attended to.
fn newcomer(reactor: &mut Reactor<Nothing>) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    say_hello(&theirs);
    reactor.adopt(ours).unwrap();
    reactor.queue(reactor.last_newcomer);
    attend(reactor, Kind::Greetings);
    theirs
}

/// Why a client was refused, or none if it has heard nothing.
fn refusal(mut client: &UnixStream) -> Option<u8> {
    let mut told = [0; 64];
    client.set_nonblocking(true).unwrap();
    client.read_exact(&mut told).ok()?;
    assert_eq!(told[12], 5);
    Some(told[16])
}

#[test]
fn what_sessions_left_behind_counts_until_it_is_given_up() {
    let mut reactor = reactor(Progress::Agrees, 8);
    let mut clients: Vec<UnixStream> = (0..8).map(|_| newcomer(&mut reactor)).collect();
    assert_eq!(reactor.sessions.len(), 8);
    let keys: Vec<ClientKey> = reactor
        .events
        .drain(..)
        .filter_map(|event| match event {
            Event::Joined(key) => Some(key),
            _ => None,
        })
        .collect();
    keys[..5].iter().for_each(|key| reactor.depart(*key, SessionError::PeerGone));
    for left in (0..5).rev() {
        clients.push(newcomer(&mut reactor));
        assert_eq!(
            (reactor.sessions.len(), reactor.departed.len()),
            (8 - left, left),
            "no more than there may be clients"
        );
    }
    let refused = newcomer(&mut reactor);
    assert_eq!((reactor.sessions.len(), refusal(&refused)), (8, Some(2)));
    assert!(clients[8..].iter().all(|client| refusal(client).is_none()));
}

#[test]
fn so_many_newcomers_and_no_more() {
    let mut reactor = reactor(Progress::Waits, usize::MAX);
    let name = format!("memcpy-select-newcomers-{}", std::process::id());
    let at = SocketAddr::from_abstract_name(&name).unwrap();
    reactor.listen(Listener::bind(&Address::Abstract(name), Peers::Anyone).unwrap()).unwrap();
    let mut clients = Vec::new();
    let mut connect = |reactor: &mut Reactor<Nothing>| {
        let client = UnixStream::connect_addr(&at).unwrap();
        if clients.len() < 3 {
            say_hello(&client);
        }
        clients.push(client);
        let number = reactor.last_newcomer;
        reactor.is_asked = true;
        attend(reactor, Kind::Arrivals);
        reactor.last_newcomer - number
    };
    for number in 1..=MAX_NEWCOMERS {
        assert_eq!((connect(&mut reactor), reactor.newcomers.len()), (1, number));
    }
    // Of one process's connections the first that says nothing gives way.
    for number in 1..=3 {
        reactor.queue(number);
    }
    attend(&mut reactor, Kind::Greetings);
    for _ in 0..10 {
        assert_eq!((connect(&mut reactor), reactor.newcomers.len()), (1, MAX_NEWCOMERS));
    }
    let is_refused = |client| refusal(client) == Some(2);
    let refused: Vec<usize> = (0..clients.len()).filter(|number| is_refused(&clients[*number])).collect();
    assert_eq!(refused, (3..13).collect::<Vec<_>>());
    // The constant is a promise.
    assert_eq!(MAX_NEWCOMERS, 256);
}

/// What is told of a newcomer when one has to give way.
#[test]
fn a_newcomer_that_waits_for_its_turn_has_not_had_its_time() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let greeting = Greeting::over(ours, Duration::from_secs(600));
    let mut newcomer: Newcomer<Nothing> = Newcomer { greeting, offer: (), queued: None };
    let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(1));
    let place = |newcomer: &Newcomer<Nothing>, at| {
        let place = newcomer.place(at);
        (place.is_silent, place.has_had_its_time)
    };
    assert_eq!([place(&newcomer, now), place(&newcomer, later)], [(true, false), (true, true)]);
    newcomer.queued = Some(now);
    assert_eq!([place(&newcomer, now), place(&newcomer, later)], [(true, false), (true, false)]);
    say_hello(&theirs);
    assert_eq!(newcomer.greeting.step().unwrap(), Step::Asked);
    assert_eq!(place(&newcomer, later), (false, false));
    newcomer.queued = None;
    assert_eq!(place(&newcomer, later), (false, true));
}
