//! What is shown of paths: tables for a terminal, what explains them, targets, and the page.

#![forbid(unsafe_code)]

pub mod answers;
mod explain;
pub mod json;
pub mod page;
pub mod tables;
pub mod targets;

pub use answers::{cache_table, model_table, tiers_table};
pub use explain::{AtLength, PathExplanation, nearest, pays_from_bytes};
pub use tables::{circumstances, groups, ipc_tables, is_floor, parts, path_name, paths_in_short, refusals};
