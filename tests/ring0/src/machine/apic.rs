//! The local APIC's timer, one shot at a time. Intel SDM vol. 3A, chapter 11 (11.5.4: the timer; 11.12: x2APIC).

use super::ports::write_byte;
use super::registers::{msr, set_msr, tsc};
use crate::boot::DIRECT;
use core::sync::atomic::{AtomicU32, Ordering};

const IA32_APIC_BASE: u32 = 0x1b;
const BASE_X2APIC: u64 = 1 << 10;
const BASE_ENABLED: u64 = 1 << 11;
const X2APIC_FIRST: u32 = 0x800;

const EOI: u32 = 0xb;
const SPURIOUS: u32 = 0xf;
const TIMER: u32 = 0x32;
const INITIAL_COUNT: u32 = 0x38;
const CURRENT_COUNT: u32 = 0x39;
const DIVIDE: u32 = 0x3e;

const SPURIOUS_VECTOR: u32 = 47;
const MASKED: u32 = 1 << 16;
/// What the shots' mean distance is, in cycles of the time-stamp counter.
const MEAN_CYCLES: u64 = 100_000;

/// Timer counts in [`MEAN_CYCLES`].
static MEAN_COUNTS: AtomicU32 = AtomicU32::new(0);
static RANDOM: AtomicU32 = AtomicU32::new(0x2545_f491);

fn base() -> u64 {
    // SAFETY: every x86-64 CPU has this register.
    unsafe { msr(IA32_APIC_BASE) }
}

fn write(register: u32, value: u32) {
    if base() & BASE_X2APIC != 0 {
        // SAFETY: in this mode the registers are these, and the values are what they take.
        return unsafe { set_msr(X2APIC_FIRST + register, value.into()) };
    }
    let at = DIRECT + (base() as usize & 0xffff_f000) + (register as usize) * 16;
    // SAFETY: the direct map has the page, which is the APIC's.
    unsafe { (at as *mut u32).write_volatile(value) }
}

fn read(register: u32) -> u32 {
    if base() & BASE_X2APIC != 0 {
        // SAFETY: as in `write`.
        return unsafe { msr(X2APIC_FIRST + register) as u32 };
    }
    let at = DIRECT + (base() as usize & 0xffff_f000) + (register as usize) * 16;
    // SAFETY: as in `write`.
    unsafe { (at as *const u32).read_volatile() }
}

/// Masks the old interrupt controllers, switches the APIC on and finds how fast its timer runs.
pub fn start() {
    for port in [0x21, 0xa1] {
        write_byte(port, 0xff);
    }
    if base() & BASE_ENABLED == 0 {
        // SAFETY: the bit that switches it on.
        unsafe { set_msr(IA32_APIC_BASE, base() | BASE_ENABLED) };
    }
    write(SPURIOUS, 1 << 8 | SPURIOUS_VECTOR);
    write(DIVIDE, 0xb);
    write(TIMER, MASKED);
    write(INITIAL_COUNT, u32::MAX);
    let start = tsc();
    while tsc() - start < 32 * MEAN_CYCLES {}
    let counts = (u32::MAX - read(CURRENT_COUNT)) / 32;
    write(INITIAL_COUNT, 0);
    MEAN_COUNTS.store(counts.max(2), Ordering::Relaxed);
}

/// From now on the timer interrupts with this vector, each time after [`again`].
pub fn aim(vector: u8) {
    write(TIMER, vector.into());
    again();
}

/// No more shots.
pub fn stop() {
    write(TIMER, MASKED);
    write(INITIAL_COUNT, 0);
}

/// The end of this interrupt, and the next one after half to one and a half of the mean distance, at random.
pub fn done() {
    write(EOI, 0);
    again();
}

fn again() {
    // Marsaglia's xorshift, 32 bits.
    let mut random = RANDOM.load(Ordering::Relaxed);
    random ^= random << 13;
    random ^= random >> 17;
    random ^= random << 5;
    RANDOM.store(random, Ordering::Relaxed);
    let mean = MEAN_COUNTS.load(Ordering::Relaxed);
    write(INITIAL_COUNT, mean / 2 + random % mean);
}

/// Whether there is one: CPUID leaf 01H EDX\[9\].
pub fn exists() -> bool {
    super::registers::cpuid(1, 0).edx >> 9 & 1 == 1
}
