//! libc's routine in a program whose `memcpy` is [this crate's](crate::interpose): the next definition of the symbol. A call of
//! `memcpy` by its name would come back.

use core::arch::naked_asm;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

unsafe extern "sysv64" {
    #[link_name = concat!(env!("MEMCPY_SELECT_PREFIX"), "sse2_forward")]
    fn sse2_forward(dst: *mut u8, src: *const u8, len: usize);
}

/// Where there is no other definition, the simplest kernel of ours that every x86-64 CPU can run.
static NEXT: AtomicPtr<()> = AtomicPtr::new(sse2_forward as *mut ());

/// Makes this the rows `libc` and `portable`.
///
/// # Safety
///
/// It is the address of a function with the contract of C's `memcpy` or `memmove`, for the rest of the program.
pub(crate) unsafe fn set_next(routine: NonNull<()>) {
    NEXT.store(routine.as_ptr(), Ordering::Release);
}

/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, and the two ranges do not overlap.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn libc(dst: *mut u8, src: *const u8, len: usize) {
    naked_asm!("endbr64", "jmp qword ptr [rip + {next}]", next = sym NEXT)
}
