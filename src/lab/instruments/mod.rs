//! What every question is measured with: clocks, buffers, statistics, the machine's conditions, how much is measured, where threads
//! run, and which library is put in front of a program. Nothing here knows a question.

pub mod affinity;
pub mod buffers;
pub mod clock;
pub mod conditions;
pub mod effort;
pub mod executable;
pub mod preload;
pub mod random;
pub mod round_trips;
pub mod statistics;
pub mod words;
