//! The second stage: calls as programs make them, near.

use super::error::LabError;
use super::stage::{Options, Verified};
use super::time::TimeLimit;
use crate::measure::calls::{Calls, Region};
use crate::measure::cell::Cell;
use crate::measure::contender::{Contender, LIBC, MEMCPY_AUTO};
use crate::measure::summary::Summary;
use crate::measure::sweep::{Sample, Sweep};
use crate::record::{Environment, Record};

/// The bench whose question this is in short.
const BENCH: &str = "distributions";
/// The stage ends at this share of the run.
pub(super) const ENDS_BY: f64 = 0.68;

/// Measures sequences of calls in the first-level cache, as `memcpy_auto`, `copy_from_slice`, libc and the peers make
/// them, and returns the record, which is not kept yet.
pub(super) fn measure(
    options: &Options,
    verified: &Verified,
    mut environment: Environment,
    time: &TimeLimit,
) -> Result<Option<Record>, LabError> {
    time.begin("calls as programs make them", ENDS_BY);
    let is_wanted =
        |contender: &&Contender| [LIBC, MEMCPY_AUTO].contains(&contender.name()) || verified.is_peer(contender.name());
    let mut contenders: Vec<Contender> = verified.contenders.iter().filter(is_wanted).cloned().collect();
    contenders.push(Contender::copy_from_slice());
    contenders.extend(Contender::libc_again());
    let mut sweep = Sweep::new(contenders, Region::L1.bytes() + 4096, options.effort)?;
    let cells: Vec<Cell> = Calls::all().filter(|calls| calls.region == Region::L1).map(Cell::calls).collect();
    let mut samples: Vec<Sample> = Vec::new();
    for pass in 0..options.effort.passes(0) {
        // One pass is a matter of seconds, and the last screen needs it.
        if pass > 0 && time.is_past(ENDS_BY) {
            break;
        }
        for cell in &cells {
            time.show(cell);
            samples.extend(sweep.measure(*cell, pass));
        }
    }
    environment.noise_floor = Summary::of(&samples).noise_floor;
    Ok((!samples.is_empty()).then(|| verified.record(BENCH, environment, samples)))
}
