//! What [the symbols of a whole program](crate::interpose) read of the plan in force, in machine code.

pub(crate) use super::fills::STRING_FROM_BYTES as STRING_FILL_FROM_BYTES;
pub(crate) use super::formula::has_good_ymm;
pub(crate) use super::in_force::USER;
pub(crate) use super::moves::{BACKWARD, FORWARD};
pub(crate) use super::slot::{FIRST, SHORT_MAX_BYTES};
use super::{Policy, in_force, moves};
use crate::cpu::Cpu;

/// Decides on all that the first calls would decide on: no call has to, wherever it comes from. Goes on with this CPU.
pub(crate) fn decide<T>(then: impl FnOnce(&Cpu) -> T) -> T {
    in_force::decide(Policy::User);
    moves::decide();
    in_force::of_cpu(then)
}
