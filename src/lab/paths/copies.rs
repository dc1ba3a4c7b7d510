//! What a copy costs where the table makes it: between two cores, into a block that the other side has read last, or out of
//! one that it has written last. [Stages](Stage) move payloads in the table's ways without the table; how much longer one
//! takes than another is what the two do not share.

#![forbid(unsafe_code)]

use crate::lab::instruments::affinity::CpuPair;
use crate::lab::instruments::effort::Effort;
use crate::lab::paths::cell::{Cell, Contender, Placement};
use crate::lab::paths::pair::Program;
use crate::lab::paths::summary::Summary;
use crate::lab::paths::sweep::{Refusal, Sample, Sweep};
use crate::lab::paths::ways::{Mode, SHARED, Stage, Way};

/// What the table's paths begin with, by the copies that they make.
const WAYS: [(&str, Way); 4] = [
    ("table_copy_copy", Way::CopyBoth),
    ("table_copy_read", Way::CopyIn),
    ("table_write_copy", Way::CopyOut),
    ("table_in_place", Way::InPlace),
];

/// What a path of the table does with payloads, and which allocator or proxy its name ends with.
pub(crate) fn named(path: &str) -> Option<(Way, &str)> {
    WAYS.into_iter().find_map(|(name, way)| Some((way, path.strip_prefix(name)?)))
}

/// The copies of a path of the table that makes any.
fn way(path: &str) -> Option<Way> {
    named(path).map(|(way, _)| way).filter(|way| way.has_kernel())
}

/// Whether the model is for rows like this: one message at a time over one connection between two cores, aligned.
pub(crate) fn is_modelled(cell: &Cell) -> bool {
    let like = Cell::simple(cell.payload_bytes, cell.mode, Placement::TwoCores);
    *cell == Cell { touch: cell.touch, ..like }
}

/// What the samples are taken for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyScope {
    /// Lengths in bytes.
    pub sizes: Vec<usize>,
    /// Kernels beside `memcpy_auto`.
    pub kernels: Vec<String>,
    /// Whether paths are among them whose blocks both sides write.
    pub has_shared: bool,
}

impl CopyScope {
    /// What the rows of the table's copying paths among these cells and contenders need; nothing if there are none.
    pub fn of(cells: &[Cell], contenders: &[Contender<'_>]) -> Option<Self> {
        let copying: Vec<&Contender<'_>> =
            contenders.iter().filter(|contender| way(contender.path.name()).is_some()).collect();
        let mut sizes: Vec<usize> =
            cells.iter().filter(|cell| is_modelled(cell)).map(|cell| cell.payload_bytes).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let mut kernels: Vec<String> = copying.iter().filter_map(|contender| contender.kernel.clone()).collect();
        kernels.sort_unstable();
        kernels.dedup();
        let has_shared = copying.iter().any(|contender| contender.path.name().ends_with(SHARED));
        (!copying.is_empty() && !sizes.is_empty()).then_some(Self { sizes, kernels, has_shared })
    }

    /// The cells that are measured: polling between two cores, touched and not.
    pub fn cells(&self) -> Vec<Cell> {
        let like = Cell::simple(0, Mode::Polling, Placement::TwoCores);
        let each = |touch: bool| self.sizes.iter().map(move |&payload_bytes| Cell { touch, payload_bytes, ..like });
        each(true).chain(each(false)).collect()
    }
}

/// Measures copies, cell by cell. Samples are of paths that are named as [`Stage`] names them.
pub fn measure_copies(
    program: &Program,
    cpus: CpuPair,
    effort: Effort,
    scope: &CopyScope,
) -> (Vec<Sample>, Vec<Refusal>) {
    let owned = Way::ALL.into_iter().map(|way| Stage::of(way, false));
    // Apart, nothing is shared either way.
    let shared = Way::ALL.into_iter().filter(|way| scope.has_shared && *way != Way::Apart);
    let stages: Vec<Stage> = owned.chain(shared.map(|way| Stage::of(way, true))).collect();
    let mut contenders = Vec::new();
    for stage in &stages {
        contenders.push(Contender::plain(stage));
        let with = |kernel: &String| Contender { kernel: Some(kernel.clone()), ..Contender::plain(stage) };
        if stage.way().has_kernel() {
            contenders.extend(scope.kernels.iter().map(with));
        }
    }
    let effort = if effort == Effort::Full { Effort::Full } else { Effort::Quick };
    let mut sweep = Sweep::new(program.clone(), cpus, effort);
    let (mut samples, mut refusals) = (Vec::new(), Vec::new());
    for cell in scope.cells() {
        let (taken, refused) = sweep.measure(cell, &contenders);
        samples.extend(taken);
        refusals.extend(refused);
    }
    (samples, refusals)
}

/// The figures of these samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Copies(Summary);

/// What copying changes in half a round trip, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Added {
    /// All of it.
    pub all_ns: f64,
    /// The time of both kernels at their residency, where both copy: what remains of `all_ns` once `replaced_ns` is taken
    /// away.
    pub kernels_ns: Option<f64>,
    /// What a producer and a consumer that use memory of their own take more than two that use a block which the other
    /// core has used last: below 0, since a copy replaces their accesses across cores by accesses to their own caches.
    pub replaced_ns: Option<f64>,
}

impl Copies {
    /// The figures.
    pub fn of(samples: &[Sample]) -> Self {
        Self(Summary::of(samples))
    }

    /// Half a round trip of a stage, in nanoseconds.
    pub fn trip_ns(&self, stage: &Stage, kernel: Option<&str>, payload_bytes: usize, touch: bool) -> Option<f64> {
        let of = |row: &&crate::lab::paths::Row| {
            row.path == stage.path_name()
                && row.kernel.as_deref() == kernel.filter(|_| stage.way().has_kernel())
                && row.cell.payload_bytes == payload_bytes
                && row.cell.touch == touch
        };
        self.0.rows.iter().find(of)?.judged_ns()
    }

    /// What a way that copies takes more than one that does not. A way with both copies is measured as a whole: together
    /// they use more of the caches than each by itself, and find the block in another state than one alone does.
    pub fn added(&self, way: Way, is_shared: bool, kernel: Option<&str>, bytes: usize, touch: bool) -> Option<Added> {
        let trip = |way: Way| self.trip_ns(&Stage::of(way, is_shared && way != Way::Apart), kernel, bytes, touch);
        let in_place = trip(Way::InPlace)?;
        let over = |way: Way| Some(trip(way)? - in_place);
        let all_ns = over(way)?;
        let replaced_ns = if way == Way::CopyBoth { over(Way::Apart) } else { None };
        Some(Added { all_ns, kernels_ns: replaced_ns.map(|replaced| all_ns - replaced), replaced_ns })
    }
}
