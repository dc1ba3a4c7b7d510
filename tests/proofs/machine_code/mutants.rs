//! Promise: the suite catches what it is for. Kernels with one defect each go through the same checks as the real ones,
//! on the processor and then under the interpreter, and each has to be caught by the check it names; kernels without a
//! defect pass all of them.

use crate::broken::{MUTANTS, Mutant};
use crate::interpreter::{Fault, Place, run};
use crate::suite::abi::{Before, Observed, Subject};
use crate::suite::arena::{Arena, region_bytes};
use crate::suite::cases::{self, Case, Effort};
use crate::suite::check::Check;
use crate::suite::pattern::{Pattern, Polarity};
use crate::suite::sys::{self, End};
use std::sync::Arc;

/// The lengths that the native checks run through.
const LENGTHS: std::ops::RangeInclusive<usize> = 0..=320;
/// The one length at which every pair of offsets is tried: the rest of the suite does so for every short length.
const EVERY_PLACEMENT_OF: usize = 251;

fn subject(mutant: &Mutant) -> Subject {
    Subject {
        name: mutant.name,
        entry: mutant.entry,
        writes: mutant.writes,
        leaves_in_use: mutant.leaves_in_use,
        ours: true,
    }
}

fn cases_of(len: usize) -> Vec<Case> {
    let effort = if len == EVERY_PLACEMENT_OF { Effort::Full } else { Effort::Sampled };
    cases::of_length(len, effort)
}

/// Runs a mutant through the contents and register checks in a forked copy of this process, which it may take down.
fn caught_natively(mutant: &Mutant) -> Option<Check> {
    let end = sys::in_child(|| {
        let pattern = Pattern::new(region_bytes(*LENGTHS.end()), Polarity::PayloadLow);
        let mut arena = Arena::new(Arc::new(pattern));
        for before in [Before::Filled, Before::Initial] {
            let observed = Observed::new(subject(mutant), before);
            for case in LENGTHS.flat_map(cases_of) {
                if let Err(failure) = observed.check(&mut arena, case) {
                    return failure.check.code();
                }
            }
        }
        0
    });
    match end {
        End::Exit(0) => None,
        End::Exit(code) => {
            let code = u8::try_from(code).expect("an exit code is a byte");
            Some(Check::from_code(code).unwrap_or_else(|| panic!("{}: the checks themselves failed", mutant.name)))
        }
        End::Signal(sys::SIGSEGV) => Some(Check::GuardPage),
        End::Signal(signal) => panic!("{}: the checks ended by signal {signal}", mutant.name),
    }
}

/// Interprets a mutant; the first rule that a case breaks. What the interpreter does not model, claims and control
/// words, it cannot see broken.
fn caught_interpreted(mutant: &Mutant) -> Option<Check> {
    let place = Place { dst_address: 0x10_0000, src_address: 0x20_0800 };
    for len in LENGTHS {
        let src: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        for (dst, src_offset) in [(0, 0), (5, 0), (0, 9)] {
            let place = Place { dst_address: place.dst_address + dst, src_address: place.src_address + src_offset };
            match run(mutant.entry as *const u8, mutant.writes, place, &src) {
                Ok(outcome) if outcome.dst == src => {}
                Ok(_) => return Some(Check::DestinationBytes),
                Err(fault) => return Some(check_of(mutant, &fault)),
            }
        }
    }
    None
}

fn check_of(mutant: &Mutant, fault: &Fault) -> Check {
    match fault {
        Fault::LoadOutsideSource { .. } => Check::LoadFootprint,
        Fault::SourceByteNotLoaded { .. } => Check::LoadCoverage,
        Fault::StoreOutsideDestination { .. } => Check::StoreFootprint,
        Fault::DestinationByteNotStored { .. } => Check::DestinationBytes,
        Fault::NonTemporalStoreUnfenced { .. } => Check::Fence,
        Fault::DirectionFlagSet => Check::DirectionFlag,
        Fault::CalleeSavedChanged { .. } => Check::CalleeSaved,
        Fault::StackChanged => Check::StackPointer,
        Fault::UpperStateDirty { .. } => Check::UpperState,
        Fault::HighRegisterWritten { .. } => Check::HighRegisters,
        Fault::MisalignedAccess { .. } | Fault::UnknownInstruction { .. } | Fault::TooManySteps => {
            panic!("{}: {fault}", mutant.name)
        }
    }
}

#[test]
fn every_mutant_is_caught_by_its_check() {
    for mutant in MUTANTS {
        let runs_here = memcpy_select::cpu::features().contains(mutant.needs);
        let natively = if runs_here { caught_natively(mutant) } else { None };
        let caught = natively.or_else(|| if mutant.is_interpreted { caught_interpreted(mutant) } else { None });
        let how = match (natively, caught, runs_here) {
            (Some(_), ..) => "on this processor",
            (None, Some(_), _) => "by interpretation",
            (None, None, true) => "on this processor, by interpretation",
            (None, None, false) => "this processor lacks what it needs",
        };
        println!("  {:<28} -> {} ({how})", mutant.name, caught.map_or("passes", Check::name));
        // Some checks need the processor; the others do without it.
        if runs_here || caught.is_some() {
            assert_eq!(caught, mutant.caught_by, "{}", mutant.name);
        }
    }
}

/// A check that no mutant needs would be one that nobody has seen fail.
#[test]
fn every_check_is_needed_by_a_mutant() {
    for check in Check::ALL {
        let is_needed = MUTANTS.iter().any(|mutant| mutant.caught_by == Some(check));
        // Who loads too little has wrong contents first; the interpreter's own tests show that it sees it.
        assert!(is_needed || check == Check::LoadCoverage, "no mutant is caught by {check:?}");
    }
}
