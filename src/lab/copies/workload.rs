//! What a cell asks to be copied, call by call.

use crate::lab::copies::calls::{Call, Reader};
use crate::lab::copies::cell::{Cell, Residency};
use crate::lab::copies::contender::Contender;
use crate::lab::copies::crowd::Crowd;
use crate::lab::instruments::buffers::Buffers;
use crate::lab::record::CallLengths;
use crate::select::ways::{Pairs, Walk, nothing_of, read_all, read_lines};
use std::time::Duration;

/// Destination and source range with the places of one cell's copies in it. It goes on where it stopped: what was
/// cold stays cold from one timing to the next.
pub(crate) struct Workload<'a> {
    dst: *mut u8,
    src: *const u8,
    kind: Kind,
    /// The copies lie in these.
    _buffers: &'a Buffers,
}

enum Kind {
    Same { len_bytes: usize, is_touched: bool },
    Used(Used),
    Walk { len_bytes: usize, walk: Walk },
    Crowd { len_bytes: usize, crowd: Crowd },
    Calls { list: Vec<Call>, at: usize, is_read: bool },
}

/// Copies of [`Pairs`], and whether reading them counts.
struct Used {
    len_bytes: usize,
    pairs: Pairs,
    is_read: bool,
}

impl<'a> Workload<'a> {
    /// # Panics
    ///
    /// If the buffers are too small for the cell, or there is no memory for those of the other cores, or no call of the workload fits
    /// the cell's region.
    pub(crate) fn of(cell: Cell, buffers: &'a Buffers, lengths: Option<&CallLengths>) -> Self {
        let room = buffers.max_len_bytes();
        assert!(cell.len_bytes <= room, "{cell} does not fit the sweep's buffers");
        let (mut dst, mut src) = (buffers.dst(cell.dst_offset), buffers.src(cell.src_offset).cast_const());
        let used = |is_read| Used { len_bytes: cell.len_bytes, pairs: Pairs::new(cell.len_bytes, room), is_read };
        let kind = match cell.residency {
            Residency::Hot => Kind::Same { len_bytes: cell.len_bytes, is_touched: false },
            Residency::Touch => Kind::Same { len_bytes: cell.len_bytes, is_touched: true },
            Residency::Used => Kind::Used(used(false)),
            Residency::Read => Kind::Used(used(true)),
            Residency::Crowd | Residency::Threads(_) => {
                let threads = match cell.residency {
                    Residency::Threads(count) => Some(usize::from(count)),
                    _ => None,
                };
                let crowd = Crowd::new(cell.len_bytes, threads).unwrap_or_else(|error| panic!("{cell}: {error}"));
                Kind::Crowd { len_bytes: cell.len_bytes, crowd }
            }
            Residency::Cold => Kind::Walk { len_bytes: cell.len_bytes, walk: Walk::new(cell.len_bytes, room) },
            Residency::Calls(calls) => {
                assert!(calls.region.bytes() + 64 <= room, "{cell} does not fit the sweep's buffers");
                (dst, src) = (buffers.dst(0), buffers.src(crate::lab::copies::cell::APART_BYTES).cast_const());
                let list = calls.list(lengths);
                assert!(!list.is_empty(), "{cell}: no call of the workload fits");
                Kind::Calls { list, at: 0, is_read: calls.reader == Reader::AtOnce }
            }
        };
        Self { dst, src, kind, _buffers: buffers }
    }

    /// Times that many copies, in calls of a list rounded up to whole thousands.
    pub(crate) fn time(&mut self, contender: &Contender, iterations: u64) -> Duration {
        let (dst, src) = (self.dst, self.src);
        match &mut self.kind {
            Kind::Same { len_bytes, is_touched: false } => {
                // SAFETY: `of` checked that the length fits the buffers at every offset; the two ranges are apart.
                unsafe { contender.time(dst, src, *len_bytes, iterations) }
            }
            Kind::Same { len_bytes, is_touched: true } => {
                let len_bytes = *len_bytes;
                // SAFETY: the length is that of the copy that was just made there.
                let touch = |(): &mut (), dst: *const u8, len_bytes| unsafe { read_lines(dst, len_bytes) };
                // SAFETY: `of` checked that the length fits the buffers at every offset; the two ranges are apart.
                unsafe { contender.time_each(iterations, &mut (), |()| (dst, src, len_bytes), touch) }
            }
            // SAFETY: every pair lies in the buffers with room for the length behind it.
            Kind::Used(used) => unsafe { used.time(contender, dst, src, iterations) },
            Kind::Crowd { len_bytes, crowd } => {
                crowd.copy_with(Some(contender.clone()));
                // SAFETY: `of` checked that the length fits the buffers at every offset; the two ranges are apart.
                let passed = unsafe { contender.time(dst, src, *len_bytes, iterations) };
                crowd.copy_with(None);
                passed
            }
            Kind::Walk { len_bytes, walk } => {
                let len_bytes = *len_bytes;
                let next = |walk: &mut Walk| {
                    let (dst_at, src_at) = walk.next();
                    (dst.wrapping_add(dst_at), src.wrapping_add(src_at), len_bytes)
                };
                // SAFETY: every slot lies in the buffers with room for the length behind it.
                unsafe { contender.time_each(iterations, walk, next, |_, _, _| {}) }
            }
            Kind::Calls { list, at, is_read } => {
                let list = list.as_slice();
                let mut state = InCalls { at: *at, read_at: 0, shift: 0 };
                let next = |state: &mut InCalls| {
                    let call = &list[state.at];
                    state.at = if state.at + 1 == list.len() { 0 } else { state.at + 1 };
                    state.read_at = call.read_at as usize;
                    let dst = dst.wrapping_add(call.dst_offset as usize + state.shift);
                    (dst, src.wrapping_add(call.src_offset as usize + state.shift), call.len_bytes as usize)
                };
                let read = |state: &mut InCalls, dst: *const u8, _| {
                    // SAFETY: the byte is one of the copy, or beside a copy of no bytes in the region.
                    let byte = unsafe { dst.wrapping_add(state.read_at).read() };
                    state.shift = nothing_of(byte);
                };
                // SAFETY: every call of the list lies in the regions; the shift is always 0, which only the compiler does not know.
                let passed = unsafe {
                    match is_read {
                        true => contender.time_each(iterations, &mut state, next, read),
                        false => contender.time_each(iterations, &mut state, next, |_, _, _| {}),
                    }
                };
                *at = state.at;
                passed
            }
        }
    }
}

/// Where the calls of a list have come to.
#[derive(Clone, Copy)]
struct InCalls {
    /// The next one.
    at: usize,
    /// Which byte of the copy is read.
    read_at: usize,
    /// What it decides of the next addresses.
    shift: usize,
}

impl Used {
    /// Times the copies alone, and the reading where it counts.
    ///
    /// # Safety
    ///
    /// `dst` is valid for writes and `src` for reads of the length at each pair's place, and the two are apart.
    unsafe fn time(&self, contender: &Contender, dst: *mut u8, src: *const u8, iterations: u64) -> Duration {
        let Self { len_bytes, pairs, is_read } = *self;
        let (mut passed, mut left) = (Duration::ZERO, iterations);
        while left > 0 {
            let count = left.min(pairs.count as u64);
            // SAFETY: the caller's: there are no more than pairs.
            unsafe { pairs.used_by_others(count as usize, dst, src) };
            let next = |pair: &mut usize| {
                let at = pairs.offset(*pair);
                *pair += 1;
                (dst.wrapping_add(at), src.wrapping_add(at), len_bytes)
            };
            // SAFETY: the length is that of the copy that was just made there.
            let read = |_: &mut usize, dst: *const u8, len_bytes| unsafe { read_all(dst, len_bytes) };
            // SAFETY: the caller's: there are no more copies than pairs.
            passed += unsafe {
                match is_read {
                    true => contender.time_each(count, &mut 0, next, read),
                    false => contender.time_each(count, &mut 0, next, |_, _, _| {}),
                }
            };
            left -= count;
        }
        passed
    }
}
