//! Where vector registers win, policy by policy, by the model.

use crate::cpu::{Components, XState};
use crate::lab::sections::curves::{PLAIN_KERNELS, VECTOR_KERNELS, fitted_lengths};
use crate::lab::sections::prediction::Model;
use crate::lab::sections::show::TOLD_STATES;
use crate::lab::sections::show::priced::{Priced, Prices, Source};
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

/// What cannot be measured from user mode. What is given counts, also beside figures from ring 0.
#[derive(Clone, Copy, Debug)]
pub struct Parameters {
    /// What entering and leaving a section costs without the registers, in core cycles; nothing is nothing.
    pub entry_cycles: Option<f64>,
    /// What a trap costs; without it, what was measured in ring 0, or a system call measured in the same run stands for it.
    pub trap_cycles: Option<f64>,
    /// How many sections there are between an entry from user mode and the return to it.
    pub sections: u32,
    /// In which share of the interrupts vector registers may be used.
    pub usable_share: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { entry_cycles: None, trap_cycles: None, sections: 4, usable_share: 0.9 }
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
    /// Whether such a term was measured in ring 0.
    #[serde(rename = "measured_in_ring0", skip_serializing_if = "std::ops::Not::not")]
    pub is_ring0: bool,
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

impl BreakEven {
    /// What stands behind the policy's name: a star where a term is modelled, or that it was measured in ring 0.
    pub(super) const fn source(&self) -> &'static str {
        match (self.is_modelled, self.is_ring0) {
            (true, _) => "*",
            (false, true) => " (ring 0)",
            (false, false) => "",
        }
    }
}

/// All of them.
pub(crate) fn break_even(model: &Model, xstate: &XState, noise_floor: f64, prices: &Prices<'_>) -> Vec<BreakEven> {
    let plain = model.curves(&PLAIN_KERNELS);
    let lengths = measured_lengths(model);
    let mut rows = Vec::new();
    for (name, live) in TOLD_STATES {
        let live = live.intersection(xstate.enabled);
        let Some(policies) = prices.policies(live) else { continue };
        let vector = model.vector_kernels(&VECTOR_KERNELS, live);
        for priced in policies {
            // The caller's own registers: no owner's upper halves are in the way, and what costs more is that XMM registers
            // are in use afterwards (kernels leave no more).
            let is_own = matches!(priced.policy, StatePolicy::User | StatePolicy::UserFromInitial);
            if is_own && live != Components::SSE {
                continue;
            }
            let state = if is_own { "own" } else { name };
            rows.extend(TOLD_COPIES.map(|copies| {
                Asked { priced, noise_floor, lengths: &lengths, copies }.row(
                    priced.policy.name(),
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
        let priced = Priced { policy: StatePolicy::User, cost: StateCost::default(), source: Source::UserMode };
        let by_hand = Asked { priced, noise_floor, lengths: &lengths, copies: 1 };
        rows.push(by_hand.row(SPILL_POLICY, name, &spilling, &plain));
    }
    rows
}

/// The lengths that every curve has a point at.
fn measured_lengths(model: &Model) -> Vec<usize> {
    let all = model.copies.values().next().map(|points| points.iter().map(|point| point.0).collect::<Vec<_>>());
    all.unwrap_or_else(|| fitted_lengths(&crate::cpu::Caches::default()))
}

struct Asked<'a> {
    priced: Priced,
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
        let Priced { policy: owner, cost, source } = self.priced;
        let wins = |share: f64| -> Wins {
            let cost = StateCost { save_cycles: cost.save_cycles * share, restore_cycles: cost.restore_cycles * share };
            contest.wins(&owner, cost, self.copies, self.noise_floor, self.lengths).collect()
        };
        let ranges = wins(1.0);
        let longest = ranges.last().map_or(0, |range| range.1);
        let copy_cycles = contest.section_copy_cycles(&StatePolicy::User, cost, longest, self.copies);
        let fewest = |len: usize| {
            // What each copy pays anew, more copies do not make cheaper.
            let is_shared = policy != SPILL_POLICY;
            let wins = || (contest.section_copy_cycles(&owner, cost, len, 1) < contest.plain_cycles(len)).then_some(1);
            (len, if is_shared { contest.break_even_copies(&owner, cost, len) } else { wins() })
        };
        BreakEven {
            policy,
            is_modelled: source == Source::Modelled,
            is_ring0: source == Source::Ring0,
            live,
            copies: self.copies,
            section_cycles: owner.section_cycles(cost),
            held_cycles: if ranges.is_empty() { 0.0 } else { owner.held_cycles(cost, copy_cycles, self.copies) },
            ranges_cheaper: wins(0.8),
            ranges_dearer: wins(1.2),
            ranges,
            fewest_copies: TOLD_LENGTHS.map(fewest).to_vec(),
        }
    }
}
