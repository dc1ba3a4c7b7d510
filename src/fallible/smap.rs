//! User memory in ring 0: which addresses are a user's, and whether pages have to be opened (SMAP).

use super::Faulted;
use core::sync::atomic::{AtomicBool, Ordering};

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Whether [`detect_smap`] has found it.
#[inline(always)]
pub(super) fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Looks whether supervisor-mode access prevention is on (CPUID leaf 07H EBX\[20\], CR4\[21\]). From here on the
/// `_user` calls open user pages with `stac` and close them with `clac` if it is, and do not if it is not. A kernel
/// calls it once it has set up CR4, on a CPU whose CR4 the others have too.
///
/// Sources: Intel SDM vol. 3A, 2.5 and 4.6.1; AMD APM vol. 2, 3.1.3 and 5.6.6.
///
/// # Safety
///
/// The code runs in ring 0: anywhere else reading CR4 is a general-protection fault.
pub unsafe fn detect_smap() -> bool {
    #[cfg(memcpy_select_asm)]
    let is_on = {
        const CPUID_07_EBX_SMAP: u32 = 1 << 20;
        const CR4_SMAP: u64 = 1 << 21;
        let has_leaf_7 = core::arch::x86_64::__cpuid(0).eax >= 7;
        has_leaf_7 && core::arch::x86_64::__cpuid_count(7, 0).ebx & CPUID_07_EBX_SMAP != 0 && {
            let cr4: u64;
            // SAFETY: the caller's: ring 0. Reading the register changes nothing.
            unsafe { core::arch::asm!("mov {}, cr4", out(reg) cr4, options(nomem, nostack, preserves_flags)) };
            cr4 & CR4_SMAP != 0
        }
    };
    #[cfg(not(memcpy_select_asm))]
    let is_on = false;
    IS_ON.store(is_on, Ordering::Relaxed);
    is_on
}

/// The address of a user's range, where it is one: in the lower half of the address space, and its end too. What is not
/// canonical there is left to the CPU, which faults.
///
/// The top bit of the result is clear whatever the branch was predicted to be: see the module's page.
///
/// # Errors
///
/// [`Faulted`] at the first byte. A length of 0 is right at every address.
#[inline(always)]
pub(super) fn user(address: *mut u8, len: usize) -> Result<*mut u8, Faulted> {
    const UPPER_HALF: usize = 1 << (usize::BITS - 1);
    let end = address.addr().checked_add(len);
    if end.is_none_or(|end| end > UPPER_HALF) && len > 0 {
        return Err(Faulted { copied: 0 });
    }
    Ok(address.map_addr(lower_half))
}

/// The address without its top bit. Hidden from the compiler, which knows that bit after the check.
#[cfg(memcpy_select_asm)]
#[inline(always)]
fn lower_half(address: usize) -> usize {
    let masked;
    // SAFETY: computes one register from itself.
    unsafe { core::arch::asm!("btr {}, 63", inlateout(reg) address => masked, options(pure, nomem, nostack)) };
    masked
}

#[cfg(not(memcpy_select_asm))]
fn lower_half(address: usize) -> usize {
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ptr;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn ranges_of_the_lower_half_are_a_users() {
        const HALF: usize = 1 << 63;
        for (address, len, is_right) in [
            (0, 0, true),
            (0, 1, true),
            (0x1000, 4096, true),
            (HALF - 1, 1, true),
            (HALF - 1, 2, false),
            (HALF, 0, true),
            (HALF, 1, false),
            (0, HALF, true),
            (0, HALF + 1, false),
            (1, usize::MAX, false),
            (usize::MAX, 1, false),
            (usize::MAX, 0, true),
            (usize::MAX, usize::MAX, false),
            (0x1000, usize::MAX - 0x0fff, false),
            (0xffff_8000_0000_0000, 8, false),
        ] {
            let found = user(ptr::without_provenance_mut(address), len);
            assert_eq!(found.is_ok(), is_right, "{len} bytes at {address:#x}");
            assert!(found.is_ok_and(|at| at.addr() == address & !HALF) || !is_right || cfg!(not(memcpy_select_asm)));
        }
    }
}
