//! What is shown of what a program copies: sentences and tables for a terminal, and the page.

#![forbid(unsafe_code)]

mod buckets;
pub mod page;
mod sentences;
mod tables;
mod text;

pub use buckets::{Bucket, buckets};
pub use sentences::verdict;
pub use text::text;
