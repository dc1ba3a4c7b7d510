//! The constructor: decides on the plan for this CPU, finds libc's routine, and lets the symbols follow the plan.

use super::entry::{self, begin, has_begun};
use crate::cpu::Cpu;
use crate::kernel::next::set_next;
use crate::select::interposed::decide;
use core::arch::global_asm;
use core::ffi::{CStr, c_char, c_void};
use core::ptr::NonNull;

/// Whether the symbols follow the plan in force, which they do once the constructors have run.
pub fn is_started() -> bool {
    has_begun()
}

// Weak: a program that is linked statically, or to another libc, may have none.
global_asm!(".weak dlsym");

type FindSymbol = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

/// The dynamic linker's `dlsym`, if it is there.
fn dlsym() -> Option<FindSymbol> {
    let address: *mut c_void;
    // SAFETY: reads a word of the table of global addresses, which is 0 where the symbol is missing.
    unsafe {
        core::arch::asm!("mov {}, qword ptr [rip + dlsym@GOTPCREL]", out(reg) address, options(nomem, nostack, preserves_flags, pure));
    }
    // SAFETY: the address of the function of that name, which POSIX declares so; 0 is `None`.
    unsafe { core::mem::transmute::<*mut c_void, Option<FindSymbol>>(address) }
}

/// The next definition of a symbol after this one's, if the dynamic linker finds one.
fn next(name: &CStr) -> *mut c_void {
    /// `RTLD_NEXT` of glibc and musl.
    const NEXT: *mut c_void = core::ptr::without_provenance_mut(usize::MAX);
    // SAFETY: both arguments are what `dlsym` is documented to take.
    dlsym().map_or(core::ptr::null_mut(), |dlsym| unsafe { dlsym(NEXT, name.as_ptr()) })
}

/// Begins now, where a constructor needs it that runs before this one, and goes on with this CPU. A second time changes nothing.
pub fn start_with<T>(then: impl FnOnce(&Cpu) -> T) -> T {
    if !has_begun()
        && let Some(next) = NonNull::new(next(c"memmove").cast::<()>())
    {
        // SAFETY: the address of C's `memmove` as the next library defines it.
        unsafe { set_next(next) };
    }
    decide(|cpu| {
        begin(cpu);
        then(cpu)
    })
}

#[cfg(feature = "interpose")]
extern "C" fn start() {
    start_with(|_| ());
}

/// The linker takes a part of a library for what it needs of it: with the constructor it needs all symbols.
#[used]
static SYMBOLS: &[entry::Symbol] = &entry::ALL;

/// Constructors run in the order of this table, after all libraries are relocated.
#[cfg(feature = "interpose")]
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = start;
