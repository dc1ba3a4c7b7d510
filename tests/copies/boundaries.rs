//! Promise: nothing goes wrong where a routine changes its way: around every power of two, every block of pages and
//! every limit of the plans in force, up to 64 MiB.

use crate::suite::cases::Effort;
use crate::suite::routine::{self, Call, Routine};
use crate::suite::runner;
use memcpy_select::select::{Policy, plan_in_force};

#[test]
fn every_routine_copies_around_every_boundary() {
    let (ready, lacking) = routine::kernels_here();
    let kernels = ready.iter().map(|kernel| kernel as &dyn Routine);
    let routines: Vec<&dyn Routine> = kernels.chain(Call::ALL.iter().map(|call| call as &dyn Routine)).collect();
    let plans = [Policy::User, Policy::NoSimd].map(plan_in_force);
    let limits: Vec<usize> = plans.iter().flat_map(|plan| plan.bands()).map(|band| band.up_to_bytes()).collect();
    runner::boundaries("boundaries", &routines, &limits, Effort::chosen());
    routine::print_skipped(&lacking);
}
