//! What a record says about a payload between two processes: each way's cost at the nearest length, and from which length
//! on not copying pays.

use crate::lab::paths::show::tables::{circumstances, groups, is_floor, path_name};
use crate::lab::paths::{Cell, Row, Summary};
use crate::lab::show::{count, size, time};
use std::fmt;

/// An explanation for one payload.
#[derive(Clone, Debug, PartialEq)]
pub struct PathExplanation {
    /// The payload that was asked for, in bytes.
    pub payload_bytes: usize,
    /// What was measured, one entry for each set of circumstances.
    pub measured: Vec<AtLength>,
}

/// What was measured in one set of circumstances.
#[derive(Clone, Debug, PartialEq)]
pub struct AtLength {
    /// The circumstances, and the length that was measured nearest to the one asked for.
    pub cell: Cell,
    /// The rows at that length, fastest first.
    pub rows: Vec<Row>,
    /// From which of the measured lengths on the fastest way without a copy is faster than the fastest with one; nothing
    /// if at the longest it is not.
    pub pays_from_bytes: Option<usize>,
}

impl PathExplanation {
    /// What these figures say about a payload.
    pub fn of(summary: &Summary, payload_bytes: usize) -> Self {
        let measured = groups(summary).into_iter().filter_map(|group| AtLength::of(summary, &group, payload_bytes));
        Self { payload_bytes, measured: measured.collect() }
    }
}

impl AtLength {
    fn of(summary: &Summary, group: &Cell, payload_bytes: usize) -> Option<Self> {
        let distance = |row: &&Row| distance(row.cell.payload_bytes, payload_bytes);
        let nearest = summary.beside(group).min_by(|a, b| distance(a).total_cmp(&distance(b)))?.cell;
        let mut rows: Vec<Row> = summary.rows.iter().filter(|row| row.cell == nearest).cloned().collect();
        let judged = |row: &Row| row.judged_ns().unwrap_or(f64::INFINITY);
        rows.sort_by(|a, b| judged(a).total_cmp(&judged(b)));
        Some(Self { cell: nearest, rows, pays_from_bytes: pays_from_bytes(summary, group) })
    }
}

/// How far one length is from another: as a ratio, whichever is longer.
fn distance(a: usize, b: usize) -> f64 {
    (a.max(1) as f64 / b.max(1) as f64).ln().abs()
}

/// Of these figures, those of the length that is nearest to one.
pub fn nearest<T>(mut figures: Vec<T>, payload_bytes: usize, length: impl Fn(&T) -> usize) -> Vec<T> {
    let lengths = figures.iter().map(&length);
    let Some(found) = lengths.min_by(|a, b| distance(*a, payload_bytes).total_cmp(&distance(*b, payload_bytes))) else {
        return figures;
    };
    figures.retain(|figure| length(figure) == found);
    figures
}

/// See [`AtLength::pays_from_bytes`].
pub fn pays_from_bytes(summary: &Summary, group: &Cell) -> Option<usize> {
    let mut sizes: Vec<usize> = summary.beside(group).map(|row| row.cell.payload_bytes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let best = |bytes: usize, copies: bool| {
        let of = |row: &&Row| row.cell.payload_bytes == bytes && (row.copies > 0) == copies && !is_floor(&row.path);
        summary.beside(group).filter(of).filter_map(Row::judged_ns).min_by(f64::total_cmp)
    };
    let pays =
        |bytes: &usize| best(*bytes, false).zip(best(*bytes, true)).is_some_and(|(zero, copying)| zero < copying);
    let from = sizes.iter().rposition(|bytes| !pays(bytes)).map_or(0, |last| last + 1);
    sizes.get(from).copied()
}

impl fmt::Display for PathExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} from one process to another", size(self.payload_bytes))?;
        if self.measured.is_empty() {
            return writeln!(f, "  measured  nothing: `memcpy-select ipc` makes a record");
        }
        // The first circumstances are those that the others differ from: all ways there, and of the others what changes.
        for (index, at) in self.measured.iter().enumerate() {
            if index == 0 { at.whole(f)? } else { at.in_short(f)? }
        }
        Ok(())
    }
}

impl AtLength {
    fn whole(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (length, place) = (size(self.cell.payload_bytes), circumstances(&self.cell));
        writeln!(f, "  measured  at {length}, {place}, half round trip:")?;
        for row in self.rows.iter().filter(|row| !is_floor(&row.path)) {
            let shown = row.judged_ns().map_or_else(|| "-".to_owned(), time);
            let calls = row.system_calls.map_or_else(String::new, |calls| format!(", {calls:.1} system calls"));
            writeln!(f, "    {:<34}{shown:>10}  {}{calls}", path_name(row), count(row.copies, "copy"))?;
        }
        writeln!(f, "    {}", self.pays())?;
        if self.rows.iter().any(|row| is_floor(&row.path)) {
            let floor = self.rows.iter().filter(|row| is_floor(&row.path)).find_map(Row::judged_ns);
            writeln!(f, "    the floor, a bare shared line each way, is at {}", floor.map_or("-".to_owned(), time))?;
        }
        Ok(())
    }

    fn in_short(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {} at {}:", circumstances(&self.cell), size(self.cell.payload_bytes))?;
        let of = |is_meant: &dyn Fn(&Row) -> bool| {
            let found = self.rows.iter().filter(|row| !is_floor(&row.path)).find(|row| is_meant(row))?;
            Some(format!("{} {}, {}", path_name(found), found.judged_ns().map(time)?, count(found.copies, "copy")))
        };
        let best: Vec<String> = [of(&|row| row.copies > 0), of(&|row| row.copies == 0)].into_iter().flatten().collect();
        writeln!(f, "    {}; {}", best.join("; "), self.pays())
    }

    fn pays(&self) -> String {
        match self.pays_from_bytes {
            Some(bytes) => format!("not copying pays from {} on", size(bytes)),
            None => "not copying does not pay at the longest length".to_owned(),
        }
    }
}
