//! Copies by the plan in a slot: the band of the length, the class of the two addresses, the kernel of both; or, where the plan
//! has one kernel for a whole step of lengths, by the step.
//!
//! In machine code, since nothing on the way may touch vector state, however the crate is compiled, and builds for debugging
//! take this way too. Where nothing was assembled, the compiler's code does.

#[cfg(all(target_arch = "x86_64", memcpy_select_asm))]
use {
    super::class::{Alignment, CLASSES},
    super::plan::Plan,
    super::slot::Slot,
    core::arch::naked_asm,
    core::mem::offset_of,
};

/// Entry points that go by the plan, and by the step, in one slot.
macro_rules! ways_in {
    ($slot:ident, $by_plan:ident, $by_step:ident) => {
        /// # Safety
        ///
        /// `src` is valid for reads and `dst` for writes of `len` bytes, and the two ranges do not overlap. The caller may
        /// use what the plans of the slot do.
        #[cfg(all(target_arch = "x86_64", memcpy_select_asm))]
        #[unsafe(naked)]
        pub(super) unsafe extern "sysv64" fn $by_plan(dst: *mut u8, src: *const u8, len: usize) {
            core::arch::naked_asm!("endbr64", "lea rcx, [rip + {slot}]", "jmp {by_plan}", slot = sym $slot, by_plan = sym $crate::select::by_plan::by_plan)
        }

        /// Copies as `Slot::step_entry` says. Loads are acquiring ones on x86-64.
        ///
        /// # Safety
        ///
        /// As above.
        #[cfg(all(target_arch = "x86_64", memcpy_select_asm))]
        #[unsafe(naked)]
        pub(super) unsafe extern "sysv64" fn $by_step(dst: *mut u8, src: *const u8, len: usize) {
            core::arch::naked_asm!(
                "endbr64",
                "lea rcx, [rip + {slot}]",
                "cmp rdx, {words}",
                "ja 2f",
                "jmp qword ptr [rcx + {steps}]",
                "2:",
                "cmp rdx, {middle}",
                "ja 3f",
                "jmp qword ptr [rcx + {steps} + 8]",
                "3:",
                "cmp rdx, {long}",
                "ja 4f",
                "jmp qword ptr [rcx + {steps} + 16]",
                "4:",
                "jmp qword ptr [rcx + {steps} + 24]",
                slot = sym $slot,
                words = const $crate::select::slot::STEPS[0],
                middle = const $crate::select::slot::STEPS[1],
                long = const $crate::select::slot::STEPS[2],
                steps = const core::mem::offset_of!($crate::select::slot::Slot, steps),
            )
        }

        #[cfg(not(all(target_arch = "x86_64", memcpy_select_asm)))]
        $crate::kernel::portable::entry_point! {
            $by_plan(dst, src, len) {
                let entry = $slot.plan().entry(len, dst.addr(), src.addr());
                // SAFETY: the same preconditions; a plan comes into force only with kernels that are available here.
                unsafe { entry(dst, src, len) }
            }
        }

        #[cfg(not(all(target_arch = "x86_64", memcpy_select_asm)))]
        $crate::kernel::portable::entry_point! {
            $by_step(dst, src, len) {
                let entry = $slot.step_entry(len);
                // SAFETY: the same preconditions; a plan comes into force only with kernels that are available here.
                unsafe { entry(dst, src, len) }
            }
        }
    };
}

pub(super) use ways_in;

#[cfg(all(target_arch = "x86_64", memcpy_select_asm))]
const LIMITS: usize = offset_of!(Plan, limits);
#[cfg(all(target_arch = "x86_64", memcpy_select_asm))]
const ENTRIES: usize = offset_of!(Plan, entries);

/// Copies as [`Plan::entry`] says.
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, and the two ranges do not overlap. The slot only ever has
/// plans whose kernels can run here, and whose vector state the caller may use.
#[cfg(all(target_arch = "x86_64", memcpy_select_asm))]
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn by_plan(dst: *mut u8, src: *const u8, len: usize, slot: &Slot) {
    naked_asm!(
        "endbr64",
        // Loads are acquiring ones on x86-64.
        // As `Plan::entry`: the first band whose limit is not below the length. That of the last one is `usize::MAX`.
        "mov rax, qword ptr [rcx + {plan}]",
        "lea r8, [rax + {limits}]",
        "3:",
        "cmp rdx, qword ptr [r8]",
        "lea r8, [r8 + 8]",
        "ja 3b",
        // r8 is past that limit: the band's row of entry points is as many times further as it has entries.
        "sub r8, rax",
        "imul r8, r8, {classes}",
        "add rax, r8",
        // As `Class::number`: whether the offsets in a line differ, whether the destination's is not zero, and how the two
        // follow each other.
        "mov r8d, edi",
        "xor r8d, esi",
        "xor r9d, r9d",
        "test r8d, 63",
        "setnz r9b",
        "xor r8d, r8d",
        "test edi, 63",
        "setnz r8b",
        "lea r9d, [r9 + 2*r8]",
        "mov r8d, edi",
        "sub r8d, esi",
        "add r8d, 255",
        "and r8d, 0xfff",
        "xor ecx, ecx",
        "cmp r8d, 511",
        "adc ecx, 0",
        "cmp r8d, 255",
        "adc ecx, 0",
        "lea r9d, [r9 + {alignments}*rcx]",
        "jmp qword ptr [rax + 8*r9 + {entries}]",
        plan = const offset_of!(Slot, plan),
        limits = const LIMITS,
        classes = const CLASSES,
        alignments = const Alignment::ALL.len(),
        entries = const ENTRIES.cast_signed() - (CLASSES * (LIMITS + 8)).cast_signed(),
    )
}

#[cfg(test)]
#[cfg(all(target_arch = "x86_64", memcpy_select_asm))]
pub(super) mod tests {
    use super::*;
    use crate::kernel::{CopyFn, Kernel};
    use crate::select::band::Band;
    use crate::select::in_force::NO_SIMD_START;
    use crate::select::plan::MAX_BANDS;
    use crate::select::slot::STEPS;
    use core::cell::Cell;
    use core::ptr;
    use core::sync::atomic::Ordering;
    use std::sync::OnceLock;

    std::thread_local! {
        static REACHED: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    /// Copies nothing and leaves its number.
    pub(in crate::select) unsafe extern "sysv64" fn entry<const NUMBER: usize>(_: *mut u8, _: *const u8, _: usize) {
        REACHED.set(NUMBER);
    }

    /// As many as classes, and one more: neither rows nor columns of a plan repeat them.
    const REACHABLE: [CopyFn; CLASSES + 1] = [
        entry::<0>,
        entry::<1>,
        entry::<2>,
        entry::<3>,
        entry::<4>,
        entry::<5>,
        entry::<6>,
        entry::<7>,
        entry::<8>,
        entry::<9>,
        entry::<10>,
        entry::<11>,
        entry::<12>,
    ];

    /// The number of the entry point that a call reaches.
    pub(in crate::select) fn reached(call: impl FnOnce()) -> usize {
        REACHED.set(usize::MAX);
        call();
        REACHED.get()
    }

    /// Every distance modulo 4096, around the limit of every band.
    #[test]
    fn machine_code_goes_where_the_plan_says() {
        let kernel = Kernel::named("gpr").unwrap();
        let limit = |at| {
            if at == MAX_BANDS - 1 { usize::MAX } else { 100 * (at + 1) }
        };
        let bands: [Band; MAX_BANDS] = core::array::from_fn(|at| Band::new(limit(at), kernel));
        let mut plan = Plan::new(&bands).unwrap();
        for (band, row) in plan.entries.iter_mut().enumerate() {
            for (class, place) in row.iter_mut().enumerate() {
                *place = REACHABLE[(band + 5 * class) % REACHABLE.len()];
            }
        }
        static PLAN: OnceLock<Plan> = OnceLock::new();
        let plan = PLAN.get_or_init(|| plan);
        let slot = Slot::new(plan, own_by_step, own);
        let lengths = (0..MAX_BANDS).flat_map(|at| [limit(at) - 1, limit(at), limit(at).wrapping_add(1)]);
        for len in lengths {
            for distance in 0..4096 {
                for src in [0x10000, 0x10001] {
                    let (to, from) = (ptr::without_provenance_mut(src + distance), ptr::without_provenance(src));
                    let wanted = plan.entry(len, src + distance, src);
                    // SAFETY: the entry points copy nothing.
                    let (wanted, found) =
                        unsafe { (reached(|| wanted(to, from, len)), reached(|| by_plan(to, from, len, &slot))) };
                    assert_eq!(found, wanted, "{len} bytes, {distance} from each other");
                }
            }
        }
    }

    static OWN: Slot = Slot::new(&NO_SIMD_START, own_by_step, own);
    ways_in!(OWN, own, own_by_step);

    #[test]
    fn machine_code_takes_the_step_of_the_length() {
        for (word, entry) in OWN.steps.iter().zip(REACHABLE) {
            word.store(entry as *mut (), Ordering::SeqCst);
        }
        for len in STEPS.into_iter().flat_map(|limit| [limit - 1, limit, limit + 1]).chain([513, usize::MAX]) {
            let wanted = STEPS.iter().position(|limit| len <= *limit).unwrap_or(STEPS.len());
            let (to, from) = (ptr::null_mut(), ptr::null());
            // SAFETY: the entry points copy nothing.
            let found =
                unsafe { (reached(|| own_by_step(to, from, len)), reached(|| OWN.step_entry(len)(to, from, len))) };
            assert_eq!(found, (wanted, wanted), "{len} bytes, machine code and this");
        }
    }
}
