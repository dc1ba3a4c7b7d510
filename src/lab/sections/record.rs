//! A record of sections, beside `env.toml`: `xsave.csv`, a loop and round a row; `xsave-prediction.csv`, written before any
//! section was measured; `xsave-in-use.csv`, kernels and what they leave in use; and where there are any, figures from
//! [ring 0](super::ring0).

use super::prediction::Predicted;
use super::ring0::Ring0;
use super::timings::Timings;
use super::{Area, Condition, Key, Part, Sample};
use crate::cpu::{Components, Word, XState};
use crate::lab::record::{CsvFile, Ended, Environment, Growing, Growth, Kept, Record, RecordError};
use raw_cpuid::CpuIdResult;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::Path;

/// The bench of such records, and the name of the file that grows, without its ending.
pub const BENCH: &str = "xsave";
/// The further files, without their endings.
pub(super) const PREDICTION: &str = "xsave-prediction";
pub(super) const IN_USE: &str = "xsave-in-use";

/// All that was measured and predicted.
#[derive(Clone, Debug)]
pub struct SectionRecord {
    /// Where and how it ran.
    pub environment: Environment,
    /// Whether the run came to its end.
    pub complete: bool,
    /// Every timing.
    pub samples: Vec<Sample>,
    /// What was said of the sections before they were measured.
    pub predicted: Vec<Predicted>,
    /// Kernels, and the components that they leave in use.
    pub in_use: Vec<InUse>,
    /// What a kernel measured in ring 0 of the same CPU.
    pub ring0: Option<Ring0>,
}

/// A kernel, and what it leaves in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InUse {
    /// The kernel.
    pub kernel: String,
    /// The components that were in their initial configuration before.
    #[serde(with = "bits")]
    pub in_use: Components,
}

/// Components as the number that XCR0 has for them.
mod bits {
    use crate::cpu::Components;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(components: &Components, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(components.bits())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Components, D::Error> {
        u64::deserialize(deserializer).map(Components::from_bits)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    part: Part,
    subject: Cow<'static, str>,
    #[serde(with = "bits")]
    live: Components,
    condition: Condition,
    #[serde(with = "bits")]
    mask: Components,
    area: Area,
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
    #[serde(with = "bits")]
    live: Components,
    len_bytes: usize,
    copies: u32,
    millicycles: u64,
}

/// The table of the predictions.
pub(super) fn prediction_table(predicted: &[Predicted]) -> Result<CsvFile, RecordError> {
    let row = |one: &Predicted| {
        let Predicted { kernel, live, len_bytes, copies, cycles } = one.clone();
        PredictionRow { kernel, live, len_bytes, copies, millicycles: (cycles * 1000.0).round() as u64 }
    };
    CsvFile::made(PREDICTION, predicted.iter().map(row))
}

/// A record of sections while it grows, round by round.
pub type GrowingSections = Growing<SectionGrowth>;

/// What the rows of a record of sections have in common: nothing.
#[derive(Debug)]
pub struct SectionGrowth;

impl Growth for SectionGrowth {
    const FILE: &'static str = BENCH;
    /// A round, which no other part of a run shares.
    type Step = u32;
    type Entry = Sample;

    fn new(_bench: &str, _environment: &Environment) -> Self {
        Self
    }

    fn row<'a>(&'a self, sample: &'a Sample) -> impl Serialize + 'a {
        let Sample { key, round, turns, ticks } = sample.clone();
        let Key { part, subject, live, condition, mask, area, len_bytes, copies } = key;
        Row { part, subject, live, condition, mask, area, len_bytes, copies, round, turns, ticks }
    }

    fn step(&self, sample: &Sample) -> u32 {
        sample.round
    }

    fn read(&self, table: &CsvFile) -> Result<Vec<Ended<Sample>>, RecordError> {
        let of_row = |row: Row| {
            let Row { part, subject, live, condition, mask, area, len_bytes, copies, round, turns, ticks } = row;
            if turns == 0 || ticks == 0 && part != Part::Signal && part != Part::Switch {
                return Err("nothing was timed".to_owned());
            }
            let key = Key { part, subject, live, condition, mask, area, len_bytes, copies };
            Ok(Sample { key, round, turns, ticks })
        };
        table.read_ends(of_row, |error| error.to_string())
    }

    fn noise_floor(&self, samples: &[Sample]) -> f64 {
        Timings::of(samples).noise_floor()
    }
}

impl SectionRecord {
    /// Reads a record back.
    ///
    /// # Errors
    ///
    /// [`RecordError`] with the file, and where there is one the line, that cannot be what a run has written.
    pub fn read(folder: &Path) -> Result<Self, RecordError> {
        Self::of(Record::read(folder)?)
    }

    /// The sections of a record.
    ///
    /// # Errors
    ///
    /// [`RecordError::Damaged`] if a complete record lacks a file, or has a row that no run writes.
    pub fn of(record: Record) -> Result<Self, RecordError> {
        if record.complete && record.table(BENCH).is_none() {
            return Err(missing(BENCH, &record.bench));
        }
        Self::of_kept(Kept::of::<SectionGrowth>(record)?)
    }

    /// The same of what was just written.
    ///
    /// # Errors
    ///
    /// As for [`of`](Self::of).
    pub fn of_kept(kept: Kept<Sample>) -> Result<Self, RecordError> {
        let Kept { bench, environment, complete, entries: samples, tables, .. } = kept;
        let table = |name: &str| match tables.iter().find(|table| table.name() == name) {
            None if complete => Err(missing(name, &bench)),
            found => Ok(found),
        };
        let in_use = table(IN_USE)?.map_or(Ok(Vec::new()), CsvFile::rows)?;
        let predicted = table(PREDICTION)?.map_or(Ok(Vec::new()), |table| {
            table.read(|row: PredictionRow| {
                let PredictionRow { kernel, live, len_bytes, copies, millicycles } = row;
                Ok(Predicted { kernel, live, len_bytes, copies, cycles: millicycles as f64 / 1000.0 })
            })
        })?;
        let ring0 = Ring0::of(&tables)?;
        Ok(Self { environment, complete, samples, predicted, in_use, ring0 })
    }

    /// The layout of the vector state of its CPU.
    pub fn xstate(&self) -> XState {
        xstate(&self.environment, &self.samples)
    }
}

fn missing(name: &str, bench: &str) -> RecordError {
    let cause = format!("there is no such file in this record of bench \"{bench}\"");
    RecordError::Damaged { path: format!("{name}.csv").into(), line: 1, cause }
}

/// The layout of the vector state of the CPU that a record is of, from its CPUID words; what was measured says which
/// components were enabled.
fn xstate(environment: &Environment, samples: &[Sample]) -> XState {
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
