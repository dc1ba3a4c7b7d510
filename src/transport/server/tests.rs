//! Clients that ring, as a table hears them.

use super::*;
use crate::transport::connect::{JoinOptions, Joined, Parcel, join_over};
use crate::transport::memory::{Access, Load, Mapped, Memory, Store};
use crate::transport::options::Waiting;
use crate::transport::reactor::Name;
use crate::transport::request::{Flags, Request};
use crate::transport::ring::Producer;
use crate::transport::semaphore::{Doorbell, Via};
use crate::transport::session::QueueLayout;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

/// Long enough for any machine, for what is to come.
const LONG: Duration = Duration::from_secs(30);

/// A client that does what it likes, step by step.
struct Peer {
    key: ClientKey,
    joined: Joined,
    requests: Producer<Mapped, 4>,
    server_bell: Doorbell<Mapped>,
    server_doorbell_at: usize,
}

impl Peer {
    fn join(table: &mut Table) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        table.adopt(ours).unwrap();
        let joining = thread::spawn(|| join_over(theirs, JoinOptions::default().limit(LONG)).unwrap());
        let key = match next(table) {
            Event::Joined(key) => key,
            other => panic!("{other:?}"),
        };
        let joined = joining.join().unwrap();
        let (layout, queue) = (QueueLayout::of(&joined.geometry).unwrap(), joined.queue.memory().clone());
        let server_bell = Doorbell::new(queue.clone(), layout.server_doorbell_at);
        let server_doorbell_at = layout.server_doorbell_at;
        Self { key, requests: Producer::new(queue, layout.requests), joined, server_bell, server_doorbell_at }
    }

    /// How the table waits for this client: 0 if it does not.
    fn server_waits(&self) -> u32 {
        self.joined.queue.memory().load32(self.server_doorbell_at, Load::Relaxed)
    }

    /// Publishes a close, which has no answer; whether the table is to be rung for.
    fn put(&mut self) -> bool {
        assert!(self.requests.push(Request::close(1, Flags::NONE).to_entry()).unwrap());
        self.requests.publish();
        self.server_bell.ring()
    }

    fn pass_an_object(&self) {
        let object = std::fs::File::open("/dev/null").unwrap();
        let parcel =
            Parcel { id: 1, start_bytes: 0, len_bytes: 0, whole_bytes: 0, access: Access::Read, sealing: None };
        self.joined.channel.pass(parcel, object.as_fd()).unwrap();
    }
}

/// What happens next, and not only because a limit is over that has the table look around.
fn next(table: &mut Table) -> Event {
    let start = Instant::now();
    let event = table.next(LONG).unwrap();
    assert!(start.elapsed() < LONG, "nothing happens");
    event.expect("nothing happens")
}

/// A table that sleeps where it can, with so many clients.
fn table_and_peers<const COUNT: usize>() -> (Table, [Peer; COUNT]) {
    let mut table = Table::without_address(TableOptions::default().waiting(Waiting::Sleep)).unwrap();
    let peers = [(); COUNT].map(|()| Peer::join(&mut table));
    (table, peers)
}

/// So many clients are waited for at their sockets.
const MANY: usize = 9;

#[test]
fn a_client_that_rings_for_each_request_is_never_muted() {
    let (mut table, [mut honest, _others @ ..]) = table_and_peers::<MANY>();
    for _ in 0..2000 {
        // Asleep, so that it is to be rung for.
        assert!(table.next(Duration::ZERO).unwrap().is_none());
        assert!(honest.put());
        honest.joined.channel.wake().unwrap();
        assert!(matches!(next(&mut table), Event::Closed { client, .. } if client == honest.key));
        assert!(!is_muted(&table, honest.key));
    }
}

/// Whether a client's socket is not listened to for a while.
fn is_muted(table: &Table, client: ClientKey) -> bool {
    table.reactor.muted.iter().any(|(_, name)| matches!(name, Name::Session(key, _) if *key == client))
}

/// Has a client muted that the table waits for.
fn mute(table: &mut Table, peer: &Peer) {
    let start = Instant::now();
    while !is_muted(table, peer.key) {
        assert!(start.elapsed() < LONG, "it is not muted");
        // Descriptors cost all that a client has at once.
        peer.pass_an_object();
        for _ in 0..2 {
            assert!(table.next(Duration::ZERO).unwrap().is_none());
        }
    }
}

#[test]
fn a_muted_client_is_served_and_its_end_is_noticed() {
    let (mut table, [mut hostile, mut honest, others @ ..]) = table_and_peers::<MANY>();
    for _ in 0..3 {
        mute(&mut table, &hostile);
        // The table is asleep and is not rung for this one: it is seen all the same.
        hostile.put();
        assert!(matches!(next(&mut table), Event::Closed { client, .. } if client == hostile.key));
        honest.put();
        honest.joined.channel.wake().unwrap();
        assert!(matches!(next(&mut table), Event::Closed { client, .. } if client == honest.key));
        assert!(!is_muted(&table, honest.key));
    }
    hostile.pass_an_object();
    let key = hostile.key;
    drop(hostile);
    assert!(matches!(next(&mut table), Event::Left { client, why: SessionError::PeerGone } if client == key));
    assert_eq!(table.clients(), 1 + others.len());
}

#[test]
fn clients_with_full_rings_have_short_turns() {
    let (mut table, [mut one, mut other, _others @ ..]) = table_and_peers::<MANY>();
    let turn = |event| match event {
        Event::Closed { client, .. } => client,
        other => panic!("{other:?}"),
    };
    // Both are heard, and looked at from then on.
    for peer in [&mut one, &mut other] {
        peer.put();
        peer.joined.channel.wake().unwrap();
    }
    let heard = [(); 2].map(|()| turn(next(&mut table)));
    assert_ne!(heard[0], heard[1]);
    for _ in 0..100 {
        one.put();
        other.put();
    }
    let order: Vec<ClientKey> = (0..200).map(|_| turn(next(&mut table))).collect();
    let longest = order.chunk_by(|a, b| a == b).map(<[ClientKey]>::len).max().unwrap();
    assert!(longest <= 16, "{longest} requests of one client in a row");
}

#[test]
fn many_that_leave_at_once_do_not_keep_the_others_waiting() {
    let mut table = Table::without_address(TableOptions::default().waiting(Waiting::Sleep)).unwrap();
    let mut honest = Peer::join(&mut table);
    let leaving: Vec<Peer> = (0..20).map(|_| Peer::join(&mut table)).collect();
    drop(leaving);
    honest.put();
    honest.joined.channel.wake().unwrap();
    let (mut left, mut is_served) = (0, false);
    while left < 20 || !is_served {
        match next(&mut table) {
            Event::Left { why: SessionError::PeerGone, .. } => left += 1,
            Event::Closed { client, .. } if client == honest.key => is_served = true,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(table.clients(), 1);
    // What they had is given up, bit by bit.
    let start = Instant::now();
    while !table.reactor.departed.is_empty() {
        assert!(start.elapsed() < LONG, "something is left of them");
        table.next(Duration::from_millis(1)).unwrap();
    }
}

#[test]
fn a_request_waits_for_one_step_of_what_others_left() {
    for waiting in [Waiting::Adaptive, Waiting::Sleep, Waiting::Poll] {
        let mut table = Table::without_address(TableOptions::default().waiting(waiting)).unwrap();
        let mut busy = Peer::join(&mut table);
        let leaving: Vec<Peer> = (0..20).map(|_| Peer::join(&mut table)).collect();
        drop(leaving);
        // A session, and then each of its three regions.
        let steps_left = |table: &Table| 4 * table.reactor.departed.len() + table.reactor.remains.len();
        let (start, mut left, mut before) = (Instant::now(), 0, 0);
        while left < 20 || before > 0 {
            assert!(start.elapsed() < LONG, "{before} steps are left of {left} that have gone");
            // It asks for the next one as soon as it has an answer: there is always something.
            busy.put();
            busy.joined.channel.wake().unwrap();
            match next(&mut table) {
                Event::Closed { client, .. } => {
                    assert_eq!(client, busy.key);
                    let now = steps_left(&table);
                    assert!(left < 20 || now + 1 >= before, "{waiting:?}: from {before} steps to {now}");
                    before = now;
                }
                Event::Left { .. } => left += 1,
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn few_clients_are_waited_for_on_their_words_unless_a_newcomer_is_about_to_answer() {
    let mut table = Table::without_address(TableOptions::default().waiting(Waiting::Sleep)).unwrap();
    let mut clients = vec![Peer::join(&mut table)];
    let has_words = |table: &Table| table.reactor.has_words();
    let (silent, _says_nothing) = UnixStream::pair().unwrap();
    table.adopt(silent).unwrap();
    table.reactor.offered = None;
    assert!(has_words(&table), "a connection that says nothing");
    table.reactor.offered = Some(Instant::now() + LONG);
    assert!(!has_words(&table), "it was offered a session just now");
    clients.extend((1..8).map(|_| Peer::join(&mut table)));
    table.reactor.offered = None;
    assert!(has_words(&table), "eight clients");
    clients.push(Peer::join(&mut table));
    table.reactor.offered = None;
    assert!(!has_words(&table), "nine");
}

/// Whether the system watches several words; an emulator may not.
fn has_waitv() -> bool {
    let memory = Mapped::private(4096).unwrap();
    let bells = [0, 128].map(|at| Doorbell::new(memory.clone(), at));
    bells.iter().for_each(|bell| bell.arm(Via::Word));
    let has_waitv = Doorbell::sleep_on(bells.iter(), Duration::from_millis(1)).is_ok();
    if !has_waitv {
        println!("skipped: this system has no futex_waitv");
    }
    has_waitv
}

#[test]
fn few_clients_are_waited_for_together_each_on_its_word() {
    let (mut table, peers) = table_and_peers::<3>();
    let order = [0, 1, 2, 0].repeat(10);
    let keys: Vec<ClientKey> = order.iter().map(|of| peers[*of].key).collect();
    let asking = thread::spawn(move || {
        let (mut peers, mut on_words) = (peers, 0);
        for of in order {
            while peers.iter().any(|peer| peer.server_waits() == 0) {
                thread::yield_now();
            }
            // After a tenth of a second without a request it is their sockets.
            if peers[of].put() {
                peers[of].joined.channel.wake().unwrap();
            } else {
                on_words += 1;
            }
        }
        (peers, on_words)
    });
    for key in keys {
        assert!(matches!(next(&mut table), Event::Closed { client, .. } if client == key));
    }
    let (peers, on_words) = asking.join().unwrap();
    assert!(on_words > 0 || !has_waitv());
    drop(peers);
    for _ in 0..3 {
        assert!(matches!(next(&mut table), Event::Left { why: SessionError::PeerGone, .. }));
    }
    assert_eq!(table.clients(), 0);
}

#[test]
fn a_client_that_rings_at_its_word_for_nothing_is_muted_and_the_others_are_heard_at_theirs() {
    static ENDS: AtomicBool = AtomicBool::new(false);
    if !has_waitv() {
        return;
    }
    // As the protocol has it; by a wake alone, of which the word says nothing; and by words that mean nothing.
    let rings = |peer: &Peer| assert!(!peer.server_bell.ring() || peer.joined.channel.wake().is_ok());
    let wakes = |peer: &Peer| peer.joined.queue.memory().unpark(peer.server_doorbell_at);
    let writes = |peer: &Peer| peer.joined.queue.memory().store32(peer.server_doorbell_at, 2, Store::Relaxed);
    let ways: [fn(&Peer); 3] = [rings, wakes, writes];
    for disturbs in ways {
        let (mut table, [hostile, mut honest, _other]) = table_and_peers();
        let (start, keys) = (Instant::now(), [&hostile, &honest].map(|peer| peer.key));
        ENDS.store(false, Ordering::Relaxed);
        let is_long = move || start.elapsed() > 2 * LONG;
        let (memory, word_at) = (hostile.joined.queue.memory().clone(), hostile.server_doorbell_at);
        let disturbing = thread::spawn(move || {
            while !ENDS.load(Ordering::Relaxed) && !is_long() {
                disturbs(&hostile);
            }
            hostile
        });
        for number in 0.. {
            if is_muted(&table, keys[0]) {
                break;
            }
            assert!(start.elapsed() < LONG, "it is not muted");
            // Where nothing is asked for long, all are waited for at their sockets.
            if number % 16 == 0 && honest.put() {
                honest.joined.channel.wake().unwrap();
            }
            let event = table.next(Duration::from_millis(1)).unwrap();
            assert!(event.is_none_or(|event| matches!(event, Event::Closed { client, .. } if client == keys[1])));
        }
        // Beside it, and then until it is heard again.
        let asking = thread::spawn(move || {
            let mut on_words = 0;
            for number in 1.. {
                while honest.server_waits() == 0 && !is_long() {
                    thread::yield_now();
                }
                let is_beside = number <= 100;
                ENDS.store(!is_beside, Ordering::Relaxed);
                if !is_beside && memory.load32(word_at, Load::Relaxed) == Via::Word as u32 || is_long() {
                    break;
                }
                if honest.put() {
                    honest.joined.channel.wake().unwrap();
                } else if is_beside {
                    on_words += 1;
                }
            }
            (honest, on_words)
        });
        while !asking.is_finished() {
            match table.next(Duration::from_millis(1)).unwrap() {
                Some(Event::Closed { client, .. }) => assert_eq!(client, keys[1]),
                Some(other) => panic!("{other:?}"),
                None => assert!(start.elapsed() < LONG, "it is not heard again"),
            }
            assert!(!is_muted(&table, keys[1]));
        }
        let (_hostile, (_honest, on_words)) = (disturbing.join().unwrap(), asking.join().unwrap());
        assert!(on_words > 20, "{on_words} of 100 at its word");
    }
}

#[test]
fn a_client_that_always_has_something_keeps_no_newcomer_out() {
    for waiting in [Waiting::Adaptive, Waiting::Sleep, Waiting::Poll] {
        let mut table = Table::without_address(TableOptions::default().waiting(waiting)).unwrap();
        let mut busy = Peer::join(&mut table);
        let (ours, theirs) = UnixStream::pair().unwrap();
        table.adopt(ours).unwrap();
        let joining = thread::spawn(|| join_over(theirs, JoinOptions::default().limit(LONG)).unwrap());
        let (start, mut joined) = (Instant::now(), false);
        while !joined {
            assert!(start.elapsed() < LONG, "the newcomer is not taken in");
            busy.put();
            match next(&mut table) {
                Event::Closed { client, .. } => assert_eq!(client, busy.key),
                event => joined = matches!(event, Event::Joined(_)),
            }
        }
        joining.join().unwrap();
    }
}

#[test]
fn what_was_asked_before_a_hang_up_is_served() {
    for waiting in [Waiting::Adaptive, Waiting::Sleep, Waiting::Poll] {
        for others in [0, 1, 20] {
            let mut table = Table::without_address(TableOptions::default().waiting(waiting)).unwrap();
            let others: Vec<Peer> = (0..others).map(|_| Peer::join(&mut table)).collect();
            let mut leaving = Peer::join(&mut table);
            // It is asleep, where it can be: what wakes it is the hang-up.
            assert!(table.next(Duration::ZERO).unwrap().is_none());
            for _ in 0..100 {
                leaving.put();
            }
            let key = leaving.key;
            drop(leaving);
            for _ in 0..100 {
                assert!(matches!(next(&mut table), Event::Closed { client, .. } if client == key));
            }
            assert!(matches!(next(&mut table), Event::Left { client, why: SessionError::PeerGone } if client == key));
            assert_eq!(table.clients(), others.len());
        }
    }
}

#[test]
fn a_ring_that_is_filled_for_ever_ends_with_its_clients_turns() {
    let mut table = Table::without_address(TableOptions::default().waiting(Waiting::Sleep)).unwrap();
    let mut peer = Peer::join(&mut table);
    peer.put();
    // Its socket is closed, and its memory stays: another process may have it.
    let Peer { key, joined: Joined { channel, queue, .. }, mut requests, .. } = peer;
    drop(channel);
    let (start, mut served) = (Instant::now(), 0);
    loop {
        assert!(start.elapsed() < LONG, "it goes on for ever");
        match next(&mut table) {
            Event::Closed { client, .. } => assert_eq!(client, key),
            Event::Left { client, .. } => break assert_eq!(client, key),
            other => panic!("{other:?}"),
        }
        served += 1;
        while requests.push(Request::close(1, Flags::NONE).to_entry()).unwrap() {}
        requests.publish();
    }
    assert!(served > 1000, "{served}: each of its turns is as long as others'");
    drop(queue);
}
