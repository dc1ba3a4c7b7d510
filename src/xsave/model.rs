//! The model: what a copy costs whose vector registers have to be saved first, and from which length on that pays.
//!
//! `T(n, k) = c(n) + (A + q·save + r·restore) / k`: a copy of *n* bytes, *k* of which share one section; *A* is what
//! entering and leaving costs apart from the registers, *q* and *r* say in which share of the sections the save and the
//! restore really happen because of it. Pure arithmetic on measured figures; it needs no allocator.
//!
//! What only a kernel can do (entering a section, a trap, an interrupt) cannot be measured from user mode. Such terms
//! are parameters, and a policy [says](StatePolicy::is_modelled) that it holds one. `memcpy-select xsave --ring0` takes them
//! from a kernel that measured them.

#![forbid(unsafe_code)]

use super::Curve;

/// What saving and restoring cost, in core cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StateCost {
    /// Saving.
    pub save_cycles: f64,
    /// Restoring.
    pub restore_cycles: f64,
}

/// Who owns the vector registers, and so what using them costs a copy.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum StatePolicy {
    /// The caller: nothing has to be saved. Any user program.
    User,
    /// Another program; saved at the entry of each section, restored at its end.
    RestoreAtOnce {
        /// Entering and leaving, without the registers. Modelled, not measured.
        entry_cycles: f64,
    },
    /// Another program; saved by the first section after an entry from user mode, restored on the way back to it (Linux:
    /// `kernel_fpu_begin`, `switch_fpu_return`).
    RestoreAtReturn {
        /// Entering and leaving, without the registers. Modelled, not measured.
        entry_cycles: f64,
        /// How many sections there are between an entry and the return.
        sections: u32,
    },
    /// A program that does not need them any more, as after a system call that may change them.
    DeadRegisters {
        /// Entering and leaving. Modelled, not measured.
        entry_cycles: f64,
    },
    /// Another program; the first use traps, and so does the owner's next one (CR0.TS).
    LazyTrap {
        /// One trap. Modelled, not measured.
        trap_cycles: f64,
    },
    /// An interrupt's handler: it may use the registers only where no section was interrupted.
    Interrupt {
        /// Entering and leaving, without the registers, and asking. Modelled, not measured.
        entry_cycles: f64,
        /// In which share of the interrupts it may, 0 to 1. Otherwise it copies without them.
        usable_share: f64,
    },
    /// The caller, whose registers are in their initial state until the copy: from then on each switch of threads saves
    /// and restores more. The costs are the differences to the initial state, and *k* counts copies between switches.
    UserFromInitial,
}

impl StatePolicy {
    /// The name in records and tables.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::User => "user",
            Self::RestoreAtOnce { .. } => "restore-at-once",
            Self::RestoreAtReturn { .. } => "restore-at-return",
            Self::DeadRegisters { .. } => "dead-registers",
            Self::LazyTrap { .. } => "lazy-trap",
            Self::Interrupt { .. } => "interrupt",
            Self::UserFromInitial => "user-from-initial",
        }
    }

    /// Whether it holds a term that user mode cannot measure.
    pub const fn is_modelled(&self) -> bool {
        !matches!(self, Self::User | Self::UserFromInitial)
    }

    /// What one section costs beside its copies: *A* + *q*·save + *r*·restore.
    pub fn section_cycles(&self, cost: StateCost) -> f64 {
        let both = cost.save_cycles + cost.restore_cycles;
        match *self {
            Self::User => 0.0,
            Self::RestoreAtOnce { entry_cycles } | Self::Interrupt { entry_cycles, .. } => entry_cycles + both,
            Self::RestoreAtReturn { entry_cycles, sections } => entry_cycles + both / f64::from(sections.max(1)),
            Self::DeadRegisters { entry_cycles } => entry_cycles,
            Self::LazyTrap { trap_cycles } => 2.0 * trap_cycles + both,
            Self::UserFromInitial => both,
        }
    }

    /// How long a section of `copies` copies cannot be preempted: from before the save until after what is restored at
    /// its end. Zero in user mode.
    pub fn held_cycles(&self, cost: StateCost, copy_cycles: f64, copies: u32) -> f64 {
        let copies_cycles = copy_cycles * f64::from(copies);
        match *self {
            Self::User | Self::UserFromInitial => 0.0,
            Self::RestoreAtReturn { entry_cycles, .. } => entry_cycles + cost.save_cycles + copies_cycles,
            _ => self.section_cycles(cost) + copies_cycles,
        }
    }
}

/// A kernel that uses vector registers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VectorKernel<'a> {
    /// What a copy costs by its length.
    pub curve: Curve<'a>,
    /// What its first copy in a section costs more: legacy SSE instructions while upper halves are in use.
    pub first_cycles: f64,
}

/// Kernels that use vector registers against kernels that do not.
#[derive(Clone, Copy, Debug)]
pub struct Contest<'a> {
    /// Those that use them.
    pub vector: &'a [VectorKernel<'a>],
    /// Of each that does not.
    pub plain: &'a [Curve<'a>],
}

/// Which side is faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// With vector registers, their cost included.
    Vector,
    /// The noise floor hides the difference.
    Tie,
    /// Without.
    Plain,
}

impl Contest<'_> {
    /// The best copy without vector registers, in core cycles.
    pub fn plain_cycles(&self, len_bytes: usize) -> f64 {
        self.plain.iter().map(|curve| curve.cycles(len_bytes)).fold(f64::INFINITY, f64::min)
    }

    /// The best copy with them, of which `copies` share a section that costs `section_cycles`.
    fn vector_cycles(&self, section_cycles: f64, len_bytes: usize, copies: u32) -> f64 {
        let copies = f64::from(copies.max(1));
        let cycles = |kernel: &VectorKernel<'_>| {
            kernel.curve.cycles(len_bytes) + (section_cycles + kernel.first_cycles) / copies
        };
        self.vector.iter().map(cycles).fold(f64::INFINITY, f64::min)
    }

    /// A copy with vector registers under a policy, `copies` of which share a section.
    pub fn section_copy_cycles(&self, policy: &StatePolicy, cost: StateCost, len_bytes: usize, copies: u32) -> f64 {
        let with = self.vector_cycles(policy.section_cycles(cost), len_bytes, copies);
        match *policy {
            StatePolicy::Interrupt { usable_share, .. } => {
                let share = usable_share.clamp(0.0, 1.0);
                share * with + (1.0 - share) * self.plain_cycles(len_bytes)
            }
            _ => with,
        }
    }

    /// Which side is faster at a length, where ratios up to `noise_floor` (above 1) say nothing.
    pub fn verdict(
        &self,
        policy: &StatePolicy,
        cost: StateCost,
        len_bytes: usize,
        copies: u32,
        noise_floor: f64,
    ) -> Verdict {
        let (with, without) = (self.section_copy_cycles(policy, cost, len_bytes, copies), self.plain_cycles(len_bytes));
        verdict(with, without, noise_floor)
    }

    /// Where vector registers win, as ranges of the lengths given, which rise: each begins and ends with a length at which
    /// they do, and at none in it do they lose. There may be no range, and there may be several.
    pub fn wins<'c>(
        &'c self,
        policy: &'c StatePolicy,
        cost: StateCost,
        copies: u32,
        noise_floor: f64,
        lengths: &'c [usize],
    ) -> impl Iterator<Item = (usize, usize)> + 'c {
        let at = move |len_bytes: &usize| self.verdict(policy, cost, *len_bytes, copies, noise_floor);
        let loses = move |len_bytes: &usize| at(len_bytes) == Verdict::Plain;
        let wins = move |len_bytes: &&usize| at(len_bytes) == Verdict::Vector;
        lengths
            .chunk_by(move |a, b| loses(a) == loses(b))
            .filter_map(move |range| Some((*range.iter().find(wins)?, *range.iter().rfind(wins)?)))
    }

    /// The fewest copies of one length that a section must have to win; `None` if no number is enough.
    pub fn break_even_copies(&self, policy: &StatePolicy, cost: StateCost, len_bytes: usize) -> Option<u32> {
        let plain = self.plain_cycles(len_bytes);
        let enough = |kernel: &VectorKernel<'_>| {
            let gain = plain - kernel.curve.cycles(len_bytes);
            let copies = (policy.section_cycles(cost) + kernel.first_cycles) / gain;
            (gain > 0.0 && copies < f64::from(u32::MAX)).then(|| (copies as u32).saturating_add(1))
        };
        self.vector.iter().filter_map(enough).min()
    }
}

/// Which of two times is shorter, where ratios up to `noise_floor` (above 1) say nothing.
pub fn verdict(with_cycles: f64, without_cycles: f64, noise_floor: f64) -> Verdict {
    if with_cycles * noise_floor < without_cycles {
        Verdict::Vector
    } else if without_cycles * noise_floor < with_cycles {
        Verdict::Plain
    } else {
        Verdict::Tie
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COST: StateCost = StateCost { save_cycles: 160.0, restore_cycles: 200.0 };
    macro_rules! contest {
        ($vector:expr, $plain:expr) => {
            Contest {
                vector: &[VectorKernel { curve: Curve::new(&$vector).unwrap(), first_cycles: 0.0 }],
                plain: &[Curve::new(&$plain).unwrap()],
            }
        };
    }

    const AT_ONCE: StatePolicy = StatePolicy::RestoreAtOnce { entry_cycles: 40.0 };

    /// 8 bytes a cycle without vectors, 64 with, and 20 cycles to begin.
    fn points(per_cycle: f64) -> [(usize, f64); 2] {
        [(64, 20.0 + 64.0 / per_cycle), (1 << 20, 20.0 + (1 << 20) as f64 / per_cycle)]
    }

    fn lengths() -> Vec<usize> {
        (6..=20).map(|power| 1 << power).collect()
    }

    #[test]
    fn sections_cost_what_the_policy_says() {
        let each = [
            (StatePolicy::User, 0.0),
            (AT_ONCE, 400.0),
            (StatePolicy::RestoreAtReturn { entry_cycles: 40.0, sections: 4 }, 130.0),
            (StatePolicy::RestoreAtReturn { entry_cycles: 40.0, sections: 0 }, 400.0),
            (StatePolicy::DeadRegisters { entry_cycles: 40.0 }, 40.0),
            (StatePolicy::LazyTrap { trap_cycles: 500.0 }, 1360.0),
            (StatePolicy::Interrupt { entry_cycles: 40.0, usable_share: 0.5 }, 400.0),
            (StatePolicy::UserFromInitial, 360.0),
        ];
        for (policy, cycles) in each {
            assert_eq!(policy.section_cycles(COST), cycles, "{}", policy.name());
        }
        assert_eq!(AT_ONCE.held_cycles(COST, 10.0, 4), 440.0);
        assert_eq!(StatePolicy::RestoreAtReturn { entry_cycles: 40.0, sections: 4 }.held_cycles(COST, 10.0, 4), 240.0);
        assert_eq!(StatePolicy::User.held_cycles(COST, 10.0, 4), 0.0);
    }

    #[test]
    fn the_break_even_is_where_the_lines_cross() {
        let (plain, vector) = (points(8.0), points(64.0));
        let contest = contest!(vector, plain);
        // n/8 - n/64 = 400/k, so n = 400/k · 64/7: 3657 bytes, 914, 229, 57.
        for (copies, from) in [(1, 4096), (4, 1024), (16, 256), (64, 64)] {
            let wins: Vec<_> = contest.wins(&AT_ONCE, COST, copies, 1.0, &lengths()).collect();
            assert_eq!(wins, [(from, 1 << 20)], "{copies}");
        }
        for (len_bytes, copies) in [(64, 58), (1024, 4), (4096, 1), (1 << 20, 1)] {
            assert_eq!(contest.break_even_copies(&AT_ONCE, COST, len_bytes), Some(copies), "{len_bytes}");
        }
        let free: Vec<_> = contest.wins(&StatePolicy::User, COST, 1, 1.0, &lengths()).collect();
        assert_eq!(free, [(64, 1 << 20)]);
    }

    #[test]
    fn the_win_set_may_be_empty_or_an_interval() {
        let plain = [(64, 20.0), (4096, 300.0), (65536, 2000.0)];
        let vector = [(64, 18.0), (4096, 100.0), (65536, 2000.0)];
        let contest = contest!(vector, plain);
        assert_eq!(contest.wins(&AT_ONCE, COST, 1, 1.0, &lengths()).count(), 0);
        let wins: Vec<_> = contest.wins(&AT_ONCE, COST, 4, 1.0, &lengths()).collect();
        assert_eq!(wins, [(4096, 32768)]);
        assert_eq!(contest.break_even_copies(&AT_ONCE, COST, 65536), None);
    }

    #[test]
    fn what_the_first_copy_costs_more_is_shared_too() {
        let (plain, vector) = (points(8.0), points(64.0));
        let kernel = |first_cycles| VectorKernel { curve: Curve::new(&vector).unwrap(), first_cycles };
        let plain = [Curve::new(&plain).unwrap()];
        let at = |kernels: &[VectorKernel<'_>], copies| {
            Contest { vector: kernels, plain: &plain }.section_copy_cycles(&AT_ONCE, COST, 1024, copies)
        };
        assert_eq!(at(&[kernel(400.0)], 4), at(&[kernel(0.0)], 4) + 100.0);
        assert_eq!(at(&[kernel(400.0), kernel(0.0)], 4), at(&[kernel(0.0)], 4));
    }

    #[test]
    fn inside_the_noise_it_is_a_tie() {
        assert_eq!(verdict(100.0, 104.0, 1.05), Verdict::Tie);
        assert_eq!(verdict(104.0, 100.0, 1.05), Verdict::Tie);
        assert_eq!(verdict(100.0, 106.0, 1.05), Verdict::Vector);
        assert_eq!(verdict(106.0, 100.0, 1.05), Verdict::Plain);
    }

    #[test]
    fn an_interrupt_that_may_not_copies_without() {
        let (plain, vector) = (points(8.0), points(64.0));
        let contest = contest!(vector, plain);
        let at = |usable_share| {
            let policy = StatePolicy::Interrupt { entry_cycles: 40.0, usable_share };
            contest.section_copy_cycles(&policy, COST, 4096, 1)
        };
        assert_eq!(at(0.0), contest.plain_cycles(4096));
        assert_eq!(at(1.0), contest.section_copy_cycles(&AT_ONCE, COST, 4096, 1));
        assert!((at(0.5) - (at(0.0) + at(1.0)) / 2.0).abs() < 1e-9);
    }
}
