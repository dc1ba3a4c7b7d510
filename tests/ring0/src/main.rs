//! A kernel that boots, checks `memcpy-select` where it is meant to run, and exits by what it found; or times there what user
//! mode cannot.
//!
//! The command line says which: nothing, the checks; `bug=NAME`, the checks with a seeded [bug](bugs), which have to fail;
//! `measure`, the figures. What it writes goes to the first serial line.

#![no_std]
#![no_main]

mod boot;
mod bugs;
mod checks;
mod machine;
mod measure;

use core::panic::PanicInfo;
use machine::ports::{self, End, end};
use machine::vectors::Vectors;
use machine::{apic, paging, registers, traps};

/// For the fault handlers: where the crate says to go on.
pub use memcpy_select::fallible::fixup;

/// Where [`boot`] calls Rust, with the registers that the loader left.
pub extern "sysv64" fn start(eax: usize, ebx: usize) -> ! {
    ports::start_serial();
    // SAFETY: what `boot` kept; nothing was written yet but this image's own memory.
    let command_line = unsafe { boot::command_line(eax, ebx) };
    say!("ring0: booted with '{command_line}'");
    paging::start();
    registers::start();
    traps::start();
    let mut vectors = Vectors::new();
    let words = || command_line.split_ascii_whitespace();
    for bug in words().filter_map(|word| word.strip_prefix("bug=")) {
        if !bugs::switch_on(bug) {
            say!("FAIL no bug is called {bug}");
            end(End::Failed)
        }
    }
    if words().any(|word| word == "measure") {
        measure::run();
        end(End::Passed)
    }
    if !apic::exists() {
        say!("FAIL this machine has no local APIC: no timer interrupts");
        end(End::Failed)
    }
    apic::start();
    end(if checks::run(&mut vectors) { End::Passed } else { End::Failed })
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    say!("FAIL {info}");
    end(End::Failed)
}

/// The unwind tables of the compiled `core` name it. Nobody calls it: a panic ends the run.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
