//! How programs use memory around a copy: what those who time copies do before and after each.

/// Pairs of destination and source that other code uses before each is copied once: as many as are in the first-level cache
/// together, so that a timing has more than one copy where copies are short.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pairs {
    len_bytes: usize,
    stride_bytes: usize,
    /// How many.
    pub(crate) count: usize,
}

/// What the pairs of a timing take together at most: a share of the first-level cache of every CPU.
const TOGETHER_BYTES: usize = 8 << 10;

impl Pairs {
    /// Pairs for copies of a length, in two ranges of this length.
    pub(crate) fn new(len_bytes: usize, room_bytes: usize) -> Self {
        let stride_bytes = (len_bytes + 64).next_multiple_of(64);
        let count = (TOGETHER_BYTES.min(room_bytes) / stride_bytes).max(1);
        Self { len_bytes, stride_bytes, count }
    }

    /// Where a pair stands in its range, in bytes.
    pub(crate) const fn offset(self, pair: usize) -> usize {
        pair * self.stride_bytes
    }

    /// What other code does with the first `count` of them: the destinations are written and the sources read.
    ///
    /// # Safety
    ///
    /// `dst` is valid for writes and `src` for reads of the length at each pair's place.
    pub(crate) unsafe fn used_by_others(self, count: usize, dst: *mut u8, src: *const u8) {
        for at in (0..count).map(|pair| self.offset(pair)) {
            // SAFETY: the caller's.
            unsafe { write_lines(dst.wrapping_add(at), self.len_bytes) };
            // SAFETY: the caller's.
            unsafe { read_lines(src.wrapping_add(at), self.len_bytes) };
        }
    }
}

/// A walk over all slots of a range, each once before any comes again, far apart from one another: what was cold stays cold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    slot_bytes: usize,
    pub(crate) slots: usize,
    step: usize,
    dst_at: usize,
    src_at: usize,
}

impl Walk {
    /// Slots for copies of a length, in two ranges of this length.
    pub(crate) fn new(len_bytes: usize, room_bytes: usize) -> Self {
        // A line between neighbours, so that none brings part of the next into the cache.
        let slot_bytes = (len_bytes + 64).next_multiple_of(64);
        let slots = (room_bytes / slot_bytes).max(1);
        // About the golden section of the range: successive slots are in other pages, and never next to a recent one.
        let mut step = (slots as f64 * 0.618_033_988_75) as usize | 1;
        while greatest_common_divisor(step, slots) != 1 {
            step += 1;
        }
        Self { slot_bytes, slots, step, dst_at: 0, src_at: slots / 2 }
    }

    /// Where the next copy lies in the destination's range and in the source's, in bytes.
    pub(crate) fn next(&mut self) -> (usize, usize) {
        self.dst_at = (self.dst_at + self.step) % self.slots;
        self.src_at = (self.src_at + self.step) % self.slots;
        (self.dst_at * self.slot_bytes, self.src_at * self.slot_bytes)
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Reads one word of every line.
///
/// # Safety
///
/// `from` is valid for reads of `len_bytes` bytes.
#[inline(always)]
pub(crate) unsafe fn read_lines(from: *const u8, len_bytes: usize) {
    for at in (0..len_bytes).step_by(64) {
        // SAFETY: the caller's: `at` is below the length.
        let _ = unsafe { from.wrapping_add(at).read_volatile() };
    }
}

/// Reads every byte, as a consumer of the whole copy does: eight at a time, the last ones one by one.
///
/// # Safety
///
/// `from` is valid for reads of `len_bytes` bytes.
#[inline(always)]
pub(crate) unsafe fn read_all(from: *const u8, len_bytes: usize) {
    let words = len_bytes / 8 * 8;
    for at in (0..words).step_by(8) {
        // SAFETY: the caller's: the word lies in the range.
        let _ = unsafe { from.wrapping_add(at).cast::<Unaligned>().read_volatile() };
    }
    for at in words..len_bytes {
        // SAFETY: the caller's: `at` is below the length.
        let _ = unsafe { from.wrapping_add(at).read_volatile() };
    }
}

/// Eight bytes at any address.
#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Unaligned(#[allow(dead_code, reason = "it is read to be read")] u64);

/// Writes one byte of every line, as other code that uses the destination does.
///
/// # Safety
///
/// `to` is valid for writes of `len_bytes` bytes.
#[inline(always)]
unsafe fn write_lines(to: *mut u8, len_bytes: usize) {
    for at in (0..len_bytes).step_by(64) {
        // SAFETY: the caller's: `at` is below the length.
        unsafe { to.wrapping_add(at).write_volatile(0x5a) };
    }
}

/// 0, but only after `byte` is there.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn nothing_of(byte: u8) -> usize {
    let mut value = usize::from(byte);
    // SAFETY: arithmetic on one register.
    unsafe { core::arch::asm!("and {value:e}, 0", value = inout(reg) value, options(nomem, nostack)) };
    value
}

/// 0, but only after `byte` is there: the compiler cannot know either.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn nothing_of(byte: u8) -> usize {
    use core::hint::black_box;
    black_box(usize::from(byte)) & black_box(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_walk_visits_every_slot_before_it_repeats_one() {
        for (len_bytes, room_bytes) in [(1, 1 << 16), (64, 1 << 16), (1000, 100_000), (5000, 4000)] {
            let mut walk = Walk::new(len_bytes, room_bytes);
            let visited: HashSet<usize> = (0..walk.slots).map(|_| walk.next().0).collect();
            assert_eq!(visited.len(), walk.slots);
            assert!(visited.into_iter().all(|at| at + len_bytes <= room_bytes || walk.slots == 1));
        }
    }
}
