//! What is shown. It reads figures and never measures.

#![forbid(unsafe_code)]

mod format;
mod terminal;

pub use format::{gb_per_s, size};
pub use terminal::{answer, kernel_table, losses, machine, placement_table, selection_table};
