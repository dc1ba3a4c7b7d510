//! What the tests need of signals: handlers that see where the program was, a timer for one thread, single steps.
//!
//! Declared here instead of taken from a crate, as in `suite::sys`. The layouts are those of Linux on x86-64.

#![allow(dead_code, reason = "each test binary uses its part")]

use core::arch::global_asm;
use core::ffi::{c_int, c_long, c_void};
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};
use memcpy_select::kernel::CopyFn;

pub const SIGILL: c_int = 4;
pub const SIGTRAP: c_int = 5;
pub const SIGBUS: c_int = 7;
pub const SIGSEGV: c_int = 11;
pub const SIGALRM: c_int = 14;

const SA_SIGINFO: c_int = 4;
const SA_NODEFER: c_int = 0x4000_0000;
const SA_RESTART: c_int = 0x1000_0000;

/// `struct sigaction` of the C library.
#[repr(C)]
struct SigAction {
    handler: usize,
    mask: [u64; 16],
    flags: c_int,
    restorer: usize,
}

/// The first fields of `siginfo_t` for a memory fault.
#[repr(C)]
pub struct SigInfo {
    number: c_int,
    error: c_int,
    code: c_int,
    _padding: c_int,
    /// The address that faulted.
    address: usize,
}

impl SigInfo {
    pub fn address(&self) -> usize {
        self.address
    }
}

/// The first fields of `ucontext_t`: the general-purpose registers as the signal found them.
#[repr(C)]
pub struct Context {
    flags: u64,
    link: usize,
    stack: [u64; 3],
    registers: [u64; 23],
}

/// Places in [`Context::registers`], from `sys/ucontext.h`.
const REG_RSP: usize = 15;
const REG_RIP: usize = 16;
const REG_EFL: usize = 17;
/// The bits of the flags register.
const TRAP: u64 = 1 << 8;
const DIRECTION: u64 = 1 << 10;

impl Context {
    /// The instruction that runs next.
    pub fn instruction(&self) -> u64 {
        self.registers[REG_RIP]
    }

    pub fn stack_pointer(&self) -> u64 {
        self.registers[REG_RSP]
    }

    pub fn direction_flag(&self) -> bool {
        self.registers[REG_EFL] & DIRECTION != 0
    }

    /// Has another instruction run next.
    pub fn go_on_at(&mut self, instruction: u64) {
        self.registers[REG_RIP] = instruction;
    }

    /// No signal after the next instruction.
    pub fn stop_stepping(&mut self) {
        self.registers[REG_EFL] &= !TRAP;
    }
}

pub type Handler = extern "C" fn(c_int, *mut SigInfo, *mut Context);

/// `struct sigevent` that names a thread.
#[repr(C)]
struct SigEvent {
    value: usize,
    number: c_int,
    notify: c_int,
    thread: c_int,
    _padding: [c_int; 11],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Time {
    seconds: c_long,
    nanoseconds: c_long,
}

#[repr(C)]
struct Interval {
    interval: Time,
    first: Time,
}

unsafe extern "C" {
    fn sigaction(number: c_int, new: *const SigAction, old: *mut SigAction) -> c_int;
    fn timer_create(clock: c_int, event: *mut SigEvent, timer: *mut *mut c_void) -> c_int;
    fn timer_settime(timer: *mut c_void, flags: c_int, new: *const Interval, old: *mut Interval) -> c_int;
    fn timer_delete(timer: *mut c_void) -> c_int;
    fn gettid() -> c_int;
}

/// Has `handler` called at each signal of that number, with the registers of the thread that it interrupted.
pub fn handle(number: c_int, handler: Handler) {
    let flags = SA_SIGINFO | SA_RESTART | if number == SIGSEGV { SA_NODEFER } else { 0 };
    let action = SigAction { handler: handler as *const () as usize, mask: [0; 16], flags, restorer: 0 };
    // SAFETY: the structure is the C library's, and the handler has the type that SA_SIGINFO asks for.
    let result = unsafe { sigaction(number, &action, ptr::null_mut()) };
    assert_eq!(result, 0, "cannot handle signal {number}: {}", std::io::Error::last_os_error());
}

/// Sends [`SIGALRM`] to the thread that made it, again and again, until it is dropped.
pub struct Alarm(*mut c_void);

impl Alarm {
    pub fn every_ns(nanoseconds: i64) -> Self {
        const CLOCK_MONOTONIC: c_int = 1;
        const SIGEV_THREAD_ID: c_int = 4;
        // SAFETY: the call has no precondition.
        let thread = unsafe { gettid() };
        let mut event = SigEvent { value: 0, number: SIGALRM, notify: SIGEV_THREAD_ID, thread, _padding: [0; 11] };
        let mut timer = MaybeUninit::uninit();
        // SAFETY: both places are valid; the structure is the C library's, 64 bytes.
        let result = unsafe { timer_create(CLOCK_MONOTONIC, &mut event, timer.as_mut_ptr()) };
        assert_eq!(result, 0, "cannot make a timer: {}", std::io::Error::last_os_error());
        // SAFETY: the call has just initialised it.
        let timer = unsafe { timer.assume_init() };
        let time = Time { seconds: 0, nanoseconds };
        let interval = Interval { interval: time, first: time };
        // SAFETY: the timer exists; the place is valid.
        let result = unsafe { timer_settime(timer, 0, &interval, ptr::null_mut()) };
        assert_eq!(result, 0, "cannot set a timer: {}", std::io::Error::last_os_error());
        Self(timer)
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // SAFETY: the timer exists and is used by nobody else.
        unsafe { timer_delete(self.0) };
    }
}

/// What [`stepped`] calls. One thread at a time uses it.
static STEPPED: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

global_asm!(
    "
    .p2align 4
memcpy_select_tests_stepped:
    pushfq
    or      qword ptr [rsp], 0x100
    popfq
    jmp     qword ptr [rip + {stepped}]
    ",
    stepped = sym STEPPED,
);

/// An entry point that calls `target` so that [`SIGTRAP`] comes after every instruction, the jump to it included, until
/// the handler stops it.
pub fn stepped(target: CopyFn) -> CopyFn {
    unsafe extern "sysv64" {
        #[link_name = "memcpy_select_tests_stepped"]
        fn entry(dst: *mut u8, src: *const u8, len: usize);
    }
    STEPPED.store(target as *mut (), Ordering::Relaxed);
    entry
}
