//! A whole run: who is measured, where, and cell after cell.

use super::cell::{Cell, Contender};
use super::pair::Program;
use super::summary::Summary;
use super::sweep::{Refusal, Sample, Sweep};
use super::tiers::{TIERED, TIERS};
use crate::kernel::Kernel;
use crate::measure::effort::Effort;
use crate::measure::words::unknown;
use crate::path::{Path, Tiers};
use rustix::thread::{CpuSet, sched_getaffinity};
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

/// Who is measured: the paths that were asked for, each with `memcpy_auto` and, where there is a choice, with each kernel
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

/// The logical CPUs for the near and the far side: the last two that this process may use, since the first ones serve
/// most interrupts. The same one twice where there is no other.
pub fn cpus() -> (Option<usize>, Option<usize>) {
    let Ok(allowed) = sched_getaffinity(None) else { return (None, None) };
    let mut last = (0..CpuSet::MAX_CPU).rev().filter(|cpu| allowed.is_set(*cpu));
    let near = last.next();
    (near, last.next().or(near))
}

/// A run: these contenders at these cells, one after the other.
///
/// The tiered path with measured limits gets them from a short run of its three tiers, in the same circumstances, before
/// anything else is measured in them.
#[derive(Debug)]
pub struct Run<'a> {
    program: &'a Program,
    cpus: (Option<usize>, Option<usize>),
    cells: &'a [Cell],
    contenders: &'a [Contender<'a>],
    sweep: Sweep,
    /// A cell of the circumstances that the limits of the tiers are known for.
    known: Option<Cell>,
}

impl<'a> Run<'a> {
    /// A run by processes of this program on these logical CPUs.
    pub fn new(
        program: &'a Program,
        cpus: (Option<usize>, Option<usize>),
        effort: Effort,
        cells: &'a [Cell],
        contenders: &'a [Contender<'a>],
    ) -> Self {
        let sweep = Sweep::new(program.clone(), cpus, effort);
        Self { program, cpus, cells, contenders, sweep, known: None }
    }

    /// The cells, in the order of measuring.
    pub const fn cells(&self) -> &'a [Cell] {
        self.cells
    }

    /// Measures one of the cells.
    pub fn measure(&mut self, cell: &Cell) -> (Vec<Sample>, Vec<Refusal>) {
        let is_new = self.known.is_none_or(|known| !known.is_beside(cell));
        if is_new && self.contenders.iter().any(|contender| contender.path.name() == TIERED) {
            let beside: Vec<Cell> = self.cells.iter().copied().filter(|other| other.is_beside(cell)).collect();
            self.sweep.tiers = find_tiers(self.program, self.cpus, &beside).unwrap_or(Tiers::GIVEN);
        }
        self.known = Some(*cell);
        let wanted = |contender: &&Contender<'_>| cell.is_plain() || !contender.is_plain_only;
        let wanted: Vec<Contender<'_>> = self.contenders.iter().filter(wanted).cloned().collect();
        self.sweep.measure(*cell, &wanted)
    }
}

/// The limits between the tiers in these circumstances.
fn find_tiers(program: &Program, cpus: (Option<usize>, Option<usize>), cells: &[Cell]) -> Option<Tiers> {
    let tiers = crate::path::paths().iter().filter(|path| TIERS.contains(&path.name()));
    let tiers: Vec<Contender<'_>> = tiers.map(|path| Contender::plain(*path)).collect();
    let mut sweep = Sweep::new(program.clone(), cpus, Effort::Quick);
    let samples: Vec<Sample> = cells.iter().flat_map(|cell| sweep.measure(*cell, &tiers).0).collect();
    Summary::of(&samples).tiers(cells.first()?)
}
