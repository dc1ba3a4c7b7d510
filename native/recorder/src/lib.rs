//! Records what a program copies, without changing it: a library that is loaded before the program's libc and has its
//! `memcpy`, `memmove`, `mempcpy`, `memset` and their `_chk` forms.
//!
//! Each call is counted by length, in memory shared with a file ([`memcpy_select::recording`]), and carried out by the libc's own
//! routine or, in turns, memcpy-select's. One call in some hundreds is looked at closely and timed. `memcpy-select profile` sets the library up and shows what
//! it found.
//!
//! # What it keeps to
//!
//! Calls arrive before this library is relocated, in signal handlers, after `fork` and `vfork`, and from any thread. On their way
//! there is no allocation, no lock that is waited for, no call of libc, no thread-local variable and no `errno`. Before the
//! [start] they reach a kernel that needs no data at all.
//!
//! System calls are made at the start, when a thread calls for the first time, and at sampled calls, at most some tens of
//! times a second. Where system calls are filtered at the start (seccomp), breakpoints are left out. A program that forbids itself
//! system calls later may be ended for one of these.
//!
//! # Environment
//!
//! | variable | meaning |
//! |---|---|
//! | `MEMCPY_SELECT_RECORDING` | the folder in which the file is made; without it nothing is recorded |
//! | `MEMCPY_SELECT_RECORDING_EVERY` | one call in that many is sampled: 1 to 1,000,000, 512 by default |
//! | `MEMCPY_SELECT_RECORDING_UNDER` | what carries out the calls: `both` in turns (by default), `libc`, or `plan` |
//!
//! The plan is that of `libmemcpy_select_preload.so`: the file that `MEMCPY_SELECT_PLAN` names, else the one that this user saved,
//! else what is known of this CPU.
//!
//! In a program that runs with more rights than its user (`AT_SECURE`) the environment is ignored, and nothing is recorded.

#![no_std]
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod clock;
mod early;
mod end;
mod entry;
mod environment;
mod rarely;
mod routines;
mod sampled;
mod say;
mod slots;
mod start;
mod system;
mod turns;
mod watch;

/// Nothing here panics. If something did, the program would be ended where it is: there is nothing to unwind to.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        // SAFETY: the instruction raises a signal, which by default ends the process.
        unsafe { core::arch::asm!("ud2", options(nomem, nostack)) };
    }
}
