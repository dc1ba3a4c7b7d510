//! What the benches share that compare variants of one loop: contenders over a few lengths, a table, a record.

use super::{keep_page, measure_copies};
use memcpy_select::cpu::{Cpu, Features, features};
use memcpy_select::kernel::CopyFn;
use memcpy_select::lab::LabError;
use memcpy_select::lab::copies::contender::{Contender, LIBC, LIBC_AGAIN};
use memcpy_select::lab::copies::scope::Scope;
use memcpy_select::lab::copies::summary::{CellSummary, Summary};
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::instruments::statistics::geometric_mean;
use memcpy_select::lab::show;
use std::fmt::Write;

/// One way to write the loop.
pub struct Variant {
    /// Its name in records.
    pub name: &'static str,
    /// What the CPU must have.
    pub needs: Features,
    /// Its code, which keeps the kernel contract.
    pub entry: CopyFn,
}

impl Variant {
    /// As a contender, if this CPU can run it.
    pub fn contender(&self) -> Option<Contender> {
        // SAFETY: each variant copies as the contract says, and this CPU has what it needs.
        let ready = || unsafe { Contender::foreign(self.name, self.entry) };
        features().contains(self.needs).then(ready)
    }
}

/// Measures the contenders at these lengths, prints how they compare, and keeps a record.
pub fn measure(bench: &str, contenders: Vec<Contender>, lengths: &[usize], effort: Effort) -> Result<(), LabError> {
    let scope = Scope { sizes: lengths.to_vec(), ..Scope::of(effort) };
    let grid = scope.grid().map_err(|error| LabError::Asked(error.to_string()))?;
    let buffer_bytes = scope.buffer_bytes(&grid, &Cpu::detect());
    let (folder, record) = measure_copies(bench, contenders, &scope, grid, buffer_bytes)?;
    show::print(table(&record.summary()))?;
    keep_page(&folder)
}

/// So many columns of lengths fit a terminal of 80.
const CELLS_SHOWN: usize = 5;

/// Fastest first: time as a multiple of the installed libc's.
fn table(summary: &Summary) -> String {
    let mut rows: Vec<(f64, &str, Vec<f64>)> = Vec::new();
    let names = summary.cells.iter().take(1).flat_map(CellSummary::contenders);
    for name in names.filter(|name| *name != LIBC_AGAIN) {
        let ratios: Vec<f64> = summary.cells.iter().filter_map(|cell| cell.time_ratio(name, LIBC)).collect();
        rows.extend(geometric_mean(ratios.iter().copied()).map(|mean| (mean, name, ratios)));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut text = String::new();
    for (at, cells) in summary.cells.chunks(CELLS_SHOWN).enumerate() {
        let sizes: String = cells.iter().map(|cell| format!("{:>9}", show::size(cell.cell.len_bytes))).collect();
        let _ = writeln!(text, "{:<24}{:>8}{sizes}", "time over libc's", "mean");
        for (mean, name, ratios) in &rows {
            let shown = ratios.iter().skip(at * CELLS_SHOWN).take(CELLS_SHOWN);
            let ratios: String = shown.map(|ratio| format!("{ratio:>9.3}")).collect();
            let _ = writeln!(text, "{name:<24}{mean:>8.3}{ratios}");
        }
    }
    let _ = writeln!(text, "  noise floor {:.1}%\n", (summary.noise_floor - 1.0) * 100.0);
    text
}
