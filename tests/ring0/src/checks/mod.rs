//! The checks: what the crate promises, looked at in ring 0.

mod arena;
mod copies;
mod faults;
mod interrupts;
mod moves;
mod sections;
mod seeded;
mod tables;

use crate::bugs;
use crate::machine::registers::{RFLAGS_AC, RFLAGS_DF, has_smap};
use crate::machine::vectors::{Left, Vectors};
use crate::say;
use core::fmt;
use memcpy_select::cpu::{Components, Cpu};

/// How many failures are said one by one.
const SAID: u64 = 12;

/// What was looked at, and what was wrong.
pub struct Report {
    checks: u64,
    failures: u64,
}

impl Report {
    pub fn check(&mut self, is_right: bool, what: fmt::Arguments<'_>) {
        self.checks += 1;
        if !is_right {
            self.failures += 1;
            if self.failures <= SAID {
                say!("FAIL {what}");
            }
        }
    }

    /// What every call leaves as it was: the registers that a callee keeps, the direction flag, closed user pages, and vector state
    /// but what it may write.
    pub fn check_left(&mut self, left: &Left, may_write: Components, what: fmt::Arguments<'_>) {
        self.check(left.kept_registers, format_args!("callee-saved registers changed: {what}"));
        self.check(left.flags & RFLAGS_DF == 0, format_args!("direction flag set: {what}"));
        self.check(left.flags & RFLAGS_AC == 0, format_args!("SMAP left open: {what}"));
        let changed = left.changed.difference(may_write);
        self.check(changed.is_empty(), format_args!("vector state changed ({changed}): {what}"));
    }
}

/// Runs all of them; whether nothing was wrong.
pub fn run(vectors: &mut Vectors) -> bool {
    let cpu = Cpu::detect();
    say!("cpu {} ({}), machine {}", cpu.signature, cpu.signature.brand(), cpu.signature.hypervisor().unwrap_or("bare"));
    say!("features {}; enabled {}; xsaves {}; smap {}", cpu.features, vectors.enabled, cpu.xstate.xsaves, has_smap());
    // SAFETY: this is ring 0.
    let found = unsafe { memcpy_select::fallible::detect_smap() };
    let mut report = Report { checks: 0, failures: 0 };
    report.check(found == has_smap(), format_args!("detect_smap says {found}"));
    seeded::plant();
    type Part = fn(&mut Report, &mut Vectors);
    let parts: [(&str, Part); 6] = [
        ("tables", tables::run),
        ("copies", copies::run),
        ("moves", moves::run),
        ("faults", faults::run),
        ("interrupts", interrupts::run),
        ("sections", sections::run),
    ];
    for (name, part) in parts {
        // No seeded bug is in what these look at.
        if bugs::any() && ["copies", "moves"].contains(&name) {
            continue;
        }
        let before = report.checks;
        part(&mut report, vectors);
        say!("{name}: {} checks, {} failures so far", report.checks - before, report.failures);
        if bugs::any() && report.failures > 0 {
            break;
        }
    }
    let verdict = if report.failures == 0 { "passed" } else { "failed" };
    say!("ring0 {verdict}: {} checks, {} failures", report.checks, report.failures);
    report.failures == 0
}
