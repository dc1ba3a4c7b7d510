//! A run: which paths are measured at which cells, one after the other.

use super::cache::{CacheScope, measure_cache};
use super::cell::{Cell, Contender};
use super::copies::{CopyScope, measure_copies};
use super::pair::Program;
use super::parts::{PartRefusal, measure_parts};
use super::rows::{CACHE, COPIES, GrowingPaths, PARTS, PathGrowth, cache_table, copies_table};
use super::summary::Summary;
use super::sweep::{Refusal, Sample, Sweep};
use super::tiers::{TIERED, TIERS};
use super::ways::{Path, Tiers};
use crate::kernel::Kernel;
use crate::lab::LabError;
use crate::lab::experiment::{Experiment, Observer};
use crate::lab::instruments::affinity::CpuPair;
use crate::lab::instruments::effort::Effort;
use crate::lab::instruments::words::unknown;
use crate::lab::record::CsvFile;
use std::fmt;

/// The paths that run a second time, for the noise floor: one through the kernel, one through shared memory.
const TWICE: [&str; 2] = ["unix_stream", "byte_ring"];
/// What was asked for by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Paths; all if none.
    pub paths: Vec<String>,
    /// Kernels that copy where there is a choice, beside `memcpy_auto`.
    pub kernels: Vec<String>,
    /// Whether, if no kernel is named, some are measured in the plainest circumstances.
    pub some_kernels: bool,
}

/// The paths that some kernels are measured on, and the kernels, of each kind the best that this CPU can run: string
/// instructions, vectors, stores past the caches.
const WITH_KERNELS: [&str; 2] = ["table_copy_copy", "byte_ring"];
const SOME_KERNELS: [&[&str]; 3] =
    [&["rep_movsb"], &["avx512_aligned", "avx_aligned", "sse2_aligned"], &["avx512_nt", "avx_nt", "sse2_nt"]];

/// There is nothing of that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedError {
    what: &'static str,
    name: String,
    known: Vec<String>,
}

impl fmt::Display for AskedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, name, known } = self;
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        write!(f, "{what} {name:?}: nothing was measured: {}", unknown(what, name, &known))
    }
}

impl std::error::Error for AskedError {}

/// What is measured: the paths that were asked for, each with `memcpy_auto` and, where there is a choice, with each kernel
/// that was asked for; and two of them a second time.
///
/// # Errors
///
/// [`AskedError`] for a name that no path or kernel has.
pub fn contenders<'a>(paths: &[&'a dyn Path], asked: &Asked) -> Result<Vec<Contender<'a>>, AskedError> {
    let refused = |what, name: &String, known: Vec<String>| AskedError { what, name: name.clone(), known };
    for name in &asked.paths {
        if !paths.iter().any(|path| path.name() == name) {
            return Err(refused("path", name, paths.iter().map(|path| path.name().to_owned()).collect()));
        }
    }
    for name in &asked.kernels {
        if Kernel::named(name).is_none() {
            let known = crate::kernels().iter().map(|kernel| kernel.name().to_owned()).collect();
            return Err(refused("kernel", name, known));
        }
    }
    let wanted = |path: &&&dyn Path| asked.paths.is_empty() || asked.paths.iter().any(|name| name == path.name());
    let mut contenders = Vec::new();
    for path in paths.iter().filter(wanted) {
        contenders.push(Contender::plain(*path));
        if path.has_kernel() {
            let with = |kernel: &String| Contender { kernel: Some(kernel.clone()), ..Contender::plain(*path) };
            contenders.extend(asked.kernels.iter().map(with));
            if asked.some_kernels && asked.kernels.is_empty() && WITH_KERNELS.contains(&path.name()) {
                let runs_here = |name: &&&str| Kernel::named(name).is_some_and(Kernel::is_available);
                let some = SOME_KERNELS.iter().filter_map(|kind| kind.iter().find(runs_here));
                let plain_only = |name: &&str| Contender { is_plain_only: true, ..with(&(*name).to_owned()) };
                contenders.extend(some.map(plain_only));
            }
        }
        if TWICE.contains(&path.name()) {
            contenders.push(Contender { is_again: true, ..Contender::plain(*path) });
        }
    }
    Ok(contenders)
}

/// A run: these contenders at these cells, one after the other; then what explains them.
///
/// The tiered path with measured limits gets them from a short run of its three tiers, in the same circumstances, before
/// anything else is measured in them.
#[derive(Debug)]
pub struct Paths<'a> {
    program: Program,
    cpus: CpuPair,
    effort: Effort,
    cells: Vec<Cell>,
    contenders: Vec<Contender<'a>>,
    sweep: Sweep,
    /// A cell of the circumstances that the limits of the tiers are known for.
    known: Option<Cell>,
    explains: Vec<Step>,
    left_out: Vec<PartRefusal>,
}

/// What a run measures, one step after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// All contenders at a cell.
    Cell(Cell),
    /// Copies as the table makes them, without the table.
    Copies,
    /// What transfers do to other data in the consumer's cache.
    Cache,
    /// Parts of the transport by themselves.
    Parts,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cell(cell) => cell.fmt(f),
            Self::Copies => f.write_str("copies without the table"),
            Self::Cache => f.write_str("other data in the cache"),
            Self::Parts => f.write_str("parts of the transport"),
        }
    }
}

impl<'a> Paths<'a> {
    /// A run by processes of this program on these logical CPUs.
    pub fn new(
        program: Program,
        cpus: CpuPair,
        effort: Effort,
        cells: Vec<Cell>,
        contenders: Vec<Contender<'a>>,
    ) -> Self {
        let sweep = Sweep::new(program.clone(), cpus, effort);
        let (explains, left_out) = (Vec::new(), Vec::new());
        Self { program, cpus, effort, cells, contenders, sweep, known: None, explains, left_out }
    }

    /// The same, and then what explains the figures: copies as far as the table makes any, parts, and other data in the cache
    /// if that is asked for.
    #[must_use]
    pub fn explained(mut self, has_cache: bool) -> Self {
        if self.copy_scope().is_some() {
            self.explains.push(Step::Copies);
        }
        if has_cache {
            self.explains.push(Step::Cache);
        }
        self.explains.push(Step::Parts);
        self
    }

    /// The parts that could not be measured.
    pub fn left_out(&self) -> &[PartRefusal] {
        &self.left_out
    }

    fn copy_scope(&self) -> Option<CopyScope> {
        CopyScope::of(&self.cells, &self.contenders)
    }

    /// Measures one of the cells.
    fn at(&mut self, cell: &Cell) -> (Vec<Sample>, Vec<Refusal>) {
        let is_new = self.known.is_none_or(|known| !known.is_beside(cell));
        if is_new && self.contenders.iter().any(|contender| contender.path.name() == TIERED) {
            let beside: Vec<Cell> = self.cells.iter().copied().filter(|other| other.is_beside(cell)).collect();
            self.sweep.tiers = find_tiers(&self.program, self.cpus, &beside).unwrap_or(Tiers::GIVEN);
        }
        self.known = Some(*cell);
        let wanted = |contender: &&Contender<'_>| cell.is_plain() || !contender.is_plain_only;
        let wanted: Vec<Contender<'_>> = self.contenders.iter().filter(wanted).cloned().collect();
        self.sweep.measure(*cell, &wanted)
    }
}

impl Experiment for Paths<'_> {
    type Growth = PathGrowth;
    type Step = Step;

    fn steps(&self, growing: &GrowingPaths) -> Vec<(Step, f64)> {
        let cells = self.cells.iter().filter(|cell| !growing.has(cell));
        let cells = cells.map(|cell| (Step::Cell(*cell), share(cell.payload_bytes)));
        let explains = self.explains.iter().filter_map(|step| {
            let (name, share) = match step {
                Step::Copies => (COPIES, 20.0),
                Step::Cache => (CACHE, 60.0),
                _ => (PARTS, 5.0),
            };
            (!growing.has_table(name)).then(|| (step.clone(), share))
        });
        cells.chain(explains).collect()
    }

    fn measure(&mut self, step: &Step, growing: &mut GrowingPaths, _observer: &dyn Observer) -> Result<(), LabError> {
        match step {
            Step::Cell(cell) => {
                let (samples, refusals) = self.at(cell);
                growing.append(samples.into_iter().map(Ok).chain(refusals.into_iter().map(Err)).collect())?;
            }
            Step::Copies => {
                let Some(scope) = self.copy_scope() else { return Ok(()) };
                let (copies, refusals) = measure_copies(&self.program, self.cpus, self.effort, &scope);
                growing.keep(copies_table(&copies, &refusals)?)?;
            }
            Step::Cache => {
                let cpu = &growing.kept().environment.cpu;
                let caches = [cpu.l1d_bytes, cpu.l2_bytes, cpu.l3_bytes].map(|bytes| bytes.unwrap_or(0) as usize);
                let scope = CacheScope::of(caches, self.copy_scope().unwrap_or_default().kernels);
                let (cache, _) = measure_cache(&self.program, self.cpus, self.effort, &scope);
                growing.keep(cache_table(&cache)?)?;
            }
            Step::Parts => {
                let (parts, left_out) = measure_parts(self.cpus, self.effort);
                self.left_out = left_out;
                growing.keep(CsvFile::of(PARTS, &parts)?)?;
            }
        }
        Ok(())
    }
}

/// How long a cell takes, beside others: what is done for each cell, and what grows with its bytes.
fn share(payload_bytes: usize) -> f64 {
    const BYTES_LIKE_A_CELL: f64 = 4e6;
    1.0 + payload_bytes as f64 / BYTES_LIKE_A_CELL
}

/// The limits between the tiers in these circumstances.
fn find_tiers(program: &Program, cpus: CpuPair, cells: &[Cell]) -> Option<Tiers> {
    let tiers = crate::lab::paths::ways::paths().iter().filter(|path| TIERS.contains(&path.name()));
    let tiers: Vec<Contender<'_>> = tiers.map(|path| Contender::plain(*path)).collect();
    let mut sweep = Sweep::new(program.clone(), cpus, Effort::Quick);
    let samples: Vec<Sample> = cells.iter().flat_map(|cell| sweep.measure(*cell, &tiers).0).collect();
    Summary::of(&samples).tiers(cells.first()?)
}
