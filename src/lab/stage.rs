//! What every stage is given.

use crate::measure::cell::Cell;
use crate::measure::contender::Contender;
use crate::measure::effort::Effort;
use crate::measure::sweep::{Failure, Sample};
use crate::record::{Environment, Record};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// What a run is to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// How much; [`Effort::Full`] has no time limit.
    pub effort: Effort,
    /// Where the records go.
    pub results: PathBuf,
    /// The logical CPU that this thread is pinned to.
    pub pinned_to: Option<usize>,
    /// The logical CPUs of two processes, as they were before this thread was pinned.
    pub cpus: (Option<usize>, Option<usize>),
}

/// The routines that copy rightly, and what is wrong with the others.
pub(super) struct Verified {
    pub(super) contenders: Vec<Contender>,
    pub(super) peers: Vec<String>,
    /// Names, and what is wrong.
    pub(super) failed: Vec<(String, String)>,
}

impl Verified {
    pub(super) fn is_peer(&self, name: &str) -> bool {
        self.peers.iter().any(|peer| peer == name)
    }

    /// A record of these samples, which says who has none and why.
    pub(super) fn record(&self, bench: &str, environment: Environment, samples: Vec<Sample>) -> Record {
        let cells: BTreeSet<Cell> = samples.iter().map(|sample| sample.cell).collect();
        let of_cells = |(name, cause): &(String, String)| Failure::in_all(cells.iter().copied(), name, cause);
        let failures = self.failed.iter().flat_map(of_cells).collect();
        Record { failures, ..Record::new(bench, environment, samples) }
    }
}
