//! What each neighbour does until it is killed. Hostile ones do it in a [`Place`]: at the server, or elsewhere.

use super::enemy::{flood, half, hello, meddle, silent};
use super::place::Place;
use super::roles::{MODES, Reader, Role, ready};
use crate::transport::memory::Store;
use crate::transport::{Address, JobId, Kind, Memory, Request, Value};
use rustix::process::Signal;
use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::time::Duration;

pub(super) fn idle(place: &mut Place) {
    let _reader = Reader::connect(&place.address, place.waiting).unwrap();
    ready();
    loop {
        std::thread::park();
    }
}

pub(super) fn busy(place: &mut Place) {
    let mut reader = Reader::connect(&place.address, place.waiting).unwrap();
    ready();
    loop {
        reader.read().unwrap();
    }
}

pub(super) fn stranger(_: &mut Place) {
    ready();
    loop {
        std::hint::spin_loop();
    }
}

pub(super) fn scribbles(place: &mut Place) {
    place.again_and_again(Duration::from_millis(50), |enemy| {
        for _ in 0..100 {
            for memory in [&enemy.queue, &enemy.data] {
                let at = 4 * enemy.rng.below(memory.len_bytes().min(16 << 10) as u64 / 4) as usize;
                memory.store32(at, enemy.rng.draw() as u32, Store::Relaxed);
            }
        }
        for at in enemy.fields() {
            enemy.queue.store32(at, enemy.rng.draw() as u32, Store::Relaxed);
        }
        let kind = [Kind::Write, Kind::Read, Kind::Open][enemy.rng.below(3) as usize];
        let args = Value(enemy.rng.draw());
        let request = enemy.request(kind, args);
        enemy.put(request);
        enemy.ring();
    });
}

pub(super) fn floods_descriptors(place: &mut Place) {
    place.again_and_again(Duration::MAX, |enemy| {
        flood(&enemy.channel, 64);
    });
}

pub(super) fn floods_requests(place: &mut Place) {
    place.again_and_again(Duration::MAX, |enemy| {
        for _ in 0..64 {
            // A close has no answer, so that nothing slows it down.
            let request = Request { id: JobId::ZERO, ..enemy.request(Kind::Close, Value(0)) };
            enemy.put(request);
        }
        enemy.ring();
    });
}

pub(super) fn hangs_up(place: &mut Place) {
    ready();
    loop {
        drop(place.connect(silent));
    }
}

/// Connections that say nothing.
pub(super) fn floods_greetings(place: &mut Place) {
    ready();
    loop {
        let held: Vec<_> = (0..100).map_while(|_| place.connect(silent).ok()).collect();
        std::thread::sleep(Duration::from_millis(1));
        drop(held);
    }
}

/// Connections that ask for a session, and do not go on.
pub(super) fn greets(place: &mut Place) {
    ready();
    loop {
        drop(place.connect(hello));
    }
}

pub(super) fn greets_half(place: &mut Place) {
    holds(place, half);
}

pub(super) fn takes_places(place: &mut Place) {
    holds(place, hello);
}

/// As many as there can be, which stay.
fn holds(place: &mut Place, connect: fn(&Address) -> std::io::Result<UnixStream>) {
    ready();
    let mut held = VecDeque::new();
    loop {
        held.extend(place.connect(connect));
        if held.len() > 400 {
            held.pop_front();
        }
    }
}

pub(super) fn rings(place: &mut Place) {
    place.again_and_again(Duration::MAX, |enemy| enemy.ring());
}

pub(super) fn rings_and_asks(place: &mut Place) {
    place.again_and_again(Duration::MAX, |enemy| {
        let request = Request { id: JobId::ZERO, ..enemy.request(Kind::Close, Value(0)) };
        enemy.put(request);
        for _ in 0..16 {
            enemy.ring();
        }
    });
}

pub(super) fn wakes(place: &mut Place) {
    place.again_and_again(Duration::MAX, |enemy| {
        let bells = [enemy.layout.server_doorbell_at, enemy.layout.client_doorbell_at];
        meddle(&enemy.queue, bells, Duration::from_millis(1), || {
            let _ = enemy.channel.wake();
            false
        });
    });
}

/// A ring full of requests, the last of which is there in part.
pub(super) fn stops(place: &mut Place) {
    let mut enemy = place.session().unwrap();
    for _ in 1..enemy.geometry.capacity {
        let request = enemy.request(Kind::Read, Value::number(10));
        enemy.put(request);
    }
    let half = enemy.layout.requests.end_at() - usize::from(enemy.geometry.request_stride_bytes) + 4;
    enemy.queue.store32(half, u32::MAX, Store::Relaxed);
    enemy.ring();
    ready();
    rustix::process::kill_process(rustix::process::getpid(), Signal::STOP).unwrap();
}

pub(super) fn leaves(place: &mut Place) {
    place.again_and_again(Duration::ZERO, |_| {});
}

pub(super) fn dies(place: &mut Place) {
    ready();
    loop {
        // It says nothing: it dies as soon as it has asked for something.
        drop(Role::start_at("dies_once", MODES[0].0, &place.address, None, place.pace_in_step()));
        place.step_asleep();
    }
}

pub(super) fn die_once(place: &mut Place) {
    let Ok(mut enemy) = place.session() else { return };
    let request = enemy.request(Kind::Read, Value::number(10));
    enemy.put(request);
    enemy.ring();
    rustix::process::kill_process(rustix::process::getpid(), Signal::KILL).unwrap();
}
