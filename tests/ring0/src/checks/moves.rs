//! Moves whose ranges overlap.

use super::Report;
use super::arena::{BYTES, Half, Window, pattern};
use crate::machine::vectors::Vectors;
use core::slice;
use memcpy_select::cpu::Components;
use memcpy_select::kernel::Overlap;
use memcpy_select::kernels;

const ALL: Components = Components::from_bits(u64::MAX);

type Move = fn(*mut u8, *const u8, usize);

const CALLS: [(&str, Components, Move); 4] = [
    ("memmove_auto", ALL, |dst, src, len| {
        let (first, last) = (dst.addr().min(src.addr()), dst.addr().max(src.addr()) + len);
        let (to, from) = (dst.addr() - first, src.addr() - first);
        // SAFETY: the window holds both ranges and what lies between them.
        let both = unsafe { slice::from_raw_parts_mut(first as *mut u8, last - first) };
        memcpy_select::memmove_auto(both, from..from + len, to)
    }),
    ("memmove_auto_unchecked", ALL, |dst, src, len| {
        // SAFETY: the window holds both ranges.
        unsafe { memcpy_select::memmove_auto_unchecked(dst, src, len) }
    }),
    ("memmove", Components::NONE, |dst, src, len| {
        // SAFETY: the window holds both ranges.
        unsafe { memcpy_select::mem::memmove(dst, src, len) };
    }),
    ("memmove_auto_nosimd", Components::NONE, |dst, src, len| {
        // SAFETY: the window holds both ranges.
        unsafe { memcpy_select::memmove_auto_nosimd(dst, src, len) }
    }),
];

pub fn run(report: &mut Report, vectors: &mut Vectors) {
    let is_move = |overlap: Overlap| overlap != Overlap::Never;
    for kernel in kernels().iter().filter(|kernel| is_move(kernel.overlap()) && kernel.is_available()) {
        let (down, up) = (kernel.overlap() == Overlap::DstBelow, kernel.overlap() == Overlap::DstAbove);
        moves(report, vectors, kernel.name(), kernel.writes(), [down, up], |dst, src, len| {
            // SAFETY: the window holds both ranges, and they overlap as the kernel bears it.
            unsafe { kernel.copy(dst, src, len) }
        });
    }
    for (name, may_write, call) in CALLS {
        moves(report, vectors, name, may_write, [true; 2], call);
    }
}

fn moves(
    report: &mut Report,
    vectors: &mut Vectors,
    name: &str,
    may_write: Components,
    [down, up]: [bool; 2],
    call: impl Fn(*mut u8, *const u8, usize),
) {
    let window = Window::new(0, Half::Kernel);
    window.fill();
    let lengths = (0..=80).chain([127, 128, 129, 200, 255, 256, 257, 300, 511, 512, 513, 700, 1024, 3000, 4097, 9000]);
    for len in lengths {
        for distance in [0, 1, 3, 7, 8, 9, 16, 31, 33, 63, 64, 65, 129, 300, 4095] {
            // Both at the window's start, and both at its end.
            for low in [0, BYTES - len - distance] {
                for (is_wanted, from, to) in [(down, low + distance, low), (up, low, low + distance)] {
                    if !is_wanted {
                        continue;
                    }
                    let what = format_args!("{name} of {len} bytes from {from} to {to}");
                    let left =
                        vectors.watch_body(|| call((window.at + to) as *mut u8, (window.at + from) as *const u8, len));
                    report.check_left(&left, may_write, what);
                    let around = window.around(low, len + distance);
                    let bytes = window.bytes();
                    let wanted = |at: usize| if (to..to + len).contains(&at) { at - to + from } else { at };
                    report.check(around.clone().all(|at| bytes[at] == pattern(wanted(at))), what);
                    around.for_each(|at| bytes[at] = pattern(at));
                }
            }
        }
    }
}
