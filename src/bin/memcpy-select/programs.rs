//! `programs`: where a better copy moves a whole program.

use crate::measuring::Measuring;
use clap::Args;
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::experiment::{Lines, run};
use memcpy_select::lab::instruments::preload::{DROP_IN, RECORDER, plan};
use memcpy_select::lab::programs::{BENCH, ProgramRecord, Programs, Scope, WORKLOADS, workloads};
use memcpy_select::lab::show::{print, say};
use memcpy_select::select::{CpuName, Plan, PlanText, Policy, SavedPlan, calibrate, install_owned, load_file};
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  memcpy-select programs --list
      The programs, what each does, and the packages that it is in
  memcpy-select programs --effort quick
      Each of them once with each libc
  memcpy-select programs --only redis,sqlite --rounds 20 --plan copy.plan

Programs are those of the distribution, in /usr/bin and beside it; `bash benches/programs/install` installs all. What is not \
there is named and left out. They work in a folder in memory or in TMPDIR, with about 1 GiB of files, and on sockets of their \
own; nothing stays. Let nothing else run meanwhile.";

/// Measure whole programs with this crate's copies in front of their C library.
///
/// Programs as they are installed, servers too, do their usual work with the installed libc, with the same tuned by its own
/// settings, with the drop-in library, and with the installed libc again, round by round. What they make is compared.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct ProgramsVerb {
    #[command(flatten)]
    run: Measuring,
    /// Workloads by name; without it, all
    #[arg(long, value_name = "LIST")]
    only: Option<String>,
    /// How many rounds, instead of the effort's: quick 1, default 8, full 25
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// The plan that the drop-in library follows; without it, the saved one, or what is measured for it now
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// The drop-in library, instead of the one beside this program or the one that MEMCPY_SELECT_LIBRARY names
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// GLIBC_TUNABLES of the tuned libc
    #[arg(long, value_name = "TEXT")]
    tunables: Option<String>,
    /// Measure nothing: print the workloads
    #[arg(long)]
    list: bool,
}

impl ProgramsVerb {
    pub fn run(self) -> Result<ExitCode, String> {
        if self.list {
            for one in WORKLOADS {
                print(format_args!(
                    "{:<12}{}: {}\n{:12}packages: {}\n",
                    one.name,
                    one.kind,
                    one.about,
                    "",
                    one.packages.join(" ")
                ))?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let library = DROP_IN.find(self.library.as_deref()).map_err(|error| error.to_string())?;
        let scope = self.scope()?;
        let start = self.run.start(scope.effort, None);
        let environment = start.environment()?;
        let recorder = RECORDER.find(None).map_err(|error| say(format_args!("nothing is predicted: {error}"))).ok();
        let mut programs = Programs::new(scope.clone(), &library, recorder.as_deref())?;
        let growing = start.open(BENCH, environment, &scope.to_string())?;
        let (folder, kept) = run(&mut programs, growing, &Lines::new())?;
        let record = ProgramRecord::of_kept(kept).map_err(|error| error.to_string())?;
        let has_failed = record.samples.iter().any(|sample| !sample.error.is_empty());
        self.run.show(&folder, Box::new(record))?;
        Ok(if has_failed { ExitCode::from(2) } else { ExitCode::SUCCESS })
    }

    /// What the options say; where a record is gone on with, what its run was started with.
    fn scope(&self) -> Result<Scope, String> {
        let mut scope = match self.run.started()? {
            Some(started) => Scope::read(&started).map_err(|error| error.to_string())?,
            None => Scope::of(self.run.effort()?, self.plan_text()?),
        };
        if let Some(list) = &self.only {
            scope.only = workloads(list).map_err(|error| error.to_string())?;
        }
        scope.rounds = self.rounds.unwrap_or(scope.rounds);
        if let Some(tunables) = &self.tunables {
            scope.tunables.clone_from(tunables);
        }
        // A record says which plan was in force.
        let (_, plan) = memcpy_select::select::load(&scope.plan, &Cpu::detect()).map_err(|error| error.to_string())?;
        install_owned(Policy::User, plan).map_err(|error| error.to_string())?;
        Ok(scope)
    }

    fn plan_text(&self) -> Result<String, String> {
        let text = |plan: Plan| {
            PlanText { cpu: CpuName::of(&Cpu::detect().signature), policy: Policy::User, plan }.to_string()
        };
        if let Some(path) = plan(self.plan.as_deref()).map_err(|error| error.to_string())? {
            let (_, plan) = load_file(&path).map_err(|error| error.to_string())?;
            say(format_args!("plan: {}", path.display()));
            return Ok(text(plan));
        }
        let saved = SavedPlan::here().ok();
        if let Some((saved, Ok(Some(plans)))) = saved.map(|saved| (saved.path().to_owned(), saved.load())) {
            say(format_args!("plan: {}", saved.display()));
            return Ok(text(plans.user));
        }
        say("plan: measured now, for the drop-in library alone");
        Ok(calibrate().text())
    }
}
