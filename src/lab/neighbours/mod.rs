//! What an honest client notices of its neighbours, and what its safety costs.
//!
//! A server and an honest client, a process each, and beside them one neighbour after the other: none that does anything, an
//! honest one that is as busy as can be, a process that has nothing to do with the server and uses all time it gets, and
//! every kind of hostile one. The honest client checks what it reads, and times each request.
//!
//! The server has a logical CPU of its own, and the neighbour shares the client's. Where there are only two it must share
//! one of them, and any process that uses a CPU costs the others on it. So beside each hostile neighbour, by turns with it, is a
//! stranger that makes the same calls as often elsewhere: what the *server* lets the hostile one do to others is what
//! it costs beyond that stranger.

#![allow(missing_docs, reason = "the parts of a measurement, which this file describes")]

mod acts;
pub mod enemy;
mod evidence;
mod newcomers;
mod place;
mod program;
mod record;
mod roles;
mod run;
mod safety;
pub mod show;

pub use newcomers::Newcomer;
pub use program::Program;
pub use record::{BENCH, GrowingNeighbours, NeighbourGrowth, NeighbourRecord, Sample, Verdict};
pub use roles::{MODES, NEIGHBOURS, Nature, Neighbour, names, serve_if_asked};
pub use run::{Neighbours, verify};
pub use safety::Price;

use std::time::{Duration, Instant};

/// Long enough for any machine, for what is to come.
pub const LONG: Duration = Duration::from_secs(30);

/// Waits for something that must come.
///
/// # Panics
///
/// If it does not come in [`LONG`].
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "not in time: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}
