//! Where the plan in force is kept: what the calls read.
//!
//! A slot is three words. `small` says how short lengths are copied, `short` holds the plan's first band on its own, limit and entry point in one, where every class
//! of that band has the same kernel: a copy that falls into it is one load, a shift, a compare and a jump. All other
//! copies go by `plan`. On AMD Zen 5 each further load on the way costs a copy of unaligned lines in the first-level
//! cache about two cycles (results/TRIED.md), which is why the two are not behind one pointer.
//!
//! The words are written one after the other. A call in between may follow the new plan for one length and the old
//! one for another: both have been checked, and neither is ever freed.

use super::inline::Small;
use super::plan::Plan;
use crate::kernel::CopyFn;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU8, AtomicUsize, Ordering};

/// The plan in force under one policy. On a cache line of its own: nobody else's writes slow the calls down.
#[repr(align(64))]
pub(super) struct Slot {
    pub(super) small: AtomicU8,
    pub(super) short: AtomicUsize,
    pub(super) plan: AtomicPtr<Plan>,
}

/// Lengths are compared in units of this many bytes.
pub(super) const UNIT_BYTES: usize = 64;
/// Bits of the word that count them: up to 4 MiB.
pub(super) const LIMIT_BITS: u32 = 16;
/// Bits of an address. What more an address has repeats its highest bit, on all systems that do not ask for more.
pub(super) const ADDRESS_BITS: u32 = usize::BITS - LIMIT_BITS;

impl Slot {
    /// A slot with this plan. Nothing is known of its short band yet: code has no address at compile time.
    pub(super) const fn new(plan: &'static Plan) -> Self {
        Self {
            small: AtomicU8::new(Small::Pieces as u8),
            short: AtomicUsize::new(0),
            plan: AtomicPtr::new(ptr::from_ref(plan).cast_mut()),
        }
    }

    /// How small lengths are copied.
    #[inline(always)]
    pub(super) fn small(&self) -> Small {
        if self.small.load(Ordering::Relaxed) == Small::Masked as u8 { Small::Masked } else { Small::Pieces }
    }

    /// The entry point for a copy of at least one byte, if the short band has it.
    #[inline(always)]
    pub(super) fn short_entry(&self, len: usize) -> Option<CopyFn> {
        let short = self.short.load(Ordering::Relaxed);
        if len.wrapping_sub(1) / UNIT_BYTES >= short >> ADDRESS_BITS {
            return None;
        }
        let entry = ptr::with_exposed_provenance::<()>(sign_extended(short));
        // SAFETY: the limit is not zero, so that `pack` made the word from the address of an entry point, which this is
        // again: it checked.
        Some(unsafe { core::mem::transmute::<*const (), CopyFn>(entry) })
    }

    /// The entry point for a copy of at least one byte.
    #[inline(always)]
    pub(super) fn entry(&self, len: usize, dst_address: usize, src_address: usize) -> CopyFn {
        self.short_entry(len).unwrap_or_else(|| self.plan().entry(len, dst_address, src_address))
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

    /// Brings `small` and `short` in line with `plan`. Whoever changes `plan` does this afterwards, and does it again if the plan
    /// changed meanwhile: the last word written is that of the plan that stays, without a lock that a signal handler
    /// or an interrupt could find taken.
    fn follow(&self) {
        loop {
            let plan = self.plan.load(Ordering::SeqCst);
            // SAFETY: as in `plan`.
            let followed = unsafe { &*plan };
            self.small.store(followed.small() as u8, Ordering::SeqCst);
            self.short.store(pack(followed), Ordering::SeqCst);
            if self.plan.load(Ordering::SeqCst) == plan {
                return;
            }
        }
    }
}

/// The short band of a plan in one word: limit in units, then the entry point's address. 0, which no length is below,
/// where there is no such band or its address does not fit.
fn pack(plan: &Plan) -> usize {
    let Some((limit_bytes, entry)) = plan.short() else { return 0 };
    let units = (limit_bytes / UNIT_BYTES).min((1 << LIMIT_BITS) - 1);
    let address = (entry as *const ()).expose_provenance();
    let low = address & ((1 << ADDRESS_BITS) - 1);
    if sign_extended(low) == address { units << ADDRESS_BITS | low } else { 0 }
}

/// The address in a word: the bit below the limit is repeated in its place.
#[inline(always)]
const fn sign_extended(word: usize) -> usize {
    ((word << LIMIT_BITS).cast_signed() >> LIMIT_BITS).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Kernel, kernels};
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

    /// Every length around the band's limit goes where the plan says, before and after the short word is there.
    #[test]
    fn the_short_word_says_what_the_plan_says() {
        let (first, last) = (&kernels()[0], named("portable"));
        for limit in [1, 63, 64, 65, 100, 128, 129, 4096, 4 << 20, (4 << 20) + 64, usize::MAX - 1] {
            let plan = leak(&[Band::new(limit, first), Band::new(usize::MAX, last)]);
            let slot = Slot::new(plan);
            for published in [false, true] {
                if published {
                    slot.publish(plan);
                }
                for len in
                    [1, 2, 64, 65, limit - 1, limit, limit.saturating_add(1), limit.saturating_mul(2), usize::MAX]
                {
                    let wanted = plan.kernel(len, Class::of(0, 2048)).entry();
                    assert!(core::ptr::fn_addr_eq(slot.entry(len, 0, 2048), wanted), "{len} of {limit}");
                }
            }
        }
    }

    #[test]
    fn a_band_that_depends_on_the_class_has_no_short_word() {
        let plan = leak(&[Band::new(usize::MAX, &kernels()[0]).with(Class::of(1, 2048), named("portable"))]);
        let slot = Slot::new(plan);
        slot.publish(plan);
        let (aligned, misaligned) = (slot.entry(100, 0, 2048), slot.entry(100, 1, 2048));
        assert!(core::ptr::fn_addr_eq(aligned, kernels()[0].entry()));
        assert!(core::ptr::fn_addr_eq(misaligned, named("portable").entry()));
    }

    #[test]
    fn racing_publishers_leave_both_words_of_one_plan() {
        let plans: Vec<&'static Plan> = kernels().iter().map(|kernel| leak(&[Band::new(usize::MAX, kernel)])).collect();
        let slot = Slot::new(plans[0]);
        for _ in 0..200 {
            std::thread::scope(|scope| {
                for plan in plans.iter().take(4) {
                    scope.spawn(|| slot.publish(plan));
                }
            });
            assert_eq!(slot.short.load(Ordering::SeqCst), pack(slot.plan()));
        }
    }
}
