//! Promise: not even the first call of `memcpy_auto_nosimd`, or of `try_copy`, in a process touches vector state.
//!
//! Alone in their file, each in a copy of a process that has called nothing before.

#![cfg(all(target_arch = "x86_64", unix, memcpy_select_asm))]

mod suite;

use memcpy_select::cpu::Components;
use memcpy_select::kernel::CopyFn;
use suite::abi::{Before, Frame, Subject, judge};
use suite::rng::Rng;
use suite::sys::{self, End};

unsafe extern "sysv64" fn auto_nosimd(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: the caller's promise is the function's precondition.
    unsafe { memcpy_select::memcpy_auto_nosimd(dst, src, len) }
}

unsafe extern "sysv64" fn try_copy(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: the caller promises more than the function's precondition.
    if unsafe { memcpy_select::fallible::try_copy(dst, src, len) }.is_err() {
        std::process::abort();
    }
}

#[test]
fn the_first_call_without_vector_state() {
    for (name, entry) in [("memcpy_auto_nosimd", auto_nosimd as CopyFn), ("try_copy", try_copy)] {
        for len in [10, 5000] {
            let end = sys::in_child(|| first_call(name, entry, len));
            assert_eq!(end, End::Exit(0), "{name}, {len} bytes");
        }
    }
}

/// In a process that has made no call yet.
fn first_call(name: &'static str, entry: CopyFn, len: usize) -> u8 {
    let src: Vec<u8> = (0..=255).cycle().take(len).collect();
    let mut dst = vec![0; src.len()];
    let mut frame = Frame::new();
    frame.prepare(Before::Filled, &mut Rng::new(1));
    // SAFETY: both vectors hold so many bytes.
    unsafe { frame.call(entry, dst.as_mut_ptr(), src.as_ptr(), src.len()) };
    let subject = Subject { name, entry, writes: Components::NONE, leaves_in_use: Components::NONE, ours: true };
    judge(&frame, &subject).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(dst, src);
    0
}
