//! What time is read from, and how many core cycles pass in a nanosecond.
//!
//! There may be no performance counters (virtual machines, containers), so core cycles are counted by work whose cost
//! is known: a chain of dependent one-cycle instructions.

use std::time::Instant;

/// How many dependent one-cycle steps [`core_cycles`] takes in one turn of its loop.
#[cfg(target_arch = "x86_64")]
const STEPS_PER_TURN: u64 = 16;

/// The smallest step between two readings of the clock, in nanoseconds: the median of the shortest differences seen.
pub fn precision_ns() -> u64 {
    let mut steps: Vec<u64> = (0..101)
        .map(|_| {
            let start = Instant::now();
            loop {
                let passed_ns = start.elapsed().as_nanos() as u64;
                if passed_ns > 0 {
                    return passed_ns;
                }
            }
        })
        .collect();
    steps.sort_unstable();
    steps[steps.len() / 2]
}

/// Spends at least `cycles` core cycles in a chain of dependent additions, each of which takes exactly one cycle on
/// every x86-64 processor, and returns how many it spent.
///
/// Source: Agner Fog, "Instruction tables": `add r, r` has a latency of one cycle throughout.
#[cfg(target_arch = "x86_64")]
pub fn core_cycles(cycles: u64) -> u64 {
    let turns = cycles.div_ceil(STEPS_PER_TURN).max(1);
    // SAFETY: the block counts one register down to zero and adds to another; it touches no memory and no stack.
    unsafe {
        core::arch::asm!(
            ".p2align 5",
            "2:",
            ".rept 16",
            "add {chain}, {step}",
            ".endr",
            "dec {turns}",
            "jnz 2b",
            turns = inout(reg) turns => _,
            chain = inout(reg) 0_u64 => _,
            step = in(reg) 3_u64,
            options(nomem, nostack),
        );
    }
    turns * STEPS_PER_TURN
}

/// Elsewhere no chain is known: it says that no cycles were counted.
#[cfg(not(target_arch = "x86_64"))]
pub fn core_cycles(_cycles: u64) -> u64 {
    0
}

/// The time-stamp counter, after everything before it has executed.
#[cfg(target_arch = "x86_64")]
pub fn ticks() -> u64 {
    // SAFETY: LFENCE needs SSE2, which x86-64 has; it has no other precondition.
    unsafe { core::arch::x86_64::_mm_lfence() };
    // SAFETY: RDTSC is available on every x86-64 processor, and permitted in user mode unless CR4.TSD is set, which no
    // system that runs the standard library does.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Elsewhere there is no counter that user code may read: it says that no time passed.
#[cfg(not(target_arch = "x86_64"))]
pub fn ticks() -> u64 {
    0
}

/// Rates of this machine's clocks, measured over a few milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Core cycles per nanosecond while measuring (GHz).
    pub core_cycles_per_ns: f64,
    /// Time-stamp counter ticks per nanosecond (GHz).
    pub tsc_ticks_per_ns: f64,
}

impl Rates {
    /// Measures both rates: the median of eleven runs of about half a million cycles.
    pub fn measure() -> Self {
        let mut runs: Vec<(f64, f64)> = (0..11)
            .map(|_| {
                let (start, start_ticks) = (Instant::now(), ticks());
                let cycles = core_cycles(500_000);
                let (passed_ticks, passed_ns) = (ticks().wrapping_sub(start_ticks), start.elapsed().as_nanos() as f64);
                (cycles as f64 / passed_ns, passed_ticks as f64 / passed_ns)
            })
            .collect();
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let core_cycles_per_ns = runs[runs.len() / 2].0;
        runs.sort_by(|a, b| a.1.total_cmp(&b.1));
        Self { core_cycles_per_ns, tsc_ticks_per_ns: runs[runs.len() / 2].1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_chain_spends_at_least_what_was_asked() {
        assert_eq!(core_cycles(0), 16);
        assert_eq!(core_cycles(16), 16);
        assert_eq!(core_cycles(17), 32);
    }

    #[test]
    fn rates_are_finite_and_precision_is_not_zero() {
        let rates = Rates::measure();
        assert!(rates.core_cycles_per_ns.is_finite() && rates.tsc_ticks_per_ns.is_finite());
        assert!(precision_ns() > 0);
    }
}
