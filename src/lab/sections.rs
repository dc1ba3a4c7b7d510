//! What saving and restoring vector registers costs, and from which length on a copy is worth it.

use super::error::LabError;
use crate::cpu::Cpu;
use crate::kernel::kernels;
use crate::measure::buffers::Buffers;
use crate::measure::effort::Effort;
use crate::measure::xsave::prediction::{Model, Predicted};
use crate::measure::xsave::timings::Timings;
use crate::measure::xsave::{Runner, composites, costs, curves, in_use, round_trip};
use crate::record::xsave::{BENCH, StateRecord, measured_tables, prediction_table};
use crate::record::{Environment, Record};
use std::path::{Path, PathBuf};

/// The stage ends at this share of the run.
pub(super) const ENDS_BY: f64 = 0.78;

/// Measures everything, on the CPU that this thread is pinned to, and returns the folder of the record. `say` hears what
/// is measured, and what is not.
///
/// # Errors
///
/// [`LabError`] if there is no XSAVE or no memory, or if the record cannot be kept.
pub fn measure(
    results: &Path,
    effort: Effort,
    pinned_to: Option<usize>,
    say: &dyn Fn(&str),
) -> Result<PathBuf, LabError> {
    let cpu = Cpu::detect();
    if cpu.xstate.enabled.is_empty() {
        return Err(LabError::NoXsave);
    }
    let rounds = Rounds::of(effort);
    let environment = Environment::gather(&cpu, effort, pinned_to);
    Record::may_save(results)?;
    let buffers = Buffers::new(curves::MAX_LEN_BYTES)?;
    let mut runner = Runner::new();
    say("the instructions");
    costs::measure(&mut runner, &cpu.xstate, &buffers, rounds.costs);
    say("copies, and registers kept by hand");
    curves::measure(&mut runner, &curves::fitted_lengths(&cpu.caches), &buffers, rounds.curves);
    curves::measure_spills(&mut runner, rounds.costs);
    let model = Model::fit(&Timings::of(runner.samples()), &cpu.xstate);
    let predicted: Vec<Predicted> = model.predict(&cpu.xstate);
    let before = [prediction_table(&predicted)?];

    let after = || {
        say(&format!("{} sections, which were predicted", predicted.len()));
        composites::measure(&mut runner, &cpu.xstate, &buffers, rounds.composites);
        say("switches and signals");
        // Where the system allows no pipe or pinning, there is no such figure: absent, not zero.
        let trips = match pinned_to {
            Some(cpu_number) => round_trip::measure_switches(&mut runner, &cpu.xstate, cpu_number, rounds.trips).err(),
            None => Some(std::io::Error::other("this thread could not be pinned")),
        };
        let signals = round_trip::measure_signals(&mut runner, &cpu.xstate, rounds.trips).err();
        for (what, error) in [("switches", trips), ("signals", signals)] {
            if let Some(error) = error {
                say(&format!("no {what}: {error}"));
            }
        }
        let in_use = kernels()
            .iter()
            .filter_map(|kernel| Some((kernel.name().to_owned(), in_use::after(kernel, &cpu.xstate, &buffers)?)))
            .collect();
        let noise_floor = Timings::of(runner.samples()).noise_floor();
        let record = StateRecord { samples: runner.samples().to_vec(), predicted: predicted.clone(), in_use };
        Ok((measured_tables(&record)?, noise_floor))
    };
    Ok(Record::save_in_steps(results, BENCH, environment, &before, after)?)
}

/// Rounds of each part.
struct Rounds {
    costs: u32,
    curves: u32,
    composites: u32,
    trips: u32,
}

impl Rounds {
    /// Trips: fifty of each arm a round, so that 2,000 rounds are 100,000.
    const fn of(effort: Effort) -> Self {
        match effort {
            Effort::Quick => Self { costs: 11, curves: 7, composites: 5, trips: 100 },
            Effort::Default => Self { costs: 41, curves: 21, composites: 11, trips: 2000 },
            Effort::Full => Self { costs: 201, curves: 101, composites: 51, trips: 10_000 },
        }
    }
}
