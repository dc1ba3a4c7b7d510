//! What is shown of copies: tables for a terminal, the answer, an explanation, a comparison, and the page.

#![forbid(unsafe_code)]

mod answer;
mod explain;
pub mod page;
mod terminal;
mod validate;

pub use answer::{Answer, answer, calls_table, held_back_speed, thread_table, use_this_plan};
pub use explain::{Explanation, Measured};
pub use terminal::{kernel_table, losses, placement_table, selection_table};
pub use validate::{validation_markdown, validation_text};
