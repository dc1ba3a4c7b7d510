//! Everything that measures, keeps and shows, by question: what the program `memcpy-select` and the benches are made of. It
//! changes with them, and nothing of it is stable.
//!
//! | module | holds |
//! |---|---|
//! | [`question`] | the table of questions; a record of any of them is read, shown as a page and as JSON |
//! | [`experiment`] | how every question is measured: step by step, each kept before the next begins |
//! | [`evidence`] | what a record of every question can say |
//! | [`instruments`] | what every question is measured with |
//! | [`record`] | what is kept: one folder a run, one way to write, grow, resume and read it |
//! | [`show`] | what is shown: the page's frame, plots, text of a terminal |
//! | [`copies`], [`sections`], [`paths`], [`neighbours`], [`calls`], [`programs`] | a question each: its cells, how one sample is taken, its tables and answers |
//! | [`bench`] | what `cargo bench` runs: a stage of each question, and the answer |

pub mod bench;
pub mod calls;
pub mod copies;
mod error;
pub mod evidence;
pub mod experiment;
pub mod instruments;
pub mod neighbours;
pub mod paths;
pub mod programs;
pub mod question;
pub mod record;
#[cfg(target_arch = "x86_64")]
pub mod sections;
pub mod show;

pub use error::LabError;
pub use evidence::Evidence;
pub use question::{QUESTIONS, Question, page};
