//! The constructor: decides on the plan for this CPU, finds libc's routine, and lets the symbols follow the plan.

use super::entry::{begin, has_begun};
use crate::cpu::Cpu;
use crate::kernel::next::{has_next, set_next};
use crate::select::interposed::decide;
use core::arch::global_asm;
use core::ffi::{CStr, c_char, c_void};
use core::ptr::NonNull;

/// What the constructor found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Started {
    /// Whether there is a `memmove` of libc behind this one, for plans that name the kernel `libc`.
    pub has_next: bool,
}

/// Whether the symbols follow the plan in force, which they do once the constructors have run.
pub fn started() -> Option<Started> {
    has_begun().then(|| Started { has_next: has_next() })
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

extern "C" fn start() {
    if let Some(next) = NonNull::new(next(c"memmove").cast::<()>()) {
        // SAFETY: the address of C's `memmove` as the next library defines it.
        unsafe { set_next(next) };
    }
    decide();
    begin(&Cpu::detect());
}

/// Constructors run in the order of this table, after all libraries are relocated.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = start;
