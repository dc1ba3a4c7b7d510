//! The calls in builds for debugging: one call of machine code, which finds the way of a copy and goes on to its kernel.
//!
//! Without optimisation each small function that makes a call is a call itself, with its values in memory: what is inlined
//! elsewhere takes far longer there than the copy. Here it does not matter how the program or this crate is compiled,
//! and nothing on the way touches vector state.

use super::class::{Alignment, CLASSES};
use super::inline::{self, INLINE_MAX_BYTES, Small};
use super::plan::Plan;
use super::slot::{ADDRESS_BITS, LIMIT_BITS, Slot, UNIT_BYTES};
use core::arch::naked_asm;
use core::mem::offset_of;

unsafe extern "sysv64" {
    /// The kernel of that name.
    #[link_name = concat!(env!("MEMCPY_SELECT_PREFIX"), "gpr")]
    fn gpr(dst: *mut u8, src: *const u8, len: usize);
}

/// Copies lengths up to [`INLINE_MAX_BYTES`] in the way that the plan in force says, in pieces as `gpr` takes them or
/// masked; the others [`by_slot`].
///
/// # Safety
///
/// As [`memcpy_auto_unchecked`](super::memcpy_auto_unchecked). The slot only ever has plans whose [`Small`] can run here.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn small_or_by_slot(dst: *mut u8, src: *const u8, len: usize, slot: &Slot) {
    naked_asm!(
        "endbr64",
        "cmp rdx, {inline_max}",
        "ja {by_slot}",
        "cmp byte ptr [rcx + {small}], {is_masked}",
        "je {masked}",
        "jmp {gpr}",
        inline_max = const INLINE_MAX_BYTES,
        small = const offset_of!(Slot, small),
        is_masked = const Small::Masked as u8,
        by_slot = sym by_slot,
        masked = sym masked,
        gpr = sym gpr,
    )
}

const LIMITS: usize = offset_of!(Plan, limits);
const ENTRIES: usize = offset_of!(Plan, entries);

/// Copies as [`Slot::entry`] says: by the short word, or else by the plan.
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, and the two ranges do not overlap. The slot only ever has
/// plans whose kernels can run here, and whose vector state the caller may use.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn by_slot(dst: *mut u8, src: *const u8, len: usize, slot: &Slot) {
    naked_asm!(
        "endbr64",
        // As `Slot::short_entry`. Loads are acquiring ones on x86-64.
        "mov rax, qword ptr [rcx + {short}]",
        "lea r8, [rdx - 1]",
        "shr r8, {unit_shift}",
        "mov r9, rax",
        "shr r9, {address_bits}",
        "cmp r8, r9",
        "jae 2f",
        "shl rax, {limit_bits}",
        "sar rax, {limit_bits}",
        "jmp rax",
        // As `Plan::entry`: the first band whose limit is not below the length. That of the last one is `usize::MAX`.
        "2:",
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
        short = const offset_of!(Slot, short),
        unit_shift = const UNIT_BYTES.ilog2(),
        address_bits = const ADDRESS_BITS,
        limit_bits = const LIMIT_BITS,
        plan = const offset_of!(Slot, plan),
        limits = const LIMITS,
        classes = const CLASSES,
        alignments = const Alignment::ALL.len(),
        entries = const ENTRIES.cast_signed() - (CLASSES * (LIMITS + 8)).cast_signed(),
    )
}

/// # Safety
///
/// As [`inline::copy`], on a CPU that has what [`Small::Masked`] needs.
unsafe extern "sysv64" fn masked(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: the same preconditions.
    unsafe { inline::copy(dst, src, len, Small::Masked) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{CopyFn, Kernel};
    use crate::select::plan::{Band, MAX_BANDS};
    use core::cell::Cell;
    use core::ptr;
    use core::sync::atomic::Ordering;
    use std::sync::OnceLock;

    std::thread_local! {
        static REACHED: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    /// Copies nothing and leaves its number.
    unsafe extern "sysv64" fn entry<const NUMBER: usize>(_: *mut u8, _: *const u8, _: usize) {
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
    fn reached(call: impl FnOnce()) -> usize {
        REACHED.set(usize::MAX);
        call();
        REACHED.get()
    }

    /// Every distance modulo 4096, around the limit of every band.
    #[test]
    fn machine_code_goes_where_the_slot_says() {
        let kernel = Kernel::named("gpr").unwrap();
        let limit = |at| if at == MAX_BANDS - 1 { usize::MAX } else { 100 * (at + 1) };
        let bands: [Band; MAX_BANDS] = core::array::from_fn(|at| Band::new(limit(at), kernel));
        let mut plan = Plan::new(&bands).unwrap();
        for (band, row) in plan.entries.iter_mut().enumerate() {
            for (class, place) in row.iter_mut().enumerate() {
                *place = REACHABLE[(band + 5 * class) % REACHABLE.len()];
            }
        }
        // Not published: a slot without its short word goes by the plan alone.
        static PLAN: OnceLock<Plan> = OnceLock::new();
        let slot = Slot::new(PLAN.get_or_init(|| plan));
        let lengths = (0..MAX_BANDS).flat_map(|at| [limit(at) - 1, limit(at), limit(at).wrapping_add(1)]);
        for len in lengths {
            for distance in 0..4096 {
                for src in [0x10000, 0x10001] {
                    let (to, from) = (ptr::without_provenance_mut(src + distance), ptr::without_provenance(src));
                    let wanted = slot.entry(len, src + distance, src);
                    // SAFETY: the entry points copy nothing.
                    let wanted = reached(|| unsafe { wanted(to, from, len) });
                    // SAFETY: as above.
                    let found = reached(|| unsafe { by_slot(to, from, len, &slot) });
                    assert_eq!(found, wanted, "{len} bytes, {distance} from each other");
                }
            }
        }
    }

    #[test]
    fn machine_code_takes_the_short_word_where_there_is_one() {
        static PLANS: OnceLock<[Plan; 2]> = OnceLock::new();
        let [with_word, other] = PLANS.get_or_init(|| {
            [1, 2].map(|number| {
                let kernel = |name| Kernel::named(name).unwrap();
                let mut plan =
                    Plan::new(&[Band::new(4096, kernel("gpr")), Band::new(usize::MAX, kernel("rep_movsb"))]).unwrap();
                plan.entries = [[REACHABLE[number]; CLASSES]; MAX_BANDS];
                plan
            })
        });
        let slot = Slot::new(with_word);
        slot.publish(with_word);
        // What is seen between the two words of a publication.
        slot.plan.store(ptr::from_ref(other).cast_mut(), Ordering::SeqCst);
        for (len, wanted) in [(0, 2), (1, 1), (64, 1), (65, 1), (4095, 1), (4096, 1), (4097, 2), (usize::MAX, 2)] {
            // SAFETY: the entry points copy nothing.
            let found = reached(|| unsafe { by_slot(ptr::null_mut(), ptr::null(), len, &slot) });
            assert_eq!(found, wanted, "{len} bytes");
        }
    }
}
