//! Whether the tiered path does what its tiers can: at each cell its time beside that of the best of the three. Pure.

#![forbid(unsafe_code)]

use crate::lab::paths::cell::Cell;
use crate::lab::paths::summary::{Row, Summary};

/// The tiered path whose limits a run finds itself, and the paths that it finds them from.
pub(crate) const TIERED: &str = "tiered_measured";
pub(crate) const TIERS: [&str; 3] = ["inline", "process_vm_readv", "cow_handover"];

/// How much longer than the best of its tiers the tiered path may take.
pub const TIERS_TOLERANCE: f64 = 1.05;

/// The tiered path at one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct TierCheck {
    /// Where.
    pub cell: Cell,
    /// Which tier it took.
    pub taken: &'static str,
    /// How long it took, in nanoseconds.
    pub tiered_ns: f64,
    /// The fastest of its tiers.
    pub best: &'static str,
    /// How long that took, in nanoseconds.
    pub best_ns: f64,
    /// How long the tier that it took takes by itself, in nanoseconds.
    pub taken_ns: Option<f64>,
}

impl TierCheck {
    /// How many times as long as the best of its tiers it took.
    pub fn ratio(&self) -> f64 {
        self.tiered_ns / self.best_ns
    }
}

/// Each cell at which the tiered path and at least one of its tiers were measured.
pub fn tier_checks(summary: &Summary) -> Vec<TierCheck> {
    let check = |row: &Row| {
        let times = TIERS.into_iter().filter_map(|name| {
            let of = |other: &&Row| other.path == name && other.kernel.is_none() && other.cell == row.cell;
            Some((name, summary.rows.iter().find(of)?.judged_ns()?))
        });
        let times: Vec<(&str, f64)> = times.collect();
        let (best, best_ns) = times.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1))?;
        // Its declared copies tell the tiers apart: two inline, one directly, none handed over.
        let taken = TIERS.into_iter().rev().nth(row.copies as usize)?;
        let taken_ns = times.iter().find(|(name, _)| *name == taken).map(|(_, ns)| *ns);
        Some(TierCheck { cell: row.cell, taken, tiered_ns: row.judged_ns()?, best, best_ns, taken_ns })
    };
    let tiered = summary.rows.iter().filter(|row| row.path == TIERED && row.kernel.is_none());
    tiered.filter_map(check).collect()
}
