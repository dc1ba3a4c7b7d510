//! `validate`: whether the selection holds on cells and CPUs that it was not made from.

use crate::{json, records};
use clap::Args;
use memcpy_select::record::judge::Candidate;
use memcpy_select::record::{Validation, one_of_each_cpu};
use memcpy_select::report::{hanging, print, say, validation_markdown, validation_text};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  memcpy-select validate results/*/*
      Every recorded CPU: of each the newest record that holds cells back, else the newest
  memcpy-select validate results/intel-6-207-2-kvm/2026-11-29.8 --json
      One record, as one JSON document";

/// Judge the selection on cells and CPUs that it was not made from.
///
/// No plan is made from lengths between powers of two: where a record has such cells, they judge. Of each CPU one record is
/// read, and the others are named. --markdown makes the table of the README.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Validate {
    /// Folders of records: results/<machine>/<date>.<n>; or one folder that has some
    #[arg(value_name = "RECORD", required = true)]
    records: Vec<PathBuf>,
    /// Print the table as Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
}

impl Validate {
    pub fn run(self) -> Result<ExitCode, String> {
        let within = self.records.first().filter(|_| self.records.len() == 1).map(|folder| records::within(folder));
        let within = within.filter(|within| !within.is_empty());
        let chosen = one_of_each_cpu(within.as_ref().unwrap_or(&self.records));
        let mut passed_over = chosen.passed_over;
        let mut validations = Vec::new();
        for (folder, record) in chosen.records {
            match Validation::of(&records::name(&folder), &record, Vec::new()) {
                Ok(validation) => validations.push(validation),
                Err(why) => passed_over.push((folder, why)),
            }
        }
        let is_whole = chosen.unreadable.is_empty();
        chosen.unreadable.iter().for_each(|error| say(format_args!("error: {error}")));
        for (folder, why) in &passed_over {
            say(hanging(4, &format!("passed over: {}: {why}", folder.display())).trim_end());
        }
        if validations.is_empty() {
            return Err("none of what was named can judge a plan: nothing is shown; name records of `cargo bench` or \
                        `sweep`, which `memcpy-select report results` lists"
                .to_owned());
        }
        if self.json {
            let mut document = document(&validations);
            let why = |(folder, why): &(PathBuf, String)| json!({ "record": folder, "why": why });
            document["passed_over"] = passed_over.iter().map(why).collect();
            json::print(&document)?;
        } else if self.markdown {
            print(validation_markdown(&validations))?;
        } else {
            print(validation_text(&validations))?;
        }
        Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::from(2) })
    }
}

/// All figures. Times are ratios, below 1 is faster.
fn document(validations: &[Validation]) -> Value {
    let of_record = |validation: &Validation| {
        let of_way = |way: &memcpy_select::record::judge::Way| {
            let of_plan = |(candidate, figures): (&Candidate, &Option<_>)| {
                let figures: &memcpy_select::record::judge::Figures = figures.as_ref()?;
                Some(json!({
                    "name": candidate.name,
                    "cells": figures.cells,
                    "in_sample": figures.is_in_sample,
                    "time_over_libc": figures.over_libc,
                    "time_over_best_kernel": figures.over_best,
                    "slow_share": figures.slow_share,
                    "worst": {
                        "class": figures.worst.class.name(),
                        "from_bytes": figures.worst.from_bytes,
                        "time_over_best_kernel": figures.worst.over_best,
                    },
                }))
            };
            json!({
                "residency": way.residency.name(),
                "cells": way.cells,
                "held_back": way.is_held_back,
                "plans": validation.candidates.iter().zip(&way.figures).filter_map(of_plan).collect::<Vec<Value>>(),
            })
        };
        json!({
            "record": validation.record,
            "cpu": validation.signature,
            "microarchitecture": validation.microarchitecture,
            "ways": validation.ways.iter().map(of_way).collect::<Vec<Value>>(),
        })
    };
    json!({ "records": validations.iter().map(of_record).collect::<Vec<Value>>() })
}
