//! Any bands: a plan is refused with a reason or answers for every length; one that is in force copies right, and one
//! that is refused leaves the previous one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use memcpy_select::select::{Band, Class, MAX_BANDS, Plan, PlanError, Policy, install, plan_in_force, uninstall};
use memcpy_select::{Kernel, kernels, memcpy_auto, memcpy_auto_nosimd};

/// Bands from five bytes each: a limit, a kernel for most classes and one for the class of misaligned destinations.
fn bands(input: &[u8]) -> Vec<Band> {
    let kernel = |number: u8| -> &'static Kernel { &kernels()[usize::from(number) % kernels().len()] };
    let chunks = input.chunks_exact(5).take(MAX_BANDS + 2);
    chunks
        .map(|chunk| {
            let [low, high, scale, some, others] = *chunk else { unreachable!("chunks have five bytes") };
            let limit = match scale {
                255 => usize::MAX,
                _ => usize::from(u16::from_le_bytes([low, high])) << (scale % 48),
            };
            Band::new(limit, kernel(some)).with(Class::Misaligned, kernel(others))
        })
        .collect()
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
    let bands = bands(input);
    let plan = match Plan::new(&bands) {
        Ok(plan) => plan,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
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
