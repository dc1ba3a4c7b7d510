//! Promise: whatever the CPU offers, the plan for it names only what it offers, and the calls copy exactly under it;
//! a plan that this CPU cannot follow is refused.
//!
//! Masks hide features from detection, so that one machine walks every tier from its own down to plain x86-64.

use crate::suite::abi::{Before, Frame};
use crate::suite::cases::Effort;
use crate::suite::forever::forever;
use crate::suite::guarded::Guarded;
use crate::suite::rng::Rng;
use crate::suite::routine::{Call, Routine, kernels_here};
use crate::suite::runner;
use crate::turn::{POLICIES, Turn};
use memcpy_select::Kernel;
use memcpy_select::cpu::{self, Cpu, Features};
use memcpy_select::select::{
    Aliasing, Alignment, Band, Class, Plan, PlanError, Policy, Small, formula, install, memcpy_auto_inlined, plan_for,
    plan_in_force, uninstall,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// SSE2 belongs to x86-64: no mask takes it away.
const PLAIN: Features = Features::SSE2;
const STRING: Features = Features::ERMS.union(Features::FSRM);
const AVX: Features = PLAIN.union(Features::AVX).union(Features::AVX2);

const TIERS: [(&str, Features); 7] = [
    ("all that this CPU has", AVX.union(Features::AVX512F).union(STRING)),
    ("no fast string instructions", AVX.union(Features::AVX512F)),
    ("no AVX-512", AVX.union(STRING)),
    ("AVX and AVX2 only", AVX),
    ("AVX only", PLAIN.union(Features::AVX)),
    ("SSE2 with ERMS", PLAIN.union(Features::ERMS)),
    ("plain x86-64", PLAIN),
];

/// A call of machine code and what is inlined in builds for release.
const BOTH_WAYS: [&dyn Routine; 2] = [&Call::AutoUnchecked, &Call::AutoInlined];

fn leak(plan: Plan) -> &'static Plan {
    forever(plan)
}

fn one_kernel(kernel: &'static Kernel) -> &'static Plan {
    leak(Plan::new(&[Band::new(usize::MAX, kernel)]).expect("one band covers every length"))
}

fn named(name: &str) -> &'static Kernel {
    Kernel::named(name).expect("a kernel of the table")
}

#[test]
fn the_calls_copy_exactly_on_every_tier() {
    let _turn = Turn::take();
    let mut known: Vec<(Policy, &'static Plan)> = Vec::new();
    for (tier, mask) in TIERS {
        let cpu = Cpu::detect().masked(mask);
        for policy in POLICIES {
            let plan = leak(formula::plan(&cpu, policy));
            for kernel in plan.kernels() {
                assert!(mask.contains(kernel.needs()), "{tier}, {policy:?}: the plan names {}", kernel.name());
                assert!(policy == Policy::User || kernel.writes().is_empty(), "{tier}: {}", kernel.name());
            }
            install(policy, plan).unwrap_or_else(|error| panic!("{tier}, {policy:?}: {error}"));
            assert_eq!(plan_in_force(policy), plan);
            println!("{tier}, {policy:?}:\n{plan}");
        }
        let limits: Vec<usize> = POLICIES.map(plan_in_force).iter().flat_map(|plan| limits(plan)).collect();
        // What follows a plan that a tier before had too copies as it did there: a sample is enough.
        let in_force = POLICIES.map(|policy| (policy, plan_in_force(policy)));
        let is_new = |call: &&Call| in_force.iter().any(|one| one.0 == call.policy() && !known.contains(one));
        let (new, old): (Vec<&Call>, Vec<&Call>) = Call::ALL.iter().partition(is_new);
        for (calls, effort) in [(new, Effort::chosen()), (old, Effort::Sampled)] {
            let routines: Vec<&dyn Routine> = calls.into_iter().map(|call| call as &dyn Routine).collect();
            if !routines.is_empty() {
                runner::every_length(tier, &routines, effort);
                runner::around(tier, &routines, &limits, effort);
            }
        }
        known.extend(in_force);
    }
}

fn limits(plan: &'static Plan) -> impl Iterator<Item = usize> {
    plan.bands().iter().map(|band| band.up_to_bytes())
}

#[test]
fn a_plan_of_every_kernel_alone_copies_exactly() {
    let _turn = Turn::take();
    for kernel in kernels_here().0 {
        let kernel = kernel.kernel();
        install(Policy::User, one_kernel(kernel)).expect("the kernel is available");
        runner::every_length(&format!("only {}", kernel.name()), &BOTH_WAYS, Effort::Sampled);
    }
}

/// No plan takes it by itself, and so nothing else here meets it.
#[test]
fn short_lengths_by_one_masked_store_copy_exactly() {
    let _turn = Turn::take();
    let needs = Small::Masked.needs();
    let plan =
        leak(Plan::new(&[Band::new(usize::MAX, named("portable"))]).expect("one band").with_small(Small::Masked));
    match install(Policy::User, plan) {
        Ok(()) => assert!(cpu::features().contains(needs)),
        Err(error) => {
            assert!(!cpu::features().contains(needs), "{error}");
            return println!("skipped: a masked store needs {needs:?}, which this CPU or its operating system lacks");
        }
    }
    runner::every_length("short lengths masked", &BOTH_WAYS, Effort::chosen());
}

unsafe extern "sysv64" fn auto_unchecked(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: the caller's promise is the function's precondition.
    unsafe { memcpy_select::memcpy_auto_unchecked(dst, src, len) }
}

unsafe extern "sysv64" fn auto_inlined(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: as above.
    unsafe { memcpy_auto_inlined(dst, src, len) }
}

/// Offsets of destination and source in their pages: every class, and the distances at which one ends.
const PLACEMENTS: [(usize, usize); 20] = [
    (0, 2048),
    (0, 2049),
    (1, 2049),
    (1, 2048),
    (64, 0),
    (64, 1),
    (65, 1),
    (100, 0),
    (255, 0),
    (256, 0),
    (257, 1),
    (0, 64),
    (0, 1),
    (1, 65),
    (1, 2),
    (0, 255),
    (0, 256),
    (1, 257),
    (4096, 4096),
    (4095, 1),
];

/// One kernel of a plan writes vector registers and the other does not: which of them ran shows in the registers.
#[test]
fn each_length_and_class_reaches_the_kernel_of_the_plan() {
    let _turn = Turn::take();
    let (gpr, sse2) = (named("gpr"), named("sse2_aligned"));
    let bands = [
        Band::new(100, gpr).with_alignment(Alignment::Unequal, sse2),
        Band::new(101, sse2).with(Class::new(Alignment::BothAligned, Aliasing::DstAfterSrc), gpr),
        Band::new(300, gpr).with_alignment(Alignment::DstAligned, sse2),
        Band::new(1000, sse2).with_alignment(Alignment::Equal, gpr),
        Band::new(4096, gpr).with_aliasing(Aliasing::DstAfterSrc, sse2),
        Band::new(8192, sse2).with_aliasing(Aliasing::SrcAfterDst, gpr),
        Band::new(usize::MAX, sse2).with_aliasing(Aliasing::Apart, gpr),
    ];
    let plan = leak(Plan::new(&bands).expect("the limits rise"));
    install(Policy::User, plan).expect("every x86-64 has these kernels");
    let (mut dst, mut src, mut frame) = (Guarded::new(1 << 16), Guarded::new(1 << 16), Frame::new());
    let (mut copies, mut reached) = (0, Vec::new());
    for len in limits(plan).filter(|limit| *limit < 1 << 15).flat_map(|limit| [limit - 1, limit, limit + 1]) {
        for (dst_at, src_at) in PLACEMENTS {
            let to = dst.as_mut_slice()[dst_at..dst_at + len].as_mut_ptr();
            let from = src.as_mut_slice()[src_at..src_at + len].as_ptr();
            let class = Class::of(to.addr(), from.addr());
            for call in [auto_unchecked, auto_inlined] {
                frame.prepare(Before::Filled, &mut Rng::new(1));
                // SAFETY: both ranges were just checked against their regions, which are two.
                unsafe { frame.call(call, to, from, len) };
                let wrote_vectors = frame.vectors_changed();
                assert_eq!(wrote_vectors, plan.kernel(len, class) == sse2, "{len} bytes, {}", class.name());
                copies += 1;
            }
            reached.push(class.name());
        }
    }
    assert!(Class::ALL.iter().all(|class| reached.contains(&class.name())), "only {reached:?}");
    println!("{copies} copies went where the plan said");
}

#[test]
fn a_plan_with_an_unavailable_kernel_is_refused_and_the_previous_one_stays() {
    let _turn = Turn::take();
    let (_, lacking) = kernels_here();
    let previous = one_kernel(named("gpr"));
    for kernel in &lacking {
        assert!(kernel.ready().is_none(), "{}", kernel.name());
        let plan = one_kernel(kernel);
        for policy in POLICIES {
            install(policy, previous).expect("gpr runs everywhere and touches no vector register");
            assert_eq!(install(policy, plan), Err(PlanError::Unavailable { kernel: kernel.name() }));
            assert!(std::ptr::eq(plan_in_force(policy), previous), "the previous plan stays");
        }
    }
    println!("refused for {} unavailable kernels", lacking.len());
}

#[test]
fn a_plan_that_touches_vector_state_is_refused_without_simd() {
    let _turn = Turn::take();
    let previous = one_kernel(named("rep_movsb"));
    install(Policy::NoSimd, previous).expect("rep movsb touches no vector register");
    let (ready, _) = kernels_here();
    for kernel in ready.iter().map(|ready| ready.kernel()).filter(|kernel| !kernel.writes().is_empty()) {
        let alone = one_kernel(kernel);
        // One class of one band is enough to refuse it.
        let band =
            Band::new(usize::MAX, named("gpr")).with(Class::new(Alignment::Unequal, Aliasing::SrcAfterDst), kernel);
        let hidden = leak(Plan::new(&[band]).expect("one band covers every length"));
        for plan in [alone, hidden] {
            let refused = install(Policy::NoSimd, plan);
            assert_eq!(refused, Err(PlanError::TouchesVectorState { kernel: kernel.name() }));
            assert!(std::ptr::eq(plan_in_force(Policy::NoSimd), previous), "the previous plan stays");
            install(Policy::User, plan).expect("for user mode it is a plan like any other");
        }
    }
}

#[test]
fn uninstalling_returns_to_the_plan_of_the_start() {
    let _turn = Turn::take();
    for policy in POLICIES {
        uninstall(policy);
        let start = *plan_in_force(policy);
        install(policy, one_kernel(named("rep_movsq"))).expect("runs everywhere");
        uninstall(policy);
        assert_eq!(*plan_in_force(policy), start);
    }
    assert_eq!(*plan_in_force(Policy::User), plan_for(&Cpu::detect(), Policy::User));
}

#[test]
fn plans_may_change_while_others_copy() {
    let _turn = Turn::take();
    const CHANGES: usize = 20_000;
    let plans: Vec<_> = kernels_here().0.iter().map(|ready| one_kernel(ready.kernel())).collect();
    let no_simd: Vec<_> = plans.iter().filter(|plan| plan.kernels().all(|kernel| kernel.writes().is_empty())).collect();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let copiers = Call::ALL.each_ref().map(|call| scope.spawn(|| copy_until(&done, *call)));
        for change in 0..CHANGES {
            match change % 8 {
                0 => POLICIES.into_iter().for_each(uninstall),
                _ => install(Policy::NoSimd, no_simd[change % no_simd.len()]).expect("touches no vector register"),
            }
            install(Policy::User, plans[change % plans.len()]).expect("every kernel is available");
        }
        done.store(true, Ordering::Relaxed);
        let copies: Vec<u64> = copiers.into_iter().map(|copier| copier.join().expect("every copy is exact")).collect();
        println!("{CHANGES} changes of plan during {copies:?} copies");
    });
}

/// Copies and compares until told to stop, at least a hundred times.
fn copy_until(done: &AtomicBool, call: Call) -> u64 {
    let src: Vec<u8> = (0..5000_u32).map(|index| (index * 31 / 8) as u8).collect();
    let mut dst = vec![0; src.len()];
    let mut copies = 0;
    while copies < 100 || !done.load(Ordering::Relaxed) {
        let len = 65 + (copies as usize * 97) % (src.len() - 130);
        let at = copies as usize % 65;
        dst.fill(0);
        // SAFETY: `at + len` is below the length of both vectors, which are two allocations.
        unsafe { call.copy(dst[at..].as_mut_ptr(), src[at..].as_ptr(), len) };
        assert!(dst[at..at + len] == src[at..at + len] && dst[at + len..].iter().all(|byte| *byte == 0));
        copies += 1;
    }
    copies
}
