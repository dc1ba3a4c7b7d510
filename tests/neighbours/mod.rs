//! A table that serves several clients, one of them honest, and what this process has open: for tests in which another
//! client is hostile, or dies.

#![allow(dead_code, reason = "each test file uses its own part")]

#[path = "../suite/cases.rs"]
pub mod cases;
#[path = "../suite/rng.rs"]
pub mod rng;
#[path = "../suite/sys.rs"]
pub mod sys;

use memcpy_select::transport::{
    Address, Allocator, Blocks, Client, ClientOptions, Event, Geometry, Handle, SessionError, Table, TableOptions,
};
use rng::Rng;
use std::io::SeekFrom;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use memcpy_select::lab::neighbours::{LONG, Program, until};

const SOON: Duration = Duration::from_millis(20);

/// One test of a file at a time: they count what the process has open. The test's thread gets a name that no other has, and
/// the threads that it starts have the same.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let guard = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let name = format!("alone-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    std::fs::write("/proc/thread-self/comm", name).unwrap();
    guard
}

/// Runs the test that asks in a process of its own, so that several of a file can run at the same time though each counts what its
/// process has open: true where that was done. False in that process, and where tests run one after the other.
pub fn apart() -> bool {
    let this = thread::current();
    let is_asked_for = |name: &&str| *name != "main" && !std::env::args().any(|word| word == "--exact");
    let Some(name) = this.name().filter(is_asked_for) else { return false };
    let mut process = std::process::Command::new(std::env::current_exe().unwrap());
    let status = process.args(["--exact", name, "--nocapture"]).stdout(std::process::Stdio::null()).status().unwrap();
    assert!(status.success(), "{name} in a process of its own: {status}");
    true
}

/// An address that nobody else has.
pub fn address() -> Address {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Address::Abstract(format!("memcpy-select-neighbours-{}-{number}", std::process::id()))
}

/// Short rings and few blocks, so that they come round often.
pub fn geometry(allocator: Allocator) -> Geometry {
    let blocks = Blocks { block_bytes: 1024, count: 64 };
    // Short payloads too are in blocks.
    Geometry { allocator, ..Geometry::symmetric(8, 16, blocks) }
}

/// What a served table has seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub joined: u64,
    pub jobs: u64,
    /// Who left, why, and when that was noticed.
    pub left: Vec<(SessionError, Instant)>,
}

/// A thread that serves a table.
pub struct Server {
    pub address: Address,
    pub seen: Arc<Mutex<Seen>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(options: TableOptions) -> Self {
        let address = address();
        let mut table = Table::create(&address, options).unwrap();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let is_over: Arc<AtomicBool> = Arc::default();
        let thread = thread::spawn({
            let (seen, is_over) = (Arc::clone(&seen), Arc::clone(&is_over));
            move || {
                let mut program = Program::default();
                while !is_over.load(Ordering::Relaxed) {
                    match table.next(SOON).unwrap() {
                        Some(Event::Joined(_)) => seen.lock().unwrap().joined += 1,
                        Some(Event::Job(job)) => {
                            seen.lock().unwrap().jobs += 1;
                            program.answer(&mut table, job);
                        }
                        Some(Event::Left { client, why }) => {
                            seen.lock().unwrap().left.push((why, Instant::now()));
                            program.forget(client);
                        }
                        Some(_) | None => {}
                    }
                }
            }
        });
        Self { address, seen, is_over, thread: Some(thread) }
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let result = self.thread.take().unwrap().join();
        assert!(thread::panicking() || result.is_ok(), "the server's thread panicked");
    }
}

/// A thread with an honest client, which checks every byte that it gets back.
pub struct Honest {
    rounds: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Honest {
    pub fn start(address: &Address, pause: Duration) -> Self {
        let mut client = Client::connect(address, ClientOptions::default().limit(LONG)).unwrap();
        let rounds: Arc<AtomicU64> = Arc::default();
        let is_over: Arc<AtomicBool> = Arc::default();
        let thread = thread::spawn({
            let (rounds, is_over) = (Arc::clone(&rounds), Arc::clone(&is_over));
            move || {
                let mut rng = Rng::new(1);
                while !is_over.load(Ordering::Relaxed) {
                    round(&mut client, &mut rng);
                    rounds.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(pause);
                }
                assert_eq!(client.in_flight(), 0);
                // All blocks of this side are free; of a list that both sides use, the server keeps some for itself.
                let all = client.max_write_bytes();
                let is_shared = client.geometry().allocator == Allocator::Shared;
                drop(client.lease(if is_shared { all * 3 / 4 } else { all }).unwrap());
            }
        });
        Self { rounds, is_over, thread: Some(thread) }
    }

    /// Waits until it has done all of one more round.
    pub fn is_served(&self) {
        let before = self.rounds.load(Ordering::Relaxed);
        until("the honest client is served", || self.rounds.load(Ordering::Relaxed) >= before + 2);
    }

    pub fn rounds(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }
}

impl Drop for Honest {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let result = self.thread.take().unwrap().join();
        assert!(thread::panicking() || result.is_ok(), "the honest client's thread panicked");
    }
}

/// One of everything, with the bytes compared.
pub fn round(client: &mut Client, rng: &mut Rng) {
    let name = vec![b'n'; 1 + rng.below(3000)];
    let handle = client.open(&name).unwrap();
    assert_eq!(handle.0 as usize, name.len());
    let mut bytes = vec![0; rng.below(20_000)];
    rng.fill(&mut bytes);
    assert_eq!(client.write(handle, &bytes).unwrap(), bytes.len());
    let mut got = vec![0; bytes.len()];
    assert_eq!(client.read(handle, &mut got).unwrap(), bytes.len());
    assert!(got == bytes, "other bytes than were written");
    let view = client.read_in_place(handle, bytes.len()).unwrap();
    assert!(view.to_vec() == bytes, "other bytes than were written");
    drop(view);
    let position = rng.next() >> 1;
    assert_eq!(client.seek(Handle(1), SeekFrom::Start(position)).unwrap(), position);
    client.close(handle).unwrap();
}

/// What this process has: descriptors, threads of this test, mappings of shared memory. (Regions have no names, and so there are no
/// files to be left.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belongings {
    pub descriptors: usize,
    pub threads: usize,
    pub mappings: usize,
}

impl Belongings {
    pub fn now() -> Self {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        // One that ends meanwhile has no name any more.
        let is_ours =
            |path: std::path::PathBuf| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm == name);
        Self {
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            // While threads end the list may lack some. This one is there.
            threads: tasks.filter(|task| task.as_ref().is_ok_and(|task| is_ours(task.path()))).count().max(1),
            mappings: maps.lines().filter(|line| line.contains("memfd:")).count(),
        }
    }

    /// Waits until there is no more than there was then.
    pub fn are_back(self) {
        let start = Instant::now();
        while !self.are_now() {
            assert!(start.elapsed() < LONG, "left over: {:?}, of {self:?} before", Self::now());
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Whether there is no more now: of what ended just before, some may have been counted then.
    pub fn are_now(self) -> bool {
        let now = Self::now();
        now.descriptors <= self.descriptors && now.threads <= self.threads && now.mappings <= self.mappings
    }
}
