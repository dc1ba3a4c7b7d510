//! The promise: every kernel of ours, whether or not this CPU can run it, loads each byte of the source and no other,
//! stores each byte of the destination and no other, not even inside the same page, fences what it wrote past the
//! caches, and leaves the registers as the contract says. Shown by interpreting its machine code.

use crate::interpreter::{Outcome, Place, run};
use crate::suite::cases::Effort;
use crate::suite::runner::in_parallel;
use memcpy_select::cpu::Components;
use memcpy_select::kernel::Stores;
use memcpy_select::{Kernel, kernels};

/// Bases whose sum with any offset is far from other ranges; they do not alias modulo 4096.
const DST_BASE: u64 = 0x1_0000_0000;
const SRC_BASE: u64 = 0x2_0000_0800;

fn assembled() -> impl Iterator<Item = &'static Kernel> {
    kernels().iter().filter(|kernel| kernel.stores() != Stores::Unknown)
}

/// Bytes of which no block equals another one at the same distance.
fn source(len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}

fn checked(kernel: &Kernel, len: usize, dst_offset: u64, src_offset: u64) -> Outcome {
    let src = source(len);
    let place = Place { dst_address: DST_BASE + dst_offset, src_address: SRC_BASE + src_offset };
    let case = || format!("{}, {len} bytes, destination +{dst_offset}, source +{src_offset}", kernel.name());
    let outcome = run(kernel.entry() as *const u8, kernel.writes(), place, &src)
        .unwrap_or_else(|fault| panic!("{}: {fault}", case()));
    assert!(outcome.dst == src, "{}: wrong bytes", case());
    outcome
}

#[test]
fn every_length_touches_its_own_bytes_only() {
    // Of the longer ones by default one in four: symbols show each (`every_address.rs`).
    let each = if Effort::chosen() < Effort::Full { 4 } else { 1 };
    for kernel in assembled() {
        let mut cases = 0;
        for len in (0..=260).chain((261..=1100).step_by(each)) {
            // Offsets that meet every alignment of the destination within 64 lengths, and both ends of a line.
            for (dst, src) in [(0, 0), (len % 64, 0), (63, len % 61), (1, 1), (32, 16)] {
                checked(kernel, len as usize, dst, src);
                cases += 1;
            }
        }
        println!("{:<20}{cases:>8} cases interpreted", kernel.name());
    }
}

#[test]
fn every_pair_of_offsets_touches_its_own_bytes_only() {
    let effort = Effort::chosen();
    let kernels: Vec<&Kernel> = assembled().collect();
    let jobs: Vec<(&Kernel, usize)> = kernels
        .iter()
        .flat_map(|kernel| {
            // Symbols show it for all addresses (`every_address.rs`), and the processor where it can run the kernel.
            let is_few = effort < Effort::Exhaustive && (kernel.is_available() || effort < Effort::Full);
            let lengths = if is_few { vec![15, 64, 255, 513] } else { (0..=256).chain([511, 512, 513]).collect() };
            lengths.into_iter().map(|len| (*kernel, len))
        })
        .collect();
    // By default one in eight of the sources, others for each destination.
    let each = if effort < Effort::Full { 8 } else { 1 };
    in_parallel(
        &jobs,
        || (),
        |(), (kernel, len)| {
            for dst in 0..64 {
                for src in (0..64).skip((dst as usize + len) % each).step_by(each) {
                    checked(kernel, *len, dst, src);
                }
            }
        },
    );
    for kernel in kernels {
        let lengths = jobs.iter().filter(|(of, _)| *of == kernel).count();
        println!("{:<20}{:>8} cases interpreted", kernel.name(), lengths * 64 * 64 / each);
    }
}

#[test]
fn every_loop_touches_its_own_bytes_only() {
    for kernel in assembled() {
        for pages in 1..=5 {
            for beside in [0, 1, 63, 64, 65, 127, 128, 129, 200, 4095] {
                checked(kernel, 4096 * pages + beside, 7, 3);
                checked(kernel, 4096 * pages + beside, 0, 0);
            }
        }
    }
}

#[test]
fn kernels_write_the_vector_state_that_the_table_says() {
    for kernel in assembled() {
        let (mut written_vectors, mut widest_bytes, mut non_temporal) = ([false; 32], 0, 0);
        for len in (0..=1100).chain([20_000]) {
            let outcome = checked(kernel, len, 5, 0);
            written_vectors.iter_mut().zip(outcome.written_vectors).for_each(|(is, was)| *is |= was);
            widest_bytes = widest_bytes.max(outcome.widest_vector_bytes);
            non_temporal += outcome.non_temporal_stores;
        }
        let low = match widest_bytes {
            16 => Components::SSE,
            // By VEX and EVEX a register is written in its whole width.
            _ => Components::SSE.union(Components::AVX).union(Components::ZMM_HI256),
        };
        let part = |registers: &[bool], component| {
            if registers.contains(&true) { component } else { Components::NONE }
        };
        let (first, last) = written_vectors.split_at(16);
        let written = part(first, low).union(part(last, Components::HI16_ZMM));
        assert_eq!(kernel.writes(), written, "{}", kernel.name());
        assert_eq!(non_temporal > 0, kernel.stores() == Stores::NonTemporal, "{}", kernel.name());
    }
}
