//! Paths between processes, measured: two processes that do nothing else, on logical CPUs of the reader's choice, and a
//! conductor that orders them, sleeps while they are timed, and ends them.
//!
//! The rules are those of the copies: every path is verified byte for byte before it is timed; the paths of a cell are
//! interleaved, round by round, in shuffled order; two paths run a second time under another name, and how far the two
//! differ from themselves is the noise floor. What is counted is counted by the processes themselves; where a path
//! declares a figure instead, the column says so.

mod cache;
mod cell;
mod control;
mod copies;
mod evidence;
mod failure;
mod grid;
mod model;
mod pair;
mod parts;
mod rows;
mod run;
pub mod show;
mod side;
mod summary;
mod sweep;
mod tiers;
mod trace;
mod traffic;
pub mod ways;

pub use cache::{CacheSample, CacheScope, Walked, measure_cache, walked};
pub use cell::{Cell, Contender, Placement};
pub use control::{Cost, Moved, Pattern};
pub use copies::{Added, Copies, CopyScope, measure_copies};
pub use failure::Failure;
pub use grid::{BadScope, Scope, target_cells};
pub use model::{Predicted, TOLERANCE, predictions, share_that_holds};
pub use pair::{Pair, Program};
pub use parts::{Part, PartFigure, PartRefusal, PartSample, measure_parts, part_figures};
pub use rows::{BENCH, Entry, GrowingPaths, PathGrowth, PathRecord};
pub use run::{Asked, AskedError, Paths, Step, contenders};
pub use side::{SIDE_VARIABLE, Side, serve_if_asked};
pub use summary::{Percentiles, Row, Summary};
pub use sweep::{AGAIN, Refusal, Sample, Sweep, What};
pub use tiers::{TIERS_TOLERANCE, TierCheck, tier_checks};
