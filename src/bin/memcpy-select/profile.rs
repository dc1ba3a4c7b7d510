//! `profile`: runs a program with the recorder in it, and says what it copies.

use crate::{json, measuring};
use clap::Args;
use clap::builder::PossibleValuesParser;
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::Evidence;
use memcpy_select::lab::calls::{BENCH, Calls, CallsRecord, Job, Under};
use memcpy_select::lab::experiment::{Lines, run};
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::instruments::preload::RECORDER;
use memcpy_select::lab::record::{Environment, Growing};
use memcpy_select::lab::show::say;
use memcpy_select::select::{CpuName, PlanText, Policy, SavedPlan, install_owned, load_file, plan_in_force};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const AFTER_HELP: &str = "\
Examples:
  memcpy-select profile -- sqlite3 test.db < queries.sql
      What it copies: lengths, places, call sites, what copying costs, and what another way to copy would save
  memcpy-select profile --pid-of-children --out results/local -- make -j2
      Each process that make starts, by itself
  memcpy-select profile --every 64 --seconds 30 -- redis-server
      More samples, and after 30 seconds the server is asked to end
  memcpy-select profile --json -- ls > copies.json
      One document; what ls prints goes to the standard error
  memcpy-select sweep --workload results/local/<machine>/<date>.<n>
      Every kernel at calls as long as those that were recorded

What is found goes to the standard error, and the program keeps its terminal, its descriptors and its environment, with \
LD_PRELOAD for the recorder. What another process sends to this one (SIGTERM and others) is passed on; Ctrl-C ends the program, and \
what was recorded is shown. The exit status is the program's, 128 and the number of the signal that ended it, or 2 for what this verb \
itself could not do.

At most 64 processes are kept by themselves, those with most calls, and the others together; a recording takes up to 5 MiB while \
its process runs. Programs that are linked statically, or run with another user's rights, run unchanged and are not recorded.";

/// Run a program with a recorder in it, and say what it copies, what that costs, and what another way to copy would save.
///
/// Every call of memcpy, memmove, mempcpy and memset is counted by its length. One in some hundred, chosen at random, is looked
/// at: where it is, where it comes from, and how long it takes. Two routines carry the calls out in turns of random order.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Profile {
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
    /// Show each process by its number and program, not only all of them together
    #[arg(long)]
    pid_of_children: bool,
    /// Sample one call in that many
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    every: u32,
    /// What carries out the calls: the installed libc's routines and the plan's kernels in turns, so that they are compared; or one
    /// of them alone
    #[arg(long, value_name = "ROUTINE", default_value = "both", value_parser = PossibleValuesParser::new(Under::ALL.map(Under::name)))]
    under: String,
    /// The plan that is compared with libc; without it, the saved one of this machine, else the one that this CPU starts with
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Ask the program to end after that long, by SIGTERM
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    seconds: Option<u64>,
    /// The recorder's library; without it, the one that MEMCPY_SELECT_RECORDER names, else the one beside this program
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// The folder of the records
    #[arg(long, value_name = "DIR", default_value = "results/local")]
    out: PathBuf,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
}

impl Profile {
    pub fn run(self) -> Result<ExitCode, String> {
        let library =
            RECORDER.locate(self.library.as_deref()).map_err(|error| format!("the program was not run: {error}"))?;
        let plan = plan(self.plan.as_deref())?;
        let job = Job {
            command: self.command,
            library,
            period: self.every,
            under: Under::ALL.into_iter().find(|under| under.name() == self.under).unwrap_or(Under::Both),
            plan,
            limit: self.seconds.map(Duration::from_secs),
            is_output_taken: self.json,
        };
        // Not pinned: the program would be, too.
        let environment = Environment::gather(&Cpu::detect(), Effort::Default, None);
        let mut calls = Calls::new(job, *plan_in_force(Policy::User), self.pid_of_children);
        let growing =
            Growing::create(&self.out, BENCH, environment, &calls.grid()).map_err(|error| error.to_string())?;
        let begun = growing.folder().to_owned();
        let (folder, kept) = run(&mut calls, growing, &Lines::new()).inspect_err(|_| {
            // Nothing was run, so that there is nothing to keep.
            let _ = std::fs::remove_dir_all(&begun);
        })?;
        let record = CallsRecord::of_kept(kept).map_err(|error| error.to_string())?;
        if self.json {
            json::print(&measuring::document(&folder, Box::new(record))?)?;
        } else {
            say(format_args!("{}record: {}", record.text(), folder.display()));
        }
        Ok(ExitCode::from(calls.status()))
    }
}

/// Puts the plan in force that the recorded program is to follow, so that the record says it; its text, if the program would not
/// find it by itself.
fn plan(given: Option<&Path>) -> Result<Option<String>, String> {
    let variable = std::env::var_os("MEMCPY_SELECT_PLAN").map(PathBuf::from);
    let found = match given.map(Path::to_owned).or(variable) {
        Some(path) => {
            let (policy, plan) = load_file(&path).map_err(|error| error.to_string())?;
            if policy != Policy::User {
                return Err(format!(
                    "{}: the plan is not for memcpy_auto, which follows those of policy user: the program was not run; name another \
                     with --plan",
                    path.display()
                ));
            }
            Some(plan)
        }
        None => SavedPlan::here().ok().and_then(|saved| saved.load().ok().flatten()).map(|plans| plans.user),
    };
    let Some(plan) = found else { return Ok(None) };
    install_owned(Policy::User, plan).map_err(|error| error.to_string())?;
    let cpu = CpuName::of(&Cpu::detect().signature);
    Ok(Some(PlanText { cpu, policy: Policy::User, plan }.to_string()))
}
