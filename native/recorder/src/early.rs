//! What carries out calls before the [start](crate::start): the symbols of memcpy-select, which need no word of data that has to be
//! relocated.
//!
//! Once the start has found the libc's routines, and nothing is recorded, calls go on through those.

use crate::routines::UNDER;
use core::arch::naked_asm;
use memcpy_select::interpose::entry;
use memcpy_select::recording::Function;

/// A way for the calls of one function: on through [`UNDER`] where that is known, else to the symbol of that name.
macro_rules! early {
    ($($name:ident: $function:ident;)+) => {
        $(
            /// # Safety
            ///
            /// As the function of that name.
            #[unsafe(naked)]
            pub(crate) unsafe extern "sysv64" fn $name(dst: *mut u8, src: *const u8, len: usize) -> *mut u8 {
                naked_asm!(
                    "mov rax, qword ptr [rip + {under} + 8*{function}]",
                    "test rax, rax",
                    "jz {entry}",
                    "jmp rax",
                    under = sym UNDER,
                    function = const Function::$function as u32,
                    entry = sym entry::$name,
                )
            }
        )+
    };
}

early! {
    memcpy: Memcpy;
    memmove: Memmove;
    mempcpy: Mempcpy;
    memset: Memset;
}
