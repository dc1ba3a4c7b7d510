//! What a program copies: how often, how much, from where, how predictable, how long it takes, and whether another way to copy
//! would save anything.
//!
//! The program runs with a recorder in it, a library that stands in for `memcpy` and its family (`native/recorder`). The
//! recorder counts every call and times a few; what it writes is laid out in [`recording`](crate::recording). This folder
//! runs the program, reads the recordings, names the call sites, and makes figures of the counts.

#![allow(missing_docs, reason = "the parts of a measurement, which this file describes")]

pub mod estimate;
mod evidence;
mod record;
pub mod show;
mod totals;

mod folder;
mod gathered;
mod mappings;
mod recorded;
mod run;
mod signals;
mod symbols;
mod watch;

pub use crate::recording::Under;
pub use record::{BENCH, CallsRecord, Figure, GrowingProfile, Process, ProfileGrowth, Row, Site};
pub use run::{Calls, Choice};
pub use totals::{Arm, Kind, Totals};
pub use watch::Job;
