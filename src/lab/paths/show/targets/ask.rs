//! What targets ask of a record: a path's figure in some circumstances, the best of several, a part's. What is not there is
//! an error that says which row the record lacks.

use crate::lab::paths::show::tables::{is_floor, path_name};
use crate::lab::paths::show::targets::Figure;
use crate::lab::paths::ways::paths;
use crate::lab::paths::{Cell, Part, PartFigure, PartSample, Placement, Predicted, Row, Summary, part_figures};
use crate::lab::show::size;

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Nanoseconds: half a round trip, or what one message or turn takes.
    Ns,
    /// Messages a second, one way.
    PerSecond,
    /// Payload one way, gigabytes a second.
    GbPerSecond,
    /// System calls.
    Calls,
    /// Hundredths of a processor.
    CpuPercent,
}

impl Quantity {
    /// The unit in JSON.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Ns => "ns",
            Self::PerSecond => "1/s",
            Self::GbPerSecond => "GB/s",
            Self::Calls => "system calls",
            Self::CpuPercent => "% of a CPU",
        }
    }
}

/// Two figures, or one, and what is judged.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) found: Figure,
    pub(crate) against: Option<Figure>,
    pub(crate) ratio: f64,
}

impl Found {
    /// The ratio of two figures of one kind.
    pub(crate) fn over(found: Figure, against: Figure) -> Self {
        let ratio = found.value / against.value;
        Self { found, against: Some(against), ratio }
    }

    /// A figure that is bounded itself.
    pub(crate) fn alone(found: Figure) -> Self {
        Self { ratio: found.value, found, against: None }
    }
}

type Answer = Result<Figure, String>;

/// A record that is asked.
pub(crate) struct Ask<'a> {
    summary: &'a Summary,
    parts: Vec<PartFigure>,
    /// What the model says of copying rows.
    pub(crate) predictions: &'a [Predicted],
}

/// The length and the circumstances, for reading; what all targets have in common is left out.
fn place(cell: &Cell) -> String {
    let mut words = vec![size(cell.payload_bytes), cell.mode.to_string()];
    if cell.placement == Placement::OneCore {
        words.push("one core".to_owned());
    }
    if cell.depth > 1 {
        words.push(format!("depth {}", cell.depth));
    }
    words.join(", ")
}

fn figure(row: &Row, quantity: Quantity) -> Option<Figure> {
    let value = match quantity {
        Quantity::Ns => row.judged_ns(),
        Quantity::PerSecond => row.message_ns.map(|ns| 1e9 / ns),
        Quantity::GbPerSecond => row.gb_per_s,
        Quantity::Calls => row.system_calls,
        Quantity::CpuPercent => None,
    };
    let (name, at, half_rtt_ns) = (path_name(row), place(&row.cell), row.half_rtt_ns);
    Some(Figure { name, at, value: value?, quantity, half_rtt_ns })
}

/// Whether a row is another library's.
pub(crate) fn is_peer(row: &Row) -> bool {
    !paths().iter().any(|path| path.name() == row.path)
}

impl<'a> Ask<'a> {
    pub(crate) fn new(summary: &'a Summary, parts: &[PartSample], predictions: &'a [Predicted]) -> Self {
        Self { summary, parts: part_figures(parts), predictions }
    }

    /// A prediction against its row; judged is how far it is from it, as a share.
    pub(crate) fn predicted(&self, one: &Predicted) -> Found {
        let figure = |name: String, ns| Figure {
            name,
            at: place(&one.cell),
            value: ns,
            quantity: Quantity::Ns,
            half_rtt_ns: None,
        };
        let kernel = one.kernel.as_ref().map_or_else(String::new, |kernel| format!(" [{kernel}]"));
        let against = figure(format!("{}{kernel}", one.path), one.measured_ns);
        let found = figure("predicted".to_owned(), one.predicted_ns());
        Found { found, against: Some(against), ratio: one.error().abs() }
    }

    /// How far a path differs from itself, at least 1.
    pub(crate) fn noise_floor(&self) -> f64 {
        self.summary.noise_floor.max(1.0)
    }

    /// A path's figure, with `memcpy_auto` where it copies.
    pub(crate) fn path(&self, path: &str, cell: Cell, quantity: Quantity) -> Answer {
        let of = |row: &&Row| row.cell == cell && row.path == path && row.kernel.is_none();
        let found = self.summary.rows.iter().find(of).and_then(|row| figure(row, quantity));
        found.ok_or_else(|| format!("{path} at {}", place(&cell)))
    }

    /// Half a round trip, p50.
    pub(crate) fn ns(&self, path: &str, cell: Cell) -> Answer {
        self.path(path, cell, Quantity::Ns)
    }

    /// The best figure at a cell of the rows that are meant, floors left out; `who` says whose it would be.
    pub(crate) fn best(&self, who: &str, cell: Cell, quantity: Quantity, is_meant: impl Fn(&Row) -> bool) -> Answer {
        let meant = |row: &&Row| row.cell == cell && !is_floor(&row.path) && is_meant(row);
        let figures = self.summary.rows.iter().filter(meant).filter_map(|row| figure(row, quantity));
        let is_less_better = matches!(quantity, Quantity::Ns | Quantity::Calls | Quantity::CpuPercent);
        let best = figures.reduce(|a, b| if (b.value < a.value) == is_less_better { b } else { a });
        best.ok_or_else(|| format!("{who} at {}", place(&cell)))
    }

    /// The lengths of these circumstances, from `min_bytes` on, shortest first.
    pub(crate) fn sizes(&self, like: Cell, min_bytes: usize) -> Vec<usize> {
        let mut sizes: Vec<usize> = self.summary.beside(&like).map(|row| row.cell.payload_bytes).collect();
        sizes.retain(|bytes| *bytes >= min_bytes);
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// What a part costs.
    pub(crate) fn part(&self, part: Part, subject: &str, members: u32) -> Answer {
        let of = |one: &&PartFigure| (one.part, one.subject.as_str(), one.members) == (part, subject, members);
        let name = format!("{subject} {members}");
        let found = self.parts.iter().find(of).ok_or_else(|| format!("{} {name}", part.name()))?;
        let (value, quantity) = match part {
            Part::Idle => (found.cpu_share * 100.0, Quantity::CpuPercent),
            _ => (found.ns, Quantity::Ns),
        };
        Ok(Figure { name, at: format!("{}, in one process", part.name()), value, quantity, half_rtt_ns: None })
    }
}
