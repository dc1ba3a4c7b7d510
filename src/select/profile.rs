//! Plans for CPUs that somebody has measured: the profile of this CPU, if there is one, else the formulas.

#![forbid(unsafe_code)]

use super::cpu_name::CpuName;
use super::profiles::PROFILES;
use super::text::PlanText;
use super::{Origin, Plan, Policy, formula};
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
    let profiles = PROFILES.iter().filter_map(|profile| PlanText::parse(profile.text).ok());
    let mut fitting = profiles.filter(|profile| profile.policy == policy && profile.cpu.is_same_model(&here));
    let found = fitting.find(|profile| profile.plan.check(policy, cpu.features).is_ok())?;
    Some(formula::without_collapse(&found.plan.with_origin(Origin::Profile), cpu, policy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::Features;
    use crate::select::profiles::Profile;

    #[test]
    #[cfg(memcpy_select_asm)]
    fn every_profile_is_a_plan_of_this_build() {
        for Profile { text, .. } in PROFILES {
            let profile = PlanText::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(profile.to_string(), *text);
        }
    }

    #[test]
    fn a_cpu_without_its_features_follows_the_formulas() {
        let cpu = Cpu::detect().masked(Features::SSE2);
        let plan = plan_for(&cpu, Policy::User);
        assert_eq!(plan.check(Policy::User, cpu.features), Ok(()));
    }
}
