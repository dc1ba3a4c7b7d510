//! The promise: along every path of every kernel of ours, whatever the length, only the registers that its file and the
//! table declare are written, no instruction needs more of the CPU than the table says, every load is relative to the
//! source and every store to the destination or to the kernel's own stack frame, and nothing leads out of the kernel but
//! its return. Shown from its machine code as it lies in this program, without running it.
//!
//! # How, and what that is worth
//!
//! `code` follows both ways of every branch from the entry, so every instruction that can ever run is looked at. Which
//! base an address has is found by a data flow over all paths (`code::origin`): a register's origin at an instruction is
//! what all paths that lead there agree on, and "unknown" otherwise. It ends at a fixed point and holds for every length,
//! loop count, address and content. It says what an address is relative to and not how far from it; `every_address.rs`
//! says that, for every length up to 1100.

use crate::broken::{MUTANTS, Mutant};
use crate::code::origin::{Misuse, misuses};
use crate::code::registers::{Declared, written};
use crate::code::{Code, text};
use iced_x86::{CpuidFeature, EncodingKind, Mnemonic};
use memcpy_select::Kernel;
use memcpy_select::cpu::{Components, Features};
use memcpy_select::kernel::Stores;

/// Every instruction that a kernel may consist of. A new one is looked up in the manual before it is added: it must
/// neither fault for what the kernel's callers may do, nor change state that the contract keeps.
const ALLOWED: &[Mnemonic] = {
    use Mnemonic::*;
    &[
        // To and fro
        Mov,
        Movzx,
        Movsb,
        Movsq,
        Movups,
        Movaps,
        Movdqu,
        Movdqa,
        Vmovdqu,
        Vmovdqa,
        Vmovdqu64,
        Vmovdqa64, // past the caches
        Movntdq,
        Vmovntdq,
        Prefetchnta,
        Prefetcht0,
        Sfence, // addresses and counts
        Lea,
        Add,
        Sub,
        And,
        Neg,
        Dec,
        Shr, // which way
        Cmp,
        Test,
        Ja,
        Jae,
        Jb,
        Jbe,
        Je,
        Jne,
        Js, // entry, padding, exit
        Endbr64,
        Nop,
        Vzeroupper,
        Ret,
    ]
};

fn assembled() -> impl Iterator<Item = &'static Kernel> {
    memcpy_select::kernels().iter().filter(|kernel| kernel.stores() != Stores::Unknown)
}

fn code(kernel: &Kernel) -> Code {
    Code::reachable_from(kernel.entry() as *const u8).unwrap_or_else(|error| panic!("{}: {error}", kernel.name()))
}

/// What a kernel's file says of the registers it dirties.
fn declared(kernel: &Kernel) -> Declared {
    let path = format!("{}/../../asm/{}.S", env!("CARGO_MANIFEST_DIR"), kernel.name());
    let file = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {path}: {error}"));
    Declared::parse(&file).unwrap_or_else(|line| panic!("{path}: {line}"))
}

#[test]
fn every_path_stays_inside_until_it_returns() {
    let mut ranges = Vec::new();
    for kernel in assembled() {
        let code = code(kernel);
        let range = code.range();
        let first = code.instructions().next().expect("an entry");
        assert_eq!(first.mnemonic(), Mnemonic::Endbr64, "{}: indirect calls land here", kernel.name());
        assert_eq!(range.start % 64, 0, "{}: aligned to a line", kernel.name());
        let count = code.instructions().count();
        println!("{:<20}{count:>6} instructions reachable, {:>6} bytes", kernel.name(), range.end - range.start);
        ranges.push((range.start, range.end, kernel.name()));
    }
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{} and {} share code", pair[0].2, pair[1].2);
    }
}

#[test]
fn only_allowed_instructions_are_used_and_each_is_needed() {
    let mut used = Vec::new();
    for kernel in assembled() {
        for instruction in code(kernel).instructions() {
            let mnemonic = instruction.mnemonic();
            assert!(ALLOWED.contains(&mnemonic), "{}: {}", kernel.name(), text(instruction));
            assert!(!instruction.has_lock_prefix(), "{}: {}", kernel.name(), text(instruction));
            used.push(mnemonic);
        }
    }
    for mnemonic in ALLOWED {
        assert!(used.contains(mnemonic), "{mnemonic:?} is allowed and no kernel uses it: take it off the list");
    }
}

/// What the CPU must have for an instruction, in the words of the table. `None`: every x86-64 has it.
fn needed(feature: CpuidFeature) -> Option<Features> {
    match feature {
        CpuidFeature::INTEL8086 | CpuidFeature::INTEL186 | CpuidFeature::INTEL386 | CpuidFeature::X64 => None,
        CpuidFeature::MULTIBYTENOP => None,
        // On a CPU without it the encoding is a no-operation: SDM vol. 2, ENDBR64.
        CpuidFeature::CET_IBT => None,
        CpuidFeature::SSE | CpuidFeature::SSE2 => Some(Features::SSE2),
        CpuidFeature::AVX => Some(Features::AVX),
        CpuidFeature::AVX512F => Some(Features::AVX512F),
        CpuidFeature::AVX512VL => Some(Features::AVX512VL),
        other => panic!("the table has no word for {other:?}"),
    }
}

#[test]
fn no_instruction_needs_more_than_the_table_says() {
    for kernel in assembled() {
        // A CPU with AVX-512 VL has AVX-512 F, one with that has AVX, one with AVX has SSE2.
        let implied = [
            (Features::AVX512VL, Features::AVX512F),
            (Features::AVX512F, Features::AVX),
            (Features::AVX, Features::SSE2),
        ];
        let has = implied.into_iter().fold(
            kernel.needs(),
            |has, (larger, smaller)| {
                if has.contains(larger) { has.union(smaller) } else { has }
            },
        );
        let mut needs = Features::NONE;
        for instruction in code(kernel).instructions() {
            for feature in instruction.cpuid_features().iter().filter_map(|feature| needed(*feature)) {
                assert!(has.contains(feature), "{}: {}", kernel.name(), text(instruction));
                needs = needs.union(feature);
            }
            // Legacy vector encodings among VEX ones cost a transition; VEX ones in a legacy kernel clear upper parts.
            let is_legacy_vector = instruction.encoding() == EncodingKind::Legacy
                && instruction.op_kinds().zip(0..).any(|(kind, number)| {
                    kind == iced_x86::OpKind::Register && instruction.op_register(number).is_vector_register()
                });
            assert!(!is_legacy_vector || !has.contains(Features::AVX), "{}: {}", kernel.name(), text(instruction));
        }
        assert!(needs.contains(kernel.needs()), "{} asks for more than it uses", kernel.name());
    }
}

#[test]
fn only_declared_registers_are_written() {
    for kernel in assembled() {
        let (declared, written) = (declared(kernel), written(&code(kernel)));
        let name = kernel.name();
        let undeclared: Vec<_> = written.general.difference(&declared.general).collect();
        assert!(undeclared.is_empty(), "{name} writes {undeclared:?}, which asm/{name}.S does not declare");
        // A vector register costs the caller something: a claim too many is wrong as well.
        assert_eq!(written.vectors, declared.vectors, "{name}: what asm/{name}.S declares");
        let claims = !kernel.writes().is_empty();
        assert_eq!(claims, !written.vectors.is_empty(), "{name}: what the table says");
        assert_eq!(kernel.writes().contains(Components::AVX), written.is_vex, "{name}: what the table says");
        let is_high = written.vectors.iter().any(|register| *register >= 16);
        assert_eq!(kernel.writes().contains(Components::HI16_ZMM), is_high, "{name}: what the table says");
        println!("{name:<20}general {:?}, vectors {:?}", written.general, written.vectors);
    }
}

#[test]
fn every_address_is_formed_from_its_own_range() {
    for kernel in assembled() {
        let misuses = misuses(&code(kernel));
        assert!(misuses.is_empty(), "{}: {misuses:?}", kernel.name());
    }
}

/// How the checks above see a broken kernel, if they do.
fn caught(mutant: &Mutant) -> Option<&'static str> {
    let Ok(code) = Code::reachable_from(mutant.entry as *const u8) else { return Some("path") };
    if code.instructions().any(|instruction| !ALLOWED.contains(&instruction.mnemonic())) {
        return Some("instruction");
    }
    let written = written(&code);
    let scratch = Declared::parse("State: rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11").expect("registers");
    if !written.general.is_subset(&scratch.general) || written.vectors.iter().any(|register| *register >= 16) {
        return Some("register");
    }
    if written.is_vex && !mutant.writes.contains(Components::AVX) {
        return Some("encoding");
    }
    misuses(&code).first().map(|misuse| match misuse {
        Misuse::Load { .. } => "load",
        Misuse::Store { .. } => "store",
        Misuse::Frame { .. } => "frame",
    })
}

#[test]
fn mutants_are_caught_by_what_their_code_shows() {
    let expected = [
        ("control_string", None),
        ("control_sse2", None),
        ("control_sse2_nt", Some("instruction")),
        ("control_avx", None),
        ("control_spill", None),
        ("blocks_swapped", Some("load")),
        ("load_of_destination", Some("load")),
        ("store_back_to_source", Some("store")),
        ("one_placement_of_4096", Some("instruction")),
        ("upper_part_unclaimed", Some("encoding")),
        ("register_16_dirty", Some("register")),
        ("direction_flag_set", Some("instruction")),
        ("rbx_clobbered", Some("register")),
        ("rbp_clobbered", Some("register")),
        ("r12_clobbered", Some("register")),
        ("r15_clobbered", Some("register")),
        ("stack_pointer_moved", Some("frame")),
        ("callers_stack_written", Some("frame")),
        ("mxcsr_changed", Some("instruction")),
        ("x87_control_changed", Some("instruction")),
        ("mmx_left_in_use", Some("instruction")),
    ];
    for (name, by) in expected {
        let mutant = MUTANTS.iter().find(|mutant| mutant.name == name).unwrap_or_else(|| panic!("no mutant {name}"));
        assert_eq!(caught(mutant), by, "{name}");
    }
}
