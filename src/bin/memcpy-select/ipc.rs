//! `ipc`: what each way to move a payload between two processes costs.

mod document;

pub use document::figures;

use crate::progress::Printer;
use crate::sweep::effort_named;
use crate::{caveats, records};
use clap::{Args, Parser};
use document::{document, list, predicted_json, row_json, walked_json};
use memcpy_select::cpu::Cpu;
use memcpy_select::measure::conditions::conditions;
use memcpy_select::measure::effort::Effort;
use memcpy_select::measure::ipc::{
    self, Asked, CacheScope, Cell, Contender, CopyScope, Placement, Predicted, Program, Scope,
};
use memcpy_select::measure::scope;
use memcpy_select::measure::words::{length, unknown};
use memcpy_select::path::{Mode, paths};
use memcpy_select::record::{Environment, GrowingIpc, Progress, newest_ipc_record};
use memcpy_select::report::{self, print, say};
use memcpy_select::select::CpuName;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  memcpy-select ipc --effort quick
      Every path that this system has, at five sizes, in seconds
  memcpy-select ipc --sizes 64,4KiB..1MiB --modes polling,blocking --paths pipe,byte_ring --json
      Two paths at more sizes, waiting in two ways, as one JSON document
  memcpy-select ipc --sizes 1MiB --touch touched,untouched --kernels rep_movsb,avx_nt
      With kernels of choice where a path copies in user space
  memcpy-select ipc --resume results/amd-25-1-1-kvm/2026-11-23.1
      Go on where a run was ended, by Ctrl-C or anything else
  memcpy-select ipc --list
      The paths, what they carry, and how often they copy

The record is written cell by cell, <out>/<machine>/<date>.<n>; results/FORMAT.md says what is in it. A path that this \
system does not offer is listed with the reason, and the run goes on.";

/// Measure every way to move a payload between two processes, and keep a record.
///
/// Without lists, the grid is the effort's. If any list is given, the others are polling, two_cores, touched, depth 1, one
/// connection and no offset, and the sizes are the effort's.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Ipc {
    /// How much: quick (under a minute), default (some minutes) or full (many) [default: default]
    #[arg(long, value_name = "EFFORT", value_parser = effort_named)]
    effort: Option<Effort>,
    /// Payloads, as in 64,4k,1MiB (see `memcpy-select --help`), up to 1GiB; A..B is each power of two from A to B
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
    /// Also measure what transfers do to other data in the consumer's cache; a whole run does so anyway, unless it is quick
    #[arg(long)]
    cache: bool,
    /// The folder of the records
    #[arg(long, value_name = "DIR", default_value = "results/local")]
    out: PathBuf,
    /// Go on with the record in this folder, with the options it was started with: they need not be given again
    #[arg(long, value_name = "FOLDER", conflicts_with = "out")]
    resume: Option<PathBuf>,
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
            print(list(self.json))?;
            return Ok(ExitCode::SUCCESS);
        }
        match &self.resume {
            Some(folder) if self.asked().is_empty() => self.as_started(folder)?.measure(),
            _ => self.measure(),
        }
    }

    fn measure(self) -> Result<ExitCode, String> {
        let effort = self.effort();
        let scope = self.scope()?;
        let cells = if self.targets { ipc::target_cells() } else { scope.cells(effort).map_err(text)? };
        let some_kernels = effort != Effort::Quick;
        let asked = Asked { paths: self.paths.clone(), kernels: self.kernels.clone(), some_kernels };
        let contenders = ipc::contenders(paths(), &asked).map_err(text)?;
        let program = Program::current().map_err(|error| format!("this program's own file: {error}"))?;
        let cpus = ipc::cpus();
        let cpu = Cpu::detect();
        let environment = Environment::gather(&cpu, effort, cpus.0);
        if !self.json {
            print(report::machine(&environment, &conditions(&cpu, cpus.0)))?;
        }
        let grid = self.grid(cpus);
        let growing = match &self.resume {
            Some(folder) => GrowingIpc::resume(folder, &environment, &grid),
            None => GrowingIpc::create(&self.out, environment, &grid),
        };
        let mut growing = growing.map_err(text)?;
        say(format_args!("record: {}, as it grows", growing.folder().display()));
        let mut run = ipc::Run::new(&program, cpus, effort, &cells, &contenders);
        let left: Vec<&Cell> = cells.iter().filter(|cell| !growing.has(cell)).collect();
        let mut progress = Printer::new(left.len(), left.iter().map(|cell| share(cell)).sum());
        for cell in left {
            let (samples, refusals) = run.measure(cell);
            growing.append(samples, refusals).map_err(text)?;
            progress.advance(share(cell));
        }
        self.measure_beside(&mut growing, &program, cpus, &contenders, &cells)?;
        let (parts, left_out) = ipc::measure_parts(cpus, effort);
        growing.keep_parts(parts).map_err(text)?;
        let (folder, record) = growing.finish().map_err(text)?;
        let summary = record.summary();
        if summary.rows.is_empty() {
            return Err(format!("nothing was measured\n{}", report::refusals(&record.refusals)));
        }
        if self.json {
            print(format_args!("{:#}\n", document(&folder.display().to_string(), &record, &summary, &left_out)))?;
        } else {
            print(report::ipc_tables(&summary))?;
            print(report::tiers_table(&summary))?;
            print(report::model_table(&record.predictions()))?;
            print(report::cache_table(&ipc::walked(&record.cache)))?;
            print(report::parts(&ipc::part_figures(&record.parts)))?;
            print(report::refusals(&record.refusals))?;
            print(left_out.iter().map(|part| format!("not measured: {part}\n")).collect::<String>())?;
            print(format_args!("record: {}\n", folder.display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What explains the rows: copies as the table makes them, where it copies at all; and, unless there is little time or
    /// something else was asked for, what transfers do to other data in the cache.
    fn measure_beside(
        &self,
        growing: &mut GrowingIpc,
        program: &Program,
        cpus: (Option<usize>, Option<usize>),
        contenders: &[Contender<'_>],
        cells: &[Cell],
    ) -> Result<(), String> {
        let copies = CopyScope::of(cells, contenders);
        if let Some(scope) = copies.as_ref().filter(|_| growing.record().copies.is_empty()) {
            let (copies, refusals) = ipc::measure_copies(program, cpus, self.effort(), scope);
            growing.keep_copies(copies, &refusals).map_err(text)?;
        }
        let is_whole = self.asked().iter().all(|(name, _)| *name == "effort") && self.effort() != Effort::Quick;
        let is_whole = is_whole && !self.targets;
        if (is_whole || self.cache) && growing.record().cache.is_empty() {
            let cpu = &growing.record().environment.cpu;
            let caches = [cpu.l1d_bytes, cpu.l2_bytes, cpu.l3_bytes].map(|bytes| bytes.unwrap_or(0) as usize);
            let scope = CacheScope::of(caches, copies.unwrap_or_default().kernels);
            let (cache, _) = ipc::measure_cache(program, cpus, self.effort(), &scope);
            growing.keep_cache(cache).map_err(text)?;
        }
        Ok(())
    }

    fn effort(&self) -> Effort {
        self.effort.unwrap_or(Effort::Default)
    }

    /// The options that a record was started with, from what it keeps of them.
    fn as_started(&self, folder: &Path) -> Result<Self, String> {
        let grid = Progress::read(folder).map_err(text)?.grid.unwrap_or_default();
        // A list stands behind its name; an option without one stands alone.
        let options =
            grid.lines().map(|line| line.split_once(' ').unwrap_or((line, ""))).filter(|(name, _)| *name != CPUS);
        let words = options.flat_map(|(name, list)| [format!("--{name}"), list.to_owned()]);
        let words = words.filter(|word| !word.is_empty());
        let again = Again::try_parse_from([String::from("ipc")].into_iter().chain(words)).map_err(|error| {
            let cause = error.to_string();
            let cause = cause.lines().next().unwrap_or_default();
            format!("{}: its options cannot be read ({cause}): it is left as it is; start a new one", folder.display())
        })?;
        Ok(Self { resume: self.resume.clone(), json: self.json, cache: self.cache, ..again.ipc })
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

    /// The lists that were given, by the names of their options.
    fn asked(&self) -> Vec<(&'static str, String)> {
        fn list<T>(of: &[T], word: impl Fn(&T) -> String) -> String {
            of.iter().map(word).collect::<Vec<String>>().join(",")
        }
        let all = [
            ("effort", self.effort.map_or_else(String::new, |effort| effort.name().to_owned())),
            ("sizes", self.sizes.clone().unwrap_or_default()),
            ("modes", list(&self.modes, |mode| mode.name().to_owned())),
            ("placements", list(&self.placements, |placement| placement.name().to_owned())),
            ("touch", list(&self.touch, |touch| if *touch { "touched" } else { "untouched" }.to_owned())),
            ("depths", list(&self.depths, usize::to_string)),
            ("connections", list(&self.connections, usize::to_string)),
            ("offsets", list(&self.offsets, |(src, dst)| format!("{src}:{dst}"))),
            ("paths", self.paths.join(",")),
            ("kernels", self.kernels.join(",")),
        ];
        all.into_iter().filter(|(_, list)| !list.is_empty()).collect()
    }

    /// What was asked for, as the record keeps it.
    fn grid(&self, (near, far): (Option<usize>, Option<usize>)) -> String {
        let cpu = |cpu: Option<usize>| cpu.map_or_else(|| "any".to_owned(), |cpu| cpu.to_string());
        let mut lines =
            vec![format!("effort {}", self.effort().name()), format!("{CPUS} {} and {}", cpu(near), cpu(far))];
        let lists = self.asked().into_iter().filter(|(name, _)| *name != "effort");
        lines.extend(lists.map(|(name, list)| format!("{name} {list}")));
        if self.targets {
            lines.push("targets".to_owned());
        }
        lines.join("\n") + "\n"
    }
}

/// The line of the grid that is no option.
const CPUS: &str = "cpus";

/// The options alone, as the grid of a record has them.
#[derive(Parser)]
struct Again {
    #[command(flatten)]
    ipc: Ipc,
}

/// How long a cell takes, beside others: what is done for each cell, and what grows with its bytes.
fn share(cell: &Cell) -> f64 {
    const BYTES_LIKE_A_CELL: f64 = 4e6;
    1.0 + cell.payload_bytes as f64 / BYTES_LIKE_A_CELL
}

/// `explain --ipc`: what a record says about a payload. Without a folder, it is the newest of this CPU.
pub fn explain(payload_bytes: usize, folder: Option<&Path>, is_json: bool) -> Result<ExitCode, String> {
    let signature = CpuName::of(&Cpu::detect().signature).to_string();
    let record = match folder {
        Some(folder) => Some((folder.to_owned(), records::read_paths(folder)?)),
        None => newest_ipc_record("results".as_ref(), &signature).unwrap_or_default(),
    };
    let summary = record.as_ref().map(|(_, record)| record.summary()).unwrap_or_default();
    let explanation = report::IpcExplanation::of(&summary, payload_bytes);
    let (predictions, walked) =
        record.as_ref().map(|(_, record)| (record.predictions(), ipc::walked(&record.cache))).unwrap_or_default();
    let predictions = report::nearest(predictions, payload_bytes, |one| one.cell.payload_bytes);
    let walked = report::nearest(walked, payload_bytes, |one| one.payload_bytes);
    let notes: Vec<String> = record
        .iter()
        .flat_map(|(folder, record)| {
            let other_cpu = caveats::other_cpu(folder, &record.environment, &signature);
            caveats::of_paths(folder, record).into_iter().chain(other_cpu)
        })
        .collect();
    let is_complete = record.as_ref().is_none_or(|(_, record)| record.complete);
    let folder = record.map(|(folder, _)| folder.display().to_string());
    if is_json {
        let measured = |at: &report::AtLength| {
            json!({
                "payload_bytes": at.cell.payload_bytes, "rows": at.rows.iter().map(row_json).collect::<Vec<Value>>(),
                "pays_from_bytes": at.pays_from_bytes,
            })
        };
        let measured: Vec<Value> = explanation.measured.iter().map(measured).collect();
        let document = json!({
            "payload_bytes": payload_bytes, "measured": measured, "record": folder, "complete": is_complete, "notes": notes,
            "model": predictions.iter().map(predicted_json).collect::<Vec<Value>>(),
            "cache": walked.iter().map(walked_json).collect::<Vec<Value>>(),
        });
        print(format_args!("{document:#}\n"))?;
    } else {
        print(format_args!("{}{explanation}", caveats::text(&notes)))?;
        // As with the paths: all of the plainest circumstances, if they are there.
        let plain: Vec<Predicted> =
            predictions.iter().filter(|one| one.cell.is_plain() && one.cell.touch).cloned().collect();
        print(report::model_table(if plain.is_empty() { &predictions } else { &plain }))?;
        print(report::cache_table(&walked))?;
        if let Some(folder) = folder {
            print(format_args!("  record    {folder}\n"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn mode_named(word: &str) -> Result<Mode, String> {
    let found = Mode::ALL.into_iter().find(|mode| mode.name() == word);
    found.ok_or_else(|| unknown("mode", word, &Mode::ALL.map(Mode::name)))
}

fn placement_named(word: &str) -> Result<Placement, String> {
    let found = Placement::ALL.into_iter().find(|placement| placement.name() == word);
    found.ok_or_else(|| unknown("placement", word, &Placement::ALL.map(Placement::name)))
}

fn touch_named(word: &str) -> Result<bool, String> {
    match word {
        "touched" => Ok(true),
        "untouched" => Ok(false),
        _ => Err(unknown("touch", word, &["touched", "untouched"])),
    }
}

fn offsets(word: &str) -> Result<(usize, usize), String> {
    let parsed = word.split_once(':').and_then(|(src, dst)| Some((length(src).ok()?, length(dst).ok()?)));
    parsed.ok_or_else(|| "offsets are two numbers of bytes, sender:receiver, as in 1:64".to_owned())
}

fn text(error: impl ToString) -> String {
    error.to_string()
}
