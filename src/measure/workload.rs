//! What a cell asks to be copied, call by call.

use super::buffers::Buffers;
use super::calls::{Call, Reader};
use super::cell::{Cell, Residency};
use super::crowd::Crowd;
use super::sweep::Contender;
use std::time::Duration;

/// Destination and source range with the places of one cell's copies in it. It goes on where it stopped: what was
/// cold stays cold from one timing to the next.
pub(super) struct Workload<'a> {
    dst: *mut u8,
    src: *const u8,
    kind: Kind,
    /// The copies lie in these.
    _buffers: &'a Buffers,
}

enum Kind {
    Same { len_bytes: usize, is_touched: bool },
    Used(Used),
    Walk(Walk),
    Crowd { len_bytes: usize, crowd: Crowd },
    Calls { list: Vec<Call>, next: usize, is_read: bool },
}

/// Pairs of destination and source that other code uses before each is copied once: as many as are in the first-level cache
/// together, so that a timing has more than one copy where copies are short.
struct Used {
    len_bytes: usize,
    stride_bytes: usize,
    pairs: u64,
    is_read: bool,
}

/// What the pairs of a timing take together at most: a share of the first-level cache of every CPU.
const USED_BYTES: usize = 8 << 10;

/// A walk over all slots of a range, each once before any comes again, far apart from one another.
struct Walk {
    len_bytes: usize,
    slot_bytes: usize,
    slots: usize,
    step: usize,
    dst_at: usize,
    src_at: usize,
}

impl<'a> Workload<'a> {
    /// # Panics
    ///
    /// If the buffers are too small for the cell, or there is no memory for those of the other cores.
    pub(super) fn of(cell: Cell, buffers: &'a Buffers) -> Self {
        let room = buffers.max_len_bytes();
        assert!(cell.len_bytes <= room, "{cell} does not fit the sweep's buffers");
        let (mut dst, mut src) = (buffers.dst(cell.dst_offset), buffers.src(cell.src_offset).cast_const());
        let kind = match cell.residency {
            Residency::Hot => Kind::Same { len_bytes: cell.len_bytes, is_touched: false },
            Residency::Touch => Kind::Same { len_bytes: cell.len_bytes, is_touched: true },
            Residency::Used => Kind::Used(Used::new(cell.len_bytes, room, false)),
            Residency::Read => Kind::Used(Used::new(cell.len_bytes, room, true)),
            Residency::Crowd | Residency::Threads(_) => {
                let threads = match cell.residency {
                    Residency::Threads(count) => Some(usize::from(count)),
                    _ => None,
                };
                let crowd = Crowd::new(cell.len_bytes, threads).unwrap_or_else(|error| panic!("{cell}: {error}"));
                Kind::Crowd { len_bytes: cell.len_bytes, crowd }
            }
            Residency::Cold => Kind::Walk(Walk::new(cell.len_bytes, room)),
            Residency::Calls(calls) => {
                assert!(calls.region.bytes() + 64 <= room, "{cell} does not fit the sweep's buffers");
                (dst, src) = (buffers.dst(0), buffers.src(super::cell::APART_BYTES).cast_const());
                Kind::Calls { list: calls.list(), next: 0, is_read: calls.reader == Reader::AtOnce }
            }
        };
        Self { dst, src, kind, _buffers: buffers }
    }

    /// Times that many copies, in calls of a list rounded up to whole thousands.
    pub(super) fn time(&mut self, contender: &Contender, iterations: u64) -> Duration {
        let (dst, src) = (self.dst, self.src);
        match &mut self.kind {
            Kind::Same { len_bytes, is_touched: false } => {
                // SAFETY: `of` checked that the length fits the buffers at every offset; the two ranges are apart.
                unsafe { contender.time(dst, src, *len_bytes, iterations) }
            }
            Kind::Same { len_bytes, is_touched: true } => {
                let len_bytes = *len_bytes;
                // SAFETY: as above.
                unsafe { contender.time_each(iterations, || (dst, src, len_bytes), touch) }
            }
            // SAFETY: every pair lies in the buffers with room for the length behind it.
            Kind::Used(used) => unsafe { used.time(contender, dst, src, iterations) },
            Kind::Crowd { len_bytes, crowd } => {
                crowd.copy_with(Some(contender.clone()));
                // SAFETY: as above.
                let passed = unsafe { contender.time(dst, src, *len_bytes, iterations) };
                crowd.copy_with(None);
                passed
            }
            Kind::Walk(walk) => {
                let next = || {
                    let (dst_at, src_at) = walk.next();
                    (dst.wrapping_add(dst_at), src.wrapping_add(src_at), walk.len_bytes)
                };
                // SAFETY: every slot lies in the buffers with room for the length behind it.
                unsafe { contender.time_each(iterations, next, |_, _| {}) }
            }
            Kind::Calls { list, next, is_read } => {
                let (list, is_read) = (list.as_slice(), *is_read);
                let place = |call: &Call, shift: usize| {
                    let dst = dst.wrapping_add(call.dst_offset as usize + shift);
                    (dst, src.wrapping_add(call.src_offset as usize + shift), call.len_bytes as usize)
                };
                let shift = std::cell::Cell::new(0);
                let at = std::cell::Cell::new(*next);
                let advance = || {
                    let call = &list[at.get()];
                    at.set(if at.get() + 1 == list.len() { 0 } else { at.get() + 1 });
                    call
                };
                let passed = if is_read {
                    let read_at = std::cell::Cell::new(0);
                    let next = || {
                        let call = advance();
                        read_at.set(call.read_at as usize);
                        place(call, shift.get())
                    };
                    let after = |dst: *const u8, _| {
                        // SAFETY: the byte is one of the copy, or beside a copy of no bytes in the region.
                        let byte = unsafe { dst.wrapping_add(read_at.get()).read() };
                        shift.set(nothing_of(byte));
                    };
                    // SAFETY: every call of the list lies in the regions; the shift is always 0, which only the
                    // compiler does not know.
                    unsafe { contender.time_each(iterations, next, after) }
                } else {
                    // SAFETY: every call of the list lies in the regions.
                    unsafe { contender.time_each(iterations, || place(advance(), 0), |_, _| {}) }
                };
                *next = at.get();
                passed
            }
        }
    }
}

impl Used {
    fn new(len_bytes: usize, room_bytes: usize, is_read: bool) -> Self {
        let stride_bytes = (len_bytes + 64).next_multiple_of(64);
        let pairs = (USED_BYTES.min(room_bytes) / stride_bytes).max(1) as u64;
        Self { len_bytes, stride_bytes, pairs, is_read }
    }

    /// Times the copies alone, and the reading where it counts.
    ///
    /// # Safety
    ///
    /// `dst` is valid for writes and `src` for reads of the length at each pair's place, and the two are apart.
    unsafe fn time(&self, contender: &Contender, dst: *mut u8, src: *const u8, iterations: u64) -> Duration {
        let Self { len_bytes, stride_bytes, is_read, .. } = *self;
        let place = |pair: usize| (dst.wrapping_add(pair * stride_bytes), src.wrapping_add(pair * stride_bytes));
        let (mut passed, mut left) = (Duration::ZERO, iterations);
        while left > 0 {
            let count = left.min(self.pairs);
            for (dst, src) in (0..count as usize).map(place) {
                write_lines(dst, len_bytes);
                touch(src, len_bytes);
            }
            let pair = std::cell::Cell::new(0);
            let next = || {
                let (dst, src) = place(pair.get());
                pair.set(pair.get() + 1);
                (dst, src, len_bytes)
            };
            passed += if is_read {
                // SAFETY: the caller's: there are no more copies than pairs.
                unsafe { contender.time_each(count, next, read_all) }
            } else {
                // SAFETY: as above.
                unsafe { contender.time_each(count, next, |_, _| {}) }
            };
            left -= count;
        }
        passed
    }
}

impl Walk {
    fn new(len_bytes: usize, room_bytes: usize) -> Self {
        // A line between neighbours, so that none brings part of the next into the cache.
        let slot_bytes = (len_bytes + 64).next_multiple_of(64);
        let slots = (room_bytes / slot_bytes).max(1);
        // About the golden section of the range: successive slots are in other pages, and never next to a recent one.
        let mut step = (slots as f64 * 0.618_033_988_75) as usize | 1;
        while greatest_common_divisor(step, slots) != 1 {
            step += 1;
        }
        Self { len_bytes, slot_bytes, slots, step, dst_at: 0, src_at: slots / 2 }
    }

    fn next(&mut self) -> (usize, usize) {
        self.dst_at = (self.dst_at + self.step) % self.slots;
        self.src_at = (self.src_at + self.step) % self.slots;
        (self.dst_at * self.slot_bytes, self.src_at * self.slot_bytes)
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Reads one word of every line, as a consumer of the copy does.
#[inline(always)]
fn touch(dst: *const u8, len_bytes: usize) {
    for at in (0..len_bytes).step_by(64) {
        // SAFETY: `at` is below the length of the copy that was just made there.
        let _ = unsafe { dst.wrapping_add(at).read_volatile() };
    }
}

/// Reads every byte, as a consumer of the whole copy does: eight at a time, the last ones one by one.
#[inline(always)]
fn read_all(dst: *const u8, len_bytes: usize) {
    let words = len_bytes / 8 * 8;
    for at in (0..words).step_by(8) {
        // SAFETY: the word lies in the copy that was just made there.
        let _ = unsafe { dst.wrapping_add(at).cast::<Unaligned>().read_volatile() };
    }
    for at in words..len_bytes {
        // SAFETY: `at` is below the length of the copy that was just made there.
        let _ = unsafe { dst.wrapping_add(at).read_volatile() };
    }
}

/// Eight bytes at any address.
#[repr(C, packed)]
#[derive(Clone, Copy)]
struct Unaligned(#[allow(dead_code, reason = "it is read to be read")] u64);

/// Writes one byte of every line, as other code that uses the destination does.
#[inline(always)]
fn write_lines(dst: *mut u8, len_bytes: usize) {
    for at in (0..len_bytes).step_by(64) {
        // SAFETY: `at` is below the length that is copied there next.
        unsafe { dst.wrapping_add(at).write_volatile(0x5a) };
    }
}

/// 0, but only after `byte` is there.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn nothing_of(byte: u8) -> usize {
    let mut value = usize::from(byte);
    // SAFETY: arithmetic on one register.
    unsafe { core::arch::asm!("and {value:e}, 0", value = inout(reg) value, options(nomem, nostack)) };
    value
}

/// 0, but only after `byte` is there: the compiler cannot know either.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn nothing_of(byte: u8) -> usize {
    use std::hint::black_box;
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
