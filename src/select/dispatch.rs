//! The calls, and the plan they follow.
//!
//! The plan in force has one [`Slot`](super::slot::Slot) for each [`Policy`]. At the start it holds a plan whose only entry [decides](super::in_force),
//! puts the plan for this CPU in its place and goes on through that: the hot path has no "was this initialised?" branch. A
//! plan, once published, is never changed or freed, so that a thread in the middle of a copy may go on with the one it has
//! read.

use super::Policy;
use super::in_force::{NO_SIMD, NO_SIMD_START, UNDECIDED, UNDECIDED_NO_SIMD, USER, decide, slot};
use super::inline::{self, INLINE_MAX_BYTES, Small};
#[cfg(memcpy_select_out_of_line)]
use super::out_of_line;
use super::plan::{Plan, PlanError};
use crate::kernel::LengthMismatch;
use core::mem::MaybeUninit;
use core::ptr;

/// Copies `src` into `dst`, by the plan in force for this CPU.
///
/// ```
/// let mut dst = [0; 5];
/// memcpy_select::memcpy_auto(&mut dst, b"hello");
/// assert_eq!(&dst, b"hello");
/// ```
///
/// # Panics
///
/// If the lengths differ. Nothing is copied then.
#[inline]
#[track_caller]
pub fn memcpy_auto(dst: &mut [u8], src: &[u8]) {
    assert_same_length(dst.len(), src.len());
    // SAFETY: both ranges are valid for `src.len()` bytes and cannot overlap, since one is borrowed exclusively.
    unsafe { memcpy_auto_unchecked(dst.as_mut_ptr(), src.as_ptr(), src.len()) }
}

/// Copies `src` into memory that is not initialised yet, and returns it initialised.
///
/// ```
/// use core::mem::MaybeUninit;
///
/// let mut dst = [MaybeUninit::uninit(); 5];
/// assert_eq!(memcpy_select::memcpy_auto_uninit(&mut dst, b"hello"), b"hello");
/// ```
///
/// # Panics
///
/// If the lengths differ. Nothing is copied then.
#[inline]
#[track_caller]
pub fn memcpy_auto_uninit<'a>(dst: &'a mut [MaybeUninit<u8>], src: &[u8]) -> &'a mut [u8] {
    assert_same_length(dst.len(), src.len());
    let start = dst.as_mut_ptr().cast::<u8>();
    // SAFETY: both ranges are valid for `src.len()` bytes and cannot overlap, since one is borrowed exclusively.
    unsafe { memcpy_auto_unchecked(start, src.as_ptr(), src.len()) };
    // SAFETY: the copy has initialised all `dst.len()` bytes, which stay borrowed exclusively for 'a.
    unsafe { &mut *(dst as *mut [MaybeUninit<u8>] as *mut [u8]) }
}

/// Copies `len` bytes from `src` to `dst`, by the plan in force for this CPU.
///
/// Up to [`INLINE_MAX_BYTES`] the copy is inlined into the caller, in the way that the plan in force says
/// ([`Small`]); above, it is one load of the plan and one call. In builds of cargo's profile `dev` and those that
/// inherit from it nothing is inlined: code that is not optimised is faster with one call for every length.
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, and the two ranges do not overlap. The caller may use
/// vector registers.
#[inline(always)]
pub unsafe fn memcpy_auto_unchecked(dst: *mut u8, src: *const u8, len: usize) {
    #[cfg(memcpy_select_out_of_line)]
    // SAFETY: the same preconditions; a plan comes into force only on a CPU that has what it needs.
    unsafe {
        out_of_line::small_or_by_slot(dst, src, len, &USER)
    }
    #[cfg(not(memcpy_select_out_of_line))]
    // SAFETY: the same preconditions.
    unsafe {
        memcpy_auto_inlined(dst, src, len)
    }
}

/// [`memcpy_auto_unchecked`] as it is in builds for release: for tests, which are none.
///
/// # Safety
///
/// As [`memcpy_auto_unchecked`].
#[doc(hidden)]
#[inline(always)]
pub unsafe fn memcpy_auto_inlined(dst: *mut u8, src: *const u8, len: usize) {
    // SAFETY: the same preconditions; a plan comes into force only on a CPU that has what its way to copy small lengths
    // needs.
    unsafe { copy(dst, src, len, || USER.small()) }
}

/// As [`memcpy_auto_unchecked`], with a given way to copy small lengths: for measuring one against the other.
///
/// # Safety
///
/// As [`memcpy_auto_unchecked`], on a CPU that has what `small` [needs](Small::needs).
#[cfg(feature = "std")]
#[inline(always)]
pub(crate) unsafe fn memcpy_auto_as(dst: *mut u8, src: *const u8, len: usize, small: Small) {
    // SAFETY: the same preconditions.
    unsafe { copy(dst, src, len, || small) }
}

/// # Safety
///
/// As [`memcpy_auto_unchecked`], on a CPU that has what `small` returns [needs](Small::needs).
#[inline(always)]
unsafe fn copy(dst: *mut u8, src: *const u8, len: usize, small: impl FnOnce() -> Small) {
    if cfg!(not(memcpy_select_asm)) {
        // SAFETY: the same preconditions. Here the platform's copy is the only kernel.
        unsafe { ptr::copy_nonoverlapping(src, dst, len) }
    } else if len <= INLINE_MAX_BYTES {
        // SAFETY: the same preconditions, and the length was just checked.
        unsafe { inline::copy(dst, src, len, small()) }
    } else {
        // SAFETY: the same preconditions; a plan comes into force only with kernels that are available here.
        unsafe { USER.entry(len)(dst, src, len) }
    }
}

/// Copies `len` bytes from `src` to `dst` without touching vector state, MXCSR or the x87 unit: nothing has to be
/// saved around it.
///
/// The first call decides on the plan for this CPU, as [`memcpy_auto`] does, from its profile or the
/// [formulas](super::formula): without a lock, without allocation where there is no operating system, and with all
/// vector state kept, on some kilobytes of stack. A call that comes meanwhile, as from an interrupt, follows a plan
/// that is slow at no alignment on any design. [`install`] puts another plan in force for [`Policy::NoSimd`]. From 8
/// bytes to [`INLINE_MAX_BYTES`] no plan is read: general-purpose registers copy in the caller.
///
/// The promise is for builds with the crate's kernels; where there are none (`MEMCPY_SELECT_NO_ASM`), this is the platform's
/// copy, of which nothing is known.
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, and the two ranges do not overlap.
#[inline]
pub unsafe fn memcpy_auto_nosimd(dst: *mut u8, src: *const u8, len: usize) {
    #[cfg(memcpy_select_out_of_line)]
    // SAFETY: the same preconditions; a plan comes into force only with kernels that are available here.
    unsafe {
        out_of_line::by_slot(dst, src, len, &NO_SIMD)
    }
    #[cfg(not(memcpy_select_out_of_line))]
    // SAFETY: the same preconditions.
    unsafe {
        memcpy_auto_nosimd_inlined(dst, src, len)
    }
}

/// [`memcpy_auto_nosimd`] as it is in builds for release: for tests, which are none.
///
/// # Safety
///
/// As [`memcpy_auto_nosimd`].
#[doc(hidden)]
#[inline(always)]
pub unsafe fn memcpy_auto_nosimd_inlined(dst: *mut u8, src: *const u8, len: usize) {
    #[cfg(memcpy_select_asm)]
    if inline::WORDS_BYTES.contains(&len) {
        // SAFETY: the same preconditions, and the length was just checked.
        return unsafe { inline::words(dst, src, len) };
    }
    // SAFETY: the same preconditions; a plan comes into force only with kernels that are available here.
    unsafe { NO_SIMD.entry(len)(dst, src, len) }
}

/// Puts a plan in force for one policy, for all threads. Copies under way finish with the plan they started with.
///
/// # Errors
///
/// [`PlanError::Unavailable`] if it names a kernel that this CPU cannot run, [`PlanError::TouchesVectorState`] if the
/// policy is [`Policy::NoSimd`] and a kernel writes vector registers. The previous plan stays in force then.
pub fn install(policy: Policy, plan: &'static Plan) -> Result<(), PlanError> {
    plan.check(policy, crate::cpu::features())?;
    slot(policy).publish(plan);
    Ok(())
}

/// Takes an installed plan out of force: the calls follow the plan of the start again.
pub fn uninstall(policy: Policy) {
    slot(policy).publish(match policy {
        Policy::User => &UNDECIDED,
        Policy::NoSimd => &UNDECIDED_NO_SIMD,
        Policy::Section => &NO_SIMD_START,
    });
}

/// The plan that calls under a policy follow now.
pub fn plan_in_force(policy: Policy) -> &'static Plan {
    let plan = slot(policy).plan();
    if ptr::eq(plan, &UNDECIDED) || ptr::eq(plan, &UNDECIDED_NO_SIMD) { decide(policy) } else { plan }
}

#[inline(always)]
#[track_caller]
fn assert_same_length(dst_bytes: usize, src_bytes: usize) {
    if dst_bytes != src_bytes {
        refuse(LengthMismatch { dst_bytes, src_bytes });
    }
}

#[cold]
#[inline(never)]
#[track_caller]
fn refuse(mismatch: LengthMismatch) -> ! {
    panic!("memcpy_auto: {mismatch}")
}
