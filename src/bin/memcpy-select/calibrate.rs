//! `calibrate`: the best plan for this machine, from a fraction of a second of measuring.

use crate::json;
use crate::plan::{keep, may_keep};
use clap::Args;
use memcpy_select::report::print;
use memcpy_select::select::{Calibration, Plan, calibrate};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Find the best plan for this machine in under a third of a second, and print it.
///
/// A program puts a saved plan in force with memcpy_select::select::install_file, or measures one with calibrate() and
/// passes it to install_owned().
#[derive(Args)]
pub struct Calibrate {
    /// Keep the plan in this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Calibrate {
    pub fn run(self) -> Result<ExitCode, String> {
        if let Some(path) = &self.save {
            may_keep(path)?;
        }
        let calibration = calibrate();
        if !self.json {
            print(&calibration)?;
        }
        let text = calibration.text();
        if let Some(path) = &self.save {
            keep(path, &text)?;
            if !self.json {
                print(format_args!("saved: {}\n", path.display()))?;
            }
        }
        if self.json {
            json::print(&document(&calibration, &text, self.save.as_deref()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What was found: the plan as bands and as the text that a program loads, and how sure it is.
fn document(calibration: &Calibration, text: &str, saved: Option<&Path>) -> Value {
    let lines = |plan: &Plan| -> Vec<String> { plan.to_string().lines().map(|line| line.trim().to_owned()).collect() };
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
        "text": text,
        "saved": saved.map(|path| path.display().to_string()),
    })
}
