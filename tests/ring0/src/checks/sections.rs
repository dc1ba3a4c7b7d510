//! Sections: vector state belongs to others, is lent, and is back afterwards, whatever ran in between.

use super::Report;
use super::arena::{BYTES, Half, PAINT, Window};
use crate::bugs::{Bug, has};
use crate::machine::registers::{interrupts_off, interrupts_on};
use crate::machine::traps::TIMER_PLAIN;
use crate::machine::vectors::{AREA_BYTES, Area, Vectors};
use crate::machine::{Single, apic};
use crate::say;
use core::arch::asm;
use core::mem::MaybeUninit;
use memcpy_select::cpu::{Components, Cpu};
use memcpy_select::kernels;
use memcpy_select::select::{Band, InSection, Plan, Policy, install, uninstall};
use memcpy_select::xsave::{Save, SavedState, Section, StateArea};

/// A section as a kernel has it: XSAVES and XRSTORS. Intel SDM vol. 1, 13.11 and 13.12.
struct KernelSection<'a> {
    area: &'a mut Area,
    components: u64,
}

// SAFETY: all that is switched on is saved and restored, and no code can write what is not.
unsafe impl Section for KernelSection<'_> {
    fn lends(&self) -> Components {
        Components::from_bits(u64::MAX)
    }

    #[inline(always)]
    fn begin(&mut self) {
        let (area, low) = (self.area.0.as_mut_ptr(), self.components as u32);
        // SAFETY: ring 0 of a CPU that has it; an area that is aligned, large enough and had an empty header at first.
        unsafe { asm!("xsaves64 [{}]", in(reg) area, in("eax") low, in("edx") 0, options(nostack)) };
    }

    #[inline(always)]
    fn end(&mut self) {
        let (area, low) = (self.area.0.as_ptr(), self.components as u32);
        // SAFETY: as above; `begin` has filled it. What is written counts as clobbered.
        unsafe {
            asm!("xrstors64 [{area}]", area = in(reg) area, in("eax") low, in("edx") 0, clobber_abi("sysv64"), options(nostack));
        }
    }
}

/// Any section, with the seeded bug if that was asked for.
struct Seeded<S>(S);

// SAFETY: without the bug, the other one's promise.
unsafe impl<S: Section> Section for Seeded<S> {
    fn lends(&self) -> Components {
        self.0.lends()
    }

    #[inline(always)]
    fn begin(&mut self) {
        self.0.begin();
    }

    #[inline(always)]
    fn end(&mut self) {
        if !has(Bug::NoRestore) {
            self.0.end();
        }
    }
}

const ROOM: usize = 48;
/// A plan that is installed lives for ever.
static PLANS: [Single<MaybeUninit<Plan>>; ROOM] = [const { Single::new(MaybeUninit::uninit()) }; ROOM];

pub fn run(report: &mut Report, vectors: &mut Vectors) {
    let cpu = Cpu::detect();
    // One that copies in between, without saving anything.
    apic::aim(TIMER_PLAIN);
    interrupts_on();
    let vector = kernels().iter().filter(|kernel| kernel.is_available() && !kernel.writes().is_empty());
    let mut planned = 0;
    for (kernel, room) in vector.zip(&PLANS) {
        let Ok(plan) = Plan::new(&[Band::new(usize::MAX, kernel)]) else {
            continue;
        };
        // SAFETY: each place is written once, before it is shared.
        let plan: &'static Plan = unsafe { room.get() }.write(plan);
        if install(Policy::Section, plan).is_err() {
            continue;
        }
        planned += 1;
        if cpu.xstate.xsaves {
            let mut area = Area([0; AREA_BYTES]);
            let section = KernelSection { area: &mut area, components: vectors.enabled.bits() };
            copies(report, vectors, "XSAVES", kernel.name(), section);
        }
        for save in Save::ALL.into_iter().filter(|save| save.is_available(&cpu.xstate)) {
            let mut area = StateArea::<4096>::new();
            let Ok(section) = SavedState::with(&mut area, save, vectors.enabled, &cpu.xstate) else {
                report.check(false, format_args!("no section by {}", save.name()));
                continue;
            };
            // FXSAVE keeps XMM registers alone: what a kernel writes beyond, it does not lend.
            copies(report, vectors, save.name(), kernel.name(), section);
        }
    }
    uninstall(Policy::Section);
    interrupts_off();
    apic::stop();
    report.check(planned >= 3, format_args!("only {planned} kernels with vector registers were in a section"));
    if !cpu.xstate.xsaves {
        say!("sections: skipped XSAVES and XRSTORS, which this CPU does not have");
    }
}

fn copies(report: &mut Report, vectors: &mut Vectors, save: &str, kernel: &str, section: impl Section) {
    let mut section = Seeded(section);
    let (dst, src) = (Window::new(0, Half::Kernel), Window::new(1, Half::Kernel));
    src.fill();
    for len in [0, 1, 15, 16, 17, 64, 65, 100, 128, 129, 255, 256, 257, 400, 600, 1000, 4096, 10_000, 40_000, BYTES] {
        let (to, from) = ((BYTES - len).min(64), (BYTES - len).min(3));
        dst.bytes()[to..to + len].fill(PAINT);
        let what = format_args!("{len} bytes by {kernel} in a section by {save}");
        // Two copies share it.
        let left = vectors.watch_body(|| {
            let mut shared = InSection::new(&mut section);
            for part in [0..len / 2, len / 2..len] {
                let (dst, src) = (dst.at + to + part.start, src.at + from + part.start);
                // SAFETY: both windows hold the ranges, which are apart.
                unsafe { shared.copy(dst as *mut u8, src as *const u8, part.len()) }
            }
        });
        report.check_left(&left, Components::NONE, what);
        report.check(dst.bytes()[to..to + len].iter().eq(&src.bytes()[from..from + len]), what);
    }
}
