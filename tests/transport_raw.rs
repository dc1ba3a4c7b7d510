//! A client written from the page of the protocol alone: bytes, offsets, system calls, and nothing of the crate's.

#![cfg(target_os = "linux")]

use memcpy_select::transport::{Allocator, Answer, Event, Geometry, Operation, Publication, Table, TableOptions};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

fn message(kind: u32) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..8].copy_from_slice(b"mcsTable");
    bytes[8] = 1;
    bytes[12] = kind as u8;
    bytes
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn long(bytes: &[u8], at: usize) -> usize {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize
}

fn send(socket: &UnixStream, bytes: &[u8; 64], descriptor: Option<&OwnedFd>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors: Vec<_> = descriptor.into_iter().map(|descriptor| descriptor.as_fd()).collect();
    if !descriptors.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    }
    let sent = rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
    assert_eq!(sent, 64);
}

fn receive(socket: &UnixStream) -> ([u8; 64], Vec<OwnedFd>) {
    let mut bytes = [0; 64];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::WAITALL).unwrap();
    assert_eq!((received.bytes, &bytes[..8], word(&bytes, 8)), (64, &b"mcsTable"[..], 1));
    let descriptors = control.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => descriptors.collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    (bytes, descriptors.collect())
}

/// Mapped memory, for as long as the test runs.
#[derive(Clone, Copy)]
struct Raw(*mut u8);

impl Raw {
    fn map(descriptor: &OwnedFd, len_bytes: usize, protection: ProtFlags) -> Self {
        let null = std::ptr::null_mut();
        // SAFETY: a new mapping at an address of the system's choice replaces none.
        let base = unsafe { rustix::mm::mmap(null, len_bytes, protection, MapFlags::SHARED, descriptor, 0) };
        Self(base.unwrap().cast())
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        // SAFETY: the test only names aligned words inside.
        unsafe { AtomicU32::from_ptr(self.0.add(at).cast()) }
    }

    fn write(self, at: usize, bytes: &[u8]) {
        for (byte, value) in bytes.iter().enumerate() {
            // SAFETY: the test only names bytes inside.
            unsafe { self.0.add(at + byte).write_volatile(*value) };
        }
    }

    fn read(self, at: usize, len_bytes: usize) -> Vec<u8> {
        // SAFETY: the test only names bytes inside.
        (0..len_bytes).map(|byte| unsafe { self.0.add(at + byte).read_volatile() }).collect()
    }
}

/// The client of the page: owned blocks, either publication.
struct Page {
    socket: UnixStream,
    queue: Raw,
    own: Raw,
    theirs: Raw,
    capacity: u32,
    strides: [usize; 2],
    is_phase: bool,
    responses_at: usize,
    releases_at: usize,
    tail: u32,
    head: u32,
    releases: u32,
}

impl Page {
    fn connect(socket: UnixStream) -> Self {
        send(&socket, &message(1), None);
        let (welcome, descriptors) = receive(&socket);
        assert_eq!((word(&welcome, 12), descriptors.len(), welcome[25]), (2, 2, 0));
        let strides = word(&welcome, 20);
        let (capacity, strides) = (word(&welcome, 16), [(strides & 0xFFFF) as usize, (strides >> 16) as usize]);
        let own_bytes = word(&welcome, 28) as usize * word(&welcome, 32) as usize;
        let (queue_bytes, data_bytes) = (long(&welcome, 48), long(&welcome, 56));
        let queue = Raw::map(&descriptors[0], queue_bytes, ProtFlags::READ | ProtFlags::WRITE);
        let theirs = Raw::map(&descriptors[1], data_bytes, ProtFlags::READ);

        let own = rustix::fs::memfd_create(c"page", rustix::fs::MemfdFlags::ALLOW_SEALING).unwrap();
        rustix::fs::ftruncate(&own, own_bytes as u64).unwrap();
        let own_memory = Raw::map(&own, own_bytes, ProtFlags::READ | ProtFlags::WRITE);
        use rustix::fs::SealFlags;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE;
        rustix::fs::fcntl_add_seals(&own, seals).unwrap();
        let mut ready = message(3);
        ready[56..].copy_from_slice(&(own_bytes as u64).to_le_bytes());
        send(&socket, &ready, Some(&own));
        assert_eq!(word(&receive(&socket).0, 12), 4);

        let after = |at: usize| at.next_multiple_of(128);
        let responses_at = after(1024 + capacity as usize * strides[0]);
        let releases_at = after(responses_at + capacity as usize * strides[1]);
        let is_phase = welcome[24] == 1;
        let own = own_memory;
        let (tail, head, releases) = (0, 0, 0);
        Self {
            socket,
            queue,
            own,
            theirs,
            capacity,
            strides,
            is_phase,
            responses_at,
            releases_at,
            tail,
            head,
            releases,
        }
    }

    fn lap(&self, index: u32) -> u32 {
        if index / self.capacity % 2 == 0 { 0x80 } else { 0 }
    }

    fn request(&mut self, words: [u32; 4]) {
        assert!(self.tail.wrapping_sub(self.queue.word(128).load(Ordering::Acquire)) < self.capacity);
        let at = 1024 + (self.tail % self.capacity) as usize * self.strides[0];
        for (word, value) in words.iter().enumerate().skip(1) {
            self.queue.word(at + 4 * word).store(*value, Ordering::Relaxed);
        }
        let lap = if self.is_phase { self.lap(self.tail) } else { 0 };
        self.queue.word(at).store(words[0] | lap, Ordering::Release);
        self.tail += 1;
        if !self.is_phase {
            self.queue.word(0).store(self.tail, Ordering::Release);
        }
        self.ring();
    }

    fn ring(&self) {
        std::sync::atomic::fence(Ordering::SeqCst);
        let bell = self.queue.word(768);
        if bell.load(Ordering::Relaxed) != 0 {
            match bell.swap(0, Ordering::Relaxed) {
                1 => {
                    let all = i32::MAX as u32;
                    rustix::thread::futex::wake(bell, rustix::thread::futex::Flags::empty(), all).unwrap();
                }
                2 => send(&self.socket, &message(7), None),
                _ => {}
            }
        }
    }

    /// Job id and value of the next response.
    fn response(&mut self) -> (u32, u64) {
        let at = self.responses_at + (self.head % self.capacity) as usize * self.strides[1];
        loop {
            let is_there = if self.is_phase {
                self.queue.word(at).load(Ordering::Acquire) & 0x80 == self.lap(self.head)
            } else {
                self.queue.word(256).load(Ordering::Acquire) != self.head
            };
            if is_there {
                break;
            }
            thread::yield_now();
        }
        let words = [0, 4, 8].map(|word| self.queue.word(at + word).load(Ordering::Relaxed));
        self.head += 1;
        self.queue.word(384).store(self.head, Ordering::Release);
        (words[0] >> 8, u64::from(words[1]) | u64::from(words[2]) << 32)
    }

    fn release(&mut self, block: u32) {
        let at = self.releases_at + (self.releases % self.capacity) as usize * 4;
        self.queue.word(at).store(block, Ordering::Relaxed);
        self.releases += 1;
        self.queue.word(512).store(self.releases, Ordering::Release);
    }
}

const LONG: usize = 3 * 4096 + 5;

/// One object, under the name `page`; its bytes are what was written last.
fn serve(mut table: Table, is_over: &AtomicBool) {
    let mut bytes = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        match table.next(Duration::from_millis(20)).unwrap() {
            Some(Event::Job(job)) => {
                let payload = table.payload(&job).to_vec();
                let answer = match job.operation() {
                    Operation::Open if payload == b"page" => Answer::Handle(0x0102_0304),
                    Operation::Write { handle: 0x0102_0304 } => {
                        bytes = payload;
                        Answer::Amount(bytes.len() as u32)
                    }
                    Operation::Read { handle: 0x0102_0304, amount, .. } => {
                        Answer::Bytes(&bytes[..bytes.len().min(amount as usize)])
                    }
                    Operation::Seek { to: std::io::SeekFrom::End(-2), .. } => Answer::Position(u64::MAX >> 1),
                    _ => Answer::Error(memcpy_select::transport::ErrorCode::NOT_FOUND),
                };
                table.answer(job, answer);
            }
            Some(Event::Closed { handle, .. }) => assert_eq!(handle, 0x0102_0304),
            _ => {}
        }
    }
}

#[test]
fn a_client_written_from_the_page_is_served() {
    for publication in [Publication::Index, Publication::Phase] {
        let blocks = memcpy_select::transport::Blocks { block_bytes: 4096, count: 16 };
        let geometry = Geometry {
            capacity: 4,
            publication,
            allocator: Allocator::Owned,
            response_stride_bytes: 12,
            client_blocks: blocks,
            server_blocks: blocks,
            ..TableOptions::GEOMETRY
        };
        let (ours, theirs) = UnixStream::pair().unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let is_over = &is_over;
            scope.spawn(move || {
                let mut table = Table::without_address(TableOptions { geometry, ..TableOptions::default() }).unwrap();
                table.adopt(theirs).unwrap();
                serve(table, is_over);
            });
            let _over = Over(is_over);
            let mut page = Page::connect(ours);
            // Open: the name in block 7.
            page.own.write(7 * 4096, b"page");
            page.request([2 | 1 << 8, 0, 7, 4]);
            assert_eq!(page.response(), (1, 0x0102_0304));
            page.request([2 | 2 << 8, 0, 7, 3]);
            assert_eq!(page.response(), (2, 0xFFFF_FFFF_FFFF_F002));
            // Ten rounds, so that every ring goes round more than once.
            for round in 3..13_u32 {
                // Write: a chain of four data blocks, whose list is block 2.
                let bytes: Vec<u8> = (0..LONG).map(|at| (at as u32 * round) as u8).collect();
                let data = [9_u32, 3, 15, 0];
                for (block, part) in data.iter().zip(bytes.chunks(4096)) {
                    page.own.write(*block as usize * 4096, part);
                }
                let list: Vec<u8> = data.iter().flat_map(|block| block.to_le_bytes()).collect();
                page.own.write(2 * 4096, &list);
                page.request([0x31 | round << 8, 0x0102_0304, 2, LONG as u32]);
                assert_eq!(page.response(), (round, LONG as u64));
                // Read: the same bytes, in a chain of the server's.
                page.request([0x30 | round << 8, 0x0102_0304, LONG as u32 + 100, 0]);
                let (id, value) = page.response();
                assert_eq!((id, value >> 32), (round, LONG as u64));
                let list = page.theirs.read(value as u32 as usize * 4096, 16);
                let got: Vec<u8> =
                    (0..4).flat_map(|at| page.theirs.read(word(&list, 4 * at) as usize * 4096, 4096)).collect();
                assert_eq!(got[..LONG], bytes);
                page.release(value as u32);
            }
            page.request([8 | 20 << 8, 0x0102_0304, -2_i32 as u32, u32::MAX]);
            assert_eq!(page.response(), (20, u64::MAX >> 1));
            page.request([3, 0x0102_0304, 0, 0]);
            page.request([0x30 | 21 << 8, 9, 1, 0]);
            assert_eq!(page.response(), (21, 0xFFFF_FFFF_FFFF_F002));
        });
    }
}

/// Says that it is over when it is dropped, also by a test that fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
