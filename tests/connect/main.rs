//! Promise: two sides come together only if each is what it says, within their time, and a failure leaves nothing behind.

#![cfg(target_os = "linux")]

mod ends;
mod handshake;
mod limits;
mod places;
mod refusals;
#[path = "../roles/mod.rs"]
mod roles;
#[path = "../suite/mod.rs"]
mod suite;

use memcpy_select::transport::connect::{
    Address, Channel, ConnectError, Greeted, Greeting, JoinOptions, Joined, Listener, OwnRegion, Parcel, Peers,
    Refusal, Step, join, join_over,
};
use memcpy_select::transport::memory::{Access, Load, Memory, Store};
use memcpy_select::transport::region::{PAGE_BYTES, Promise, Region, RegionOptions, Sealing};
use memcpy_select::transport::{Allocator, Blocks, Geometry, Limits, RegionError};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Long enough for any machine, for what is to come.
const LONG: Duration = Duration::from_secs(20);
/// For what is not to come.
const SHORT: Duration = Duration::from_millis(100);

/// The tests count the process's descriptors, and so take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Nothing is left over at the end of a turn.
struct Turn {
    descriptors: usize,
    _guard: MutexGuard<'static, ()>,
}

fn turn() -> Turn {
    let guard = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Turn { descriptors: descriptors(), _guard: guard }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(descriptors(), self.descriptors, "descriptors are left open");
        }
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn geometry(allocator: Allocator) -> Geometry {
    Geometry {
        response_stride_bytes: 12,
        allocator,
        ..Geometry::symmetric(8, 16, Blocks { block_bytes: 4096, count: 4 })
    }
}

fn region(len_bytes: usize) -> Region {
    Region::create(len_bytes, RegionOptions::default()).unwrap()
}

fn server_data(allocator: Allocator) -> Region {
    // Shared blocks have their list behind them.
    let blocks = Blocks { block_bytes: 4096, count: 4 };
    let data = region(memcpy_select::transport::session::data_bytes(blocks, allocator).unwrap());
    if allocator == Allocator::Owned {
        data.seal_writing().unwrap();
    }
    data
}

fn options(limit: Duration) -> JoinOptions {
    JoinOptions::default().limit(limit)
}

/// Serves one client as a server does, and returns what it has of the session.
fn serve(mut greeting: Greeting, allocator: Allocator) -> Result<Greeted, ConnectError> {
    let data = server_data(allocator);
    loop {
        match greeting.step()? {
            Step::Pending => {
                let mut one = [rustix::event::PollFd::new(&greeting, rustix::event::PollFlags::IN)];
                let left = greeting.time_left().unwrap_or_default().try_into().unwrap();
                rustix::event::poll(&mut one, Some(&left)).unwrap();
            }
            Step::Asked => greeting.offer(geometry(allocator), &data)?,
            Step::Agreed => return greeting.finish(),
        }
    }
}

/// A session over a pair of sockets, both sides in this process.
fn session(allocator: Allocator) -> (Greeted, Joined) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let client = thread::spawn(move || join_over(theirs, options(LONG)));
    let greeted = serve(Greeting::over(ours, LONG), allocator).unwrap();
    (greeted, client.join().unwrap().unwrap())
}

/// A message as the protocol page says, made here without the crate's code.
fn message(kind: u32, words: &[(usize, u32)]) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..8].copy_from_slice(b"mcsTable");
    for &(at, word) in [(8, 4), (12, kind)].iter().chain(words) {
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

const HELLO: u32 = 1;
const WELCOME: u32 = 2;
const READY: u32 = 3;
const GO: u32 = 4;
const REFUSED: u32 = 5;
const PARCEL: u32 = 6;
const WAKE: u32 = 7;

/// A welcome to a session as above, with some words changed.
fn welcome(changes: &[(usize, u32)]) -> Vec<u8> {
    let usual = [(16, 8), (20, 12 << 16 | 16), (28, 4096), (32, 4), (36, 4096), (40, 4), (48, 4096), (56, 4 * 4096)];
    message(WELCOME, &[&usual[..], changes].concat())
}

fn send(mut socket: &UnixStream, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
    if descriptors.is_empty() {
        return socket.write_all(bytes).unwrap();
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
    let sent = rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).unwrap();
    assert_eq!(sent, bytes.len());
}

fn receive(mut socket: &UnixStream) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    socket.read_exact(&mut bytes).unwrap();
    bytes
}

/// The descriptors that come with the next message.
fn receive_objects(socket: &UnixStream) -> Vec<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 64];
    let into = &mut [std::io::IoSliceMut::new(&mut bytes)];
    rustix::net::recvmsg(socket, into, &mut control, rustix::net::RecvFlags::CMSG_CLOEXEC).unwrap();
    let mut objects = Vec::new();
    for message in control.drain() {
        if let rustix::net::RecvAncillaryMessage::ScmRights(descriptors) = message {
            objects.extend(descriptors);
        }
    }
    objects
}

/// Everything until the other side hangs up.
fn receive_all(mut socket: &UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes);
    bytes
}

/// What a client makes of a server that does `serve` with its socket.
fn client_of(serve: impl FnOnce(UnixStream) + Send + 'static, limit: Duration) -> ConnectError {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || serve(ours));
    let error = join_over(theirs, options(limit)).unwrap_err();
    server.join().unwrap();
    error
}

/// What a server makes of a client that does `join` with its socket.
fn server_of(join: impl FnOnce(UnixStream) + Send + 'static, limit: Duration) -> ConnectError {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let client = thread::spawn(move || join(theirs));
    let error = serve(Greeting::over(ours, limit), Allocator::Owned).unwrap_err();
    client.join().unwrap();
    error
}

fn memfd(len_bytes: usize, seals: SealFlags) -> OwnedFd {
    let descriptor = rustix::fs::memfd_create(c"test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&descriptor, len_bytes as u64).unwrap();
    rustix::fs::fcntl_add_seals(&descriptor, seals).unwrap();
    descriptor
}

const SIZE: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);
const WRITING: SealFlags = SIZE.union(SealFlags::FUTURE_WRITE);
