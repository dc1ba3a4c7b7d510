//! What is shown of neighbours: tables for a terminal, and the page.

#![forbid(unsafe_code)]

pub mod page;
mod tables;

pub use tables::text;
