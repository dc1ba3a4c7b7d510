//! `compare`: what changed between two records.

use crate::{caveats, json};
use clap::Args;
use memcpy_select::measure::cell::Cell;
use memcpy_select::record::Record;
use memcpy_select::report::{Change, Comparison, print};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Compare two records: which contender became slower or faster against the installed libc.
#[derive(Args)]
#[command(
    after_help = "Example: memcpy-select compare results/amd-26-2-1-kvm/2026-11-23.6 \\\n                               results/amd-26-2-1-kvm/2026-11-23.12 --fail-over 5"
)]
pub struct Compare {
    /// The folder of the record before
    first: PathBuf,
    /// The folder of the record after
    second: PathBuf,
    /// Exit status 1 if a contender is slower by more than this many percent (a tie never is)
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_over: Option<f64>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

fn percent(word: &str) -> Result<f64, String> {
    let value = word.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
    value.ok_or_else(|| "a limit is a number of percent, 0 or more".to_owned())
}

impl Compare {
    pub fn run(self) -> Result<ExitCode, String> {
        let read = |folder: &PathBuf| Record::read(folder).map_err(|error| error.to_string());
        let (first, second) = (read(&self.first)?, read(&self.second)?);
        let notes = caveats::of_pair([(&self.first, &first), (&self.second, &second)]);
        let comparison = Comparison::of(&first, &second).map_err(|error| {
            let notes: String = notes.iter().map(|note| format!("\nnote: {note}")).collect();
            format!("{error}{notes}")
        })?;
        let limit = self.fail_over.map(|percent| 1.0 + percent / 100.0);
        let over: Vec<&str> = comparison
            .changed()
            .into_iter()
            .filter(|change| limit.is_some_and(|limit| change.ratio > limit))
            .map(|change| change.name.as_str())
            .collect();
        if self.json {
            let mut document = document(&comparison);
            document["first"] = json!(self.first);
            document["second"] = json!(self.second);
            document["fail_over_percent"] = json!(self.fail_over);
            document["over"] = json!(over);
            document["notes"] = json!(notes);
            json::print(&document)?;
        } else {
            print(format_args!("{}{comparison}", caveats::text(&notes)))?;
        }
        Ok(if over.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// All that was compared: times over libc's in the second record over those in the first, above 1 is slower.
fn document(comparison: &Comparison) -> Value {
    let cell = |(cell, ratio): &(Cell, f64)| {
        json!({
            "len_bytes": cell.len_bytes,
            "dst_offset": cell.dst_offset,
            "src_offset": cell.src_offset,
            "residency": cell.residency.name(),
            "ratio": ratio,
        })
    };
    let contender = |change: &Change| {
        json!({
            "name": change.name,
            "ratio": change.ratio,
            "verdict": comparison.verdict(change),
            "cells": change.cells.iter().map(cell).collect::<Vec<_>>(),
        })
    };
    json!({
        "noise_floor": comparison.noise_floor,
        "cells": comparison.cells,
        "libc": comparison.libc,
        "geometric_mean": comparison.mean,
        "contenders": comparison.contenders.iter().map(contender).collect::<Vec<_>>(),
        "changed": comparison.changed().iter().map(|change| &change.name).collect::<Vec<_>>(),
    })
}
