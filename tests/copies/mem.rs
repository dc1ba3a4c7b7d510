//! Promise: the symbols for programs without a C library copy, fill and compare exactly, before they follow a plan and after it,
//! whatever the plan, and return what C says. In this program they are not linked as symbols: the C library's are.
//! (Moves by every distance, fills, and the calling convention: `overlap`, `fills`, `abi`.)

use crate::suite::cases::{EVERY_LENGTH_UP_TO, Effort};
use crate::suite::fault;
use crate::suite::forever::forever;
use crate::suite::guarded::Guarded;
use crate::suite::rng::Rng;
use crate::suite::routine::Routine;
use crate::suite::runner;
use memcpy_select::mem::{bcmp, follow_plan, memcmp, memcpy, memmove, memset};
use memcpy_select::select::{Band, Plan, Policy, install, uninstall};
use std::cmp::Ordering;

/// A symbol that copies.
struct Symbol(&'static str, unsafe extern "C" fn(*mut u8, *const u8, usize) -> *mut u8);

impl Routine for Symbol {
    fn name(&self) -> &'static str {
        self.0
    }

    unsafe fn copy(&self, dst: *mut u8, src: *const u8, len: usize) {
        // SAFETY: the caller's promise is the function's precondition.
        let returned = unsafe { (self.1)(dst, src, len) };
        assert_eq!(returned, dst, "{} returns its destination", self.0);
    }
}

const SYMBOLS: [Symbol; 2] = [Symbol("memcpy", memcpy), Symbol("memmove", memmove)];

/// The state is the process's: one test goes through all of them. Others may run meanwhile, and hold in each.
#[test]
fn every_length_is_copied_before_a_plan_is_followed_and_after_it() {
    let routines = SYMBOLS.each_ref().map(|symbol| symbol as &dyn Routine);
    let check = |title: &str, effort| {
        runner::every_length(title, &routines, effort);
        runner::around(title, &routines, &[2048, 4096, 16 << 10, 64 << 10], effort);
    };
    check("symbols at the start", Effort::chosen());
    follow_plan();
    check("symbols by the plan for this CPU", Effort::Sampled);
    let kernels = memcpy_select::kernels().iter().filter(|kernel| kernel.writes().is_empty());
    for kernel in kernels {
        let plan = Plan::new(&[Band::new(usize::MAX, kernel)]).expect("one band covers every length");
        install(Policy::NoSimd, forever(plan)).expect("the kernel writes no vector register");
        follow_plan();
        check(&format!("symbols by {}", kernel.name()), Effort::Sampled);
    }
    uninstall(Policy::NoSimd);
    follow_plan();
}

/// Compilers call `memcpy` for assignments of a value to itself.
#[test]
fn a_range_may_be_copied_to_itself() {
    let mut memory = vec![0; 20_000];
    Rng::new(0x5eed_0019).fill(&mut memory);
    let before = memory.clone();
    for len in (0..=EVERY_LENGTH_UP_TO).chain([4096, 20_000]) {
        // SAFETY: the range is valid for both, and the same.
        unsafe { memcpy(memory.as_mut_ptr(), memory.as_ptr(), len) };
        assert!(memory == before, "{len} bytes");
    }
}

#[test]
fn a_fill_returns_its_destination() {
    let mut memory = [0_u8; 2000];
    for len in [0, 1, 4, 8, 16, 32, 33, 799, 800, 2000] {
        // SAFETY: the range is valid for writes.
        let returned = unsafe { memset(memory.as_mut_ptr(), 0x1ab, len) };
        assert_eq!(returned, memory.as_mut_ptr());
        assert!(memory[..len].iter().all(|byte| *byte == 0xab), "{len} bytes: the low byte of the number");
    }
}

/// Compares two ranges by both symbols, of which the second may return anything but 0 where they differ.
fn compared(left: &[u8], right: &[u8]) -> Ordering {
    assert_eq!(left.len(), right.len());
    // SAFETY: both ranges are valid for reads.
    let order = unsafe { memcmp(left.as_ptr(), right.as_ptr(), left.len()) };
    // SAFETY: as above.
    let differ = unsafe { bcmp(left.as_ptr(), right.as_ptr(), left.len()) } != 0;
    assert_eq!(differ, order != 0, "{} bytes: memcmp and bcmp", left.len());
    order.cmp(&0)
}

/// One pair of equal ranges between guard pages: each at the low or at the high end of its memory, so far from it.
struct Pair {
    memory: [Guarded; 2],
    len: usize,
    at: [usize; 2],
}

impl Pair {
    fn ranges(&self) -> [&[u8]; 2] {
        [0, 1].map(|side| &self.memory[side].as_slice()[self.at[side]..][..self.len])
    }

    /// Changes the first range at a position, and some of what follows it so that the other way round would be believed.
    fn check_difference(&mut self, position: usize, byte: u8) {
        let at = self.at[0] + position;
        let [first, second] = &mut self.memory;
        let (first, second) = (&mut first.as_mut_slice()[at..], &second.as_slice()[self.at[1] + position..]);
        let expected = byte.cmp(&second[0]);
        let last = self.len - position - 1;
        first[0] = byte;
        let restored = [last, last.min(1), last.min(7)].map(|after| (after, second[after]));
        restored.iter().filter(|(after, _)| *after > 0).for_each(|(after, _)| {
            first[*after] = if expected == Ordering::Greater { 0 } else { 0xff };
        });
        let [left, right] = self.ranges();
        let case = || format!("{} bytes at {:?}: byte {position} is {byte}", self.len, self.at);
        assert_eq!(compared(left, right), expected, "{}", case());
        assert_eq!(compared(right, left), expected.reverse(), "{}, the other way round", case());
        let unchanged = restored.map(|(after, byte)| (position + after, byte));
        let second = self.memory[1].as_slice()[self.at[1] + position];
        let first = &mut self.memory[0].as_mut_slice()[self.at[0]..];
        first[position] = second;
        unchanged.into_iter().for_each(|(at, byte)| first[at] = byte);
    }
}

#[test]
fn ranges_are_compared_at_every_length_and_difference() {
    fault::report();
    let sampled = Effort::chosen() == Effort::Sampled;
    let mut rng = Rng::new(0x5eed_0020);
    let mut contents = vec![0; EVERY_LENGTH_UP_TO];
    rng.fill(&mut contents);
    // No byte that could be neither smaller nor larger.
    contents.iter_mut().for_each(|byte| *byte = (*byte).clamp(2, 0xfd));
    let mut pair = Pair { memory: [0, 1].map(|_| Guarded::new(2 * EVERY_LENGTH_UP_TO)), len: 0, at: [0; 2] };
    let mut cases = 0;
    for len in (0..=EVERY_LENGTH_UP_TO).step_by(if sampled { 7 } else { 1 }) {
        let alignments = if len <= 80 && !sampled { 16 } else { 2 };
        for number in 0..4 * alignments {
            let (sides, shift) = (number % 4, number / 4);
            let offsets = if alignments == 16 { [shift, 0] } else { [rng.below(64) * shift, rng.below(64) * shift] };
            let size = pair.memory[0].len();
            pair.len = len;
            pair.at =
                [0, 1].map(|side| if sides >> side & 1 == 0 { offsets[side] } else { size - len - offsets[side] });
            for side in 0..2 {
                pair.memory[side].as_mut_slice()[pair.at[side]..][..len].copy_from_slice(&contents[..len]);
            }
            let [left, right] = pair.ranges();
            assert_eq!(compared(left, right), Ordering::Equal, "{len} bytes at {:?}", pair.at);
            // At every position in short ranges; in long ones at both ends and somewhere between them.
            let positions: Vec<usize> = match len {
                0 => Vec::new(),
                1..=80 => (0..len).collect(),
                _ => (0..3).chain(len - 3..len).chain((0..8).map(|_| rng.below(len))).collect(),
            };
            for position in positions {
                let byte = contents[position];
                for differing in [0, byte - 1, byte + 1, byte ^ 0x80, 0xff] {
                    pair.check_difference(position, differing);
                    cases += 1;
                }
            }
        }
    }
    println!("{cases} differences, each both ways");
}
