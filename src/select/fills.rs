//! Fills: one byte over a range, as C's `memset`.

use super::inline::{self, INLINE_MAX_BYTES};
use super::{formula, in_force};
use crate::kernel::{Fill, FillFn};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// From this length on `rep stosq` fills: it does not read the lines that it writes.
pub(crate) const STRING_FROM_BYTES: usize = 4 << 10;
/// Without vector registers it does so earlier: until it has started, so many bytes are written by ordinary stores.
pub(crate) const STRING_INSTEAD_OF_WORDS_FROM_BYTES: usize = 800;

/// Writes `byte` to every byte of a slice.
///
/// ```
/// let mut dst = [0; 100];
/// memcpy_select::memset_auto(&mut dst, 7);
/// assert_eq!(dst, [7; 100]);
/// ```
#[inline]
pub fn memset_auto(dst: &mut [u8], byte: u8) {
    // SAFETY: the slice is valid for writes of all its bytes.
    unsafe { memset_auto_unchecked(dst.as_mut_ptr(), byte, dst.len()) }
}

/// Writes `byte` to each of `len` bytes from `dst` on. Up to [`INLINE_MAX_BYTES`] that is inlined into the caller.
///
/// # Safety
///
/// `dst` is valid for writes of `len` bytes. The caller may use vector registers.
#[inline]
pub unsafe fn memset_auto_unchecked(dst: *mut u8, byte: u8, len: usize) {
    const STRING: Option<&Fill> = Fill::named("rep_stosq");
    match STRING {
        // SAFETY: the same preconditions.
        None => unsafe { ptr::write_bytes(dst, byte, len) },
        // SAFETY: the same preconditions, and the length was just checked.
        Some(_) if len <= INLINE_MAX_BYTES => unsafe { inline::fill(dst, byte, len) },
        // SAFETY: the same preconditions; the word is the entry point of a fill that is available here.
        Some(_) if len < STRING_FROM_BYTES => unsafe { vector_fill()(dst, byte, len) },
        // SAFETY: the same preconditions; it needs nothing of the CPU.
        Some(string) => unsafe { string.fill(dst, byte, len) },
    }
}

/// Writes `byte` to each of `len` bytes from `dst` on, without touching vector state.
///
/// # Safety
///
/// `dst` is valid for writes of `len` bytes.
#[inline]
pub unsafe fn memset_auto_nosimd(dst: *mut u8, byte: u8, len: usize) {
    const FILLS: (Option<&Fill>, Option<&Fill>) = (Fill::named("gpr_fill"), Fill::named("rep_stosq"));
    match FILLS {
        (Some(words), Some(string)) => {
            let fill = if len < STRING_INSTEAD_OF_WORDS_FROM_BYTES { words } else { string };
            // SAFETY: the same preconditions; it needs nothing of the CPU.
            unsafe { fill.fill(dst, byte, len) }
        }
        // SAFETY: the same preconditions.
        _ => unsafe { ptr::write_bytes(dst, byte, len) },
    }
}

/// The entry point of the fill by vectors; at the start that which decides.
static VECTOR_FILL: AtomicPtr<()> = AtomicPtr::new(decide as FillFn as *mut ());

#[inline(always)]
fn vector_fill() -> FillFn {
    let entry = VECTOR_FILL.load(Ordering::Relaxed);
    // SAFETY: the word was made from an entry point, which this is again.
    unsafe { core::mem::transmute::<*mut (), FillFn>(entry) }
}

macro_rules! decide {
    ($abi:literal) => {
        /// Two threads that decide at a time decide alike.
        #[cold]
        unsafe extern $abi fn decide(dst: *mut u8, byte: u8, len: usize) {
            match in_force::of_cpu(formula::fill) {
                Some(fill) => {
                    VECTOR_FILL.store(fill.entry() as *mut (), Ordering::Relaxed);
                    // SAFETY: the same preconditions; the fill is one that this CPU can run.
                    unsafe { fill.fill(dst, byte, len) }
                }
                // SAFETY: the same preconditions.
                None => unsafe { ptr::write_bytes(dst, byte, len) },
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
decide!("sysv64");
#[cfg(not(target_arch = "x86_64"))]
decide!("C");
