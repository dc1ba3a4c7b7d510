//! The four routines that compiled code expects from its surroundings, as a kernel would bring them along.
//!
//! String instructions, so that the compiler does not recognise a loop and make it a call of the function it is in.

use core::arch::asm;

/// C's `memcpy`.
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(dst: *mut u8, src: *const u8, len: usize) -> *mut u8 {
    // SAFETY: the caller's ranges are valid and apart; the direction flag is clear on entry.
    unsafe {
        asm!("rep movsb", inout("rdi") dst => _, inout("rsi") src => _, inout("rcx") len => _,
            options(nostack, preserves_flags));
    }
    dst
}

/// C's `memmove`.
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(dst: *mut u8, src: *const u8, len: usize) -> *mut u8 {
    if dst.addr().wrapping_sub(src.addr()) >= len {
        // SAFETY: forwards, no byte of the source is overwritten before it is read.
        return unsafe { memcpy(dst, src, len) };
    }
    let (dst_last, src_last) = (dst.wrapping_add(len).wrapping_sub(1), src.wrapping_add(len).wrapping_sub(1));
    // SAFETY: backwards from the last byte, the same holds; the direction flag is cleared again.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rdi") dst_last => _, inout("rsi") src_last => _,
            inout("rcx") len => _, options(nostack));
    }
    dst
}

/// C's `memset`.
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(dst: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: the caller's range is valid; the direction flag is clear on entry.
    unsafe {
        asm!("rep stosb", inout("rdi") dst => _, inout("rcx") len => _, in("al") byte as u8,
            options(nostack, preserves_flags));
    }
    dst
}

/// C's `memcmp`.
///
/// # Safety
///
/// As C's.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    for at in 0..len {
        // SAFETY: below the caller's length.
        let left = unsafe { left.wrapping_add(at).read_volatile() };
        // SAFETY: below the caller's length.
        let right = unsafe { right.wrapping_add(at).read_volatile() };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}

/// C's `bcmp`: whether the ranges differ.
///
/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, len: usize) -> i32 {
    for at in 0..len {
        // SAFETY: `at` is below the length of both ranges, which the caller vouches for.
        let of_a = unsafe { a.wrapping_add(at).read_volatile() };
        // SAFETY: as above.
        let of_b = unsafe { b.wrapping_add(at).read_volatile() };
        if of_a != of_b {
            return 1;
        }
    }
    0
}
