//! Runs the loops of a part in rounds of shuffled order, with the core clock beside each round.

use super::block::Block;
use super::sample::{Area, Key, Part, Sample};
use crate::measure::calls::SplitMix64;
use crate::measure::clock;
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

/// Collects the samples of a run.
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

    /// What has been measured.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
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
    pub(super) fn shuffled(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.shuffle.below(last as u64 + 1) as usize);
        }
        order
    }

    /// Runs every arm once a round, and keeps all but the first round, which warms up.
    ///
    /// # Safety
    ///
    /// The blocks that the arms make keep the preconditions of [`Block::run`].
    pub(super) unsafe fn interleave(&mut self, arms: &mut [Arm<'_>], rounds: u32) {
        for turn in 0..=rounds {
            let round = self.next_round();
            for (position, at) in self.shuffled(arms.len()).into_iter().enumerate() {
                if turn > 0 && position % ARMS_A_CLOCK == 0 {
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
                if turn > 0 {
                    self.samples.push(Sample { key: arm.key.clone(), round, turns, ticks });
                }
            }
        }
    }
}
