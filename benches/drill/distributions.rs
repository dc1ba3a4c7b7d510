//! Who is fastest where programs really copy: random lengths and places, from the call distributions of a fleet?
//!
//! Twelve sequences in the first-level cache (three distributions, predictable or not, the copy read at once or not),
//! then the fleet's further out. `memcpy_auto` and `copy_from_slice` are inlined into the loop as a program has them,
//! libc, the kernels and the peers (`MEMCPY_SELECT_PEER=name=/path/lib.so`) are called. The same interleaved sweep and
//! the same kind of record as `select`.

mod support;

use memcpy_select::lab::LabError;
use memcpy_select::lab::copies::calls::{Calls, Reader, Region};
use memcpy_select::lab::copies::cell::Cell;
use memcpy_select::lab::copies::contender::{Contender, LIBC, MEMCPY_AUTO};
use memcpy_select::lab::copies::scope::Scope;
use memcpy_select::lab::copies::summary::{CellSummary, Summary};
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::instruments::statistics::geometric_mean;
use memcpy_select::lab::show;
use memcpy_select::select::Small;
use std::fmt::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let question = "Who is fastest where programs really copy: random lengths and places?";
    support::main("distributions", question, || support::verify(contenders()), measure)
}

/// Also the ways to copy small lengths.
fn contenders() -> Vec<Contender> {
    let small = [Small::Pieces, Small::Masked].into_iter().filter_map(Contender::small);
    Contender::all_available().into_iter().chain([Contender::copy_from_slice()]).chain(small).collect()
}

/// All of the first-level cache; further out, where the caches decide and not the branches, the fleet's calls.
fn cells() -> Vec<Cell> {
    let wanted =
        |calls: &Calls| calls.region == Region::L1 || (calls.lengths.name() == "fleet" && calls.reader == Reader::None);
    Calls::all().filter(wanted).map(Cell::calls).collect()
}

fn measure(effort: Effort) -> Result<(), LabError> {
    let buffer_bytes = Region::Memory.bytes() + 4096;
    let scope = Scope::of(effort);
    let (folder, record) = support::measure_copies("distributions", contenders(), &scope, vec![cells()], buffer_bytes)?;
    show::print(table(&record.summary()))?;
    support::keep_page(&folder)
}

/// Core cycles for one call; then how `memcpy_auto` compares with each of the others. In 80 columns: the page has them all.
fn table(summary: &Summary) -> String {
    let mut text = format!("{:<32} {:>11} {:>7} {:>7}  best kernel\n", "core cycles a call", MEMCPY_AUTO, LIBC, "best");
    for cell in &summary.cells {
        let best = cell.fastest().unwrap_or("-");
        let [auto, libc, least] = [MEMCPY_AUTO, LIBC, best].map(|name| cycles(cell, name));
        let _ = writeln!(text, "{:<32} {auto:>11} {libc:>7} {least:>7}  {best}", cell.cell.to_string());
    }
    let _ = writeln!(text, "\n{:<32} {:>11} {:>15}", "time of memcpy_auto over that of", "L1", "further out");
    for name in [LIBC].into_iter().chain(summary.cells.iter().take(1).flat_map(CellSummary::others)) {
        let [near, far] = [true, false].map(|in_l1| {
            let cells = summary.cells.iter().filter(|cell| is_in_l1(cell) == in_l1);
            let mean = geometric_mean(cells.filter_map(|cell| cell.time_ratio(MEMCPY_AUTO, name)));
            mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.3}"))
        });
        let _ = writeln!(text, "{name:<32} {near:>11} {far:>15}");
    }
    let worst = summary.cells.iter().filter_map(|cell| Some((cell.time_ratio(MEMCPY_AUTO, LIBC)?, cell.cell)));
    if let Some((ratio, cell)) = worst.max_by(|a, b| a.0.total_cmp(&b.0)) {
        let floor = (summary.noise_floor - 1.0) * 100.0;
        let _ = writeln!(text, "  worst against libc: {ratio:.2} in {cell}; noise floor {floor:.1}%\n");
    }
    text
}

fn is_in_l1(cell: &CellSummary) -> bool {
    cell.cell.residency.name().ends_with("l1")
}

fn cycles(cell: &CellSummary, contender: &str) -> String {
    let cycles = cell.copy_ns(contender).zip(cell.core_cycles_per_ns).map(|(ns, per_ns)| ns * per_ns);
    cycles.map_or_else(|| "-".to_owned(), |cycles| format!("{cycles:.1}"))
}
