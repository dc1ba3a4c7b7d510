//! Small lengths, inlined into the caller: no plan is read and nothing is called.
//!
//! Each length is covered by two, four or eight accesses of one size, half of them from the head and half from the
//! tail, which overlap in the middle. All loads of a length come before its stores.

use core::ptr;

/// Up to this length the calls copy in the caller itself. Four pairs of 16 bytes are the last step that is still
/// cheaper than reading a plan and calling through it.
pub const INLINE_MAX_BYTES: usize = 64;

/// Copies up to [`INLINE_MAX_BYTES`] bytes.
///
/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, the ranges do not overlap, and
/// `len <= INLINE_MAX_BYTES`.
#[inline(always)]
pub(super) unsafe fn copy(dst: *mut u8, src: *const u8, len: usize) {
    if len > 32 {
        // SAFETY: 32 < len <= 64, so that both halves of 32 bytes lie inside the ranges.
        unsafe { ends::<[u128; 2]>(dst, src, len) }
    } else if len > 16 {
        // SAFETY: 16 < len <= 32.
        unsafe { ends::<u128>(dst, src, len) }
    } else if len >= 8 {
        // SAFETY: 8 <= len <= 16.
        unsafe { ends::<u64>(dst, src, len) }
    } else if len >= 4 {
        // SAFETY: 4 <= len < 8.
        unsafe { ends::<u32>(dst, src, len) }
    } else if len > 0 {
        // SAFETY: 1 <= len < 4.
        unsafe { first_middle_last(dst, src, len) }
    }
}

/// Copies the first and the last `size_of::<T>()` bytes.
///
/// # Safety
///
/// As [`copy`], with `size_of::<T>() <= len <= 2 * size_of::<T>()`. `T` is plain data.
#[inline(always)]
unsafe fn ends<T: Copy>(dst: *mut u8, src: *const u8, len: usize) {
    let tail = len - size_of::<T>();
    // SAFETY: len >= size_of::<T>(), so the first T lies inside the source.
    let first = unsafe { ptr::read_unaligned(src.cast::<T>()) };
    // SAFETY: tail <= len, inside the source range.
    let src_tail = unsafe { src.add(tail) };
    // SAFETY: tail + size_of::<T>() == len, so the last T lies inside the source.
    let last = unsafe { ptr::read_unaligned(src_tail.cast::<T>()) };
    // SAFETY: as the read, in the destination.
    unsafe { ptr::write_unaligned(dst.cast::<T>(), first) };
    // SAFETY: tail <= len, inside the destination range.
    let dst_tail = unsafe { dst.add(tail) };
    // SAFETY: as the read, in the destination.
    unsafe { ptr::write_unaligned(dst_tail.cast::<T>(), last) };
}

/// Copies one to three bytes without a branch.
///
/// # Safety
///
/// As [`copy`], with `1 <= len <= 3`.
#[inline(always)]
unsafe fn first_middle_last(dst: *mut u8, src: *const u8, len: usize) {
    let offsets = [0, len / 2, len - 1];
    let bytes = offsets.map(|offset| {
        // SAFETY: each offset is below len.
        let at = unsafe { src.add(offset) };
        // SAFETY: inside the source range.
        unsafe { at.read() }
    });
    for (offset, byte) in offsets.into_iter().zip(bytes) {
        // SAFETY: each offset is below len.
        let at = unsafe { dst.add(offset) };
        // SAFETY: inside the destination range.
        unsafe { at.write(byte) };
    }
}
