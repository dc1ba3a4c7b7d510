//! A call that is looked at closely.

use crate::slots::{arm, private, random, recording, shared_slot};
use crate::{clock, routines};
use core::ptr;
use core::sync::atomic::Ordering::Relaxed;
use memcpy_select::recording::{Function, Kind, Sample, Slot, Under};

/// Counts a call whose slot has counted down, carries it out, times it and keeps what it was like. Every call of the shared slot
/// comes this way.
///
/// # Safety
///
/// As the function in C; the slot is one of the recording's.
pub(crate) unsafe extern "sysv64" fn sampled(
    dst: *mut u8,
    src: *const u8,
    len: usize,
    slot: &Slot,
    site: u64,
    function: u32,
) -> *mut u8 {
    let entered = clock::ticks();
    let function = Function::ALL[function as usize & 3];
    let kind = match function {
        Function::Memset => Kind::Fill,
        _ => Kind::of_copy(dst.addr(), src.addr(), len),
    };
    let (Some(recording), Some(private)) = (recording(), private()) else {
        // SAFETY: the same preconditions.
        return unsafe { routines::under(function)(dst, src, len) };
    };
    let period = recording.header.period.load(Relaxed);
    if ptr::eq(slot, shared_slot(recording)) {
        slot.countdown.store(0, Relaxed);
        slot.count_shared(kind, len);
        if slot.shared_countdown.fetch_sub(1, Relaxed) > 1 {
            // SAFETY: the same preconditions.
            return unsafe { routines::under(function)(dst, src, len) };
        }
        arm(slot, &slot.shared_countdown, period);
    } else {
        arm(slot, &slot.countdown, period);
        slot.count(kind, len);
    }
    let arm = routines::arm();
    let routine = routines::of(arm, function);
    let start = clock::ticks();
    // SAFETY: the same preconditions.
    let result = unsafe { routine(dst, src, len) };
    let end = clock::ticks();
    let ticks = end.wrapping_sub(start);
    let (dst, src) = (dst.addr(), src.addr());
    let sample = Sample { kind, function, dst, src, len, site, arm, ticks };
    let site = recording.add_untimed(&sample);
    if private.turns.is_settled() {
        recording.add_time(&sample, site);
    }
    if recording.header.under.load(Relaxed) == Under::Both as u32 {
        private.turns.pass(random(slot));
    }
    private.process.sampled(recording, end, clock::ticks().wrapping_sub(entered).wrapping_sub(ticks));
    if kind != Kind::Fill {
        private.watch.sampled(recording, end, dst, len, random(slot));
    }
    result
}
