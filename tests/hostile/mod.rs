//! The transport's logic against an adversary in the same process, which owns the memory below it.
//!
//! [`parts`] and [`session`] call the production code in an order that [`Choices`] decide, over [`Hostile`] memory whose
//! answers they decide as well. The choices are the bytes of a fuzzer's input or a seeded generator's, so that the fuzz
//! targets and the tests run the very same code.

#![allow(dead_code, reason = "each user takes its own part")]

pub mod choices;
pub mod memory;
pub mod neighbour;
pub mod parts;
#[path = "../suite/rng.rs"]
pub mod rng;
pub mod session;

pub use choices::Choices;
pub use memory::{Hostile, Side};

use std::ops::AddAssign;

/// What a drive did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls of the production code.
    pub calls: u64,
    /// Words that were read otherwise than they stood there, or changed under the reader.
    pub mutated_words: u64,
    /// Accesses to memory, each of them checked.
    pub accesses: u64,
    /// Sessions, rings, lists or chains that were refused with a typed error.
    pub refused: u64,
    /// Those that went on to the end.
    pub lasted: u64,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.mutated_words += other.mutated_words;
        self.accesses += other.accesses;
        self.refused += other.refused;
        self.lasted += other.lasted;
    }
}
