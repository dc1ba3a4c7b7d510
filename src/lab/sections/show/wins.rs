//! Where vector registers win, policy by policy, by the model.

use crate::cpu::{Components, XState};
use crate::lab::instruments::statistics::median;
use crate::lab::sections::curves::{PLAIN_KERNELS, VECTOR_KERNELS, fitted_lengths};
use crate::lab::sections::prediction::Model;
use crate::lab::sections::round_trip::SYSTEM_CALL;
use crate::lab::sections::show::TOLD_STATES;
use crate::lab::sections::timings::Timings;
use crate::lab::sections::{Key, Part};
use crate::xsave::{Contest, Curve, StateCost, StatePolicy, VectorKernel};
use serde::Serialize;

/// How many copies share a section.
pub const TOLD_COPIES: [u32; 4] = [1, 4, 16, 64];
/// The lengths that the fewest copies are told for.
const TOLD_LENGTHS: [usize; 6] = [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10];
/// The kernel that stands for partial spills.
const SPILLING: [&str; 4] = ["sse2_spill1", "sse2_spill2", "sse2_spill4", "sse2_spill8"];

/// What they are called beside the policies of the model.
const SPILL_POLICY: &str = "partial-spill";

/// What cannot be measured from user mode.
#[derive(Clone, Copy, Debug)]
pub struct Parameters {
    /// What entering and leaving a section costs without the registers, in core cycles.
    pub entry_cycles: f64,
    /// What a trap costs; without it, a system call measured in the same run stands for it.
    pub trap_cycles: Option<f64>,
    /// How many sections there are between an entry from user mode and the return to it.
    pub sections: u32,
    /// In which share of the interrupts vector registers may be used.
    pub usable_share: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { entry_cycles: 0.0, trap_cycles: None, sections: 4, usable_share: 0.9 }
    }
}

/// Ranges of lengths, in bytes, both ends included.
pub type Wins = Vec<(usize, usize)>;

/// Where vector registers win under a policy.
#[derive(Clone, Debug, Serialize)]
pub struct BreakEven {
    /// The policy's name.
    pub policy: &'static str,
    /// Whether it holds a term that was not measured.
    pub is_modelled: bool,
    /// What is in use: `everything` or `xmm`.
    pub live: &'static str,
    /// How many copies share a section.
    pub copies: u32,
    /// What a section costs beside its copies, in core cycles.
    pub section_cycles: f64,
    /// Where sections win.
    pub ranges: Wins,
    /// Where they would if they cost a fifth less.
    pub ranges_cheaper: Wins,
    /// Where they would if they cost a fifth more.
    pub ranges_dearer: Wins,
    /// For some lengths the fewest copies that must share a section; nothing where no number is enough.
    pub fewest_copies: Vec<(usize, Option<u32>)>,
    /// How long the longest winning section cannot be preempted, in core cycles.
    pub held_cycles: f64,
}

/// All of them.
pub(crate) fn break_even(
    model: &Model,
    xstate: &XState,
    noise_floor: f64,
    parameters: &Parameters,
    timings: &Timings,
) -> Vec<BreakEven> {
    let plain = model.curves(&PLAIN_KERNELS);
    let lengths = measured_lengths(model);
    let system_call = median(&timings.whole_cycles(&Key::of(Part::Signal, SYSTEM_CALL))).unwrap_or(0.0);
    let Parameters { entry_cycles, trap_cycles, sections, usable_share } = *parameters;
    let policies = [
        StatePolicy::User,
        StatePolicy::RestoreAtOnce { entry_cycles },
        StatePolicy::RestoreAtReturn { entry_cycles, sections },
        StatePolicy::DeadRegisters { entry_cycles },
        StatePolicy::LazyTrap { trap_cycles: trap_cycles.unwrap_or(system_call) },
        StatePolicy::Interrupt { entry_cycles, usable_share },
        StatePolicy::UserFromInitial,
    ];
    let mut rows = Vec::new();
    for (name, live) in TOLD_STATES {
        let live = live.intersection(xstate.enabled);
        let Some(cost) = model.cost(live, xstate) else { continue };
        let vector = model.vector_kernels(&VECTOR_KERNELS, live);
        for policy in policies {
            // The caller's own registers: no owner's upper halves are in the way, and what costs more is that XMM registers
            // are in use afterwards (kernels leave no more).
            let is_own = matches!(policy, StatePolicy::User | StatePolicy::UserFromInitial);
            if is_own && live != Components::SSE {
                continue;
            }
            let cost =
                if matches!(policy, StatePolicy::UserFromInitial) { beyond_initial(model, xstate) } else { cost };
            let state = if is_own { "own" } else { name };
            rows.extend(TOLD_COPIES.map(|copies| {
                Asked { policy, cost, noise_floor, lengths: &lengths, copies }.row(
                    policy.name(),
                    state,
                    &vector,
                    &plain,
                )
            }));
        }
        let spilling = model.vector_kernels(&SPILLING, live);
        // By hand: nothing is shared, and each copy meets the owner's upper halves anew.
        let first = model.first_cycles("sse2_spill4", live);
        let spilling: Vec<VectorKernel<'_>> =
            spilling.into_iter().map(|kernel| VectorKernel { first_cycles: first, ..kernel }).collect();
        let by_hand =
            Asked { policy: StatePolicy::User, cost: StateCost::default(), noise_floor, lengths: &lengths, copies: 1 };
        rows.push(by_hand.row(SPILL_POLICY, name, &spilling, &plain));
    }
    rows
}

/// What XMM registers in use cost a switch more than registers in their initial state.
fn beyond_initial(model: &Model, xstate: &XState) -> StateCost {
    let at = |live| model.cost(live, xstate).unwrap_or_default();
    let (used, initial) = (at(Components::SSE), at(Components::NONE));
    StateCost {
        save_cycles: (used.save_cycles - initial.save_cycles).max(0.0),
        restore_cycles: (used.restore_cycles - initial.restore_cycles).max(0.0),
    }
}

/// The lengths that every curve has a point at.
fn measured_lengths(model: &Model) -> Vec<usize> {
    let all = model.copies.values().next().map(|points| points.iter().map(|point| point.0).collect::<Vec<_>>());
    all.unwrap_or_else(|| fitted_lengths(&crate::cpu::Caches::default()))
}

struct Asked<'a> {
    policy: StatePolicy,
    cost: StateCost,
    noise_floor: f64,
    lengths: &'a [usize],
    copies: u32,
}

impl Asked<'_> {
    fn row(
        &self,
        policy: &'static str,
        live: &'static str,
        vector: &[VectorKernel<'_>],
        plain: &[Curve<'_>],
    ) -> BreakEven {
        let contest = Contest { vector, plain };
        let wins = |share: f64| -> Wins {
            let cost = StateCost {
                save_cycles: self.cost.save_cycles * share,
                restore_cycles: self.cost.restore_cycles * share,
            };
            contest.wins(&self.policy, cost, self.copies, self.noise_floor, self.lengths).collect()
        };
        let ranges = wins(1.0);
        let longest = ranges.last().map_or(0, |range| range.1);
        let copy_cycles = contest.section_copy_cycles(&StatePolicy::User, self.cost, longest, self.copies);
        let fewest = |len: usize| {
            // What each copy pays anew, more copies do not make cheaper.
            let is_shared = policy != SPILL_POLICY;
            let wins = || {
                (contest.section_copy_cycles(&self.policy, self.cost, len, 1) < contest.plain_cycles(len)).then_some(1)
            };
            (len, if is_shared { contest.break_even_copies(&self.policy, self.cost, len) } else { wins() })
        };
        BreakEven {
            policy,
            is_modelled: self.policy.is_modelled(),
            live,
            copies: self.copies,
            section_cycles: self.policy.section_cycles(self.cost),
            held_cycles: if ranges.is_empty() {
                0.0
            } else {
                self.policy.held_cycles(self.cost, copy_cycles, self.copies)
            },
            ranges_cheaper: wins(0.8),
            ranges_dearer: wins(1.2),
            ranges,
            fewest_copies: TOLD_LENGTHS.map(fewest).to_vec(),
        }
    }
}
