//! `compare`: what changed between two records.

use crate::{caveats, json};
use clap::Args;
use memcpy_select::lab::question;
use memcpy_select::lab::show::{Comparison, print};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compare two records of one bench: which contender became slower or faster.
///
/// Copies and whole programs are compared with the installed libc of the same run, paths with a Unix stream socket, neighbours with
/// an honest busy one; sections in core cycles.
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
        let read = |folder: &PathBuf| question::read(folder).map_err(|error| error.to_string());
        let (first, second) = (read(&self.first)?, read(&self.second)?);
        let notes = caveats::of_pair([(&self.first, &*first), (&self.second, &*second)]);
        let comparison = Comparison::of(&first.comparable(), &second.comparable()).map_err(|error| {
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
            let mut document = comparison.document();
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
