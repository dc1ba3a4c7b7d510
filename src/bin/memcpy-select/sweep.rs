//! `sweep`: measures a grid of the reader's choice, in a record that whatever ends the process leaves whole.

use crate::json;
use crate::progress::Printer;
use clap::Args;
use memcpy_select::cpu::Cpu;
use memcpy_select::measure::cell::{Cell, Residency};
use memcpy_select::measure::conditions::conditions;
use memcpy_select::measure::contender::{Contender, LIBC, MEMCPY_AUTO};
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::peer::{self, PeerError};
use memcpy_select::measure::scope::{self, Scope};
use memcpy_select::measure::summary::{CellSummary, Summary};
use memcpy_select::measure::sweep::{self, Failure};
use memcpy_select::measure::verify::verify;
use memcpy_select::measure::words::unknown;
use memcpy_select::record::{Environment, Growing, PeerFile, Progress, Record};
use memcpy_select::report::{self, print, say};
use memcpy_select::select::{Policy, install_file};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The bench that the samples are of.
const BENCH: &str = "sweep";

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
    /// How much: quick (seconds), default (under a minute) or full (many minutes) [default: default]
    #[arg(long, value_name = "EFFORT", value_parser = effort_named)]
    effort: Option<Effort>,
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
    /// The memcpy of a shared object, measured under that name. May be given several times
    #[arg(long, value_name = "NAME=PATH")]
    peer: Vec<String>,
    /// The folder of the records
    #[arg(long, value_name = "DIR", default_value = "results/local")]
    out: PathBuf,
    /// Go on with the record in this folder, with the options it was started with: they need not be given again
    #[arg(long, value_name = "FOLDER", conflicts_with = "out")]
    resume: Option<PathBuf>,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
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
        let run = Run { bench: BENCH, scope: &scope, grid: &grid, out: &self.out, resume: self.resume.as_deref() };
        let (folder, record) = run.measured(self.json)?;

        let summary = Summary::of(&record.samples);
        if self.json {
            json::print(&document(&folder, &record, &summary))?;
        } else {
            print(tables(&summary, &record.environment))?;
            print(format_args!("record: {}\n", folder.display()))?;
        }
        // What was asked for and copies wrongly has no figure.
        Ok(if record.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
    }

    /// What the options say; where a record is resumed without any, what its run was started with.
    fn scope(&self) -> Result<Scope, String> {
        let lists = [&self.sizes, &self.offsets, &self.distances, &self.kernels, &self.threads];
        let is_silent = self.effort.is_none()
            && lists.iter().all(|list| list.is_none())
            && self.residency.is_empty()
            && self.peer.is_empty();
        if let (Some(folder), true) = (&self.resume, is_silent) {
            return scope_of(folder);
        }
        let mut scope = Scope::of(self.effort.unwrap_or(Effort::Default));
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
        scope.peers.clone_from(&self.peer);
        Ok(scope)
    }
}

/// What the run of a record was started with.
pub(super) fn scope_of(folder: &Path) -> Result<Scope, String> {
    let grid = Progress::read(folder).map_err(text)?.grid.ok_or_else(|| {
        format!("{}: this record does not say what was to be measured; start a new one", folder.display())
    })?;
    Scope::read(&grid).map_err(text)
}

/// What is measured, and where the record goes.
pub(super) struct Run<'a> {
    pub bench: &'a str,
    pub scope: &'a Scope,
    pub grid: &'a [Vec<Cell>],
    pub out: &'a Path,
    /// The record to go on with, instead of a new one.
    pub resume: Option<&'a Path>,
}

impl Run<'_> {
    /// Says what machine this is, measures every cell in a record that grows, and returns that.
    pub fn measured(&self, is_json: bool) -> Result<(PathBuf, Record), String> {
        let Self { bench, scope, grid, out, resume } = *self;
        let pinned_to = pin();
        let cpu = Cpu::detect();
        let mut environment = Environment::gather(&cpu, scope.effort, pinned_to);
        if !is_json {
            print(report::machine(&environment, &conditions(&cpu, pinned_to)))?;
        }
        let (contenders, failures) = contenders(scope, grid, &mut environment)?;
        let buffer_bytes = scope.buffer_bytes(grid, &cpu);
        let sweep = sweep::Sweep::new(contenders, buffer_bytes, scope.effort).map_err(text)?;
        let growing = match resume {
            Some(folder) => Growing::resume(folder, bench, &environment, &scope.to_string()),
            None => Growing::create(out, bench, environment, &scope.to_string()),
        };
        let mut growing = growing.map_err(text)?;
        growing.leave_out(failures).map_err(text)?;
        say(format_args!("record: {}, as it grows", growing.folder().display()));
        measure(sweep, growing, grid, scope.effort)
    }
}

pub(super) fn effort_named(word: &str) -> Result<Effort, String> {
    Effort::named(word).map_err(|_| unknown("effort", word, &Effort::ALL.map(Effort::name)))
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// Pins this thread to the last logical CPU it may use: not the first, which serves most interrupts.
pub(super) fn pin() -> Option<usize> {
    let allowed = sched_getaffinity(None).ok()?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu))?;
    let mut only = CpuSet::new();
    only.set(last);
    sched_setaffinity(None, &only).ok().map(|()| last)
}

/// What is measured, each verified, and what copies wrongly, in all cells. A peer that cannot be had is an error, for it was
/// asked for; what is known of the others goes into the environment.
fn contenders(
    scope: &Scope,
    grid: &[Vec<Cell>],
    environment: &mut Environment,
) -> Result<(Vec<Contender>, Vec<Failure>), String> {
    let is_wanted = |contender: &Contender| contender.name() == MEMCPY_AUTO || scope.has_kernel(contender.name());
    let mut failures = Vec::new();
    let mut fails = |name: &str, cause: &str| {
        say(format_args!("error: {cause}"));
        failures.extend(Failure::in_all(grid.iter().flatten().copied(), name, cause));
    };
    let mut contenders: Vec<Contender> = Contender::all_available().into_iter().filter(is_wanted).collect();
    contenders
        .retain(|contender| verify(contender).map_err(|wrong| fails(contender.name(), &wrong.to_string())).is_ok());
    for word in &scope.peers {
        let name = word.split('=').next().unwrap_or_default();
        let is_taken = environment.peers.iter().any(|peer| peer.name == name);
        if is_taken {
            return Err(format!("--peer {word}: the name is given twice; nothing was measured; choose another"));
        }
        match peer::try_apart(word).and_then(|()| peer::load(word)) {
            Ok(peer) => {
                environment.peers.push(PeerFile::of(&peer));
                contenders.push(peer.contender);
            }
            // It is as it was asked for, and not fit to be measured; the others are.
            Err(error @ (PeerError::Wrong(_) | PeerError::Crashed { .. })) => {
                environment.peers.push(PeerFile { name: name.to_owned(), file: None, hash: None });
                fails(name, &cause(&error));
            }
            Err(error) => return Err(format!("--peer: {}; nothing was measured", cause(&error))),
        }
    }
    contenders.extend(Contender::libc_again());
    Ok((contenders, failures))
}

/// A message about a peer, for a reader who named it with an option.
fn cause(error: &PeerError) -> String {
    error.to_string().replacen(&format!("{}: ", peer::VARIABLE), "", 1)
}

/// Measures the passes and cells that are missing, and ends the record.
fn measure(
    mut sweep: sweep::Sweep,
    mut growing: Growing,
    grid: &[Vec<Cell>],
    effort: Effort,
) -> Result<(PathBuf, Record), String> {
    let steps: Vec<(Cell, u32)> = effort.steps(grid).filter(|(cell, pass)| !growing.has(*cell, *pass)).collect();
    let mut progress = Printer::new(steps.len(), steps.len() as f64);
    for (cell, pass) in steps {
        growing.append(sweep.measure(cell, pass)).map_err(text)?;
        progress.advance(1.0);
    }
    growing.finish().map_err(text)
}

/// What the run says. Where nothing hot was measured, there is no table of aligned cells.
fn tables(summary: &Summary, environment: &Environment) -> String {
    let is_aligned_hot =
        |cell: &CellSummary| cell.cell.residency == Residency::Hot && cell.cell.line_offsets() == (0, 0);
    let mut parts = Vec::new();
    if summary.cells.iter().any(is_aligned_hot) {
        parts.extend([report::answer(summary, environment), report::selection_table(summary, false)]);
    }
    if !summary.cells.iter().all(is_aligned_hot) {
        parts.push(report::placement_table(summary));
    }
    parts.push(report::losses(summary));
    parts.join("\n") + "\n"
}

/// The figures as JSON. Times are nanoseconds a copy, `vs_libc` is how many times as fast as the installed libc, and
/// `regret` time over that of the fastest kernel.
fn document(folder: &Path, record: &Record, summary: &Summary) -> Value {
    let cell = |cell: &CellSummary| {
        let figures = |name: &str| {
            json!({
                "copy_ns": cell.copy_ns(name),
                "gb_per_s": cell.gb_per_s(name),
                "bytes_per_cycle": cell.bytes_per_cycle(name),
                "vs_libc": cell.time_ratio(LIBC, name),
            })
        };
        let winner = cell.winner(summary.noise_floor).map(|winner| {
            let mut of_it = figures(winner.name);
            of_it["kernel"] = json!(winner.name);
            of_it["ties"] = json!(winner.ties);
            of_it
        });
        let mut auto = figures(MEMCPY_AUTO);
        auto["regret"] = json!(cell.regret());
        json!({
            "len_bytes": cell.cell.len_bytes,
            "dst_offset": cell.cell.dst_offset,
            "src_offset": cell.cell.src_offset,
            "residency": cell.cell.residency.name(),
            "winner": winner,
            "memcpy_auto": auto,
        })
    };
    let cells: Vec<Value> = summary.cells.iter().map(cell).collect();
    let names: BTreeMap<&str, &str> =
        record.failures.iter().map(|failure| (&*failure.contender, failure.cause.as_str())).collect();
    json!({
        "record": folder.display().to_string(),
        "noise_floor": summary.noise_floor,
        "left_out": names,
        "cells": cells,
    })
}
