//! Control registers, model-specific registers, CPUID, and what is switched on at the start.

use core::arch::asm;
use core::arch::x86_64::{__cpuid_count, CpuidResult};

pub const RFLAGS_DF: u64 = 1 << 10;
pub const RFLAGS_AC: u64 = 1 << 18;
const CR4_OSXSAVE: u64 = 1 << 18;
const CR4_SMEP: u64 = 1 << 20;
const CR4_SMAP: u64 = 1 << 21;
const CR0_TS: u64 = 1 << 3;
/// x87, SSE, AVX, and the three of AVX-512: what the kernels may write, and what a section lends.
const WANTED_COMPONENTS: u64 = 0xe7;
const AVX512_COMPONENTS: u64 = 0xe0;

/// CPUID; zeros for a leaf above the last one.
pub fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    let last = __cpuid_count(leaf & 0xc000_0000, 0).eax;
    if leaf > last { CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 } } else { __cpuid_count(leaf, subleaf) }
}

/// CPUID leaf 01H ECX\[31\].
pub fn has_hypervisor() -> bool {
    cpuid(1, 0).ecx >> 31 & 1 == 1
}

macro_rules! control_register {
    ($read:ident, $name:literal) => {
        pub fn $read() -> u64 {
            let value: u64;
            // SAFETY: this is ring 0; reading changes nothing.
            unsafe { asm!(concat!("mov {}, ", $name), out(reg) value, options(nostack, preserves_flags)) }
            value
        }
    };
    ($read:ident, $write:ident, $name:literal) => {
        control_register!($read, $name);

        /// # Safety
        ///
        /// The CPU has the bits that are set, and what runs bears them.
        pub unsafe fn $write(value: u64) {
            // SAFETY: the caller's promise.
            unsafe { asm!(concat!("mov ", $name, ", {}"), in(reg) value, options(nostack, preserves_flags)) }
        }
    };
}

control_register!(cr0, set_cr0, "cr0");
control_register!(cr2, "cr2");
control_register!(cr3, set_cr3, "cr3");
control_register!(cr4, set_cr4, "cr4");

/// # Safety
///
/// The CPU has this register.
pub unsafe fn msr(index: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller's promise.
    unsafe { asm!("rdmsr", in("ecx") index, out("eax") low, out("edx") high, options(nostack, preserves_flags)) }
    u64::from(high) << 32 | u64::from(low)
}

/// # Safety
///
/// The CPU has this register and takes the value, and what runs bears it.
pub unsafe fn set_msr(index: u32, value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: the caller's promise.
    unsafe { asm!("wrmsr", in("ecx") index, in("eax") low, in("edx") high, options(nostack, preserves_flags)) }
}

/// Switches on what the CPU has: XSAVE with [`WANTED_COMPONENTS`], SMEP and SMAP.
///
/// Intel SDM vol. 1, 13.3; vol. 3A, 2.5 and 4.6.
pub fn start() {
    let extended = cpuid(7, 0).ebx;
    let mut bits = cr4();
    let has_xsave = cpuid(1, 0).ecx >> 26 & 1 == 1;
    for (has, bit) in
        [(has_xsave, CR4_OSXSAVE), (extended >> 7 & 1 == 1, CR4_SMEP), (extended >> 20 & 1 == 1, CR4_SMAP)]
    {
        bits |= if has { bit } else { 0 };
    }
    // SAFETY: each bit only where CPUID has it; no page of the lower half is executed, or read without asking.
    unsafe { set_cr4(bits) };
    if has_xsave {
        let mut components = cpuid(0xd, 0).eax as u64 & WANTED_COMPONENTS;
        if components & AVX512_COMPONENTS != AVX512_COMPONENTS || components & 4 == 0 {
            components &= !AVX512_COMPONENTS;
        }
        // SAFETY: CR4.OSXSAVE is set; the components are of those that the CPU has, AVX-512's together and with AVX.
        unsafe {
            asm!("xsetbv", in("ecx") 0, in("eax") components as u32, in("edx") 0, options(nomem, nostack, preserves_flags));
        }
    }
}

pub fn has_smap() -> bool {
    cr4() & CR4_SMAP != 0
}

/// Sets CR0.TS: the next vector or x87 instruction traps.
pub fn set_ts() {
    // SAFETY: the trap's handler clears it.
    unsafe { set_cr0(cr0() | CR0_TS) }
}

/// XCR0; 0 without XSAVE.
pub fn xcr0() -> u64 {
    memcpy_select::cpu::xcr0().map_or(0, |components| components.bits())
}

pub fn interrupts_on() {
    // SAFETY: the interrupt table is in place.
    unsafe { asm!("sti", options(nostack)) }
}

pub fn interrupts_off() {
    // SAFETY: nothing is interrupted any more.
    unsafe { asm!("cli", options(nostack)) }
}

/// The time-stamp counter, after all before it and before all after it. Intel SDM vol. 2B, RDTSC.
#[inline(always)]
pub fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe {
        asm!("mfence", "lfence", "rdtsc", "lfence", out("eax") low, out("edx") high, options(nostack, preserves_flags))
    }
    u64::from(high) << 32 | u64::from(low)
}
