//! What a run of `memcpy-select xsave` leaves in its record, beside `env.toml`: `xsave.csv`, a loop and round a row;
//! `xsave-prediction.csv`, written before any section was measured; `xsave-in-use.csv`, kernels and what they leave in
//! use.

use super::environment::Environment;
use super::error::RecordError;
use super::folder::Record;
use super::table::Table;
use crate::cpu::{Components, Word, XState};
use crate::measure::xsave::prediction::Predicted;
use crate::measure::xsave::{Area, Condition, Key, Part, Sample};
use raw_cpuid::CpuIdResult;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The bench of such records.
pub const BENCH: &str = "xsave";

const SAMPLES: &str = "xsave";
const PREDICTION: &str = "xsave-prediction";
const IN_USE: &str = "xsave-in-use";

/// All that was measured and predicted.
#[derive(Clone, Debug, Default)]
pub struct StateRecord {
    /// Every timing.
    pub samples: Vec<Sample>,
    /// What was said of the sections before they were measured.
    pub predicted: Vec<Predicted>,
    /// Kernels, and the components that they leave in use.
    pub in_use: Vec<(String, Components)>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleRow {
    part: String,
    subject: String,
    live: u64,
    condition: String,
    mask: u64,
    area: String,
    len_bytes: usize,
    copies: u32,
    round: u32,
    turns: u64,
    ticks: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PredictionRow {
    kernel: String,
    live: u64,
    len_bytes: usize,
    copies: u32,
    millicycles: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InUseRow {
    kernel: String,
    in_use: u64,
}

/// The table of the predictions.
///
/// # Errors
///
/// [`RecordError`] as for [`Table::of`].
pub fn prediction_table(predicted: &[Predicted]) -> Result<Table, RecordError> {
    let row = |one: &Predicted| PredictionRow {
        kernel: one.kernel.clone(),
        live: one.live.bits(),
        len_bytes: one.len_bytes,
        copies: one.copies,
        millicycles: (one.cycles * 1000.0).round() as u64,
    };
    Table::of(PREDICTION, &predicted.iter().map(row).collect::<Vec<_>>())
}

/// The tables of everything else.
///
/// # Errors
///
/// [`RecordError`] as for [`Table::of`].
pub fn measured_tables(record: &StateRecord) -> Result<Vec<Table>, RecordError> {
    let row = |sample: &Sample| SampleRow {
        part: sample.key.part.name().to_owned(),
        subject: sample.key.subject.to_string(),
        live: sample.key.live.bits(),
        condition: sample.key.condition.name().to_owned(),
        mask: sample.key.mask.bits(),
        area: sample.key.area.name().to_owned(),
        len_bytes: sample.key.len_bytes,
        copies: sample.key.copies,
        round: sample.round,
        turns: sample.turns,
        ticks: sample.ticks,
    };
    let in_use = |(kernel, in_use): &(String, Components)| InUseRow { kernel: kernel.clone(), in_use: in_use.bits() };
    Ok(vec![
        Table::of(SAMPLES, &record.samples.iter().map(row).collect::<Vec<_>>())?,
        Table::of(IN_USE, &record.in_use.iter().map(in_use).collect::<Vec<_>>())?,
    ])
}

/// Reads it back.
///
/// # Errors
///
/// [`RecordError::Damaged`] if the record is of another bench, lacks a file, or has a row that no run writes.
pub fn read(record: &Record) -> Result<StateRecord, RecordError> {
    let table = |name: &str| {
        record.table(name).ok_or_else(|| RecordError::Damaged {
            path: format!("{name}.csv").into(),
            line: 1,
            cause: format!("there is no such file in this record of bench \"{}\"", record.bench),
        })
    };
    let damaged = |name: &str, at: usize, cause: String| RecordError::Damaged {
        path: format!("{name}.csv").into(),
        line: at as u64 + 2,
        cause,
    };
    let mut read = StateRecord::default();
    for (at, row) in table(SAMPLES)?.rows::<SampleRow>()?.into_iter().enumerate() {
        let unknown = |what: &str, name: &str| damaged(SAMPLES, at, format!("there is no {what} \"{name}\""));
        if row.turns == 0 || row.ticks == 0 && row.part != Part::Signal.name() && row.part != Part::Switch.name() {
            return Err(damaged(SAMPLES, at, "nothing was timed".to_owned()));
        }
        let key = Key {
            part: Part::named(&row.part).ok_or_else(|| unknown("part", &row.part))?,
            subject: Cow::Owned(row.subject),
            live: Components::from_bits(row.live),
            condition: Condition::named(&row.condition).ok_or_else(|| unknown("condition", &row.condition))?,
            mask: Components::from_bits(row.mask),
            area: Area::named(&row.area).ok_or_else(|| unknown("area", &row.area))?,
            len_bytes: row.len_bytes,
            copies: row.copies,
        };
        read.samples.push(Sample { key, round: row.round, turns: row.turns, ticks: row.ticks });
    }
    let predicted = table(PREDICTION)?.rows::<PredictionRow>()?.into_iter().map(|row| Predicted {
        kernel: row.kernel,
        live: Components::from_bits(row.live),
        len_bytes: row.len_bytes,
        copies: row.copies,
        cycles: row.millicycles as f64 / 1000.0,
    });
    read.predicted = predicted.collect();
    let in_use = table(IN_USE)?.rows::<InUseRow>()?.into_iter();
    read.in_use = in_use.map(|row| (row.kernel, Components::from_bits(row.in_use))).collect();
    Ok(read)
}

/// The layout of the vector state of the CPU that a record is of, from its CPUID words; what was measured says which
/// components were enabled.
pub fn xstate(environment: &Environment, samples: &[Sample]) -> XState {
    let words: Vec<Word> = environment.cpu.cpuid.iter().filter_map(|line| line.parse().ok()).collect();
    let reader = move |leaf: u32, subleaf: u32| {
        let word = words.iter().find(|word| (word.leaf, word.subleaf) == (leaf, subleaf));
        word.map_or(CpuIdResult { eax: 0, ebx: 0, ecx: 0, edx: 0 }, |word| CpuIdResult {
            eax: word.eax,
            ebx: word.ebx,
            ecx: word.ecx,
            edx: word.edx,
        })
    };
    let enabled = samples.iter().fold(Components::X87, |all, sample| all.union(sample.key.mask));
    XState::decode(reader, Some(enabled.bits()))
}
