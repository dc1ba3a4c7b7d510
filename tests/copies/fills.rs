//! Promise: fills write every byte of their range at every length and alignment, and nothing else.

use crate::suite::abi::{Before, Frame, Subject, judge};
use crate::suite::cases::{EVERY_LENGTH_UP_TO, Effort};
use crate::suite::fault;
use crate::suite::guarded::Guarded;
use crate::suite::oracle::is_filled;
use crate::suite::rng::Rng;
use memcpy_select::cpu::Components;
use memcpy_select::kernel::{CopyFn, Fill, FillFn, fills};
use memcpy_select::{memset_auto, memset_auto_nosimd, memset_auto_unchecked};

unsafe extern "sysv64" fn unchecked(dst: *mut u8, byte: u8, len: usize) {
    // SAFETY: the caller's promise is the function's precondition.
    unsafe { memset_auto_unchecked(dst, byte, len) }
}

unsafe extern "sysv64" fn nosimd(dst: *mut u8, byte: u8, len: usize) {
    // SAFETY: the caller's promise is the function's precondition.
    unsafe { memset_auto_nosimd(dst, byte, len) }
}

/// Every fill that runs here, and the calls: name, entry point, what it may write, whether it keeps the contract of ours.
fn all() -> Vec<(&'static str, FillFn, Components, bool)> {
    let row = |fill: &'static Fill| (fill.name(), fill.entry(), fill.writes(), true);
    let rows = fills().iter().filter(|fill| fill.is_available()).map(row);
    let calls: [(_, FillFn, _, _); 2] = [
        ("memset_auto_unchecked", unchecked, Components::NONE, false),
        ("memset_auto_nosimd", nosimd, Components::NONE, cfg!(memcpy_select_asm)),
    ];
    rows.chain(calls).chain(symbol()).collect()
}

#[cfg(not(memcpy_select_symbols))]
fn symbol() -> Option<(&'static str, FillFn, Components, bool)> {
    None
}

/// `memset` of programs without a C library.
#[cfg(memcpy_select_symbols)]
fn symbol() -> Option<(&'static str, FillFn, Components, bool)> {
    type Symbol = unsafe extern "C" fn(*mut u8, i32, usize) -> *mut u8;
    // SAFETY: the convention is the same on this target; only the low byte is looked at, and the result goes to a register that
    // the caller has given up.
    let entry = unsafe { core::mem::transmute::<Symbol, FillFn>(memcpy_select::mem::memset) };
    Some(("memset", entry, Components::NONE, true))
}

#[test]
fn every_length_is_filled_at_every_alignment() {
    fault::report();
    let mut memory = Guarded::new(4 * EVERY_LENGTH_UP_TO);
    let step = if Effort::chosen() == Effort::Sampled { 13 } else { 1 };
    let around = [2048, 4096, 8192, 20_000].into_iter().flat_map(|len| [len - 1, len, len + 1]);
    for (name, entry, ..) in all() {
        let mut cases = 0;
        for len in (0..=EVERY_LENGTH_UP_TO).chain(around.clone()) {
            for offset in (0..64).step_by(step) {
                for is_low in [true, false] {
                    let whole = memory.as_mut_slice();
                    let at = if is_low { offset } else { whole.len() - len - offset };
                    let beside = at.saturating_sub(96)..(at + len + 96).min(whole.len());
                    whole[beside.clone()].fill(0xEE);
                    let byte = (len + offset) as u8;
                    let dst = whole[at..at + len].as_mut_ptr();
                    // SAFETY: the range was just checked; the fill is available here.
                    unsafe { entry(dst, byte, len) };
                    let is_right = is_filled(&whole[beside.start..at], 0xEE)
                        && is_filled(&whole[at..at + len], byte)
                        && is_filled(&whole[at + len..beside.end], 0xEE);
                    assert!(is_right, "{name}: {len} bytes of {byte} from {at} on");
                    cases += 1;
                }
            }
        }
        println!("  {name:<24} {cases:>9} fills");
    }
}

#[test]
fn slices_are_filled() {
    for len in [0, 1, 2, 3, 4, 15, 16, 17, 64, 65, 300, 5000] {
        let mut dst = vec![0xEE; len + 2];
        memset_auto(&mut dst[1..=len], 7);
        assert!(dst[1..=len].iter().all(|byte| *byte == 7) && (dst[0], dst[len + 1]) == (0xEE, 0xEE), "{len}");
    }
}

/// As kernels do: registers, stack, flags and vector state are kept as far as they say.
#[test]
fn fills_keep_the_calling_convention() {
    let mut frame = Frame::new();
    let mut memory = vec![0_u8; 20_000];
    for (name, entry, writes, ours) in all() {
        // SAFETY: both take two words and a length in the same registers; what is passed as a source is taken for a byte.
        let entry = unsafe { core::mem::transmute::<FillFn, CopyFn>(entry) };
        let leaves_in_use = writes.intersection(Components::SSE.union(Components::HI16_ZMM));
        let subject = Subject { name, entry, writes, leaves_in_use, ours };
        for (before, len) in [Before::Filled, Before::Initial]
            .into_iter()
            .flat_map(|before| (0..=300).chain([511, 512, 1024, 4096, 16384]).map(move |len| (before, len)))
        {
            // An interrupt may bring a component into use: a fill that does so does it every time.
            let broken = (0..100).map(|_| {
                frame.prepare(before, &mut Rng::new(len as u64));
                // SAFETY: the memory is longer than the fill.
                unsafe { frame.call(entry, memory.as_mut_ptr(), core::ptr::without_provenance(0x5a), len) };
                judge(&frame, &subject)
            });
            assert!(broken.into_iter().any(|judged| judged.is_ok()), "{name}, {len} bytes, vectors {before:?}");
        }
    }
}
