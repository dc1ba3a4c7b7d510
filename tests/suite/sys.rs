//! The few calls of the operating system that the tests need, in safe shape where there is one.
//!
//! Declared here instead of taken from a crate, so that the tests and the fuzz targets need no dependency for them.

use core::ffi::{c_int, c_void};
use core::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

unsafe extern "C" {
    fn mmap(at: *mut c_void, len: usize, protection: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void;
    fn mprotect(at: *mut c_void, len: usize, protection: c_int) -> c_int;
    fn munmap(at: *mut c_void, len: usize) -> c_int;
    fn fork() -> c_int;
    fn waitpid(child: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn _exit(code: c_int) -> !;
    fn write(file: c_int, bytes: *const c_void, len: usize) -> isize;
    fn signal(number: c_int, action: usize) -> usize;
}

const PROT_NONE: c_int = 0;
const PROT_READ_WRITE: c_int = 1 | 2;
const MAP_PRIVATE: c_int = 0x02;
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAP_ANONYMOUS: c_int = 0x20;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const MAP_ANONYMOUS: c_int = 0x1000;
const SIG_DFL: usize = 0;
/// The signal of a memory access that no mapping allows, on Linux.
pub const SIGSEGV: c_int = 11;
/// The same on some other systems.
pub const SIGBUS: c_int = if cfg!(target_os = "linux") { 7 } else { 10 };

/// Maps `len` bytes that nobody may touch.
pub fn reserve(len: usize) -> *mut u8 {
    // SAFETY: no address is asked for, so that no existing mapping is replaced.
    let at = unsafe { mmap(ptr::null_mut(), len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) };
    assert_ne!(at.addr(), usize::MAX, "cannot map {len} bytes: {}", std::io::Error::last_os_error());
    at.cast()
}

/// Opens a part of a reserved range for reading and writing.
///
/// # Safety
///
/// The part lies inside one range that [`reserve`] returned, on page boundaries, and nothing refers to it.
pub unsafe fn open(at: *mut u8, len: usize) {
    // SAFETY: the caller owns the range, and access is only widened.
    let result = unsafe { mprotect(at.cast(), len, PROT_READ_WRITE) };
    assert_eq!(result, 0, "cannot open {len} bytes: {}", std::io::Error::last_os_error());
}

/// Gives a reserved range back.
///
/// # Safety
///
/// The range is one that [`reserve`] returned, whole, and nothing refers to it any more.
pub unsafe fn release(at: *mut u8, len: usize) {
    // SAFETY: the caller gives up the range.
    let result = unsafe { munmap(at.cast(), len) };
    assert_eq!(result, 0, "cannot unmap {len} bytes: {}", std::io::Error::last_os_error());
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Exit(c_int),
    Signal(c_int),
}

/// Held while something is under way that a forked copy of this process could not finish: the copy has not the thread that
/// does it.
pub fn whole() -> MutexGuard<'static, ()> {
    static WHOLE: Mutex<()> = Mutex::new(());
    WHOLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` in a forked copy of this process; its result is the exit code. A memory fault ends only the copy.
///
/// `work` must not print, nor wait for another thread: the copy has only the calling one.
pub fn in_child(work: impl FnOnce() -> u8) -> End {
    Child::start(work).end()
}

/// A forked copy of this process that works while this one goes on.
#[derive(Debug)]
pub struct Child {
    number: c_int,
}

impl Child {
    /// Starts one. As with [`in_child`], `work` must not print, nor wait for another thread of this process.
    pub fn start(work: impl FnOnce() -> u8) -> Self {
        let whole = whole();
        // SAFETY: the child runs `work` and leaves by `_exit`; the C library keeps its allocator usable across a fork.
        let number = unsafe { fork() };
        drop(whole);
        assert!(number >= 0, "cannot fork: {}", std::io::Error::last_os_error());
        if number == 0 {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            // SAFETY: ends the child without running what belongs to the parent.
            unsafe { _exit(c_int::from(result.unwrap_or(u8::MAX))) };
        }
        Self { number }
    }

    /// Its process number.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Waits until it ends.
    pub fn end(self) -> End {
        let mut status = 0;
        // SAFETY: `status` is a valid place for the result, and the child is ours and not waited for yet.
        let waited = unsafe { waitpid(self.number, &mut status, 0) };
        assert_eq!(waited, self.number, "cannot wait for the child: {}", std::io::Error::last_os_error());
        match status & 0x7f {
            0 => End::Exit(status >> 8 & 0xff),
            signal => End::Signal(signal),
        }
    }
}

/// Has `handler` called at the first memory fault.
pub fn on_fault(handler: extern "C" fn(c_int)) {
    for number in [SIGSEGV, SIGBUS] {
        // SAFETY: the handler keeps to what a signal handler may do; see `fault`.
        unsafe { signal(number, handler as *const () as usize) };
    }
}

/// Lets the next signal of that number end the process, as if nobody had asked for it.
pub fn end_at_next(number: c_int) {
    // SAFETY: the default action needs nothing to be valid.
    unsafe { signal(number, SIG_DFL) };
}

/// Writes to standard error at once, which is allowed in a signal handler.
pub fn print_error(text: &[u8]) {
    // SAFETY: the slice is valid for its length.
    let _ = unsafe { write(2, text.as_ptr().cast(), text.len()) };
}
