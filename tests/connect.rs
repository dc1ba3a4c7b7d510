//! Promise: two sides come together only if each is what it says, within their time, and a failure leaves nothing behind.

#![cfg(target_os = "linux")]

mod suite;

use memcpy_select::transport::connect::{
    Address, Channel, ConnectError, Greeted, Greeting, JoinOptions, Joined, Listener, OwnRegion, Parcel, Peers,
    Refusal, Step, Woken, join, join_over,
};
use memcpy_select::transport::memory::{Access, Load, Memory, Store};
use memcpy_select::transport::region::{PAGE_BYTES, Promise, Region, RegionOptions, Sealing};
use memcpy_select::transport::ring::Publication;
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
        capacity: 8,
        request_stride_bytes: 16,
        response_stride_bytes: 12,
        publication: Publication::Index,
        allocator,
        client_blocks: Blocks { block_bytes: 4096, count: 4 },
        server_blocks: Blocks { block_bytes: 4096, count: 4 },
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
    JoinOptions { limit, ..JoinOptions::default() }
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
            Step::Asked => greeting.offer(geometry(allocator), region(PAGE_BYTES), &data, true)?,
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
    for &(at, word) in [(8, 1), (12, kind)].iter().chain(words) {
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

const HELLO: u32 = 1;
const WELCOME: u32 = 2;
const READY: u32 = 3;
const GO: u32 = 4;
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

#[test]
fn both_sides_share_what_they_should_and_no_more() {
    let _turn = turn();
    let (server, client) = session(Allocator::Owned);
    assert_eq!((server.geometry, client.geometry), (geometry(Allocator::Owned), geometry(Allocator::Owned)));
    client.queue.memory().store32(64, 7, Store::Release);
    assert_eq!(server.queue.memory().load32(64, Load::Acquire), 7);
    server.queue.memory().store32(64, 8, Store::Release);
    assert_eq!(client.queue.memory().load32(64, Load::Acquire), 8);

    let (own, seen) = (client.own_data.unwrap(), server.client_data.unwrap());
    own.memory().store32(4096, 9, Store::Release);
    assert_eq!(seen.memory().load32(4096, Load::Acquire), 9);
    assert_eq!((seen.memory().access(), client.data.memory().access()), (Access::Read, Access::Read));
    // Neither side can take pages away from under the other, nor make the other's memory writable.
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    for descriptor in [client.queue.descriptor(), client.data.descriptor(), seen.descriptor(), own.descriptor()] {
        assert_eq!(rustix::fs::fallocate(descriptor, punch, 0, 4096), Err(Errno::PERM));
        let again = Region::open(
            descriptor.try_clone_to_owned().unwrap(),
            Promise { len_bytes: rustix::fs::fstat(descriptor).unwrap().st_size as usize, sealing: Sealing::Size },
            Access::ReadWrite,
            false,
        );
        assert!(matches!(again, Err(RegionError::Map { .. })));
    }
}

#[test]
fn a_shared_region_is_written_by_both() {
    let _turn = turn();
    let (server, client) = session(Allocator::Shared);
    assert!(server.client_data.is_none() && client.own_data.is_none());
    assert_eq!(client.data.memory().access(), Access::ReadWrite);
}

/// A folder of this test's own, removed with everything in it.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("memcpy-select-connect-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn addresses_lead_to_their_listener_and_leave_no_file() {
    let _turn = turn();
    let folder = Folder::new();
    let path = folder.0.join("table");
    let name = format!("@memcpy-select-connect-{}", std::process::id());
    for text in [name.as_str(), path.to_str().unwrap()] {
        let address = Address::parse(text).unwrap();
        assert_eq!(address.to_string(), text);
        let mut listener = Listener::bind(&address, Peers::SameUser).unwrap();
        assert!(listener.accept(LONG).unwrap().is_none());
        assert!(Listener::bind(&address, Peers::SameUser).is_err(), "one listener an address");
        let client = {
            let address = address.clone();
            thread::spawn(move || join(&address, options(LONG)))
        };
        let server = loop {
            let Some(greeting) = listener.accept(LONG).unwrap() else {
                thread::sleep(Duration::from_millis(1));
                continue;
            };
            match serve(greeting, Allocator::Owned) {
                // The one that looked whether somebody listens here.
                Err(ConnectError::PeerGone) => {}
                result => break result.unwrap(),
            }
        };
        let client = client.join().unwrap().unwrap();
        assert_eq!(server.channel.peer_user(), Some(rustix::process::geteuid().as_raw()));
        assert!(!client.channel.is_gone());
        drop((server, listener));
        assert!(client.channel.is_gone());
        assert!(matches!(join(&address, options(LONG)), Err(ConnectError::Socket { .. })));
    }
    // What a killed server leaves: a file that nobody listens at.
    drop(UnixListener::bind(&path).unwrap());
    let listener = Listener::bind(&Address::Path(path.clone()), Peers::SameUser).unwrap();
    // A file that came to stand there meanwhile is not this listener's to remove.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "kept").unwrap();
    drop(listener);
    assert!(Listener::bind(&Address::Path(path.clone()), Peers::SameUser).is_err(), "not a socket");
    assert_eq!(std::fs::read(&path).unwrap(), b"kept");
    for text in ["", "@", "table"] {
        assert!(Address::parse(text).unwrap_err().to_string().contains("write @name"));
    }
}

#[test]
fn what_is_not_a_table_is_named_so() {
    let _turn = turn();
    let greets = |socket: UnixStream| {
        receive(&socket);
        send(&socket, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", &[]);
    };
    assert!(matches!(client_of(greets, LONG), ConnectError::NotATable));
    let asks = |socket: UnixStream| {
        send(&socket, b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html, */*\r\n\r\n\r\n\r\n", &[]);
    };
    let error = server_of(asks, LONG);
    assert!(matches!(error, ConnectError::NotATable));
    assert!(error.to_string().starts_with("not a table socket"));
}

#[test]
fn versions_must_match_and_both_sides_hear_of_it() {
    let _turn = turn();
    let newer = |socket: UnixStream| {
        receive(&socket);
        send(&socket, &welcome(&[(8, 2)]), &[]);
    };
    assert!(matches!(client_of(newer, LONG), ConnectError::Version { ours: 1, theirs: 2 }));
    // A server of another version refuses, and says which it speaks.
    let refuses = |socket: UnixStream| {
        receive(&socket);
        send(&socket, &message(5, &[(8, 9), (16, 1)]), &[]);
    };
    assert!(matches!(client_of(refuses, LONG), ConnectError::Version { ours: 1, theirs: 9 }));
    let newer = |socket: UnixStream| {
        send(&socket, &message(HELLO, &[(8, 2)]), &[]);
        assert_eq!(receive(&socket), message(5, &[(16, 1)]));
    };
    assert!(matches!(server_of(newer, LONG), ConnectError::Version { ours: 1, theirs: 2 }));
}

#[test]
fn a_server_that_is_full_says_so() {
    let _turn = turn();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let client = thread::spawn(move || join_over(theirs, options(LONG)));
    let mut greeting = Greeting::over(ours, LONG);
    while greeting.step().unwrap() != Step::Asked {
        thread::yield_now();
    }
    greeting.refuse(Refusal::Full);
    assert!(matches!(client.join().unwrap(), Err(ConnectError::Refused { reason: Refusal::Full })));
    assert!(greeting.step().is_err() && greeting.finish().is_err());
}

#[test]
fn messages_out_of_place_are_refused() {
    let _turn = turn();
    for kind in [0, WELCOME, GO, WAKE, 8, u32::MAX] {
        let sends = move |socket: UnixStream| send(&socket, &message(kind, &[]), &[]);
        let error = server_of(sends, LONG);
        let is_named = matches!(error, ConnectError::Message { kind: found } if found == kind);
        assert!(is_named || matches!(error, ConnectError::Descriptors { expected: 2, found: 0 }), "{kind}: {error}");
        if kind != WELCOME {
            let sends = move |socket: UnixStream| {
                receive(&socket);
                send(&socket, &message(kind, &[]), &[]);
            };
            let error = client_of(sends, LONG);
            assert!(matches!(error, ConnectError::Message { kind: found } if found == kind), "{kind}: {error}");
        }
    }
    let twice = |socket: UnixStream| {
        send(&socket, &message(HELLO, &[]), &[]);
        send(&socket, &message(HELLO, &[]), &[]);
        receive_all(&socket);
    };
    assert!(matches!(server_of(twice, LONG), ConnectError::Message { kind: HELLO }));
    let too_soon = |socket: UnixStream| send(&socket, &message(READY, &[]), &[]);
    assert!(matches!(server_of(too_soon, LONG), ConnectError::Message { kind: READY }));
}

#[test]
fn too_few_and_too_many_descriptors_are_refused_and_closed() {
    let _turn = turn();
    for count in [0, 1, 3, 64] {
        let sends = move |socket: UnixStream| {
            receive(&socket);
            let object = memfd(PAGE_BYTES, SIZE);
            send(&socket, &welcome(&[]), &vec![object.as_fd(); count]);
        };
        let error = client_of(sends, LONG);
        let ConnectError::Descriptors { expected: 2, found } = error else { panic!("{count}: {error}") };
        assert!(found == count || (2..count).contains(&found), "{count}: {found}");
    }
    for count in [1, 2, 64] {
        let sends = move |socket: UnixStream| {
            let object = memfd(PAGE_BYTES, WRITING);
            send(&socket, &message(HELLO, &[]), &vec![object.as_fd(); count]);
        };
        let error = server_of(sends, LONG);
        assert!(matches!(error, ConnectError::Descriptors { .. }), "{count}: {error}");
    }
    // One with each byte.
    let sends = |socket: UnixStream| {
        let object = memfd(PAGE_BYTES, WRITING);
        for byte in message(HELLO, &[]) {
            send_if_open(&socket, &[byte], object.as_fd());
        }
    };
    assert!(matches!(server_of(sends, LONG), ConnectError::Descriptors { .. }));
    for (count, named) in [(0, 0), (2, 4 * 4096), (1, 0), (64, 4 * 4096), (0, 4 * 4096)] {
        let sends = move |socket: UnixStream| {
            send(&socket, &message(HELLO, &[]), &[]);
            receive(&socket);
            let own = memfd(4 * PAGE_BYTES, WRITING);
            send(&socket, &message(READY, &[(56, named)]), &vec![own.as_fd(); count]);
        };
        let error = server_of(sends, LONG);
        assert!(matches!(error, ConnectError::Descriptors { .. }), "{count}: {error}");
    }
}

fn send_if_open(socket: &UnixStream, bytes: &[u8], descriptor: BorrowedFd<'_>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let _ = rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
}

#[test]
fn absurd_numbers_are_refused() {
    let _turn = turn();
    let absurd = [
        (16, 0),
        (16, 1),
        (16, 3),
        (16, 1 << 16),
        (16, u32::MAX),
        (20, 12 << 16 | 15),
        (20, 12 << 16),
        (20, 11 << 16 | 16),
        (20, u32::MAX),
        (28, 0),
        (28, 4),
        (28, 32),
        (28, 4095),
        (28, 1 << 31),
        (32, 0),
        (32, u32::MAX),
        (36, 0),
        (36, 4097),
        (40, 0),
        (40, 5),
        (40, u32::MAX),
        (52, 1),
        (56, 0),
        (56, 4096),
        (60, 1),
        (24, 1 << 8),
    ];
    for change in absurd {
        let sends = move |socket: UnixStream| {
            receive(&socket);
            let (queue, data) = (memfd(PAGE_BYTES, SIZE), memfd(4 * PAGE_BYTES, WRITING));
            // The blocks of a shared region are one and the same.
            let differs = if change == (24, 1 << 8) { vec![change, (28, 8192)] } else { vec![change] };
            send(&socket, &welcome(&differs), &[queue.as_fd(), data.as_fd()]);
            assert_eq!(receive(&socket), message(5, &[(16, 3)]), "the server hears of it at once");
        };
        let error = client_of(sends, LONG);
        assert!(matches!(error, ConnectError::Geometry(_)), "{change:?}: {error}");
    }
    let unknown = [(24, 2), (24, 2 << 8)];
    for change in unknown {
        let sends = move |socket: UnixStream| {
            receive(&socket);
            let object = memfd(PAGE_BYTES, SIZE);
            send(&socket, &welcome(&[change]), &[object.as_fd(), object.as_fd()]);
        };
        assert!(matches!(client_of(sends, LONG), ConnectError::Message { kind: WELCOME }), "{change:?}");
    }
    // A server's own mistakes are found before anything is sent.
    let (ours, theirs) = UnixStream::pair().unwrap();
    send(&theirs, &message(HELLO, &[]), &[]);
    let mut greeting = Greeting::over(ours, LONG);
    let data = server_data(Allocator::Owned);
    assert!(greeting.offer(geometry(Allocator::Owned), region(PAGE_BYTES), &data, false).is_err(), "nobody asked");
    assert_eq!(greeting.step().unwrap(), Step::Asked);
    let wrong = Geometry { capacity: 3, ..geometry(Allocator::Owned) };
    let error = greeting.offer(wrong, region(PAGE_BYTES), &data, false).unwrap_err();
    assert!(matches!(error, ConnectError::Geometry(error) if error.found == 3));
    let error = greeting.offer(geometry(Allocator::Owned), region(PAGE_BYTES), &region(PAGE_BYTES), false).unwrap_err();
    assert!(matches!(error, ConnectError::Geometry(error) if error.found == 4096));
}

#[test]
fn limits_are_the_clients_own() {
    let _turn = turn();
    for limits in [
        Limits { max_queue_bytes: 4095, ..Limits::default() },
        Limits { max_data_bytes: 4 * 4096 - 1, ..Limits::default() },
    ] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || serve(Greeting::over(ours, LONG), Allocator::Owned));
        let error = join_over(theirs, JoinOptions { limits, ..options(LONG) }).unwrap_err();
        assert!(matches!(error, ConnectError::Geometry(_)), "{error}");
        let error = server.join().unwrap().unwrap_err();
        assert!(matches!(error, ConnectError::Refused { reason: Refusal::Handshake }), "{error}");
    }
}

#[test]
fn regions_that_are_not_what_was_promised_are_refused() {
    let _turn = turn();
    let none = SealFlags::empty();
    for (queue, data) in [
        ((PAGE_BYTES, none), (4 * PAGE_BYTES, WRITING)),
        ((PAGE_BYTES, SealFlags::SHRINK), (4 * PAGE_BYTES, WRITING)),
        ((2 * PAGE_BYTES, SIZE), (4 * PAGE_BYTES, WRITING)),
        ((PAGE_BYTES, WRITING), (4 * PAGE_BYTES, WRITING)),
        ((PAGE_BYTES, SIZE), (4 * PAGE_BYTES, none)),
        ((PAGE_BYTES, SIZE), (4 * PAGE_BYTES, SIZE)),
        ((PAGE_BYTES, SIZE), (3 * PAGE_BYTES, WRITING)),
    ] {
        let sends = move |socket: UnixStream| {
            receive(&socket);
            let (queue, data) = (memfd(queue.0, queue.1), memfd(data.0, data.1));
            send(&socket, &welcome(&[]), &[queue.as_fd(), data.as_fd()]);
        };
        let error = client_of(sends, LONG);
        assert!(matches!(error, ConnectError::Region(_)), "{queue:?} {data:?}: {error}");
    }
    for (len_bytes, seals) in [(4 * PAGE_BYTES, SIZE), (4 * PAGE_BYTES, none), (5 * PAGE_BYTES, WRITING)] {
        let sends = move |socket: UnixStream| {
            send(&socket, &message(HELLO, &[]), &[]);
            receive(&socket);
            let own = memfd(len_bytes, seals);
            send(&socket, &message(READY, &[(56, 4 * 4096)]), &[own.as_fd()]);
            assert_eq!(receive(&socket), message(5, &[(16, 3)]));
        };
        let error = server_of(sends, LONG);
        assert!(matches!(error, ConnectError::Region(_)), "{len_bytes} {seals:?}: {error}");
    }
    // The server does not seal the queue region.
    let sends = |socket: UnixStream| {
        receive(&socket);
        let (queue, data) = (memfd(PAGE_BYTES, SIZE), memfd(4 * PAGE_BYTES, WRITING));
        send(&socket, &welcome(&[]), &[queue.as_fd(), data.as_fd()]);
        receive(&socket);
        send(&socket, &message(GO, &[]), &[]);
    };
    assert!(matches!(client_of(sends, LONG), ConnectError::Region(RegionError::NotSealed { .. })));
}

#[test]
fn a_client_that_seals_the_queue_itself_does_no_harm() {
    let _turn = turn();
    for (seals, is_served) in [(SealFlags::FUTURE_WRITE | SealFlags::SEAL, true), (SealFlags::SEAL, false)] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let client = thread::spawn(move || {
            send(&theirs, &message(HELLO, &[]), &[]);
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
            let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
            let mut bytes = [0; 64];
            let into = &mut [std::io::IoSliceMut::new(&mut bytes)];
            let flags = rustix::net::RecvFlags::CMSG_CLOEXEC;
            rustix::net::recvmsg(&theirs, into, &mut control, flags).unwrap();
            for message in control.drain() {
                if let rustix::net::RecvAncillaryMessage::ScmRights(mut descriptors) = message {
                    rustix::fs::fcntl_add_seals(descriptors.next().unwrap(), seals).unwrap();
                    descriptors.for_each(drop);
                }
            }
            let own = memfd(4 * PAGE_BYTES, WRITING);
            send(&theirs, &message(READY, &[(56, 4 * 4096)]), &[own.as_fd()]);
            receive(&theirs)
        });
        let result = serve(Greeting::over(ours, LONG), Allocator::Owned);
        let told = client.join().unwrap();
        if is_served {
            assert!(result.unwrap().queue.is_sealed(Sealing::SizeAndWriting).unwrap());
            assert_eq!(told, message(GO, &[]));
        } else {
            assert!(matches!(result.unwrap_err(), ConnectError::Region(RegionError::Seal { .. })));
            assert_eq!(told, message(5, &[(16, 3)]));
        }
    }
}

#[test]
fn a_slow_peer_is_given_up() {
    let _turn = turn();
    let silent = |socket: UnixStream| drop(receive_all(&socket));
    let error = client_of(silent, SHORT);
    assert!(matches!(error, ConnectError::Timeout { limit: SHORT }), "{error}");
    let half = |socket: UnixStream| {
        send(&socket, &welcome(&[])[..63], &[]);
        receive_all(&socket);
    };
    assert!(matches!(client_of(half, SHORT), ConnectError::Timeout { .. }));
    let no_go = |socket: UnixStream| {
        receive(&socket);
        let (queue, data) = (memfd(PAGE_BYTES, SIZE), memfd(4 * PAGE_BYTES, WRITING));
        send(&socket, &welcome(&[]), &[queue.as_fd(), data.as_fd()]);
        receive_all(&socket);
    };
    assert!(matches!(client_of(no_go, SHORT), ConnectError::Timeout { .. }));
    for sent in [0, 1, 63] {
        let stops = move |socket: UnixStream| {
            send(&socket, &message(HELLO, &[])[..sent], &[]);
            receive_all(&socket);
        };
        assert!(matches!(server_of(stops, SHORT), ConnectError::Timeout { .. }), "{sent}");
    }
    let no_ready = |socket: UnixStream| {
        send(&socket, &message(HELLO, &[]), &[]);
        receive_all(&socket);
    };
    assert!(matches!(server_of(no_ready, SHORT), ConnectError::Timeout { .. }));
    // Byte by byte is slow, but it is in time.
    let drips = |socket: UnixStream| {
        for byte in message(HELLO, &[]) {
            send(&socket, &[byte], &[]);
        }
        receive(&socket);
        let own = memfd(4 * PAGE_BYTES, WRITING);
        let ready = message(READY, &[(56, 4 * 4096)]);
        send(&socket, &ready[..1], &[own.as_fd()]);
        for byte in &ready[1..] {
            send(&socket, &[*byte], &[]);
        }
        assert_eq!(receive(&socket), message(GO, &[]));
    };
    let (ours, theirs) = UnixStream::pair().unwrap();
    let client = thread::spawn(move || drips(theirs));
    serve(Greeting::over(ours, LONG), Allocator::Owned).unwrap();
    client.join().unwrap();
}

/// Everything until the other side hangs up.
fn receive_all(mut socket: &UnixStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes);
    bytes
}

#[test]
fn a_listener_without_an_accept_is_given_up_too() {
    let _turn = turn();
    let name = format!("@memcpy-select-backlog-{}", std::process::id());
    let address = Address::parse(&name).unwrap();
    let _listener = Listener::bind(&address, Peers::SameUser).unwrap();
    let error = join(&address, options(SHORT)).unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
}

#[test]
fn a_peer_that_dies_in_the_middle_is_noticed() {
    let _turn = turn();
    for sent in [0, 1, 64] {
        let dies = move |socket: UnixStream| {
            receive(&socket);
            let (queue, data) = (memfd(PAGE_BYTES, SIZE), memfd(4 * PAGE_BYTES, WRITING));
            if sent > 0 {
                send(&socket, &welcome(&[])[..sent], &[queue.as_fd(), data.as_fd()]);
            }
        };
        let error = client_of(dies, LONG);
        assert!(matches!(error, ConnectError::PeerGone), "{sent}: {error}");
        let dies = move |socket: UnixStream| send(&socket, &message(HELLO, &[])[..sent], &[]);
        let error = server_of(dies, LONG);
        assert!(matches!(error, ConnectError::PeerGone), "{sent}: {error}");
    }
    let dies = |socket: UnixStream| {
        send(&socket, &message(HELLO, &[]), &[]);
        receive(&socket);
        let own = memfd(4 * PAGE_BYTES, WRITING);
        send(&socket, &message(READY, &[(56, 4 * 4096)])[..40], &[own.as_fd()]);
    };
    assert!(matches!(server_of(dies, LONG), ConnectError::PeerGone));
}

#[test]
fn a_wake_is_received_and_never_waits() {
    let _turn = turn();
    let (server, mut client) = session(Allocator::Owned);
    assert!(!server.channel.drain().unwrap());
    assert_eq!(client.channel.wait(SHORT).unwrap(), Woken::TimedOut);
    client.channel.wake().unwrap();
    server.channel.wake().unwrap();
    assert!(server.channel.drain().unwrap() && !server.channel.drain().unwrap());
    assert_eq!(client.channel.wait(LONG).unwrap(), Woken::Received);
    assert_eq!(client.channel.wait(Duration::ZERO).unwrap(), Woken::TimedOut);
    // Nobody reads: a wake that does not fit is not needed.
    for _ in 0..10_000 {
        client.channel.wake().unwrap();
        server.channel.wake().unwrap();
    }
    assert!(server.channel.drain().unwrap());
    assert_eq!(client.channel.wait(LONG).unwrap(), Woken::Received);
    // Whoever clears the flag of a descriptor for all its copies cannot make the other side wait.
    let flags = rustix::fs::fcntl_getfl(&client.channel).unwrap();
    rustix::fs::fcntl_setfl(&client.channel, flags.difference(rustix::fs::OFlags::NONBLOCK)).unwrap();
    for _ in 0..10_000 {
        client.channel.wake().unwrap();
    }
    drop(server);
    assert!(matches!(client.channel.wake(), Err(ConnectError::PeerGone)));
    assert!(matches!(drained(&mut client.channel), ConnectError::PeerGone));
}

fn drained(channel: &mut Channel) -> ConnectError {
    for _ in 0..10_000 {
        match channel.wait(LONG) {
            Ok(woken) => assert_eq!(woken, Woken::Received),
            Err(error) => return error,
        }
    }
    panic!("the hang-up is not seen");
}

fn parcel(id: u64) -> Parcel {
    let bytes = PAGE_BYTES as u64;
    Parcel {
        id,
        start_bytes: 0,
        len_bytes: bytes,
        whole_bytes: bytes,
        access: Access::Read,
        sealing: Some(Sealing::Size),
    }
}

#[test]
fn objects_arrive_by_name() {
    let _turn = turn();
    let (server, mut client) = session(Allocator::Owned);
    let objects: Vec<Region> = (0..3).map(|_| region(PAGE_BYTES)).collect();
    for (id, object) in (0..).zip(&objects) {
        object.memory().store32(0, id + 70, Store::Release);
        server.channel.pass(parcel(id.into()), object.descriptor()).unwrap();
        server.channel.wake().unwrap();
    }
    for id in [2, 0, 1] {
        let (named, descriptor) = client.channel.accept_parcel(id, LONG).unwrap();
        assert_eq!(named, parcel(id));
        assert_eq!(rustix::io::fcntl_getfd(&descriptor).unwrap(), rustix::io::FdFlags::CLOEXEC);
        let promise = Promise { len_bytes: named.whole_bytes as usize, sealing: named.sealing.unwrap() };
        let object = Region::open(descriptor, promise, named.access, false).unwrap();
        assert_eq!(u64::from(object.memory().load32(0, Load::Acquire)), id + 70);
    }
    assert!(matches!(client.channel.accept_parcel(3, SHORT), Err(ConnectError::Timeout { .. })));
    drop(server);
    assert!(matches!(client.channel.accept_parcel(3, LONG), Err(ConnectError::PeerGone)));
}

#[test]
fn a_flood_of_objects_ends_the_session_and_leaves_none_open() {
    let _turn = turn();
    let (server, mut client) = session(Allocator::Owned);
    let object = region(PAGE_BYTES);
    let mut passed = 0;
    let error = loop {
        match server.channel.pass(parcel(passed), object.descriptor()) {
            Ok(()) => passed += 1,
            Err(ConnectError::Congested) => {}
            Err(error) => panic!("{error}"),
        }
        match client.channel.wait(Duration::ZERO) {
            Ok(_) => assert!(passed < 1000),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ConnectError::Message { kind: PARCEL }), "{error}");
    // What a client sends a server is never taken in.
    let before = descriptors();
    while client.channel.pass(parcel(0), object.descriptor()).is_ok() {}
    assert!(server.channel.drain().unwrap());
    assert_eq!(descriptors(), before);
}

#[test]
fn a_process_that_dies_is_noticed_even_if_its_child_holds_the_socket() {
    let _turn = turn();
    let name = format!("@memcpy-select-orphan-{}", std::process::id());
    let address = Address::parse(&name).unwrap();
    let mut listener = Listener::bind(&address, Peers::SameUser).unwrap();
    let (told, tell) = rustix::pipe::pipe().unwrap();
    let client = thread::spawn(move || {
        suite::sys::in_child(move || {
            let Ok(_joined) = join(&address, options(LONG)) else { return 1 };
            // The grandchild keeps a copy of the socket until it is told to end; nobody waits for it.
            suite::sys::Child::start(|| {
                let _ = rustix::io::read(&told, &mut [0; 1]);
                0
            });
            0
        })
    });
    let greeting = loop {
        match listener.accept(LONG).unwrap() {
            Some(greeting) => break greeting,
            None => thread::sleep(Duration::from_millis(1)),
        }
    };
    let mut server = serve(greeting, Allocator::Owned).unwrap();
    assert!(server.channel.process().is_some());
    let error = drained(&mut server.channel);
    assert!(matches!(error, ConnectError::PeerGone), "{error}");
    assert_eq!(client.join().unwrap(), suite::sys::End::Exit(0));
    rustix::io::write(&tell, &[1]).unwrap();
}

#[test]
fn without_descriptors_left_clients_are_hung_up_on_and_the_listener_goes_on() {
    let _turn = turn();
    let name = format!("@memcpy-select-full-{}", std::process::id());
    let address = Address::parse(&name).unwrap();
    let mut listener = Listener::bind(&address, Peers::SameUser).unwrap();
    let client = UnixStream::connect_addr(&{
        use std::os::linux::net::SocketAddrExt;
        std::os::unix::net::SocketAddr::from_abstract_name(&name[1..]).unwrap()
    })
    .unwrap();
    // Take every descriptor there is.
    let usual = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(descriptors() as u64 + 8), ..usual };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let mut taken = Vec::new();
    while let Ok(copy) = listener.as_fd().try_clone_to_owned() {
        taken.push(copy);
    }
    let error = listener.accept(LONG).unwrap_err();
    let again = listener.accept(LONG);
    drop(taken);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, usual).unwrap();
    assert!(matches!(error, ConnectError::Socket { .. }), "{error}");
    assert!(matches!(again, Ok(None)), "nobody is left waiting: {again:?}");
    assert!(receive_all(&client).is_empty(), "hung up on");
}

#[test]
fn a_supplied_region_serves_as_the_clients_own() {
    let _turn = turn();
    let own = region(4 * PAGE_BYTES);
    own.seal_writing().unwrap();
    own.memory().store32(8, 5, Store::Release);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || serve(Greeting::over(ours, LONG), Allocator::Owned).unwrap());
    let supplied = JoinOptions { own_region: OwnRegion::Supplied(own), ..options(LONG) };
    let _client = join_over(theirs, supplied).unwrap();
    let seen = server.join().unwrap().client_data.unwrap();
    assert_eq!(seen.memory().load32(8, Load::Acquire), 5);
    for (len_bytes, is_sealed) in [(4 * PAGE_BYTES, false), (PAGE_BYTES, true)] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || serve(Greeting::over(ours, LONG), Allocator::Owned));
        let own = region(len_bytes);
        if is_sealed {
            own.seal_writing().unwrap();
        }
        let supplied = JoinOptions { own_region: OwnRegion::Supplied(own), ..options(LONG) };
        let error = join_over(theirs, supplied).unwrap_err();
        assert!(matches!(error, ConnectError::Geometry(_) | ConnectError::Region(_)), "{error}");
        assert!(server.join().unwrap().is_err());
    }
}
