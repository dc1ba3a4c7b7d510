//! Promise: a call leaves no trace but the copy: callee-saved registers, stack, flags, MXCSR and the x87 unit are kept,
//! and of the vector state only what the kernel claims is written or left in use.

#[cfg(memcpy_select_symbols)]
use crate::suite::abi::judge;
use crate::suite::abi::{Before, Frame, Observed, Subject};
use crate::suite::arena::{Arena, region_bytes};
use crate::suite::cases::{Case, Effort, Side};
use crate::suite::pattern::{Pattern, Polarity};
#[cfg(memcpy_select_symbols)]
use crate::suite::rng::Rng;
use crate::suite::routine;
use memcpy_select::cpu::Components;
use memcpy_select::select::{memcpy_auto_inlined, memcpy_auto_nosimd_inlined};
use std::sync::Arc;

const LARGEST: usize = (1 << 20) + 1;

/// Lengths that reach every path of every kernel, each with a few alignments.
fn cases(effort: Effort) -> Vec<Case> {
    let around = [512, 1024, 2048, 4096, 8192, 8192 + 64, 12288, 16384, 16384 + 64, 65536, 1 << 20];
    let around = around.into_iter().flat_map(|length| [length - 1, length, length + 1]);
    let offsets: &[(usize, usize)] = match effort {
        Effort::Sampled => &[(0, 0), (1, 0), (15, 33)],
        _ => &[(0, 0), (0, 1), (1, 0), (7, 7), (8, 40), (15, 33), (32, 31), (48, 63), (63, 2)],
    };
    let mut cases = Vec::new();
    for len in (0..=300).chain(around) {
        for (dst, src) in offsets {
            cases.push(Case { len, dst: (Side::Low, *dst), src: (Side::High, *src) });
        }
    }
    cases
}

/// Runs a subject through all cases with the vector registers filled, then with them in their initial state.
fn check(arena: &mut Arena, subject: Subject, cases: &[Case]) {
    for before in [Before::Filled, Before::Initial] {
        let observed = Observed::new(subject, before);
        for case in cases {
            if let Err(failure) = observed.check(arena, *case) {
                panic!("{} with vectors {before:?} in {case}: {failure}", subject.name);
            }
        }
    }
    println!("  {:<24} {:>6} cases", subject.name, 2 * cases.len());
}

fn arena() -> Arena {
    Arena::new(Arc::new(Pattern::new(region_bytes(LARGEST), Polarity::PayloadLow)))
}

#[test]
fn every_kernel_keeps_the_contract_for_registers() {
    let (ready, lacking) = routine::kernels_here();
    let (mut arena, cases) = (arena(), cases(Effort::chosen()));
    println!("registers, vectors up to {:?}:", Frame::new().width);
    for kernel in ready {
        check(&mut arena, Subject::of(kernel.kernel()), &cases);
    }
    routine::print_skipped(&lacking);
}

unsafe extern "sysv64" fn auto_nosimd(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: the caller's promise is the function's precondition.
    unsafe { memcpy_select::memcpy_auto_nosimd(dst, src, len) }
}

unsafe extern "sysv64" fn auto_nosimd_inlined(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: the caller's promise is the function's precondition.
    unsafe { memcpy_auto_nosimd_inlined(dst, src, len) }
}

unsafe extern "sysv64" fn auto_unchecked(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: the caller's promise is the function's precondition.
    unsafe { memcpy_select::memcpy_auto_unchecked(dst, src, len) }
}

unsafe extern "sysv64" fn auto_inlined(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: the caller's promise is the function's precondition.
    unsafe { memcpy_auto_inlined(dst, src, len) }
}

unsafe extern "sysv64" fn try_copy(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: the caller promises more than the function's precondition.
    let copied = unsafe { memcpy_select::fallible::try_copy(dst, src, len) };
    // An `assert` would use vector registers.
    if copied.is_err() {
        std::process::abort();
    }
}

#[test]
fn the_calls_keep_it_too() {
    let (mut arena, cases) = (arena(), cases(Effort::chosen()));
    let nosimd = Subject {
        name: "memcpy_auto_nosimd",
        entry: auto_nosimd,
        writes: Components::NONE,
        leaves_in_use: Components::NONE,
        ours: cfg!(memcpy_select_asm),
    };
    let inlined = Subject { name: "memcpy_auto_nosimd_inlined", entry: auto_nosimd_inlined, ..nosimd };
    let fallible = Subject { name: "try_copy", entry: try_copy, ..nosimd };
    [nosimd, inlined, fallible].into_iter().for_each(|subject| check(&mut arena, subject, &cases));
    let unchecked = Subject { name: "memcpy_auto_unchecked", entry: auto_unchecked, ours: false, ..nosimd };
    let inlined = Subject { name: "memcpy_auto_inlined", entry: auto_inlined, ..unchecked };
    [unchecked, inlined].into_iter().for_each(|subject| check(&mut arena, subject, &cases));
}

#[test]
#[cfg(memcpy_select_symbols)]
fn the_symbols_keep_it_too() {
    use memcpy_select::kernel::CopyFn;
    use memcpy_select::mem::{memcmp, memcpy, memmove};
    type Symbol<R> = unsafe extern "C" fn(*mut u8, *const u8, usize) -> R;

    let (mut arena, cases) = (arena(), cases(Effort::chosen()));
    for (name, symbol) in [("memcpy", memcpy as Symbol<*mut u8>), ("memmove", memmove)] {
        // SAFETY: the convention is the same on this target, and the result goes to a register that the caller has given up.
        let entry = unsafe { core::mem::transmute::<Symbol<*mut u8>, CopyFn>(symbol) };
        let (writes, leaves_in_use) = (Components::NONE, Components::NONE);
        check(&mut arena, Subject { name, entry, writes, leaves_in_use, ours: true }, &cases);
    }
    // It copies nothing: registers alone.
    let (mut frame, mut left, right) = (Frame::new(), vec![0_u8; 1000], vec![0_u8; 1000]);
    // SAFETY: as above; the first range is only read.
    let entry =
        unsafe { core::mem::transmute::<unsafe extern "C" fn(*const u8, *const u8, usize) -> i32, CopyFn>(memcmp) };
    let (writes, leaves_in_use) = (Components::NONE, Components::NONE);
    let subject = Subject { name: "memcmp", entry, writes, leaves_in_use, ours: true };
    for (len, before) in (0..=1000).flat_map(|len| [(len, Before::Filled), (len, Before::Initial)]) {
        // An interrupt may bring a component into use: code that does so does it every time.
        let kept = (0..100).any(|_| {
            frame.prepare(before, &mut Rng::new(len as u64));
            // SAFETY: both ranges have so many bytes.
            unsafe { frame.call(entry, left.as_mut_ptr(), right.as_ptr(), len) };
            judge(&frame, &subject).is_ok()
        });
        assert!(kept, "memcmp of {len} bytes, vectors {before:?}");
    }
}

/// A kernel that claims less than it does would be believed by whoever saves vector state around it.
#[test]
#[cfg(memcpy_select_asm)]
fn kernels_that_need_no_vector_extension_claim_no_vector_state() {
    for kernel in memcpy_select::kernels() {
        let is_string_or_gpr = kernel.name() == "gpr" || kernel.name().starts_with("rep_");
        if is_string_or_gpr {
            assert!(kernel.writes().is_empty(), "{}", kernel.name());
        }
        assert!(kernel.writes().contains(kernel.leaves_in_use()), "{}", kernel.name());
    }
}
