//! Copies that may fault, their exception table and handler; copies from and to memory that others write.

use crate::error::Code;
use memcpy_select::fallible::{exceptions, fixup, install_fault_handler, try_copy};
use std::ffi::c_void;
use std::ptr;

/// # Safety
///
/// As the header says: of both ranges what can be accessed is the caller's to copy from and to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_try_copy(dst: *mut c_void, src: *const c_void, n: usize) -> usize {
    // SAFETY: the caller's, which are those of the call.
    match unsafe { try_copy(dst.cast(), src.cast(), n) } {
        Ok(()) => 0,
        Err(faulted) => n - faulted.copied(),
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn memcpy_select_install_fault_handler() -> Code {
    if install_fault_handler().is_ok() { Code::Ok } else { Code::System }
}

#[unsafe(no_mangle)]
pub extern "C" fn memcpy_select_fixup(instruction: *const c_void) -> *const c_void {
    fixup(instruction.addr()).map_or(ptr::null(), ptr::with_exposed_provenance)
}

#[unsafe(no_mangle)]
pub extern "C" fn memcpy_select_exception_count() -> usize {
    exceptions().len()
}

/// # Safety
///
/// As the header says: each of the three places is null or valid for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_exception_at(
    index: usize,
    start: *mut *const c_void,
    end: *mut *const c_void,
    fixup: *mut *const c_void,
) -> bool {
    let Some(row) = exceptions().get(index) else { return false };
    for (place, address) in [(start, row.range().start), (end, row.range().end), (fixup, row.fixup())] {
        if !place.is_null() {
            // SAFETY: not null, so the caller vouches for it.
            unsafe { place.write(ptr::with_exposed_provenance(address)) };
        }
    }
    true
}

/// # Safety
///
/// As the header says: `dst` is valid for `n` bytes, and `src` mapped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_copy_from_shared(dst: *mut c_void, src: *const c_void, n: usize) {
    if n > 0 {
        // SAFETY: the caller's: valid for writes of so many bytes, and nobody else's during the call.
        let dst = unsafe { std::slice::from_raw_parts_mut(dst.cast::<u8>(), n) };
        // SAFETY: the caller's, which are those of the call.
        unsafe { memcpy_select::copy_from_shared(dst, src.cast()) };
    }
}

/// # Safety
///
/// As the header says: `src` is valid for `n` bytes, and `dst` mapped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_copy_to_shared(dst: *mut c_void, src: *const c_void, n: usize) {
    if n > 0 {
        // SAFETY: the caller's: valid for reads of so many bytes, which nobody writes during the call.
        let src = unsafe { std::slice::from_raw_parts(src.cast::<u8>(), n) };
        // SAFETY: the caller's, which are those of the call.
        unsafe { memcpy_select::copy_to_shared(dst.cast(), src) };
    }
}
