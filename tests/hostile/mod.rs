//! The transport's logic against an adversary in the same process, which owns the memory below it.
//!
//! [`parts`] and [`session`] call the production code in an order that [`Choices`] decide, over [`Hostile`] memory whose
//! answers they decide as well. The choices are the bytes of a fuzzer's input or a seeded generator's, so that the fuzz
//! targets and the tests run the very same code.

#![allow(dead_code, reason = "each user takes its own part")]

pub mod blocks;
pub mod choices;
pub mod memory;
pub mod neighbour;
pub mod parts;
#[path = "../suite/rng.rs"]
pub mod rng;
pub mod session;

pub use choices::Choices;
pub use memory::{Hostile, Side};

use memcpy_select::transport::Violation;
use std::ops::AddAssign;

/// What a drive did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls of the production code.
    pub calls: u64,
    /// Words that the production code read, to act on them, and that were not what an honest side had there: changed under
    /// the reader, or before and read for the first time.
    pub mutated_words: u64,
    /// The same for words that it only copied out, as payload.
    pub payload_words: u64,
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
        self.payload_words += other.payload_words;
        self.accesses += other.accesses;
        self.refused += other.refused;
        self.lasted += other.lasted;
    }
}

/// Whether a violation says that the peer broke the protocol, and how.
pub fn is_of_the_protocol(violation: Violation) -> bool {
    violation.to_string().contains("breaks the protocol")
}
