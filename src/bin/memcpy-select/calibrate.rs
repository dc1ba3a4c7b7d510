//! `calibrate`: the best plan for this machine, from a fraction of a second of measuring.

use clap::Args;
use memcpy_select::cpu::Cpu;
use memcpy_select::select::{CpuName, PlanText, Policy, calibrate};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Find the best plan for this machine in under a third of a second, and print it.
///
/// A program loads a saved plan with memcpy_select::select::load, or calls calibrate() itself.
#[derive(Args)]
pub struct Calibrate {
    /// Keep the plan in this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

impl Calibrate {
    pub fn run(self) -> Result<ExitCode, String> {
        let calibration = calibrate();
        print!("{calibration}");
        if let Some(path) = self.save {
            let cpu = CpuName::of(&Cpu::detect().signature);
            let text = PlanText { cpu, policy: Policy::User, plan: calibration.plan };
            let write = || File::create_new(&path)?.write_all(text.to_string().as_bytes());
            write().map_err(|error| {
                format!(
                    "{}: {error}: the plan is not kept; name a file that can be made and does not exist",
                    path.display()
                )
            })?;
            println!("saved: {}", path.display());
        }
        Ok(ExitCode::SUCCESS)
    }
}
