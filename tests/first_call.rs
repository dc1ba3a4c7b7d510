//! Promise: not even the first call of `memcpy_auto_nosimd` in a process touches vector state.
//!
//! Alone in its file, and so in its process: nothing has called it before.

#![cfg(all(target_arch = "x86_64", unix, memcpy_select_asm))]

mod suite;

use memcpy_select::cpu::Components;
use suite::abi::{Before, Frame, Subject, judge};
use suite::rng::Rng;

unsafe extern "sysv64" fn auto_nosimd(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: the caller's promise is the function's precondition.
    unsafe { memcpy_select::memcpy_auto_nosimd(dst, src, len) }
}

#[test]
fn the_first_call_without_vector_state() {
    let src: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let mut dst = vec![0; src.len()];
    let mut frame = Frame::new();
    frame.prepare(Before::Filled, &mut Rng::new(1));
    // SAFETY: both vectors hold 5000 bytes.
    unsafe { frame.call(auto_nosimd, dst.as_mut_ptr(), src.as_ptr(), src.len()) };
    let subject = Subject {
        name: "memcpy_auto_nosimd",
        entry: auto_nosimd,
        writes: Components::NONE,
        leaves_in_use: Components::NONE,
        ours: true,
    };
    judge(&frame, &subject).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(dst, src);
}
