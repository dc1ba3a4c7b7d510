//! Two records side by side: which contender changed against the installed libc.

use super::format::count;
use super::terminal::hanging;
use crate::measure::cell::Cell;
use crate::measure::contender::{LIBC, LIBC_AGAIN};
use crate::measure::statistics::{geometric_mean, is_tie};
use crate::measure::summary::{CellSummary, Summary};
use crate::record::Record;
use std::collections::BTreeSet;
use std::fmt;

/// How the second of two records differs from the first.
///
/// Runs on a shared machine are never equally fast: what is compared is each contender's time over the installed libc's
/// in the same rounds of the same run. A contender has changed if the geometric mean of that over all cells has, by more
/// than the noise floor of such a mean; single cells differ for many reasons, and are listed only then.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Which changes of the mean say nothing, as a ratio above 1: half of both records' noise floors together, since a
    /// mean over many cells is steadier than one of them; at least a twentieth, by which the same build has differed on
    /// two days of one guest.
    pub noise_floor: f64,
    /// How many cells both records have.
    pub cells: usize,
    /// Time of the installed libc in the second record over the first, geometric mean: how far the machine's day
    /// differed. It is not judged.
    pub libc: f64,
    /// The geometric mean over all contenders and cells of the change of their times over libc's.
    pub mean: f64,
    /// Each contender of both records, by name.
    pub contenders: Vec<Change>,
}

/// One contender in both records.
#[derive(Clone, Debug)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// Time over libc's in the second record over that in the first, geometric mean: above 1 is slower.
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
    /// [`NotComparable`] if they are of different benches or have no cell with libc in common.
    pub fn of(first: &Record, second: &Record) -> Result<Self, NotComparable> {
        if first.bench != second.bench {
            return Err(NotComparable::Benches(first.bench.clone(), second.bench.clone()));
        }
        let summaries = [first, second].map(|record| Summary::of(&record.samples));
        let [before, after] = &summaries;
        let pairs: Vec<_> = before
            .cells
            .iter()
            .filter_map(|cell| Some((cell, after.cells.iter().find(|other| other.cell == cell.cell)?)))
            .filter(|(a, b)| a.copy_ns(LIBC).is_some() && b.copy_ns(LIBC).is_some())
            .collect();
        let names: BTreeSet<&str> =
            pairs.iter().flat_map(|(a, _)| a.contenders()).filter(|name| ![LIBC, LIBC_AGAIN].contains(name)).collect();
        let libc = pairs.iter().filter_map(|(a, b)| Some(b.copy_ns(LIBC)? / a.copy_ns(LIBC)?));
        let libc = geometric_mean(libc).ok_or(NotComparable::NoCommonCell)?;
        let contenders: Vec<Change> = names
            .into_iter()
            .filter_map(|name| {
                let ratio = |(a, b): &(&_, &_)| change(name, a, b);
                let mut cells: Vec<(Cell, f64)> =
                    pairs.iter().filter_map(|pair| Some((pair.0.cell, ratio(pair)?))).collect();
                cells.sort_by(|a, b| b.1.total_cmp(&a.1));
                let ratio = geometric_mean(cells.iter().map(|(_, ratio)| *ratio))?;
                Some(Change { name: name.to_owned(), ratio, cells })
            })
            .collect();
        let noise_floor = (before.noise_floor * after.noise_floor).sqrt().max(STEADIEST);
        let all = contenders.iter().flat_map(|change| change.cells.iter().map(|(_, ratio)| *ratio));
        let mean = geometric_mean(all).unwrap_or(1.0);
        Ok(Self { noise_floor, cells: pairs.len(), libc, mean, contenders })
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
}

fn change(name: &str, before: &CellSummary, after: &CellSummary) -> Option<f64> {
    Some(after.time_ratio(name, LIBC)? / before.time_ratio(name, LIBC)?)
}

/// What the first screen says, then the cells of what has changed.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changed = self.changed();
        let head = format!(
            "{} in {}, against libc in the same run; a change below {:.1}% is a tie",
            count(self.contenders.len(), "contender"),
            count(self.cells, "cell"),
            (self.noise_floor - 1.0) * 100.0
        );
        f.write_str(&hanging(0, &head))?;
        writeln!(f, "libc itself took {:.3} times as long (the machine's day: not judged)\n", self.libc)?;
        for change in &self.contenders {
            writeln!(f, "{:<20}{:>8.3} {}", change.name, change.ratio, self.verdict(change))?;
        }
        writeln!(f, "{:<20}{:>8.3}", "geometric mean", self.mean)?;
        for change in &changed {
            writeln!(f, "\n{}, cells that changed most:", change.name)?;
            let slowest = change.cells.iter().take(6);
            let fastest = change.cells.iter().rev().take(6);
            let cells: Vec<_> = if change.ratio > 1.0 { slowest.collect() } else { fastest.collect() };
            cells.into_iter().try_for_each(|(cell, ratio)| writeln!(f, "{ratio:>8.3}  {cell}"))?;
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
    /// No cell with libc is in both.
    NoCommonCell,
}

impl fmt::Display for NotComparable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Benches(first, second) => write!(
                f,
                "one record is of bench {first}, the other of {second}: there is nothing to compare; name two of one bench"
            ),
            Self::NoCommonCell => f.write_str(
                "the records have no cell with libc in common: there is nothing to compare; measure both with one effort",
            ),
        }
    }
}

impl std::error::Error for NotComparable {}
