//! A timer that interrupts every kernel in its middle.

use super::Report;
use super::arena::{BYTES, Half, PAINT, Window, pattern};
use super::tables::assembly;
use crate::machine::apic;
use crate::machine::registers::{has_smap, interrupts_off, interrupts_on};
use crate::machine::traps::{
    HANDLER_WRONG, INTERRUPTS, LANDED, LANDED_OPEN, MAY_OPEN, TIMER_KEEPING, TIMER_PLAIN, WATCHED,
};
use crate::machine::vectors::{Call, Vectors};
use crate::say;
use core::hint::spin_loop;
use core::sync::atomic::Ordering::Relaxed;
use memcpy_select::cpu::Components;
use memcpy_select::kernel::{fallible_kernels, fills};
use memcpy_select::kernels;

/// Interrupts that have to land in each kernel, in each way that the handler works.
const LANDINGS: u64 = 16;
/// Calls after which it is given up.
const PATIENCE: usize = 200_000;
const LEN: usize = 24_000;

pub fn run(report: &mut Report, vectors: &mut Vectors) {
    for vector in [TIMER_KEEPING, TIMER_PLAIN] {
        let before = INTERRUPTS.load(Relaxed);
        apic::aim(vector);
        interrupts_on();
        every_kernel(report, vectors);
        waiting(report, vectors);
        interrupts_off();
        apic::stop();
        let wrong = HANDLER_WRONG.swap(0, Relaxed);
        report.check(wrong == 0, format_args!("{wrong} copies of the interrupt handler are wrong"));
        let keeps = if vector == TIMER_KEEPING { "keeps and overwrites" } else { "does without" };
        say!("interrupts: {} with a handler that {keeps} vector state", INTERRUPTS.load(Relaxed) - before);
    }
}

/// Where a kernel ends: at the next one, or at the last of the crate's assembly.
fn end_of(entry: usize) -> usize {
    let copies = kernels().iter().map(|kernel| kernel.entry() as usize);
    let fills = fills().iter().map(|fill| fill.entry() as usize);
    let fallible = fallible_kernels().iter().map(|kernel| kernel.entry() as usize);
    let above = copies.chain(fills).chain(fallible).filter(|other| *other > entry && assembly().contains(other));
    above.min().unwrap_or(assembly().end)
}

fn every_kernel(report: &mut Report, vectors: &mut Vectors) {
    let (dst, src) = (Window::new(0, Half::Kernel), Window::new(1, Half::Kernel));
    let is_assembly = |entry: usize| assembly().contains(&entry);
    for kernel in kernels().iter().filter(|kernel| kernel.is_available() && is_assembly(kernel.entry() as usize)) {
        // What keeps vector registers on the stack must not be interrupted by what looks at them; these handlers do not.
        let may_write = if kernel.restores() { Components::NONE } else { kernel.writes() };
        let target = Target { name: kernel.name(), entry: kernel.entry() as usize, may_write, filled: None };
        landing(report, vectors, &target, [&dst, &src]);
    }
    for fill in fills().iter().filter(|fill| fill.is_available()) {
        let (name, entry, may_write) = (fill.name(), fill.entry() as usize, fill.writes());
        landing(report, vectors, &Target { name, entry, may_write, filled: Some(0x11) }, [&dst, &src]);
    }
    for kernel in fallible_kernels().iter().filter(|kernel| has_smap() || !kernel.is_for_smap()) {
        let half = if kernel.is_for_smap() { Half::User } else { Half::Kernel };
        let (dst, src) = (Window::new(0, half), Window::new(1, half));
        let open = LANDED_OPEN.load(Relaxed);
        MAY_OPEN.store(kernel.is_for_smap().into(), Relaxed);
        let (name, entry) = (kernel.name(), kernel.entry() as usize);
        landing(report, vectors, &Target { name, entry, may_write: Components::NONE, filled: None }, [&dst, &src]);
        MAY_OPEN.store(0, Relaxed);
        let opened = LANDED_OPEN.load(Relaxed) - open;
        // The first and the last instructions are outside of what is open.
        let is_right = if kernel.is_for_smap() { opened > 0 } else { opened == 0 };
        report.check(is_right, format_args!("{opened} interrupts of {name} with SMAP open"));
    }
}

/// What is to be interrupted.
struct Target {
    name: &'static str,
    entry: usize,
    may_write: Components,
    /// The byte that it fills with, if it does not copy.
    filled: Option<u8>,
}

/// Calls it until enough interrupts came in its middle.
fn landing(report: &mut Report, vectors: &mut Vectors, target: &Target, [dst, src]: [&Window; 2]) {
    let Target { name, entry, may_write, filled } = *target;
    src.fill();
    WATCHED[0].store(entry, Relaxed);
    WATCHED[1].store(end_of(entry), Relaxed);
    let before = LANDED.load(Relaxed);
    let mut calls = 0;
    while LANDED.load(Relaxed) - before < LANDINGS && calls < PATIENCE {
        let (to, from) = (calls % 64 + 64, calls * 7 % 64 + 64);
        let landed = LANDED.load(Relaxed);
        let second = filled.map_or(src.at + from, usize::from);
        // SAFETY: both windows hold the ranges, which are apart; user pages only where the kernel opens them.
        let left = unsafe { vectors.watch(Call { entry, arguments: [dst.at + to, second, LEN] }) };
        calls += 1;
        // What was not interrupted is looked at elsewhere.
        if LANDED.load(Relaxed) == landed {
            continue;
        }
        let what = format_args!("{name} of {LEN} bytes from {from} to {to}, interrupted");
        report.check_left(&left, may_write, what);
        let bytes = dst.bytes();
        let wanted = src.bytes()[from..from + LEN].iter().map(|byte| filled.unwrap_or(*byte));
        report.check(bytes[to..to + LEN].iter().copied().eq(wanted), format_args!("wrong bytes: {what}"));
        bytes[to..to + LEN].fill(PAINT);
    }
    WATCHED[1].store(0, Relaxed);
    let landed = LANDED.load(Relaxed) - before;
    report.check(landed >= LANDINGS, format_args!("{landed} interrupts in {calls} calls of {name} are too few"));
    let is_unchanged = src.bytes().iter().enumerate().all(|(at, byte)| *byte == pattern(at));
    report.check(is_unchanged && LEN + 128 <= BYTES, format_args!("{name} changed its source"));
}

/// Code that merely holds values in vector registers finds them there again.
fn waiting(report: &mut Report, vectors: &mut Vectors) {
    for _ in 0..8 {
        let before = INTERRUPTS.load(Relaxed);
        let left = vectors.watch_body(|| {
            while INTERRUPTS.load(Relaxed) < before + 8 {
                spin_loop();
            }
        });
        report.check_left(&left, Components::NONE, format_args!("code that waits for eight interrupts"));
    }
}
