//! What is shown, whatever the question: text that is safe to show, the frame of the page, plots. It reads figures and never
//! measures.

#![forbid(unsafe_code)]

mod compare;
mod format;
mod machine;
mod output;
pub mod page;
mod table;
mod text;

pub use compare::{Cell, Change, Comparable, Comparison, Explained, NotComparable, Timed};
pub use format::{count, gb_per_s, printable, signed_percent, signed_time, size, time};
pub use machine::machine;
pub use output::{OutputError, outlive_file_limit, print, say};
pub use table::FigureTable;
pub use text::{hanging, indent, range, speed_up, wrap};
