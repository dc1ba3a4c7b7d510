//! The calls in builds for debugging: one call of machine code, which finds the way of a copy and goes on to its kernel.
//!
//! Without optimisation each small function that makes a call is a call itself, with its values in memory: what is inlined
//! elsewhere takes far longer there than the copy. Here it does not matter how the program or this crate is compiled,
//! and nothing on the way touches vector state.

use super::inline::{self, INLINE_MAX_BYTES, Small};
use super::slot::{FIRST, SHORT_MAX_BYTES, Slot};
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

/// Copies as [`Slot::entry`] says.
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, and the two ranges do not overlap. The slot only ever has
/// plans whose kernels can run here, and whose vector state the caller may use.
#[unsafe(naked)]
pub(super) unsafe extern "sysv64" fn by_slot(dst: *mut u8, src: *const u8, len: usize, slot: &Slot) {
    naked_asm!(
        "endbr64",
        "xor eax, eax",
        "cmp rdx, {short}",
        "seta al",
        // Loads are acquiring ones on x86-64.
        "jmp qword ptr [rcx + 8*rax + {first}]",
        short = const SHORT_MAX_BYTES,
        first = const FIRST,
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
    use crate::kernel::CopyFn;
    use crate::select::by_plan::tests::{entry, reached};
    use crate::select::in_force::USER;
    use core::ptr;
    use core::sync::atomic::Ordering;

    #[test]
    fn machine_code_takes_the_entry_point_of_the_length() {
        const REACHABLE: [CopyFn; 5] = [entry::<0>, entry::<1>, entry::<2>, entry::<3>, entry::<4>];
        let slot = Slot::new(USER.plan(), entry::<1>, entry::<4>);
        for (word, entry) in slot.first.iter().chain(&slot.steps).zip(REACHABLE) {
            word.store(entry as *mut (), Ordering::SeqCst);
        }
        for len in [0, 1, SHORT_MAX_BYTES - 1, SHORT_MAX_BYTES, SHORT_MAX_BYTES + 1, usize::MAX] {
            let wanted = usize::from(len > SHORT_MAX_BYTES);
            let (to, from) = (ptr::null_mut(), ptr::null());
            // SAFETY: the entry points copy nothing.
            let found =
                unsafe { (reached(|| slot.entry(len)(to, from, len)), reached(|| by_slot(to, from, len, &slot))) };
            assert_eq!(found, (wanted, wanted), "{len} bytes, this and machine code");
        }
    }
}
