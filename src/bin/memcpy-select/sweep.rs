//! `sweep`: measures a grid of the reader's choice, in a record that whatever ends the process leaves whole.

use crate::measuring::Measuring;
use clap::Args;
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::copies::cell::Cell;
use memcpy_select::lab::copies::scope::{self, Scope};
use memcpy_select::lab::copies::{BENCH, Copies, CopyRecord, SWEEP, Verified};
use memcpy_select::lab::experiment::{Lines, run};
use memcpy_select::lab::instruments::affinity::pin;
use memcpy_select::lab::record::{CallLengths, Listed};
use memcpy_select::select::{Policy, install_file};
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  memcpy-select sweep --effort quick
      All that the effort has: in seconds, which kernel wins where on this CPU
  memcpy-select sweep --sizes 64,1000,4KiB..64MiB --offsets 0:0,0:1
      64 and 1000 bytes, and each power of two from 4 KiB to 64 MiB, aligned and with a misaligned source
  memcpy-select sweep --sizes 1MiB --residency hot,cold --kernels avx_nt,rep_movsb --json
      Two kernels beside libc and memcpy_auto, as one JSON document
  memcpy-select sweep --sizes 64KiB..16MiB --threads 1,2
      One core, then two at once: what a kernel loses where they share a cache or the memory
  memcpy-select sweep --sizes 2113 --distances 0..64,128,256,512 --effort quick
      Which kernels are slow where the destination follows the source closely modulo 4096, as large blocks of malloc do
  memcpy-select sweep --workload results/local/amd-26-2-1-kvm/2026-11-29.3 --effort quick
      Calls as long as those of a program that `memcpy-select profile` has recorded
  memcpy-select sweep --effort full --peer other=/path/lib.so
      Another library's memcpy in the same run
  memcpy-select sweep --resume results/amd-25-1-1-kvm/2026-11-23.1
      Go on where a run was ended, by Ctrl-C or anything else

The record is written as it is measured, <out>/<machine>/<date>.<n>; results/FORMAT.md says what is in it. Its samples \
are for report, compare and explain --record; a profile is made from `cargo bench` alone. A kernel or peer that copies \
wrongly or crashes is left out and named, the others are measured, and the exit status is 2.";

/// Measure copy kernels over a grid of sizes, offsets and residencies, and keep a record.
///
/// Without --sizes, --offsets, --distances, --residency and --threads, the grid is the effort's. If any of them is given, the others
/// default to the effort's sizes, to 0:0, and to hot. libc, the baseline, and memcpy_auto are always measured.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Sweep {
    #[command(flatten)]
    run: Measuring,
    /// Lengths, as in 64,4k,1MiB (see `memcpy-select --help`), up to 1GiB; A..B is each power of two from A to B
    #[arg(long, value_name = "LIST")]
    sizes: Option<String>,
    /// Offsets destination:source from a cache line, below 2048; the source stands half a page further
    #[arg(long, value_name = "LIST")]
    offsets: Option<String>,
    /// Distances from the source to the destination modulo 4096, as in 0,15,0xA00,1..63; the source stands where malloc puts
    /// short blocks, at page + 16
    #[arg(long, value_name = "LIST")]
    distances: Option<String>,
    /// Kernels by name; without it, all that this CPU can run
    #[arg(long, value_name = "LIST")]
    kernels: Option<String>,
    /// hot: the same buffers again; cold: others each time; touch: as hot, and the copy is read; used: other code
    /// writes the destination and reads the source before each copy; read: as used, and every byte of the copy is read in the
    /// time that counts; crowd: as hot, on all
    /// CPUs at once. May be given several times
    #[arg(long, value_name = "LIST")]
    residency: Vec<String>,
    /// This many threads at once, hot, each on a CPU and in buffers of its own; figures are of one of them. 1,2,4 measures
    /// each of these
    #[arg(long, value_name = "LIST")]
    threads: Option<String>,
    /// A saved plan for memcpy_auto to follow, instead of the one that this CPU starts with
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// What a program was seen to copy: a record of `profile`, or its workload.csv. Without other lists the grid is its calls, in
    /// sequences, and its long lengths by themselves
    #[arg(long, value_name = "FILE")]
    workload: Option<PathBuf>,
    /// The memcpy of a shared object, measured under that name. May be given several times
    #[arg(long, value_name = "NAME=PATH")]
    peer: Vec<String>,
}

impl Sweep {
    pub fn run(self) -> Result<ExitCode, String> {
        let scope = self.scope()?;
        let grid = scope.grid().map_err(text)?;
        if let Some(path) = &self.plan {
            let policy = install_file(path).map_err(text)?;
            if policy != Policy::User {
                return Err(format!(
                    "{}: the plan is not for memcpy_auto, which follows those of policy user: nothing was measured",
                    path.display()
                ));
            }
        }
        let (folder, record) = measured(&self.run, self.bench()?, &scope, grid)?;
        // What was asked for and copies wrongly has no figure.
        let status = if record.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) };
        self.run.show(&folder, Box::new(record))?;
        Ok(status)
    }

    /// The bench that the samples are of: that of the record to go on with, which may be one of `cargo bench`.
    fn bench(&self) -> Result<&'static str, String> {
        let Some(folder) = &self.run.resume else { return Ok(SWEEP) };
        let found = Listed::read(folder).map_err(text)?.bench;
        Ok(if found == BENCH { BENCH } else { SWEEP })
    }

    /// What the options say; where a record is resumed without any, what its run was started with.
    fn scope(&self) -> Result<Scope, String> {
        let lists = [&self.sizes, &self.offsets, &self.distances, &self.kernels, &self.threads];
        let is_silent = self.run.effort.is_none()
            && lists.iter().all(|list| list.is_none())
            && self.residency.is_empty()
            && self.workload.is_none()
            && self.peer.is_empty();
        if let (Some(started), true) = (self.run.started()?, is_silent) {
            return Scope::read(&started).map_err(text);
        }
        let mut scope = Scope::of(self.run.effort()?);
        if let Some(list) = &self.sizes {
            scope.sizes = scope::sizes(list).map_err(text)?;
        }
        if let Some(list) = &self.offsets {
            scope.offsets = scope::offsets(list).map_err(text)?;
        }
        if let Some(list) = &self.distances {
            scope.distances = scope::distances(list).map_err(text)?;
        }
        if let Some(list) = &self.kernels {
            scope.kernels = scope::kernel_names(list).map_err(text)?;
        }
        if !self.residency.is_empty() {
            scope.residencies = scope::residencies(&self.residency.join(",")).map_err(text)?;
        }
        if let Some(list) = &self.threads {
            scope.residencies.extend(scope::threads(list).map_err(text)?);
        }
        if let Some(path) = &self.workload {
            scope.workload = Some(CallLengths::read(path).map_err(text)?);
        }
        scope.peers.clone_from(&self.peer);
        Ok(scope)
    }
}

/// Says what machine this is, and measures every cell in a record that grows.
pub fn measured(
    run_as: &Measuring,
    bench: &str,
    scope: &Scope,
    grid: Vec<Vec<Cell>>,
) -> Result<(PathBuf, CopyRecord), String> {
    let start = run_as.start(scope.effort, pin());
    let mut environment = start.environment()?;
    let verified = Verified::of_scope(scope, &mut environment)?;
    let buffer_bytes = scope.buffer_bytes(&grid, &Cpu::detect());
    let copies = Copies::new(&verified, grid, buffer_bytes, scope.effort)?;
    let mut copies = copies.with_lengths(scope.workload.clone());
    let growing = start.open(bench, environment, &scope.to_string())?;
    let (folder, kept) = run(&mut copies, growing, &Lines::new())?;
    Ok((folder, kept.into()))
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
