//! The promise: what calibration decides, this CPU can follow, and copies stay exact under it.

use crate::turn::Turn;
use memcpy_select::cpu::{Cpu, features};
use memcpy_select::select::{CpuName, PlanText, Policy, calibrate, install, load, plan_for, plan_in_force};

#[test]
fn a_calibrated_plan_can_be_followed_kept_and_loaded() {
    let _turn = Turn::take();
    let calibration = calibrate();
    let (measured, all) = calibration.points;
    assert!(measured <= all && calibration.gain >= 1.0 && calibration.noise_floor >= 1.0);
    assert_eq!(calibration.before, plan_for(&Cpu::detect(), Policy::User));
    assert_eq!(calibration.plan.check(Policy::User, features()), Ok(()));
    assert!(calibration.to_string().ends_with(&calibration.plan.to_string()));

    let cpu = Cpu::detect();
    let text = PlanText { cpu: CpuName::of(&cpu.signature), policy: Policy::User, plan: calibration.plan }.to_string();
    let (policy, plan) = load(&text, &cpu).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!((policy, plan), (Policy::User, calibration.plan));

    // Nothing was put in force by any of that.
    assert_eq!(*plan_in_force(Policy::User), calibration.before);
    install(policy, Box::leak(Box::new(plan))).expect("it was checked above");
    for len in (0..2000).chain([1 << 16, 3 << 20]) {
        let src: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let mut dst = vec![0; len];
        memcpy_select::memcpy_auto(&mut dst, &src);
        assert!(dst == src, "{len} bytes");
    }
}
