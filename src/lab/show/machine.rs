//! What machine a run is on.

use super::format::size;
use super::text::{hanging, wrap};
use crate::lab::instruments::conditions::{Condition, State};
use crate::lab::record::Environment;

/// What machine this is and what speaks against trusting it.
pub fn machine(environment: &Environment, conditions: &[Condition]) -> String {
    let cpu = &environment.cpu;
    let cache = |bytes: Option<u64>| bytes.map_or_else(|| "?".to_owned(), |bytes| size(bytes as usize));
    let mut text = wrap(&format!("{} ({}, {})", cpu.name, cpu.microarchitecture, cpu.signature));
    text.push_str(&wrap(&format!(
        "caches of one core: L1d {}, L2 {}, L3 {}; features: {}",
        cache(cpu.l1d_bytes),
        cache(cpu.l2_bytes),
        cache(cpu.l3_bytes),
        cpu.features
    )));
    text.push_str(&wrap(&format!(
        "core {:.2} GHz while measuring, time stamps {:.2} GHz, clock steps of {} ns; {}",
        environment.clock.core_cycles_per_ns,
        environment.clock.tsc_ticks_per_ns,
        environment.clock.precision_ns,
        environment.system.libc.as_deref().unwrap_or("libc unknown"),
    )));
    text.push('\n');
    for condition in conditions.iter().filter(|condition| condition.state != State::Ok) {
        text.push_str(&hanging(24, &format!("  {condition}")));
    }
    let fine: Vec<&str> =
        conditions.iter().filter(|condition| condition.state == State::Ok).map(|condition| condition.name).collect();
    if !fine.is_empty() {
        text.push_str(&hanging(10, &format!("  {:<8}{}", State::Ok.name(), fine.join(", "))));
    }
    text
}
