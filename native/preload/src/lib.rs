//! `libmemcpy_select_preload.so`: in `LD_PRELOAD` it gives a program, as it is, the `memcpy`, `memmove`, `mempcpy` and `memset` of
//! memcpy-select, with the plan of this machine.
//!
//! The plan is that of the file that `MEMCPY_SELECT_PLAN` names; else the one that `memcpy_select::tune` keeps for this user; else
//! what is known of this CPU. A file that gives no plan is named on the standard error, once, and the next source serves. Where the
//! program was given privileges that its user lacks (set-user-ID, file capabilities) the environment is not read.
//!
//! Nothing here needs libc: files are read by system calls, and the environment from `/proc/self/environ`, so that it
//! does not matter which libc the program has, or whether it is initialised yet. Where `/proc` is not mounted there is no
//! environment.

#![no_std]

use core::panic::PanicInfo;
use memcpy_select::interpose::start_with;
use memcpy_select_startup::plan;

/// Runs before `main`, after the library is relocated.
extern "C" fn start() {
    start_with(plan::install);
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = start;

/// The code here does not panic; if it did, the program would end by an illegal instruction.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: ends the process.
    unsafe { core::arch::asm!("ud2", options(noreturn)) }
}
