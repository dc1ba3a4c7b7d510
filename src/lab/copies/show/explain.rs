//! Why `memcpy_auto` copies a length as it does: what is measured, and what is inferred.

use crate::cpu::{Caches, Cpu};
use crate::lab::copies::CopyRecord;
use crate::lab::copies::cell::Residency;
use crate::lab::copies::summary::{CellSummary, Summary};
use crate::lab::show::{Explained, hanging, size};
use crate::select::{Class, INLINE_MAX_BYTES, Origin, Plan, Policy, plan_for};
use serde_json::{Value, json};
use std::fmt;

/// An explanation for one length and placement.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The length in bytes.
    pub len_bytes: usize,
    /// The alignment class.
    pub class: Class,
    /// The kernel; nothing where the call copies in the caller itself.
    pub kernel: Option<&'static str>,
    /// From which length on, and up to which, the plan says so; nothing above the last limit.
    pub band: (usize, Option<usize>),
    /// Where the plan comes from.
    pub origin: Origin,
    /// What limits a copy of this length, inferred from the cache sizes.
    pub limit: String,
    /// The cell of the record that is nearest, and its figures: contender, nanoseconds, bytes a cycle; fastest first.
    pub measured: Option<Measured>,
    /// Whether there is a record at all.
    pub is_recorded: bool,
}

/// What a record says about a cell.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The length of the cell, which need not be the one asked for.
    pub len_bytes: usize,
    /// Contender, nanoseconds a copy, bytes a core cycle.
    pub figures: Vec<(String, f64, Option<f64>)>,
}

impl Explanation {
    /// Explains a copy of `len_bytes` between these addresses (or offsets in a page) on a CPU, with the figures of a
    /// record of it, if there is one.
    pub fn of(cpu: &Cpu, policy: Policy, len_bytes: usize, place: (usize, usize), record: Option<&CopyRecord>) -> Self {
        let plan = plan_for(cpu, policy);
        let class = Class::of(place.0, place.1);
        let is_inlined = policy == Policy::User && len_bytes <= INLINE_MAX_BYTES;
        let band = if is_inlined { (0, Some(INLINE_MAX_BYTES)) } else { band(&plan, len_bytes) };
        Self {
            len_bytes,
            class,
            kernel: (!is_inlined).then(|| plan.kernel(len_bytes, class).name()),
            band,
            origin: plan.origin(),
            limit: limit(&cpu.caches, len_bytes),
            is_recorded: record.is_some(),
            measured: record.and_then(|record| nearest(&Summary::of(&record.samples), len_bytes, class)),
        }
    }
}

impl Explanation {
    /// For a reader and for a program.
    pub fn explained(&self) -> Explained {
        let measured = self.measured.as_ref().map(|measured| {
            let figure = |(name, ns, per_cycle): &(String, f64, Option<f64>)| {
                json!({ "name": name, "ns": ns, "bytes_per_cycle": per_cycle })
            };
            json!({
                "len_bytes": measured.len_bytes,
                "figures": measured.figures.iter().map(figure).collect::<Vec<Value>>(),
            })
        });
        let document = json!({
            "len_bytes": self.len_bytes, "class": self.class.name(), "kernel": self.kernel, "from_bytes": self.band.0,
            "up_to_bytes": self.band.1, "plan_origin": self.origin.name(), "inferred_limit": self.limit,
            "measured": measured,
        });
        Explained { text: self.to_string(), document }
    }
}

/// The lengths around one between which the plan does not change.
fn band(plan: &Plan, len_bytes: usize) -> (usize, Option<usize>) {
    let limits = plan.bands().iter().map(crate::select::Band::up_to_bytes);
    let from = limits.clone().filter(|limit| *limit < len_bytes).max().map_or(0, |limit| limit + 1);
    (from, limits.filter(|limit| *limit >= len_bytes).min().filter(|limit| *limit < usize::MAX))
}

fn limit(caches: &Caches, len_bytes: usize) -> String {
    let both = 2 * len_bytes as u64;
    let fits = |cache: Option<crate::cpu::Cache>| cache.is_some_and(|cache| both <= cache.size_bytes);
    let level = |name: &str| format!("source and destination fit the {name} cache: ");
    if len_bytes <= 256 {
        "a handful of instructions: the call, branches on the length, loads and stores that split lines".to_owned()
    } else if fits(caches.l1d) {
        level("first-level") + "stores, one vector a cycle, and string instructions start up for some 36 cycles"
    } else if fits(caches.l2) {
        level("second-level") + "lines in and out of the first level, whatever the kernel"
    } else if fits(caches.l3) {
        level("last-level") + "lines between caches; a kernel that does not read the destination first moves fewer"
    } else {
        "source and destination outgrow the caches: memory bandwidth, and reading the destination for nothing"
            .to_owned()
    }
}

/// The measured cell of that class (or of any, if there is none) whose length is nearest, as a ratio.
fn nearest(summary: &Summary, len_bytes: usize, class: Class) -> Option<Measured> {
    let hot = || summary.cells.iter().filter(|cell| cell.cell.residency == Residency::Hot);
    let distance = |cell: &&CellSummary| (cell.cell.len_bytes.max(1) as f64 / len_bytes.max(1) as f64).ln().abs();
    let by_distance = |a: &&CellSummary, b: &&CellSummary| distance(a).total_cmp(&distance(b));
    let same = hot().filter(|cell| cell.cell.class() == class).min_by(by_distance);
    let cell = same.or_else(|| hot().min_by(by_distance))?;
    let mut figures: Vec<_> = cell
        .contenders()
        .filter_map(|name| Some((name.to_owned(), cell.copy_ns(name)?, cell.bytes_per_cycle(name))))
        .collect();
    figures.sort_by(|a, b| a.1.total_cmp(&b.1));
    Some(Measured { len_bytes: cell.cell.len_bytes, figures })
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let picked = self.kernel.unwrap_or("copied in the caller itself");
        writeln!(f, "{} ({}): {picked}", size(self.len_bytes), self.class.name())?;
        let (from, to) = self.band;
        let to = to.map_or_else(|| "on".to_owned(), |to| format!("to {to}"));
        writeln!(f, "  plan      from {from} bytes {to}")?;
        writeln!(f, "  origin    {}", self.origin)?;
        f.write_str(&hanging(12, &format!("  inferred  {}", self.limit)))?;
        let Some(measured) = &self.measured else {
            let nothing = if self.is_recorded {
                "  measured  nothing: the record has no hot copies of one length"
            } else {
                "  measured  nothing: there is no record of this CPU here; `cargo bench` makes one"
            };
            return f.write_str(&hanging(12, nothing));
        };
        writeln!(f, "  measured  at {}, hot:", size(measured.len_bytes))?;
        for (name, ns, per_cycle) in &measured.figures {
            let per_cycle = per_cycle.map_or_else(String::new, |bytes| format!("{bytes:>8.2} B/cycle"));
            let mark = if Some(name.as_str()) == self.kernel { "  <- the plan's" } else { "" };
            writeln!(f, "    {name:<20}{ns:>12.1} ns{per_cycle}{mark}")?;
        }
        Ok(())
    }
}
