//! Promise: whatever the other side writes, at any time, this side ends with a typed error or goes on correctly. It never
//! panics, touches nothing outside or that is not its own, works a bounded amount for each call, and keeps a bounded amount
//! of memory.
//!
//! The production code runs over memory that an adversary owns, in the same process. The fuzz targets
//! `transport_ring_chain` and `transport_session` run the same with the choices of a fuzzer; here a seeded generator
//! chooses. `MEMCPY_SELECT_TEST_SECONDS` makes it longer, and `MEMCPY_SELECT_TEST_SEED` begins with another seed.

#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "which copies are made is asked elsewhere")]
#[path = "suite/cases.rs"]
mod cases;
mod hostile;

use cases::Effort;
use hostile::{Choices, Tally, rng};
use memcpy_select::transport::chain::Chain;
use memcpy_select::transport::geometry::{Allocator, Blocks, Geometry};
use memcpy_select::transport::session::{ClientSide, Outcome, QueueLayout, Reply, ServerSide, data_bytes};
use memcpy_select::transport::{Copier, Flags, JobId, Kind, Mapped, Request, Response, Slice, Value};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Counts what each thread has of the heap.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static LIVE_BYTES: Cell<isize> = const { Cell::new(0) };
    static MOST_BYTES: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let live = LIVE_BYTES.get() + bytes;
    LIVE_BYTES.set(live);
    MOST_BYTES.set(MOST_BYTES.get().max(live));
}

// SAFETY: the system's allocator does it all; it is only counted.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most that `work` had of the heap at one time, beyond what there was before, and what it left there.
fn heap_of<T>(work: impl FnOnce() -> T) -> (T, isize, isize) {
    let before = LIVE_BYTES.get();
    MOST_BYTES.set(before);
    let result = work();
    (result, MOST_BYTES.get() - before, LIVE_BYTES.get() - before)
}

/// The regions of a drive, its accounts and what it copies out of them, all told.
const MOST_BYTES_OF_A_DRIVE: isize = 8 << 20;

fn drives(name: &str, bounded: u64, drive: fn(Choices) -> Tally) -> Tally {
    let seconds = std::env::var("MEMCPY_SELECT_TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    let start = Instant::now();
    let mut tally = Tally::default();
    let mut most_bytes = 0;
    // Another first seed goes on where an earlier run ended.
    let first = std::env::var("MEMCPY_SELECT_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut seeds = first..;
    while let Some(seed) = seeds.next()
        && seconds.map_or(seed - first < bounded, |seconds| start.elapsed() < Duration::from_secs(seconds))
    {
        let (one, most, left) = heap_of(|| drive(Choices::seeded(seed)));
        assert!(most < MOST_BYTES_OF_A_DRIVE, "{name}, seed {seed}: {most} bytes of the heap");
        assert_eq!(left, 0, "{name}, seed {seed}: bytes of the heap that were not given back");
        most_bytes = most_bytes.max(most);
        tally += one;
    }
    println!(
        "{name}: {} rounds in {:.1} s, {} hostile calls, {} mutated words and {} of payload, {} accesses checked, {} refused, \
         {} lasted, at most {} KiB",
        tally.refused + tally.lasted,
        start.elapsed().as_secs_f64(),
        tally.calls,
        tally.mutated_words,
        tally.payload_words,
        tally.accesses,
        tally.refused,
        tally.lasted,
        most_bytes / 1024
    );
    tally
}

/// All rounds are so many of the usual ones.
fn times() -> u64 {
    if Effort::chosen() < Effort::Full { 1 } else { 5 }
}

#[test]
fn rings_chains_lists_and_messages_over_hostile_memory() {
    let tally = drives("parts", 3_000 * times(), hostile::parts::drive);
    assert!(tally.mutated_words > 200_000 * times() && tally.calls > 2_000_000 * times(), "{tally:?}");
    let did_both = tally.refused > 20_000 * times() && tally.lasted > 2_000 * times();
    assert!(did_both, "the adversary should do both: {tally:?}");
}

#[test]
fn sessions_over_hostile_memory() {
    let tally = drives("sessions", 800 * times(), hostile::session::drive);
    assert!(tally.mutated_words > 30_000 * times() && tally.calls > 400_000 * times(), "{tally:?}");
    let did_both = tally.refused > 4_000 * times() && tally.lasted > 400 * times();
    assert!(did_both, "the adversary should do both: {tally:?}");
}

/// When each place has been used once, what travels in entries costs neither side an allocation.
#[test]
fn short_payloads_allocate_nothing() {
    let blocks = Blocks { block_bytes: 64, count: 16 };
    let geometry = Geometry { response_stride_bytes: 128, ..Geometry::symmetric(4, 64, blocks) };
    let layout = QueueLayout::of(&geometry).unwrap();
    let queue = Mapped::private(layout.len_bytes).unwrap();
    let data = [(); 2].map(|()| Mapped::private(data_bytes(blocks, Allocator::Owned).unwrap()).unwrap());
    let mut client = ClientSide::new(&geometry, queue.clone(), data[0].clone(), data[1].read_only()).unwrap();
    let mut server = ServerSide::new(&geometry, queue, data[0].read_only(), data[1].clone()).unwrap();
    let mut round = |length: u32| {
        let mut lease = client.data.allocate(length).unwrap();
        lease.write(&client.data.own, 0, &[1; 48], Copier::AUTO);
        client.submit(Request::new(Kind::Write, Flags::DATA, 1, Value(0)), lease).unwrap();
        client
            .submit_copy(Request::new(Kind::Write, Flags::DATA, 1, Value(0)), &[2; 48][..length as usize], Copier::AUTO)
            .unwrap();
        client.submit(Request::new(Kind::Read, Flags::DATA, 1, Value::number(112)), Chain::EMPTY).unwrap();
        client.flush().unwrap();
        while let Some(incoming) = server.take_request().unwrap() {
            let job = incoming.job.unwrap();
            let reply = match incoming.request.kind {
                Kind::Read if length.is_multiple_of(2) => Reply::Bytes(server.lend(2 * length).unwrap()),
                Kind::Read => Reply::Copy(&[3; 48][..length as usize], Copier::AUTO),
                _ => Reply::Value(Value::number(length)),
            };
            server.answer(job, reply).unwrap();
        }
        server.flush();
        while let Some(ticket) = client.poll().unwrap() {
            if let Some(Outcome::Read(chain)) = client.take(ticket) {
                client.release(chain).unwrap();
            }
        }
    };
    let mut rounds = || (1..=48).for_each(&mut round);
    rounds();
    let before = ALLOCATIONS.get();
    rounds();
    assert_eq!(ALLOCATIONS.get(), before, "allocations, when all places were used");
}

/// A server that never takes releases in, and lends the same block again and again, costs its client no memory.
#[test]
fn a_server_that_lends_what_it_did_not_take_back_is_found_out() {
    let blocks = Blocks { block_bytes: 64, count: 16 };
    let geometry = Geometry::symmetric(2, 16, blocks);
    let layout = QueueLayout::of(&geometry).unwrap();
    let queue = Mapped::private(layout.len_bytes).unwrap();
    let data = [(); 2].map(|()| Mapped::private(data_bytes(blocks, Allocator::Owned).unwrap()).unwrap());
    let mut client = ClientSide::new(&geometry, queue.clone(), data[0].clone(), data[1].read_only()).unwrap();
    let mut requests = memcpy_select::transport::ring::Consumer::<_, 4>::new(queue.clone(), layout.requests);
    let mut responses = memcpy_select::transport::ring::Producer::<_, 3>::new(queue, layout.responses);
    let (result, most_bytes, _) = heap_of(|| {
        (0..100_000).try_for_each(|_| {
            let args = Value::number(64);
            let ticket = client.submit(Request::new(Kind::Read, Flags::DATA, 1, args), Chain::EMPTY).unwrap();
            client.flush()?;
            let id = JobId(requests.pop().unwrap()[0] >> 8);
            requests.release();
            let value = Value::slice(Slice { block: 3, length: 64 });
            responses.push(Response { has_object: false, has_more: false, id, value }.to_entry()).unwrap();
            responses.publish();
            assert_eq!(client.poll()?, Some(ticket));
            let Some(Outcome::Read(chain)) = client.take(ticket) else { panic!("no bytes") };
            client.release(chain)
        })
    });
    assert!(result.is_err(), "100000 loans of one block, none of them taken back");
    assert!(most_bytes < 64 << 10, "{most_bytes} bytes for releases that nobody takes");
}
