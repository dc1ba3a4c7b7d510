//! What should be copied with what on this CPU?
//!
//! What `cargo bench` runs: copies, calls as programs make them, sections and paths, measured in turns within four minutes,
//! and the answer last. Records and the page go to `results/local/`. Criterion's options are understood, as far as they
//! mean something here.

#[path = "support/mod.rs"]
mod support;

use memcpy_select::lab::{self, Options};
use memcpy_select::measure::contender::Contender;
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::ipc;
use memcpy_select::path::paths;
use memcpy_select::report::say;
use std::path::Path;
use std::process::ExitCode;
use support::harness;

/// Does what the command line asks.
pub fn main() -> ExitCode {
    // Paths are measured between two processes, which are this program once more.
    if let Some(status) = ipc::serve_if_asked(paths()) {
        return status;
    }
    let question = "What should be copied with what on this CPU?";
    harness::main("select", question, Contender::all_available, measure)
}

fn measure(effort: Effort) -> ExitCode {
    // Once this thread is pinned, it has no other CPU for the second process of a path.
    let cpus = ipc::cpus();
    let results = Path::new(harness::RESULTS).to_owned();
    let options = Options { effort, results, pinned_to: support::pin(), cpus };
    match lab::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}
