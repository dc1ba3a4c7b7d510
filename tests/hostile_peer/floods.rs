//! Floods: an enemy does something without end. The honest client is served meanwhile, and clients of another process are let
//! in, also while other processes use all of both CPUs.

use super::attacks::LASTING;
use super::enemy::{Enemy, Got, flood, hello, silent};
use super::neighbours::{Belongings, Honest, LONG, Server, alone, apart};
use super::{attack, attack_with, is_gone, other_process, owned, row, times};
use memcpy_select::lab::neighbours::{NEIGHBOURS, Nature, Neighbour};
use memcpy_select::transport::connect::{JoinOptions, join};
use memcpy_select::transport::{Address, JobId, Kind, Request, Value, Waiting};
use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::{Duration, Instant};

/// Clients that mean no harm, which have to be let in.
fn let_some_in(at: &Address, count: usize) {
    for number in 0..count {
        join(at, JoinOptions::default().limit(LONG)).unwrap_or_else(|error| panic!("newcomer {number}: {error}"));
    }
}

/// As long as an enemy floods, and then no longer.
fn let_in_while_it_floods(child: &mut Child, at: &Address) {
    std::thread::sleep(Duration::from_millis(300));
    let_some_in(at, times(10));
    assert!(child.try_wait().unwrap().is_none(), "the enemy failed");
    child.kill().unwrap();
    child.wait().unwrap();
}

pub fn flood_descriptors(at: &Address) {
    let enemy = Enemy::connect(at);
    let start = Instant::now();
    let mut passed = 0;
    while start.elapsed() < LASTING {
        passed += flood(&enemy.channel, 200);
    }
    // What the server does not hear for a while waits in the socket, which holds so many and no more.
    assert!(passed > 100, "{passed}");
}

#[test]
fn floods_with_descriptors() {
    if apart() {
        return;
    }
    attack("floods_with_descriptors", "thousands of descriptors over its socket", owned(), is_gone);
}

pub fn flood_connections(at: &Address) {
    let mut enemy = Enemy::connect(at);
    let all: Vec<UnixStream> = (0..600).filter_map(|_| silent(at).ok()).collect();
    assert!(all.len() > 300);
    assert!(matches!(enemy.ask(Kind::SeekStart, Value(1)), Got::Answer(_)));
    // Connections that say nothing are closed, and newcomers are let in while others keep coming.
    loop {
        drop(silent(at));
    }
}

#[test]
fn floods_with_connections() {
    if apart() {
        return;
    }
    let options = owned().connect_limit(Duration::from_millis(200));
    let what = "600 connections that say nothing, then one after the other";
    attack_with("floods_with_connections", what, options, is_gone, let_in_while_it_floods);
}

/// Takes all places of those who are connecting, again and again, with connections made that way.
fn take_places(at: &Address, connect: fn(&Address) -> std::io::Result<UnixStream>) {
    let mut held = VecDeque::new();
    loop {
        held.extend(connect(at));
        if held.len() > 400 {
            held.pop_front();
        }
    }
}

pub fn take_places_in_silence(at: &Address) {
    take_places(at, silent);
}

pub fn take_places_with_greetings(at: &Address) {
    take_places(at, hello);
}

#[test]
fn takes_the_places_of_newcomers_in_silence() {
    if apart() {
        return;
    }
    let (options, what) = (owned().connect_limit(2 * LONG), "400 connections that say nothing, for long");
    attack_with("takes_the_places_of_newcomers_in_silence", what, options, is_gone, let_in_while_it_floods);
}

#[test]
fn takes_the_places_of_newcomers_with_greetings() {
    if apart() {
        return;
    }
    let (options, what) = (owned().connect_limit(2 * LONG), "400 that greet and do not go on");
    attack_with("takes_the_places_of_newcomers_with_greetings", what, options, is_gone, let_in_while_it_floods);
}

pub fn flood_requests(at: &Address) {
    let mut enemy = Enemy::connect(at);
    let start = Instant::now();
    while start.elapsed() < LASTING {
        for _ in 0..64 {
            // A close has no answer, so that nothing slows it down.
            let request = Request { id: JobId::ZERO, ..enemy.request(Kind::Close, Value(0)) };
            enemy.put(request);
        }
        enemy.ring();
    }
}

#[test]
fn floods_with_requests() {
    if apart() {
        return;
    }
    attack("floods_with_requests", "closes without end, and a wake with each few", owned(), is_gone);
}

/// What an enemy does until it is killed: what a hostile neighbour does that is measured, or nothing but to use a CPU.
pub fn be(role: &str, at: &Address) {
    use rustix::process::{Signal, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL)).unwrap();
    let name = role.strip_prefix("flood: ").unwrap();
    Neighbour::named(name).unwrap().act(at.clone(), Waiting::default());
}

/// A process in such a role, which ends with this object.
struct Flood(Child);

impl Flood {
    fn start(name: &str, at: &Address) -> Self {
        Self(other_process(&format!("flood: {name}"), at))
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Beside every kind of hostile neighbour, but for the one that starts processes of its own (see `kills`): while so many processes
/// spin, an honest client is served, newcomers are let in, and in the end nothing is left. By default half of the kinds beside
/// processes that spin, and half without.
fn every_flood(test: &str, spinning: usize) {
    let _alone = alone();
    let outside = Belongings::now();
    let server = Server::start(owned());
    let honest = Honest::start(&server.address, Duration::ZERO);
    honest.is_served();
    let before = Belongings::now();
    let loops: Vec<Flood> = (0..spinning).map(|_| Flood::start("stranger", &server.address)).collect();
    let is_flood = |one: &&Neighbour| one.nature == Nature::Hostile && one.name != "dies";
    let each = 2 / times(2);
    for Neighbour { name, about, .. } in
        NEIGHBOURS.iter().filter(is_flood).skip(usize::from(spinning > 0) % each).step_by(each)
    {
        let rounds = honest.rounds();
        let flood = Flood::start(name, &server.address);
        let_some_in(&server.address, 3);
        honest.is_served();
        drop(flood);
        before.are_back();
        row(about, &format!("{} rounds of the honest client all right", honest.rounds() - rounds), test);
    }
    drop(loops);
    drop(honest);
    drop(server);
    outside.are_back();
}

#[test]
fn every_flood_leaves_time_for_the_others() {
    if apart() {
        return;
    }
    every_flood("every_flood_leaves_time_for_the_others", 0);
}

#[test]
fn every_flood_leaves_time_for_the_others_beside_two_busy_loops() {
    if apart() {
        return;
    }
    every_flood("every_flood_leaves_time_for_the_others_beside_two_busy_loops", 2);
}
