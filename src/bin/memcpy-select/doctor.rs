//! `doctor`: what speaks against figures from this machine.

use crate::json;
use clap::Args;
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::instruments::conditions::{State, conditions};
use memcpy_select::lab::show::{count, hanging, print};
use serde_json::json;
use std::fmt::Write;
use std::process::ExitCode;

/// Say what makes figures from this machine untrustworthy, and the command that helps. Changes nothing.
#[derive(Args)]
pub struct Doctor {
    /// One JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub fn run(self) -> Result<ExitCode, String> {
        let cpu = Cpu::detect();
        // The benches pin themselves; whether this program is pinned says nothing about them.
        let found: Vec<_> =
            conditions(&cpu, None).into_iter().filter(|condition| condition.name != "pinning").collect();
        if self.json {
            let rows: Vec<_> = found
                .iter()
                .map(|found| {
                    json!({"name": found.name, "state": found.state.name(), "finding": found.finding, "fix": found.fix})
                })
                .collect();
            json::print(&json!({"cpu": cpu.signature.to_string(), "conditions": rows}))?;
            return Ok(ExitCode::SUCCESS);
        }
        let machine = format!("{} ({}, {})", cpu.signature.brand(), cpu.signature.microarch(), cpu.signature);
        let mut text = format!("{}\n", hanging(0, &machine));
        for condition in &found {
            let line = format!("{:<8}{:<14}{}", condition.state.name(), condition.name, condition.finding);
            text.push_str(&hanging(22, &line));
            if let Some(command) = condition.fix {
                let _ = writeln!(text, "{:22}{command}", "");
            }
        }
        let warnings = found.iter().filter(|condition| condition.state == State::Warn).count();
        let warnings = count(warnings, "warning");
        print(format_args!("{text}\n{warnings}; every record keeps these lines\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}
