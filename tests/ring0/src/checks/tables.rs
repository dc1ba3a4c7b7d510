//! The exception table as a kernel's fault handler sees it.

use super::Report;
use super::arena::{Half, Window};
use crate::machine::paging::Access;
use crate::machine::traps::{FIXED, LAST_ADDRESS, LAST_ERROR, OWN, ring0_probe};
use crate::machine::vectors::{Call, Vectors};
use core::sync::atomic::Ordering::Relaxed;
use memcpy_select::cpu::Components;
use memcpy_select::fallible::{exceptions, fixup};
use memcpy_select::kernel::fallible_kernels;

unsafe extern "C" {
    static ring0_kernels_start: u8;
    static ring0_kernels_end: u8;
}

/// The addresses at which the crate's assembly lies.
pub fn assembly() -> core::ops::Range<usize> {
    &raw const ring0_kernels_start as usize..&raw const ring0_kernels_end as usize
}

pub fn run(report: &mut Report, vectors: &mut Vectors) {
    let rows = exceptions();
    report.check(!rows.is_empty(), format_args!("the exception table is empty"));
    for row in rows {
        let is_inside = assembly().contains(&row.range().start) && assembly().contains(&row.fixup());
        report.check(is_inside && !row.range().is_empty(), format_args!("{row:x?} is not about the crate's code"));
    }
    for kernel in fallible_kernels() {
        let entry = kernel.entry() as usize;
        let has_row = rows.iter().any(|row| row.range().start > entry && row.range().start < entry + 512);
        report.check(has_row, format_args!("{} has no row", kernel.name()));
    }
    // Every byte of the crate's assembly, and one more at each end: an answer where a row has it, and nowhere else.
    for ip in assembly().start - 1..=assembly().end {
        let wanted = rows.iter().find(|row| row.range().contains(&ip)).map(|row| row.fixup());
        report.check(fixup(ip) == wanted, format_args!("fixup({ip:#x}) is {:x?}", fixup(ip)));
    }
    for ip in [0, 1, usize::MAX, ring0_probe as *const () as usize, run as *const () as usize] {
        report.check(fixup(ip).is_none(), format_args!("fixup({ip:#x}) answers"));
    }
    others(report, vectors);
}

/// A fault that is none of the crate's goes to the kernel's own handler.
fn others(report: &mut Report, vectors: &mut Vectors) {
    let window = Window::new(0, Half::Kernel);
    report.check(ring0_probe(window.at), format_args!("a page that is there cannot be read"));
    for (at, is_page_fault) in
        [(window.at, true), (0, true), (8, true), (1 << 63, false), (0xffff_7fff_ffff_ffff, false)]
    {
        window.set(0, Access::Absent);
        let (fixed, own) = (FIXED.load(Relaxed), OWN.load(Relaxed));
        // SAFETY: an address of any kind.
        let left = unsafe { vectors.watch(Call { entry: ring0_probe as *const () as usize, arguments: [at, 0, 0] }) };
        report.check(left.result == 0, format_args!("{at:#x} can be read"));
        report.check_left(&left, Components::NONE, format_args!("a fault that the kernel's own handler answers"));
        let went = (FIXED.load(Relaxed) - fixed, OWN.load(Relaxed) - own);
        report.check(went == (0, 1), format_args!("a fault at {at:#x} outside of the table went elsewhere: {went:?}"));
        let seen = (LAST_ADDRESS.load(Relaxed) as usize, LAST_ERROR.load(Relaxed));
        report.check(!is_page_fault || seen == (at, 0), format_args!("the handler saw {seen:x?} for {at:#x}"));
    }
    window.set(0, Access::Write);
}
