//! What saving and restoring vector state costs on this CPU, apart from and together with the copies it is done for.
//!
//! In this order, so that what is judged cannot have been looked at: [costs] of the instructions, copy [curves], and the
//! fixed costs of partial spills; then the prediction is written down; then the [composites] of held-back lengths,
//! numbers of copies and states, which it is judged by. [Round trips](round_trip) show what all that does to context
//! switches and signals. What only a kernel can measure [is read](ring0) from its log. Samples are raw: differences, medians and everything else are derived on reading.

pub mod block;
pub mod composites;
pub mod costs;
pub mod curves;
mod evidence;
pub mod in_use;
pub mod prediction;
mod record;
pub mod ring0;
pub mod round_trip;
mod run;
mod runner;
pub mod sample;
pub mod show;
mod state;
pub mod timings;

pub use record::{BENCH, GrowingSections, InUse, SectionGrowth, SectionRecord};
pub use run::{Sections, Step};
pub use runner::Runner;
pub use sample::{Area, Condition, Key, Part, Sample};
pub use state::{LIVE_STATES, State, TRAINED_STATES};
