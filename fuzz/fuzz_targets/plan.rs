//! Any bands: a plan is refused with a reason or answers for every length; its text reads back as the same plan; one
//! that is in force copies right, and one that is refused leaves the previous one. Any text: it is refused with a line
//! and a reason, or is a plan whose text reads back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use memcpy_select::cpu::Cpu;
use memcpy_select::select::{
    Aliasing, Alignment, Band, Class, CpuName, MAX_BANDS, MAX_TEXT_BYTES, Plan, PlanError, PlanText, Policy, install,
    load, plan_in_force, uninstall,
};
use memcpy_select::{Kernel, kernels, memcpy_auto, memcpy_auto_nosimd};
use std::sync::LazyLock;

static HERE: LazyLock<Cpu> = LazyLock::new(Cpu::detect);

/// Bands from six bytes each: a limit, a kernel for most classes, one for others, and which others.
fn bands(input: &[u8]) -> Vec<Band> {
    let kernel = |number: u8| -> &'static Kernel { &kernels()[usize::from(number) % kernels().len()] };
    let chunks = input.chunks_exact(6).take(MAX_BANDS + 2);
    chunks
        .map(|chunk| {
            let [low, high, scale, some, others, which] = *chunk else { unreachable!("chunks have six bytes") };
            let limit = match scale {
                255 => usize::MAX,
                _ => usize::from(u16::from_le_bytes([low, high])) << (scale % 48),
            };
            let band = Band::new(limit, kernel(some));
            let (which, rest) = (usize::from(which) % 20, kernel(others));
            match which {
                0..12 => band.with(Class::ALL[which], rest),
                12..16 => band.with_alignment(Alignment::ALL[which - 12], rest),
                16..19 => band.with_aliasing(Aliasing::ALL[which - 16], rest),
                _ => band,
            }
        })
        .collect()
}

/// A text is refused with a line of its own, or is a plan whose text reads back as the same.
fn check_text(text: &str) {
    match PlanText::parse(text) {
        Ok(parsed) => {
            assert!(text.len() <= MAX_TEXT_BYTES);
            let written = parsed.to_string();
            assert!(written.len() < MAX_TEXT_BYTES / 2);
            assert_eq!(PlanText::parse(&written), Ok(parsed), "{written}");
            if let Err(error) = load(text, &HERE) {
                assert!(!error.to_string().is_empty());
            }
        }
        Err(error) => {
            assert!((1..=text.lines().count() + 1).contains(&error.line));
            assert!(error.to_string().is_ascii());
        }
    }
}

/// The text of a plan reads back; with some of its bytes replaced it does no harm.
fn check_written(plan: Plan, input: &[u8]) {
    let cpu = CpuName::of(&HERE.signature);
    let written = PlanText { cpu, policy: Policy::User, plan };
    let text = written.to_string();
    assert_eq!(PlanText::parse(&text), Ok(written), "{text}");
    let mut damaged = text.into_bytes();
    for change in input.rchunks_exact(3).take(4) {
        let [low, high, byte] = *change else { unreachable!("chunks have three bytes") };
        let at = usize::from(u16::from_le_bytes([low, high])) % damaged.len();
        damaged[at] = byte & 0x7F;
    }
    check_text(std::str::from_utf8(&damaged).expect("only ASCII was put in"));
}

/// What a plan has to answer, found by walking the bands.
fn expected(bands: &[Band], len: usize, class: Class) -> &'static Kernel {
    bands.iter().find(|band| len <= band.up_to_bytes()).expect("the last band has no limit").kernel(class)
}

fn check_copies() {
    let src: Vec<u8> = (0..3000_u32).map(|index| (index * 31 / 8) as u8).collect();
    for len in [0, 1, 64, 65, 127, 500, 2999] {
        let mut dst = vec![0; 3000];
        memcpy_auto(&mut dst[1..=len], &src[..len]);
        assert!(dst[1..=len] == src[..len] && dst[len + 1..].iter().all(|byte| *byte == 0));
        dst.fill(0);
        // SAFETY: `len` is below the length of both vectors, which are two allocations.
        unsafe { memcpy_auto_nosimd(dst.as_mut_ptr(), src.as_ptr(), len) };
        assert!(dst[..len] == src[..len] && dst[len..].iter().all(|byte| *byte == 0));
    }
}

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        check_text(text);
    }
    let bands = bands(input);
    let plan = match Plan::new(&bands) {
        Ok(plan) => plan,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    check_written(plan, input);
    for limit in bands.iter().map(Band::up_to_bytes) {
        for len in [limit.saturating_sub(1), limit, limit.saturating_add(1)] {
            for class in Class::ALL {
                assert_eq!(plan.kernel(len, class), expected(&bands, len, class));
            }
        }
    }
    let owned = Box::into_raw(Box::new(plan));
    // SAFETY: the plan is freed only below, when it is out of force and nobody else runs.
    let plan: &'static Plan = unsafe { &*owned };
    for policy in [Policy::User, Policy::NoSimd] {
        let previous = plan_in_force(policy);
        match install(policy, plan) {
            Ok(()) => assert!(std::ptr::eq(plan_in_force(policy), plan)),
            Err(PlanError::Unavailable { .. } | PlanError::TouchesVectorState { .. }) => {
                assert!(std::ptr::eq(plan_in_force(policy), previous), "the previous plan stays");
            }
            Err(error) => panic!("a plan of sound bands is refused: {error}"),
        }
    }
    check_copies();
    [Policy::User, Policy::NoSimd].into_iter().for_each(uninstall);
    // SAFETY: out of force, in the only thread; it came from a box above.
    drop(unsafe { Box::from_raw(owned) });
});
