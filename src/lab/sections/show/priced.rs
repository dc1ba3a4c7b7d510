//! What the model is asked with: who owns the registers, what saving and restoring them costs, and where these figures are from.
//! What user mode cannot measure is a parameter, or was measured in ring 0.

use super::wins::Parameters;
use crate::cpu::{Components, XState};
use crate::lab::instruments::statistics::median;
use crate::lab::sections::prediction::Model;
use crate::lab::sections::ring0::Ring0;
use crate::lab::sections::round_trip::SYSTEM_CALL;
use crate::lab::sections::timings::Timings;
use crate::lab::sections::{Key, Part, SectionRecord};
use crate::xsave::{StateCost, StatePolicy};

/// Where what a section costs is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It was measured in user mode.
    UserMode,
    /// It holds a term that user mode cannot measure.
    Modelled,
    /// That term was measured in ring 0, or is part of what was.
    Ring0,
}

/// A policy, and what its sections cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Priced {
    pub policy: StatePolicy,
    pub cost: StateCost,
    pub source: Source,
}

/// All that is known of what sections cost on one CPU.
#[derive(Debug)]
pub(crate) struct Prices<'a> {
    model: &'a Model,
    xstate: &'a XState,
    parameters: &'a Parameters,
    system_call_cycles: f64,
    core_cycles_per_ns: f64,
    ring0: Option<&'a Ring0>,
}

impl<'a> Prices<'a> {
    pub(crate) fn of(
        record: &'a SectionRecord,
        model: &'a Model,
        xstate: &'a XState,
        timings: &Timings,
        parameters: &'a Parameters,
    ) -> Self {
        Self {
            model,
            xstate,
            parameters,
            system_call_cycles: median(&timings.whole_cycles(&Key::of(Part::Signal, SYSTEM_CALL))).unwrap_or(0.0),
            core_cycles_per_ns: core_cycles_per_ns(record, timings),
            ring0: record.ring0.as_ref(),
        }
    }

    /// Every policy while these components are in use; nothing where their costs were not measured.
    pub(crate) fn policies(&self, live: Components) -> Option<[Priced; 7]> {
        let Parameters { entry_cycles, trap_cycles, sections, usable_share } = *self.parameters;
        let user_mode = self.model.cost(live, self.xstate)?;
        let pair = self.in_ring0("xsaves_xrstors", live).map(|cycles| split(user_mode, cycles));
        // A handler's entry and exit are not the section's: what saving adds to them is.
        let clean = self.ring0.and_then(|ring0| ring0.cycles("interrupt/clean", self.core_cycles_per_ns));
        let in_handler = self.in_ring0("interrupt", live).zip(clean).map(|(all, clean)| (all - clean).max(0.0));
        // Its figure holds the restore that the handler does.
        let trap = self.in_ring0("nm_trap", live).zip(pair).map(|(all, pair)| (all - pair.restore_cycles).max(0.0));
        let priced = |policy: StatePolicy, cost: StateCost, is_ring0: bool| {
            let source = match (is_ring0, policy.is_modelled()) {
                (true, _) => Source::Ring0,
                (false, true) => Source::Modelled,
                (false, false) => Source::UserMode,
            };
            Priced { policy, cost, source }
        };
        let cost = pair.unwrap_or(user_mode);
        let is_entry_measured = entry_cycles.is_none();
        let entry_cycles = entry_cycles.unwrap_or(0.0);
        let is_ring0 = pair.is_some() && is_entry_measured;
        let is_trap_ring0 = trap.is_some() && trap_cycles.is_none();
        let trap_cycles = trap_cycles.or(trap).unwrap_or(self.system_call_cycles);
        let handler_cost = in_handler.map_or(cost, |cycles| split(user_mode, cycles));
        Some([
            priced(StatePolicy::User, user_mode, false),
            priced(StatePolicy::RestoreAtOnce { entry_cycles }, cost, is_ring0),
            priced(StatePolicy::RestoreAtReturn { entry_cycles, sections }, cost, is_ring0),
            priced(StatePolicy::DeadRegisters { entry_cycles }, cost, false),
            priced(StatePolicy::LazyTrap { trap_cycles }, cost, is_trap_ring0),
            priced(
                StatePolicy::Interrupt { entry_cycles, usable_share },
                handler_cost,
                in_handler.is_some() && is_entry_measured,
            ),
            priced(StatePolicy::UserFromInitial, self.beyond_initial(), false),
        ])
    }

    /// Sections that save everything and restore it at their end: what plans are made for.
    pub(crate) fn at_once(&self, live: Components) -> Option<Priced> {
        let is_at_once = |priced: &Priced| matches!(priced.policy, StatePolicy::RestoreAtOnce { .. });
        self.policies(live)?.into_iter().find(is_at_once)
    }

    /// What was measured in ring 0 of a state, in core cycles.
    fn in_ring0(&self, name: &str, live: Components) -> Option<f64> {
        self.ring0?.cycles(&format!("{name}/{}", state_name(live)), self.core_cycles_per_ns)
    }

    /// What XMM registers in use cost a switch more than registers in their initial state.
    fn beyond_initial(&self) -> StateCost {
        let at = |live| self.model.cost(live, self.xstate).unwrap_or_default();
        let (used, initial) = (at(Components::SSE), at(Components::NONE));
        StateCost {
            save_cycles: (used.save_cycles - initial.save_cycles).max(0.0),
            restore_cycles: (used.restore_cycles - initial.restore_cycles).max(0.0),
        }
    }
}

/// Core cycles a nanosecond, over the run.
pub(crate) fn core_cycles_per_ns(record: &SectionRecord, timings: &Timings) -> f64 {
    timings.cycles_per_tick().unwrap_or(0.0) * record.environment.clock.tsc_ticks_per_ns
}

/// What the kernel in ring 0 calls the state with these components in use.
fn state_name(live: Components) -> &'static str {
    if !live.intersection(Components::AVX512).is_empty() {
        "avx512"
    } else if live.contains(Components::AVX) {
        "avx"
    } else {
        "sse"
    }
}

/// So many cycles for both, saving and restoring, in the proportion that was measured apart.
fn split(apart: StateCost, both_cycles: f64) -> StateCost {
    let both_apart = apart.save_cycles + apart.restore_cycles;
    let share = if both_apart > 0.0 { apart.save_cycles / both_apart } else { 0.5 };
    StateCost { save_cycles: both_cycles * share, restore_cycles: both_cycles * (1.0 - share) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_divided_as_they_were_apart() {
        let apart = StateCost { save_cycles: 30.0, restore_cycles: 60.0 };
        let StateCost { save_cycles, restore_cycles } = split(apart, 120.0);
        assert!((save_cycles - 40.0).abs() < 1e-9 && (restore_cycles - 80.0).abs() < 1e-9);
        assert_eq!(split(StateCost::default(), 2.0), StateCost { save_cycles: 1.0, restore_cycles: 1.0 });
    }

    #[test]
    fn states_have_the_names_of_the_kernel() {
        let avx = Components::SSE.union(Components::AVX);
        let names = [Components::SSE, avx, avx.union(Components::AVX512)].map(state_name);
        assert_eq!(names, ["sse", "avx", "avx512"]);
    }
}
