//! The promise, for kernels that may end at a fault: along every path each access to memory has an entry in the
//! exception table, and nothing else has; user pages are open at every access and closed at every return, whichever
//! instructions fault. And without a fault they copy as any kernel does, at every address.

use crate::code::{Code, successors, text};
use crate::interpreter::{self, Place};
use crate::suite::runner::in_parallel;
use crate::symbolic::{Case, Program};
use iced_x86::{Instruction, Mnemonic, OpKind};
use memcpy_select::cpu::Components;
use memcpy_select::fallible::{FallibleKernel, fixup, kernels};
use std::collections::{BTreeMap, BTreeSet};

/// Every instruction that may run: from the entry, and from where a fault leads.
fn instructions(kernel: &FallibleKernel) -> BTreeMap<u64, Instruction> {
    let mut all = BTreeMap::new();
    let mut pending = vec![kernel.entry() as *const u8];
    while let Some(from) = pending.pop() {
        let code = Code::reachable_from(from).unwrap_or_else(|error| panic!("{}: {error}", kernel.name()));
        for instruction in code.instructions() {
            if all.insert(instruction.ip(), *instruction).is_none() {
                pending.extend(fixup(instruction.ip() as usize).map(|go_on| go_on as *const u8));
            }
        }
    }
    all
}

fn is_access(instruction: &Instruction) -> bool {
    let is_addressing = instruction.mnemonic() == Mnemonic::Lea || instruction.mnemonic() == Mnemonic::Nop;
    let has_memory =
        instruction.op_kinds().any(|kind| matches!(kind, OpKind::Memory | OpKind::MemorySegRSI | OpKind::MemoryESRDI));
    has_memory && !is_addressing
}

#[test]
fn every_access_has_an_entry_and_nothing_else() {
    for kernel in kernels() {
        let (mut accesses, all) = (0, instructions(kernel));
        for instruction in all.values() {
            let has_entry = fixup(instruction.ip() as usize).is_some();
            let may_not =
                matches!(instruction.mnemonic(), Mnemonic::Ret | Mnemonic::Stac | Mnemonic::Clac | Mnemonic::Endbr64);
            assert!(has_entry || !is_access(instruction), "{}: {} has none", kernel.name(), text(instruction));
            assert!(!has_entry || !may_not, "{}: {} has one", kernel.name(), text(instruction));
            accesses += usize::from(is_access(instruction));
        }
        let bytes = all.values().map(Instruction::len).sum::<usize>();
        println!("{:<26}{:>4} instructions, {accesses:>3} accesses, {bytes:>4} bytes", kernel.name(), all.len());
        assert!(accesses > 0);
    }
}

/// All paths, with each access faulting or not.
#[test]
fn user_pages_are_open_at_every_access_and_closed_at_every_return() {
    for kernel in kernels() {
        let all = instructions(kernel);
        let mut seen = BTreeSet::new();
        let mut pending = vec![(kernel.entry() as usize as u64, false)];
        let mut returns = 0;
        while let Some((ip, is_open)) = pending.pop() {
            if !seen.insert((ip, is_open)) {
                continue;
            }
            let instruction = &all[&ip];
            let at = || format!("{}: {}", kernel.name(), text(instruction));
            let is_open_after = match instruction.mnemonic() {
                Mnemonic::Stac => true,
                Mnemonic::Clac => false,
                _ => is_open,
            };
            assert!(!is_access(instruction) || is_open == kernel.is_for_smap(), "{}", at());
            if instruction.mnemonic() == Mnemonic::Ret {
                assert!(!is_open, "{}", at());
                returns += 1;
            }
            let next = successors(instruction).unwrap_or_else(|error| panic!("{error}"));
            pending.extend(next.into_iter().map(|next| (next, is_open_after)));
            pending.extend(fixup(ip as usize).map(|go_on| (go_on as u64, is_open)));
        }
        assert!(returns > 1, "{}: with a fault and without", kernel.name());
    }
}

fn of_user_mode() -> Vec<&'static FallibleKernel> {
    kernels().iter().filter(|kernel| !kernel.is_for_smap()).collect()
}

#[test]
fn without_a_fault_they_touch_their_own_bytes_only() {
    for kernel in of_user_mode() {
        for len in (0..=1100).chain([4095, 4096, 4097, 8192 + 129]) {
            for (dst, src) in [(0, 0), (len % 64, 0), (63, len % 61), (1, 1), (32, 16)] {
                let place = Place { dst_address: 0x1_0000_0000 + dst, src_address: 0x2_0000_0800 + src };
                let bytes: Vec<u8> = (0..len).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect();
                let case = || format!("{}, {len} bytes, +{dst}, +{src}", kernel.name());
                let outcome = interpreter::run(kernel.entry() as *const u8, Components::NONE, place, &bytes);
                let outcome = outcome.unwrap_or_else(|fault| panic!("{}: {fault}", case()));
                assert!(outcome.dst == bytes && !outcome.written_vectors.contains(&true), "{}", case());
            }
        }
    }
}

#[test]
fn without_a_fault_they_are_right_whatever_the_addresses_and_contents() {
    in_parallel(
        &of_user_mode(),
        || (),
        |(), kernel| {
            let code = Code::reachable_from(kernel.entry() as *const u8).unwrap_or_else(|error| panic!("{error}"));
            let mut program = Program::new(code.range().start, Components::NONE, code.by_offset());
            for len in (0..=1100).chain([4095, 4096, 4096 + 65]) {
                for dst_residue in 0..64 {
                    let case = Case { len, dst_residue };
                    let outcome =
                        program.run(case).unwrap_or_else(|fault| panic!("{}, {case:?}: {fault}", kernel.name()));
                    assert_eq!(outcome.changed_vectors, 0, "{}, {case:?}", kernel.name());
                }
            }
            assert_eq!(program.unvisited(), [""; 0], "{}", kernel.name());
        },
    );
}
