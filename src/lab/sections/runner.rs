//! Runs the loops of a part in shuffled order, with the core clock beside them.

use crate::lab::instruments::clock;
use crate::lab::instruments::random::SplitMix64;
use crate::lab::sections::block::Block;
use crate::lab::sections::sample::{Area, Key, Part, Sample};
use crate::xsave::{Restore, Save};

/// How many core cycles the clock of a round counts.
const CLOCK_CYCLES: u64 = 20_000;

/// Arms between two measurements of the clock: it changes within milliseconds.
const ARMS_A_CLOCK: usize = 32;

/// Turns that bring an arm's area and code into the first-level cache.
const WARMING_TURNS: u64 = 2;

/// A loop to run, and what it is.
pub(super) struct Arm<'a> {
    pub key: Key,
    pub save: Option<Save>,
    pub restore: Option<Restore>,
    /// Makes the block, and brings its memory into the condition the key says.
    pub block: Box<dyn FnMut() -> Block + 'a>,
}

/// Runs loops, and collects the samples.
#[derive(Debug)]
pub struct Runner {
    samples: Vec<Sample>,
    rounds: u32,
    shuffle: SplitMix64,
}

impl Default for Runner {
    fn default() -> Self {
        Self::new()
    }
}

impl Runner {
    /// Nothing is measured yet.
    pub fn new() -> Self {
        Self { samples: Vec::new(), rounds: 0, shuffle: SplitMix64(0x5eed) }
    }

    /// What has been measured since this was asked last.
    pub(super) fn take(&mut self) -> Vec<Sample> {
        std::mem::take(&mut self.samples)
    }

    /// That rounds up to this one are another run's.
    pub(super) fn goes_on_after(&mut self, round: u32) {
        self.rounds = self.rounds.max(round);
    }

    /// The number of the next round, which nothing else has.
    pub(super) fn next_round(&mut self) -> u32 {
        self.rounds += 1;
        self.rounds
    }

    /// Keeps a sample that was taken elsewhere.
    pub(super) fn keep(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    /// The clock of a round.
    pub(super) fn time_clock(&mut self, round: u32) {
        let start = clock::ticks();
        let cycles = clock::core_cycles(CLOCK_CYCLES);
        let ticks = clock::ticks().wrapping_sub(start);
        self.keep(Sample { key: Key::of(Part::Clock, "core_clock"), round, turns: cycles, ticks });
    }

    /// The order in which the arms of a round run.
    pub(super) fn order(&mut self, count: usize) -> Vec<usize> {
        self.shuffle.order(count)
    }

    /// Runs every arm once, in shuffled order, and keeps the timings unless this is to warm up.
    ///
    /// # Safety
    ///
    /// The blocks that the arms make keep the preconditions of [`Block::run`].
    pub(super) unsafe fn interleave(&mut self, arms: &mut [Arm<'_>], is_kept: bool) {
        let round = if is_kept { self.next_round() } else { 0 };
        for (position, at) in self.shuffle.order(arms.len()).into_iter().enumerate() {
            if is_kept && position % ARMS_A_CLOCK == 0 {
                self.time_clock(round);
            }
            let arm = &mut arms[at];
            let block = (arm.block)();
            let turns = block.turns;
            if arm.key.area == Area::Hot {
                // SAFETY: the caller's promise holds for fewer turns too.
                unsafe { Block { turns: WARMING_TURNS, ..block }.run(arm.save, arm.restore) };
            }
            // SAFETY: the caller's promise.
            let ticks = unsafe { block.run(arm.save, arm.restore) };
            if is_kept {
                self.samples.push(Sample { key: arm.key.clone(), round, turns, ticks });
            }
        }
    }
}
