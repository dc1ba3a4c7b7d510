//! `validate`: whether the selection holds on cells and CPUs that it was not made from.

use crate::measuring::Measuring;
use crate::sweep::measured;
use crate::{json, records};
use clap::Args;
use memcpy_select::lab::copies::contender::MEMCPY_AUTO;
use memcpy_select::lab::copies::held_out;
use memcpy_select::lab::copies::judge::{CALIBRATION, Candidate, Choice, Figures, Knows, Validation, Way};
use memcpy_select::lab::copies::one_of_each_cpu;
use memcpy_select::lab::copies::scope::Scope;
use memcpy_select::lab::copies::show::{validation_markdown, validation_text};
use memcpy_select::lab::show::{print, say};
use memcpy_select::select::{Policy, calibrate, plan_in_force};
use memcpy_select::{Kernel, kernels};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// The bench that the samples are of.
const BENCH: &str = "validate";

const AFTER_HELP: &str = "\
Examples:
  memcpy-select validate results/*/*
      Every recorded CPU: of each the newest record that holds cells back, else the newest
  memcpy-select validate results/intel-6-207-2-kvm/2026-11-29.9 --json
      One record, as one JSON document
  memcpy-select validate --effort quick
      This machine, measured now at lengths and placements that programs have; the record is kept, and can be judged again";

/// Judge the selection on cells and CPUs that it was not made from.
///
/// No plan is made from lengths between powers of two: where a record has such cells, they judge. Of each CPU one record is
/// read, and the others are named. Without records this machine is measured as by `sweep`, in one or two minutes with
/// effort quick; what calibration finds here is judged, too.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Validate {
    /// Folders of records: results/<machine>/<date>.<n>; or one folder that has some
    #[arg(value_name = "RECORD", conflicts_with_all = ["effort", "calibrations", "peer", "out", "resume"])]
    records: Vec<PathBuf>,
    #[command(flatten)]
    run: Measuring,
    /// How many calibrations are judged
    #[arg(long, value_name = "COUNT", default_value_t = 3, value_parser = clap::value_parser!(u16).range(0..=100))]
    calibrations: u16,
    /// The memcpy of a shared object, measured under that name. May be given several times
    #[arg(long, value_name = "NAME=PATH", conflicts_with = "resume")]
    peer: Vec<String>,
    /// Print the table as Markdown, as it stands in the README
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

impl Validate {
    pub fn run(self) -> Result<ExitCode, String> {
        if self.records.is_empty() { self.measure() } else { self.read() }
    }

    /// Judges records.
    fn read(&self) -> Result<ExitCode, String> {
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
        if let ([error], true) = (&chosen.unreadable[..], validations.is_empty() && passed_over.is_empty()) {
            return Err(error.to_string());
        }
        chosen.unreadable.iter().for_each(|error| say(format_args!("error: {error}")));
        passed_over.iter().for_each(|(folder, why)| say(format_args!("passed over: {}: {why}", folder.display())));
        if validations.is_empty() {
            return Err("none of what was named can judge a plan: nothing is shown; name records of `cargo bench` or \
                        `sweep`, which `memcpy-select report results` lists"
                .to_owned());
        }
        self.show(&validations, &passed_over)?;
        Ok(if chosen.unreadable.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
    }

    /// Measures this machine, and judges what it finds.
    fn measure(&self) -> Result<ExitCode, String> {
        let scope = match self.run.started()? {
            Some(started) => Scope::read(&started).map_err(|error| error.to_string())?,
            None => self.scope()?,
        };
        let grid = held_out::grid(scope.effort);
        // Half of the calibrations before and half after: neighbours of a machine come and go.
        let calibrated = |count: u16| (0..count).map(|_| calibrate().plan).collect::<Vec<_>>();
        let mut plans = calibrated(self.calibrations.div_ceil(2));
        let run = Measuring { json: self.run.json || self.markdown, ..self.run.clone() };
        let (folder, record) = measured(&run, BENCH, &scope, grid)?;
        plans.extend(calibrated(self.calibrations / 2));

        let mut further = vec![Candidate::new("plan in force", *plan_in_force(Policy::User), Knows::Nothing)];
        // Those that found the same plan are one.
        let (all, mut number) = (plans.len(), 0);
        while let Some(plan) = plans.first().copied() {
            let before = plans.len();
            plans.retain(|other| *other != plan);
            number += 1;
            let name = format!("{CALIBRATION} {number}, {} of {all}", before - plans.len());
            further.push(Candidate::new(name, plan, Knows::Nothing));
        }
        let choice = Choice::Measured(MEMCPY_AUTO);
        further.push(Candidate { name: MEMCPY_AUTO.to_owned(), choice, knows: Knows::Nothing });
        let validation = Validation::of(&records::name(&folder), &record, further)
            .map_err(|why| format!("{}: {why}: nothing is judged", folder.display()))?;
        self.show(&[validation], &[])?;
        Ok(if record.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
    }

    /// The kernels that a plan may name, beside libc and `memcpy_auto`.
    fn scope(&self) -> Result<Scope, String> {
        let planned = kernels().iter().filter(|kernel| kernel.may_be_planned() && kernel.is_available());
        let mut names: Vec<String> = planned.map(|kernel: &Kernel| kernel.name().to_owned()).collect();
        names.sort_unstable();
        Ok(Scope { kernels: names, peers: self.peer.clone(), ..Scope::of(self.run.effort()?) })
    }

    fn show(&self, validations: &[Validation], passed_over: &[(PathBuf, String)]) -> Result<(), String> {
        if self.run.json {
            let why = |(folder, why): &(PathBuf, String)| json!({ "record": folder, "why": why });
            json::print(&json!({
                "records": validations.iter().map(of_record).collect::<Vec<Value>>(),
                "passed_over": passed_over.iter().map(why).collect::<Vec<Value>>(),
            }))
        } else if self.markdown {
            Ok(print(validation_markdown(validations))?)
        } else {
            Ok(print(validation_text(validations))?)
        }
    }
}

/// All figures of a record. Times are ratios, below 1 is faster.
fn of_record(validation: &Validation) -> Value {
    let of_way = |way: &Way| {
        let plans = validation.candidates.iter().zip(&way.figures);
        json!({
            "residency": way.residency.name(),
            "cells": way.cells,
            "held_back": way.is_held_back,
            "plans": plans.filter_map(|(candidate, figures)| Some(of_plan(candidate, figures.as_ref()?))).collect::<Vec<Value>>(),
        })
    };
    json!({
        "record": validation.record,
        "cpu": validation.signature,
        "microarchitecture": validation.microarchitecture,
        "ways": validation.ways.iter().map(of_way).collect::<Vec<Value>>(),
        "inlined": validation.inlined.map(|(cells, over_libc)| json!({ "cells": cells, "time_over_libc": over_libc })),
    })
}

fn of_plan(candidate: &Candidate, figures: &Figures) -> Value {
    let plan = match &candidate.choice {
        Choice::Plan(plan) => Some(plan.to_string()),
        Choice::ByWay(_) | Choice::Measured(_) => None,
    };
    json!({
        "name": candidate.name,
        "plan": plan.map(|plan| plan.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>()),
        "is_written_with_a_record": candidate.knows == Knows::ItsCpu,
        "in_sample": figures.is_in_sample,
        "cells": figures.cells,
        "time_over_libc": figures.over_libc,
        "time_over_best_kernel": figures.over_best,
        "slow_share": figures.slow_share,
        "worst": {
            "class": figures.worst.class.name(),
            "from_bytes": figures.worst.from_bytes,
            "cells": figures.worst.cells,
            "time_over_best_kernel": figures.worst.over_best,
        },
    })
}
