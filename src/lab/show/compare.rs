//! Two records of one bench side by side: what became slower or faster.

use super::format::count;
use super::text::hanging;
use crate::lab::instruments::statistics::{geometric_mean, is_tie};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The figures of a record that another record of the same bench has, too.
#[derive(Clone, Debug, Default)]
pub struct Comparable {
    /// The bench.
    pub bench: String,
    /// What figures are relative to, in words: "libc in the same run".
    pub against: &'static str,
    /// What the baseline is called in a sentence; nothing where there is none.
    pub baseline: Option<&'static str>,
    /// Under which change of a single figure nothing is said: a ratio above 1.
    pub noise_floor: f64,
    /// The figures.
    pub figures: Vec<Timed>,
    /// The baseline's own time by cell.
    pub baselines: Vec<(String, f64)>,
}

/// A figure that can be compared.
#[derive(Clone, Debug)]
pub struct Timed {
    /// Whose it is.
    pub contender: String,
    /// Where: what two records must have in common.
    pub cell: Cell,
    /// Time over the baseline's in the same run, or the time itself where there is no baseline.
    pub ratio: f64,
}

/// Where a figure was taken.
#[derive(Clone, Debug)]
pub struct Cell {
    /// In words.
    pub name: String,
    /// As JSON.
    pub place: Map<String, Value>,
}

/// How the second of two records differs from the first.
///
/// Runs on a shared machine are never equally fast: what is compared is each contender's time over that of a baseline in the
/// same run. A contender has changed if the geometric mean of that over all cells has, by more than the noise floor of such a
/// mean; single cells differ for many reasons, and are listed only then.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Which changes of the mean say nothing, as a ratio above 1: half of both records' noise floors together, since a
    /// mean over many cells is steadier than one of them; at least a twentieth, by which the same build has differed on
    /// two days of one guest.
    pub noise_floor: f64,
    /// How many cells both records have.
    pub cells: usize,
    /// What figures are relative to, in words.
    pub against: &'static str,
    /// What the baseline is called, and its time in the second record over the first, geometric mean: how far the machine's
    /// day differed. It is not judged.
    pub baseline: Option<(&'static str, f64)>,
    /// The geometric mean of the change over all contenders and cells.
    pub mean: f64,
    /// Each contender of both records, by name.
    pub contenders: Vec<Change>,
}

/// One contender in both records.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// Its relative time in the second record over that in the first, geometric mean: above 1 is slower.
    pub ratio: f64,
    /// The same cell by cell, slowest first.
    pub cells: Vec<(Cell, f64)>,
}

/// No mean is steadier than this.
const STEADIEST: f64 = 1.05;

impl Comparison {
    /// Compares two records.
    ///
    /// # Errors
    ///
    /// [`NotComparable`] if they are of different benches or have no cell in common.
    pub fn of(first: &Comparable, second: &Comparable) -> Result<Self, NotComparable> {
        if first.bench != second.bench {
            return Err(NotComparable::Benches(first.bench.clone(), second.bench.clone()));
        }
        let after: BTreeMap<(&str, &str), f64> =
            second.figures.iter().map(|one| ((&*one.contender, &*one.cell.name), one.ratio)).collect();
        let mut changes: BTreeMap<&str, Vec<(Cell, f64)>> = BTreeMap::new();
        let mut cells = BTreeSet::new();
        for one in &first.figures {
            if let Some(ratio) = after.get(&(&*one.contender, &*one.cell.name)) {
                cells.insert(&*one.cell.name);
                changes.entry(&one.contender).or_default().push((one.cell.clone(), ratio / one.ratio));
            }
        }
        if changes.is_empty() || first.against != second.against {
            return Err(NotComparable::NoCommonCell { against: first.against });
        }
        let contenders: Vec<Change> = changes
            .into_iter()
            .filter_map(|(name, mut cells)| {
                cells.sort_by(|a, b| b.1.total_cmp(&a.1));
                let ratio = geometric_mean(cells.iter().map(|(_, ratio)| *ratio))?;
                Some(Change { name: name.to_owned(), ratio, cells })
            })
            .collect();
        let days = first.baselines.iter().filter_map(|(cell, before)| {
            let after = second.baselines.iter().find(|(other, _)| other == cell)?.1;
            cells.contains(&**cell).then_some(after / before)
        });
        let baseline = first.baseline.zip(geometric_mean(days));
        let noise_floor = (first.noise_floor * second.noise_floor).sqrt().max(STEADIEST);
        let all = contenders.iter().flat_map(|change| change.cells.iter().map(|(_, ratio)| *ratio));
        let mean = geometric_mean(all).unwrap_or(1.0);
        Ok(Self { noise_floor, cells: cells.len(), against: first.against, baseline, mean, contenders })
    }

    /// `=`, `slower` or `faster`.
    pub fn verdict(&self, change: &Change) -> &'static str {
        match (is_tie(change.ratio, self.noise_floor), change.ratio > 1.0) {
            (true, _) => "=",
            (false, true) => "slower",
            (false, false) => "faster",
        }
    }

    /// The contenders that have changed, slowest first.
    pub fn changed(&self) -> Vec<&Change> {
        let has_changed = |change: &&Change| !is_tie(change.ratio, self.noise_floor);
        let mut changed: Vec<&Change> = self.contenders.iter().filter(has_changed).collect();
        changed.sort_by(|a, b| b.ratio.total_cmp(&a.ratio));
        changed
    }

    /// All that was compared: times over the baseline's in the second record over those in the first, above 1 is slower.
    pub fn document(&self) -> Value {
        let cell = |(cell, ratio): &(Cell, f64)| {
            let mut of_it = cell.place.clone();
            of_it.insert("ratio".to_owned(), json!(ratio));
            Value::Object(of_it)
        };
        let contender = |change: &Change| {
            json!({
                "name": change.name, "ratio": change.ratio, "verdict": self.verdict(change),
                "cells": change.cells.iter().map(cell).collect::<Vec<_>>(),
            })
        };
        json!({
            "noise_floor": self.noise_floor,
            "cells": self.cells,
            "against": self.against,
            "baseline": self.baseline.map(|(name, ratio)| json!({ "name": name, "ratio": ratio })),
            "geometric_mean": self.mean,
            "contenders": self.contenders.iter().map(contender).collect::<Vec<_>>(),
            "changed": self.changed().iter().map(|change| &change.name).collect::<Vec<_>>(),
        })
    }
}

/// What the first screen says, then the cells of what has changed.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed = self.changed();
        let head = format!(
            "{} in {}, {}; a change below {:.1}% is a tie",
            count(self.contenders.len(), "contender"),
            count(self.cells, "cell"),
            self.against,
            (self.noise_floor - 1.0) * 100.0
        );
        f.write_str(&hanging(0, &head))?;
        if let Some((name, ratio)) = self.baseline {
            writeln!(f, "{name} itself took {ratio:.3} times as long (the machine's day: not judged)")?;
        }
        writeln!(f)?;
        let names = self.contenders.iter().map(|change| change.name.chars().count());
        let width = names.max().unwrap_or(0).clamp(20, 52);
        for change in &self.contenders {
            writeln!(f, "{:<width$}{:>8.3} {}", change.name, change.ratio, self.verdict(change))?;
        }
        writeln!(f, "{:<width$}{:>8.3}", "geometric mean", self.mean)?;
        for change in &changed {
            writeln!(f, "\n{}, cells that changed most:", change.name)?;
            let slowest = change.cells.iter().take(6);
            let fastest = change.cells.iter().rev().take(6);
            let cells: Vec<_> = if change.ratio > 1.0 { slowest.collect() } else { fastest.collect() };
            cells.into_iter().try_for_each(|(cell, ratio)| writeln!(f, "{ratio:>8.3}  {}", cell.name))?;
        }
        if changed.is_empty() { writeln!(f, "\nno difference beyond ties") } else { Ok(()) }
    }
}

/// Why two records cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotComparable {
    /// They are of these benches.
    Benches(String, String),
    /// No cell is in both.
    NoCommonCell {
        /// What figures are relative to.
        against: &'static str,
    },
}

impl fmt::Display for NotComparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Benches(first, second) => write!(
                f,
                "one record is of bench {first}, the other of {second}: there is nothing to compare; name two of one bench"
            ),
            Self::NoCommonCell { against } => write!(
                f,
                "the records have no cell in common that can be compared {against}: there is nothing to compare; measure \
                 both with the same options"
            ),
        }
    }
}

impl std::error::Error for NotComparable {}

/// What a record says about a length.
#[derive(Clone, Debug)]
pub struct Explained {
    /// For a reader.
    pub text: String,
    /// For a program.
    pub document: Value,
}
