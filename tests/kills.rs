//! Promise: a process may die at any instruction. Whoever is left notices, gets a typed error, loses nothing of its own, and
//! goes on with the others.
//!
//! A forked copy of this process is traced, let go as far as a system call or an instruction of a step, and killed there.
//! With all cases asked for, at each stop at a system call, otherwise at each seventh; and at random points, so many as
//! `MEMCPY_SELECT_TEST_KILLS` says.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

#[path = "kills/records.rs"]
mod records;
#[path = "kills/trace.rs"]
mod trace;

mod neighbours;

use memcpy_select::transport::memory::{Load, Memory, Store};
use memcpy_select::transport::{
    Address, Allocator, Client, ClientError, ClientOptions, ConnectError, Copier, Event, Handle, Region, RegionOptions,
    SessionError, Table, TableOptions,
};
use neighbours::cases::Effort;
use neighbours::rng::Rng;
use neighbours::{Belongings, Honest, LONG, Program, Server, address, alone, apart, geometry, until};
use std::io::SeekFrom;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use trace::{Pace, Stop, Traced, marker};

/// Most instructions that a child goes on after a system call.
const MAX_INSTRUCTIONS: usize = 500;

/// A point to be killed at: so many stops at system calls after the start of a step, and then so many instructions.
#[derive(Clone, Copy, Debug)]
struct Point {
    step: usize,
    calls: usize,
    instructions: usize,
}

/// What was seen at the kills of one step.
#[derive(Debug, Default)]
struct Row {
    kills: usize,
    /// From the kill until the survivor noticed.
    noticed: Vec<Duration>,
}

fn print(title: &str, steps: &[&str], rows: &mut [Row]) {
    println!("| {title} | kills | noticed after, p50 | p99 | leaks |");
    println!("|---|---|---|---|---|");
    let mut all = Row::default();
    let line = |name: &str, row: &mut Row| {
        row.noticed.sort();
        let at = |share: f64| row.noticed.get((row.noticed.len() as f64 * share) as usize).copied().unwrap_or_default();
        let (p50, p99) = (at(0.5), at(0.99));
        println!("| {name} | {} | {} us | {} us | none |", row.kills, p50.as_micros(), p99.as_micros());
    };
    for (name, row) in steps.iter().zip(rows) {
        all.kills += row.kills;
        all.noticed.extend(&row.noticed);
        line(name, row);
    }
    line("all", &mut all);
}

fn wanted(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Of how many stops at system calls one is a point to be killed at. A call has two, its start and its end: an odd number
/// meets both.
fn each_of() -> usize {
    if Effort::chosen() < Effort::Full { 7 } else { 1 }
}

/// The kills of one side: at system calls of each step, and then at random points.
fn kill_everywhere(title: &str, steps: &[&str], mut kill_at: impl FnMut(Point) -> (Duration, bool)) {
    let mut rows: Vec<Row> = steps.iter().map(|_| Row::default()).collect();
    let mut calls = vec![0; steps.len()];
    for (step, calls) in calls.iter_mut().enumerate() {
        loop {
            let (noticed, is_inside) = kill_at(Point { step, calls: *calls, instructions: 0 });
            rows[step].kills += 1;
            rows[step].noticed.push(noticed);
            // A side that waits makes as many calls as it takes.
            if !is_inside || *calls >= 80 {
                break;
            }
            *calls += each_of();
        }
    }
    let mut rng = Rng::new(wanted("MEMCPY_SELECT_TEST_SEED").unwrap_or(1) as u64);
    for _ in 0..wanted("MEMCPY_SELECT_TEST_KILLS").unwrap_or(60 / each_of()) {
        let step = rng.below(steps.len());
        let calls = rng.below(calls[step] + 1);
        let (noticed, _) = kill_at(Point { step, calls, instructions: 1 + rng.below(MAX_INSTRUCTIONS) });
        rows[step].kills += 1;
        rows[step].noticed.push(noticed);
    }
    print(title, steps, &mut rows);
}

/// Brings a child that stands at the start of a step to a point of it; false if the step ends before.
fn bring_to(child: &mut Traced, point: Point) -> bool {
    let mut pace =
        |count: usize, pace| (0..count).all(|_| matches!(child.go(pace), Stop::SystemCall | Stop::Instruction));
    pace(point.calls, Pace::ToSystemCall) && pace(point.instructions, Pace::OneInstruction)
}

const CLIENT_STEPS: [&str; 13] = [
    "connect",
    "open: submit",
    "open: flush and wait",
    "write in place: lease and fill",
    "write in place: submit",
    "write in place: flush and wait",
    "write: copy in, submit, wait",
    "read: submit and flush",
    "read: wait",
    "view: drop, give back",
    "seek",
    "close",
    "leave",
];

/// What a client does, with a marker before each step.
fn be_a_client(address: &Address) {
    let step = marker;
    step();
    let mut client = Client::connect(address, ClientOptions::default().limit(LONG)).unwrap();
    step();
    let ticket = client.submit_named(memcpy_select::transport::Kind::Open, b"name").unwrap();
    step();
    client.finish(ticket).unwrap();
    step();
    let mut lease = client.lease(5000).unwrap();
    lease.write_at(0, &[7; 5000]);
    step();
    let ticket = client.submit_write_in_place(Handle(4), lease).unwrap();
    step();
    client.finish(ticket).unwrap();
    step();
    client.write(Handle(4), &[9; 3000]).unwrap();
    step();
    let ticket = client.submit_read(Handle(4), 3000).unwrap();
    client.flush().unwrap();
    step();
    let completion = client.finish(ticket).unwrap();
    step();
    drop(completion);
    client.poll().unwrap();
    step();
    client.seek(Handle(4), SeekFrom::Start(1)).unwrap();
    step();
    client.close(Handle(4)).unwrap();
    step();
    drop(client);
    step();
}

/// Kills a client at a point; how long it took until that was noticed, and whether the step was still going on.
fn kill_a_client(server: &Server, honest: &Honest, before: Belongings, point: Point) -> (Duration, bool) {
    let (joined, left) = {
        let seen = server.seen();
        (seen.joined, seen.left.len())
    };
    let mut child = Traced::start(|| be_a_client(&server.address));
    for _ in 0..=point.step {
        assert_eq!(child.go(Pace::ToMarker), Stop::Marker);
    }
    let is_inside = bring_to(&mut child, point);
    let killed = child.kill();
    // Whoever joined leaves; who had not come so far is forgotten.
    before.are_back();
    let noticed = Instant::now();
    // Then the table's program has heard of it, too: events come in order.
    honest.is_served();
    let seen = server.seen();
    assert_eq!(seen.left.len() - left, (seen.joined - joined) as usize);
    let noticed = match seen.left.get(left) {
        Some((why, when)) => {
            assert_eq!(*why, SessionError::PeerGone);
            *when
        }
        None => noticed,
    };
    (noticed.saturating_duration_since(killed), is_inside)
}

#[test]
fn a_client_may_die_at_any_point() {
    if apart() {
        return;
    }
    let _alone = alone();
    let outside = Belongings::now();
    let geometry = geometry(Allocator::Owned);
    let server = Server::start(TableOptions::default().geometry(geometry));
    let honest = Honest::start(&server.address, Duration::from_millis(1));
    honest.is_served();
    let before = Belongings::now();
    kill_everywhere("client killed in", &CLIENT_STEPS, |point| kill_a_client(&server, &honest, before, point));
    drop(honest);
    drop(server);
    outside.are_back();
}

/// With one region for all, blocks that a client was killed with are gone for the others, until all have left.
#[test]
fn a_common_region_is_whole_again_when_all_have_left() {
    if apart() {
        return;
    }
    let _alone = alone();
    let geometry = geometry(Allocator::Shared);
    let server = Server::start(TableOptions::default().geometry(geometry).one_region(true));
    let before = Belongings::now();
    let mut rng = Rng::new(3);
    for _ in 0..if Effort::chosen() < Effort::Full { 8 } else { 20 } {
        let mut child = Traced::start(|| be_a_client(&server.address));
        let step = 1 + rng.below(CLIENT_STEPS.len() - 1);
        for _ in 0..=step {
            assert_eq!(child.go(Pace::ToMarker), Stop::Marker);
        }
        bring_to(&mut child, Point { step, calls: 0, instructions: rng.below(MAX_INSTRUCTIONS) });
        child.kill();
        before.are_back();
        let mut client = Client::connect(&server.address, ClientOptions::default()).unwrap();
        // The server keeps some blocks of each session aside: a sixteenth.
        let most_bytes = client.max_write_bytes() / 8 * 7;
        drop(client.lease(most_bytes).unwrap());
        drop(client);
        before.are_back();
    }
}

const SERVER_STEPS: [&str; 4] = ["next: look, greet, take, publish, sleep", "payload", "answer", "serve the rest"];

/// What a server does, with a marker before each step, and the number of the step in `at`.
fn be_a_server(address: &Address, at: &Region, wanted: usize) {
    let geometry = geometry(Allocator::Owned);
    let mut table = Table::create(address, TableOptions::default().geometry(geometry)).unwrap();
    let mut program = Program::default();
    let step = |number: usize| {
        if number == wanted {
            at.memory().store32(0, number as u32, Store::Release);
            marker();
        }
    };
    // Ready to be connected to.
    marker();
    loop {
        step(0);
        let event = table.next(Duration::from_millis(20)).unwrap();
        let Some(Event::Job(job)) = event else { continue };
        step(1);
        let mut bytes = vec![0; table.payload(&job).len()];
        table.payload(&job).read_with(0, &mut bytes, Copier::AUTO);
        step(2);
        program.answer(&mut table, job);
        step(3);
    }
}

/// What a survivor's calls end with.
fn use_until_over(address: &Address) -> (Instant, ClientError) {
    let options = || ClientOptions::default().limit(LONG);
    let mut client = match Client::connect(address, options()) {
        Ok(client) => client,
        Err(error) => {
            assert!(
                matches!(error, ConnectError::PeerGone | ConnectError::Socket { .. }),
                "a server that is gone is no {error}"
            );
            return (Instant::now(), ClientError::Session(SessionError::PeerGone));
        }
    };
    let mut rng = Rng::new(7);
    let mut round = || -> Result<(), ClientError> {
        loop {
            let handle = client.open("name")?;
            let bytes = vec![rng.next() as u8; rng.below(9000)];
            client.write(handle, &bytes)?;
            let mut got = vec![0; bytes.len()];
            client.read(handle, &mut got)?;
            assert!(got == bytes);
            drop(client.read_in_place(handle, 100)?);
            client.seek(handle, SeekFrom::Start(1))?;
            client.close(handle)?;
        }
    };
    let error = round().unwrap_err();
    let now = Instant::now();
    // The session stays over, and says so at once.
    assert!(matches!(client.open("name"), Err(ClientError::Session(SessionError::PeerGone))));
    (now, error)
}

#[test]
fn a_server_may_die_at_any_point() {
    if apart() {
        return;
    }
    let _alone = alone();
    let before = Belongings::now();
    let at = Region::create(4096, RegionOptions::default()).unwrap();
    let mut rng = Rng::new(4);
    kill_everywhere("server killed in", &SERVER_STEPS, |point| {
        let address = address();
        let mut child = Traced::start(|| be_a_server(&address, &at, point.step));
        assert_eq!(child.go(Pace::ToMarker), Stop::Marker);
        let is_started = AtomicBool::new(false);
        let (killed, is_inside, survivors) = thread::scope(|scope| {
            let clients: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        until("the server is let go", || is_started.load(Ordering::Acquire));
                        use_until_over(&address)
                    })
                })
                .collect();
            is_started.store(true, Ordering::Release);
            // Some rounds in, so that it is another state each time.
            for _ in 0..=rng.below(if point.step == 0 { 12 } else { 30 }) {
                assert_eq!(child.go(Pace::ToMarker), Stop::Marker);
            }
            let is_inside = bring_to(&mut child, point);
            let killed = child.kill();
            let survivors: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
            (killed, is_inside, survivors)
        });
        let mut last = killed;
        for (when, error) in survivors {
            assert!(matches!(error, ClientError::Session(SessionError::PeerGone)), "{error}");
            last = last.max(when);
        }
        assert!(at.memory().load32(0, Load::Acquire) as usize <= point.step);
        (last.saturating_duration_since(killed), is_inside)
    });
    drop(at);
    before.are_back();
}
