//! `calibrate`: the best plan for this machine, from a fraction of a second of measuring.

use crate::json;
use clap::Args;
use memcpy_select::cpu::Cpu;
use memcpy_select::select::{Calibration, CpuName, Plan, PlanText, Policy, calibrate};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Find the best plan for this machine in under a third of a second, and print it.
///
/// A program loads a saved plan with memcpy_select::select::load, or calls calibrate() itself.
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
        let calibration = calibrate();
        if !self.json {
            print!("{calibration}");
        }
        let cpu = CpuName::of(&Cpu::detect().signature);
        let text = PlanText { cpu, policy: Policy::User, plan: calibration.plan }.to_string();
        if let Some(path) = &self.save {
            let write = || File::create_new(path)?.write_all(text.as_bytes());
            write().map_err(|error| {
                format!(
                    "{}: {error}: the plan is not kept; name a file that can be made and does not exist",
                    path.display()
                )
            })?;
            if !self.json {
                println!("saved: {}", path.display());
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
        "noise_floor": calibration.noise_floor,
        "points": calibration.points.0,
        "points_planned": calibration.points.1,
        "took_ms": calibration.took.as_secs_f64() * 1e3,
        "text": text,
        "saved": saved.map(|path| path.display().to_string()),
    })
}
