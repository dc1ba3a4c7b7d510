//! The first stage: every kernel over sizes, placements and residencies. Its record makes a plan.

use super::error::LabError;
use super::stage::{Options, Verified};
use super::time::TimeLimit;
use crate::cpu::Cpu;
use crate::measure::cell::Cell;
use crate::measure::contender::Contender;
use crate::measure::summary::Summary;
use crate::measure::sweep::{Sample, Sweep};
use crate::record::{Environment, Record};
use crate::report;

/// The first table is due by this share of the run.
const FIRST_TABLE_BY: f64 = 0.2;
/// The stage ends at this share of the run; a grid that was not gone through once by then goes on to the other.
pub(super) const ENDS_BY: f64 = 0.55;
const ENDS_AT_LAST: f64 = 0.64;

/// Measures the grid of the effort, and returns the record of it, which is not kept yet. The table of aligned cells is
/// printed as soon as it is there.
pub(super) fn measure(
    options: &Options,
    verified: &Verified,
    mut environment: Environment,
    cpu: &Cpu,
    time: &TimeLimit,
) -> Result<Record, LabError> {
    let effort = options.effort;
    time.begin("copies", ENDS_BY);
    time.show("filling the buffers");
    let mut contenders = verified.contenders.clone();
    contenders.extend(Contender::libc_again());
    let mut sweep = Sweep::new(contenders, effort.buffer_bytes(cpu), effort)?;
    let grid = effort.grid();
    let mut samples: Vec<Sample> = Vec::new();

    // The column of the first table in all its passes; then one pass over everything else before the second.
    let (first, rest) = grid.split_at(1.min(grid.len()));
    for (cell, pass) in effort.steps(first) {
        if pass == 0 || !time.is_past(FIRST_TABLE_BY) {
            time.show(cell);
            samples.extend(sweep.measure(cell, pass));
        }
    }
    let summary = Summary::of(&samples);
    time.print(report::selection_table(&summary, true))?;

    let mut steps: Vec<(Cell, u32)> = effort.steps(rest).collect();
    steps.sort_by_key(|(_, pass)| *pass);
    let mut left_out = 0;
    for (cell, pass) in steps {
        if time.is_past(if pass == 0 { ENDS_AT_LAST } else { ENDS_BY }) {
            left_out += u32::from(pass == 0);
            continue;
        }
        time.show(cell);
        samples.extend(sweep.measure(cell, pass));
    }
    if left_out > 0 {
        let cells = grid.iter().flatten().count();
        time.print(format_args!("{left_out} of {cells} cells were left out for want of time\n"))?;
    }
    environment.noise_floor = Summary::of(&samples).noise_floor;
    Ok(verified.record("select", environment, samples))
}
