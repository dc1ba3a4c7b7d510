//! What a record of paths says: its part of the page, JSON, what can be compared, what it says about a payload.

use super::rows::BENCH;
use super::show::json::{cell_map, figures, predicted_json, row_json, walked_json};
use super::show::{
    AtLength, PathExplanation, cache_table, ipc_tables, model_table, nearest, page, parts, path_name, refusals,
    tiers_table,
};
use super::{Cell, PathRecord, Predicted, Row, part_figures, walked};
use crate::lab::evidence::{Evidence, Head, Place, Section};
use crate::lab::record::RecordError;
use crate::lab::show::page::svg_file;
use crate::lab::show::{self, Comparable, Explained, Timed};
use serde_json::{Map, Value, json};

/// What other paths are compared with between two records: what programs use.
const BASELINE: &str = "unix_stream";

impl Evidence for PathRecord {
    fn head(&self) -> Head<'_> {
        let Self { environment, complete, samples, .. } = self;
        Head { bench: BENCH, environment, is_complete: *complete, is_empty: samples.is_empty() }
    }

    fn noise_floor(&self) -> f64 {
        self.summary().noise_floor.max(1.0)
    }

    fn text(&self) -> String {
        let summary = self.summary();
        [
            ipc_tables(&summary),
            tiers_table(&summary),
            model_table(&self.predictions()),
            cache_table(&walked(&self.cache)),
            parts(&part_figures(&self.parts)),
            refusals(&self.refusals),
        ]
        .concat()
    }

    fn section(&self, _place: Place<'_>) -> Section {
        page::section(self)
    }

    fn plot(&self, name: &str) -> Option<String> {
        svg_file(name, &self.environment, &page::plot(&self.summary())?)
    }

    fn figures(&self) -> Result<Map<String, Value>, RecordError> {
        Ok(figures(self, &self.summary()))
    }

    /// Where a run has no stream socket, times themselves are compared.
    fn comparable(&self) -> Comparable {
        let summary = self.summary();
        let is_baseline = |row: &&Row| row.path == BASELINE && row.kernel.is_none();
        let has_baseline = summary.rows.iter().any(|row| is_baseline(&row));
        let baseline_ns = |cell: &Cell| {
            let found = summary.rows.iter().filter(is_baseline).find(|row| row.cell == *cell);
            if has_baseline { found?.judged_ns() } else { Some(1.0) }
        };
        let figure = |row: &Row| {
            let ratio = row.judged_ns()? / baseline_ns(&row.cell)?;
            let cell = show::Cell { name: row.cell.to_string(), place: cell_map(&row.cell) };
            (row.path != BASELINE).then(|| Timed { contender: path_name(row), cell, ratio })
        };
        let own = summary.rows.iter().filter(is_baseline);
        let against = "against a Unix stream socket in the same run";
        Comparable {
            bench: BENCH.to_owned(),
            against: if has_baseline { against } else { "in nanoseconds, since no Unix stream socket was measured" },
            baseline: has_baseline.then_some(BASELINE),
            noise_floor: summary.noise_floor.max(1.0),
            figures: summary.rows.iter().filter_map(figure).collect(),
            baselines: own.filter_map(|row| Some((row.cell.to_string(), row.judged_ns()?))).collect(),
        }
    }

    fn explain(&self, payload_bytes: usize) -> Explained {
        let explanation = PathExplanation::of(&self.summary(), payload_bytes);
        let predictions = nearest(self.predictions(), payload_bytes, |one| one.cell.payload_bytes);
        let walked = nearest(walked(&self.cache), payload_bytes, |one| one.payload_bytes);
        let measured = |at: &AtLength| {
            json!({
                "payload_bytes": at.cell.payload_bytes, "rows": at.rows.iter().map(row_json).collect::<Vec<Value>>(),
                "pays_from_bytes": at.pays_from_bytes,
            })
        };
        let document = json!({
            "payload_bytes": payload_bytes,
            "measured": explanation.measured.iter().map(measured).collect::<Vec<Value>>(),
            "model": predictions.iter().map(predicted_json).collect::<Vec<Value>>(),
            "cache": walked.iter().map(walked_json).collect::<Vec<Value>>(),
        });
        // As with the paths: all of the plainest circumstances, if they are there.
        let plain: Vec<Predicted> =
            predictions.iter().filter(|one| one.cell.is_plain() && one.cell.touch).cloned().collect();
        let model = model_table(if plain.is_empty() { &predictions } else { &plain });
        Explained { text: format!("{explanation}{model}{}", cache_table(&walked)), document }
    }
}
