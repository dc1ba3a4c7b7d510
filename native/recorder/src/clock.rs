//! The clocks.

use crate::system;
use core::arch::x86_64::{__cpuid, __cpuid_count, _mm_lfence, _rdtsc};
use core::sync::atomic::Ordering::Relaxed;
use memcpy_select::recording::Moment;

/// Ticks of the time-stamp counter, read after everything before has been carried out and before anything after has begun
/// (Intel SDM vol. 2, RDTSC: "LFENCE immediately before", "LFENCE immediately after").
#[inline(always)]
pub(crate) fn ticks() -> u64 {
    // SAFETY: SSE2 is part of x86-64.
    unsafe { _mm_lfence() };
    // SAFETY: programs that are denied the counter (`PR_SET_TSC`) end here; none is known that copies.
    let ticks = unsafe { _rdtsc() };
    // SAFETY: as above.
    unsafe { _mm_lfence() };
    ticks
}

/// The clocks that the system is asked for, by its numbers.
#[derive(Clone, Copy)]
pub(crate) enum Clock {
    Realtime = 0,
    Monotonic = 1,
    /// Processor time of this process.
    Process = 2,
}

/// Nanoseconds of a clock; 0 where the system does not say.
pub(crate) fn ns(clock: Clock) -> u64 {
    const CLOCK_GETTIME: usize = 228;
    let mut time = [0_u64; 2];
    // SAFETY: the system writes two numbers of 64 bits.
    let result =
        unsafe { system::call(CLOCK_GETTIME, [clock as usize, time.as_mut_ptr().expose_provenance(), 0, 0, 0]) };
    let [seconds, nanoseconds] = time;
    result.map_or(0, |_| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanoseconds))
}

/// Nanoseconds of processor time that this process has taken.
pub(crate) fn cpu_ns() -> u64 {
    ns(Clock::Process)
}

/// Writes what the three clocks say.
pub(crate) fn write(moment: &Moment) {
    moment.realtime_ns.store(ns(Clock::Realtime), Relaxed);
    moment.monotonic_ns.store(ns(Clock::Monotonic), Relaxed);
    moment.ticks.store(ticks(), Relaxed);
}

/// The frequency of the time-stamp counter, where the CPU or the hypervisor says it; else 0.
///
/// Sources: Intel SDM vol. 2, CPUID leaf 15H; the leaf 40000010H that VMware defined, in kHz.
pub(crate) fn ticks_per_second() -> u64 {
    let highest = __cpuid(0).eax;
    if highest >= 0x15 {
        let leaf = __cpuid_count(0x15, 0);
        if leaf.eax != 0 && leaf.ebx != 0 && leaf.ecx != 0 {
            return u64::from(leaf.ecx) * u64::from(leaf.ebx) / u64::from(leaf.eax);
        }
    }
    let is_guest = __cpuid(1).ecx & 1 << 31 != 0;
    if is_guest && (0x4000_0010..0x4000_1000).contains(&__cpuid(0x4000_0000).eax) {
        return u64::from(__cpuid(0x4000_0010).eax) * 1000;
    }
    0
}
