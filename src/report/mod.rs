//! What is shown. It reads figures and never measures.

#![forbid(unsafe_code)]

mod answer;
mod compare;
mod explain;
mod format;
mod ipc;
mod ipc_answers;
mod ipc_explain;
mod output;
mod page;
pub mod targets;
mod terminal;
mod validate;
#[cfg(target_arch = "x86_64")]
pub mod xsave;

pub use answer::{Answer, answer, calls_table, held_back_speed, paths_in_short, thread_table, use_this_plan};
pub use compare::{Change, Comparison, NotComparable};
pub use explain::{Explanation, Measured};
pub use format::{count, gb_per_s, printable, size};
pub use ipc::{circumstances, groups, ipc_tables, is_floor, parts, path_name, refusals, time};
pub use ipc_answers::{cache_table, model_table, tiers_table};
pub use ipc_explain::{AtLength, IpcExplanation, nearest, pays_from_bytes};
pub use output::{OutputError, outlive_file_limit, print, say};
pub use page::{PAGE_GENERATOR, ipc_page, page, plot};
pub use terminal::{hanging, kernel_table, losses, machine, placement_table, selection_table};
pub use validate::{validation_markdown, validation_text};
