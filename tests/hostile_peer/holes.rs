//! The holes that the first design of such a table had, each of them tried.

use super::attacks::LASTING;
use super::enemy::{Enemy, Got, amount, slice};
use super::false_server::{deceived, violation};
use super::neighbours::{LONG, alone, apart, until};
use super::{any, attack, is_gone, is_violation, options, owned, row};
use memcpy_select::transport::blocks::{AllocateError, FreeList, Pool};
use memcpy_select::transport::memory::{Load, Store};
use memcpy_select::transport::{
    Address, Allocator, Blocks, Client, ClientError, ClientOptions, ErrorCode, Handle, JobId, Kind, LAP_BIT, Mapped,
    Memory, Request, SessionError, Value, Violation, Waiting,
};
use std::time::{Duration, Instant};

/// Its first design took an entry off a list that had become empty meanwhile: index 0xFFFF_FFFF.
#[test]
fn hole_a_pop_from_an_empty_list() {
    if apart() {
        return;
    }
    let memory = Mapped::private(4096).unwrap();
    let list = FreeList { head_at: 0, links_at: 128 };
    let geometry = Blocks { block_bytes: 64, count: 4 };
    list.lay_out(&memory, geometry);
    let mut side = Pool::shared(memory, list, geometry);
    let mut all = Vec::new();
    side.allocate(0, 4, &mut all).unwrap();
    assert_eq!(side.allocate_one(0), Err(AllocateError::OutOfBlocks));
    assert_eq!(side.allocate(0, 2, &mut all), Err(AllocateError::OutOfBlocks));
    side.free(&all).unwrap();
    assert!(side.allocate_one(0).is_ok());
    let options = options(Allocator::Shared);
    attack("hole_a_pop_from_an_empty_list", "a list that ends at 0xFFFF_FFFF, or beside it", options, any);
}

/// A head that was taken and put back meanwhile is another one, by its tag; without it a block would be handed out twice.
/// Every order of events, and what weaker orderings break: `loom/rings.rs`.
#[test]
fn hole_no_tag_in_the_free_list() {
    let memory = Mapped::private(4096).unwrap();
    let list = FreeList { head_at: 0, links_at: 128 };
    let geometry = Blocks { block_bytes: 64, count: 4 };
    list.lay_out(&memory, geometry);
    let mut other = Pool::keeping(memory.clone(), list, geometry, 0);
    let old = memory.load64(0, Load::Acquire);
    let (first, second) = (other.allocate_one(0).unwrap(), other.allocate_one(0).unwrap());
    other.free(&[first]).unwrap();
    let now = memory.load64(0, Load::Acquire);
    assert_eq!(old as u32, now as u32, "the same block is the first again");
    let stale = memory.cas64(0, old, u64::from(second), std::sync::atomic::Ordering::AcqRel);
    assert_eq!(stale, Err(now), "but not the same head");
    row("a head taken and put back meanwhile (ABA)", "the stale exchange fails", "hole_no_tag_in_the_free_list");
}

pub fn bad_chain(at: &Address) {
    let block_bytes = Enemy::connect(at).block_bytes();
    for entries in [[64, 1], [1, 64], [u32::MAX, 1], [1, 1 << 31]] {
        let mut enemy = Enemy::connect(at);
        enemy.list(0, &entries);
        enemy.ask_and_be_gone(Kind::Write, slice(0, 2 * block_bytes));
    }
}

#[test]
fn hole_chain_entries_are_not_checked() {
    if apart() {
        return;
    }
    let ends = attack("hole_chain_entries_are_not_checked", "chain entries out of the region", owned(), any);
    let block = |end: &&SessionError| matches!(end, SessionError::Violation(Violation::Block { .. }));
    assert_eq!(ends.iter().filter(block).count(), 4);
}

pub fn cyclic_chain(at: &Address) {
    // Blocks of 64 bytes hold 16 entries: the last of a full list names the next list.
    let mut enemy = Enemy::connect(at);
    assert_eq!(enemy.block_bytes(), 64);
    let mut entries: Vec<u32> = (1..17).collect();
    entries[15] = 0;
    enemy.list(0, &entries);
    enemy.ask_and_be_gone(Kind::Write, slice(0, 64 * 40));
    // Two lists, each the next of the other.
    let mut enemy = Enemy::connect(at);
    entries[15] = 20;
    enemy.list(0, &entries);
    let mut others: Vec<u32> = (21..37).collect();
    others[15] = 0;
    enemy.list(20, &others);
    enemy.ask_and_be_gone(Kind::Open, slice(0, 64 * 44));
}

#[test]
fn hole_cyclic_chains() {
    if apart() {
        return;
    }
    let mut options = owned();
    options.geometry.client_blocks = Blocks { block_bytes: 64, count: 512 };
    let ends = attack("hole_cyclic_chains", "chains that bite their tails", options, is_violation);
    assert!(ends.iter().all(|end| matches!(end, SessionError::Violation(Violation::BlockTwice { .. }))));
}

pub fn double_free(at: &Address) {
    for length in [10, 3000] {
        let mut enemy = Enemy::connect(at);
        let block_bytes = enemy.block_bytes();
        enemy.list(0, &[1, 2, 3]);
        assert!(matches!(enemy.ask(Kind::Write, slice(0, 3 * block_bytes)), Got::Answer(_)));
        let Got::Answer(value) = enemy.ask(Kind::Read, amount(length)) else { panic!("no bytes") };
        let block = value.to_slice().block;
        // A second one is still held, so that releases are looked at.
        assert!(matches!(enemy.ask(Kind::Read, amount(10)), Got::Answer(_)));
        enemy.release(block);
        enemy.release(block);
        enemy.ring();
        until("the server ends the session", || enemy.is_gone());
    }
}

#[test]
fn hole_double_free() {
    if apart() {
        return;
    }
    let ends = attack("hole_double_free", "a block, and a chain, given back twice", owned(), is_violation);
    assert!(ends.iter().all(|end| matches!(end, SessionError::Violation(Violation::NotHeld { .. }))));
}

pub fn change_after_sending(at: &Address) {
    let mut enemy = Enemy::connect(at);
    let block_bytes = enemy.block_bytes();
    for turn in 0..300_u32 {
        let (list, first) = (turn % 8, 8 + 3 * (turn % 16));
        enemy.list(list, &[first, first + 1, first + 2]);
        let request = enemy.request(Kind::Write, slice(list, 3 * block_bytes));
        enemy.put(request);
        enemy.ring();
        // While it waits, and after it was taken, the chain and the entry become others.
        let entries_at = enemy.layout.requests.end_at() - 16 * enemy.geometry.capacity as usize;
        let entry_at = entries_at + 16 * (2 * turn as usize % enemy.geometry.capacity as usize);
        let mut answer = Got::Nothing;
        until("the server has taken it", || {
            if enemy.queue.load32(0, Load::Acquire) > 2 * turn {
                enemy.list(list, &[list, list, u32::MAX]);
                enemy.queue.store32(entry_at + 8, u32::MAX, Store::Relaxed);
                answer = enemy.wait();
            }
            answer != Got::Nothing
        });
        // What was freed is what was sent: the same blocks can be used again at once.
        assert!(matches!(answer, Got::Answer(value) if value.0 == u64::from(3 * block_bytes)), "{answer:?}");
        let _ = enemy.ask(Kind::SeekStart, Value(0));
    }
}

#[test]
fn hole_descriptors_are_read_again_when_freeing() {
    if apart() {
        return;
    }
    let what = "requests and chains changed after they were taken: freed is what was sent, 300 times";
    attack("hole_descriptors_are_read_again_when_freeing", what, owned(), is_gone);
}

pub fn endless_laps(at: &Address) {
    let enemy = Enemy::connect(at);
    let stride = usize::from(enemy.geometry.request_stride_bytes);
    let end = enemy.layout.requests.end_at();
    let start = Instant::now();
    while start.elapsed() < LASTING {
        for lap in [LAP_BIT, 0] {
            // None of them needs room for a response.
            for entry in (end - enemy.geometry.capacity as usize * stride..end).step_by(stride) {
                enemy.queue.store32(entry, Kind::Close as u32 | lap, Store::Release);
            }
            enemy.ring();
        }
    }
    assert!(!enemy.is_gone());
}

#[test]
fn hole_entries_make_four_billion_dequeues() {
    if apart() {
        return;
    }
    let what = "a ring of 8 whose entries are always new, without the places given back";
    attack("hole_entries_make_four_billion_dequeues", what, owned(), is_gone);
}

pub fn fill_queue(at: &Address) {
    let mut enemy = Enemy::connect(at);
    let capacity = enemy.geometry.capacity;
    // The first eight are answered; the answers stay, so that eight more are only waiting.
    for _ in 0..2 * capacity {
        let request = enemy.request(Kind::SeekStart, Value(3));
        until("there is room", || enemy.put(request));
        enemy.ring();
    }
    std::thread::sleep(Duration::from_millis(50));
    assert!(!enemy.is_gone());
    // And when there is room, they are served.
    for _ in 0..2 * capacity {
        assert!(matches!(enemy.answer(), Got::Answer(value) if value.0 == 3));
    }
}

#[test]
fn hole_a_full_queue_panics() {
    if apart() {
        return;
    }
    let what = "both rings full, and the answers not read: not served further until they are";
    attack("hole_a_full_queue_panics", what, owned(), is_gone);
}

pub fn ask_for_too_much(at: &Address) {
    let mut enemy = Enemy::connect(at);
    let block_bytes = enemy.block_bytes();
    // All 64 blocks of the client but one, in one chain; their list is the last.
    let entries: Vec<u32> = (1..64).collect();
    enemy.list(0, &entries);
    assert!(matches!(enemy.ask(Kind::Write, slice(0, 63 * block_bytes)), Got::Answer(_)));
    // One block is held, so that the whole, with its list, lacks just one.
    let Got::Answer(value) = enemy.ask(Kind::Read, amount(10)) else { panic!("no bytes") };
    let one = value.to_slice().block;
    for _ in 0..300 {
        let Got::Answer(value) = enemy.ask(Kind::Read, amount(63 * block_bytes)) else { panic!("no answer") };
        assert_eq!(ErrorCode::of(value), Some(ErrorCode::OUT_OF_BLOCKS));
    }
    enemy.release(one);
    let Got::Answer(value) = enemy.ask(Kind::Read, amount(63 * block_bytes)) else { panic!("no answer") };
    assert_eq!(value.to_slice().length, 63 * block_bytes);
}

#[test]
fn hole_a_partial_allocation_leaks() {
    if apart() {
        return;
    }
    let what = "300 reads that lack one block: refused, and then all blocks are there";
    attack("hole_a_partial_allocation_leaks", what, owned(), is_gone);
}

pub fn bad_job_id(at: &Address) {
    // Id 0 is for closing and for posted writes, whose bytes are in no block.
    let none = Value(0);
    let kinds =
        [(Kind::Read, none), (Kind::Write, slice(0, 1)), (Kind::Share, none), (Kind::Stream, Value::pair(1, 1))];
    for (kind, args) in kinds {
        let mut enemy = Enemy::connect(at);
        let request = Request { id: JobId::ZERO, ..enemy.request(kind, args) };
        enemy.put(request);
        enemy.ring();
        until("the server ends the session", || enemy.is_gone());
    }
    Enemy::connect(at).ask_and_be_gone(Kind::Close, Value(0));
}

#[test]
fn hole_a_bad_job_id_panics() {
    if apart() {
        return;
    }
    let ends = attack("hole_a_bad_job_id_panics", "job id 0 on what is answered, another on a close", owned(), any);
    assert!(ends.iter().all(|end| matches!(end, SessionError::Violation(Violation::JobId { .. }))));
    let _alone = alone();
    let got = deceived("server: wrong job ids", |client| client.seek(Handle(1), std::io::SeekFrom::Start(1)));
    assert!(matches!(got, Err(ClientError::Session(SessionError::Violation(Violation::NoSuchJob { .. })))), "{got:?}");
    row("a server answers a job that nobody sent", "NoSuchJob", "hole_a_bad_job_id_panics");
}

/// Both sides sleep before each answer, in two processes; a wake that is lost would show as a wait to its bound.
pub fn sleep_and_wake(at: &Address) {
    let mut client = Client::connect(at, ClientOptions::default().waiting(Waiting::Sleep).limit(LONG)).unwrap();
    for turn in 0..1000 {
        assert_eq!(client.seek(Handle(1), std::io::SeekFrom::Start(turn)).unwrap(), turn);
    }
}

#[test]
fn hole_check_then_park() {
    if apart() {
        return;
    }
    let options = owned().waiting(Waiting::Sleep);
    let what = "1000 round trips in which both sides sleep: none is lost (every order: `loom/semaphore.rs`)";
    attack("hole_check_then_park", what, options, is_gone);
}

#[test]
fn hole_a_length_allocates_four_gigabytes() {
    if apart() {
        return;
    }
    let _alone = alone();
    let got = violation(deceived("server: four gigabytes", |client| client.read(Handle(1), &mut [0; 100])));
    assert_eq!(got, Violation::MoreThanAsked { got: (u32::MAX - 0x1000).into(), asked: 100 });
    row("a server answers with 4 GiB", "MoreThanAsked, nothing allocated", "hole_a_length_allocates_four_gigabytes");
}

#[test]
fn hole_job_ids_without_generation() {
    if apart() {
        return;
    }
    let _alone = alone();
    let got = violation(deceived("server: an old job", |client| {
        let seek = |client: &mut Client| client.seek(Handle(1), std::io::SeekFrom::Start(1));
        assert_eq!(seek(client).unwrap(), 1);
        seek(client)
    }));
    assert!(matches!(got, Violation::NoSuchJob { .. }), "{got:?}");
    row("a server answers an old job, whose place has a new one", "NoSuchJob", "hole_job_ids_without_generation");
}
