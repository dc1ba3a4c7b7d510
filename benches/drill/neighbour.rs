//! What does an honest client notice of a hostile one, and what does its safety cost?
//!
//! As `memcpy-select neighbour` measures it.

mod support;

use memcpy_select::lab::experiment::{Lines, Start, grid_of, run};
use memcpy_select::lab::instruments::affinity::CpuPair;
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::neighbours::{BENCH, NeighbourRecord, Neighbours, serve_if_asked, verify};
use memcpy_select::lab::show;
use memcpy_select::lab::{Evidence, LabError};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    // This bench runs as the server and as the neighbours, too.
    if let Some(status) = serve_if_asked() {
        return status;
    }
    let question = "What does an honest client notice of a hostile one, and what does its safety cost?";
    support::main(BENCH, question, test, measure)
}

fn test() -> Result<(), LabError> {
    let count = verify(CpuPair::last_two()).map_err(LabError::Asked)?;
    Ok(show::print(format_args!("verified: {count} pairs of a neighbour and a way to wait\n"))?)
}

fn measure(effort: Effort) -> Result<(), LabError> {
    let cpus = CpuPair::last_two();
    let start = Start { effort, pinned_to: cpus.far, out: Path::new(support::RESULTS), resume: None, is_json: false };
    let growing = start.open(BENCH, start.environment()?, &grid_of(effort))?;
    let (folder, kept) = run(&mut Neighbours::new(effort, cpus), growing, &Lines::new())?;
    show::print(NeighbourRecord::of_kept(kept)?.text())?;
    support::keep_page(&folder)
}
