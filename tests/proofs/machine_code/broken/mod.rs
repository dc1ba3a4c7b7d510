//! Kernels with one defect each, and the check that has to catch it.

use crate::suite::check::Check;
use core::arch::global_asm;
use memcpy_select::cpu::{Components, Features};
use memcpy_select::kernel::CopyFn;

/// A broken kernel; or a right one, which nothing may catch.
pub struct Mutant {
    pub name: &'static str,
    pub entry: CopyFn,
    pub needs: Features,
    /// What it claims to write; it leaves no more in use than it claims.
    pub writes: Components,
    pub leaves_in_use: Components,
    pub caught_by: Option<Check>,
    /// Whether it consists of instructions that the interpreter knows.
    pub is_interpreted: bool,
}

const YMM: Components = Components::SSE.union(Components::AVX).union(Components::ZMM_HI256);

/// A row for the code of that name below. What is not said: it needs SSE2 and claims the XMM registers.
macro_rules! mutant {
    ($name:ident, $caught_by:expr $(, $field:ident: $value:expr)*) => {
        Mutant {
            $($field: $value,)*
            ..Mutant {
                name: stringify!($name),
                entry: {
                    unsafe extern "sysv64" {
                        #[link_name = concat!("memcpy_select_mutant_", stringify!($name))]
                        fn entry(dst: *mut u8, src: *const u8, len: usize);
                    }
                    entry
                },
                needs: Features::SSE2,
                writes: Components::SSE,
                leaves_in_use: Components::SSE,
                caught_by: $caught_by,
                is_interpreted: true,
            }
        }
    };
}

pub static MUTANTS: &[Mutant] = &[
    mutant!(control_string, None, writes: Components::NONE, leaves_in_use: Components::NONE),
    mutant!(control_sse2, None),
    mutant!(control_sse2_nt, None),
    mutant!(control_avx, None, needs: Features::AVX, writes: YMM),
    // Right for ranges apart, wrong where they overlap: `every_address.rs`.
    mutant!(move_stores_head_early, None, writes: Components::NONE, leaves_in_use: Components::NONE),
    mutant!(move_loads_tail_late, None, writes: Components::NONE, leaves_in_use: Components::NONE),
    mutant!(tail_too_short, Some(Check::DestinationBytes)),
    mutant!(tail_at_fixed_place, Some(Check::DestinationBytes)),
    mutant!(blocks_swapped, Some(Check::DestinationBytes)),
    mutant!(block_shifted, Some(Check::DestinationBytes)),
    mutant!(one_placement_of_4096, Some(Check::DestinationBytes)),
    mutant!(store_beyond, Some(Check::BytesAfter)),
    mutant!(store_before, Some(Check::BytesBefore)),
    mutant!(store_to_source, Some(Check::SourceUnchanged)),
    mutant!(load_beyond, Some(Check::GuardPage)),
    mutant!(load_before, Some(Check::GuardPage)),
    mutant!(load_beyond_in_page, Some(Check::LoadFootprint)),
    mutant!(load_before_in_page, Some(Check::LoadFootprint)),
    mutant!(load_of_destination, Some(Check::LoadFootprint)),
    mutant!(store_back_beyond, Some(Check::LoadFootprint)),
    mutant!(store_back_to_source, Some(Check::StoreFootprint)),
    mutant!(fence_missing, Some(Check::Fence)),
    mutant!(fence_too_early, Some(Check::Fence)),
    mutant!(vzeroupper_missing, Some(Check::UpperState), needs: Features::AVX, writes: YMM),
    mutant!(vector_register_unclaimed, Some(Check::VectorClaim), writes: Components::NONE, leaves_in_use: Components::NONE),
    mutant!(upper_part_unclaimed, Some(Check::VectorClaim), needs: Features::AVX),
    mutant!(control_spill, None, writes: Components::NONE),
    mutant!(spill_forgets_one, Some(Check::VectorClaim), writes: Components::NONE),
    mutant!(spill_by_vex, Some(Check::VectorClaim), needs: Features::AVX, writes: Components::NONE),
    mutant!(in_use_unclaimed, Some(Check::InUse), leaves_in_use: Components::NONE),
    mutant!(register_16_dirty, Some(Check::HighRegisters), needs: Features::AVX512F, writes: YMM),
    mutant!(direction_flag_set, Some(Check::DirectionFlag)),
    mutant!(rbx_clobbered, Some(Check::CalleeSaved)),
    mutant!(rbp_clobbered, Some(Check::CalleeSaved)),
    mutant!(r12_clobbered, Some(Check::CalleeSaved)),
    mutant!(r13_clobbered, Some(Check::CalleeSaved)),
    mutant!(r14_clobbered, Some(Check::CalleeSaved)),
    mutant!(r15_clobbered, Some(Check::CalleeSaved)),
    mutant!(stack_pointer_moved, Some(Check::StackPointer)),
    mutant!(callers_stack_written, Some(Check::CallersStack)),
    mutant!(mxcsr_changed, Some(Check::Mxcsr), is_interpreted: false),
    mutant!(x87_control_changed, Some(Check::X87Control), is_interpreted: false),
    mutant!(mmx_left_in_use, Some(Check::X87Tags), is_interpreted: false),
];

// Their code.
global_asm!(include_str!("kernels.S"));
