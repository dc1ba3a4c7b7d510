//! `xsave`: what saving and restoring vector registers costs here, and from which length on that pays.

use crate::measuring::{Measuring, document, print_text};
use crate::plan::{keep, may_keep};
use crate::{json, records};
use clap::Args;
use memcpy_select::lab::experiment::{Lines, grid_of, run};
use memcpy_select::lab::instruments::affinity::pin;
use memcpy_select::lab::instruments::buffers::Buffers;
use memcpy_select::lab::sections::ring0::Ring0;
use memcpy_select::lab::sections::show::{Figures, Parameters, section_plan};
use memcpy_select::lab::sections::{BENCH, SectionRecord, Sections};
use memcpy_select::lab::show::{count, say};
use memcpy_select::select::{CpuName, PlanText, Policy};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  memcpy-select xsave
      The costs of XSAVE and its relatives here, where sections pay, and how right the model was
  memcpy-select xsave --record results/intel-6-167-1-masked-kvm/2026-11-24.2 --json
      The same of an older run, as JSON
  memcpy-select xsave --entry-cycles 60 --trap-cycles 900
      With what your kernel's own entry and a trap cost, which user mode cannot measure
  memcpy-select xsave --ring0 ring0.log
      With what the kernel of tests/ring0, booted on this machine, measured of that instead

The prediction of all sections is in the record before the first of them is measured.";

/// Measure what saving and restoring vector registers costs, and say from which length on a copy is worth it.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Xsave {
    #[command(flatten)]
    run: Measuring,
    /// What entering and leaving a section costs without the registers, in core cycles: modelled, not measured [default: 0]
    #[arg(long, value_name = "CYCLES")]
    entry_cycles: Option<f64>,
    /// What a trap costs, in core cycles [default: measured in ring 0, or a system call's]
    #[arg(long, value_name = "CYCLES")]
    trap_cycles: Option<f64>,
    /// How many sections there are between an entry from user mode and the return to it
    #[arg(long, value_name = "N", default_value_t = 4)]
    sections: u32,
    /// In which share of the interrupts vector registers may be used, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    usable_share: f64,
    /// Measure nothing: the figures of the record in this folder
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["out", "resume"])]
    record: Option<PathBuf>,
    /// Keep what the kernel of tests/ring0 measured on this CPU, from the log of its serial port; with --record, in a new record
    /// beside that one
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    ring0: Option<PathBuf>,
    /// Keep figures of an emulated ring 0, too, marked as not real; nothing is derived from them
    #[arg(long, requires = "ring0")]
    unreal: bool,
    /// Write the best plan for sections into this file, which must not exist yet: for Policy::Section
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// How many copies share a section in that plan
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..), requires = "plan")]
    copies: u32,
}

impl Xsave {
    pub fn run(self) -> Result<ExitCode, String> {
        let parameters = self.parameters()?;
        if let Some(path) = &self.plan {
            may_keep(path)?;
        }
        let (folder, record) = match &self.record {
            Some(folder) => self.kept(folder)?,
            None => self.measure()?,
        };
        let figures = Figures::of(&record, &parameters);
        if let Some(path) = &self.plan {
            self.write_plan(path, &record, &parameters)?;
        }
        if self.run.json {
            let mut document = document(&folder, Box::new(record))?;
            document["xsave"] = serde_json::to_value(&figures).map_err(|error| error.to_string())?;
            json::print(&document)?;
        } else {
            print_text(&folder, &format!("{figures}\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn parameters(&self) -> Result<Parameters, String> {
        let is_cost = |cycles: f64| cycles.is_finite() && cycles >= 0.0;
        if ![self.entry_cycles, self.trap_cycles].into_iter().flatten().all(is_cost) {
            return Err("--entry-cycles and --trap-cycles are costs: give a number of cycles from 0 on".to_owned());
        }
        if !(0.0..=1.0).contains(&self.usable_share) {
            return Err(format!("--usable-share {}: a share lies between 0 and 1", self.usable_share));
        }
        Ok(Parameters {
            entry_cycles: self.entry_cycles,
            trap_cycles: self.trap_cycles,
            sections: self.sections,
            usable_share: self.usable_share,
        })
    }

    /// The figures from ring 0 for a record of this CPU.
    fn ring0(&self, signature: &str) -> Result<Option<Ring0>, String> {
        let read = |path: &PathBuf| Ring0::read(path, signature, self.unreal).map_err(|error| error.to_string());
        self.ring0.as_ref().map(read).transpose()
    }

    /// An older record. With figures from ring 0 it is a new one: a record is never changed.
    fn kept(&self, folder: &Path) -> Result<(PathBuf, SectionRecord), String> {
        let found = records::read(folder, BENCH, SectionRecord::of)?;
        let Some(ring0) = self.ring0(&found.environment.cpu.signature)? else { return Ok((folder.to_owned(), found)) };
        let with_ring0 = ring0.beside(folder).map_err(|error| error.to_string())?;
        let found = records::read(&with_ring0, BENCH, SectionRecord::of)?;
        Ok((with_ring0, found))
    }

    fn measure(&self) -> Result<(PathBuf, SectionRecord), String> {
        let ring0 = self.ring0(&records::here())?;
        let effort = self.run.effort()?;
        let start = self.run.start(effort, pin());
        let buffers = Buffers::new(Sections::MAX_LEN_BYTES).map_err(|error| error.to_string())?;
        let mut sections = Sections::new(effort, start.pinned_to, &buffers)?;
        let environment = start.environment()?;
        let mut growing = start.open(BENCH, environment, &grid_of(effort))?;
        if let Some(ring0) = ring0 {
            ring0.keep_in(&mut growing).map_err(|error| error.to_string())?;
        }
        let (folder, kept) = run(&mut sections, growing, &Lines::new())?;
        Ok((folder, SectionRecord::of_kept(kept).map_err(|error| error.to_string())?))
    }

    fn write_plan(&self, path: &Path, record: &SectionRecord, parameters: &Parameters) -> Result<(), String> {
        let signature = &record.environment.cpu.signature;
        let plan = section_plan(record, parameters, self.copies);
        let (Some(plan), Some(cpu)) = (plan, CpuName::named(signature)) else {
            return Err(format!(
                "the record of {signature} gives no plan: it holds no copies by kernels of this build"
            ));
        };
        let text = PlanText { cpu, policy: Policy::Section, plan }.to_string();
        keep(path, &text)?;
        say(format_args!("plan for sections of {}: {}", count(self.copies, "copy"), path.display()));
        Ok(())
    }
}
