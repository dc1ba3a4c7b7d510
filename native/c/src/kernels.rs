//! Kernels by position and by name.

use crate::error::Code;
use crate::text::{kept, utf8};
use memcpy_select::kernel::Overlap;
use memcpy_select::{Kernel, kernels};
use std::ffi::{c_char, c_uint, c_void};
use std::ptr;

/// `memcpy_select_overlap`.
type OverlapNumber = c_uint;

/// The kernel that a handle stands for: one of the table's rows, or nothing. The handle itself is not followed.
fn kernel(handle: *const Kernel) -> Option<&'static Kernel> {
    kernels().iter().find(|row| ptr::eq(*row, handle))
}

#[unsafe(no_mangle)]
pub extern "C" fn memcpy_select_kernel_count() -> usize {
    kernels().len()
}

#[unsafe(no_mangle)]
pub extern "C" fn memcpy_select_kernel_at(index: usize) -> *const Kernel {
    kernels().get(index).map_or(ptr::null(), ptr::from_ref)
}

/// # Safety
///
/// As the header says: `name` is null or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_kernel_named(name: *const c_char) -> *const Kernel {
    // SAFETY: the caller's: null or a string.
    let name = unsafe { utf8(name, "name") };
    name.ok().and_then(Kernel::named).map_or(ptr::null(), ptr::from_ref)
}

#[unsafe(no_mangle)]
pub extern "C" fn memcpy_select_kernel_name(kernel: *const Kernel) -> *const c_char {
    self::kernel(kernel).map_or(ptr::null(), |kernel| kept(kernel.name()))
}

#[unsafe(no_mangle)]
pub extern "C" fn memcpy_select_kernel_needs(kernel: *const Kernel) -> *const c_char {
    self::kernel(kernel).map_or(ptr::null(), |kernel| kept(&kernel.needs().to_string()))
}

#[unsafe(no_mangle)]
pub extern "C" fn memcpy_select_kernel_is_available(kernel: *const Kernel) -> bool {
    self::kernel(kernel).is_some_and(Kernel::is_available)
}

#[unsafe(no_mangle)]
pub extern "C" fn memcpy_select_kernel_overlap(kernel: *const Kernel) -> OverlapNumber {
    self::kernel(kernel).map_or(0, |kernel| match kernel.overlap() {
        Overlap::Never => 0,
        Overlap::DstBelow => 1,
        Overlap::DstAbove => 2,
    })
}

/// Whether the kernel takes ranges at these addresses.
fn takes(kernel: &Kernel, dst: usize, src: usize, n: usize) -> bool {
    dst.abs_diff(src) >= n
        || match kernel.overlap() {
            Overlap::Never => false,
            Overlap::DstBelow => dst < src,
            Overlap::DstAbove => dst > src,
        }
}

/// # Safety
///
/// As the header says: both ranges are valid where they are not null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy_select_kernel_copy(
    kernel: *const Kernel,
    dst: *mut c_void,
    src: *const c_void,
    n: usize,
) -> Code {
    let Some(kernel) = self::kernel(kernel) else { return Code::NotAKernel };
    if !kernel.is_available() {
        return Code::Unavailable;
    }
    if n == 0 {
        return Code::Ok;
    }
    if dst.is_null() || src.is_null() {
        return Code::Null;
    }
    if !takes(kernel, dst.addr(), src.addr(), n) {
        return Code::Overlap;
    }
    // SAFETY: the kernel is available; the caller vouches for both ranges, which overlap only if the kernel takes such; a
    // user program may use vector registers.
    unsafe { kernel.copy(dst.cast(), src.cast(), n) };
    Code::Ok
}
