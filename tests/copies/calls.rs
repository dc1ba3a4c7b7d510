//! Promise: the calls copy every length at every alignment under the plan that is in force from the start, and refuse
//! unequal lengths.

use crate::suite::cases::Effort;
use crate::suite::routine::{Call, Routine};
use crate::suite::runner;
use memcpy_select::{memcpy_auto, memcpy_auto_uninit};
use std::mem::MaybeUninit;
use std::panic::catch_unwind;

#[test]
fn every_call_copies_every_length_exactly() {
    let routines = Call::ALL.each_ref().map(|call| call as &dyn Routine);
    runner::every_length("calls", &routines, Effort::chosen());
}

/// The message of a panic, which `work` must end with.
fn panic_message(work: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let panic = catch_unwind(work).expect_err("unequal lengths panic");
    panic.downcast_ref::<String>().expect("the message is formatted").clone()
}

#[test]
fn unequal_lengths_panic_and_name_both() {
    for (dst_bytes, src_bytes) in [(0, 1), (5, 3), (64, 65), (100, 4096), (4096, 100)] {
        let both = format!("destination has {dst_bytes} bytes and the source {src_bytes}");
        let (mut dst, src) = (vec![0xaa_u8; dst_bytes], vec![1_u8; src_bytes]);
        let message = panic_message({
            let dst = std::panic::AssertUnwindSafe(&mut dst);
            let src = &src;
            move || memcpy_auto({ dst }.0, src)
        });
        assert!(message.contains(&both), "{message}");
        assert!(dst.iter().all(|byte| *byte == 0xaa), "nothing was copied");

        let message = panic_message(move || {
            let mut dst = vec![MaybeUninit::<u8>::uninit(); dst_bytes];
            memcpy_auto_uninit(&mut dst, &src);
        });
        assert!(message.contains(&both), "{message}");
    }
}

#[test]
fn the_result_of_the_uninitialised_call_is_the_destination() {
    let src: Vec<u8> = (0..=255).collect();
    let mut dst = [MaybeUninit::uninit(); 256];
    let copied = memcpy_auto_uninit(&mut dst, &src);
    assert_eq!(copied, src);
    copied[0] = 7;
    // SAFETY: the call has initialised every byte.
    assert_eq!(unsafe { dst[0].assume_init() }, 7);
}
