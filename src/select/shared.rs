//! Copies from and to memory that others may be writing: machine code at every length, in every build that has some.

#[cfg(memcpy_select_asm)]
use super::{
    Policy,
    dispatch::plan_in_force,
    in_force::{NO_SIMD, USER},
};

/// Copies `dst.len()` bytes from memory that others may be writing meanwhile: another process, another CPU, a device.
///
/// Each byte is one that was there at some time during the call; bytes of different times may come together, so that
/// nothing about them holds that was not checked in the copy. Copy once, then check the copy, never the memory.
///
/// The call is no barrier: what the others wrote before a flag is read after the flag was read with
/// [`Ordering::Acquire`](core::sync::atomic::Ordering::Acquire).
///
/// ```
/// use std::sync::atomic::{AtomicU8, Ordering};
///
/// let shared: Vec<AtomicU8> = (0..100).map(AtomicU8::new).collect();
/// let mut copy = [0; 100];
/// std::thread::scope(|scope| {
///     scope.spawn(|| shared[50].store(7, Ordering::Relaxed));
///     // SAFETY: the vector's 100 bytes, which others may be writing.
///     unsafe { memcpy_select::copy_from_shared(&mut copy, shared.as_ptr().cast()) };
/// });
/// assert!(copy[50] == 50 || copy[50] == 7);
/// ```
///
/// # Why not a plain copy
///
/// A byte that is written while the program reads it is a data race: in Rust and in C the behaviour is undefined then,
/// however harmless the byte, and a compiler may read it again where it needs it again. `copy_nonoverlapping` and
/// `memcpy` read that way, and neither language has a copy whose bytes are each atomic (WG21 [P1478], Rust [RFC 3301]).
/// A party that is not to be trusted is not even bound by the language: its memory had best be no part of the program's
/// ([unsafe-code-guidelines 152], [607]).
///
/// Here no compiled code accesses a byte of it: the kernels of [`memcpy_auto`](crate::memcpy_auto), or the linked
/// `memcpy` where a plan names `libc` or `portable`, are called at every length, in builds for debugging too, and do to each byte what
/// the CPU's loads do. Where nothing was assembled it is one volatile access for each byte.
///
/// [P1478]: https://www.open-std.org/jtc1/sc22/wg21/docs/papers/2022/p1478r8.html
/// [RFC 3301]: https://github.com/rust-lang/rfcs/pull/3301
/// [unsafe-code-guidelines 152]: https://github.com/rust-lang/unsafe-code-guidelines/issues/152
/// [607]: https://github.com/rust-lang/unsafe-code-guidelines/issues/607
///
/// # Safety
///
/// `src` is mapped and may be read, for `dst.len()` bytes ([`try_copy`](crate::fallible::try_copy) is for memory that
/// may be taken away), and is no part of `dst`. What writes it meanwhile does so as memory: not through Rust
/// references, nor by a plain write of this program. The caller may use vector registers.
#[inline]
pub unsafe fn copy_from_shared(dst: &mut [u8], src: *const u8) {
    // SAFETY: the slice is valid for writes of its length and nobody else's; the rest is the caller's.
    unsafe { copy_part(dst.as_mut_ptr(), src, dst.len(), 0) }
}

/// Copies `src.len()` bytes to memory that others may be reading and writing meanwhile. See [`copy_from_shared`].
///
/// Others see each byte change once, in no particular order: a flag that says that all are there is stored with
/// [`Ordering::Release`](core::sync::atomic::Ordering::Release) after the call. Kernels whose stores go past the caches
/// fence them.
///
/// # Safety
///
/// `dst` is mapped and may be written, for `src.len()` bytes, and is no part of `src`. What reads or writes it
/// meanwhile does so as memory. The caller may use vector registers.
#[inline]
pub unsafe fn copy_to_shared(dst: *mut u8, src: &[u8]) {
    // SAFETY: the slice is valid for reads of its length and nobody writes it; the rest is the caller's.
    unsafe { copy_part(dst, src.as_ptr(), src.len(), 0) }
}

/// [`copy_from_shared`] without touching vector state, by the plan of
/// [`memcpy_auto_nosimd`](crate::memcpy_auto_nosimd).
///
/// # Safety
///
/// As [`copy_from_shared`]; vector registers may hold what has to be kept.
#[inline]
pub unsafe fn copy_from_shared_nosimd(dst: &mut [u8], src: *const u8) {
    // SAFETY: the slice is valid for writes of its length and nobody else's; the rest is the caller's.
    unsafe { copy_nosimd(dst.as_mut_ptr(), src, dst.len()) }
}

/// [`copy_to_shared`] without touching vector state, by the plan of [`memcpy_auto_nosimd`](crate::memcpy_auto_nosimd).
///
/// # Safety
///
/// As [`copy_to_shared`]; vector registers may hold what has to be kept.
#[inline]
pub unsafe fn copy_to_shared_nosimd(dst: *mut u8, src: &[u8]) {
    // SAFETY: the slice is valid for reads of its length and nobody writes it; the rest is the caller's.
    unsafe { copy_nosimd(dst, src.as_ptr(), src.len()) }
}

/// Copies `len` bytes by the kernels that [`memcpy_auto_unchecked`](super::memcpy_auto_unchecked) calls for a copy of
/// `total` bytes, of which these are a part, or of as many as these where that is more. Short lengths go to a kernel,
/// too.
///
/// # Safety
///
/// As [`memcpy_auto_unchecked`](super::memcpy_auto_unchecked), but that at most one of the ranges may be written by
/// others meanwhile, as memory and not as Rust objects.
#[inline]
pub(crate) unsafe fn copy_part(dst: *mut u8, src: *const u8, len: usize, total: usize) {
    #[cfg(memcpy_select_asm)]
    {
        let entry = if total <= len {
            USER.entry(len)
        } else {
            plan_in_force(Policy::User).entry(total, dst.addr(), src.addr())
        };
        // SAFETY: the same preconditions; a plan comes into force only with kernels that are available here.
        unsafe { entry(dst, src, len) }
    }
    #[cfg(not(memcpy_select_asm))]
    {
        let _ = total;
        // SAFETY: the same preconditions.
        unsafe { byte_by_byte(dst, src, len) }
    }
}

/// The same without vector registers.
///
/// # Safety
///
/// As [`copy_part`].
#[inline]
unsafe fn copy_nosimd(dst: *mut u8, src: *const u8, len: usize) {
    #[cfg(memcpy_select_asm)]
    // SAFETY: the same preconditions; a plan comes into force only with kernels that are available here.
    unsafe {
        NO_SIMD.entry(len)(dst, src, len)
    }
    #[cfg(not(memcpy_select_asm))]
    // SAFETY: the same preconditions.
    unsafe {
        byte_by_byte(dst, src, len)
    }
}

/// Volatile accesses: each is made, once, and nothing is known of what it finds.
///
/// # Safety
///
/// As [`copy_part`].
#[cfg(not(memcpy_select_asm))]
unsafe fn byte_by_byte(dst: *mut u8, src: *const u8, len: usize) {
    for at in 0..len {
        // SAFETY: `at` is below `len`, for which `src` is valid for reads that allow for others that write.
        let byte = unsafe { src.wrapping_add(at).read_volatile() };
        // SAFETY: `at` is below `len`, for which `dst` is valid for writes.
        unsafe { dst.wrapping_add(at).write_volatile(byte) };
    }
}
