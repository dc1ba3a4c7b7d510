//! What should be copied with what on this CPU?
//!
//! What `cargo bench` runs: copies, calls as programs make them, sections and paths, measured in turns within four minutes,
//! and the answer last. Records and the page go to `results/local/`. Criterion's options are understood, as far as they
//! mean something here.

#[path = "support/mod.rs"]
mod support;

use memcpy_select::lab::LabError;
use memcpy_select::lab::bench::{Options, run};
use memcpy_select::lab::copies::contender::Contender;
use memcpy_select::lab::instruments::affinity::{CpuPair, pin};
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::paths::serve_if_asked;
use memcpy_select::lab::paths::ways::paths;
use std::process::ExitCode;

/// Does what the command line asks.
pub fn main() -> ExitCode {
    // Paths are measured between two processes, which are this program once more.
    if let Some(status) = serve_if_asked(paths()) {
        return status;
    }
    let question = "What should be copied with what on this CPU?";
    support::main("select", question, || support::verify(Contender::all_available()), measure)
}

fn measure(effort: Effort) -> Result<(), LabError> {
    // Once this thread is pinned, it has no other CPU for the second process of a path.
    let cpus = CpuPair::last_two();
    run(&Options { effort, results: support::RESULTS.into(), pinned_to: pin(), cpus })
}
