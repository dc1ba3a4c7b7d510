//! Pages that another thread delivers when they are touched: `userfaultfd`. Linux.
//!
//! Numbers and layouts: `linux/userfaultfd.h`; ioctl_userfaultfd(2).

use super::pages::{PAGE_BYTES, Pages};
use core::ffi::{c_int, c_long, c_ulong, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

unsafe extern "C" {
    fn syscall(number: c_long, ...) -> c_long;
    fn ioctl(file: c_int, request: c_ulong, ...) -> c_int;
    fn read(file: c_int, bytes: *mut c_void, len: usize) -> isize;
    fn poll(files: *mut Poll, count: c_ulong, timeout_ms: c_int) -> c_int;
    fn close(file: c_int) -> c_int;
}

#[repr(C)]
struct Poll {
    file: c_int,
    wanted: i16,
    happened: i16,
}

const USERFAULTFD: c_long = 323;
const O_CLOEXEC: c_int = 0o2_000_000;
const O_NONBLOCK: c_int = 0o4_000;
const POLLIN: i16 = 1;
/// The interface's version.
const UFFD_API: u64 = 0xAA;
const UFFDIO_API: c_ulong = 0xC018_AA3F;
const UFFDIO_REGISTER: c_ulong = 0xC020_AA00;
const UFFDIO_COPY: c_ulong = 0xC028_AA03;
const REGISTER_MISSING: u64 = 1;
/// The kind of message that asks for a page.
const EVENT_PAGE_FAULT: u8 = 0x12;
const MESSAGE_BYTES: usize = 32;

/// Why there are no such pages here.
#[derive(Debug)]
pub struct Unavailable(pub String);

/// Memory whose pages come from a thread, with the contents that it was made with.
pub struct Delivered {
    pages: Pages,
    file: c_int,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    delivered: AtomicU64,
    ends: std::sync::atomic::AtomicBool,
}

impl Delivered {
    pub fn new(contents: &[u8]) -> Result<Self, Unavailable> {
        let refused = |what: &str| Unavailable(format!("{what}: {}", std::io::Error::last_os_error()));
        let pages = Pages::fresh(contents.len());
        // SAFETY: the call takes flags alone.
        let file = unsafe { syscall(USERFAULTFD, O_CLOEXEC | O_NONBLOCK) } as c_int;
        if file < 0 {
            return Err(refused("userfaultfd"));
        }
        let shared = Arc::new(Shared { delivered: AtomicU64::new(0), ends: false.into() });
        let mut delivered = Self { pages, file, shared, thread: None };
        let mut api = [UFFD_API, 0, 0];
        // SAFETY: the structure has three words.
        if unsafe { ioctl(file, UFFDIO_API, api.as_mut_ptr()) } != 0 {
            return Err(refused("UFFDIO_API"));
        }
        let start = delivered.pages.start().expose_provenance() as u64;
        let mut range = [start, delivered.pages.len() as u64, REGISTER_MISSING, 0];
        // SAFETY: the structure has four words; the range is mapped.
        if unsafe { ioctl(file, UFFDIO_REGISTER, range.as_mut_ptr()) } != 0 {
            return Err(refused("UFFDIO_REGISTER"));
        }
        let (shared, mut contents) = (Arc::clone(&delivered.shared), contents.to_vec());
        contents.resize(delivered.pages.len(), 0);
        delivered.thread = Some(std::thread::spawn(move || deliver(file, start, &contents, &shared)));
        Ok(delivered)
    }

    pub fn start(&self) -> *mut u8 {
        self.pages.start()
    }

    pub fn as_slice(&self) -> &[u8] {
        self.pages.as_slice()
    }

    /// How many pages were delivered.
    pub fn count(&self) -> u64 {
        self.shared.delivered.load(Ordering::Relaxed)
    }

    /// Whoever touches a page next has to wait for it again.
    pub fn take_away(&mut self) {
        self.pages.drop_pages();
    }
}

impl Drop for Delivered {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It ends when it next looks; what it panicked of was seen by whoever waited for the page.
            let _ = thread.join();
        }
        // SAFETY: the file is ours; its thread has ended.
        unsafe { close(self.file) };
    }
}

/// Delivers each page that is asked for.
fn deliver(file: c_int, start: u64, contents: &[u8], shared: &Shared) {
    /// How long it may take to see that it is over.
    const LOOKS_EVERY_MS: c_int = 20;
    while !shared.ends.load(Ordering::Relaxed) {
        let mut poll_for = Poll { file, wanted: POLLIN, happened: 0 };
        // SAFETY: one structure, valid.
        unsafe { poll(&mut poll_for, 1, LOOKS_EVERY_MS) };
        let mut message = [0_u8; MESSAGE_BYTES];
        // SAFETY: the place is valid for its length.
        let got = unsafe { read(file, message.as_mut_ptr().cast(), MESSAGE_BYTES) };
        if got != MESSAGE_BYTES as isize || message[0] != EVENT_PAGE_FAULT {
            continue;
        }
        let address = u64::from_ne_bytes(message[16..24].try_into().expect("eight bytes"));
        let page = address & !(PAGE_BYTES as u64 - 1);
        let offset = (page - start) as usize;
        let source = contents[offset..offset + PAGE_BYTES].as_ptr().expose_provenance() as u64;
        let mut copy = [page, source, PAGE_BYTES as u64, 0, 0];
        // SAFETY: the structure has five words; the page is one of the registered range and the source a whole page.
        if unsafe { ioctl(file, UFFDIO_COPY, copy.as_mut_ptr()) } == 0 {
            shared.delivered.fetch_add(1, Ordering::Relaxed);
        }
    }
}
