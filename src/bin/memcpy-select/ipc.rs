//! `ipc`: what each way to move a payload between two processes costs.

use crate::sweep::{effort_named, print};
use clap::Args;
use memcpy_select::cpu::Cpu;
use memcpy_select::measure::conditions::conditions;
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::ipc::{
    self, Asked, Cell, PartFigure, PartRefusal, Percentiles, Placement, Program, Row, Scope, Summary,
};
use memcpy_select::measure::scope;
use memcpy_select::path::{Mode, paths};
use memcpy_select::record::{Environment, IpcRecord, newest_ipc_record};
use memcpy_select::report;
use memcpy_select::select::CpuName;
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  memcpy-select ipc --effort quick
      Every path that this system has, at five sizes, in seconds
  memcpy-select ipc --sizes 64,4KiB..1MiB --modes polling,blocking --paths pipe,byte_ring --json
      Two paths at more sizes, waiting in two ways, as one JSON document
  memcpy-select ipc --sizes 1MiB --touch touched,untouched --kernels rep_movsb,avx_nt
      With kernels of choice where a path copies in user space
  memcpy-select ipc --list
      The paths, what they carry, and how often they copy

The record is <out>/<machine>/<date>.<n>; results/FORMAT.md says what is in it. A path that this system does not offer
is listed with the reason, and the run goes on. The exit status is 0, or 2 if nothing could be measured or kept.";

/// Measure every way to move a payload between two processes, and keep a record.
///
/// Without lists, the grid is the effort's. If any list is given, the others are polling, two_cores, touched, depth 1, one
/// connection and no offset, and the sizes are the effort's.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Ipc {
    /// How much: quick (under a minute), default (some minutes) or full (many)
    #[arg(long, value_name = "EFFORT", default_value = "default", value_parser = effort_named)]
    effort: Effort,
    /// Payloads in bytes, B, KiB, MiB or GiB, up to 1GiB; A..B is each power of two from A to B
    #[arg(long, value_name = "LIST")]
    sizes: Option<String>,
    /// How the sides wait: polling, blocking, adaptive
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = mode_named)]
    modes: Vec<Mode>,
    /// Where they run: two_cores, one_core
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = placement_named)]
    placements: Vec<Placement>,
    /// touched: every byte is written by the producer, and read and checked by the consumer; untouched: neither
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = touch_named)]
    touch: Vec<bool>,
    /// How many messages may be under way
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    depths: Vec<usize>,
    /// Over how many connections of one path messages take turns
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    connections: Vec<usize>,
    /// Where the payload starts in its page, sender:receiver
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = offsets)]
    offsets: Vec<(usize, usize)>,
    /// Paths by name; without it, all
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    paths: Vec<String>,
    /// Kernels that copy where there is a choice, beside memcpy_auto; without it, and but for a quick run, one of each kind
    /// on two paths in the plainest circumstances
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    kernels: Vec<String>,
    /// Only what the table of targets is computed from (`report --targets`): no lists beside it but paths and kernels
    #[arg(long, conflicts_with_all = ["sizes", "modes", "placements", "touch", "depths", "connections", "offsets"])]
    targets: bool,
    /// The folder of the records
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// List the paths, and measure nothing
    #[arg(long)]
    list: bool,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
}

impl Ipc {
    pub fn run(self) -> Result<ExitCode, String> {
        if self.list {
            print(&list(self.json));
            return Ok(ExitCode::SUCCESS);
        }
        let scope = self.scope()?;
        let cells = if self.targets { ipc::target_cells() } else { scope.cells(self.effort).map_err(text)? };
        let some_kernels = self.effort != Effort::Quick;
        let asked = Asked { paths: self.paths.clone(), kernels: self.kernels.clone(), some_kernels };
        let contenders = ipc::contenders(paths(), &asked).map_err(text)?;
        let program = Program::current().map_err(|error| format!("this program's own file: {error}"))?;
        let cpus = ipc::cpus();
        let cpu = Cpu::detect();
        let mut environment = Environment::gather(&cpu, self.effort, cpus.0);
        if !self.json {
            print(&report::machine(&environment, &conditions(&cpu, cpus.0)));
        }
        let is_watched = std::io::stderr().is_terminal();
        let total = cells.len();
        let (samples, refusals) = ipc::run(&program, cpus, self.effort, &cells, &contenders, |done, cell: &Cell| {
            if is_watched {
                let _ = writeln!(std::io::stderr(), "{done} of {total} cells; next: {cell}");
            }
        });
        let summary = Summary::of(&samples);
        if summary.rows.is_empty() {
            return Err(format!("nothing was measured\n{}", report::refusals(&refusals)));
        }
        environment.noise_floor = summary.noise_floor;
        let grid = self.grid(cpus);
        let (parts, left_out) = ipc::measure_parts(cpus, self.effort);
        let record = IpcRecord { environment, grid, samples, refusals, parts };
        let folder = record.save(&self.out).map_err(text)?;
        if self.json {
            print(&format!("{:#}\n", document(&folder.display().to_string(), &record, &summary, &left_out)));
        } else {
            print(&report::ipc_tables(&summary));
            print(&report::parts(&ipc::part_figures(&record.parts)));
            print(&report::refusals(&record.refusals));
            print(&left_out.iter().map(|part| format!("not measured: {part}\n")).collect::<String>());
            print(&format!("record: {}\n", folder.display()));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn scope(&self) -> Result<Scope, String> {
        let sizes = self.sizes.as_deref().map(scope::sizes).transpose().map_err(text)?.unwrap_or_default();
        Ok(Scope {
            sizes,
            modes: self.modes.clone(),
            placements: self.placements.clone(),
            touches: self.touch.clone(),
            depths: self.depths.clone(),
            connections: self.connections.clone(),
            offsets: self.offsets.clone(),
        })
    }

    /// What was asked for, as the record keeps it.
    fn grid(&self, (near, far): (Option<usize>, Option<usize>)) -> String {
        let cpu = |cpu: Option<usize>| cpu.map_or_else(|| "any".to_owned(), |cpu| cpu.to_string());
        let mut lines = vec![format!("effort {}", self.effort.name()), format!("cpus {} and {}", cpu(near), cpu(far))];
        if self.targets {
            lines.push("targets".to_owned());
        }
        let lists = [("sizes", self.sizes.clone().unwrap_or_default()), ("paths", self.paths.join(","))];
        lines.extend(
            lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| format!("{name} {list}")),
        );
        if !self.kernels.is_empty() {
            lines.push(format!("kernels {}", self.kernels.join(",")));
        }
        lines.join("\n") + "\n"
    }
}

/// `explain --ipc`: what a record says about a payload. Without a folder, it is the newest of this CPU.
pub fn explain(payload_bytes: usize, folder: Option<&std::path::Path>, is_json: bool) -> Result<ExitCode, String> {
    let signature = CpuName::of(&Cpu::detect().signature).to_string();
    let record = match folder {
        Some(folder) => Some((folder.to_owned(), IpcRecord::read(folder).map_err(text)?)),
        None => newest_ipc_record("results".as_ref(), &signature).unwrap_or_default(),
    };
    let summary = record.as_ref().map(|(_, record)| record.summary()).unwrap_or_default();
    let explanation = report::IpcExplanation::of(&summary, payload_bytes);
    let folder = record.map(|(folder, _)| folder.display().to_string());
    if is_json {
        let measured = |at: &report::AtLength| {
            json!({
                "payload_bytes": at.cell.payload_bytes, "rows": at.rows.iter().map(row_json).collect::<Vec<Value>>(),
                "pays_from_bytes": at.pays_from_bytes,
            })
        };
        let measured: Vec<Value> = explanation.measured.iter().map(measured).collect();
        print(&format!("{:#}\n", json!({"payload_bytes": payload_bytes, "measured": measured, "record": folder})));
    } else {
        print(&explanation.to_string());
        if let Some(folder) = folder {
            print(&format!("  record    {folder}\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn mode_named(word: &str) -> Result<Mode, String> {
    let found = Mode::ALL.into_iter().find(|mode| mode.name() == word);
    found.ok_or_else(|| "there is no such mode; use polling, blocking or adaptive".to_owned())
}

fn placement_named(word: &str) -> Result<Placement, String> {
    let found = Placement::ALL.into_iter().find(|placement| placement.name() == word);
    found.ok_or_else(|| "there is no such placement; use two_cores or one_core".to_owned())
}

fn touch_named(word: &str) -> Result<bool, String> {
    match word {
        "touched" => Ok(true),
        "untouched" => Ok(false),
        _ => Err("use touched or untouched".to_owned()),
    }
}

fn offsets(word: &str) -> Result<(usize, usize), String> {
    let parsed = word.split_once(':').and_then(|(src, dst)| Some((src.parse().ok()?, dst.parse().ok()?)));
    parsed.ok_or_else(|| "offsets are two numbers of bytes, as in 1:64".to_owned())
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn list(is_json: bool) -> String {
    if is_json {
        let path = |path: &&dyn memcpy_select::path::Path| {
            let limits = path.limits();
            json!({
                "path": path.name(), "about": path.about(), "min_bytes": limits.min_bytes,
                "max_bytes": limits.max_bytes, "max_depth": limits.max_depth, "has_kernel": path.has_kernel(),
            })
        };
        return format!("{:#}\n", json!({ "paths": paths().iter().map(path).collect::<Vec<Value>>() }));
    }
    let line = |path: &&dyn memcpy_select::path::Path| {
        let limits = path.limits();
        format!("{:<28}{:>4} to {:<11} B  {}\n", path.name(), limits.min_bytes, limits.max_bytes, path.about())
    };
    paths().iter().map(line).collect()
}

/// The figures as JSON. Times are nanoseconds; what is given for a message counts both sides.
fn document(folder: &str, record: &IpcRecord, summary: &Summary, left_out: &[PartRefusal]) -> Value {
    let part = |figure: &PartFigure| {
        json!({
            "part": figure.part.name(), "subject": figure.subject, "members": figure.members, "bytes": figure.bytes,
            "ns": figure.ns, "quartiles_ns": [figure.quartiles_ns.0, figure.quartiles_ns.1], "cpu_share": figure.cpu_share,
        })
    };
    let without = |refusal: &PartRefusal| json!({ "part": refusal.part.name(), "reason": refusal.reason });
    let refusal = |refusal: &ipc::Refusal| {
        let mut of_it = cell_json(&refusal.cell, &refusal.path, refusal.kernel.as_deref());
        of_it["reason"] = json!(refusal.reason);
        of_it
    };
    json!({
        "record": folder,
        "noise_floor": summary.noise_floor,
        "rows": summary.rows.iter().map(row_json).collect::<Vec<Value>>(),
        "unavailable": record.refusals.iter().map(refusal).collect::<Vec<Value>>(),
        "parts": ipc::part_figures(&record.parts).iter().map(part).collect::<Vec<Value>>(),
        "parts_left_out": left_out.iter().map(without).collect::<Vec<Value>>(),
    })
}

fn cell_json(cell: &Cell, path: &str, kernel: Option<&str>) -> Value {
    let copies_itself = paths().iter().any(|known| known.name() == path && known.has_kernel());
    let kernel = kernel.or(copies_itself.then_some("memcpy_auto"));
    json!({
        "path": path,
        "payload_bytes": cell.payload_bytes,
        "mode": cell.mode.name(),
        "placement": cell.placement.name(),
        "touch": if cell.touch { "touched" } else { "untouched" },
        "depth": cell.depth,
        "connections": cell.connections,
        "src_offset": cell.src_offset,
        "dst_offset": cell.dst_offset,
        "kernel": kernel,
    })
}

fn row_json(row: &Row) -> Value {
    let mut of_it = cell_json(&row.cell, &row.path, row.kernel.as_deref());
    let half = |Percentiles { p50, p99, p999 }: Percentiles| json!({ "p50": p50, "p99": p99, "p999": p999 });
    let figures = [
        ("half_rtt_ns", json!(row.half_rtt_ns.map(half))),
        ("message_ns", json!(row.message_ns)),
        ("gb_per_s", json!(row.gb_per_s)),
        ("cycles_per_byte", json!(row.cycles_per_byte)),
        ("copies", json!(row.copies)),
        ("syscalls", json!(row.system_calls)),
        ("faults", json!(row.faults)),
        ("cpu_ns", json!(row.cpu_ns)),
        ("set_up_ns", json!(row.set_up_ns)),
        ("set_up_faults", json!(row.set_up_faults)),
        ("repaid_after", json!(row.repaid_after)),
    ];
    for (name, value) in figures {
        of_it[name] = value;
    }
    of_it
}
