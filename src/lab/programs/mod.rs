//! Where does a better copy move a whole program?
//!
//! Programs as the distribution installs them do their usual work, a fresh process each time: with the installed libc, with the
//! same tuned by its own settings, with the drop-in library before it, and with the installed libc again, for the noise floor.
//! Whatever a program makes is compared between them. Each round runs the four right after each other, in shuffled order, so
//! that ratios within a round do not see how fast the machine was at that time. A better copy makes a program faster by less than
//! the share of its time in which it copies, which is why most are moved little; programs that are slower are shown, too.

mod arms;
mod evidence;
mod record;
mod run;
mod sample;
mod scope;
pub mod show;
mod stage;
mod summary;
mod text;
mod workloads;

pub use arms::{Arm, TUNABLES};
pub use record::{BENCH, Copying, GrowingPrograms, Installed, ProgramGrowth, ProgramRecord};
pub use run::{Programs, Step};
pub use sample::Sample;
pub use scope::{Scope, ScopeError, workloads};
pub use stage::{Beside, Spent, Stage};
pub use summary::{Measured, Ratio, Verdict};
pub use workloads::{PATH, Server, WORKLOADS, Workload};
