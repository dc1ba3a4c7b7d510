//! Pages that the tests take away and give back, and memory that is mapped at two addresses. Linux.
//!
//! Declared here instead of taken from a crate, as in `sys`.

use core::ffi::{CStr, c_int, c_long, c_void};
use core::ptr;
use core::slice;

unsafe extern "C" {
    fn mmap(at: *mut c_void, len: usize, protection: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
    fn mprotect(at: *mut c_void, len: usize, protection: c_int) -> c_int;
    fn munmap(at: *mut c_void, len: usize) -> c_int;
    fn madvise(at: *mut c_void, len: usize, advice: c_int) -> c_int;
    fn memfd_create(name: *const core::ffi::c_char, flags: u32) -> c_int;
    fn ftruncate(file: c_int, len: i64) -> c_int;
    fn close(file: c_int) -> c_int;
    fn getrusage(who: c_int, usage: *mut Usage) -> c_int;
}

const PROT_NONE: c_int = 0;
const PROT_READ: c_int = 1;
const PROT_READ_WRITE: c_int = 1 | 2;
const MAP_SHARED: c_int = 0x01;
const MAP_PRIVATE: c_int = 0x02;
const MAP_ANONYMOUS: c_int = 0x20;
const MAP_NORESERVE: c_int = 0x4000;
const MADV_DONTNEED: c_int = 4;
const MADV_NOHUGEPAGE: c_int = 15;
const MFD_CLOEXEC: u32 = 1;

/// The page size of every x86-64.
pub const PAGE_BYTES: usize = 4096;

/// `struct rusage`: two times, then counters.
#[repr(C)]
struct Usage {
    times: [c_long; 4],
    counters: [c_long; 14],
}

/// How many page faults this thread has had that needed no file to be read.
pub fn minor_faults() -> u64 {
    const RUSAGE_THREAD: c_int = 1;
    const MINOR_FAULTS: usize = 4;
    let mut usage = Usage { times: [0; 4], counters: [0; 14] };
    // SAFETY: the place is valid for the structure, which is the C library's.
    let result = unsafe { getrusage(RUSAGE_THREAD, &mut usage) };
    assert_eq!(result, 0, "cannot read the counters: {}", std::io::Error::last_os_error());
    usage.counters[MINOR_FAULTS].cast_unsigned()
}

/// Whole pages of memory, mapped here and unmapped with the value.
pub struct Pages {
    start: *mut u8,
    len: usize,
}

// SAFETY: the memory belongs to the value, like that of a `Vec`; views of one file are told apart by their users.
unsafe impl Send for Pages {}

impl Pages {
    fn map(len: usize, flags: c_int, file: c_int) -> Self {
        let len = len.next_multiple_of(PAGE_BYTES);
        // SAFETY: no address is asked for, so that no existing mapping is replaced.
        let start = unsafe { mmap(ptr::null_mut(), len, PROT_READ_WRITE, flags, file, 0) };
        assert_ne!(start.addr(), usize::MAX, "cannot map {len} bytes: {}", std::io::Error::last_os_error());
        Self { start: start.cast(), len }
    }

    /// Pages that do not exist until they are touched, each on its own.
    pub fn fresh(len: usize) -> Self {
        let pages = Self::map(len, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
        // SAFETY: the range was just mapped. Where the system knows no huge pages there are none to avoid.
        unsafe { madvise(pages.start.cast(), pages.len, MADV_NOHUGEPAGE) };
        pages
    }

    pub fn start(&self) -> *mut u8 {
        self.start
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` bytes from `start` are mapped and were zeroed by the system; they live as long as the value.
        unsafe { slice::from_raw_parts(self.start, self.len) }
    }

    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`, and the value is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.start, self.len) }
    }

    /// Takes the pages away: of a view of a file, they come back with their contents; of fresh ones, as zeros.
    pub fn drop_pages(&mut self) {
        // SAFETY: the range is mapped, and nothing borrows from the value.
        let result = unsafe { madvise(self.start.cast(), self.len, MADV_DONTNEED) };
        assert_eq!(result, 0, "cannot drop pages: {}", std::io::Error::last_os_error());
    }

    /// Has every access fault from now on.
    pub fn close(&mut self) {
        // SAFETY: the range is mapped, and nothing borrows from the value.
        let result = unsafe { mprotect(self.start.cast(), self.len, PROT_NONE) };
        assert_eq!(result, 0, "cannot close pages: {}", std::io::Error::last_os_error());
    }

    /// Has every access to one page fault, or every write if it stays readable.
    pub fn close_page(&mut self, page: usize, is_readable: bool) {
        let protection = if is_readable { PROT_READ } else { PROT_NONE };
        // SAFETY: the page is one of the range, and nothing borrows from the value.
        let result = unsafe { mprotect(self.page(page).cast(), PAGE_BYTES, protection) };
        assert_eq!(result, 0, "cannot close a page: {}", std::io::Error::last_os_error());
    }

    /// Leaves nothing mapped at one page. The next mapping may get it: for processes of one thread that map no more.
    pub fn unmap_page(&mut self, page: usize) {
        // SAFETY: the page is one of the range, and nothing borrows from the value.
        let result = unsafe { munmap(self.page(page).cast(), PAGE_BYTES) };
        assert_eq!(result, 0, "cannot unmap a page: {}", std::io::Error::last_os_error());
    }

    fn page(&self, page: usize) -> *mut u8 {
        assert!((page + 1) * PAGE_BYTES <= self.len);
        self.start.wrapping_add(page * PAGE_BYTES)
    }

    /// Lets everybody access all of it.
    pub fn open(&mut self) {
        // SAFETY: the range is mapped; access is only widened.
        let result = unsafe { mprotect(self.start.cast(), self.len, PROT_READ_WRITE) };
        assert_eq!(result, 0, "cannot open pages: {}", std::io::Error::last_os_error());
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: exactly the range that was mapped; whoever borrowed from it is gone.
        unsafe { munmap(self.start.cast(), self.len) };
    }
}

/// Lets everybody access the page at an address; false if that cannot be. For a signal handler.
///
/// # Safety
///
/// The page belongs to a [`Pages`].
pub unsafe fn open_page(address: usize) -> bool {
    let page = address & !(PAGE_BYTES - 1);
    // SAFETY: the caller names a page of a `Pages`; access is only widened.
    unsafe { mprotect(ptr::with_exposed_provenance_mut(page), PAGE_BYTES, PROT_READ_WRITE) == 0 }
}

/// Memory of which the same pages can be mapped as often as one likes.
pub struct Memory {
    file: c_int,
    len: usize,
}

impl Memory {
    pub fn new(name: &CStr, len: usize) -> Self {
        let len = len.next_multiple_of(PAGE_BYTES);
        // SAFETY: the name is a C string.
        let file = unsafe { memfd_create(name.as_ptr(), MFD_CLOEXEC) };
        assert!(file >= 0, "cannot make a memory file: {}", std::io::Error::last_os_error());
        // SAFETY: the file is ours.
        let result = unsafe { ftruncate(file, len as i64) };
        assert_eq!(result, 0, "cannot make {len} bytes: {}", std::io::Error::last_os_error());
        Self { file, len }
    }

    /// Takes what lies beyond away from the file: accesses there are bus errors.
    pub fn cut(&self, len: usize) {
        // SAFETY: the file is ours.
        let result = unsafe { ftruncate(self.file, len as i64) };
        assert_eq!(result, 0, "cannot cut to {len} bytes: {}", std::io::Error::last_os_error());
    }

    /// All of it once more, at an address of its own.
    pub fn view(&self) -> Pages {
        Pages::map(self.len, MAP_SHARED, self.file)
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: the file is ours and used by nobody else; views stay valid.
        unsafe { close(self.file) };
    }
}
