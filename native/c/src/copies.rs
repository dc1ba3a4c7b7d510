//! The copies: one call each of the crate's own.

use std::ffi::{c_int, c_void};

/// # Safety
///
/// As the header says: both ranges are valid for `n` bytes and do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_memcpy(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void {
    // SAFETY: the caller's, which are those of the call.
    unsafe { memcpy_select::memcpy_auto_unchecked(dst.cast(), src.cast(), n) };
    dst
}

/// # Safety
///
/// As the header says: both ranges are valid for `n` bytes and do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_memcpy_nosimd(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void {
    // SAFETY: the caller's, which are those of the call.
    unsafe { memcpy_select::memcpy_auto_nosimd(dst.cast(), src.cast(), n) };
    dst
}

/// # Safety
///
/// As the header says: both ranges are valid for `n` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_memmove(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void {
    // SAFETY: the caller's, which are those of the call.
    unsafe { memcpy_select::memmove_auto_unchecked(dst.cast(), src.cast(), n) };
    dst
}

/// # Safety
///
/// As the header says: both ranges are valid for `n` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_memmove_nosimd(dst: *mut c_void, src: *const c_void, n: usize) -> *mut c_void {
    // SAFETY: the caller's, which are those of the call.
    unsafe { memcpy_select::memmove_auto_nosimd(dst.cast(), src.cast(), n) };
    dst
}

/// # Safety
///
/// As the header says: the destination is valid for writes of `n` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_memset(dst: *mut c_void, byte: c_int, n: usize) -> *mut c_void {
    // SAFETY: the caller's, which are those of the call. As C does, the value is converted to `unsigned char`.
    unsafe { memcpy_select::memset_auto_unchecked(dst.cast(), byte as u8, n) };
    dst
}

/// # Safety
///
/// As the header says: the destination is valid for writes of `n` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_memset_nosimd(dst: *mut c_void, byte: c_int, n: usize) -> *mut c_void {
    // SAFETY: the caller's, which are those of the call. As C does, the value is converted to `unsigned char`.
    unsafe { memcpy_select::memset_auto_nosimd(dst.cast(), byte as u8, n) };
    dst
}
