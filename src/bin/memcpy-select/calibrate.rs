//! `calibrate`: the best plan for this machine, from a fraction of a second of measuring.

use crate::json;
use crate::plan::{keep, may_keep};
use clap::Args;
use memcpy_select::lab::record::CallLengths;
use memcpy_select::lab::show::print;
use memcpy_select::select::{CALIBRATE_MAX_TIME, Calibration, Plan, Plans, SavedPlan, calibrate_weighted};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Find the best plan for this machine in under a third of a second, and print it.
///
/// A program that calls memcpy_select::tune() uses the saved plan, and makes it where there is none. It is in
/// $XDG_CACHE_HOME/memcpy-select or $HOME/.cache/memcpy-select, by the name of the CPU and the version of the crate. A plan in
/// another file is put in force with memcpy_select::select::install_file.
#[derive(Args)]
pub struct Calibrate {
    /// Keep the plan in this file, which must not exist yet; without a name, as the saved plan of this machine, in the
    /// place of the one that is there
    #[arg(long, value_name = "FILE")]
    save: Option<Option<PathBuf>>,
    /// Weigh lengths by what a program was seen to copy: a record of `profile`, or its workload.csv
    #[arg(long, value_name = "FILE", conflicts_with_all = ["show", "forget"])]
    workload: Option<PathBuf>,
    /// Measure nothing: say where the saved plan is, whether programs here use it, and what it is
    #[arg(long, conflicts_with_all = ["save", "forget"])]
    show: bool,
    /// Measure nothing: remove the saved plan, if there is one
    #[arg(long, conflicts_with = "save")]
    forget: bool,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Calibrate {
    pub fn run(self) -> Result<ExitCode, String> {
        if self.show {
            show(&saved_plan()?, self.json)?;
        } else if self.forget {
            forget(&saved_plan()?, self.json)?;
        } else {
            self.calibrate()?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn calibrate(self) -> Result<(), String> {
        let place = self.save.map(Place::new).transpose()?;
        if let Some(place) = &place {
            place.may_keep()?;
        }
        let lengths = self.workload.as_deref().map(CallLengths::read).transpose().map_err(|error| error.to_string())?;
        let weigh = |len_bytes| lengths.as_ref().map_or(1.0, |lengths| lengths.weight(len_bytes));
        let calibration = calibrate_weighted(CALIBRATE_MAX_TIME, weigh, |_| {});
        if !self.json {
            print(&calibration)?;
        }
        if let Some(place) = &place {
            place.keep(&calibration)?;
            if !self.json {
                print(format_args!("saved: {}\n", place.path().display()))?;
            }
        }
        if self.json {
            json::print(&document(&calibration, place.as_ref().map(Place::path)))?;
        }
        Ok(())
    }
}

/// Where a plan is kept.
enum Place {
    File(PathBuf),
    Saved(SavedPlan),
}

impl Place {
    fn new(file: Option<PathBuf>) -> Result<Self, String> {
        file.map_or_else(|| saved_plan().map(Self::Saved), |path| Ok(Self::File(path)))
    }

    fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Saved(saved) => saved.path(),
        }
    }

    fn may_keep(&self) -> Result<(), String> {
        match self {
            Self::File(path) => may_keep(path),
            Self::Saved(saved) => saved.may_save().map_err(|error| error.to_string()),
        }
    }

    fn keep(&self, calibration: &Calibration) -> Result<(), String> {
        match self {
            Self::File(path) => keep(path, &calibration.text()),
            Self::Saved(saved) => saved.save(calibration).map_err(|error| error.to_string()),
        }
    }
}

fn saved_plan() -> Result<SavedPlan, String> {
    SavedPlan::here().map_err(|error| error.to_string())
}

fn show(saved: &SavedPlan, is_json: bool) -> Result<(), String> {
    let (path, found) = (saved.path().display(), saved.load());
    if is_json {
        return json::print(&json!({
            "path": path.to_string(),
            "exists": !matches!(found, Ok(None)),
            "is_valid": matches!(found, Ok(Some(_))),
            "refused": found.as_ref().err().map(|error| error.cause.to_string()),
            "plan": found.as_ref().ok().and_then(Option::as_ref).map(|plans| lines(&plans.user)),
            "no_simd_plan": found.as_ref().ok().and_then(Option::as_ref).map(|plans| lines(&plans.no_simd)),
        }));
    }
    match found {
        Ok(Some(Plans { user, no_simd, .. })) => {
            print(format_args!("{path}: programs here use this plan:\n{user}\nwithout SIMD this one:\n{no_simd}"))?;
        }
        Ok(None) => print(format_args!("{path}: there is no saved plan; --save makes one\n"))?,
        Err(error) => {
            print(format_args!("programs here make a new plan, since they refuse the saved one:\n{error}\n"))?
        }
    }
    Ok(())
}

fn forget(saved: &SavedPlan, is_json: bool) -> Result<(), String> {
    let path = saved.path().display();
    let is_removed =
        saved.forget().map_err(|error| format!("{path}: {error}: nothing was removed; remove it by other means"))?;
    if is_json {
        return json::print(&json!({ "path": path.to_string(), "removed": is_removed }));
    }
    Ok(print(if is_removed { format!("removed: {path}\n") } else { format!("{path}: there was no saved plan\n") })?)
}

/// The bands of a plan.
fn lines(plan: &Plan) -> Vec<String> {
    plan.to_string().lines().map(|line| line.trim().to_owned()).collect()
}

/// What was found: the plan as bands and as the text that a program loads, and how sure it is.
fn document(calibration: &Calibration, saved: Option<&Path>) -> Value {
    json!({
        "plan": lines(&calibration.plan),
        "before": lines(&calibration.before),
        "is_new": calibration.plan != calibration.before,
        "gain": calibration.gain,
        "ranges": calibration.verdicts.iter().map(|range| json!({
            "from_bytes": range.from_bytes, "up_to_bytes": (range.up_to_bytes < usize::MAX).then_some(range.up_to_bytes),
            "before": range.before, "wanted": range.wanted, "is_changed": range.is_changed, "points": range.points,
            "points_for": range.points_for, "gain": range.gain, "error": range.error,
        })).collect::<Vec<Value>>(),
        "noise_floor": calibration.noise_floor,
        "points": calibration.points.0,
        "points_planned": calibration.points.1,
        "took_ms": calibration.took.as_secs_f64() * 1e3,
        "text": calibration.text(),
        "saved": saved.map(|path| path.display().to_string()),
    })
}
