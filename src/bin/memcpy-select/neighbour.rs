//! `neighbour`: what an honest client notices of its neighbours, and what its safety costs.

use crate::measuring::Measuring;
use clap::Args;
use memcpy_select::lab::experiment::{Lines, grid_of, run};
use memcpy_select::lab::instruments::affinity::CpuPair;
use memcpy_select::lab::neighbours::{BENCH, NeighbourRecord, Neighbours};
use std::process::ExitCode;

/// Measure what an honest client of a server notices of hostile neighbours, and what its safety costs.
///
/// A server and an honest client run in a process each. Beside them run, in turn, no neighbour, an honest busy one, a process
/// that has nothing to do with the server, and every kind of hostile one. The client times each request, and checks what it
/// reads.
#[derive(Args)]
#[command(after_help = "Example: memcpy-select neighbour --effort quick")]
pub struct NeighbourVerb {
    #[command(flatten)]
    run: Measuring,
}

impl NeighbourVerb {
    pub fn run(self) -> Result<ExitCode, String> {
        let (effort, cpus) = (self.run.effort()?, CpuPair::last_two());
        let start = self.run.start(effort, cpus.far);
        let environment = start.environment()?;
        let growing = start.open(BENCH, environment, &grid_of(effort))?;
        let (folder, kept) = run(&mut Neighbours::new(effort, cpus), growing, &Lines::new())?;
        let record = NeighbourRecord::of_kept(kept).map_err(|error| error.to_string())?;
        self.run.show(&folder, Box::new(record))?;
        Ok(ExitCode::SUCCESS)
    }
}
