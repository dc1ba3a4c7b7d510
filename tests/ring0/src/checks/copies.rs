//! Every kernel and every call that copies or fills, at each end of pages between pages that are not there.

use super::Report;
use super::arena::{BYTES, Half, PAINT, Window, pattern};
use crate::machine::vectors::{Call, Left, Vectors};
use core::mem::MaybeUninit;
use core::slice;
use memcpy_select::cpu::{Components, Cpu};
use memcpy_select::kernel::{Overlap, fills};
use memcpy_select::select::memcpy_auto_in_section;
use memcpy_select::xsave::{SavedState, StateArea};
use memcpy_select::{kernels, mem};

const ALL: Components = Components::from_bits(u64::MAX);

/// Every length at which kernels go another way, and each near it: all short ones, then around vectors, pages and blocks.
fn lengths() -> impl Iterator<Item = usize> + Clone {
    (0..=272)
        .chain([383, 384, 385, 511, 512, 513, 767, 768, 769, 1000, 1024, 2047, 2049, 4095, 4096, 4097, 8200, 16383])
        .chain([16384, 16500, 20000, 33000, BYTES])
}

/// Destination and source at the start or the end of their windows.
fn places(len: usize) -> [(usize, usize); 5] {
    let end = BYTES - len;
    [(0, 0), (end, end), (0, end), (end, 0), (end / 2, end / 3)]
}

pub fn run(report: &mut Report, vectors: &mut Vectors) {
    // The symbols `memcpy` and its family, before they follow a plan; the calls below, after.
    for (name, may_write, copy) in CALLS.into_iter().filter(|(name, ..)| ["memcpy", "memmove"].contains(name)) {
        copies(report, vectors, name, may_write, |vectors, dst, src, len| vectors.watch_body(|| copy(dst, src, len)));
    }
    mem::follow_plan();
    for kernel in kernels().iter().filter(|kernel| kernel.is_available()) {
        let may_write = if kernel.restores() { Components::NONE } else { kernel.writes() };
        let entry = kernel.entry() as usize;
        copies(report, vectors, kernel.name(), may_write, |vectors, dst, src, len| {
            // SAFETY: both windows hold the ranges, which are apart; vector state is `watch`'s to lose.
            unsafe { vectors.watch(Call { entry, arguments: [dst as usize, src as usize, len] }) }
        });
    }
    for (name, may_write, copy) in CALLS {
        copies(report, vectors, name, may_write, |vectors, dst, src, len| vectors.watch_body(|| copy(dst, src, len)));
    }
    for fill in fills().iter().filter(|fill| fill.is_available()) {
        let entry = fill.entry() as usize;
        fill_all(report, vectors, fill.name(), fill.writes(), |vectors, dst, byte, len| {
            // SAFETY: the window holds the range.
            unsafe { vectors.watch(Call { entry, arguments: [dst as usize, byte.into(), len] }) }
        });
    }
    for (name, may_write, fill) in FILLS {
        fill_all(report, vectors, name, may_write, |vectors, dst, byte, len| {
            vectors.watch_body(|| fill(dst, byte, len))
        });
    }
    comparisons(report, vectors);
    let overlaps = kernels().iter().filter(|kernel| kernel.overlap() != Overlap::Never).count();
    report.check(overlaps > 0, format_args!("no kernel bears an overlap: this build has no assembly"));
}

type Copy = fn(*mut u8, *const u8, usize);

const CALLS: [(&str, Components, Copy); 12] = [
    ("memcpy_auto", ALL, |dst, src, len| {
        // SAFETY: both windows hold the ranges, which are apart.
        let (dst, src) = unsafe { (slice::from_raw_parts_mut(dst, len), slice::from_raw_parts(src, len)) };
        memcpy_select::memcpy_auto(dst, src)
    }),
    ("memcpy_auto_uninit", ALL, |dst, src, len| {
        let dst = dst.cast::<MaybeUninit<u8>>();
        // SAFETY: as above.
        let (dst, src) = unsafe { (slice::from_raw_parts_mut(dst, len), slice::from_raw_parts(src, len)) };
        memcpy_select::memcpy_auto_uninit(dst, src);
    }),
    ("memcpy_auto_unchecked", ALL, |dst, src, len| {
        // SAFETY: as above.
        unsafe { memcpy_select::memcpy_auto_unchecked(dst, src, len) }
    }),
    ("memcpy_auto_nosimd", Components::NONE, |dst, src, len| {
        // SAFETY: as above.
        unsafe { memcpy_select::memcpy_auto_nosimd(dst, src, len) }
    }),
    ("memmove_auto_nosimd", Components::NONE, |dst, src, len| {
        // SAFETY: as above.
        unsafe { memcpy_select::memmove_auto_nosimd(dst, src, len) }
    }),
    ("copy_from_shared", ALL, |dst, src, len| {
        // SAFETY: as above.
        unsafe { memcpy_select::copy_from_shared(slice::from_raw_parts_mut(dst, len), src) }
    }),
    ("copy_to_shared", ALL, |dst, src, len| {
        // SAFETY: as above.
        unsafe { memcpy_select::copy_to_shared(dst, slice::from_raw_parts(src, len)) }
    }),
    ("copy_from_shared_nosimd", Components::NONE, |dst, src, len| {
        // SAFETY: as above.
        unsafe { memcpy_select::copy_from_shared_nosimd(slice::from_raw_parts_mut(dst, len), src) }
    }),
    ("copy_to_shared_nosimd", Components::NONE, |dst, src, len| {
        // SAFETY: as above.
        unsafe { memcpy_select::copy_to_shared_nosimd(dst, slice::from_raw_parts(src, len)) }
    }),
    ("memcpy", Components::NONE, |dst, src, len| {
        // SAFETY: as above.
        unsafe { mem::memcpy(dst, src, len) };
    }),
    ("memmove", Components::NONE, |dst, src, len| {
        // SAFETY: as above.
        unsafe { mem::memmove(dst, src, len) };
    }),
    ("memcpy_auto_in_section", ALL, |dst, src, len| {
        let mut area = StateArea::<4096>::new();
        let Ok(mut section) = SavedState::new(&mut area, ALL, &Cpu::detect()) else {
            return;
        };
        // SAFETY: as above.
        unsafe { memcpy_auto_in_section(dst, src, len, &mut section) }
    }),
];

type Fill = fn(*mut u8, u8, usize);

const FILLS: [(&str, Components, Fill); 4] = [
    ("memset_auto", ALL, |dst, byte, len| {
        // SAFETY: the window holds the range.
        memcpy_select::memset_auto(unsafe { slice::from_raw_parts_mut(dst, len) }, byte)
    }),
    ("memset_auto_unchecked", ALL, |dst, byte, len| {
        // SAFETY: as above.
        unsafe { memcpy_select::memset_auto_unchecked(dst, byte, len) }
    }),
    ("memset", Components::NONE, |dst, byte, len| {
        // SAFETY: as above.
        unsafe { mem::memset(dst, byte.into(), len) };
    }),
    ("memset_auto_nosimd", Components::NONE, |dst, byte, len| {
        // SAFETY: as above.
        unsafe { memcpy_select::memset_auto_nosimd(dst, byte, len) }
    }),
];

fn copies(
    report: &mut Report,
    vectors: &mut Vectors,
    name: &str,
    may_write: Components,
    copy: impl Fn(&mut Vectors, *mut u8, *const u8, usize) -> Left,
) {
    let (dst, src) = (Window::new(0, Half::Kernel), Window::new(1, Half::Kernel));
    src.fill();
    for len in lengths() {
        for (to, from) in places(len) {
            let what = format_args!("{name} of {len} bytes from {from} to {to}");
            let around = dst.around(to, len);
            dst.bytes()[around.clone()].fill(PAINT);
            let left = copy(vectors, (dst.at + to) as *mut u8, (src.at + from) as *const u8, len);
            report.check_left(&left, may_write, what);
            let bytes = dst.bytes();
            report.check(bytes[to..to + len].iter().eq(&src.bytes()[from..from + len]), what);
            let is_paint = |range: &[u8]| range.iter().all(|byte| *byte == PAINT);
            report.check(is_paint(&bytes[around.start..to]) && is_paint(&bytes[to + len..around.end]), what);
        }
    }
    let is_unchanged = src.bytes().iter().enumerate().all(|(at, byte)| *byte == pattern(at));
    report.check(is_unchanged, format_args!("{name} wrote to the source"));
}

fn fill_all(
    report: &mut Report,
    vectors: &mut Vectors,
    name: &str,
    may_write: Components,
    fill: impl Fn(&mut Vectors, *mut u8, u8, usize) -> Left,
) {
    let dst = Window::new(0, Half::Kernel);
    for len in lengths() {
        for (to, _) in places(len) {
            let what = format_args!("{name} of {len} bytes to {to}");
            let around = dst.around(to, len);
            dst.bytes()[around.clone()].fill(PAINT);
            let left = fill(vectors, (dst.at + to) as *mut u8, 0x5b, len);
            report.check_left(&left, may_write, what);
            let is_right = around.clone().all(|at| {
                let wanted = if (to..to + len).contains(&at) { 0x5b } else { PAINT };
                dst.bytes()[at] == wanted
            });
            report.check(is_right, what);
        }
    }
}

/// `memcmp` and `bcmp` at the ends of pages between pages that are not there: equal ranges, and ranges that differ in one byte.
fn comparisons(report: &mut Report, vectors: &mut Vectors) {
    let (one, other) = (Window::new(0, Half::Kernel), Window::new(1, Half::Kernel));
    for len in lengths() {
        for (to, from) in places(len) {
            one.bytes()[to..to + len].iter_mut().enumerate().for_each(|(at, byte)| *byte = pattern(at));
            other.bytes()[from..from + len].iter_mut().enumerate().for_each(|(at, byte)| *byte = pattern(at));
            for differs_at in [None, Some(0), Some(len / 2), len.checked_sub(1)] {
                let differs_at = differs_at.filter(|at| *at < len);
                if let Some(at) = differs_at {
                    one.bytes()[to + at] |= 0x80;
                }
                let (left, right) = ((one.at + to) as *const u8, (other.at + from) as *const u8);
                let mut found = [0; 3];
                let kept = vectors.watch_body(|| {
                    // SAFETY: both windows hold the ranges.
                    found = unsafe {
                        [mem::memcmp(left, right, len), mem::memcmp(right, left, len), mem::bcmp(left, right, len)]
                    };
                });
                let wanted = if differs_at.is_some() { [1, -1, 1] } else { [0; 3] };
                let found = [found[0].signum(), found[1].signum(), (found[2] != 0).into()];
                let what =
                    format_args!("memcmp of {len} bytes at {to} and {from} that differ at {differs_at:?}: {found:?}");
                report.check(found == wanted, what);
                report.check_left(&kept, Components::NONE, what);
                if let Some(at) = differs_at {
                    one.bytes()[to + at] &= 0x7f;
                }
            }
        }
    }
}
