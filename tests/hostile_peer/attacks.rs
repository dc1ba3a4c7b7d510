//! What an enemy does to a server, each with the test that lets it loose.

use super::enemy::{Enemy, Got, amount, meddle, slice};
use super::neighbours::{Belongings, Honest, Server, alone, apart, until};
use super::{any, attack, attack_with, is_gone, is_violation, options, other_process, owned, row, times};
use memcpy_select::transport::memory::{Load, Store};
use memcpy_select::transport::{Address, Allocator, ErrorCode, Kind, Memory, SessionError, Value, Violation, Waiting};
use rustix::fs::FallocateFlags;
use rustix::process::Signal;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// How long an attack goes on that has no end of its own.
pub const LASTING: Duration = Duration::from_millis(100);

pub fn scribble(at: &Address) {
    for _ in 0..times(10) {
        let mut enemy = Enemy::connect(at);
        let start = Instant::now();
        while !enemy.is_gone() && start.elapsed() < Duration::from_millis(50) {
            for _ in 0..200 {
                for memory in [&enemy.queue, &enemy.data] {
                    let at = 4 * enemy.rng.below(memory.len_bytes().min(16 << 10) as u64 / 4) as usize;
                    memory.store32(at, enemy.rng.draw() as u32, Store::Relaxed);
                }
            }
            let kind = [Kind::Write, Kind::Read, Kind::Open][enemy.rng.below(3) as usize];
            let args = Value(enemy.rng.draw());
            let request = enemy.request(kind, args);
            enemy.put(request);
            enemy.ring();
        }
    }
}

#[test]
fn scribbles_at_random() {
    if apart() {
        return;
    }
    let options = owned();
    attack("scribbles_at_random", "random words over all it may write", options, any);
}

pub fn target_fields(at: &Address) {
    let fields = Enemy::connect(at).fields();
    for (number, field) in fields.into_iter().enumerate() {
        // By default every other value, in turn.
        for value in (0..6).skip(number % 2).step_by(6 / times(6)) {
            let mut enemy = Enemy::connect(at);
            assert!(matches!(enemy.ask(Kind::SeekStart, Value(7)), Got::Answer(_)));
            let old = enemy.queue.load32(field, Load::Relaxed);
            let capacity = enemy.geometry.capacity;
            let values = [u32::MAX, old.wrapping_sub(1), old.wrapping_add(capacity + 1), 1 << 31, old ^ 0x80, old + 1];
            // More than the ring holds, so that the server looks at every word at least once.
            for _ in 0..12 {
                enemy.queue.store32(field, values[value], Store::Relaxed);
                let request = enemy.request(Kind::Read, amount(10));
                enemy.put(request);
                enemy.queue.store32(field, values[value], Store::Relaxed);
                if !matches!(enemy.wait(), Got::Answer(_)) {
                    break;
                }
            }
        }
    }
}

#[test]
fn scribbles_on_each_field() {
    if apart() {
        return;
    }
    let options = owned();
    let ends = attack("scribbles_on_each_field", "each word that means something, up to six values each", options, any);
    assert!(ends.iter().any(is_violation));
}

pub fn replay(at: &Address) {
    for round in (0..14).step_by(14 / times(14)) {
        let mut enemy = Enemy::connect(at);
        let len_bytes = enemy.queue.len_bytes();
        let mut snapshots = Vec::new();
        for _ in 0..=round % 12 {
            enemy.list(1, &[7; 16]);
            let _ = enemy.ask(Kind::Write, slice(1, 64));
            let words: Vec<u32> = (0..len_bytes).step_by(4).map(|at| enemy.queue.load32(at, Load::Relaxed)).collect();
            snapshots.push(words);
        }
        for snapshot in snapshots.iter().rev() {
            for (word, value) in snapshot.iter().enumerate() {
                enemy.queue.store32(4 * word, *value, Store::Relaxed);
            }
            enemy.ring();
            if enemy.wait() == Got::Gone {
                break;
            }
        }
    }
}

#[test]
fn replays_old_values() {
    if apart() {
        return;
    }
    let options = owned();
    attack("replays_old_values", "the whole queue region as it was some requests ago", options, any);
}

pub fn beyond(at: &Address) {
    for block in [64, 65, 1 << 22, 1 << 31, u32::MAX] {
        for length in [1, 1024, 1025, 5000] {
            Enemy::connect(at).ask_and_be_gone(Kind::Write, slice(block, length));
        }
    }
    for length in [64 * 1024 + 1, 64 * 1024, 1 << 31, u32::MAX] {
        Enemy::connect(at).ask_and_be_gone(Kind::Open, slice(0, length));
    }
    Enemy::connect(at).release(0);
    let mut enemy = Enemy::connect(at);
    // Something is lent, so that releases are looked at.
    assert!(matches!(enemy.ask(Kind::Write, slice(0, 10)), Got::Answer(_)));
    assert!(matches!(enemy.ask(Kind::Read, amount(10)), Got::Answer(_)));
    enemy.release(64);
    enemy.ring();
    until("the server ends the session", || enemy.is_gone());
}

#[test]
fn names_blocks_one_beyond_and_far_beyond() {
    if apart() {
        return;
    }
    let ends = attack("names_blocks_one_beyond_and_far_beyond", "indices and lengths out of the region", owned(), any);
    assert!(ends.iter().filter(|end| is_violation(end)).count() >= 25);
}

pub fn twice(at: &Address) {
    let block_bytes = Enemy::connect(at).block_bytes();
    for entries in [[1, 1], [0, 1], [1, 0]] {
        let mut enemy = Enemy::connect(at);
        enemy.list(0, &entries);
        enemy.ask_and_be_gone(Kind::Write, slice(0, 2 * block_bytes));
    }
    // In two requests, both of which wait: the second is put before the first is answered.
    for _ in 0..20 {
        let mut enemy = Enemy::connect(at);
        for _ in 0..8 {
            let request = enemy.request(Kind::Write, slice(3, 10));
            enemy.put(request);
        }
        let _ = enemy.wait();
    }
}

#[test]
fn uses_one_block_twice() {
    if apart() {
        return;
    }
    let ends = attack("uses_one_block_twice", "a block twice in a chain, and in eight requests at once", owned(), any);
    let twice = |end: &&SessionError| matches!(end, SessionError::Violation(Violation::BlockTwice { .. }));
    assert!(ends.iter().filter(twice).count() >= 3);
}

pub fn same_id(at: &Address) {
    let mut enemy = Enemy::connect(at);
    let request = enemy.request(Kind::Read, amount(10));
    for _ in 0..500 {
        for _ in 0..4 {
            enemy.put(request);
        }
        for _ in 0..4 {
            assert!(matches!(enemy.wait(), Got::Answer(_) | Got::Nothing));
        }
    }
}

#[test]
fn uses_one_job_id_for_all() {
    if apart() {
        return;
    }
    attack("uses_one_job_id_for_all", "one job id for 2000 requests, four at a time", owned(), is_gone);
}

pub fn truncate(at: &Address) {
    let mut enemy = Enemy::connect(at);
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    for region in &enemy.regions {
        assert!(rustix::fs::ftruncate(region.descriptor(), 0).is_err());
        assert!(rustix::fs::ftruncate(region.descriptor(), 1 << 30).is_err());
        assert!(rustix::fs::fallocate(region.descriptor(), hole, 0, 4096).is_err());
    }
    // MADV_REMOVE over one's own mapping is the same by another way.
    for memory in [&enemy.queue, &enemy.data] {
        let start = memory.pointer(0, 4096).unwrap();
        // SAFETY: the pages are this process's own mapping; whether they go away is what is asked.
        let result = unsafe { rustix::mm::madvise(start.as_ptr().cast(), 4096, rustix::mm::Advice::LinuxRemove) };
        assert!(result.is_err());
    }
    assert!(matches!(enemy.ask(Kind::Write, slice(0, 10)), Got::Answer(_)));
}

#[test]
fn truncates_and_punches_holes() {
    if apart() {
        return;
    }
    attack("truncates_and_punches_holes", "truncates, grows and punches holes into every region", owned(), is_gone);
}

pub fn remap(at: &Address) {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    for _ in 0..20 {
        let mut enemy = Enemy::connect(at);
        assert!(matches!(enemy.ask(Kind::Write, slice(0, 10)), Got::Answer(_)));
        let request = enemy.request(Kind::Write, slice(1, 60_000));
        enemy.put(request);
        enemy.ring();
        for memory in [&enemy.data, &enemy.queue] {
            let start = memory.pointer(0, 4096).unwrap();
            let flags = MapFlags::PRIVATE | MapFlags::FIXED;
            // SAFETY: this process's own pages are replaced by others of the same length.
            let result =
                unsafe { mmap_anonymous(start.as_ptr().cast(), 4096, ProtFlags::READ | ProtFlags::WRITE, flags) };
            assert!(result.is_ok());
        }
        enemy.ring();
        let _ = enemy.wait();
    }
}

#[test]
fn remaps_its_memory() {
    if apart() {
        return;
    }
    attack("remaps_its_memory", "other pages where its mappings were, with requests under way", owned(), any);
}

pub fn close(at: &Address) {
    for way in 0..3 {
        let mut enemy = Enemy::connect(at);
        let request = enemy.request(Kind::Write, slice(1, 10));
        enemy.put(request);
        match way {
            0 => {
                // All of its regions; the socket stays, and the server goes on until it is closed, too.
                enemy.regions.clear();
                enemy.ring();
                let _ = enemy.wait();
            }
            1 => {
                rustix::net::shutdown(enemy.channel.as_fd(), rustix::net::Shutdown::Write).unwrap();
                until("the server hangs up", || enemy.is_gone());
            }
            _ => {
                rustix::net::shutdown(enemy.channel.as_fd(), rustix::net::Shutdown::Both).unwrap();
                enemy.ring();
            }
        }
    }
}

#[test]
fn closes_what_it_has() {
    if apart() {
        return;
    }
    attack("closes_what_it_has", "closes its regions, one way of its socket, both ways", owned(), is_gone);
}

pub fn wakes(at: &Address) {
    let mut enemy = Enemy::connect(at);
    assert!(matches!(enemy.ask(Kind::SeekStart, Value(1)), Got::Answer(_)));
    let bells = [enemy.layout.server_doorbell_at, enemy.layout.client_doorbell_at];
    let queue = enemy.queue.clone();
    meddle(&queue, bells, LASTING, || {
        let _ = enemy.channel.wake();
        false
    });
    // Nobody's sleep outlasts its bound.
    assert!(matches!(enemy.ask(Kind::SeekStart, Value(1)), Got::Answer(_)));
}

#[test]
fn posts_steals_and_requeues_wakes() {
    if apart() {
        return;
    }
    attack("posts_steals_and_requeues_wakes", "wakes posted, stolen, and requeued to another word", owned(), is_gone);
}

/// With one client the server sleeps on that client's word: the next one is heard all the same.
#[test]
fn requeues_the_only_sleeper() {
    if apart() {
        return;
    }
    let _alone = alone();
    let server = Server::start(owned().waiting(Waiting::Sleep));
    let before = Belongings::now();
    let mut child = other_process("requeues_the_only_sleeper", &server.address);
    until("the enemy is there", || server.seen().joined == 1);
    let honest = Honest::start(&server.address, Duration::ZERO);
    honest.is_served();
    assert!(child.wait().unwrap().success());
    honest.is_served();
    let rounds = honest.rounds();
    drop(honest);
    before.are_back();
    let happened = format!("a new client was heard; {rounds} rounds of it all right");
    row("requeues the server that sleeps on its word alone", &happened, "requeues_the_only_sleeper");
}

pub fn stop(at: &Address) {
    let mut enemy = Enemy::connect(at);
    for _ in 0..8 {
        let request = enemy.request(Kind::Read, amount(10));
        enemy.put(request);
    }
    enemy.ring();
    rustix::process::kill_process(rustix::process::getpid(), Signal::STOP).unwrap();
}

#[test]
fn stops_and_dies() {
    if apart() {
        return;
    }
    attack_with("stops_and_dies", "SIGSTOP with its ring full, then SIGKILL", owned(), is_gone, |child, _| {
        let state = || {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
            status.rsplit(") ").next().unwrap().starts_with('T')
        };
        until("the enemy has stopped", state);
        // Long enough for the honest client to be kept waiting, if it were.
        std::thread::sleep(Duration::from_millis(300));
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

pub fn hold(at: &Address) {
    let mut enemy = Enemy::connect(at);
    assert!(matches!(enemy.ask(Kind::Write, slice(0, 10)), Got::Answer(_)));
    let mut refused = 0;
    for _ in 0..200 {
        match enemy.ask(Kind::Read, amount(10)) {
            Got::Answer(value) if ErrorCode::of(value) == Some(ErrorCode::OUT_OF_BLOCKS) => refused += 1,
            Got::Answer(value) => assert!(ErrorCode::of(value).is_none()),
            got => panic!("{got:?}"),
        }
    }
    assert_eq!(refused, 200 - 32);
}

#[test]
fn holds_all_blocks_it_may() {
    if apart() {
        return;
    }
    let options = owned().max_held_blocks(32);
    attack("holds_all_blocks_it_may", "never gives a block back: OUT_OF_BLOCKS after 32", options, is_gone);
}

pub fn spoil_list(at: &Address) {
    for head in [64, 65, u32::MAX - 1, u32::MAX, 1 << 31] {
        let mut enemy = Enemy::connect(at);
        assert_eq!(enemy.geometry.allocator, Allocator::Shared);
        // Behind the blocks: the head, and one link for each block.
        let head_at = (enemy.block_bytes() * enemy.geometry.client_blocks.count).next_multiple_of(128) as usize;
        enemy.data.store32(head_at, head, Store::Relaxed);
        for block in 0..64 {
            enemy.data.store32(head_at + 128 + 4 * block, head, Store::Relaxed);
        }
        for length in [10, 2000] {
            // Something to read, which takes blocks from the list.
            let request = enemy.request(Kind::Write, slice(5, 10));
            enemy.put(request);
            let request = enemy.request(Kind::Read, amount(length));
            enemy.put(request);
            let _ = enemy.wait();
            let _ = enemy.wait();
        }
    }
}

#[test]
fn spoils_a_shared_list() {
    if apart() {
        return;
    }
    let options = options(Allocator::Shared);
    attack("spoils_a_shared_list", "a free list with heads and links out of the region", options, any);
}
