//! What every question is measured with: clocks, buffers, statistics, the machine's conditions, how much is measured, and where
//! threads run. Nothing here knows a question.

pub mod affinity;
pub mod buffers;
pub mod clock;
pub mod conditions;
pub mod effort;
pub mod random;
pub mod round_trips;
pub mod statistics;
pub mod words;
