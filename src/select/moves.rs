//! Copies between ranges that may overlap: those that do go to a kernel for their direction, the others the way of
//! [`memcpy_auto`](super::memcpy_auto).
//!
//! `rep movsb` is never used backward: with the direction flag set it goes byte by byte on every CPU so far.

use super::inline::{self, INLINE_MAX_BYTES};
use super::{formula, in_force, memcpy_auto_nosimd, memcpy_auto_unchecked, slot};
use crate::kernel::portable::entry_point;
use crate::kernel::{CopyFn, Kernel};
use core::ops::{Bound, Range, RangeBounds};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

/// Copies a part of a slice to another place in it, as [`copy_within`](slice::copy_within): the two may overlap.
///
/// ```
/// let mut buf = *b"abcdef";
/// memcpy_select::memmove_auto(&mut buf, 0..4, 1);
/// assert_eq!(&buf, b"aabcdf");
/// ```
///
/// # Panics
///
/// If `src` ends beyond the slice or before it starts, or if what it names does not fit from `dst` on. Nothing is copied then.
#[inline]
#[track_caller]
pub fn memmove_auto(buf: &mut [u8], src: impl RangeBounds<usize>, dst: usize) {
    let src = checked(buf.len(), (src.start_bound().cloned(), src.end_bound().cloned()), dst);
    let start = buf.as_mut_ptr();
    // SAFETY: both ranges lie in the slice, which is borrowed exclusively.
    unsafe { memmove_auto_unchecked(start.add(dst), start.add(src.start), src.len()) }
}

#[track_caller]
fn checked(whole: usize, (start, end): (Bound<usize>, Bound<usize>), dst: usize) -> Range<usize> {
    let beyond = |at: usize| at.checked_add(1).expect("memmove_auto: the range ends beyond usize::MAX");
    let start = match start {
        Bound::Included(at) => at,
        Bound::Excluded(at) => beyond(at),
        Bound::Unbounded => 0,
    };
    let end = match end {
        Bound::Included(at) => beyond(at),
        Bound::Excluded(at) => at,
        Bound::Unbounded => whole,
    };
    assert!(
        start <= end && end <= whole,
        "memmove_auto: {start}..{end} is no range of {whole} bytes: nothing was copied"
    );
    let len = end - start;
    assert!(dst <= whole - len, "memmove_auto: {len} bytes do not fit from {dst} on into {whole}: nothing was copied");
    start..end
}

/// Copies `len` bytes from `src` to `dst`; the two ranges may overlap.
///
/// Ranges that do not overlap are copied as by [`memcpy_auto_unchecked`]. Up to [`INLINE_MAX_BYTES`] the copy is inlined into the
/// caller: all of it is loaded before any of it is stored.
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes. The caller may use vector registers.
#[inline]
pub unsafe fn memmove_auto_unchecked(dst: *mut u8, src: *const u8, len: usize) {
    if cfg!(not(memcpy_select_asm)) {
        // SAFETY: the same preconditions.
        return unsafe { ptr::copy(src, dst, len) };
    }
    if len <= INLINE_MAX_BYTES && cfg!(not(memcpy_select_out_of_line)) {
        // SAFETY: the same preconditions, and the length was just checked; a plan comes into force only on a CPU that has what
        // its way to copy small lengths needs.
        return unsafe { inline::copy(dst, src, len, in_force::USER.small()) };
    }
    match overlapping(dst, src, len) {
        // SAFETY: the same preconditions, and the ranges do not overlap.
        None => unsafe { memcpy_auto_unchecked(dst, src, len) },
        // SAFETY: the word is an entry point of a kernel that is available here, for ranges that overlap this way.
        Some(Direction::Forward) => unsafe { FORWARD.entry()(dst, src, len) },
        // SAFETY: as above.
        Some(Direction::Backward) => unsafe { BACKWARD.entry()(dst, src, len) },
    }
}

/// Copies `len` bytes from `src` to `dst` without touching vector state; the two ranges may overlap. Of ranges that do not
/// overlap it is [`memcpy_auto_nosimd`].
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes.
#[inline]
pub unsafe fn memmove_auto_nosimd(dst: *mut u8, src: *const u8, len: usize) {
    const KERNELS: (Option<&Kernel>, Option<&Kernel>) = (Kernel::named("gpr_forward"), Kernel::named("gpr_backward"));
    let (Some(forward), Some(backward)) = KERNELS else {
        // SAFETY: the same preconditions.
        return unsafe { ptr::copy(src, dst, len) };
    };
    match overlapping(dst, src, len) {
        // SAFETY: the same preconditions, and the ranges do not overlap.
        None => unsafe { memcpy_auto_nosimd(dst, src, len) },
        // SAFETY: the same preconditions; the kernel needs nothing of the CPU, and bears ranges that overlap this way.
        Some(Direction::Forward) => unsafe { forward.copy(dst, src, len) },
        // SAFETY: as above.
        Some(Direction::Backward) => unsafe { backward.copy(dst, src, len) },
    }
}

/// From which end ranges that overlap are copied.
enum Direction {
    /// From low addresses to high ones: the destination is below the source.
    Forward,
    /// From high addresses to low ones: the destination is above the source, or the same.
    Backward,
}

#[inline(always)]
fn overlapping(dst: *mut u8, src: *const u8, len: usize) -> Option<Direction> {
    if dst.addr().wrapping_sub(src.addr()) < len {
        Some(Direction::Backward)
    } else if src.addr().wrapping_sub(dst.addr()) < len {
        Some(Direction::Forward)
    } else {
        None
    }
}

/// The entry point of the kernel for one direction; at the start that which decides.
#[repr(transparent)]
pub(crate) struct Word(AtomicPtr<()>);

pub(crate) static FORWARD: Word = Word::new(decide_forward);
pub(crate) static BACKWARD: Word = Word::new(decide_backward);

/// Decides before the first call.
#[cfg(memcpy_select_interposed)]
pub(super) fn decide() {
    if let Some(kernels) = in_force::of_cpu(formula::moves) {
        FORWARD.decide(kernels);
    }
}

impl Word {
    const fn new(entry: CopyFn) -> Self {
        Self(AtomicPtr::new(entry as *mut ()))
    }

    #[inline(always)]
    fn entry(&self) -> CopyFn {
        slot::entry_point(&self.0)
    }

    /// Two threads that decide at a time decide alike.
    fn decide(&self, [forward, backward]: [&Kernel; 2]) -> CopyFn {
        FORWARD.0.store(forward.entry() as *mut (), Ordering::Relaxed);
        BACKWARD.0.store(backward.entry() as *mut (), Ordering::Relaxed);
        self.entry()
    }
}

entry_point! {
    #[cold]
    decide_forward(dst, src, len) {
        match in_force::of_cpu(formula::moves) {
            // SAFETY: the same preconditions; the kernel is one that this CPU can run, for ranges that overlap this way.
            Some(kernels) => unsafe { FORWARD.decide(kernels)(dst, src, len) },
            // SAFETY: the same preconditions.
            None => unsafe { ptr::copy(src, dst, len) },
        }
    }
}

entry_point! {
    #[cold]
    decide_backward(dst, src, len) {
        match in_force::of_cpu(formula::moves) {
            // SAFETY: as above.
            Some(kernels) => unsafe { BACKWARD.decide(kernels)(dst, src, len) },
            // SAFETY: the same preconditions.
            None => unsafe { ptr::copy(src, dst, len) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_those_of_copy_within() {
        let whole: Vec<u8> = (0..200).collect();
        for (start, end, dst) in [(0, 200, 0), (0, 0, 200), (10, 150, 50), (50, 190, 0), (3, 4, 199), (100, 200, 1)] {
            let (mut expected, mut found) = (whole.clone(), whole.clone());
            expected.copy_within(start..end, dst);
            memmove_auto(&mut found, start..end, dst);
            assert_eq!(found, expected, "{start}..{end} to {dst}");
        }
        let mut found = whole.clone();
        memmove_auto(&mut found, ..=9, 100);
        memmove_auto(&mut found, (Bound::Excluded(189), Bound::Unbounded), 0);
        assert_eq!((&found[..10], &found[100..110]), (&whole[190..], &whole[..10]));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_is_copied() {
        #[allow(clippy::reversed_empty_ranges, reason = "that is what is refused")]
        let wrong = [(0..11, 0), (5..4, 0), (0..10, 1), (9..10, 10), (usize::MAX..usize::MAX, 0), (0..1, usize::MAX)];
        for (src, dst) in wrong {
            let mut buf = *b"0123456789";
            let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| memmove_auto(&mut buf, src, dst)));
            assert!(refused.is_err() && &buf == b"0123456789");
        }
    }
}
