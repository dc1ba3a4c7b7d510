//! Promise: a client or a table that breaks the protocol ends its own session at a proxy, and nothing of it gets through; and what an
//! honest one gives back, or waits for, passes through it in time and whole.

use super::*;
use memcpy_select::transport::connect::{Greeted, Joined, Listener, Peers, Step, join_over};
use memcpy_select::transport::ring::{Consumer, Producer};
use memcpy_select::transport::semaphore::Doorbell;
use memcpy_select::transport::{Mapped, Response, Value};
use std::os::unix::net::UnixStream;
use std::time::Instant;

const CAPACITY: u32 = 8;

fn small(capacity: u32) -> Geometry {
    let blocks = Blocks { block_bytes: 4096, count: 16 };
    Geometry { capacity, client_blocks: blocks, server_blocks: blocks, ..geometry() }
}

/// A client that sends what it is told.
struct RawClient {
    joined: Joined,
    requests: Producer<Mapped, 4>,
    responses: Consumer<Mapped, 3>,
    releases: Producer<Mapped, 1>,
    proxy_bell: Doorbell<Mapped>,
}

/// A table that does what it is told.
struct RawTable {
    greeted: Greeted,
    requests: Consumer<Mapped, 4>,
    responses: Producer<Mapped, 3>,
    releases: Consumer<Mapped, 1>,
    proxy_bell: Doorbell<Mapped>,
    proxy_bell_at: usize,
}

type Everything = fn(&Asked<'_>) -> Result<(), ErrorCode>;

struct Between {
    client: RawClient,
    table: RawTable,
    proxy: Proxy<Everything>,
}

/// The three of them, with one session.
fn between(waiting: Waiting) -> Between {
    between_of(waiting, CAPACITY)
}

fn between_of(waiting: Waiting, capacity: u32) -> Between {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let behind = address(&format!("raw-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    let mut listener = Listener::bind(&behind, Peers::SameUser).unwrap();
    let rule: Everything = |_| Ok(());
    let mut proxy = Proxy::without_address(behind, ProxyOptions::default().waiting(waiting), rule).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    proxy.adopt(ours).unwrap();
    let joining = thread::spawn(move || join_over(theirs, JoinOptions::default().limit(LONG)).unwrap());
    let data = Region::create(16 * 4096, RegionOptions::default()).unwrap();
    data.seal_writing().unwrap();
    let (mut greeting, mut greeted) = (None, None);
    while greeted.is_none() || proxy.clients() == 0 {
        proxy.serve(Duration::from_millis(1)).unwrap();
        greeting = greeting.or_else(|| listener.accept(LONG).unwrap());
        let Some(newcomer) = &mut greeting else { continue };
        match newcomer.step() {
            Ok(Step::Asked) => newcomer.offer(small(capacity), &data).unwrap(),
            Ok(Step::Agreed) => greeted = Some(greeting.take().unwrap().finish().unwrap()),
            Ok(Step::Pending) => {}
            Err(error) => panic!("{error}"),
        }
        if greeted.is_some() {
            while proxy.clients() == 0 {
                proxy.serve(Duration::from_millis(1)).unwrap();
            }
        }
    }
    let (joined, greeted) = (joining.join().unwrap(), greeted.unwrap());
    let layout = QueueLayout::of(&joined.geometry).unwrap();
    let queue = joined.queue.memory().clone();
    let client = RawClient {
        requests: Producer::new(queue.clone(), layout.requests),
        responses: Consumer::new(queue.clone(), layout.responses),
        releases: Producer::new(queue.clone(), layout.releases),
        proxy_bell: Doorbell::new(queue, layout.server_doorbell_at),
        joined,
    };
    let layout = QueueLayout::of(&greeted.geometry).unwrap();
    let queue = greeted.queue.memory().clone();
    let table = RawTable {
        requests: Consumer::new(queue.clone(), layout.requests),
        responses: Producer::new(queue.clone(), layout.responses),
        releases: Consumer::new(queue.clone(), layout.releases),
        proxy_bell: Doorbell::new(queue, layout.client_doorbell_at),
        proxy_bell_at: layout.client_doorbell_at,
        greeted,
    };
    Between { client, table, proxy }
}

impl Between {
    /// Has what was sent forwarded, in both directions.
    fn forward(&mut self) {
        if self.client.proxy_bell.ring() {
            let _ = self.client.joined.channel.wake();
        }
        if self.table.proxy_bell.ring() {
            let _ = self.table.greeted.channel.wake();
        }
        while self.proxy.serve(Duration::ZERO).unwrap() {}
    }

    fn ask(&mut self, kind: Kind, id: u64, args: Value) {
        let request = Request { kind, flags: Flags::NONE, id: JobId(id as u32), handle: 1, args };
        assert!(self.client.requests.push(request.to_entry()).unwrap());
        self.client.requests.publish();
        self.forward();
    }

    fn answer(&mut self, id: u64, has_more: bool) {
        let response = Response { has_object: false, has_more, id: JobId(id as u32), value: Value(0) };
        assert!(self.table.responses.push(response.to_entry()).unwrap());
        self.table.responses.publish();
        self.forward();
    }

    /// The requests that have got through.
    fn asked(&mut self) -> Vec<(Kind, u64)> {
        let mut asked = Vec::new();
        while let Some(entry) = self.table.requests.pop() {
            let request = Request::from_entry(entry).unwrap();
            asked.push((request.kind, request.id.0.into()));
        }
        self.table.requests.release();
        asked
    }

    /// The answers that have come back, whose places are given back.
    fn answered(&mut self) -> usize {
        let mut count = 0;
        while self.client.responses.pop().is_some() {
            count += 1;
        }
        self.client.responses.release();
        count
    }

    /// The session has ended, for both.
    fn is_over(&mut self) -> bool {
        let start = Instant::now();
        let is_gone =
            |between: &Self| between.client.joined.channel.is_gone() && between.table.greeted.channel.is_gone();
        while self.proxy.clients() == 0 && !is_gone(self) {
            assert!(start.elapsed() < LONG, "it is left open");
            self.proxy.serve(Duration::from_millis(1)).unwrap();
        }
        self.proxy.clients() == 0
    }
}

#[test]
fn what_a_client_sends_against_the_protocol_gets_no_further_than_a_proxy() {
    /// What it is, and what gets through.
    type Attack = (&'static str, fn(&mut Between), &'static [(Kind, u64)]);
    let attacks: [Attack; 8] = [
        ("a stream without credits", |it| it.ask(Kind::Stream, 1, Value::pair(10, 0)), &[]),
        ("a close with a number", |it| it.ask(Kind::Close, 1, Value(0)), &[]),
        (
            "streams with more credits than places",
            |it| {
                it.ask(Kind::Stream, 1, Value::pair(10, 3));
                it.ask(Kind::Stream, 2, Value::pair(10, 4));
            },
            &[(Kind::Stream, 1)],
        ),
        (
            "more credits than were used",
            |it| {
                it.ask(Kind::Stream, 1, Value::pair(10, 3));
                it.answer(1, true);
                it.ask(Kind::Credit, 1, Value::number(2));
            },
            &[(Kind::Stream, 1)],
        ),
        (
            "credits for messages that it has not read",
            |it| {
                it.ask(Kind::Stream, 1, Value::pair(10, 7));
                (0..7).for_each(|_| it.answer(1, true));
                it.ask(Kind::Credit, 1, Value::number(7));
            },
            &[(Kind::Stream, 1)],
        ),
        (
            "the number of a stream again",
            |it| {
                it.ask(Kind::Stream, 1, Value::pair(10, 1));
                it.ask(Kind::Read, 1, Value::number(10));
            },
            &[(Kind::Stream, 1)],
        ),
        (
            "the number of a name that is under way again",
            |it| {
                it.ask(Kind::Open, 1, Value::slice(Slice { block: 0, length: 4 }));
                it.ask(Kind::Open, 1, Value::slice(Slice { block: 0, length: 4 }));
            },
            &[(Kind::Open, 1)],
        ),
        (
            "a name in a block that it does not have",
            |it| it.ask(Kind::Open, 1, Value::slice(Slice { block: 15, length: 4 })),
            &[],
        ),
    ];
    for (what, attack, through) in attacks {
        let mut it = between(Waiting::Adaptive);
        attack(&mut it);
        assert!(it.is_over(), "{what}");
        assert_eq!(it.asked(), through, "{what}");
    }
}

#[test]
fn what_a_table_sends_against_the_protocol_gets_no_further_than_a_proxy() {
    type Attack = fn(&mut Between);
    let attacks: [(&str, Attack); 5] = [
        ("an answer to nothing", |it| it.answer(1, false)),
        ("a second answer", |it| {
            it.ask(Kind::Read, 1, Value::number(1));
            it.answer(1, false);
            it.answer(1, false);
        }),
        ("a message of no stream", |it| {
            it.ask(Kind::Read, 1, Value::number(1));
            it.answer(1, true);
        }),
        ("a message without a credit", |it| {
            it.ask(Kind::Stream, 1, Value::pair(10, 2));
            (0..3).for_each(|_| it.answer(1, true));
        }),
        ("a message after the end", |it| {
            it.ask(Kind::Stream, 1, Value::pair(10, 2));
            it.answer(1, false);
            it.answer(1, true);
        }),
    ];
    for (what, attack) in attacks {
        let mut it = between(Waiting::Adaptive);
        attack(&mut it);
        assert!(it.is_over(), "{what}");
        assert!(it.answered() < 3, "{what}");
    }
}

/// Streams end with credits left, and answers come out of order, more often than there are places: none is lost.
#[test]
fn places_come_back_however_a_stream_ends() {
    let mut it = between(Waiting::Adaptive);
    for round in 0..5 * u64::from(CAPACITY) {
        let id = 1 + round;
        it.ask(Kind::Stream, id, Value::pair(10, 6));
        it.ask(Kind::Read, 1000 + id, Value::number(1));
        assert_eq!(it.asked(), [(Kind::Stream, id), (Kind::Read, 1000 + id)], "{round}");
        let messages = round % 4;
        (0..messages).for_each(|_| it.answer(id, true));
        assert_eq!(it.answered() as u64, messages);
        it.ask(Kind::Credit, id, Value::number((messages / 2) as u32));
        it.answer(id, false);
        it.answer(1000 + id, false);
        assert_eq!((it.answered(), it.asked()), (2, vec![(Kind::Credit, id)]));
        // Of one that has ended: void.
        it.ask(Kind::Credit, id, Value::number(1));
        assert!(it.asked().is_empty() && it.proxy.clients() == 1);
    }
}

/// A client that has as many requests under way as there are places posts and closes all the same.
#[test]
fn what_has_no_answer_passes_a_proxy_without_room_for_one() {
    let mut it = between(Waiting::Adaptive);
    it.ask(Kind::Stream, 1, Value::pair(10, 7));
    assert_eq!(it.asked(), [(Kind::Stream, 1)]);
    for _ in 0..3 * CAPACITY {
        it.ask(Kind::Write, 0, Value::slice(Slice::EMPTY));
        it.ask(Kind::Close, 0, Value(0));
        it.ask(Kind::Credit, 1, Value::number(0));
        assert_eq!(it.asked(), [(Kind::Write, 0), (Kind::Close, 0), (Kind::Credit, 1)]);
    }
    it.ask(Kind::Read, 2, Value::number(1));
    assert!(it.asked().is_empty(), "there is no place for its answer");
    it.answer(1, false);
    assert_eq!((it.answered(), it.asked()), (1, vec![(Kind::Read, 2)]));
}

/// However many requests there are, no more than a turn's are forwarded before others have theirs.
#[test]
fn a_client_with_a_full_ring_has_turns_at_a_proxy() {
    let mut it = between_of(Waiting::Adaptive, 512);
    let request = Request { kind: Kind::Close, flags: Flags::NONE, id: JobId::ZERO, handle: 1, args: Value(0) };
    while it.client.requests.push(request.to_entry()).unwrap() {}
    it.client.requests.publish();
    if it.client.proxy_bell.ring() {
        it.client.joined.channel.wake().unwrap();
    }
    let mut seen = 0;
    while seen < 512 {
        assert!(it.proxy.serve(LONG).unwrap());
        let turn = it.asked().len();
        assert!(turn <= 64, "{turn}");
        seen += turn;
    }
}

/// What a table has answered before it goes still comes.
#[test]
fn the_last_answers_of_a_table_pass_a_proxy() {
    let mut it = between(Waiting::Adaptive);
    it.ask(Kind::Read, 1, Value::number(1));
    it.ask(Kind::Read, 2, Value::number(1));
    for id in [1, 2] {
        let id = JobId(id as u32);
        let response = Response { has_object: false, has_more: false, id, value: Value(0) };
        it.table.responses.push(response.to_entry()).unwrap();
    }
    it.table.responses.publish();
    let Between { mut client, table, mut proxy } = it;
    drop(table);
    while proxy.clients() > 0 {
        proxy.serve(LONG).unwrap();
    }
    while !client.joined.channel.is_gone() {
        proxy.serve(Duration::from_millis(1)).unwrap();
    }
    assert!((0..2).all(|_| client.responses.pop().is_some()));
}

/// A client that waits for room hears that there is some: no answer comes that would wake it.
#[test]
fn a_client_that_sleeps_is_woken_when_a_proxy_has_taken_what_has_no_answer() {
    let mut it = between(Waiting::Adaptive);
    let bell_at = QueueLayout::of(&it.client.joined.geometry).unwrap().client_doorbell_at;
    let queue = it.client.joined.queue.memory().clone();
    for kind in [Kind::Close, Kind::Write] {
        queue.store32(bell_at, 1, Store::Release);
        it.ask(kind, 0, Value(0));
        assert_eq!((it.asked(), queue.load32(bell_at, Load::Acquire)), (vec![(kind, 0)], 0));
    }
}

/// A table that does not look at what is given back for a while finds all of it, in order.
#[test]
fn releases_wait_at_a_proxy_for_room() {
    let mut it = between(Waiting::Adaptive);
    let (mut sent, mut seen) = (0, 0);
    while seen < 5 * CAPACITY {
        while it.client.releases.push([sent]).unwrap() {
            sent += 1;
        }
        it.client.releases.publish();
        // Releases are not rung for: something else is.
        it.ask(Kind::Close, 0, Value(0));
        it.asked();
        if sent >= 2 * CAPACITY + seen {
            while let Some([block]) = it.table.releases.pop() {
                assert_eq!(block, seen, "one was lost");
                seen += 1;
            }
            it.table.releases.release();
        }
    }
}

/// A proxy that sleeps has told both sides to ring, and hears either.
#[test]
fn a_proxy_that_sleeps_is_woken_by_either_side() {
    let Between { mut client, mut table, mut proxy } = between(Waiting::Sleep);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Only a wake, or the end of the session, ends this one.
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) && proxy.clients() > 0 {
                proxy.serve(2 * LONG).unwrap();
            }
        });
        let _over = Over(&is_over);
        // At its sockets, after it was quiet for long, or else where it will.
        let asleep = |memory: &Mapped, at: usize, is_quiet: bool| {
            let (start, ways) = (Instant::now(), if is_quiet { &[2][..] } else { &[1, 2] });
            while !ways.contains(&memory.load32(at, Load::Relaxed)) {
                assert!(start.elapsed() < LONG, "it does not say that it sleeps");
                thread::yield_now();
            }
        };
        let come = |what: &mut dyn FnMut() -> bool| {
            let start = Instant::now();
            while !what() {
                assert!(start.elapsed() < LONG, "nothing comes");
                thread::yield_now();
            }
        };
        let front_bell_at = QueueLayout::of(&client.joined.geometry).unwrap().server_doorbell_at;
        for number in 1..50 {
            let (id, is_quiet) = (JobId(number as u32), number == 1);
            asleep(client.joined.queue.memory(), front_bell_at, is_quiet);
            let args = Value::number(1);
            let request = Request { kind: Kind::Read, flags: Flags::NONE, id, handle: 1, args };
            client.requests.push(request.to_entry()).unwrap();
            client.requests.publish();
            let is_at_socket = client.proxy_bell.ring();
            assert!(is_at_socket || !is_quiet, "it waits for its socket");
            if is_at_socket {
                client.joined.channel.wake().unwrap();
            }
            come(&mut || table.requests.pop().is_some());
            table.requests.release();
            asleep(table.greeted.queue.memory(), table.proxy_bell_at, is_quiet);
            let response = Response { has_object: false, has_more: false, id, value: Value(0) };
            table.responses.push(response.to_entry()).unwrap();
            table.responses.publish();
            let is_at_socket = table.proxy_bell.ring();
            assert!(is_at_socket || !is_quiet, "it waits for its socket");
            if is_at_socket {
                table.greeted.channel.wake().unwrap();
            }
            come(&mut || client.responses.pop().is_some());
            client.responses.release();
        }
        drop(client);
    });
}
