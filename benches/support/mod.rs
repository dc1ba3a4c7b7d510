//! What all benches share: the command line, records, pinning.

#![allow(dead_code, reason = "each bench uses its part")]

pub mod harness;

use memcpy_select::measure::effort::Effort;
use memcpy_select::report::{self, say};
use std::fmt::Display;
use std::path::Path;

/// Pins this thread to the last logical CPU it may use: not the first, which serves most interrupts.
pub fn pin() -> Option<usize> {
    let core = core_affinity::get_core_ids()?.pop()?;
    core_affinity::set_for_current(core).then_some(core.id)
}

/// The effort, or the end of the program with the reason.
pub fn effort() -> Effort {
    Effort::from_environment().unwrap_or_else(|error| {
        say(format_args!("error: {error}"));
        std::process::exit(2);
    })
}

/// Prints a text, or ends the program with the reason: a run whose figures cannot be printed is of no use.
pub fn print(text: impl Display) {
    if let Err(error) = report::print(text) {
        say(format_args!("error: {error}"));
        std::process::exit(2);
    }
}

/// Makes the repository the current folder: cargo starts a bench in that of its package, and records are the repository's.
pub fn enter_repository() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = package.ancestors().find(|folder| folder.join("Cargo.lock").is_file());
    if let Some(Err(error)) = repository.map(std::env::set_current_dir) {
        say(format_args!("warning: records go below the current folder: {error}"));
    }
}
