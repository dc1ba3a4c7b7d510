//! The exception table, and where an instruction that faulted goes on.

use core::fmt;
use core::mem::offset_of;
use core::ops::Range;

/// A row of the [exception table](super#the-exception-table): instructions of a fallible copy that may fault, and where
/// to go on then. Its words are relative to their own addresses, so that it can be neither copied nor moved.
#[repr(C)]
pub struct Exception {
    start: i32,
    end: i32,
    fixup: i32,
}

impl Exception {
    /// The addresses of the instructions.
    pub fn range(&self) -> Range<usize> {
        self.address(self.start, offset_of!(Self, start))..self.address(self.end, offset_of!(Self, end))
    }

    /// The address where to go on after a fault in one of them.
    pub fn fixup(&self) -> usize {
        self.address(self.fixup, offset_of!(Self, fixup))
    }

    #[inline]
    fn address(&self, word: i32, offset_bytes: usize) -> usize {
        (&raw const *self).addr().wrapping_add(offset_bytes).wrapping_add_signed(word as isize)
    }
}

impl fmt::Debug for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exception").field("range", &self.range()).field("fixup", &self.fixup()).finish()
    }
}

/// The exception table of the program, or of the shared library that this code is in. Empty where nothing was
/// assembled, and on targets whose object files are not ELF.
pub fn exceptions() -> &'static [Exception] {
    #[cfg(all(
        memcpy_select_asm,
        not(any(target_vendor = "apple", windows, target_os = "cygwin", target_os = "uefi"))
    ))]
    {
        unsafe extern "C" {
            #[link_name = "__start_memcpy_select_exceptions"]
            static START: [Exception; 0];
            #[link_name = "__stop_memcpy_select_exceptions"]
            static STOP: [Exception; 0];
        }
        // The section is there as long as the code that it is of: this function needs that code.
        core::hint::black_box(super::kernels());
        let (start, stop) = (&raw const START, &raw const STOP);
        let rows = (stop.addr() - start.addr()) / size_of::<Exception>();
        // SAFETY: the linker defines both symbols as the bounds of the section, which consists of such rows and lives
        // as long as the code.
        unsafe { core::slice::from_raw_parts(start.cast(), rows) }
    }
    #[cfg(not(all(
        memcpy_select_asm,
        not(any(target_vendor = "apple", windows, target_os = "cygwin", target_os = "uefi"))
    )))]
    &[]
}

/// Where to go on after a fault at the instruction at `ip`: an address of this code, if the instruction is one of a
/// fallible copy; nothing otherwise, and then the fault is none of this crate's.
///
/// For fault handlers: it takes no lock, allocates nothing and never panics. [What a handler
/// does](super#what-a-fault-handler-does) with the result is to have the interrupted code go on there, with all
/// registers as they are.
///
/// ```
/// assert_eq!(memcpy_select::fallible::fixup(0), None);
/// ```
pub fn fixup(ip: usize) -> Option<usize> {
    exceptions().iter().find(|row| row.range().contains(&ip)).map(Exception::fixup)
}
