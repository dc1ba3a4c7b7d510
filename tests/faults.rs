//! The promise: a page fault in the middle of a kernel, on either side, does no harm: the copy goes on where it was and is
//! right.
//!
//! Three ways to have one. Pages that no access is allowed to, opened one by one by a signal handler: then a fault comes
//! for certain, at every place of the range, and a program's own code runs in the middle of the instruction. Pages that
//! the system has not made yet, or took away: the usual case. And pages that another thread delivers by `userfaultfd`,
//! where the system permits it: the kernel is stopped in the middle for as long as that takes.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod signals;
mod suite;

use core::ffi::c_int;
use signals::{Context, SIGSEGV, SigInfo};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use suite::delivered::{Delivered, Unavailable};
use suite::oracle::is_filled;
use suite::pages::{self, Memory, PAGE_BYTES, Pages};
use suite::rng::Rng;
use suite::routine::{self, Routine, with_calls};

/// The addresses whose pages the handler opens: from, to.
static OPENED: [AtomicUsize; 4] = [const { AtomicUsize::new(0) }; 4];
static FAULTS: AtomicU64 = AtomicU64::new(0);

/// Opens the page that was touched. What is none of ours faults again, and then ends the process.
extern "C" fn open(number: c_int, info: *mut SigInfo, _context: *mut Context) {
    // SAFETY: the system gives the handler an information of its own.
    let address = unsafe { (*info).address() };
    let bounds = OPENED.each_ref().map(|bound| bound.load(Ordering::Relaxed));
    let is_ours = (bounds[0]..bounds[1]).contains(&address) || (bounds[2]..bounds[3]).contains(&address);
    FAULTS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: both ranges are those of a `Pages`.
    if !is_ours || unsafe { !pages::open_page(address) } {
        suite::sys::end_at_next(number);
    }
}

/// Two pages of source and two of destination; a copy lies across the middle of either.
struct Halves {
    src: Pages,
    dst: Pages,
}

impl Halves {
    /// Copies `len` bytes of which `src_before` and `dst_before` lie in the first page of either, with all pages of the
    /// sides asked for closed; how many faults there were.
    fn check(&mut self, routine: &dyn Routine, len: usize, before: (usize, usize), closed: (bool, bool)) -> u64 {
        let (dst_at, src_at) = (PAGE_BYTES - before.0, PAGE_BYTES - before.1);
        self.dst.as_mut_slice().fill(0xEE);
        if closed.0 {
            self.dst.close();
        }
        if closed.1 {
            self.src.close();
        }
        let faults = FAULTS.load(Ordering::Relaxed);
        // SAFETY: both ranges lie in their two pages, which the handler opens; nothing else refers to them meanwhile.
        unsafe { routine.copy(self.dst.start().wrapping_add(dst_at), self.src.start().wrapping_add(src_at), len) };
        let faults = FAULTS.load(Ordering::Relaxed) - faults;
        self.dst.open();
        self.src.open();
        let (dst, src) = (self.dst.as_slice(), &self.src.as_slice()[src_at..src_at + len]);
        let is_right = dst[dst_at..dst_at + len] == *src
            && is_filled(&dst[..dst_at], 0xEE)
            && is_filled(&dst[dst_at + len..], 0xEE);
        assert!(is_right, "{}: {len} bytes, {before:?} before the page's end, {closed:?} closed", routine.name());
        faults
    }
}

#[test]
fn a_fault_at_every_place_of_a_copy_is_survived() {
    const LENGTHS: [usize; 18] = [1, 2, 3, 5, 8, 9, 16, 17, 24, 32, 33, 64, 65, 100, 129, 200, 257, 400];
    const LONGER: [usize; 4] = [513, 769, 1025, 3000];
    let (ready, lacking) = routine::kernels_here();
    signals::handle(SIGSEGV, open);
    let mut halves = Halves { src: Pages::fresh(2 * PAGE_BYTES), dst: Pages::fresh(2 * PAGE_BYTES) };
    Rng::new(0x5eed_0005).fill(halves.src.as_mut_slice());
    for (pages, bounds) in [(&halves.src, &OPENED[..2]), (&halves.dst, &OPENED[2..])] {
        bounds[0].store(pages.start().expose_provenance(), Ordering::Relaxed);
        bounds[1].store(pages.start().addr() + pages.len(), Ordering::Relaxed);
    }
    for routine in with_calls(&ready) {
        let (mut cases, mut faults) = (0, 0);
        let every = LENGTHS.into_iter().flat_map(|len| (0..=len).map(move |before| (len, before)));
        let some = LONGER.into_iter().flat_map(|len| (0..=len).step_by(61).map(move |before| (len, before)));
        for (len, before) in every.chain(some) {
            // The page ends at the same byte of both, or at two that are apart.
            for before in [(before, before), (before, (before * 7 + 3) % (len + 1))] {
                let closed = [(true, false), (false, true), (true, true)][cases as usize % 3];
                let met = halves.check(routine, len, before, closed);
                let pages = |before: usize| u64::from(before > 0) + u64::from(before < len);
                let expected = u64::from(closed.0) * pages(before.0) + u64::from(closed.1) * pages(before.1);
                assert_eq!(met, expected, "{}: {len} bytes, {before:?}, {closed:?}: faults", routine.name());
                cases += 1;
                faults += met;
            }
        }
        println!("{:<24}{cases:>6} copies, {faults:>6} faults in them", routine.name());
    }
    suite::sys::end_at_next(SIGSEGV);
    routine::print_skipped(&lacking);
}

#[test]
fn pages_that_are_not_there_yet_are_copied_to_and_from() {
    const LARGEST: usize = 9 * PAGE_BYTES;
    let (ready, lacking) = routine::kernels_here();
    let memory = Memory::new(c"memcpy-select-test-faults", LARGEST);
    let (mut src, mut dst) = (memory.view(), Pages::fresh(LARGEST));
    Rng::new(0x5eed_0006).fill(src.as_mut_slice());
    let source = src.as_slice().to_vec();
    for routine in with_calls(&ready) {
        let (mut copies, mut faults) = (0, 0);
        for len in [1, 64, 65, 300, 1000, 4096, 4097, 5000, 8192 + 129, 6 * PAGE_BYTES, 8 * PAGE_BYTES - 1] {
            for (dst_at, src_at) in [(0, 0), (1, 4095), (4095, 1), (4096 - 32, 4096 - 16), (63, 4090)] {
                // The source's pages come back with their contents, the destination's as zeros.
                src.drop_pages();
                dst.drop_pages();
                let before = pages::minor_faults();
                // SAFETY: both ranges lie in their mappings; nothing else refers to them.
                unsafe { routine.copy(dst.start().wrapping_add(dst_at), src.start().wrapping_add(src_at), len) };
                let met = pages::minor_faults() - before;
                // One for each page of the destination; the system may map several of a file's at the first.
                let expected = ((dst_at + len - 1) / PAGE_BYTES - dst_at / PAGE_BYTES + 2) as u64;
                assert!(met >= expected, "{}: {met} page faults in {len} bytes", routine.name());
                let written = dst.as_slice();
                let is_right = written[dst_at..dst_at + len] == source[src_at..src_at + len]
                    && is_filled(&written[..dst_at], 0)
                    && is_filled(&written[dst_at + len..], 0);
                assert!(is_right, "{}: {len} bytes from {src_at} to {dst_at}", routine.name());
                (copies, faults) = (copies + 1, faults + met);
            }
        }
        println!("{:<24}{copies:>6} copies, {faults:>6} page faults in them", routine.name());
    }
    routine::print_skipped(&lacking);
}

#[test]
fn pages_that_another_thread_delivers_are_copied_from_and_to() {
    const LARGEST: usize = 5 * PAGE_BYTES;
    let (ready, lacking) = routine::kernels_here();
    let mut source = vec![0; LARGEST];
    Rng::new(0x5eed_0007).fill(&mut source);
    let delivered = Delivered::new(&source).and_then(|src| Ok((src, Delivered::new(&vec![0xEE; LARGEST])?)));
    let (mut src, mut dst) = match delivered {
        Ok(both) => both,
        Err(Unavailable(reason)) => return println!("skipped: userfaultfd is not permitted here: {reason}"),
    };
    for routine in with_calls(&ready) {
        let (mut copies, before) = (0, src.count() + dst.count());
        for len in [1, 65, 300, 1000, 4097, 8192 + 129, 4 * PAGE_BYTES] {
            for (dst_at, src_at) in [(0, 0), (1, 4095), (4095, 1), (4096 - 40, 4096 - 24)] {
                src.take_away();
                dst.take_away();
                // SAFETY: both ranges lie in their mappings; nothing else refers to them but who delivers the pages.
                unsafe { routine.copy(dst.start().wrapping_add(dst_at), src.start().wrapping_add(src_at), len) };
                let written = dst.as_slice();
                let is_right = written[dst_at..dst_at + len] == source[src_at..src_at + len]
                    && is_filled(&written[..dst_at], 0xEE)
                    && is_filled(&written[dst_at + len..], 0xEE);
                assert!(is_right, "{}: {len} bytes from {src_at} to {dst_at}", routine.name());
                copies += 1;
            }
        }
        let pages = src.count() + dst.count() - before;
        assert!(pages >= 2 * copies, "{}: {pages} pages in {copies} copies", routine.name());
        println!("{:<24}{copies:>6} copies, {pages:>6} pages delivered", routine.name());
    }
    routine::print_skipped(&lacking);
}
