//! The promise: a copy between two addresses of the same memory is right wherever the bytes themselves do not overlap:
//! in one physical page or several, directly beside each other, at distances that are equal modulo 4096 and at those that
//! are not.
//!
//! Loads and stores meet in the processor by the low bits of their addresses first and by their physical address last.
//! Where one page is mapped twice, a store through one address has to be seen by a load through the other, although
//! nothing in the two addresses says so.

use crate::suite::oracle;
use crate::suite::pages::{Memory, PAGE_BYTES, Pages};
use crate::suite::rng::Rng;
use crate::suite::routine::{self, Routine, with_calls};
use crate::suite::runner::in_parallel;
use std::sync::atomic::{AtomicU64, Ordering};

const MEMORY_BYTES: usize = 6 * PAGE_BYTES;

/// The same pages at two addresses, and what they have to hold.
struct Twice {
    written: Pages,
    read: Pages,
    expected: Vec<u8>,
}

impl Twice {
    fn new() -> Self {
        let memory = Memory::new(c"memcpy-select-test-physical", MEMORY_BYTES);
        let (mut written, read) = (memory.view(), memory.view());
        Rng::new(0x5eed_0004).fill(written.as_mut_slice());
        let expected = read.as_slice().to_vec();
        Self { written, read, expected }
    }

    /// Copies through one address what is read through the other, and compares all of it through both.
    fn check(&mut self, routine: &dyn Routine, dst: usize, src: usize, len: usize) {
        assert!(dst + len <= src || src + len <= dst, "the bytes themselves must not overlap");
        let payload = self.expected[src..src + len].to_vec();
        oracle::copy(&mut self.expected, dst, &payload);
        // SAFETY: both ranges lie in their views, which the value owns; no reference to either lives during the copy, and
        // the bytes do not overlap.
        unsafe { routine.copy(self.written.start().wrapping_add(dst), self.read.start().wrapping_add(src), len) };
        let name = routine.name();
        for (view, how) in [(&self.read, "reads"), (&self.written, "writes")] {
            if let Some(at) = (view.as_slice() != self.expected)
                .then(|| oracle::first_difference(view.as_slice(), &self.expected))
                .flatten()
            {
                panic!("{name}: {len} bytes from {src} to {dst}: byte {at} is wrong through the view that {how}");
            }
        }
        // Other bytes each time: copies pile up until everything is alike.
        let refreshed = src..src + len;
        for (at, byte) in refreshed.clone().zip(&mut self.expected[refreshed.clone()]) {
            *byte = byte.wrapping_mul(5).wrapping_add(at as u8 | 1);
        }
        let fresh = self.expected[refreshed.clone()].to_vec();
        self.written.as_mut_slice()[refreshed].copy_from_slice(&fresh);
    }
}

/// Runs every routine through what `cases` gives, and prints the count under `title`.
fn run(title: &str, cases: &[(usize, usize, usize)]) {
    crate::suite::fault::report();
    let (ready, lacking) = routine::kernels_here();
    let (routines, count) = (with_calls(&ready), AtomicU64::new(0));
    in_parallel(&routines, Twice::new, |twice, routine| {
        for (dst, src, len) in cases {
            twice.check(*routine, *dst, *src, *len);
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    println!("{title}: {} copies by {} routines", count.into_inner(), routines.len());
    routine::print_skipped(&lacking);
}

const LENGTHS: [usize; 22] =
    [1, 3, 8, 15, 16, 17, 32, 33, 63, 64, 65, 100, 128, 129, 191, 256, 257, 300, 513, 769, 1000, 2047];

#[test]
fn ranges_beside_each_other_in_one_page_do_not_disturb_each_other() {
    let mut cases = Vec::new();
    for len in LENGTHS {
        for gap in [0, 1, 7, 16, 63, 64] {
            for at in [0, 1, 13, 32, 63] {
                if at + 2 * len + gap <= PAGE_BYTES + 64 {
                    cases.push((at + len + gap, at, len));
                    cases.push((at, at + len + gap, len));
                }
            }
        }
    }
    run("one page, two addresses", &cases);
}

#[test]
fn addresses_that_are_close_modulo_4096_are_told_apart() {
    let mut cases = Vec::new();
    for len in LENGTHS {
        for pages in [1, 2] {
            for beside in [0_usize, 1, 8, 31, 64, 4095, 4096 - 64] {
                for at in [0, 5, 60] {
                    let other = at + pages * PAGE_BYTES + beside;
                    cases.push((other, at, len));
                    cases.push((at, other, len));
                }
            }
        }
    }
    run("equal and close modulo 4096", &cases);
}

#[test]
fn long_ranges_of_shared_pages_are_copied() {
    let mut cases = Vec::new();
    for len in [PAGE_BYTES + 129, 2 * PAGE_BYTES + 1000, 3 * PAGE_BYTES - 200] {
        for at in [0, 1, 33] {
            // The page in the middle belongs to both, one part of it to each.
            for gap in [0, 1, 64, 100] {
                let other = at + len + gap;
                cases.push((other, at, len));
                cases.push((at, other, len));
            }
        }
    }
    run("pages that belong to both ranges", &cases);
}
