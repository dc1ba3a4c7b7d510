//! How it is measured: the clock, the buffers, the cells of the grid, the interleaved sweep, and the statistics.
//!
//! The rules: bytes are verified before anything is timed; the candidates of a cell are interleaved in shuffled order,
//! so that drift falls on all of them; figures are medians and ratios of rounds; the installed libc runs twice under
//! two names, and how far the two differ is the noise floor, under which a difference is a tie.

pub mod buffers;
pub mod calls;
pub mod cell;
pub mod clock;
pub mod conditions;
pub mod contender;
pub mod crowd;
pub mod effort;
pub mod held_out;
pub mod ipc;
pub mod peer;
pub mod scope;
pub mod statistics;
pub mod summary;
pub mod sweep;
pub mod thread;
pub mod verify;
pub mod words;
mod workload;
#[cfg(target_arch = "x86_64")]
pub mod xsave;
