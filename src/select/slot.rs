//! Where the plan in force is kept: what the calls read.
//!
//! A slot says how small lengths are copied, and holds an entry point for each of a few [steps](STEPS) of length: the
//! kernel's where the plan has one for the whole step, whatever the class, else that which goes [by the plan](super::by_plan).
//! The steps are constants: a copy is three compares, one load and a call. On AMD Zen 5 each further
//! load on the way costs a copy of unaligned lines in the first-level cache about two cycles, and shifts and masks cost
//! Golden Cove as much (results/TRIED.md).
//!
//! The words are written one after the other. A call in between may follow the new plan for one length and the old
//! one for another: both have been checked, and neither is ever freed.

use super::inline::Small;
use super::plan::Plan;
use crate::kernel::CopyFn;
#[cfg(target_arch = "x86_64")]
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

/// The plan in force under one policy. On a cache line of its own: nobody else's writes slow the calls down.
#[repr(align(64))]
pub(super) struct Slot {
    pub(super) small: AtomicU8,
    /// An entry point for each step, then the one that goes by the plan. Pointers to functions: none is ever null.
    pub(super) steps: [AtomicPtr<()>; STEPS.len() + 1],
    pub(super) plan: AtomicPtr<Plan>,
}

/// The longest length of each step, in bytes: where plans change kernels if anywhere below the size of a first-level cache.
/// Above the last one finding the way costs a copy less than a hundredth.
pub(super) const STEPS: [usize; 3] = [512, 2048, 16 << 10];

/// Loads the word of the step of the length in `rdx`, of the slot in `rcx`, into `rax`. Without a branch: taken ones are what a
/// call has too many of already; and in half as many instructions as compilers make of it. Loads are acquiring ones on x86-64.
#[cfg(target_arch = "x86_64")]
macro_rules! load_step {
    () => {
        "mov eax, 3
        cmp rdx, {short} + 1
        sbb eax, 0
        cmp rdx, {middle} + 1
        sbb eax, 0
        cmp rdx, {long} + 1
        sbb eax, 0
        mov rax, qword ptr [rcx + 8*rax + {steps}]"
    };
}
#[cfg(all(target_arch = "x86_64", memcpy_select_out_of_line))]
pub(super) use load_step;

impl Slot {
    /// A slot with this plan. `by_plan` copies by the plan in this slot. Nothing is known of the steps yet: addresses cannot
    /// be compared at compile time.
    pub(super) const fn new(plan: &'static Plan, by_plan: CopyFn) -> Self {
        let step = by_plan as *mut ();
        Self {
            small: AtomicU8::new(Small::Pieces as u8),
            steps: [AtomicPtr::new(step), AtomicPtr::new(step), AtomicPtr::new(step), AtomicPtr::new(step)],
            plan: AtomicPtr::new(ptr::from_ref(plan).cast_mut()),
        }
    }

    /// How small lengths are copied.
    #[inline(always)]
    pub(super) fn small(&self) -> Small {
        if self.small.load(Ordering::Relaxed) == Small::Masked as u8 { Small::Masked } else { Small::Pieces }
    }

    /// The entry point for a copy.
    #[inline(always)]
    pub(super) fn entry(&self, len: usize) -> CopyFn {
        #[cfg(target_arch = "x86_64")]
        let entry: *mut ();
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the code reads one of the words in `steps`: as many as comparisons, and one more.
        unsafe {
            core::arch::asm!(
                load_step!(),
                in("rcx") self, in("rdx") len, out("rax") entry,
                short = const STEPS[0], middle = const STEPS[1], long = const STEPS[2], steps = const offset_of!(Self, steps),
                options(nostack, readonly),
            );
        }
        #[cfg(not(target_arch = "x86_64"))]
        let entry = self.steps[STEPS.into_iter().filter(|limit| len > *limit).count()].load(Ordering::Acquire);
        // SAFETY: the word was made from an entry point, which this is again.
        unsafe { core::mem::transmute::<*mut (), CopyFn>(entry) }
    }

    /// The plan in force.
    #[inline(always)]
    pub(super) fn plan(&self) -> &'static Plan {
        let plan = self.plan.load(Ordering::Acquire);
        // SAFETY: a slot only ever holds the address of a plan that lives and stays unchanged for 'static.
        unsafe { &*plan }
    }

    /// Puts a plan in force.
    pub(super) fn publish(&self, plan: &'static Plan) {
        self.plan.store(ptr::from_ref(plan).cast_mut(), Ordering::SeqCst);
        self.follow();
    }

    /// Puts a plan in force if `expected` is in force now.
    pub(super) fn publish_instead(&self, expected: &'static Plan, plan: &'static Plan) {
        let (expected, plan) = (ptr::from_ref(expected).cast_mut(), ptr::from_ref(plan).cast_mut());
        if self.plan.compare_exchange(expected, plan, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
            self.follow();
        }
    }

    /// Brings the other words in line with `plan`. Each change of `plan` is followed by this, and by this again if the plan
    /// changed meanwhile: the last words written are those of the plan that stays, without a lock that a signal handler
    /// or an interrupt could find taken.
    fn follow(&self) {
        loop {
            let plan = self.plan.load(Ordering::SeqCst);
            // SAFETY: as in `plan`.
            let followed = unsafe { &*plan };
            self.small.store(followed.small() as u8, Ordering::SeqCst);
            let mut from_bytes = 1;
            for (step, up_to_bytes) in self.steps.iter().zip(STEPS) {
                let only = followed.only_entry(from_bytes, up_to_bytes).map(|entry| entry as *mut ());
                let by_plan = || self.steps[STEPS.len()].load(Ordering::Relaxed);
                step.store(only.unwrap_or_else(by_plan), Ordering::SeqCst);
                from_bytes = up_to_bytes + 1;
            }
            if self.plan.load(Ordering::SeqCst) == plan {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Kernel, kernels};
    use crate::select::by_plan;
    use crate::select::class::Class;
    use crate::select::plan::Band;

    /// Plans that were in force live until the program ends. Kept in sight, they are no leaks to who looks for some.
    static KEPT: std::sync::Mutex<Vec<&'static Plan>> = std::sync::Mutex::new(Vec::new());

    fn leak(bands: &[Band]) -> &'static Plan {
        let plan: &'static Plan = Box::leak(Box::new(Plan::new(bands).unwrap()));
        KEPT.lock().unwrap().push(plan);
        plan
    }

    fn named(name: &str) -> &'static Kernel {
        Kernel::named(name).unwrap()
    }

    /// Where a slot sends a copy: to a kernel, or to what goes by the plan.
    fn sent(slot: &Slot, len: usize) -> Option<CopyFn> {
        let entry = slot.entry(len);
        (!ptr::fn_addr_eq(entry, by_plan::user as CopyFn)).then_some(entry)
    }

    /// Every length around the border of bands and of steps goes where the plan says, or is left to the plan.
    #[test]
    fn steps_say_what_the_plan_says() {
        let (first, last) = (&kernels()[0], named("portable"));
        for limit in [1, 64, 65, 511, 512, 513, 2048, 4096, 16 << 10, (16 << 10) + 1, usize::MAX - 1] {
            let plan = leak(&[Band::new(limit, first), Band::new(usize::MAX, last)]);
            let slot = Slot::new(plan, by_plan::user);
            let around = [limit, 512, 2048, 16 << 10].into_iter().flat_map(|at| [at - 1, at, at.saturating_add(1)]);
            let lengths: Vec<usize> = around.chain([1, 2, 64, 65, usize::MAX]).collect();
            assert!(lengths.iter().all(|len| sent(&slot, *len).is_none()), "nothing is known before it is published");
            slot.publish(plan);
            for len in lengths {
                let wanted = plan.kernel(len, Class::of(0, 2048)).entry();
                assert!(sent(&slot, len).is_none_or(|entry| ptr::fn_addr_eq(entry, wanted)), "{len} of {limit}");
            }
            let is_step = STEPS.contains(&limit) || limit > STEPS[2];
            let direct = STEPS.iter().filter(|len| sent(&slot, **len).is_some()).count();
            assert_eq!(direct, STEPS.len() - usize::from(!is_step), "a border within a step: {limit}");
        }
    }

    #[test]
    fn a_band_that_depends_on_the_class_is_left_to_the_plan() {
        let plan = leak(&[Band::new(usize::MAX, &kernels()[0]).with(Class::of(1, 2048), named("portable"))]);
        let slot = Slot::new(plan, by_plan::user);
        slot.publish(plan);
        assert!(STEPS.into_iter().all(|len| sent(&slot, len).is_none()));
    }

    #[test]
    fn racing_publishers_leave_all_words_of_one_plan() {
        let plans: Vec<&'static Plan> = kernels().iter().map(|kernel| leak(&[Band::new(usize::MAX, kernel)])).collect();
        let slot = Slot::new(plans[0], by_plan::user);
        for _ in 0..200 {
            std::thread::scope(|scope| {
                for plan in plans.iter().take(4) {
                    scope.spawn(|| slot.publish(plan));
                }
            });
            let wanted = slot.plan().kernel(1, Class::ALL[0]).entry();
            assert!(STEPS.into_iter().all(|len| ptr::fn_addr_eq(slot.entry(len), wanted)));
        }
    }
}
