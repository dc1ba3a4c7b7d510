//! The calls in builds with debug assertions: one call of machine code, which finds the way of a copy and goes on to its
//! kernel.
//!
//! Without optimisation each small function that makes a call is a call itself, with its values in memory: what is inlined
//! elsewhere takes far longer there than the copy. Here it does not matter how the program or this crate is compiled,
//! and nothing on the way touches vector state.

use super::class::{Alignment, CLASSES};
use super::inline::{self, INLINE_MAX_BYTES, Small};
use super::plan::{ENTRIES_OFFSET, LIMITS_OFFSET};
use super::slot::{ADDRESS_BITS, LIMIT_BITS, PLAN_OFFSET, SHORT_OFFSET, SMALL_OFFSET, Slot, UNIT_BYTES};
use core::arch::naked_asm;

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
        small = const SMALL_OFFSET,
        is_masked = const Small::Masked as u8,
        by_slot = sym by_slot,
        masked = sym masked,
        gpr = sym gpr,
    )
}

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
        short = const SHORT_OFFSET,
        unit_shift = const UNIT_BYTES.ilog2(),
        address_bits = const ADDRESS_BITS,
        limit_bits = const LIMIT_BITS,
        plan = const PLAN_OFFSET,
        limits = const LIMITS_OFFSET,
        classes = const CLASSES,
        alignments = const Alignment::ALL.len(),
        entries = const ENTRIES_OFFSET.cast_signed() - (CLASSES * (LIMITS_OFFSET + 8)).cast_signed(),
    )
}

/// # Safety
///
/// As [`inline::copy`], on a CPU that has what [`Small::Masked`] needs.
unsafe extern "sysv64" fn masked(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: the same preconditions.
    unsafe { inline::copy(dst, src, len, Small::Masked) }
}
