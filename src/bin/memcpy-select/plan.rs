//! `plan`: the plan that a record gives, and how a program uses it.

use crate::json;
use crate::policy::policy;
use clap::Args;
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::copies::CopyRecord;
use memcpy_select::lab::copies::plan::plan;
use memcpy_select::lab::copies::show::use_this_plan;
use memcpy_select::lab::record::file::{self, NewFile};
use memcpy_select::lab::show;
use memcpy_select::select::{CpuName, PlanText, Policy};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print the plan that a record of `cargo bench` gives, and how a program uses it.
#[derive(Args)]
#[command(after_help = "Example: memcpy-select plan results/local/amd-26-2-1-kvm/2026-11-23.1 --save copy.plan")]
pub struct Plan {
    /// The folder of a record: results/local/<machine>/<date>.<n>
    record: PathBuf,
    /// What the callers may use
    #[arg(long, default_value = "user", value_parser = policy(&["user", "no-simd"]))]
    policy: Policy,
    /// Keep the plan in this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Plan {
    pub fn run(self) -> Result<ExitCode, String> {
        let record = CopyRecord::read(&self.record).map_err(|error| error.to_string())?;
        let policy = self.policy;
        let signature = &record.environment.cpu.signature;
        let found = plan([&record].into_iter(), policy).zip(CpuName::named(signature));
        let (plan, cpu) = found.ok_or_else(|| {
            format!(
                "{}: a record of bench {} gives no plan: it holds no copies of several lengths by kernels of this build; \
                 name one that `cargo bench` wrote",
                self.record.display(),
                record.bench
            )
        })?;
        let text = PlanText { cpu, policy, plan }.to_string();
        if let Some(path) = &self.save {
            keep(path, &text)?;
        }
        let here = CpuName::of(&Cpu::detect().signature);
        if self.json {
            json::print(&json!({
                "cpu": signature, "is_this_cpu": cpu == here, "text": text,
                "plan": text.lines().collect::<Vec<_>>(), "saved": self.save,
            }))?;
            return Ok(ExitCode::SUCCESS);
        }
        show::print(use_this_plan(&text, self.save.as_deref()))?;
        if cpu != here {
            show::print(format_args!("\nThis machine is another CPU, {here}: it refuses the plan.\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Keeps a plan in a file that must not exist yet.
pub fn keep(path: &Path, text: &str) -> Result<(), String> {
    file::create(path, text.as_bytes()).map_err(|error| not_kept(path, &error))
}

/// Whether [`keep`] can make that file, as far as can be told before there is a plan.
pub fn may_keep(path: &Path) -> Result<(), String> {
    NewFile::begin(path).map(drop).map_err(|error| not_kept(path, &error))
}

fn not_kept(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}: the plan is not kept; name a file that can be made and does not exist", path.display())
}
