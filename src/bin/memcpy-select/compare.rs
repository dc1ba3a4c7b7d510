//! `compare`: what changed between two records.

use clap::Args;
use memcpy_select::record::Record;
use memcpy_select::report::Comparison;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compare two records: which contender became slower or faster against the installed libc.
///
/// Exit status 1 if a contender is slower by more than --fail-over, 2 if the records cannot be read or compared.
#[derive(Args)]
#[command(
    after_help = "Example: memcpy-select compare results/amd-26-2-1-kvm/2026-11-23.6 \\\n                               results/amd-26-2-1-kvm/2026-11-23.12 --fail-over 5"
)]
pub struct Compare {
    /// The folder of the record before
    first: PathBuf,
    /// The folder of the record after
    second: PathBuf,
    /// Fail if a contender is slower by more than so many percent (ties never fail)
    #[arg(long, value_name = "PERCENT")]
    fail_over: Option<f64>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub fn run(self) -> Result<ExitCode, String> {
        let read = |folder: &PathBuf| Record::read(folder).map_err(|error| error.to_string());
        let (first, second) = (read(&self.first)?, read(&self.second)?);
        let comparison = Comparison::of(&first, &second).map_err(|error| error.to_string())?;
        if self.json {
            let contenders: Vec<_> = comparison
                .contenders
                .iter()
                .map(|change| json!({"name": change.name, "ratio": change.ratio, "cells": change.cells.len()}))
                .collect();
            let changed: Vec<_> = comparison.changed().iter().map(|change| change.name.clone()).collect();
            let document = json!({
                "noise_floor": comparison.noise_floor, "cells": comparison.cells, "libc": comparison.libc,
                "contenders": contenders, "changed": changed,
            });
            println!("{document:#}");
        } else {
            print!("{comparison}");
        }
        let limit = self.fail_over.map(|percent| 1.0 + percent / 100.0);
        let is_over = limit.is_some_and(|limit| comparison.changed().iter().any(|change| change.ratio > limit));
        Ok(if is_over { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}
