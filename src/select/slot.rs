//! Where the plan in force is kept: what the calls read.
//!
//! A slot says how small lengths are copied, and holds an entry point for [short](SHORT_MAX_BYTES) copies and one for
//! each of a few [steps](STEPS) of length beyond: the kernel's where the plan has one for the whole step, whatever the
//! class, else that which goes [by the plan](super::by_plan). A short copy is one compare, one load and a call in the
//! caller: one compare more there costs a copy of 65 to 128 bytes a fifth on Golden Cove, each further load on the way
//! two cycles on AMD Zen 5 (results/TRIED.md). What is longer is called through its step.
//!
//! Copies that end at a fault have two kernels, and two words say which one.
//!
//! The words are written one after the other. A call in between may follow the new plan for one length and the old
//! one for another: both have been checked, and neither is ever freed.

use super::class::{CLASSES, Class};
use super::inline::Small;
use super::plan::Plan;
use crate::kernel::CopyFn;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicU16, AtomicUsize, Ordering};

/// The plan in force under one policy. On a cache line of its own: no other write slows the calls down.
#[repr(align(64))]
pub(crate) struct Slot {
    pub(super) small: AtomicU8,
    /// Whether a step goes without classes where they choose between string instructions alone.
    without_string_classes: bool,
    /// For copies that end at a fault: the classes that take `rep movsb`, a bit each in the order of [`Class::ALL`].
    string_classes: AtomicU16,
    /// From how many bytes on they do; 0 while nothing is decided.
    string_from: AtomicUsize,
    /// The entry point for short copies, then the one for all others, which goes by the step and never changes.
    /// Pointers to functions, as those below: none is ever null.
    pub(super) first: [AtomicPtr<()>; 2],
    /// An entry point for each step, then the one that goes by the plan, which never changes.
    pub(super) steps: [AtomicPtr<()>; STEPS.len() + 1],
    pub(super) plan: AtomicPtr<Plan>,
}

/// A bit for each class.
pub(super) const EVERY_CLASS: u16 = (1 << CLASSES) - 1;

/// The longest short copy, in bytes.
pub(crate) const SHORT_MAX_BYTES: usize = 512;
/// Where a slot has its two first entry points: that for short copies, and that for all others.
#[cfg(any(memcpy_select_interposed, memcpy_select_out_of_line, memcpy_select_symbols))]
pub(crate) const FIRST: usize = core::mem::offset_of!(Slot, first);
/// The longest length of each step, in bytes: where plans change kernels if anywhere below the size of a first-level
/// cache, the first one where words give way to strings. Above the last one finding the way costs a copy less than a
/// hundredth.
pub(super) const STEPS: [usize; 3] = [768, 2048, 16 << 10];

impl Slot {
    /// A slot with this plan. `by_step` copies by the step in this slot, `by_plan` by the plan. Nothing is known of the
    /// steps yet: addresses cannot be compared at compile time.
    pub(super) const fn new(plan: &'static Plan, by_step: CopyFn, by_plan: CopyFn) -> Self {
        let by_plan = by_plan as *mut ();
        Self {
            small: AtomicU8::new(Small::Pieces as u8),
            without_string_classes: false,
            string_classes: AtomicU16::new(0),
            string_from: AtomicUsize::new(0),
            first: [AtomicPtr::new(by_plan), AtomicPtr::new(by_step as *mut ())],
            steps: [AtomicPtr::new(by_plan), AtomicPtr::new(by_plan), AtomicPtr::new(by_plan), AtomicPtr::new(by_plan)],
            plan: AtomicPtr::new(ptr::from_ref(plan).cast_mut()),
        }
    }

    /// The same slot, whose steps need no class to choose between `rep movsb` and the same with an aligned destination: finding it
    /// costs more than aligning what is aligned.
    pub(super) const fn without_string_classes(mut self) -> Self {
        self.without_string_classes = true;
        self
    }

    /// How small lengths are copied.
    #[inline(always)]
    pub(super) fn small(&self) -> Small {
        if self.small.load(Ordering::Relaxed) == Small::Masked as u8 { Small::Masked } else { Small::Pieces }
    }

    /// The entry point for a copy.
    #[inline(always)]
    pub(super) fn entry(&self, len: usize) -> CopyFn {
        entry_point(&self.first[usize::from(len > SHORT_MAX_BYTES)])
    }

    /// Whether every copy of that length that may end at a fault goes by words. False while nothing is decided.
    #[inline(always)]
    pub(super) fn is_below_string(&self, len: usize) -> bool {
        len < self.string_from.load(Ordering::Relaxed)
    }

    /// Whether every other one goes by `rep movsb`.
    #[inline(always)]
    pub(super) fn is_string_everywhere(&self) -> bool {
        self.string_classes.load(Ordering::Relaxed) == EVERY_CLASS
    }

    /// Whether one of a length that is not [below](Self::is_below_string) goes by `rep movsb`; nothing while nothing is
    /// decided.
    pub(super) fn is_string(&self, dst_address: usize, src_address: usize) -> Option<bool> {
        let class = 1 << Class::number(dst_address, src_address);
        let is_decided = self.string_from.load(Ordering::Relaxed) != 0;
        is_decided.then(|| self.string_classes.load(Ordering::Relaxed) & class != 0)
    }

    /// The entry point for a copy that is not short.
    #[cfg(any(test, not(all(target_arch = "x86_64", memcpy_select_asm))))]
    pub(super) fn step_entry(&self, len: usize) -> CopyFn {
        entry_point(&self.steps[STEPS.into_iter().filter(|limit| len > *limit).count()])
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

    /// Brings the other words in line with `plan`. Each change of `plan` is followed by this, and by this again if the
    /// plan changed meanwhile: the last words written are those of the plan that stays, without a lock that a signal
    /// handler or an interrupt could find taken.
    fn follow(&self) {
        loop {
            let plan = self.plan.load(Ordering::SeqCst);
            // SAFETY: `plan` points to a plan that lives as long as the program.
            let followed = unsafe { &*plan };
            self.small.store(followed.small() as u8, Ordering::SeqCst);
            let (string_from, classes) = followed.string();
            self.string_classes.store(classes, Ordering::SeqCst);
            self.string_from.store(string_from, Ordering::SeqCst);
            let [short, _] = &self.first;
            let [steps @ .., by_plan] = &self.steps;
            let mut from_bytes = 1;
            for (word, up_to_bytes) in [(short, SHORT_MAX_BYTES)].into_iter().chain(steps.iter().zip(STEPS)) {
                let only = followed.only_entry(from_bytes, up_to_bytes);
                let string = || followed.string_entry(from_bytes, up_to_bytes);
                let only = if self.without_string_classes { only.or_else(string) } else { only };
                let only = only.map(|entry| entry as *mut ());
                word.store(only.unwrap_or_else(|| by_plan.load(Ordering::Relaxed)), Ordering::SeqCst);
                from_bytes = up_to_bytes + 1;
            }
            if self.plan.load(Ordering::SeqCst) == plan {
                return;
            }
        }
    }
}

/// The function whose address a word is, as those of a slot are.
#[inline(always)]
pub(super) fn entry_point(word: &AtomicPtr<()>) -> CopyFn {
    let entry = word.load(Ordering::Acquire);
    // SAFETY: the word was made from an entry point, which this is again.
    unsafe { core::mem::transmute::<*mut (), CopyFn>(entry) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Kernel, kernels};
    use crate::select::band::Band;
    use crate::select::in_force;

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

    fn slot(plan: &'static Plan) -> Slot {
        Slot::new(plan, in_force::user_by_step, in_force::user)
    }

    /// Where a slot sends a copy: to a kernel, or to what goes by the plan.
    fn sent(slot: &Slot, len: usize) -> Option<CopyFn> {
        let entry = slot.entry(len);
        let is_long = ptr::fn_addr_eq(entry, in_force::user_by_step as CopyFn);
        let entry = if is_long { slot.step_entry(len) } else { entry };
        (!ptr::fn_addr_eq(entry, in_force::user as CopyFn)).then_some(entry)
    }

    /// The longest length of each word.
    const LIMITS: [usize; 4] = [SHORT_MAX_BYTES, STEPS[0], STEPS[1], STEPS[2]];

    /// Every length around the border of bands and of steps goes where the plan says, or is left to the plan.
    #[test]
    fn steps_say_what_the_plan_says() {
        let (first, last) = (&kernels()[0], named("portable"));
        for limit in [1, 64, 65, 511, 512, 513, 2048, 4096, 16 << 10, (16 << 10) + 1, usize::MAX - 1] {
            let plan = leak(&[Band::new(limit, first), Band::new(usize::MAX, last)]);
            let slot = slot(plan);
            let around = [limit, 512, 2048, 16 << 10].into_iter().flat_map(|at| [at - 1, at, at.saturating_add(1)]);
            let lengths: Vec<usize> = around.chain([1, 2, 64, 65, usize::MAX]).collect();
            assert!(lengths.iter().all(|len| sent(&slot, *len).is_none()), "nothing is known before it is published");
            slot.publish(plan);
            for len in lengths {
                let wanted = plan.kernel(len, Class::of(0, 2048)).entry();
                assert!(sent(&slot, len).is_none_or(|entry| ptr::fn_addr_eq(entry, wanted)), "{len} of {limit}");
            }
            let is_step = LIMITS.contains(&limit) || limit > LIMITS[3];
            let direct = LIMITS.iter().filter(|len| sent(&slot, **len).is_some()).count();
            assert_eq!(direct, LIMITS.len() - usize::from(!is_step), "a border within a step: {limit}");
        }
    }

    #[test]
    fn a_band_that_depends_on_the_class_is_left_to_the_plan() {
        let plan = leak(&[Band::new(usize::MAX, &kernels()[0]).with(Class::of(1, 2048), named("portable"))]);
        let slot = slot(plan);
        slot.publish(plan);
        assert!(LIMITS.into_iter().all(|len| sent(&slot, len).is_none()));
    }

    #[test]
    #[cfg(memcpy_select_asm)]
    fn string_instructions_need_no_class_where_a_slot_says_so() {
        let [gpr, string, aligned] = ["gpr", "rep_movsb", "rep_movsb_aligned"].map(named);
        let strings = |limit| Band::new(limit, string).with(Class::of(1, 2048), aligned);
        let aliased = strings(usize::MAX).with(Class::of(1, 0), gpr);
        // Up to 512, 768, 2048 and 16 KiB: the kernel, or the plan.
        for (plan, expected) in [
            (
                leak(&[Band::new(512, gpr), strings(usize::MAX)]),
                [Some(gpr), Some(aligned), Some(aligned), Some(aligned)],
            ),
            (
                leak(&[Band::new(700, gpr), strings(usize::MAX)]),
                [Some(gpr), Some(aligned), Some(aligned), Some(aligned)],
            ),
            (leak(&[Band::new(768, gpr), strings(usize::MAX)]), [Some(gpr), Some(gpr), Some(aligned), Some(aligned)]),
            (leak(&[Band::new(768, gpr), aliased]), [Some(gpr), Some(gpr), None, None]),
            (leak(&[strings(1000), Band::new(usize::MAX, gpr)]), [Some(aligned), Some(aligned), None, Some(gpr)]),
        ] {
            let slot = slot(plan).without_string_classes();
            slot.publish(plan);
            for (len, kernel) in LIMITS.into_iter().zip(expected) {
                let is_right = match (sent(&slot, len), kernel) {
                    (Some(entry), Some(kernel)) => ptr::fn_addr_eq(entry, kernel.entry()),
                    (entry, kernel) => entry.is_none() && kernel.is_none(),
                };
                assert!(is_right, "{len} bytes of {plan:?}");
            }
        }
    }

    #[test]
    fn racing_publishers_leave_all_words_of_one_plan() {
        let plans: Vec<&'static Plan> = kernels().iter().map(|kernel| leak(&[Band::new(usize::MAX, kernel)])).collect();
        let slot = slot(plans[0]);
        for _ in 0..200 {
            std::thread::scope(|scope| {
                for plan in plans.iter().take(4) {
                    scope.spawn(|| slot.publish(plan));
                }
            });
            let wanted = slot.plan().kernel(1, Class::ALL[0]).entry();
            assert!(LIMITS.into_iter().all(|len| sent(&slot, len).is_some_and(|entry| ptr::fn_addr_eq(entry, wanted))));
        }
    }
}
