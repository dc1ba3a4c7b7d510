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
        // SAFETY: 32 < len <= 64.
        unsafe { pairs_at_ends(dst, src, len) }
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

/// Copies the first two and the last two 16-byte words.
///
/// # Safety
///
/// As [`copy`], with `32 <= len <= 64`.
#[inline(always)]
unsafe fn pairs_at_ends(dst: *mut u8, src: *const u8, len: usize) {
    let offsets = (0, 16, len - 32, len - 16);
    // SAFETY: each offset and the 16 bytes from it lie in the first or the last 32 bytes of the ranges.
    let first = unsafe { load::<u128>(src, offsets.0) };
    // SAFETY: as above.
    let second = unsafe { load::<u128>(src, offsets.1) };
    // SAFETY: as above.
    let third = unsafe { load::<u128>(src, offsets.2) };
    // SAFETY: as above.
    let fourth = unsafe { load::<u128>(src, offsets.3) };
    // SAFETY: as above, in the destination.
    unsafe { store(dst, offsets.0, first) };
    // SAFETY: as above, in the destination.
    unsafe { store(dst, offsets.1, second) };
    // SAFETY: as above, in the destination.
    unsafe { store(dst, offsets.2, third) };
    // SAFETY: as above, in the destination.
    unsafe { store(dst, offsets.3, fourth) };
}

/// Copies the first and the last `size_of::<T>()` bytes.
///
/// # Safety
///
/// As [`copy`], with `size_of::<T>() <= len <= 2 * size_of::<T>()`. `T` is plain data.
#[inline(always)]
unsafe fn ends<T: Copy>(dst: *mut u8, src: *const u8, len: usize) {
    let tail = len - size_of::<T>();
    // SAFETY: len >= size_of::<T>(), so that the first T lies inside the source.
    let first = unsafe { load::<T>(src, 0) };
    // SAFETY: tail + size_of::<T>() == len, so that the last T lies inside the source.
    let last = unsafe { load::<T>(src, tail) };
    // SAFETY: as the load, in the destination.
    unsafe { store(dst, 0, first) };
    // SAFETY: as the load, in the destination.
    unsafe { store(dst, tail, last) };
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
        unsafe { load::<u8>(src, offset) }
    });
    for (offset, byte) in offsets.into_iter().zip(bytes) {
        // SAFETY: each offset is below len.
        unsafe { store(dst, offset, byte) };
    }
}

/// Reads a `T` at any alignment.
///
/// # Safety
///
/// `src + offset` is valid for reads of `size_of::<T>()` bytes in the object that `src` points into. `T` is plain data.
#[inline(always)]
unsafe fn load<T: Copy>(src: *const u8, offset: usize) -> T {
    // SAFETY: the caller's: the place lies in the same object.
    let place = unsafe { src.add(offset) };
    // SAFETY: the caller's.
    unsafe { ptr::read_unaligned(place.cast::<T>()) }
}

/// Writes a `T` at any alignment.
///
/// # Safety
///
/// `dst + offset` is valid for writes of `size_of::<T>()` bytes in the object that `dst` points into.
#[inline(always)]
unsafe fn store<T: Copy>(dst: *mut u8, offset: usize, value: T) {
    // SAFETY: the caller's: the place lies in the same object.
    let place = unsafe { dst.add(offset) };
    // SAFETY: the caller's.
    unsafe { ptr::write_unaligned(place.cast::<T>(), value) }
}
