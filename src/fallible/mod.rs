//! Copies that may fault: they end at the byte that cannot be read or written, and say how far they came.
//!
//! An operating system's kernel copies from and to memory of user programs, whose pages may not be there. A program
//! copies from files that others truncate, and from memory that a peer takes away. The calls here come back then, with
//! the number of bytes that were copied: exactly those before the first one that faults, in the source or in the
//! destination, and none after it. (What can be accessed at the start of a call and is taken away in the middle of it may
//! have been copied up to 127 bytes further than the result says.)
//!
//! | call | user memory | checks its address, opens SMAP |
//! |---|---|---|
//! | [`try_copy`] | | no |
//! | [`try_copy_from_user`] | the source | yes |
//! | [`try_copy_to_user`] | the destination | yes |
//! | [`try_copy_in_user`] | both | yes |
//!
//! They touch no vector state, take no lock and allocate nothing. Which kernel copies follows the plan in force for
//! [`Policy::NoSimd`](crate::select::Policy::NoSimd): general-purpose registers, or `rep movsb` from the length on at
//! which the plan has it.
//!
//! # What a fault handler does
//!
//! One call: [`fixup`] says where an instruction that faulted is to go on, if it is one of these copies. In a program
//! on Linux, `install_fault_handler` (feature `fault-handler`) does that. In an operating system's kernel it belongs
//! into the handlers of the page fault (#PF), after what the kernel does for pages that it can provide, and of the
//! general-protection fault (#GP), which an address that is not canonical raises:
//!
//! ```
//! # struct Frame { instruction_pointer: usize }
//! # fn kernel_bug(_: &Frame) {}
//! fn page_fault_that_cannot_be_helped(frame: &mut Frame) {
//!     match memcpy_select::fallible::fixup(frame.instruction_pointer) {
//!         Some(go_on) => frame.instruction_pointer = go_on,
//!         None => kernel_bug(frame),
//!     }
//! }
//! # page_fault_that_cannot_be_helped(&mut Frame { instruction_pointer: 0 });
//! ```
//!
//! Nothing else of the frame changes: all registers and flags are those that the fault found. A copy faults at most
//! twice: in a wide access, then at the byte. The handler must not touch vector registers unless it keeps them.
//!
//! # The exception table
//!
//! It is the section `memcpy_select_exceptions` of the ELF file, read-only data, an array of [`Exception`]: three
//! signed 32-bit words, each relative to its own address, so that the table needs no relocation wherever the program is
//! loaded:
//!
//! | offset | word |
//! |---|---|
//! | 0 | the first byte of the instructions that may fault, less the address of this word |
//! | 4 | the first byte after them, less the address of this word |
//! | 8 | where to go on, less the address of this word |
//!
//! ```c
//! struct exception { int32_t start, end, fixup; };
//! extern const struct exception __start_memcpy_select_exceptions[], __stop_memcpy_select_exceptions[];
//! /* the address that a word means */
//! #define ADDRESS(word) ((uintptr_t)&(word) + (word))
//! ```
//!
//! The rows are in no order. This layout stays: two versions of the crate in one program share a table.
//!
//! The linker defines the two symbols where the section keeps its name. A linker script that names its sections has to
//! keep this one, as a section of its own, and to define the symbols where its name changes:
//!
//! ```text
//! .memcpy_select_exceptions : ALIGN(4) {
//!     __start_memcpy_select_exceptions = .;
//!     KEEP(*(memcpy_select_exceptions))
//!     __stop_memcpy_select_exceptions = .;
//! }
//! ```
//!
//! A script that discards the section fails to link as soon as anything asks for the table, as [`fixup`] does: the
//! symbols are not defined then. Targets whose object files are not ELF have the kernels and no table: there a fault is
//! not answered.
//!
//! # SMAP
//!
//! Supervisor-mode access prevention has ring 0 fault at user pages unless EFLAGS.AC is set. After [`detect_smap`] has
//! found it, the `_user` calls open with `stac` before the first access and close with `clac` on every way out, a fault
//! included. Around an interrupt or a fault in between, the flag is the interrupted code's: entry code has to `clac`,
//! since interrupt gates leave it set, and `iret` brings it back. A kernel that switches threads in between has to keep
//! EFLAGS for each.
//!
//! # Speculation
//!
//! Of a user's range the calls check that it lies in the lower half, and clear the top bit of its address in a way that
//! does not depend on that branch: a wrongly predicted check reads nothing of the kernel at that address (Spectre
//! variant 1). Lengths are not masked; a caller that takes one from a user and checks it itself has to see to that.
//!
//! # Without the kernels
//!
//! Where nothing was assembled (`MEMCPY_SELECT_NO_ASM`, other processors), the calls copy, the table is empty, and a
//! fault is not answered.

mod exceptions;
#[cfg(feature = "fault-handler")]
mod handler;
mod smap;

pub use crate::kernel::{FallibleKernel, TryCopyFn, fallible_kernels as kernels};
pub use exceptions::{Exception, exceptions, fixup};
#[cfg(feature = "fault-handler")]
#[cfg_attr(docsrs, doc(cfg(feature = "fault-handler")))]
pub use handler::install_fault_handler;
pub use smap::detect_smap;

#[cfg(memcpy_select_asm)]
use crate::kernel::fallible::{GPR, GPR_SMAP, STRING, STRING_SMAP};
#[cfg(memcpy_select_asm)]
use crate::select::fallible::{is_by_string, is_by_string_everywhere, is_by_words};
use core::fmt;

/// A copy ended at a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faulted {
    copied: usize,
}

impl Faulted {
    /// How many bytes were copied before the first one that could not be: exactly these, and none beyond.
    pub const fn copied(&self) -> usize {
        self.copied
    }

    #[inline(always)]
    const fn unless_nothing_is_left(len: usize, left: usize) -> Result<(), Self> {
        if left == 0 { Ok(()) } else { Err(Self { copied: len - left }) }
    }
}

impl fmt::Display for Faulted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a byte could not be read or written: the {} bytes before it were copied and no other; check both ranges",
            self.copied
        )
    }
}

impl core::error::Error for Faulted {}

/// Copies `len` bytes from `src` to `dst`, or up to the first that faults.
///
/// A length of 0 accesses nothing and is never an error, whatever the pointers. Null, addresses that are not canonical,
/// and lengths that no memory has are faults like others, where the range comes to a byte that is not accessible.
///
/// # Errors
///
/// [`Faulted`], where a fault handler asks [`fixup`]. Where none does, a fault does what it does without the call.
///
/// # Safety
///
/// - Each byte of `[src, src + len)` up to the first one that cannot be read or written is valid for reads, or may be
///   written by others meanwhile, as memory and not as Rust objects; what is not mapped, or not permitted, may be
///   anything.
/// - In the same sense `[dst, dst + len)` is valid for writes: what can be written and belongs to something else is
///   overwritten.
/// - Where the two ranges overlap, the bytes of the destination are unspecified.
#[inline]
pub unsafe fn try_copy(dst: *mut u8, src: *const u8, len: usize) -> Result<(), Faulted> {
    // SAFETY: the same preconditions.
    Faulted::unless_nothing_is_left(len, unsafe { copy::<false>(dst, src, len) })
}

/// [`try_copy`] from a user's memory, in ring 0.
///
/// # Errors
///
/// As [`try_copy`]; and with [`copied`](Faulted::copied) 0 and no access where the user's range does not lie in the
/// lower half of the address space, or wraps.
///
/// # Safety
///
/// As [`try_copy`] for `dst`. `src` may be any address: user memory is not the kernel's, and may be written by others
/// meanwhile.
#[inline]
pub unsafe fn try_copy_from_user(dst: *mut u8, src: *const u8, len: usize) -> Result<(), Faulted> {
    let src = smap::user(src.cast_mut(), len)?;
    // SAFETY: the same preconditions.
    unsafe { copy_opened(dst, src, len) }
}

/// [`try_copy`] to a user's memory, in ring 0.
///
/// # Errors
///
/// As [`try_copy_from_user`].
///
/// # Safety
///
/// As [`try_copy`] for `src`. `dst` may be any address: what is a user's may be overwritten.
#[inline]
pub unsafe fn try_copy_to_user(dst: *mut u8, src: *const u8, len: usize) -> Result<(), Faulted> {
    let dst = smap::user(dst, len)?;
    // SAFETY: the same preconditions.
    unsafe { copy_opened(dst, src, len) }
}

/// [`try_copy`] from a user's memory to a user's memory, in ring 0.
///
/// # Errors
///
/// As [`try_copy_from_user`], for both ranges.
///
/// # Safety
///
/// Both pointers may be any address: what is a user's may be overwritten.
#[inline]
pub unsafe fn try_copy_in_user(dst: *mut u8, src: *const u8, len: usize) -> Result<(), Faulted> {
    let (dst, src) = (smap::user(dst, len)?, smap::user(src.cast_mut(), len)?);
    // SAFETY: the same preconditions.
    unsafe { copy_opened(dst, src, len) }
}

/// Copies with user pages open to ring 0, if they are closed otherwise.
///
/// # Safety
///
/// As [`try_copy`].
#[inline]
unsafe fn copy_opened(dst: *mut u8, src: *const u8, len: usize) -> Result<(), Faulted> {
    let left = if smap::is_on() {
        // SAFETY: the same preconditions; SMAP was found, and so this is ring 0.
        unsafe { copy::<true>(dst, src, len) }
    } else {
        // SAFETY: the same preconditions.
        unsafe { copy::<false>(dst, src, len) }
    };
    Faulted::unless_nothing_is_left(len, left)
}

/// Copies by the kernel for the length; how many bytes are left.
///
/// # Safety
///
/// As [`try_copy`]; `SMAP` in ring 0 of a CPU that has it.
#[cfg(memcpy_select_asm)]
#[inline(always)]
unsafe fn copy<const SMAP: bool>(dst: *mut u8, src: *const u8, len: usize) -> usize {
    if is_by_words(len) {
        let words = if SMAP { GPR_SMAP } else { GPR };
        // SAFETY: the same preconditions, which are those of the kernel.
        unsafe { (words.entry())(dst, src, len) }
    } else if is_by_string_everywhere() {
        let string = if SMAP { STRING_SMAP } else { STRING };
        // SAFETY: as above.
        unsafe { (string.entry())(dst, src, len) }
    } else {
        // SAFETY: as above.
        unsafe { copy_by_class::<SMAP>(dst, src, len) }
    }
}

/// # Safety
///
/// As [`copy`].
#[cfg(memcpy_select_asm)]
#[inline(never)]
unsafe fn copy_by_class<const SMAP: bool>(dst: *mut u8, src: *const u8, len: usize) -> usize {
    let kernel = match (is_by_string(dst, src, len), SMAP) {
        (false, false) => GPR,
        (true, false) => STRING,
        (false, true) => GPR_SMAP,
        (true, true) => STRING_SMAP,
    };
    // SAFETY: the same preconditions, which are those of the kernel.
    unsafe { (kernel.entry())(dst, src, len) }
}

/// The platform's copy, which comes back only if nothing faults.
///
/// # Safety
///
/// As [`try_copy`], and nothing faults.
#[cfg(not(memcpy_select_asm))]
#[inline]
unsafe fn copy<const SMAP: bool>(dst: *mut u8, src: *const u8, len: usize) -> usize {
    // SAFETY: the same preconditions; no kernel, so no SMAP was found.
    unsafe { core::ptr::copy(src, dst, len) };
    0
}
