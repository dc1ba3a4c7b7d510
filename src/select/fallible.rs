//! Which kernel copies where a copy may end at a fault: there are two, and the plan of
//! [`Policy::NoSimd`](super::Policy) says from where on the one takes over from the other.

use super::band::Band;
use super::class::CLASSES;
use super::in_force::NO_SIMD;
use super::plan::Plan;
use crate::kernel::same;
use core::ptr;

/// What stands for `rep movsb` where a copy may end at a fault. `rep movsq` stands for words: it is for CPUs on which
/// `rep movsb` may go byte by byte.
const STRING: [&str; 2] = ["rep_movsb", "rep_movsb_aligned"];
/// Up to here words are two accesses at each end: no plan is asked. `rep_movsb_aligned` does the same.
const WORDS_AT_LEAST_BYTES: usize = 64;

impl Plan {
    /// From which length on copies that end at a fault go by `rep movsb`, and those of which classes, a bit each in the
    /// order of [`Class::ALL`](super::Class::ALL): the classes that the last band sends there, from where all of them
    /// go there.
    ///
    /// 0 for a plan that has yet to be decided on: it names the platform's copy, which no other plan without vector
    /// registers does.
    pub(super) fn string(&self) -> (usize, u16) {
        let classes = |band: &Band| {
            let is_string = |class: &usize| STRING.iter().any(|name| same(name, band.kernels[*class].name()));
            (0..CLASSES).filter(is_string).fold(0_u16, |classes, class| classes | 1 << class)
        };
        let Some(last) = self.bands().last() else { return (0, 0) };
        if same(last.kernels[0].name(), "portable") {
            return (0, 0);
        }
        let at_the_end = classes(last);
        if at_the_end == 0 {
            return (usize::MAX, 0);
        }
        let without = self.bands().iter().rev().find(|band| at_the_end & !classes(band) != 0);
        let words_up_to_bytes = without.map_or(0, Band::up_to_bytes).max(WORDS_AT_LEAST_BYTES);
        (words_up_to_bytes.saturating_add(1), at_the_end)
    }
}

/// Whether a copy of that length goes by words, whatever its addresses: one load and one compare. False while nothing
/// is decided.
#[inline(always)]
pub(crate) fn is_by_words(len: usize) -> bool {
    NO_SIMD.is_below_string(len)
}

/// Whether a longer one goes by `rep movsb`, whatever its addresses.
#[inline(always)]
pub(crate) fn is_by_string_everywhere() -> bool {
    NO_SIMD.is_string_everywhere()
}

/// Whether one that is not [by words](is_by_words) goes by `rep movsb`, with these addresses. The first one of the
/// program decides, as that of [`memcpy_auto_nosimd`]; one that comes meanwhile goes by words.
#[inline]
pub(crate) fn is_by_string(dst: *mut u8, src: *const u8, len: usize) -> bool {
    let (dst, src) = (dst.addr(), src.addr());
    NO_SIMD.is_string(dst, src).unwrap_or_else(|| decide(dst, src, len))
}

#[cold]
fn decide(dst: usize, src: usize, len: usize) -> bool {
    let mut none = 0;
    // SAFETY: no byte is copied; both ranges are valid for that.
    unsafe { NO_SIMD.entry(0)(&raw mut none, ptr::null(), 0) };
    // Nothing was known of the length, either.
    !is_by_words(len) && NO_SIMD.is_string(dst, src).unwrap_or(false)
}

#[cfg(test)]
#[cfg(memcpy_select_asm)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;
    use crate::select::class::{Aliasing, Alignment, Class};
    use crate::select::in_force::UNDECIDED_NO_SIMD;
    use crate::select::slot::EVERY_CLASS;

    fn named(name: &str) -> &'static Kernel {
        Kernel::named(name).unwrap()
    }

    fn string(bands: &[(usize, &str)]) -> (usize, u16) {
        let bands: Vec<Band> = bands.iter().map(|(limit, name)| Band::new(*limit, named(name))).collect();
        Plan::new(&bands).unwrap().string()
    }

    const ALL: u16 = EVERY_CLASS;

    #[test]
    fn rep_movsb_takes_over_where_the_plan_has_it() {
        assert_eq!(string(&[(704, "gpr"), (usize::MAX, "rep_movsb")]), (705, ALL));
        assert_eq!(string(&[(64, "rep_movsb_aligned"), (usize::MAX, "rep_movsb")]), (65, ALL));
        assert_eq!(string(&[(usize::MAX, "rep_movsb")]), (65, ALL));
        assert_eq!(string(&[(512, "gpr"), (4096, "rep_movsb_aligned"), (usize::MAX, "rep_movsb")]), (513, ALL));
        assert_eq!(string(&[(512, "gpr"), (4096, "rep_movsb"), (8192, "gpr"), (usize::MAX, "rep_movsb")]), (8193, ALL));
        assert_eq!(string(&[(usize::MAX, "gpr")]), (usize::MAX, 0));
        assert_eq!(string(&[(512, "gpr"), (usize::MAX, "rep_movsq_aligned")]), (usize::MAX, 0));
        assert_eq!(string(&[(usize::MAX - 1, "gpr"), (usize::MAX, "rep_movsb")]), (usize::MAX, ALL));
        assert_eq!(UNDECIDED_NO_SIMD.string(), (0, 0));
    }

    #[test]
    fn classes_that_stay_with_words_do() {
        let aliased = Class::new(Alignment::Unequal, Aliasing::DstAfterSrc);
        let band = Band::new(usize::MAX, named("rep_movsb")).with(aliased, named("gpr"));
        let plan = Plan::new(&[Band::new(300, named("gpr")), band]).unwrap();
        assert_eq!(plan.string(), (301, ALL & !(1 << Class::number(0x1001, 0x1000))));
    }

    /// The words of a slot follow the plan that is published, and nothing is known before and after.
    #[test]
    fn a_slot_says_which_kernel() {
        use crate::select::in_force::{no_simd, no_simd_by_step};
        use crate::select::slot::Slot;
        static STRING_FROM_100: std::sync::LazyLock<Plan> = std::sync::LazyLock::new(|| {
            Plan::new(&[Band::new(99, named("gpr")), Band::new(usize::MAX, named("rep_movsb"))]).unwrap()
        });
        let slot = Slot::new(&UNDECIDED_NO_SIMD, no_simd_by_step, no_simd);
        let is_undecided = |slot: &Slot| !slot.is_below_string(0) && slot.is_string(0, 2048).is_none();
        assert!(is_undecided(&slot));
        slot.publish(&STRING_FROM_100);
        assert_eq!([0, 99, 100, usize::MAX].map(|len| slot.is_below_string(len)), [true, true, false, false]);
        assert_eq!(slot.is_string(0, 2048), Some(true));
        slot.publish(&UNDECIDED_NO_SIMD);
        assert!(is_undecided(&slot));
    }
}
