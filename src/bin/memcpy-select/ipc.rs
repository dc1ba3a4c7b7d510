//! `ipc`: what each way to move a payload between two processes costs.

use crate::json;
use crate::measuring::{Measuring, document, print_text};
use clap::{Args, Parser};
use memcpy_select::lab::Evidence;
use memcpy_select::lab::copies::scope;
use memcpy_select::lab::experiment::{Lines, run};
use memcpy_select::lab::instruments::affinity::CpuPair;
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::instruments::words::{length, unknown};
use memcpy_select::lab::paths::show::refusals;
use memcpy_select::lab::paths::ways::{Mode, Path as Way, paths};
use memcpy_select::lab::paths::{
    Asked, BENCH, PartRefusal, PathRecord, Paths, Placement, Program, Scope, contenders, target_cells,
};
use memcpy_select::lab::show::print;
use serde_json::{Value, json};
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
    #[command(flatten)]
    run: Measuring,
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
    /// List the paths, and measure nothing
    #[arg(long)]
    list: bool,
}

impl Ipc {
    pub fn run(self) -> Result<ExitCode, String> {
        if self.list {
            print(list(self.run.json))?;
            return Ok(ExitCode::SUCCESS);
        }
        match self.run.started()? {
            Some(started) if self.asked().is_empty() => self.again(&started)?.measure(),
            _ => self.measure(),
        }
    }

    fn measure(self) -> Result<ExitCode, String> {
        let effort = self.run.effort()?;
        let cells = if self.targets { target_cells() } else { self.scope()?.cells(effort).map_err(text)? };
        let some_kernels = effort != Effort::Quick;
        let asked = Asked { paths: self.paths.clone(), kernels: self.kernels.clone(), some_kernels };
        let contenders = contenders(paths(), &asked).map_err(text)?;
        let program = Program::current().map_err(|error| format!("this program's own file: {error}"))?;
        let cpus = CpuPair::last_two();
        let start = self.run.start(effort, cpus.near);
        let environment = start.environment()?;
        let growing = start.open(BENCH, environment, &self.grid(effort, cpus))?;
        let is_whole = self.asked().iter().all(|(name, _)| *name == "effort") && !self.targets;
        let has_cache = self.cache || (is_whole && effort != Effort::Quick);
        let mut all = Paths::new(program, cpus, effort, cells, contenders).explained(has_cache);
        let (folder, kept) = run(&mut all, growing, &Lines::new())?;

        let record = PathRecord::of_kept(kept).map_err(text)?;
        if record.is_empty() {
            return Err(format!("nothing was measured\n{}", refusals(&record.refusals)));
        }
        if self.run.json {
            let without = |part: &PartRefusal| json!({ "part": part.part.name(), "reason": part.reason });
            let mut document = document(&folder, Box::new(record))?;
            document["parts_left_out"] = all.left_out().iter().map(without).collect();
            json::print(&document)?;
        } else {
            let left_out: String = all.left_out().iter().map(|part| format!("not measured: {part}\n")).collect();
            print_text(&folder, &(record.text() + &left_out))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The options that a record was started with, from what it keeps of them.
    fn again(self, started: &str) -> Result<Self, String> {
        // A list stands behind its name; an option without one stands alone.
        let options =
            started.lines().map(|line| line.split_once(' ').unwrap_or((line, ""))).filter(|(name, _)| *name != CPUS);
        let words = options.flat_map(|(name, list)| [format!("--{name}"), list.to_owned()]);
        let words = words.filter(|word| !word.is_empty());
        let again = Again::try_parse_from([String::from("ipc")].into_iter().chain(words)).map_err(|error| {
            let cause = error.to_string();
            let cause = cause.lines().next().unwrap_or_default();
            let folder = self.run.resume.as_deref().unwrap_or_else(|| std::path::Path::new("")).display();
            format!("{folder}: its options cannot be read ({cause}): it is left as it is; start a new one")
        })?;
        let run = Measuring { effort: again.ipc.run.effort, ..self.run };
        Ok(Self { run, cache: self.cache, ..again.ipc })
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
            ("effort", self.run.effort.map_or_else(String::new, |effort| effort.name().to_owned())),
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
    fn grid(&self, effort: Effort, cpus: CpuPair) -> String {
        let cpu = |cpu: Option<usize>| cpu.map_or_else(|| "any".to_owned(), |cpu| cpu.to_string());
        let mut lines =
            vec![format!("effort {}", effort.name()), format!("{CPUS} {} and {}", cpu(cpus.near), cpu(cpus.far))];
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

/// The paths there are, as text or as JSON.
fn list(is_json: bool) -> String {
    if is_json {
        let path = |path: &&dyn Way| {
            let limits = path.limits();
            json!({
                "path": path.name(), "about": path.about(), "min_bytes": limits.min_bytes,
                "max_bytes": limits.max_bytes, "max_depth": limits.max_depth, "has_kernel": path.has_kernel(),
            })
        };
        return format!("{:#}\n", json!({ "paths": paths().iter().map(path).collect::<Vec<Value>>() }));
    }
    let line = |path: &&dyn Way| {
        let limits = path.limits();
        format!("{:<28}{:>4} to {:<11} B  {}\n", path.name(), limits.min_bytes, limits.max_bytes, path.about())
    };
    paths().iter().map(line).collect()
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
