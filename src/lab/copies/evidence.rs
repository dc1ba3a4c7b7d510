//! What a record of copies says: its part of the page, JSON, what can be compared, what it says about a length.

use super::cell::{Cell, Residency};
use super::contender::{LIBC, LIBC_AGAIN};
use super::samples::CopyRecord;
use super::show::{Explanation, answer, losses, page, placement_table, selection_table};
use super::summary::{CellSummary, Summary};
use super::sweep::Failure;
use crate::cpu::Cpu;
use crate::lab::evidence::{Evidence, Head, Place, Section, json_rows};
use crate::lab::record::{CsvFile, RecordError};
use crate::lab::show::{self, Comparable, Explained, Timed};
use crate::select::Policy;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

impl Evidence for CopyRecord {
    fn head(&self) -> Head<'_> {
        let Self { environment, complete, samples, .. } = self;
        Head {
            bench: &self.bench,
            environment,
            is_complete: *complete,
            is_empty: samples.is_empty() && self.tables.is_empty(),
        }
    }

    fn noise_floor(&self) -> f64 {
        self.summary().noise_floor
    }

    /// Where nothing hot was measured, there is no table of aligned cells.
    fn text(&self) -> String {
        let summary = self.summary();
        let is_aligned_hot =
            |cell: &CellSummary| cell.cell.residency == Residency::Hot && cell.cell.line_offsets() == (0, 0);
        let mut parts = Vec::new();
        if summary.cells.iter().any(is_aligned_hot) {
            parts.extend([answer(&summary, &self.environment), selection_table(&summary, false)]);
        }
        if !summary.cells.iter().all(is_aligned_hot) {
            parts.push(placement_table(&summary));
        }
        parts.push(losses(&summary));
        parts.join("\n") + "\n"
    }

    fn section(&self, place: Place<'_>) -> Section {
        page::section(place, self)
    }

    fn plot(&self, name: &str) -> Option<String> {
        page::plot(name, self)
    }

    fn figures(&self) -> Result<Map<String, Value>, RecordError> {
        let summary = self.summary();
        let mut rounds: HashMap<(Cell, &str), usize> = HashMap::new();
        for sample in &self.samples {
            *rounds.entry((sample.cell, &sample.contender)).or_default() += 1;
        }
        let cells: Value = summary.cells.iter().map(|cell| of_cell(cell, &summary, &rounds)).collect();
        Ok(Map::from_iter([
            ("left_out".to_owned(), self.failures.iter().map(of_failure).collect()),
            ("tables".to_owned(), self.tables.iter().map(CsvFile::name).collect()),
            ("rows".to_owned(), json_rows(self.tables.iter())?),
            ("cells".to_owned(), cells),
        ]))
    }

    fn comparable(&self) -> Comparable {
        let summary = self.summary();
        let (mut figures, mut baselines) = (Vec::new(), Vec::new());
        for cell in &summary.cells {
            let name = cell.cell.to_string();
            let Some(libc) = cell.copy_ns(LIBC) else { continue };
            baselines.push((name.clone(), libc));
            for contender in cell.contenders().filter(|name| ![LIBC, LIBC_AGAIN].contains(name)) {
                let Some(ratio) = cell.time_ratio(contender, LIBC) else { continue };
                let cell = show::Cell { name: name.clone(), place: place(&cell.cell) };
                figures.push(Timed { contender: contender.to_owned(), cell, ratio });
            }
        }
        Comparable {
            bench: self.bench.clone(),
            against: "against libc in the same run",
            baseline: Some(LIBC),
            noise_floor: summary.noise_floor,
            figures,
            baselines,
        }
    }

    fn explain(&self, len_bytes: usize) -> Explained {
        Explanation::of(&Cpu::detect(), Policy::User, len_bytes, (0, 2048), Some(self)).explained()
    }
}

/// Where copies are, as JSON.
fn place(cell: &Cell) -> Map<String, Value> {
    let Cell { len_bytes, dst_offset, src_offset, residency } = cell;
    Map::from_iter([
        ("len_bytes".to_owned(), json!(len_bytes)),
        ("dst_offset".to_owned(), json!(dst_offset)),
        ("src_offset".to_owned(), json!(src_offset)),
        ("residency".to_owned(), json!(residency.name())),
    ])
}

/// A contender that has no timing in a cell.
fn of_failure(failure: &Failure) -> Value {
    let mut all = place(&failure.cell);
    all.insert("name".to_owned(), json!(failure.contender));
    all.insert("error".to_owned(), json!(failure.cause));
    all.into()
}

fn of_cell(cell: &CellSummary, summary: &Summary, rounds: &HashMap<(Cell, &str), usize>) -> Value {
    // A sequence of calls has no length.
    let is_single = !matches!(cell.cell.residency, Residency::Calls(_));
    let contenders = cell.contenders().filter_map(|name| {
        Some(json!({
            "name": name,
            "median_ns": cell.copy_ns(name)?,
            "quartiles_ns": cell.quartiles_ns(name).map(|(lower, upper)| [lower, upper]),
            "spread": cell.spread(name),
            "gb_per_s": cell.gb_per_s(name).filter(|_| is_single),
            "bytes_per_cycle": cell.bytes_per_cycle(name).filter(|_| is_single),
            "time_over_libc": cell.time_ratio(name, LIBC),
            "rounds": rounds.get(&(cell.cell, name)),
        }))
    });
    let mut all = place(&cell.cell);
    all.extend([
        ("fastest".to_owned(), json!(cell.fastest())),
        ("winner".to_owned(), json!(cell.winner(summary.noise_floor).map(|winner| winner.name))),
        ("ties".to_owned(), json!(cell.winner(summary.noise_floor).map(|winner| winner.ties))),
        ("memcpy_auto_over_best".to_owned(), json!(cell.regret())),
        ("contenders".to_owned(), contenders.collect()),
    ]);
    all.into()
}
