//! What [the symbols of programs without a C library](crate::mem) read of the plan that they follow, in machine code.

pub(crate) use super::fills::STRING_INSTEAD_OF_WORDS_FROM_BYTES as STRING_FILL_FROM_BYTES;
pub(crate) use super::in_force::SYMBOLS;
use super::knowledge::Design;
pub(crate) use super::slot::{FIRST, SHORT_MAX_BYTES};
use super::{Policy, in_force, plan_in_force};
use crate::kernel::{Kernel, Overlap};

/// Up to this length `gpr` copies before a plan is followed, as the plan of the start says.
pub(crate) const START_GPR_MAX_BYTES: usize = Design::UNKNOWN_GPR_MAX_BYTES;

/// Puts the plan for callers that must not touch vector registers into [`SYMBOLS`]; the plan of the start where that one names a
/// kernel that copies downward, by which `memmove` cannot go.
pub(crate) fn follow() {
    let plan = plan_in_force(Policy::NoSimd);
    let goes_upward = |kernel: &Kernel| kernel.overlap() != Overlap::DstAbove;
    SYMBOLS.publish(if plan.kernels().all(goes_upward) { plan } else { &in_force::NO_SIMD_START });
}
