//! Which kernel is fastest where: copies of each length, placement and way of use, by every kernel, the installed libc and other
//! libraries.
//!
//! The rules: bytes are verified before anything is timed; the candidates of a cell are interleaved in shuffled order,
//! so that drift falls on all of them; figures are medians and ratios of rounds; the installed libc runs twice under
//! two names, and how far the two differ is the noise floor, under which a difference is a tie.

pub mod calls;
pub mod cell;
pub mod contender;
pub mod crowd;
mod evidence;
pub mod grid;
pub mod held_out;
pub mod judge;
mod listing;
pub mod peer;
pub mod plan;
pub mod profiles;
pub mod run;
pub mod samples;
pub mod scope;
pub mod show;
pub mod summary;
pub mod sweep;
pub mod thread;
pub mod verify;
mod workload;

/// The bench of `cargo bench`: its records cover the whole grid of an effort, and make profiles.
pub const BENCH: &str = "select";
/// The bench of grids of the reader's choice.
pub const SWEEP: &str = "sweep";

pub use judge::Validation;
pub use listing::{Chosen, one_of_each_cpu};
pub use plan::{is_held_back, plan, ratio_of_plans};
pub use profiles::{PROFILES_FILE, Profile, Survey};
pub use run::{Copies, Verified};
pub use samples::{CopyGrowth, CopyRecord, GrowingCopies};
pub use sweep::Pass;
