//! The promise: for every length up to 1100, every destination address, every source address and all contents, each
//! kernel of ours copies every byte, touches no other, and leaves the caller's registers as the contract says. Shown by
//! running its machine code on symbols, for each length and each residue of the destination modulo 64: see
//! `symbolic/mod.rs` for why that covers the rest. Unless all cases are asked for, one in eleven of the lengths above 520, and of those
//! above 130 one in four of the residues, others at each length.

use crate::broken::{MUTANTS, Mutant};
use crate::code::Code;
use crate::suite::cases::Effort;
use crate::suite::runner::in_parallel;
use crate::symbolic::{Case, Outcome, Program};
use memcpy_select::Kernel;
use memcpy_select::cpu::Components;
use memcpy_select::kernel::{CopyFn, Overlap, Stores};
use std::sync::atomic::{AtomicU64, Ordering};

/// Beyond the length at which every kernel has come to its loop, and around several times.
const EVERY_LENGTH_UP_TO: usize = 1100;
/// The largest alignment that a kernel asks for.
const RESIDUES: u64 = 64;

fn program(entry: CopyFn, writes: Components) -> Program {
    let code = Code::reachable_from(entry as *const u8).unwrap_or_else(|error| panic!("{error}"));
    Program::new(code.range().start, writes, code.by_offset())
}

/// Lengths around so many pages.
fn around(pages: usize) -> [usize; 4] {
    let bytes = 4096 * pages;
    [bytes - 1, bytes, bytes + 65, bytes + 129]
}

fn cases(len: usize) -> impl Iterator<Item = Case> {
    (0..RESIDUES).map(move |dst_residue| Case { len, dst_residue })
}

/// Those, or by default some of them.
fn some_cases(len: usize) -> impl Iterator<Item = Case> {
    let each = if Effort::chosen() < Effort::Full && len > 130 { 4 } else { 1 };
    cases(len).skip(len % each).step_by(each)
}

/// Runs all cases of a length; the outcomes must be alike in what the caller sees.
fn check(kernel: &Kernel, program: &mut Program, len: usize, count: &AtomicU64) {
    for case in some_cases(len) {
        let Outcome { steps, changed_vectors, overlaps } =
            program.run(case).unwrap_or_else(|fault| panic!("{}, {case:?}: {fault}", kernel.name()));
        assert!(steps > 0);
        let keeps_all = kernel.restores() || kernel.writes().is_empty();
        assert!(!keeps_all || changed_vectors == 0, "{}, {case:?}: {changed_vectors:#x}", kernel.name());
        let bears = match kernel.overlap() {
            Overlap::Never => true,
            Overlap::DstBelow => overlaps.below,
            Overlap::DstAbove => overlaps.above,
        };
        assert!(bears, "{}, {case:?}: loads what may be overwritten already", kernel.name());
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn every_copy_up_to_1100_bytes_is_right_whatever_the_addresses_and_contents() {
    let assembled: Vec<&Kernel> =
        memcpy_select::kernels().iter().filter(|row| row.stores() != Stores::Unknown).collect();
    in_parallel(
        &assembled,
        || (),
        |(), kernel| {
            let (mut program, count) = (program(kernel.entry(), kernel.writes()), AtomicU64::new(0));
            // At the lengths where loops over pages begin and end.
            let pages = [1, 2, 3].into_iter().flat_map(around);
            let step = if Effort::chosen() < Effort::Full { 11 } else { 1 };
            for len in (0..=520).chain((521..=EVERY_LENGTH_UP_TO).step_by(step)).chain(pages) {
                check(kernel, &mut program, len, &count);
            }
            if !program.unvisited().is_empty() {
                // Four pages at once, and once more around.
                [4, 8].into_iter().flat_map(around).for_each(|len| check(kernel, &mut program, len, &count));
            }
            // A path that nothing came to would be one of which nothing is shown.
            assert_eq!(program.unvisited(), [""; 0], "{}", kernel.name());
            println!("{:<20}{:>8} cases, each for all addresses and contents", kernel.name(), count.into_inner());
        },
    );
}

/// The first length at which a move would be wrong, below and above; none for what bears every overlap that way.
fn first_wrong(entry: CopyFn, writes: Components) -> [Option<usize>; 2] {
    let mut program = program(entry, writes);
    let mut first = [None; 2];
    for case in (0..=320).flat_map(|len| cases(len).step_by(9)) {
        let overlaps = program.run(case).unwrap_or_else(|fault| panic!("{case:?}: {fault}")).overlaps;
        for (first, bears) in first.iter_mut().zip([overlaps.below, overlaps.above]) {
            *first = first.or((!bears).then_some(case.len));
        }
    }
    first
}

/// The check of overlaps can fail: of kernels that are right for ranges apart it tells which are not for others, and from where.
#[test]
fn moves_with_one_defect_and_plain_copies_do_not_bear_overlaps() {
    let kernel = |name| Kernel::named(name).expect("a row of the table");
    let of = |kernel: &Kernel| first_wrong(kernel.entry(), kernel.writes());
    assert_eq!(of(kernel("sse2_aligned")), [Some(193), Some(193)], "copies through twelve registers come first");
    assert_eq!(of(kernel("gpr")), [Some(33), Some(33)]);
    assert_eq!(of(kernel("rep_movsb")), [None, Some(2)], "byte by byte upwards");
    assert_eq!(of(kernel("sse2_forward")), [None, Some(130)]);
    assert_eq!(of(kernel("sse2_backward")), [Some(130), None]);
    let mutant = |name| MUTANTS.iter().find(|mutant| mutant.name == name).expect("a mutant");
    for name in ["move_stores_head_early", "move_loads_tail_late"] {
        let mutant = mutant(name);
        assert!(first_wrong(mutant.entry, mutant.writes)[0].is_some_and(|len| len > 32), "{name}");
    }
}

/// A broken kernel's first fault.
fn caught(mutant: &Mutant) -> Option<String> {
    let mut program = program(mutant.entry, mutant.writes);
    (0..=320).flat_map(cases).find_map(|case| match program.run(case) {
        Err(fault) => Some(fault.to_string()),
        Ok(outcome) if mutant.writes.is_empty() && outcome.changed_vectors != 0 => {
            Some(format!("vector registers changed: {:#b}", outcome.changed_vectors))
        }
        Ok(_) => None,
    })
}

#[test]
fn every_mutant_that_breaks_its_copy_is_caught() {
    for mutant in MUTANTS {
        let fault = caught(mutant);
        println!("  {:<28} -> {}", mutant.name, fault.as_deref().unwrap_or("passes"));
        // What a kernel leaves in use, and which parts of a register it says that it writes, are no question of contents:
        // `tests/copies/abi.rs` and `instructions.rs` ask them.
        if !["in_use_unclaimed", "upper_part_unclaimed"].contains(&mutant.name) {
            assert_eq!(fault.is_some(), mutant.caught_by.is_some(), "{}: {fault:?}", mutant.name);
        }
    }
}
