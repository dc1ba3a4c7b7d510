//! The rows of the table that are not our own assembly: the compiler's copy and the installed libc's.

/// Defines an entry point with the calling convention of [`CopyFn`](super::CopyFn) on either kind of target.
macro_rules! entry_point {
    ($(#[$attribute:meta])* $name:ident($dst:ident, $src:ident, $len:ident) $body:block) => {
        #[cfg(target_arch = "x86_64")]
        $(#[$attribute])*
        pub(crate) unsafe extern "sysv64" fn $name($dst: *mut u8, $src: *const u8, $len: usize) $body

        #[cfg(not(target_arch = "x86_64"))]
        $(#[$attribute])*
        pub(crate) unsafe extern "C" fn $name($dst: *mut u8, $src: *const u8, $len: usize) $body
    };
}
pub(crate) use entry_point;

#[cfg(memcpy_select_interposed)]
pub(super) use super::next::{libc, libc as portable};

#[cfg(not(memcpy_select_interposed))]
entry_point! {
    /// `core::ptr::copy_nonoverlapping`: what the compiler makes of it, in general a call of the linked `memcpy`.
    portable(dst, src, len) {
        // SAFETY: the kernel contract gives valid ranges that do not overlap; `u8` has no alignment to keep.
        unsafe { core::ptr::copy_nonoverlapping(src, dst, len) }
    }
}

/// The installed libc's `memcpy` itself, without a frame of ours around it: the baseline of every comparison.
///
/// C's `memcpy` also returns its destination; a caller that does not look at the result register may declare that away.
#[cfg(all(feature = "std", unix, target_arch = "x86_64", not(memcpy_select_interposed)))]
pub(super) use platform::memcpy as libc;

#[cfg(all(feature = "std", unix, target_arch = "x86_64", not(memcpy_select_interposed)))]
mod platform {
    unsafe extern "sysv64" {
        pub(in crate::kernel) fn memcpy(dst: *mut u8, src: *const u8, len: usize);
    }
}

#[cfg(all(feature = "std", not(all(unix, target_arch = "x86_64"))))]
mod platform {
    use core::ffi::c_void;

    unsafe extern "C" {
        pub(super) fn memcpy(dst: *mut c_void, src: *const c_void, len: usize) -> *mut c_void;
    }
}

#[cfg(all(feature = "std", not(all(unix, target_arch = "x86_64"))))]
entry_point! {
    /// The `memcpy` that the program is linked against: the baseline of every comparison.
    libc(dst, src, len) {
        // SAFETY: the kernel contract is what C's `memcpy` asks for.
        unsafe { platform::memcpy(dst.cast(), src.cast(), len) };
    }
}
