//! Whether this machine's ring 0 is real, and how fast its time-stamp counter runs.

use super::jobs::{Job, timed};
use crate::machine::ports::{read_byte, write_byte};
use crate::machine::registers::{cpuid, cr2, set_ts, tsc};
use core::arch::asm;
use memcpy_select::cpu::Cpu;

/// What an instruction takes at most that no hypervisor sees; an exit to one takes more than a thousand cycles. This and the following
/// are chosen: far above what CPUs take, and far below what exits and emulators do.
const MOST_TICKS: u64 = 800;
/// The same for an exception or a software interrupt, its handler and the way back.
const MOST_TRAP_TICKS: u32 = 3000;
/// The same for a copy of 64 bytes in the first-level cache: some ten cycles of the core.
const MOST_COPY_TICKS: u32 = 100;
/// The same for `rep movsb` of 16 KiB: a CPU takes a cycle of the core a byte where it is slow, an emulator several ticks.
const STRING_BYTES: usize = 16 << 10;
const MOST_STRING_TICKS: u32 = 2 * STRING_BYTES as u32;
/// What a division of 64 bits by 64 takes at least where it is executed: ten cycles of the core, of which a tick has fewer
/// than three. An emulator that counts an instruction as one tick takes one.
const LEAST_DIVISION_TICKS: u64 = 2;
const DIVISIONS: u32 = 64;

/// Why figures of this machine are not those of a CPU's ring 0; nothing where they are. `medians` are those of all rows, in ticks
/// beyond timing nothing.
pub fn not_real(cpu: &Cpu, medians: impl Iterator<Item = (Job, u32)>) -> Option<&'static str> {
    match cpu.signature.hypervisor() {
        Some("TCGTCGTCGTCG") => return Some("instructions are emulated in software"),
        None | Some("KVMKVMKVM") => {}
        Some(_) => return Some("nothing is known of this hypervisor's ring 0"),
    }
    if median(|| timed(divide)) < LEAST_DIVISION_TICKS * u64::from(DIVISIONS) {
        return Some("the time-stamp counter counts no time: this is an emulator");
    }
    // Under hardware virtualisation with nested paging none of what follows leaves the guest.
    let cr2_ticks = median(|| {
        timed(|| {
            cr2();
        })
    });
    // SAFETY: vector state is this kernel's own: nothing is left to be restored at a trap.
    let clts = || unsafe { asm!("clts", options(nomem, nostack)) };
    let clts_ticks = median(|| {
        set_ts();
        timed(clts)
    });
    let set_ts_ticks = median(|| {
        let ticks = timed(set_ts);
        clts();
        ticks
    });
    if [cr2_ticks, clts_ticks, set_ts_ticks].into_iter().any(|ticks| ticks > MOST_TICKS) {
        return Some("instructions of ring 0 go through a hypervisor");
    }
    let because = |(job, ticks): (Job, u32)| match job {
        Job::Copy { family: "kernel", name: "gpr", len: 64, .. } if ticks > MOST_COPY_TICKS => {
            Some("copies take longer than on a CPU: instructions are emulated in software")
        }
        Job::Copy { family: "kernel", name: "rep_movsb", len: STRING_BYTES, .. } if ticks > MOST_STRING_TICKS => {
            Some("string instructions take longer than on a CPU: they are emulated in software")
        }
        Job::Interrupt(None) if ticks > MOST_TRAP_TICKS => Some("interrupts go through a hypervisor"),
        Job::Trap(_) if ticks > MOST_TRAP_TICKS => Some("traps of vector instructions go through a hypervisor"),
        Job::Fault if ticks > MOST_TRAP_TICKS => Some("page faults go through a hypervisor"),
        _ => None,
    };
    medians.filter_map(because).next()
}

/// [`DIVISIONS`], each of what the one before left, and nothing else.
fn divide() {
    // SAFETY: no overflow: the upper half of the dividend is 0 at first, then a remainder, below the divisor. No memory is
    // touched.
    unsafe {
        asm!(".rept {divisions}", "div {divisor}", ".endr", divisions = const DIVISIONS, divisor = in(reg) 3_u64,
            inout("rax") 0x0123_4567_89ab_cdef_u64 => _, inout("rdx") 0_u64 => _, options(nomem, nostack));
    }
}

fn median(mut sample: impl FnMut() -> u64) -> u64 {
    let mut samples = [0; 101];
    samples.iter_mut().for_each(|ticks| *ticks = sample());
    samples.sort_unstable();
    samples[50]
}

/// Ticks a second: as CPUID says (leaf 15H: Intel SDM vol. 2A; leaf 40000010H: VMware's, which KVM has too), otherwise by the
/// old interval timer.
pub fn tsc_hz() -> u64 {
    let leaf = cpuid(0x15, 0);
    if leaf.eax != 0 && leaf.ebx != 0 && leaf.ecx != 0 {
        return u64::from(leaf.ecx) * u64::from(leaf.ebx) / u64::from(leaf.eax);
    }
    let khz = if crate::machine::registers::has_hypervisor() { cpuid(0x4000_0010, 0).eax } else { 0 };
    if khz != 0 { u64::from(khz) * 1000 } else { by_interval_timer() }
}

/// Channel 2 of the 8254 counts down from 65,535 at 1,193,182 Hz; its output is bit 5 of port 61H.
fn by_interval_timer() -> u64 {
    const COUNT: u64 = 0xffff;
    const HZ: u64 = 1_193_182;
    const PATIENCE: u64 = 10_000_000_000;
    write_byte(0x61, read_byte(0x61) & !2 | 1);
    write_byte(0x43, 0xb0);
    write_byte(0x42, COUNT as u8);
    write_byte(0x42, (COUNT >> 8) as u8);
    let start = tsc();
    while read_byte(0x61) & 0x20 == 0 && tsc() - start < PATIENCE {}
    (tsc() - start) * HZ / COUNT
}
