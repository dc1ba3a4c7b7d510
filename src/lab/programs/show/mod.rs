//! What is shown of programs: a table for a terminal, and the page.

#![forbid(unsafe_code)]

pub mod page;
mod tables;

pub use tables::text;
