//! Plans for measured CPUs: the profile of this CPU, if there is one, else the formulas.

#![forbid(unsafe_code)]

use super::cpu_name::CpuName;
use super::profiles::PROFILES;
use super::{Plan, Policy, formula};
use crate::cpu::Cpu;

/// The records that the profiles of this build were made from, as `<machine>/<date>.<n>` under `results/`.
pub fn profiled_records() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().flat_map(|profile| profile.records.iter().copied())
}

/// The plan that the calls start with on this CPU: its profile if it has one that it can follow, else what the
/// [formulas](formula) say. Pure.
///
/// Where a design has placements that no record of it has measured and at which a kernel is known to collapse, the formulas
/// correct the profile.
///
/// A profile serves every stepping of its model. A guest from which features are hidden follows the formulas: what was
/// measured with those features says nothing about it.
pub fn plan_for(cpu: &Cpu, policy: Policy) -> Plan {
    profile(cpu, policy).unwrap_or_else(|| formula::plan(cpu, policy))
}

fn profile(cpu: &Cpu, policy: Policy) -> Option<Plan> {
    let here = CpuName::of(&cpu.signature);
    let fitting = PROFILES.iter().filter(|profile| profile.policy == policy && profile.cpu.is_same_model(&here));
    let plan =
        fitting.filter_map(|profile| profile.plan.as_ref()).find(|plan| plan.check(policy, cpu.features).is_ok())?;
    Some(formula::without_collapse(plan, cpu, policy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Features;

    #[test]
    #[cfg(memcpy_select_asm)]
    fn every_profile_is_a_plan_of_this_build() {
        use crate::select::Origin;
        use crate::select::recorded::Profile;
        for Profile { cpu, policy, plan, .. } in PROFILES {
            let plan = plan.as_ref().unwrap_or_else(|| panic!("{cpu} {policy:?}: no plan of this build"));
            assert_eq!(plan.origin(), Origin::Profile);
            let all = plan.kernels().fold(Features::NONE, |all, kernel| all.union(kernel.needs()));
            assert_eq!(plan.check(*policy, all), Ok(()), "{cpu} {policy:?}");
        }
    }

    #[test]
    fn a_cpu_without_its_features_follows_the_formulas() {
        let cpu = Cpu::detect().masked(Features::SSE2);
        let plan = plan_for(&cpu, Policy::User);
        assert_eq!(plan.check(Policy::User, cpu.features), Ok(()));
    }
}
