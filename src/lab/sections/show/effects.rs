//! What vector state costs switches and signals: how large, how sure, and whether the controls were passed.

use crate::lab::instruments::statistics::{bootstrap_median, median};
use crate::lab::sections::round_trip::{CLEAN, CLEAN_AGAIN, DIRTY, EXTRA_PAIR, PAIR_ALONE, TRIPS};
use crate::lab::sections::timings::Timings;
use crate::lab::sections::{Key, Part};
use serde::Serialize;

const RESAMPLES: usize = 400;
/// An effect of that many standard errors is found in four of five runs by a test at five percent.
const DETECTABLE_ERRORS: f64 = 2.8;
/// How far the positive control may be off.
const CONTROL_TOLERANCE: f64 = 0.2;

/// The effect of dirty state, all in core cycles.
#[derive(Clone, Debug, Serialize)]
pub struct Effect {
    /// Round trips of each arm.
    pub trips: u64,
    /// A whole trip with clean state.
    pub whole_cycles: f64,
    /// What it takes longer with dirty state.
    pub effect_cycles: f64,
    /// The interval that holds 95% of the bootstrap's medians.
    pub interval_cycles: (f64, f64),
    /// The minimum detectable effect: a smaller one would not have been seen.
    pub mde_cycles: f64,
    /// Whether the effect is larger than that.
    pub is_resolved: bool,
    /// The second clean arm against the first, which should be nothing.
    pub same_again_cycles: f64,
    /// Whether it is less than the minimum detectable effect.
    pub is_same_again_nothing: bool,
    /// What the pair more in each trip was found to cost.
    pub control_found_cycles: f64,
    /// What it costs alone.
    pub control_known_cycles: f64,
    /// Whether the two agree within a fifth.
    pub is_control_found: bool,
}

impl Effect {
    /// Of one part of the run; nothing where it was not measured.
    pub fn of(timings: &Timings, part: Part) -> Option<Self> {
        let key = |subject: &'static str| Key::of(part, subject);
        let against_clean = |subject| timings.differences(&key(subject), &key(CLEAN));
        let again = against_clean(CLEAN_AGAIN);
        let (effect, same) =
            (bootstrap_median(&against_clean(DIRTY), RESAMPLES)?, bootstrap_median(&again, RESAMPLES)?);
        let found = median(&against_clean(EXTRA_PAIR))?;
        let known = median(&timings.whole_cycles(&key(PAIR_ALONE)))?;
        let mde_cycles = DETECTABLE_ERRORS * same.error.max(effect.error);
        Some(Self {
            trips: again.len() as u64 * TRIPS,
            whole_cycles: median(&timings.whole_cycles(&key(CLEAN)))?,
            effect_cycles: effect.median,
            interval_cycles: effect.interval,
            mde_cycles,
            is_resolved: effect.median.abs() > mde_cycles,
            same_again_cycles: same.median,
            is_same_again_nothing: same.median.abs() <= mde_cycles.max(1.0),
            control_found_cycles: found,
            control_known_cycles: known,
            is_control_found: (found / known - 1.0).abs() <= CONTROL_TOLERANCE,
        })
    }
}
