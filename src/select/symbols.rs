//! What [the symbols of programs without a C library](crate::mem) read of the plan that they follow, in machine code.

pub(crate) use super::fills::STRING_INSTEAD_OF_WORDS_FROM_BYTES as STRING_FILL_FROM_BYTES;
pub(crate) use super::in_force::SYMBOLS;
use super::knowledge::Design;
pub(crate) use super::slot::{FIRST, SHORT_MAX_BYTES};
use super::{Policy, plan_in_force};

/// Up to this length `gpr` copies before a plan is followed, as the plan of the start says.
pub(crate) const START_GPR_MAX_BYTES: usize = Design::UNKNOWN_GPR_MAX_BYTES;

/// Puts the plan for callers that must not touch vector registers into [`SYMBOLS`].
pub(crate) fn follow() {
    SYMBOLS.publish(plan_in_force(Policy::NoSimd));
}
